"""Events of maintenance: what the shells made of a transfer, a signature, an installation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.commands import CallRef
from agent.core.facts import LogStatus
from agent.core.maintenance_commands import UpdateFirmware


@dataclass(frozen=True, slots=True)
class FirmwareFetched:
    """A try to fetch a job's image ended; whole: it is there."""

    job: int
    whole: bool


@dataclass(frozen=True, slots=True)
class CertificateChecked:
    """The signing certificate of an order was looked at; trusted: a manufacturer's root has signed it."""

    call: CallRef
    order: UpdateFirmware
    trusted: bool


@dataclass(frozen=True, slots=True)
class SignatureChecked:
    """The signature over a job's image was looked at."""

    job: int
    genuine: bool


@dataclass(frozen=True, slots=True)
class FirmwareInstalled:
    """A job's image is in place, to run from the next start on; version: what it says it is.

    None: it could not be installed, or where ``faulty`` what was installed does not work.
    """

    job: int
    version: str | None
    faulty: bool = False


@dataclass(frozen=True, slots=True)
class LogUploaded:
    """A try to upload a job's file ended: UPLOADED, or what was wrong."""

    job: int
    status: LogStatus


MaintenanceEvent: TypeAlias = FirmwareFetched | CertificateChecked | SignatureChecked | FirmwareInstalled | LogUploaded
