"""The hours of the week that a tariff has a price of energy for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from typing import Final

from agent.core.calendar import WEEKDAYS
from agent.core.tariff import Dimension, Restrictions, Tariff

DAY_MIN: Final = 24 * 60
WEEK_MIN: Final = 7 * DAY_MIN


def unpriced_hours(tariff: Tariff) -> tuple[str, str] | None:
    """Return the first hours of the week for which no element may price energy although some do, as words.

    Only times of day and days of the week are looked at: the others depend on the session, or on the year. None where
    all hours are priced, and for a tariff that prices no energy at all.
    """
    spans = sorted(span for limits in _pricing(tariff) for span in _spans(limits))
    reach = 0
    for begin, end in [*spans, (WEEK_MIN, WEEK_MIN)] if spans else []:
        if begin > reach:
            return _words(reach), _words(begin)
        reach = max(reach, end)
    return None


def _pricing(tariff: Tariff) -> Iterator[Restrictions]:
    for element in tariff.elements:
        if any(component.dimension is Dimension.ENERGY for component in element.components):
            yield element.restrictions


def _spans(limits: Restrictions) -> Iterator[tuple[int, int]]:
    """Yield the parts of the week in minutes since Monday 0:00; what runs over its end goes on at its begin."""
    start, end = _minutes(limits.start), _minutes(limits.end)
    length = (end - start) % DAY_MIN or DAY_MIN
    for day in limits.days or WEEKDAYS:
        begin = WEEKDAYS.index(day) * DAY_MIN + start
        yield begin, min(begin + length, WEEK_MIN)
        if begin + length > WEEK_MIN:
            yield 0, begin + length - WEEK_MIN


def _minutes(clock: time | None) -> int:
    return 0 if clock is None else clock.hour * 60 + clock.minute


def _words(minutes: int) -> str:
    day, minute = divmod(minutes, DAY_MIN)
    if day == len(WEEKDAYS):
        return f"{WEEKDAYS[-1]} 24:00"
    return f"{WEEKDAYS[day]} {minute // 60:02}:{minute % 60:02}"
