"""``wallbox-sim meter``, ``rfid`` and ``evse``: options, and the programs that serve a device until it is stopped."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from simulators import pages
from simulators.board import Board
from simulators.bus import Bus, Endpoint
from simulators.circuit import Circuit, SimClock
from simulators.console import Commands, converse, number, run, say
from simulators.errors import Misuse
from simulators.evse import HIGHEST_A, EvseDin
from simulators.heidelberg import Heidelberg
from simulators.meter import DEFAULT_MODEL, Meter
from simulators.modbus import MAX_UNIT, Device
from simulators.orders.box import add_evse_commands
from simulators.orders.line import add_line_commands
from simulators.orders.meter import add_meter_commands
from simulators.orders.reader import add_reader_commands
from simulators.pn532 import Pn532
from simulators.registers import load, models
from simulators.rfid import CardReader, SerialReader
from simulators.vehicle import Car

CONTROLLERS: Final[Mapping[str, type[Board]]] = {"evse_din": EvseDin, "heidelberg": Heidelberg}
READERS: Final[Mapping[str, type[SerialReader]]] = {"rdm6300": CardReader, "pn532_hsu": Pn532}
DEFAULT_CONTROLLER: Final = "evse_din"
DEFAULT_READER: Final = "rdm6300"
#: Option that only one controller has -> that controller.
OWN_OPTIONS: Final[Mapping[str, str]] = {
    "old_firmware": "evse_din",
    "precise": "evse_din",
    "hardware_amps": "heidelberg",
    "standby_after": "heidelberg",
}
PORTS: Final = range(0x10000)
#: How often a person is told what changed, in seconds.
NARRATED_S: Final = 0.25


def add_meter(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``wallbox-sim meter``."""
    rows = [(model, _model_row(model)) for model in models()]
    pages.introduce(parser, pages.METER, rows, kinds="models", examples=pages.METER_EXAMPLES)
    _add_choice(parser, "model", models(), DEFAULT_MODEL)
    parser.add_argument("--unit", type=int, metavar="N", help="Modbus address (default: as it leaves the factory)")
    _add_meter_options(parser)
    _add_wire(parser)
    parser.set_defaults(run=lambda options: run(_meter(options)))


def add_evse(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``wallbox-sim evse``."""
    rows = [(name, f"{board.TITLE} ({board.LINE})") for name, board in CONTROLLERS.items()]
    pages.introduce(parser, pages.EVSE, rows, kinds="controllers", examples=pages.EVSE_EXAMPLES)
    _add_choice(parser, "controller", CONTROLLERS, DEFAULT_CONTROLLER)
    parser.add_argument("--unit", type=int, default=2, metavar="N", help="Modbus address (default: 2)")
    parser.add_argument(
        "--power-up", type=int, metavar="A", help="current limit after power-up (default: 32; heidelberg: the most)"
    )
    parser.add_argument(
        "--old-firmware", action="store_true", help="evse_din: refuses more than seven registers from 1000 on"
    )
    parser.add_argument("--precise", action="store_true", help="evse_din: register 1000 counts 0.01 A")
    parser.add_argument("--hardware-amps", type=int, metavar="A", help="heidelberg: its rotary switch (default: 16)")
    parser.add_argument(
        "--standby-after",
        type=_above_zero,
        metavar="S",
        help="heidelberg: sleeps after so long without a car (default: 720)",
    )
    car = parser.add_argument_group("the car")
    car.add_argument("--car-amps", type=_above_zero, default=16, metavar="A", help="most that it draws (default: 16)")
    car.add_argument("--car-phases", type=int, choices=(1, 2, 3), default=3, help="default: 3")
    car.add_argument("--battery", type=_above_zero, default=60, metavar="KWH", help="a third full (default: 60)")
    meter = parser.add_argument_group("the meter")
    meter.add_argument("--with-meter", metavar="MODEL", help="a kWh meter before the car; see wallbox-sim meter --help")
    meter.add_argument("--meter-unit", type=int, default=1, metavar="N", help="its Modbus address (default: 1)")
    _add_meter_options(parser)
    _add_wire(parser)
    parser.set_defaults(run=lambda options: run(_evse(options)))


def add_rfid(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``wallbox-sim rfid``."""
    rows = [(name, f"{reader.TITLE} ({reader.LINE})") for name, reader in READERS.items()]
    pages.introduce(parser, pages.RFID, rows, kinds="readers", examples=pages.RFID_EXAMPLES)
    _add_choice(parser, "reader", READERS, DEFAULT_READER)
    parser.add_argument("--link", type=Path, metavar="PATH", help="symbolic link to the pseudo-terminal")
    _add_control(parser)
    parser.set_defaults(run=lambda options: run(_rfid(options)))


def _model_row(model: str) -> str:
    registers = load(model)
    line = registers.line
    speed = f", {line['baudrate']} 8{line['parity']}{line['stopbits']}" if line else ""
    return f"{registers.name} (address {registers.unit}{speed})"


def _add_choice(parser: argparse.ArgumentParser, kind: str, names: Iterable[str], usual: str) -> None:
    """Let a device be chosen by its name alone, or by the option that says what the name is of."""
    parser.add_argument(
        "name", nargs="?", choices=tuple(names), metavar=kind.upper(), help=f"one of the {kind}s above ({usual})"
    )
    parser.add_argument(f"--{kind}", choices=tuple(names), metavar="NAME", help="the same as an option")


def _chosen(options: argparse.Namespace, kind: str, usual: str) -> str:
    by_option: str | None = getattr(options, kind)
    if options.name and by_option and options.name != by_option:
        raise Misuse(f"{options.name} and --{kind} {by_option}: which of them?")
    return options.name or by_option or usual


def _add_meter_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it measures")
    group.add_argument("--register", type=_amount, default=1_234_567, metavar="WH", help="import register at the start")
    group.add_argument("--serial", default="23004711", metavar="NUMBER", help="serial number of the meter")
    group.add_argument("--load", type=_amount, default=0, metavar="A", help="constant load on each phase (default: 0)")
    group.add_argument("--lenient", action="store_true", help="unknown registers read 0 instead of exception 2")
    group.add_argument(
        "--speed", type=_above_zero, default=1, metavar="FACTOR", help="how much faster time runs (default: 1)"
    )


def _amount(text: str) -> float:
    """Read a number of an option, none that is beyond all measure."""
    try:
        return number(text, "value")
    except Misuse as misuse:
        raise argparse.ArgumentTypeError(str(misuse)) from misuse


def _above_zero(text: str) -> float:
    value = _amount(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) not in PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 1 to 65535, or 0 for any free one")
    return int(text)


def _add_wire(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the wire")
    wire = group.add_mutually_exclusive_group()
    wire.add_argument(
        "--link", type=Path, metavar="PATH", help="pseudo-terminal with a symbolic link to it (default: without)"
    )
    wire.add_argument("--tcp", type=_port, metavar="PORT", help="Modbus TCP instead; 0: any free port")
    wire.add_argument(
        "--rtu-over-tcp", type=_port, metavar="PORT", help="serial frames over TCP instead; 0: any free port"
    )
    group.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (default: %(default)s)")
    group.add_argument(
        "--baudrate", type=_count, default=0, metavar="N", help="answer as slowly as a line at this rate"
    )
    _add_control(group)


def _add_control(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--control", type=Path, metavar="SOCKET", help="Unix socket for `wallbox-sim tell SOCKET ...`")


async def _meter(options: argparse.Namespace) -> None:
    circuit = Circuit(SimClock(options.speed))
    meter = _make_meter(options, _chosen(options, "model", DEFAULT_MODEL), circuit)
    unit = meter.map.unit if options.unit is None else options.unit
    commands = Commands()
    add_meter_commands(commands, meter)
    await _on_a_wire(options, commands, {"meter": (unit, meter)})


async def _evse(options: argparse.Namespace) -> None:
    circuit = Circuit(SimClock(options.speed))
    evse = _make_evse(options, circuit)
    circuit.draw((options.load,) * 3)
    commands = Commands()
    add_evse_commands(commands, evse)
    devices: dict[str, tuple[int, Device]] = {"evse": (options.unit, evse)}
    if options.with_meter:
        meter = _make_meter(options, options.with_meter, circuit)
        devices["meter"] = (options.meter_unit, meter)
        add_meter_commands(commands, meter)
    narrator = asyncio.create_task(_narrate(evse))
    try:
        await _on_a_wire(options, commands, devices)
    finally:
        narrator.cancel()


def _make_evse(options: argparse.Namespace, circuit: Circuit) -> Board:
    name = _chosen(options, "controller", DEFAULT_CONTROLLER)
    for option, owner in OWN_OPTIONS.items():
        if getattr(options, option) and owner != name:
            raise Misuse(f"--{option.replace('_', '-')} is for {owner} alone")
    if options.unit not in CONTROLLERS[name].UNITS:
        units = CONTROLLERS[name].UNITS
        raise Misuse(f"--unit {options.unit}: this controller has an address from {units[0]} to {units[-1]}")
    capacity = 1000 * options.battery
    car = Car(max_a=options.car_amps, phases=options.car_phases, capacity_wh=capacity, charged_wh=capacity / 3)
    return BUILD[name](options, circuit, car)


def _evse_din(options: argparse.Namespace, circuit: Circuit, car: Car) -> Board:
    power_up_a = 32 if options.power_up is None else options.power_up
    if not 0 <= power_up_a <= HIGHEST_A:
        raise Misuse(f"--power-up {power_up_a}: an evse_din has 0 to {HIGHEST_A} A")
    return EvseDin(
        circuit=circuit,
        car=car,
        unit=options.unit,
        power_up_a=power_up_a,
        old_firmware=options.old_firmware,
        precise=options.precise,
    )


def _heidelberg(options: argparse.Namespace, circuit: Circuit, car: Car) -> Board:
    amps = 16 if options.hardware_amps is None else options.hardware_amps
    limit = amps if options.power_up is None else options.power_up
    if amps not in range(6, 17) or limit not in {0, *range(6, 17)}:
        raise Misuse("a heidelberg has 6 to 16 A; --power-up may be 0, too")
    sleeps_after_s = {} if options.standby_after is None else {"standby_after_s": options.standby_after}
    return Heidelberg(circuit=circuit, car=car, maximum_a=amps, power_up_a=limit, **sleeps_after_s)


BUILD: Final[Mapping[str, Callable[[argparse.Namespace, Circuit, Car], Board]]] = {
    "evse_din": _evse_din,
    "heidelberg": _heidelberg,
}


async def _narrate(evse: Board) -> None:
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
    if len(units) < len(devices) or not all(1 <= unit <= MAX_UNIT for unit in units):
        raise Misuse("the units need different Modbus addresses from 1 to 247")
    async with Bus(units, endpoint, baudrate=options.baudrate) as bus:
        add_line_commands(commands, bus, {name: device.faults for name, (_, device) in devices.items()})
        names = ", ".join(f"{name} at address {unit}" for name, (unit, _) in devices.items())
        place = bus.path or f"{options.host}:{bus.port} ({'RTU over TCP' if serial else 'Modbus TCP'})"
        await converse(commands, options.control, banner=f"{names} on {place}")


async def _rfid(options: argparse.Namespace) -> None:
    name = _chosen(options, "reader", DEFAULT_READER)
    async with READERS[name](link=options.link) as reader:
        commands = Commands()
        add_reader_commands(commands, reader)
        await converse(commands, options.control, banner=f"{name} reader on {reader.path}")
