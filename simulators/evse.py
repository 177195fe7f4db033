"""The controller board EVSE DIN (EVSE-WB, SimpleEVSE) on Modbus, with a car on its cable.

Registers as in the maker's Modbus sheet and as evcc and openWB read them: 1000 to 1009 state, 2000 to 2017 settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from simulators.board import COMMON_FAULTS, Board
from simulators.bus import PTY, Bus, Endpoint
from simulators.circuit import Circuit, Clock, Phases
from simulators.meter import Meter
from simulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, READ_HOLDING, Refused
from simulators.vehicle import Car

COMMANDED, OFFERED, VEHICLE, CABLE, COMMAND, FIRMWARE, EVSE_STATE, STATUS_BITS = range(1000, 1008)
SELF_TEST_TIMER: Final = 1009
POWER_UP, ADDRESS, MINIMUM = range(2000, 2003)
CONFIGURATION: Final = 2005
#: Settings as a board leaves the factory with (a trace of a real one).
FACTORY: Final = (32, 1, 5, 1, 0, 0x0209, 0, 0, 0xFFFF, 3, 6, 10, 16, 25, 32, 48, 63, 80)
HIGHEST_A: Final = 80
#: The newest firmware seen without, and the usual one with, the registers above 1006.
OLD_FIRMWARE: Final = 17
NEW_FIRMWARE: Final = 18
SELF_TEST_S: Final = 30.0

STEADY, PWM, OFF = 1, 2, 3
FAILURE: Final = 5
VEHICLES: Final = {"A": 1, "B": 2, "C": 3, "D": 4}
RELAY_ON, DIODE, VENTILATION, _, RCD_TEST, RCD = (1 << bit for bit in range(6))
TURN_OFF, RUN_TEST, CLEAR_RCD = (1 << bit for bit in range(3))
D_ALLOWED, PRECISE, DISABLED, BOOTLOADER = 1 << 3, 1 << 7, 1 << 14, 1 << 15


class EvseDin(Board):
    """The board.

    old_firmware: no registers above 1006, so that reads of more than seven words from 1000 on are exception 2. precise:
    1000 counts 0.01 A. power_up_a: what is commanded after power-up (register 2000). unit: the Modbus address that it
    shows in register 2001. cable_a: what the plugged cable allows.

    It has no watchdog, and no code for a contactor that is stuck: register 1007 shows what the board wants of it.
    """

    TITLE = "EVSE DIN / EVSE-WB / SimpleEVSE"
    LINE = "9600 8N1"
    FAULTS: ClassVar[Mapping[str, str]] = {
        **COMMON_FAULTS,
        "shows_minimum": "register 1001 stays at the minimum while nothing is offered",
        "shows_commanded": "register 1001 repeats 1000, whatever is offered",
    }

    def __init__(
        self,
        *,
        circuit: Circuit | None = None,
        clock: Clock | None = None,
        car: Car | None = None,
        unit: int = FACTORY[1],
        power_up_a: int = FACTORY[0],
        cable_a: int = 32,
        firmware: int = NEW_FIRMWARE,
        old_firmware: bool = False,
        precise: bool = False,
    ) -> None:
        self.cable_a = cable_a
        self.old_firmware = old_firmware
        self.firmware = min(firmware, OLD_FIRMWARE) if old_firmware else firmware
        self.shows_minimum = self.shows_commanded = False
        #: Writes of the settings, which wear the board out; by address.
        self.settings_written: list[int] = []
        self._settings = [power_up_a, unit, *FACTORY[2:]]
        self._settings[CONFIGURATION - POWER_UP] |= PRECISE if precise else 0
        super().__init__(circuit, clock, car)

    def _power_up(self) -> None:
        self._commanded = self._settings[0] * self._scale
        self._turned_off = False
        self._tested_s = 0.0
        if self._configured(BOOTLOADER):
            self.faults.silent = True  # waits for a new firmware that nobody sends

    def _pass(self, seconds: float, amps: Phases) -> None:  # noqa: ARG002 - this board measures no current
        self._tested_s = max(0.0, self._tested_s - seconds)

    @property
    def _allowed_a(self) -> float:
        if self._turned_off or self._configured(DISABLED):
            return 0.0
        limit = min(self._commanded / self._scale, float(self.cable_a), float(HIGHEST_A))
        return limit if limit >= self._settings[MINIMUM - POWER_UP] else 0.0

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return registers. Only function 3 is known."""
        if function != READ_HOLDING:
            raise Refused(ILLEGAL_FUNCTION)
        self.circuit.advance()
        registers = self._state() | dict(enumerate(self._settings, POWER_UP))
        wanted = range(address, address + count)
        if any(place not in registers for place in wanted):
            raise Refused(ILLEGAL_ADDRESS)
        return [registers[place] for place in wanted]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take the commanded current, command bits or settings; all of a request or nothing."""
        self.circuit.advance()
        for place, word in enumerate(words, address):
            if place not in {COMMANDED, COMMAND} and not POWER_UP <= place < POWER_UP + len(FACTORY):
                raise Refused(ILLEGAL_ADDRESS)
            if place == COMMANDED and word > HIGHEST_A * self._scale:
                raise Refused(ILLEGAL_VALUE)
        if not self.ignores_writes:
            for place, word in enumerate(words, address):
                self._write(place, word)

    def _write(self, place: int, word: int) -> None:
        self.written[place] += 1
        if place == COMMANDED:
            self._commanded, self._turned_off = word, False
        elif place == COMMAND:
            self._turned_off = self._turned_off or bool(word & TURN_OFF)
            self._tested_s = SELF_TEST_S if word & RUN_TEST else self._tested_s
            self.rcd = self.rcd and not word & CLEAR_RCD
        else:
            self._settings[place - POWER_UP] = word
            self.settings_written.append(place)
            if self._configured(BOOTLOADER):
                self.faults.silent = True

    def registers(self) -> str:
        """Return the registers from 1000 on."""
        count = 7 if self.old_firmware else STATUS_BITS - COMMANDED + 1
        words = self.read_words(READ_HOLDING, COMMANDED, count)
        return f"registers from 1000: {' '.join(map(str, words))}"

    def _state(self) -> dict[int, int]:
        minimum = self._settings[MINIMUM - POWER_UP]
        off = self._failed or self._turned_off or self._configured(DISABLED)
        state = {
            COMMANDED: self._commanded,
            OFFERED: self._shown_a(minimum),
            VEHICLE: FAILURE if self._failed else VEHICLES[self.car.pilot],
            CABLE: self.cable_a if self.car.cabled else minimum,
            COMMAND: 0,
            FIRMWARE: self.firmware,
            EVSE_STATE: OFF if off else PWM if self.offered_a else STEADY,
        }
        if not self.old_firmware:
            state |= {STATUS_BITS: self._status_bits(), SELF_TEST_TIMER - 1: 0, SELF_TEST_TIMER: int(self._tested_s)}
        return state

    def _shown_a(self, minimum: int) -> int:
        if self.shows_commanded:
            return self._commanded // self._scale
        return int(self.offered_a or (minimum if self.shows_minimum and self.car.plugged else 0))

    def _status_bits(self) -> int:
        bits = {RELAY_ON: self._told_closed, DIODE: self.diode, RCD: self.rcd, RCD_TEST: self._tested_s > 0}
        bits[VENTILATION] = self._unventilated
        return sum(bit for bit, on in bits.items() if on)

    @property
    def _failed(self) -> bool:
        return (self.diode and self.car.plugged) or self.rcd or self.emergency or self._unventilated

    @property
    def _unventilated(self) -> bool:
        return self.car.plugged and self.car.ventilation and not self._configured(D_ALLOWED)

    def _configured(self, bit: int) -> bool:
        return bool(self._settings[CONFIGURATION - POWER_UP] & bit)

    @property
    def _scale(self) -> int:
        return 100 if self._configured(PRECISE) else 1


class EvseBus(Bus):
    """A controller with its car and a meter before it, all on one wire.

    >>> async with EvseBus.on_pty(clock=SimClock(speed=60)) as bus:
    ...     bus.car.plug()
    ...     talk(bus.path)

    units: address of the controller and of the meter. For any other installation, such as a meter on a wire of its own,
    build ``Circuit``, ``Meter`` and ``EvseDin`` yourself and hand them to a ``Bus`` each.
    """

    def __init__(self, evse: Board, meter: Meter, *, units: tuple[int, int] = (2, 1), endpoint: Endpoint = PTY) -> None:
        self.evse = evse
        self.car = evse.car
        self.meter = meter
        super().__init__({units[0]: evse, units[1]: meter}, endpoint)

    @classmethod
    def on_pty(
        cls, *, clock: Clock | None = None, units: tuple[int, int] = (2, 1), link: Path | str | None = None
    ) -> Self:
        """Return the bus for a pseudo-terminal, with an EVSE DIN, a car and a meter as they are by default."""
        circuit = Circuit(clock)
        return cls(
            EvseDin(circuit=circuit, unit=units[0]), Meter(circuit=circuit), units=units, endpoint=Endpoint(link)
        )
