"""``sessions``: the ledger, with or without a daemon."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.cli import annotate, balance, evidence, export, resend
from agent.cli.context import CommandFailed, counted

if TYPE_CHECKING:
    import sqlite3

    from agent.buffer.annotation import Annotation
    from agent.buffer.ledger import SessionRecord
    from agent.cli.context import Commands, Context
    from agent.cli.layout import Document


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = commands.add_parser("sessions", parents=[shared], allow_abbrev=False, help="the ledger of sessions")
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    list_parser = verbs.add_parser("list", parents=[shared], allow_abbrev=False, help="the sessions, oldest first")
    export.limits(list_parser)
    list_parser.add_argument(
        "--limit", type=counted("number of sessions"), metavar="N", help="only the newest N of them"
    )
    list_parser.set_defaults(run=list_sessions)
    show_parser = verbs.add_parser("show", parents=[shared], allow_abbrev=False, help="one session in full")
    show_parser.add_argument("id", metavar="ID", help="its id, or the beginning of it")
    show_parser.set_defaults(run=show)
    export.register(verbs, shared)
    balance.register(verbs, shared)
    evidence.register_verify(verbs, shared)
    annotate.register(verbs, shared)
    resend.register(verbs, shared)


def list_sessions(context: Context, options: argparse.Namespace) -> int:
    """Print the sessions, oldest first."""
    from agent.buffer.ledger import to_json

    config = context.config()
    records = export.picked(config, options, options.limit)

    def text() -> str:
        from agent.cli.render import local_zone
        from agent.cli.render_ledger import sessions_table

        if not records and (options.since is not None or options.until is not None):
            return "no sessions in this time"
        return sessions_table([_for_people(record) for record in records], local_zone(config.station.timezone))

    return context.emit([to_json(record) for record in records], text)


def show(context: Context, options: argparse.Namespace) -> int:
    """Print one session in full."""
    from agent.buffer.annotation import annotation_of
    from agent.buffer.ledger import named, to_full_json
    from agent.cli.ledger import read

    station = context.config().station

    def query(ledger: sqlite3.Connection) -> list[tuple[SessionRecord, Annotation]]:
        return [(record, annotation_of(ledger, record.id)) for record in named(ledger, beginning(options.id))]

    found = dict(read(station.state_dir, query))
    record = only(options.id, list(found))

    def text() -> str:
        from agent.cli.render import local_zone
        from agent.cli.render_ledger import session_text

        return session_text(_for_people(record, found[record]), local_zone(station.timezone))

    return context.emit(to_full_json(record, found[record]), text)


def _for_people(record: SessionRecord, annotation: Annotation | None = None) -> Document:
    """Return a session in full with its duration, which does not follow from its wall-clock times."""
    from agent.buffer.ledger import to_full_json

    duration = None if record.duration_s is None else str(record.duration_s)
    return {**to_full_json(record, annotation), "duration_s": duration}


def beginning(typed: str) -> str:
    """Return what was typed of an id, as ids are written."""
    return typed.strip().lower()


def only(prefix: str, records: Sequence[SessionRecord]) -> SessionRecord:
    """Return the only session whose id begins so. Raises: CommandFailed."""
    from agent.buffer.ledger import MANY

    wanted = beginning(prefix)
    found = [record for record in records if record.id.startswith(wanted)]
    if not found or not wanted:
        raise CommandFailed(f"no session has the id {prefix!r}: look at `wallbox-agent sessions list`")
    if len(found) > 1:
        count = f"{len(found)} or more" if len(found) >= MANY else f"{len(found)}"
        raise CommandFailed(f"{count} sessions begin with {prefix!r}: type more of the id, like {found[-1].id}")
    return found[0]
