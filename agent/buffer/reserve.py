"""Some space on the disk that is kept back: given up when the disk is full, so that what has begun can still be ended.

Ends of sessions and confirmations of central systems are a few kilobytes each; the reserve takes hundreds of them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from agent.buffer.file import free, is_full

log = structlog.get_logger(__name__)

RESERVE: Final = "ledger.reserve"
"""Name of the file in the state directory; it has nothing in it."""
SIZE: Final = 4 * 1024 * 1024
AMPLE: Final = 64 * 1024 * 1024
"""The reserve is only made where so much is free, in bytes."""


PROBE: Final = "ledger.probe"
ROOM: Final = 1024 * 1024
"""What a start and the first session write at most, in bytes."""


def probe(state_dir: Path) -> None:
    """Take ``ROOM`` on the disk of a state directory and give it back, so that nothing is begun in the last few bytes.

    Raises: OSError.
    """
    path = state_dir / PROBE
    try:
        taken(path, ROOM)
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def taken(path: Path, size: int) -> None:
    """Make a file of a size, closed to other users. Raises: OSError; then there is none.

    Space is taken without being written where the file system can; a flash card does not wear from it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, size)
        os.fsync(descriptor)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


class Reserve:
    """The reserve of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        """Keep the place; nothing is made."""
        self._path = state_dir / RESERVE

    @property
    def is_there(self) -> bool:
        """Tell whether there is a reserve."""
        return self._path.exists()

    def give_up(self) -> bool:
        """Free the reserve where the disk is full; tell whether that made room. Never raises."""
        try:
            if not self.is_there or not is_full(self._path.parent):
                return False
            self._path.unlink()
        except OSError:
            return False
        log.warning("the disk is full: the ledger's reserve is given up", freed=SIZE, remedy="free some space")
        return True

    def make(self) -> bool:
        """Make the reserve where there is ample space; tell whether it is there. Never raises."""
        try:
            if self.is_there or free(self._path.parent) < AMPLE:
                return self.is_there
            taken(self._path, SIZE)
        except OSError:
            return False
        return True
