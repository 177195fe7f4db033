"""Rates as OCPI 2.2.1 tariffs, flat or by time of day, and what a session costs by them.

Written apart from the station's own computation: only ENERGY components, with time-of-day and day-of-week restrictions.
Anything else makes a session unpriceable, as does a price boundary without a reading.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from simulators.csms.state import JsonObject, Reading

WEEKDAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")
WEEKEND: Final = ("SATURDAY", "SUNDAY")
DAYS: Final = WEEKDAYS + WEEKEND
CENT: Final = Decimal("0.01")
#: How far a reading may be from the price boundary that it stands for.
TOLERANCE: Final = timedelta(seconds=2)
LONGEST: Final = timedelta(days=366)
MOST_WH: Final = 10**12
KNOWN_RESTRICTIONS: Final = frozenset({"start_time", "end_time", "day_of_week"})

Element: TypeAlias = dict[str, Any]


class Unpriceable(Exception):
    """The cost of a session cannot be told from what was received; the text says why."""


def flat(price: str, vat: str, currency: str = "EUR") -> JsonObject:
    """Return the tariff of one price per kWh, without VAT; ``vat`` in percent."""
    return _tariff("flat", currency, [_element(price, vat)])


def day_night(
    day: str, night: str, vat: str, *, hours: tuple[str, str] = ("07:00", "23:00"), weekend: str | None = None
) -> JsonObject:
    """Return the tariff with a price between two times of day and another outside them.

    weekend: the price between these times on Saturday and Sunday, where it is not that of the night.
    """
    elements = [_element(day, vat, hours, WEEKDAYS)]
    if weekend is not None:
        elements.append(_element(weekend, vat, hours, WEEKEND))
    return _tariff("day-night", "EUR", [*elements, _element(night, vat)])


@dataclass(frozen=True, slots=True)
class Slot:
    """Hours with prices of their own, per kWh without VAT. weekend: on Saturday and Sunday, None: the same."""

    start: str
    end: str
    price: str
    weekend: str | None = None


def hourly(name: str, currency: str, vat: str, *, slots: Sequence[Slot], rest: Slot) -> JsonObject:
    """Return the tariff of these slots, the first that fits counts, and of the prices of the rest of the day."""
    elements = [element for slot in slots for element in _of_slot(slot, vat, (slot.start, slot.end))]
    return _tariff(name, currency, [*elements, *_of_slot(rest, vat, None)])


def _of_slot(slot: Slot, vat: str, hours: tuple[str, str] | None) -> Iterator[Element]:
    if slot.weekend is not None:
        yield _element(slot.weekend, vat, hours, WEEKEND)
    yield _element(slot.price, vat, hours)


def _element(price: str, vat: str, hours: tuple[str, str] | None = None, days: Sequence[str] = ()) -> Element:
    component = {"type": "ENERGY", "price": float(price), "vat": float(vat), "step_size": 1}
    element: Element = {"price_components": [component]}
    restrictions: JsonObject = {} if hours is None else {"start_time": hours[0], "end_time": hours[1]}
    if days:
        restrictions["day_of_week"] = list(days)
    return element | ({"restrictions": restrictions} if restrictions else {})


def _tariff(name: str, currency: str, elements: list[Element]) -> JsonObject:
    return {
        "country_code": "NL",
        "party_id": "SIM",
        "id": name,
        "currency": currency,
        "elements": elements,
        "last_updated": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


@dataclass(frozen=True, slots=True)
class Price:
    """Per kWh without VAT; VAT in percent; step in Wh."""

    per_kwh: Decimal
    vat: Decimal
    step_wh: int


@dataclass(frozen=True, slots=True)
class Period:
    """Energy of one price, in Wh."""

    start: datetime
    energy_wh: Decimal
    price: Price


@dataclass(frozen=True, slots=True)
class Cost:
    """What a session costs, to the cent."""

    currency: str
    excl_vat: Decimal
    vat: Decimal
    incl_vat: Decimal
    periods: tuple[Period, ...]


def refund(cost: Cost, percentage: str) -> Decimal:
    """Return the share of a cost with VAT that is paid back, to the cent."""
    return _cents(cost.incl_vat * Decimal(percentage) / 100)


def cost(tariff: JsonObject, readings: Sequence[Reading], zone: ZoneInfo) -> Cost:
    """Return what the energy between the first and the last of the readings costs. Raises Unpriceable.

    readings: of the import register, in order of time; one within two seconds of each price boundary in between.
    """
    periods = _stepped(list(_periods(tariff, readings, zone)))
    by_vat: dict[Decimal, Decimal] = {}
    for period in periods:
        amount = period.energy_wh / 1000 * period.price.per_kwh
        by_vat[period.price.vat] = by_vat.get(period.price.vat, Decimal(0)) + amount
    amounts = {vat: _cents(amount) for vat, amount in by_vat.items()}
    excl_vat = sum(amounts.values(), Decimal("0.00"))
    taxes = sum((_cents(amount * vat / 100) for vat, amount in amounts.items()), Decimal("0.00"))
    return Cost(str(tariff["currency"]), excl_vat, taxes, excl_vat + taxes, periods)


def _cents(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def _periods(tariff: JsonObject, readings: Sequence[Reading], zone: ZoneInfo) -> Iterator[Period]:
    start, stop = readings[0], readings[-1]
    if abs(stop.at - start.at) > LONGEST or abs(stop.wh - start.wh) > MOST_WH:
        raise Unpriceable("longer than a year, or more than any meter can count in it")
    edges = [start]
    for boundary in _boundaries(tariff, start.at, stop.at, zone):
        nearest = min(readings, key=lambda reading: abs(reading.at - boundary))
        if abs(nearest.at - boundary) > TOLERANCE:
            raise Unpriceable(f"no reading at {boundary.astimezone(zone):%Y-%m-%d %H:%M}, where the price changes")
        edges.append(Reading(boundary, nearest.wh, nearest.context))
    edges.append(stop)
    for one, next_one in itertools.pairwise(edges):
        yield Period(one.at, next_one.wh - one.wh, _price(tariff, one.at, zone))


def _stepped(periods: list[Period]) -> tuple[Period, ...]:
    """Round the session's energy up to the step of its last price, which the rest is charged at (OCPI)."""
    last = periods[-1]
    energy_wh = sum((period.energy_wh for period in periods), Decimal(0))
    steps = (energy_wh / last.price.step_wh).to_integral_value(ROUND_CEILING)
    rest = steps * last.price.step_wh - energy_wh
    return (*periods[:-1], Period(last.start, last.energy_wh + rest, last.price))


def _boundaries(tariff: JsonObject, start: datetime, stop: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the moments inside a session at which the price changes, in order."""
    moments = sorted({moment for moment in _candidates(tariff, start, stop, zone) if start < moment < stop})
    prices = [_price(tariff, moment, zone) for moment in (start, *moments)]
    return [moment for moment, before, after in zip(moments, prices, prices[1:], strict=False) if before != after]


def _candidates(tariff: JsonObject, start: datetime, stop: datetime, zone: ZoneInfo) -> Iterable[datetime]:
    day = start.astimezone(zone).date()
    while day <= stop.astimezone(zone).date():
        for clock in _times(tariff):
            yield datetime.combine(day, clock, zone).astimezone(UTC)
        day += timedelta(days=1)


def _times(tariff: JsonObject) -> set[time]:
    restrictions = [element.get("restrictions") or {} for element in tariff["elements"]]
    texts = [text for each in restrictions for text in (each.get("start_time"), each.get("end_time")) if text]
    return {time(0), *(_clock(text) for text in texts)}


def _clock(text: str) -> time:
    return time(0) if text == "24:00" else time.fromisoformat(text)


def _price(tariff: JsonObject, moment: datetime, zone: ZoneInfo) -> Price:
    """Return the price of the first element that allows a moment and has one for energy."""
    local = moment.astimezone(zone)
    for element in tariff["elements"]:
        if not _allows(element.get("restrictions") or {}, local):
            continue
        for component in element["price_components"]:
            if component["type"] != "ENERGY":
                raise Unpriceable(f"a component for {component['type']}")
            vat = Decimal(str(component.get("vat", 0)))
            return Price(Decimal(str(component["price"])), vat, int(component.get("step_size", 1)))
    raise Unpriceable(f"no price at {local:%Y-%m-%d %H:%M}")


def _allows(restrictions: JsonObject, local: datetime) -> bool:
    unknown = restrictions.keys() - KNOWN_RESTRICTIONS
    if unknown:
        raise Unpriceable(f"a restriction on {', '.join(sorted(unknown))}")
    start = _clock(restrictions.get("start_time") or "00:00")
    end = _clock(restrictions.get("end_time") or "24:00")
    clock, day = local.time(), local.date()
    if start < end or end == time(0):
        inside = start <= clock and (clock < end or end == time(0))
    else:  # past midnight: what comes after it belongs to the day before
        inside = clock >= start or clock < end
        day -= timedelta(days=1) if clock < end else timedelta()
    return inside and _on(day, restrictions.get("day_of_week") or DAYS)


def _on(day: date, names: Sequence[str]) -> bool:
    return DAYS[day.weekday()] in names
