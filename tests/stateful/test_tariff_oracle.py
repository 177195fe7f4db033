"""The tariff against a slow oracle: a session watt-hour by watt-hour and second by second, each priced by itself.

The fast way reads the register at the boundaries that ``next_boundary`` names, at the first second after a limit of
energy, and where the draw changes, and prices whole stretches; the oracle knows no boundaries, no stretches and no
Decimal: it works with fractions, and reads the tariff anew for every second, and within it for every side of a limit.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.calendar import Weekday
from agent.core.model import Wh
from agent.core.prices import PriceBlock
from agent.core.prices_boundaries import band, next_boundary
from agent.core.prices_cost import Consumption, cost, energy_limits, priced, refund
from agent.core.prices_limits import Price
from agent.core.tariff import (
    Basis,
    Cost,
    Dimension,
    Draw,
    Element,
    PriceComponent,
    Restrictions,
    Tariff,
    Terms,
)

MW = 1000
"""Power is given in whole milliwatthours a second, so that the fractions stay small."""
#: Quantities in one unit of a step, and in one unit of a price.
UNITS = {
    Dimension.ENERGY: (MW, 1000 * MW),
    Dimension.TIME: (1, 3600),
    Dimension.PARKING_TIME: (1, 3600),
    Dimension.FLAT: (1, 1),
}
STEPS = {d: d is not Dimension.FLAT for d in Dimension}
DAYS = list(Weekday)


@dataclass(frozen=True)
class Minute:
    """A minute of a session: what it draws each second in mWh, and whether it charges, parks, or is held back."""

    draws: int
    state: str

    @property
    def draw(self) -> Draw:
        """What a meter would tell: at 230 V over all phases."""
        watt = Decimal(self.draws * 3600) / MW
        return Draw(watt, watt / 230)


@dataclass(frozen=True)
class Now:
    """Where a session stands: local time, mWh drawn, seconds since it began, mWh a second that it draws."""

    local: datetime
    moment: datetime
    drawn: int
    second: int
    draws: int


# --- the oracle ------------------------------------------------------------------------------------------------------


def applies(element: Element, now: Now) -> bool:
    """Tell whether an element holds, in plain words of the tariff."""
    return in_hours(element.restrictions, now.local) and in_ranges(element.restrictions, now)


def in_hours(limits: Restrictions, local: datetime) -> bool:
    second = local.hour * 3600 + local.minute * 60 + local.second
    first = 0 if limits.start is None else limits.start.hour * 3600 + limits.start.minute * 60
    last = 0 if limits.end is None else limits.end.hour * 3600 + limits.end.minute * 60
    last = last or 86_400
    day = DAYS[local.weekday()]
    if first < last:
        inside = first <= second < last
    elif second >= first:
        inside = True
    else:
        inside, day = second < last, DAYS[(local.weekday() - 1) % 7]
    return inside and (not limits.days or day in limits.days)


def in_ranges(limits: Restrictions, now: Now) -> bool:
    today, watt = now.local.date(), Fraction(now.draws * 3600, MW)
    if (limits.start_date and today < limits.start_date) or (limits.end_date and today >= limits.end_date):
        return False
    ranges = [
        (limits.min_kwh, limits.max_kwh, Fraction(now.drawn, 1000 * MW)),
        (limits.min_power, limits.max_power, watt / 1000),
        (limits.min_current, limits.max_current, watt / 230),
        (limits.min_duration, limits.max_duration, Fraction(now.second)),
    ]
    for least, most, value in ranges:
        if (least is not None and value < Fraction(least)) or (most is not None and value >= Fraction(most)):
            return False
    return limits.reservation is None


def found(terms: Terms, dimension: Dimension, now: Now) -> PriceComponent | None:
    component = listed(terms.tariff, dimension, now)
    if dimension is Dimension.ENERGY and terms.basis is Basis.HOURLY:
        (block,) = terms.prices
        number = int((now.moment - block.start).total_seconds()) // (60 * block.step_min)
        vat = component.vat if component else None
        return PriceComponent(dimension, block.prices[number], vat, component.step_size if component else 1)
    return component


def listed(tariff: Tariff, dimension: Dimension, now: Now) -> PriceComponent | None:
    for element in tariff.elements:
        for component in element.components if applies(element, now) else ():
            if component.dimension is dimension:
                return component
    return None


def cents(amount: Fraction) -> int:
    return floor(amount * 100 + Fraction(1, 2))


@dataclass
class Used:
    """What was used of a dimension at each of its prices, and which of them came last."""

    at: dict[PriceComponent, int] = field(default_factory=dict)
    last: PriceComponent | None = None

    def add(self, component: PriceComponent, quantity: int) -> None:
        self.at[component] = self.at.get(component, 0) + quantity
        self.last = component

    def amounts(self, unit: int, per: int, *, steps: bool) -> dict[Fraction, Fraction]:
        """Return the exact amount for each VAT rate; the step of the last price rounds the sum up."""
        rates: dict[Fraction, Fraction] = {}
        if self.last is not None and steps and self.last.step_size > 1:
            total, step = sum(self.at.values()), self.last.step_size * unit
            self.add(self.last, ceil(Fraction(total, step)) * step - total)
        for component, quantity in self.at.items():
            rate = Fraction(component.vat or 0)
            rates[rate] = rates.get(rate, Fraction(0)) + Fraction(component.price) * quantity / per
        return rates


def oracle(terms: Terms, start: datetime, minutes: list[Minute]) -> tuple[dict[Dimension, int], int]:
    """Return the cents of each component, and of VAT."""
    used = {d: Used() for d in Dimension}
    zone = ZoneInfo(terms.timezone)
    total = 0
    for second in range(60 * len(minutes)):
        minute = minutes[second // 60]
        moment = start + timedelta(seconds=second)
        for number, (begin, end) in enumerate(sides(terms.tariff, total, total + minute.draws)):
            now = Now(moment.astimezone(zone), moment, begin, second, minute.draws)
            for dimension, quantity in drawn(minute, end - begin, first=number == 0).items():
                once = dimension is not Dimension.FLAT or not used[Dimension.FLAT].at
                component = found(terms, dimension, now) if quantity and once else None
                if component is not None:
                    used[dimension].add(component, quantity)
        total += minute.draws
    parked = bool(used[Dimension.PARKING_TIME].at)
    amounts = {
        d: u.amounts(*UNITS[d], steps=STEPS[d] and not (d is Dimension.TIME and parked)) for d, u in used.items()
    }
    rounded = {d: {rate: cents(amount) for rate, amount in rates.items()} for d, rates in amounts.items()}
    vat = sum(cents(Fraction(c, 100) * rate / 100) for rates in rounded.values() for rate, c in rates.items())
    return {d: sum(rates.values()) for d, rates in rounded.items()}, vat


def sides(tariff: Tariff, begin: int, end: int) -> list[tuple[int, int]]:
    """Return what a second draws, on each side of the limits of energy that it passes; mWh since the session began."""
    limits = {k for e in tariff.elements for k in (e.restrictions.min_kwh, e.restrictions.max_kwh) if k}
    inside = sorted(int(k * 1000 * MW) for k in limits if begin < k * 1000 * MW < end)
    edges = [begin, *inside, end]
    return list(itertools.pairwise(edges))


def drawn(minute: Minute, energy: int, *, first: bool) -> dict[Dimension, int]:
    """Return what a side of a second uses: mWh, the second itself with the first side, and one piece."""
    return {
        Dimension.ENERGY: energy,
        Dimension.TIME: int(first and minute.state == "charges"),
        Dimension.PARKING_TIME: int(first and minute.state == "parks"),
        Dimension.FLAT: 1,
    }


# --- the way the station does it ------------------------------------------------------------------------------------


def stretches(terms: Terms, start: datetime, minutes: list[Minute]) -> Iterator[Consumption]:
    """Split a session as readings every second would split it."""
    end, here = 60 * len(minutes), 0
    while here < end:
        there = min(next_split(terms, start, minutes, here), end)
        yield between(start, minutes, here, there)
        here = there


def next_split(terms: Terms, start: datetime, minutes: list[Minute], here: int) -> int:
    """Return the second at which a stretch ends: at a boundary, after a limit of energy, or where the draw changes."""
    boundary = next_boundary(terms, start + timedelta(seconds=here), start)
    last = 60 * len(minutes) if boundary is None else round((boundary - start).total_seconds())
    energy = [sum(minutes[s // 60].draws for s in range(here))]
    limits = [limit for limit in energy_limits(terms.tariff) if limit * MW > energy[0]]
    drawing = band(terms.tariff, minutes[here // 60].draw)
    for second in range(here + 1, min(last, 60 * len(minutes))):
        energy.append(energy[-1] + minutes[(second - 1) // 60].draws)
        crossed = any(limit * MW <= energy[-1] for limit in limits)
        if crossed or band(terms.tariff, minutes[second // 60].draw) != drawing:
            return second
    return last


def between(start: datetime, minutes: list[Minute], first: int, last: int) -> Consumption:
    seconds = [minutes[s // 60] for s in range(first, last)]
    return Consumption(
        start + timedelta(seconds=first),
        Wh(Decimal(sum(m.draws for m in seconds)) / MW),
        Decimal(sum(m.state == "charges" for m in seconds)),
        Decimal(sum(m.state == "parks" for m in seconds)),
        seconds[0].draw,
        Decimal(first),
    )


# --- what is compared ------------------------------------------------------------------------------------------------

clocks = st.none() | st.builds(time, st.integers(0, 23), st.sampled_from([0, 0, 30, 59]))
days = st.lists(st.sampled_from(DAYS), unique=True, max_size=4).map(tuple)
components = st.builds(
    PriceComponent,
    st.sampled_from(Dimension),
    st.decimals(0, 9, places=4),
    st.none() | st.sampled_from([Decimal(0), Decimal(9), Decimal(21), Decimal("5.5")]),
    st.sampled_from([1, 1, 7, 60, 500, 3600]),
)


def a_range(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Return a least and a most, each of which may be missing."""
    return st.tuples(st.none() | values, st.none() | values).map(
        lambda pair: (min(pair), max(pair)) if None not in pair and pair[0] != pair[1] else (pair[0], None)
    )


def restrictions(
    clock: tuple[Any, Any], days: tuple[Weekday, ...], dates: tuple[Any, Any], ranged: tuple[str, tuple[Any, Any]]
) -> Restrictions:
    limited, (kind, limits) = Restrictions(*clock, days, *dates), ranged
    return replace(limited, **{f"min_{kind}": limits[0], f"max_{kind}": limits[1]}) if kind else limited


kwh = st.sampled_from(["0.001", "0.5", "1", "1.0005", "2.5", "7.3333"]).map(Decimal)
kinds = st.one_of(
    st.tuples(st.just(""), st.just((None, None))),
    st.tuples(st.just("kwh"), a_range(kwh)),
    st.tuples(st.just("power"), a_range(st.sampled_from(["3.5964", "3.6", "10.998", "11"]).map(Decimal))),
    st.tuples(st.just("current"), a_range(st.sampled_from([1, 16, 47, 48]).map(Decimal))),
    st.tuples(st.just("duration"), a_range(st.integers(1, 4500))),
)
dates = a_range(st.dates(date(2026, 1, 1), date(2027, 1, 2)) | st.sampled_from([date(2026, 3, 29), date(2026, 10, 25)]))
limited = st.tuples(clocks, clocks).flatmap(
    lambda clock: st.tuples(st.just(clock), days, st.just((None, None)) | dates, kinds).map(
        lambda parts: restrictions(*parts)
    )
)
elements = st.builds(
    Element,
    st.lists(components, min_size=1, max_size=4, unique_by=lambda c: c.dimension).map(tuple),
    limited,
)
tariffs = st.builds(Tariff, st.just("EUR"), st.lists(elements, min_size=1, max_size=4).map(tuple))
zones = st.sampled_from(["Europe/Amsterdam", "UTC", "America/St_Johns"])
percentages = st.none() | st.decimals(0, 100, places=1)
terms_of = st.builds(Terms, tariffs, zones, percentages)
steps = st.sampled_from([15, 30, 60])
market = st.decimals(Decimal("-0.2"), Decimal("0.9"), places=5)


#: An hour before the clocks are changed: in Amsterdam, and in St. John's.
DST_NIGHTS = [
    *(datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 29), (10, 25))),
    *(datetime(2026, month, day, 4, 30, tzinfo=UTC) for month, day in ((3, 8), (11, 1))),
]
starts = st.one_of(
    st.tuples(st.sampled_from(DST_NIGHTS), st.integers(0, 120)).map(lambda x: x[0] + timedelta(minutes=x[1])),
    st.integers(0, 366 * 86_400).map(lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s)),
)
minutes_of = st.lists(
    st.tuples(
        st.builds(Minute, st.sampled_from([0, 1, 999, 3055, 3056]), st.sampled_from(["charges", "parks", "held"])),
        st.integers(1, 25),
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: [minute for minute, count in parts for _ in range(count)])


def shown(total: Cost) -> tuple[dict[Dimension, int], int]:
    amounts = {
        Dimension.ENERGY: total.energy,
        Dimension.TIME: total.time,
        Dimension.PARKING_TIME: total.parking,
        Dimension.FLAT: total.fixed,
    }
    return {d: int(a * 100) for d, a in amounts.items()}, int(total.vat * 100)


def by_the_hour(terms: Terms, start: datetime, step: int, prices: list[Decimal]) -> Terms:
    """Return terms with a price for each step from the full hour before a session on, over and over."""
    block = PriceBlock(start.replace(minute=0, second=0), step, tuple(itertools.islice(itertools.cycle(prices), 24)))
    return replace(terms, basis=Basis.HOURLY, prices=(block,))


@pytest.mark.requirement(57)
@pytest.mark.timeout(120)
@settings(max_examples=200)
@given(terms_of, starts, minutes_of, st.tuples(steps, st.lists(market, min_size=1, max_size=5)))
def test_energy_by_the_hour_costs_what_its_watt_hours_cost(
    terms: Terms, start: datetime, minutes: list[Minute], market_prices: tuple[int, list[Decimal]]
) -> None:
    hourly = by_the_hour(terms, start, *market_prices)
    used = list(stretches(hourly, start, minutes))
    assert priced(hourly, used)
    assert shown(cost(hourly, used)) == oracle(hourly, start, minutes)


@pytest.mark.requirement(57)
@settings(max_examples=200)
@given(terms_of, starts, minutes_of, st.tuples(market.map(abs), market.map(abs)))
def test_a_session_keeps_within_its_least_and_its_most_price(
    terms: Terms, start: datetime, minutes: list[Minute], bounds: tuple[Decimal, Decimal]
) -> None:
    least, most = (Price(amount * 10, amount * 12) for amount in sorted(bounds))
    used = list(stretches(terms, start, minutes))
    free = cost(terms, used)
    total = cost(replace(terms, tariff=replace(terms.tariff, min_price=least, max_price=most)), used)
    cent = Decimal("0.01")
    assert least.excl_vat - cent < total.excl_vat < most.excl_vat + cent
    assert most.incl_vat is not None
    assert total.incl_vat < most.incl_vat + cent
    assert total.excl_vat == free.excl_vat + total.surcharge
    assert total.incl_vat == total.excl_vat + total.vat


@pytest.mark.requirement(57)
@pytest.mark.timeout(120)
@settings(max_examples=300)
@given(terms_of, starts, minutes_of)
def test_stretches_cost_what_the_seconds_in_them_cost(terms: Terms, start: datetime, minutes: list[Minute]) -> None:
    total = cost(terms, list(stretches(terms, start, minutes)))
    assert shown(total) == oracle(terms, start, minutes)
    assert total.excl_vat == total.energy + total.time + total.parking + total.fixed
    assert total.incl_vat == total.excl_vat + total.vat
    paid = refund(terms, total)
    if terms.refund is None:
        assert paid is None
    else:
        assert paid is not None
        assert int(paid * 100) == cents(Fraction(total.incl_vat) * Fraction(terms.refund) / 100)


@pytest.mark.requirement(57)
@pytest.mark.timeout(120)
@settings(max_examples=200)
@given(terms_of, starts, st.integers(0, 5000))
def test_no_price_changes_between_two_boundaries(terms: Terms, start: datetime, late: int) -> None:
    here = start + timedelta(seconds=late)
    boundary = next_boundary(terms, here, start)
    zone = ZoneInfo(terms.timezone)
    end = here + timedelta(days=2) if boundary is None else boundary
    step = max((end - here) // 500, timedelta(seconds=1))
    prices, moments = set(), [here + n * step for n in range((end - here) // step)]
    for moment in [*moments, end - timedelta(seconds=1)]:
        now = Now(moment.astimezone(zone), moment, 0, round((moment - start).total_seconds()), 0)
        prices.add(tuple(found(terms, d, now) for d in Dimension))
    assert len(prices) == 1
