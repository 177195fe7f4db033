"""A car at the end of the cable: it asks for energy, ramps up, follows the pilot, fills its battery, has its own will.

Source: IEC 61851-1 annex A: A no car, B connected, C asks for energy, D asks and needs ventilation; nothing below 6 A.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from simulators.circuit import LONGEST_STEP_S, NOMINAL_V, NOTHING, Phases

Pilot: TypeAlias = Literal["A", "B", "C", "D"]

#: The least that a pilot can offer.
MINIMUM_A: Final = 6.0
#: A car leaves a lower offer behind it in a second or so; the standard allows five.
RAMP_DOWN: Final = 4.0
#: Steps while something moves, and while it charges evenly.
FINE_STEP_S: Final = 0.1
EVEN_STEP_S: Final = 5.0
#: Differences that count as movement.
MOVING_A: Final = 0.5
#: How long the pilot must be away to wake a car that has gone to sleep.
WAKING_BREAK_S: Final = 3.0


def _stand_still() -> None:
    """Leave a car alone that stands at no board."""


class Car:
    """A car, unplugged at first.

    max_a, phases: of its charger. capacity_wh, charged_wh: of its battery; from ``taper_from`` of the capacity on it
    draws less and less, when full it goes back to B. ramp_a_s: how fast its current rises. wakes_after_s: from the
    offer until it asks. ventilation: asks with D. stays_in_c: goes on asking while nothing is offered. ``advance``
    brings it up to the clock, to be called before anything here is changed; the board at whose cable it stands sets it.

    Its faults: ``refuses`` (never asks), ``asleep`` (asks no more until the pilot was away for three seconds), ``deaf``
    (draws what it can, whatever is offered), ``extra_a`` (draws so much more than it should, on each of its phases),
    ``flaps_s`` (asks and stops asking in turn, each for so long; 0: does not).
    """

    def __init__(
        self,
        *,
        max_a: float = 16.0,
        phases: int = 3,
        capacity_wh: float = 60_000.0,
        charged_wh: float = 20_000.0,
        wakes_after_s: float = 0.5,
        stays_in_c: bool = False,
    ) -> None:
        self.max_a = max_a
        self.phases = phases
        self.capacity_wh = capacity_wh
        self.charged_wh = charged_wh
        self.wakes_after_s = wakes_after_s
        self.stays_in_c = stays_in_c
        self.ventilation = self.refuses = self.asleep = self.deaf = False
        self.extra_a: Phases = NOTHING
        self.flaps_s = 0.0
        self.taper_from = 0.95
        self.ramp_a_s = 12.0
        #: Whether the car is connected, and whether the station's socket has a cable in it.
        self.plugged = self.cabled = False
        self.suspended = False
        self.advance: Callable[[], None] = _stand_still
        self._asking = False
        self._asks_in_s = wakes_after_s
        self._flapping_s = self._pilot_away_s = 0.0
        self._drawn_a = 0.0
        self._target_a = 0.0

    @property
    def full(self) -> bool:
        """Whether the battery takes no more."""
        return self.charged_wh >= self.capacity_wh

    @property
    def pilot(self) -> Pilot:
        """What it shows on the control pilot."""
        if not self.plugged:
            return "A"
        if not self._asks:
            return "B"
        return "D" if self.ventilation else "C"

    @property
    def amps(self) -> Phases:
        """What it draws now."""
        return self._spread(self._drawn_a)

    def plug(self) -> None:
        """Connect the cable, at both ends."""
        self.advance()
        self.plugged = self.cabled = True
        self._asks_in_s = self.wakes_after_s

    def unplug(self, *, at_car: bool = False) -> None:
        """Pull the cable, also under load; ``at_car``: at that end only, it stays in the station's socket."""
        self.advance()
        self.plugged = self._asking = False
        self.cabled = self.cabled and at_car
        self._drawn_a = self._target_a = self._flapping_s = 0.0

    def suspend(self) -> None:
        """Stop asking by its own will, a timer for instance."""
        self.advance()
        self.suspended = True

    def resume(self) -> None:
        """Want to charge again, into an emptier battery where it was full."""
        self.advance()
        self.suspended = self.refuses = self.asleep = False
        if self.full:
            self.charged_wh = self.capacity_wh * 0.8

    def fill(self) -> None:
        """Have a full battery at once."""
        self.advance()
        self.charged_wh = self.capacity_wh

    def step_s(self, offered_a: float) -> float:
        """Return the longest step under an offer that is exact enough."""
        if not self.plugged:
            return LONGEST_STEP_S
        waking = self._wants and not self._asking and (offered_a >= MINIMUM_A or self.deaf)
        restless = waking or self.flaps_s > 0 or self.asleep
        return FINE_STEP_S if restless or abs(self._target_a - self._drawn_a) > MOVING_A else EVEN_STEP_S

    def step(self, seconds: float, offered_a: float, *, closed: bool, pilot_on: bool = True) -> Phases:
        """Let time pass under an offer with the contactor open or closed; return the average currents.

        offered_a: 0 without PWM. pilot_on: False while the board holds the pilot at 0 V or -12 V (E, F).
        """
        self._notice(seconds, pilot_on=pilot_on)
        self._wake(seconds, offered_a)
        self._target_a = self._wish(offered_a) if closed and self._asks else 0.0
        before, self._drawn_a = self._drawn_a, self._ramp(seconds) if closed else 0.0
        average = (before + self._drawn_a) / 2 if closed else 0.0
        self.charged_wh += sum(self._spread(average)) * NOMINAL_V * seconds / 3600
        if not self._wants:
            self._asking = False
        return self._spread(average)

    @property
    def _wants(self) -> bool:
        return self.plugged and not (self.suspended or self.refuses or self.asleep or self.full)

    @property
    def _asks(self) -> bool:
        """Whether it asks now: one that flaps does so every other time only."""
        resting = self.flaps_s > 0 and int(self._flapping_s / self.flaps_s) % 2 == 1
        return self._asking and not resting

    def _notice(self, seconds: float, *, pilot_on: bool) -> None:
        """Wake up by a pilot that was away for long enough; keep the time of flapping."""
        self._pilot_away_s = 0.0 if pilot_on else self._pilot_away_s + seconds
        self.asleep = self.asleep and self._pilot_away_s < WAKING_BREAK_S
        self._flapping_s = self._flapping_s + seconds if self.flaps_s > 0 and self._asking else 0.0

    def _wake(self, seconds: float, offered_a: float) -> None:
        if not self._wants or (offered_a < MINIMUM_A and not self.deaf):
            self._asks_in_s = self.wakes_after_s
            self._asking = self._asking and self._wants and self.stays_in_c
            return
        self._asks_in_s -= seconds
        self._asking = self._asking or self._asks_in_s <= 0

    def _wish(self, offered_a: float) -> float:
        if self.deaf:
            return self.max_a
        if offered_a < MINIMUM_A:
            return 0.0
        most = min(offered_a, self.max_a)
        left = (1 - self.charged_wh / self.capacity_wh) / (1 - self.taper_from)
        return max(MINIMUM_A, most * min(1.0, left)) if left > 0 else 0.0

    def _ramp(self, seconds: float) -> float:
        if self._drawn_a < self._target_a:
            return min(self._target_a, self._drawn_a + self.ramp_a_s * seconds)
        return max(self._target_a, self._drawn_a - RAMP_DOWN * self.ramp_a_s * seconds)

    def _spread(self, amps: float) -> Phases:
        if amps <= 0:
            return NOTHING
        one, two, three = (amps + self.extra_a[phase] if phase < self.phases else 0.0 for phase in range(3))
        return one, two, three
