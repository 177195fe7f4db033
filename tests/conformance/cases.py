"""Which cases of the OCPP 1.6J conformance list are owed a test, by the profiles that this release announces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

V16: Final = Path(__file__).parent / "v16"
NAME: Final = re.compile(r"^async def test_case_(\d{3})_\w+\(", re.MULTILINE)

LATER: Final = {
    127: "a home wallbox has no supply that outlasts a power failure",
}
OWED: Final = frozenset(range(1, 201)) - LATER.keys()
"""All feature profiles, and the security whitepaper."""


def written() -> Iterator[int]:
    """Return the number of each test function's case."""
    for path in V16.glob("test_*.py"):
        for number in NAME.findall(path.read_text(encoding="utf-8")):
            yield int(number)
