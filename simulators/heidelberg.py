"""The wallbox Heidelberg Energy Control (Amperfied) on Modbus, with a car on its cable.

Registers as in the maker's Modbus register table and as evcc reads them: input 4 to 18, 100, 101, 200, 203; holding
257, 258, 259, 261, 262. Times on the wire (watchdog, blinking) are real time, whatever the pace of the simulated clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from simulators.board import COMMON_FAULTS, Board
from simulators.circuit import Circuit, Clock, Phases
from simulators.errors import Misuse
from simulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, READ_INPUT, Refused
from simulators.vehicle import Car

LAYOUT, STATE, CURRENTS = 4, 5, 6
TEMPERATURE, VOLTAGES, UNLOCKED, POWER, SINCE_POWER_ON, SINCE_INSTALLATION = 9, 10, 13, 14, 15, 17
MAXIMUM, MINIMUM, VARIANT, SOFTWARE = 100, 101, 200, 203
WATCHDOG, STANDBY, REMOTE, LIMIT, FAIL_SAFE = 257, 258, 259, 261, 262
STANDBY_ON, STANDBY_OFF = 0, 4
#: What the holding registers can be written with.
ALLOWED: Final[Mapping[int, frozenset[int]]] = {
    WATCHDOG: frozenset(range(0x10000)),
    STANDBY: frozenset({STANDBY_ON, STANDBY_OFF}),
    REMOTE: frozenset({0, 1}),
    LIMIT: frozenset({0, *range(60, 161)}),
    FAIL_SAFE: frozenset({0, *range(60, 161)}),
}
DEFAULT_WATCHDOG_MS: Final = 15_000
#: Without permission; with permission is one more.
STATES: Final = {"A": 2, "B": 4, "C": 6}
DERATED, SHORTED, NOT_READY, ERROR = 8, 9, 10, 11
#: Seconds of blinking and state F after the watchdog expired with a fail-safe current of 0.
BLINKS_S: Final = 10.0
#: Seconds without a car until it sleeps.
SLEEPS_AFTER_S: Final = 720.0
#: From here on it offers half. A choice of this simulator: the maker's own curve is not published.
HOT_C: Final = 75.0
#: Timers are met as closely as this, in seconds of the wire.
FINEST_S: Final = 0.001
SECONDS_PER_HOUR: Final = 3600


class Heidelberg(Board):
    """The wallbox, set up as a follower (S5/4 OFF).

    maximum_a, minimum_a: of the rotary switch (registers 100, 101). power_up_a: what register 261 holds after power-up
    and after standby. The maker does not tell it; the most is the harder case for who writes it. energy_vah: counted
    since the installation. layout, software, variant: registers 4, 203, 200. standby_after_s: without a car.

    What it does by itself: the watchdog expires without a valid frame for register 257 milliseconds; from then on the
    fail-safe current (262) holds instead of the limit, 0 with ten seconds of state F. A valid frame ends it. Without a
    car for twelve minutes it sleeps, where register 258 allows that: no answers, and 261 and 262 are lost, until one is
    plugged in.
    """

    TITLE = "Heidelberg / Amperfied Energy Control"
    LINE = "19200 8E1"
    UNITS = range(1, 16)
    FAULTS: ClassVar[Mapping[str, str]] = {
        **COMMON_FAULTS,
        "locked": "the external lock input is closed: state F",
        "cp_error": "the control pilot is shorted: state E",
        "not_ready": "state F for a reason of its own",
        "internal": "an error of the box: state 11",
        "loses_energy": "a power cut sets the energy counter back to the last standby",
    }

    def __init__(
        self,
        *,
        circuit: Circuit | None = None,
        clock: Clock | None = None,
        car: Car | None = None,
        maximum_a: int = 16,
        minimum_a: int = 6,
        power_up_a: float | None = None,
        energy_vah: float = 3_268_073,
        layout: int = 0x0107,
        software: int = 130,
        variant: int = 1,
        standby_after_s: float = SLEEPS_AFTER_S,
    ) -> None:
        self.maximum_a, self.minimum_a = maximum_a, minimum_a
        self.standby_after_s = standby_after_s
        self.temperature_c = 25.0
        self.locked = self.cp_error = self.not_ready = self.internal = self.loses_energy = False
        self._identity = {LAYOUT: layout, VARIANT: variant, SOFTWARE: software}
        self._power_up_limit = round(10 * (maximum_a if power_up_a is None else power_up_a))
        self._energy_vah = self._stored_vah = energy_vah
        super().__init__(circuit, clock, car)

    def _power_up(self) -> None:
        self._holding = {WATCHDOG: DEFAULT_WATCHDOG_MS, STANDBY: STANDBY_ON, REMOTE: 1}
        if self.loses_energy:
            self._energy_vah = self._stored_vah
        self._since_power_on_vah = 0.0
        self._asleep = False
        self._wake_up()

    def _wake_up(self) -> None:
        self._holding |= {LIMIT: self._power_up_limit, FAIL_SAFE: 0}
        self._quiet_s = self._blinks_s = self._idle_s = 0.0

    @property
    def asleep(self) -> bool:
        """Whether it is in standby and answers nothing."""
        return self._asleep and not self.car.plugged

    @property
    def expired(self) -> bool:
        """Whether the watchdog has expired, so that the fail-safe current holds."""
        self.circuit.advance()
        return self._expired

    def sleep(self) -> None:
        """Go to standby now. Raises Misuse where it would not."""
        self.circuit.advance()
        if self.car.plugged or self._holding[STANDBY] == STANDBY_OFF:
            raise Misuse("it stays awake with a car, and where register 258 is 4")
        self._fall_asleep()

    def hears(self) -> bool:
        """Take notice of a frame for this unit, which feeds the watchdog; return whether the box answers."""
        if not super().hears() or self.asleep:
            return False
        self._quiet_s = 0.0
        return True

    def step_s(self) -> float:
        """Return the longest step that is exact enough: until the next timer of its own runs out."""
        left = [self._blinks_s, self._holding[WATCHDOG] / 1000 - self._quiet_s]
        due = [max(FINEST_S, seconds) * self.circuit.pace for seconds in left if seconds > 0]
        idle = [max(FINEST_S, self.standby_after_s - self._idle_s)] if self._may_sleep else []
        return min([super().step_s(), *due, *idle])

    def _pass(self, seconds: float, amps: Phases) -> None:
        counted = sum(amp * volt for amp, volt in zip(amps, self.circuit.volts, strict=True)) * seconds
        self._energy_vah += abs(counted) / SECONDS_PER_HOUR
        self._since_power_on_vah += abs(counted) / SECONDS_PER_HOUR
        self._watch(seconds / self.circuit.pace)
        if self._asleep and self.car.plugged:
            self._asleep = False
            self._wake_up()
        self._idle_s = self._idle_s + seconds if self._may_sleep else 0.0
        if self._may_sleep and self._idle_s >= self.standby_after_s:
            self._fall_asleep()

    def _watch(self, seconds: float) -> None:
        """Let the watchdog run; it begins to blink at the moment of expiry."""
        before = self._expired
        self._quiet_s += seconds
        self._blinks_s = max(0.0, self._blinks_s - seconds)
        if self._expired and not before and not self._asleep and self._holding[FAIL_SAFE] == 0:
            self._blinks_s = BLINKS_S

    @property
    def _expired(self) -> bool:
        timeout_s = self._holding[WATCHDOG] / 1000
        return 0 < timeout_s <= self._quiet_s + FINEST_S

    @property
    def _may_sleep(self) -> bool:
        return self._holding[STANDBY] == STANDBY_ON and not self.car.plugged and not self._asleep

    def _fall_asleep(self) -> None:
        self._stored_vah = self._energy_vah
        self._asleep = True
        self._wake_up()

    @property
    def _allowed_a(self) -> float:
        limit = min(self._holding[FAIL_SAFE if self._expired else LIMIT] / 10, self.maximum_a)
        if limit < self.minimum_a:
            return 0.0
        return max(float(self.minimum_a), limit / 2) if self.temperature_c >= HOT_C else limit

    @property
    def _failed(self) -> bool:
        return self._failure is not None

    @property
    def _failure(self) -> int | None:
        """The state of register 5 that something wrong is shown by."""
        stuck = self.welded and self.car.plugged and not self._told_closed
        if self.internal or self.rcd or self.emergency or stuck or (self.car.plugged and self.car.ventilation):
            return ERROR
        if self.cp_error or (self.diode and self.car.plugged):
            return SHORTED
        if self.not_ready or self.locked or not self._holding[REMOTE] or self._blinks_s > 0:
            return NOT_READY
        return None

    @property
    def _pilot_on(self) -> bool:
        return super()._pilot_on and self._failure not in {SHORTED, NOT_READY}

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return input registers (function 4) or holding registers (function 3)."""
        self.circuit.advance()
        registers = self._inputs() if function == READ_INPUT else self._holding
        wanted = range(address, address + count)
        if any(place not in registers for place in wanted):
            raise Refused(ILLEGAL_ADDRESS)
        return [registers[place] for place in wanted]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take holding registers; all of a request or nothing."""
        self.circuit.advance()
        for place, word in enumerate(words, address):
            if place not in ALLOWED:
                raise Refused(ILLEGAL_ADDRESS)
            if word not in ALLOWED[place]:
                raise Refused(ILLEGAL_VALUE)
        if not self.ignores_writes:
            self._holding |= dict(enumerate(words, address))
            self.written.update(range(address, address + len(words)))

    def registers(self) -> str:
        """Return the state with what was measured, and the settings."""
        inputs = " ".join(map(str, self.read_words(READ_INPUT, LAYOUT, SINCE_INSTALLATION + 2 - LAYOUT)))
        holding = ", ".join(f"{place}: {word}" for place, word in sorted(self._holding.items()))
        mood = "asleep" if self.asleep else "watchdog expired" if self._expired else "awake"
        return f"{mood}; input registers from 4: {inputs}\n  holding registers {holding}"

    def _inputs(self) -> dict[int, int]:
        amps, volts = self.amps, self.circuit.volts
        power = round(sum(amp * volt for amp, volt in zip(amps, volts, strict=True)))
        energies = [int(energy) % 2**32 for energy in (self._since_power_on_vah, self._energy_vah)]
        inputs = self._identity | {
            STATE: self._state,
            TEMPERATURE: round(10 * self.temperature_c) % 0x10000,
            UNLOCKED: int(not self.locked),
            POWER: power,
            SINCE_POWER_ON: energies[0] >> 16,
            SINCE_POWER_ON + 1: energies[0] & 0xFFFF,
            SINCE_INSTALLATION: energies[1] >> 16,
            SINCE_INSTALLATION + 1: energies[1] & 0xFFFF,
            MAXIMUM: self.maximum_a,
            MINIMUM: self.minimum_a,
        }
        for phase in range(3):
            inputs |= {CURRENTS + phase: round(10 * amps[phase]), VOLTAGES + phase: round(volts[phase])}
        return inputs

    @property
    def _state(self) -> int:
        if (failure := self._failure) is not None:
            return failure
        if self.offered_a and self.car.pilot == "C" and self.temperature_c >= HOT_C:
            return DERATED
        return STATES[self.car.pilot] + int(self._allowed_a > 0)
