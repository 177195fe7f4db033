"""Commands about charging profiles, and the schedule that is told in answer to one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from agent.core.charging_profile import ChargingProfile, Purpose, RateUnit, SchedulePeriod
from agent.core.model import EvseId


@dataclass(frozen=True, slots=True)
class SetChargingProfile:
    """Put a profile in force on an EVSE, or with 0 on all, in the place of one that it replaces."""

    evse: EvseId
    profile: ChargingProfile


@dataclass(frozen=True, slots=True)
class ClearChargingProfiles:
    """Drop the one with this id, whatever else is said; without an id those that have all that is said, or all."""

    id: int | None = None
    evse: EvseId | None = None
    purpose: Purpose | None = None
    stack_level: int | None = None


@dataclass(frozen=True, slots=True)
class GetCompositeSchedule:
    """Tell what limits an EVSE, or the station (0), from now on; ``Outcome.schedule`` carries it. unit None: any."""

    evse: EvseId
    duration_s: int
    unit: RateUnit | None = None


ChargingCommand: TypeAlias = SetChargingProfile | ClearChargingProfiles | GetCompositeSchedule


@dataclass(frozen=True, slots=True)
class CompositeSchedule:
    """What limits an EVSE, or the station (0), from ``start`` on: the first period begins at 0, neighbours differ.

    Limits have one decimal, rounded down. duration_s: may be shorter than what was asked for.
    """

    evse: EvseId
    start: datetime
    duration_s: int
    unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
