"""Tariffs: which price applies when, and what sessions cost, worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from agent.core.calendar import WEEKDAYS, Weekday
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
    component_at,
    cost,
    energy_price,
    money,
    next_boundary,
    refund,
)

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
WORKDAYS, WEEKEND = WEEKDAYS[:5], WEEKDAYS[5:]
NOON = datetime(2026, 11, 18, 11, 0, tzinfo=UTC)


def component(price: str, vat: str | None = "21", step: int = 1, dimension: str = "ENERGY") -> PriceComponent:
    return PriceComponent(Dimension(dimension), Decimal(price), None if vat is None else Decimal(vat), step)


def terms(*elements: Element, percent: str | None = "100", zone: str = "Europe/Amsterdam") -> Terms:
    return Terms(Tariff("EUR", elements), zone, None if percent is None else Decimal(percent))


def flat(*components: PriceComponent, percent: str | None = "100") -> Terms:
    return terms(Element(components), percent=percent)


def used(wh: str, start: datetime = NOON, *, charging: str = "0", parking: str = "0") -> Consumption:
    return Consumption(start, Wh(Decimal(wh)), Decimal(charging), Decimal(parking))


def sums(total: Cost) -> tuple[str, ...]:
    return tuple(str(x) for x in (total.energy, total.excl_vat, total.vat, total.incl_vat))


HIGH, LOW, SUNDAY = component("0.34"), component("0.28"), component("0.20")
SLOTS = terms(
    Element((HIGH,), Restrictions(time(7), time(23), WORKDAYS)),
    Element((SUNDAY,), Restrictions(days=(Weekday.SUNDAY,))),
    Element((LOW,)),
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
    assert component_at(SLOTS.tariff, Dimension.ENERGY, moment) == expected
    assert energy_price(SLOTS, moment.astimezone(UTC)) == expected.price


def test_a_dimension_that_no_element_has_is_free() -> None:
    assert component_at(SLOTS.tariff, Dimension.TIME, NOON) is None
    assert energy_price(flat(component("1", dimension="TIME")), NOON) == 0


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


# --- boundaries -----------------------------------------------------------------------------------------------------


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
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)
    assert next_boundary(SLOTS, moment) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.requirement(57)
@pytest.mark.parametrize("limits", [Restrictions(start=time(1)), Restrictions(end=time(1))])
def test_hours_that_begin_or_end_at_midnight_without_saying_so_have_a_boundary_there(limits: Restrictions) -> None:
    night = terms(Element((LOW,), limits), zone="UTC")
    assert next_boundary(night, datetime(2026, 11, 18, 12, tzinfo=UTC)) == datetime(2026, 11, 19, tzinfo=UTC)
    assert next_boundary(night, datetime(2026, 11, 19, tzinfo=UTC)) == datetime(2026, 11, 19, 1, tzinfo=UTC)


def test_a_flat_tariff_has_no_boundary() -> None:
    assert next_boundary(flat(HIGH), datetime(2026, 3, 29, 0, 59, tzinfo=UTC)) is None


# --- golden sessions ------------------------------------------------------------------------------------------------


def test_a_flat_price() -> None:
    # 7.522 kWh x 0.29 = 2.18138 -> 2.18; 21 % of 2.18 = 0.4578 -> 0.46
    total = cost(flat(component("0.29")), [used("7522")])
    assert sums(total) == ("2.18", "2.18", "0.46", "2.64")
    assert total == Cost("EUR", *(Decimal(x) for x in ("2.18", "0.00", "0.00", "0.00", "0.00", "0.00", "2.18", "0.46")))


@pytest.mark.parametrize(
    ("amount", "expected"), [("0.005", "0.01"), ("0.0049999", "0.00"), ("1.015", "1.02"), ("2.675", "2.68")]
)
def test_halves_are_rounded_up(amount: str, expected: str) -> None:
    assert str(money(Decimal(amount))) == expected


def test_half_a_cent_of_energy_is_a_cent() -> None:
    # 25 Wh x 0.20 = 0.005 -> 0.01; 21 % of 0.01 = 0.0021 -> 0.00
    assert sums(cost(flat(component("0.20")), [used("25")])) == ("0.01", "0.01", "0.00", "0.01")


def test_day_and_night_are_added_up_before_they_are_rounded() -> None:
    # 10.010 kWh x 0.34 + 5.005 kWh x 0.28 = 3.4034 + 1.4014 = 4.8048 -> 4.80; 21 % = 1.008 -> 1.01
    evening, night = (datetime(2026, 11, 18, h, tzinfo=UTC) for h in (21, 22))
    total = cost(SLOTS, [used("10010", evening), used("5005", night)])
    assert sums(total) == ("4.80", "4.80", "1.01", "5.81")


def test_each_vat_rate_is_rounded_by_itself() -> None:
    # 1.234 x 0.30 = 0.3702 -> 0.37, 21 %: 0.0777 -> 0.08; 4.321 x 0.25 = 1.08025 -> 1.08, 9 %: 0.0972 -> 0.10
    tariff = terms(
        Element((component("0.30", "21"),), Restrictions(time(7), time(23))), Element((component("0.25", "9"),))
    )
    total = cost(tariff, [used("1234"), used("4321", NOON + timedelta(hours=12))])
    assert sums(total) == ("1.45", "1.45", "0.18", "1.63")


def test_each_component_is_rounded_by_itself() -> None:
    # energy 1.111 x 0.333 = 0.369963 -> 0.37; time 1 000 s x 1.00/h = 0.2777… -> 0.28; parking 500 s x 2.00/h = 0.2777…
    # -> 0.28; fixed 0.49. VAT 21 % each: 0.0777 -> 0.08, 0.0588 -> 0.06, 0.06, 0.1029 -> 0.10
    tariff = flat(
        component("0.333"),
        component("1.00", dimension="TIME"),
        component("2.00", dimension="PARKING_TIME"),
        component("0.49", dimension="FLAT"),
    )
    total = cost(tariff, [used("1111", charging="1000", parking="500")])
    assert [str(x) for x in (total.energy, total.time, total.parking, total.fixed)] == ["0.37", "0.28", "0.28", "0.49"]
    assert (str(total.excl_vat), str(total.vat)) == ("1.42", "0.30")


def test_a_component_without_vat_has_none() -> None:
    assert sums(cost(flat(component("0.30", None)), [used("1000")])) == ("0.30", "0.30", "0.00", "0.30")


def test_a_fixed_price_is_charged_once_however_many_parts() -> None:
    tariff = flat(component("0.50", dimension="FLAT"))
    assert str(cost(tariff, [used("1"), used("1"), used("0")]).fixed) == "0.50"


def test_a_session_without_energy_costs_nothing_but_what_is_fixed() -> None:
    assert sums(cost(flat(component("0.30", step=1000)), [used("0")])) == ("0.00", "0.00", "0.00", "0.00")


# --- step sizes (OCPI 2.2.1, worked examples of the CDR module) ------------------------------------------------------


def test_a_step_rounds_the_sessions_energy_up_at_the_last_price() -> None:
    # 4.3 kWh x 0.20 + 1.1 kWh x 0.27, in blocks of 500 Wh: 5.4 -> 5.5, so 1.2 kWh at 0.27: 0.86 + 0.324 = 1.184
    tariff = terms(
        Element((component("0.20", "0", 500),), Restrictions(end=time(17))), Element((component("0.27", "0", 500),))
    )
    assert str(cost(tariff, [used("4300"), used("1100", NOON + timedelta(hours=6))]).energy) == "1.18"


def test_a_step_rounds_the_sessions_time_up_at_the_last_price() -> None:
    # 6 min x 5/h + 22 min x 7/h, in blocks of 10 min: 28 -> 30, so 24 min at 7: 0.50 + 2.80
    early, late = (component(p, "0", 600, "TIME") for p in ("5", "7"))
    tariff = terms(Element((early,), Restrictions(end=time(17))), Element((late,)))
    parts = [used("0", charging="360"), used("0", NOON + timedelta(hours=6), charging="1320")]
    assert str(cost(tariff, parts).time) == "3.30"


def test_the_step_of_time_does_not_count_where_parking_is_charged() -> None:
    # 21 min x 1/h + 16 min x 2/h, in blocks of 10 min: parking 16 -> 20 min, time stays: 0.35 + 0.67
    tariff = flat(component("1", "0", 600, "TIME"), component("2", "0", 600, "PARKING_TIME"))
    total = cost(tariff, [used("0", charging="1260", parking="960")])
    assert (str(total.time), str(total.parking)) == ("0.35", "0.67")


def test_the_step_of_time_counts_where_nobody_parked() -> None:
    tariff = flat(component("1", "0", 600, "TIME"), component("2", "0", 600, "PARKING_TIME"))
    assert str(cost(tariff, [used("0", charging="1260")]).time) == "0.50"


def test_a_sum_that_is_a_whole_number_of_steps_is_not_rounded_to_the_next() -> None:
    tariff = flat(component("1", "0", 3600, "TIME"))
    assert str(cost(tariff, [used("0", charging="2400")] * 3).time) == "2.00"


# --- refund ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("percent", "expected"), [("100", "2.64"), ("50", "1.32"), ("33.3", "0.88"), ("0", "0.00")])
def test_the_refund_is_a_percentage_of_the_sum_with_vat(percent: str, expected: str) -> None:
    rules = flat(component("0.29"), percent=percent)
    assert str(refund(rules, cost(rules, [used("7522")]))) == expected


def test_a_private_session_is_not_refunded() -> None:
    rules = flat(component("0.29"), percent=None)
    assert refund(rules, cost(rules, [used("7522")])) is None
