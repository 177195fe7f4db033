"""The pages of ``wallbox-sim meter``, ``evse`` and ``rfid --help``: what each is for, which there are, how to begin."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterable
from typing import Final

WHILE_IT_RUNS: Final = (
    "A pseudo-terminal has neither speed nor parity: open it without parity, whatever the device would have.\n"
    "While it runs, type help: it lists everything that can be done, and every fault, a line each. From a script,\n"
    "start it with --control SOCKET and use: wallbox-sim tell SOCKET COMMAND"
)
METER: Final = """\
A kWh meter on Modbus. It measures the load that it is told, counts the energy, and answers with the registers of a real
model, on a pseudo-terminal (a serial port that needs no cable) or on TCP."""
METER_EXAMPLES: Final = """\
  wallbox-sim meter eastron_sdm120 --link ./meter --load 10     a meter on ./meter that measures 10 A
  wallbox-sim meter abb_b23 --tcp 1502 --speed 60               a minute of energy each second, on Modbus TCP
  then: register 5000, fault crc x3, unplug-bus 5, show"""
EVSE: Final = """\
An EVSE controller on Modbus with a car on its cable, and optionally a kWh meter on the same wire. The controller takes
the current limit, offers it on the pilot and closes the contactor; the car asks, ramps up, gets full. Plug the car in
with the command plug."""
EVSE_EXAMPLES: Final = """\
  wallbox-sim evse evse_din --link ./bus --with-meter eastron_sdm630_v2
  wallbox-sim evse heidelberg --link ./bus --with-meter abb_b23 --control bus.sock
  then: plug, state, rcd, unplug, fault evse silence x5"""
RFID: Final = """\
A card reader on a serial line, on a pseudo-terminal (a serial port that needs no cable). Hold a card before it with the
command tap and the number of the card."""
RFID_EXAMPLES: Final = """\
  wallbox-sim rfid rdm6300 --link ./reader                      then: tap 62E3086CED
  wallbox-sim rfid pn532_hsu --link ./reader                    then: tap 04A1B2C3D4E580 2
  more: noise, half, bad-checksum, unplug 3"""


def introduce(
    parser: argparse.ArgumentParser, text: str, rows: Iterable[tuple[str, str]], *, kinds: str, examples: str
) -> None:
    """Say what a simulator is for, which there are, and how to begin."""
    rows = tuple(rows)
    width = max(len(name) for name, _ in rows)
    listed = textwrap.indent("\n".join(f"{name:<{width}}  {purpose}" for name, purpose in rows), "  ")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = f"{text}\n\n{kinds}:\n{listed}"
    parser.epilog = f"for example:\n{examples}\n\n{WHILE_IT_RUNS}"
