"""The tariff against a slow oracle: a session second by second, each priced by the local clock at that second.

The fast way reads the register at the boundaries that ``next_boundary`` names and prices whole stretches; the oracle
knows no boundaries, no stretches and no Decimal: it works with fractions, and reads the tariff anew for every second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.calendar import Weekday
from agent.core.model import Wh
from agent.core.tariff import (
    Consumption,
    Cost,
    Dimension,
    Element,
    PriceComponent,
    Restrictions,
    Tariff,
    Terms,
    cost,
    next_boundary,
    refund,
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


# --- the oracle ------------------------------------------------------------------------------------------------------


def applies(element: Element, local: datetime) -> bool:
    """Tell whether an element holds at a local second, in plain words of the tariff."""
    limits, second = element.restrictions, local.hour * 3600 + local.minute * 60 + local.second
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


def found(tariff: Tariff, dimension: Dimension, local: datetime) -> PriceComponent | None:
    for element in tariff.elements:
        for component in element.components if applies(element, local) else ():
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
    for second in range(60 * len(minutes)):
        minute = minutes[second // 60]
        local = (start + timedelta(seconds=second)).astimezone(zone)
        for dimension, quantity in drawn(minute, first=not used[Dimension.FLAT].at).items():
            component = found(terms.tariff, dimension, local) if quantity else None
            if component is not None:
                used[dimension].add(component, quantity)
    parked = bool(used[Dimension.PARKING_TIME].at)
    amounts = {
        d: u.amounts(*UNITS[d], steps=STEPS[d] and not (d is Dimension.TIME and parked)) for d, u in used.items()
    }
    rounded = {d: {rate: cents(amount) for rate, amount in rates.items()} for d, rates in amounts.items()}
    vat = sum(cents(Fraction(c, 100) * rate / 100) for rates in rounded.values() for rate, c in rates.items())
    return {d: sum(rates.values()) for d, rates in rounded.items()}, vat


def drawn(minute: Minute, *, first: bool) -> dict[Dimension, int]:
    """Return what a second uses: mWh, seconds, and one piece where a fixed price has not been charged yet."""
    return {
        Dimension.ENERGY: minute.draws,
        Dimension.TIME: int(minute.state == "charges"),
        Dimension.PARKING_TIME: int(minute.state == "parks"),
        Dimension.FLAT: int(first),
    }


# --- the way the station does it ------------------------------------------------------------------------------------


def stretches(terms: Terms, start: datetime, minutes: list[Minute]) -> Iterator[Consumption]:
    """Split a session at the boundaries, as readings there would split it."""
    end = start + timedelta(minutes=len(minutes))
    here = start
    while here < end:
        boundary = next_boundary(terms, here)
        there = end if boundary is None else min(boundary, end)
        yield between(start, minutes, here, there)
        here = there


def between(start: datetime, minutes: list[Minute], here: datetime, there: datetime) -> Consumption:
    first, last = (round((moment - start).total_seconds()) for moment in (here, there))
    seconds = [minutes[s // 60] for s in range(first, last)]
    return Consumption(
        here,
        Wh(Decimal(sum(m.draws for m in seconds)) / MW),
        Decimal(sum(m.state == "charges" for m in seconds)),
        Decimal(sum(m.state == "parks" for m in seconds)),
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
elements = st.builds(
    Element,
    st.lists(components, min_size=1, max_size=4, unique_by=lambda c: c.dimension).map(tuple),
    st.builds(Restrictions, clocks, clocks, days),
)
terms_of = st.builds(
    Terms,
    st.builds(Tariff, st.just("EUR"), st.lists(elements, min_size=1, max_size=4).map(tuple)),
    st.sampled_from(["Europe/Amsterdam", "UTC", "America/St_Johns"]),
    st.none() | st.decimals(0, 100, places=1),
)
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


@pytest.mark.requirement(57)
@pytest.mark.timeout(120)
@settings(max_examples=200)
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
@given(terms_of, starts)
def test_no_price_changes_between_two_boundaries(terms: Terms, start: datetime) -> None:
    boundary = next_boundary(terms, start)
    zone = ZoneInfo(terms.timezone)
    end = start + timedelta(days=2) if boundary is None else boundary
    step = max((end - start) // 500, timedelta(seconds=1))
    prices, here = set(), start
    while here < end:
        prices.add(tuple(found(terms.tariff, d, here.astimezone(zone)) for d in Dimension))
        here += step
    prices.add(tuple(found(terms.tariff, d, (end - timedelta(seconds=1)).astimezone(zone)) for d in Dimension))
    assert len(prices) == 1
