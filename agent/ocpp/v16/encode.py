"""Requests of a charge point, as OCPP 1.6 writes them; a module that is ``dialect.Requests``.

Source: OCPP 1.6 ed. 2, sections 4 and 6; errata 3.18 (a start that was given up is transaction -1).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from agent.core.effects import ReportStatus
from agent.core.facts import (
    FirmwareTold,
    HeldDropped,
    HeldReleased,
    LogTold,
    MeterSampled,
    SecurityEventRaised,
    SessionEnded,
    SessionSampled,
    SessionStarted,
)
from agent.core.model import IdToken, Reading, ReadingContext
from agent.core.settings import Settings
from agent.ocpp.dialect import Call, Encoded, Identity, NotYet, Skip, stamp
from agent.ocpp.rpc import JsonObject
from agent.ocpp.v16 import maintenance, security
from agent.ocpp.v16.measurands import sampled_values, whole
from agent.ocpp.v16.transaction_data import transaction_data
from agent.ports import OutboxRow

NO_TRANSACTION: Final = -1
INFO_LENGTH: Final = 50
REGISTER: Final = "Energy.Active.Import.Register"

#: Readings that are sent only while sampling is switched on, since they come between the samples.
BETWEEN: Final = frozenset({ReadingContext.OTHER, ReadingContext.INTERRUPTION_BEGIN, ReadingContext.INTERRUPTION_END})


def boot(identity: Identity) -> Call:
    """Return BootNotification; lengths: section 6.3."""
    fields = (
        ("chargePointVendor", identity.vendor, 20),
        ("chargePointModel", identity.model, 20),
        ("chargePointSerialNumber", identity.serial_number, 25),
        ("firmwareVersion", identity.firmware, 50),
        ("meterType", identity.meter_type, 25),
        ("meterSerialNumber", identity.meter_serial, 25),
    )
    return Call("BootNotification", {name: text[:length] for name, text, length in fields if text is not None})


def heartbeat() -> Call:
    """Return Heartbeat."""
    return Call("Heartbeat", {})


def status(report: ReportStatus, at: datetime) -> Call:
    """Return StatusNotification."""
    payload: JsonObject = {
        "connectorId": int(report.evse),
        "errorCode": report.error_code.value,
        "status": report.status.value,
        "timestamp": stamp(at),
    }
    if report.info:
        payload["info"] = report.info[:INFO_LENGTH]
    return Call("StatusNotification", payload)


def authorize(id_token: IdToken) -> Call:
    """Return Authorize."""
    return Call("Authorize", {"idTag": id_token.value})


def transfer(vendor: str, message: str, data: str) -> Call:
    """Return DataTransfer."""
    return Call("DataTransfer", {"vendorId": vendor, "messageId": message, "data": data})


def triggered(evse: int, reading: Reading, transaction: int | str | None, settings: Settings) -> Call:
    """Return MeterValues with the latest values; the register alone where the meter tells none of those configured."""
    values = sampled_values(reading, settings.sampled_measurands, ReadingContext.TRIGGER)
    values = values or sampled_values(reading, (REGISTER,), ReadingContext.TRIGGER)
    return _meter_values(evse, reading, values, transaction)


def notice(told: FirmwareTold | LogTold) -> Call:
    """Return the message that tells how an update or an upload stands."""
    return maintenance.notice(told)


def sign(csr: str) -> Call:
    """Return SignCertificate; csr: PEM."""
    return security.sign_certificate(csr)


def encode(row: OutboxRow, settings: Settings) -> Encoded:  # noqa: PLR0911  # one per kind of fact
    """Return the message of a fact; what follows a start waits until that was answered, or given up."""
    match row.fact:
        case SessionStarted():
            return _start(row.fact)
        case SessionSampled():
            return _sample(row, row.fact, settings)
        case SessionEnded():
            return _stop(row, row.fact, settings)
        case MeterSampled():
            return _idle(row.fact, settings)
        case FirmwareTold() | LogTold():
            return maintenance.notice(row.fact)
        case SecurityEventRaised():
            return security.security_event(row.fact)
        case HeldReleased() | HeldDropped():
            return Skip()


def _start(fact: SessionStarted) -> Call:
    payload: JsonObject = {
        "connectorId": int(fact.evse),
        "idTag": fact.id_token.value,
        "meterStart": whole(fact.reading.register),
        "timestamp": stamp(fact.at.wall),
    }
    if fact.booked is not None:
        payload["reservationId"] = fact.booked.id
    return Call("StartTransaction", payload)


def _sample(row: OutboxRow, fact: SessionSampled, settings: Settings) -> Encoded:
    if fact.context in BETWEEN and settings.sample_interval_s == 0:
        return Skip()
    values = sampled_values(fact.reading, _measurands(fact.context, settings), fact.context)
    if not values:
        return Skip()
    transaction = _transaction(row)
    return NotYet() if transaction is None else _meter_values(fact.evse, fact.reading, values, transaction)


def _measurands(context: ReadingContext, settings: Settings) -> tuple[str, ...]:
    return settings.aligned_measurands if context is ReadingContext.CLOCK else settings.sampled_measurands


def _idle(fact: MeterSampled, settings: Settings) -> Encoded:
    values = sampled_values(fact.reading, _measurands(fact.context, settings), fact.context)
    return _meter_values(fact.evse, fact.reading, values, None) if values else Skip()


def _stop(row: OutboxRow, fact: SessionEnded, settings: Settings) -> Encoded:
    transaction = _transaction(row)
    if transaction is None:
        return NotYet()
    payload: JsonObject = {
        "transactionId": transaction,
        "meterStop": whole(fact.register),
        "timestamp": stamp(fact.at.wall),
        "reason": fact.reason.value,
    }
    if fact.id_token is not None:
        payload["idTag"] = fact.id_token.value
    readings = transaction_data(fact, row.history, settings)
    if readings:
        payload["transactionData"] = readings
    return Call("StopTransaction", payload)


def _transaction(row: OutboxRow) -> int | None:
    """Return the transaction's number; a name that another version gave is none that 1.6 could carry."""
    if isinstance(row.transaction, str) or (row.transaction is None and row.start_given_up):
        return NO_TRANSACTION
    return row.transaction


def _meter_values(evse: int, reading: Reading, values: list[JsonObject], transaction: int | str | None) -> Call:
    payload: JsonObject = {
        "connectorId": int(evse),
        "meterValue": [{"timestamp": stamp(reading.at.wall), "sampledValue": values}],
    }
    if transaction is not None:
        payload["transactionId"] = transaction
    return Call("MeterValues", payload)
