"""What a session has used: time by phase, stretches between price boundaries, and its bill."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agent.buffer.codec import load, load_fact
from agent.core.charges import Bill, bill, counted, merged, next_stretch
from agent.core.company import Company
from agent.core.facts import Period, SessionEnded, SessionStarted
from agent.core.instant import Instant
from agent.core.model import Reading, Wh
from agent.core.prices_limits import money
from agent.core.state import Phase, Session
from agent.core.tariff import Basis, Dimension, Draw, Element, PriceComponent, Restrictions, Tariff
from tests.unit.core.charger import NOON, PRIVATE, a_charger, charging

TARIFF = Tariff(
    "EUR",
    (
        Element((PriceComponent(Dimension.ENERGY, Decimal("0.30")),), Restrictions(time(7), time(23))),
        Element(
            (
                PriceComponent(Dimension.ENERGY, Decimal("0.20")),
                PriceComponent(Dimension.TIME, Decimal("3.60")),
                PriceComponent(Dimension.PARKING_TIME, Decimal("36.00")),
            )
        ),
    ),
)


def a_session(phase: Phase = Phase.CHARGING, clock: str = "23:30") -> Session:
    c = a_charger(tariff=TARIFF)
    c.wall = datetime.combine(NOON.date(), time.fromisoformat(clock), tzinfo=NOON.tzinfo)
    c.poll()
    charging(c)
    return replace(c.session, phase=phase)


def later(session: Session, seconds: float, boot: int = 1) -> Instant:
    since = session.phase_since
    return Instant(since.mono + seconds, since.wall + timedelta(seconds=seconds), boot=boot)


@pytest.mark.parametrize(
    ("phase", "charging_ms", "parking_ms"),
    [
        (Phase.STARTING, 0, 0),
        (Phase.CHARGING, 1500, 0),
        (Phase.SUSPENDED_EV, 0, 1500),
        (Phase.SUSPENDED_EVSE, 0, 0),
        (Phase.ENDING, 0, 0),
    ],
)
def test_time_counts_by_its_phase(phase: Phase, charging_ms: int, parking_ms: int) -> None:
    session = a_session(phase)
    after = counted(session, later(session, 1.5))
    before = session.stretch
    assert after.stretch.charging_ms - before.charging_ms == charging_ms
    assert after.stretch.parking_ms - before.parking_ms == parking_ms
    assert after.phase_since == later(session, 1.5)


def test_no_time_counts_across_a_start_of_the_machine_or_backwards() -> None:
    session = a_session()
    assert counted(session, later(session, 1000, boot=2)).stretch == session.stretch
    assert counted(session, later(session, -5)).stretch == session.stretch


def test_counting_often_counts_the_same_as_counting_once() -> None:
    session = a_session()
    often = session
    for n in range(1, 101):
        often = counted(often, later(session, n * 0.25))
    assert often.stretch == counted(session, later(session, 25)).stretch


def test_a_stretch_ends_where_the_next_begins() -> None:
    session = a_session()
    reading = Reading(later(session, 60), Wh(Decimal(1_000_500)))
    after = next_stretch(session, reading)
    assert after.stretches == (session.stretch,)
    assert (after.stretch.start, after.stretch.register) == (reading.at, reading.register)
    assert (after.stretch.charging_ms, after.stretch.parking_ms) == (0, 0)


def test_the_bill_prices_each_stretch_where_it_began() -> None:
    session = a_session(clock="22:59")
    session = next_stretch(session, Reading(later(session, 60), Wh(Decimal(1_002_000))))
    session = replace(session, stretch=replace(session.stretch, charging_ms=1_000_000, parking_ms=100_000))
    total = bill(session, Wh(Decimal(1_003_000)))
    assert [(str(p.energy), str(p.price)) for p in total.periods] == [("2000", "0.30"), ("1000", "0.20")]
    assert total.cost is not None
    assert [str(x) for x in (total.cost.energy, total.cost.time, total.cost.parking)] == ["0.80", "1.00", "1.00"]
    assert total.refund is None


def test_a_stretch_keeps_the_draw_only_where_a_price_asks_for_it() -> None:
    session = a_session()
    reading = Reading(later(session, 60), Wh(Decimal(1_000_500)))
    assert next_stretch(session, reading).stretch.draw is None
    limited = Tariff("EUR", (Element(TARIFF.elements[0].components, Restrictions(max_power=Decimal(5))),))
    assert session.terms is not None
    asking = replace(session, terms=replace(session.terms, tariff=limited))
    assert next_stretch(asking, reading).stretch.draw == Draw()


def test_the_ledger_of_an_earlier_release_is_read_and_billed_as_it_was() -> None:
    """What schema 1 wrote before prices had restrictions of energy, power and duration, or another basis."""
    stored = json.loads((Path(__file__).parents[2] / "vectors" / "tariffs" / "ledger_1.json").read_text("utf-8"))
    old = {name: json.dumps(value) for name, value in stored.items()}
    started, ended = (load_fact(name, 1, old[name]) for name in ("session-started", "session-ended"))
    assert isinstance(started, SessionStarted)
    assert isinstance(ended, SessionEnded)
    assert started.terms is not None
    assert (started.terms.basis, started.terms.prices) == (Basis.TARIFF, ())
    session, company = load(Session, 1, old["session"]), load(Company, 1, old["company"])
    assert company.settings is not None
    assert company.settings.tariff == started.terms.tariff
    again = bill(session, ended.register)
    assert (again.cost, again.refund) == (ended.cost, ended.refund)
    assert [(p.start, p.energy, p.price) for p in again.periods] == [
        (p.start, p.energy, p.price) for p in ended.periods
    ]


def test_a_session_without_a_tariff_has_no_bill() -> None:
    assert bill(replace(a_session(), terms=None), Wh(Decimal(9_999_999))) == Bill()


def over_new_year(years: tuple[tuple[int, Decimal], ...], after: str) -> SessionEnded:
    """Return the end of a session on flat prices that began at 23:50 local time in 2026; after: so long it lasted."""
    c = a_charger(tariff=TARIFF, timezone="Europe/Amsterdam", basis=Basis.FLAT, flat=years)
    c.wall = datetime(2026, 12, 31, 22, 50, tzinfo=UTC)
    c.poll()
    charging(c)
    hours, minutes = map(int, after.split(":"))
    c.run(hours * 3600 + minutes * 60)
    c.card(PRIVATE)
    c.run(4)
    return c.only(SessionEnded)


YEARS = ((2026, Decimal("0.34")), (2027, Decimal("0.40")))


@pytest.mark.parametrize(("after", "price"), [("0:08", "0.34"), ("0:12", "0.40"), ("1:00", "0.40")])
def test_a_session_takes_the_flat_price_of_the_year_that_it_ends_in(after: str, price: str) -> None:
    end = over_new_year(YEARS, after)
    assert end.cost is not None
    energy = sum((Decimal(p.energy) for p in end.periods), Decimal(0))
    assert energy > 900
    assert end.cost.energy == end.cost.incl_vat == money(energy * Decimal(price) / 1000)
    assert [str(p.price) for p in end.periods] == [price]


def test_a_session_that_ends_in_a_year_without_a_price_has_no_cost() -> None:
    end = over_new_year(YEARS[:1], "0:12")
    assert (end.cost, end.refund) == (None, None)
    assert over_new_year(YEARS[:1], "0:08").cost is not None
    always = over_new_year(((0, Decimal("0.30")),), "0:12").cost
    assert always is not None


def test_neighbours_of_one_price_are_one_period() -> None:
    at = Instant(0.0, NOON)
    one, other = (Period(at, Wh(Decimal(n)), Decimal("0.3"), n * 10, n) for n in (1, 2))
    third = Period(at, Wh(Decimal(4)), Decimal("0.2"))
    both = Period(at, Wh(Decimal(3)), Decimal("0.3"), 30, 3)
    assert merged((one, other, third, one)) == (both, third, one)
    assert merged(()) == ()


def test_time_suspended_by_the_station_is_neither_charging_nor_parking() -> None:
    c = a_charger(tariff=TARIFF)
    c.wall = NOON.replace(hour=23)
    c.poll()
    charging(c)
    c.site.meter_error = "no answer"
    c.run(70)
    before = c.session.stretch
    c.run(600)
    assert c.session.stretch == before
    c.site.meter_error = None
    c.site.hungry = False
    c.run(31)
    c.card(PRIVATE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert ended.cost is not None
    assert str(ended.cost.time) == "0.07"
    assert str(ended.cost.parking) == "0.29"
