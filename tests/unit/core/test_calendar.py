"""Local time: weekdays, the next time by the clock, and both changes of daylight saving."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.calendar import Weekday, next_local, next_shift, on_date, weekday, weekday_before

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ZONES = [ZoneInfo(z) for z in ("Europe/Amsterdam", "UTC", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata")]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_days_have_their_ocpi_names() -> None:
    assert weekday(datetime(2026, 11, 21, 23, 59, tzinfo=AMSTERDAM)) is Weekday.SATURDAY
    assert weekday_before(Weekday.MONDAY) is Weekday.SUNDAY
    assert weekday_before(Weekday.SUNDAY) is Weekday.SATURDAY


@pytest.mark.parametrize(
    ("after", "clock", "expected"),
    [
        ("2026-11-18 05:59:59", "07:00", "2026-11-18 06:00"),
        ("2026-11-18 06:00:00", "07:00", "2026-11-19 06:00"),  # strictly after
        ("2026-11-18 22:59:59", "00:00", "2026-11-18 23:00"),  # local midnight
        ("2026-07-18 05:30:00", "07:00", "2026-07-19 05:00"),  # summer
        # forward in the night of 29 March 2026: 02:00 becomes 03:00 at 01:00 UTC
        ("2026-03-28 23:30:00", "02:00", "2026-03-29 01:00"),
        ("2026-03-28 23:30:00", "02:30", "2026-03-29 01:00"),  # skipped: the jump counts
        ("2026-03-28 23:30:00", "03:00", "2026-03-29 01:00"),
        ("2026-03-28 23:30:00", "03:30", "2026-03-29 01:30"),
        ("2026-03-29 01:00:00", "02:30", "2026-03-30 00:30"),
        # back in the night of 25 October 2026: 03:00 becomes 02:00 at 01:00 UTC
        ("2026-10-24 23:30:00", "02:30", "2026-10-25 00:30"),  # the first one
        ("2026-10-25 00:30:00", "02:30", "2026-10-25 01:30"),  # and the second
        ("2026-10-25 01:30:00", "02:30", "2026-10-26 01:30"),
        ("2026-10-25 00:30:00", "03:00", "2026-10-25 02:00"),
    ],
)
def test_the_next_time_by_the_clock(after: str, clock: str, expected: str) -> None:
    assert next_local(utc(after), time.fromisoformat(clock), AMSTERDAM) == utc(expected)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-03-28 20:00:00.5", "2026-03-29 01:00"),
        ("2026-03-29 00:59:59.999999", "2026-03-29 01:00"),
        ("2026-03-29 01:00:00", None),
        ("2026-10-24 12:00:00", "2026-10-25 01:00"),
        ("2026-06-01 12:00:00", None),
    ],
)
def test_a_change_of_daylight_saving_is_found_to_the_second(after: str, expected: str | None) -> None:
    assert next_shift(utc(after), AMSTERDAM) == (None if expected is None else utc(expected))


@pytest.mark.parametrize(
    ("day", "zone", "expected"),
    [
        ("2026-12-24", "Europe/Amsterdam", "2026-12-23 23:00"),
        ("2026-07-01", "Europe/Amsterdam", "2026-06-30 22:00"),
        ("2026-09-06", "America/Santiago", "2026-09-06 04:00"),  # midnight is skipped: the day begins at 01:00
    ],
)
def test_when_a_local_day_begins(day: str, zone: str, expected: str) -> None:
    assert on_date(date.fromisoformat(day), ZoneInfo(zone)) == utc(expected)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # the strategy adds it
    st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    st.sampled_from(ZONES),
)
def test_the_next_time_by_the_clock_is_ahead_shows_that_time_and_skips_none(
    after: datetime, clock: time, zone: ZoneInfo
) -> None:
    found = next_local(after, clock, zone)
    assert timedelta(0) < found - after <= timedelta(days=2)
    assert found.astimezone(zone).time() == clock or next_shift(found - timedelta(seconds=1), zone) == found
    step = (found - after) / 50
    for n in range(1, 50):
        assert next_local(after + step * n, clock, zone) == found
