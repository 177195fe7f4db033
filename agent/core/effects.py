"""Effects: what the shells must do after a step.

Safety effects never wait for the disk; the others come after the commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.commands import CallRef, Outcome
from agent.core.instant import Instant
from agent.core.maintenance_effects import MaintenanceEffect
from agent.core.model import ConnectorStatus, ErrorCode, EvseId, IdToken, MilliAmp, Reading
from agent.core.security_commands import SecurityCommand
from agent.core.security_model import SecurityEventKind
from agent.core.trigger_commands import Trigger


@dataclass(frozen=True, slots=True)
class Deenergise:
    """Offer no current on this EVSE, at once."""

    evse: EvseId


@dataclass(frozen=True, slots=True)
class Reduce:
    """Offer at most this current, at once."""

    evse: EvseId
    limit: MilliAmp


SafetyEffect: TypeAlias = Deenergise | Reduce


@dataclass(frozen=True, slots=True)
class Energise:
    """Offer this current; only ever follows the commit that made the session's start durable."""

    evse: EvseId
    limit: MilliAmp


@dataclass(frozen=True, slots=True)
class Unlock:
    """Open the lock of a socket; what becomes of it comes back as LockMoved with the same call."""

    evse: EvseId
    call: CallRef | None = None


@dataclass(frozen=True, slots=True)
class PollMeter:
    """Read this EVSE's meter now, before the next turn of the poll."""

    evse: EvseId


@dataclass(frozen=True, slots=True)
class AskCsms:
    """Ask the central system about a token; the answer comes back as AuthorizationAnswered with the same request."""

    request: int
    id_token: IdToken


@dataclass(frozen=True, slots=True)
class ReportStatus:
    """A connector (or 0, the station) shows another status; listening systems are told, the newest first to count."""

    evse: EvseId
    status: ConnectorStatus
    error_code: ErrorCode
    at: Instant
    info: str | None = None


@dataclass(frozen=True, slots=True)
class ReportTriggered:
    """Send the latest values of an EVSE because the central system asked for them.

    origin: of the command that asks for them; nobody else is sent them. transaction: the asker's name for the session,
    None without one, or while it has none.
    """

    origin: str
    evse: EvseId
    transaction: int | str | None
    reading: Reading


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command; rows of the same step are sent only after it."""

    call: CallRef
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SendTriggered:
    """Send a message that needs nothing of the core (boot, heartbeat, what is shown) out of turn.

    origin: of the command that asks for it; nobody else is sent it. evse: None for the station and every EVSE.
    """

    origin: str
    trigger: Trigger
    evse: EvseId | None = None


@dataclass(frozen=True, slots=True)
class SendCompanyLink:
    """Send LinkCompany for this code; the answer comes back as LinkAnswered."""

    code: str


@dataclass(frozen=True, slots=True)
class SendCompanyUnlink:
    """Send UnlinkCompany for the code that was left."""

    code: str


@dataclass(frozen=True, slots=True)
class Entrust:
    """Carry out a command about keys and certificates; what came of it comes back as Entrusted."""

    call: CallRef
    command: SecurityCommand


@dataclass(frozen=True, slots=True)
class KeepSecurityEvent:
    """Write a security event into the station's own log."""

    kind: SecurityEventKind
    at: Instant
    info: str | None


@dataclass(frozen=True, slots=True)
class MakeRequest:
    """Make a key and a request for a certificate in the operator's name; comes back as RequestMade."""

    organisation: str


@dataclass(frozen=True, slots=True)
class SendRequest:
    """Have a request (PEM) signed by the central system; the answer comes back as RequestAnswered."""

    csr: str


@dataclass(frozen=True, slots=True)
class ClearRequest:
    """Forget the key of the last request, which nobody signs."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """End the connection in order, and open another one with what holds now; why: in words."""

    why: str


@dataclass(frozen=True, slots=True)
class Indicate:
    """Tell the person at the charger, and the log, what became of a card or a start."""

    evse: EvseId | None
    text: str
    accepted: bool


@dataclass(frozen=True, slots=True)
class Restart:
    """End the process in order, and start again."""

    hard: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process in order."""


Effect: TypeAlias = (
    Energise
    | Unlock
    | PollMeter
    | AskCsms
    | ReportStatus
    | ReportTriggered
    | Answer
    | SendTriggered
    | SendCompanyLink
    | SendCompanyUnlink
    | Entrust
    | KeepSecurityEvent
    | MakeRequest
    | SendRequest
    | ClearRequest
    | Reconnect
    | Indicate
    | Restart
    | Stop
    | MaintenanceEffect
)
