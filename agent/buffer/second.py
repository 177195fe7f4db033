"""The second copy: an append-only file beside the ledger that follows its commits, for the day the ledger is damaged.

It has every row that a session, its reports, the cards and the settings need; readings have none in it. One line a
commit: CRC-32 of the rest, a space, JSON. A line that does not fit its sum is skipped, and costs no other one. The last
word on a row counts. What begins, ends or is set is synced before the commit counts as done; what central systems
answered is not: after a power cut that also damages the ledger a message may go once more, as it went.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from errno import ENOSPC
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeAlias
from zlib import crc32

from agent.buffer.codec import SAMPLES
from agent.buffer.file import synced

COPY: Final = "ledger.copy"
"""Name of the file in the state directory."""

FORMAT: Final = 1
TAIL: Final = 64 * 1024
"""So many bytes at the end are looked at when the ledger is opened, and are not written again."""
GROWN: Final = 3
SLACK: Final = 4 * 1024 * 1024
"""A copy that grew to so many times its first size, and by so much, is written anew."""
LAST: Final = 4
"""Sessions whose rows may have missed the copy at the end of a process: two connectors, begun and ended."""
LAST_RECORDS: Final = 10
"""As many evidence records as one commit adds."""

Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[Any, ...]

TABLES: Final = "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
COLUMN: Final = "SELECT name, type, pk FROM pragma_table_info(?)"
OUTSIDE: Final = frozenset({"run"})
"""Tables that a ledger can do without."""

DETAIL: Final = f"({{0}}.kind IN {SAMPLES} AND NOT coalesce(json_extract({{0}}.json, '$.anew'), 0))"
#: table -> which of its rows are copied; all of those that are not listed. ``{0}``: the row.
ROWS: Final = {
    "fact": f"NOT {DETAIL}",
    "outbox": f"(SELECT kind FROM main.fact WHERE seq = {{0}}.fact) NOT IN {SAMPLES}",  # noqa: S608  # a constant of the codec
    "slice": "{0}.kind NOT IN ('session', 'cache')",
}
#: table -> the columns whose change is worth a line; all of those that are not listed.
COLUMNS: Final = {"outbox": " OF state, text", "boot": " OF anchor_mono"}
#: Tables whose rows can be had again: by sending, or from the clock.
LATER: Final = frozenset({"outbox", "delivery", "boot"})
SLICE: Final = ("kind", "key", "schema", "json")
RUNNING: Final = "SELECT kind, key, schema, json FROM main.slice WHERE kind = 'session' ORDER BY key"
HIGHEST: Final = "SELECT coalesce(max(seq), 0) FROM main.fact"

#: What an end of the process may have kept from the copy: rows of the last sessions, of open ones, the last evidence
#: records, and what is set.
RECENT: Final = f"""
WITH recent (id, start_fact, end_fact) AS (
    SELECT id, start_fact, end_fact FROM main.session WHERE end_fact IS NULL
    UNION SELECT * FROM (SELECT id, start_fact, end_fact FROM main.session ORDER BY start_fact DESC LIMIT {LAST})
)
SELECT 'fact', json_array(start_fact) FROM recent
UNION ALL SELECT 'fact', json_array(end_fact) FROM recent WHERE end_fact IS NOT NULL
UNION ALL SELECT 'session', json_array(id) FROM recent
UNION ALL SELECT 'delivery', json_array(session, destination) FROM main.delivery
    WHERE session IN (SELECT id FROM recent)
UNION ALL SELECT 'outbox', json_array(o.destination, o.fact) FROM main.outbox AS o
    JOIN recent AS r ON o.fact IN (r.start_fact, r.end_fact)
UNION ALL SELECT 'record', json_array(number) FROM (
    SELECT number FROM main.record ORDER BY number DESC LIMIT {LAST_RECORDS})
UNION ALL SELECT 'slice', json_array(kind, key) FROM main.slice AS s WHERE {ROWS["slice"].format("s")}
"""  # noqa: S608  # constants


@dataclass(frozen=True, slots=True)
class Line:
    """What one commit left: rows by table, keys of rows that are gone, and which sessions ran then.

    running: slices of sessions, None where they are as before; upto: number of the ledger's newest fact at that time.
    """

    upto: int
    rows: tuple[tuple[str, Row], ...] = ()
    gone: tuple[tuple[str, Key], ...] = ()
    running: tuple[Row, ...] | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a copy: version of the ledger's schema, and size in bytes when it was written as a whole."""

    version: int
    size: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the ledger: its columns, those of its primary key in their order, and whether that is a number."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    is_numbered: bool = False


@dataclass(slots=True)
class SecondCopy:
    """Follows a ledger from its thread; error: why the copy lags behind, None where it does not."""

    path: Path
    error: str | None = None
    _tables: dict[str, Table] = field(default_factory=dict)

    def attach(self, connection: sqlite3.Connection) -> None:
        """Begin to follow a ledger that is open and of the latest version; writes what the copy may lack of it.

        Raises: sqlite3.Error; a copy that cannot be written is ``error``, and tried again with the next commit.
        """
        self._tables = {table.name: table for table in tables(connection) if table.name not in OUTSIDE}
        for statement in _followers(self._tables.values()):
            connection.execute(statement)
        header = read_header(self.path)
        if header is None or header.version != _version(connection) or _overgrown(self.path, header.size):
            self._renew(connection)
            return
        connection.execute(f"INSERT OR IGNORE INTO temp.touched {RECENT}")
        self._append(connection, known=_tail_texts(self.path))

    def follow(self, connection: sqlite3.Connection) -> None:
        """Write what the last commit changed. Never raises: the commit has happened."""
        self._append(connection, known=frozenset())

    def _append(self, connection: sqlite3.Connection, known: frozenset[str]) -> None:
        try:
            touched = connection.execute("SELECT name, key FROM temp.touched ORDER BY rowid").fetchall()
            if not touched:
                return
            line = self._line(connection, touched, known)
            if line is not None:
                must_sync = any(name not in LATER for name, _ in touched)
                _write(self.path, line, must_sync=must_sync)
            connection.execute("DELETE FROM temp.touched")
        except FileNotFoundError:
            self._renew(connection)
        except (OSError, sqlite3.Error) as error:
            self.error = _refused(self.path, error)
        else:
            self.error = None

    def _line(
        self, connection: sqlite3.Connection, touched: Sequence[tuple[str, str]], known: frozenset[str]
    ) -> Line | None:
        rows: list[tuple[str, Row]] = []
        gone: list[tuple[str, Key]] = []
        for name, key in touched:
            row = _row(connection, self._tables[name], json.loads(key))
            if row is None:
                gone.append((name, tuple(json.loads(key))))
            elif _text([name, row]) not in known:
                rows.append((name, row))
        running = None
        if any(name == "session" for name, _ in touched):
            running = _running(connection)
        if not rows and not gone:
            return None
        ((upto,),) = connection.execute(HIGHEST)
        return Line(upto, tuple(rows), tuple(gone), running)

    def _renew(self, connection: sqlite3.Connection) -> None:
        try:
            write_anew(self.path, connection)
            connection.execute("DELETE FROM temp.touched")
        except (OSError, sqlite3.Error) as error:
            self.error = _refused(self.path, error)
        else:
            self.error = None


def write_anew(path: Path, connection: sqlite3.Connection) -> None:
    """Write the copy of a whole ledger, in place of one that exists; whole or not at all.

    Frames of confirmed messages are left out. Raises: OSError, sqlite3.Error.
    """
    new = path.with_name(f"{path.name}.new")
    try:
        version = _version(connection)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            size = file.write(_header(version, 0))
            size += sum(file.write(_encoded(line)) for line in _everything(connection))
            file.seek(0)
            file.write(_header(version, size))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        synced(path.parent)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def read_header(path: Path) -> Header | None:
    """Return the header of a copy; None where there is no copy that can be used."""
    try:
        with path.open("rb") as file:
            found = _opened(file.readline(TAIL))
    except OSError:
        return None
    if found is None or found.get("format") != FORMAT:
        return None
    return Header(int(found["version"]), int(found["size"]))


def read_copy(path: Path) -> Iterator[Line | None]:
    """Yield the lines of a copy in their order, None for one that cannot be read. Raises: OSError."""
    with path.open("rb") as file:
        for text in file:
            content = _opened(text)
            if content is None or "format" not in content:
                yield None if content is None else _line_of(content)


def read_upto(path: Path) -> int:
    """Return the number of the newest fact that a copy knows to have been committed, 0 where there is none."""
    try:
        found = [content for content in map(_opened, _tail(path)) if content and "upto" in content]
    except OSError:
        return 0
    return max((int(content["upto"]) for content in found), default=0)


def tables(connection: sqlite3.Connection) -> tuple[Table, ...]:
    """Return the tables of a ledger, those that others refer to first."""
    found = []
    for (name,) in connection.execute(TABLES).fetchall():
        columns = [tuple(row) for row in connection.execute(COLUMN, (name,))]
        key = [column for column, _, place in sorted(columns, key=itemgetter(2)) if place]
        kinds = {column: kind for column, kind, _ in columns}
        numbered = len(key) == 1 and kinds[key[0]] == "INTEGER"
        found.append(Table(name, tuple(column for column, _, _ in columns), tuple(key), numbered))
    return tuple(found)


def _followers(watched: Iterable[Table]) -> Iterator[str]:
    """Yield what makes the connection note the keys of changed rows, in a table of its own in memory."""
    yield "CREATE TEMP TABLE touched (name TEXT NOT NULL, key TEXT NOT NULL, UNIQUE (name, key))"
    for table in watched:
        condition = ROWS.get(table.name, "1")
        for verb, row in (("INSERT", "NEW"), (f"UPDATE{COLUMNS.get(table.name, '')}", "NEW"), ("DELETE", "OLD")):
            key = ", ".join(f"{row}.{column}" for column in table.key)
            noted = f"INSERT OR IGNORE INTO touched VALUES ('{table.name}', json_array({key}))"  # noqa: S608  # of the schema
            name = f"second_{table.name}_{verb[:6].lower()}"
            when = condition.format(row)
            yield f"CREATE TEMP TRIGGER {name} AFTER {verb} ON main.{table.name} WHEN {when} BEGIN {noted}; END"


def _everything(connection: sqlite3.Connection) -> Iterator[Line]:
    ((upto,),) = connection.execute(HIGHEST)
    for table in tables(connection):
        if table.name in OUTSIDE:
            continue
        condition = ROWS.get(table.name, "1").format("t")
        found = connection.execute(f"SELECT * FROM main.{table.name} AS t WHERE {condition}")  # noqa: S608  # of the schema
        while values := found.fetchmany(100):
            rows = [dict(zip(table.columns, row, strict=True)) for row in values]
            yield Line(upto, tuple((table.name, _spared(table, row)) for row in rows))
    yield Line(upto, running=_running(connection))


def _running(connection: sqlite3.Connection) -> tuple[Row, ...]:
    return tuple(dict(zip(SLICE, row, strict=True)) for row in connection.execute(RUNNING))


def _spared(table: Table, row: Row) -> Row:
    return {**row, "text": None} if table.name == "outbox" and row["state"] == "confirmed" else row


def _row(connection: sqlite3.Connection, table: Table, key: Sequence[Any]) -> Row | None:
    where = " AND ".join(f"{column} = ?" for column in table.key)
    found = connection.execute(f"SELECT * FROM main.{table.name} WHERE {where}", key).fetchone()  # noqa: S608  # of the schema
    return None if found is None else dict(zip(table.columns, found, strict=True))


def _write(path: Path, line: Line, *, must_sync: bool) -> None:
    """Append a line; one that was cut off by a full disk does not spoil the next. Raises: OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        encoded = _encoded(line)
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        content = b"\n" * torn + encoded
        written = 0
        try:
            written = os.write(descriptor, content)
        finally:
            if written < len(content):
                os.ftruncate(descriptor, size)
        if written < len(content):
            raise OSError(ENOSPC, os.strerror(ENOSPC))
        if must_sync:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _header(version: int, size: int) -> bytes:
    """Return the first line; as long for every size."""
    return _sealed({"format": FORMAT, "version": version, "size": f"{size:015d}"})


def _encoded(line: Line) -> bytes:
    content: dict[str, object] = {"upto": line.upto, "rows": line.rows, "gone": line.gone}
    if line.running is not None:
        content["running"] = line.running
    return _sealed(content)


def _sealed(content: object) -> bytes:
    text = _text(content).encode()
    return b"%08x %s\n" % (crc32(text), text)


def _opened(text: bytes) -> Row | None:
    """Return what a line holds, None where it does not fit its sum."""
    total, _, rest = text.rstrip(b"\n").partition(b" ")
    try:
        if int(total, 16) != crc32(rest):
            return None
        content = json.loads(rest)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _line_of(content: Row) -> Line:
    running = content.get("running")
    return Line(
        upto=int(content["upto"]),
        rows=tuple((str(name), _decoded(row)) for name, row in content["rows"]),
        gone=tuple((str(name), tuple(key)) for name, key in content["gone"]),
        running=None if running is None else tuple(running),
    )


def _text(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False, default=_blob)


def _blob(value: object) -> object:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    raise TypeError(type(value).__name__)


def _decoded(row: Row) -> Row:
    return {name: bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for name, v in row.items()}


def _tail(path: Path) -> list[bytes]:
    """Return the last lines of a file. Raises: OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - TAIL, 0))
        lines = file.read().split(b"\n")
    return lines if size <= TAIL else lines[1:]


def _tail_texts(path: Path) -> frozenset[str]:
    """Return the rows in the last lines of a copy, as text; of several words on one row the last."""
    last: dict[str, str] = {}
    try:
        for content in map(_opened, _tail(path)):
            for name, row in (content or {}).get("rows", ()):
                last[_text([name, *_identity(name, row)])] = _text([name, row])
            for name, key in (content or {}).get("gone", ()):
                last.pop(_text([name, *key]), None)
    except OSError:
        return frozenset()
    return frozenset(last.values())


def _identity(name: str, row: Row) -> Iterator[object]:
    keys = {
        "fact": ("seq",),
        "session": ("id",),
        "delivery": ("session", "destination"),
        "outbox": ("destination", "fact"),
        "slice": ("kind", "key"),
        "boot": ("number",),
        "record": ("number",),
    }
    return (row[column] for column in keys.get(name, ()))


def _refused(path: Path, error: Exception) -> str:
    return f"the second copy {path} cannot be written ({error}): check its disk and its owner"


def _overgrown(path: Path, first: int) -> bool:
    return path.stat().st_size > GROWN * first + SLACK


def _version(connection: sqlite3.Connection) -> int:
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version)
