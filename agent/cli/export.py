"""``sessions export``: the ledger's sessions as a file for another program."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.context import USAGE, CommandFailed, say, write_bytes

if TYPE_CHECKING:
    from agent.buffer.ledger import SessionRecord
    from agent.cli.context import Commands, Context
    from agent.runtime.config import AgentConfig

FORMATS: Final = ("csv", "json")
LATER: Final = ("xlsx", "ocpi", "ocmf")
FLAVOURS: Final = ("standard", "excel")
DESCRIPTION: Final = """\
CSV has the closed sessions, one a line, under the header
id,card,profile,evse_id,start,end,duration_s,meter_start_wh,meter_stop_wh,energy_kwh,energy,time,fixed,parking,
reservation,surcharge,excl_vat,vat,incl_vat,refund,currency,reporting; times are local with their offset.
JSON is the list of `sessions list --json`, which has a session that still runs too.

A session belongs to the day and month of its end, in the station's time zone. Private sessions are in it: only a
statement leaves them out. A file is written whole or not at all, and is readable by its owner alone."""


def register(verbs: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command below ``sessions``."""
    parser = verbs.add_parser(
        "export",
        parents=[shared],
        allow_abbrev=False,
        help="the sessions as a file",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--format", metavar="FORMAT", help="csv or json; default: as FILE ends, else csv")
    limits(parser)
    parser.add_argument("--output", metavar="FILE", help="where to; `-`, and without it, standard output")
    parser.add_argument(
        "--csv-flavour",
        choices=FLAVOURS,
        default="standard",
        help="excel: for spreadsheets with a decimal comma (byte order mark, semicolons)",
    )
    parser.set_defaults(run=export)


def limits(parser: argparse.ArgumentParser) -> None:
    """Add the options that pick sessions by the day, month or moment of their end."""
    parser.add_argument(
        "--from", dest="since", metavar="DATE", help="ended then or later: 2026-11-21, 2026-11 or a time"
    )
    parser.add_argument(
        "--to", dest="until", metavar="DATE", help="ended then or earlier; the day or month is included"
    )


def picked(config: AgentConfig, options: argparse.Namespace) -> Sequence[SessionRecord]:
    """Return the sessions within the limits that were typed, oldest first. Raises: CommandFailed, JournalError."""
    from agent.buffer.ledger import sessions
    from agent.cli import dates
    from agent.cli.ledger import read
    from agent.cli.render import local_zone

    since, until = dates.span(options.since, options.until, local_zone(config.station.timezone))
    return read(config.station.state_dir, lambda connection: sessions(connection, since=since, until=until))


def export(context: Context, options: argparse.Namespace) -> int:
    """Write the sessions to a file, or to standard output."""
    chosen = _format(context, options)
    config = context.config()
    records = picked(config, options)
    content = _json(records) if chosen == "json" else _csv(config, records, options.csv_flavour)
    count = len(records) if chosen == "json" else sum(record.stopped_at is not None for record in records)
    if count < len(records):
        say(f"note: {_sessions(len(records) - count)} still running, and left out")
    if _to_stdout(options):
        write_bytes(content)
        return 0
    from agent.cli.files import put

    put(Path(options.output), content)
    document = {"file": options.output, "format": chosen, "sessions": count}
    return context.emit(document, lambda: f"{options.output}: {_sessions(count)}")


def _format(context: Context, options: argparse.Namespace) -> str:
    """Return the format that was chosen. Raises: CommandFailed with status 2."""
    chosen = str(_usual(context, options) if options.format is None else options.format).lower()
    if chosen in LATER:
        raise CommandFailed(f"--format {chosen} is not part of this release: there are csv and json", status=USAGE)
    if chosen not in FORMATS:
        raise CommandFailed(f"--format is {options.format!r}, allowed are csv and json", status=USAGE)
    if chosen != "csv" and options.csv_flavour != "standard":
        raise CommandFailed(f"--csv-flavour is for csv, not for {chosen}: leave one of the two out", status=USAGE)
    if options.output is not None and not options.output.strip():
        raise CommandFailed("--output is empty: name a file, or `-` for standard output", status=USAGE)
    if chosen == "csv" and context.as_json and _to_stdout(options):
        words = "--json prints JSON: use --format json, or write the csv to a file with --output FILE"
        raise CommandFailed(words, status=USAGE)
    return chosen


def _usual(context: Context, options: argparse.Namespace) -> str:
    """Return the format where none was named."""
    if _to_stdout(options):
        return "json" if context.as_json else "csv"
    ending = Path(options.output).suffix.removeprefix(".").lower()
    return ending if ending in {*FORMATS, *LATER} else "csv"


def _to_stdout(options: argparse.Namespace) -> bool:
    return options.output in {None, "-"}


def _csv(config: AgentConfig, records: Sequence[SessionRecord], flavour: str) -> bytes:
    from agent.cli.render import local_zone
    from agent.cli.sheet import FLAVOURS, csv_of

    evse_ids = [connector.evse_id for connector in config.connectors]
    return csv_of(records, evse_ids, local_zone(config.station.timezone), FLAVOURS[flavour])


def _json(records: Sequence[SessionRecord]) -> bytes:
    from agent.buffer.ledger import to_json

    return (json.dumps([to_json(record) for record in records], indent=2) + "\n").encode()


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"
