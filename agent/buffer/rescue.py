"""What a start does with a ledger that is damaged (ADR 18).

It is set aside, and all that can be read of it and of its second copy becomes the ledger that the agent goes on with.
A row of which both know is taken from the one that is newer; what was confirmed, ended or settled in either stays so.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from agent.buffer import pages, salvage, swap
from agent.buffer.examine import cleared, examine, reading
from agent.buffer.file import LEDGER, explained
from agent.buffer.mend import Mended, mend
from agent.buffer.migrate import migrate, packaged
from agent.buffer.private_file import put_private
from agent.buffer.second import COPY, OUTSIDE, Line, Row, Table, read_copy, read_header, read_upto, tables
from agent.buffer.slices import KINDS
from agent.buffer.upsert import upsert
from agent.core.errors import JournalCorrupt

CORRUPT: Final = "corrupt"
NOTE: Final = ".json"
"""Ending of the file beside a ledger that was set aside, with what became of it; the note stays as long as the file."""

#: Of a file that is thrown away where it does not become whole.
FAST: Final = (
    "PRAGMA journal_mode=MEMORY",
    "PRAGMA synchronous=OFF",
    "PRAGMA foreign_keys=OFF",
    "PRAGMA cache_size=-16384",
)
COUNT: Final = "SELECT count(*) FROM session"
HIGHEST: Final = "SELECT coalesce(max(seq), 0) FROM fact"
PROGRESS: Final = "SELECT key, json FROM slice WHERE kind = 'session'"
PUT_SLICE: Final = "INSERT OR REPLACE INTO slice (kind, key, schema, json) VALUES (:kind, :key, :schema, :json)"
LASTING: Final = frozenset({"fact", "session", "delivery", "outbox", "boot", "record", "signed_reading"})
"""Tables in which a value that is there never becomes another one: the copy's was checked by its sum, and counts."""
PULSE: Final = 5_000
"""After so many rows it is said that work goes on."""


@dataclass(frozen=True, slots=True)
class Rescue:
    """What became of a damaged ledger.

    aside: its files under their new names; sessions: in the new one; copied: lines of the second copy that were read;
    unreadable: lines of it that were not.
    """

    cause: str
    at: datetime
    aside: tuple[Path, ...] = ()
    sessions: int = 0
    copied: int = 0
    unreadable: int = 0
    gaps: tuple[str, ...] = ()
    mended: Mended = Mended()

    def words(self) -> str:
        """Return one line for the log and the status."""
        sources = "the damaged file and its second copy" if self.copied else "what could be read of the damaged file"
        parts = [f"the ledger was damaged ({self.cause}) and made anew from {sources}: {self.sessions} sessions"]
        if self.mended.lost:
            names = ", ".join(self.mended.lost[:5])
            parts.append(f"{len(self.mended.lost)} sessions cannot be read any more ({names})")
        if self.mended.closed:
            parts.append(f"{len(self.mended.closed)} were closed on their last known reading")
        if self.mended.doubtful:
            parts.append(f"of {self.mended.doubtful} messages it is not known whether they were delivered")
        if self.mended == Mended() and not self.unreadable and (self.copied or not self.gaps):
            parts.append("none was lost")
        elif not self.copied and self.gaps:
            parts.append("what lay in places that cannot be read is missing")
        kept = ", ".join(path.name for path in self.aside)
        advice = f"what was there is kept as {kept}: check the disk or SD card, then remove that" if kept else self.note
        return f"{'; '.join(parts)}; {advice}"

    @property
    def note(self) -> str:
        """Return what to do where nothing was there to be kept."""
        return f"remove ledger.{CORRUPT}-{_stamp(self.at)}{NOTE} once you have read this"


@dataclass(slots=True)
class _Build:
    """A new ledger in the making."""

    connection: sqlite3.Connection
    by_name: Mapping[str, Table]
    alive: Callable[[], object]
    gaps: set[str] = field(default_factory=set)
    copied: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True)
class Secured:
    """A ledger that can be gone on with.

    rescue: what became of a damaged one, None where it was sound; unchecked: it still has to be read through.
    """

    rescue: Rescue | None = None
    unchecked: bool = False


def secure(
    state_dir: Path, destinations: tuple[str, ...], now: datetime, *, alive: Callable[[], object] = lambda: None
) -> Secured:
    """See that a state directory has a ledger that can be gone on with, before it is opened; nobody else may write.

    Nothing is changed where there is no damage. destinations: lanes of sessions of which none is known; alive: called
    now and then while a ledger is made anew, which takes minutes for gigabytes.
    Raises: JournalCorrupt (of a newer release), JournalFull (also without room to make it anew), JournalError.
    """
    path = state_dir / LEDGER
    with explained(path):
        swap.finished(state_dir)
        found = examine(state_dir) if state_dir.exists() else None
        if found is None or found.damage is None:
            cleared(state_dir)
            return Secured(unchecked=found is not None and found.unchecked)
        try:
            rescue = _made_anew(state_dir, destinations, Damage(found.damage, now, alive))
        except BaseException:
            swap.abandoned(state_dir)
            raise
        cleared(state_dir)
    return Secured(rescue)


def noted(state_dir: Path) -> tuple[str, ...]:
    """Return what is still to be told of ledgers that were damaged: until what was set aside is removed."""
    told = []
    for note in sorted(state_dir.glob(f"ledger.{CORRUPT}-*{NOTE}")):
        try:
            document = json.loads(note.read_text(encoding="utf-8"))
            files, words = [state_dir / str(name) for name in document["files"]], str(document["words"])
        except (OSError, ValueError, KeyError, TypeError):
            files, words = [], f"the ledger was damaged once: see {note}"
        if not files or any(file.exists() for file in files):
            told.append(words)
    return tuple(told)


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong, when it was found, and who wants to hear that it is being worked on."""

    cause: str
    now: datetime
    alive: Callable[[], object]


def _made_anew(state_dir: Path, destinations: tuple[str, ...], damage: Damage) -> Rescue:
    path = swap.begun(state_dir)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in FAST:
            connection.execute(setting)
        build = _filled(connection, state_dir, damage.alive)
        migrate(connection)
        mended = mend(connection, destinations, damage.now)
        _proven(connection)
        ((sessions,),) = connection.execute(COUNT)
    aside = swap.stamped(CORRUPT, _stamp(damage.now), state_dir)
    kept = tuple(state_dir / (aside + suffix) for suffix in swap.kept(state_dir))
    gaps = tuple(sorted(build.gaps))
    rescue = Rescue(damage.cause, damage.now, kept, sessions, build.copied, build.unreadable, gaps, mended)
    put_private(state_dir / (aside + NOTE), _document(rescue))
    swap.taken(state_dir, aside)
    return rescue


def _filled(connection: sqlite3.Connection, state_dir: Path, alive: Callable[[], object]) -> _Build:
    """Make the tables of the damaged ledger's version, and put in them what both sources have."""
    path, copy = state_dir / LEDGER, state_dir / COPY
    header = read_header(copy)
    version = _version_of(path) or (header.version if header is not None else len(packaged()))
    migrate(connection, packaged()[:version])
    build = _Build(connection, {table.name: table for table in tables(connection)}, alive)
    connection.execute("BEGIN")
    _salvaged(build, path)
    if header is not None:
        ((newest,),) = connection.execute(HIGHEST)
        _copied(build, copy, newest)
    connection.execute("COMMIT")
    return build


def _version_of(path: Path) -> int | None:
    """Return the version of a damaged ledger's schema, None where nobody can tell."""
    try:
        with reading(path) as connection:
            ((version,),) = connection.execute("PRAGMA user_version")
    except salvage.BROKEN:
        return None
    return int(version) if 0 < version <= len(packaged()) else None


def _salvaged(build: _Build, path: Path) -> None:
    """Put in what can be read of the damaged file."""
    if not path.exists():
        return
    try:
        with reading(path) as damaged:
            damaged.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            for table in build.by_name.values():
                _put(build, table, salvage.rows(damaged, table, build.gaps))
            if build.gaps:
                _put(build, build.by_name["fact"], pages.facts(path))
                for name, key in _known(build):
                    _put(build, build.by_name[name], salvage.looked_up(damaged, build.by_name[name], key))
    except salvage.BROKEN:  # it cannot even be opened
        build.gaps.update(build.by_name)
        _put(build, build.by_name["fact"], pages.facts(path))


def _known(build: _Build) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield the keys that the facts tell of, for the tables that have gaps."""
    facts = build.connection.execute("SELECT seq, session FROM fact WHERE kind <> 'session-sampled'").fetchall()
    lanes = [name for (name,) in build.connection.execute("SELECT DISTINCT destination FROM delivery").fetchall()]
    sessions = {session for _, session in facts if session is not None}
    keys: Mapping[str, Iterable[tuple[object, ...]]] = {
        "slice": ((kind,) for kind in KINDS),
        "session": ((session,) for session in sessions),
        "delivery": ((session,) for session in sessions),
        "outbox": ((lane, seq) for lane in lanes for seq, _ in facts),
    }
    for name, known in keys.items():
        if name in build.gaps:
            yield from ((name, key) for key in known)


def _put(build: _Build, table: Table, rows: Iterable[Row]) -> None:
    columns = ", ".join(table.columns)
    places = ", ".join(f":{column}" for column in table.columns)
    sql = f"INSERT OR IGNORE INTO {table.name} ({columns}) VALUES ({places})"  # noqa: S608  # of the schema
    for number, row in enumerate(rows):
        if number % PULSE == 0:
            build.alive()
        if salvage.is_sound(table.name, row):
            _execute(build.connection, sql, row)


def _copied(build: _Build, copy: Path, newest: int) -> None:
    """Put in the second copy's rows; newest: number of the newest fact that the damaged file still has."""
    is_newer = read_upto(copy) >= newest
    statements = {name: upsert(table, is_newer=True) for name, table in build.by_name.items()}
    kept = frozenset() if is_newer else _changing(build)
    running: tuple[Row, ...] = ()
    for line in _lines(build, copy):
        for name, row in line.rows:
            table = build.by_name.get(name)
            if table is not None and (name, _key(table, row)) not in kept and salvage.is_sound(name, row):
                _execute(build.connection, statements[name], row)
        for name, key in line.gone:
            if (name, key) not in kept:
                _remove(build, name, key)
        running = running if line.running is None else line.running
    _progress(build.connection, running, is_newer=is_newer)


def _changing(build: _Build) -> frozenset[tuple[str, tuple[Any, ...]]]:
    """Return the keys of rows that the damaged file still has, in tables where a newer word replaces an older one."""
    found: set[tuple[str, tuple[Any, ...]]] = set()
    for table in build.by_name.values():
        if table.name not in LASTING:
            keys = build.connection.execute(f"SELECT {', '.join(table.key)} FROM {table.name}")  # noqa: S608  # of the schema
            found.update((table.name, tuple(key)) for key in keys)
    return frozenset(found)


def _key(table: Table, row: Row) -> tuple[Any, ...]:
    return tuple(row.get(column) for column in table.key)


def _lines(build: _Build, copy: Path) -> Iterator[Line]:
    for line in read_copy(copy):
        if line is None:
            build.unreadable += 1
        else:
            build.copied += 1
            yield line


def _remove(build: _Build, name: str, key: tuple[Any, ...]) -> None:
    """Take out a row that the second copy knows to be gone."""
    table = build.by_name.get(name)
    if table is None or name in {"fact", "session", *OUTSIDE}:
        return
    where = " AND ".join(f"{column} = ?" for column in table.key)
    build.connection.execute(f"DELETE FROM {name} WHERE {where}", key)  # noqa: S608  # of the schema


def _progress(connection: sqlite3.Connection, running: tuple[Row, ...], *, is_newer: bool) -> None:
    """Put in how far running sessions were, where the damaged file does not tell it of the same session."""
    known = {key: json.loads(text)["id"] for key, text in connection.execute(PROGRESS)}
    for row in running:
        if not salvage.is_sound("slice", row):
            continue
        name = json.loads(row["json"])["id"]
        if row["key"] not in known or (is_newer and known[row["key"]] != name):
            connection.execute(PUT_SLICE, row)


def _execute(connection: sqlite3.Connection, sql: str, row: Row) -> None:
    """Put in a row, unless its values are none that the table takes."""
    try:
        connection.execute(sql, row)
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, UnicodeEncodeError, OverflowError):
        return


def _proven(connection: sqlite3.Connection) -> None:
    """Raise JournalCorrupt where what was made is no sound ledger; then the damaged one stays where it is."""
    ((words,),) = connection.execute("PRAGMA quick_check(1)").fetchall()[:1]
    orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
    if words != "ok" or orphan is not None:
        raise JournalCorrupt(f"the ledger is damaged and could not be made anew ({words}, {orphan}): restore a backup")


def _document(rescue: Rescue) -> bytes:
    document = {
        "at": _stamp(rescue.at),
        "cause": rescue.cause,
        "words": rescue.words(),
        "files": [path.name for path in rescue.aside],
        "sessions": rescue.sessions,
        "lost": rescue.mended.lost,
        "closed": rescue.mended.closed,
        "doubtful": rescue.mended.doubtful,
        "tables_with_gaps": rescue.gaps,
        "lines_of_the_second_copy": {"read": rescue.copied, "unreadable": rescue.unreadable},
    }
    return (json.dumps(document, indent=2) + "\n").encode()


def _stamp(now: datetime) -> str:
    return now.strftime("%Y%m%dT%H%M%SZ")
