"""Cases 90 to 108: remote start and stop, and the lock."""

from __future__ import annotations

import pytest

from tests.conformance.csms import Csms, Payload, Trailed
from tests.conformance.leaps import Leaps
from tests.conformance.rig import Rig
from tests.conformance.steps import entry, finish, send_list

ACCEPTED = {"status": "Accepted"}
REJECTED = {"status": "Rejected"}
UNLOCKED = {"status": "Unlocked"}
NOT_SUPPORTED = {"status": "NotSupported"}


@pytest.fixture
def leaps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Leaps:
    return Leaps(rig, monkeypatch)


async def start(csms: Csms, card: str = "REMOTE", connector: int | None = 1) -> Payload:
    where = {} if connector is None else {"connectorId": connector}
    return await csms.call("RemoteStartTransaction", idTag=card, **where)


async def stop(csms: Csms, transaction: int) -> Payload:
    return await csms.call("RemoteStopTransaction", transactionId=transaction)


async def unlock(csms: Csms, connector: int = 1) -> Payload:
    return await csms.call("UnlockConnector", connectorId=connector)


async def test_case_090_remote_start_cable_first(rig: Rig) -> None:
    csms = await rig.ready(AuthorizeRemoteTxRequests=True)
    rig.plug()
    await csms.status(1, "Preparing")
    assert await start(csms) == ACCEPTED
    authorize = await csms.expect("Authorize", idTag="REMOTE")
    started = await csms.expect("StartTransaction", connectorId=1, idTag="REMOTE", reservationId=None)
    await csms.status(1, "Charging")
    assert authorize.index < started.index
    assert csms.statuses(1) == ["Preparing", "Charging"]


async def test_case_090_with_a_charging_profile(rig: Rig) -> None:
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    profile = {"chargingProfileId": 1, "stackLevel": 0, "chargingProfilePurpose": "TxProfile"}
    profile |= {"chargingProfileKind": "Relative", "chargingSchedule": schedule}
    answer = await csms.call("RemoteStartTransaction", idTag="REMOTE", connectorId=1, chargingProfile=profile)
    assert answer == ACCEPTED
    await csms.expect("StartTransaction", connectorId=1, idTag="REMOTE")
    await csms.status(1, "Charging")
    assert rig.box().limit == 10_000


async def test_case_091_remote_start_first(rig: Rig) -> None:
    csms = await rig.ready()
    assert await start(csms) == ACCEPTED
    await csms.status(1, "Preparing")
    await rig.quiet("StartTransaction")
    rig.plug()
    await csms.expect("StartTransaction", connectorId=1, idTag="REMOTE")
    await csms.status(1, "Charging")
    assert csms.statuses(1) == ["Preparing", "Charging"]


async def test_case_092_remote_start_and_nobody_comes(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(ConnectionTimeOut=30)
    assert await start(csms) == ACCEPTED
    await csms.status(1, "Preparing")
    await leaps.ahead(28)
    assert csms.statuses(1) == ["Preparing"]
    await leaps.ahead(3)
    await csms.status(1, "Available")
    rig.plug()
    await csms.status(1, "Preparing")
    await rig.quiet("StartTransaction")


async def test_case_093_remote_stop_in_the_same_breath_as_the_transaction_id(rig: Rig) -> None:
    csms = await rig.ready()
    answer = {"transactionId": 77, "idTagInfo": ACCEPTED}
    csms.once("StartTransaction", Trailed("RemoteStopTransaction", {"transactionId": 77}, answer))
    rig.plug()
    rig.tap("CARD1")
    await csms.expect("StopTransaction", transactionId=77, reason="Remote")
    assert csms.asked[-1].frame[2] == ACCEPTED


@pytest.mark.parametrize("lock", [False, True])
async def test_case_093_remote_stop(rig: Rig, lock: bool) -> None:
    rig.lock = lock
    csms = await rig.ready()
    await rig.charging("CARD1")
    assert await stop(csms, 1) == ACCEPTED
    await csms.expect("StopTransaction", transactionId=1, reason="Remote")
    await csms.status(1, "Finishing")
    await rig.until(lambda: rig.box().unlocked >= lock, "the lock opens")
    rig.unplug()
    await csms.status(1, "Available")
    assert csms.statuses(1) == ["Preparing", "Charging", "Finishing", "Available"]


async def test_case_094_remote_start_while_occupied(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    csms.mark()
    assert await start(csms) == REJECTED
    await rig.quiet()
    assert rig.box().charging


async def test_case_094_remote_start_while_unavailable(rig: Rig) -> None:
    csms = await rig.ready()
    assert await csms.call("ChangeAvailability", connectorId=1, type="Inoperative") == ACCEPTED
    await csms.status(1, "Unavailable")
    assert await start(csms) == REJECTED
    rig.plug()
    await rig.quiet("StartTransaction")
    assert set(rig.box().limits) <= {0}


async def test_case_094_remote_start_while_another_card_waits_for_its_car(rig: Rig) -> None:
    csms = await rig.ready()
    rig.tap("CARD1")
    await csms.status(1, "Preparing")
    assert await start(csms) == REJECTED
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD1")
    await csms.status(1, "Charging")


async def test_case_094_remote_start_while_faulted(rig: Rig) -> None:
    csms = await rig.ready()
    rig.box().faults = ("rcd",)
    await csms.status(1, "Faulted")
    assert await start(csms) == REJECTED
    await rig.quiet("StartTransaction")


async def test_case_095_remote_start_on_connector_0(rig: Rig) -> None:
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    assert await start(csms, connector=0) == REJECTED
    await rig.quiet("StartTransaction", "Authorize")


async def test_case_096_remote_stop_of_an_unknown_transaction(rig: Rig) -> None:
    csms = await rig.ready()
    assert await stop(csms, 1) == REJECTED
    await rig.charging("CARD1")
    for unknown in (0, 2, -1):
        assert await stop(csms, unknown) == REJECTED
    await rig.quiet("StopTransaction")
    assert rig.box().charging
    await finish(rig)
    assert await stop(csms, 1) == REJECTED


@pytest.mark.parametrize("status", ["Invalid", "Blocked", "Expired", "ConcurrentTx"])
async def test_case_097_remote_start_of_a_card_that_is_not_accepted(rig: Rig, status: str) -> None:
    rig.csms.cards["REMOTE"] = {"status": status}
    csms = await rig.ready(AuthorizeRemoteTxRequests=True)
    rig.plug()
    await csms.status(1, "Preparing")
    assert await start(csms) == ACCEPTED
    await csms.expect("Authorize", idTag="REMOTE")
    await rig.quiet("StartTransaction")
    assert set(rig.box().limits) <= {0}


async def test_case_098_remote_start_without_connector(rig: Rig) -> None:
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    assert await start(csms, connector=None) == ACCEPTED
    await csms.expect("StartTransaction", connectorId=1, idTag="REMOTE")
    await csms.status(1, "Charging")


async def test_case_098_without_connector_where_one_of_two_is_free(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    await rig.charging("CARD1", connector=1)
    assert await start(csms, connector=None) == ACCEPTED
    await csms.status(2, "Preparing")
    rig.plug(2)
    await csms.expect("StartTransaction", connectorId=2, idTag="REMOTE")
    await csms.status(2, "Charging")
    assert await start(csms, connector=None) == REJECTED


async def test_case_098_without_connector_where_two_are_free(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    assert [await start(csms, connector=None) for _ in range(2)] == [REJECTED, REJECTED]
    await rig.quiet()


async def test_case_099_two_remote_starts(rig: Rig) -> None:
    csms = await rig.ready()
    assert await start(csms, "FIRST") == ACCEPTED
    assert await start(csms, "SECOND") == REJECTED
    rig.plug()
    await csms.expect("StartTransaction", idTag="FIRST")
    await csms.status(1, "Charging")
    await rig.settle()
    assert len(csms.of("StartTransaction")) == 1


async def test_case_100_remote_start_on_an_unknown_connector(rig: Rig) -> None:
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    assert await start(csms, connector=9) == REJECTED
    await rig.quiet("StartTransaction", "Authorize")


async def test_case_101_remote_stop_before_the_transaction_has_its_id(rig: Rig) -> None:
    csms = await rig.ready()
    held = csms.hold("StartTransaction")
    rig.plug()
    rig.tap("CARD1")
    await rig.until(lambda: held.arrived.is_set() and rig.box().charging, "a car that charges")
    assert await stop(csms, 1) == REJECTED
    await rig.settle()
    assert rig.box().charging
    held.release()
    await csms.status(1, "Charging")
    assert await stop(csms, 1) == ACCEPTED
    await csms.expect("StopTransaction", transactionId=1, reason="Remote")


async def test_case_102_remote_start_without_asking(rig: Rig) -> None:
    csms = await rig.ready(AuthorizeRemoteTxRequests=False)
    assert await send_list(csms, 1, entry("REMOTE", "Invalid")) == "Accepted"
    csms.cards["REMOTE"] = {"status": "Accepted"}
    rig.plug()
    await csms.status(1, "Preparing")
    assert await start(csms) == ACCEPTED
    await csms.expect("StartTransaction", idTag="REMOTE")
    await csms.status(1, "Charging")
    assert not csms.of("Authorize")


@pytest.mark.parametrize("plugged", [False, True])
async def test_case_103_unlock_a_socket(rig: Rig, plugged: bool) -> None:
    rig.lock = True
    csms = await rig.ready()
    if plugged:
        rig.plug()
        await csms.status(1, "Preparing")
    assert await unlock(csms) == UNLOCKED
    assert rig.box().unlocked == 1
    await rig.quiet("StartTransaction", "StopTransaction")


async def test_case_104_unlock_a_fixed_cable(rig: Rig) -> None:
    csms = await rig.ready()
    assert await unlock(csms) == NOT_SUPPORTED
    await rig.quiet()


async def test_case_105_unlock_a_socket_during_a_transaction(rig: Rig) -> None:
    rig.lock = True
    csms = await rig.ready()
    await rig.charging("CARD1")
    csms.mark()
    assert await unlock(csms) == UNLOCKED
    await csms.expect("StopTransaction", transactionId=1, reason="UnlockCommand")
    await csms.status(1, "Finishing")
    assert rig.box().unlocked >= 1
    assert rig.box().limit == 0
    rig.unplug()
    await csms.status(1, "Available")
    assert csms.statuses(1) == ["Finishing", "Available"]


async def test_case_106_unlock_a_fixed_cable_during_a_transaction(rig: Rig) -> None:
    csms = await rig.ready()
    await rig.charging("CARD1")
    csms.mark()
    assert await unlock(csms) == NOT_SUPPORTED
    await rig.quiet()
    assert rig.box().charging
    assert await stop(csms, 1) == ACCEPTED
    await csms.expect("StopTransaction", transactionId=1, reason="Remote")


@pytest.mark.parametrize("charging", [False, True])
async def test_case_107_lock_that_does_not_move(rig: Rig, charging: bool) -> None:
    rig.lock = True
    csms = await rig.ready()
    if charging:
        await rig.charging("CARD1")
    rig.box().jammed = True
    assert await unlock(csms) == {"status": "UnlockFailed"}
    await rig.settle()
    assert len(csms.of("StopTransaction", reason="UnlockCommand")) == charging


@pytest.mark.parametrize("lock", [False, True])
async def test_case_108_unlock_an_unknown_connector(rig: Rig, lock: bool) -> None:
    rig.lock = lock
    csms = await rig.ready()
    assert await unlock(csms, 9) == NOT_SUPPORTED
    assert rig.box().unlocked == 0
