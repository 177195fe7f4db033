"""Delivers statements to one recipient: when a month has ended, again where figures change, and when asked to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from agent.buffer.signing import KeyDamaged
from agent.buffer.timeline import TRUSTED
from agent.core.errors import AgentError, JournalError
from agent.core.instant import Instant, TimeStatus
from agent.ports import Clock
from agent.statement.delivery import plan
from agent.statement.delivery.errand import Errands, Line, NotReached
from agent.statement.delivery.parcel import Parcel, Press, Way, figures
from agent.statement.delivery.plan import Shipment
from agent.statement.delivery.record import Record
from agent.statement.model import State, Statement
from agent.statement.month import Month, month_at

log = structlog.get_logger(__name__)

LOOK_S: Final = 10.0
"""How often it is looked whether a month has ended; a few comparisons."""
MAKE_WITHIN_S: Final = 300.0
"""A small computer takes seconds for a month with hundreds of sessions."""
SEND_WITHIN_S: Final = 60.0


class Ended(AgentError):
    """The agent ends before a statement that was asked for has been delivered."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A statement, and what is decided by."""

    statement: Statement
    figures: str


class Courier:
    """One recipient's."""

    def __init__(self, way: Way, record: Record, press: Press, *, clock: Clock, chance: Callable[[], float]) -> None:
        """Keep what is needed; chance: numbers in [0, 1) for the jitter."""
        self.name = way.name
        self._way = way
        self._record = record
        self._press = press
        self._clock = clock
        self._chance = chance
        self._errands = Errands()
        self._since: Instant | None = None
        self._rows: dict[Month, Shipment] = {}
        self._unkept: set[Month] = set()
        self._asked: list[tuple[Month, asyncio.Future[Shipment]]] = []
        self._wake = asyncio.Event()

    def rows(self) -> Sequence[Shipment]:
        """Return what was, or is to be, delivered, oldest month first."""
        return [self._rows[month] for month in sorted(self._rows)]

    async def run(self) -> None:
        """Deliver until cancelled. Raises: JournalError where the record cannot be read."""
        try:
            await self.open()
            while True:
                await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._rest()):
                        await self._wake.wait()
                self._wake.clear()
                await self._by_hand()
        finally:
            for _, waiting in self._asked:
                if not waiting.done():
                    waiting.set_exception(Ended("the agent is stopping: try again once it runs"))

    async def open(self) -> None:
        """Take up the record. Raises: JournalError."""
        self._rows = await self._record.rows(self.name)
        self._since = await self._record.met(self.name, self._clock.now())

    async def ask(self, month: Month) -> Shipment:
        """Have the service deliver a month's statement now, and return what came of it. Raises: Ended."""
        waiting: asyncio.Future[Shipment] = asyncio.get_running_loop().create_future()
        self._asked.append((month, waiting))
        self._wake.set()
        return await waiting

    async def deliver(self, month: Month) -> Shipment:
        """Deliver a month's statement now, whatever has been, and return what came of it."""
        await self._take(plan.asked(self._rows.get(month), self.name, month))
        await self._handle(month)
        return self._rows[month]

    async def look(self) -> None:
        """Do what is due now."""
        now, zone = self._clock.now(), self._press.site.zone
        for month in self._unkept.copy():
            await self._take(self._rows[month])
        for month, row in self._rows.items():
            self._rows[month] = plan.doubted(row, now, zone)
        for month in await self._ended(now):
            if month not in self._rows:
                await self._take(Shipment(self.name, month))
        for row in self.rows():
            if plan.is_due(row, self._clock.now(), zone):
                await self._handle(row.month)

    async def _by_hand(self) -> None:
        while self._asked:
            month, waiting = self._asked[0]
            done = await self.deliver(month)
            self._asked.pop(0)
            if not waiting.done():
                waiting.set_result(done)

    async def _ended(self, now: Instant) -> Sequence[Month]:
        """Return the months that have ended since the recipient is known, as far as the clock can be believed."""
        since = self._since
        if since is None or now.status is TimeStatus.UNKNOWN:
            return ()
        if since.status not in TRUSTED:
            try:
                since = self._since = await self._record.corrected(since)
            except JournalError as error:
                log.debug("deliveries are looked at later", cause=str(error))
                return ()
        return plan.ended(since.wall, now.wall, self._press.site.zone)

    def _rest(self) -> float:
        """Return how long (s) nothing is to be done."""
        now, zone = self._clock.now(), self._press.site.zone
        month_s = (month_at(now.wall, zone).end(zone) - now.wall).total_seconds()
        return max(min([LOOK_S, month_s, *(row.due - now.mono for row in self._rows.values() if row.pending)]), 0.0)

    async def _handle(self, month: Month) -> None:
        """Make the statement, and deliver it where that is to be done."""
        row, now = self._rows[month], self._clock.now()
        try:
            made = await self._errands.run(partial(self._make, month, now), MAKE_WITHIN_S)
        except NotReached as error:
            await self._missed(row, f"the statement cannot be made: {error}")
            return
        over_for = now.wall - month.end(self._press.site.zone)
        state = made.statement.state
        await self._take(plan.revised(row, state, made.figures, over_for=over_for, mono=now.mono))
        row = self._rows[month]
        if row.pending and row.due <= now.mono:
            await self._attempt(row, made.statement)

    async def _attempt(self, row: Shipment, statement: Statement) -> None:
        missing = [part for part in self._way.parts if part not in row.done]
        errors: dict[str, str] = {}
        try:
            work = partial(self._pack, statement, row, self._clock.now())
            parcel = await self._errands.run(work, MAKE_WITHIN_S)
            for parts in self._way.trips(missing):
                refused = await self._errands.run(partial(self._send, parts, parcel), SEND_WITHIN_S)
                errors |= refused
                row = replace(row, done=row.done | (set(parts) - refused.keys()))
                await self._take(row)
        except NotReached as error:
            errors |= {"": str(error)}
        if row.done.issuperset(self._way.parts):
            await self._arrived(row, statement.state)
        else:
            await self._missed(row, _joined(errors))

    async def _arrived(self, row: Shipment, state: State) -> None:
        await self._take(plan.arrived(row, state, self._clock.now()))
        log.info("statement delivered", delivery=self.name, month=str(row.month), attempts=row.attempts + 1)

    async def _missed(self, row: Shipment, error: str) -> None:
        """Take that something did not arrive; told once in the log for each cause."""
        if row.error != error:
            log.warning("statement not delivered", delivery=self.name, month=str(row.month), cause=error)
        if not row.pending:  # a look at what was delivered, that is all
            self._rows[row.month] = replace(row, due=self._clock.now().mono + plan.LATER_S)
            return
        await self._take(plan.failed(row, error, self._clock.now(), self._chance()))

    async def _take(self, row: Shipment) -> None:
        """Go on with a row, and keep it; where the disk takes nothing it is tried again at the next look."""
        before = self._rows.get(row.month)
        self._rows[row.month] = row
        same = before is not None and replace(before, due=row.due, following=row.following) == row
        if same and row.month not in self._unkept:
            return
        self._unkept.add(row.month)
        try:
            await self._record.keep(row)
        except JournalError as error:
            log.debug("what became of a delivery is not on disk yet", delivery=self.name, cause=str(error))
        else:
            self._unkept.discard(row.month)

    def _make(self, month: Month, now: Instant, _line: Line) -> _Made:
        with _explained():
            statement = self._press.statement(month, now)
        return _Made(statement, figures(statement))

    def _pack(self, statement: Statement, row: Shipment, now: Instant, _line: Line) -> Parcel:
        missing = [part for part in self._way.parts if part not in row.done]
        with _explained():
            return self._press.parcel(statement, row, self._way.papers(missing), now)

    def _send(self, parts: Sequence[str], parcel: Parcel, line: Line) -> Mapping[str, str]:
        return self._way.send(parts, parcel, line)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what keeps a statement from being made. Raises: NotReached."""
    try:
        yield
    except (JournalError, OSError, ValueError) as error:
        raise NotReached(str(error)) from error
    except KeyDamaged as error:
        words = f"the station's key is damaged ({error}): restart the service, which makes a new one"
        raise NotReached(words) from error


def _joined(errors: Mapping[str, str]) -> str:
    """Return what went wrong with which part, each reason once."""
    parts: dict[str, list[str]] = {}
    for part, words in errors.items():
        parts.setdefault(words, []).append(part)
    told = (f"{', '.join(filter(None, names))}: {words}" if any(names) else words for words, names in parts.items())
    return "; ".join(told)
