"""Composite schedules against a slow obvious one: every profile is painted on a strip of seconds.

The oracle knows no edges, no bisection and no merging: it paints occurrence after occurrence, period after period.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.charging_profile import (
    ChargingProfile,
    Installed,
    Kind,
    Purpose,
    RateUnit,
    Recurrence,
    Schedule,
    SchedulePeriod,
    flaw,
    milliseconds,
)
from agent.core.charging_schedule import Outlet, composite, next_edge, parted, rates_at
from agent.core.model import STATION, EvseId, SessionId

ONE, TWO = EvseId(1), EvseId(2)
START = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)
"""Half a minute before the clocks of Europe go forward, which schedules shall not notice."""
WINDOW_S = 90
SESSION = SessionId("session")
DAYS = {Recurrence.DAILY: 1, Recurrence.WEEKLY: 7}


@dataclass(frozen=True)
class World:
    """What is installed on one EVSE, and what is asked of it; began_s: the session's start, seconds from START."""

    installed: tuple[Installed, ...]
    began_s: int
    current: Decimal
    phases: int
    unit: RateUnit

    @property
    def outlet(self) -> Outlet:
        began = START + timedelta(seconds=self.began_s)
        return Outlet(ONE, self.current, self.phases, milliseconds(began), SESSION)


# ---- the oracle ------------------------------------------------------------------------------------------------------


def painted(profile: ChargingProfile, began: datetime) -> list[SchedulePeriod | None]:
    """Return what a profile says in each second of the window."""
    strip: list[SchedulePeriod | None] = [None] * WINDOW_S
    for begin, length in occurrences(profile, began):
        for period in profile.schedule.periods:
            for second in range(WINDOW_S):
                inside = (START + timedelta(seconds=second) - begin).total_seconds()
                if period.start_s <= inside < length:
                    strip[second] = period
    for second in range(WINDOW_S):
        now = START + timedelta(seconds=second)
        early = profile.valid_from is not None and now < profile.valid_from
        late = profile.valid_to is not None and now >= profile.valid_to
        if early or late:
            strip[second] = None
    return strip


def occurrences(profile: ChargingProfile, began: datetime) -> list[tuple[datetime, float]]:
    """Return each begin of a schedule up to the window's end, and for how many seconds it lasts."""
    length = float("inf") if profile.schedule.duration_s is None else profile.schedule.duration_s
    begin = began if profile.kind is Kind.RELATIVE else profile.schedule.start
    assert begin is not None
    if profile.recurrence is None:
        return [(begin, length)]
    found = []
    while begin < START + timedelta(seconds=WINDOW_S):
        found.append((begin, min(length, DAYS[profile.recurrence] * 86_400)))
        begin += timedelta(days=DAYS[profile.recurrence])
    return found


def in_unit(period: SchedulePeriod, unit: RateUnit, world: World) -> Fraction:
    phases = min(period.phases if period.phases is not None else 3, world.phases)
    limit = Fraction(period.limit)
    if unit is world.unit:
        return limit
    return limit * 230 * phases if unit is RateUnit.AMPERE else limit / (230 * phases)


def expected(world: World) -> list[Fraction]:
    """Return the limit in each second, in the unit asked for."""
    began = START + timedelta(seconds=world.began_s)
    strips = [(each, painted(each.profile, began)) for each in world.installed]
    return [second_of(world, strips, second) for second in range(WINDOW_S)]


def second_of(world: World, strips: list[tuple[Installed, list[SchedulePeriod | None]]], second: int) -> Fraction:
    says = [(each, strip[second]) for each, strip in strips]
    found = [(each, period) for each, period in says if period is not None]
    limits = [in_unit(SchedulePeriod(0, world.current, world.phases), RateUnit.AMPERE, world)]
    tx = [pair for pair in found if pair[0].profile.purpose is Purpose.TX]
    defaults = [pair for pair in found if pair[0].profile.purpose is Purpose.TX_DEFAULT]
    mine = {each.profile.stack_level for each, _ in defaults if each.evse == ONE}
    defaults = [(e, p) for e, p in defaults if e.evse == ONE or e.profile.stack_level not in mine]
    most = [pair for pair in found if pair[0].profile.purpose is Purpose.STATION_MAX]
    for candidates in (tx or defaults, most):
        if candidates:
            each, period = max(candidates, key=lambda pair: pair[0].profile.stack_level)
            limits.append(in_unit(period, each.profile.schedule.unit, world))
    return min(limits)


# ---- worlds ----------------------------------------------------------------------------------------------------------

SECONDS = st.integers(-20, WINDOW_S + 20)
LIMITS = st.decimals(0, 40, places=1)


@st.composite
def schedules(draw: st.DrawFn, kind: Kind, recurrence: Recurrence | None) -> Schedule:
    unit = draw(st.sampled_from(RateUnit))
    back = 0
    if recurrence is not None:
        back = DAYS[recurrence] * 86_400 * draw(st.integers(0, 3))
    start = START + timedelta(seconds=draw(SECONDS) - back)
    starts = sorted({0, *draw(st.lists(st.integers(1, 120), max_size=4))})
    scale = 1 if unit is RateUnit.AMPERE else 690
    periods = tuple(SchedulePeriod(s, draw(LIMITS) * scale, draw(st.sampled_from([None, 1, 2, 3]))) for s in starts)
    duration = draw(st.none() | st.integers(1, 200) | st.just(8 * 86_400))
    return Schedule(unit, periods, duration, None if kind is Kind.RELATIVE else start)


@st.composite
def profiles(draw: st.DrawFn, number: int) -> Installed:
    purpose = draw(st.sampled_from(Purpose))
    kinds = [Kind.ABSOLUTE, Kind.RECURRING] + [Kind.RELATIVE] * (purpose is not Purpose.STATION_MAX)
    kind = draw(st.sampled_from(kinds))
    recurrence = draw(st.sampled_from(Recurrence)) if kind is Kind.RECURRING else None
    moments = st.none() | SECONDS.map(lambda s: START + timedelta(seconds=s))
    evse = {Purpose.STATION_MAX: STATION, Purpose.TX: ONE}.get(purpose)
    profile = ChargingProfile(
        id=number,
        stack_level=draw(st.integers(0, 3)),
        purpose=purpose,
        kind=kind,
        schedule=draw(schedules(kind, recurrence)),
        recurrence=recurrence,
        valid_from=draw(moments),
        valid_to=draw(moments),
    )
    where = draw(st.sampled_from([STATION, ONE, TWO])) if evse is None else evse
    return Installed(profile, where, SESSION if purpose is Purpose.TX else None)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    sets = [draw(profiles(number)) for number in range(draw(st.integers(0, 6)))]
    places = {(i.profile.purpose, i.profile.stack_level, i.evse): i for i in sets}
    return World(
        tuple(i for i in places.values() if i.evse != TWO),
        draw(st.integers(-60, 0)),
        draw(st.sampled_from([Decimal(16), Decimal(32), Decimal("13.5")])),
        draw(st.sampled_from([1, 3])),
        draw(st.sampled_from(RateUnit)),
    )


def spread(periods: tuple[SchedulePeriod, ...]) -> list[Decimal]:
    """Return the limit in each second of the window."""
    return [[p.limit for p in periods if p.start_s <= second][-1] for second in range(WINDOW_S)]


@given(worlds())
def test_a_composite_schedule_says_in_each_second_what_painting_it_says(world: World) -> None:
    begin = milliseconds(START)
    window = (begin, begin + WINDOW_S * 1000)
    periods, end = composite(world.installed, [world.outlet], window, unit=world.unit, asked=[ONE])
    wanted = [Decimal(floor(limit * 10)) / 10 for limit in expected(world)]
    assert spread(periods) == wanted
    assert end == window[1]
    assert periods[0].start_s == 0
    neighbours = pairwise(periods)
    assert all(a.start_s < b.start_s and (a.limit, a.phases) != (b.limit, b.phases) for a, b in neighbours)


@given(worlds(), st.integers(0, WINDOW_S - 1))
def test_nothing_changes_before_the_next_edge(world: World, second: int) -> None:
    at = milliseconds(START) + second * 1000
    edge = next_edge(world.installed, [world.outlet], at)
    assert edge is None or edge > at
    limits = expected(world)
    before_edge = [s for s in range(second, WINDOW_S) if edge is None or milliseconds(START) + s * 1000 < edge]
    assert len({limits[s] for s in before_edge}) == 1
    now = rates_at(world.installed, [world.outlet], at, world.unit)[ONE]
    assert abs(Fraction(now.of(world.unit)) - limits[second]) < Fraction(1, 10**9)


@given(worlds(), st.sampled_from([0, 1, 2]))
def test_profiles_of_another_connector_or_session_do_not_count(world: World, place: int) -> None:
    strange = [
        Installed(i.profile, (ONE, TWO, ONE)[place], SessionId("other"))
        if i.profile.purpose is Purpose.TX
        else Installed(i.profile, TWO if i.profile.purpose is Purpose.TX_DEFAULT else i.evse)
        for i in world.installed
    ]
    kept = [i for i in world.installed if i.profile.purpose is Purpose.STATION_MAX]
    at = milliseconds(START)
    assert rates_at(strange, [world.outlet], at, world.unit) == rates_at(kept, [world.outlet], at, world.unit)


WISHES = st.dictionaries(st.sampled_from([EvseId(n) for n in range(1, 5)]), st.decimals(0, 40, places=1), min_size=1)


@given(st.decimals(0, 80, places=1), WISHES, st.lists(st.sampled_from([0, 6, 10]).map(Decimal), min_size=4, max_size=4))
def test_what_a_station_may_draw_is_shared_and_never_exceeded(
    most: Decimal, wishes: dict[EvseId, Decimal], needed: list[Decimal]
) -> None:
    least = Decimal(6)
    needs = {evse: min(max(least, need), wishes[evse]) for evse, need in zip(wishes, needed, strict=False)}
    parts = parted(most, wishes, needs, least)
    usable = {evse: part for evse, part in parts.items() if part >= least}
    assert sum(usable.values(), Decimal(0)) <= most + Decimal("1e-20")
    assert all(part <= wishes[evse] for evse, part in parts.items())
    assert len(usable) < 2 or all(part >= needs[evse] - Decimal("1e-20") for evse, part in usable.items())
    charging = [evse for evse, wish in wishes.items() if wish >= least]
    if most >= least and charging:
        assert charging[0] in usable, "who began first charges"
    cut = [part for evse, part in usable.items() if part < wishes[evse]]
    assert max(cut, default=Decimal(0)) - min(cut, default=Decimal(0)) < Decimal("1e-20"), "even parts"
    if cut and len(usable) == len(charging):
        assert sum(usable.values()) > most - Decimal("1e-20"), "nothing is left lying about"


@pytest.mark.parametrize("year", [1, 9999])
def test_schedules_at_the_ends_of_the_calendar_break_nothing(year: int) -> None:
    far = datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
    schedule = Schedule(
        RateUnit.WATT, (SchedulePeriod(0, Decimal(2**62)), SchedulePeriod(2**62, Decimal(0))), 2**63, far
    )
    for recurrence in (None, Recurrence.WEEKLY):
        kind = Kind.ABSOLUTE if recurrence is None else Kind.RECURRING
        profile = ChargingProfile(1, 0, Purpose.TX_DEFAULT, kind, schedule, recurrence, valid_from=far)
        assert flaw(profile, START) is None
        at = milliseconds(START)
        outlet = Outlet(ONE, Decimal(16), 3, at)
        installed = [Installed(profile, STATION)]
        periods, end = composite(installed, [outlet], (at, at + 60_000), unit=RateUnit.AMPERE, asked=[ONE])
        assert [p.limit for p in periods] == [16]
        assert end == at + 60_000
