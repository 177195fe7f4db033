"""Opening the ledger as every start does, and trying it where one has to wait for it (ADR 23)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from agent import __version__
from agent.buffer.chain import Station as Signing
from agent.buffer.database import Database, open_database
from agent.buffer.file import LEDGER, explained
from agent.buffer.journal import PreviousRun, SqliteJournal
from agent.buffer.owner import claim
from agent.buffer.reserve import Reserve, probe
from agent.buffer.sealing import Sealer
from agent.buffer.shut import ShutJournal, shut_ledger
from agent.buffer.upkeep import prepare
from agent.core.model import EvseId, StopReason
from agent.runtime.clock import SystemClock, boot_id
from agent.runtime.config import AgentConfig
from agent.runtime.control import acquire

log = structlog.get_logger(__name__)

CLOUD: Final = "cloud"
"""The lane of the central system of ``[cloud]``."""


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
    found = await asyncio.to_thread(prepare, state_dir, (CLOUD,), SystemClock(0).now().wall, alive=alive)
    async with open_database(state_dir, copied=True, relief=Reserve(state_dir).give_up) as database:
        sealer = Sealer(database, state_dir, signing(config))
        journal = SqliteJournal(database, (CLOUD,), sealer)
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
        await asyncio.to_thread(prepare, state_dir, (CLOUD,), SystemClock(0).now().wall, alive=alive)
        async with open_database(state_dir, copied=True, relief=Reserve(state_dir).give_up) as database:
            journal = SqliteJournal(database, (CLOUD,))
            await journal.boot_number(boot_id())
            await journal.check()


def signing(config: AgentConfig) -> Signing:
    """Return what evidence records say of the station and its connectors."""
    connectors = {EvseId(n): c for n, c in enumerate(config.connectors, start=1)}
    return Signing(
        id=config.station.id,
        version=version(),
        evse_ids={n: c.evse_id for n, c in connectors.items()},
        meters={n: c.meter.model for n, c in connectors.items()},
    )


def cause_of(previous: PreviousRun | None, boot: int) -> StopReason:
    """Return why the last run ended: the process alone, or the machine without being stopped in order."""
    if previous is None or previous.boot == boot or previous.ended is not None:
        return StopReason.REBOOT
    return StopReason.POWER_LOSS


def version() -> str:
    """Return the installed version of the agent."""
    return __version__
