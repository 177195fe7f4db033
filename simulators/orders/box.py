"""Line commands for a controller and the car on its cable."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from typing import Final

from simulators.board import Board
from simulators.circuit import NOTHING
from simulators.console import Commands, number, padded, seconds, switch
from simulators.errors import Misuse
from simulators.evse import EvseDin
from simulators.heidelberg import Heidelberg
from simulators.modbus import Refused
from simulators.orders.meter import set_speed
from simulators.vehicle import Car

#: Seconds in which a hasty driver has the plug out and in again.
REPLUGS_AFTER_S: Final = 0.5
#: Fault of a car that is on or off -> what it is.
MOODS: Final[Mapping[str, str]] = {
    "refuses": "it never asks for energy",
    "asleep": "it asks no more until the pilot was away (E, F) for three seconds",
    "deaf": "it draws what it can, whatever is offered",
    "stays_in_c": "it goes on asking while nothing is offered",
    "ventilation": "it asks with ventilation (D)",
}
#: Attribute of a board -> its command, where it is not the same with hyphens.
SHORT: Final[Mapping[str, str]] = {"ignores_writes": "ignore"}
ON_OFF: Final = "[off]"
HIGHEST_WORD: Final = 0xFFFF
COLDEST_C, HOTTEST_C = -273.0, 3000.0


def add_evse_commands(commands: Commands, evse: Board) -> None:
    """Add what can be done to a controller and its car."""
    _add_car(commands, evse)
    commands.topic = "the controller"
    commands.add("state", "", "what car and controller do", lambda _: _state(evse))
    commands.add("writes", "", "how often each register was written", lambda _: _writes(evse))
    commands.add("speed", "FACTOR", "how much faster time runs", lambda words: set_speed(evse.circuit, words))
    commands.topic = "faults of the controller"
    for fault, purpose in type(evse).FAULTS.items():
        name = SHORT.get(fault, fault.replace("_", "-"))
        commands.add(name, ON_OFF, purpose, functools.partial(_switch, evse.circuit.advance, evse, fault))
    commands.add(
        "power-cycle", "[SECONDS]", "cut the controller's supply, for so long", functools.partial(_power, evse)
    )
    commands.add(
        "write", "ADDRESS VALUE", "write a register, as another master on the wire", functools.partial(_write, evse)
    )
    if isinstance(evse, Heidelberg):
        commands.add("standby", "", "fall asleep, as after twelve minutes without a car", lambda _: evse.sleep())
        commands.add("temperature", "C", "of the box; it offers half from 75 C on", functools.partial(_heat, evse))
    if isinstance(evse, EvseDin):
        commands.add("cable", "A", "what the plugged cable allows", functools.partial(_cable, evse))


def _add_car(commands: Commands, evse: Board) -> None:
    car = evse.car
    orders = _CarOrders(car)
    commands.topic = "the car"
    commands.add("plug", "", "connect the car", lambda _: car.plug())
    commands.add("unplug", "", "pull the cable, at both ends; also under load", lambda _: car.unplug())
    commands.add("unplug-car", "", "pull it at the car; it stays in the socket", lambda _: car.unplug(at_car=True))
    commands.add("replug", "[SECONDS]", "pull the cable and put it back so soon (0.5 s)", orders.replug)
    commands.add("full", "", "the battery is full", lambda _: car.fill())
    commands.add("battery", "PERCENT", "what is in the battery", orders.battery)
    commands.add("suspend", "", "the car pauses by itself", lambda _: car.suspend())
    commands.add("resume", "", "the car wants to charge (again)", lambda _: car.resume())
    commands.add(
        "wakes-after", "SECONDS", "how long the car takes to ask, once it is offered something", orders.wakes_after
    )
    commands.add("phases", "1|2|3", "of the car's charger", orders.phases)
    commands.add("amps", "A", "the most that the car draws", orders.amps)
    commands.topic = "faults of the car"
    for mood, purpose in MOODS.items():
        commands.add(mood.replace("_", "-"), ON_OFF, purpose, functools.partial(_switch, car.advance, car, mood))
    commands.add("overdraw", "A|off", "it draws so much more than it is offered", orders.overdraw)
    commands.add("flap", "SECONDS|off", "it asks and stops asking in turn, each for so long", orders.flap)


class _CarOrders:
    """The commands of one car that take a value. Raises Misuse and ValueError for what cannot be meant."""

    def __init__(self, car: Car) -> None:
        self._car = car

    async def replug(self, words: list[str]) -> None:
        """Pull the cable and put it back, in real time."""
        (time,) = padded(words, 0, 1)
        away_s = seconds(time) if time else REPLUGS_AFTER_S
        self._car.unplug()
        await asyncio.sleep(away_s)
        self._car.plug()

    def battery(self, words: list[str]) -> None:
        """Set the charge."""
        (word,) = words
        share = number(word, "value") / 100
        if not 0 <= share <= 1:
            raise Misuse("battery: 0 to 100 per cent")
        self._car.advance()
        self._car.charged_wh = self._car.capacity_wh * share

    def wakes_after(self, words: list[str]) -> None:
        """Set the delay, which begins with the next offer."""
        (word,) = words
        delay_s = seconds(word)
        self._car.advance()
        self._car.wakes_after_s = delay_s

    def phases(self, words: list[str]) -> None:
        """Set the phases."""
        (word,) = words
        phases = int(word)
        if phases not in {1, 2, 3}:
            raise ValueError(word)
        self._car.advance()
        self._car.phases = phases

    def amps(self, words: list[str]) -> None:
        """Set the most."""
        (word,) = words
        amps = number(word, "value")
        if amps < 0:
            raise Misuse("amps: a car feeds nothing back here")
        self._car.advance()
        self._car.max_a = amps

    def overdraw(self, words: list[str]) -> None:
        """Set the excess."""
        (word,) = words
        excess = NOTHING if word == "off" else (number(word, "value"),) * 3
        self._car.advance()
        self._car.extra_a = excess

    def flap(self, words: list[str]) -> None:
        """Set the period."""
        (word,) = words
        period_s = 0.0 if word == "off" else seconds(word)
        self._car.advance()
        self._car.flaps_s = period_s


def _switch(advance: Callable[[], None], device: object, fault: str, words: list[str]) -> None:
    on = switch(words)
    advance()
    setattr(device, fault, on)


def _power(evse: Board, words: list[str]) -> None:
    (time,) = padded(words, 0, 1)
    evse.power_cycle(seconds(time) if time else 0.0)


def _write(evse: Board, words: list[str]) -> None:
    address, value = (int(word, 0) for word in words)
    if not (0 <= address <= HIGHEST_WORD and 0 <= value <= HIGHEST_WORD):
        raise ValueError(words)
    try:
        evse.write_words(address, [value])
    except Refused as refusal:
        raise Misuse(f"the controller refuses that: {refusal}") from refusal


def _heat(evse: Heidelberg, words: list[str]) -> None:
    (word,) = words
    celsius = number(word, "value")
    if not COLDEST_C <= celsius <= HOTTEST_C:
        raise Misuse("temperature: no wallbox has that")
    evse.circuit.advance()
    evse.temperature_c = celsius


def _cable(evse: EvseDin, words: list[str]) -> None:
    (word,) = words
    amps = int(word)
    if not 0 <= amps <= HIGHEST_WORD:
        raise ValueError(word)
    evse.circuit.advance()
    evse.cable_a = amps


def _writes(evse: Board) -> str:
    return "\n".join(f"  register {place}: {count}" for place, count in sorted(evse.written.items())) or "  none"


def _state(evse: Board) -> str:
    evse.circuit.advance()
    drawn = ", ".join(f"{amps:.1f}" for amps in evse.amps)
    return (
        f"  car {evse.car.pilot}, offered {evse.offered_a:g} A, draws {drawn} A, "
        f"battery {100 * evse.car.charged_wh / evse.car.capacity_wh:.0f} %\n  {evse.registers()}"
    )
