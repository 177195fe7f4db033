"""What sessions cost by the central system's own computation, worked out by hand, and the month's bill."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from simulators.csms.billing import bill, ended_in, pay, summary
from simulators.csms.notation import tariff
from simulators.csms.rates import Unpriceable, cost, day_night, flat, refund
from simulators.csms.show import sessions, statement
from simulators.csms.state import JsonObject, Reading, Session, State, Token
from simulators.errors import Misuse

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
FLAT = flat("0.29", "21")
DAY_NIGHT = day_night("0.34", "0.25", "21")


def at(local: str, zone: ZoneInfo = AMSTERDAM) -> datetime:
    return datetime.fromisoformat(local).replace(tzinfo=zone).astimezone(UTC)


def readings(*pairs: tuple[str, str | int]) -> list[Reading]:
    return [Reading(at(local), Decimal(wh)) for local, wh in pairs]


def amounts(of: JsonObject, read: Sequence[Reading]) -> tuple[str, str, str]:
    price = cost(of, read, AMSTERDAM)
    return str(price.excl_vat), str(price.vat), str(price.incl_vat)


@pytest.mark.parametrize(
    ("energy_wh", "expected"),
    [
        (7522, ("2.18", "0.46", "2.64")),  # the example of the contract: 2.18138; 0.4578
        ("7521.3", ("2.18", "0.46", "2.64")),  # the step of 1 Wh rounds up
        (0, ("0.00", "0.00", "0.00")),
        (1, ("0.00", "0.00", "0.00")),
        (50_000, ("14.50", "3.05", "17.55")),  # 3.045 is rounded half up
        (500, ("0.15", "0.03", "0.18")),  # 0.145 is rounded half up before its VAT is taken
    ],
)
def test_one_price(energy_wh: int | str, expected: tuple[str, str, str]) -> None:
    stop = str(Decimal(1_234_567) + Decimal(energy_wh))
    read = readings(("2026-11-21 21:15:03", 1_234_567), ("2026-11-22 00:41:59", stop))
    assert amounts(FLAT, read) == expected


def test_energy_is_split_where_the_price_changes_and_rounded_once() -> None:
    read = readings(("2026-11-20 22:00", 0), ("2026-11-20 22:30", 3000), ("2026-11-20 23:00:01", 7000),
                    ("2026-11-21 01:00", 16_500))  # fmt: skip
    price = cost(DAY_NIGHT, read, AMSTERDAM)
    assert [(period.energy_wh, period.price.per_kwh) for period in price.periods] == [
        (Decimal(7000), Decimal("0.34")),
        (Decimal(9500), Decimal("0.25")),
    ]
    assert (price.excl_vat, price.vat) == (Decimal("4.76"), Decimal("1.00"))  # 2.38 + 2.375 = 4.755


def test_a_whole_weekend_has_the_price_of_the_night_unless_it_has_its_own() -> None:
    read = readings(("2026-11-20 23:30", 0), ("2026-11-21 07:00", 10_000), ("2026-11-21 23:00", 30_000),
                    ("2026-11-23 06:59", 50_000))  # fmt: skip
    assert amounts(DAY_NIGHT, [read[0], read[-1]]) == ("12.50", "2.63", "15.13")
    weekend = day_night("0.34", "0.25", "21", weekend="0.20")
    with pytest.raises(Unpriceable, match="no reading at 2026-11-21 07:00, where the price changes"):
        cost(weekend, [read[0], read[-1]], AMSTERDAM)
    with pytest.raises(Unpriceable, match="no reading at 2026-11-22 07:00, where the price changes"):
        cost(weekend, read, AMSTERDAM)
    assert amounts(weekend, read[:3]) == ("6.50", "1.37", "7.87")


def test_the_night_may_run_past_midnight_and_belongs_to_the_day_it_began() -> None:
    night = {"start_time": "22:00", "end_time": "06:00", "day_of_week": ["FRIDAY"]}
    component = {"type": "ENERGY", "price": 0.1, "vat": 0, "step_size": 1}
    other = component | {"price": 0.2}
    elements = [{"price_components": [component], "restrictions": night}, {"price_components": [other]}]
    rate = {"currency": "EUR", "elements": elements}
    saturday = readings(("2026-11-21 01:00", 0), ("2026-11-21 06:00", 1000), ("2026-11-21 08:00", 2000))
    assert amounts(rate, saturday) == ("0.30", "0.00", "0.30")
    assert amounts(rate, readings(("2026-11-21 23:00", 0), ("2026-11-22 08:00", 1000))) == ("0.20", "0.00", "0.20")


@pytest.mark.parametrize(
    ("start", "boundary", "stop"),
    [
        ("2026-03-29T00:30:00+01:00", "2026-03-29T04:00:00+02:00", "2026-03-29T05:00:00+02:00"),
        ("2026-10-25T00:30:00+02:00", "2026-10-25T04:00:00+01:00", "2026-10-25T05:00:00+01:00"),
    ],
)
def test_prices_follow_local_time_on_the_nights_the_clocks_change(start: str, boundary: str, stop: str) -> None:
    rate = day_night("0.10", "0.20", "0", hours=("04:00", "23:00"), weekend="0.10")
    moments = [datetime.fromisoformat(text) for text in (start, boundary, stop)]
    read = [Reading(moment, Decimal(wh)) for moment, wh in zip(moments, (0, 1000, 3000), strict=True)]
    assert amounts(rate, read) == ("0.40", "0.00", "0.40")
    with pytest.raises(Unpriceable):
        cost(rate, [read[0], read[2]], AMSTERDAM)


def test_steps_round_the_session_up_at_its_last_price() -> None:
    rate = flat("0.50", "0")
    rate["elements"][0]["price_components"][0]["step_size"] = 1000
    assert amounts(rate, readings(("2026-11-21 10:00", 0), ("2026-11-21 11:00", "2000.5"))) == ("1.50", "0.00", "1.50")


@pytest.mark.parametrize(
    ("percentage", "paid"), [("100", "2.64"), ("50", "1.32"), ("33.3", "0.88"), ("0", "0.00"), ("12.5", "0.33")]
)
def test_the_refund_is_a_share_of_the_cost_with_vat(percentage: str, paid: str) -> None:
    price = cost(FLAT, readings(("2026-11-21 10:00", 0), ("2026-11-21 11:00", 7522)), AMSTERDAM)
    assert str(refund(price, percentage)) == paid


@pytest.mark.parametrize(
    ("component", "restrictions", "why"),
    [
        ({"type": "TIME", "price": 1}, {}, "a component for TIME"),
        ({"type": "ENERGY", "price": 1}, {"min_kwh": 3}, "a restriction on min_kwh"),
        ({"type": "ENERGY", "price": 1}, {"start_time": "12:00", "end_time": "13:00"}, "no price at 2026-11-21 10:00"),
    ],
)
def test_what_it_cannot_price_it_says(component: JsonObject, restrictions: JsonObject, why: str) -> None:
    rate = {"currency": "EUR", "elements": [{"price_components": [component], "restrictions": restrictions}]}
    with pytest.raises(Unpriceable, match=why):
        cost(rate, readings(("2026-11-21 10:00", 0), ("2026-11-21 11:00", 1)), AMSTERDAM)


def test_rates_are_written_short_on_the_command_line() -> None:
    def rate(text: str) -> list[JsonObject]:
        elements: list[JsonObject] = tariff(text)["elements"]
        return elements

    assert rate("flat:0.29:21") == FLAT["elements"]
    assert rate("daynight:0.34:0.25:21") == DAY_NIGHT["elements"]
    assert (
        rate("daynight:0.34:0.25:21:0.2@06:00-22:00")
        == day_night("0.34", "0.25", "21", hours=("06:00", "22:00"), weekend="0.2")["elements"]
    )
    for text in ("flat:x:21", "daynight:1:2", "/no/such/file.json"):
        with pytest.raises(Misuse, match="is no tariff"):
            tariff(text)


def session(number: int, stop: str, wh: int, **changes: object) -> Session:
    one = Session("CP1", 1, number, "04A1B2C3", at(stop), Decimal(0), f"m{number}", FLAT)
    one.stopped_at, one.meter_stop_wh, one.stop_message = at(stop), Decimal(wh), f"e{number}"
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def test_a_month_holds_what_ended_in_it_and_goes_from_running_to_paid() -> None:
    state = State(tokens={"04A1B2C3": Token("04A1B2C3", "NL-1")})
    state.sessions = [
        session(1, "2026-11-01 00:30", 1000),
        session(2, "2026-11-30 23:59", 2000, refund_percentage="50"),
        session(3, "2026-12-01 00:01", 4000),
        session(4, "2026-11-05 12:00", 8000, tariff=None),
        session(5, "2026-11-05 12:00", 0, stopped_at=None, meter_stop_wh=None),
    ]
    november = summary(state, "2026-11", AMSTERDAM, at("2026-11-30 23:59"))
    (row,) = november.rows
    assert (row.card, row.sessions, row.energy_wh, row.state) == ("NL-1", 3, Decimal(11_000), "in progress")
    assert (row.incl_vat, row.refund, november.unpriced) == (Decimal("1.05"), Decimal("0.70"), 1)
    later = at("2026-12-01 00:00")
    assert summary(state, "2026-11", AMSTERDAM, later).rows[0].state == "pending"
    (payment,) = pay(state, ended_in(state, "2026-11", AMSTERDAM), "2026-11", now=later)
    assert (payment.amount, payment.sessions) == (Decimal("0.70"), [1, 2])
    assert summary(state, "2026-11", AMSTERDAM, later).rows[0].state == "completed"
    assert pay(state, ended_in(state, "2026-11", AMSTERDAM), "2026-11", now=later) == []
    for each in state.sessions:
        each.automatic_payment, each.paid = True, None
    assert summary(state, "2026-11", AMSTERDAM, later).rows[0].state == "completed"
    assert "NL-1" in statement(november)
    table = sessions(bill(state, each, AMSTERDAM) for each in state.sessions)
    assert table.splitlines()[1].split()[-4:] == ["1.000", "0.35", "EUR", "0.35"]
    assert table.splitlines()[4].endswith("no tariff  -")
    with pytest.raises(Misuse, match="'soon' is no month"):
        summary(state, "soon", AMSTERDAM, later)
