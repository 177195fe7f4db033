"""Opening the ledger as every start does, and trying it where one has to wait for it (ADR 23)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent.buffer.database import Database, open_database
from agent.buffer.file import LEDGER, explained
from agent.buffer.journal import SqliteJournal
from agent.buffer.owner import claim
from agent.buffer.reserve import Reserve, probe
from agent.buffer.sealing import Sealer
from agent.buffer.shut import ShutJournal, shut_ledger
from agent.buffer.upkeep import prepare
from agent.core.model import StopReason
from agent.runtime.clock import SystemClock, boot_id
from agent.runtime.clouds import destinations
from agent.runtime.config import AgentConfig
from agent.runtime.foundation import cause_of, signing, version
from agent.runtime.possession import acquire

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A ledger that is open, and what its opening found.

    cause: why the last run ended; whole: it was read through, or need not be.
    """

    database: Database
    journal: SqliteJournal
    clock: SystemClock
    cause: StopReason = StopReason.REBOOT
    whole: bool = True


@asynccontextmanager
async def open_ledger(config: AgentConfig, alive: Callable[[], object]) -> AsyncIterator[Ledger]:
    """Open the ledger of a state directory that is locked, made anew where it was damaged, and begin a run in it.

    alive: called now and then while it is made anew. Raises: JournalError.
    """
    state_dir = config.station.state_dir
    found = await asyncio.to_thread(prepare, state_dir, destinations(config), SystemClock(0).now().wall, alive=alive)
    async with open_database(state_dir, copied=True, relief=Reserve(state_dir).give_up) as database:
        sealer = Sealer(database, state_dir, signing(config), config.hourly())
        journal = SqliteJournal(database, destinations(config), sealer)
        boot = await journal.boot_number(boot_id())
        clock = SystemClock(boot)
        previous = await journal.begin_run(boot_id(), version(), clock.now())
        for notice in sealer.notices:
            log.warning(notice)
        yield Ledger(database, journal, clock, cause_of(previous, boot), whole=not found.unchecked)


@asynccontextmanager
async def no_ledger(state_dir: Path, error: str) -> AsyncIterator[tuple[Ledger, ShutJournal]]:
    """Give what stands for a ledger that cannot be opened; error: why, in words."""
    async with shut_ledger(state_dir, error) as (database, journal):
        yield Ledger(database, journal, SystemClock(0)), journal


async def try_ledger(config: AgentConfig, alive: Callable[[], object], *, locked: bool) -> None:
    """Return where a start would find its ledger; it is opened, written to and closed, and no run begins in it.

    locked: the state directory is ours already. Raises: StateDirUnusable, JournalError, ConfigError (it is another's).
    """
    state_dir = config.station.state_dir
    with nullcontext() if locked else acquire(state_dir):
        claim(state_dir, config.station.id)
        with explained(state_dir / LEDGER):
            probe(state_dir)
        await asyncio.to_thread(prepare, state_dir, destinations(config), SystemClock(0).now().wall, alive=alive)
        async with open_database(state_dir, copied=True, relief=Reserve(state_dir).give_up) as database:
            journal = SqliteJournal(database, destinations(config))
            await journal.boot_number(boot_id())
            await journal.check()
