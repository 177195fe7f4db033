"""What energy costs: the shorthand of the default tariff, its rules, and the prices of another basis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from agent.core.calendar import WEEKDAYS
from agent.core.prices import PriceBlock
from agent.core.prices_csv import block_from_csv
from agent.core.prices_terms import EVERY_YEAR
from agent.core.tariff import Basis, Dimension, Element, PriceComponent, ReservationKind, Restrictions, Tariff
from agent.runtime.config.schema import Problem
from agent.runtime.config.sections import Document, Prices, Slot, TariffKeys
from agent.runtime.config.values import DAYS

NOVEMBER: Final = 11
"""By then tax offices have told the next year's price."""
DAY_MIN: Final = 24 * 60
WEEK_MIN: Final = 7 * DAY_MIN
PRICES: Final = ("energy", "time", "fixed", "parking", "reservation")


def tariff_of(keys: TariffKeys, basis: Basis = Basis.TARIFF) -> Tariff:
    """Return the OCPI tariff: the slots as restricted elements, and the tariff's own prices behind them.

    With prices by the hour its energy needs no price and tells their VAT alone.
    """
    slots = [(slot, _restrictions(slot)) for slot in keys.slot]
    elements = [Element(_components(slot, keys.vat_percentage), limits) for slot, limits in slots]
    elements.append(Element(_components(keys, keys.vat_percentage)))
    if basis is Basis.HOURLY and keys.energy is None:
        elements.append(Element((PriceComponent(Dimension.ENERGY, Decimal(0), keys.vat_percentage),)))
    elements += [_reservation(slot, keys.vat_percentage, limits) for slot, limits in [*slots, (keys, Restrictions())]]
    return Tariff(keys.currency, tuple(element for element in elements if element.components))


def basis_of(document: Document) -> Basis:
    """Return what the price of energy comes from."""
    return Basis.TARIFF if document.statement is None else Basis(document.statement.basis)


def flat_of(document: Document) -> tuple[tuple[int, Decimal], ...]:
    """Return the flat prices of a tax office by year, 0 for all others."""
    price = None if document.statement is None else document.statement.flat_price
    if price is None:
        return ()
    return tuple(sorted(price.items())) if isinstance(price, dict) else ((EVERY_YEAR, price),)


def unpriced_year(document: Document, today: date) -> int | None:
    """Return the year that lacks a flat price: this one, or from November on the next; None where none does."""
    years = dict(flat_of(document))
    if basis_of(document) is not Basis.FLAT or EVERY_YEAR in years:
        return None
    wanted = [today.year, *([today.year + 1] if today.month >= NOVEMBER else [])]
    return next((year for year in wanted if year not in years), None)


def hourly_of(document: Document) -> tuple[PriceBlock, ...]:
    """Return the supplier's prices by the hour, where they are the basis.

    Raises: ValueError; its words follow the path of the file.
    """
    statement = document.statement
    if statement is None or statement.hourly_prices is None or basis_of(document) is not Basis.HOURLY:
        return ()
    try:
        text = statement.hourly_prices.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8 text; save it as CSV in UTF-8") from error
    block = block_from_csv(text, ZoneInfo(document.station.timezone))
    currency = document.tariff.currency if document.tariff else None
    return () if block is None else (replace(block, currency=currency),)


def price_problems(document: Document) -> Iterator[Problem]:
    """Yield what is wrong with the default tariff, and with the file of prices by the hour."""
    if document.tariff is not None:
        yield from tariff_problems(document.tariff, basis_of(document))
    try:
        hourly_of(document)
    except ValueError as error:
        path = document.statement.hourly_prices if document.statement else None
        yield Problem(("statement", "hourly_prices"), f'"{path}" {error}')


def tariff_problems(keys: TariffKeys, basis: Basis = Basis.TARIFF) -> Iterator[Problem]:
    """Yield what is wrong with the prices and the hours they hold; another basis needs no price of energy here."""
    for number, slot in enumerate(keys.slot):
        if not _given(slot):
            yield Problem(("tariff", "slot", number), f"has no price; add one of {', '.join(PRICES)}")
        if slot.start == slot.end != "00:00":
            words = f'"{slot.end}" is also the start; leave both out for the whole day'
            yield Problem(("tariff", "slot", number, "end"), words)
    if basis is Basis.TARIFF and not keys.slot and not _given(keys):
        yield Problem(("tariff", "energy"), "missing; add energy = 0.29 (per kWh excl. VAT), or a [[tariff.slot]]")
    yield from _overlaps(keys.slot)
    if basis is Basis.TARIFF:
        yield from _gap(keys)


def _given(prices: Prices) -> bool:
    return any(getattr(prices, name) is not None for name in PRICES)


def _components(prices: Prices, vat: Decimal | None) -> tuple[PriceComponent, ...]:
    """Return what a session is charged for; a reservation has an element of its own."""
    amounts = {
        Dimension.ENERGY: prices.energy,
        Dimension.TIME: prices.time,
        Dimension.FLAT: prices.fixed,
        Dimension.PARKING_TIME: prices.parking,
    }
    return tuple(PriceComponent(kind, amount, vat) for kind, amount in amounts.items() if amount is not None)


def _reservation(prices: Prices, vat: Decimal | None, limits: Restrictions) -> Element:
    """Return the fee of a reservation that is made in a slot's hours."""
    fees = () if prices.reservation is None else (PriceComponent(Dimension.FLAT, prices.reservation, vat),)
    return Element(fees, replace(limits, reservation=ReservationKind.RESERVATION))


def _restrictions(slot: Slot) -> Restrictions:
    days = () if set(slot.days) == set(DAYS) else tuple(WEEKDAYS[DAYS.index(day)] for day in slot.days)
    if _minutes(slot.start) == _minutes(slot.end) % DAY_MIN:
        return Restrictions(days=days)
    return Restrictions(_clock(slot.start), _clock(slot.end), days)


def _clock(text: str) -> time:
    return time(*divmod(_minutes(text) % DAY_MIN, 60))


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _spans(slot: Slot) -> Iterator[tuple[int, int]]:
    """Yield the parts of the week that a slot covers, in minutes since Monday 0:00; the last night ends next Monday."""
    start, end = _minutes(slot.start), _minutes(slot.end)
    length = (end - start) % DAY_MIN or DAY_MIN
    for day in slot.days:
        begin = DAYS.index(day) * DAY_MIN + start
        yield begin, min(begin + length, WEEK_MIN)
        if begin + length > WEEK_MIN:
            yield 0, begin + length - WEEK_MIN


def _overlaps(slots: tuple[Slot, ...]) -> Iterator[Problem]:
    """Yield each slot that takes hours of an earlier one, with the first such time."""
    spans = sorted((begin, end, number) for number, slot in enumerate(slots) for begin, end in _spans(slot))
    told: set[tuple[int, int]] = set()
    reach, holder = 0, -1
    for begin, end, number in spans:
        pair = (min(number, holder), max(number, holder))
        if begin < reach and pair not in told:
            told.add(pair)
            words = f"overlaps tariff.slot[{pair[0] + 1}] from {_moment(begin)} on; each hour has one price"
            yield Problem(("tariff", "slot", pair[1]), words)
        if end > reach:
            reach, holder = end, number


def _gap(keys: TariffKeys) -> Iterator[Problem]:
    """Yield the first hours that have no price of energy although others have."""
    spans = sorted(span for slot in keys.slot if slot.energy is not None for span in _spans(slot))
    if not spans or keys.energy is not None:
        return
    reach = 0
    for begin, end in [*spans, (WEEK_MIN, WEEK_MIN)]:
        if begin > reach:
            words = f"missing; no slot covers {_moment(reach)} to {_moment(begin)}: add energy, or another slot"
            yield Problem(("tariff", "energy"), words)
            return
        reach = max(reach, end)


def _moment(minutes: int) -> str:
    day, minute = divmod(minutes, DAY_MIN)
    if day == len(DAYS):
        return "sun 24:00"
    return f"{DAYS[day]} {minute // 60:02}:{minute % 60:02}"
