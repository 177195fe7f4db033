"""The command ``wallbox-sim``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

#: Name -> what it simulates, and where its options are added; imported when it is called for.
SIMULATORS: Final = {
    "meter": ("a kWh meter on Modbus", "devices.add_meter"),
    "evse": ("an EVSE controller with a car, and a meter on the same wire", "devices.add_evse"),
    "rfid": ("a card reader on a serial line", "devices.add_rfid"),
    "csms": ("an OCPP 1.6 central system with companies, cards and rates", "csms.program.add_csms"),
}
#: Commands that read their own arguments: ``simulators.NAME.main(arguments) -> exit status``.
PROGRAMS: Final = {
    "demo": "a day of charging on the simulators, from the card to the statement",
    "play": "the day at a charger, played by hand: both sides in one terminal, or by a script",
}


class _Parser(argparse.ArgumentParser):
    """A parser that needs one line to say what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a simulator. Returns 0 after a clean end, 1 where one refuses, 2 for wrong usage, 3 where none listens."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] and arguments[0] in PROGRAMS:
        return _program(arguments[0], arguments[1:])
    options = _parser(arguments[:1]).parse_args(arguments)
    status: int = options.run(options)
    return status


def _program(name: str, arguments: list[str]) -> int:
    try:
        program = importlib.import_module(f"simulators.{name}")
    except ModuleNotFoundError as missing:
        print(f"error: wallbox-sim {name} is not installed: {missing}", file=sys.stderr)
        return 2
    status: int = program.main(arguments)
    return status


def _parser(command: list[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="wallbox-sim", description="Simulated hardware and central system for wallbox-agent.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (purpose, add) in SIMULATORS.items():
        epilog = "While it runs, type help for what can be done."
        options = commands.add_parser(name, help=purpose, description=f"Simulate {purpose}.", epilog=epilog)
        if command == [name]:
            module, _, function = add.rpartition(".")
            getattr(importlib.import_module(f"simulators.{module}"), function)(options)
    for name, purpose in PROGRAMS.items():
        commands.add_parser(name, help=purpose)
    tell = commands.add_parser("tell", help="type a line into a simulator that was started with --control")
    tell.add_argument("socket", type=Path, help="the path given with --control")
    tell.add_argument("line", nargs="+", help="the command, for example: plug")
    tell.set_defaults(run=_tell)
    return parser


def _tell(options: argparse.Namespace) -> int:
    from simulators.console import tell

    return tell(options.socket, " ".join(options.line))


if __name__ == "__main__":
    sys.exit(main())
