"""Cases 109 to 113, and 30: messages that the central system asks for out of turn."""

from __future__ import annotations

from typing import Any

import pytest

from agent.core.commands import CallRef, PutCard
from agent.core.events import CommandReceived
from agent.core.model import IdToken, Profile
from tests.conformance.csms import Csms, Received
from tests.conformance.rig import Rig
from tests.conformance.steps import samples

ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}
IDLE = ["DiagnosticsStatusNotification", "FirmwareStatusNotification"]


async def trigger(csms: Csms, message: str, connector: int | None = None, *, action: str = "TriggerMessage") -> str:
    where = {} if connector is None else {"connectorId": connector}
    return str((await csms.call(action, requestedMessage=message, **where))["status"])


async def triggered(csms: Csms, message: str, connector: int | None = None, **fields: Any) -> Received:  # noqa: ANN401  # JSON
    """Ask for a message, and return it; it came after the answer."""
    csms.mark()
    assert await trigger(csms, message, connector) == "Accepted"
    told = await csms.expect(message, **fields)
    answered = csms.asked[-1].answered_at
    assert answered is not None
    assert answered <= told.at
    return told


@pytest.mark.parametrize("registered", [False, True])
async def test_case_109_each_message(rig: Rig, registered: bool) -> None:
    csms = await rig.ready()
    if not registered:
        csms.once("BootNotification", {"status": "Pending", "currentTime": csms.now(), "interval": 300})
        await rig.crash()
        csms.mark()
        await rig.start()
        boot = await csms.expect("BootNotification")
        await csms.until(lambda: boot.answered_at, "the answer")
        await rig.until(lambda: rig.evse().shown and rig.evse().meter.reading, "what is seen")
    await triggered(csms, "Heartbeat")
    assert (await triggered(csms, "StatusNotification", 1))["status"] == "Available"
    for message in IDLE:
        assert (await triggered(csms, message)).payload == {"status": "Idle"}
    values = await triggered(csms, "MeterValues", 1, connectorId=1, transactionId=None)
    told = samples(values["meterValue"])
    assert {s.context for s in told} == {"Trigger"}
    assert {"Energy.Active.Import.Register", "Voltage"} <= {s.measurand for s in told}


async def test_case_109_measurands_are_those_that_are_sampled(rig: Rig) -> None:
    csms = await rig.ready(MeterValuesSampledData="Voltage.L2")
    values = await triggered(csms, "MeterValues", 1)
    assert [(s.measurand, s.phase, s.value) for s in samples(values["meterValue"])] == [("Voltage", "L2", "230.1")]


@pytest.mark.parametrize("message", ["MeterValues", "StatusNotification"])
@pytest.mark.parametrize("action", ["TriggerMessage", "ExtendedTriggerMessage"])
async def test_case_110_unknown_connector(rig: Rig, message: str, action: str) -> None:
    csms = await rig.ready()
    for connector in (2, 99):
        assert await trigger(csms, message, connector, action=action) == "Rejected"
    await rig.quiet()


async def test_case_111_statuses_of_all(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    rig.plug(2)
    await csms.status(2, "Preparing")
    csms.mark()
    assert await trigger(csms, "StatusNotification") == "Accepted"
    for connector, status in ((0, "Available"), (1, "Available"), (2, "Preparing")):
        await csms.status(connector, status)
    await rig.settle()
    assert [c["connectorId"] for c in csms.of("StatusNotification")] == [0, 1, 2]
    csms.mark()
    assert await trigger(csms, "StatusNotification", 0) == "Accepted"
    await csms.status(0, "Available")
    await rig.settle()
    assert [c["connectorId"] for c in csms.of("StatusNotification")] == [0]


@pytest.mark.parametrize("action", ["TriggerMessage", "ExtendedTriggerMessage"])
async def test_case_112_boot_once_accepted(rig: Rig, action: str) -> None:
    csms = await rig.ready()
    assert await trigger(csms, "BootNotification", action=action) == "Rejected"
    await rig.quiet()
    await csms.close(1001)
    await csms.connection(2)
    await rig.until(lambda: rig.now.loop.state.cloud.online, "the link")
    assert await trigger(csms, "BootNotification", action=action) == "Rejected"
    await rig.quiet()


async def test_case_113_values_of_a_transaction(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    await rig.charging("CARD1", connector=2)
    csms.mark()
    assert await trigger(csms, "MeterValues") == "Accepted"
    await csms.expect("MeterValues", connectorId=1, transactionId=None)
    await csms.expect("MeterValues", connectorId=2, transactionId=1)
    await rig.crash()
    csms.mark()
    await rig.start()
    await csms.status(2, "Charging")
    assert await trigger(csms, "MeterValues", 2) == "Accepted"
    await csms.expect("MeterValues", connectorId=2, transactionId=1)


@pytest.mark.parametrize("message", ["Heartbeat", "MeterValues", "StatusNotification"])
async def test_case_109_extended(rig: Rig, message: str) -> None:
    csms = await rig.ready()
    assert await trigger(csms, message, action="ExtendedTriggerMessage") == "Accepted"
    await csms.expect(message)


async def test_case_109_of_a_private_session_no_values_leave(rig: Rig) -> None:
    csms = await rig.ready()
    card = PutCard(IdToken("MINE"), Profile.PRIVATE)
    rig.now.loop.post(CommandReceived(CallRef("control", "1"), card))
    rig.plug()
    rig.tap("MINE")
    await csms.status(1, "Charging")
    assert await trigger(csms, "MeterValues", 1) == "Rejected"
    assert await trigger(csms, "MeterValues") == "Rejected"
    assert await trigger(csms, "MeterValues", 1, action="ExtendedTriggerMessage") == "Rejected"
    await triggered(csms, "StatusNotification", 1)
    await rig.settle()
    assert {c.action for c in csms.calls} <= {"BootNotification", "StatusNotification", "Heartbeat"}
    assert "MINE" not in csms.transcript()


async def test_case_109_many_at_once(rig: Rig) -> None:
    csms = await rig.ready()
    for message in ("Heartbeat", *IDLE, "MeterValues", "StatusNotification") * 5:
        await csms.begin("TriggerMessage", {"requestedMessage": message})
    await csms.until(lambda: len(csms.actions()) >= 30, "the messages")
    assert all(asked.frame[2] == ACCEPTED for asked in csms.asked if asked.action == "TriggerMessage")


async def test_case_030_triggers_while_pending(rig: Rig) -> None:
    csms = rig.csms
    csms.on("BootNotification", {"status": "Pending", "currentTime": csms.now(), "interval": 300})
    await csms.up()
    await rig.start()
    boot = await csms.expect("BootNotification")
    await csms.until(lambda: boot.answered_at, "the answer")
    await rig.until(lambda: rig.evse().shown and rig.evse().meter.reading, "what is seen")
    rig.plug()
    await rig.settle()
    for message in ("StatusNotification", "Heartbeat", "MeterValues", *IDLE, "BootNotification"):
        await triggered(csms, message)
    await rig.settle()
    wanted = ["BootNotification", "StatusNotification", "StatusNotification", "Heartbeat", "MeterValues", *IDLE]
    assert [c.action for c in csms.calls] == [*wanted, "BootNotification"]
    csms.on("BootNotification", None)
    await triggered(csms, "BootNotification")
    await csms.status(1, "Preparing")
