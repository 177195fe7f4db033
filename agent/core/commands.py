"""Commands: what a central system or the installer asks, in no version's words, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from agent.core.card import CardKind, CardsReport, Limit, SentCard, Unreadable
from agent.core.charging_commands import ChargingCommand, CompositeSchedule
from agent.core.charging_profile import ChargingProfile
from agent.core.company import CompanySettings
from agent.core.maintenance_commands import MaintenanceCommand
from agent.core.model import EvseId, IdToken, Profile, TokenInfo
from agent.core.payment import Payment
from agent.core.prices import PriceBlock
from agent.core.reservation_commands import ReservationCommand
from agent.core.security_commands import SecurityCommand
from agent.core.security_model import CertificateHash
from agent.core.settings import Settings, SettingValue
from agent.core.trigger_commands import TriggerCommand


@dataclass(frozen=True, slots=True)
class CallRef:
    """Who waits for the answer: the destination's name (``cloud``, or ``control`` for the CLI) and its message id."""

    origin: str
    message_id: str


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """Start a session for a token; without an EVSE the station chooses when it can. profile: for that session alone."""

    id_token: IdToken
    evse: EvseId | None
    profile: ChargingProfile | None = None


@dataclass(frozen=True, slots=True)
class RemoteStop:
    """End the session that the asking system knows by this transaction id."""

    transaction: int | str


@dataclass(frozen=True, slots=True)
class StopSession:
    """End whatever session runs on this EVSE (the CLI's ``stop``)."""

    evse: EvseId


class ResetKind(StrEnum):
    """How to start again."""

    SOFT = "Soft"
    HARD = "Hard"


@dataclass(frozen=True, slots=True)
class Reset:
    """End sessions in order and start again."""

    kind: ResetKind


@dataclass(frozen=True, slots=True)
class UnlockConnector:
    """Open the connector's lock."""

    evse: EvseId


@dataclass(frozen=True, slots=True)
class ChangeAvailability:
    """Set an EVSE, or 0 for all, in or out of service; kept over restarts."""

    evse: EvseId
    operative: bool


@dataclass(frozen=True, slots=True)
class ClearCache:
    """Forget what central systems said of tokens."""


@dataclass(frozen=True, slots=True)
class ListEntry:
    """What a central system's list says of a token; info None takes it out of the list."""

    id_token: IdToken
    info: TokenInfo | None


@dataclass(frozen=True, slots=True)
class SendLocalList:
    """Replace the local authorisation list (full), or change entries of it, and give it a version."""

    version: int
    entries: tuple[ListEntry, ...]
    full: bool


@dataclass(frozen=True, slots=True)
class GetLocalListVersion:
    """Tell the version of the local list; ``Outcome.list_version`` carries it."""


@dataclass(frozen=True, slots=True)
class GetSettings:
    """Read settings; the answer carries them all, the version's table picks."""

    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """Change one setting; the value is already of the right type and in range."""

    name: str
    value: SettingValue


@dataclass(frozen=True, slots=True)
class ResetSetting:
    """Drop a changed setting so that the configuration file's value holds again."""

    name: str


@dataclass(frozen=True, slots=True)
class PushCompanySettings:
    """The company's settings, sent by the central system (contract section 5)."""

    settings: CompanySettings


@dataclass(frozen=True, slots=True)
class PushCompanyLink:
    """A pending link is activated or ended by the company."""

    status: str
    name: str | None = None
    reason: str | None = None
    settings: CompanySettings | None = None


@dataclass(frozen=True, slots=True)
class PushPayment:
    """The central system confirms that a month was paid."""

    payment: Payment


@dataclass(frozen=True, slots=True)
class LinkCompany:
    """Link the station to a company (the CLI's ``link``)."""

    code: str


@dataclass(frozen=True, slots=True)
class UnlinkCompany:
    """Leave the company at once."""


@dataclass(frozen=True, slots=True)
class PutCard:
    """Know a card locally, or change what is known of it; what is None is left as it is."""

    id_token: IdToken
    profile: Profile
    number: str | None = None
    ema_id: str | None = None
    name: str | None = None
    kind: CardKind | None = None
    valid_from: Limit = None
    valid_until: Limit = None


@dataclass(frozen=True, slots=True)
class BlockCard:
    """Never let this card start again, until unblocked."""

    id_token: IdToken
    reason: str | None


@dataclass(frozen=True, slots=True)
class UnblockCard:
    """Lift a local block."""

    id_token: IdToken


@dataclass(frozen=True, slots=True)
class RemoveCard:
    """Forget a card known locally."""

    id_token: IdToken


@dataclass(frozen=True, slots=True)
class DeactivateCard:
    """Never let this card start again, and never ask anybody about it again."""

    id_token: IdToken
    reason: str | None


@dataclass(frozen=True, slots=True)
class ReplaceCard:
    """Let a new card take a known one's place, which is deactivated; number: printed on the new one, None: the same."""

    old: IdToken
    new: IdToken
    number: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ActivateCard:
    """Take a card that was sent into use; printed: its number, EMA-ID or UID. ``Outcome.reason`` is its UID."""

    printed: str


@dataclass(frozen=True, slots=True)
class LearnCard:
    """Tell ``learner`` the card that is held to the reader next, which starts nothing; asked again until it is there.

    The result is SCHEDULED while nobody holds a card; then ACCEPTED, and ``Outcome.reason`` is its UID.
    """

    learner: str


@dataclass(frozen=True, slots=True)
class StopLearning:
    """``learner`` waits for a card no more."""

    learner: str


@dataclass(frozen=True, slots=True)
class PushCards:
    """The central system sends cards: all of its cards (full), or some; ``Outcome.cards`` tells what came of each."""

    version: int
    full: bool
    cards: tuple[SentCard | Unreadable, ...]


@dataclass(frozen=True, slots=True)
class GetCards:
    """Tell how the cards stand that the central system sent; ``Outcome.cards`` carries them."""


CardCommand: TypeAlias = (
    PutCard
    | BlockCard
    | UnblockCard
    | RemoveCard
    | DeactivateCard
    | ReplaceCard
    | ActivateCard
    | LearnCard
    | StopLearning
    | PushCards
    | GetCards
)


@dataclass(frozen=True, slots=True)
class PushDayAheadPrices:
    """The central system sends prices by the hour."""

    prices: PriceBlock


StationCommand: TypeAlias = (
    RemoteStart
    | RemoteStop
    | StopSession
    | Reset
    | UnlockConnector
    | ChangeAvailability
    | ClearCache
    | SendLocalList
    | GetLocalListVersion
    | GetSettings
    | ChangeSetting
    | ResetSetting
    | PushCompanySettings
    | PushCompanyLink
    | PushDayAheadPrices
    | PushPayment
    | LinkCompany
    | UnlinkCompany
)
Command: TypeAlias = (
    StationCommand
    | CardCommand
    | ChargingCommand
    | ReservationCommand
    | TriggerCommand
    | MaintenanceCommand
    | SecurityCommand
)


class Result(StrEnum):
    """What came of a command; each version has its own words for it."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SCHEDULED = "scheduled"
    RESTART_REQUIRED = "restart-required"
    NOT_SUPPORTED = "not-supported"
    VERSION_MISMATCH = "version-mismatch"
    FAILED = "failed"
    NOT_FOUND = "not-found"
    UNLOCKED = "unlocked"
    UNLOCK_FAILED = "unlock-failed"
    OCCUPIED = "occupied"
    FAULTED = "faulted"
    UNAVAILABLE = "unavailable"
    ACCEPTED_CANCELED = "accepted-canceled"
    INVALID_CERTIFICATE = "invalid-certificate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command.

    reason: for the person who asked, why not, or what was asked for; None when there is nothing to say. settings: for
    GetSettings; list_version: for GetLocalListVersion, -1 where the list is switched off, 0 while it is empty; cards:
    for PushCards and GetCards; schedule: for GetCompositeSchedule; file: name of the file that UploadLog uploads;
    certificates: for GetCertificates.
    """

    command: Command
    result: Result
    reason: str | None = None
    settings: Settings | None = field(default=None)
    list_version: int | None = None
    cards: CardsReport | None = None
    schedule: CompositeSchedule | None = None
    file: str | None = None
    certificates: tuple[CertificateHash, ...] = ()
