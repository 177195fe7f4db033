"""``wallbox-sim meter``, ``rfid`` and ``evse``: options, line commands, and what they print."""

from __future__ import annotations

import argparse
import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from simulators.bus import Bus, Endpoint
from simulators.circuit import Circuit, Phases, SimClock
from simulators.console import Commands, converse, number, run, say
from simulators.errors import Misuse
from simulators.evse import STATUS_BITS, EvseDin
from simulators.meter import DEFAULT_MODEL, Meter
from simulators.modbus import Device, Faults
from simulators.registers import models
from simulators.rfid import PROTOCOLS, CardReader
from simulators.vehicle import Car

#: Kind of line fault -> field of Faults, and how its value is read; None: it has none.
FAULTS: Final[Mapping[str, tuple[str, Callable[[str], object] | None]]] = {
    "silence": ("silent", None),
    "delay": ("delay_s", float),
    "exception": ("exception", int),
    "wrong-unit": ("unit", int),
    "crc": ("bad_crc", None),
    "before": ("before", bytes.fromhex),
    "after": ("after", bytes.fromhex),
    "truncate": ("keep", int),
    "late": ("late", None),
    "stray": ("stray", None),
}
HIGHEST_UNIT: Final = 247
#: How often a person is told what changed, in seconds.
NARRATED_S: Final = 0.25
FAULT_USAGE: Final = "KIND [VALUE] [xTIMES]"
CONTROLLERS: Final = ("evse_din",)


def add_meter(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``wallbox-sim meter``."""
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"one of: {', '.join(models())} (default: %(default)s)")
    parser.add_argument(
        "--unit", type=int, metavar="N", help="Modbus address (default: as the model leaves the factory)"
    )
    _add_meter_options(parser)
    _add_wire(parser)
    parser.set_defaults(run=lambda options: run(_meter(options)))


def add_evse(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``wallbox-sim evse``."""
    parser.add_argument("--controller", choices=CONTROLLERS, default=CONTROLLERS[0], help="default: %(default)s")
    parser.add_argument("--unit", type=int, default=2, metavar="N", help="Modbus address (default: 2)")
    parser.add_argument("--with-meter", metavar="MODEL", help="a kWh meter before the car, on the same wire")
    parser.add_argument("--meter-unit", type=int, default=1, metavar="N", help="its Modbus address (default: 1)")
    parser.add_argument("--car-amps", type=float, default=16, metavar="A", help="most that the car draws (default: 16)")
    parser.add_argument("--car-phases", type=int, choices=(1, 3), default=3, help="default: 3")
    parser.add_argument(
        "--battery", type=float, default=60, metavar="KWH", help="of the car, a third full (default: 60)"
    )
    parser.add_argument("--power-up", type=int, default=32, metavar="A", help="register 2000 (default: 32)")
    parser.add_argument("--old-firmware", action="store_true", help="refuses more than seven registers from 1000 on")
    parser.add_argument("--precise", action="store_true", help="register 1000 counts 0.01 A")
    _add_meter_options(parser)
    _add_wire(parser)
    parser.set_defaults(run=lambda options: run(_evse(options)))


def add_rfid(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``wallbox-sim rfid``."""
    parser.add_argument("--reader", choices=sorted(PROTOCOLS), default="rdm6300", help="default: %(default)s")
    parser.add_argument("--link", type=Path, metavar="PATH", help="symbolic link to the pseudo-terminal")
    _add_control(parser)
    parser.set_defaults(run=lambda options: run(_rfid(options)))


def _add_meter_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--register", type=float, default=1_234_567, metavar="WH", help="import register at the start")
    parser.add_argument("--serial", default="23004711", metavar="NUMBER", help="serial number of the meter")
    parser.add_argument("--load", type=float, default=0, metavar="A", help="constant load on each phase (default: 0)")
    parser.add_argument("--lenient", action="store_true", help="unknown registers read 0 instead of exception 2")
    parser.add_argument(
        "--speed", type=float, default=1, metavar="FACTOR", help="how much faster time runs (default: 1)"
    )


def _add_wire(parser: argparse.ArgumentParser) -> None:
    wire = parser.add_mutually_exclusive_group()
    wire.add_argument(
        "--link", type=Path, metavar="PATH", help="pseudo-terminal with a symbolic link to it (default: none)"
    )
    wire.add_argument("--tcp", type=int, metavar="PORT", help="Modbus TCP instead; 0: any free port")
    wire.add_argument(
        "--rtu-over-tcp", type=int, metavar="PORT", help="serial frames over TCP instead; 0: any free port"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument("--baudrate", type=int, default=0, metavar="N", help="answer as slowly as a line at this rate")
    _add_control(parser)


def _add_control(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--control", type=Path, metavar="SOCKET", help="Unix socket for `wallbox-sim tell SOCKET ...`")


async def _meter(options: argparse.Namespace) -> None:
    circuit = Circuit(SimClock(options.speed))
    meter = _make_meter(options, options.model, circuit)
    unit = meter.map.unit if options.unit is None else options.unit
    commands = Commands()
    add_meter_commands(commands, meter)
    await _on_a_wire(options, commands, {"meter": (unit, meter)})


async def _evse(options: argparse.Namespace) -> None:
    circuit = Circuit(SimClock(options.speed))
    capacity = 1000 * options.battery
    car = Car(max_a=options.car_amps, phases=options.car_phases, capacity_wh=capacity, charged_wh=capacity / 3)
    evse = EvseDin(
        circuit=circuit,
        car=car,
        unit=options.unit,
        power_up_a=options.power_up,
        old_firmware=options.old_firmware,
        precise=options.precise,
    )
    circuit.draw((options.load,) * 3)
    commands = Commands()
    devices: dict[str, tuple[int, Device]] = {"evse": (options.unit, evse)}
    if options.with_meter:
        meter = _make_meter(options, options.with_meter, circuit)
        devices["meter"] = (options.meter_unit, meter)
        add_meter_commands(commands, meter)
    add_evse_commands(commands, evse)
    narrator = asyncio.create_task(_narrate(evse))
    try:
        await _on_a_wire(options, commands, devices)
    finally:
        narrator.cancel()


async def _narrate(evse: EvseDin) -> None:
    """Say what happens to car and board, for who watches; small changes of the current are not worth a line."""
    told = ""
    while True:
        await asyncio.sleep(NARRATED_S)
        evse.circuit.advance()
        draws = "draws current" if any(evse.amps) else "draws nothing"
        now = f"car {evse.car.pilot}, offered {evse.offered_a:g} A, {draws}"
        if told and now != told:
            say(now)
        told = now


def _make_meter(options: argparse.Namespace, model: str, circuit: Circuit) -> Meter:
    circuit.draw((options.load,) * 3)
    return Meter(model, circuit=circuit, serial=options.serial, register_wh=options.register, lenient=options.lenient)


async def _on_a_wire(
    options: argparse.Namespace, commands: Commands, devices: Mapping[str, tuple[int, Device]]
) -> None:
    """Serve devices, the most important first, until the program is stopped."""
    serial = options.rtu_over_tcp is not None
    port = options.rtu_over_tcp if serial else options.tcp
    endpoint = Endpoint(options.link) if port is None else Endpoint(host=options.host, port=port, serial=serial)
    units = dict(devices.values())
    if len(units) < len(devices) or not all(1 <= unit <= HIGHEST_UNIT for unit in units):
        raise Misuse("the units need different Modbus addresses from 1 to 247")
    async with Bus(units, endpoint, baudrate=options.baudrate) as bus:
        add_line_commands(commands, bus, {name: device.faults for name, (_, device) in devices.items()})
        names = ", ".join(f"{name} at address {unit}" for name, (unit, _) in devices.items())
        place = bus.path or f"{options.host}:{bus.port} ({'RTU over TCP' if serial else 'Modbus TCP'})"
        await converse(commands, options.control, banner=f"{names} on {place}")


def add_line_commands(commands: Commands, bus: Bus, faults: Mapping[str, Faults]) -> None:
    """Add what can go wrong on the wire; ``fault`` means the first of the devices where none is named."""
    kinds = ", ".join(FAULTS)
    names = "|".join(faults)
    commands.add("fault", f"[{names}] {FAULT_USAGE}", f"{kinds}; clear ends them", functools.partial(_fault, faults))
    commands.add("unplug-bus", "", "pull the cable of the bus", lambda _: bus.unplug())
    commands.add("replug-bus", "", "put it back", lambda _: bus.replug())
    commands.add("trace", "[N]", "the last N requests (10) with their answers", lambda words: _trace(bus, words))
    commands.add(
        "inject", "HEX", "send bytes nobody asked for", lambda words: bus.inject(bytes.fromhex("".join(words)))
    )


def _trace(bus: Bus, words: list[str]) -> str:
    last = list(bus.trace)[-int(words[0] if words else 10) :]
    return "\n".join(
        f"  unit {exchange.request.unit}: {exchange.request.pdu.hex(' ')} -> "
        + (" / ".join(answer.hex(" ") for answer in exchange.answers) or "nothing")
        for exchange in last
    )


def _fault(faults: Mapping[str, Faults], words: list[str]) -> str:
    """Set a fault; ``times`` first, so that a wrong value changes nothing."""
    name = words.pop(0) if words[0] in faults else next(iter(faults))
    times = int(words.pop()[1:]) if words[-1].startswith("x") else None
    if words[0] == "clear":
        faults[name].clear()
        return f"{name}: no faults"
    if words[0] not in FAULTS:
        raise Misuse(f"unknown fault {words[0]!r}, known are: {', '.join(FAULTS)}, clear")
    field, read = FAULTS[words[0]]
    value: object = True if read is None else read(words[1])
    setattr(faults[name], field, value)
    faults[name].times = times
    return f"{name}: {' '.join(words)}" + (f", {times} times" if times else "")


def add_meter_commands(commands: Commands, meter: Meter) -> None:
    """Add what can be done to a meter."""

    def draw(words: list[str]) -> None:
        meter.circuit.draw(_phases(words))

    def volts(words: list[str]) -> None:
        meter.circuit.advance()
        meter.volts = _phases(words)

    def missing(words: list[str]) -> None:
        meter.missing = set() if words == ["none"] else set(words or ["energy_import"])

    commands.add("load", "A [A A]", "constant load beside the car, on all phases or each; negative feeds back", draw)
    commands.add("voltage", "V [V V]", "voltages", volts)
    commands.add("register", "WH", "let the import register stand at a value", lambda w: meter.set_register(_number(w)))
    commands.add(
        "jump", "WH", "move it by so much", lambda words: meter.set_register(float(meter.import_wh) + _number(words))
    )
    commands.add("replace", "SERIAL [WH]", "another meter with another serial number", lambda w: _replace(meter, w))
    commands.add("nan", "[VALUE...|none]", "values the meter has lost (energy_import)", missing)
    commands.add("freeze", "[off]", "show the same for ever", lambda words: meter.freeze(words != ["off"]))
    commands.add("speed", "FACTOR", "how much faster time runs", lambda words: _speed(meter.circuit, words))
    commands.add("show", "", "what the meter shows", lambda _: _shown(meter))


def _replace(meter: Meter, words: list[str]) -> None:
    meter.replace(words[0], float(words[1]) if words[1:] else 0.0)


def _speed(circuit: Circuit, words: list[str]) -> None:
    if isinstance(circuit.clock, SimClock):
        circuit.clock.speed = _number(words)


def _number(words: list[str]) -> float:
    return number(words[0], "value")


def _phases(words: list[str]) -> Phases:
    one, *others = [number(word, "value") for word in words]
    two, three = others or (one, one)
    return one, two, three


def _shown(meter: Meter) -> str:
    values = meter.values()
    names = [value.name for value in meter.map.values if value.name in values]
    return "\n".join(f"  {name:<20} {values[name]}" for name in names)


def add_evse_commands(commands: Commands, evse: EvseDin) -> None:
    """Add what can be done to a controller and its car."""
    car = evse.car
    commands.add("plug", "", "connect the car", lambda _: car.plug())
    commands.add("unplug", "", "pull the car's cable", lambda _: car.unplug())
    commands.add("full", "", "the battery is full", lambda _: car.fill())
    commands.add("suspend", "", "the car pauses by itself", lambda _: car.suspend())
    commands.add("resume", "", "the car wants to charge (again)", lambda _: car.resume())
    commands.add("diode", "[off]", "fault: the car's diode is missing", lambda words: _switch(evse, "diode", words))
    commands.add("rcd", "[off]", "fault: residual current", lambda words: _switch(evse, "rcd", words))
    commands.add(
        "ignore", "[off]", "fault: writes are answered, not obeyed", lambda w: _switch(evse, "ignores_writes", w)
    )
    commands.add("power-cycle", "", "cut the board's supply for a moment", lambda _: evse.power_cycle())
    commands.add("speed", "FACTOR", "how much faster time runs", lambda words: _speed(evse.circuit, words))
    commands.add("state", "", "what car and controller do", lambda _: _state(evse))


def _switch(evse: EvseDin, fault: str, words: list[str]) -> None:
    evse.circuit.advance()
    setattr(evse, fault, words != ["off"])


def _state(evse: EvseDin) -> str:
    first = 1000
    count = 7 if evse.old_firmware else STATUS_BITS - first + 1
    registers = " ".join(str(word) for word in evse.read_words(3, first, count))
    drawn = ", ".join(f"{amps:.1f}" for amps in evse.amps)
    return (
        f"  car {evse.car.pilot}, offered {evse.offered_a:g} A, draws {drawn} A, "
        f"battery {100 * evse.car.charged_wh / evse.car.capacity_wh:.0f} %\n  registers from 1000: {registers}"
    )


async def _rfid(options: argparse.Namespace) -> None:
    async with CardReader(options.reader, link=options.link) as reader:
        commands = Commands()
        add_reader_commands(commands, reader)
        await converse(commands, options.control, banner=f"{options.reader} reader on {reader.path}")


def add_reader_commands(commands: Commands, reader: CardReader) -> None:
    """Add what can be done with cards and to a reader."""

    def tap(words: list[str]) -> Awaitable[None]:
        return reader.tap(words[0], _number(words[1:]) if words[1:] else 0.3)

    def glue(words: list[str]) -> None:
        reader.glued = int(words[0])

    commands.add("tap", "UID [SECONDS]", "hold a card before the reader (0.3 s)", tap)
    commands.add("noise", "[HEX]", "bytes that are no card", lambda words: reader.noise(bytes.fromhex("".join(words))))
    for fault, purpose in {
        "bad-checksum": "fault: frames with a wrong checksum",
        "half": "fault: only the first half of each frame",
        "lower-case": "a clone that sends lower case",
    }.items():
        commands.add(fault, "[off]", purpose, functools.partial(_set_reader, reader, fault.replace("-", "_")))
    commands.add("repeats", "N", "so many copies of each frame at once", glue)
    commands.add("unplug", "", "pull the reader's cable", lambda _: reader.unplug())
    commands.add("replug", "", "put it back", lambda _: reader.replug())


def _set_reader(reader: CardReader, fault: str, words: list[str]) -> None:
    setattr(reader, fault, words != ["off"])
