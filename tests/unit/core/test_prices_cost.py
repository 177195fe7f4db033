"""What sessions cost: cases worked out by hand, and those that the OCPI specification works out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from agent.core.calendar import WEEKDAYS, Weekday
from agent.core.model import Wh
from agent.core.ocpi import tariff_from_json
from agent.core.prices import PriceBlock
from agent.core.prices_cost import Consumption, cost, pieces, priced, refund
from agent.core.prices_limits import money
from agent.core.prices_reserved import Reserved, reserved
from agent.core.prices_terms import flat_tariff
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

GOLDEN: Final[list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "tariffs" / "golden.json").read_text(encoding="utf-8"),
    parse_float=Decimal,
)
NOON: Final = datetime(2026, 11, 18, 11, 0, tzinfo=UTC)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def number(part: Mapping[str, str], name: str) -> Decimal | None:
    return Decimal(part[name]) if name in part else None


def consumption(part: Mapping[str, str]) -> Consumption:
    charging, parking = (Decimal(part.get(name, "0")) for name in ("charging_s", "parking_s"))
    draw = Draw(number(part, "power_w"), number(part, "current_a"))
    return Consumption(moment(part["start"]), Wh(Decimal(part["energy_wh"])), charging, parking, draw)


@pytest.mark.requirement(57)
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: str(case["name"]))
def test_a_worked_example_costs_what_it_says(case: dict[str, Any]) -> None:
    rules = Terms(tariff_from_json(case["tariff"]), case["zone"], None)
    booked = case.get("reserved")
    amounts = None
    if booked is not None:
        amounts = reserved(rules, Reserved(moment(booked["begin"]), moment(booked["end"]), expired=booked["expired"]))
    total = cost(rules, [consumption(part) for part in case["used"]], amounts)
    assert {name: str(getattr(total, name)) for name in case["expected"]} == case["expected"]
    parts = (total.energy, total.time, total.fixed, total.parking, total.reservation, total.surcharge)
    assert total.excl_vat == sum(parts)


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
    Element((HIGH,), Restrictions(time(7), time(23), WEEKDAYS[:5])),
    Element((SUNDAY,), Restrictions(days=(Weekday.SUNDAY,))),
    Element((LOW,)),
)


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


# --- prices by the hour, and flat ones ------------------------------------------------------------------------------


def by_the_hour(
    *prices: str, start: str = "2026-11-18T11:00:00+00:00", step: int = 60, vat: str | None = "21"
) -> Terms:
    block = PriceBlock(moment(start), step, tuple(Decimal(price) for price in prices))
    tariff = Tariff("EUR", (Element((component("0", vat),)),))
    return Terms(tariff, "Europe/Amsterdam", Decimal(100), Basis.HOURLY, (block,))


def test_each_hour_has_its_price_and_the_vat_of_the_tariff() -> None:
    # 1.5 kWh x 0.20 + 2.5 kWh x 0.31 = 0.30 + 0.775 = 1.075 -> 1.08; 21 % of 1.08 = 0.2268 -> 0.23
    rules = by_the_hour("0.20", "0.31")
    assert sums(cost(rules, [used("1500"), used("2500", NOON + timedelta(hours=1))])) == (
        "1.08",
        "1.08",
        "0.23",
        "1.31",
    )


def test_a_negative_price_is_a_credit() -> None:
    # 2 kWh x -0.05 + 1 kWh x 0.02 = -0.08; 21 % = -0.0168 -> -0.02
    total = cost(by_the_hour("-0.05", "0.02"), [used("2000"), used("1000", NOON + timedelta(hours=1))])
    assert sums(total) == ("-0.08", "-0.08", "-0.02", "-0.10")


def test_the_hour_that_comes_twice_has_two_prices() -> None:
    # the clocks go back at 01:00 UTC on 25 October 2026: 02:00 comes at 00:00 and at 01:00 UTC
    rules = by_the_hour("0.10", "0.20", "0.40", start="2026-10-24T23:00:00+00:00", vat="0")
    hours = [moment(f"2026-10-25T0{n}:00:00+00:00") for n in (0, 1)]
    assert [str(cost(rules, [used("1000", hour)]).energy) for hour in hours] == ["0.20", "0.40"]


def test_energy_without_a_price_is_told_and_not_taken_for_free() -> None:
    rules = by_the_hour("0.20")
    late = used("1", NOON + timedelta(hours=1))
    assert priced(rules, [used("1000")])
    assert not priced(rules, [used("1000"), late])
    assert priced(rules, [used("1000"), used("0", NOON + timedelta(hours=1), parking="60")])


def test_a_flat_price_of_a_tax_office_has_no_vat_and_changes_with_the_year() -> None:
    # 0.34 per kWh in Germany in 2026: 7.522 kWh x 0.34 = 2.55748 -> 2.56
    rules = Terms(flat_tariff("EUR", {2026: Decimal("0.34"), 2027: Decimal("0.36")}), "Europe/Berlin", None, Basis.FLAT)
    assert sums(cost(rules, [used("7522")])) == ("2.56", "2.56", "0.00", "2.56")
    night = moment("2026-12-31T22:00:00+00:00")
    # 1 kWh x 0.34 + 2 kWh x 0.36 = 1.06
    parts = [used("1000", night), used("2000", night + timedelta(hours=1))]
    assert str(cost(rules, parts).energy) == "1.06"
    assert not priced(rules, [used("1", datetime(2028, 1, 1, 12, tzinfo=UTC))])
    assert priced(Terms(flat_tariff("EUR", {0: Decimal("0.3")}), "UTC", None, Basis.FLAT), [used("1")])


def test_pieces_keep_all_energy_and_time() -> None:
    tariff = terms(Element((LOW,), Restrictions(max_kwh=Decimal(2))), Element((HIGH,)))
    cut = list(pieces(tariff, [used("1500", charging="60"), used("1000", charging="30", parking="5"), used("0")]))
    assert [(piece.number, str(piece.used.energy), str(piece.used.charging_s)) for piece in cut] == [
        (0, "1500", "60"),
        (1, "500", "30"),
        (1, "500", "0"),
        (2, "0", "0"),
    ]
    assert [str(piece.progress.energy) for piece in cut] == ["0", "1500", "2000", "2500"]
    assert [piece.behind for piece in cut] == [False, False, True, False]
