"""The one connection that writes the ledger: each unit of work whole or not at all, whoever is cancelled meanwhile.

A unit is one transaction in one callable on the connection's thread, run to its end even when its caller is cancelled:
statements of two units never mix, and no transaction is left open. WAL with synchronous FULL: a commit that returned
survives a power cut.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

import aiosqlite

from agent.buffer.file import LEDGER, create, explained
from agent.buffer.migrate import migrate
from agent.buffer.second import COPY, SecondCopy
from agent.core.errors import JournalCorrupt, JournalFull

T = TypeVar("T")
Value: TypeAlias = str | int | float | None
Statement: TypeAlias = tuple[str, tuple[Value, ...]]
"""SQL and its parameters."""

BUSY_S: Final = 5.0
"""Another program (a backup) may hold the file so long before a commit fails."""
SETTINGS: Final = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=4194304",  # a WAL that grew under a long reader shrinks again; SD cards are small
    "PRAGMA temp_store=MEMORY",  # what the second copy notes of a commit
)


class Units(aiosqlite.Connection):
    """aiosqlite's connection, which also runs a whole callable on its thread: one hop, and nothing in between."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Return what ``work`` returns; once handed over it runs to its end, whoever waits or not."""
        result: T = await self._execute(work, self._conn)  # type: ignore[no-untyped-call]  # aiosqlite's own has no types
        return result


class Database:
    """The ledger, open for writing."""

    def __init__(
        self,
        connection: Units,
        path: Path,
        *,
        second: SecondCopy | None = None,
        relief: Callable[[], bool] | None = None,
    ) -> None:
        """Use a connection in autocommit mode; path: for error messages.

        second: the copy that follows each unit; relief: frees some space on a disk that is full, once, and tells
        whether it did.
        """
        self._connection = connection
        self._path = path
        self._relief = relief
        self.second = second
        self.damaged: asyncio.Future[str] | None = None

    def on_damage(self) -> asyncio.Future[str]:
        """Return what gets the words of the first JournalCorrupt from now on."""
        self.damaged = asyncio.get_running_loop().create_future()
        return self.damaged

    async def write(self, statements: Sequence[Statement]) -> None:
        """Run the statements in order, in one transaction; returns after the disk has it, at once where there are none.

        A unit under way is finished although the caller is cancelled; one that fails leaves nothing behind.
        Raises: JournalFull, JournalCorrupt, JournalError.
        """
        if statements:
            await uninterrupted(self._write(statements))

    async def forget(self, statements: Sequence[Statement]) -> None:
        """Run statements that remove facts nothing refers to, which they see to themselves: as ``write``.

        To look for such a reference at every fact that goes, SQLite would read through all lanes. Raises: as ``write``.
        """
        await uninterrupted(self._run(partial(_unchecked, statements, self.second)))

    async def read(self, sql: str, parameters: tuple[Value, ...] = ()) -> list[sqlite3.Row]:
        """Return the rows of a query, as last committed. Raises: JournalFull, JournalCorrupt, JournalError."""
        return await self._run(lambda connection: connection.execute(sql, parameters).fetchall())

    async def prepare(self) -> None:
        """Bring the file to the settings and the schema of this release. Raises: as ``open_database``."""
        await uninterrupted(self._run(partial(_prepare, self._path, self.second)))

    async def close(self) -> None:
        """Close the file after the units under way."""
        await uninterrupted(self._connection.close())

    async def _write(self, statements: Sequence[Statement]) -> None:
        unit = partial(_unit, statements, self.second)
        try:
            await self._run(unit)
        except JournalFull:
            if self._relief is None or not self._relief():
                raise
            await self._run(unit)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with explained(self._path):
                return await self._connection.run(work)
        except JournalCorrupt as error:
            if self.damaged is not None and not self.damaged.done():
                self.damaged.set_result(str(error))
            raise


async def uninterrupted(work: Coroutine[None, None, T]) -> T:
    """Return the result of ``work``; when the caller is cancelled, it still runs to its end before that shows."""
    under_way = asyncio.gather(work)
    try:
        (result,) = await asyncio.shield(under_way)
    except asyncio.CancelledError:
        while not under_way.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([under_way])
        if not under_way.cancelled():
            under_way.exception()  # nobody is left who could take it
        raise
    return result


@asynccontextmanager
async def open_database(
    state_dir: Path, *, copied: bool = False, relief: Callable[[], bool] | None = None
) -> AsyncIterator[Database]:
    """Open the ledger of a state directory for writing; both are made where missing, closed to other users.

    The caller sees to it that there is one writer. copied: a second copy follows it; relief: as for ``Database``.
    Raises: JournalFull, JournalCorrupt, JournalError.
    """
    path = state_dir / LEDGER
    with explained(path):
        create(path)
        connection = Units(partial(sqlite3.connect, path, isolation_level=None, timeout=BUSY_S), iter_chunk_size=1)
        await connection
    second = SecondCopy(state_dir / COPY) if copied else None
    database = Database(connection, path, second=second, relief=relief)
    try:
        await database.prepare()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def open_memory() -> AsyncIterator[Database]:
    """Open an empty ledger that is on no disk and is gone afterwards."""
    connection = Units(partial(sqlite3.connect, ":memory:", isolation_level=None), iter_chunk_size=1)
    await connection
    database = Database(connection, Path("memory"))
    try:
        await database.prepare()
        yield database
    finally:
        await database.close()


def _unit(statements: Sequence[Statement], second: SecondCopy | None, connection: sqlite3.Connection) -> None:
    """Run one transaction, whole or not at all."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        for sql, group in groupby(statements, key=itemgetter(0)):
            connection.executemany(sql, [parameters for _, parameters in group])
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # nothing happens where SQLite has rolled back by itself
        raise
    if second is not None:
        second.follow(connection)


def _unchecked(statements: Sequence[Statement], second: SecondCopy | None, connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys=OFF")
    try:
        _unit(statements, second, connection)
    finally:
        connection.execute("PRAGMA foreign_keys=ON")


def _prepare(path: Path, second: SecondCopy | None, connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    ((mode,),) = connection.execute("PRAGMA journal_mode=WAL")
    if mode not in {"wal", "memory"}:  # the latter is told of one that has no file
        raise JournalFull(f"the ledger {path} is not safe against power cuts there: put it on a local disk (state_dir)")
    for setting in SETTINGS:
        connection.execute(setting)
    migrate(connection)
    if second is not None:
        second.attach(connection)
