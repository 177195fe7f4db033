"""``sessions export``: the ledger's sessions as a file for another program."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.context import USAGE, CommandFailed, say, write_bytes
from agent.core.model import Profile

if TYPE_CHECKING:
    from agent.buffer.ledger import SessionRecord
    from agent.cli.context import Commands, Context
    from agent.runtime.config import AgentConfig

FORMATS: Final = ("csv", "json", "ocmf")
LATER: Final = ("xlsx", "ocpi")
FLAVOURS: Final = ("standard", "excel")
DESCRIPTION: Final = """\
CSV has the closed sessions, one a line, under the header
id,card,profile,evse_id,start,end,duration_s,meter_start_wh,meter_stop_wh,energy_kwh,energy,time,fixed,parking,
reservation,surcharge,excl_vat,vat,incl_vat,refund,currency,reporting; times are local with their offset.
JSON is the list of `sessions list --json`, which has a session that still runs too; its last session carries the
evidence, so that `sessions verify FILE` can check the file on another machine. OCMF has a signed text for each closed
session, one a line, or as a file for transparency software where FILE ends in .xml.

A session belongs to the day and month of its end, in the station's time zone. Private sessions are in CSV and JSON, and
not in OCMF; --private says otherwise. A file is written whole or not at all, and is readable by its owner alone."""


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
    parser.add_argument("--format", metavar="FORMAT", help="csv, json or ocmf; default: as FILE ends, else csv")
    limits(parser)
    parser.add_argument("--private", choices=("yes", "no"), help="with or without private sessions")
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


def picked(config: AgentConfig, options: argparse.Namespace, limit: int | None = None) -> Sequence[SessionRecord]:
    """Return the sessions within the limits that were typed, oldest first. Raises: CommandFailed, JournalError.

    limit: only so many, the newest ones.
    """
    from agent.buffer.ledger import sessions
    from agent.cli import dates
    from agent.cli.ledger import read
    from agent.cli.render import local_zone

    since, until = dates.span(options.since, options.until, local_zone(config.station.timezone))
    return read(config.station.state_dir, lambda ledger: sessions(ledger, since=since, until=until, limit=limit))


def export(context: Context, options: argparse.Namespace) -> int:
    """Write the sessions to a file, or to standard output."""
    chosen = _format(context, options)
    config = context.config()
    private = options.private == "yes" if options.private else chosen != "ocmf"
    records = [record for record in picked(config, options) if private or record.profile is not Profile.PRIVATE]
    content = _content(config, options, records, chosen)
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
        raise CommandFailed(
            f"--format {chosen} is not part of this release: there are csv, json and ocmf", status=USAGE
        )
    if chosen not in FORMATS:
        raise CommandFailed(f"--format is {options.format!r}, allowed are csv, json and ocmf", status=USAGE)
    if chosen != "csv" and options.csv_flavour != "standard":
        raise CommandFailed(f"--csv-flavour is for csv, not for {chosen}: leave one of the two out", status=USAGE)
    if options.output is not None and not options.output.strip():
        raise CommandFailed("--output is empty: name a file, or `-` for standard output", status=USAGE)
    if chosen != "json" and context.as_json and _to_stdout(options):
        words = f"--json prints JSON: use --format json, or write the {chosen} to a file with --output FILE"
        raise CommandFailed(words, status=USAGE)
    return chosen


def _usual(context: Context, options: argparse.Namespace) -> str:
    """Return the format where none was named."""
    if _to_stdout(options):
        return "json" if context.as_json else "csv"
    ending = Path(options.output).suffix.removeprefix(".").lower()
    return "ocmf" if ending == "xml" else ending if ending in {*FORMATS, *LATER} else "csv"


def _to_stdout(options: argparse.Namespace) -> bool:
    return options.output in {None, "-"}


def _content(config: AgentConfig, options: argparse.Namespace, records: Sequence[SessionRecord], chosen: str) -> bytes:
    """Return the file. Raises: CommandFailed, JournalError."""
    from agent.cli import evidence

    state_dir = config.station.state_dir
    if chosen == "ocmf":
        xml = str(options.output).lower().endswith(".xml")
        return evidence.ocmf_export(state_dir, records, private=options.private == "yes", xml=xml)[0]
    if chosen == "csv":
        return _csv(config, records, options.csv_flavour)
    if not records or not evidence.has_key(state_dir):
        return _json(records)
    everything = options.since is None and options.until is None
    return evidence.json_export(state_dir, records, everything=everything, private=options.private != "no")


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
