"""Looks after a ledger while the daemon runs: its size, its old details, its reserve, and whether it can be read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

import structlog

from agent.buffer.database import Database
from agent.buffer.examine import cleared, means_damage, read_through, reading, suspect
from agent.buffer.file import LEDGER, explained, free
from agent.buffer.reader import open_reader
from agent.buffer.rescue import Secured, noted, secure
from agent.buffer.reserve import Reserve
from agent.buffer.retention import Place, Step, next_step
from agent.core.errors import JournalCorrupt, JournalError
from agent.core.instant import TimeStatus
from agent.ports import Clock

log = structlog.get_logger(__name__)

LOOK_S: Final = 3600.0
FIRST_S: Final = 60.0
"""A start has better things to do."""
PAUSE_S: Final = 0.5
"""Between two steps of a pass, so that nothing else waits for the disk."""
PASS_S: Final = 24 * 3600.0
WHOLE: Final = 30
"""Of so many passes one looks at all sessions again: those that waited for something may have got it."""
LOW: Final = 32 * 1024 * 1024
USED: Final = (
    "SELECT (p.page_count - f.freelist_count) * s.page_size"
    " FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long details are kept, and how large a ledger may be, in bytes, before it is told."""

    keep_details: timedelta = timedelta(days=730)
    max_size: int = 512 * 1024 * 1024

    @classmethod
    def of(cls, keep_details_days: int, max_size_mb: int) -> Self:
        """Return the limits that the configuration sets; a MB has 1 048 576 bytes."""
        return cls(timedelta(days=keep_details_days), max_size_mb * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What ``status`` shows beside whether the ledger can be written.

    rescued: what became of a damaged one, None where nothing is to be told; warnings: what somebody should do something
    about; size: of the ledger in use, in bytes, None before it was first looked at.
    """

    rescued: str | None = None
    warnings: tuple[str, ...] = ()
    size: int | None = None


def prepare(
    state_dir: Path, destinations: tuple[str, ...], now: datetime, *, alive: Callable[[], object] = lambda: None
) -> Secured:
    """See that the ledger of a state directory can be opened, and say what was done to it.

    To call before it is opened; nobody else may use it. destinations: lanes of sessions of which none is known;
    alive: called now and then while a damaged one is made anew.
    Raises: JournalError.
    """
    reserve = Reserve(state_dir)
    reserve.give_up()
    secured = secure(state_dir, destinations, now, alive=alive)
    reserve.make()
    if secured.rescue is not None:
        log.error(secured.rescue.words())
    return secured


def words_of(group: BaseExceptionGroup[JournalCorrupt]) -> str:
    """Return the words of the first damage in a group."""
    first = group.exceptions[0]
    return words_of(first) if isinstance(first, BaseExceptionGroup) else str(first)


class Upkeep:
    """The service that looks after one ledger."""

    def __init__(
        self, database: Database, state_dir: Path, limits: Limits, *, clock: Clock, unchecked: bool = False
    ) -> None:
        """Keep what is needed; unchecked: the ledger still has to be read through."""
        self._database = database
        self._state_dir = state_dir
        self._limits = limits
        self._clock = clock
        self._unchecked = unchecked
        self._reserve = Reserve(state_dir)
        self._place = Place()
        self._passes = 0
        self._next_pass = 0.0
        self._size: int | None = None
        self._warnings: tuple[str, ...] = ()

    def view(self) -> LedgerView:
        """Return what ``status`` shows."""
        second = self._database.second
        lagging = () if second is None or second.error is None else (second.error,)
        rescued = noted(self._state_dir)
        return LedgerView("; ".join(rescued) or None, (*lagging, *self._tight(), *self._warnings), self._size)

    def _tight(self) -> tuple[str, ...]:
        """Return a warning where the disk has little left and the reserve is gone."""
        with suppress(OSError):
            left = free(self._state_dir)
            if left < LOW and not self._reserve.is_there:
                return (f"the disk of {self._state_dir} has {left / 1e6:.0f} MB left: free some space",)
        return ()

    async def run(self) -> None:
        """Look after it until cancelled. Raises: JournalCorrupt as soon as anybody finds it damaged."""
        damaged = self._database.on_damage()
        wait_s = FIRST_S
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    self._give_up(await asyncio.shield(damaged))
            wait_s = LOOK_S
            try:
                await self._look()
            except JournalCorrupt as error:
                self._give_up(str(error))
            except JournalError as error:
                log.debug("the ledger is not looked after now", cause=str(error))

    async def _look(self) -> None:
        if self._unchecked:
            await asyncio.to_thread(self._read_through)
            self._unchecked = False
        self._size, self._warnings = await asyncio.to_thread(self._measured)
        now = self._clock.now()
        if now.mono >= self._next_pass and now.status is TimeStatus.SYNCHRONISED:
            self._next_pass = now.mono + PASS_S
            await self._pass(now.wall - self._limits.keep_details)

    def _give_up(self, words: str) -> None:
        with suppress(OSError):
            suspect(self._state_dir, words)
        raise JournalCorrupt(words)

    def _read_through(self) -> None:
        """Read every page, which the start had no time for."""
        path = self._state_dir / LEDGER
        with explained(path), reading(path) as connection:
            try:
                words = read_through(connection, beside=True)
            except sqlite3.DatabaseError as error:
                if not means_damage(error):
                    raise
                words = str(error)
        if words is not None:
            raise JournalCorrupt(f"the ledger {path} is damaged ({' '.join(words.split())})")
        with suppress(OSError):
            cleared(self._state_dir)

    def _measured(self) -> tuple[int, tuple[str, ...]]:
        """Return the size of what is kept, and what there is to warn of; makes the reserve anew where it can."""
        with open_reader(self._state_dir) as connection:
            ((used,),) = connection.execute(USED)
        warnings: list[str] = []
        self._reserve.make()
        if used > self._limits.max_size:
            words = f"the ledger has {used / 1e6:.0f} MB, ledger.max_size_mb allows {self._limits.max_size / 1e6:.0f}"
            remedy = "lower ledger.keep_details_days, or allow more; nothing is lost meanwhile"
            warnings.append(f"{words}: what is in it must be kept: {remedy}")
        return int(used), tuple(warnings)

    async def _pass(self, before: datetime) -> None:
        """Remove old details, oldest first, a little at a time."""
        if self._passes % WHOLE == 0:
            self._place = Place()
        self._passes += 1
        removed, is_last = 0, False
        while not is_last:
            step = await asyncio.to_thread(self._next, before)
            if step.statements:
                await self._database.forget(step.statements)
                removed += 1
                await self._clock.sleep_until(self._clock.now().mono + PAUSE_S)
            self._place, is_last = step.place, step.is_last
        if removed:
            log.info("old details were removed from the ledger", steps=removed, before=before.isoformat())

    def _next(self, before: datetime) -> Step:
        with open_reader(self._state_dir) as connection:
            return next_step(connection, self._place, before)
