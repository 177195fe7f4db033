"""A station whose time is simulated: the real loop, core, journal and lane on a real ledger, devices made of numbers.

Hours pass in seconds, and every commit is made. The central system is there and answers each message at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Final

from agent.buffer.database import Database, open_database
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.core.deadlines import next_deadline
from agent.core.effects import AskCsms, Deenergise, Effect, Energise, Reduce, SafetyEffect
from agent.core.events import AuthorizationAnswered, CardPresented, CloudChanged, Event, EvseRead, MeterRead, Ticked
from agent.core.facts import Fact, SessionStarted
from agent.core.instant import Instant
from agent.core.model import EvseId, IdToken, Reading, Registration, TokenInfo, TokenStatus, Value, Wh
from agent.core.policy import EvsePolicy, Policy
from agent.core.recovery import recover
from agent.core.settings import Settings
from agent.core.state import restored
from agent.core.tariff import Dimension, Element, PriceComponent, Tariff
from agent.ocpp import negotiate
from agent.ocpp.lane import Lane
from agent.ocpp.rpc import JsonObject
from agent.runtime.foundation import cause_of, new_ledger
from agent.runtime.loop import Loop
from tests.unit.core.charger import Site

ONE: Final = EvseId(1)
CARD: Final = IdToken("04A1B2C3D4E500")
NIGHT: Final = datetime(2027, 3, 1, 1, tzinfo=UTC)
"""After any history, with no price boundary near."""
TARIFF: Final = Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal("0.29"), Decimal(21)),)),))
POLICY: Final = Policy(evses=(EvsePolicy(ONE),), timezone="Europe/Amsterdam", tariff=TARIFF)
"""The defaults of the product: a poll a second, a sample a minute."""
DIALECT: Final = negotiate.dialect("ocpp1.6")
KINDS: Final = ("voltage", "current", "power")


@dataclass
class Simulated:
    """The agent on a ledger that is open, with a meter that tells what an SDM630 does; implements the port Clock."""

    database: Database
    mono: float = 1000.0
    boot: int = 1
    site: Site = field(default_factory=lambda: Site(ONE, power_w=7_200))
    answered: int = 0
    asked: list[AskCsms] = field(default_factory=list)

    @property
    def at(self) -> Instant:
        """The present moment; the clock is known."""
        return Instant(self.mono, NIGHT + timedelta(seconds=self.mono), boot=self.boot)

    def now(self) -> Instant:
        """Tell the time."""
        return self.at

    async def sleep_until(self, mono: float) -> None:
        """Refuse: time passes by ``run`` alone."""
        raise AssertionError(f"nothing sleeps here, until {mono}")

    async def begin(self) -> None:
        """Start as the daemon does, with a central system that accepts the station."""
        self.journal = SqliteJournal(self.database, ("cloud",))
        self.boot = await self.journal.boot_number("simulated")
        previous = await self.journal.begin_run("simulated", "1.0.0", self.at)
        slices = await self.journal.load() or new_ledger()
        state = restored(slices, (ONE,))
        self.loop = Loop(
            state,
            POLICY,
            clock=self,
            journal=self.journal,
            safety=self._safety,
            perform=self._perform,
            committed=self._committed,
        )
        self.lane = Lane(
            OutboxStore(self.database, "cloud"), self, self.loop.post, self._settings, anchor=self.journal.anchor
        )
        await self.loop.begin(partial(recover, cause=cause_of(previous, self.boot)))
        await self.do(CloudChanged(connected=True, registration=Registration.ACCEPTED))
        await self.run(10)

    async def do(self, event: Event) -> None:
        """Let the loop take an event, and the central system what comes of it."""
        self.loop.post(event)
        await self.loop.drain()
        while self.asked:
            self.loop.post(AuthorizationAnswered(self.asked.pop(0).request, TokenInfo(TokenStatus.ACCEPTED)))
            await self.loop.drain()
        while self.lane.ready(self.mono) and (found := await self.lane.next(DIALECT, self.mono)) is not None:
            row, _ = found
            self.answered += 1
            await self.lane.answered(row, self._answer(row.fact), DIALECT)
            await self.loop.drain()

    async def run(self, seconds: float) -> None:
        """Let time pass: a poll of controller and meter each second, deadlines to the point."""
        end = self.mono + seconds
        while self.mono < end:
            poll_at = min(self.mono + 1.0, end)
            while self.mono < poll_at:
                due = next_deadline(self.loop.state, POLICY)
                self._pass((poll_at if due is None else min(max(due, self.mono), poll_at)) - self.mono)
                if due is not None and due <= self.mono:
                    await self.do(Ticked())
            await self.do(EvseRead(ONE, self.site.seen(self.at)))
            register = Wh(self.site.register.quantize(Decimal("0.1")))
            await self.do(MeterRead(ONE, Reading(self.at, register, self._values(), self.site.serial)))

    async def session(self, seconds: float) -> None:
        """Let a car come, charge for so long, and go."""
        self.site.plugged = True
        await self.run(5)
        await self.do(CardPresented(CARD))
        await self.run(seconds)
        assert self.loop.state.evse(ONE).session is not None, "nothing was charged"
        self.site.plugged = self.site.charging = False
        await self.run(20)
        assert self.loop.state.evse(ONE).session is None, "the session did not end"

    def _pass(self, seconds: float) -> None:
        self.mono += seconds
        self.site.flow(seconds)

    def _values(self) -> tuple[Value, ...]:
        """Return what the meter tells beside its register."""
        drawn = Decimal(self.site.power_w if self.site.charging else 0)
        shown = {"voltage": Decimal("230.1"), "current": (drawn / 690).quantize(Decimal("0.01")), "power": drawn / 3}
        values = [Value(f"{kind}_l{phase}", shown[kind]) for kind in KINDS for phase in (1, 2, 3)]
        return (*values, Value("power_total", drawn), Value("frequency", Decimal("50.0")))

    def _answer(self, fact: Fact) -> JsonObject:
        is_start = isinstance(fact, SessionStarted)
        return {"transactionId": self.answered, "idTagInfo": {"status": "Accepted"}} if is_start else {}

    def _committed(self) -> None:
        self.lane.wake()

    def _settings(self) -> Settings:
        return self.loop.state.overrides.over(POLICY.settings)

    def _safety(self, cut: SafetyEffect) -> None:
        match cut:
            case Deenergise():
                self.site.order(0)
            case Reduce(_, limit):
                self.site.order(limit)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Energise(_, limit):
                self.site.order(limit)
            case AskCsms():
                self.asked.append(effect)


@asynccontextmanager
async def simulated(state_dir: Path) -> AsyncIterator[Simulated]:
    """Open a ledger, and run a station on it that has begun."""
    async with open_database(state_dir) as database:
        station = Simulated(database)
        await station.begin()
        yield station
