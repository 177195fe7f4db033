"""A moment, as both clocks tell it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

STEP_S: Final = 2.0
"""What two clocks may differ without one of them having been set."""


class TimeStatus(StrEnum):
    """How far a wall-clock stamp can be trusted; the letters are OCMF's (OCMF 1.x, table 8)."""

    UNKNOWN = "U"
    INFORMATIVE = "I"
    SYNCHRONISED = "S"
    RELATIVE = "R"


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment stamped by the clock port.

    mono: seconds since the machine started, never steps; the only base for durations and deadlines.
    wall: UTC, may step when a time source corrects it; for records only.
    status: how far ``wall`` can be trusted.
    boot: number of the machine's start in which ``mono`` counts, from 1; two instants of different
    boots are compared by ``wall`` alone.
    """

    mono: float
    wall: datetime
    status: TimeStatus = TimeStatus.SYNCHRONISED
    boot: int = 1


def in_step(first: Instant, at: Instant) -> Instant:
    """Return a moment as it is told beside an earlier one: no step of the wall clock comes between them.

    Both were stamped by a clock that could be trusted, so that nothing corrects them later; where it was set meanwhile,
    the later one is told by the time that has passed since the first. So order and durations are right (promise 6).
    """
    told = {first.status, at.status}
    if first.boot != at.boot or told != {TimeStatus.SYNCHRONISED}:
        return at
    passed = timedelta(seconds=at.mono - first.mono)
    stepped = abs((at.wall - first.wall - passed).total_seconds()) > STEP_S
    return replace(at, wall=first.wall + passed) if stepped else at
