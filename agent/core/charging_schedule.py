"""What all limits together come to: at one moment, and over a time to come (composite schedule).

Of each purpose the highest stack level that rules counts; a profile of the session stands before the defaults, a
default of the EVSE before that of all at its level. The lowest of what is left rules: session, station, installation.
What the station as a whole may draw is shared evenly between its sessions, each with at least what a car needs; when
it is not enough for all, those that began later wait.
Source: OCPP 1.6 ed. 2, sections 3.13.2 to 3.13.6, 5.7 and 7.12; errata 3.8, 3.34 and 3.57.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal
from typing import Final

from agent.core.charging_profile import (
    MOST_PHASES,
    ChargingProfile,
    Installed,
    Purpose,
    RateUnit,
    SchedulePeriod,
    edge_after,
    period_at,
)
from agent.core.model import STATION, EvseId, SessionId
from agent.core.prices_boundaries import NOMINAL_V

LEAST_A: Final = 6
"""With less no car charges (IEC 61851-1, annex A)."""
LONGEST_S: Final = 7 * 86_400
"""A composite schedule is told for no longer."""
MOST_STEPS: Final = 1000
"""And not beyond so many moments at which something may change, since the station charges meanwhile."""
TENTH: Final = Decimal("0.1")


@dataclass(frozen=True, slots=True)
class Outlet:
    """An EVSE that charges, or is taken to: what its installation allows, and when its session began.

    current: A per phase; session: None where its profiles are nobody's business, or there is none.
    """

    evse: EvseId
    current: Decimal
    phases: int
    began_ms: int
    session: SessionId | None = None


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit, in its own unit; phases: what it counts for, stated: the profile says so.

    profile: whose limit it is, None for the installation's; least: what the car charges well with (minChargingRate).
    """

    limit: Decimal
    unit: RateUnit
    phases: int
    profile: int | None = None
    stated: bool = False
    least: Decimal | None = None

    def of(self, unit: RateUnit) -> Decimal:
        """Return the limit in a unit, by the nominal voltage."""
        return self._in(unit, self.limit)

    def needs(self, unit: RateUnit) -> Decimal:
        """Return what is too little to share with others; never more than the limit."""
        needed = max(Decimal(LEAST_A), self._in(RateUnit.AMPERE, self.least or Decimal(0)))
        needed = needed if unit is RateUnit.AMPERE else needed * NOMINAL_V * self.phases
        return min(needed, self.of(unit))

    def _in(self, unit: RateUnit, number: Decimal) -> Decimal:
        if unit is self.unit:
            return number
        factor = NOMINAL_V * self.phases
        return number * factor if unit is RateUnit.WATT else number / factor


def rates_at(
    installed: Sequence[Installed], outlets: Sequence[Outlet], at_ms: int, unit: RateUnit
) -> Mapping[EvseId, Rate]:
    """Return what limits each EVSE at a moment; outlets: all that charge, the one that began first first."""
    own = {outlet.evse: _own(installed, outlet, at_ms, unit) for outlet in outlets}
    most = station_rate(installed, at_ms, max((outlet.phases for outlet in outlets), default=MOST_PHASES))
    if most is None:
        return own
    needs = {evse: rate.needs(unit) for evse, rate in own.items()}
    parts = parted(most.of(unit), {evse: rate.of(unit) for evse, rate in own.items()}, needs, _least(most, unit))
    return {evse: _cut(rate, most, parts[evse], unit) for evse, rate in own.items()}


def station_rate(installed: Sequence[Installed], at_ms: int, phases: int) -> Rate | None:
    """Return what the station as a whole may draw at a moment, None where nobody limits it."""
    limits = [i for i in installed if i.profile.purpose is Purpose.STATION_MAX]
    return _ruling(limits, at_ms, began_ms=at_ms, phases=phases)


def next_edge(installed: Sequence[Installed], outlets: Sequence[Outlet], at_ms: int) -> int | None:
    """Return the next moment at which a limit may change by itself, None where there is none."""
    begins = {outlet.began_ms for outlet in outlets} or {at_ms}
    edges = (edge_after(i.profile, at_ms, began) for i in installed for began in begins)
    return min((edge for edge in edges if edge is not None), default=None)


def parted(
    most: Decimal, wishes: Mapping[EvseId, Decimal], needs: Mapping[EvseId, Decimal], least: Decimal
) -> Mapping[EvseId, Decimal]:
    """Return what each of several may have of a limit for all: even parts, none more than it can use.

    wishes: the one that began first first; needs: with less one does not share, and those that began later wait;
    least: who wants less is paused anyway and takes nothing away.
    """
    served = [evse for evse, wish in wishes.items() if wish >= least]
    while len(served) > 1 and most / len(served) < max(needs[evse] for evse in served):
        served.pop()
    parts = {evse: min(wish, most) if wish < least else Decimal(0) for evse, wish in wishes.items()}
    left, waiting = most, len(served)
    for evse in sorted(served, key=lambda evse: wishes[evse]):
        parts[evse] = min(wishes[evse], left / waiting)
        left, waiting = left - parts[evse], waiting - 1
    return parts


def composite(
    installed: Sequence[Installed],
    outlets: Sequence[Outlet],
    window: tuple[int, int],
    *,
    unit: RateUnit,
    asked: Collection[EvseId],
) -> tuple[tuple[SchedulePeriod, ...], int]:
    """Return the limits over a time to come, and the moment up to which they are known.

    outlets: all that charge and all that are asked about; window: begin and end, whole seconds in milliseconds.
    Of several that are asked about the sum is told.
    """
    (at, end), periods = window, list[SchedulePeriod]()
    for _ in range(MOST_STEPS):
        rates = rates_at(installed, outlets, at, unit)
        period = _told([rates[evse] for evse in asked], (at - window[0]) // 1000, unit)
        if not periods or replace(periods[-1], start_s=period.start_s) != period:
            periods.append(period)
        edge = next_edge(installed, outlets, at)
        if edge is None or edge >= end:
            return tuple(periods), end
        at = -(-edge // 1000) * 1000  # periods begin at whole seconds
        if at >= end:
            return tuple(periods), end
    return tuple(periods), at


def rounded(limit: Decimal) -> Decimal:
    """Return a limit with one decimal, rounded down."""
    return limit.quantize(TENTH, ROUND_FLOOR)


def _told(rates: Sequence[Rate], start_s: int, unit: RateUnit) -> SchedulePeriod:
    """Return a period as it is told; the phases where a profile states them, or they are other than is assumed."""
    limit = sum((rate.of(unit) for rate in rates), Decimal(0))
    phases = {rate.phases if rate.stated or rate.phases != MOST_PHASES else None for rate in rates}
    return SchedulePeriod(start_s, rounded(limit), next(iter(phases)) if len(phases) == 1 else None)


def _own(installed: Sequence[Installed], outlet: Outlet, at_ms: int, unit: RateUnit) -> Rate:
    """Return what limits an EVSE by itself: the profile of its session or the default, and the installation."""
    hardware = Rate(outlet.current, RateUnit.AMPERE, outlet.phases)
    own = [i for i in installed if i.session is not None and i.session == outlet.session]
    everyones = [i for i in installed if i.profile.purpose is Purpose.TX_DEFAULT and i.evse in {STATION, outlet.evse}]
    for candidates in (own, everyones):
        ruling = _ruling(candidates, at_ms, began_ms=outlet.began_ms, phases=outlet.phases)
        if ruling is not None:
            rules = ruling.of(unit) <= hardware.of(unit)
            return ruling if rules else replace(hardware, least=ruling.needs(RateUnit.AMPERE))
    return hardware


def _ruling(candidates: Sequence[Installed], at_ms: int, *, began_ms: int, phases: int) -> Rate | None:
    """Return the limit of the candidate that rules at a moment; phases: those that are installed."""
    ruling: tuple[tuple[int, bool], ChargingProfile, SchedulePeriod] | None = None
    for candidate in candidates:
        profile = candidate.profile
        rank = (profile.stack_level, candidate.evse != STATION)
        if ruling is None or rank > ruling[0]:
            period = period_at(profile, at_ms, began_ms)
            ruling = ruling if period is None else (rank, profile, period)
    if ruling is None:
        return None
    _, profile, period = ruling
    counted = min(period.phases or MOST_PHASES, phases)
    told = period.phases is not None
    return Rate(period.limit, profile.schedule.unit, counted, profile.id, told, profile.schedule.least)


def _cut(rate: Rate, most: Rate, part: Decimal, unit: RateUnit) -> Rate:
    """Return a rate as what the station may draw leaves it."""
    if part >= rate.of(unit):
        return rate
    return most if part == most.of(unit) else replace(most, limit=part, unit=unit, least=None)


def _least(most: Rate, unit: RateUnit) -> Decimal:
    return Rate(Decimal(LEAST_A), RateUnit.AMPERE, most.phases).of(unit)
