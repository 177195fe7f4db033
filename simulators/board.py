"""What every EVSE controller has: a pilot, a contactor, a car on its cable, and the ways in which they fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from simulators.circuit import Circuit, Clock, Phases
from simulators.modbus import MAX_UNIT, Faults
from simulators.vehicle import FINE_STEP_S, Car

#: How long the contactor waits for a car that goes on drawing after the PWM is off (IEC 61851-1).
OPENS_AFTER_S: Final = 3.0
#: Name of a fault that every board has -> what it is.
COMMON_FAULTS: Final[Mapping[str, str]] = {
    "ignores_writes": "writes are answered, not obeyed",
    "diode": "the car's diode is missing",
    "rcd": "residual current: the contactor opens",
    "emergency": "the emergency stop is pressed: an error without a reason",
    "welded": "the contactor opens no more; a car that is deaf goes on drawing",
    "stuck_open": "the contactor does not close, whatever the board shows",
}


class Board(ABC):
    """A controller as a Modbus device and as a load of its circuit.

    Its faults are attributes, listed in ``FAULTS`` with what they mean, besides those of the line in ``faults``; call
    ``circuit.advance()`` before one is changed. ``written`` counts the writes of each register that were obeyed.
    """

    TITLE: ClassVar[str]
    #: How the line of a new one is set, and the addresses that it can have.
    LINE: ClassVar[str]
    UNITS: ClassVar[range] = range(1, MAX_UNIT + 1)
    FAULTS: ClassVar[Mapping[str, str]] = COMMON_FAULTS

    def __init__(self, circuit: Circuit | None, clock: Clock | None, car: Car | None) -> None:
        self.circuit = Circuit(clock) if circuit is None else circuit
        self.car = Car() if car is None else car
        self.car.advance = self.circuit.advance
        self.faults = Faults()
        self.ignores_writes = self.diode = self.rcd = self.emergency = self.welded = self.stuck_open = False
        self.written: Counter[int] = Counter()
        self._told_closed = self._closed = False
        self._lingers_s = self._dark_s = 0.0
        self._power_up()
        self.circuit.advance()
        self.circuit.loads.append(self)

    def power_cycle(self, dark_s: float = 0.0) -> None:
        """Cut the supply for some seconds of the wire: what is not stored is lost; nothing answers meanwhile."""
        self.circuit.advance()
        self._told_closed, self._closed = False, self.welded
        self._lingers_s, self._dark_s = 0.0, dark_s
        self._power_up()

    def hears(self) -> bool:
        """Take notice of a frame for this unit; return whether the board is up to answer it."""
        self.circuit.advance()
        return self._dark_s <= 0

    @property
    def amps(self) -> Phases:
        """What the car draws now."""
        return self.car.amps

    @property
    def offered_a(self) -> float:
        """What the pilot offers now; 0: no PWM."""
        if self.car.pilot == "A" or self._dark_s > 0 or self._failed:
            return 0.0
        return self._allowed_a

    def step_s(self) -> float:
        """Return the longest step that is exact enough."""
        moving = self._lingers_s > 0 or self._dark_s > 0
        return FINE_STEP_S if moving else self.car.step_s(self.offered_a)

    def step(self, seconds: float) -> Phases:
        """Let time pass for board and car; return the average currents."""
        amps = self.car.step(seconds, self.offered_a, closed=self._closed, pilot_on=self._pilot_on)
        self._dark_s = max(0.0, self._dark_s - seconds / self.circuit.pace)
        self._pass(seconds, amps)
        asked = self.car.pilot in {"C", "D"} and self.offered_a > 0
        self._lingers_s = OPENS_AFTER_S if asked else max(0.0, self._lingers_s - seconds)
        self._told_closed = not self._failed and (asked or (any(self.car.amps) and self._lingers_s > 0))
        self._closed = self.welded or (self._told_closed and not self.stuck_open)
        return amps

    @abstractmethod
    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return registers. Raises Refused."""

    @abstractmethod
    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take registers, all of a request or nothing. Raises Refused."""

    @abstractmethod
    def registers(self) -> str:
        """Return the registers that tell what it does, for people, in a line or more."""

    @abstractmethod
    def _power_up(self) -> None:
        """Begin as after the supply has come back."""

    @abstractmethod
    def _pass(self, seconds: float, amps: Phases) -> None:
        """Let the board's own timers run for a time in which the car drew so much."""

    @property
    @abstractmethod
    def _allowed_a(self) -> float:
        """What the pilot may offer to a car where nothing has failed; 0: nothing."""

    @property
    @abstractmethod
    def _failed(self) -> bool:
        """Whether something is wrong that opens the contactor."""

    @property
    def _pilot_on(self) -> bool:
        """Whether the pilot is neither at 0 V nor at -12 V."""
        return self._dark_s <= 0
