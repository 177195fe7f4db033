"""Cases 116 to 126 and 129: availability that the central system sets, and resets; 55 once more, after a restart."""

from __future__ import annotations

import pytest

from tests.conformance.csms import Csms, Payload, Silence
from tests.conformance.rig import Rig
from tests.conformance.steps import finish

ACCEPTED = {"status": "Accepted"}
SCHEDULED = {"status": "Scheduled"}
REJECTED = {"status": "Rejected"}
INOPERATIVE = "Inoperative"
OPERATIVE = "Operative"


async def change(csms: Csms, connector: int, to: str) -> Payload:
    return await csms.call("ChangeAvailability", connectorId=connector, type=to)


async def reset(rig: Rig, kind: str) -> None:
    """Ask for a reset, and wait for the run after it."""
    assert await rig.csms.call("Reset", type=kind) == ACCEPTED
    await rig.until(lambda: rig.runs == 2 and rig.now.begun.is_set(), "the run after the reset")


async def test_case_116_connector_out_of_service_and_back(rig: Rig) -> None:
    csms = await rig.ready()
    assert await change(csms, 1, INOPERATIVE) == ACCEPTED
    await csms.status(1, "Unavailable", errorCode="NoError")
    rejected = await csms.call("RemoteStartTransaction", idTag="CARD1", connectorId=1)
    assert rejected == REJECTED
    rig.tap("CARD1")
    rig.plug()
    await rig.settle()
    rig.tap("CARD1")
    await rig.quiet("StartTransaction")
    assert set(rig.box().limits) <= {0}
    rig.unplug()
    await rig.settle()
    assert await change(csms, 1, OPERATIVE) == ACCEPTED
    await csms.status(1, "Available")
    await rig.quiet("StartTransaction")
    assert csms.statuses(1) == ["Unavailable", "Available"]
    assert not csms.statuses(0)
    await rig.charging("CARD1")


async def test_case_116_back_in_service_with_a_car(rig: Rig) -> None:
    csms = await rig.ready()
    assert await change(csms, 1, INOPERATIVE) == ACCEPTED
    await csms.status(1, "Unavailable")
    rig.plug()
    await rig.settle()
    assert await change(csms, 1, OPERATIVE) == ACCEPTED
    await csms.status(1, "Preparing")
    rig.tap("CARD1")
    await csms.expect("StartTransaction", idTag="CARD1")
    await csms.status(1, "Charging")
    assert csms.statuses(1)[-2:] == ["Preparing", "Charging"]


async def test_case_116_while_a_card_waits_for_its_car(rig: Rig) -> None:
    csms = await rig.ready()
    rig.tap("CARD1")
    await csms.status(1, "Preparing")
    assert await change(csms, 1, INOPERATIVE) == ACCEPTED
    await csms.status(1, "Unavailable")
    rig.plug()
    await rig.settle()
    assert await change(csms, 1, OPERATIVE) == ACCEPTED
    await csms.status(1, "Preparing")
    await rig.quiet("StartTransaction")
    assert set(rig.box().limits) <= {0}


async def test_case_117_while_a_card_waits_for_a_car_at_any_connector(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    rig.tap("CARD1")
    await csms.expect("Authorize")
    await rig.settle()
    for to, status in ((INOPERATIVE, "Unavailable"), (OPERATIVE, "Available")):
        assert await change(csms, 0, to) == ACCEPTED
        await csms.status(2, status)
    rig.plug(2)
    await csms.status(2, "Preparing")
    await rig.quiet("StartTransaction")


async def test_case_117_whole_station(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    for to, status in ((INOPERATIVE, "Unavailable"), (OPERATIVE, "Available")):
        csms.mark()
        assert await change(csms, 0, to) == ACCEPTED
        for connector in (0, 1, 2):
            await csms.status(connector, status)
        await rig.settle()
        assert [csms.statuses(connector) for connector in (0, 1, 2)] == [[status]] * 3


async def test_case_118_already_so(rig: Rig) -> None:
    csms = await rig.ready()
    assert await change(csms, 1, OPERATIVE) == ACCEPTED
    await rig.settle()
    assert set(csms.statuses(1)) <= {"Available"}
    for _ in range(2):
        assert await change(csms, 1, INOPERATIVE) == ACCEPTED
    await csms.status(1, "Unavailable")
    await rig.settle()
    assert set(csms.statuses(1)) <= {"Available", "Unavailable"}


async def test_case_119_during_a_transaction(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    csms.mark()
    assert await change(csms, 1, INOPERATIVE) == SCHEDULED
    await rig.quiet()
    assert rig.box().charging
    rig.tap("CARD1")
    stopped = await csms.expect("StopTransaction", transactionId=1)
    await rig.settle()
    rig.tap("CARD1")
    await rig.quiet("StartTransaction")
    rig.unplug()
    unavailable = await csms.status(1, "Unavailable")
    assert stopped["timestamp"] <= unavailable["timestamp"]
    await rig.settle()
    assert csms.statuses(1) in (["Finishing", "Unavailable"], ["Unavailable"])


async def test_case_119_whole_station_during_a_transaction(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    await rig.charging("CARD1", connector=1)
    csms.mark()
    assert await change(csms, 0, INOPERATIVE) == SCHEDULED
    await csms.status(0, "Unavailable")
    await csms.status(2, "Unavailable")
    await rig.settle()
    assert not csms.statuses(1)
    assert rig.box(1).charging
    rig.tap("CARD1")
    await csms.expect("StopTransaction", transactionId=1)
    rig.unplug(1)
    await csms.status(1, "Unavailable")
    assert [csms.statuses(connector) for connector in (0, 2)] == [["Unavailable"]] * 2


async def test_case_120_scheduled_and_taken_back(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    csms.mark()
    assert await change(csms, 1, INOPERATIVE) == SCHEDULED
    assert (await change(csms, 1, OPERATIVE))["status"] in {"Accepted", "Scheduled"}
    await finish(rig, "CARD1")
    await rig.settle()
    assert csms.statuses(1) == ["Finishing", "Available"]


async def test_case_121_unknown_connector(rig: Rig) -> None:
    csms = await rig.ready()
    assert await change(csms, 2, INOPERATIVE) == REJECTED
    assert await change(csms, 9, OPERATIVE) == REJECTED
    await rig.quiet()


async def test_case_122_hard_reset_while_idle(rig: Rig) -> None:
    await idle_reset(rig, "Hard")


async def test_case_123_soft_reset_while_idle(rig: Rig) -> None:
    await idle_reset(rig, "Soft")


async def idle_reset(rig: Rig, kind: str) -> None:
    csms = await rig.ready()
    await reset(rig, kind)
    boot = await csms.expect("BootNotification")
    for connector in (0, 1):
        await csms.status(connector, "Available")
    assert csms.fresh[0] is boot
    assert boot.connection == 2
    await rig.settle()
    assert rig.runs == 2


async def reset_while_charging(rig: Rig, kind: str) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    rig.meter().add(250)
    await rig.settle()
    csms.mark()
    await reset(rig, kind)
    await csms.expect("StopTransaction", transactionId=1, reason=f"{kind}Reset", meterStop=1234817)
    boot = await csms.expect("BootNotification")
    await rig.settle()
    shown = [c for c in csms.of("StatusNotification", connectorId=1) if c.index > boot.index]
    assert shown[-1]["status"] in {"Finishing", "Preparing"}
    assert rig.box().limit == 0
    assert len(csms.of("StopTransaction")) == 1
    assert not csms.of("StartTransaction")


async def test_case_124_hard_reset_during_a_transaction(rig: Rig) -> None:
    await reset_while_charging(rig, "Hard")


async def test_case_125_soft_reset_during_a_transaction(rig: Rig) -> None:
    csms = rig.csms
    await reset_while_charging(rig, "Soft")
    (stopped,), (boot,) = csms.of("StopTransaction"), csms.of("BootNotification")
    assert stopped.index < boot.index


async def test_case_126_reset_while_nobody_takes_the_stop(rig: Rig) -> None:
    rig.plan.drain_s = 0.3
    csms = await rig.ready()
    await rig.charging("CARD1")
    csms.mark()
    first = len(csms.connections)
    csms.on("StopTransaction", lambda _: Silence() if len(csms.connections) == first else None)
    await reset(rig, "Soft")
    boot = await csms.expect("BootNotification")
    await csms.until(lambda: [c for c in csms.of("StopTransaction") if c.index > boot.index], "a resend")
    await rig.settle()
    sent = csms.of("StopTransaction", transactionId=1, reason="SoftReset")
    assert sent == csms.of("StopTransaction")
    assert len([c for c in sent if c.answered_at is not None]) == 1
    assert len({c.message_id for c in sent}) == 1


@pytest.mark.parametrize("connector", [0, 1])
async def test_case_129_unavailable_persists(rig: Rig, connector: int) -> None:
    csms = await rig.ready()
    assert await change(csms, connector, INOPERATIVE) == ACCEPTED
    await csms.status(1, "Unavailable")
    csms.mark()
    await rig.power_cut()
    await rig.start()
    await csms.expect("BootNotification")
    await csms.status(0, "Unavailable" if connector == 0 else "Available")
    await csms.status(1, "Unavailable")
    rig.plug()
    await rig.settle()
    rig.tap("CARD1")
    await rig.quiet("StartTransaction")
    assert csms.statuses(1) == ["Unavailable"]
    assert await change(csms, connector, OPERATIVE) == ACCEPTED
    await csms.status(1, "Preparing")


async def test_case_129_what_is_scheduled_persists(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    assert await change(csms, 1, INOPERATIVE) == SCHEDULED
    csms.mark()
    await reset(rig, "Soft")
    await csms.expect("StopTransaction", transactionId=1, reason="SoftReset")
    await csms.expect("BootNotification")
    rig.unplug()
    await csms.status(1, "Unavailable")
    await rig.settle()
    assert csms.statuses(1)[-1] == "Unavailable"


async def test_case_055_the_same_tag_opens_the_lock_after_a_restart(rig: Rig) -> None:
    rig.lock = True
    csms = await rig.ready(StopTransactionOnEVSideDisconnect=True, UnlockConnectorOnEVSideDisconnect=False)
    await rig.charging("CARD1")
    rig.unplug_at_car()
    await csms.expect("StopTransaction", reason="EVDisconnected")
    await csms.status(1, "Finishing")
    await rig.settle()
    csms.mark()
    await rig.crash()
    await rig.start()
    await rig.booted()
    await rig.settle()
    assert rig.box().unlocked == 0
    rig.tap("CARD1")
    await rig.until(lambda: rig.box().unlocked == 1, "the lock opens", within=0.5)
