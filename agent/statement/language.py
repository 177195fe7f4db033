"""Languages of statements: words, numbers, dates and durations. The words are in ``words``, one file per language.

Signs and their order are those of CLDR for each language's home: 1.234,56 in Dutch, 1 234,56 in French.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

from agent.statement.month import Month

LocalDay: TypeAlias = date
LANGUAGES: Final = ("en", "nl", "de", "es", "fr")
WORDS: Final = Path(__file__).parent / "words"
CENT: Final = Decimal("0.01")
WATT_HOUR: Final = Decimal("0.001")
KILO: Final = Decimal(1000)
GROUP: Final = 3
UNKNOWN: Final = "\N{EN DASH}"
OFFSET: Final = len("+01:00")
DAY_S: Final = 86_400
HOUR_S: Final = 3_600
MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class Language:
    """A language. words: by section and name; form: signs and patterns; group_from: digits from which there are groups.

    one: numbers that take the singular.
    """

    code: str
    words: Mapping[str, Mapping[str, str]]
    months: tuple[str, ...]
    decimal: str
    group: str
    group_from: int
    colon: str
    date_form: str
    month_form: str
    one: frozenset[str]
    units: Mapping[str, tuple[str, str]]

    def __getitem__(self, name: str) -> str:
        """Return a word of the section ``words``."""
        return self.words["words"][name]

    def name(self, section: str, value: str) -> str:
        """Return a value's name, like ``meter-gap`` of ``quality``."""
        return self.words[section][value.replace("-", "_").replace(" ", "_")]

    def number(self, number: Decimal, places: int = 2) -> str:
        """Return a number with so many places, rounded half up."""
        whole, _, fraction = f"{abs(number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)):f}".partition(".")
        digits = self._grouped(whole) if len(whole) >= self.group_from else whole
        negative = number < 0 and (whole + fraction).strip("0")
        return f"{'-' if negative else ''}{digits}{self.decimal if fraction else ''}{fraction}"

    def money(self, amount: Decimal | None) -> str:
        """Return an amount with two places, a dash for one that is not known."""
        return UNKNOWN if amount is None else self.number(amount)

    def kwh(self, energy: Decimal | None) -> str:
        """Return Wh as kWh with three places, a dash where it is not known."""
        return UNKNOWN if energy is None else self.number(energy / KILO, 3)

    def price(self, price: Decimal) -> str:
        """Return a price with all its places, at least two."""
        exponent = price.normalize().as_tuple().exponent
        return self.number(price, max(2, -exponent if isinstance(exponent, int) else 2))

    def date(self, moment: datetime, zone: tzinfo) -> str:
        """Return the local day."""
        return self.day(moment.astimezone(zone).date())

    def day(self, local: LocalDay) -> str:
        """Return a day."""
        month = self.months[local.month - 1][:3]
        return self.date_form.format(day=local.day, number=local.month, month=month, year=f"{local.year:04}")

    def moment(self, moment: datetime, zone: tzinfo) -> str:
        """Return local day and time to the second, rounded down; with the offset in an hour that comes twice."""
        local = moment.astimezone(zone)
        twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
        return f"{self.date(moment, zone)} {local:%H:%M:%S}{f' ({local.isoformat()[-OFFSET:]})' if twice else ''}"

    def month(self, month: Month) -> str:
        """Return a month with its year."""
        return self.month_form.format(name=self.months[month.number - 1], year=month.year)

    def duration(self, seconds: Decimal | None) -> str:
        """Return a duration in words, like 56 minutes, 44 seconds; units that are 0 are left out."""
        if seconds is None:
            return UNKNOWN
        rest = int(seconds.to_integral_value(ROUND_HALF_UP))
        parts: list[str] = []
        for unit, length in (("days", DAY_S), ("hours", HOUR_S), ("minutes", MINUTE_S), ("seconds", 1)):
            count, rest = divmod(rest, length)
            if count or (unit == "seconds" and not parts):
                parts.append(f"{count} {self.units[unit][str(count) not in self.one]}")
        return ", ".join(parts)

    def _grouped(self, whole: str) -> str:
        first = len(whole) % GROUP
        groups = [whole[:first]] if first else []
        return self.group.join([*groups, *(whole[at : at + GROUP] for at in range(first, len(whole), GROUP))])


@cache
def language(code: str) -> Language:
    """Return a language. Raises: KeyError for one that there is not."""
    if code not in LANGUAGES:
        raise KeyError(code)
    document = tomllib.loads((WORDS / f"{code}.toml").read_text(encoding="utf-8"))
    form = document.pop("form")
    return Language(
        code=code,
        months=tuple(document.pop("months")),
        units={unit: (one, many) for unit, (one, many) in document.pop("duration").items()},
        words=document,
        decimal=form["decimal"],
        group=form["group"],
        group_from=form["group_from"],
        colon=form["colon"],
        date_form=form["date"],
        month_form=form["month"],
        one=frozenset(form["one"]),
    )
