"""The command to send a message out of turn, and the messages that there are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from agent.core.model import EvseId


class Trigger(StrEnum):
    """Messages that a central system may ask for out of turn, in OCPP's words."""

    BOOT = "BootNotification"
    HEARTBEAT = "Heartbeat"
    STATUS = "StatusNotification"
    METER_VALUES = "MeterValues"
    FIRMWARE = "FirmwareStatusNotification"
    DIAGNOSTICS = "DiagnosticsStatusNotification"
    SIGNED_FIRMWARE = "SignedFirmwareStatusNotification"
    LOG = "LogStatusNotification"


@dataclass(frozen=True, slots=True)
class TriggerMessage:
    """Send a message out of turn; evse None: of every one; it does not matter where the message is the station's."""

    trigger: Trigger
    evse: EvseId | None = None


TriggerCommand: TypeAlias = TriggerMessage
