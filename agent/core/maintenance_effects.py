"""Effects of maintenance: what the shells fetch, look at, install and upload. Each ends in its event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from agent.core.commands import CallRef
from agent.core.facts import FirmwareTold, LogTold
from agent.core.maintenance_commands import Signing, UpdateFirmware, UploadLog


@dataclass(frozen=True, slots=True)
class FetchFirmware:
    """Fetch a job's image; what is there of it already need not be fetched again."""

    job: int
    location: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckCertificate:
    """See whether a manufacturer's root has signed the order's certificate."""

    call: CallRef
    order: UpdateFirmware


@dataclass(frozen=True, slots=True)
class CheckSignature:
    """See whether a job's image is what its signature says."""

    job: int
    signing: Signing


@dataclass(frozen=True, slots=True)
class InstallFirmware:
    """Put a job's image where the next start finds it."""

    job: int


@dataclass(frozen=True, slots=True)
class KeepFirmware:
    """The firmware that runs has proven itself: it stays."""


@dataclass(frozen=True, slots=True)
class RevertFirmware:
    """The firmware that runs has not proven itself: the next start takes the one before."""


@dataclass(frozen=True, slots=True)
class DropFirmware:
    """Nothing of an image that was, or is being, fetched is needed any more."""


@dataclass(frozen=True, slots=True)
class SendLog:
    """Upload a job's file, instead of what was being uploaded."""

    job: int
    order: UploadLog
    name: str


@dataclass(frozen=True, slots=True)
class SendNotice:
    """Send how a job stands out of turn, because somebody asked for it; origin: of that command."""

    told: FirmwareTold | LogTold
    origin: str


MaintenanceEffect: TypeAlias = (
    FetchFirmware
    | CheckCertificate
    | CheckSignature
    | InstallFirmware
    | KeepFirmware
    | RevertFirmware
    | DropFirmware
    | SendLog
    | SendNotice
)
