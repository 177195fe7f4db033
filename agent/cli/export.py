"""``sessions export``: the ledger's sessions as a file for another program."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.context import USAGE, CommandFailed, no_terminal, say, write_bytes
from agent.core.model import Profile

if TYPE_CHECKING:
    from agent.buffer.ledger import SessionRecord
    from agent.cli.context import Commands, Context
    from agent.runtime.config import AgentConfig

FORMATS: Final = ("csv", "xlsx", "json", "ocpi", "ocmf")
ALLOWED: Final = f"{', '.join(FORMATS[:-1])} and {FORMATS[-1]}"
OUTWARD: Final = frozenset({"ocpi", "ocmf"})
"""Formats that are made for others: private sessions are in them only where that was asked for."""
LISTS: Final = frozenset({"json"})
"""Formats that have sessions that still run."""
FLAVOURS: Final = ("standard", "excel")
DESCRIPTION: Final = """\
CSV has the closed sessions, one a line, under the header
id,card,profile,evse_id,start,end,duration_s,meter_start_wh,meter_stop_wh,energy_kwh,energy,time,fixed,parking,
reservation,surcharge,excl_vat,vat,incl_vat,refund,currency,reporting; times are local with their offset.
XLSX is the same as a sheet of numbers and local dates, the last row sums by formula.
JSON is the list of `sessions list --json`, which has a session that still runs too; its last session carries the
evidence, so that `sessions verify FILE` can check the file on another machine. OCPI is a list of CDRs, one for each
closed session that has a price. OCMF has a signed text for each closed session, one a line, or as a file for
transparency software where FILE ends in .xml.

A session belongs to the day and month of its end, in the station's time zone. Private sessions are in CSV, XLSX and
JSON, and not in OCPI and OCMF, which are made for others; --private says otherwise. A file is written whole or not at
all, and is readable by its owner alone."""


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
    parser.add_argument("--format", metavar="FORMAT", help=f"{ALLOWED}; default: as FILE ends, else csv")
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
    private = options.private == "yes" if options.private else chosen not in OUTWARD
    records = [record for record in picked(config, options) if private or record.profile is not Profile.PRIVATE]
    content = _content(config, options, records, chosen)
    told: Sequence[SessionRecord] = records
    if chosen not in LISTS:
        told = [record for record in records if record.stopped_at is not None]
    if len(told) < len(records):
        say(f"note: {_sessions(len(records) - len(told))} still running, and left out")
    if chosen == "ocpi":
        told = _with_cdrs(config, told)
    if _to_stdout(options):
        write_bytes(content)
        return 0
    from agent.cli.files import put

    put(Path(options.output), content)
    document = {"file": options.output, "format": chosen, "sessions": len(told)}
    return context.emit(document, lambda: f"{options.output}: {_sessions(len(told))}")


def _format(context: Context, options: argparse.Namespace) -> str:
    """Return the format that was chosen. Raises: CommandFailed with status 2."""
    chosen = str(_usual(context, options) if options.format is None else options.format).lower()
    if chosen not in FORMATS:
        raise CommandFailed(f"--format is {options.format!r}, allowed are {ALLOWED}", status=USAGE)
    if chosen != "csv" and options.csv_flavour != "standard":
        raise CommandFailed(f"--csv-flavour is for csv, not for {chosen}: leave one of the two out", status=USAGE)
    if options.output is not None and not options.output.strip():
        raise CommandFailed("--output is empty: name a file, or `-` for standard output", status=USAGE)
    if chosen != "json" and context.as_json and _to_stdout(options):
        words = f"--json prints JSON: use --format json, or write the {chosen} to a file with --output FILE"
        raise CommandFailed(words, status=USAGE)
    if chosen == "xlsx" and _to_stdout(options):
        no_terminal(chosen)
    return chosen


def _usual(context: Context, options: argparse.Namespace) -> str:
    """Return the format where none was named."""
    if _to_stdout(options):
        return "json" if context.as_json else "csv"
    *_, before, last = ("", "", *(suffix.removeprefix(".").lower() for suffix in Path(options.output).suffixes))
    ending = "ocpi" if (before, last) == ("ocpi", "json") else last
    return "ocmf" if ending == "xml" else ending if ending in FORMATS else "csv"


def _to_stdout(options: argparse.Namespace) -> bool:
    return options.output in {None, "-"}


def _content(config: AgentConfig, options: argparse.Namespace, records: Sequence[SessionRecord], chosen: str) -> bytes:
    """Return the file. Raises: CommandFailed, JournalError."""
    from agent.cli import evidence

    state_dir = config.station.state_dir
    if chosen == "ocmf":
        xml = str(options.output).lower().endswith(".xml")
        return evidence.ocmf_export(state_dir, records, private=options.private == "yes", xml=xml)[0]
    if chosen in {"csv", "xlsx"}:
        return _table(config, records, options.csv_flavour if chosen == "csv" else None)
    if chosen == "ocpi":
        return _ocpi(config, records)
    if not records or not evidence.has_key(state_dir):
        return _json(records)
    everything = options.since is None and options.until is None
    return evidence.json_export(state_dir, records, everything=everything, private=options.private != "no")


def _table(config: AgentConfig, records: Sequence[SessionRecord], flavour: str | None) -> bytes:
    """Return the sessions as CSV of a flavour, or as a workbook."""
    from agent.cli.render import local_zone

    evse_ids = [connector.evse_id for connector in config.connectors]
    zone = local_zone(config.station.timezone)
    if flavour is None:
        from agent.statement.workbook import sessions_of

        return sessions_of(records, evse_ids, zone)
    from agent.cli.sheet import FLAVOURS, csv_of

    return csv_of(records, evse_ids, zone, FLAVOURS[flavour])


def _ocpi(config: AgentConfig, records: Sequence[SessionRecord]) -> bytes:
    from agent.cli.ledger import read
    from agent.runtime.config.statements import site_of
    from agent.statement.cdr import cdrs, listed
    from agent.statement.sources import contracts, lines

    site = site_of(config)
    found = read(
        config.station.state_dir,
        lambda ledger: [cdrs(lines(ledger, records), contracts(ledger), site)],
    )
    return listed(found[0] if found else ())


def _with_cdrs(config: AgentConfig, closed: Sequence[SessionRecord]) -> Sequence[SessionRecord]:
    """Return the sessions that have a CDR, and say what CDRs lack."""
    from agent.cli.report import ocpi_hint
    from agent.runtime.config.statements import site_of

    priced = [record for record in closed if record.cost is not None]
    ocpi_hint(site_of(config), len(closed) - len(priced))
    return priced


def _json(records: Sequence[SessionRecord]) -> bytes:
    from agent.buffer.ledger import to_json

    return (json.dumps([to_json(record) for record in records], indent=2) + "\n").encode()


def _sessions(count: int) -> str:
    return f"{count} session{'' if count == 1 else 's'}"
