"""The whole core under hypothesis: cards, cars, clouds, lost devices, full journals and crashes in any order.

What must hold after every step: power only behind a recorded start; one start, at most one end and gapless facts per
session; registers that never run backwards; the energy of sessions and of nobody makes up the register exactly; and in
the end, when all that failed works again, everything is closed and off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time, timedelta
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.core.booking import remaining_s
from agent.core.charging_commands import ClearChargingProfiles, GetCompositeSchedule, SetChargingProfile
from agent.core.charging_profile import ChargingProfile, Kind, Purpose, RateUnit, Schedule, SchedulePeriod
from agent.core.commands import (
    BlockCard,
    CallRef,
    ChangeAvailability,
    ChangeSetting,
    Command,
    LinkCompany,
    ListEntry,
    PushCompanyLink,
    RemoteStart,
    RemoteStop,
    Reset,
    ResetKind,
    SendLocalList,
    StopSession,
    UnblockCard,
    UnlinkCompany,
    UnlockConnector,
)
from agent.core.company import LinkAnswer, LinkState
from agent.core.effects import Answer, AskCsms, Energise, ReportTriggered, Unlock
from agent.core.events import (
    AuthorizationAnswered,
    CardPresented,
    ClockStepped,
    CommandReceived,
    Event,
    LinkAnswered,
    LinkFailure,
    LockMoved,
    ShutdownRequested,
    StartAnswered,
)
from agent.core.facts import (
    Fact,
    FirmwareTold,
    HeldDropped,
    HeldReleased,
    LogTold,
    MeterSampled,
    SecurityEventRaised,
    SessionEnded,
    SessionSampled,
    SessionStarted,
)
from agent.core.model import (
    STATION,
    EvseId,
    IdToken,
    Profile,
    Reporting,
    SessionId,
    StopReason,
    TokenInfo,
    TokenStatus,
    Wh,
    billed,
)
from agent.core.policy import EvsePolicy, Policy
from agent.core.reservation_commands import CancelReservation, ReserveNow
from agent.core.settings import Settings
from agent.core.state import Card, EvseState, StationState
from agent.core.station import step
from agent.core.tariff import Dimension, Element, PriceComponent, Restrictions, Tariff
from agent.core.trigger_commands import Trigger, TriggerMessage
from agent.core.turn import Step
from tests.unit.core.charger import ALICE, BOB, ONE, PRIVATE, TWO, Charger, Site, known

CARDS = [ALICE, BOB, PRIVATE]
EVSES = [ONE, TWO]
TROUBLES = ["meter", "controller", "deaf", "fault"]
FAMILY = IdToken("FAMILY")
LISTS = st.lists(
    st.builds(ListEntry, st.sampled_from([ALICE, BOB]), st.sampled_from([None, *map(TokenInfo, TokenStatus)])),
    max_size=3,
).map(tuple)
VERDICTS = [*(TokenInfo(s) for s in TokenStatus), TokenInfo(TokenStatus.ACCEPTED, group=FAMILY), None]
PERIODS = st.lists(st.sampled_from([0, 5.9, 6, 10, 20, 32]), min_size=1, max_size=3).map(
    lambda limits: tuple(SchedulePeriod(7 * n, Decimal(str(limit))) for n, limit in enumerate(limits))
)
PROFILES = st.builds(
    ChargingProfile,
    st.integers(0, 4),
    st.integers(0, 1),
    st.sampled_from(Purpose),
    st.sampled_from([Kind.ABSOLUTE, Kind.RELATIVE]),
    st.builds(Schedule, st.just(RateUnit.AMPERE), PERIODS, st.sampled_from([None, 12, 600])),
)
ENERGY = Dimension.ENERGY
TARIFF = Tariff(
    "EUR",
    (
        Element((PriceComponent(ENERGY, Decimal("0.3")),), Restrictions(time(7), time(12, 1))),
        Element((PriceComponent(ENERGY, Decimal("0.2")), PriceComponent(Dimension.TIME, Decimal(1)))),
    ),
)


@dataclass
class Story:
    """The facts of one session, in order; flowed: what had truly flowed in all when its register was read."""

    started: SessionStarted
    flowed: Decimal
    samples: list[SessionSampled] = field(default_factory=list)
    ended: SessionEnded | None = None

    @property
    def register(self) -> Wh:
        """The last register that is on record."""
        return self.samples[-1].reading.register if self.samples else self.started.reading.register

    def tell(self, fact: SessionSampled | SessionEnded) -> None:
        """Take the next fact, and check that it may come."""
        assert self.ended is None, "nothing comes after the end"
        assert fact.seq == len(self.samples) + 1, "the sequence has a gap"
        assert fact.evse == self.started.evse
        register = fact.reading.register if isinstance(fact, SessionSampled) else fact.register
        assert register >= self.register, "the register runs backwards"
        if isinstance(fact, SessionSampled):
            self.samples.append(fact)
        else:
            self.ended = fact


@dataclass(frozen=True)
class Ledger:
    """A register as it was first read in this process, or after it broke, and what was nobody's then."""

    base: Wh
    nobodys: Wh
    epoch: tuple[float | None, str | None]


@dataclass
class Wall(Charger):
    """Two EVSEs whose every step is checked as it is applied."""

    stories: dict[SessionId, Story] = field(default_factory=dict)
    ledgers: dict[EvseId, Ledger] = field(default_factory=dict)
    asked: list[AskCsms] = field(default_factory=list)
    broken: set[SessionId] = field(default_factory=set)
    old: set[SessionId] = field(default_factory=set)
    locks: list[Unlock] = field(default_factory=list)
    unlockers: int = 0
    answered: int = 0

    @property
    def running(self) -> list[Story]:
        """The sessions that are open, by their facts."""
        return [s for s in self.stories.values() if s.ended is None]

    def apply(self, result: Step) -> Step:
        before = self.state
        super().apply(result)
        if self.state is not before:
            for fact in result.facts:
                self._record(fact)
                self._reserved(before, fact)
            for told in result.effects:
                session = self.state.evse(told.evse).session if isinstance(told, ReportTriggered) else None
                assert session is None or session.profile is Profile.FLEET, "a private session's values leave"
            self._power(result)
            for evse in self.state.evses:
                self._balance(evse)
            self._forget()
        return result

    def _reserved(self, before: StationState, fact: Fact) -> None:
        """Check that whoever starts on a reserved EVSE is meant by the reservation, and uses it up."""
        if not isinstance(fact, SessionStarted):
            return
        live = [r for r in before.reservations.values() if remaining_s(r, self.at) > 0]
        own = [r.id for r in live if r.evse == fact.evse]
        used = fact.booked.id if fact.booked else None
        assert own in ([], [used]), "somebody charges where it is reserved for others"
        assert used not in self.state.reservations, "a reservation is used, and stands still"
        assert used is None or used in [r.id for r in live]

    def _forget(self) -> None:
        """Keep of the past only what the rules look at: an example has thousands of steps."""
        self.asked += [e for e in self.effects if isinstance(e, AskCsms)]
        self.locks += [e for e in self.effects if isinstance(e, Unlock)]
        for kept in (self.steps, self.effects, self.safety, self.facts):
            kept.clear()

    def ask_for_the_plug(self) -> None:
        """Ask for the second socket's plug; a full journal refuses who asks."""
        result = self.do(CommandReceived(CallRef("unlocker", "x"), UnlockConnector(TWO)))
        self.unlockers += self.state is result.state

    def move_lock(self, *, opened: bool) -> None:
        """Let the lock do what it was told first."""
        told = self.locks.pop(0)
        effects = self.do(LockMoved(told.evse, told.call, opened)).effects
        self.answered += any(isinstance(e, Answer) and e.call == told.call for e in effects)

    def die_within(self, event: Event, *, committed: bool) -> None:
        """Kill the process within a step: after its safety effects, before or after the commit, before its effects."""
        result = step(self.state, event, self.at, self.policy)
        for cut in result.safety:
            self._cut(cut)
        if committed and not self.journal_full:
            for fact in result.facts:
                self._record(fact)
            self.state = result.state
        self.restart(down=1.0, reboot=False)

    def restart(self, *, down: float, reboot: bool) -> None:
        self.ledgers = {}
        self.locks.clear()
        self.unlockers = self.answered = 0
        self.crash(down=down, reboot=reboot, cause=StopReason.POWER_LOSS if reboot else StopReason.REBOOT)

    def _record(self, fact: Fact) -> None:
        if isinstance(fact, HeldReleased | HeldDropped | FirmwareTold | LogTold | SecurityEventRaised):
            return
        if isinstance(fact, MeterSampled):
            assert not [s for s in self.running if s.started.evse == fact.evse], "a session's reading without it"
            return
        if isinstance(fact, SessionStarted):
            self._began(fact)
            return
        story = self.stories[fact.session]
        story.tell(fact)
        if isinstance(fact, SessionEnded):
            self._ended(story, fact)

    def _began(self, fact: SessionStarted) -> None:
        assert fact.session not in self.stories, "an id came twice"
        assert fact.seq == 0
        assert not [s for s in self.stories.values() if s.ended is None and s.started.evse == fact.evse]
        card = self.state.tokens.cards.get(fact.id_token.key)
        assert card is None or card.blocked is None, "a blocked card started"
        assert (fact.profile is Profile.PRIVATE) == (fact.id_token == PRIVATE)
        assert fact.profile is not Profile.PRIVATE or fact.reporting is Reporting.LOCAL_ONLY
        site = self.sites[fact.evse]
        unread = max(site.register - fact.reading.register, Decimal(0))
        self.stories[fact.session] = Story(fact, site.flowed - unread)

    def _ended(self, story: Story, ended: SessionEnded) -> None:
        started = story.started
        flowed = self.sites[started.evse].flowed - story.flowed
        assert ended.register - started.reading.register <= flowed + Decimal("0.01"), "energy was invented"
        energy = billed(ended.register) - billed(started.reading.register)
        assert sum(p.energy for p in ended.periods) == energy, "the periods are not the session"
        assert all(p.energy >= 0 for p in ended.periods)
        assert ended.cost is not None
        assert (ended.refund is None) == (started.profile is Profile.PRIVATE)
        assert ended.at.boot != started.at.boot or ended.at.mono >= started.at.mono
        assert ended.quality

    def _power(self, result: Step) -> None:
        """Promise 1: no power but for a session that is on record."""
        open_at = {s.started.evse for s in self.stories.values() if s.ended is None}
        for effect in result.effects:
            assert not isinstance(effect, Energise) or effect.evse in open_at, "power without a record"
            assert not isinstance(effect, AskCsms) or effect.id_token != PRIVATE, "somebody was asked of a private card"

    def _balance(self, evse: EvseState) -> None:
        """What the register rose by is in sessions, or nobody's: nothing is lost, doubled or invented."""
        view, ledger = evse.meter, self.ledgers.get(evse.id)
        if view.reading is None:
            return
        now = view.reading.register
        epoch = view.distrusted_until, view.reading.serial
        broke = view.distrusted_until is not None and (ledger is None or ledger.epoch != epoch)
        if ledger is None or broke:
            self.old |= self._of(evse.id) if broke else self.broken & self._of(evse.id)
            ledger = self.ledgers[evse.id] = Ledger(now, view.unattributed, epoch)
            assert not broke or evse.session is None, "a session goes on over a broken register"
        of_sessions = sum(self._overlap(self.stories[i], ledger.base, now) for i in self._of(evse.id) - self.old)
        assert of_sessions + view.unattributed - ledger.nobodys == now - ledger.base, "energy is lost or invented"

    def _of(self, evse: EvseId) -> set[SessionId]:
        return {i for i, story in self.stories.items() if story.started.evse == evse}

    def _overlap(self, story: Story, base: Wh, now: Wh) -> Decimal:
        """Return how much of a session's energy lies between two registers."""
        end = now if story.ended is None else min(story.ended.register, now)
        return max(end - max(story.started.reading.register, base), Decimal(0))

    def break_meter(self, site: Site, jump: int, serial: str) -> None:
        """Let the register jump, or mount another meter: what was measured before is of another count.

        A jump is wider than what flows in an example, since a smaller one cannot be seen.
        """
        site.register, site.serial = site.register + jump, serial
        self.broken |= self._of(site.evse)


def trouble(site: Site, what: str) -> None:
    """Let something at a connector fail."""
    match what:
        case "deaf":
            site.deaf = True
        case "fault":
            site.faults, site.charging = ("rcd",), False
        case "meter":
            site.meter_error = "no answer"
        case "controller":
            site.evse_error = "no answer"


def heal(site: Site) -> None:
    """Let everything at a connector work again."""
    site.deaf, site.faults, site.meter_error, site.evse_error = False, (), None, None


class StationMachine(RuleBasedStateMachine):
    """Everything that can happen to a station, in any order."""

    def __init__(self) -> None:
        super().__init__()
        policy = Policy(
            evses=(EvsePolicy(ONE), EvsePolicy(TWO, has_lock=True)),
            tariff=TARIFF,
            settings=Settings(sample_interval_s=20),
        )
        self.wall = Wall(policy=policy)
        known(self.wall, Card(PRIVATE, Profile.PRIVATE))
        for site in self.wall.sites.values():
            site.register = Decimal(100_000_000)

    @initialize(online=st.booleans())
    def begin(self, online: bool) -> None:
        self.wall.restart(down=1.0, reboot=False)
        self.wall.poll()
        if online:
            self.wall.online()

    # --- an ordinary day --------------------------------------------------------------------------------------------

    @rule(evse=st.sampled_from(EVSES), token=st.sampled_from(CARDS), seconds=st.sampled_from([1, 12, 70]))
    def a_driver_arrives_and_charges(self, evse: EvseId, token: IdToken, seconds: int) -> None:
        site = self.wall.sites[evse]
        site.plugged = site.hungry = True
        self.wall.run(1)
        self.wall.do(CardPresented(token))
        if self.wall.state.asking:
            self.wall.do(AuthorizationAnswered(self.wall.state.asking[-1].request, VERDICTS[0]))
        self.wall.run(seconds)

    @precondition(lambda self: self.wall.running)
    @rule(which=st.integers(0, 1), unplugs=st.booleans(), seconds=st.sampled_from([0.5, 2, 16]))
    def a_driver_ends_and_leaves(self, which: int, unplugs: bool, seconds: float) -> None:
        running = self.wall.running
        started = running[which % len(running)].started
        if unplugs:
            self.wall.sites[started.evse].plugged = self.wall.sites[started.evse].charging = False
        else:
            self.wall.do(CardPresented(started.id_token))
        self.wall.run(seconds)

    # --- time and cars ----------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 1, 2, 3, 7, 20, 70]))
    def time_passes(self, seconds: float) -> None:
        self.wall.run(seconds)

    @rule(seconds=st.sampled_from([5, 100, 4000]))
    def nothing_is_heard_for_a_while(self, seconds: int) -> None:
        self.wall.pass_time(seconds)
        self.wall.keep_deadlines()

    @rule(evse=st.sampled_from(EVSES), plugged=st.booleans(), power=st.sampled_from([1, 3599, 11_000]))
    def a_car_comes_or_goes(self, evse: EvseId, plugged: bool, power: int) -> None:
        site = self.wall.sites[evse]
        site.plugged, site.power_w = plugged, power
        site.charging = site.charging and plugged
        self.wall.run(0.25)

    @rule(evse=st.sampled_from(EVSES))
    def a_car_is_full_or_hungry(self, evse: EvseId) -> None:
        self.wall.sites[evse].hungry = not self.wall.sites[evse].hungry

    @rule(evse=st.sampled_from(EVSES), energy=st.sampled_from(["0.001", "1", "7.5"]))
    def energy_flows_past_the_car(self, evse: EvseId, energy: str) -> None:
        self.wall.sites[evse].count(Decimal(energy))

    @rule(hours=st.sampled_from([-1, 1, 12]))
    def the_clock_is_set(self, hours: int) -> None:
        self.wall.wall += timedelta(hours=hours)
        self.wall.do(ClockStepped())

    # --- people and central systems ---------------------------------------------------------------------------------

    @rule(token=st.sampled_from(CARDS))
    def a_card_is_held(self, token: IdToken) -> None:
        self.wall.do(CardPresented(token))

    @precondition(lambda self: self.wall.asked)
    @rule(info=st.sampled_from(VERDICTS), back=st.integers(0, 2))
    def a_question_is_answered(self, info: TokenInfo | None, back: int) -> None:
        asked = self.wall.asked
        self.wall.do(AuthorizationAnswered(asked[-1 - back % len(asked)].request, info))

    @precondition(lambda self: self.wall.stories)
    @rule(info=st.sampled_from(VERDICTS), transaction=st.sampled_from([None, 1, 2]))
    def a_start_is_answered(self, info: TokenInfo | None, transaction: int | None) -> None:
        started = list(self.wall.stories.values())[-1].started
        if started.profile is Profile.FLEET:
            self.wall.do(StartAnswered(started.session, transaction, started.id_token, info))

    @rule(up=st.booleans())
    def the_link_comes_or_goes(self, up: bool) -> None:
        (self.wall.online if up else self.wall.offline)()

    @rule(
        command=st.one_of(
            st.builds(RemoteStart, st.sampled_from(CARDS), st.sampled_from([None, *EVSES]), st.none() | PROFILES),
            st.builds(SetChargingProfile, st.sampled_from([STATION, *EVSES]), PROFILES),
            st.builds(ClearChargingProfiles, st.none() | st.integers(0, 4), st.sampled_from([None, STATION, ONE])),
            st.builds(GetCompositeSchedule, st.sampled_from([STATION, *EVSES]), st.sampled_from([0, 60])),
            st.builds(RemoteStop, st.sampled_from([1, 2])),
            st.builds(StopSession, st.sampled_from(EVSES)),
            st.builds(ChangeAvailability, st.sampled_from([STATION, *EVSES]), st.booleans()),
            st.builds(Reset, st.sampled_from(ResetKind)),
            st.builds(BlockCard, st.sampled_from(CARDS), st.none()),
            st.builds(UnblockCard, st.sampled_from(CARDS)),
            st.builds(ChangeSetting, st.just("stop_on_invalid"), st.booleans()),
            st.builds(ChangeSetting, st.just("stop_on_ev_disconnect"), st.booleans()),
            st.builds(ChangeSetting, st.just("allow_offline_unknown"), st.booleans()),
            st.builds(ChangeSetting, st.just("max_energy_on_invalid_wh"), st.sampled_from([0, 50])),
            st.builds(ChangeSetting, st.just("sample_interval_s"), st.sampled_from([0, 5, 60])),
            st.builds(ChangeSetting, st.just("clock_aligned_interval_s"), st.sampled_from([0, 7, 900])),
            st.builds(ChangeSetting, st.just("connection_timeout_s"), st.sampled_from([0, 2, 60])),
            st.builds(ChangeSetting, st.just("local_pre_authorize"), st.booleans()),
            st.builds(ChangeSetting, st.just("unlock_on_ev_disconnect"), st.booleans()),
            st.builds(CancelReservation, st.integers(1, 3)),
            st.builds(TriggerMessage, st.sampled_from(Trigger), st.sampled_from([None, STATION, *EVSES])),
            st.builds(SendLocalList, st.integers(0, 3), LISTS, full=st.booleans()),
            st.builds(LinkCompany, st.sampled_from(["ACME", "OTHER"])),
            st.just(UnlinkCompany()),
            st.builds(PushCompanyLink, st.sampled_from(["Linked", "Pending", "Rejected"])),
        ),
        origin=st.sampled_from(["cloud", "control"]),
    )
    def something_is_asked_for(self, command: Command, origin: str) -> None:
        self.wall.command(command, origin)

    @rule(
        number=st.integers(1, 3),
        evse=st.sampled_from([STATION, *EVSES]),
        token=st.sampled_from(CARDS),
        group=st.sampled_from([None, FAMILY]),
        seconds=st.sampled_from([0, 5, 90, 4000]),
    )
    def something_is_reserved(
        self, *, number: int, evse: EvseId, token: IdToken, group: IdToken | None, seconds: int
    ) -> None:
        until = self.wall.wall + timedelta(seconds=seconds)
        self.wall.command(ReserveNow(number, evse, token, group, until))

    @rule()
    def somebody_asks_for_the_plug(self) -> None:
        self.wall.ask_for_the_plug()

    @precondition(lambda self: self.wall.locks)
    @rule(opened=st.booleans())
    def a_lock_moves(self, opened: bool) -> None:
        self.wall.move_lock(opened=opened)

    @rule(answer=st.sampled_from([*LinkFailure, LinkAnswer(LinkState.LINKED), LinkAnswer(LinkState.REJECTED)]))
    def the_company_answers(self, answer: LinkAnswer | LinkFailure) -> None:
        self.wall.do(LinkAnswered(self.wall.state.company.code or "NONE", answer))

    # --- what breaks ------------------------------------------------------------------------------------------------

    @rule(evse=st.sampled_from(EVSES), what=st.sampled_from(TROUBLES), seconds=st.sampled_from([1, 4, 20, 65]))
    def a_device_fails_for_a_while(self, evse: EvseId, what: str, seconds: int) -> None:
        site = self.wall.sites[evse]
        trouble(site, what)
        self.wall.run(seconds)
        heal(site)
        self.wall.run(2)

    @rule(evse=st.sampled_from(EVSES), what=st.sampled_from(TROUBLES))
    def a_device_fails(self, evse: EvseId, what: str) -> None:
        trouble(self.wall.sites[evse], what)

    @rule(evse=st.sampled_from(EVSES))
    def a_device_works_again(self, evse: EvseId) -> None:
        heal(self.wall.sites[evse])

    @rule(
        evse=st.sampled_from(EVSES),
        jump=st.sampled_from([-1_000_000, 5_000_000]),
        serial=st.sampled_from("AB"),
        seconds=st.sampled_from([0, 1, 4]),
    )
    def a_register_breaks(self, evse: EvseId, jump: int, serial: str, seconds: int) -> None:
        self.wall.break_meter(self.wall.sites[evse], jump, serial)
        self.wall.run(seconds)

    @rule(seconds=st.sampled_from([1, 30]))
    def the_journal_is_full_for_a_while(self, seconds: int) -> None:
        self.wall.journal_full = True
        self.wall.run(seconds)
        self.wall.journal_full = False

    @rule(down=st.sampled_from([0.1, 10, 2000]), reboot=st.booleans(), seconds=st.sampled_from([0, 1, 3]))
    def the_process_is_killed(self, down: float, reboot: bool, seconds: int) -> None:
        self.wall.restart(down=down, reboot=reboot)
        self.wall.run(seconds)

    @rule(
        event=st.sampled_from(
            [CardPresented(PRIVATE), CardPresented(ALICE), ClockStepped(), ShutdownRequested()],
        ),
        committed=st.booleans(),
    )
    def the_process_is_killed_within_a_step(self, event: Event, committed: bool) -> None:
        self.wall.die_within(event, committed=committed)

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def the_state_and_the_facts_tell_the_same(self) -> None:
        for evse in self.wall.state.evses:
            running = [s for s in self.wall.stories.values() if s.ended is None and s.started.evse == evse.id]
            assert [s.started.session for s in running] == ([] if evse.session is None else [evse.session.id])
            if evse.session is not None:
                assert evse.session.seq == len(running[0].samples) + 1
                assert evse.session.last.register >= running[0].register

    @invariant()
    def time_is_counted_once(self) -> None:
        for session in (e.session for e in self.wall.state.evses if e.session is not None):
            if session.started.boot == self.wall.boot:
                counted_ms = sum(s.charging_ms + s.parking_ms for s in (*session.stretches, session.stretch))
                assert counted_ms <= (self.wall.mono - session.started.mono) * 1000 + 50

    @invariant()
    def profiles_allow_what_a_car_can_use_within_the_installation(self) -> None:
        sessions = {e.session.id: e.session for e in self.wall.state.evses if e.session is not None}
        for evse in self.wall.state.evses:
            allowed = evse.allowed.limit
            assert not allowed or 6_000 <= allowed <= self.wall.policy.evse(evse.id).max_current
            assert allowed is None or evse.session is not None
        for installed in self.wall.state.profiles.values():
            assert installed.session is None or sessions[installed.session].profile is not Profile.PRIVATE

    def teardown(self) -> None:
        """Heal everything, let the cars go, and see everything closed, off and balanced."""
        self.wall.journal_full = False
        for site in self.wall.sites.values():
            heal(site)
            site.plugged = site.charging = False
        self.wall.command(ChangeSetting("stop_on_ev_disconnect", value=True))
        self.wall.command(ChangeSetting("connection_timeout_s", 60))
        for number in (1, 2, 3):
            self.wall.command(CancelReservation(number))
        self.wall.run(90)
        assert not self.wall.state.reservations
        while self.wall.locks:
            self.wall.move_lock(opened=True)
        assert self.wall.answered == self.wall.unlockers, "somebody who asked for the plug was never answered"
        assert all(s.ended is not None for s in self.wall.stories.values())
        assert all(site.limit == 0 for site in self.wall.sites.values())
        assert all(e.session is None and e.grant is None and not e.finishing for e in self.wall.state.evses)


TestStation = pytest.mark.requirement(19, 56, 61)(pytest.mark.timeout(240)(StationMachine.TestCase))
TestStation.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40)
