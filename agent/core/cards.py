"""Cards known locally, as the installer changes them: from being added to being replaced (contract, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from agent.core import distribution, learning
from agent.core.card import CardKind, Stage, Standing
from agent.core.card_ids import same_ema_id, same_number
from agent.core.commands import (
    ActivateCard,
    BlockCard,
    CardCommand,
    DeactivateCard,
    GetCards,
    LearnCard,
    Outcome,
    PushCards,
    PutCard,
    RemoveCard,
    ReplaceCard,
    Result,
    StopLearning,
    UnblockCard,
)
from agent.core.model import IdToken, Profile
from agent.core.state import Card
from agent.core.turn import Turn
from agent.core.validity import first_moment, is_reversed, last_moment

FOR_GOOD: Final = "was deactivated for good"
REVERSED: Final = "valid_from is after valid_until: give the earlier one first"
BY_CENTRAL_SYSTEM: Final = "is blocked by the central system, which alone can lift that"


def perform(turn: Turn, command: CardCommand) -> Outcome:  # noqa: C901, PLR0911  # one line per command
    """Carry out a command about cards."""
    match command:
        case PutCard():
            return put(turn, command)
        case BlockCard():
            return block(turn, command)
        case UnblockCard():
            return unblock(turn, command)
        case RemoveCard():
            return remove(turn, command)
        case DeactivateCard():
            return deactivate(turn, command)
        case ReplaceCard():
            return exchange(turn, command)
        case ActivateCard():
            return activate(turn, command)
        case LearnCard():
            return learning.learn(turn, command)
        case StopLearning():
            return learning.stop(turn, command)
        case PushCards():
            return distribution.take(turn, command)
        case GetCards():
            return distribution.report(turn, command)
    assert_never(command)


def put(turn: Turn, command: PutCard) -> Outcome:
    """Know a card, or change what is known of it; a block stays.

    One that was sent and becomes private is no affair of the central system any more.
    """
    old = _find(turn, command.id_token) or Card(command.id_token)
    zone = ZoneInfo(turn.policy.timezone)
    standing = replace(
        old.standing,
        kind=command.kind or old.standing.kind,
        valid_from=first_moment(command.valid_from, zone, old.standing.valid_from),
        valid_until=last_moment(command.valid_until, zone, old.standing.valid_until),
    )
    if command.profile is Profile.PRIVATE and standing.sent:
        standing = replace(standing, stage=Stage.IN_USE, reason=None, sent=False)
    wrong = REVERSED if is_reversed(standing.valid_from, standing.valid_until) else None
    refusal = _final(old) or wrong or _taken(turn, command.id_token, command.number)
    if refusal is not None:
        return Outcome(command, Result.REJECTED, refusal)
    card = Card(
        id_token=command.id_token,
        profile=command.profile,
        number=command.number or old.number,
        ema_id=command.ema_id or old.ema_id,
        name=command.name or old.name,
        blocked=old.blocked,
        standing=standing,
    )
    _keep(turn, card)
    return Outcome(command, Result.ACCEPTED)


def block(turn: Turn, command: BlockCard) -> Outcome:
    """Never let a card start again; one that was not known becomes known by it."""
    card = _find(turn, command.id_token) or Card(command.id_token)
    if (refusal := _final(card)) is not None:
        return Outcome(command, Result.REJECTED, refusal)
    _keep(turn, replace(card, blocked=command.reason or ""))
    return Outcome(command, Result.ACCEPTED)


def unblock(turn: Turn, command: UnblockCard) -> Outcome:
    """Lift a local block."""
    card = _find(turn, command.id_token)
    if card is not None and (refusal := _final(card)) is not None:
        return Outcome(command, Result.REJECTED, refusal)
    if card is None or card.blocked is None:
        elsewhere = card is not None and card.standing.stage is Stage.BLOCKED
        words = BY_CENTRAL_SYSTEM if elsewhere else "is not blocked here"
        return Outcome(command, Result.REJECTED, f"card {command.id_token.masked} {words}")
    _keep(turn, replace(card, blocked=None))
    return Outcome(command, Result.ACCEPTED)


def remove(turn: Turn, command: RemoveCard) -> Outcome:
    """Forget a card; one that was deactivated stays known, so that nobody is ever asked about it."""
    card = _find(turn, command.id_token)
    if card is None:
        return Outcome(command, Result.REJECTED, f"card {command.id_token.masked} is not known here")
    if (refusal := _final(card)) is not None:
        return Outcome(command, Result.REJECTED, f"{refusal}: it stays known, so that nobody is asked about it")
    _replace_all(turn, {k: c for k, c in turn.state.tokens.cards.items() if k != command.id_token.key})
    return Outcome(command, Result.ACCEPTED)


def deactivate(turn: Turn, command: DeactivateCard) -> Outcome:
    """Take a card out of use for good; one that was not known becomes known by it."""
    card = _find(turn, command.id_token) or Card(command.id_token)
    if (refusal := _final(card)) is not None:
        return Outcome(command, Result.REJECTED, refusal)
    _keep(turn, replace(card, standing=card.standing.retired(command.reason)))
    return Outcome(command, Result.ACCEPTED)


def exchange(turn: Turn, command: ReplaceCard) -> Outcome:
    """Let a new card take another one's place: number, name, profile and time of validity move on.

    The old one is deactivated and keeps its number too, by which its sessions are known.
    """
    old, new = _find(turn, command.old), _find(turn, command.new)
    refusal = _no_exchange(command, old, new) or _taken(turn, command.old, command.number)
    if refusal is not None or old is None:
        return Outcome(command, Result.REJECTED, refusal)
    heir = Card(
        id_token=command.new,
        profile=old.profile,
        number=command.number or old.number,
        ema_id=old.ema_id,
        name=old.name or (new.name if new else None),
        blocked=new.blocked if new else None,
        standing=_inherited(old, new),
    )
    gone = old.standing.retired(command.reason or "replaced")
    _keep(turn, replace(old, standing=replace(gone, replaced_by=command.new)))
    _keep(turn, heir)
    return Outcome(command, Result.ACCEPTED)


def activate(turn: Turn, command: ActivateCard) -> Outcome:
    """Take into use the card on which this is printed; it was sent and waited for that."""
    found = [card for card in turn.state.tokens.cards.values() if _bears(card, command.printed)]
    waiting = [card for card in found if card.standing.stage is Stage.NEW]
    if len(waiting) > 1:
        words = f"{len(waiting)} cards bear {command.printed}: type the UID of the one that is meant"
        return Outcome(command, Result.REJECTED, words)
    if not waiting:
        return Outcome(command, Result.REJECTED, _not_waiting(found, command.printed))
    card = waiting[0]
    _keep(turn, replace(card, standing=replace(card.standing, stage=Stage.IN_USE, reason=None)))
    return Outcome(command, Result.ACCEPTED, card.id_token.value)


def _inherited(old: Card, new: Card | None) -> Standing:
    """Return how the new card stands: as the old one did, and as far as it was known already, as it does."""
    known = new.standing if new else Standing(kind=old.standing.kind)
    return replace(
        known,
        kind=CardKind.CARD if old.standing.kind is CardKind.VIRTUAL and new is None else known.kind,
        valid_from=old.standing.valid_from,
        valid_until=old.standing.valid_until,
        replaces=old.id_token,
    )


def _no_exchange(command: ReplaceCard, old: Card | None, new: Card | None) -> str | None:
    """Return why one card cannot take the other's place, None where it can."""
    if command.old.key == command.new.key:
        return f"card {command.new.masked} cannot replace itself"
    if old is None:
        return f"card {command.old.masked} is not known here"
    if old.standing.replaced_by is not None:
        return f"card {command.old.masked} was replaced already, by {old.standing.replaced_by.masked}"
    if new is None:
        return None
    if new.number is not None or new.standing.replaces is not None:
        return f"card {command.new.masked} is another card already: `wallbox-agent cards list` shows it"
    return _final(new)


def _final(card: Card) -> str | None:
    return f"card {card.id_token.masked} {FOR_GOOD}" if card.standing.stage is Stage.DEACTIVATED else None


def _taken(turn: Turn, id_token: IdToken, number: str | None) -> str | None:
    """Return that a number is printed on another card, which is in use; None where it is not."""
    if number is None:
        return None
    cards = (c for c in turn.state.tokens.cards.values() if c.standing.stage is not Stage.DEACTIVATED)
    other = next((c for c in cards if same_number(c.number, number) and c.id_token.key != id_token.key), None)
    return None if other is None else f"number {number} is that of card {other.id_token.masked} already"


def _bears(card: Card, printed: str) -> bool:
    uid = same_number(card.id_token.value, printed)
    return uid or same_number(card.number, printed) or same_ema_id(card.ema_id, printed)


def _not_waiting(found: list[Card], printed: str) -> str:
    """Return why nothing is activated, for the person who typed."""
    if not found:
        return f"no card with {printed} is known here: compare it with the card, or ask who sent it"
    usable = next((card for card in found if card.standing.stage is not Stage.DEACTIVATED), None)
    return f"card {printed} {FOR_GOOD}" if usable is None else f"card {printed} is active already"


def _find(turn: Turn, id_token: IdToken) -> Card | None:
    return turn.state.tokens.cards.get(id_token.key)


def _keep(turn: Turn, card: Card) -> None:
    _replace_all(turn, {**turn.state.tokens.cards, card.id_token.key: card})


def _replace_all(turn: Turn, cards: Mapping[str, Card]) -> None:
    turn.state = replace(turn.state, tokens=replace(turn.state.tokens, cards=cards))
