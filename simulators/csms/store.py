"""What a central system remembers, in SQLite: a table per kind of thing, a row for each, a column per field."""

from __future__ import annotations

import json
import sqlite3
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from simulators.csms.state import State, decode, encode
from simulators.errors import Misuse

#: Of the tables; a file of a newer one is refused, columns that are missing are added.
VERSION: Final = 1
Key: TypeAlias = str | int
Row: TypeAlias = tuple[Any, ...]


class Store:
    """A database file, held alone until it is left. path None: a temporary one.

    Only rows that changed are written: all those of a ``save``, or none. Raises Misuse: no such database, one in use.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = "the temporary database" if path is None else str(path)
        self._written: dict[str, dict[Key, Row]] = {}
        try:
            if path is not None:
                path.touch(mode=0o600)  # it holds account numbers and cards
            self._base = sqlite3.connect("" if path is None else path, isolation_level=None, timeout=1)
        except (OSError, sqlite3.Error) as error:
            raise Misuse(f"{self._name} cannot be opened: {error}") from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._base.close()
            raise Misuse(f"{self._name}: {error}; another simulator has it, or it is no database of one") from None
        except Misuse:
            self._base.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base.close()

    def _prepare(self) -> None:
        run = self._base.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("BEGIN EXCLUSIVE")
        (version,) = run("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise Misuse(f"{self._name} was written by a newer release (version {version}, here {VERSION})")
        run("CREATE TABLE IF NOT EXISTS single (key TEXT PRIMARY KEY, value TEXT)")
        for table, columns in TABLES.items():
            run(f'CREATE TABLE IF NOT EXISTS "{table}" (key PRIMARY KEY, {_quoted(columns)})')
            present = {row[1] for row in run(f'PRAGMA table_info("{table}")')}
            for name in columns.keys() - present:
                run(f'ALTER TABLE "{table}" ADD COLUMN "{name}"')
        run(f"PRAGMA user_version = {VERSION}")
        run("COMMIT")

    def load(self) -> State:
        """Return what was saved last; an empty state where nothing was."""
        content: dict[str, Any] = {
            str(key): json.loads(value) for key, value in self._base.execute("SELECT key, value FROM single")
        }
        for table, columns in TABLES.items():
            command = f'SELECT key, {_quoted(columns)} FROM "{table}" ORDER BY rowid'  # noqa: S608 - names of ours
            entries = {key: dict(_read(columns, row)) for key, *row in self._base.execute(command)}
            content[table] = [entries[key] for key in sorted(entries)] if table in LISTS else entries
        state = decode(State, content)
        self._written = {table: _rows(state, table) for table in TABLES}
        return state

    def save(self, state: State) -> None:
        """Write what changed since the last time. Raises Misuse where the disk refuses it."""
        rows = {table: _rows(state, table) for table in TABLES}
        try:
            self._base.execute("BEGIN IMMEDIATE")
            for name in SINGLE:
                value = json.dumps(encode(getattr(state, name)))
                self._base.execute("INSERT OR REPLACE INTO single VALUES (?, ?)", (name, value))
            for table in TABLES:
                self._change(table, self._written.get(table, {}), rows[table])
            self._base.execute("COMMIT")
        except sqlite3.Error as error:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise Misuse(f"{self._name} cannot be written: {error}") from None
        self._written = rows

    def _change(self, table: str, old: Mapping[Key, Row], new: Mapping[Key, Row]) -> None:
        gone = [(key,) for key in old.keys() - new.keys()]
        self._base.executemany(f'DELETE FROM "{table}" WHERE key = ?', gone)  # noqa: S608 - names of ours
        columns = TABLES[table]
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns)
        marks = ", ".join("?" * (1 + len(columns)))
        self._base.executemany(
            f'INSERT INTO "{table}" (key, {_quoted(columns)}) VALUES ({marks}) '  # noqa: S608 - as above
            f"ON CONFLICT (key) DO UPDATE SET {changes}",
            [(key, *row) for key, row in new.items() if old.get(key) != row],
        )


def _kinds() -> Iterator[tuple[str, type]]:
    """Yield the fields of State that are collections, with what they hold."""
    for name, hint in typing.get_type_hints(State).items():
        held = (typing.get_args(hint) or (None,))[-1]
        if isinstance(held, type) and is_dataclass(held):
            yield name, held


def _columns(kind: type) -> dict[str, bool]:
    """Return the columns of a kind, and which of them hold JSON."""
    hints = typing.get_type_hints(kind)
    return {entry.name: _is_composite(hints[entry.name]) for entry in fields(kind)}


def _is_composite(hint: Any) -> bool:  # noqa: ANN401 - a type
    if typing.get_origin(hint) is types.UnionType:
        return any(map(_is_composite, typing.get_args(hint)))
    return typing.get_origin(hint) in {dict, list}


#: Table -> its columns beside the key, and whether they hold JSON.
TABLES: Final[Mapping[str, Mapping[str, bool]]] = {name: _columns(kind) for name, kind in _kinds()}
#: Tables whose key is the place in a list.
LISTS: Final = frozenset(
    name for name, hint in typing.get_type_hints(State).items() if name in TABLES and typing.get_origin(hint) is list
)
#: What there is one of.
SINGLE: Final = tuple(entry.name for entry in fields(State) if entry.name not in TABLES)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _rows(state: State, table: str) -> dict[Key, Row]:
    held = getattr(state, table)
    entries = enumerate(held) if table in LISTS else held.items()
    return {key: tuple(_cell(value) for value in encode(entry).values()) for key, entry in entries}


def _cell(value: Any) -> Any:  # noqa: ANN401 - JSON, and what SQLite takes
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _read(columns: Mapping[str, bool], row: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a row says; a column that was added later, and is empty, has its default."""
    for (name, composite), value in zip(columns.items(), row, strict=True):
        if value is not None:
            yield name, json.loads(value) if composite else value
