"""The newest record, kept apart from the ledger too, so that records which were cut off its end are missed.

The file is written after the commit. After a power cut in between it is behind by that one commit, which is no fault:
the ledger itself says which number the file had before (``chain.filed``). Where the file is ahead, records are missing.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

from agent.buffer.private_file import put_private
from agent.buffer.records import Link, canonical

HEAD: Final = "chain_head.json"
"""Name of the file in the state directory, closed to other users."""
HASH: Final = re.compile(r"[0-9a-f]{64}")


class HeadDamaged(Exception):
    """The file is there, and does not say what it must."""


def read_head(state_dir: Path) -> Link | None:
    """Return what the file says, None where there is none. Raises: HeadDamaged, OSError."""
    try:
        text = (state_dir / HEAD).read_bytes()
    except FileNotFoundError:
        return None
    try:
        document = json.loads(text)
        link = Link(document["number"], document["hash"])
        whole = _text(link) == text and type(link.number) is int and link.number > 0 and HASH.fullmatch(link.hash)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise HeadDamaged(str(error)) from error
    if not whole:
        raise HeadDamaged("it is not as it was written")
    return link


def write_head(state_dir: Path, link: Link) -> None:
    """Replace the file; returns after the disk has it. Raises: OSError."""
    put_private(state_dir / HEAD, _text(link))


def _text(link: Link) -> bytes:
    return canonical({"number": link.number, "hash": link.hash}) + b"\n"
