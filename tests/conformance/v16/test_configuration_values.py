"""Cases 147 to 157: configuration keys, and the values of the meter that they order."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from agent.core.settings import Settings
from tests.conformance.csms import Csms, Payload
from tests.conformance.leaps import Leaps
from tests.conformance.rig import Rig
from tests.conformance.steps import REGISTER, Sample, finish, moment, near, samples

INTEGER, BOOLEAN, MEASURANDS, OTHER = "integer", "boolean", "measurands", "other"
#: Keys of Core, LocalAuthListManagement and SmartCharging: type, and whether one may change them (None: both allowed),
#: by OCPP 1.6 ed. 2, section 9, and errata 3.80 to 3.91.
KEYS: dict[str, tuple[str, bool | None]] = {
    "AllowOfflineTxForUnknownId": (BOOLEAN, True),
    "AuthorizationCacheEnabled": (BOOLEAN, True),
    "AuthorizeRemoteTxRequests": (BOOLEAN, None),
    "ChargeProfileMaxStackLevel": (INTEGER, False),
    "ChargingScheduleAllowedChargingRateUnit": (OTHER, False),
    "ChargingScheduleMaxPeriods": (INTEGER, False),
    "ClockAlignedDataInterval": (INTEGER, True),
    "ConnectionTimeOut": (INTEGER, True),
    "ConnectorPhaseRotation": (OTHER, True),
    "ConnectorPhaseRotationMaxLength": (INTEGER, False),
    "ConnectorSwitch3to1PhaseSupported": (BOOLEAN, False),
    "GetConfigurationMaxKeys": (INTEGER, False),
    "HeartbeatInterval": (INTEGER, True),
    "LocalAuthListEnabled": (BOOLEAN, True),
    "LocalAuthListMaxLength": (INTEGER, False),
    "LocalAuthorizeOffline": (BOOLEAN, True),
    "LocalPreAuthorize": (BOOLEAN, True),
    "MaxChargingProfilesInstalled": (INTEGER, False),
    "MaxEnergyOnInvalidId": (INTEGER, True),
    "MessageTimeout": (INTEGER, True),
    "MeterValuesAlignedData": (MEASURANDS, True),
    "MeterValuesAlignedDataMaxLength": (INTEGER, False),
    "MeterValuesSampledData": (MEASURANDS, True),
    "MeterValuesSampledDataMaxLength": (INTEGER, False),
    "MeterValueSampleInterval": (INTEGER, True),
    "MinimumStatusDuration": (INTEGER, True),
    "NumberOfConnectors": (INTEGER, False),
    "ResetRetries": (INTEGER, True),
    "SendLocalListMaxLength": (INTEGER, False),
    "StopTransactionMaxMeterValues": (INTEGER, False),
    "StopTransactionOnEVSideDisconnect": (BOOLEAN, None),
    "StopTransactionOnInvalidId": (BOOLEAN, True),
    "StopTxnAlignedData": (MEASURANDS, True),
    "StopTxnAlignedDataMaxLength": (INTEGER, False),
    "StopTxnSampledData": (MEASURANDS, True),
    "StopTxnSampledDataMaxLength": (INTEGER, False),
    "SupportedFeatureProfiles": (OTHER, False),
    "TransactionMessageAttempts": (INTEGER, True),
    "TransactionMessageRetryInterval": (INTEGER, True),
    "UnlockConnectorOnEVSideDisconnect": (BOOLEAN, None),
    "WebSocketPingInterval": (INTEGER, True),
}
#: Values that are none of a type.
WRONG = {
    INTEGER: ("-1", "1.5", "10 s", "ten", ""),
    BOOLEAN: ("yes", "1", "tru", ""),
    MEASURANDS: ("Nonsense", f"{REGISTER},Nonsense", f"{REGISTER};Voltage", "Voltage.L9"),
    OTHER: (),
}
#: Other values than the ones that the station begins with.
OTHERWISE = {INTEGER: "77", MEASURANDS: "Current.Import,Voltage"}
RIGHT: dict[str, Callable[[str], object]] = {
    INTEGER: re.compile(r"[0-9]+").fullmatch,
    BOOLEAN: re.compile("true|false").fullmatch,
    MEASURANDS: lambda text: all(re.fullmatch(r"[A-Z]\w+(\.\w+)*", part) for part in text.split(",") if text),
    OTHER: bool,
}


@pytest.fixture
def leaps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Leaps:
    return Leaps(rig, monkeypatch)


async def configuration(csms: Csms, *names: str) -> dict[str, Payload]:
    """Return what GetConfiguration tells, by key."""
    answer = await csms.call("GetConfiguration", **({"key": list(names)} if names else {}))
    return {item["key"]: item for item in answer["configurationKey"]}


async def change(csms: Csms, key: str, value: str) -> str:
    return str((await csms.call("ChangeConfiguration", key=key, value=value))["status"])


async def test_case_147_all_keys(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    told = await configuration(csms)
    assert set(told) >= set(KEYS)
    for key, (kind, writable) in KEYS.items():
        assert RIGHT[kind](told[key]["value"]), told[key]
        assert writable is None or told[key]["readonly"] is not writable, told[key]
    assert told["NumberOfConnectors"]["value"] == "2"
    assert {"Core", "LocalAuthListManagement", "SmartCharging"} <= set(
        told["SupportedFeatureProfiles"]["value"].split(",")
    )
    assert int(told["GetConfigurationMaxKeys"]["value"]) >= len(told)


async def test_case_147_selected_keys(rig: Rig) -> None:
    csms = await rig.ready()
    wanted = ["heartbeatinterval", "Foo", "NumberOfConnectors"]
    answer = await csms.call("GetConfiguration", key=wanted)
    assert [item["key"] for item in answer["configurationKey"]] == ["HeartbeatInterval", "NumberOfConnectors"]
    assert answer["unknownKey"] == ["Foo"]
    empty = await csms.call("GetConfiguration", key=[])
    assert len(empty["configurationKey"]) >= len(KEYS)
    assert not empty.get("unknownKey")


async def test_case_148_change(rig: Rig) -> None:
    csms = await rig.ready()
    assert await change(csms, "MeterValueSampleInterval", "33") == "Accepted"
    assert await csms.value("MeterValueSampleInterval") == "33"
    assert await change(csms, "metervaluesampleinterval", " 34 ") == "Accepted"
    assert await csms.value("MeterValueSampleInterval") == "34"
    assert await change(csms, "LocalPreAuthorize", "TRUE") == "Accepted"
    assert await csms.value("LocalPreAuthorize") == "true"


async def test_case_149_unknown_key_and_negative_value(rig: Rig) -> None:
    csms = await rig.ready()
    assert await change(csms, "Foo", "1") == "NotSupported"
    before = await csms.value("MeterValueSampleInterval")
    assert await change(csms, "MeterValueSampleInterval", "-1") == "Rejected"
    assert await csms.value("MeterValueSampleInterval") == before


async def test_case_150_values_that_no_key_takes(rig: Rig) -> None:
    csms = await rig.ready()
    before = await configuration(csms)
    for key, (kind, _) in KEYS.items():
        for value in ("1", "true") if before[key]["readonly"] else WRONG[kind]:
            assert await change(csms, key, value) == "Rejected", (key, value)
    for key, value in (("HeartbeatInterval", "0"), ("ConnectorPhaseRotation", "9.RST")):
        assert await change(csms, key, value) == "Rejected", (key, value)
    too_long = {"key": "MeterValuesSampledData", "value": "Voltage".ljust(501)}
    frame = await csms.ask("ChangeConfiguration", too_long)
    assert frame[0] == 4 or frame[2] == {"status": "Rejected"}
    assert await change(csms, "MeterValuesSampledData", "Voltage".ljust(500)) == "Accepted"
    await change(csms, "MeterValuesSampledData", before["MeterValuesSampledData"]["value"])
    assert await configuration(csms) == before


async def test_case_150_values_outlast_a_reboot(rig: Rig) -> None:
    csms = await rig.ready()
    before = await configuration(csms)
    wanted = {"ConnectorPhaseRotation": "0.RST,1.TRS"}
    for key, (kind, _) in KEYS.items():
        if kind != OTHER and not before[key]["readonly"]:
            opposite = "false" if before[key]["value"] == "true" else "true"
            wanted[key] = OTHERWISE.get(kind, opposite)
    wanted["MinimumStatusDuration"] = "1"
    for key, value in wanted.items():
        assert await change(csms, key, value) in {"Accepted", "RebootRequired"}, key
    del wanted["HeartbeatInterval"]  # the answer to BootNotification sets it
    csms.mark()
    await rig.power_cut()
    await rig.start()
    await rig.booted()
    after = await configuration(csms)
    assert {key: after[key]["value"] for key in wanted} == wanted


async def test_case_150_minimum_duration_holds_no_status_back_after_the_boot(rig: Rig) -> None:
    rig.settings = Settings(minimum_status_duration_s=30)
    csms = rig.csms
    await csms.up()
    rig.box().silent = True
    await rig.start()
    boot = await csms.expect("BootNotification")
    await csms.until(lambda: boot.answered_at, "the answer")
    await rig.settle()
    rig.box().silent = False
    await csms.status(1, "Available", within=0.5)  # all connectors are told after the boot (errata 3.22)


@pytest.mark.parametrize(
    "key", ["MeterValuesSampledData", "MeterValuesAlignedData", "StopTxnSampledData", "StopTxnAlignedData"]
)
async def test_case_151_measurands(rig: Rig, key: str) -> None:
    csms = await rig.ready()
    before = await csms.value(key)
    for wrong in (f"{REGISTER},RPM", "Energy.Active.Import", f"{REGISTER}.L7", "Voltage.SoC"):
        assert await change(csms, key, wrong) == "Rejected", wrong
        assert await csms.value(key) == before
    assert await change(csms, key, f"{REGISTER} , Voltage.L2") == "Accepted"
    stored = await csms.value(key)
    assert stored is not None
    assert [part.strip() for part in stored.split(",")] == [REGISTER, "Voltage.L2"]
    assert await change(csms, key, "") == "Accepted"
    assert not await csms.value(key)


async def test_case_151_one_phase_alone(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(MeterValueSampleInterval=10, MeterValuesSampledData="Voltage.L2,Current.Import.L3")
    await rig.charging()
    await leaps.ahead(10)
    values = await csms.expect("MeterValues", transactionId=1)
    told = {(s.measurand, (s.phase or "")[:2]): s.value for s in samples(values["meterValue"])}
    assert told.keys() == {("Voltage", "L2"), ("Current.Import", "L3")}
    assert float(told["Voltage", "L2"]) == 230.1


async def test_case_151_no_measurand_at_all(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(MeterValueSampleInterval=10, MeterValuesSampledData="", StopTxnSampledData=REGISTER)
    await rig.charging()
    await leaps.ahead(25)
    assert not csms.of("MeterValues")
    stopped = await finish(rig)
    contexts = [s.context for s in samples(stopped["transactionData"])]
    assert contexts == ["Transaction.Begin", "Sample.Periodic", "Sample.Periodic", "Transaction.End"]


async def test_case_152_heartbeat_interval(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready()
    await leaps.ahead(20)
    assert not csms.of("Heartbeat")
    await csms.change("HeartbeatInterval", 30)
    await leaps.ahead(8)
    assert not csms.of("Heartbeat")
    await leaps.ahead(3)
    await csms.expect("Heartbeat")
    for _ in range(2):  # the interval goes on, whether or not other messages put a beat off
        csms.mark()
        await leaps.ahead(31)
        assert len(csms.of("Heartbeat")) == 1


def times(*told: list[Sample]) -> list[float]:
    """Return the distinct times of samples, in order."""
    return list(dict.fromkeys(s.at.timestamp() for some in told for s in some))


async def test_case_153_sampled_values(rig: Rig, leaps: Leaps) -> None:
    wanted = [REGISTER, "Power.Active.Import", "Current.Import", "Voltage"]
    csms = await rig.ready(MeterValueSampleInterval=20, MeterValuesSampledData=",".join(wanted))
    await leaps.ahead(25)
    assert not csms.of("MeterValues")
    started = await rig.charging()
    for _ in range(2):
        rig.meter().add("111.9")
        await leaps.ahead(20)
    values = [await csms.expect("MeterValues", connectorId=1, transactionId=1) for _ in range(2)]
    assert len(csms.of("MeterValues")) == 2
    told = [samples(call["meterValue"]) for call in values]
    begun = moment(started).timestamp()
    assert near([at - begun for at in times(*told)], [20, 40])
    for some in told:
        assert list(dict.fromkeys(s.measurand for s in some)) == wanted
        assert {s.context for s in some} == {"Sample.Periodic"}
    assert [s.value for some in told for s in some if s.measurand == REGISTER] == ["1234679", "1234791"]
    units = {s.measurand: s.unit for s in told[0]}
    assert units == {REGISTER: "Wh", "Power.Active.Import": "W", "Current.Import": "A", "Voltage": "V"}
    assert len([s for s in told[0] if s.measurand == "Voltage"]) == 3


async def test_case_154_clock_aligned_values(rig: Rig, leaps: Leaps) -> None:
    rig.connectors = 2
    csms = await rig.ready(
        ClockAlignedDataInterval=30, MeterValuesAlignedData=f"{REGISTER},Voltage", MeterValueSampleInterval=0
    )
    await leaps.until_minute()
    csms.mark()
    await rig.charging(connector=1)
    await leaps.ahead(60)
    for connector, transaction in ((1, 1), (2, None)):
        values = [await csms.expect("MeterValues", connectorId=connector) for _ in range(2)]
        assert [call.get("transactionId") for call in values] == [transaction] * 2
        told = [samples(call["meterValue"]) for call in values]
        assert {s.context for some in told for s in some} == {"Sample.Clock"}
        assert [at % 60 for at in times(*told)] == [30, 0]
        assert {s.measurand for some in told for s in some} == {REGISTER, "Voltage"}
    assert {c["connectorId"] for c in csms.of("MeterValues")} == {1, 2}
    await csms.change("ClockAlignedDataInterval", 0)
    csms.mark()
    await leaps.ahead(61)
    assert not csms.of("MeterValues")


async def test_case_155_values_with_the_stop(rig: Rig, leaps: Leaps) -> None:
    await rig.ready(
        MeterValueSampleInterval=20,
        StopTxnSampledData=f"{REGISTER},Current.Import",
        ClockAlignedDataInterval=30,
        StopTxnAlignedData="Voltage",
    )
    await leaps.until_minute()
    await rig.charging()
    for _ in range(2):
        rig.meter().add(100)
        await leaps.ahead(20)
    rig.meter().add(100)
    await rig.settle()
    stopped = await finish(rig)
    told = samples(stopped["transactionData"])
    registers = [(s.context, s.value) for s in told if s.measurand == REGISTER]
    assert registers == [
        ("Transaction.Begin", "1234567"),
        ("Sample.Periodic", "1234667"),
        ("Sample.Periodic", "1234767"),
        ("Transaction.End", "1234867"),
    ]
    currents = {s.context for s in told if s.measurand == "Current.Import"}
    assert currents == {"Transaction.Begin", "Sample.Periodic", "Transaction.End"}
    aligned = [s for s in told if s.context == "Sample.Clock"]
    assert {s.measurand for s in aligned} == {"Voltage"}
    assert [at % 60 for at in times(aligned)] == [30]
    assert times(told) == sorted(times(told))


async def test_case_155_begin_and_end_without_an_interval(rig: Rig, leaps: Leaps) -> None:
    await rig.ready(MeterValueSampleInterval=0, StopTxnSampledData=f"Voltage,{REGISTER}")
    await rig.charging()
    await leaps.ahead(20)
    told = samples((await finish(rig))["transactionData"])
    for context in ("Transaction.Begin", "Transaction.End"):
        assert {s.measurand for s in told if s.context == context} == {"Voltage", REGISTER}
    assert {s.context for s in told} == {"Transaction.Begin", "Transaction.End"}


async def test_case_155_no_values_with_the_stop(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(MeterValueSampleInterval=10, StopTxnSampledData="", StopTxnAlignedData="")
    await rig.charging()
    await leaps.ahead(10)
    await csms.expect("MeterValues")
    assert "transactionData" not in (await finish(rig)).payload


async def test_case_155_more_values_than_allowed(rig: Rig, leaps: Leaps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.ocpp.v16.transaction_data.MOST", 6)
    csms = await rig.ready(MeterValueSampleInterval=10, StopTxnSampledData=REGISTER)
    assert await csms.value("StopTransactionMaxMeterValues") == "6"
    await rig.charging()
    await leaps.ahead(200)
    stopped = await finish(rig)
    told = samples(stopped["transactionData"])
    assert len(stopped["transactionData"]) == 6
    assert (told[0].context, told[-1].context) == ("Transaction.Begin", "Transaction.End")
    gaps = [later - earlier for earlier, later in pairwise(times(told))]
    assert max(gaps) <= 90


async def test_case_156_interval_changed_during_a_transaction(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(MeterValueSampleInterval=30)
    await rig.charging()
    await leaps.ahead(31)
    await csms.expect("MeterValues", transactionId=1)
    await csms.change("MeterValueSampleInterval", 0)
    csms.mark()
    await leaps.ahead(70)
    assert not csms.of("MeterValues")
    changed = rig.now.clock.now().wall
    await csms.change("MeterValueSampleInterval", 20)
    await leaps.ahead(18)
    assert not csms.of("MeterValues")
    await leaps.ahead(3)
    values = await csms.expect("MeterValues", transactionId=1)
    (at,) = {s.at for s in samples(values["meterValue"])}
    assert timedelta(seconds=19.9) < at - changed < timedelta(seconds=24)


async def test_case_157_values_only_between_start_and_stop(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(MeterValueSampleInterval=10)
    held = csms.hold("StartTransaction")
    rig.plug()
    rig.tap("CARD1")
    await rig.until(lambda: held.arrived.is_set() and rig.box().charging, "a car that charges")
    await leaps.ahead(25)
    held.release()
    await csms.until(lambda: len(csms.of("MeterValues")) == 2, "the values so far")
    await leaps.ahead(9)
    stopped = await finish(rig)
    await leaps.ahead(30)
    told = [c for c in csms.fresh if c.action in {"StartTransaction", "MeterValues", "StopTransaction"}]
    assert [c.action for c in told] == ["StartTransaction", *["MeterValues"] * 3, "StopTransaction"]
    assert {c.get("transactionId") for c in told[1:]} == {1}
    assert told[-1] is stopped
    assert all(s.at <= moment(stopped) for c in told[1:4] for s in samples(c["meterValue"]))
