"""Line commands for what a meter measures, and for what goes wrong with one."""

from __future__ import annotations

from collections.abc import Iterable

from simulators.circuit import Circuit, Phases, SimClock
from simulators.console import Commands, number, padded, switch
from simulators.errors import Misuse
from simulators.meter import Meter


def add_meter_commands(commands: Commands, meter: Meter) -> None:
    """Add what can be done to a meter."""
    orders = _Orders(meter)
    commands.topic = "the meter"
    commands.add("load", "A [A A]", "a constant load on all phases or each; negative feeds back", orders.load)
    commands.add("voltage", "V [V V]", "voltages; voltage 230 0 0 is a house with one phase", orders.voltage)
    commands.add("show", "", "what the meter shows", lambda _: orders.show())
    commands.add("speed", "FACTOR", "how much faster time runs", lambda words: set_speed(meter.circuit, words))
    commands.topic = "faults of the meter"
    commands.add("register", "WH", "the import register stands at a value, back or far on", orders.register)
    commands.add("jump", "WH", "the import register moves by so much", orders.jump)
    commands.add("replace", "SERIAL [WH]", "another meter with another serial number, at 0 Wh", orders.replace)
    commands.add("serial", "NUMBER", "another serial number, the register stays", orders.serial)
    commands.add("nan", "[VALUE...|none]", 'values that read NaN or "no value" (energy_import)', orders.missing)
    commands.add(
        "freeze", "[off|VALUE...]", "show the same for ever, all or some values; count on inside", orders.freeze
    )
    commands.add(
        "pretend", "VALUE NUMBER|off", "show a value that is not measured: pretend frequency 90", orders.pretend
    )
    commands.add("upside-down", "[off]", "fitted the wrong way round: import counts as export", orders.turn)


class _Orders:
    """The commands of one meter. Raises Misuse, ValueError and IndexError for what cannot be meant."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def load(self, words: list[str]) -> None:
        """Take a load that is there always."""
        self._meter.circuit.draw(phases(words))

    def voltage(self, words: list[str]) -> None:
        """Take voltages."""
        self._meter.volts = phases(words)

    def register(self, words: list[str]) -> None:
        """Move the register to a value."""
        (wh,) = words
        self._meter.set_register(number(wh, "value"))

    def jump(self, words: list[str]) -> None:
        """Move the register by a difference."""
        (wh,) = words
        self._meter.set_register(float(self._meter.import_wh) + number(wh, "value"))

    def replace(self, words: list[str]) -> None:
        """Put another meter in its place."""
        serial, wh = padded(words, 1, 2)
        self._meter.replace(serial, number(wh, "value") if wh else 0.0)

    def serial(self, words: list[str]) -> None:
        """Give it another number."""
        (self._meter.serial,) = words

    def missing(self, words: list[str]) -> None:
        """Lose values, or have all of them."""
        self._meter.missing = set() if words == ["none"] else set(self._known(words or ["energy_import"]))

    def freeze(self, words: list[str]) -> None:
        """Freeze all values, or some, or none."""
        if words == ["off"]:
            self._meter.freeze(on=False)
        else:
            self._meter.freeze(*self._known(words))

    def pretend(self, words: list[str]) -> None:
        """Show something else."""
        name, shown = words
        self._known([name])
        if shown == "off":
            self._meter.pretended.pop(name, None)
        else:
            self._meter.pretended[name] = number(shown, "value")

    def turn(self, words: list[str]) -> None:
        """Turn it round."""
        on = switch(words)
        self._meter.circuit.advance()
        self._meter.upside_down = on

    def show(self) -> str:
        """Return what it measures, a line each."""
        values = self._meter.values() | self._meter.pretended
        return "\n".join(f"  {name:<20} {values[name]}" for name in self._names() if name in values)

    def _names(self) -> list[str]:
        return [value.name for value in self._meter.map.values if value.fixed is None]

    def _known(self, words: Iterable[str]) -> Iterable[str]:
        for word in words:
            if word not in self._names():
                raise Misuse(f"unknown value {word!r}, this meter has: {', '.join(self._names())}")
        return words


def set_speed(circuit: Circuit, words: list[str]) -> None:
    """Let time run at another pace from now on."""
    (word,) = words
    factor = number(word, "value")
    if factor <= 0:
        raise Misuse("speed: time runs forwards, at a factor above 0")
    circuit.advance()
    if isinstance(circuit.clock, SimClock):
        circuit.clock.speed = factor


def phases(words: list[str]) -> Phases:
    """Return what was typed for all phases at once or for each."""
    one, *others = [number(word, "value") for word in words]
    two, three = others or (one, one)
    return one, two, three
