"""Days, months and moments as they are typed, in the station's local time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from agent.cli.context import USAGE, CommandFailed

MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
DAY: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
FORMS: Final = "a day like 2026-11-21, a month like 2026-11, or a moment like 2026-11-21T08:00"
DECEMBER: Final = 12
LEAST: Final = timedelta(microseconds=1)


def span(first: str | None, last: str | None, zone: tzinfo) -> tuple[datetime | None, datetime | None]:
    """Return the limits (UTC) that ``--from`` and ``--to`` make, the second no longer within. Raises: CommandFailed."""
    begin = None if first is None else since("--from", first, zone)
    end = None if last is None else until("--to", last, zone)
    if begin is not None and end is not None and begin >= end:
        raise CommandFailed(f"--from {first} is after --to {last}: give the earlier one first", status=USAGE)
    return begin, end


def since(option: str, text: str, zone: tzinfo) -> datetime:
    """Return the first moment (UTC) of what was typed. Raises: CommandFailed with status 2."""
    return _span(option, text, zone)[0]


def until(option: str, text: str, zone: tzinfo) -> datetime:
    """Return the first moment (UTC) after what was typed, which is inclusive. Raises: CommandFailed with status 2."""
    return _span(option, text, zone)[1]


def _span(option: str, text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    try:
        first, last = _local_span(text.strip(), zone)
        return first.astimezone(UTC), last.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise CommandFailed(f"{option} is {text!r}, allowed is {FORMS}", status=USAGE) from error


def _local_span(typed: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the beginning, and the end which no longer belongs to it; a day has 23, 24 or 25 hours.

    A moment without an offset is local; in an hour that happens twice, the first. Raises: ValueError, OverflowError.
    """
    if found := MONTH.fullmatch(typed):
        year, month = int(found[1]), int(found[2])
        return datetime(year, month, 1, tzinfo=zone), _month_after(year, month, zone)
    if found := DAY.fullmatch(typed):
        midnight = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=zone)
        return midnight, midnight + timedelta(days=1)  # of the same zone: the next midnight, not 24 hours later
    if not MOMENT.fullmatch(typed):
        raise ValueError(typed)
    moment = datetime.fromisoformat(typed)
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return moment, moment.astimezone(UTC) + LEAST


def _month_after(year: int, month: int, zone: tzinfo) -> datetime:
    return datetime(year + month // DECEMBER, month % DECEMBER + 1, 1, tzinfo=zone)
