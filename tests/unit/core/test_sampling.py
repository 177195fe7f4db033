"""Which readings of a session are kept: at an interval, at price boundaries, and as snapshots for a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest

from agent.core.commands import ChangeSetting, ResetSetting
from agent.core.deadlines import next_deadline
from agent.core.effects import PollMeter
from agent.core.events import ClockStepped
from agent.core.facts import SessionEnded, SessionSampled
from agent.core.instant import Instant, TimeStatus
from agent.core.model import Quality, ReadingContext
from agent.core.sampling import corrected
from agent.core.tariff import Dimension, Element, PriceComponent, Restrictions, Tariff
from tests.unit.core.charger import NOON, PRIVATE, Charger, a_charger, charging


def price(amount: str) -> tuple[PriceComponent, ...]:
    return (PriceComponent(Dimension.ENERGY, Decimal(amount), Decimal(0)),)


DAY_AND_NIGHT = Tariff(
    "EUR", (Element(price("0.30"), Restrictions(time(7), time(23))), Element(price("0.20"), Restrictions()))
)


def at(clock: str, charger: Charger) -> Charger:
    charger.wall = datetime.combine(NOON.date(), time.fromisoformat(clock), tzinfo=UTC)
    charger.poll()
    return charger


def samples(charger: Charger, context: ReadingContext) -> list[SessionSampled]:
    return [f for f in charger.all(SessionSampled) if f.context is context]


def test_a_running_session_is_sampled_at_its_interval_counted_from_its_start() -> None:
    c = charging()
    start = c.session.started.mono
    c.run(200)
    assert [s.reading.at.mono - start for s in samples(c, ReadingContext.PERIODIC)] == [60, 120, 180]


@pytest.mark.requirement(54)
def test_missed_samples_are_not_made_up_for() -> None:
    c = charging()
    c.site.meter_error = "no answer"
    c.run(150)
    c.site.meter_error = None
    c.run(40)
    assert [s.reading.at.mono - c.session.started.mono for s in samples(c, ReadingContext.PERIODIC)] == [161, 180]


def test_an_interval_of_zero_samples_nothing_but_keeps_a_snapshot_for_a_restart() -> None:
    c = charging(a_charger(lambda s: replace(s, sample_interval_s=0)))
    c.run(125)
    assert not samples(c, ReadingContext.PERIODIC)
    assert c.at.mono - c.session.last.at.mono < 60
    assert c.session.last.register > c.session.register


def test_another_interval_counts_from_the_change_on() -> None:
    c = charging()
    c.run(20)
    c.command(ChangeSetting("sample_interval_s", 15))
    changed = c.mono
    c.run(40)
    assert [s.reading.at.mono - changed for s in samples(c, ReadingContext.PERIODIC)] == [15, 30]
    c.command(ResetSetting("sample_interval_s"))
    c.run(50)
    assert len(samples(c, ReadingContext.PERIODIC)) == 2
    c.run(11)
    assert len(samples(c, ReadingContext.PERIODIC)) == 3


def test_another_setting_leaves_the_plan_alone() -> None:
    c = charging()
    planned = c.evse.next_sample
    c.command(ChangeSetting("heartbeat_interval_s", 15))
    assert c.evse.next_sample == planned


@pytest.mark.requirement(57)
def test_a_price_boundary_splits_the_energy_on_the_reading_after_it() -> None:
    c = charging(at("22:59:30", a_charger(tariff=DAY_AND_NIGHT)))
    c.run(60)
    (boundary,) = samples(c, ReadingContext.OTHER)
    assert boundary.reading.at.wall == datetime(2026, 11, 18, 23, 0, tzinfo=UTC)
    c.card(PRIVATE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert [p.price for p in ended.periods] == [Decimal("0.30"), Decimal("0.20")]
    assert ended.periods[0].energy == boundary.reading.register - 1_000_000
    assert sum(p.energy for p in ended.periods) == ended.register - 1_000_000
    assert ended.quality == (Quality.MEASURED,)


@pytest.mark.requirement(57)
def test_the_meter_is_read_at_the_boundary_itself_however_slow_its_poll() -> None:
    c = charging(at("22:59:30", a_charger(tariff=DAY_AND_NIGHT)))
    due = next_deadline(c.state, c.policy)
    assert due is not None
    c.pass_time(due - c.mono)
    assert c.wall == datetime(2026, 11, 18, 23, 0, tzinfo=UTC)
    c.keep_deadlines()
    assert isinstance(c.effects[-1], PollMeter)
    c.poll_meter()
    assert len(samples(c, ReadingContext.OTHER)) == 1
    later = next_deadline(c.state, c.policy)
    assert later is not None
    assert later - c.mono == 8 * 3600


def test_a_boundary_without_a_reading_is_split_late_and_marked() -> None:
    c = charging(at("22:59:30", a_charger(tariff=DAY_AND_NIGHT)))
    c.run(10)
    c.site.meter_error = "no answer"
    c.run(40)
    c.site.meter_error = None
    c.run(5)
    assert len(samples(c, ReadingContext.OTHER)) == 1
    c.card(PRIVATE)
    c.run(4)
    assert c.only(SessionEnded).quality == (Quality.METER_GAP,)


def test_a_boundary_over_which_nothing_flowed_is_exact_however_late() -> None:
    c = charging(at("22:50:00", a_charger(tariff=DAY_AND_NIGHT)))
    c.site.hungry = False
    c.run(120)
    c.site.meter_error = "no answer"
    c.run(560)
    c.site.meter_error = None
    c.run(5)
    c.card(PRIVATE)
    c.run(4)
    assert c.only(SessionEnded).quality == (Quality.MEASURED,)


def test_a_clock_put_forward_over_a_boundary_splits_at_once() -> None:
    c = charging(at("22:30:00", a_charger(tariff=DAY_AND_NIGHT)))
    c.wall += timedelta(hours=1)
    c.do(ClockStepped())
    c.run(2)
    assert len(samples(c, ReadingContext.OTHER)) == 1
    assert c.evse.boundary == datetime(2026, 11, 19, 7, 0, tzinfo=UTC)


def test_a_clock_put_back_plans_the_boundary_that_comes_again() -> None:
    c = charging(at("23:30:00", a_charger(tariff=DAY_AND_NIGHT)))
    c.wall -= timedelta(hours=1)
    c.do(ClockStepped())
    assert c.evse.boundary == datetime(2026, 11, 18, 23, 0, tzinfo=UTC)


def test_a_step_of_the_clock_changes_neither_durations_nor_the_interval() -> None:
    c = charging(at("10:00:00", a_charger(tariff=DAY_AND_NIGHT)))
    planned = c.evse.next_sample
    c.wall += timedelta(days=3)
    c.do(ClockStepped())
    assert c.evse.next_sample == planned
    c.run(50)
    c.card(PRIVATE)
    assert c.session.stretch.charging_ms + sum(s.charging_ms for s in c.session.stretches) == 59_000


def test_prices_of_a_session_that_began_before_the_time_was_known_are_those_of_the_true_time() -> None:
    c = at("03:00:00", a_charger(tariff=DAY_AND_NIGHT))
    c.status = TimeStatus.UNKNOWN
    charging(c)
    c.wall, c.status = NOON, TimeStatus.SYNCHRONISED
    c.do(ClockStepped())
    c.card(PRIVATE)
    c.run(4)
    (period,) = c.only(SessionEnded).periods
    assert period.price == Decimal("0.30")
    assert period.start.wall == NOON - timedelta(seconds=10)


def test_a_known_stamp_is_never_corrected() -> None:
    now = Instant(100, NOON)
    for stamp in (Instant(50, NOON), Instant(50, NOON, TimeStatus.UNKNOWN, boot=7)):
        assert corrected(stamp, now) == stamp
    unsure = replace(now, status=TimeStatus.INFORMATIVE)
    assert corrected(Instant(50, NOON, TimeStatus.UNKNOWN), unsure).wall == NOON
