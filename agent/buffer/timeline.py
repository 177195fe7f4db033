"""Wall-clock times of moments that were stamped before the clock was known (contract, promise 6).

Monotonic seconds count within one start of the machine. Once the wall clock can be trusted in it, the boot has an
anchor, and every earlier stamp of the same boot follows from that. A boot that ended without one is put right before
the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from agent.core.facts import Fact, MeterSampled, SecurityEventRaised, SessionEnded, SessionSampled, SessionStarted
from agent.core.instant import Instant, TimeStatus

BOOTS: Final = "SELECT number, anchor_mono, anchor_wall, seen_mono FROM boot ORDER BY number DESC"
TRUSTED: Final = frozenset({TimeStatus.SYNCHRONISED, TimeStatus.RELATIVE})


class Trust(StrEnum):
    """How a wall-clock time came about (contract, section 3, ``clock``), best first."""

    SYNCHRONISED = "synchronised"
    CORRECTED = "corrected"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Timeline:
    """When each boot began.

    anchored: known; guessed: of boots without a known time, the latest moment that is possible.
    """

    anchored: Mapping[int, datetime] = field(default_factory=dict)
    guessed: Mapping[int, datetime] = field(default_factory=dict)

    def trust(self, *moments: Instant) -> Trust:
        """Return how the least reliable of the moments is known once corrected."""
        unsure = [at for at in moments if at.status not in TRUSTED]
        if not unsure:
            return Trust.SYNCHRONISED
        return Trust.CORRECTED if all(at.boot in self.anchored for at in unsure) else Trust.ESTIMATED

    def corrected(self, at: Instant) -> Instant:
        """Return a moment with the best wall-clock time that is known now; one that can be trusted stays as it is."""
        if at.status in TRUSTED:
            return at
        began = self.anchored.get(at.boot)
        if began is not None:
            return replace(at, wall=began + timedelta(seconds=at.mono), status=TimeStatus.RELATIVE)
        began = self.guessed.get(at.boot)
        if at.status is not TimeStatus.UNKNOWN or began is None:
            return at
        return replace(at, wall=began + timedelta(seconds=at.mono), status=TimeStatus.INFORMATIVE)

    def corrected_fact(self, fact: Fact) -> Fact:
        """Return a fact with all its moments corrected."""
        match fact:
            case SessionStarted():
                reading = replace(fact.reading, at=self.corrected(fact.reading.at))
                return replace(fact, at=self.corrected(fact.at), reading=reading)
            case SessionSampled() | MeterSampled():
                return replace(fact, reading=replace(fact.reading, at=self.corrected(fact.reading.at)))
            case SessionEnded():
                periods = tuple(replace(p, start=self.corrected(p.start)) for p in fact.periods)
                last = fact.reading and replace(fact.reading, at=self.corrected(fact.reading.at))
                return replace(fact, at=self.corrected(fact.at), periods=periods, reading=last)
            case SecurityEventRaised():
                return replace(fact, at=self.corrected(fact.at))
            case _:
                return fact


def timeline(boots: Iterable[sqlite3.Row]) -> Timeline:
    """Return the timeline of the rows of ``BOOTS``, newest boot first."""
    anchored: dict[int, datetime] = {}
    guessed: dict[int, datetime] = {}
    following: datetime | None = None
    for number, mono, wall, seen in boots:
        if mono is not None:
            anchored[number] = following = datetime.fromisoformat(wall) - timedelta(seconds=mono)
        elif following is not None and seen is not None:
            guessed[number] = following = following - timedelta(seconds=seen)
    return Timeline(anchored, guessed)


def doubtful(fact: Fact) -> bool:
    """Tell whether a fact has a moment that might have to be corrected."""
    match fact:
        case SessionStarted():
            return not TRUSTED.issuperset({fact.at.status, fact.reading.at.status})
        case SessionSampled() | MeterSampled():
            return fact.reading.at.status not in TRUSTED
        case SessionEnded():
            return not TRUSTED.issuperset({fact.at.status, *(p.start.status for p in fact.periods)})
        case SecurityEventRaised():
            return fact.at.status not in TRUSTED
        case _:
            return False
