"""Firmware updates and log uploads under way, as data; what was ordered, how far it has come, and when it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.core.facts import FirmwareStatus
from agent.core.maintenance_commands import UpdateFirmware, UploadLog


class Stage(StrEnum):
    """How far an update has come. DRAINING: sessions are waited for; TRIAL: the new firmware has to prove itself."""

    SCHEDULED = "scheduled"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    INSTALL_SCHEDULED = "install-scheduled"
    DRAINING = "draining"
    INSTALLING = "installing"
    TRIAL = "trial"


HOLDING: Final = frozenset({Stage.DRAINING, Stage.INSTALLING})
"""Stages in which no session begins."""
COMMITTED: Final = frozenset({Stage.INSTALLING, Stage.TRIAL})
"""Stages in which an update cannot be called off."""


@dataclass(frozen=True, slots=True)
class FirmwareJob:
    """An update; number: its name towards the shells, never used again; failures: tries to fetch it that failed."""

    number: int
    order: UpdateFirmware
    stage: Stage
    failures: int = 0


@dataclass(frozen=True, slots=True)
class UploadJob:
    """An upload; name: of the file; failures: tries that failed."""

    number: int
    order: UploadLog
    name: str
    failures: int = 0


@dataclass(frozen=True, slots=True)
class FirmwareNews:
    """The last status of an update that was told."""

    status: FirmwareStatus
    request: int | None = None


@dataclass(frozen=True, slots=True)
class Jobs:
    """What a restart must find again; durable. count: the number of the last job."""

    firmware: FirmwareJob | None = None
    upload: UploadJob | None = None
    told: FirmwareNews | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Maintenance:
    """The jobs, and when (monotonic) each goes on by itself, None where it waits for something else.

    proven: the firmware that runs has been accepted by a central system since the start.
    """

    jobs: Jobs = Jobs()
    firmware_due: float | None = None
    upload_due: float | None = None
    proven: bool = False

    @property
    def holds(self) -> bool:
        """No session may begin: firmware is about to be installed."""
        return self.jobs.firmware is not None and self.jobs.firmware.stage in HOLDING
