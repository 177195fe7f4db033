"""A supplier's file of prices by the hour -> a row of prices without a gap. The format is described in docs/tariffs.md.

Times without an offset are those of the station's time zone. The row tells by itself which of two equal hours one is
when the clocks are put back: each line begins where the one before it ends.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from agent.core.prices import STEPS, PriceBlock

TIMES: Final = frozenset({"start", "start_time", "from", "time", "timestamp", "datetime", "date", "hour"})
#: Names of the column of prices -> how many kWh a price is for.
PRICES: Final = {
    **dict.fromkeys(("price", "price_per_kwh", "price_kwh", "eur_per_kwh", "eur/kwh"), Decimal(1)),
    **dict.fromkeys(("price_per_mwh", "price_mwh", "eur_per_mwh", "eur/mwh"), Decimal(1000)),
}
DELIMITERS: Final = ";\t,"
MOST: Final = Decimal(1_000_000)
EXAMPLE: Final = "2026-11-01T00:00,0.2871"
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where things stand in a line; per: kWh that a price is for; header: the first line names the columns."""

    time: int = 0
    price: int = 1
    per: Decimal = Decimal(1)
    header: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A line with a price: its number, its time as it is written (local where it has no offset), the price per kWh."""

    line: int
    time: datetime
    price: Decimal


def block_from_csv(text: str, zone: tzinfo) -> PriceBlock | None:
    """Return the prices of a file, None where it has none but its header.

    Raises: ValueError; its words begin with the line.
    """
    delimiter = next((mark for mark in DELIMITERS if mark in text), ",")
    lines = _lines(text, delimiter)
    columns = _columns(next((line for line in lines if any(line)), []))
    rows = list(_rows(lines, columns, comma=delimiter != ","))
    if not rows:
        return None
    step = _step(rows, zone)
    start = _first(rows[0], zone)
    for number, row in enumerate(rows):
        _follows(row, start + number * step, zone)
    return PriceBlock(start, step // timedelta(minutes=1), tuple(row.price for row in rows))


def _lines(text: str, delimiter: str) -> list[list[str]]:
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), delimiter=delimiter)
    try:
        return list(reader)
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num} is no line of a CSV file ({error})") from error


def _columns(first: Sequence[str]) -> Columns:
    """Return where things stand; without a header the time comes first, then the price per kWh."""
    names = [name.strip().lower() for name in first]
    times = [n for n, name in enumerate(names) if name in TIMES]
    prices = [n for n, name in enumerate(names) if name in PRICES]
    if times and prices:
        return Columns(times[0], prices[0], PRICES[names[prices[0]]], header=True)
    if names and not names[0][:1].isdigit():
        _refuse(1, f"names no columns start and price_per_kwh (or price_per_mwh): {'; '.join(first)[:80]!r}")
    return Columns()


def _rows(lines: Sequence[Sequence[str]], columns: Columns, *, comma: bool) -> Iterator[Row]:
    header = columns.header
    for number, line in enumerate(lines, 1):
        if not any(cell.strip() for cell in line):
            continue
        if header:
            header = False
            continue
        if len(line) <= max(columns.time, columns.price):
            _refuse(number, f"has too few columns; write lines like {EXAMPLE}")
        time = _time(number, line[columns.time].strip())
        yield Row(number, time, _price(number, line[columns.price].strip(), comma=comma) / columns.per)


def _time(line: int, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text if text[4:5] == "-" else "")
    except ValueError:
        _refuse(line, f"{text[:40]!r} is no time; write it like 2026-11-01T00:00, with or without an offset from UTC")


def _price(line: int, text: str, *, comma: bool) -> Decimal:
    try:
        price = Decimal(text.replace(",", ".") if comma else text)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or abs(price) > MOST:
        _refuse(line, f"{text[:40]!r} is no price; write a number like 0.2871")
    return price


def _step(rows: Sequence[Row], zone: tzinfo) -> timedelta:
    """Return how long each price holds, as the first two lines tell; an hour where there is but one."""
    if len(rows) == 1:
        return timedelta(hours=1)
    start = _first(rows[0], zone)
    steps = (timedelta(minutes=minutes) for minutes in STEPS)
    fitting = next((step for step in steps if _written(start + step, rows[1].time, zone) == rows[1].time), None)
    if fitting is None:
        _refuse(rows[1].line, "does not follow the line before it by an hour, half an hour, or a quarter")
    return fitting


def _first(row: Row, zone: tzinfo) -> datetime:
    """Return when the first price begins; of two equal hours it is the first."""
    moment = row.time.replace(tzinfo=row.time.tzinfo or zone).astimezone(UTC)
    _refuse_skipped(row, zone)
    if moment.minute % min(STEPS) or moment.second or moment.microsecond:
        _refuse(row.line, "does not begin with a full quarter of an hour")
    return moment


def _follows(row: Row, expected: datetime, zone: tzinfo) -> None:
    """Refuse a line that does not begin where the one before it ends."""
    written = _written(expected, row.time, zone)
    if written == row.time:
        return
    _refuse_skipped(row, zone)
    told, wanted = _shown(row.time), _shown(written)
    ahead = row.time - written
    if ahead > timedelta(0):
        _refuse(row.line, f"is {told}, and {wanted} is missing before it")
    why = "again" if ahead > -DAY else "out of order"
    _refuse(row.line, f"is {told} {why}, where {wanted} is expected")


def _refuse_skipped(row: Row, zone: tzinfo) -> None:
    """Refuse a time that no clock shows, since it was put forward over it."""
    moment = row.time.replace(tzinfo=row.time.tzinfo or zone).astimezone(UTC)
    if _written(moment, row.time, zone) != row.time:
        _refuse(row.line, f"is {_shown(row.time)}, which is skipped when the clocks are put forward")


def _written(moment: datetime, like: datetime, zone: tzinfo) -> datetime:
    """Return a moment as a line would have it: with an offset where it has one, else by the station's clock."""
    if like.tzinfo is not None:
        return moment.astimezone(like.tzinfo)
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _shown(time: datetime) -> str:
    return time.isoformat(sep=" ", timespec="minutes")


def _refuse(line: int, why: str) -> NoReturn:
    message = f"line {line} {why}"
    raise ValueError(message)
