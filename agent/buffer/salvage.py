"""Reads what can still be read of a damaged ledger: around pages that are gone, from both sides, and by known keys.

Facts have numbers, so the first one behind a damaged place is found by halving. The other tables are small; they are
read from both ends, and then asked for every key that the facts tell of.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from agent.buffer.codec import load, load_fact
from agent.buffer.second import Row, Table
from agent.buffer.slices import KINDS
from agent.core.errors import JournalCorrupt

Cursor: TypeAlias = Iterator[tuple[Any, ...]]

BROKEN: Final = (sqlite3.Error, UnicodeError)
"""What reading a damaged file raises; the second where the name of a table is no text."""
FARTHEST: Final = 2**40
"""No fact has a greater number."""


def rows(connection: sqlite3.Connection, table: Table, gaps: set[str]) -> Iterator[Row]:
    """Yield the rows of a table that can be read, some perhaps twice; a table with unreadable places joins ``gaps``."""
    yield from (_numbered if table.is_numbered else _keyed)(connection, table, gaps)


def _numbered(connection: sqlite3.Connection, table: Table, gaps: set[str]) -> Iterator[Row]:
    """Yield rows around what cannot be read."""
    (key,) = table.key
    last = failed = -1
    while True:
        try:
            for values in connection.execute(f"SELECT * FROM {table.name} WHERE {key} > ? ORDER BY {key}", (last,)):  # noqa: S608  # of the schema
                row = dict(zip(table.columns, values, strict=True))
                last = row[key]
                yield row
        except BROKEN:
            gaps.add(table.name)
            begin = max(last, failed) + 1
            following = _first_readable(connection, table, begin)
            if following is None:
                return
            last, failed = following - 1, following  # where it fails again, that row is the one
        else:
            return


def _keyed(connection: sqlite3.Connection, table: Table, gaps: set[str]) -> Iterator[Row]:
    """Yield rows from both ends, up to what cannot be read."""
    forward = ", ".join(table.key)
    backward = ", ".join(f"{column} DESC" for column in table.key)
    for order in (forward, backward):
        try:
            for values in connection.execute(f"SELECT * FROM {table.name} ORDER BY {order}"):  # noqa: S608  # of the schema
                yield dict(zip(table.columns, values, strict=True))
        except BROKEN:
            gaps.add(table.name)
        else:
            return


def looked_up(connection: sqlite3.Connection, table: Table, key: Sequence[object]) -> Iterator[Row]:
    """Yield the rows whose key is, or begins with, what is known of it."""
    where = " AND ".join(f"{column} = ?" for column in table.key[: len(key)])
    try:
        for values in connection.execute(f"SELECT * FROM {table.name} WHERE {where}", key):  # noqa: S608  # of the schema
            yield dict(zip(table.columns, values, strict=True))
    except BROKEN:
        return


def is_sound(table: str, row: Row) -> bool:
    """Tell whether a row of a ledger can be read by this release; a table without a rule is taken as it is."""
    check = CHECKS.get(table)
    try:
        return check is None or check(row)
    except (JournalCorrupt, ValueError, KeyError, TypeError, RecursionError):
        return False


def _first_readable(connection: sqlite3.Connection, table: Table, begin: int) -> int | None:
    """Return the number of the first row at or behind ``begin`` that can be read; None where nothing follows."""
    good, step = None, 1
    while good is None and step < FARTHEST:
        reached, number = _probe(connection, table, begin + step)
        if reached and number is None:
            return _between(connection, table, begin + step // 2, begin + step)
        good = number
        step *= 2
    if good is None:
        return None
    return _between(connection, table, begin + step // 4, begin + step // 2) or good


def _between(connection: sqlite3.Connection, table: Table, bad: int, good: int) -> int | None:
    """Halve the way between a place that cannot be read and one that can; return the row found there."""
    while good - bad > 1:
        middle = (bad + good) // 2
        reached, _ = _probe(connection, table, middle)
        bad, good = (bad, middle) if reached else (middle, good)
    return _probe(connection, table, good)[1]


def _probe(connection: sqlite3.Connection, table: Table, begin: int) -> tuple[bool, int | None]:
    """Tell whether the place can be read, and which row comes first there."""
    (key,) = table.key
    sql = f"SELECT * FROM {table.name} WHERE {key} >= ? ORDER BY {key} LIMIT 1"  # noqa: S608  # of the schema
    try:
        row = connection.execute(sql, (begin,)).fetchone()
    except BROKEN:
        return False, None
    return True, None if row is None else int(row[table.columns.index(key)])


def _fact(row: Row) -> bool:
    load_fact(row["kind"], row["schema"], row["json"])
    return True


def _slice(row: Row) -> bool:
    load(KINDS[row["kind"]], row["schema"], row["json"])
    return True


CHECKS: Final[dict[str, Callable[[Row], bool]]] = {"fact": _fact, "slice": _slice}
