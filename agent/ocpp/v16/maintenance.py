"""Firmware and logs in the words of OCPP 1.6 and of its security whitepaper.

Source: OCPP 1.6 ed. 2, sections 4.4, 4.5, 5.9, 5.19; Improved security for OCPP 1.6-J, ed. 3, use cases L01, N01.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from agent.core.commands import Outcome, Result
from agent.core.errors import RpcError
from agent.core.facts import FirmwareTold, LogStatus, LogTold
from agent.core.locations import SCHEMES, supported
from agent.core.maintenance_commands import LogKind, MaintenanceCommand, Retries, Signing, UpdateFirmware, UploadLog
from agent.ocpp.dialect import Call, Immediate, StationView, member, moment
from agent.ocpp.rpc import JsonObject

PROTOCOLS: Final = ",".join(scheme.upper() for scheme in SCHEMES)
"""Value of SupportedFileTransferProtocols."""
RETRIES: Final = Retries(3, 60)
"""Where the central system does not say."""
MOST_RETRIES: Final = 100
LONGEST_INTERVAL_S: Final = 86_400
REFUSED: Final = {"status": "Rejected"}
STATUSES: Final[Mapping[Result, str]] = {
    Result.ACCEPTED: "Accepted",
    Result.ACCEPTED_CANCELED: "AcceptedCanceled",
    Result.INVALID_CERTIFICATE: "InvalidCertificate",
}


def answer(command: MaintenanceCommand, outcome: Outcome) -> JsonObject:
    """Return the answer to a command; plain ones have no status."""
    match command:
        case UpdateFirmware(signing=None):
            return {}
        case UploadLog(request=None):
            return {} if outcome.file is None else {"fileName": outcome.file}
        case UploadLog() if outcome.file is not None:
            return {"status": STATUSES.get(outcome.result, "Rejected"), "filename": outcome.file}
        case _:
            return {"status": STATUSES.get(outcome.result, "Rejected")}


def notice(told: FirmwareTold | LogTold) -> Call:
    """Return the message that tells how an update or an upload stands."""
    payload: JsonObject = {"status": _word(told)}
    if told.request is not None:
        payload["requestId"] = told.request
    match told:
        case FirmwareTold():
            return Call("SignedFirmwareStatusNotification" if told.signed else "FirmwareStatusNotification", payload)
        case LogTold():
            return Call("LogStatusNotification" if told.signed else "DiagnosticsStatusNotification", payload)


def _word(told: FirmwareTold | LogTold) -> str:
    """Return the status; of a diagnostics upload there is only one word for all that can be wrong."""
    if isinstance(told, LogTold) and not told.signed and told.status not in FINE:
        return "UploadFailed"
    return told.status.value


FINE: Final = frozenset({LogStatus.IDLE, LogStatus.UPLOADING, LogStatus.UPLOADED})


def _update(payload: JsonObject, station: StationView) -> UpdateFirmware:
    """Return a plain update, which a station with any security does not take (L01.FR.20)."""
    if station.settings.security_profile > 0:
        raise RpcError("NotSupported", "use SignedUpdateFirmware: this station has a security profile")
    _need_installer(station)
    at = _time(payload, "retrieveDate", "retrieveDate")
    return UpdateFirmware(str(payload["location"]), at, _retries(payload))


def _signed_update(payload: JsonObject, station: StationView) -> UpdateFirmware:
    _need_installer(station)
    firmware, number = member(payload, "firmware"), payload["requestId"]
    signing = Signing(
        request=number if isinstance(number, int) else 0,
        certificate=str(firmware["signingCertificate"]),
        signature=str(firmware["signature"]),
        install_at=_optional_time(firmware, "installDateTime", "firmware.installDateTime"),
    )
    at = _time(firmware, "retrieveDateTime", "firmware.retrieveDateTime")
    return UpdateFirmware(str(firmware["location"]), at, _retries(payload), signing)


def _diagnostics(payload: JsonObject, _station: StationView) -> UploadLog | Immediate:
    location = str(payload["location"])
    since, until = (_optional_time(payload, name, name) for name in ("startTime", "stopTime"))
    if not supported(location):
        return Immediate({})
    return UploadLog(LogKind.DIAGNOSTICS, location, _retries(payload), None, since, until)


def _log(payload: JsonObject, _station: StationView) -> UploadLog | Immediate:
    asked, number = member(payload, "log"), payload["requestId"]
    kind = LogKind.SECURITY if payload["logType"] == "SecurityLog" else LogKind.DIAGNOSTICS
    since, until = (_optional_time(asked, name, f"log.{name}") for name in ("oldestTimestamp", "latestTimestamp"))
    location = str(asked["remoteLocation"])
    if not supported(location):
        return Immediate(dict(REFUSED))
    return UploadLog(kind, location, _retries(payload), number if isinstance(number, int) else 0, since, until)


def _need_installer(station: StationView) -> None:
    if not station.updatable:
        raise RpcError("NotSupported", "this station is not set up to install firmware by itself")


def _retries(payload: JsonObject) -> Retries:
    """Return how often to try again; what is beyond reason is bounded."""
    count, interval = payload.get("retries"), payload.get("retryInterval")
    return Retries(
        min(max(count, 0), MOST_RETRIES) if isinstance(count, int) else RETRIES.count,
        min(max(interval, 0), LONGEST_INTERVAL_S) if isinstance(interval, int) else RETRIES.interval_s,
    )


def _time(payload: Mapping[str, object], name: str, shown: str) -> datetime:
    """Return a time. Raises: RpcError for what is none."""
    at = moment(payload.get(name))
    if at is None:
        raise RpcError("PropertyConstraintViolation", f"{shown}: not a time")
    return at.wall


def _optional_time(payload: Mapping[str, object], name: str, shown: str) -> datetime | None:
    return _time(payload, name, shown) if payload.get(name) is not None else None


#: Action -> what makes a command of its payload, which is valid by then.
DECODERS: Final[Mapping[str, Callable[[JsonObject, StationView], MaintenanceCommand | Immediate]]] = {
    "UpdateFirmware": _update,
    "SignedUpdateFirmware": _signed_update,
    "GetDiagnostics": _diagnostics,
    "GetLog": _log,
}
