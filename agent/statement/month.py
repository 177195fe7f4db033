"""Calendar months in local time; a session belongs to the month in which it ended."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

FORM: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
DECEMBER: Final = 12
LAST_YEAR: Final = 9998
"""The month after any month still has a year that ``datetime`` knows."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar; number: 1 to 12."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @property
    def following(self) -> Month:
        """The month after this one."""
        return Month(self.year + self.number // DECEMBER, self.number % DECEMBER + 1)

    def begin(self, zone: tzinfo) -> datetime:
        """Return its first moment (UTC)."""
        return datetime(self.year, self.number, 1, tzinfo=zone).astimezone(UTC)

    def end(self, zone: tzinfo) -> datetime:
        """Return the first moment after it (UTC)."""
        return self.following.begin(zone)


def month_of(text: str) -> Month:
    """Return the month that is written like 2026-11. Raises: ValueError."""
    found = FORM.fullmatch(text.strip())
    if found is None or not 1 < int(found[1]) <= LAST_YEAR:
        raise ValueError(text)
    return Month(int(found[1]), int(found[2]))


def month_at(moment: datetime, zone: tzinfo) -> Month:
    """Return the month that a moment is in."""
    local = moment.astimezone(zone)
    return Month(local.year, local.month)
