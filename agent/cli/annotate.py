"""``sessions annotate``: what an employer asks for beside a session, an odometer reading or a note."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from agent.cli.context import USAGE, CommandFailed

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context
    from agent.cli.layout import Document

DESCRIPTION: Final = """\
Write down beside a session that has ended what the car's odometer showed, or a note, for `sessions show` and the
month's statement. What is not named stays as it is; what is given again takes the place of what was there. Each time
becomes a record of the signed chain (`sessions verify`), so what stood there before stays provable.

  wallbox-agent sessions annotate 01a20d63 --odometer 48123 --note "Visit to Utrecht"
  wallbox-agent sessions annotate 01a20d63 --clear note"""


def register(verbs: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command below ``sessions``."""
    parser = verbs.add_parser(
        "annotate",
        parents=[shared],
        allow_abbrev=False,
        help="an odometer reading or a note beside a session",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    parser.add_argument("--odometer", metavar="KM", help="what the odometer showed, in whole km, digits alone")
    parser.add_argument("--note", metavar="TEXT", help="one line of at most 255 characters")
    parser.add_argument(
        "--clear", choices=("odometer", "note"), action="append", help="take it away again; more than once for both"
    )
    parser.set_defaults(run=annotate)


def annotate(context: Context, options: argparse.Namespace) -> int:
    """Have the running daemon change what stands beside a session."""
    from agent.buffer.ledger import named
    from agent.cli.ledger import read
    from agent.cli.sessions import beginning, only
    from agent.runtime.requests import annotation_of

    given = {"odometer": options.odometer, "note": options.note, "clear": options.clear}
    try:
        annotation_of(given)
    except ValueError as error:
        raise CommandFailed(f"{error}: see `wallbox-agent sessions annotate --help`", status=USAGE) from error
    state_dir = context.config().station.state_dir
    session = only(options.id, read(state_dir, lambda ledger: named(ledger, beginning(options.id)))).id
    result = context.ask({"command": "annotate", "session": session, **given})
    document = result if isinstance(result, Mapping) else {}
    return context.emit(document, lambda: f"session {session}: {_words(document)}")


def _words(holds: Document) -> str:
    odometer, note = holds.get("odometer_km"), holds.get("note")
    parts = [] if odometer is None else [f"odometer {odometer} km"]
    parts += [] if note is None else [f"note: {note}"]
    return ", ".join(parts) or "nothing stands beside it any more"
