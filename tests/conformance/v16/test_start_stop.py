"""Cases 38 to 69: a start and a stop at the charger, and all that may come in between."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.csms import Csms, Received
from tests.conformance.rig import Rig

ACCEPTED = {"status": "Accepted"}
FAMILY = {"status": "Accepted", "parentIdTag": "PARENT"}


def by_card(stopped: Received) -> bool:
    """Whether a stop was by a card: the reason may be left out then (OCPP 1.6 ed. 2, section 6.49)."""
    return stopped.get("reason") in {None, "Local"}


async def refused_at_start(rig: Rig, **keys: object) -> Csms:
    """A transaction that runs while the central system still thinks about its start, which it then refuses."""
    csms = await rig.ready(**keys)
    held = csms.hold("StartTransaction", {"transactionId": 7, "idTagInfo": {"status": "Invalid"}})
    rig.plug()
    rig.tap("CARD1")
    await rig.until(lambda: held.arrived.is_set() and rig.box().charging, "a car that charges")
    await rig.settle()
    held.release()
    await csms.expect("StartTransaction")
    await csms.status(1, "Charging")
    return csms


async def test_case_038_plug_first(rig: Rig) -> None:
    csms = await rig.ready(MeterValueSampleInterval=1)
    rig.plug()
    await csms.status(1, "Preparing")
    rig.tap("CARD1")
    authorize = await csms.expect("Authorize", idTag="CARD1")
    started = await csms.expect("StartTransaction", connectorId=1, idTag="CARD1", meterStart=1234567)
    charging = await csms.status(1, "Charging")
    assert authorize.index < min(started.index, charging.index)
    values = await csms.expect("MeterValues", connectorId=1, transactionId=1)
    assert 0.8 < values.at - started.at < 1.6
    assert csms.statuses(1) == ["Preparing", "Charging"]


async def test_case_039_identification_first(rig: Rig) -> None:
    csms = await rig.ready()
    rig.tap("CARD1")
    authorize = await csms.expect("Authorize", idTag="CARD1")
    preparing = await csms.status(1, "Preparing")
    assert authorize.index < preparing.index
    await rig.quiet("StartTransaction")
    rig.plug()
    await csms.expect("StartTransaction", connectorId=1, idTag="CARD1")
    await csms.status(1, "Charging")
    assert csms.statuses(1) == ["Preparing", "Charging"]
    assert len(csms.of("Authorize")) == 1


async def test_case_040_connection_time_out(rig: Rig) -> None:
    csms = await rig.ready(ConnectionTimeOut=1)
    rig.tap("CARD1")
    preparing = await csms.status(1, "Preparing")
    available = await csms.status(1, "Available")
    assert 0.9 < available.at - preparing.at < 1.6
    rig.plug()
    await csms.status(1, "Preparing")
    await rig.quiet("StartTransaction")


async def test_case_041_stop_by_the_same_tag(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    rig.meter().add("1500.4")
    await rig.settle()
    csms.mark()
    rig.tap("CARD1")
    stopped = await csms.expect("StopTransaction", transactionId=1, idTag="CARD1", meterStop=1236068)
    assert by_card(stopped)
    await csms.status(1, "Finishing")
    rig.unplug()
    await csms.status(1, "Available")
    await rig.quiet("Authorize")
    assert csms.statuses(1) == ["Finishing", "Available"]


async def test_case_042_an_unrelated_tag_in_between(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    rig.tap("CARD2")
    await csms.expect("Authorize", idTag="CARD2")
    await rig.quiet("StopTransaction")
    assert rig.box().charging
    rig.tap("CARD1")
    await csms.expect("StopTransaction", idTag="CARD1")


async def test_case_043_stop_by_a_tag_of_the_same_parent(rig: Rig) -> None:
    rig.csms.cards |= {"CARD1": FAMILY, "CARD2": FAMILY}
    csms = await rig.ready()
    await rig.charging("CARD1")
    rig.tap("CARD2")
    await csms.expect("Authorize", idTag="CARD2")
    stopped = await csms.expect("StopTransaction", idTag="CARD2")
    assert by_card(stopped)
    await csms.status(1, "Finishing")


@pytest.mark.parametrize("status", ["Blocked", "Invalid", "Expired"])
async def test_case_044_a_tag_of_the_same_parent_that_is_not_accepted(rig: Rig, status: str) -> None:
    rig.csms.cards |= {"CARD1": FAMILY, "CARD2": {"status": status, "parentIdTag": "PARENT"}}
    csms = await rig.ready()
    await rig.charging("CARD1")
    rig.tap("CARD2")
    await csms.expect("Authorize", idTag="CARD2")
    await rig.quiet("StopTransaction")
    assert rig.box().charging


async def test_case_045_the_parent_itself_is_no_member(rig: Rig) -> None:
    rig.csms.cards |= {"CARD1": FAMILY}
    csms = await rig.ready()
    await rig.charging("CARD1")
    rig.tap("PARENT")
    await rig.quiet("StopTransaction")
    assert rig.box().charging
    assert [c["idTag"] for c in csms.of("Authorize")] in (["CARD1"], ["CARD1", "PARENT"])


async def test_case_046_parent_known_from_the_start_alone(rig: Rig) -> None:
    csms = await rig.ready()
    csms.cards |= {"CARD2": FAMILY}
    csms.once("StartTransaction", {"transactionId": 5, "idTagInfo": FAMILY})
    await rig.charging("CARD1")
    rig.tap("CARD2")
    await csms.expect("StopTransaction", idTag="CARD2", transactionId=5)


@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired", "ConcurrentTx"])
async def test_case_047_not_accepted(rig: Rig, status: str) -> None:
    rig.csms.cards["CARD1"] = {"status": status}
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    await rig.quiet("StartTransaction")
    assert csms.statuses(1) in (["Preparing"], ["Preparing", "Available"], ["Preparing", "Finishing"])
    assert set(rig.box().limits) <= {0}


async def test_case_048_lock_failure(rig: Rig) -> None:
    rig.lock = True
    csms = await rig.ready()
    rig.tap("CARD1")
    await csms.status(1, "Preparing")
    rig.box().faults = ("lock",)
    rig.plug()
    await csms.expect("StatusNotification", connectorId=1, errorCode="ConnectorLockFailure")
    await rig.quiet("StartTransaction")
    assert set(rig.box().limits) <= {0}


async def test_case_049_refused_at_the_start_and_stopped(rig: Rig) -> None:
    csms = await refused_at_start(rig, StopTransactionOnInvalidId=True)
    await csms.expect("StopTransaction", transactionId=7, reason="DeAuthorized")
    await csms.status(1, "Finishing")
    assert rig.box().limit == 0
    rig.unplug()
    await csms.status(1, "Available")


async def test_case_050_refused_at_the_start_and_suspended(rig: Rig) -> None:
    csms = await refused_at_start(rig, StopTransactionOnInvalidId=False)
    await csms.status(1, "SuspendedEVSE")
    await rig.quiet("StopTransaction")
    assert rig.box().limit == 0
    rig.tap("CARD1")
    stopped = await csms.expect("StopTransaction", transactionId=7, idTag="CARD1")
    assert by_card(stopped)
    await csms.status(1, "Finishing")


async def test_case_051_energy_for_a_refused_tag(rig: Rig) -> None:
    csms = await refused_at_start(rig, StopTransactionOnInvalidId=False, MaxEnergyOnInvalidId=500)
    await rig.settle()
    rig.meter().add(499)
    await rig.quiet("StopTransaction")
    assert csms.statuses(1)[-1] == "Charging"
    assert rig.box().charging
    rig.meter().add(2)
    await csms.status(1, "SuspendedEVSE")
    await rig.quiet("StopTransaction")
    assert rig.box().limit == 0


async def test_case_052_the_car_pauses(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    csms.mark()
    rig.box().asks = False
    await csms.status(1, "SuspendedEV")
    rig.box().asks = True
    await csms.status(1, "Charging")
    await rig.quiet("StartTransaction", "StopTransaction")
    assert csms.statuses(1) == ["SuspendedEV", "Charging"]


async def test_case_053_station_and_car_pause_together(rig: Rig) -> None:
    csms = await rig.ready(StopTransactionOnInvalidId=False)
    held = csms.hold("StartTransaction", {"transactionId": 7, "idTagInfo": {"status": "Invalid"}})
    rig.plug()
    rig.tap("CARD1")
    await rig.until(lambda: held.arrived.is_set() and rig.box().charging, "a car that charges")
    rig.box().asks = False
    await rig.settle()
    held.release()
    await csms.status(1, "SuspendedEVSE")
    rig.box().asks = True
    await rig.settle()
    rig.box().asks = False
    await rig.settle()
    assert csms.statuses(1)[-1] == "SuspendedEVSE"
    assert csms.statuses(1).count("SuspendedEVSE") == 1


async def test_case_054_out_at_the_car_unlocked(rig: Rig) -> None:
    rig.lock = True
    csms = await rig.ready(StopTransactionOnEVSideDisconnect=True, UnlockConnectorOnEVSideDisconnect=True)
    await rig.charging()
    rig.unplug_at_car()
    await csms.expect("StopTransaction", transactionId=1, reason="EVDisconnected")
    await csms.status(1, "Finishing", errorCode="NoError")
    await rig.until(lambda: rig.box().unlocked == 1, "the lock opens")
    rig.unplug()
    await csms.status(1, "Available")


async def test_case_055_out_at_the_car_kept_locked(rig: Rig) -> None:
    rig.lock = True
    csms = await rig.ready(StopTransactionOnEVSideDisconnect=True, UnlockConnectorOnEVSideDisconnect=False)
    await rig.charging()
    rig.unplug_at_car()
    await csms.expect("StopTransaction", transactionId=1, reason="EVDisconnected")
    await csms.status(1, "Finishing")
    await rig.settle()
    assert rig.box().unlocked == 0
    assert await csms.call("UnlockConnector", connectorId=1) == {"status": "Unlocked"}
    assert rig.box().unlocked == 1
    rig.unplug()
    await csms.status(1, "Available")


async def test_case_055_the_same_tag_opens_the_lock(rig: Rig) -> None:
    rig.lock = True
    csms = await rig.ready(StopTransactionOnEVSideDisconnect=True, UnlockConnectorOnEVSideDisconnect=False)
    await rig.charging("CARD1")
    rig.unplug_at_car()
    await csms.expect("StopTransaction", reason="EVDisconnected")
    await csms.status(1, "Finishing")
    csms.mark()
    rig.tap("CARD2")
    await rig.settle()
    assert rig.box().unlocked == 0
    rig.tap("CARD1")
    await rig.until(lambda: rig.box().unlocked == 1, "the lock opens")
    await rig.quiet("StartTransaction", "StopTransaction")
    rig.unplug()
    await csms.status(1, "Available")


async def test_case_055_fixed_cable(rig: Rig) -> None:
    csms = await rig.ready(StopTransactionOnEVSideDisconnect=True)
    assert await csms.value("UnlockConnectorOnEVSideDisconnect") == "false"
    await rig.charging()
    rig.unplug_at_car()
    await csms.expect("StopTransaction", transactionId=1, reason="EVDisconnected")
    assert await csms.call("UnlockConnector", connectorId=1) == {"status": "NotSupported"}
    await csms.status(1, "Available")


async def test_case_056_out_at_the_car_goes_on(rig: Rig) -> None:
    csms = await rig.ready(StopTransactionOnEVSideDisconnect=False)
    await rig.charging()
    rig.unplug_at_car()
    await csms.status(1, "SuspendedEV", errorCode="NoError")
    await rig.quiet("StopTransaction")
    assert await csms.call("RemoteStopTransaction", transactionId=1) == {"status": "Accepted"}
    await csms.expect("StopTransaction", transactionId=1, reason="Remote")
    await csms.status(1, "Finishing")
    await csms.status(1, "Available")


async def test_case_057_back_in_the_car(rig: Rig) -> None:
    csms = await rig.ready(StopTransactionOnEVSideDisconnect=False, MeterValueSampleInterval=1)
    await rig.charging()
    rig.unplug_at_car()
    await csms.status(1, "SuspendedEV")
    rig.plug()
    back = await csms.status(1, "Charging")
    values = await csms.expect("MeterValues")
    assert values["transactionId"] == 1
    assert values.index > back.index
    await rig.quiet("StopTransaction")
    assert len(csms.of("StartTransaction")) == 1


async def test_case_058_fixed_cable_stop_then_unplug(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    rig.tap("CARD1")
    stopped = await csms.expect("StopTransaction")
    await csms.status(1, "Finishing")
    rig.unplug()
    await csms.status(1, "Available")
    assert csms.statuses(1) == ["Preparing", "Charging", "Finishing", "Available"]
    assert not [c for c in csms.of("StatusNotification", status="Charging") if c.index > stopped.index]


async def test_case_058_fixed_cable_unplugged_at_once(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    rig.unplug()
    await csms.expect("StopTransaction", reason="EVDisconnected")
    await csms.status(1, "Available")
    assert csms.statuses(1) in (
        ["Preparing", "Charging", "Finishing", "Available"],
        ["Preparing", "Charging", "Available"],
    )


async def test_case_059_pulled_out_of_a_socket(rig: Rig) -> None:
    rig.lock = True
    csms = await rig.ready()
    await rig.charging()
    rig.unplug()
    await csms.expect("StopTransaction", transactionId=1, reason="EVDisconnected")
    await csms.status(1, "Available")
    await rig.settle()
    assert len(csms.of("StopTransaction")) == 1


def registers(values: list[Received]) -> list[int]:
    """Return the registers of MeterValues, in order."""
    return [
        int(sample["value"])
        for call in values
        for value in call["meterValue"]
        for sample in value["sampledValue"]
        if sample.get("measurand") == "Energy.Active.Import.Register"
    ]


async def test_case_060_transactions_chain(rig: Rig) -> None:
    csms = await rig.ready(MeterValueSampleInterval=1)
    ends: list[tuple[Any, Any]] = []
    for wh in ("0.3", "700.9", "12.4"):
        started = await rig.charging()
        rig.meter().add(wh)
        await rig.settle()
        if wh == "700.9":
            await csms.expect("MeterValues", transactionId=2)
            rig.meter().add("33.3")
            await csms.expect("MeterValues", transactionId=2)
        rig.tap("CARD1")
        stopped = await csms.expect("StopTransaction")
        ends.append((started["meterStart"], stopped["meterStop"]))
        rig.unplug()
        await csms.status(1, "Available")
    assert ends == [(1234567, 1234568), (1234568, 1235302), (1235302, 1235314)]
    read = [1234568, *registers(csms.of("MeterValues")), 1235302]
    assert all(earlier <= later for earlier, later in pairwise(read)), read


@pytest.mark.parametrize("number", [0, -5, 2147483647])
async def test_case_061_odd_transaction_ids(rig: Rig, number: int) -> None:
    rig.csms.transaction_ids = iter([number])
    csms = await rig.ready(MeterValueSampleInterval=1)
    await rig.charging()
    await csms.expect("MeterValues", transactionId=number)
    assert await csms.call("RemoteStopTransaction", transactionId=number) == {"status": "Accepted"}
    await csms.expect("StopTransaction", transactionId=number, reason="Remote")


async def test_case_062_tag_while_finishing(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    rig.tap("CARD1")
    await csms.expect("StopTransaction")
    await csms.status(1, "Finishing")
    csms.mark()
    for card in ("CARD1", "CARD2"):
        rig.tap(card)
        await rig.quiet("StartTransaction", "StopTransaction")
    assert rig.box().limit == 0
    assert not csms.statuses(1)


async def test_case_063_case_of_letters(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("abCD")
    csms.mark()
    rig.tap("ABcd")
    stopped = await csms.expect("StopTransaction")
    assert stopped["idTag"].lower() == "abcd"
    assert not csms.of("Authorize")


async def test_case_064_long_tag_that_is_no_hex(rig: Rig) -> None:
    tag = "Tag-of_20:Zeichen~#?"
    csms = await rig.ready()
    rig.plug()
    rig.tap(tag)
    await csms.expect("Authorize", idTag=tag)
    await csms.expect("StartTransaction", idTag=tag)
    await csms.status(1, "Charging")
    rig.tap(tag)
    await csms.expect("StopTransaction", idTag=tag)


async def test_case_065_another_start_while_one_runs(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    csms.mark()
    rig.tap("CARD2")
    await rig.quiet("StartTransaction", "StopTransaction", "StatusNotification")
    assert rig.box().charging


async def test_case_066_two_connectors_and_one_reader(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready(ConnectionTimeOut=1)
    rig.plug(1)
    await csms.status(1, "Preparing")
    await csms.status(1, "Finishing")
    rig.tap("CARD2")
    await csms.expect("Authorize", idTag="CARD2")
    rig.plug(2)
    await csms.expect("StartTransaction", connectorId=2, idTag="CARD2")
    await csms.status(2, "Charging")
    await rig.settle()
    assert len(csms.of("StartTransaction")) == 1
    assert csms.statuses(1) == ["Preparing", "Finishing"]
    assert set(rig.box(1).limits) <= {0}
    rig.unplug(1)
    await csms.status(1, "Available")


async def test_case_067_emergency_stop(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    rig.box().faults = ("emergency_stop",)
    await csms.expect("StopTransaction", transactionId=1, reason="EmergencyStop")
    await csms.status(1, "Faulted")
    await rig.settle()
    assert rig.box().limit == 0
    assert csms.statuses(1)[-1] == "Faulted"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("rcd", "GroundFailure"),
        ("contactor_weld", "PowerSwitchFailure"),
        ("over_current", "OverCurrentFailure"),
        ("over_temperature", "HighTemperature"),
        ("lock", "ConnectorLockFailure"),
        ("something new", "OtherError"),
    ],
)
async def test_case_068_fault_while_idle(rig: Rig, fault: str, code: str) -> None:
    csms = await rig.ready()
    rig.box().faults = (fault,)
    await csms.status(1, "Faulted", errorCode=code)
    rig.tap("CARD1")
    await rig.quiet("StartTransaction")
    rig.box().faults = ()
    await csms.status(1, "Available", errorCode="NoError")
    assert csms.statuses(1) == ["Faulted", "Available"]


async def test_case_068_fault_while_preparing(rig: Rig) -> None:
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    rig.box().faults = ("rcd",)
    await csms.status(1, "Faulted", errorCode="GroundFailure")
    rig.box().faults = ()
    await csms.status(1, "Preparing", errorCode="NoError")
    assert csms.statuses(1) == ["Preparing", "Faulted", "Preparing"]


async def test_case_068_fault_during_a_transaction(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    csms.mark()
    rig.box().faults = ("rcd",)
    await csms.status(1, "Faulted", errorCode="GroundFailure")
    await rig.until(lambda: rig.box().limit == 0, "no more power")
    await rig.settle()
    rig.box().faults = ()
    if csms.of("StopTransaction"):
        await csms.status(1, "Finishing", errorCode="NoError")
    else:
        await csms.status(1, "Charging", errorCode="NoError")
        rig.tap("CARD1")
        await csms.expect("StopTransaction", transactionId=1)
        await csms.status(1, "Finishing")
    assert len(csms.of("StartTransaction")) == 0


async def test_case_068_unplugged_while_faulted(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    csms.mark()
    rig.box().faults = ("rcd",)
    await csms.status(1, "Faulted")
    rig.unplug()
    await csms.expect("StopTransaction", transactionId=1)
    rig.box().faults = ()
    await csms.status(1, "Available", errorCode="NoError")
    await rig.settle()
    assert len(csms.of("StopTransaction")) == 1


async def test_case_069_minimum_status_duration(rig: Rig) -> None:
    csms = await rig.ready(MinimumStatusDuration=1)
    rig.plug()
    await rig.settle()
    rig.unplug()
    await rig.settle()
    rig.plug()
    await rig.quiet("StatusNotification")
    shown = await csms.status(1, "Preparing")
    await rig.settle()
    assert csms.statuses(1) == ["Preparing"]
    rig.unplug()
    gone = await csms.status(1, "Available")
    assert gone.at - shown.at >= 1.0
    assert csms.statuses(1) == ["Preparing", "Available"]


async def test_case_069_a_stable_status_is_told_with_its_own_time(rig: Rig) -> None:
    csms = await rig.ready(MinimumStatusDuration=1)
    before = csms.now()
    rig.plug()
    shown = await csms.status(1, "Preparing")
    age = shown.wall.timestamp() - _seconds(shown["timestamp"])
    assert before <= shown["timestamp"]
    assert 0.9 < age < 1.6


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
