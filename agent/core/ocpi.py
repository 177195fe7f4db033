"""OCPI 2.2.1 Tariff objects <-> ``Tariff``. What is not valid, or would not be charged, is refused in words."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from agent.core.prices_hours import unpriced_hours
from agent.core.prices_json import currency_in, list_in, moment_in, number_in, object_in, refuse, whole_in
from agent.core.prices_limits import Price
from agent.core.prices_restrictions import restrictions_from_json, restrictions_to_json
from agent.core.tariff import Dimension, Element, PriceComponent, Tariff

TYPES: Final = ("AD_HOC_PAYMENT", "PROFILE_CHEAP", "PROFILE_FAST", "PROFILE_GREEN", "REGULAR")
UNTAXED: Final = (None, "NO", "N/A")
"""What ``tax_included`` may say where it is given (OCPI 2.3): prices are without VAT here."""
LONGEST_STEP: Final = 10**9
RESERVABLE: Final = frozenset({Dimension.FLAT, Dimension.TIME})


def tariff_from_json(document: object) -> Tariff:
    """Return the tariff that an OCPI object describes.

    ``type`` chooses between several tariffs and does not matter where there is one; texts, links and the energy mix
    are left out. Raises: ValueError naming the member at fault and what is allowed.
    """
    tariff = object_in(document, "tariff")
    if tariff.get("type") not in (None, *TYPES):
        refuse("type", f"must be one of {', '.join(TYPES)}")
    if tariff.get("tax_included") not in UNTAXED:
        refuse("tax_included", "must be NO: prices are without VAT, which has its own member")
    elements = list_in(tariff.get("elements"), "elements")
    if not elements:
        refuse("elements", "must hold at least one element")
    read = Tariff(
        currency=currency_in(tariff.get("currency"), "currency"),
        elements=tuple(_element(e, f"elements[{n}]") for n, e in enumerate(elements)),
        id=str(tariff.get("id", "local")),
        min_price=_price(tariff.get("min_price"), "min_price"),
        max_price=_price(tariff.get("max_price"), "max_price"),
        begins=moment_in(tariff.get("start_date_time"), "start_date_time"),
        ends=moment_in(tariff.get("end_date_time"), "end_date_time"),
    )
    _consistent(read)
    return read


def tariff_to_json(tariff: Tariff) -> dict[str, object]:
    """Return the tariff as an OCPI object; prices are JSON numbers as OCPI has them."""
    amounts = {"min_price": tariff.min_price, "max_price": tariff.max_price}
    times = {"start_date_time": tariff.begins, "end_date_time": tariff.ends}
    return {
        "id": tariff.id,
        "currency": tariff.currency,
        **{name: _price_json(price) for name, price in amounts.items() if price is not None},
        "elements": [
            {
                "price_components": [_component_json(c) for c in element.components],
                **({"restrictions": limits} if (limits := restrictions_to_json(element.restrictions)) else {}),
            }
            for element in tariff.elements
        ],
        **{name: _moment_json(moment) for name, moment in times.items() if moment is not None},
    }


def _consistent(tariff: Tariff) -> None:
    """Refuse what contradicts itself, and a week with hours that nobody would be paid for."""
    if tariff.begins is not None and tariff.ends is not None and tariff.begins >= tariff.ends:
        refuse("end_date_time", "must be after start_date_time")
    least, most = tariff.min_price, tariff.max_price
    if least is not None and most is not None and _reaches(least, most):
        refuse("max_price", "must not be less than min_price")
    gap = unpriced_hours(tariff)
    if gap is not None:
        words = f"price no energy from {gap[0]} to {gap[1]}; add an element for it, with price 0 where it is free"
        refuse("elements", words)


def _reaches(least: Price, most: Price) -> bool:
    both = least.incl_vat is not None and most.incl_vat is not None
    return least.excl_vat > most.excl_vat or (both and (least.incl_vat or 0) > (most.incl_vat or 0))


def _element(document: object, where: str) -> Element:
    element = object_in(document, where)
    place = f"{where}.price_components"
    listed = list_in(element.get("price_components"), place)
    if not listed:
        refuse(place, "must hold at least one component")
    components = tuple(_component(c, f"{place}[{n}]") for n, c in enumerate(listed))
    restrictions = restrictions_from_json(element.get("restrictions"), f"{where}.restrictions")
    if restrictions.reservation is not None and not RESERVABLE.issuperset(c.dimension for c in components):
        refuse(place, "of a reservation must be FLAT or TIME")
    return Element(components, restrictions)


def _component(document: object, where: str) -> PriceComponent:
    component = object_in(document, where)
    try:
        dimension = Dimension(str(component.get("type")))
    except ValueError:
        refuse(f"{where}.type", f"must be one of {', '.join(Dimension)}")
    vat = component.get("vat")
    return PriceComponent(
        dimension=dimension,
        price=number_in(component.get("price"), f"{where}.price"),
        vat=None if vat is None else number_in(vat, f"{where}.vat", Decimal(100)),
        step_size=max(whole_in(component.get("step_size", 1), f"{where}.step_size", LONGEST_STEP), 1),
    )


def _price(value: object, where: str) -> Price | None:
    if value is None:
        return None
    price = object_in(value, where)
    excl, incl = number_in(price.get("excl_vat"), f"{where}.excl_vat"), price.get("incl_vat")
    return Price(excl, None if incl is None else number_in(incl, f"{where}.incl_vat", excl * 2, least=excl))


def _component_json(component: PriceComponent) -> dict[str, object]:
    document: dict[str, object] = {
        "type": component.dimension.value,
        "price": float(component.price),
        "step_size": component.step_size,
    }
    if component.vat is not None:
        document["vat"] = float(component.vat)
    return document


def _price_json(price: Price) -> dict[str, object]:
    with_vat = {} if price.incl_vat is None else {"incl_vat": float(price.incl_vat)}
    return {"excl_vat": float(price.excl_vat), **with_vat}


def _moment_json(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
