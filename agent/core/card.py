"""What a fleet knows of a card beside its number and its name, and cards on their way to the station; only data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import TypeAlias

from agent.core.instant import Instant
from agent.core.model import IdToken


class CardKind(StrEnum):
    """What carries the identifier: plastic, nothing at all (remote starts), or something else (a car, a key ring)."""

    CARD = "card"
    VIRTUAL = "virtual"
    OTHER = "other"


class Stage(StrEnum):
    """How far a card is in its life, beside a block set here.

    NEW: sent by the central system, starts nothing before it is activated here. BLOCKED: by the central system, which
    may lift it. DEACTIVATED: for good.
    """

    NEW = "new"
    IN_USE = "in-use"
    BLOCKED = "blocked"
    DEACTIVATED = "deactivated"


class Cleared(StrEnum):
    """A limit that was there, and is to be there no more."""

    NONE = "none"


#: A day of the station's calendar, a moment (local where it has no offset), no limit any more, or nothing said.
Limit: TypeAlias = date | datetime | Cleared | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How a card stands.

    valid_from: the first moment; valid_until: the first moment after; both UTC, None without a limit. reason: why it is
    blocked or deactivated, in words. replaces, replaced_by: the cards before and after it. sent: the central system
    sent it.
    """

    kind: CardKind = CardKind.CARD
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    stage: Stage = Stage.IN_USE
    reason: str | None = None
    replaces: IdToken | None = None
    replaced_by: IdToken | None = None
    sent: bool = False

    def retired(self, reason: str | None) -> Standing:
        """Return the standing of a card that is deactivated."""
        return replace(self, stage=Stage.DEACTIVATED, reason=reason)


@dataclass(frozen=True, slots=True)
class SentCard:
    """A card as the central system sends it; stage None: it is taken back.

    A number, EMA-ID or name of None is left as it is here; a limit of None is none.
    """

    id_token: IdToken
    stage: Stage | None = Stage.IN_USE
    number: str | None = None
    ema_id: str | None = None
    name: str | None = None
    kind: CardKind = CardKind.CARD
    reason: str | None = None
    valid_from: date | datetime | None = None
    valid_until: date | datetime | None = None
    replaces: IdToken | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A card that was sent and cannot be taken as it is: whose it would be, where that can be read, and why not."""

    id_token: IdToken | None
    reason: str


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A card that was sent and is not as it was sent; tries: how often it has been sent so far."""

    id_token: IdToken | None
    reason: str
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Distribution:
    """What came of the cards that the central system sent; durable.

    version: of the last message that was taken, 0 before the first; at: when; failed: what is still not taken.
    """

    version: int = 0
    at: Instant | None = None
    failed: tuple[NotTaken, ...] = ()


@dataclass(frozen=True, slots=True)
class HeldCard:
    """A card that the central system sent, as it stands now; blocked: also by somebody here."""

    id_token: IdToken
    stage: Stage
    blocked: bool


@dataclass(frozen=True, slots=True)
class CardsReport:
    """What the central system is told of its cards.

    results: one per card, in the order in which they were sent: None where it is taken, else why not; None where
    nothing was sent. held: all that are here, None where nobody asked.
    """

    version: int
    results: tuple[str | None, ...] | None = None
    held: tuple[HeldCard, ...] | None = None


@dataclass(frozen=True, slots=True)
class Learning:
    """The next card at the reader is only to be told to somebody.

    learner: who asked; until: monotonic second after which nobody is thought to wait any more; held: the card that
    came, which starts nothing until then.
    """

    learner: str
    until: float
    held: IdToken | None = None
