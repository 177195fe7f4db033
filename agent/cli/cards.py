"""``cards``: the cards known locally."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from agent.cli.context import USAGE, CommandFailed, say

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context
    from agent.core.model import IdToken

RANDOM_UID_LENGTH: Final = 8
"""Four bytes; those that begin with 08 are random, new at each touch (ISO/IEC 14443-3, UID of size single)."""


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    group = commands.add_parser("cards", parents=[shared], allow_abbrev=False, help="cards known locally")
    cards = group.add_subparsers(metavar="COMMAND", required=True)
    list_parser = cards.add_parser("list", parents=[shared], allow_abbrev=False, help="all cards known locally")
    list_parser.set_defaults(run=list_cards)
    add_parser = _card_parser(cards, shared, "add", "know a card, or change what is known of it")
    add_parser.add_argument("--number", help="what is printed on it, like NL-WEX-CNQPWFBEK")
    add_parser.add_argument("--ema-id", help="its e-mobility account id")
    add_parser.add_argument("--profile", choices=("private", "fleet"), default="fleet", help="default: fleet")
    add_parser.add_argument("--name", help="whose it is")
    add_parser.set_defaults(run=add)
    block_parser = _card_parser(cards, shared, "block", "never let a card start again, until it is unblocked")
    block_parser.add_argument("--reason", help="why; shown where the card is refused")
    block_parser.set_defaults(run=block)
    _card_parser(cards, shared, "unblock", "lift a block set here").set_defaults(run=unblock)
    _card_parser(cards, shared, "remove", "forget a card").set_defaults(run=remove)


def token(text: str) -> IdToken:
    """Return the card that was typed. Raises: CommandFailed with status 2."""
    from agent.runtime.requests import id_token

    try:
        return id_token(text)
    except ValueError as error:
        raise CommandFailed(str(error), status=USAGE) from error


def list_cards(context: Context, _options: argparse.Namespace) -> int:
    """Print all cards, from the ledger, with or without a daemon."""
    from agent.buffer.ledger import card_to_json
    from agent.buffer.ledger import cards as known
    from agent.cli.ledger import read

    cards = [card_to_json(card) for card in read(context.config().station.state_dir, known)]

    def text() -> str:
        from agent.cli.render_ledger import cards_table

        return cards_table(cards)

    return context.emit(cards, text)


def add(context: Context, options: argparse.Namespace) -> int:
    """Know a card."""
    card = token(options.uid)
    if len(card.value) == RANDOM_UID_LENGTH and card.value.startswith("08"):
        say(f"note: {card.value} looks like a number that changes at each touch (a phone): touch the reader twice")
    details = {name: getattr(options, name) for name in ("number", "ema_id", "profile", "name")}
    return _change(context, "add", card, {name: text for name, text in details.items() if text is not None})


def block(context: Context, options: argparse.Namespace) -> int:
    """Block a card."""
    return _change(context, "block", token(options.uid), {"reason": options.reason} if options.reason else {})


def unblock(context: Context, options: argparse.Namespace) -> int:
    """Lift a block."""
    return _change(context, "unblock", token(options.uid), {})


def remove(context: Context, options: argparse.Namespace) -> int:
    """Forget a card."""
    return _change(context, "remove", token(options.uid), {})


DONE: Final = {"add": "known", "block": "blocked", "unblock": "no longer blocked here", "remove": "forgotten"}


def _change(context: Context, verb: str, card: IdToken, details: dict[str, str]) -> int:
    try:
        result = context.ask({"command": f"cards {verb}", "uid": card.value, **details})
    except CommandFailed as error:  # the daemon masks numbers; who typed one may see it
        raise CommandFailed(*(_unmasked(line, card) for line in error.lines), status=error.status) from error
    profile = f" ({details['profile']})" if "profile" in details else ""
    document = {"id_tag": card.value, **(result if isinstance(result, Mapping) else {})}
    return context.emit(document, lambda: f"card {card.value} is {DONE[verb]}{profile}")


def _unmasked(line: str, card: IdToken) -> str:
    return line.replace(f"card {card.masked} ", f"card {card.value} ")


def _card_parser(cards: Commands, shared: argparse.ArgumentParser, verb: str, purpose: str) -> argparse.ArgumentParser:
    parser = cards.add_parser(verb, parents=[shared], allow_abbrev=False, help=purpose)
    parser.add_argument("uid", metavar="UID", help="hex pairs as the reader shows them, or another text")
    return parser
