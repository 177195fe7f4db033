"""The messages ``Cards`` and ``GetCards`` of the company link: cards as JSON, the same in every version; no I/O.

A message that is not one is refused whole; a card that cannot be read is one that is not taken. Answers name cards by
their place in the message: no UID leaves the station but of cards that were sent to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from agent.core.card import CardKind, CardsReport, HeldCard, SentCard, Stage, Unreadable
from agent.core.card_ids import day_or_moment, ema_id, number, uid
from agent.core.commands import PushCards
from agent.core.model import IdToken, Profile

VERSION_MOST: Final = 2**63 - 1
TEXT_LENGTH: Final = 100
"""Longest name and reason."""
UPDATES: Final[Mapping[object, bool]] = {"Full": True, "Differential": False}
"""As SendLocalList has them."""

#: Status of a card that is sent -> how far it is in its life; None: it is taken back.
STAGES: Final[Mapping[object, Stage | None]] = {
    "active": Stage.IN_USE,
    "inactive": Stage.NEW,
    "blocked": Stage.BLOCKED,
    "deactivated": Stage.DEACTIVATED,
    "removed": None,
}
STATUSES: Final = {stage: status for status, stage in STAGES.items() if stage is not None}


def sent(content: Mapping[str, object]) -> PushCards:
    """Return the cards that a message brings. Raises: ValueError where it is refused whole."""
    version, update, cards = content.get("version"), content.get("updateType", "Full"), content.get("cards")
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= VERSION_MOST:
        raise ValueError("version must be a whole number, 1 or more")
    if not isinstance(update, str) or update not in UPDATES:
        raise ValueError("updateType must be Full or Differential")
    if not isinstance(cards, list):
        raise ValueError("cards must be a list")  # noqa: TRY004  # the content is at fault, not the caller
    return PushCards(version, UPDATES[update], tuple(_card(card) for card in cards))


def report(told: CardsReport) -> dict[str, object]:
    """Return the data of an answer."""
    document: dict[str, object] = {"version": told.version}
    if told.results is not None:
        document["results"] = [
            {"status": "Taken"} if reason is None else {"status": "Failed", "reason": reason} for reason in told.results
        ]
    if told.held is not None:
        document["cards"] = [_held(card) for card in told.held]
    return document


def _held(card: HeldCard) -> dict[str, object]:
    final = card.stage is Stage.DEACTIVATED
    status = "blocked" if card.blocked and not final else STATUSES[card.stage]
    return {"uid": card.id_token.value, "status": status, "activated": card.stage is not Stage.NEW}


def _card(content: object) -> SentCard | Unreadable:
    """Return one card, or why it cannot be taken, in words that hold no UID."""
    if not isinstance(content, Mapping):
        return Unreadable(None, "a card must be an object")
    id_token = _uid(content, "uid")
    if id_token is None:
        return Unreadable(None, "uid must be a text of 1 to 20 printable ASCII characters")
    try:
        return _read(content, id_token)
    except ValueError as error:
        return Unreadable(id_token, str(error))


def _read(content: Mapping[str, object], id_token: IdToken) -> SentCard:
    """Return a card whose UID is known. Raises: ValueError."""
    profile = content.get("profile")
    if profile is not None and profile != Profile.FLEET.value:
        raise ValueError("profile must be fleet: private cards are made at the station")
    replaces = _uid(content, "replaces")
    if replaces is None and content.get("replaces") is not None:
        raise ValueError("replaces must be the uid of a card")
    printed, contract = _text(content, "number"), _text(content, "emaId")
    return SentCard(
        id_token,
        stage=_stage(content.get("status", "active")),
        number=None if printed is None else number(printed),
        ema_id=None if contract is None else ema_id(contract),
        name=_text(content, "name"),
        kind=_kind(content.get("kind", CardKind.CARD.value)),
        reason=_text(content, "reason"),
        valid_from=_limit(content, "validFrom"),
        valid_until=_limit(content, "validTo"),
        replaces=replaces,
    )


def _stage(status: object) -> Stage | None:
    if not isinstance(status, str) or status.lower() not in STAGES:
        raise ValueError(f"status must be one of {', '.join(str(name) for name in STAGES)}")
    return STAGES[status.lower()]


def _kind(kind: object) -> CardKind:
    try:
        return CardKind(str(kind).lower())
    except ValueError as error:
        raise ValueError(f"kind must be one of {', '.join(CardKind)}") from error


def _uid(content: Mapping[str, object], name: str) -> IdToken | None:
    text = content.get(name)
    try:
        return uid(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _text(content: Mapping[str, object], name: str) -> str | None:
    """Return a text, None where there is none. Raises: ValueError for one that is no line."""
    text = content.get(name)
    if text is None:
        return None
    if not isinstance(text, str) or not text.isprintable() or len(text) > TEXT_LENGTH:
        raise ValueError(f"{name} must be one line of at most {TEXT_LENGTH} characters")
    return text.strip() or None


def _limit(content: Mapping[str, object], name: str) -> date | datetime | None:
    text = content.get(name)
    if text is None:
        return None
    found = day_or_moment(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{name} must be a day like 2026-12-31, or a moment like 2026-12-31T18:00:00Z")
    return found
