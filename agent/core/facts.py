"""Facts: what happened, kept for good and reported. They outlive releases.

Each fact of a session carries ``seq``, gapless from 0. A stored fact has a schema number (``SCHEMA``)
beside it, so that a later release can read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from agent.core.booking import Booked
from agent.core.instant import Instant
from agent.core.model import (
    EvseId,
    IdToken,
    Profile,
    Quality,
    Reading,
    ReadingContext,
    Reporting,
    SessionId,
    StopReason,
    Wh,
)
from agent.core.security_model import SecurityEventKind
from agent.core.tariff import Cost, Terms

SCHEMA = 1


class StartTrigger(StrEnum):
    """What began a session."""

    CARD = "card"
    REMOTE = "remote"
    INSTALLER = "installer"


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A session began; durable before any power flows.

    at: when the right to charge and the plugged car came together; reading: the register then.
    reporting, company_code, terms: what holds for this session until its end, whatever changes. booked: the reservation
    it used, None without one.
    """

    session: SessionId
    seq: int
    evse: EvseId
    id_token: IdToken
    profile: Profile
    trigger: StartTrigger
    at: Instant
    reading: Reading
    reporting: Reporting
    company_code: str | None
    terms: Terms | None
    booked: Booked | None = None


@dataclass(frozen=True, slots=True)
class SessionSampled:
    """The meter's values while a session runs, at an interval or at a price boundary."""

    session: SessionId
    seq: int
    evse: EvseId
    context: ReadingContext
    reading: Reading


@dataclass(frozen=True, slots=True)
class MeterSampled:
    """The values of a connector's meter while it has no session.

    context: CLOCK for what is told at even times of the day; OTHER for what is noted for the balance alone.
    anew: the register does not go on from the one before (another meter, a reset, an impossible jump).
    """

    evse: EvseId
    context: ReadingContext
    reading: Reading
    anew: bool = False


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session is over.

    at: when its cause came; register: the meter then, or the last good one (see quality).
    id_token: who ended it, where a token did. refund: currency units with two places, None where nobody refunds.
    reading: all that the meter told at the end, None where it told nothing then.
    """

    session: SessionId
    seq: int
    evse: EvseId
    at: Instant
    register: Wh
    reason: StopReason
    id_token: IdToken | None
    quality: tuple[Quality, ...]
    periods: tuple[Period, ...] = ()
    cost: Cost | None = None
    refund: Decimal | None = None
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of a session at one energy price: where it began, the energy in it, and the time that counts.

    price: 0 where energy is free, and where its price is not known (the session has no cost then).
    """

    start: Instant
    energy: Wh
    price: Decimal
    charging_ms: int = 0
    parking_ms: int = 0


@dataclass(frozen=True, slots=True)
class HeldReleased:
    """The company of this code took the station in (or its system knows no companies): what waited may leave."""

    company_code: str


@dataclass(frozen=True, slots=True)
class HeldDropped:
    """The company of this code refused the station, or was left: what waited for it stays here for ever."""

    company_code: str


class FirmwareStatus(StrEnum):
    """How an update stands, in the words of the security whitepaper; plain updates have a part of them."""

    IDLE = "Idle"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    SIGNATURE_VERIFIED = "SignatureVerified"
    INVALID_SIGNATURE = "InvalidSignature"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALLING = "Installing"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLED = "Installed"


class LogStatus(StrEnum):
    """How an upload stands, in the words of the security whitepaper."""

    IDLE = "Idle"
    UPLOADING = "Uploading"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    BAD_MESSAGE = "BadMessage"
    PERMISSION_DENIED = "PermissionDenied"
    NOT_SUPPORTED = "NotSupportedOperation"


@dataclass(frozen=True, slots=True)
class FirmwareTold:
    """A step of an update; signed: by the whitepaper's messages, where ``request`` is the asker's number."""

    status: FirmwareStatus
    signed: bool
    request: int | None
    at: Instant


@dataclass(frozen=True, slots=True)
class LogTold:
    """A step of an upload; signed, request: as in ``FirmwareTold``."""

    status: LogStatus
    signed: bool
    request: int | None
    at: Instant


@dataclass(frozen=True, slots=True)
class SecurityEventRaised:
    """Something that central systems want to know for their security; info: in words, at most 255 characters."""

    kind: SecurityEventKind
    at: Instant
    info: str | None


Fact: TypeAlias = (
    SessionStarted
    | SessionSampled
    | SessionEnded
    | MeterSampled
    | HeldReleased
    | HeldDropped
    | FirmwareTold
    | LogTold
    | SecurityEventRaised
)
