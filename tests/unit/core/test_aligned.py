"""Readings at even times of the day: the grid, sessions and idle connectors, late meters, clocks, and privacy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agent.core.aligned import next_time
from agent.core.commands import ChangeSetting
from agent.core.company import Company, LinkState
from agent.core.effects import PollMeter
from agent.core.events import ClockStepped
from agent.core.facts import MeterSampled, SessionSampled
from agent.core.instant import TimeStatus
from agent.core.model import ReadingContext
from agent.core.state import StationState
from tests.unit.core.charger import NOON, ONE, PRIVATE, Charger, a_charger, charging, fleet


def aligned(interval: int = 10, **settings: object) -> Charger:
    return a_charger(lambda s: replace(s, clock_aligned_interval_s=interval, **settings))  # type: ignore[arg-type]


def idle(c: Charger) -> list[float]:
    """Seconds after noon of the readings of the idle connector."""
    samples = [f for f in c.all(MeterSampled) if f.context is ReadingContext.CLOCK]
    return [(fact.reading.at.wall - NOON).total_seconds() for fact in samples]


def in_session(c: Charger) -> list[float]:
    samples = [f for f in c.all(SessionSampled) if f.context is ReadingContext.CLOCK]
    return [(fact.reading.at.wall - NOON).total_seconds() for fact in samples]


@pytest.mark.parametrize(
    ("after", "interval", "zone", "expected"),
    [
        ("2026-11-18T12:00:00", 900, "UTC", "2026-11-18T12:15:00"),
        ("2026-11-18T12:14:59.999", 900, "UTC", "2026-11-18T12:15:00"),
        ("2026-11-18T23:59:59", 900, "UTC", "2026-11-19T00:00:00"),
        ("2026-11-18T12:00:00", 7 * 3600, "UTC", "2026-11-18T14:00:00"),
        ("2026-11-18T21:00:00", 7 * 3600, "UTC", "2026-11-19T00:00:00"),
        ("2026-11-18T12:00:00", 7200, "Europe/Amsterdam", "2026-11-18T13:00:00"),
        ("2026-11-18T12:00:00", 3600, "Asia/Kolkata", "2026-11-18T12:30:00"),
        ("2026-11-18T12:00:00", 200_000, "Europe/Amsterdam", "2026-11-18T23:00:00"),
        ("2026-03-28T23:30:00", 7200, "Europe/Amsterdam", "2026-03-29T01:00:00"),
        ("2026-10-25T00:30:00", 3600, "Europe/Amsterdam", "2026-10-25T01:00:00"),
    ],
)
def test_the_grid_begins_at_local_midnight(after: str, interval: int, zone: str, expected: str) -> None:
    moment, wanted = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (after, expected))
    assert next_time(moment, interval, zone) == wanted


@pytest.mark.parametrize("zone", ["UTC", "Europe/Amsterdam", "America/St_Johns", "Africa/Cairo"])
def test_every_time_of_the_grid_is_later_and_within_the_interval(zone: str) -> None:
    moment = datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC)
    for _ in range(3000):
        following = next_time(moment, 1700, zone)
        assert timedelta(0) < following - moment <= timedelta(seconds=1700)
        moment = following + timedelta(minutes=37)


def test_an_idle_connector_is_read_at_each_time_and_stamped_with_it() -> None:
    c = aligned()
    c.pass_time(3)
    c.run(38)
    assert idle(c) == [10.0, 20.0, 30.0, 40.0]
    assert {fact.evse for fact in c.all(MeterSampled)} == {ONE}
    assert c.all(PollMeter)


def test_a_session_has_the_readings_and_the_idle_connector_has_none_meanwhile() -> None:
    c = aligned()
    c.run(12)
    fleet(c)
    c.run(20)
    assert idle(c) == [10.0]
    assert in_session(c) == [20.0, 30.0, 40.0]


def test_off_by_default_and_switched_on_and_off_while_running() -> None:
    c = a_charger()
    c.run(3600)
    assert idle(c) == []
    c.command(ChangeSetting("clock_aligned_interval_s", 10))
    c.run(25)
    assert idle(c) == [3610.0, 3620.0]
    c.command(ChangeSetting("clock_aligned_interval_s", 7))
    c.run(7)
    assert len(idle(c)) == 3
    c.command(ChangeSetting("clock_aligned_interval_s", 0))
    c.run(60)
    assert len(idle(c)) == 3


def test_a_private_session_and_what_follows_from_the_link_tell_nothing() -> None:
    c = charging(aligned(), PRIVATE)
    c.run(30)
    assert idle(c) == []
    for company in (Company("ACME", LinkState.PENDING), Company("ACME", LinkState.REJECTED), Company(left="ACME")):
        c = aligned()
        c.state = replace(c.state, company=company)
        c.run(30)
        assert idle(c) == []


@pytest.mark.requirement(54)
def test_a_meter_that_comes_back_too_late_leaves_a_hole() -> None:
    c = aligned(interval=30)
    c.site.meter_error = "no answer"
    c.run(35)
    c.site.meter_error = None
    c.run(1)
    assert idle(c) == [30.0]
    c.run(20)
    c.site.meter_error = "no answer"
    c.run(16)
    c.site.meter_error = None
    c.run(25)
    assert idle(c) == [30.0, 90.0]


@pytest.mark.parametrize("status", [TimeStatus.UNKNOWN, TimeStatus.INFORMATIVE])
def test_without_the_time_there_is_no_grid_until_it_is_known(status: TimeStatus) -> None:
    c = aligned()
    c.status = status
    c.do(ClockStepped())
    c.run(30)
    assert idle(c) == []
    c.status = TimeStatus.SYNCHRONISED
    c.do(ClockStepped())
    c.run(30)
    assert len(idle(c)) == 3


def test_a_step_of_the_clock_moves_the_grid() -> None:
    c = aligned(interval=900)
    c.run(10)
    c.wall += timedelta(seconds=885)
    c.do(ClockStepped())
    c.run(10)
    assert idle(c) == [900.0]


def test_nothing_is_read_where_nobody_wants_the_values() -> None:
    c = aligned(aligned_measurands=())
    c.run(30)
    assert not c.all(PollMeter)
    c = fleet(aligned(aligned_measurands=(), stop_aligned_measurands=("Energy.Active.Import.Register",)))
    c.run(20)
    assert len(in_session(c)) >= 2
    assert idle(c) == []


def test_the_offer_goes_with_a_sample() -> None:
    c = fleet(aligned())
    c.run(20)
    values = {v.name: v.number for v in c.last(SessionSampled).reading.values}
    assert values == {"current_offered": Decimal(16), "power_offered": Decimal(11040)}


def test_the_grid_is_not_kept_over_a_restart() -> None:
    c = aligned()
    c.run(12)
    c.crash(down=10)
    assert StationState(c.state.evses).grid is None
    c.run(20)
    assert idle(c) == [10.0, 30.0, 40.0]
