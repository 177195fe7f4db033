"""Where prices may change: by the clock, by date, by how long a session lasts, by the hour, by energy and draw."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from agent.core.calendar import WEEKDAYS, Weekday
from agent.core.instant import Instant
from agent.core.model import Reading, Value, Wh
from agent.core.prices import PriceBlock
from agent.core.prices_boundaries import band, draw_in, next_boundary, next_energy
from agent.core.tariff import Basis, Dimension, Draw, Element, PriceComponent, Restrictions, Tariff, Terms

WORKDAYS = WEEKDAYS[:5]
LOW = PriceComponent(Dimension.ENERGY, Decimal("0.28"), Decimal(21))


def limited(*restrictions: Restrictions, zone: str = "Europe/Amsterdam") -> Terms:
    return Terms(Tariff("EUR", tuple(Element((LOW,), limits) for limits in restrictions)), zone, None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SLOTS = limited(Restrictions(time(7), time(23), WORKDAYS), Restrictions(days=(Weekday.SUNDAY,)), Restrictions())


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-11-18 12:00", "2026-11-18 22:00"),
        ("2026-11-18 22:00", "2026-11-18 23:00"),  # midnight, since days are named
        ("2026-11-18 23:00", "2026-11-19 06:00"),
        ("2026-03-28 23:00", "2026-03-29 01:00"),  # the clock is put forward
        ("2026-03-29 01:00", "2026-03-29 05:00"),
        ("2026-10-25 00:00", "2026-10-25 01:00"),  # and back
    ],
)
def test_the_next_boundary_is_where_a_price_may_change(after: str, expected: str) -> None:
    assert next_boundary(SLOTS, utc(after)) == utc(expected)


@pytest.mark.requirement(57)
@pytest.mark.parametrize("limits", [Restrictions(start=time(1)), Restrictions(end=time(1))])
def test_hours_that_begin_or_end_at_midnight_without_saying_so_have_a_boundary_there(limits: Restrictions) -> None:
    night = limited(limits, zone="UTC")
    assert next_boundary(night, datetime(2026, 11, 18, 12, tzinfo=UTC)) == datetime(2026, 11, 19, tzinfo=UTC)
    assert next_boundary(night, datetime(2026, 11, 19, tzinfo=UTC)) == datetime(2026, 11, 19, 1, tzinfo=UTC)


def test_a_flat_tariff_has_no_boundary() -> None:
    assert next_boundary(limited(Restrictions()), datetime(2026, 3, 29, 0, 59, tzinfo=UTC)) is None


@pytest.mark.requirement(57)
def test_a_date_begins_and_ends_with_local_midnight() -> None:
    terms = limited(Restrictions(start_date=date(2026, 12, 24), end_date=date(2027, 7, 1)))
    assert next_boundary(terms, utc("2026-11-18 12:00")) == utc("2026-12-23 23:00")
    assert next_boundary(terms, utc("2026-12-23 23:00")) == utc("2027-06-30 22:00")
    assert next_boundary(terms, utc("2027-06-30 22:00")) is None


@pytest.mark.requirement(57)
def test_a_duration_counts_from_the_begin_of_the_session() -> None:
    terms, began = limited(Restrictions(max_duration=1800), Restrictions(min_duration=5400)), utc("2026-11-18 12:00")
    assert next_boundary(terms, began, began) == began + timedelta(minutes=30)
    assert next_boundary(terms, began + timedelta(minutes=30), began) == began + timedelta(minutes=90)
    assert next_boundary(terms, began + timedelta(minutes=30, microseconds=-400), began) == began + timedelta(
        minutes=90
    )
    assert next_boundary(terms, began + timedelta(minutes=90), began) is None
    assert next_boundary(terms, began) is None


@pytest.mark.requirement(57)
def test_prices_by_the_hour_change_with_the_hour_and_unknown_ones_with_the_quarter() -> None:
    block = PriceBlock(utc("2026-11-18 12:30"), 60, (Decimal("0.2"), Decimal("0.3")))
    terms = Terms(Tariff("EUR", (Element((LOW,)),)), "Asia/Kolkata", None, Basis.HOURLY, (block,))
    moments = ["2026-11-18 12:17", "2026-11-18 12:30", "2026-11-18 13:30", "2026-11-18 14:30"]
    assert [next_boundary(terms, utc(moment)) for moment in moments] == [
        utc("2026-11-18 12:30"),
        utc("2026-11-18 13:30"),
        utc("2026-11-18 14:30"),
        utc("2026-11-18 14:45"),
    ]


def test_the_next_limit_of_energy_is_above_what_was_drawn() -> None:
    tariff = limited(Restrictions(max_kwh=Decimal(10)), Restrictions(min_kwh=Decimal("2.5"))).tariff
    assert [next_energy(tariff, Decimal(wh)) for wh in (0, 2499, 2500, 10_000)] == [2500, 2500, 10_000, None]


@pytest.mark.parametrize(
    ("values", "power", "current"),
    [
        ({"power_total": "7360", "current_l1": "16", "current_l2": "16"}, "7360", "32"),
        ({"power_total": "7360"}, "7360", "32"),
        ({"current_l1": "10", "current_l3": "6"}, "3680", "16"),
        ({"voltage_l1": "230"}, None, None),
        ({"power_total": "-12"}, "0", "0"),
        ({"power_total": "NaN"}, None, None),
    ],
)
def test_power_and_current_follow_from_each_other(
    values: dict[str, str], power: str | None, current: str | None
) -> None:
    told = tuple(Value(name, Decimal(number)) for name, number in values.items())
    draw = draw_in(Reading(Instant(0.0, utc("2026-11-18 12:00")), Wh(Decimal(0)), told))
    assert draw == Draw(None if power is None else Decimal(power), None if current is None else Decimal(current))


def test_a_band_tells_which_limits_a_draw_reaches() -> None:
    tariff = limited(Restrictions(max_power=Decimal(16)), Restrictions(min_power=Decimal(32)), Restrictions()).tariff
    draws = [Draw(Decimal(watt)) for watt in (0, 15_999, 16_000, 31_999, 32_000)]
    assert [band(tariff, draw) for draw in draws] == [
        (False, False),
        (False, False),
        (True, False),
        (True, False),
        (True, True),
    ]
    assert band(tariff, Draw()) == (None, None)
    assert band(SLOTS.tariff, Draw()) == ()
