"""From when to when a card is good: days and moments of the station's local time, as moments in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from agent.core.card import Cleared, Limit


def first_moment(limit: Limit, zone: ZoneInfo, before: datetime | None = None) -> datetime | None:
    """Return from when on a card is good (UTC): a day begins at its local midnight; before: where nothing is said."""
    return _moment(limit, zone, before, timedelta(0))


def last_moment(limit: Limit, zone: ZoneInfo, before: datetime | None = None) -> datetime | None:
    """Return from when on a card is not good any more (UTC): after the whole of a day."""
    return _moment(limit, zone, before, timedelta(days=1))


def is_reversed(first: datetime | None, last: datetime | None) -> bool:
    """Tell whether a card would never be good."""
    return first is not None and last is not None and first >= last


def _moment(limit: Limit, zone: ZoneInfo, before: datetime | None, more: timedelta) -> datetime | None:
    match limit:
        case None:
            return before
        case Cleared():
            return None
        case datetime():
            return (limit if limit.tzinfo is not None else limit.replace(tzinfo=zone)).astimezone(UTC)
        case _:
            return datetime.combine(limit + more, time(), tzinfo=zone).astimezone(UTC)
