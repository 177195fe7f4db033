"""``meters``: which meters are known, and a definition file checked, explained and tried on a live meter."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from agent.cli.context import DONE, REFUSED, USAGE, CommandFailed, say

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context
    from agent.fieldbus.definition import Definition
    from agent.fieldbus.line import LineSettings
    from agent.fieldbus.points import Image

DESCRIPTION: Final = """\
Look for errors in a definition file and tell what it says. With the options of a line, named as in the configuration,
the meter there is read with it, every value once; nothing is ever written. A known meter may be named by its id."""
FILED: Final = "default: what the file says"
TRANSPORTS: Final = ("rtu", "tcp", "rtu-over-tcp")


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = commands.add_parser("meters", parents=[shared], allow_abbrev=False, help="meters, and files for others")
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    list_parser = verbs.add_parser("list", parents=[shared], allow_abbrev=False, help="all that are known")
    list_parser.set_defaults(run=show_all)
    words = "the JSON schema of a definition file, for editors"
    schema_parser = verbs.add_parser("schema", parents=[shared], allow_abbrev=False, help=words)
    schema_parser.set_defaults(run=schema)
    parser = verbs.add_parser(
        "check",
        parents=[shared],
        allow_abbrev=False,
        help="a definition file, and the meter that it is for",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a definition file (.toml), or the id of a known meter")
    parser.add_argument("--transport", choices=TRANSPORTS, help="default: rtu, or tcp where there is a host")
    parser.add_argument("--device", metavar="PATH", help="serial port: /dev/ttyUSB0")
    parser.add_argument("--baudrate", metavar="BAUD", type=_within(300, 4_000_000, "baud rate"), help=FILED)
    parser.add_argument("--parity", choices=("N", "E", "O"), help=FILED)
    parser.add_argument("--stopbits", choices=(1, 2), type=int, help=FILED)
    parser.add_argument("--host", metavar="HOST", help="of a meter or bridge on the network")
    parser.add_argument("--port", metavar="PORT", type=_within(1, 65535, "port"), help=FILED)
    parser.add_argument(
        "--address", metavar="ADDRESS", type=_within(1, 255, "address"), help=f"Modbus address; {FILED}"
    )
    parser.set_defaults(run=check)


def show_all(context: Context, _options: argparse.Namespace) -> int:
    """Print the meters that come with this program."""
    from agent.cli.meter_pages import list_of
    from agent.fieldbus.definition import find
    from agent.meter.modbus_meter import DEFINITIONS, available_models

    found = [find(DEFINITIONS, model) for model in available_models()]
    document = [
        {"id": one.id, "model": one.model, "covers": list(one.covers), "values": [*one.points.poll, *one.combined]}
        for one in found
    ]
    return context.emit(document, lambda: list_of(found))


def schema(context: Context, _options: argparse.Namespace) -> int:
    """Print the schema, as JSON in any case."""
    import json

    from agent.fieldbus.definition_schema import meter_schema

    document = meter_schema()
    return context.emit(document, lambda: json.dumps(document, indent=2))


def check(context: Context, options: argparse.Namespace) -> int:
    """Tell what is wrong with a definition file, or with a meter that is read with it; what the file says otherwise.

    Needs no configuration. A file or a meter at fault is status 1.
    """
    from agent.cli.meter_pages import page_of
    from agent.core.errors import ConfigError, DeviceError
    from agent.fieldbus.definition import find
    from agent.meter.modbus_meter import DEFINITIONS

    line = _line(options)
    try:
        definition = find(DEFINITIONS, options.file)
    except ConfigError as error:
        return _result(context, error.problems, {}, "")
    if definition.control is not None:
        return _result(context, (f"{options.file}: control: is not allowed: a meter is read alone",), {}, "")
    image: Image | None = None
    errors: tuple[str, ...] = ()
    if line is not None:
        try:
            definition, image, errors = _live(options, line)
        except DeviceError as error:
            errors = (str(error),)
    values = {} if image is None else definition.values(image)
    return _result(context, errors, values, page_of(options.file, definition, image))


def _result(context: Context, errors: tuple[str, ...], values: Mapping[str, Decimal | str], page: str) -> int:
    document = {"ok": not errors, "errors": list(errors), "values": {name: _json(values[name]) for name in values}}
    if page or context.as_json:
        context.emit(document, lambda: page)
    if not context.as_json:
        for error in errors:
            say(error)
    return REFUSED if errors else DONE


def _live(options: argparse.Namespace, line: LineSettings) -> tuple[Definition, Image, tuple[str, ...]]:
    """Return what a meter tells, and what is wrong with that. Raises: MeterTimeout, MeterCorrupt."""
    import asyncio

    from agent.core.errors import MeterCorrupt
    from agent.fieldbus.bus import Wires
    from agent.meter.modbus_meter import MeterSettings, open_meter
    from agent.runtime.clock import SystemClock

    async def read() -> tuple[Definition, Image, tuple[str, ...]]:
        clock = SystemClock(0)
        wires = Wires(clock)
        async with wires.open():
            meter = open_meter(MeterSettings(options.file, line, options.address), wires, clock)
            image = await meter.image()
            if _odd(meter.definition, image):  # a load that changed between two requests does not last
                image = await meter.image()
            errors = _odd(meter.definition, image)
            try:
                await meter.read()
            except MeterCorrupt as error:
                return meter.definition, image, (str(error), *errors)
            return meter.definition, image, errors if meter.doubt is None else (meter.doubt, *errors)

    return asyncio.run(read())


def _odd(definition: Definition, image: Image) -> tuple[str, ...]:
    """Return what of the values cannot be together."""
    from agent.meter.plausibility import odd

    values = {name: value for name, value in definition.values(image).items() if isinstance(value, Decimal)}
    return tuple(f"{found}; check types, scales and word orders of the file" for found in odd(values))


def _line(options: argparse.Namespace) -> LineSettings | None:
    """Return the line that the options name, None without any. Raises: CommandFailed with status 2."""
    from agent.fieldbus.line import LineSettings, Transport

    keys = ("transport", "device", "baudrate", "parity", "stopbits", "host", "port", "address")
    if all(getattr(options, key) is None for key in keys):
        return None
    transport = Transport(options.transport or ("tcp" if options.host and not options.device else "rtu"))
    if transport is Transport.RTU and not options.device:
        raise CommandFailed("add --device /dev/ttyUSB0, the serial port of the meter, or --host", status=USAGE)
    if transport is not Transport.RTU and not options.host:
        raise CommandFailed("add --host 192.168.1.20, the name or address of the meter or bridge", status=USAGE)
    if transport is Transport.RTU:
        return LineSettings(transport, options.device, options.baudrate, options.parity, options.stopbits)
    return LineSettings(transport, host=options.host, port=options.port)


def _json(value: Decimal | str) -> int | float | str:
    if isinstance(value, str):
        return value
    return int(value) if value == value.to_integral_value() else float(value)


def _within(low: int, high: int, name: str) -> Callable[[str], int]:
    """Return what takes a whole number that was typed; name: of what, for argparse's error."""

    def number(text: str) -> int:
        if not low <= (typed := int(text)) <= high:
            raise ValueError(text)
        return typed

    number.__name__ = f"{name} ({low} to {high})"
    return number
