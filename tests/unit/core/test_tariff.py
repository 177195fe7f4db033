"""Tariffs: which price applies when, and what of a tariff decides it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.core.calendar import WEEKDAYS, Weekday
from agent.core.model import Wh
from agent.core.tariff import (
    Dimension,
    Draw,
    Element,
    PriceComponent,
    Progress,
    ReservationKind,
    Restrictions,
    Tariff,
    component_at,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
WORKDAYS = WEEKDAYS[:5]
NOON = datetime(2026, 11, 18, 12, 0, tzinfo=AMSTERDAM)


def component(price: str, dimension: Dimension = Dimension.ENERGY) -> PriceComponent:
    return PriceComponent(dimension, Decimal(price), Decimal(21))


HIGH, LOW, SUNDAY = component("0.34"), component("0.28"), component("0.20")
SLOTS = Tariff(
    "EUR",
    (
        Element((HIGH,), Restrictions(time(7), time(23), WORKDAYS)),
        Element((SUNDAY,), Restrictions(days=(Weekday.SUNDAY,))),
        Element((LOW,)),
    ),
)


# --- which price ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-18 06:59:59", LOW),
        ("2026-11-18 07:00:00", HIGH),
        ("2026-11-18 22:59:59", HIGH),
        ("2026-11-18 23:00:00", LOW),
        ("2026-11-21 12:00:00", LOW),  # Saturday
        ("2026-11-22 00:00:00", SUNDAY),
        ("2026-11-22 23:59:59", SUNDAY),
        ("2026-11-23 00:00:00", LOW),
    ],
)
def test_the_first_element_that_applies_has_the_price(local: str, expected: PriceComponent) -> None:
    moment = datetime.fromisoformat(local).replace(tzinfo=AMSTERDAM)
    assert component_at(SLOTS, Dimension.ENERGY, moment) == expected


def test_a_dimension_that_no_element_has_is_free() -> None:
    assert component_at(SLOTS, Dimension.TIME, NOON) is None


def test_each_dimension_is_looked_for_by_itself() -> None:
    time_price = component("1", Dimension.TIME)
    tariff = Tariff("EUR", (Element((HIGH,), Restrictions(end=time(13))), Element((LOW, time_price))))
    assert component_at(tariff, Dimension.ENERGY, NOON) == HIGH
    assert component_at(tariff, Dimension.TIME, NOON) == time_price
    assert component_at(tariff, Dimension.ENERGY, NOON.replace(hour=13)) == LOW


@pytest.mark.parametrize(
    ("start", "end", "inside", "outside"),
    [
        ("23:00", "07:00", ["23:00", "00:00", "06:59"], ["07:00", "22:59"]),  # past midnight
        ("07:00", "23:00", ["07:00", "22:59"], ["23:00", "06:59"]),
        ("07:00", "00:00", ["07:00", "23:59"], ["00:00", "06:59"]),  # to midnight
        (None, "07:00", ["00:00", "06:59"], ["07:00"]),
        ("07:00", None, ["07:00", "23:59"], ["00:00", "06:59"]),
        (None, None, ["00:00", "12:00"], []),
        ("00:00", "00:00", ["00:00", "12:00"], []),
    ],
)
def test_hours_hold_from_the_start_to_before_the_end(
    start: str | None, end: str | None, inside: list[str], outside: list[str]
) -> None:
    first, last = (None if c is None else time.fromisoformat(c) for c in (start, end))
    limits = Restrictions(first, last)
    for clock, expected in [*((c, True) for c in inside), *((c, False) for c in outside)]:
        moment = datetime.combine(NOON.date(), time.fromisoformat(clock), tzinfo=AMSTERDAM)
        assert limits.allow(moment) is expected, clock


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-20 23:30", True),  # Friday evening
        ("2026-11-21 06:30", True),  # the night that Friday began
        ("2026-11-21 23:30", False),  # Saturday evening
        ("2026-11-22 06:30", False),
        ("2026-11-23 06:30", False),  # the night that Sunday began
        ("2026-11-23 23:30", True),
    ],
)
def test_a_night_belongs_to_the_day_that_began_it(local: str, expected: bool) -> None:
    nights = Restrictions(time(23), time(7), WORKDAYS)
    assert nights.allow(datetime.fromisoformat(local).replace(tzinfo=AMSTERDAM)) is expected


@pytest.mark.parametrize(
    ("local", "inside"),
    [
        ("2026-12-23T23:59", False),
        ("2026-12-24T00:00", True),
        ("2026-12-25T23:59", True),
        ("2026-12-26T00:00", False),
    ],
)
def test_dates_hold_from_the_first_day_to_before_the_last(local: str, inside: bool) -> None:
    limits = Restrictions(start_date=date(2026, 12, 24), end_date=date(2026, 12, 26))
    moment = datetime.fromisoformat(local).replace(tzinfo=AMSTERDAM)
    assert limits.allow(moment) is inside
    assert replace(limits, end_date=None).allow(NOON.replace(year=2030))
    assert replace(limits, start_date=None).allow(NOON)


def limit(name: str) -> Restrictions:
    values: dict[str, Any] = {name: Decimal(10)}
    return Restrictions(**values)


#: What limits a session's progress, and a value below, at and above the limit.
RANGES = [
    ("kwh", [Progress(energy=Wh(Decimal(wh))) for wh in ("9999.9", "10000", "10000.1")]),
    ("power", [Progress(draw=Draw(power_w=Decimal(watt))) for watt in ("9999", "10000", "22000")]),
    ("current", [Progress(draw=Draw(current_a=Decimal(amps))) for amps in ("9.9", "10", "32")]),
    ("duration", [Progress(elapsed_s=Decimal(seconds)) for seconds in ("9.999", "10", "11")]),
]


@pytest.mark.parametrize(("kind", "values"), RANGES, ids=[kind for kind, _ in RANGES])
def test_a_minimum_is_included_and_a_maximum_is_not(kind: str, values: list[Progress]) -> None:
    least, most = (limit(f"{end}_{kind}") for end in ("min", "max"))
    assert [least.allow(NOON, value) for value in values] == [False, True, True]
    assert [most.allow(NOON, value) for value in values] == [True, False, False]


@pytest.mark.parametrize("name", ["min_power", "max_power", "min_current", "max_current"])
def test_what_the_meter_does_not_tell_keeps_no_limit(name: str) -> None:
    assert not limit(name).allow(NOON)


def test_all_restrictions_have_to_hold() -> None:
    both = Restrictions(start=time(11), end=time(13), min_kwh=Decimal(1))
    assert both.allow(NOON, Progress(energy=Wh(Decimal(1000))))
    assert not both.allow(NOON)
    assert not both.allow(NOON.replace(hour=13), Progress(energy=Wh(Decimal(1000))))


@pytest.mark.parametrize("kind", list(ReservationKind))
def test_an_element_for_reservations_is_for_them_alone(kind: ReservationKind) -> None:
    tariff = Tariff("EUR", (Element((component("9", Dimension.FLAT),), Restrictions(reservation=kind)),))
    assert component_at(tariff, Dimension.FLAT, NOON) is None
    assert component_at(tariff, Dimension.FLAT, NOON, Progress(reservation=kind)) is not None
    other = next(one for one in ReservationKind if one is not kind)
    assert component_at(tariff, Dimension.FLAT, NOON, Progress(reservation=other)) is None


def test_a_tariff_is_valid_from_its_begin_to_before_its_end() -> None:
    begin, end = datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 12, 31, 23, tzinfo=UTC)
    tariff = replace(SLOTS, begins=begin, ends=end)
    assert SLOTS.valid(begin)
    assert [tariff.valid(moment) for moment in (NOON, begin, end)] == [False, True, False]
