"""What a session costs: quantities at their prices, rounded once, computed from readings at each price boundary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Final, TypeAlias

from agent.core.model import Wh
from agent.core.prices import price_at
from agent.core.prices_limits import Sums, money, surcharge
from agent.core.tariff import (
    KWH,
    NOTHING,
    Basis,
    Cost,
    Dimension,
    Draw,
    PriceComponent,
    Progress,
    Tariff,
    Terms,
    component_at,
)

HOUR_S: Final = Decimal(3600)


@dataclass(frozen=True, slots=True)
class Consumption:
    """Energy and time used at one set of prices.

    start: UTC, picks the prices; charging_s, parking_s: seconds that count as TIME and PARKING_TIME; draw: what the car
    drew; elapsed_s: since the session began, None where that follows from ``start``.
    """

    start: datetime
    energy: Wh
    charging_s: Decimal = NOTHING
    parking_s: Decimal = NOTHING
    draw: Draw = Draw()
    elapsed_s: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a consumption over which no price changes.

    number: of the consumption in its row; behind: it lies behind a limit of energy that was passed in there.
    """

    number: int
    used: Consumption
    progress: Progress
    behind: bool = False


def component_of(terms: Terms, dimension: Dimension, piece: Piece) -> PriceComponent | None:
    """Return the component that a piece is charged with, None where it is free, or its hour's price is not known."""
    start = piece.used.start
    found = component_at(terms.tariff, dimension, start.astimezone(terms.zone), piece.progress)
    if terms.basis is not Basis.HOURLY or dimension is not Dimension.ENERGY:
        return found
    price = price_at(terms.prices, start.astimezone(UTC))
    return None if price is None else replace(found or PriceComponent(dimension, price), price=price)


def energy_limits(tariff: Tariff) -> tuple[Decimal, ...]:
    """Return the energies of a session (Wh) at which a price may change, in ascending order."""
    limits = (limit for e in tariff.elements for limit in (e.restrictions.min_kwh, e.restrictions.max_kwh))
    return tuple(sorted({limit * KWH for limit in limits if limit}))


def pieces(terms: Terms, used: Sequence[Consumption]) -> Iterator[Piece]:
    """Yield the pieces of consumptions, cut exactly where the session's energy reaches a limit.

    Time goes with the piece before the limit: a reading ends the consumption as soon as it is passed.
    """
    limits, drawn = energy_limits(terms.tariff), NOTHING
    for number, part in enumerate(used):
        elapsed = part.elapsed_s
        if elapsed is None:
            elapsed = Decimal(str((part.start - used[0].start).total_seconds()))
        edges = [drawn, *(limit for limit in limits if drawn < limit < drawn + part.energy), drawn + part.energy]
        for begin, end in pairwise(edges):
            share = part if begin == drawn else replace(part, charging_s=NOTHING, parking_s=NOTHING)
            progress = Progress(Wh(begin), elapsed, part.draw)
            yield Piece(number, replace(share, energy=Wh(end - begin)), progress, begin > drawn)
        drawn = edges[-1]


def priced(terms: Terms, used: Sequence[Consumption]) -> bool:
    """Tell whether there is a price for all energy; where a tariff's elements price none it is free."""
    return terms.basis is Basis.TARIFF or all(
        component_of(terms, Dimension.ENERGY, piece) for piece in pieces(terms, used) if piece.used.energy > 0
    )


def cost(terms: Terms, used: Sequence[Consumption], reserved: Mapping[Decimal, Decimal] | None = None) -> Cost:
    """Return what a session costs.

    used: in order of time; split at every boundary that ``next_boundary`` names, soon after each limit of energy, and
    where the draw crosses a limit. Empty for a reservation that no session followed, which no least price is for.
    reserved: exact amounts for the reservation, by rate of VAT.
    A fixed price is charged once, as it is when one first applies.
    Each component is rounded once per session and VAT rate, its VAT taken from the rounded amount. A step size rounds
    the session's sum up, at the price that applied last; that of TIME does not count where parking is charged too
    (OCPI 2.2.1, CDRs, section on step_size). The least and the most price are kept by a surcharge or rebate.
    """
    parts = tuple(pieces(terms, used))
    found = {d: _priced(terms, d, parts) for d in Dimension}
    stepped = [d for d in Dimension if d is not Dimension.TIME or not found[Dimension.PARKING_TIME]]
    sums = {d: _summed(_per_rate(d, _stepped(p) if d in stepped else p)) for d, p in found.items()}
    booked = _summed(reserved or {})
    total = _total([*sums.values(), booked])
    limits = (terms.tariff.min_price, terms.tariff.max_price) if used else (None, None)
    extra = surcharge(total, _rate_of_energy(terms, found[Dimension.ENERGY], parts), *limits)
    return Cost(
        currency=terms.tariff.currency,
        energy=sums[Dimension.ENERGY].excl_vat,
        time=sums[Dimension.TIME].excl_vat,
        fixed=sums[Dimension.FLAT].excl_vat,
        parking=sums[Dimension.PARKING_TIME].excl_vat,
        reservation=booked.excl_vat,
        surcharge=extra.excl_vat,
        excl_vat=total.excl_vat + extra.excl_vat,
        vat=total.vat + extra.vat,
    )


def refund(terms: Terms, total: Cost) -> Decimal | None:
    """Return what the employer pays back: a percentage of the cost incl. VAT, None where nobody pays back."""
    return None if terms.refund is None else money(total.incl_vat * terms.refund / 100)


Priced: TypeAlias = tuple[PriceComponent, Decimal]
"""A price, and what is charged at it in Wh, seconds, or pieces."""


def _priced(terms: Terms, dimension: Dimension, parts: Sequence[Piece]) -> list[Priced]:
    """Return what of a dimension was used at which price, in order of time; what is free or unused is left out."""
    found = ((component_of(terms, dimension, piece), piece.used) for piece in parts)
    used = [(component, _quantity(dimension, part)) for component, part in found if component is not None]
    return used[:1] if dimension is Dimension.FLAT else [(c, quantity) for c, quantity in used if quantity > 0]


def _quantity(dimension: Dimension, part: Consumption) -> Decimal:
    """Return Wh, seconds, or one piece: exact, unlike kWh and hours."""
    match dimension:
        case Dimension.ENERGY:
            return part.energy
        case Dimension.TIME:
            return part.charging_s
        case Dimension.PARKING_TIME:
            return part.parking_s
        case Dimension.FLAT:
            return Decimal(1)


#: How many of the units of ``_quantity`` a price is for.
PER: Final[Mapping[Dimension, Decimal]] = {
    Dimension.ENERGY: KWH,
    Dimension.TIME: HOUR_S,
    Dimension.PARKING_TIME: HOUR_S,
    Dimension.FLAT: Decimal(1),
}


def _stepped(used: list[Priced]) -> list[Priced]:
    """Round the session's sum up to the step of the last price that was used."""
    if not used or used[-1][0].step_size <= 1 or used[-1][0].dimension is Dimension.FLAT:
        return used
    last, step = used[-1][0], Decimal(used[-1][0].step_size)
    total = sum((quantity for _, quantity in used), NOTHING)
    missing = (total / step).to_integral_value(ROUND_CEILING) * step - total
    return [*used, (last, missing)]


def _per_rate(dimension: Dimension, used: Iterable[Priced]) -> dict[Decimal, Decimal]:
    """Return the exact amount excl. VAT for each VAT rate; a component without VAT has the rate 0."""
    amounts: dict[Decimal, Decimal] = {}
    for component, quantity in used:
        rate = component.vat or NOTHING
        amounts[rate] = amounts.get(rate, NOTHING) + component.price * quantity
    return {rate: amount / PER[dimension] for rate, amount in sorted(amounts.items())}


def _summed(amounts: Mapping[Decimal, Decimal]) -> Sums:
    """Return a component's sums: each rate's amount is rounded, and its VAT taken from that."""
    rounded = {rate: money(amount) for rate, amount in amounts.items()}
    return _total([Sums(amount, money(amount * rate / 100)) for rate, amount in rounded.items()])


def _total(sums: Sequence[Sums]) -> Sums:
    none = money(NOTHING)
    return Sums(sum((s.excl_vat for s in sums), none), sum((s.vat for s in sums), none))


def _rate_of_energy(terms: Terms, used: Sequence[Priced], parts: Sequence[Piece]) -> Decimal:
    """Return the VAT of energy: as last charged, as it would be, as a tariff has it that charges other things."""
    offered = [c for piece in reversed(parts) if (c := component_of(terms, Dimension.ENERGY, piece))]
    listed = [component for element in terms.tariff.elements for component in element.components]
    listed.sort(key=lambda component: component.dimension is not Dimension.ENERGY)
    for component in [*(c for c, _ in reversed(used)), *offered, *listed]:
        return component.vat or NOTHING
    return NOTHING
