"""Configuration keys of OCPP 1.6: names, types, ranges, and which setting of the station each one is.

Source: OCPP 1.6 ed. 2, section 9; errata 3.80 to 3.91; contract, section 5 (company keys).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.core import charging_profile, local_list
from agent.core.commands import ChangeSetting, Command, LinkCompany, Outcome, Result, UnlinkCompany
from agent.core.settings import SettingValue
from agent.ocpp.company_link import normalise_code
from agent.ocpp.dialect import StationView
from agent.ocpp.rpc import JsonObject
from agent.ocpp.v16 import security, transaction_data
from agent.ocpp.v16.maintenance import PROTOCOLS
from agent.ocpp.v16.measurands import configured

MOST: Final = 2**31 - 1
LIST_LENGTH: Final = 20
"""Members of a measurand list."""
VALUE_LENGTH: Final = 500
PROFILES: Final = (
    "Core",
    "FirmwareManagement",
    "LocalAuthListManagement",
    "Reservation",
    "SmartCharging",
    "RemoteTrigger",
)
"""Feature profiles that are built; actions of others are answered NotSupported."""
ROTATIONS: Final = frozenset({"NotApplicable", "Unknown", "RST", "RTS", "SRT", "STR", "TRS", "TSR"})

Parse = Callable[[str, StationView], SettingValue]
"""Turns a value into the setting's. Raises: ValueError in words where it cannot be one."""


@dataclass(frozen=True, slots=True)
class Key:
    """A configuration key.

    read: its value as text, None for one that is not set; change: what a new value comes to, None for a read-only one;
    fixed: tells of a station where the key is read-only all the same; setting: the one (``Settings``) that it changes;
    hidden: nobody is told its value, and it is left out where all keys are asked for.
    """

    name: str
    read: Callable[[StationView], str | None]
    change: Callable[[str, StationView], Command] | None = None
    fixed: Callable[[StationView], bool] | None = None
    setting: str | None = None
    hidden: bool = False

    def readonly(self, station: StationView) -> bool:
        """Tell whether nobody can change the key on this station."""
        return self.change is None or (self.fixed is not None and self.fixed(station))


def report(station: StationView, wanted: Sequence[str]) -> JsonObject:
    """Return GetConfiguration.conf: all keys where none is named; known ones in our spelling, unknown ones as sent."""
    if not wanted:
        return {"configurationKey": [_shown(key, station) for key in KEYS.values() if not key.hidden], "unknownKey": []}
    known = dict.fromkeys(name.lower() for name in wanted if name.lower() in KEYS)
    unknown = dict.fromkeys(name for name in wanted if name.lower() not in KEYS)
    return {"configurationKey": [_shown(KEYS[name], station) for name in known], "unknownKey": list(unknown)}


def change(name: str, value: str, station: StationView) -> Command | Result:
    """Return the command that ChangeConfiguration comes to, or why it is none: NOT_SUPPORTED, REJECTED."""
    key = KEYS.get(name.lower())
    if key is None:
        return Result.NOT_SUPPORTED
    if key.change is None or key.readonly(station):
        return Result.REJECTED
    try:
        return key.change(value, station)
    except ValueError:
        return Result.REJECTED


def changed(outcome: Outcome | Result) -> JsonObject:
    """Return ChangeConfiguration.conf."""
    result = outcome if isinstance(outcome, Result) else outcome.result
    words = {
        Result.ACCEPTED: "Accepted",
        Result.SCHEDULED: "Accepted",
        Result.RESTART_REQUIRED: "RebootRequired",
        Result.NOT_SUPPORTED: "NotSupported",
    }
    return {"status": words.get(result, "Rejected")}


def parse_integer(least: int = 0, most: int = MOST) -> Parse:
    """Return the parser of a whole number: digits alone, blanks around them allowed."""

    def parse(text: str, _station: StationView) -> SettingValue:
        digits = text.strip()
        if not re.fullmatch(r"[0-9]{1,10}", digits) or not least <= int(digits) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(digits)

    return parse


def parse_boolean(text: str, _station: StationView) -> SettingValue:
    """Return a boolean, in whatever case it is written."""
    word = text.strip().lower()
    if word not in {"true", "false"}:
        raise ValueError("must be true or false")
    return word == "true"


def parse_measurands(text: str, _station: StationView) -> SettingValue:
    """Return measurands in their own spelling, each once; one that the station cannot tell refuses them all."""
    members = _members(text)
    names = dict.fromkeys(configured(member) for member in members)
    if None in names or len(members) > LIST_LENGTH:
        raise ValueError("must be measurands that this station can tell")
    return tuple(name for name in names if name is not None)


def parse_rotation(text: str, station: StationView) -> SettingValue:
    """Return the phase rotation of connectors: members like ``1.RST``."""
    members = _members(text)
    for member in members:
        connector, _, rotation = member.partition(".")
        if connector not in {str(n) for n in range(station.connectors + 1)} or rotation not in ROTATIONS:
            raise ValueError("must be members like 1.RST")
    if len(members) > station.connectors + 1:
        raise ValueError("too many members")
    return tuple(members)


def _members(text: str) -> list[str]:
    return [member.strip() for member in text.split(",") if member.strip()]


def _setting(name: str, field: str, parse: Parse) -> Key:
    """Return the key of a setting."""

    def read(station: StationView) -> str:
        return _text(getattr(station.settings, field))

    def change_to(value: str, station: StationView) -> Command:
        return ChangeSetting(field, parse(value, station))

    return Key(name, read, change_to, setting=field)


def _unlocking(name: str) -> Key:
    """Return the key of the lock, which a fixed cable does not have (errata 3.84)."""
    key = _setting(name, "unlock_on_ev_disconnect", parse_boolean)
    return Key(
        name,
        lambda station: key.read(station) if station.has_lock else "false",
        key.change,
        lambda station: not station.has_lock,
        key.setting,
    )


def _fixed(name: str, read: Callable[[StationView], object]) -> Key:
    return Key(name, lambda station: _text(read(station)))


def _guarded(name: str, field: str, change: Callable[[str, StationView], Command]) -> Key:
    """Return the key of a setting with rules of its own."""
    return Key(name, lambda station: _text(getattr(station.settings, field)), change, setting=field)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(str(member) for member in value)
    return str(value)


def _change_code(value: str, _station: StationView) -> Command:
    return LinkCompany(normalise_code(value)) if value.strip() else UnlinkCompany()


def _logging(station: StationView) -> bool:
    settings = station.company.settings
    return settings is None or settings.session_logging


def _refund(station: StationView) -> str:
    settings = station.company.settings
    return "100" if settings is None else f"{settings.refund_percentage:f}"


def _shown(key: Key, station: StationView) -> JsonObject:
    shown: JsonObject = {"key": key.name, "readonly": key.readonly(station)}
    value = key.read(station)
    if value is not None:
        shown["value"] = value[:VALUE_LENGTH]
    return shown


def _table(keys: Iterable[Key]) -> dict[str, Key]:
    return {key.name.lower(): key for key in keys}


#: Every key, by its name in lower case, in the order in which they are reported.
KEYS: Final = _table((
    _fixed("AdditionalRootCertificateCheck", lambda station: station.security.additional_check),
    _setting("AllowOfflineTxForUnknownId", "allow_offline_unknown", parse_boolean),
    _setting("AuthorizationCacheEnabled", "cache_enabled", parse_boolean),
    Key("AuthorizationKey", lambda _: None, security.password, hidden=True),
    _setting("AuthorizeRemoteTxRequests", "authorize_remote", parse_boolean),
    _fixed("CertificateSignedMaxChainSize", lambda _: security.CHAIN_LENGTH),
    _fixed("CertificateStoreMaxLength", lambda _: security.STORE_LENGTH),
    _fixed("ChargeProfileMaxStackLevel", lambda _: charging_profile.MAX_STACK_LEVEL),
    _fixed("ChargingScheduleAllowedChargingRateUnit", lambda _: "Current,Power"),
    _fixed("ChargingScheduleMaxPeriods", lambda _: charging_profile.MAX_PERIODS),
    _setting("ClockAlignedDataInterval", "clock_aligned_interval_s", parse_integer()),
    _setting("ConnectionTimeOut", "connection_timeout_s", parse_integer()),
    _setting("ConnectorPhaseRotation", "phase_rotation", parse_rotation),
    _fixed("ConnectorPhaseRotationMaxLength", lambda station: station.connectors + 1),
    _fixed("ConnectorSwitch3to1PhaseSupported", lambda _: False),
    _guarded("CpoName", "cpo_name", security.operator),
    _fixed("GetConfigurationMaxKeys", lambda _: 100),
    _setting("HeartbeatInterval", "heartbeat_interval_s", parse_integer(least=1)),
    _setting("LocalAuthListEnabled", "local_list_enabled", parse_boolean),
    _fixed("LocalAuthListMaxLength", lambda _: local_list.LONGEST),
    _setting("LocalAuthorizeOffline", "local_authorize_offline", parse_boolean),
    _setting("LocalPreAuthorize", "local_pre_authorize", parse_boolean),
    _fixed("MaxChargingProfilesInstalled", lambda _: charging_profile.MAX_INSTALLED),
    _setting("MaxEnergyOnInvalidId", "max_energy_on_invalid_wh", parse_integer()),
    _setting("MessageTimeout", "message_timeout_s", parse_integer(least=1)),
    _setting("MeterValuesAlignedData", "aligned_measurands", parse_measurands),
    _fixed("MeterValuesAlignedDataMaxLength", lambda _: LIST_LENGTH),
    _setting("MeterValuesSampledData", "sampled_measurands", parse_measurands),
    _fixed("MeterValuesSampledDataMaxLength", lambda _: LIST_LENGTH),
    _setting("MeterValueSampleInterval", "sample_interval_s", parse_integer()),
    _setting("MinimumStatusDuration", "minimum_status_duration_s", parse_integer()),
    _fixed("NumberOfConnectors", lambda station: station.connectors),
    _setting("ReservationEnabled", "reservation_enabled", parse_boolean),
    _fixed("ReserveConnectorZeroSupported", lambda station: station.settings.reserve_connector_zero),
    _setting("ResetRetries", "reset_retries", parse_integer()),
    _guarded("SecurityProfile", "security_profile", security.profile),
    _fixed("SendLocalListMaxLength", lambda _: local_list.LONGEST),
    _fixed("StopTransactionMaxMeterValues", lambda _: transaction_data.MOST),
    _setting("StopTransactionOnEVSideDisconnect", "stop_on_ev_disconnect", parse_boolean),
    _setting("StopTransactionOnInvalidId", "stop_on_invalid", parse_boolean),
    _setting("StopTxnAlignedData", "stop_aligned_measurands", parse_measurands),
    _fixed("StopTxnAlignedDataMaxLength", lambda _: LIST_LENGTH),
    _setting("StopTxnSampledData", "stop_sampled_measurands", parse_measurands),
    _fixed("StopTxnSampledDataMaxLength", lambda _: LIST_LENGTH),
    _fixed("SupportedFeatureProfiles", lambda _: ",".join(PROFILES)),
    _fixed("SupportedFileTransferProtocols", lambda _: PROTOCOLS),
    _setting("TransactionMessageAttempts", "message_attempts", parse_integer()),
    _setting("TransactionMessageRetryInterval", "message_retry_interval_s", parse_integer()),
    _unlocking("UnlockConnectorOnEVSideDisconnect"),
    _setting("WebSocketPingInterval", "ping_interval_s", parse_integer()),
    Key("CompanyCode", lambda station: station.company.code, _change_code),
    _fixed("CompanyLinkStatus", lambda station: station.company.state.value),
    _fixed("SessionLoggingEnabled", _logging),
    _fixed("RefundPercentage", _refund),
))  # fmt: skip
