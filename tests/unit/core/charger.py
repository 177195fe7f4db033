"""A charger on the bench: the pure core with a meter, a controller, a car and a journal that tests move by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from agent.core.commands import CallRef, Command, Outcome
from agent.core.deadlines import next_deadline
from agent.core.effects import (
    Answer,
    AskCsms,
    Deenergise,
    Effect,
    Energise,
    Indicate,
    Reduce,
    ReportStatus,
    SafetyEffect,
)
from agent.core.events import (
    AuthorizationAnswered,
    CardPresented,
    CloudChanged,
    CommandReceived,
    Event,
    EvseFailed,
    EvseRead,
    MeterFailed,
    MeterRead,
    StartAnswered,
    Ticked,
    TokenTold,
)
from agent.core.facts import Fact, MeterSampled
from agent.core.instant import Instant, TimeStatus
from agent.core.linking import configured
from agent.core.model import (
    EvseId,
    EvseReading,
    IdToken,
    MilliAmp,
    Pilot,
    Profile,
    Reading,
    ReadingContext,
    Registration,
    StopReason,
    TokenInfo,
    TokenStatus,
    Value,
    Wh,
)
from agent.core.policy import EvsePolicy, Policy
from agent.core.recovery import recover
from agent.core.settings import Settings
from agent.core.state import Card, EvseState, IdSource, Session, StationState, durable, restored, same_slices
from agent.core.station import step
from agent.core.turn import Step

ONE, TWO = EvseId(1), EvseId(2)
ALICE, BOB, PRIVATE = IdToken("04AAAA01"), IdToken("04BBBB02"), IdToken("04CCCC03")
ACCEPTED = TokenInfo(TokenStatus.ACCEPTED)
T = TypeVar("T")

NOON = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
"""A Wednesday."""


@dataclass
class Site:
    """One EVSE as it stands on the wall: meter, controller, cable, car."""

    evse: EvseId
    register: Decimal = Decimal(1_000_000)
    flowed: Decimal = Decimal(0)
    serial: str | None = "23004711"
    power_w: int = 7200
    plugged: bool = False
    hungry: bool = True
    limit: int = 0
    charging: bool = False
    meter_error: str | None = None
    evse_error: str | None = None
    faults: tuple[str, ...] = ()
    pilot: Pilot | None = None
    deaf: bool = False
    shows_limit: bool = True
    values: tuple[Value, ...] = ()
    plug: bool | None = None

    def flow(self, seconds: float) -> None:
        """Let energy flow as car and controller have it, and let the car follow the offer after that."""
        if self.charging:
            self.count(Decimal(self.power_w) * Decimal(str(seconds)) / 3600)
        self.charging = self.plugged and self.hungry and self.limit > 0 and self.faults in {(), ("derating",)}

    def count(self, energy: Decimal) -> None:
        """Let the meter count energy (Wh)."""
        self.register += energy
        self.flowed += energy

    def seen(self, at: Instant) -> EvseReading:
        """Return what the controller tells."""
        offering = self.limit > 0
        pilot = self.pilot or (Pilot.A if not self.plugged else Pilot.C if self.charging else Pilot.B)
        limit = MilliAmp(self.limit) if self.shows_limit else None
        return EvseReading(at, pilot, self.plugged, self.charging, offering, limit, self.faults, self.plug)

    def order(self, limit: int) -> None:
        """Take a command, where the controller listens."""
        if self.evse_error is None and not self.deaf:
            self.limit = limit
            self.charging = self.charging and limit > 0


@dataclass
class Charger:
    """The core of a station, fed with what its sites show; every step is recorded."""

    policy: Policy = field(default_factory=lambda: Policy(evses=(EvsePolicy(ONE),)))
    mono: float = 1000.0
    wall: datetime = NOON
    boot: int = 1
    status: TimeStatus = TimeStatus.SYNCHRONISED
    journal_full: bool = False
    state: StationState = field(init=False)
    sites: dict[EvseId, Site] = field(init=False)
    steps: list[Step] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    notes: list[Fact] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    safety: list[SafetyEffect] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        ids = [p.id for p in self.policy.evses]
        self.sites = {i: Site(i) for i in ids}
        self.state = StationState(tuple(EvseState(i) for i in ids), ids=IdSource("bench"))

    @property
    def at(self) -> Instant:
        return Instant(self.mono, self.wall, self.status, self.boot)

    @property
    def site(self) -> Site:
        return self.sites[ONE]

    @property
    def evse(self) -> EvseState:
        return self.state.evse(ONE)

    @property
    def session(self) -> Session:
        """The running session of the first EVSE; a test that asks for it expects one."""
        session = self.evse.session
        assert session is not None
        return session

    @property
    def phase(self) -> str:
        """Phase of the running session of the first EVSE."""
        return self.session.phase.value

    # --- time ---------------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time pass without the station noticing."""
        self.mono += seconds
        self.wall += timedelta(seconds=seconds)
        for site in self.sites.values():
            site.flow(seconds)

    def run(self, seconds: float = 1.0) -> None:
        """Let time pass as it does: polls each second, deadlines to the point."""
        end = self.mono + seconds
        while self.mono < end:
            poll_at = min(self.mono + 1.0, end)
            while self.mono < poll_at:
                due = None if self.journal_full else next_deadline(self.state, self.policy)
                self.pass_time((poll_at if due is None else min(max(due, self.mono), poll_at)) - self.mono)
                self.keep_deadlines()
            self.poll()

    def keep_deadlines(self) -> None:
        """Tick where a deadline has come; one tick resolves all that are due."""
        due = next_deadline(self.state, self.policy)
        if due is not None and due <= self.mono:
            self.do(Ticked())
            due = next_deadline(self.state, self.policy)
            assert self.journal_full or due is None or due > self.mono, f"the deadline {due} spins at {self.mono}"

    def poll(self) -> None:
        """Read controller and meter of every site."""
        for site in self.sites.values():
            self.poll_evse(site)
            self.poll_meter(site)

    def poll_evse(self, site: Site | None = None) -> Step:
        site = site or self.site
        if site.evse_error is not None:
            return self.do(EvseFailed(site.evse, site.evse_error))
        return self.do(EvseRead(site.evse, site.seen(self.at)))

    def poll_meter(self, site: Site | None = None) -> Step:
        site = site or self.site
        if site.meter_error is not None:
            return self.do(MeterFailed(site.evse, site.meter_error))
        register = Wh(site.register.quantize(Decimal("0.001")))
        return self.do(MeterRead(site.evse, Reading(self.at, register, site.values, site.serial)))

    # --- steps --------------------------------------------------------------------------------------------------

    def do(self, event: Event) -> Step:
        """Apply one event as the loop does: safety, commit, effects."""
        result = step(self.state, event, self.at, self.policy)
        return self.apply(result)

    def apply(self, result: Step) -> Step:
        self.safety += result.safety
        for cut in result.safety:
            self._cut(cut)
        told = [fact for fact in result.facts if not isinstance(fact, MeterSampled)]
        if self.journal_full and (told or not same_slices(durable(result.state), durable(self.state))):
            return result
        self.state = result.state
        self.steps.append(result)
        self.facts += [fact for fact in result.facts if not is_note(fact)]
        self.notes += [fact for fact in result.facts if is_note(fact)]
        self.effects += result.effects
        for effect in result.effects:
            if isinstance(effect, Energise):
                self.sites[effect.evse].order(effect.limit)
        return result

    def _cut(self, cut: SafetyEffect) -> None:
        match cut:
            case Deenergise(evse):
                self.sites[evse].order(0)
            case Reduce(evse, limit):
                self.sites[evse].order(limit)

    def crash(self, *, down: float = 5.0, reboot: bool = False, cause: StopReason = StopReason.REBOOT) -> Step:
        """Kill the process after what was committed, wait, and start it again."""
        slices = durable(self.state)
        self.pass_time(down)
        if reboot:
            self.boot += 1
            self.mono = 20.0
        self.state = restored(slices, tuple(self.sites))
        self.apply(recover(self.state, self.at, self.policy, cause))
        return self.apply(configured(self.state, self.at, self.policy))

    # --- people -------------------------------------------------------------------------------------------------

    def plug(self) -> None:
        self.site.plugged = True
        self.poll()

    def unplug(self) -> None:
        self.site.plugged = False
        self.site.charging = False
        self.poll()

    def card(self, token: IdToken = ALICE) -> Step:
        return self.do(CardPresented(token))

    def command(self, command: Command, origin: str = "cloud") -> Outcome:
        """Ask for something, and return what is answered."""
        self.calls += 1
        result = self.do(CommandReceived(CallRef(origin, str(self.calls)), command))
        (answer,) = [e for e in result.effects if isinstance(e, Answer)]
        return answer.outcome

    # --- the central system -------------------------------------------------------------------------------------

    def online(self) -> None:
        self.do(CloudChanged(connected=True, registration=Registration.ACCEPTED))

    def offline(self) -> None:
        self.do(CloudChanged(connected=False, registration=Registration.ACCEPTED))

    @property
    def question(self) -> AskCsms:
        """The last question that the station put to the central system."""
        return self.last(AskCsms)

    def answer(self, info: TokenInfo | None = ACCEPTED) -> Step:
        return self.do(AuthorizationAnswered(self.question.request, info))

    def answer_start(self, info: TokenInfo | None = ACCEPTED, transaction: int | str | None = 42) -> Step:
        session = self.session
        return self.do(StartAnswered(session.id, transaction, session.id_token, info))

    # --- what came of it ----------------------------------------------------------------------------------------

    def all(self, kind: type[T]) -> list[T]:
        """Return all facts and effects of a kind, oldest first."""
        return [x for x in (*self.facts, *self.effects, *self.safety) if isinstance(x, kind)]

    @property
    def noted(self) -> list[tuple[Decimal, bool]]:
        """The registers noted while nobody charged, and whether they begin anew."""
        return [(f.reading.register, f.anew) for f in self.notes if isinstance(f, MeterSampled)]

    def last(self, kind: type[T]) -> T:
        return self.all(kind)[-1]

    def only(self, kind: type[T]) -> T:
        (it,) = self.all(kind)
        return it

    @property
    def shown(self) -> str:
        """Status and error of the first connector as last reported."""
        report = [e for e in self.effects if isinstance(e, ReportStatus) and e.evse == ONE][-1]
        return report.status if report.error_code == "NoError" else f"{report.status}/{report.error_code}"

    @property
    def statuses(self) -> list[str]:
        """All that the first connector showed."""
        return [e.status.value for e in self.effects if isinstance(e, ReportStatus) and e.evse == ONE]

    @property
    def said(self) -> str:
        """What a person was told last."""
        return self.last(Indicate).text


def is_note(fact: Fact) -> bool:
    """Tell whether a fact is a register noted for the balance alone."""
    return isinstance(fact, MeterSampled) and fact.context is ReadingContext.OTHER


def known(charger: Charger, *cards: Card) -> Charger:
    """Let the station know cards."""
    charger.state = replace(
        charger.state, tokens=replace(charger.state.tokens, cards={c.id_token.key: c for c in cards})
    )
    return charger


def a_charger(change: Callable[[Settings], Settings] = lambda s: s, **policy: object) -> Charger:
    """Return a charger that knows a private card, has been heard once, and has no link to anybody."""
    base = Policy(evses=(EvsePolicy(ONE),), settings=change(Settings()))
    charger = Charger(policy=replace(base, **policy))  # type: ignore[arg-type]  # a test names fields of Policy
    known(charger, Card(PRIVATE, Profile.PRIVATE))
    charger.poll()
    return charger


def charging(charger: Charger | None = None, token: IdToken = PRIVATE) -> Charger:
    """Return a charger whose first EVSE charges for a card that nobody has to be asked about."""
    charger = charger or a_charger()
    charger.plug()
    charger.card(token)
    charger.run(10)
    assert charger.shown == "Charging"
    return charger


def fleet(charger: Charger | None = None, token: IdToken = ALICE, info: TokenInfo = ACCEPTED) -> Charger:
    """Return a charger that is online and charges for a card that the central system accepted."""
    charger = charger or a_charger()
    charger.online()
    charger.plug()
    charger.card(token)
    charger.answer(info)
    charger.run(10)
    assert charger.shown == "Charging"
    return charger


def cached(charger: Charger, token: IdToken, info: TokenInfo = ACCEPTED) -> Charger:
    """Let the station remember what a central system said of a token."""
    charger.do(TokenTold(token, info))
    return charger
