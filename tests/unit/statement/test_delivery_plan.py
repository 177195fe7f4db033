"""What is delivered when: months that ended, retries, corrections, and clocks that were wrong. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.instant import Instant
from agent.statement.delivery import plan
from agent.statement.delivery.parcel import mark
from agent.statement.delivery.plan import Shipment, Standing
from agent.statement.model import State
from agent.statement.month import Month

ZONE = ZoneInfo("Europe/Amsterdam")
NOVEMBER = Month(2026, 11)
NOW = Instant(1000.0, datetime(2026, 12, 1, 8, tzinfo=UTC))
DAY = timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def revised(
    row: Shipment, state: State = State.COMPLETED, figures: str = "one", over_for: timedelta = timedelta(hours=8)
) -> Shipment:
    return plan.revised(row, state, figures, over_for=over_for, mono=NOW.mono)


def delivered(**changes: object) -> Shipment:
    """Return a month that has arrived and may still change, or another row."""
    row = Shipment("payroll", NOVEMBER, Standing.COMPLETED, edition=1, figures="one", done=frozenset({"pdf"}))
    return replace(row, attempts=3, **changes)  # type: ignore[arg-type]  # fields of a row


# ---- months ----------------------------------------------------------------------------------------------------------


def test_a_month_ends_at_local_midnight() -> None:
    since = utc("2026-11-20")
    assert plan.ended(since, utc("2026-11-30T22:59:59"), ZONE) == ()
    assert plan.ended(since, utc("2026-11-30T23:00:00"), ZONE) == (NOVEMBER,)


def test_months_that_ended_while_the_station_was_off_are_all_told() -> None:
    assert plan.ended(utc("2026-10-02"), utc("2027-01-05"), ZONE) == (Month(2026, 10), NOVEMBER, Month(2026, 12))


def test_months_that_had_ended_before_a_delivery_was_known_are_not_told() -> None:
    assert plan.ended(utc("2026-12-01"), utc("2027-01-01"), ZONE) == (Month(2026, 12),)


def test_a_clock_set_to_another_century_sends_no_thousand_statements() -> None:
    months = plan.ended(utc("2026-12-01"), utc("2126-01-02"), ZONE)
    assert (len(months), months[-1]) == (plan.MOST_MONTHS, Month(2125, 12))


def test_a_clock_that_went_back_tells_nothing() -> None:
    assert plan.ended(utc("2026-12-01"), utc("1970-01-02"), ZONE) == ()


# ---- retries ---------------------------------------------------------------------------------------------------------


def test_the_first_retry_comes_within_fifteen_seconds_and_the_later_ones_up_to_an_hour_apart() -> None:
    assert [plan.delay(count, 0.0) for count in range(1, 12)] == [
        15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600,
    ]  # fmt: skip


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_a_retry_is_never_later_than_an_hour_nor_hectic(attempts: int, chance: float) -> None:
    assert 12.0 <= plan.delay(attempts, chance) <= 3600.0


def test_a_failure_is_counted_with_its_cause_and_the_moment_of_the_next_try() -> None:
    row = plan.failed(Shipment("payroll", NOVEMBER), "no network", NOW, 0.0)
    assert (row.attempts, row.error, row.due, row.tried) == (1, "no network", 1015.0, NOW.wall)
    assert row.following == NOW.wall + timedelta(seconds=15)
    assert not plan.is_due(row, NOW, ZONE)
    assert plan.is_due(row, replace(NOW, mono=1015.0), ZONE)


def test_what_arrived_of_a_completed_month_is_never_looked_at_again() -> None:
    row = plan.arrived(plan.failed(revised(Shipment("payroll", NOVEMBER)), "no", NOW, 0.0), State.COMPLETED, NOW)
    assert (row.standing, row.attempts, row.error, row.settled, row.due) == (Standing.COMPLETED, 2, None, True, inf)
    assert not plan.is_due(row, replace(NOW, mono=1e9), ZONE)


def test_what_arrived_of_a_pending_month_is_looked_at_hourly() -> None:
    row = plan.arrived(revised(Shipment("payroll", NOVEMBER)), State.PENDING, NOW)
    assert (row.settled, row.due) == (False, NOW.mono + 3600)


# ---- editions --------------------------------------------------------------------------------------------------------


def test_a_month_that_has_ended_is_the_first_edition() -> None:
    row = revised(Shipment("payroll", NOVEMBER), State.PENDING)
    assert (row.pending, row.edition, row.figures, row.due) == (True, 1, "one", 0.0)


def test_a_month_with_a_session_that_may_belong_to_it_waits_for_a_day_at_most() -> None:
    new = Shipment("payroll", NOVEMBER)
    waiting = revised(new, State.IN_PROGRESS)
    assert (waiting.pending, waiting.edition, waiting.due) == (True, 0, NOW.mono + 60)
    late = revised(new, State.IN_PROGRESS, over_for=DAY)
    assert (late.pending, late.edition, late.due) == (True, 0, 0.0)
    final = revised(plan.arrived(late, State.IN_PROGRESS, NOW), State.COMPLETED, over_for=2 * DAY)
    assert (final.pending, final.edition, final.attempts) == (True, 1, 0)


def test_a_pending_month_that_is_completed_unchanged_is_not_sent_again() -> None:
    row = revised(delivered(), State.COMPLETED)
    assert (row.standing, row.settled, row.edition) == (Standing.COMPLETED, True, 1)


def test_other_figures_are_sent_once_more_as_a_correction() -> None:
    row = revised(delivered(), figures="two")
    assert (row.pending, row.edition, row.figures, row.done, row.attempts) == (True, 2, "two", frozenset(), 0)


def test_figures_that_change_before_anything_arrived_are_no_correction() -> None:
    row = plan.failed(revised(Shipment("payroll", NOVEMBER)), "no", NOW, 0.0)
    changed = revised(row, figures="two")
    assert (changed.edition, changed.figures, changed.attempts) == (1, "two", 1)


def test_figures_that_change_between_two_files_are_a_correction_of_both() -> None:
    half = replace(revised(Shipment("payroll", NOVEMBER)), done=frozenset({"pdf"}))
    changed = revised(half, figures="two")
    assert (changed.edition, changed.done) == (2, frozenset())


def test_what_has_arrived_stays_arrived_when_the_rest_is_tried_again() -> None:
    half = plan.failed(replace(revised(Shipment("payroll", NOVEMBER)), done=frozenset({"pdf"})), "no", NOW, 0.0)
    assert revised(half) == half


# ---- by hand ---------------------------------------------------------------------------------------------------------


def test_a_month_in_progress_is_delivered_when_somebody_asks_and_again_when_it_has_ended() -> None:
    row = revised(plan.asked(None, "payroll", NOVEMBER), State.IN_PROGRESS, over_for=-DAY)
    assert (row.pending, row.edition, row.turn, row.due) == (True, 0, 1, 0.0)
    arrived = plan.arrived(row, State.IN_PROGRESS, NOW)
    during = replace(NOW, mono=1e6, wall=utc("2026-11-30"))
    assert not plan.is_due(arrived, during, ZONE)
    assert plan.is_due(arrived, replace(NOW, mono=1e6), ZONE)
    final = revised(arrived, State.COMPLETED)
    assert (final.pending, final.edition, final.turn) == (True, 1, 0)


def test_what_has_arrived_can_be_asked_for_again_as_the_same_edition() -> None:
    row = revised(plan.asked(delivered(settled=True), "payroll", NOVEMBER))
    assert (row.pending, row.edition, row.turn, row.done, row.attempts) == (True, 1, 1, frozenset(), 0)
    assert revised(row, figures="two").edition == 2


def test_what_waits_for_its_next_try_is_tried_at_once() -> None:
    row = plan.failed(revised(Shipment("payroll", NOVEMBER)), "no", NOW, 0.0)
    asked = plan.asked(row, "payroll", NOVEMBER)
    assert (asked.due, asked.following, asked.attempts, asked.turn) == (0.0, None, 1, 0)


# ---- clocks ----------------------------------------------------------------------------------------------------------


def test_a_month_delivered_under_a_clock_that_ran_ahead_is_looked_at_when_it_has_really_ended() -> None:
    too_early = delivered(settled=True, due=inf)
    before = replace(NOW, wall=utc("2026-11-20"))
    row = plan.doubted(too_early, before, ZONE)
    assert not plan.is_due(row, before, ZONE)
    assert plan.is_due(row, NOW, ZONE)
    assert plan.doubted(too_early, NOW, ZONE) is too_early


@pytest.mark.parametrize(("edition", "name"), [(0, "-in-progress"), (1, ""), (2, "-corrected-1"), (3, "-corrected-2")])
def test_a_files_name_tells_its_edition(edition: int, name: str) -> None:
    assert mark(edition) == name
