"""Charging profiles in OCPP 1.6: requests, and what is told in answer.

Source: OCPP 1.6 ed. 2, sections 5.2, 5.7, 5.16, 7.8 to 7.14; errata 3.24 and 3.38 to 3.39.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from math import isfinite
from typing import Final

from agent.core.charging_commands import (
    ChargingCommand,
    ClearChargingProfiles,
    CompositeSchedule,
    GetCompositeSchedule,
    SetChargingProfile,
)
from agent.core.charging_profile import (
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Recurrence,
    Schedule,
    SchedulePeriod,
)
from agent.core.commands import Outcome, Result
from agent.core.errors import RpcError
from agent.core.model import EvseId
from agent.ocpp.dialect import StationView, moment, stamp
from agent.ocpp.rpc import JsonObject

EXACT: Final = frozenset({"SetChargingProfile", "RemoteStartTransaction"})
"""Actions with limits of one decimal, which only decimal numbers can be checked for."""
VIOLATED: Final = "PropertyConstraintViolation"
LARGEST: Final = 2**63
DEEPEST: Final = 8
"""No profile is nested deeper."""

PURPOSES: Final[Mapping[str, Purpose]] = {
    "ChargePointMaxProfile": Purpose.STATION_MAX,
    "TxDefaultProfile": Purpose.TX_DEFAULT,
    "TxProfile": Purpose.TX,
}
KINDS: Final[Mapping[str, Kind]] = {
    "Absolute": Kind.ABSOLUTE,
    "Recurring": Kind.RECURRING,
    "Relative": Kind.RELATIVE,
}
RECURRENCES: Final[Mapping[str, Recurrence]] = {"Daily": Recurrence.DAILY, "Weekly": Recurrence.WEEKLY}


def exact(payload: JsonObject) -> JsonObject:
    """Return a payload with decimal numbers. Raises: RpcError for one that no limit can be."""
    return {name: _exact(value, DEEPEST) for name, value in payload.items()}


def profile(sent: Mapping[str, object]) -> ChargingProfile:
    """Return a profile that is valid by its schema. Raises: RpcError for a time that is none."""
    recurrence = sent.get("recurrencyKind")
    transaction = sent.get("transactionId")
    return ChargingProfile(
        id=_number(sent, "chargingProfileId"),
        stack_level=_number(sent, "stackLevel"),
        purpose=PURPOSES[str(sent["chargingProfilePurpose"])],
        kind=KINDS[str(sent["chargingProfileKind"])],
        schedule=_schedule(_member(sent, "chargingSchedule")),
        recurrence=None if recurrence is None else RECURRENCES[str(recurrence)],
        valid_from=_time(sent, "validFrom"),
        valid_to=_time(sent, "validTo"),
        transaction=None if transaction is None else _number(sent, "transactionId"),
    )


def answer(command: ChargingCommand, outcome: Outcome) -> JsonObject:
    """Return the answer to a command that a decoder of ``DECODERS`` returned."""
    done = outcome.result is Result.ACCEPTED
    if isinstance(command, ClearChargingProfiles):
        return {"status": "Accepted" if done else "Unknown"}
    if not done or outcome.schedule is None:
        return {"status": "Accepted" if done else "Rejected"}
    return {"status": "Accepted", **_told(outcome.schedule)}


def _set(payload: JsonObject, station: StationView) -> ChargingCommand:
    connector = _number(payload, "connectorId")
    if not 0 <= connector <= station.connectors:
        raise RpcError(VIOLATED, "connectorId: there is no such connector")
    return SetChargingProfile(EvseId(connector), profile(_member(payload, "csChargingProfiles")))


def _clear(payload: JsonObject, _station: StationView) -> ChargingCommand:
    connector, purpose = payload.get("connectorId"), payload.get("chargingProfilePurpose")
    return ClearChargingProfiles(
        id=_number(payload, "id") if "id" in payload else None,
        evse=None if connector is None else EvseId(_number(payload, "connectorId")),
        purpose=None if purpose is None else PURPOSES[str(purpose)],
        stack_level=_number(payload, "stackLevel") if "stackLevel" in payload else None,
    )


def _composite(payload: JsonObject, _station: StationView) -> ChargingCommand:
    unit = payload.get("chargingRateUnit")
    return GetCompositeSchedule(
        EvseId(_number(payload, "connectorId")),
        _number(payload, "duration"),
        None if unit is None else RateUnit(str(unit)),
    )


#: Action -> what makes a command of its payload, which is valid by then.
DECODERS: Final = {
    "SetChargingProfile": _set,
    "ClearChargingProfile": _clear,
    "GetCompositeSchedule": _composite,
}


def _schedule(sent: Mapping[str, object]) -> Schedule:
    periods = sent["chargingSchedulePeriod"]
    least = sent.get("minChargingRate")
    return Schedule(
        unit=RateUnit(str(sent["chargingRateUnit"])),
        periods=tuple(_period(each) for each in periods) if isinstance(periods, list) else (),
        duration_s=_number(sent, "duration") if "duration" in sent else None,
        start=_time(sent, "startSchedule"),
        least=None if least is None else Decimal(str(least)),
    )


def _period(sent: Mapping[str, object]) -> SchedulePeriod:
    phases = _number(sent, "numberPhases") if "numberPhases" in sent else None
    return SchedulePeriod(_number(sent, "startPeriod"), Decimal(str(sent["limit"])), phases)


def _told(schedule: CompositeSchedule) -> JsonObject:
    return {
        "connectorId": int(schedule.evse),
        "scheduleStart": stamp(schedule.start),
        "chargingSchedule": {
            "duration": schedule.duration_s,
            "chargingRateUnit": schedule.unit.value,
            "chargingSchedulePeriod": [_told_period(period) for period in schedule.periods],
        },
    }


def _told_period(period: SchedulePeriod) -> JsonObject:
    told: JsonObject = {"startPeriod": period.start_s, "limit": float(period.limit)}
    return told if period.phases is None else {**told, "numberPhases": period.phases}


def _time(sent: Mapping[str, object], name: str) -> datetime | None:
    text = sent.get(name)
    if text is None:
        return None
    told = moment(text)
    if told is None:
        raise RpcError(VIOLATED, f"{name}: not a time")
    return told.wall


def _exact(value: object, depth: int) -> object:
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        if not isfinite(value) or abs(value) >= LARGEST:
            raise RpcError(VIOLATED, "a number is too large")
        return Decimal(repr(value)) if isinstance(value, float) else value
    if depth and isinstance(value, list):
        return [_exact(member, depth - 1) for member in value]
    if depth and isinstance(value, dict):
        return {name: _exact(member, depth - 1) for name, member in value.items()}
    return value


def _number(sent: Mapping[str, object], name: str) -> int:
    number = sent[name]
    return number if isinstance(number, int) else int(str(number))


def _member(sent: Mapping[str, object], name: str) -> Mapping[str, object]:
    inside = sent[name]
    return inside if isinstance(inside, dict) else {}
