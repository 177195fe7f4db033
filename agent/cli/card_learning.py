"""``cards learn``: the card that is held to the reader next, told in full and added."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from agent.cli.context import USAGE, CommandFailed, say

if TYPE_CHECKING:
    from agent.cli.client import Connection
    from agent.cli.context import Commands, Context

INTERVAL_S: Final = 0.5
LOOKS: Final = 120
"""So often it is looked whether a card was held: for a minute."""
HELD: Final = "accepted"
PLACEHOLDER: Final = "00"
"""Stands for the card that is not known yet, while what was typed about it is checked."""


def register(cards: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command."""
    from agent.cli.cards import add_details

    parser = cards.add_parser(
        "learn", parents=[shared], allow_abbrev=False, help="add the card that is held to the reader next"
    )
    add_details(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask whether it is the right card")
    parser.set_defaults(run=learn)


def learn(context: Context, options: argparse.Namespace) -> int:
    """Wait for a card, show it, and add it; it starts nothing meanwhile. Ctrl-C ends it."""
    from agent.cli.cards import check_terminal, confirm, details, note_random, put, token
    from agent.cli.client import Connection

    said = details(options)
    _check(said)
    if not options.yes:
        check_terminal()
    with Connection(context.config().station.state_dir) as daemon:
        card = token(_held(daemon))
    say(f"card {card.value}")
    note_random(card)
    confirm("add it?", yes=options.yes)
    return put(context, card, said)


def _check(said: Mapping[str, str]) -> None:
    """Refuse what could not be kept before anybody walks to the reader. Raises: CommandFailed with status 2."""
    from agent.runtime.requests import command_of

    try:
        command_of({"command": "cards add", "uid": PLACEHOLDER, **said})
    except ValueError as error:
        raise CommandFailed(str(error), status=USAGE) from error


def _held(daemon: Connection) -> str:
    """Return the UID of the card that is held within a minute. Raises: CommandFailed, KeyboardInterrupt."""
    learner = uuid.uuid4().hex
    request = {"command": "cards learn", "learner": learner}
    try:
        for look in range(LOOKS):
            result = daemon.ask(request)
            if not look:
                say("hold the card to the reader (within a minute; Ctrl-C ends it)")
            if isinstance(result, Mapping) and result.get("result") == HELD:
                return str(result.get("reason"))
            daemon.pause(INTERVAL_S)
    except KeyboardInterrupt:
        daemon.ask({"command": "cards learn-stop", "learner": learner})
        raise
    daemon.ask({"command": "cards learn-stop", "learner": learner})
    words = "no card was held to the reader within a minute: try again, and look at `wallbox-agent status`"
    raise CommandFailed(words)
