"""Local time: which day of the week a moment is on, and when the next one of a kind comes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final

SHIFT_WITHIN: Final = timedelta(days=2)
"""How far ahead a change of the offset from UTC is looked for; boundaries by the clock come at least once a day."""


class Weekday(StrEnum):
    """Days as OCPI 2.2.1 (DayOfWeek) names them, Monday first."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


WEEKDAYS: tuple[Weekday, ...] = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class Grid:
    """The next even time of the day at which meters are read: by the wall (UTC), and by the monotonic clock."""

    interval_s: int
    wall: datetime
    due: float


def weekday(local: datetime) -> Weekday:
    """Return the day of the week of a local time."""
    return WEEKDAYS[local.weekday()]


def weekday_before(day: Weekday) -> Weekday:
    """Return the day of the week before another."""
    return WEEKDAYS[WEEKDAYS.index(day) - 1]


def next_local(after: datetime, clock: time, zone: tzinfo) -> datetime:
    """Return the first moment after ``after`` at which the local clock shows ``clock`` (UTC).

    Where daylight saving skips that time, the moment the clock jumps over it counts; where it
    repeats, each of the two counts.
    """
    first = after.astimezone(zone).date()
    for day in range(3):
        for fold in (0, 1):
            moment = _moment(datetime.combine(first + timedelta(days=day), clock).replace(fold=fold), zone)
            if moment > after:
                return moment
    message = f"no local time {clock} within three days after {after}"
    raise AssertionError(message)


def on_date(day: date, zone: tzinfo) -> datetime:
    """Return when a local day begins (UTC), be it with midnight or, where that is skipped, later."""
    return _moment(datetime.combine(day, time(0)), zone)


def next_shift(after: datetime, zone: tzinfo) -> datetime | None:
    """Return when the local clock is next put forward or back (UTC), None where it is not within ``SHIFT_WITHIN``."""
    low, high = after.astimezone(UTC), after.astimezone(UTC) + SHIFT_WITHIN
    before = low.astimezone(zone).utcoffset()
    if high.astimezone(zone).utcoffset() == before:
        return None
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _moment(local: datetime, zone: tzinfo) -> datetime:
    """Return when the clock shows a local time, or jumps over it (UTC); ``fold`` picks one of two."""
    moment = local.replace(tzinfo=zone).astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == local:
        return moment
    early = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return next_shift(early, zone) or moment
