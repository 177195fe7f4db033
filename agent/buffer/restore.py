"""Puts a backup into a state directory that no daemon uses; what the present ledger knows is never overwritten.

The new ledger is made beside the present one, proven, and takes its place as a whole; until then nothing is touched.
"""

from __future__ import annotations

import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from agent.buffer import merge, swap
from agent.buffer.backup import FILES, BackupRefused, Manifest, opened, read_manifest, stamp
from agent.buffer.examine import examine, reading
from agent.buffer.file import LEDGER, explained
from agent.buffer.head import HEAD, write_head
from agent.buffer.mend import mend
from agent.buffer.migrate import migrate
from agent.buffer.private_file import put_private
from agent.buffer.records import Link
from agent.buffer.signing import KEY
from agent.core.errors import JournalError

REPLACED: Final = "replaced"
"""Stands in the names of the files that a restore sets aside."""

COUNT: Final = "SELECT count(*) FROM session"
CHAIN: Final = "SELECT number, hash FROM chain"
STILL: Final = "DELETE FROM slice WHERE kind = 'session'"
QUICK: Final = ("PRAGMA journal_mode=MEMORY", "PRAGMA synchronous=OFF", "PRAGMA foreign_keys=OFF")


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to.

    restored: sessions that the station did not have; kept: those that the backup does not have; total: all there are
    now; files: other files that were put back; aside: what was replaced, under its new name.
    """

    restored: int
    kept: int
    total: int
    files: tuple[str, ...] = ()
    aside: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Task:
    """A restore under way; ours: the present ledger, None where there is none yet; found: the backup's, unpacked."""

    state_dir: Path
    destinations: tuple[str, ...]
    now: datetime
    ours: Path | None
    found: Path


@dataclass(frozen=True, slots=True)
class _Sum:
    """How many sessions came from where; is_changed: there is a new ledger; goes_on: it is the backup that goes on."""

    restored: int
    kept: int
    total: int
    is_changed: bool
    goes_on: bool


def restore(path: Path, state_dir: Path, *, destinations: tuple[str, ...], now: datetime) -> Restored:
    """Put back a backup, beside all that the station has of its own.

    A session that ran when the backup was made, and does not run here, is closed on its last reading in it: what the
    meter has counted since may be somebody else's.

    The caller has compared the station, and sees to it that no daemon runs. destinations: lanes of sessions of which
    none is known. Raises: BackupRefused, JournalError, OSError; then nothing was touched.
    """
    manifest = read_manifest(path)
    with explained(state_dir / LEDGER):
        ours = _present(state_dir)
        swap.begun(state_dir)
        try:
            with TemporaryDirectory(dir=state_dir, prefix=".restoring-") as folder:
                task = _Task(state_dir, destinations, now, ours, Path(folder) / LEDGER)
                files = _unpacked(path, manifest, task.found)
                made = _made(task)
                put_back = tuple(_put_back(task, files, replace_key=made.goes_on))
            aside = _taken(task, made)
        finally:
            swap.abandoned(state_dir)
    return Restored(made.restored, made.kept, made.total, put_back, aside)


def _present(state_dir: Path) -> Path | None:
    """Return the ledger that is there, None without one; refuse one that is damaged."""
    swap.finished(state_dir)
    found = examine(state_dir)
    if found.damage is not None:
        words = f"the present ledger is damaged ({found.damage}): start the service once, which saves what can be read"
        raise BackupRefused(f"{words}, stop it, and restore then")
    return None if found.is_new else state_dir / LEDGER


def _unpacked(path: Path, manifest: Manifest, ledger: Path) -> Mapping[str, bytes]:
    """Unpack a backup, prove its ledger, and return its other files."""
    try:
        with opened(path) as archive:
            with archive.open(LEDGER) as packed, ledger.open("wb") as file:
                shutil.copyfileobj(packed, file, 1024 * 1024)
            files = {name: archive.read(FILES + name) for name in manifest.files if "/" not in name}
        with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
            words = _words(connection)
            if words != "ok":
                raise BackupRefused(f"the ledger in {path} is damaged ({words}): use another backup")
            migrate(connection)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, sqlite3.DatabaseError) as error:
        raise BackupRefused(f"{path} is damaged ({error}): use another backup") from error
    return files


def _made(task: _Task) -> _Sum:
    """Make the ledger that is to take the present one's place."""
    new = task.state_dir / swap.TAKING
    if task.ours is None:
        _snapshot(task.found, new)
        with _open(new) as connection:
            connection.execute(STILL)
            total = _finished(task, connection)
        return _Sum(total, 0, total, is_changed=True, goes_on=True)
    current = task.found.with_name("present")
    _snapshot(task.ours, current)
    with _open(current) as connection:
        migrate(connection)
    with _open(task.found, current) as connection:
        seen = merge.compared(connection)
    goes_on = seen.of_base > 0 or seen.common + seen.of_other == 0
    _snapshot(task.found if goes_on else current, new)
    with _open(new, current if goes_on else task.found) as connection:
        if goes_on:
            connection.execute(STILL)
        is_changed = merge.merge(connection, other_is_newer=goes_on) or goes_on
        connection.execute("DETACH other")
        total = _finished(task, connection)
    return _Sum(seen.of_base, seen.of_other, total, is_changed, goes_on)


@contextmanager
def _open(path: Path, other: Path | None = None) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in QUICK:
            connection.execute(setting)
        if other is not None:
            connection.execute("ATTACH ? AS other", (str(other),))
        yield connection


def _finished(task: _Task, connection: sqlite3.Connection) -> int:
    """Put right and prove a ledger, and return the number of its sessions."""
    mend(connection, task.destinations, task.now)
    words, orphan = _words(connection), connection.execute("PRAGMA foreign_key_check").fetchone()
    if words != "ok" or orphan is not None:
        raise JournalError(f"the two ledgers do not fit together ({words}, {orphan}): nothing was changed")
    ((total,),) = connection.execute(COUNT)
    return int(total)


def _words(connection: sqlite3.Connection) -> str:
    ((words,),) = connection.execute("PRAGMA quick_check(1)").fetchall()[:1]
    return str(words)


def _snapshot(source: Path, target: Path) -> None:
    with reading(source) as ledger, closing(sqlite3.connect(target, isolation_level=None)) as copy:
        ledger.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file
    target.chmod(0o600)


def _put_back(task: _Task, files: Mapping[str, bytes], *, replace_key: bool) -> Iterator[str]:
    """Put back files that are missing; the signing key also in place of another one, where its chain goes on."""
    for name, content in files.items():
        path = task.state_dir / name
        if path.exists() and (name != KEY or not replace_key or path.read_bytes() == content):
            continue
        if path.exists():
            path.rename(path.with_name(f"{name}.{REPLACED}-{stamp(task.now)}"))
        put_private(path, content)
        yield name


def _taken(task: _Task, made: _Sum) -> tuple[Path, ...]:
    if not made.is_changed:
        return ()
    aside = swap.taken(task.state_dir, swap.stamped(REPLACED, stamp(task.now), task.state_dir))
    if made.goes_on:
        _head(task.state_dir)
    return aside


def _head(state_dir: Path) -> None:
    """Have the note of the chain's end say what the ledger says, which is gone on with."""
    with reading(state_dir / LEDGER) as connection:
        row = connection.execute(CHAIN).fetchone()
    if row is None:
        (state_dir / HEAD).unlink(missing_ok=True)
    else:
        write_head(state_dir, Link(int(row[0]), str(row[1])))
