"""Months: how they are written, where they begin and end in local time, and to which a moment belongs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statement.month import Month, month_at, month_of

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ZONES = ("Europe/Amsterdam", "Europe/Lisbon", "Atlantic/Azores", "Pacific/Kiritimati", "America/St_Johns", "UTC")


def test_a_month_is_written_as_it_is_typed() -> None:
    assert str(month_of(" 2026-11 ")) == "2026-11"
    assert month_of("2026-12").following == Month(2027, 1)


@pytest.mark.parametrize(
    "text", ["", "2026", "2026-13", "2026-00", "26-11", "2026-1", "2026-11-01", "november", "0001-01", "9999-01"]
)
def test_what_is_no_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        month_of(text)


@pytest.mark.parametrize(
    ("month", "begin", "end"),
    [
        (Month(2026, 11), "2026-10-31T23:00:00+00:00", "2026-11-30T23:00:00+00:00"),
        (Month(2026, 3), "2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00"),
        (Month(2026, 10), "2026-09-30T22:00:00+00:00", "2026-10-31T23:00:00+00:00"),
        (Month(2026, 12), "2026-11-30T23:00:00+00:00", "2026-12-31T23:00:00+00:00"),
    ],
)
def test_a_month_begins_and_ends_at_local_midnight(month: Month, begin: str, end: str) -> None:
    assert (month.begin(AMSTERDAM).isoformat(), month.end(AMSTERDAM).isoformat()) == (begin, end)


@pytest.mark.requirement(50)
def test_one_minute_past_local_midnight_is_the_new_month() -> None:
    first = datetime(2026, 11, 30, 23, 1, tzinfo=UTC)
    assert month_at(first, AMSTERDAM) == Month(2026, 12)
    assert month_at(first - timedelta(minutes=2), AMSTERDAM) == Month(2026, 11)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.sampled_from(ZONES))  # noqa: DTZ001  # made aware below
def test_every_moment_is_in_exactly_one_month(moment: datetime, name: str) -> None:
    aware, zone = moment.replace(tzinfo=UTC), ZoneInfo(name)
    month = month_at(aware, zone)
    assert month.begin(zone) <= aware < month.end(zone) == month.following.begin(zone)
