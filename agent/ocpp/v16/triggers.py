"""TriggerMessage of OCPP 1.6 (ed. 2, section 5.17) and ExtendedTriggerMessage of the security whitepaper (6.16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agent.core.commands import Outcome, Result
from agent.core.model import EvseId
from agent.core.security_commands import RequestCertificate
from agent.core.trigger_commands import Trigger, TriggerMessage
from agent.ocpp.dialect import Immediate, StationView
from agent.ocpp.rpc import JsonObject

STATUSES: Final[Mapping[Result, str]] = {Result.ACCEPTED: "Accepted", Result.NOT_SUPPORTED: "NotImplemented"}

#: requestedMessage of TriggerMessage -> message.
PLAIN: Final[Mapping[str, Trigger]] = {
    trigger.value: trigger
    for trigger in (
        Trigger.BOOT,
        Trigger.HEARTBEAT,
        Trigger.METER_VALUES,
        Trigger.STATUS,
        Trigger.FIRMWARE,
        Trigger.DIAGNOSTICS,
    )
}
#: requestedMessage of ExtendedTriggerMessage -> message.
EXTENDED: Final[Mapping[str, Trigger]] = {
    "BootNotification": Trigger.BOOT,
    "Heartbeat": Trigger.HEARTBEAT,
    "MeterValues": Trigger.METER_VALUES,
    "StatusNotification": Trigger.STATUS,
    "FirmwareStatusNotification": Trigger.SIGNED_FIRMWARE,
    "LogStatusNotification": Trigger.LOG,
}


def plain(payload: JsonObject, _station: StationView) -> TriggerMessage | Immediate:
    """Read TriggerMessage."""
    return _decoded(payload, PLAIN)


def extended(payload: JsonObject, _station: StationView) -> TriggerMessage | RequestCertificate | Immediate:
    """Read ExtendedTriggerMessage."""
    if payload["requestedMessage"] == "SignChargePointCertificate":
        return RequestCertificate()
    return _decoded(payload, EXTENDED)


def answer(outcome: Outcome) -> JsonObject:
    """Return TriggerMessage.conf, or ExtendedTriggerMessage.conf, which has the same words."""
    return {"status": STATUSES.get(outcome.result, "Rejected")}


def _decoded(payload: JsonObject, table: Mapping[str, Trigger]) -> TriggerMessage | Immediate:
    trigger, connector = table.get(str(payload["requestedMessage"])), payload.get("connectorId")
    if trigger is None:
        return Immediate({"status": "NotImplemented"})
    return TriggerMessage(trigger, EvseId(int(connector)) if isinstance(connector, int | float) else None)
