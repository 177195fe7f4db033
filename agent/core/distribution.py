"""Cards that the central system sends to the station: each is taken or not, with the reason, and can be sent again.

What was set here wins: a block stays, a private card stays private and unknown to the central system, and a card that
was deactivated stays so, whoever did it. Source: this project (contract, sections 3 to 5).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final
from zoneinfo import ZoneInfo

from agent.core.card import CardsReport, Distribution, HeldCard, NotTaken, SentCard, Stage, Standing, Unreadable
from agent.core.commands import GetCards, Outcome, PushCards, Result
from agent.core.company import LinkState
from agent.core.model import IdToken, Profile
from agent.core.state import Card
from agent.core.turn import Turn
from agent.core.validity import first_moment, is_reversed, last_moment

MOST: Final = 1000
"""Cards that a station takes, and that one message may bring; a home has a handful."""
NOT_OURS: Final = "what this card may do here is decided at the station"
"""Nothing more is told of a private card, not even that it is one (promise 11)."""
FOR_GOOD: Final = "the card was deactivated for good"
TWICE: Final = "the card stands in the message twice"
FULL: Final = f"the station keeps at most {MOST} cards"
REVERSED: Final = "validFrom is after validTo"
ITSELF: Final = "the card cannot replace itself"
USED: Final = frozenset({Stage.IN_USE, Stage.BLOCKED})


@dataclass(slots=True)
class _Pile:
    """The cards as they become; seen: keys of those that were looked at."""

    cards: dict[str, Card]
    zone: ZoneInfo
    seen: set[str] = field(default_factory=set)


def take(turn: Turn, command: PushCards) -> Outcome:
    """Take cards, each by itself; the version counts although some were not taken."""
    refusal = _refusal(turn, command)
    if refusal is not None:
        return Outcome(command, Result.REJECTED, refusal)
    tokens = turn.state.tokens
    pile = _Pile(dict(tokens.cards), ZoneInfo(turn.policy.timezone))
    if command.full:
        named = {sent.id_token.key for sent in command.cards if sent.id_token is not None}
        for key in tokens.cards.keys() - named:
            _withdraw(pile, key)
    results = tuple(_result(pile, sent) for sent in command.cards)
    distribution = Distribution(command.version, turn.at, _failed(tokens.distribution, command, results))
    turn.state = replace(turn.state, tokens=replace(tokens, cards=pile.cards, distribution=distribution))
    return Outcome(command, Result.ACCEPTED, cards=CardsReport(command.version, results))


def report(turn: Turn, command: GetCards) -> Outcome:
    """Tell how the cards stand that were sent; of others nothing leaves the station."""
    tokens = turn.state.tokens
    held = tuple(
        HeldCard(card.id_token, card.standing.stage, card.blocked is not None or card.standing.stage is Stage.BLOCKED)
        for card in tokens.cards.values()
        if card.standing.sent and card.profile is not Profile.PRIVATE
    )
    return Outcome(command, Result.ACCEPTED, cards=CardsReport(tokens.distribution.version, held=held))


def _refusal(turn: Turn, command: PushCards) -> str | None:
    """Return why a message is refused whole, None where its cards are looked at."""
    company, current = turn.state.company, turn.state.tokens.distribution.version
    if company.state is LinkState.REJECTED or (company.state is LinkState.NONE and company.left is not None):
        return "the station is not linked to a company"
    if command.version < current:
        return f"version {command.version} is older than {current}, which is here"
    return f"more than {MOST} cards in one message" if len(command.cards) > MOST else None


def _result(pile: _Pile, sent: SentCard | Unreadable) -> str | None:
    """Take one card; returns why not, None where it is taken."""
    if sent.id_token is not None:
        key = sent.id_token.key
        if key in pile.seen:
            return TWICE
        pile.seen.add(key)
        old = pile.cards.get(key)
        if old is not None and old.profile is Profile.PRIVATE:
            return NOT_OURS
    return sent.reason if isinstance(sent, Unreadable) else _place(pile, sent)


def _place(pile: _Pile, sent: SentCard) -> str | None:
    key = sent.id_token.key
    old = pile.cards.get(key)
    if sent.stage is None:
        _withdraw(pile, key)
        return None
    card = _card(pile, old, sent, sent.stage)
    refusal = _no_room(pile, old) or _wrong(old, card) or _retire(pile, card)
    if refusal is None and card != old:
        pile.cards[key] = card
    return refusal


def _card(pile: _Pile, old: Card | None, sent: SentCard, stage: Stage) -> Card:
    """Return a card as it becomes; one that is in use already need not be activated again."""
    before = old or Card(sent.id_token)
    activated = stage is Stage.NEW and before.standing.sent and before.standing.stage in USED
    standing = Standing(
        kind=sent.kind,
        valid_from=first_moment(sent.valid_from, pile.zone),
        valid_until=last_moment(sent.valid_until, pile.zone),
        stage=Stage.IN_USE if activated else stage,
        reason=sent.reason,
        replaces=sent.replaces or before.standing.replaces,
        replaced_by=before.standing.replaced_by,
        sent=True,
    )
    return replace(
        before,
        id_token=sent.id_token,
        number=sent.number or before.number,
        ema_id=sent.ema_id or before.ema_id,
        name=sent.name or before.name,
        standing=standing,
    )


def _no_room(pile: _Pile, old: Card | None) -> str | None:
    if old is not None and old.standing.sent:
        return None
    return FULL if sum(card.standing.sent for card in pile.cards.values()) >= MOST else None


def _wrong(old: Card | None, card: Card) -> str | None:
    """Return what is wrong with a card, None where it can be taken."""
    standing = card.standing
    if old is not None and old.standing.stage is Stage.DEACTIVATED and standing.stage is not Stage.DEACTIVATED:
        return FOR_GOOD
    if standing.replaces is not None and standing.replaces.key == card.id_token.key:
        return ITSELF
    return REVERSED if is_reversed(standing.valid_from, standing.valid_until) else None


def _retire(pile: _Pile, card: Card) -> str | None:
    """Deactivate the card whose place another one takes, where it is here; returns why that cannot be."""
    replaces = card.standing.replaces
    old = None if replaces is None else pile.cards.get(replaces.key)
    if old is None:
        return None
    if old.profile is Profile.PRIVATE:
        return NOT_OURS
    if old.standing.replaced_by is None:
        retired = old.standing
        if retired.stage is not Stage.DEACTIVATED:
            retired = retired.retired("replaced")
        pile.cards[old.id_token.key] = replace(old, standing=replace(retired, replaced_by=card.id_token))
    return None


def _withdraw(pile: _Pile, key: str) -> None:
    """Take back a card that was sent; what somebody here said of it, and that it is out of use for good, stays."""
    card = pile.cards.get(key)
    if card is None or not card.standing.sent:
        return
    final = card.standing.stage is Stage.DEACTIVATED
    if final or card.blocked is not None or card.profile is Profile.PRIVATE:
        stage = card.standing.stage if final else Stage.IN_USE
        pile.cards[key] = replace(card, standing=replace(card.standing, stage=stage, sent=False))
    else:
        del pile.cards[key]


def _failed(before: Distribution, command: PushCards, results: tuple[str | None, ...]) -> tuple[NotTaken, ...]:
    """Return what is not taken by now; a card that was sent again counts its tries."""
    tries = {each.id_token.key: each.tries for each in before.failed if each.id_token is not None}
    named = {sent.id_token.key for sent in command.cards if sent.id_token is not None}
    older = (
        ()
        if command.full
        else tuple(each for each in before.failed if each.id_token is not None and each.id_token.key not in named)
    )
    now = tuple(
        NotTaken(sent.id_token, why, 1 + _tried(tries, sent.id_token))
        for sent, why in zip(command.cards, results, strict=True)
        if why is not None
    )
    return (*older, *now)[-MOST:]


def _tried(tries: dict[str, int], id_token: IdToken | None) -> int:
    return 0 if id_token is None else tries.get(id_token.key, 0)
