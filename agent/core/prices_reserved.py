"""What a reservation costs: a fee, and the time from when it is made until the charge begins, or until it expires."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from agent.core.prices_boundaries import next_boundary
from agent.core.prices_cost import HOUR_S
from agent.core.tariff import NOTHING, Dimension, PriceComponent, Progress, ReservationKind, Terms, component_at


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reservation that is over: from when to when (UTC), and whether it expired unused."""

    begin: datetime
    end: datetime
    expired: bool = False


def reserved(terms: Terms, reservation: Reserved) -> dict[Decimal, Decimal]:
    """Return the exact amounts excl. VAT of a reservation by rate of VAT, for ``cost``; empty where it is free.

    One that expired pays what is due for that, and what is due for any reservation only where the first has no price
    (OCPI 2.2.1, tariffs, note to ReservationRestrictionType). The step size rounds the whole time up, at the price
    that applied last.
    """
    amounts: dict[Decimal, Decimal] = {}
    for component, seconds in (*_fee(terms, reservation), *_time(terms, reservation)):
        rate = component.vat or NOTHING
        amounts[rate] = amounts.get(rate, NOTHING) + component.price * seconds
    return {rate: amount / HOUR_S for rate, amount in amounts.items()}


def _fee(terms: Terms, reservation: Reserved) -> Iterator[tuple[PriceComponent, Decimal]]:
    """Yield the fee, which counts as an hour."""
    fee = _component(terms, Dimension.FLAT, reservation.begin, expired=reservation.expired)
    if fee is not None:
        yield fee, HOUR_S


def _time(terms: Terms, reservation: Reserved) -> Iterator[tuple[PriceComponent, Decimal]]:
    """Yield the seconds at each price, and what rounds them up."""
    here, total, last = reservation.begin, NOTHING, None
    while here < reservation.end:
        there = min(next_boundary(terms, here) or reservation.end, reservation.end)
        component = _component(terms, Dimension.TIME, here, expired=reservation.expired)
        if component is not None:
            seconds, last = Decimal(str((there - here).total_seconds())), component
            total += seconds
            yield component, seconds
        here = there
    if last is not None:
        yield last, (total / last.step_size).to_integral_value(ROUND_CEILING) * last.step_size - total


def _component(terms: Terms, dimension: Dimension, at: datetime, *, expired: bool) -> PriceComponent | None:
    local = at.astimezone(terms.zone)
    kinds = [ReservationKind.RESERVATION_EXPIRES] if expired else []
    for kind in (*kinds, ReservationKind.RESERVATION):
        found = component_at(terms.tariff, dimension, local, Progress(reservation=kind))
        if found is not None:
            return found
    return None
