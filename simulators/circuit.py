"""One timeline for what draws and what counts: a clock that can run faster, the loads of an installation, a meter."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

#: Amperes on L1, L2 and L3; negative: fed back.
Phases: TypeAlias = tuple[float, float, float]

NOTHING: Final[Phases] = (0.0, 0.0, 0.0)
#: Voltage that currents and power are related by where nothing measures it.
NOMINAL_V: Final = 230.0
#: Voltages of an ordinary installation: never quite the same on all phases.
ORDINARY_V: Final[Phases] = (230.1, 229.8, 230.4)
#: A clock that stands still has a pace, too: one that divides.
LEAST_PACE: Final = 1e-9
#: A step of an installation in which nothing changes.
LONGEST_STEP_S: Final = 3600.0


class Clock(Protocol):
    """Seconds of simulated time, from zero on; never runs back."""

    def now(self) -> float:
        """Return the seconds since the start."""
        ...


class SimClock:
    """Real time, ``speed`` times as fast; the speed may change at any time without a jump."""

    def __init__(self, speed: float = 1.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._speed = speed
        self._base = 0.0
        self._since = monotonic()

    @property
    def speed(self) -> float:
        """Simulated seconds per second."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        self._base, self._since = self.now(), self._monotonic()
        self._speed = speed

    def now(self) -> float:
        """Return the simulated seconds since the start."""
        return self._base + (self._monotonic() - self._since) * self._speed


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds it was moved by."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move it forward."""
        self._now += seconds


class Load(Protocol):
    """What draws current behind the meter."""

    def step_s(self) -> float:
        """Return the longest step that is still exact enough now."""
        ...

    def step(self, seconds: float) -> Phases:
        """Let time pass; return the average currents during it."""
        ...

    @property
    def amps(self) -> Phases:
        """The currents now."""
        ...


class Counter(Protocol):
    """What counts energy."""

    def count(self, amps: Phases, seconds: float) -> None:
        """Count what flowed during a time."""
        ...


class Circuit:
    """An installation. ``advance`` brings all of it up to the clock; whoever reads or changes a part calls it first."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = SimClock() if clock is None else clock
        self.loads: list[Load] = []
        self.counters: list[Counter] = []
        #: What everything in it measures on L1, L2 and L3.
        self.volts: Phases = ORDINARY_V
        self._at = self.clock.now()
        self._by_hand: Phases = NOTHING

    @property
    def amps(self) -> Phases:
        """The currents through the meter now."""
        return _sum([self._by_hand, *(load.amps for load in self.loads)])

    @property
    def pace(self) -> float:
        """Simulated seconds per second on the wire. What is timed there, a watchdog for instance, never runs faster."""
        return max(LEAST_PACE, self.clock.speed) if isinstance(self.clock, SimClock) else 1.0

    def draw(self, amps: Phases) -> None:
        """Set a constant load, set by hand, beside all others; negative currents feed back."""
        self.advance()
        self._by_hand = amps

    def advance(self) -> None:
        """Let everything happen that happened until now."""
        now = self.clock.now()
        while self._at < now:
            step = min(LONGEST_STEP_S, now - self._at, *(load.step_s() for load in self.loads))
            amps = _sum([self._by_hand, *(load.step(step) for load in self.loads)])
            for counter in self.counters:
                counter.count(amps, step)
            self._at = now if now - self._at <= step else self._at + step


def _sum(currents: list[Phases]) -> Phases:
    one, two, three = (sum(phase) for phase in zip(*currents, strict=True))
    return one, two, three
