"""Events: what came in from devices, central systems, the installer and the clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from agent.core.commands import CallRef, Command
from agent.core.company import LinkAnswer
from agent.core.maintenance_events import MaintenanceEvent
from agent.core.model import EvseId, EvseReading, IdToken, Reading, Registration, SessionId, TokenInfo
from agent.core.security_events import SecurityNews


@dataclass(frozen=True, slots=True)
class CardPresented:
    """One physical touch of a card, already debounced."""

    id_token: IdToken


@dataclass(frozen=True, slots=True)
class ReaderChanged:
    """The card reader works (error None) or does not."""

    error: str | None


@dataclass(frozen=True, slots=True)
class LedgerChanged:
    """The ledger takes what happens (error None), or does not: then nothing new may begin."""

    error: str | None


@dataclass(frozen=True, slots=True)
class MeterRead:
    """A complete, well-formed answer of the meter; the core judges whether it is plausible."""

    evse: EvseId
    reading: Reading


@dataclass(frozen=True, slots=True)
class MeterFailed:
    """A poll of the meter brought nothing usable."""

    evse: EvseId
    error: str


@dataclass(frozen=True, slots=True)
class EvseRead:
    """A complete answer of the EVSE controller."""

    evse: EvseId
    reading: EvseReading


@dataclass(frozen=True, slots=True)
class EvseFailed:
    """A poll of, or a command to, the controller failed."""

    evse: EvseId
    error: str


@dataclass(frozen=True, slots=True)
class LockMoved:
    """The lock of a socket was to open, and did or did not; call: who asked, None where the station did."""

    evse: EvseId
    call: CallRef | None
    opened: bool


@dataclass(frozen=True, slots=True)
class CloudChanged:
    """The link to the commanding central system came or went, or its registration changed.

    registration None: not yet answered on this run of the station. profile: the security profile of the connection.
    """

    connected: bool
    registration: Registration | None
    profile: int | None = None


@dataclass(frozen=True, slots=True)
class AuthorizationAnswered:
    """The central system's verdict; info None: it answered with an error, not at all, or the link went."""

    request: int
    info: TokenInfo | None


@dataclass(frozen=True, slots=True)
class StartAnswered:
    """The commanding system took a session's start.

    transaction: its name for the session; None where the start was given up.
    """

    session: SessionId
    transaction: int | str | None
    id_token: IdToken
    info: TokenInfo | None


@dataclass(frozen=True, slots=True)
class TokenTold:
    """A verdict about a token that came along with something else, for the cache."""

    id_token: IdToken
    info: TokenInfo


class LinkFailure(StrEnum):
    """Why LinkCompany has no answer."""

    UNSUPPORTED = "unsupported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LinkAnswered:
    """What became of LinkCompany for this code."""

    code: str
    answer: LinkAnswer | LinkFailure


@dataclass(frozen=True, slots=True)
class UnlinkTold:
    """The central system has heard that the company of this code was left."""

    code: str


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """Somebody asks for something and waits for the answer."""

    call: CallRef
    command: Command


@dataclass(frozen=True, slots=True)
class Ticked:
    """A deadline of the state has come."""


@dataclass(frozen=True, slots=True)
class ClockStepped:
    """The wall clock was set, by so many seconds; durations do not change, plans by the wall clock do."""

    by_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """The process shall end (SIGTERM); running sessions stay open and are resumed."""


StationEvent: TypeAlias = (
    CardPresented
    | ReaderChanged
    | LedgerChanged
    | MeterRead
    | MeterFailed
    | EvseRead
    | EvseFailed
    | LockMoved
    | CloudChanged
    | AuthorizationAnswered
    | StartAnswered
    | TokenTold
    | LinkAnswered
    | UnlinkTold
    | CommandReceived
    | Ticked
    | ClockStepped
    | ShutdownRequested
)
Event: TypeAlias = StationEvent | MaintenanceEvent | SecurityNews
