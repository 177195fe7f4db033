"""``sessions resend``: report again what a central system had refused for good."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context

DESCRIPTION: Final = """\
What a central system refused, or did not answer, until all attempts were used up is kept and shown as `failed`. This
puts it back into the queue, for when the central system has been mended. Nothing is sent twice that was taken."""


def register(verbs: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command below ``sessions``."""
    parser = verbs.add_parser(
        "resend",
        parents=[shared],
        allow_abbrev=False,
        help="report a session again that the central system had refused",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    parser.set_defaults(run=resend)


def resend(context: Context, options: argparse.Namespace) -> int:
    """Put a session's messages back into the queue."""
    from agent.buffer.ledger import named
    from agent.cli.ledger import read
    from agent.cli.sessions import beginning, only

    state_dir = context.config().station.state_dir
    session = only(options.id, read(state_dir, lambda ledger: named(ledger, beginning(options.id)))).id
    result = context.ask({"command": "resend", "session": session})
    document = result if isinstance(result, Mapping) else {}
    count = document.get("messages")
    words = f"session {session}: {count} message{'' if count == 1 else 's'} queued again: see `sessions show`"
    return context.emit(document, lambda: words)
