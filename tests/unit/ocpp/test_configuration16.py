"""The configuration keys of OCPP 1.6, one by one: access, type, range, spelling, and the setting behind each."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from ocpp.messages import get_validator

from agent.core.commands import ChangeSetting, LinkCompany, Result, UnlinkCompany
from agent.core.company import Company, CompanySettings, LinkState
from agent.core.settings import Overrides, Settings, SettingValue
from agent.ocpp.dialect import StationView
from agent.ocpp.v16.configuration import KEYS, change, report

VIEW = StationView(connectors=1, settings=Settings(), company=Company())
INTEGERS = {
    "ClockAlignedDataInterval": "clock_aligned_interval_s",
    "ConnectionTimeOut": "connection_timeout_s",
    "HeartbeatInterval": "heartbeat_interval_s",
    "MaxEnergyOnInvalidId": "max_energy_on_invalid_wh",
    "MessageTimeout": "message_timeout_s",
    "MeterValueSampleInterval": "sample_interval_s",
    "MinimumStatusDuration": "minimum_status_duration_s",
    "ResetRetries": "reset_retries",
    "TransactionMessageAttempts": "message_attempts",
    "TransactionMessageRetryInterval": "message_retry_interval_s",
    "WebSocketPingInterval": "ping_interval_s",
}
BOOLEANS = {
    "AllowOfflineTxForUnknownId": "allow_offline_unknown",
    "AuthorizationCacheEnabled": "cache_enabled",
    "AuthorizeRemoteTxRequests": "authorize_remote",
    "LocalAuthListEnabled": "local_list_enabled",
    "LocalAuthorizeOffline": "local_authorize_offline",
    "LocalPreAuthorize": "local_pre_authorize",
    "ReservationEnabled": "reservation_enabled",
    "StopTransactionOnEVSideDisconnect": "stop_on_ev_disconnect",
    "StopTransactionOnInvalidId": "stop_on_invalid",
}
LISTS = {
    "MeterValuesAlignedData": "aligned_measurands",
    "MeterValuesSampledData": "sampled_measurands",
    "StopTxnAlignedData": "stop_aligned_measurands",
    "StopTxnSampledData": "stop_sampled_measurands",
}
FIXED = {
    "ChargeProfileMaxStackLevel": "10",
    "ChargingScheduleAllowedChargingRateUnit": "Current,Power",
    "ChargingScheduleMaxPeriods": "96",
    "ConnectorPhaseRotationMaxLength": "2",
    "ConnectorSwitch3to1PhaseSupported": "false",
    "GetConfigurationMaxKeys": "100",
    "LocalAuthListMaxLength": "1000",
    "MaxChargingProfilesInstalled": "32",
    "MeterValuesAlignedDataMaxLength": "20",
    "MeterValuesSampledDataMaxLength": "20",
    "NumberOfConnectors": "1",
    "ReserveConnectorZeroSupported": "true",
    "SendLocalListMaxLength": "1000",
    "StopTransactionMaxMeterValues": "1000",
    "StopTxnAlignedDataMaxLength": "20",
    "StopTxnSampledDataMaxLength": "20",
    "SupportedFeatureProfiles": "Core,FirmwareManagement,LocalAuthListManagement,"
    "Reservation,SmartCharging,RemoteTrigger",
    "SupportedFileTransferProtocols": "HTTP,HTTPS,FTP",
    "UnlockConnectorOnEVSideDisconnect": "false",
    "CompanyLinkStatus": "none",
    "AdditionalRootCertificateCheck": "false",
    "CertificateSignedMaxChainSize": "10000",
    "CertificateStoreMaxLength": "10",
    "SessionLoggingEnabled": "true",
    "RefundPercentage": "100",
}
SECRET = {"AuthorizationKey"}
OTHERS = {"ConnectorPhaseRotation", "CompanyCode", "SecurityProfile", "CpoName"}
MANDATORY = {
    "AuthorizeRemoteTxRequests", "ClockAlignedDataInterval", "ConnectionTimeOut", "ConnectorPhaseRotation",
    "GetConfigurationMaxKeys", "HeartbeatInterval", "LocalAuthorizeOffline", "LocalPreAuthorize",
    "MeterValuesAlignedData", "MeterValuesSampledData", "MeterValueSampleInterval", "NumberOfConnectors",
    "ResetRetries", "StopTransactionOnEVSideDisconnect", "StopTransactionOnInvalidId", "StopTxnAlignedData",
    "StopTxnSampledData", "SupportedFeatureProfiles", "TransactionMessageAttempts", "TransactionMessageRetryInterval",
    "UnlockConnectorOnEVSideDisconnect",
}  # fmt: skip


def with_value(field: str, value: SettingValue) -> Settings:
    return Overrides(((field, value),)).over(Settings())


def shown(view: StationView, *wanted: str) -> dict[str, dict[str, Any]]:
    result: Any = report(view, wanted)
    get_validator(3, "GetConfiguration", "1.6").validate(result)
    return {entry["key"]: entry for entry in result["configurationKey"]}


def test_every_key_is_in_this_table_and_every_mandatory_one_is_reported() -> None:
    names = {key.name for key in KEYS.values()}
    assert names == {*INTEGERS, *BOOLEANS, *LISTS, *FIXED, *OTHERS, *SECRET}
    assert set(shown(VIEW)) == names - SECRET
    assert names >= MANDATORY


def test_settings_behind_keys_exist() -> None:
    known = {field.name for field in fields(Settings)}
    assert {*INTEGERS.values(), *BOOLEANS.values(), *LISTS.values()} <= known


@pytest.mark.parametrize(("name", "field"), INTEGERS.items())
def test_integers_are_changed_reported_and_bounded(name: str, field: str) -> None:
    assert change(name, " 17 ", VIEW) == ChangeSetting(field, 17)
    view = replace(VIEW, settings=with_value(field, 17))
    assert shown(view, name) == {name: {"key": name, "readonly": False, "value": "17"}}
    assert change(name, str(2**31 - 1), VIEW) == ChangeSetting(field, 2**31 - 1)
    for wrong in ("-1", "", " ", "1.5", "10s", "0x10", "1e3", "+5", str(2**31), "9" * 500, "true", "\u0664"):
        assert change(name, wrong, VIEW) is Result.REJECTED, wrong


@pytest.mark.parametrize("name", ["HeartbeatInterval", "MessageTimeout"])
def test_intervals_that_cannot_be_zero(name: str) -> None:
    assert change(name, "0", VIEW) is Result.REJECTED
    assert isinstance(change(name, "1", VIEW), ChangeSetting)


@pytest.mark.parametrize(("name", "field"), BOOLEANS.items())
def test_booleans_are_read_in_any_case_and_written_in_lower_case(name: str, field: str) -> None:
    assert change(name, "TRUE", VIEW) == ChangeSetting(field, value=True)
    assert change(name, " false ", VIEW) == ChangeSetting(field, value=False)
    view = replace(VIEW, settings=with_value(field, value=True))
    assert shown(view, name)[name] == {"key": name, "readonly": False, "value": "true"}
    for wrong in ("", "1", "yes", "truefalse"):
        assert change(name, wrong, VIEW) is Result.REJECTED


@pytest.mark.parametrize(("name", "field"), LISTS.items())
def test_measurand_lists_are_trimmed_and_spelled_as_the_standard_has_them(name: str, field: str) -> None:
    text = " energy.active.import.register , Voltage.L1,Voltage.l1-n,Current.Import,Current.Import"
    members = ("Energy.Active.Import.Register", "Voltage.L1", "Voltage.L1-N", "Current.Import")
    assert change(name, text, VIEW) == ChangeSetting(field, members)
    view = replace(VIEW, settings=with_value(field, members))
    assert shown(view, name)[name]["value"] == ",".join(members)
    assert change(name, "", VIEW) == ChangeSetting(field, ())


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    "wrong", ["Foo", "Energy.Active.Import.Register,SoC", "Voltage.L4", "Frequency.L1", "Temperature", "Voltage," * 21]
)
def test_one_measurand_that_the_station_cannot_tell_refuses_the_whole_list(name: str, wrong: str) -> None:
    assert change(name, wrong, VIEW) is Result.REJECTED


def test_a_socket_can_be_told_when_to_unlock_and_a_fixed_cable_cannot() -> None:
    key = "UnlockConnectorOnEVSideDisconnect"
    socket = replace(VIEW, has_lock=True, settings=with_value("unlock_on_ev_disconnect", value=True))
    assert change(key, "false", socket) == ChangeSetting("unlock_on_ev_disconnect", value=False)
    assert shown(socket, key)[key] == {"key": key, "readonly": False, "value": "true"}
    assert change(key, "true", VIEW) is Result.REJECTED
    cable = replace(socket, has_lock=False)
    assert shown(cable, key)[key] == {"key": key, "readonly": True, "value": "false"}


def test_the_phase_rotation_names_connectors_that_exist() -> None:
    assert change("ConnectorPhaseRotation", "0.RST, 1.Unknown", VIEW) == ChangeSetting(
        "phase_rotation", ("0.RST", "1.Unknown")
    )
    for wrong in ("2.RST", "1.XYZ", "RST", "1.", "0.RST,1.RST,1.RTS"):
        assert change("ConnectorPhaseRotation", wrong, VIEW) is Result.REJECTED
    assert isinstance(change("ConnectorPhaseRotation", "2.RST", replace(VIEW, connectors=2)), ChangeSetting)


@pytest.mark.parametrize(("name", "value"), FIXED.items())
def test_read_only_keys_are_reported_and_never_changed(name: str, value: str) -> None:
    assert shown(VIEW, name)[name] == {"key": name, "readonly": True, "value": value}
    assert change(name, value, VIEW) is Result.REJECTED


def test_an_unknown_key_is_not_supported() -> None:
    assert change("Foo", "1", VIEW) is Result.NOT_SUPPORTED


def test_keys_are_found_in_any_case_and_echoed_in_their_own_spelling() -> None:
    result: Any = report(VIEW, ["HEARTBEATINTERVAL", "heartbeatinterval", "NoSuchKey", "NoSuchKey"])
    assert [entry["key"] for entry in result["configurationKey"]] == ["HeartbeatInterval"]
    assert result["unknownKey"] == ["NoSuchKey"]
    assert change("meterVALUEsampleinterval", "5", VIEW) == ChangeSetting("sample_interval_s", 5)


def test_the_company_code_is_linked_or_left_by_its_key() -> None:
    assert change("CompanyCode", "acme-7f3k", VIEW) == LinkCompany("ACME-7F3K")
    assert change("CompanyCode", "", VIEW) == UnlinkCompany()
    assert change("CompanyCode", "a b", VIEW) is Result.REJECTED
    assert "value" not in shown(VIEW, "CompanyCode")["CompanyCode"]


def test_the_company_link_is_reported() -> None:
    settings = CompanySettings(3, session_logging=False, refund_percentage=Decimal("87.50"))
    company = Company(code="ACME-7F3K", state=LinkState.LINKED, settings=settings)
    entries = shown(replace(VIEW, company=company))
    values = {name: entries[name]["value"] for name in entries if name in {*FIXED, "CompanyCode"}}
    assert values["CompanyCode"] == "ACME-7F3K"
    assert values["CompanyLinkStatus"] == "linked"
    assert values["SessionLoggingEnabled"] == "false"
    assert values["RefundPercentage"] == "87.50"
