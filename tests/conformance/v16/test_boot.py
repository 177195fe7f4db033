"""Cases 24 to 37 without triggers (30, beside those) and AuthorizationKey (32): how the station registers."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agent.core.settings import Settings
from agent.ocpp.backoff import BootDelays
from agent.ocpp.dialect import Identity
from tests.conformance.csms import Csms, Late, Payload, Refuse, Silence, Trailed
from tests.conformance.rig import Rig


def boot(csms: Csms, status: str, interval: int) -> Payload:
    return {"status": status, "currentTime": csms.now(), "interval": interval}


async def started(rig: Rig) -> Csms:
    await rig.csms.up()
    await rig.start()
    return rig.csms


async def test_case_024_cold_boot_rejected_first(rig: Rig) -> None:
    rig.connectors = 2
    csms = rig.csms
    csms.heartbeat_interval_s = 1
    csms.once("BootNotification", boot(csms, "Rejected", 1))
    await started(rig)
    first = await csms.expect("BootNotification")
    second = await csms.expect("BootNotification")
    assert second.at - first.at >= 0.98
    assert csms.calls[:2] == [first, second]
    for connector in (0, 1, 2):
        await csms.status(connector, "Available", errorCode="NoError")
    beats = [await csms.expect("Heartbeat") for _ in range(2)]
    assert 0.9 < beats[1].at - beats[0].at < 1.5
    assert await csms.value("HeartbeatInterval") == "1"


async def test_case_025_pending(rig: Rig) -> None:
    csms = rig.csms
    csms.heartbeat_interval_s = 1
    csms.once("BootNotification", boot(csms, "Pending", 1))
    await started(rig)
    first = await csms.expect("BootNotification")
    await csms.until(lambda: first.answered_at, "the answer")
    assert await csms.value("NumberOfConnectors") == "1"
    await csms.change("MeterValueSampleInterval", 7)
    second = await csms.expect("BootNotification")
    assert second.at - first.at >= 0.98
    assert csms.calls[:2] == [first, second]
    for connector in (0, 1):
        await csms.status(connector, "Available")
    await csms.expect("Heartbeat")
    assert await csms.value("MeterValueSampleInterval") == "7"


async def test_case_026_no_answer_to_the_boot(rig: Rig) -> None:
    rig.settings = Settings(message_timeout_s=1)
    rig.csms.once("BootNotification", Silence())
    csms = await started(rig)
    first = await csms.expect("BootNotification")
    second = await csms.expect("BootNotification")
    assert second.at - first.at >= 1 + 0.8 * 0.2
    assert csms.calls[:2] == [first, second]
    await csms.status(1, "Available")


@pytest.mark.parametrize("answer", [Refuse("InternalError"), Refuse("NotImplemented"), {"status": "Whatever"}, {}])
async def test_case_027_error_to_the_boot(rig: Rig, answer: Payload | Refuse) -> None:
    rig.csms.once("BootNotification", answer, answer)
    csms = await started(rig)
    boots = [await csms.expect("BootNotification") for _ in range(3)]
    assert boots[1].at - boots[0].at >= 0.8 * 0.2
    assert boots[2].at - boots[1].at >= 0.8 * 0.4
    assert csms.calls[:3] == boots
    await csms.status(1, "Available")


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_case_028_interval_zero(rig: Rig, status: str) -> None:
    rig.plan.boot_delays = BootDelays()
    rig.csms.on("BootNotification", boot(rig.csms, status, 0))
    csms = await started(rig)
    await csms.expect("BootNotification")
    registering = rig.now.service.desk.registering
    await rig.until(lambda: registering.boot_at, "a plan for the next one")
    assert (registering.boot_at or 0.0) - rig.now.clock.mono() >= 10
    await rig.settle()
    assert [c.action for c in csms.calls] == ["BootNotification"]


async def test_case_029_remote_start_and_stop_while_pending(rig: Rig) -> None:
    rig.csms.once("BootNotification", boot(rig.csms, "Pending", 1))
    csms = await started(rig)
    rig.plug()
    first = await csms.expect("BootNotification")
    await csms.until(lambda: first.answered_at, "the answer")
    start = await csms.call("RemoteStartTransaction", connectorId=1, idTag="CARD1")
    stop = await csms.call("RemoteStopTransaction", transactionId=1)
    assert (start, stop) == ({"status": "Rejected"}, {"status": "Rejected"})
    await csms.status(1, "Preparing")
    await rig.quiet("StartTransaction")


@pytest.mark.parametrize("status", ["Accepted", "Pending"])
async def test_case_029_a_call_in_the_same_breath_as_the_answer(rig: Rig, status: str) -> None:
    then = boot(rig.csms, status, 1)
    rig.csms.once("BootNotification", Trailed("GetConfiguration", {"key": ["NumberOfConnectors"]}, then))
    csms = await started(rig)
    await csms.until(lambda: csms.asked and csms.asked[0].answer.done(), "the answer")
    assert csms.asked[0].frame[0] == 3
    await csms.status(1, "Available")


async def test_case_029_a_late_answer_to_the_boot_with_a_call_right_behind_it(rig: Rig) -> None:
    rig.settings = Settings(message_timeout_s=1)
    trailed = Trailed("GetConfiguration", {"key": ["NumberOfConnectors"]}, boot(rig.csms, "Pending", 1))
    rig.csms.once("BootNotification", Late(1.05, trailed))
    csms = await started(rig)
    await csms.until(lambda: csms.asked and csms.asked[0].answer.done(), "the answer")
    assert csms.asked[0].frame[0] == 3


async def test_case_029_remote_stop_of_a_running_transaction_while_pending(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging()
    await rig.crash()
    csms.mark()
    csms.once("BootNotification", boot(csms, "Pending", 1))
    await rig.start()
    first = await csms.expect("BootNotification")
    await rig.until(lambda: first.answered_at and rig.evse().recovering is None, "the session goes on")
    assert await csms.call("RemoteStopTransaction", transactionId=1) == {"status": "Rejected"}
    await csms.status(1, "Charging")
    await rig.quiet("StopTransaction")
    assert await csms.call("RemoteStopTransaction", transactionId=1) == {"status": "Accepted"}
    await csms.expect("StopTransaction", transactionId=1, reason="Remote")


async def test_case_031_call_while_rejected(rig: Rig) -> None:
    rig.csms.once("BootNotification", boot(rig.csms, "Rejected", 1))
    csms = await started(rig)
    first = await csms.expect("BootNotification")
    await csms.until(lambda: first.answered_at, "the answer")
    await rig.until(lambda: rig.now.service.desk.registering.status is not None, "the registration")
    asked = await csms.begin("GetConfiguration", {}, owed=False)
    await rig.booted()
    await rig.settle()
    assert not asked.answer.done() or asked.frame[2] == "SecurityError"
    assert await csms.value("NumberOfConnectors") == "1"


async def test_case_033_plug_while_pending(rig: Rig) -> None:
    rig.csms.once("BootNotification", boot(rig.csms, "Pending", 1))
    csms = await started(rig)
    await csms.expect("BootNotification")
    rig.plug()
    rig.tap("CARD1")
    await rig.settle()
    assert [c.action for c in csms.calls] == ["BootNotification"]
    await csms.expect("BootNotification")
    await csms.status(1, "Preparing")
    await rig.settle()
    assert csms.statuses(1) == ["Preparing"]
    assert not csms.of("StartTransaction")


@pytest.mark.parametrize("days", [365, -365])
async def test_case_034_the_clock_follows_the_server(rig: Rig, days: int) -> None:
    rig.csms.offset = timedelta(days=days)
    csms = await rig.ready()
    await rig.charging()
    rig.tap("CARD1")
    await csms.expect("StopTransaction")
    stamps = [c["timestamp"] for c in csms.calls if "timestamp" in c.payload]
    assert {stamp[:4] for stamp in stamps} == {csms.now()[:4]}


@pytest.mark.parametrize("power", [False, True])
async def test_case_035_open_transaction_from_before_the_crash(rig: Rig, power: bool) -> None:
    csms = await rig.ready()
    await rig.charging()
    rig.meter().add(150)
    await rig.settle()
    await (rig.power_cut() if power else rig.crash())
    csms.mark()
    rig.unplug()
    csms.once("BootNotification", boot(csms, "Pending", 1))
    await rig.start()
    await csms.expect("BootNotification")
    await rig.settle()
    assert csms.actions() == ["BootNotification"]
    await csms.expect("BootNotification")
    stopped = await csms.expect("StopTransaction", transactionId=1, meterStop=1234567 + 150)
    assert stopped["reason"] == ("PowerLoss" if power else "Reboot")
    await rig.settle()
    assert len(csms.of("StopTransaction")) == 1
    assert not csms.of("StartTransaction")


async def test_case_036_what_the_boot_tells(rig: Rig) -> None:
    csms = await rig.ready()
    (told,) = [c for c in csms.calls if c.action == "BootNotification"]
    assert told.payload == {
        "chargePointVendor": "ACME",
        "chargePointModel": "Wallbox",
        "chargePointSerialNumber": "WB-0001",
        "firmwareVersion": "1.2.3",
        "meterType": "M3",
        "meterSerialNumber": "M-0001",
    }


async def test_case_036_long_names_are_cut(rig: Rig) -> None:
    rig.identity = Identity("V" * 30, "M" * 30, "F" * 60, "S" * 40, "T" * 40, "N" * 40)
    csms = await rig.ready()
    (told,) = [c for c in csms.calls if c.action == "BootNotification"]
    lengths = {name: len(value) for name, value in told.payload.items()}
    assert lengths == {
        "chargePointVendor": 20,
        "chargePointModel": 20,
        "chargePointSerialNumber": 25,
        "firmwareVersion": 50,
        "meterType": 25,
        "meterSerialNumber": 25,
    }


async def test_case_037_the_server_has_lost_the_registration(rig: Rig) -> None:
    csms = await rig.ready(HeartbeatInterval=1)
    csms.once("Heartbeat", Refuse("SecurityError"))
    beat = await csms.expect("Heartbeat")
    again = await csms.expect("BootNotification")
    assert again.at - beat.at >= 0.8 * 0.2
    for connector in (0, 1):
        await csms.status(connector, "Available")
    assert csms.actions()[:2] == ["Heartbeat", "BootNotification"]
