"""``config``: the configuration file, checked and shown without a daemon; and the keys of OCPP (module ``keys``)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from agent.cli import keys
from agent.core.errors import ConfigError

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = commands.add_parser("config", parents=[shared], allow_abbrev=False, help="the file, and OCPP's keys")
    verbs = group.add_subparsers(metavar="COMMAND", required=True)
    check_parser = verbs.add_parser("check", parents=[shared], allow_abbrev=False, help="find errors in it")
    check_parser.set_defaults(run=check)
    show_parser = verbs.add_parser("show", parents=[shared], allow_abbrev=False, help="what holds, without secrets")
    show_parser.set_defaults(run=show)
    keys.register(verbs, shared)


def check(context: Context, _options: argparse.Namespace) -> int:
    """Tell whether the configuration is good. Raises: ConfigError with one line per problem."""
    from agent.runtime.clock import SystemClock

    config = context.config(secrets=True)
    now = SystemClock(0).now().wall
    unpriced, is_now = config.unpriced(now) or ("", False)
    if is_now:
        raise ConfigError(f"{context.path}: {unpriced}")
    notes = config.notes_at(now)
    return context.emit(
        {"ok": True, "file": str(context.path), "notes": list(notes)},
        lambda: "\n".join((f"{context.path}: no errors", *(f"note: {note}" for note in notes))),
    )


def show(context: Context, _options: argparse.Namespace) -> int:
    """Print what holds: file, environment and defaults taken together, secrets left out."""
    from agent.runtime.config import show as text_of
    from agent.runtime.config import to_json

    config = context.config()
    return context.emit(to_json(config), lambda: text_of(config))
