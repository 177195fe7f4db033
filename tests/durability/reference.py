"""What the ledger must hold: the acknowledged units of work, replayed in order into a database that forgets nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import starmap
from typing import Final, TypeAlias

from agent.buffer.database import Statement
from agent.buffer.migrate import migrate
from tests.durability.world import Began, Done, Survived

TABLES: Final = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
Content: TypeAlias = dict[str, list[tuple[object, ...]]]


class Reference:
    """Follows what is told of units: those acknowledged, and those that may be there without."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        migrate(self._connection)
        self._pending: list[tuple[Statement, ...]] = []
        self.units = 0

    @property
    def under_way(self) -> bool:
        """Tell whether there may be more in the ledger than was acknowledged."""
        return bool(self._pending)

    def follow(self, told: Iterable[object]) -> None:
        """Take what was told next."""
        for what in told:
            match what:
                case Began(statements):
                    self._pending.append(statements)
                case Done():
                    for unit in self._pending:
                        self._run(unit)
                    self.units += len(self._pending)
                    self._pending.clear()
                case Survived(units):
                    del self._pending[units:]

    def allowed(self) -> list[Content]:
        """Return what the ledger may hold now: what was acknowledged, and that with one more of the others each."""
        found = [content(self._connection)]
        self._connection.execute("BEGIN")
        for unit in self._pending:
            self._run(unit)
            found.append(content(self._connection))
        self._connection.execute("ROLLBACK")
        return found

    def close(self) -> None:
        """Forget it all."""
        self._connection.close()

    def _run(self, statements: tuple[Statement, ...]) -> None:
        for _ in starmap(self._connection.execute, statements):
            pass


def content(connection: sqlite3.Connection) -> Content:
    """Return all rows of all tables, in an order that does not depend on how they came in."""
    names = [name for (name,) in connection.execute(TABLES)]
    return {name: sorted((tuple(r) for r in connection.execute(f'SELECT * FROM "{name}"')), key=repr) for name in names}  # noqa: S608  # names of the schema


def age(told: Iterable[object], found: Content) -> int | None:
    """Return how many units a content has that is older than it may be; None where it is none of any moment."""
    with closing(Reference()) as reference:
        if reference.allowed()[0] == found:
            return 0
        for what in told:
            before = reference.units
            reference.follow([what])
            if reference.units != before and content(reference._connection) == found:
                return reference.units
    return None
