"""Firmware and logs in the core: which block takes what was asked for, what came in, and what is due."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from agent.core import firmware, uploads
from agent.core.commands import CallRef, Outcome
from agent.core.maintenance_commands import MaintenanceCommand, UpdateFirmware, UploadLog
from agent.core.maintenance_events import (
    CertificateChecked,
    FirmwareFetched,
    FirmwareInstalled,
    LogUploaded,
    MaintenanceEvent,
    SignatureChecked,
)
from agent.core.maintenance_state import Maintenance
from agent.core.turn import Turn


def perform(turn: Turn, call: CallRef, command: MaintenanceCommand) -> Outcome | None:
    """Carry out a command; None: its answer follows."""
    match command:
        case UpdateFirmware():
            return firmware.order(turn, call, command)
        case UploadLog():
            return uploads.order(turn, command)
    assert_never(command)


def take(turn: Turn, event: MaintenanceEvent) -> None:
    """Take what the shells made of something."""
    match event:
        case FirmwareFetched():
            firmware.fetched(turn, event)
        case CertificateChecked():
            firmware.certificate_checked(turn, event)
        case SignatureChecked():
            firmware.signature_checked(turn, event)
        case FirmwareInstalled():
            firmware.installed(turn, event)
        case LogUploaded():
            uploads.uploaded(turn, event)
        case _:
            assert_never(event)


def due(turn: Turn) -> None:
    """Do what the clock alone has made due."""
    firmware.due(turn)
    uploads.due(turn)


def recover(turn: Turn) -> None:
    """Take up what a restart interrupted."""
    firmware.recover(turn)
    uploads.recover(turn)


def deadlines(maintenance: Maintenance) -> Iterator[float]:
    """Yield when (monotonic) something is due by the clock alone."""
    dues = (maintenance.firmware_due, maintenance.upload_due)
    return (moment for moment in dues if moment is not None)
