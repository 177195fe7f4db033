"""What differs between OCPP versions, and nothing else: requests from facts, events from answers, commands from CALLs.

A version is a package with a module for each of the three protocols here; ``negotiate`` puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from agent.core.commands import Command, Outcome
from agent.core.company import Company
from agent.core.effects import ReportStatus
from agent.core.facts import Fact, FirmwareTold, LogTold
from agent.core.instant import Instant, TimeStatus
from agent.core.model import IdToken, Reading, Registration, TokenInfo
from agent.core.security_model import SecurityView
from agent.core.settings import Settings
from agent.ocpp.rpc import Incoming, JsonObject
from agent.ports import OutboxRow


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the central system."""

    action: str
    payload: JsonObject


@dataclass(frozen=True, slots=True)
class Skip:
    """The version has no message for the fact, or nothing to say in it."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """The message needs what the central system has still to tell: the name of the transaction."""


Encoded: TypeAlias = Call | Skip | NotYet


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the station says it is at BootNotification; None is left out, what is too long for the version is cut off."""

    vendor: str
    model: str
    firmware: str
    serial_number: str | None = None
    meter_type: str | None = None
    meter_serial: str | None = None


@dataclass(frozen=True, slots=True)
class StationView:
    """What a version's tables need to know of the station.

    connectors: how many, numbered from 1; settings: as they count now, with the central system's heartbeat interval;
    has_lock: one of them is a socket whose lock the station opens; updatable: firmware can be installed; security: what
    there is to connect with.
    """

    connectors: int
    settings: Settings
    company: Company
    has_lock: bool = False
    updatable: bool = False
    security: SecurityView = SecurityView()


@dataclass(frozen=True, slots=True)
class Immediate:
    """A CALL that is answered without the core."""

    payload: JsonObject


@dataclass(frozen=True, slots=True)
class Booted:
    """The answer to BootNotification.

    time: the central system's clock, None where it cannot be read; interval_s: 0 where the station shall choose.
    """

    registration: Registration
    time: datetime | None
    interval_s: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to a fact's message.

    transaction: the name given to the session by the answer to its start; info: the verdict that came along about
    ``id_token``.
    """

    transaction: int | str | None = None
    id_token: IdToken | None = None
    info: TokenInfo | None = None


class TransferStatus(StrEnum):
    """What became of a DataTransfer, in the words of all versions."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_MESSAGE_ID = "UnknownMessageId"
    UNKNOWN_VENDOR_ID = "UnknownVendorId"


@dataclass(frozen=True, slots=True)
class Transferred:
    """The answer to DataTransfer; data: None where there was none."""

    status: TransferStatus
    data: str | None


class Requests(Protocol):
    """Requests of the station."""

    def boot(self, identity: Identity) -> Call:
        """Return BootNotification."""
        ...

    def heartbeat(self) -> Call:
        """Return Heartbeat."""
        ...

    def status(self, report: ReportStatus, at: datetime) -> Call:
        """Return StatusNotification; at: when it came to be, by the clock as it is known now."""
        ...

    def authorize(self, id_token: IdToken) -> Call:
        """Return Authorize."""
        ...

    def transfer(self, vendor: str, message: str, data: str) -> Call:
        """Return DataTransfer."""
        ...

    def triggered(self, evse: int, reading: Reading, transaction: int | str | None, settings: Settings) -> Call:
        """Return MeterValues with the latest values; never without any."""
        ...

    def notice(self, told: FirmwareTold | LogTold) -> Call:
        """Return the message that tells how an update or an upload stands."""
        ...

    def sign(self, csr: str) -> Call:
        """Return the request to have a certificate of the station signed; csr: PEM."""
        ...

    def encode(self, row: OutboxRow, settings: Settings) -> Encoded:
        """Return the message of a fact."""
        ...


class Results(Protocol):
    """Answers of the central system; what cannot be used raises ValueError, in words that hold none of the content."""

    def booted(self, result: JsonObject) -> Booted:
        """Read the answer to BootNotification."""
        ...

    def told_time(self, result: JsonObject) -> datetime | None:
        """Read the answer to Heartbeat: UTC, None where there is no time in it."""
        ...

    def verdict(self, result: JsonObject) -> TokenInfo:
        """Read the answer to Authorize."""
        ...

    def taken(self, fact: Fact, result: JsonObject) -> Taken:
        """Read the answer to a fact's message; that of a start must name the transaction."""
        ...

    def transferred(self, result: JsonObject) -> Transferred:
        """Read the answer to DataTransfer."""
        ...

    def signing(self, result: JsonObject) -> bool:
        """Read the answer to the request for a certificate: whether it is going to be signed."""
        ...


class Commands(Protocol):
    """Requests of the central system."""

    def decode(self, call: Incoming, station: StationView) -> Command | Immediate:
        """Return what is asked for. Raises: RpcError with this version's code."""
        ...

    def answer(self, command: Command, outcome: Outcome, station: StationView) -> JsonObject:
        """Return the answer to a command that ``decode`` returned; valid for every outcome."""
        ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One version: its subprotocol (``ocpp1.6``) and its three parts."""

    subprotocol: str
    requests: Requests
    results: Results
    commands: Commands


def stamp(at: datetime) -> str:
    """Return a time as all versions write it: RFC 3339, UTC with Z, milliseconds."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: object) -> Instant | None:
    """Return the moment that a central system wrote, None where it is no time; one without zone is UTC.

    It has no monotonic side: it is compared by the wall clock alone.
    """
    if not isinstance(text, str):
        return None
    try:
        wall = datetime.fromisoformat(text.strip().upper())
        wall = wall.replace(tzinfo=UTC) if wall.tzinfo is None else wall.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Instant(0.0, wall, TimeStatus.INFORMATIVE, boot=0)


def member(content: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return an object inside an object, an empty one where it is missing or something else."""
    inside = content.get(name)
    return inside if isinstance(inside, dict) else {}
