"""OCPI 2.2.1 Tariff objects <-> ``Tariff``. What this release cannot charge is refused in words, never ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from agent.core.calendar import Weekday
from agent.core.tariff import Dimension, Element, PriceComponent, Restrictions, Tariff

#: Restrictions of OCPI 2.2.1 (TariffRestrictions) that are understood.
RESTRICTIONS: Final = frozenset({"start_time", "end_time", "day_of_week"})
CURRENCY: Final = re.compile("[A-Za-z]{3}")
CLOCK: Final = re.compile("(?:[01][0-9]|2[0-3]):[0-5][0-9]")
#: Members of a tariff that change its price or validity and are not understood.
REFUSED: Final = ("min_price", "max_price", "start_date_time", "end_date_time")


def tariff_from_json(document: object) -> Tariff:
    """Return the tariff that an OCPI object describes.

    Raises: ValueError naming the member at fault and what is allowed.
    """
    tariff = _object(document, "tariff")
    for member in REFUSED:
        if tariff.get(member) is not None:
            _refuse(member, "is not supported by this release")
    currency = tariff.get("currency")
    if not (isinstance(currency, str) and CURRENCY.fullmatch(currency)):
        _refuse("currency", "must be a code of three letters, like EUR")
    elements = _list(tariff.get("elements"), "elements")
    if not elements:
        _refuse("elements", "must hold at least one element")
    return Tariff(
        currency=str(currency).upper(),
        elements=tuple(_element(e, f"elements[{n}]") for n, e in enumerate(elements)),
        id=str(tariff.get("id", "local")),
    )


def tariff_to_json(tariff: Tariff) -> dict[str, object]:
    """Return the tariff as an OCPI object; prices are JSON numbers as OCPI has them."""
    return {
        "id": tariff.id,
        "currency": tariff.currency,
        "elements": [
            {
                "price_components": [_component_json(c) for c in element.components],
                **({"restrictions": limits} if (limits := _restrictions_json(element.restrictions)) else {}),
            }
            for element in tariff.elements
        ],
    }


def _component_json(component: PriceComponent) -> dict[str, object]:
    document: dict[str, object] = {
        "type": component.dimension.value,
        "price": float(component.price),
        "step_size": component.step_size,
    }
    if component.vat is not None:
        document["vat"] = float(component.vat)
    return document


def _restrictions_json(restrictions: Restrictions) -> dict[str, object]:
    document: dict[str, object] = {}
    if restrictions.start is not None:
        document["start_time"] = restrictions.start.strftime("%H:%M")
    if restrictions.end is not None:
        document["end_time"] = restrictions.end.strftime("%H:%M")
    if restrictions.days:
        document["day_of_week"] = [day.value for day in restrictions.days]
    return document


def _element(document: object, where: str) -> Element:
    element = _object(document, where)
    components = _list(element.get("price_components"), f"{where}.price_components")
    if not components:
        _refuse(f"{where}.price_components", "must hold at least one component")
    return Element(
        components=tuple(_component(c, f"{where}.price_components[{n}]") for n, c in enumerate(components)),
        restrictions=_restrictions(element.get("restrictions"), f"{where}.restrictions"),
    )


def _component(document: object, where: str) -> PriceComponent:
    component = _object(document, where)
    try:
        dimension = Dimension(str(component.get("type")))
    except ValueError:
        _refuse(f"{where}.type", f"must be one of {', '.join(Dimension)}")
    step = component.get("step_size", 1)
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        _refuse(f"{where}.step_size", "must be a whole number, 0 or more")
    vat = component.get("vat")
    return PriceComponent(
        dimension=dimension,
        price=_number(component.get("price"), f"{where}.price", Decimal(1_000_000)),
        vat=None if vat is None else _number(vat, f"{where}.vat", Decimal(100)),
        step_size=max(step, 1),
    )


def _restrictions(document: object, where: str) -> Restrictions:
    if document is None:
        return Restrictions()
    restrictions = _object(document, where)
    for member, value in restrictions.items():
        if member not in RESTRICTIONS and value not in (None, []):
            _refuse(f"{where}.{member}", "is not supported by this release")
    days = _list(restrictions.get("day_of_week") or [], f"{where}.day_of_week")
    return Restrictions(
        start=_clock(restrictions.get("start_time"), f"{where}.start_time"),
        end=_clock(restrictions.get("end_time"), f"{where}.end_time"),
        days=tuple(_day(day, f"{where}.day_of_week") for day in days),
    )


def _day(value: object, where: str) -> Weekday:
    try:
        return Weekday(str(value).upper())
    except ValueError:
        _refuse(where, f"must hold days like {Weekday.MONDAY}")


def _clock(value: object, where: str) -> time | None:
    if value is None:
        return None
    if value == "24:00":
        return time(0)
    if not (isinstance(value, str) and CLOCK.fullmatch(value)):
        _refuse(where, "must be a time like 07:00")
    return time.fromisoformat(value)


def _number(value: object, where: str, most: Decimal) -> Decimal:
    """Return a number that is not negative, from its digits and never through a binary fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        _refuse(where, "must be a number")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        _refuse(where, "must be a number")
    if not (number.is_finite() and 0 <= number <= most):
        _refuse(where, f"must be between 0 and {most}")
    return number


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        _refuse(where, "must be an object")
    return value


def _list(value: object, where: str) -> Sequence[object]:
    if not isinstance(value, list | tuple):
        _refuse(where, "must be a list")
    return value


def _refuse(where: str, why: str) -> NoReturn:
    message = f"{where} {why}"
    raise ValueError(message)
