"""``report``: a month's statement as text, JSON and files, and the comparison with what a central system bills."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.context import REFUSED, USAGE, CommandFailed, no_terminal, say, write_bytes

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from agent.buffer.ledger import SessionRecord
    from agent.cli.context import Commands, Context
    from agent.runtime.config import AgentConfig
    from agent.statement.claims import Claim
    from agent.statement.files import Form
    from agent.statement.model import Site, Statement
    from agent.statement.month import Month

LANGUAGES: Final = ("en", "nl", "de", "es", "fr")
FILES: Final = ("pdf", "xlsx", "csv", "ocpi")
BINARY: Final = frozenset({"pdf", "xlsx"})
LATER: Final = ("commissioning",)
MARGIN_DAYS: Final = 40
"""Sessions that ended so long before or after a central system's records may be what they are about."""
DESCRIPTION: Final = """\
The statement of a month: per card and per session what was charged, what it costs and what is paid back. A session
belongs to the month in which it ended, in the station's time zone. Private sessions are left out.

  wallbox-agent report 2026-11                       as text
  wallbox-agent report 2026-11 --json                as one JSON document
  wallbox-agent report 2026-11 --pdf FILE --lang nl  as a file; several at once; `-` is standard output
  wallbox-agent report 2026-11 --deliver [NAME]      to where [[delivery]] says, now; exit 1 where it does not arrive
  wallbox-agent report compare FILE                  against what a central system bills: OCPI CDRs (JSON), or CSV

The same month made again is the same file, byte for byte. `compare` exits with 1 where anything differs."""


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "report",
        parents=[shared],
        allow_abbrev=False,
        help="a month's statement",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", metavar="MONTH", help="a month like 2026-11; or `compare`")
    parser.add_argument("file", metavar="FILE", nargs="?", help="with `compare`: the central system's records")
    for name in FILES:
        parser.add_argument(f"--{name}", metavar="FILE", help=f"write the statement as {NAMES[name]}")
    parser.add_argument(
        "--csv-flavour", choices=("standard", "excel"), default="standard", help="excel: for spreadsheets"
    )
    parser.add_argument("--lang", choices=LANGUAGES, help="language; default: statement.language of the configuration")
    parser.add_argument("--month", metavar="MONTH", help="with `compare`: this month alone")
    parser.add_argument(
        "--deliver",
        metavar="NAME",
        nargs="?",
        const="",
        help="deliver the statement now, as configured; with a name: to this [[delivery]] alone",
    )
    parser.set_defaults(run=report)


NAMES: Final = {"pdf": "PDF", "xlsx": "XLSX", "csv": "CSV", "ocpi": "OCPI CDRs"}


def report(context: Context, options: argparse.Namespace) -> int:
    """Make a month's statement, or compare."""
    if options.what in LATER:
        raise CommandFailed(f"report {options.what} is not part of this release", status=USAGE)
    if options.what == "compare":
        return compare(context, options)
    for name in ("file", "month"):
        if getattr(options, name) is not None:
            given = "--month" if name == "month" else f"{options.file!r}"
            raise CommandFailed(f"{given} is for `report compare`: leave it out", status=USAGE)
    wanted = _wanted(context, options)
    if options.deliver is not None:
        return _delivered(context, options)
    config = context.config()
    statement = statement_of(config, _month(options.what, config, _now()))
    lacking, is_now = config.unpriced(statement.month.begin(statement.site.zone)) or ("", False)
    if statement.totals.unpriced and is_now:
        say(f"note: {lacking}")
    return _given_out(context, config, statement, options=options, wanted=wanted)


def _delivered(context: Context, options: argparse.Namespace) -> int:
    from agent.cli.deliver import deliver

    if extra := [f"--{name}" for name in (*FILES, "lang") if getattr(options, name) is not None]:
        words = f"{', '.join(extra)} cannot stand beside --deliver, which takes formats and language from the file"
        raise CommandFailed(words, status=USAGE)
    config, now = context.config(), _now()
    return deliver(context, config, _month(options.what, config, now), name=options.deliver or None, now=now)


def statement_of(config: AgentConfig, month: Month) -> Statement:
    """Return a month's statement from the ledger, sealed where it has evidence. Raises: CommandFailed, JournalError."""
    from agent.cli.evidence import key_in_use
    from agent.cli.ledger import entered
    from agent.runtime.config.statements import site_of
    from agent.statement.reading import statement_of as read

    state_dir = config.station.state_dir
    entered(state_dir)
    with key_in_use(state_dir):
        return read(state_dir, month, site_of(config), _now())


def _wanted(context: Context, options: argparse.Namespace) -> Mapping[str, str]:
    """Return the files that are wanted, by format. Raises: CommandFailed with status 2."""
    wanted = {name: str(getattr(options, name)) for name in FILES if getattr(options, name) is not None}
    for name, file in wanted.items():
        if not file.strip():
            raise CommandFailed(f"--{name} is empty: name a file, or `-` for standard output", status=USAGE)
    if len(set(wanted.values())) < len(wanted):
        raise CommandFailed("two formats are to go to one file: give each a file of its own", status=USAGE)
    if context.as_json and "-" in wanted.values():
        raise CommandFailed("--json prints JSON: write the other formats to files", status=USAGE)
    for name in BINARY.intersection(name for name, file in wanted.items() if file == "-"):
        no_terminal(name)
    if options.csv_flavour != "standard" and "csv" not in wanted:
        raise CommandFailed("--csv-flavour is for --csv: leave it out", status=USAGE)
    return wanted


def _month(typed: str, config: AgentConfig, now: datetime) -> Month:
    """Return the month that was typed. Raises: CommandFailed with status 2."""
    from zoneinfo import ZoneInfo

    from agent.runtime.requests import begun

    try:
        return begun(typed, now, ZoneInfo(config.station.timezone))
    except ValueError as error:
        raise CommandFailed(str(error), status=USAGE) from error


def _given_out(
    context: Context,
    config: AgentConfig,
    statement: Statement,
    *,
    options: argparse.Namespace,
    wanted: Mapping[str, str],
) -> int:
    """Write the files, and print the statement where none is wanted, or JSON is."""
    from agent.runtime.config.statements import form_of
    from agent.statement.document import document_of
    from agent.statement.language import language

    form = form_of(config, options.lang, options.csv_flavour)
    if wanted:
        _written(statement, wanted, _made(statement, wanted, form), quiet=context.as_json)
    if wanted and not context.as_json:
        return 0

    def text() -> str:
        from agent.cli.render_statement import statement_text

        return statement_text(statement, language(form.language))

    return context.emit(document_of(statement), text)


def _made(statement: Statement, wanted: Mapping[str, str], form: Form) -> Mapping[str, bytes]:
    """Return the files' bytes, all of them made before the first one is written. Raises: CommandFailed."""
    from agent.statement.files import made

    try:
        return {name: made(statement, name, form) for name in wanted}
    except ValueError as error:
        raise CommandFailed(f"the statement cannot be made: {error}") from error


def _written(statement: Statement, wanted: Mapping[str, str], made: Mapping[str, bytes], *, quiet: bool) -> None:
    from agent.cli.files import put

    if "ocpi" in wanted:
        ocpi_hint(statement.site, statement.totals.unpriced)
    count = len(statement.closed)
    for name, file in wanted.items():
        if file != "-":
            put(Path(file), made[name])
            if not quiet:
                told = f"{file}: {NAMES[name]}, {count} session{'' if count == 1 else 's'}"
                say(told) if "-" in wanted.values() else print(told)
    for name in (name for name, file in wanted.items() if file == "-"):
        write_bytes(made[name])


def ocpi_hint(site: Site, unpriced: int) -> None:
    """Say what CDRs of OCPI cannot tell; unpriced: sessions without a price, which have none."""
    from agent.statement.cdr import missing

    if keys := missing(site):
        names = ", ".join(f"location.{key}" for key in keys)
        say(f"note: OCPI requires what the configuration does not give ({names}); it is written as unknown")
    if unpriced:
        say(f"note: {unpriced} session{' has' if unpriced == 1 else 's have'} no price and no CDR")


def compare(context: Context, options: argparse.Namespace) -> int:
    """Compare the ledger with a central system's records. Exit status 1 where anything differs."""
    from zoneinfo import ZoneInfo

    from agent.cli.render_comparison import comparison_text, document
    from agent.statement.comparison import compared

    extra = [f"--{name}" for name in (*FILES, "lang", "deliver") if getattr(options, name) is not None]
    if extra or options.csv_flavour != "standard":
        words = f"{', '.join(extra) or '--csv-flavour'} is for a month's statement: leave it out"
        raise CommandFailed(words, status=USAGE)
    if options.file is None:
        raise CommandFailed("report compare needs FILE: the central system's CDRs (OCPI JSON), or CSV", status=USAGE)
    config = context.config()
    zone = ZoneInfo(config.station.timezone)
    only = None if options.month is None else _month(options.month, config, _now())
    claims = _claims(options.file, zone)
    result = compared(claims, _sessions(config, claims, only), zone, only)
    context.emit(document(result), lambda: comparison_text(result))
    return REFUSED if result.differences else 0


def _claims(file: str, zone: ZoneInfo) -> list[Claim]:
    from agent.statement.claims import claims_of

    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return claims_of(content, zone)
    except OSError as error:
        raise CommandFailed(
            f"{file} cannot be read ({error.strerror or error}): check the path", status=USAGE
        ) from error
    except ValueError as error:
        raise CommandFailed(f"{file} {error}", status=USAGE) from error


def _sessions(config: AgentConfig, claims: Sequence[Claim], only: Month | None) -> Sequence[SessionRecord]:
    """Return all sessions that records may be about, private ones too: a central system may know none of these."""
    from datetime import timedelta
    from zoneinfo import ZoneInfo

    from agent.buffer.ledger import sessions
    from agent.cli.ledger import read

    zone, margin = ZoneInfo(config.station.timezone), timedelta(days=MARGIN_DAYS)
    moments = [moment for claim in claims for moment in (claim.start, claim.end) if moment is not None]
    if only is not None:
        moments += [only.begin(zone), only.end(zone)]
    if not moments or any(claim.start is None for claim in claims):
        return read(config.station.state_dir, sessions)
    since, until = min(moments) - margin, max(moments) + margin
    return read(config.station.state_dir, lambda ledger: sessions(ledger, since=since, until=until))


def _now() -> datetime:
    from agent.runtime.clock import SystemClock

    return SystemClock(0).now().wall
