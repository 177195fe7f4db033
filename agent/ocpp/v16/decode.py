"""Requests of an OCPP 1.6 central system, and their answers; a module that is ``dialect.Commands``.

The schemas are those of the package ``ocpp``. What belongs to profiles that are not announced is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from ocpp.messages import get_validator
from ocpp.v16.enums import Action

from agent.core import local_list
from agent.core.charging_commands import ClearChargingProfiles, GetCompositeSchedule, SetChargingProfile
from agent.core.commands import (
    ChangeAvailability,
    ChangeSetting,
    ClearCache,
    Command,
    GetCards,
    GetLocalListVersion,
    GetSettings,
    LinkCompany,
    ListEntry,
    Outcome,
    PushCards,
    PushCompanyLink,
    PushCompanySettings,
    PushDayAheadPrices,
    PushPayment,
    RemoteStart,
    RemoteStop,
    Reset,
    ResetKind,
    Result,
    SendLocalList,
    UnlinkCompany,
    UnlockConnector,
)
from agent.core.errors import RpcError
from agent.core.maintenance_commands import UpdateFirmware, UploadLog
from agent.core.model import EvseId, IdToken, TokenInfo, TokenStatus
from agent.core.reservation_commands import ReserveNow
from agent.core.security_commands import ChangePassword, ForgetPassword, SecurityCommand
from agent.core.trigger_commands import TriggerMessage
from agent.ocpp import company_link
from agent.ocpp.dialect import Immediate, StationView, moment
from agent.ocpp.rpc import CALL, Incoming, JsonObject
from agent.ocpp.v16 import charging, configuration, maintenance, reservations, security, triggers

Decoded = Command | Immediate

KNOWN: Final = frozenset(action.value for action in Action)

#: Keyword of the JSON schema that is violated -> code, the gravest first.
CODES: Final[Mapping[str, str]] = {
    "required": "ProtocolError",
    "type": "TypeConstraintViolation",
    "minItems": "OccurenceConstraintViolation",
    "maxItems": "OccurenceConstraintViolation",
}
TOLERATED: Final = "additionalProperties"
OTHERWISE: Final = "PropertyConstraintViolation"

#: Keyword -> what is wrong, in words; the value itself is never repeated, it may be a secret.
WORDS: Final[Mapping[str, str]] = {
    "required": "a field is missing",
    "type": "wrong type",
    "maxLength": "too long",
    "enum": "not one of the allowed values",
    "multipleOf": "more than one decimal",
}


def decode(call: Incoming, station: StationView) -> Decoded:
    """Return what is asked for. Raises: RpcError."""
    decoder = DECODERS.get(call.action)
    if decoder is None:
        if call.action in KNOWN:
            raise RpcError("NotSupported", f"{call.action[:50]} is not supported by this charge point")
        raise RpcError("NotImplemented", "this action is not known in OCPP 1.6")
    payload = charging.exact(call.payload) if call.action in charging.EXACT else call.payload
    _check(call.action, payload)
    return decoder(payload, station)


def answer(command: Command, outcome: Outcome, station: StationView) -> JsonObject:  # noqa: PLR0911  # one per kind
    """Return the answer to a command that ``decode`` returned."""
    match command:
        case SetChargingProfile() | ClearChargingProfiles() | GetCompositeSchedule():
            return charging.answer(command, outcome)
        case UpdateFirmware() | UploadLog():
            return maintenance.answer(command, outcome)
        case GetSettings():
            return configuration.report(station, command.keys)
        case ChangeSetting() | LinkCompany() | UnlinkCompany() | ChangePassword() | ForgetPassword():
            return configuration.changed(outcome)
        case security_command if isinstance(security_command, SecurityCommand):
            return security.answer(security_command, outcome)
        case (
            PushCompanySettings() | PushCompanyLink() | PushDayAheadPrices() | PushPayment() | PushCards() | GetCards()
        ):
            return _transferred(outcome)
        case GetLocalListVersion():
            return {"listVersion": local_list.SWITCHED_OFF if outcome.list_version is None else outcome.list_version}
        case _:
            own = ANSWERS.get(type(command))
            return {"status": _status(command, outcome)} if own is None else own(outcome)


def _status(command: Command, outcome: Outcome) -> str:
    match command:
        case UnlockConnector():
            return UNLOCK.get(outcome.result, "UnlockFailed")
        case ChangeAvailability() if outcome.result is Result.SCHEDULED:
            return "Scheduled"
        case SendLocalList():
            return LIST.get(outcome.result, "Failed")
        case _:
            return _accepted(outcome)


def _check(action: str, payload: JsonObject) -> None:
    """Validate a request. Raises: RpcError with the code of what is worst; unknown fields alone are tolerated."""
    errors = [error for error in _errors(action, payload) if error.validator != TOLERATED]
    if not errors:
        return
    order = list(CODES)
    worst = min(errors, key=lambda e: order.index(e.validator) if e.validator in CODES else len(order))
    where = ".".join(str(part) for part in worst.absolute_path)
    what = WORDS.get(worst.validator, f"violates {worst.validator}")
    raise RpcError(CODES.get(worst.validator, OTHERWISE), f"{where[:100]}: {what}" if where else what)


def _errors(action: str, payload: JsonObject) -> Iterable[Any]:
    numbers = Decimal if action in charging.EXACT else float
    errors: Iterable[Any] = get_validator(CALL, action, "1.6", parse_float=numbers).iter_errors(payload)
    return errors


def _accepted(outcome: Outcome) -> str:
    return "Accepted" if outcome.result in {Result.ACCEPTED, Result.SCHEDULED} else "Rejected"


def _transferred(outcome: Outcome) -> JsonObject:
    status, data = _accepted(outcome), company_link.answer_data(outcome)
    return {"status": status} if data is None else {"status": status, "data": data}


LIST: Final = {
    Result.ACCEPTED: "Accepted",
    Result.NOT_SUPPORTED: "NotSupported",
    Result.VERSION_MISMATCH: "VersionMismatch",
}
UNLOCK: Final = {
    Result.ACCEPTED: "Unlocked",
    Result.UNLOCKED: "Unlocked",
    Result.NOT_SUPPORTED: "NotSupported",
}


def _remote_start(payload: JsonObject, _station: StationView) -> Decoded:
    id_tag, connector = _text(payload, "idTag"), payload.get("connectorId")
    if not id_tag.strip():
        return Immediate({"status": "Rejected"})
    profile = payload.get("chargingProfile")
    sent = charging.profile(profile) if isinstance(profile, dict) else None
    return RemoteStart(IdToken(id_tag), None if connector is None else _connector(payload), sent)


def _remote_stop(payload: JsonObject, _station: StationView) -> Decoded:
    transaction = payload["transactionId"]
    return RemoteStop(transaction if isinstance(transaction, int) else str(transaction))


def _change_configuration(payload: JsonObject, station: StationView) -> Decoded:
    change = configuration.change(_text(payload, "key"), _text(payload, "value"), station)
    return Immediate(configuration.changed(change)) if isinstance(change, Result) else change


def _get_configuration(payload: JsonObject, _station: StationView) -> Decoded:
    keys = payload.get("key")
    return GetSettings(tuple(str(key) for key in keys) if isinstance(keys, list) else ())


def _data_transfer(payload: JsonObject, _station: StationView) -> Decoded:
    if _text(payload, "vendorId").lower() != company_link.VENDOR:
        return Immediate({"status": "UnknownVendorId"})
    try:
        command = company_link.pushed(_text(payload, "messageId"), _text(payload, "data"))
    except ValueError as error:
        return Immediate({"status": "Rejected", "data": company_link.refusal(str(error))})
    return Immediate({"status": "UnknownMessageId"}) if command is None else command


def _reset(payload: JsonObject, _station: StationView) -> Decoded:
    return Reset(ResetKind(_text(payload, "type")))


def _clear_cache(_payload: JsonObject, _station: StationView) -> Decoded:
    return ClearCache()


def _unlock(payload: JsonObject, _station: StationView) -> Decoded:
    return UnlockConnector(_connector(payload))


def _change_availability(payload: JsonObject, _station: StationView) -> Decoded:
    return ChangeAvailability(_connector(payload), operative=_text(payload, "type") == "Operative")


def _send_local_list(payload: JsonObject, _station: StationView) -> Decoded:
    given = payload.get("localAuthorizationList")
    entries = tuple(_list_entry(entry) for entry in given) if isinstance(given, list) else ()
    version = payload["listVersion"]
    return SendLocalList(version if isinstance(version, int) else 0, entries, _text(payload, "updateType") == "Full")


def _list_entry(entry: Mapping[str, object]) -> ListEntry:
    """Return an entry of a list. Raises: RpcError for an expiry that is no time, since it would never expire."""
    given = entry.get("idTagInfo")
    id_token = IdToken(str(entry["idTag"]))
    if not isinstance(given, dict):
        return ListEntry(id_token, None)
    parent, expiry = given.get("parentIdTag"), given.get("expiryDate")
    until = moment(expiry)
    if expiry is not None and until is None:
        raise RpcError("PropertyConstraintViolation", "idTagInfo.expiryDate: not a time")
    group = IdToken(str(parent)) if parent else None
    return ListEntry(id_token, TokenInfo(TokenStatus(str(given["status"])), until, group))


def _list_version(_payload: JsonObject, _station: StationView) -> Decoded:
    return GetLocalListVersion()


#: Command whose answer has words of its own -> what makes it.
ANSWERS: Final[Mapping[type, Callable[[Outcome], JsonObject]]] = {
    ReserveNow: reservations.answer,
    TriggerMessage: triggers.answer,
}

#: Action -> what makes a command of its payload, which is valid by then.
DECODERS: Final[Mapping[str, Callable[[JsonObject, StationView], Decoded]]] = {
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
    "ChangeConfiguration": _change_configuration,
    "GetConfiguration": _get_configuration,
    "DataTransfer": _data_transfer,
    "Reset": _reset,
    "ClearCache": _clear_cache,
    "SendLocalList": _send_local_list,
    "GetLocalListVersion": _list_version,
    "UnlockConnector": _unlock,
    "ChangeAvailability": _change_availability,
    **charging.DECODERS,
    "ReserveNow": reservations.reserve,
    "CancelReservation": reservations.cancel,
    "TriggerMessage": triggers.plain,
    "ExtendedTriggerMessage": triggers.extended,
    **maintenance.DECODERS,
    **security.DECODERS,
}


def _text(payload: JsonObject, name: str) -> str:
    return str(payload.get(name) or "")


def _connector(payload: JsonObject) -> EvseId:
    number = payload["connectorId"]
    return EvseId(number if isinstance(number, int) else -1)
