"""OCPI 2.2.1 tariffs: what a session costs, computed from register readings on both sides of each price boundary.

Built: components ENERGY, TIME, FLAT and PARKING_TIME with step size and VAT, restricted by time of day (also past
midnight) and day of the week. Anything else in a tariff is refused when it is read, never ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from agent.core.calendar import Weekday, next_local, next_shift, weekday, weekday_before
from agent.core.model import Wh

CENT: Final = Decimal("0.01")
HOUR_S: Final = Decimal(3600)
KWH: Final = Decimal(1000)
NOTHING: Final = Decimal(0)


class Dimension(StrEnum):
    """What a price component charges for (OCPI 2.2.1, TariffDimensionType)."""

    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


@dataclass(frozen=True, slots=True)
class PriceComponent:
    """A price: per kWh, per hour, or once; step_size in Wh or seconds; vat in percent, None where not given."""

    dimension: Dimension
    price: Decimal
    vat: Decimal | None = None
    step_size: int = 1


@dataclass(frozen=True, slots=True)
class Restrictions:
    """When an element applies, in the station's local time; an end at or before the start runs past midnight."""

    start: time | None = None
    end: time | None = None
    days: tuple[Weekday, ...] = ()

    def allow(self, local: datetime) -> bool:
        """Tell whether a local moment is inside; after midnight the day that began the night counts."""
        clock = local.time().replace(tzinfo=None)
        start, end = self.start or time(0), self.end or time(0)
        day = weekday(local)
        if self._past_midnight and clock < end:
            day = weekday_before(day)
        inside = start <= clock or clock < end if end <= start else start <= clock < end
        return inside and (not self.days or day in self.days)

    @property
    def _past_midnight(self) -> bool:
        return self.start is not None and self.end is not None and self.end <= self.start


@dataclass(frozen=True, slots=True)
class Element:
    """Price components that apply together while the restrictions allow."""

    components: tuple[PriceComponent, ...]
    restrictions: Restrictions = Restrictions()


@dataclass(frozen=True, slots=True)
class Tariff:
    """An OCPI tariff: for each dimension the first element that applies and has it counts."""

    currency: str
    elements: tuple[Element, ...]
    id: str = "local"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session costs and who pays back how much of it, frozen when it begins.

    refund: percent of the cost incl. VAT; None where the session is not refunded.
    """

    tariff: Tariff
    timezone: str
    refund: Decimal | None

    @property
    def zone(self) -> tzinfo:
        """The station's time zone."""
        return ZoneInfo(self.timezone)


@dataclass(frozen=True, slots=True)
class Consumption:
    """Energy and time used at one set of prices.

    start: UTC, picks the prices; charging_s, parking_s: seconds that count as TIME and PARKING_TIME.
    """

    start: datetime
    energy: Wh
    charging_s: Decimal = Decimal(0)
    parking_s: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a session costs; money with two places; components are excl. VAT."""

    currency: str
    energy: Decimal
    time: Decimal
    fixed: Decimal
    parking: Decimal
    reservation: Decimal
    surcharge: Decimal
    excl_vat: Decimal
    vat: Decimal

    @property
    def incl_vat(self) -> Decimal:
        """The sum that is refunded, or a percentage of it."""
        return self.excl_vat + self.vat


def money(amount: Decimal) -> Decimal:
    """Round half up to the cent."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def component_at(tariff: Tariff, dimension: Dimension, local: datetime) -> PriceComponent | None:
    """Return the component of a dimension that applies at a local moment, None where nothing is charged."""
    for element in tariff.elements:
        if element.restrictions.allow(local):
            for component in element.components:
                if component.dimension is dimension:
                    return component
    return None


def next_boundary(terms: Terms, after: datetime) -> datetime | None:
    """Return the next moment (UTC) at which a price may change, None for a tariff that knows no time.

    Besides the times that the tariff names this is midnight where it names days, or only a start or an end, and a
    change of daylight saving.
    """
    clocks: set[time] = set()
    for limits in (element.restrictions for element in terms.tariff.elements):
        named = {clock for clock in (limits.start, limits.end) if clock is not None}
        clocks |= {*named, time(0)} if limits.days or len(named) == 1 else named
    if not clocks:
        return None
    moments = [next_local(after, clock, terms.zone) for clock in clocks]
    shift = next_shift(after, terms.zone)
    return min(moments if shift is None else [*moments, shift])


def energy_price(terms: Terms, at: datetime) -> Decimal:
    """Return the price per kWh excl. VAT at a moment, 0 where energy is free."""
    component = component_at(terms.tariff, Dimension.ENERGY, at.astimezone(terms.zone))
    return component.price if component else NOTHING


def cost(terms: Terms, used: Sequence[Consumption]) -> Cost:
    """Return what a session costs.

    used: in order of time, at least one; split at every boundary that ``next_boundary`` names.
    A fixed price is charged once, as it is when one first applies.
    Each component is rounded once per session and VAT rate, its VAT taken from the rounded amount. A step size rounds
    the session's sum up, at the price that applied last; that of TIME does not count where parking is charged too
    (OCPI 2.2.1, CDRs, section on step_size).
    """
    priced = {d: _priced(terms, d, used) for d in Dimension}
    stepped = [d for d in Dimension if d is not Dimension.TIME or not priced[Dimension.PARKING_TIME]]
    rates = {d: _per_rate(d, _stepped(p) if d in stepped else p) for d, p in priced.items()}
    parts = {d: sum(amounts.values(), money(NOTHING)) for d, amounts in rates.items()}
    taxes = (money(amount * rate / 100) for amounts in rates.values() for rate, amount in amounts.items())
    return Cost(
        currency=terms.tariff.currency,
        energy=parts[Dimension.ENERGY],
        time=parts[Dimension.TIME],
        fixed=parts[Dimension.FLAT],
        parking=parts[Dimension.PARKING_TIME],
        reservation=money(NOTHING),
        surcharge=money(NOTHING),
        excl_vat=sum(parts.values(), money(NOTHING)),
        vat=sum(taxes, money(NOTHING)),
    )


def refund(terms: Terms, total: Cost) -> Decimal | None:
    """Return what the employer pays back: a percentage of the cost incl. VAT, None where nobody pays back."""
    return None if terms.refund is None else money(total.incl_vat * terms.refund / 100)


Priced: TypeAlias = tuple[PriceComponent, Decimal]
"""A price, and what is charged at it in Wh, seconds, or pieces."""


def _priced(terms: Terms, dimension: Dimension, used: Sequence[Consumption]) -> list[Priced]:
    """Return what of a dimension was used at which price, in order of time; what is free or unused is left out."""
    found = ((component_at(terms.tariff, dimension, part.start.astimezone(terms.zone)), part) for part in used)
    priced = [(component, _quantity(dimension, part)) for component, part in found if component is not None]
    return priced[:1] if dimension is Dimension.FLAT else [(c, quantity) for c, quantity in priced if quantity > 0]


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


def _stepped(priced: list[Priced]) -> list[Priced]:
    """Round the session's sum up to the step of the last price that was used."""
    if not priced or priced[-1][0].step_size <= 1 or priced[-1][0].dimension is Dimension.FLAT:
        return priced
    last, step = priced[-1][0], Decimal(priced[-1][0].step_size)
    total = sum((quantity for _, quantity in priced), NOTHING)
    missing = (total / step).to_integral_value(ROUND_CEILING) * step - total
    return [*priced, (last, missing)]


def _per_rate(dimension: Dimension, priced: Iterable[Priced]) -> dict[Decimal, Decimal]:
    """Return the amount excl. VAT for each VAT rate, rounded; a component without VAT has the rate 0."""
    sums: dict[Decimal, Decimal] = {}
    for component, quantity in priced:
        rate = component.vat or NOTHING
        sums[rate] = sums.get(rate, NOTHING) + component.price * quantity
    return {rate: money(amount / PER[dimension]) for rate, amount in sorted(sums.items())}
