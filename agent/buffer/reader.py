"""The ledger, open for reading: with or without a daemon that writes it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from agent.buffer.file import LEDGER, explained
from agent.buffer.migrate import packaged, refuse_newer
from agent.core.errors import JournalError

BUSY_S: Final = 5.0
UNWRITABLE: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}
)
"""What SQLite says where it cannot make its files beside the ledger."""


class LedgerMissing(JournalError):
    """There is no ledger yet: the daemon has never run on this state directory."""


@contextmanager
def open_reader(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger of a state directory; all that is read in the context is of one moment, the last commit's.

    Nothing is ever changed, and a daemon never waits for a reader. What only the write-ahead log has counts too.
    Raises: LedgerMissing, JournalCorrupt (damaged, or of a newer release), JournalFull, JournalError.
    """
    path = state_dir / LEDGER
    with explained(path):
        connection = _open(path)
    with closing(connection):
        connection.row_factory = sqlite3.Row
        with explained(path):
            connection.execute("BEGIN")
            _check(connection, state_dir)
        yield connection


def _open(path: Path) -> sqlite3.Connection:
    try:
        if not path.exists():
            raise LedgerMissing(f"there is no ledger in {path.parent} yet: start the service once")
        path.open("rb").close()
    except PermissionError as error:
        raise JournalError(f"the ledger {path} may not be read by this user: run the command with sudo") from error
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in UNWRITABLE or _in_use(path):
            raise
        return _connect(path, "mode=ro&immutable=1")  # a disk that is read-only or full, and nobody writes to the file


def _connect(path: Path, options: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{options}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _in_use(path: Path) -> bool:
    """Tell whether somebody may have the file open, or its write-ahead log something that the file lacks."""
    log, index = (path.with_name(f"{path.name}-{name}") for name in ("wal", "shm"))
    return index.exists() or (log.exists() and log.stat().st_size > 0)


def _check(connection: sqlite3.Connection, state_dir: Path) -> None:
    ((version,),) = connection.execute("PRAGMA user_version")
    latest = len(packaged())
    refuse_newer(version, latest)
    if version == 0:
        raise LedgerMissing(f"there is no ledger in {state_dir} yet: start the service once")
    if version < latest:
        raise JournalError(f"the ledger in {state_dir} is of an older release: start the service once to upgrade it")
