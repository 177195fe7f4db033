"""A moment, as both clocks tell it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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
