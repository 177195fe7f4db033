"""Cards known locally: added, blocked, unblocked and removed by the installer (contract, section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.core.commands import BlockCard, Outcome, PutCard, RemoveCard, Result, UnblockCard
from agent.core.model import IdToken
from agent.core.state import Card
from agent.core.turn import Turn


def put(turn: Turn, command: PutCard) -> Outcome:
    """Know a card, or change what is known of it; a block stays."""
    old = turn.state.tokens.cards.get(command.id_token.key)
    card = Card(
        command.id_token, command.profile, command.number, command.ema_id, command.name, old.blocked if old else None
    )
    _keep(turn, {**turn.state.tokens.cards, command.id_token.key: card})
    return Outcome(command, Result.ACCEPTED)


def block(turn: Turn, command: BlockCard) -> Outcome:
    """Never let a card start again; one that was not known becomes known by it."""
    card = turn.state.tokens.cards.get(command.id_token.key, Card(command.id_token))
    blocked = replace(card, blocked=command.reason or "")
    _keep(turn, {**turn.state.tokens.cards, command.id_token.key: blocked})
    return Outcome(command, Result.ACCEPTED)


def unblock(turn: Turn, command: UnblockCard) -> Outcome:
    """Lift a local block."""
    card = _find(turn, command.id_token)
    if card is None or card.blocked is None:
        return Outcome(command, Result.REJECTED, f"card {command.id_token.masked} is not blocked here")
    _keep(turn, {**turn.state.tokens.cards, card.id_token.key: replace(card, blocked=None)})
    return Outcome(command, Result.ACCEPTED)


def remove(turn: Turn, command: RemoveCard) -> Outcome:
    """Forget a card."""
    if _find(turn, command.id_token) is None:
        return Outcome(command, Result.REJECTED, f"card {command.id_token.masked} is not known here")
    _keep(turn, {k: c for k, c in turn.state.tokens.cards.items() if k != command.id_token.key})
    return Outcome(command, Result.ACCEPTED)


def _find(turn: Turn, id_token: IdToken) -> Card | None:
    return turn.state.tokens.cards.get(id_token.key)


def _keep(turn: Turn, cards: Mapping[str, Card]) -> None:
    turn.state = replace(turn.state, tokens=replace(turn.state.tokens, cards=cards))
