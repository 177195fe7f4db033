"""``cards``: the cards known locally, from the first touch to the replacement."""

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
DETAILS: Final = ("number", "ema_id", "profile", "name", "kind", "valid_from", "valid_until")
YES: Final = frozenset({"y", "yes"})


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the commands."""
    from agent.cli import card_learning, card_list

    group = commands.add_parser("cards", parents=[shared], allow_abbrev=False, help="cards known locally")
    cards = group.add_subparsers(metavar="COMMAND", required=True)
    card_list.register(cards, shared)
    add_parser = _card_parser(cards, shared, "add", "know a card, or change what is known of it")
    add_details(add_parser)
    add_parser.set_defaults(run=add)
    card_learning.register(cards, shared)
    block_parser = _card_parser(cards, shared, "block", "never let a card start again, until it is unblocked")
    block_parser.add_argument("--reason", help="why; shown where the card is refused")
    block_parser.set_defaults(run=block)
    _card_parser(cards, shared, "unblock", "lift a block set here").set_defaults(run=unblock)
    _card_parser(cards, shared, "remove", "forget a card").set_defaults(run=remove)
    _register_lives(cards, shared)


def _register_lives(cards: Commands, shared: argparse.ArgumentParser) -> None:
    """Add what begins and ends the life of a card."""
    activate_parser = cards.add_parser(
        "activate", parents=[shared], allow_abbrev=False, help="take a card into use that was sent to the driver"
    )
    activate_parser.add_argument("number", metavar="NUMBER", help="what is printed on it: number, EMA-ID or UID")
    activate_parser.set_defaults(run=activate)
    replace_parser = _card_parser(cards, shared, "replace", "let a new card take the place of one that is lost")
    replace_parser.add_argument("new", metavar="NEW", help="UID of the new card")
    replace_parser.add_argument("--number", help="what is printed on the new one; without it the number moves on")
    deactivate_parser = _card_parser(cards, shared, "deactivate", "take a lost card out of use, for good")
    for parser, run in ((replace_parser, replace), (deactivate_parser, deactivate)):
        parser.add_argument("--reason", help="why; shown where the old card is refused")
        parser.add_argument("--yes", action="store_true", help="do not ask whether it is meant")
        parser.set_defaults(run=run)


def add_details(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a card is."""
    parser.add_argument("--number", help="what is printed on it, like NL-WEX-CNQPWFBEK")
    parser.add_argument("--ema-id", help="its e-mobility account id; the check digit is verified")
    parser.add_argument("--profile", choices=("private", "fleet"), help="of a new card: fleet")
    parser.add_argument("--name", help="whose it is; two cards of one driver have the same name")
    parser.add_argument("--kind", choices=("card", "virtual", "other"), help="of a new one: card")
    parser.add_argument("--valid-from", metavar="DAY", help="a day or moment of local time, or none")
    parser.add_argument("--valid-until", metavar="DAY", help="a day (inclusive) or moment of local time, or none")


def details(options: argparse.Namespace) -> dict[str, str]:
    """Return what was said of a card."""
    said = {name: getattr(options, name) for name in DETAILS}
    return {name: text for name, text in said.items() if text is not None}


def token(text: str) -> IdToken:
    """Return the card that was typed. Raises: CommandFailed with status 2."""
    from agent.runtime.requests import id_token

    try:
        return id_token(text)
    except ValueError as error:
        raise CommandFailed(str(error), status=USAGE) from error


def add(context: Context, options: argparse.Namespace) -> int:
    """Know a card."""
    card = token(options.uid)
    note_random(card)
    return put(context, card, details(options))


def put(context: Context, card: IdToken, said: dict[str, str]) -> int:
    """Let the station know a card; one that is known keeps its profile, unless another was said."""
    return _change(context, "add", card, {**said, "profile": said.get("profile") or _profile(context, card)})


def note_random(card: IdToken) -> None:
    """Say that a number will not come again, where it looks like that."""
    if len(card.value) == RANDOM_UID_LENGTH and card.value.startswith("08"):
        say(f"note: {card.value} looks like a number that changes at each touch (a phone): touch the reader twice")


def block(context: Context, options: argparse.Namespace) -> int:
    """Block a card."""
    return _change(context, "block", token(options.uid), _reason(options))


def unblock(context: Context, options: argparse.Namespace) -> int:
    """Lift a block."""
    return _change(context, "unblock", token(options.uid), {})


def remove(context: Context, options: argparse.Namespace) -> int:
    """Forget a card."""
    return _change(context, "remove", token(options.uid), {})


def deactivate(context: Context, options: argparse.Namespace) -> int:
    """Take a card out of use for good."""
    card = token(options.uid)
    confirm(f"deactivate card {card.value}? that cannot be undone", yes=options.yes)
    return _change(context, "deactivate", card, _reason(options))


def replace(context: Context, options: argparse.Namespace) -> int:
    """Let a new card take another one's place."""
    old, new = token(options.uid), token(options.new)
    note_random(new)
    confirm(f"replace card {old.value} by {new.value}? the old one is deactivated for good", yes=options.yes)
    request = {"new_uid": new.value, **_reason(options), **({"number": options.number} if options.number else {})}
    result = _asked(context, "replace", request, old, new)
    document = {"id_tag": new.value, "replaces": old.value, **result}
    return context.emit(document, lambda: f"card {new.value} replaces {old.value}")


def activate(context: Context, options: argparse.Namespace) -> int:
    """Take a card into use by what is printed on it."""
    result = context.ask({"command": "cards activate", "number": options.number})
    uid = result.get("reason") if isinstance(result, Mapping) else None
    document = {"id_tag": uid, "card": options.number, "result": "accepted", "reason": None}
    return context.emit(document, lambda: f"card {options.number} is active (UID {uid})")


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal whether something is meant.

    Raises: CommandFailed with status 1 where it is not, 2 where nobody can be asked.
    """
    if yes:
        return
    check_terminal()
    if input_line(f"{question} [y/N] ").strip().lower() not in YES:
        raise CommandFailed("nothing was changed")


def check_terminal() -> None:
    """Refuse to ask where nobody can answer. Raises: CommandFailed with status 2."""
    import sys

    if not sys.stdin.isatty():
        raise CommandFailed("nobody can be asked whether it is meant: add --yes", status=USAGE)


def input_line(prompt: str) -> str:
    """Return the line that somebody typed; the question goes to standard error, beside the result."""
    import sys

    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline()


DONE: Final = {
    "add": "known",
    "block": "blocked",
    "unblock": "no longer blocked here",
    "remove": "forgotten",
    "deactivate": "deactivated for good",
}


def _change(context: Context, verb: str, card: IdToken, said: dict[str, str]) -> int:
    result = _asked(context, verb, said, card)
    profile = f" ({said['profile']})" if "profile" in said else ""
    return context.emit({"id_tag": card.value, **result}, lambda: f"card {card.value} is {DONE[verb]}{profile}")


def _asked(context: Context, verb: str, said: dict[str, str], *cards: IdToken) -> dict[str, object]:
    """Return the daemon's result; the first card is the one that it is about. Raises: CommandFailed."""
    try:
        result = context.ask({"command": f"cards {verb}", "uid": cards[0].value, **said})
    except CommandFailed as error:  # the daemon masks numbers; who typed one may see it
        raise CommandFailed(*(_unmasked(line, cards) for line in error.lines), status=error.status) from error
    return dict(result) if isinstance(result, Mapping) else {}


def _unmasked(line: str, cards: tuple[IdToken, ...]) -> str:
    for card in cards:
        line = line.replace(f"card {card.masked} ", f"card {card.value} ")
    return line


def _profile(context: Context, card: IdToken) -> str:
    """Return the profile of a card that is known, fleet for another one."""
    from agent.buffer.ledger import cards as known
    from agent.cli.ledger import read

    cards = {one.id_token.key: one.profile.value for one in read(context.config().station.state_dir, known)}
    return cards.get(card.key, "fleet")


def _reason(options: argparse.Namespace) -> dict[str, str]:
    return {"reason": options.reason} if options.reason else {}


def _card_parser(cards: Commands, shared: argparse.ArgumentParser, verb: str, purpose: str) -> argparse.ArgumentParser:
    parser = cards.add_parser(verb, parents=[shared], allow_abbrev=False, help=purpose)
    parser.add_argument("uid", metavar="UID", help="hex pairs as the reader shows them, or another text")
    return parser
