"""What was typed into a form: read by kind and range, refused with the name of the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from simulators.errors import Misuse

NUMBER: Final = re.compile(r"[0-9]{1,9}([.,][0-9]{1,4})?")
CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
FIRST_YEAR, LAST_YEAR = 2000, 2199
#: Before the end of a day: still that day.
MOMENT: Final = timedelta(seconds=1)
T = TypeVar("T")


class Form:
    """The fields of a form. All methods raise Misuse for what is missing or not as it has to be."""

    def __init__(self, typed: Mapping[str, str]) -> None:
        self._typed = typed

    def text(self, name: str, label: str, *, most: int = 100, needed: bool = True) -> str:
        """Return one line of printable characters, empty only where it is not needed."""
        text = self._typed.get(name, "").strip()
        if needed and not text:
            raise Misuse(f"{label}: nothing is typed")
        if len(text) > most or not text.isprintable():
            raise Misuse(f"{label}: one line of at most {most} characters")
        return text

    def decimal(self, name: str, label: str, *, least: int = 0, most: int = 100) -> Decimal:
        """Return a number of at most four decimals; a comma is a point."""
        text = self.text(name, label)
        number = Decimal(text.replace(",", ".")) if NUMBER.fullmatch(text) else None
        if number is None or not least <= number <= most:
            raise Misuse(f"{label}: {text!r} is no number from {least} to {most} with at most four decimals")
        return number

    def maybe(self, name: str, label: str, *, most: int = 100) -> Decimal | None:
        """Return a number, None where nothing was typed."""
        return self.decimal(name, label, most=most) if self._typed.get(name, "").strip() else None

    def choice(self, name: str, label: str, kind: Callable[[str], T]) -> T:
        """Return one of the values of an enumeration, or of ``one_of``."""
        text = self._typed.get(name, "")
        try:
            return kind(text)
        except ValueError:
            raise Misuse(f"{label}: {text!r} cannot be chosen") from None

    def flag(self, name: str) -> bool:
        """Return whether a box is ticked."""
        return name in self._typed

    def clock(self, name: str, label: str) -> str:
        """Return a time of day as 07:00."""
        text = self.text(name, label)
        if not CLOCK.fullmatch(text):
            raise Misuse(f"{label}: {text!r} is no time of day, write it as 07:00")
        return text


def day(text: str, label: str) -> date | None:
    """Return a day, None for an empty text. Raises Misuse."""
    if not text.strip():
        return None
    try:
        found = date.fromisoformat(text.strip())
    except ValueError:
        found = date.min
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Misuse(f"{label}: {text!r} is no day, write it as 2026-12-31")
    return found


def begin_of(day_: date | None, zone: ZoneInfo) -> datetime | None:
    """Return the moment at which a day begins, None for none."""
    return None if day_ is None else datetime.combine(day_, time(0), zone).astimezone(UTC)


def end_of(day_: date | None, zone: ZoneInfo) -> datetime | None:
    """Return the moment at which a day ends, None for none."""
    return None if day_ is None else begin_of(day_ + timedelta(days=1), zone)


def one_of(values: Iterable[str]) -> Callable[[str], str]:
    """Return what tells whether a text is one of these, for ``Form.choice``."""
    known = frozenset(values)

    def check(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    return check
