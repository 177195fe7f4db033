"""Whose a state directory is: of one station, and of one user of the system."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.buffer.private_file import put_private
from agent.core.errors import ConfigError

STATION: Final = "station"
"""Name of the file in the state directory with the charge point's identity."""


def claimed_by(state_dir: Path) -> str | None:
    """Return the station that a state directory belongs to, None where nobody can tell. Raises: OSError."""
    try:
        name = (state_dir / STATION).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return name if name.isprintable() and name else None


def foreign(state_dir: Path, station: str) -> str | None:
    """Return what is wrong where a state directory belongs to another station. Raises: OSError."""
    other = claimed_by(state_dir)
    if other is None or other == station:
        return None
    remedy = f"give this one a state_dir of its own; if it was renamed, remove {state_dir / STATION}"
    return f"{state_dir} belongs to station {other}, and this is {station}: {remedy}"


def claim(state_dir: Path, station: str) -> None:
    """Have a state directory belong to a station; where it cannot be marked (a full disk) the ledger tells that.

    Raises: ConfigError where it is another one's.
    """
    with suppress(OSError):
        wrong = foreign(state_dir, station)
        if wrong is not None:
            raise ConfigError(f"station.id: {wrong}")
        if claimed_by(state_dir) is None:
            put_private(state_dir / STATION, f"{station}\n".encode())


def hand_over(state_dir: Path) -> None:
    """Give the files in a directory to its owner, where root has written them for him."""
    seen = state_dir.stat()
    if os.geteuid() == 0 and seen.st_uid != 0:
        for one in state_dir.iterdir():
            with suppress(OSError):
                os.chown(one, seen.st_uid, seen.st_gid, follow_symlinks=False)
