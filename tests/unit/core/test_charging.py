"""Charging profiles at work: what is taken, what is told, and what controller, session and status make of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from agent.core.charging_commands import ClearChargingProfiles, GetCompositeSchedule, SetChargingProfile
from agent.core.charging_profile import (
    MAX_INSTALLED,
    MAX_PERIODS,
    MAX_STACK_LEVEL,
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Recurrence,
    Schedule,
    SchedulePeriod,
)
from agent.core.commands import Outcome, RemoteStart, Result
from agent.core.company import Company, LinkState
from agent.core.deadlines import next_deadline
from agent.core.effects import Deenergise, Energise, Reduce, ReportStatus
from agent.core.events import ClockStepped
from agent.core.instant import TimeStatus
from agent.core.model import STATION, EvseId, MilliAmp, Reporting
from agent.core.policy import EvsePolicy
from agent.core.state import durable
from tests.unit.core.charger import (
    ALICE,
    BOB,
    NOON,
    ONE,
    PRIVATE,
    TWO,
    Charger,
    a_charger,
    charging,
    fleet,
)

A, W = RateUnit.AMPERE, RateUnit.WATT
PACE_S = 5


def profile(
    *limits: float | tuple[int, float], id_: int = 1, purpose: Purpose = Purpose.TX_DEFAULT, **more: object
) -> ChargingProfile:
    """Return a profile of limits, each from its second on: ``16`` or ``(60, 10)``; more: fields of both its parts."""
    pairs = [limit if isinstance(limit, tuple) else (0, limit) for limit in limits]
    phases = more.pop("phases", None)
    periods = tuple(SchedulePeriod(s, Decimal(str(limit)), phases) for s, limit in pairs)  # type: ignore[arg-type]  # a test's
    schedule = Schedule(more.pop("unit", A), periods, more.pop("duration_s", None), more.pop("start", None))  # type: ignore[arg-type]  # a test's
    kind = Kind.RELATIVE if purpose is Purpose.TX else Kind.ABSOLUTE
    base = ChargingProfile(id_, 0, purpose, kind, schedule)
    return replace(base, **more)  # type: ignore[arg-type]  # a test names fields of ChargingProfile


def put(charger: Charger, what: ChargingProfile, evse: EvseId | None = None) -> Outcome:
    place = evse if evse is not None else ONE if what.purpose is Purpose.TX else STATION
    return charger.command(SetChargingProfile(place, what))


def accepted(charger: Charger, what: ChargingProfile, evse: EvseId | None = None) -> None:
    outcome = put(charger, what, evse)
    assert outcome.result is Result.ACCEPTED, outcome.reason


def clear(charger: Charger, **filters: object) -> bool:
    return charger.command(ClearChargingProfiles(**filters)).result is Result.ACCEPTED  # type: ignore[arg-type]  # a test's


def told(charger: Charger, evse: EvseId = ONE, duration_s: int = 600, unit: RateUnit | None = None) -> list[object]:
    """Return the composite schedule: its unit, and its periods."""
    schedule = charger.command(GetCompositeSchedule(evse, duration_s, unit)).schedule
    assert schedule is not None
    return [schedule.unit.value, *((p.start_s, float(p.limit)) for p in schedule.periods)]


def two() -> Charger:
    """Return a charger with two EVSEs, both of them charging for fleet cards, in order."""
    charger = a_charger(evses=(EvsePolicy(ONE), EvsePolicy(TWO)), same_card_pause_s=0.0)
    charger.online()
    for site, card in zip(charger.sites.values(), (ALICE, BOB), strict=True):
        site.plugged = True
        charger.poll()
        charger.card(card)
        charger.answer()
        charger.run(10)
    return charger


def limits(charger: Charger) -> list[int]:
    return [site.limit for site in charger.sites.values()]


# ---- what the controller is told -------------------------------------------------------------------------------------


def test_a_profile_lowers_the_offer_of_a_running_session_at_once() -> None:
    c = charging()
    accepted(c, profile(10))
    assert c.safety[-1] == Reduce(ONE, MilliAmp(10_000))
    assert c.site.limit == 10_000
    c.run(2)
    assert c.phase == "charging"


def test_clearing_it_gives_the_installations_maximum_back() -> None:
    c = charging()
    accepted(c, profile(10))
    c.run(PACE_S)
    assert clear(c)
    assert c.site.limit == 16_000


def test_a_session_begins_with_its_profiles_limit() -> None:
    c = a_charger()
    accepted(c, profile(8))
    charging(c)
    assert c.all(Energise) == [Energise(ONE, MilliAmp(8_000))]


def test_no_profile_offers_more_than_the_installation() -> None:
    c = charging()
    accepted(c, profile(32))
    c.run(PACE_S)
    assert c.site.limit == 16_000


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        (profile(10.5), 10_500),
        (profile(4000, unit=W, phases=1), 16_000),
        (profile(3000, unit=W, phases=1), 13_000),
        (profile(5000, unit=W), 7_200),
        (profile(10_000, unit=W, phases=3), 14_400),
        (profile(5000, unit=W, phases=2), 10_800),
        (profile(6), 6_000),
        (profile(5.9), 0),
        (profile(4139, unit=W), 0),
        (profile(4140, unit=W), 6_000),
    ],
)
def test_limits_are_rounded_down_to_a_tenth_of_an_ampere(what: ChargingProfile, limit: int) -> None:
    c = charging()
    accepted(c, what)
    c.run(PACE_S)
    assert c.site.limit == limit


def test_on_one_phase_all_of_the_power_is_for_that_phase() -> None:
    c = charging(a_charger(evses=(EvsePolicy(ONE, phases=1),)))
    accepted(c, profile(2300, unit=W))
    assert c.site.limit == 10_000


def test_less_than_a_car_needs_is_a_pause_by_the_station_that_costs_nobody_time() -> None:
    c = charging()
    accepted(c, profile(5.9))
    assert c.safety[-1] == Deenergise(ONE)
    assert c.phase == "suspended-evse"
    assert c.shown == "SuspendedEVSE"
    c.run(60)
    before = c.session.stretch
    c.run(600)
    assert c.session.stretch == before
    accepted(c, profile(6))
    c.run(2)
    assert c.shown == "Charging"
    assert c.site.limit == 6_000


def test_who_limits_is_told() -> None:
    c = charging()
    accepted(c, profile(10.5))
    assert c.said == "limited to 10.5 A by charging profile 1"
    c.run(PACE_S)
    accepted(c, profile(0, id_=7, purpose=Purpose.STATION_MAX))
    assert c.said == "paused by charging profile 7"
    assert c.last(ReportStatus).info == "paused by charging profile 7"
    c.run(PACE_S)
    clear(c)
    assert c.said == "limited to 16 A by the installation"


def test_at_most_one_change_in_five_seconds() -> None:
    c = charging()
    accepted(c, profile(15))
    told_at = [c.mono]
    for ampere in range(14, 6, -1):
        accepted(c, profile(ampere))
        before = c.site.limit
        c.run(1)
        if c.site.limit != before:
            told_at.append(c.mono)
    c.run(PACE_S)
    assert c.site.limit == 7_000
    assert len(told_at) > 1
    assert all(b - a >= PACE_S for a, b in pairwise(told_at))


def test_a_change_that_had_to_wait_is_made_by_a_deadline() -> None:
    c = charging()
    accepted(c, profile(15))
    accepted(c, profile(9))
    assert c.site.limit == 15_000
    assert next_deadline(c.state, c.policy) == c.mono + PACE_S
    c.pass_time(PACE_S)
    c.keep_deadlines()
    assert c.site.limit == 9_000


def test_what_is_a_matter_of_safety_waits_for_no_pace() -> None:
    c = charging()
    accepted(c, profile(15))
    c.site.faults = ("rcd",)
    c.poll_evse()
    assert c.site.limit == 0
    c.site.faults = ()
    c.run(2)
    c.card(PRIVATE)
    assert c.site.limit == 0


def test_periods_change_to_the_second() -> None:
    c = charging()
    accepted(c, profile(16, (30, 10), (60, 0), (90, 6), start=c.wall))
    seen = []
    for _ in range(100):
        seen.append(c.site.limit)
        c.run(1)
    assert seen == [16_000] * 30 + [10_000] * 30 + [0] * 30 + [6_000] * 10


def test_what_is_to_come_is_a_deadline_of_the_core() -> None:
    c = charging()
    c.wall = c.wall.replace(microsecond=250_000)
    accepted(c, profile(16, (30, 10), start=c.wall.replace(microsecond=0)))
    assert next_deadline(c.state, c.policy) == pytest.approx(c.mono + 29.75)


def test_a_relative_schedule_counts_from_the_start_of_the_session_and_pauses_do_not_reset_it() -> None:
    c = a_charger()
    accepted(c, profile(10, (60, 0), (120, 8), kind=Kind.RELATIVE))
    charging(c)
    started = c.session.started.mono
    c.site.hungry = False
    c.run(20)
    c.site.hungry = True
    c.run(started + 59 - c.mono)
    assert c.site.limit == 10_000
    c.run(2)
    assert c.site.limit == 0
    c.run(started + 121 - c.mono)
    assert c.site.limit == 8_000


def test_a_clock_that_is_set_moves_absolute_schedules_and_not_relative_ones() -> None:
    c = a_charger()
    accepted(c, profile(16, (60, 10), kind=Kind.RELATIVE))
    accepted(c, profile((0, 8), id_=2, stack_level=1, start=NOON + timedelta(hours=1), duration_s=600))
    charging(c)
    c.wall += timedelta(hours=1)
    c.do(ClockStepped())
    assert c.site.limit == 8_000
    c.wall += timedelta(hours=1)
    c.do(ClockStepped())
    c.run(PACE_S)
    assert c.site.limit == 16_000
    c.run(60)
    assert c.site.limit == 10_000


def test_without_the_time_the_lowest_limit_counts_that_is_not_none() -> None:
    c = a_charger()
    daily: dict[str, Any] = {"kind": Kind.RECURRING, "recurrence": Recurrence.DAILY, "start": NOON - timedelta(days=1)}
    accepted(c, profile(0, (3600, 7), (7200, 16), **daily))
    c.status, c.wall = TimeStatus.UNKNOWN, NOON.replace(year=1970)
    charging(c)
    assert c.site.limit == 7_000
    c.status, c.wall = TimeStatus.SYNCHRONISED, NOON + timedelta(hours=3)
    c.do(ClockStepped())
    c.run(PACE_S)
    assert c.site.limit == 16_000


def test_a_profile_of_the_session_alone_needs_no_clock() -> None:
    c = a_charger()
    accepted(c, profile(10, (60, 7), kind=Kind.RELATIVE))
    c.status, c.wall = TimeStatus.UNKNOWN, NOON.replace(year=1970)
    charging(c)
    assert c.site.limit == 10_000


# ---- purposes and levels ---------------------------------------------------------------------------------------------


def test_the_sessions_profile_stands_before_the_defaults_and_the_stations_limit_over_both() -> None:
    c = fleet()
    c.answer_start()
    accepted(c, profile(8, id_=1))
    accepted(c, profile(14, id_=2, purpose=Purpose.TX, transaction=42))
    c.run(PACE_S)
    assert c.site.limit == 14_000
    accepted(c, profile(10, id_=3, purpose=Purpose.STATION_MAX))
    c.run(PACE_S)
    assert c.site.limit == 10_000


def test_the_higher_level_rules_while_it_lasts() -> None:
    c = charging()
    accepted(c, profile(12, id_=1, stack_level=0))
    accepted(c, profile(8, id_=2, stack_level=1, duration_s=60))
    assert told(c) == ["A", (0, 8.0), (60, 12.0)]


def test_a_default_of_the_connector_stands_before_that_of_all_at_its_level_only() -> None:
    c = a_charger(evses=(EvsePolicy(ONE), EvsePolicy(TWO)))
    accepted(c, profile(12, id_=1))
    accepted(c, profile(14, id_=2), ONE)
    assert told(c, ONE) == ["A", (0, 14.0)]
    assert told(c, TWO) == ["A", (0, 12.0)]
    accepted(c, profile(10, id_=3, stack_level=1))
    assert told(c, ONE) == ["A", (0, 10.0)]


def test_two_sessions_share_what_the_station_may_draw() -> None:
    c = two()
    accepted(c, profile(20, purpose=Purpose.STATION_MAX))
    c.run(2 * PACE_S)
    assert limits(c) == [10_000, 10_000]
    accepted(c, profile(7, id_=2), ONE)
    c.run(2 * PACE_S)
    assert limits(c) == [7_000, 13_000]


def test_the_session_that_began_later_waits_where_it_is_not_enough_for_both() -> None:
    c = two()
    accepted(c, profile(11, purpose=Purpose.STATION_MAX))
    c.run(2 * PACE_S)
    assert limits(c) == [11_000, 0]
    c.card(ALICE)
    c.run(2 * PACE_S)
    assert limits(c) == [0, 11_000]


def test_a_session_whose_car_charges_badly_with_less_does_not_share_below_that() -> None:
    c = two()
    accepted(c, profile(20, purpose=Purpose.STATION_MAX))
    better = profile(16, id_=2)
    accepted(c, replace(better, schedule=replace(better.schedule, least=Decimal(11))), TWO)
    c.run(2 * PACE_S)
    assert limits(c) == [16_000, 0]
    accepted(
        c,
        replace(
            better,
            schedule=replace(
                better.schedule, unit=W, periods=(SchedulePeriod(0, Decimal(11_040)),), least=Decimal(6900)
            ),
        ),
        TWO,
    )
    c.run(2 * PACE_S)
    assert limits(c) == [10_000, 10_000]


def test_together_they_never_are_offered_more_than_the_station_may_draw() -> None:
    c = a_charger(evses=(EvsePolicy(ONE), EvsePolicy(TWO)))
    accepted(c, profile(20, purpose=Purpose.STATION_MAX))
    most = []
    for site, card in zip(c.sites.values(), (ALICE, BOB), strict=True):
        c.online()
        site.plugged = True
        c.poll()
        c.card(card)
        c.answer()
        for _ in range(12):
            c.run(1)
            most.append(sum(limits(c)))
    assert max(most) == 20_000
    assert limits(c) == [10_000, 10_000]


# ---- what is taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        profile(16, stack_level=MAX_STACK_LEVEL + 1),
        profile(16, stack_level=-1),
        profile(*((s, 6 + s % 2) for s in range(MAX_PERIODS + 1))),
        profile(),
        profile((1, 16)),
        profile(16, (60, 10), (60, 8)),
        profile(16, (60, 10), (30, 8)),
        profile(-1),
        profile(16, phases=4),
        profile(16, phases=0),
        profile(16, duration_s=0),
        profile(16, kind=Kind.RECURRING, recurrence=Recurrence.DAILY),
        profile(16, kind=Kind.RECURRING, start=NOON),
        profile(16, recurrence=Recurrence.DAILY, start=NOON),
        profile(16, valid_to=NOON),
        profile(16, valid_from=NOON + timedelta(days=2), valid_to=NOON + timedelta(days=2)),
        profile(16, transaction=42),
        profile(16, purpose=Purpose.STATION_MAX, kind=Kind.RELATIVE),
    ],
)
def test_a_profile_that_is_wrong_in_itself_is_refused(wrong: ChargingProfile) -> None:
    c = a_charger()
    outcome = put(c, wrong)
    assert outcome.result is Result.REJECTED
    assert c.said == f"charging profile 1 refused: {outcome.reason}"
    assert not c.state.profiles


def test_what_is_at_the_limits_is_taken() -> None:
    c = a_charger()
    accepted(c, profile(*((s, 6 + s % 2) for s in range(MAX_PERIODS)), stack_level=MAX_STACK_LEVEL, phases=3))
    accepted(c, profile(0, id_=2, valid_from=NOON, valid_to=NOON + timedelta(seconds=1), duration_s=1))


@pytest.mark.parametrize(
    ("what", "evse"),
    [
        (profile(16, purpose=Purpose.STATION_MAX), ONE),
        (profile(16, purpose=Purpose.TX), STATION),
        (profile(16, purpose=Purpose.TX), ONE),
        (profile(16), TWO),
        (profile(16), EvseId(-1)),
    ],
)
def test_a_profile_is_refused_where_it_cannot_be(what: ChargingProfile, evse: EvseId) -> None:
    assert put(a_charger(), what, evse).result is Result.REJECTED


def test_nothing_is_limited_where_there_is_no_controller() -> None:
    c = a_charger(evses=(EvsePolicy(ONE, controlled=False),))
    for evse in (STATION, ONE):
        assert put(c, profile(16), evse).result is Result.REJECTED
        assert c.command(GetCompositeSchedule(evse, 60)).result is Result.REJECTED


@pytest.mark.parametrize(("transaction", "taken"), [(42, True), (None, True), (43, False), ("42", False)])
def test_a_sessions_profile_names_its_transaction_or_none(transaction: int | str | None, taken: bool) -> None:
    c = fleet()
    c.answer_start()
    assert (put(c, profile(8, purpose=Purpose.TX, transaction=transaction)).result is Result.ACCEPTED) == taken
    assert c.site.limit == (8_000 if taken else 16_000)


def test_a_session_whose_start_was_not_answered_has_no_transaction_that_could_be_named() -> None:
    c = fleet()
    assert put(c, profile(8, purpose=Purpose.TX, transaction=42)).result is Result.REJECTED
    accepted(c, profile(8, purpose=Purpose.TX))


def test_an_ending_session_takes_no_profile() -> None:
    c = fleet()
    c.card(ALICE)
    assert put(c, profile(8, purpose=Purpose.TX)).result is Result.REJECTED


def test_a_private_session_takes_no_profile_of_its_own() -> None:
    c = charging()
    assert put(c, profile(8, purpose=Purpose.TX)).result is Result.REJECTED
    accepted(c, profile(9))
    assert c.site.limit == 9_000


@pytest.mark.parametrize("state", [LinkState.PENDING, LinkState.REJECTED])
def test_a_session_that_is_not_told_takes_no_profile(state: LinkState) -> None:
    c = a_charger()
    c.state = replace(c.state, company=Company("ACME", state))
    fleet(c)
    assert c.session.reporting is not Reporting.REPORT
    assert put(c, profile(8, purpose=Purpose.TX)).result is Result.REJECTED


def test_the_same_id_replaces_whatever_it_was() -> None:
    c = a_charger()
    accepted(c, profile(8, id_=1))
    accepted(c, profile(10, id_=1, stack_level=3, purpose=Purpose.STATION_MAX))
    assert [i.profile.stack_level for i in c.state.profiles.values()] == [3]


def test_the_same_purpose_level_and_place_replace() -> None:
    c = a_charger()
    accepted(c, profile(8, id_=1))
    accepted(c, profile(9, id_=2), ONE)
    accepted(c, profile(10, id_=3))
    assert sorted(c.state.profiles) == [2, 3]


def test_a_replacement_that_is_valid_later_leaves_a_gap() -> None:
    c = a_charger()
    accepted(c, profile(8))
    accepted(c, profile(10, valid_from=NOON + timedelta(minutes=5)))
    assert told(c) == ["A", (0, 16.0), (300, 10.0)]


def test_a_full_store_takes_only_what_replaces() -> None:
    c = a_charger(evses=(EvsePolicy(ONE), EvsePolicy(TWO)))
    places = [(level, evse) for evse in (STATION, ONE, TWO) for level in range(MAX_STACK_LEVEL + 1)]
    for number, (level, evse) in enumerate(places[:MAX_INSTALLED]):
        accepted(c, profile(8, id_=number, stack_level=level), evse)
    level, evse = places[MAX_INSTALLED]
    assert put(c, profile(8, id_=99, stack_level=level), evse).result is Result.REJECTED
    accepted(c, profile(9, id_=99, stack_level=0))
    accepted(c, profile(9, id_=98, stack_level=0))
    assert len(c.state.profiles) == MAX_INSTALLED


def test_an_absolute_profile_without_a_start_starts_now_or_with_its_session() -> None:
    c = fleet()
    c.run(30)
    accepted(c, profile(16, (60, 8)))
    assert told(c) == ["A", (0, 16.0), (60, 8.0)]
    since = c.mono - c.session.started.mono
    accepted(c, profile(16, (60, 9), id_=2, purpose=Purpose.TX, kind=Kind.ABSOLUTE))
    assert told(c) == ["A", (0, 16.0), (60 - since, 9.0)]


# ---- clearing --------------------------------------------------------------------------------------------------------


def stocked() -> Charger:
    c = fleet()
    accepted(c, profile(16, id_=1))
    accepted(c, profile(16, id_=2), ONE)
    accepted(c, profile(16, id_=3, stack_level=2))
    accepted(c, profile(16, id_=4, purpose=Purpose.TX))
    accepted(c, profile(16, id_=5, purpose=Purpose.STATION_MAX, stack_level=2))
    return c


@pytest.mark.parametrize(
    ("filters", "gone"),
    [
        ({"id": 3}, {3}),
        ({"id": 3, "evse": ONE, "purpose": Purpose.TX, "stack_level": 9}, {3}),
        ({"evse": STATION}, {1, 3, 5}),
        ({"evse": ONE}, {2, 4}),
        ({"purpose": Purpose.TX_DEFAULT}, {1, 2, 3}),
        ({"stack_level": 2}, {3, 5}),
        ({"evse": STATION, "purpose": Purpose.TX_DEFAULT, "stack_level": 2}, {3}),
        ({}, {1, 2, 3, 4, 5}),
        ({"id": 9}, set()),
        ({"evse": TWO}, set()),
        ({"evse": ONE, "stack_level": 2}, set()),
    ],
)
def test_profiles_are_cleared_by_every_filter(filters: dict[str, object], gone: set[int]) -> None:
    c = stocked()
    assert clear(c, **filters) == bool(gone)
    assert {1, 2, 3, 4, 5} - set(c.state.profiles) == gone


# ---- remote start ----------------------------------------------------------------------------------------------------


def remote(charger: Charger, what: ChargingProfile | None, evse: EvseId | None = ONE) -> Outcome:
    return charger.command(RemoteStart(ALICE, evse, what))


def test_a_remote_starts_profile_is_the_sessions_from_its_start() -> None:
    c = a_charger()
    c.online()
    c.plug()
    assert remote(c, profile(10, (60, 8), purpose=Purpose.TX)).result is Result.ACCEPTED
    assert c.all(Energise) == [Energise(ONE, MilliAmp(10_000))]
    c.answer_start()
    accepted(c, profile(9, id_=7, purpose=Purpose.TX, transaction=42))
    assert [i.profile.id for i in c.state.profiles.values()] == [7]


def test_a_profile_waits_for_the_plug_and_the_verdict_with_its_remote_start() -> None:
    c = a_charger(lambda s: replace(s, authorize_remote=True))
    c.online()
    assert remote(c, profile(10, purpose=Purpose.TX)).result is Result.ACCEPTED
    c.answer()
    c.run(10)
    c.plug()
    c.run(5)
    assert c.site.limit == 10_000


@pytest.mark.parametrize(
    "wrong",
    [
        profile(10),
        profile(10, purpose=Purpose.STATION_MAX),
        profile(10, purpose=Purpose.TX, transaction=42),
        profile(10, purpose=Purpose.TX, stack_level=99),
    ],
)
def test_a_remote_start_with_a_wrong_profile_is_refused(wrong: ChargingProfile) -> None:
    c = a_charger()
    c.online()
    c.plug()
    assert remote(c, wrong).result is Result.REJECTED
    assert c.evse.session is None


def test_a_private_card_is_not_started_with_a_profile() -> None:
    c = a_charger()
    c.online()
    c.plug()
    given = RemoteStart(PRIVATE, ONE, profile(10, purpose=Purpose.TX))
    assert c.command(given).result is Result.REJECTED


def test_a_promise_is_void_for_another_session() -> None:
    c = a_charger()
    c.online()
    assert remote(c, profile(10, purpose=Purpose.TX)).result is Result.ACCEPTED
    c.run(70)
    fleet(c, BOB)
    assert c.site.limit == 16_000
    assert c.evse.promised is None
    assert not c.state.profiles


def test_the_next_remote_start_does_not_inherit_a_profile() -> None:
    c = a_charger()
    c.online()
    remote(c, profile(10, purpose=Purpose.TX))
    c.run(70)
    assert remote(c, None).result is Result.ACCEPTED
    c.plug()
    assert c.site.limit == 16_000


# ---- what lasts ------------------------------------------------------------------------------------------------------


def test_a_sessions_profile_ends_with_it() -> None:
    c = fleet()
    accepted(c, profile(8, id_=1, purpose=Purpose.TX))
    accepted(c, profile(12, id_=2))
    c.card(ALICE)
    assert list(c.state.profiles) == [2]
    c.run(5)
    c.unplug()
    fleet(c)
    assert c.site.limit == 12_000


@pytest.mark.parametrize("reboot", [False, True])
def test_profiles_last_over_a_restart_and_go_on_where_they_are(reboot: bool) -> None:
    c = fleet()
    began = c.session.started.wall
    accepted(c, profile(14, id_=1, purpose=Purpose.STATION_MAX))
    accepted(c, profile(12, (120, 7), id_=2, purpose=Purpose.TX))
    c.crash(reboot=reboot)
    c.run(PACE_S)
    assert sorted(c.state.profiles) == [1, 2]
    assert c.site.limit == 12_000
    c.run((began + timedelta(seconds=121) - c.wall).total_seconds())
    assert c.site.limit == 7_000


def test_a_session_that_does_not_survive_a_restart_takes_its_profile_along() -> None:
    c = fleet()
    accepted(c, profile(8, purpose=Purpose.TX))
    c.crash(down=2000)
    c.run(20)
    assert c.evse.session is None
    assert not c.state.profiles


def test_a_poll_writes_no_profile_again() -> None:
    c = fleet()
    accepted(c, profile(8, (30, 9)))
    before = durable(c.state).profiles
    c.run(60)
    assert durable(c.state).profiles is before


def test_while_the_ledger_is_full_nothing_is_promised() -> None:
    c = charging()
    c.journal_full = True
    put(c, profile(10))
    assert not c.state.profiles


# ---- composite schedules ---------------------------------------------------------------------------------------------


def test_without_profiles_the_installation_limits() -> None:
    assert told(a_charger()) == ["A", (0, 16.0)]
    assert told(a_charger(), unit=W) == ["W", (0, 11_040.0)]


def test_a_schedule_is_told_in_the_rulers_unit_or_the_one_asked_for() -> None:
    c = a_charger()
    accepted(c, profile(5000, (60, 20_000), unit=W))
    assert told(c) == ["W", (0, 5000.0), (60, 11_040.0)]
    assert told(c, unit=A) == ["A", (0, 7.2), (60, 16.0)]


def test_an_idle_connector_is_told_of_as_if_a_session_began_now() -> None:
    c = a_charger()
    accepted(c, profile(10, (60, 8), kind=Kind.RELATIVE))
    c.run(100)
    assert told(c) == ["A", (0, 10.0), (60, 8.0)]


def test_of_a_private_session_not_even_the_start_is_told() -> None:
    c = a_charger()
    accepted(c, profile(10, (60, 8), kind=Kind.RELATIVE))
    charging(c)
    c.run(20)
    assert told(c) == ["A", (0, 10.0), (60, 8.0)]


def test_the_station_is_told_of_as_the_sum_within_its_limit() -> None:
    c = a_charger(evses=(EvsePolicy(ONE), EvsePolicy(TWO)))
    assert told(c, STATION) == ["A", (0, 32.0)]
    accepted(c, profile(20, purpose=Purpose.STATION_MAX, duration_s=60))
    assert told(c, STATION) == ["A", (0, 20.0), (60, 32.0)]
    accepted(c, profile(6, id_=2), ONE)
    assert told(c, STATION) == ["A", (0, 20.0), (60, 22.0)]


def test_a_schedule_is_told_for_a_week_at_most() -> None:
    c = a_charger()
    schedule = c.command(GetCompositeSchedule(ONE, 10**12)).schedule
    assert schedule is not None
    assert schedule.duration_s == 7 * 86_400
    assert c.command(GetCompositeSchedule(ONE, -1)).result is Result.REJECTED
    assert c.command(GetCompositeSchedule(TWO, 60)).result is Result.REJECTED


def test_a_schedule_with_no_end_of_changes_is_cut_short() -> None:
    c = a_charger()
    start = NOON - timedelta(days=1)
    daily: dict[str, Any] = {"kind": Kind.RECURRING, "recurrence": Recurrence.DAILY, "start": start}
    for level in range(10):
        steps = ((s * 10 + level, 6 + s % 9) for s in range(1, MAX_PERIODS))
        accepted(c, profile(16, *steps, id_=level, stack_level=level, **daily))
    schedule = c.command(GetCompositeSchedule(ONE, 7 * 86_400)).schedule
    assert schedule is not None
    assert len(schedule.periods) <= 1000
    assert 0 < schedule.duration_s < 7 * 86_400
    assert schedule.periods[-1].start_s < schedule.duration_s
