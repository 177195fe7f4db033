"""What stands for a ledger that cannot be opened: it has nothing, and takes nothing (ADR 23)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from agent.buffer.database import Database, Statement, open_memory
from agent.buffer.journal import SqliteJournal
from agent.buffer.reader import open_reader
from agent.buffer.records import Draft
from agent.buffer.slices import SLICES, assembled
from agent.core.errors import JournalError, JournalFull
from agent.core.facts import Fact
from agent.core.instant import Instant
from agent.core.state import Durable


class ShutJournal(SqliteJournal):
    """A journal that refuses whatever is to be kept; error: why, in words."""

    def __init__(self, database: Database, error: str, known: Durable | None) -> None:
        """Stand on an empty database; known: what is known of the state all the same."""
        super().__init__(database, ())
        self.error = error
        self._remembered = known

    async def load(self) -> Durable | None:
        """Return what is known of the state; no session runs."""
        return self._remembered

    async def commit(self, slices: Durable, facts: Sequence[Fact], at: Instant) -> None:
        """Raise: JournalFull."""
        del slices, facts, at
        await self.check()

    async def check(self) -> None:
        """Raise: JournalFull."""
        raise JournalFull(self.error)

    async def add_record(self, draft: Draft, at: Instant, more: Sequence[Statement] = ()) -> None:
        """Raise: JournalFull."""
        del draft, at, more
        await self.check()

    async def anchor(self, at: Instant) -> None:
        """Do nothing: there are no stamps to correct."""


@asynccontextmanager
async def shut_ledger(state_dir: Path, error: str) -> AsyncIterator[tuple[Database, ShutJournal]]:
    """Give an empty database in memory, so that lanes can be looked at, and the journal that refuses."""
    async with open_memory() as database:
        yield database, ShutJournal(database, error, _known(state_dir))


def _known(state_dir: Path) -> Durable | None:
    """Return settings, link and service state as far as the ledger can be read; its sessions have to wait for it."""
    with suppress(JournalError, OSError), open_reader(state_dir) as connection:
        slices = assembled(connection.execute(SLICES))
        return None if slices is None else replace(slices, sessions={})
    return None
