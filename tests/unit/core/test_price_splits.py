"""Prices of a running session: split by energy, by how long it lasts, by what the car draws, and by the hour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from agent.core.charges import Bill, late_bill
from agent.core.commands import PushCompanySettings
from agent.core.company import Company, CompanySettings, LinkState
from agent.core.deadlines import next_deadline
from agent.core.effects import PollMeter
from agent.core.events import ClockStepped
from agent.core.facts import SessionEnded, SessionSampled, SessionStarted
from agent.core.model import Quality, ReadingContext, Value
from agent.core.policy import EvsePolicy
from agent.core.prices import PriceBlock
from agent.core.prices_limits import money
from agent.core.tariff import Basis, Dimension, Element, PriceComponent, Restrictions, Tariff
from tests.unit.core.charger import NOON, ONE, PRIVATE, Charger, a_charger, charging, fleet


def priced(*elements: tuple[str, Restrictions], others: Sequence[PriceComponent] = ()) -> Tariff:
    made = [Element((PriceComponent(Dimension.ENERGY, Decimal(p), Decimal(0)),), limits) for p, limits in elements]
    return Tariff("EUR", (*made, *((Element(tuple(others)),) if others else ())))


def ended(charger: Charger) -> SessionEnded:
    charger.card(PRIVATE)
    charger.run(4)
    return charger.only(SessionEnded)


def boundaries(charger: Charger) -> list[SessionSampled]:
    return [f for f in charger.all(SessionSampled) if f.context is ReadingContext.OTHER]


def energies(fact: SessionEnded) -> list[tuple[str, str]]:
    return [(str(p.energy.normalize()), str(p.price)) for p in fact.periods]


def draw(charger: Charger, watt: int) -> None:
    charger.site.power_w = watt
    charger.site.values = (Value("power_total", Decimal(watt)),)


BY_ENERGY = priced(("0.20", Restrictions(max_kwh=Decimal("0.1"))), ("0.40", Restrictions()))


@pytest.mark.requirement(57)
def test_energy_is_split_at_its_limit_to_the_watt_hour() -> None:
    c = charging(a_charger(tariff=BY_ENERGY))
    c.site.power_w = 7000
    c.run(100)
    fact = ended(c)
    (reading,) = boundaries(c)
    assert 100 <= reading.reading.register - 1_000_000 < 103
    total = fact.register.to_integral_value(rounding="ROUND_FLOOR") - 1_000_000
    assert energies(fact) == [("1E+2", "0.20"), (str((total - 100).normalize()), "0.40")]
    assert fact.periods[1].start == reading.reading.at
    assert fact.quality == (Quality.MEASURED,)


def test_a_limit_that_is_passed_while_the_meter_is_silent_is_split_all_the_same() -> None:
    c = charging(a_charger(tariff=BY_ENERGY))
    c.site.meter_error = "no answer"
    c.run(50)
    c.site.meter_error = None
    c.run(3)
    fact = ended(c)
    assert energies(fact)[0] == ("1E+2", "0.20")
    assert fact.quality == (Quality.MEASURED,)


def test_a_limit_passed_with_the_last_reading_is_split_there() -> None:
    c = charging(a_charger(tariff=BY_ENERGY))
    c.site.meter_error = "no answer"
    c.run(50)
    c.site.meter_error = None
    fact = ended(c)
    assert boundaries(c) == []
    assert energies(fact)[0] == ("1E+2", "0.20")
    assert sum(p.energy for p in fact.periods) == fact.register.to_integral_value(rounding="ROUND_FLOOR") - 1_000_000


@pytest.mark.requirement(57)
def test_a_slow_meter_is_read_when_the_limit_is_near() -> None:
    c = charging(a_charger(tariff=BY_ENERGY, evses=(EvsePolicy(ONE, poll_s=60.0),)))
    draw(c, 7200)
    c.poll_meter()
    drawn = c.site.register.to_integral_value(rounding="ROUND_FLOOR") - 1_000_000
    due = next_deadline(c.state, c.policy)
    assert due is not None
    assert due - c.mono == pytest.approx(float(100 - drawn) / 2, abs=1)
    c.pass_time(due - c.mono)
    c.keep_deadlines()
    assert isinstance(c.effects[-1], PollMeter)
    c.poll_meter()
    (reading,) = boundaries(c)
    assert 100 <= reading.reading.register - 1_000_000 <= 103


def test_a_meter_that_is_read_every_second_is_not_asked_more_often() -> None:
    c = charging(a_charger(tariff=BY_ENERGY))
    draw(c, 3600)
    c.run(5)
    assert c.evse.boundary_due is None


BY_DURATION = priced(("0.00", Restrictions(max_duration=60)), ("0.25", Restrictions()))


@pytest.mark.requirement(57)
def test_a_duration_ends_to_the_second() -> None:
    c = charging(a_charger(tariff=BY_DURATION))
    c.run(100)
    fact = ended(c)
    (reading,) = boundaries(c)
    assert reading.reading.at.mono - c.only(SessionStarted).at.mono == 60
    assert [p.price for p in fact.periods] == [Decimal("0.00"), Decimal("0.25")]
    assert fact.periods[1].start.mono - fact.periods[0].start.mono == 60


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_step_of_the_clock_changes_no_duration(hours: int) -> None:
    c = charging(a_charger(tariff=BY_DURATION))
    c.run(5)
    c.wall += timedelta(hours=hours)
    c.do(ClockStepped())
    c.run(90)
    fact = ended(c)
    assert [p.price for p in fact.periods] == [Decimal("0.00"), Decimal("0.25")]
    assert fact.periods[1].start.mono - fact.periods[0].start.mono == 60


BY_POWER = priced(("0.20", Restrictions(max_power=Decimal(5))), ("0.35", Restrictions()))


@pytest.mark.requirement(57)
def test_another_power_counts_from_its_first_reading_on() -> None:
    c = a_charger(tariff=BY_POWER)
    draw(c, 3600)
    c = charging(c)
    c.run(50)
    draw(c, 7200)
    before = c.site.register
    c.run(60)
    draw(c, 3600)
    c.run(60)
    fact = ended(c)
    assert [p.price for p in fact.periods] == [Decimal("0.20"), Decimal("0.35"), Decimal("0.20")]
    # the register of the first reading that showed 7 200 W, and 60 s of 2 Wh a second from there
    assert abs(fact.periods[0].energy - (before + 2 - 1_000_000)) <= 1
    assert abs(fact.periods[1].energy - 119) <= 2
    times = [p.charging_ms for p in fact.periods]
    assert times[1] == 60_000
    assert len(boundaries(c)) == 2


def test_a_power_that_does_not_last_changes_nothing() -> None:
    c = a_charger(tariff=BY_POWER)
    draw(c, 3600)
    c = charging(c)
    for _ in range(10):
        draw(c, 7200)
        c.run(9)
        draw(c, 3600)
        c.run(3)
    assert len(ended(c).periods) == 1
    assert boundaries(c) == []


def test_a_tariff_without_power_keeps_no_draw() -> None:
    c = charging(a_charger(tariff=BY_ENERGY))
    draw(c, 7200)
    c.run(30)
    assert c.session.stretch.draw is None
    assert c.evse.shifted is None


# --- by the hour ----------------------------------------------------------------------------------------------------


def by_the_hour(*prices: str, clock: str = "12:59:00") -> Charger:
    block = PriceBlock(NOON, 60, tuple(Decimal(price) for price in prices))
    c = a_charger(tariff=priced(("0", Restrictions())), basis=Basis.HOURLY, hourly=(block,))
    c.wall = datetime.combine(NOON.date(), datetime.strptime(clock, "%H:%M:%S").time(), tzinfo=NOON.tzinfo)  # noqa: DTZ007
    c.poll()
    return charging(c)


@pytest.mark.requirement(57)
def test_each_hour_has_its_price() -> None:
    c = by_the_hour("0.20", "0.30", "0.40")
    c.run(3700)
    fact = ended(c)
    assert [p.price for p in fact.periods] == [Decimal("0.20"), Decimal("0.30"), Decimal("0.40")]
    assert [s.reading.at.wall for s in boundaries(c)] == [NOON + timedelta(hours=n) for n in (1, 2)]
    assert fact.cost is not None
    assert fact.cost.energy == money(sum((p.energy * p.price for p in fact.periods), Decimal(0)) / 1000)


def test_hours_of_one_price_stay_apart() -> None:
    c = by_the_hour("0.20", "0.20")
    c.run(60)
    assert [p.price for p in ended(c).periods] == [Decimal("0.20"), Decimal("0.20")]


def test_a_session_has_no_cost_while_an_hour_has_no_price_and_gets_it_later() -> None:
    c = by_the_hour("0.20")
    c.run(60)
    fact, terms = ended(c), c.only(SessionStarted).terms
    assert (fact.cost, fact.refund) == (None, None)
    assert [p.price for p in fact.periods] == [Decimal("0.20"), Decimal(0)]
    assert terms is not None
    assert late_bill(terms, fact.periods, ()).cost is None
    told = PriceBlock(NOON, 60, (Decimal(9), Decimal("0.30")))
    late = late_bill(replace(terms, refund=Decimal(50)), fact.periods, (told,))
    assert [p.price for p in late.periods] == [Decimal("0.20"), Decimal("0.30")]  # the first hour stays as it was
    assert late.cost is not None
    assert late.refund is not None
    assert late_bill(terms, (), (told,)) == Bill()


def test_prices_that_come_while_a_session_runs_count_for_its_later_hours_alone() -> None:
    c = by_the_hour("0.20")
    later = PriceBlock(NOON, 60, (Decimal(9), Decimal("0.30")))
    c.state = replace(c.state, company=replace(c.state.company, prices=(later,)))
    c.run(60)
    assert [p.price for p in ended(c).periods] == [Decimal("0.20"), Decimal("0.30")]


# --- terms are frozen -----------------------------------------------------------------------------------------------


@pytest.mark.requirement(57)
def test_new_settings_move_nothing_of_a_running_session() -> None:
    c = a_charger(tariff=BY_ENERGY)
    c.state = replace(c.state, company=Company("ACME", LinkState.LINKED, settings=CompanySettings(7)))
    c = fleet(c)
    settings = CompanySettings(8, refund_percentage=Decimal(0), tariff=priced(("9", Restrictions())))
    c.command(PushCompanySettings(settings))
    c.run(100)
    c.unplug()
    c.run(10)
    fact = c.only(SessionEnded)
    assert [p.price for p in fact.periods] == [Decimal("0.20"), Decimal("0.40")]
    assert fact.cost is not None
    assert fact.refund == fact.cost.incl_vat


def test_the_idle_fee_runs_from_when_the_car_is_full() -> None:
    parking = PriceComponent(Dimension.PARKING_TIME, Decimal("36.00"), Decimal(0))
    c = charging(a_charger(tariff=priced(("0", Restrictions()), others=(parking,))))
    c.run(20)
    c.site.hungry = False
    c.run(51)
    fact = ended(c)
    assert fact.cost is not None
    assert str(fact.cost.parking) == "0.50"
