"""Charging profiles: what a central system limits, when each of them rules, and which are refused.

A schedule has its own time: it counts from a moment that is told (absolute), from that moment again each day or week
(recurring), or from the start of the session (relative). Days are 24 hours and weeks seven days, whatever the local
clock does. Moments are whole milliseconds since 1970, so that nothing overflows and edges are exact.
Source: OCPP 1.6 ed. 2, sections 3.13 and 5.16; errata 3.34 to 3.39.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from agent.core.model import EvseId, SessionId

MAX_STACK_LEVEL: Final = 10
MAX_PERIODS: Final = 96
MAX_INSTALLED: Final = 32
MOST_PHASES: Final = 3
DAY_MS: Final = 86_400_000


class Purpose(StrEnum):
    """What a profile limits: the station as a whole, any session, or one session."""

    STATION_MAX = "station-max"
    TX_DEFAULT = "tx-default"
    TX = "tx"


class Kind(StrEnum):
    """Where the time of a schedule begins."""

    ABSOLUTE = "absolute"
    RECURRING = "recurring"
    RELATIVE = "relative"


class Recurrence(StrEnum):
    """How often a recurring schedule begins anew."""

    DAILY = "daily"
    WEEKLY = "weekly"


class RateUnit(StrEnum):
    """Of a limit: A per phase, or W in all."""

    AMPERE = "A"
    WATT = "W"


RECURS_MS: Final = {Recurrence.DAILY: DAY_MS, Recurrence.WEEKLY: 7 * DAY_MS}


@dataclass(frozen=True, slots=True)
class SchedulePeriod:
    """A limit from ``start_s`` of the schedule on; phases: that it counts for, None where that was not told."""

    start_s: int
    limit: Decimal
    phases: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Limits one after the other; the last one holds until the schedule ends.

    duration_s: None where it does not end by itself; start: where its time begins, None where nobody said;
    least: below this the car charges badly, as the central system says.
    """

    unit: RateUnit
    periods: tuple[SchedulePeriod, ...]
    duration_s: int | None = None
    start: datetime | None = None
    least: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ChargingProfile:
    """A profile as it was sent; of those that rule at a moment the highest stack level wins.

    transaction: the central system's name for the session it is for, None for the running one.
    """

    id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    schedule: Schedule
    recurrence: Recurrence | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction: int | str | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """A profile in force; evse: 0 for all; session: whose it is, for the purpose TX only. Durable."""

    profile: ChargingProfile
    evse: EvseId
    session: SessionId | None = None


def milliseconds(wall: datetime) -> int:
    """Return a moment as whole milliseconds since 1970."""
    return round(wall.timestamp() * 1000)


def flaw(profile: ChargingProfile, now: datetime) -> str | None:
    """Return what is wrong with a profile in itself, in words; None for a good one."""
    return next((words for wrong, words in (*_flaws(profile, now), *_schedule_flaws(profile.schedule)) if wrong), None)


def _flaws(profile: ChargingProfile, now: datetime) -> Iterator[tuple[bool, str]]:
    valid_from, valid_to = profile.valid_from, profile.valid_to
    recurring = profile.kind is Kind.RECURRING
    limits_station = profile.purpose is Purpose.STATION_MAX
    yield not 0 <= profile.stack_level <= MAX_STACK_LEVEL, f"the stack level is not one of 0 to {MAX_STACK_LEVEL}"
    yield limits_station and profile.kind is Kind.RELATIVE, "the station as a whole has no session to be relative to"
    yield recurring != (profile.recurrence is not None), "a recurring profile, and no other, says how often it recurs"
    yield recurring and profile.schedule.start is None, "a recurring schedule needs a start"
    yield valid_to is not None and valid_to <= now, "it was valid only in the past"
    reversed_ = valid_from is not None and valid_to is not None and valid_to <= valid_from
    yield reversed_, "it is never valid: its end is not after its begin"
    yield profile.transaction is not None and profile.purpose is not Purpose.TX, "only a session's profile names one"


def _schedule_flaws(schedule: Schedule) -> Iterator[tuple[bool, str]]:
    periods = schedule.periods
    starts = [period.start_s for period in periods]
    yield not 1 <= len(periods) <= MAX_PERIODS, f"a schedule has 1 to {MAX_PERIODS} periods"
    yield starts[:1] != [0], "the first period does not start at 0"
    yield any(b <= a for a, b in itertools.pairwise(starts)), "the periods are not in order"
    yield any(period.limit < 0 for period in periods), "a limit is negative"
    phases = (1 if period.phases is None else period.phases for period in periods)
    yield any(not 1 <= number <= MOST_PHASES for number in phases), f"a limit is for 1 to {MOST_PHASES} phases"
    yield schedule.duration_s is not None and schedule.duration_s <= 0, "the duration is not positive"
    yield schedule.least is not None and schedule.least < 0, "the least rate is negative"


def settled(profile: ChargingProfile, now: datetime) -> ChargingProfile:
    """Return a profile with the start that counts: an absolute one without any begins with its session, or now."""
    if profile.kind is Kind.RELATIVE:
        return replace(profile, schedule=replace(profile.schedule, start=None))
    if profile.schedule.start is not None:
        return profile
    if profile.purpose is Purpose.TX:
        return replace(profile, kind=Kind.RELATIVE)
    return replace(profile, schedule=replace(profile.schedule, start=now.replace(microsecond=0)))


def timeless(profile: ChargingProfile) -> ChargingProfile:
    """Return a profile for a station that does not know the time: its lowest limit but 0 counts whenever it may rule.

    One that is bound to its session alone needs no clock.
    """
    if profile.kind is Kind.RELATIVE and profile.valid_from is None and profile.valid_to is None:
        return profile
    lowest = min(profile.schedule.periods, key=lambda period: (not period.limit, period.limit))
    schedule = Schedule(profile.schedule.unit, (replace(lowest, start_s=0),))
    return replace(profile, kind=Kind.RELATIVE, recurrence=None, schedule=schedule, valid_from=None, valid_to=None)


def period_at(profile: ChargingProfile, at_ms: int, began_ms: int) -> SchedulePeriod | None:
    """Return the period that rules at a moment, None where the profile says nothing; began_ms: start of the session."""
    if profile.valid_from is not None and at_ms < milliseconds(profile.valid_from):
        return None
    if profile.valid_to is not None and at_ms >= milliseconds(profile.valid_to):
        return None
    passed = at_ms - _begin(profile, at_ms, began_ms)
    length = _length_ms(profile)
    if passed < 0 or (length is not None and passed >= length):
        return None
    return profile.schedule.periods[_place(profile.schedule, passed) - 1]


def edge_after(profile: ChargingProfile, at_ms: int, began_ms: int) -> int | None:
    """Return the next moment after another at which the profile may say something else, None where there is none."""
    return min((edge for edge in _edges(profile, at_ms, began_ms) if edge > at_ms), default=None)


def _edges(profile: ChargingProfile, at_ms: int, began_ms: int) -> Iterator[int]:
    begin, length = _begin(profile, at_ms, began_ms), _length_ms(profile)
    yield begin
    following = _place(profile.schedule, at_ms - begin)
    if following < len(profile.schedule.periods):
        yield begin + profile.schedule.periods[following].start_s * 1000
    if length is not None:
        yield begin + length
    if profile.recurrence is not None:
        yield begin + RECURS_MS[profile.recurrence]
    yield from (milliseconds(limit) for limit in (profile.valid_from, profile.valid_to) if limit is not None)


def _place(schedule: Schedule, passed_ms: int) -> int:
    """Return how many periods have begun after so long."""
    return bisect_right(schedule.periods, passed_ms, key=lambda period: period.start_s * 1000)


def _begin(profile: ChargingProfile, at_ms: int, began_ms: int) -> int:
    """Return where the schedule's time begins: of a recurring one the last time, or the first where none has been."""
    start = profile.schedule.start
    if start is None:
        return began_ms
    first = milliseconds(start)
    if profile.recurrence is None or at_ms < first:
        return first
    return at_ms - (at_ms - first) % RECURS_MS[profile.recurrence]


def _length_ms(profile: ChargingProfile) -> int | None:
    """Return for how long the schedule rules from its begin on, None for ever."""
    lengths = [] if profile.schedule.duration_s is None else [profile.schedule.duration_s * 1000]
    if profile.recurrence is not None:
        lengths.append(RECURS_MS[profile.recurrence])
    return min(lengths, default=None)
