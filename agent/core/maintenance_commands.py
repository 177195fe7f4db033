"""Commands of maintenance: firmware to be fetched and installed, logs to be uploaded; in no version's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias


class LogKind(StrEnum):
    """Which log: a support bundle, or the security events."""

    DIAGNOSTICS = "diagnostics"
    SECURITY = "security"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a transfer that failed is tried again, and after how many seconds each time."""

    count: int
    interval_s: int


@dataclass(frozen=True, slots=True)
class Signing:
    """What proves an image: the certificate that signed it (PEM), the signature (base64), and the asker's number.

    install_at: UTC, None for as soon as it is there.
    """

    request: int
    certificate: str
    signature: str
    install_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UpdateFirmware:
    """Fetch an image from this URL, at this time (UTC) at the earliest, and install it; signing None: unsigned.

    The URL may hold a password.
    """

    location: str = field(repr=False)
    retrieve_at: datetime
    retries: Retries
    signing: Signing | None = None


@dataclass(frozen=True, slots=True)
class UploadLog:
    """Upload a log to this URL; since, until: UTC, the part that is asked for, None for no limit.

    request: the asker's number, None where it gives none (GetDiagnostics). The URL may hold a password.
    """

    kind: LogKind
    location: str = field(repr=False)
    retries: Retries
    request: int | None = None
    since: datetime | None = None
    until: datetime | None = None


MaintenanceCommand: TypeAlias = UpdateFirmware | UploadLog
