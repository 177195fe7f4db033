"""OCPI 2.2.1 tariffs: elements with prices, and which of them holds at a moment of a session.

A tariff is a list of elements. Each dimension has the price of the first element in the list that applies and prices
it; where none does nothing is charged. An element applies while all its restrictions hold (OCPI 2.2.1, tariffs).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from agent.core import prices_limits
from agent.core.calendar import Weekday, weekday, weekday_before
from agent.core.model import Reading, Wh
from agent.core.prices import PriceBlock
from agent.core.prices_limits import Price

CENT: Final = prices_limits.CENT
KWH: Final = Decimal(1000)
NOTHING: Final = Decimal(0)


class Dimension(StrEnum):
    """What a price component charges for (OCPI 2.2.1, TariffDimensionType)."""

    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


class ReservationKind(StrEnum):
    """What an element charges a reservation for (OCPI 2.2.1, ReservationRestrictionType)."""

    RESERVATION = "RESERVATION"
    RESERVATION_EXPIRES = "RESERVATION_EXPIRES"


class Basis(StrEnum):
    """What the price of energy comes from: the tariff, a price for each hour, or the flat price of a tax office."""

    TARIFF = "tariff"
    HOURLY = "hourly"
    FLAT = "flat"


@dataclass(frozen=True, slots=True)
class PriceComponent:
    """A price: per kWh, per hour, or once; step_size in Wh or seconds; vat in percent, None where not given."""

    dimension: Dimension
    price: Decimal
    vat: Decimal | None = None
    step_size: int = 1


@dataclass(frozen=True, slots=True)
class Draw:
    """What a car draws: in all, and as the sum of its phases; None where the meter does not tell."""

    power_w: Decimal | None = None
    current_a: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """A reading that shows a draw of another price, which has to last; and the time (ms) counted until then."""

    reading: Reading
    charging_ms: int
    parking_ms: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a session has come when a price is looked for; what it reserves, where it is a reservation."""

    energy: Wh = Wh(NOTHING)
    elapsed_s: Decimal = NOTHING
    draw: Draw = Draw()
    reservation: ReservationKind | None = None


BEGINNING: Final = Progress()


@dataclass(frozen=True, slots=True)
class Restrictions:
    """When an element applies; all that are given have to hold (OCPI 2.2.1, TariffRestrictions).

    start, end: local time of day, an end at or before the start runs past midnight; days: of the week, a night belongs
    to the day that began it; start_date, end_date: local days, the last one excluded. The others in OCPI's units (kWh,
    A over all phases, kW, seconds since the session began), each minimum included, each maximum excluded.
    """

    start: time | None = None
    end: time | None = None
    days: tuple[Weekday, ...] = ()
    start_date: date | None = None
    end_date: date | None = None
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None
    min_duration: int | None = None
    max_duration: int | None = None
    reservation: ReservationKind | None = None

    def allow(self, local: datetime, progress: Progress = BEGINNING) -> bool:
        """Tell whether a local moment of a session is inside."""
        draw = progress.draw
        power = None if draw.power_w is None else draw.power_w / KWH
        return (
            self.reservation is progress.reservation
            and self._on(local.date())
            and self._at(local)
            and _within(progress.energy / KWH, self.min_kwh, self.max_kwh)
            and _within(progress.elapsed_s, self.min_duration, self.max_duration)
            and _within(power, self.min_power, self.max_power)
            and _within(draw.current_a, self.min_current, self.max_current)
        )

    def _on(self, today: date) -> bool:
        begun = self.start_date is None or self.start_date <= today
        return begun and (self.end_date is None or today < self.end_date)

    def _at(self, local: datetime) -> bool:
        clock, day = local.time().replace(tzinfo=None), weekday(local)
        start, end = self.start or time(0), self.end or time(0)
        if self._past_midnight and clock < end:
            day = weekday_before(day)
        inside = start <= clock or clock < end if end <= start else start <= clock < end
        return inside and (not self.days or day in self.days)

    @property
    def _past_midnight(self) -> bool:
        return self.start is not None and self.end is not None and self.end <= self.start


def _within(value: Decimal | None, least: Decimal | int | None, most: Decimal | int | None) -> bool:
    """Tell whether a value keeps its limits; one that is not known keeps none."""
    if least is None and most is None:
        return True
    return value is not None and (least is None or value >= least) and (most is None or value < most)


@dataclass(frozen=True, slots=True)
class Element:
    """Price components that apply together while the restrictions allow."""

    components: tuple[PriceComponent, ...]
    restrictions: Restrictions = Restrictions()


@dataclass(frozen=True, slots=True)
class Tariff:
    """An OCPI tariff: for each dimension the first element that applies and has it counts.

    min_price, max_price: of a session; begins, ends: when sessions may begin with it (UTC), None for always.
    """

    currency: str
    elements: tuple[Element, ...]
    id: str = "local"
    min_price: Price | None = None
    max_price: Price | None = None
    begins: datetime | None = None
    ends: datetime | None = None

    def valid(self, moment: datetime) -> bool:
        """Tell whether a session that begins at a moment may have this tariff."""
        return (self.begins is None or self.begins <= moment) and (self.ends is None or moment < self.ends)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session costs and who pays back how much of it, frozen when it begins.

    refund: percent of the cost incl. VAT; None where the session is not refunded. basis: where the price of energy
    comes from; prices: those by the hour that were known, a later block wins; only for the basis HOURLY.
    """

    tariff: Tariff
    timezone: str
    refund: Decimal | None
    basis: Basis = Basis.TARIFF
    prices: tuple[PriceBlock, ...] = ()

    @property
    def zone(self) -> tzinfo:
        """The station's time zone."""
        return ZoneInfo(self.timezone)


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


def component_at(
    tariff: Tariff, dimension: Dimension, local: datetime, progress: Progress = BEGINNING
) -> PriceComponent | None:
    """Return the component of a dimension that applies at a local moment, None where nothing is charged."""
    for element in tariff.elements:
        if element.restrictions.allow(local, progress):
            for component in element.components:
                if component.dimension is dimension:
                    return component
    return None
