"""Where the control socket may be: beside the ledger, or in memory where the ledger's disk takes no file (ADR 23)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final
from zlib import crc32

from agent.runtime.requests import SOCKET

RUN: Final = Path("/run")
"""On every system that is supported this is in memory."""
FOLDER: Final = "wallbox-agent"


def places(state_dir: Path, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the paths at which the daemon of a state directory may be met, in the order in which it tries them."""
    name = f"{crc32(str(state_dir.resolve()).encode()):08x}.sock"
    own = environ.get("XDG_RUNTIME_DIR")
    folders = ([Path(own)] if own else []) + [RUN]
    return (state_dir / SOCKET, *(folder / FOLDER / name for folder in folders))
