"""One run of the agent's process on its real ledger: the real loop, journal and lanes, and no devices or sockets.

What the outside world sees of it is told on the tape.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from agent.buffer.database import Database, Statement, open_database
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.core.commands import CallRef, Command
from agent.core.deadlines import next_deadline
from agent.core.effects import (
    Answer,
    AskCsms,
    Deenergise,
    Effect,
    Energise,
    Reduce,
    SafetyEffect,
    SendCompanyLink,
)
from agent.core.events import ClockStepped, CloudChanged, CommandReceived, Event, EvseRead, MeterRead, Ticked
from agent.core.facts import Fact, SessionEnded, SessionSampled, SessionStarted
from agent.core.instant import Instant
from agent.core.model import Reading, Registration
from agent.core.outbox import Failure
from agent.core.policy import EvsePolicy, Policy
from agent.core.recovery import recover
from agent.core.settings import Settings
from agent.core.state import Durable, IdSource, restored
from agent.core.tariff import Dimension, Element, PriceComponent, Restrictions, Tariff
from agent.ocpp import negotiate
from agent.ocpp.lane import Lane
from agent.ports import OutboxRow
from agent.runtime.foundation import cause_of, new_ledger
from agent.runtime.loop import Loop
from tests.durability.tape import Tape
from tests.durability.world import (
    DESTINATIONS,
    EVSES,
    Answered,
    Began,
    Book,
    Decided,
    Done,
    Energised,
    Fate,
    Handed,
    Kept,
    Sent,
    Stood,
    World,
    books,
)
from tests.unit.core.charger import NOON

DIALECT: Final = negotiate.dialect("ocpp1.6")


def _quarters() -> Tariff:
    """Return a tariff whose price changes every two minutes of the first hour."""
    begin = NOON.replace(minute=0)
    slots = [(begin + timedelta(minutes=m)).time() for m in range(0, 60, 4)]
    cheap = PriceComponent(Dimension.ENERGY, Decimal("0.2"))
    dear = PriceComponent(Dimension.ENERGY, Decimal("0.3"), vat=Decimal(21))
    restricted = [Restrictions(slot, slot.replace(minute=slot.minute + 2)) for slot in slots]
    return Tariff("EUR", (*(Element((dear,), r) for r in restricted), Element((cheap,))))


POLICY: Final = Policy(
    evses=tuple(EvsePolicy(i, poll_s=5.0) for i in EVSES),
    tariff=_quarters(),
    settings=Settings(sample_interval_s=20, message_retry_interval_s=10),
    snapshot_s=30.0,
)


class Observed(Database):
    """The ledger, with every unit of work told before and after; all else is the open ledger's."""

    def __init__(self, database: Database, tape: Tape, *, split: bool) -> None:
        """Write to an open ledger; split: in two transactions, to see whether anybody notices."""
        vars(self).update(vars(database))
        self._tape = tape
        self._split = split

    async def write(self, statements: Sequence[Statement]) -> None:
        if not statements:
            return
        self._tape.tell(Began(tuple(statements)))
        of_state = [s for s in statements if " slice " in s[0]]
        if self._split and len(of_state) < len(statements):
            await super().write([s for s in statements if s not in of_state])
            await super().write(of_state)
        else:
            await super().write(statements)
        self._tape.tell(Done())


class Witnessed(SqliteJournal):
    """The journal, with every state told before and after."""

    def __init__(self, database: Database, tape: Tape) -> None:
        """Write to a ledger."""
        super().__init__(database, DESTINATIONS)
        self._tape = tape

    async def commit(self, slices: Durable, facts: Sequence[Fact], at: Instant) -> None:
        self._tape.tell(Handed(slices))
        await super().commit(slices, facts, at)
        self._tape.tell(Kept())


@dataclass(frozen=True, slots=True)
class Late:
    """An answer that is still on its way."""

    destination: str
    message_id: str


class Process:
    """The agent from its start to its end, however that comes."""

    def __init__(self, database: Database, world: World, tape: Tape, *, seed: str) -> None:
        """Run on a ledger that is open; seed: of the ids of a new ledger."""
        self.database = database
        self.world = world
        self.tape = tape
        self.books: dict[str, Book] = books(tape.told())
        self.questions: deque[AskCsms] = deque(maxlen=8)
        self.links: deque[str] = deque(maxlen=4)
        self.late: list[Late] = []
        self.online = False
        self._seed = seed
        self._calls = 0
        self.journal = Witnessed(database, tape)
        self.outboxes = {name: OutboxStore(database, name) for name in DESTINATIONS}
        self.lanes = {name: self._lane(name) for name in DESTINATIONS}

    async def begin(self) -> None:
        """Start as the daemon does: boot, run, slices, recovery."""
        world = self.world
        world.boot = await self.journal.boot_number(world.boot_id)
        previous = await self.journal.begin_run(world.boot_id, "1.0", world.at)
        slices = await self.journal.load() or replace(new_ledger(), ids=IdSource(self._seed))
        state = restored(slices, EVSES)
        self.loop = Loop(
            state,
            POLICY,
            clock=self,
            journal=self.journal,
            safety=self._safety,
            perform=self._perform,
            committed=self._committed,
        )
        await self.loop.begin(partial(recover, cause=cause_of(previous, world.boot)))

    async def end(self) -> None:
        """End in order, as far as the ledger goes."""
        await self.flush()
        await self.journal.end_run(self.world.at)

    async def flush(self) -> None:
        """Keep the answers that are there."""
        for lane in self.lanes.values():
            await lane.flush()

    # --- the clock port ---------------------------------------------------------------------------------------------

    def now(self) -> Instant:
        return self.world.at

    async def sleep_until(self, mono: float) -> None:
        raise AssertionError(f"nothing sleeps here, until {mono}")

    # --- events -----------------------------------------------------------------------------------------------------

    async def do(self, event: Event) -> None:
        """Let the loop take an event, and all that comes of it."""
        self.tape.tell(Stood(self.world.copy()))
        self.loop.post(event)
        await self.loop.drain()

    async def command(self, command: Command, origin: str = "control") -> None:
        """Ask for something."""
        self._calls += 1
        await self.do(CommandReceived(CallRef(origin, str(self._calls)), command))

    async def poll(self) -> None:
        """Hear every device once."""
        for evse, site in self.world.sites.items():
            await self.do(EvseRead(evse, site.seen(self.world.at)))
            await self.do(MeterRead(evse, Reading(self.world.at, self.world.shown(evse), site.values, site.serial)))

    async def run(self, seconds: float, pace: float = 1.0) -> None:
        """Let time pass: polls at a pace (s), deadlines to the point."""
        end = self.world.mono + seconds
        while self.world.mono < end:
            poll_at = min(self.world.mono + pace, end)
            while self.world.mono < poll_at:
                due = next_deadline(self.loop.state, POLICY)
                target = poll_at if due is None else min(max(due, self.world.mono), poll_at)
                self.world.pass_time(target - self.world.mono)
                if due is not None and due <= self.world.mono:
                    await self.do(Ticked())
                    due = next_deadline(self.loop.state, POLICY)
                    assert due is None or due > self.world.mono, f"the deadline {due} spins"
            await self.poll()

    async def connect(self) -> None:
        """Let the central systems be there; the station learns the time from them."""
        if not self.world.is_known:
            self.world.is_known = True
            await self.do(ClockStepped())
        self.online = True
        for lane in self.lanes.values():
            lane.restart()
        await self.do(CloudChanged(connected=True, registration=Registration.ACCEPTED))

    async def disconnect(self) -> None:
        """Let the central systems be gone."""
        self.online = False
        await self.flush()
        await self.do(CloudChanged(connected=False, registration=Registration.ACCEPTED))

    # --- deliveries -------------------------------------------------------------------------------------------------

    async def send(self, destination: str) -> OutboxRow | None:
        """Send what is next in a lane; None where nothing can go now."""
        lane, now = self.lanes[destination], self.world.mono
        found = await lane.next(DIALECT, now) if lane.ready(now) else None
        if found is None:
            return None
        row, text = found
        fact = row.fact
        about = (fact.session, fact.seq) if isinstance(fact, SessionStarted | SessionSampled | SessionEnded) else None
        self._told(Sent(destination, row.message.row, row.message.message_id, text, about))
        return row

    async def taken(self, destination: str, row: OutboxRow) -> None:
        """Let a message be taken, and its answer arrive."""
        self.decide(destination, row, Fate.TAKEN)
        answer = self.books[destination].answer(row.message.message_id)
        await self.lanes[destination].answered(row, answer, DIALECT)
        await self.loop.drain()

    def decide(self, destination: str, row: OutboxRow, fate: Fate) -> None:
        """Let a central system make up its mind."""
        self._told(Decided(destination, row.message.message_id, fate))

    async def fail(self, destination: str, row: OutboxRow, failure: Failure) -> None:
        """Let the answer be a refusal, or stay away."""
        if failure is Failure.REFUSED:
            self.decide(destination, row, Fate.REFUSED)
        await self.lanes[destination].failed(row, failure, str(failure))
        await self.loop.drain()

    async def arrive(self, late: Late) -> None:
        """Let an answer arrive after its time-out."""
        answer = self.books[late.destination].answer(late.message_id)
        await self.lanes[late.destination].late(late.message_id, answer, DIALECT)
        await self.loop.drain()

    def _told(self, what: Sent | Decided) -> None:
        self.tape.tell(what)
        self.books[what.destination].hear([what])

    # --- what comes of it -------------------------------------------------------------------------------------------

    def _lane(self, name: str) -> Lane:
        post = self._post if name == "cloud" else _nobody
        return Lane(self.outboxes[name], self, post, self._settings, anchor=self.journal.anchor)

    def _post(self, event: Event) -> None:
        """Take an event of a lane; the loop is built after the lanes."""
        self.loop.post(event)

    def _settings(self) -> Settings:
        return self.loop.state.overrides.over(POLICY.settings)

    def _safety(self, cut: SafetyEffect) -> None:
        match cut:
            case Deenergise(evse):
                self.world.sites[evse].order(0)
            case Reduce(evse, limit):
                self.world.sites[evse].order(limit)
        self.tape.tell(Stood(self.world.copy()))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Energise(evse, limit):
                session = self.loop.state.evse(evse).session
                assert session is not None, "power for nobody"
                self.tape.tell(Energised(evse, session.id))
                self.world.sites[evse].order(limit)
            case Answer(_, outcome):
                self.tape.tell(Answered(outcome))
            case AskCsms():
                self.questions.append(effect)
            case SendCompanyLink(code):
                self.links.append(code)

    def _committed(self) -> None:
        for lane in self.lanes.values():
            lane.wake()


def _nobody(_event: Event) -> None:
    """Take a verdict that nobody asked for."""


@dataclass(frozen=True, slots=True)
class Ways:
    """How a ledger is written: split, see ``Observed``; copied: a second copy follows it."""

    split: bool = False
    copied: bool = False


@asynccontextmanager
async def process(root: Path, world: World, tape: Tape, seed: str, ways: Ways) -> AsyncIterator[Process]:  # noqa: PLR0917
    """Open the ledger below a directory, and yield a process that has begun on it; the ledger is closed at the end."""
    async with open_database(root / "state", copied=ways.copied) as database:
        begun = Process(Observed(database, tape, split=ways.split), world, tape, seed=seed)
        await begun.begin()
        yield begun
