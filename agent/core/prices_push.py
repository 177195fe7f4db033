"""Prices by the hour that the central system pushes: how they are read, and when they are taken."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from agent.core.prices import STEPS, PriceBlock
from agent.core.prices_json import MOST, currency_in, list_in, moment_in, number_in, object_in, refuse, whole_in
from agent.core.tariff import Basis

MESSAGE: Final = "DayAheadPrices"
MOST_PRICES: Final = 7 * 24 * 4
"""A week of quarters of an hour in one message."""
PER_KWH: Final = {"kWh": Decimal(1), "MWh": Decimal(1000)}


def block_from_json(content: object) -> PriceBlock:
    """Return the prices of a ``DayAheadPrices`` message.

    Raises: ValueError naming the member at fault and what is allowed: they are refused whole.
    """
    message = object_in(content, "data")
    currency = currency_in(message.get("currency"), "currency")
    step = whole_in(message.get("resolution", 60), "resolution", 60)
    if step not in STEPS:
        refuse("resolution", f"must be one of {', '.join(map(str, STEPS))} (minutes)")
    unit = PER_KWH.get(str(message.get("unit", "kWh")))
    if unit is None:
        refuse("unit", f"must be one of {', '.join(PER_KWH)}")
    listed = list_in(message.get("prices"), "prices")
    if not 1 <= len(listed) <= MOST_PRICES:
        refuse("prices", f"must hold 1 to {MOST_PRICES} prices")
    prices = tuple(number_in(price, f"prices[{n}]", MOST, least=-MOST) / unit for n, price in enumerate(listed))
    return PriceBlock(_start(message.get("start")), step, prices, currency)


def refusal(pushed: PriceBlock, *, basis: Basis, in_force: str | None) -> str | None:
    """Return why pushed prices are not taken, None when they are.

    in_force: the currency of the tariff in force, None without any, when nothing can be charged.
    """
    if basis is not Basis.HOURLY:
        return f'prices by the hour do not apply here: the statement\'s basis is "{basis}"'
    if in_force is None:
        return "the station has no tariff, which prices by the hour are part of"
    if pushed.currency != in_force:
        return f"currency {pushed.currency} is not that of the tariff in force, {in_force}"
    return None


def _start(value: object) -> datetime:
    start = moment_in(value, "start")
    if start is None:
        refuse("start", "is missing: the moment from which on the first price holds")
    if start.minute % min(STEPS) or start.second or start.microsecond:
        refuse("start", "must be a full quarter of an hour")
    return start
