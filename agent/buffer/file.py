"""The ledger's file: its name, how it is made, and what can go wrong with it, in words for the installer."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EIO, EROFS
from pathlib import Path
from typing import Final

from agent.core.errors import JournalCorrupt, JournalError, JournalFull

LEDGER: Final = "ledger.sqlite3"
"""Name of the file in the state directory; SQLite keeps ``-wal`` and ``-shm`` beside it."""

RESTORE: Final = (
    "restart the service, which makes it anew from its second copy and what can be read, or restore a backup"
)
SPACE: Final = "free some space on its disk"
SCARCE: Final = 1024 * 1024
"""A disk with less, in bytes, is full for a ledger: to be opened it needs files beside it."""
MEDIUM: Final = "check its disk or SD card, and whether it became read-only"
ACCESS: Final = "check that its directory exists and belongs to the service's user, and that the disk is not full"
LOCKED: Final = "another program keeps it locked: end that one"

#: primary result code of SQLite -> error and remedy; a code not listed is a defect of this program.
REMEDIES: Final[dict[int, tuple[type[JournalError], str]]] = {
    sqlite3.SQLITE_FULL: (JournalFull, SPACE),
    sqlite3.SQLITE_READONLY: (JournalFull, MEDIUM),
    sqlite3.SQLITE_IOERR: (JournalFull, MEDIUM),
    sqlite3.SQLITE_CANTOPEN: (JournalFull, ACCESS),
    sqlite3.SQLITE_PERM: (JournalFull, ACCESS),
    sqlite3.SQLITE_CORRUPT: (JournalCorrupt, RESTORE),
    sqlite3.SQLITE_NOTADB: (JournalCorrupt, RESTORE),
    sqlite3.SQLITE_BUSY: (JournalError, LOCKED),
    sqlite3.SQLITE_LOCKED: (JournalError, LOCKED),
}
#: Extended codes that mean something else than their primary one: what was written cannot be read any more.
UNREADABLE: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR_READ,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_IOERR_DATA,
    }
)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn errors of the file system and of SQLite into the ledger's own; defects stay what they are.

    Raises: JournalFull, JournalCorrupt, JournalError (locked by another program).
    """
    try:
        yield
    except OSError as error:
        remedy = MEDIUM if error.errno in {EROFS, EIO} else SPACE if is_full(path.parent) else ACCESS
        raise JournalFull(f"the ledger {path} cannot be used ({error.strerror or error}): {remedy}") from error
    except sqlite3.DatabaseError as error:
        known = _known(error)
        if known is None:
            raise
        kind, remedy = known
        if kind is JournalFull and is_full(path.parent):
            remedy = SPACE
        raise kind(f"the ledger {path} cannot be used ({error}): {remedy}") from error


def free(directory: Path) -> int:
    """Return how many bytes may still be written to the disk of a directory. Raises: OSError."""
    seen = os.statvfs(directory)
    return seen.f_bavail * seen.f_frsize


def is_full(directory: Path) -> bool:
    """Tell whether the disk of a directory is full; one that nobody can ask is not."""
    try:
        return free(directory) < SCARCE
    except OSError:
        return False


def create(path: Path) -> None:
    """Make file and directory where missing: private from their first moment on, and durable. Raises: OSError."""
    make_directory(path.parent, 0o700)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        synced(path.parent)
    else:
        close_to_others(path)


def make_directory(path: Path, mode: int) -> None:
    """Make a directory with all above it that is missing; after a power cut it is there. Raises: OSError."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for folder in missing:
        synced(folder.parent)


def close_to_others(path: Path) -> None:
    """Take from other users what they may do with a file, where it is ours. Raises: OSError."""
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def synced(directory: Path) -> None:
    """Make the names in a directory durable. Raises: OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _known(error: sqlite3.DatabaseError) -> tuple[type[JournalError], str] | None:
    code = getattr(error, "sqlite_errorcode", None)  # absent where Python itself refuses
    if code is None:
        return None
    return (JournalCorrupt, RESTORE) if code in UNREADABLE else REMEDIES.get(code & 0xFF)
