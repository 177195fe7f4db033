"""Cases 131 to 146: charging without a link, and how what happened meanwhile is told."""

from __future__ import annotations

import pytest

from agent.ocpp.backoff import Backoff
from tests.conformance.csms import Csms, HangUp, Late, Payload, Received, Refuse, Silence
from tests.conformance.leaps import Leaps
from tests.conformance.rig import Rig
from tests.conformance.steps import (
    REGISTER,
    charge_unseen,
    end_unseen,
    entry,
    finish,
    is_refused,
    learn,
    moment,
    near,
    offline,
    online,
    samples,
    send_list,
)

EAGER = Backoff(base_s=0.05, spread_s=0.02, doublings=0, quick_s=0.02)
TRANSACTION = {"StartTransaction", "MeterValues", "StopTransaction"}


@pytest.fixture
def leaps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Leaps:
    return Leaps(rig, monkeypatch)


async def ready(rig: Rig, **keys: object) -> Csms:
    """A station that soon tries again to connect."""
    rig.plan.backoff = EAGER
    return await rig.ready(**keys)


def in_order(csms: Csms) -> list[Received]:
    """Return what came of transactions since the mark."""
    return [c for c in csms.fresh if c.action in TRANSACTION]


def registers(values: list[Received]) -> list[tuple[float, int]]:
    """Return times and registers of MeterValues."""
    read = samples(*(c["meterValue"] for c in values))
    return [(s.at.timestamp(), int(s.value)) for s in read if s.measurand == REGISTER]


async def test_case_131_link_lost_during_a_transaction(rig: Rig, leaps: Leaps) -> None:
    csms = await ready(rig, MeterValueSampleInterval=10)
    started = await rig.charging("CARD1")
    await offline(rig)
    csms.mark()
    for _ in range(3):
        rig.meter().add(100)
        await leaps.ahead(10)
    assert rig.box().charging
    await online(rig)
    await csms.until(lambda: len(csms.of("MeterValues", transactionId=1)) >= 3, "the queued values")
    read = registers(csms.of("MeterValues")[:3])
    assert [wh for _, wh in read] == [1234667, 1234767, 1234867]
    assert near([at - moment(started).timestamp() for at, _ in read], [10, 20, 30])
    assert {c.action for c in csms.fresh} <= {"MeterValues", "Heartbeat"}
    await leaps.ahead(10)
    await csms.until(lambda: len(csms.of("MeterValues", transactionId=1)) >= 4, "values on the new connection")
    await finish(rig)


async def test_case_132_offline_start(rig: Rig) -> None:
    csms = await ready(rig)
    await learn(rig, "CARD1")
    await offline(rig)
    await charge_unseen(rig, "CARD1")
    began = csms.now()
    await rig.settle()
    await online(rig)
    started = await csms.expect("StartTransaction", connectorId=1, idTag="CARD1", meterStart=1234567)
    await csms.status(1, "Charging")
    assert started["timestamp"] < began
    await rig.settle()
    assert csms.statuses(1) == ["Charging"]
    assert not csms.of("Authorize")
    assert rig.box().charging


async def refused_later(rig: Rig, *, stops: bool) -> Csms:
    csms = await ready(rig, StopTransactionOnInvalidId=stops)
    await learn(rig, "CARD1")
    await offline(rig)
    await charge_unseen(rig, "CARD1")
    csms.once("StartTransaction", {"transactionId": 9, "idTagInfo": {"status": "Invalid"}})
    await online(rig)
    await csms.expect("StartTransaction", idTag="CARD1")
    return csms


async def test_case_133_offline_start_refused_and_suspended(rig: Rig) -> None:
    csms = await refused_later(rig, stops=False)
    await csms.status(1, "SuspendedEVSE")
    await rig.quiet("StopTransaction")
    assert rig.box().limit == 0
    assert csms.statuses(1)[-1] == "SuspendedEVSE"


async def test_case_134_offline_start_refused_and_stopped(rig: Rig) -> None:
    csms = await refused_later(rig, stops=True)
    await csms.expect("StopTransaction", transactionId=9, reason="DeAuthorized")
    await csms.status(1, "Finishing")
    assert rig.box().limit == 0


async def test_case_134_and_the_plug_is_kept_for_the_same_tag(rig: Rig) -> None:
    rig.lock = True
    csms = await refused_later(rig, stops=True)
    await csms.expect("StopTransaction", transactionId=9, reason="DeAuthorized")
    await csms.status(1, "Finishing")
    rig.tap("CARD2")
    await rig.settle()
    assert rig.box().unlocked == 0
    rig.tap("CARD1")
    await rig.until(lambda: rig.box().unlocked == 1, "the lock opens")
    rig.unplug()
    await csms.status(1, "Available")


async def test_case_135_offline_stop(rig: Rig) -> None:
    csms = await ready(rig)
    await rig.charging("CARD1")
    await offline(rig)
    csms.mark()
    rig.meter().add(1000)
    await rig.settle()
    rig.tap("CARD1")
    await rig.until(lambda: rig.evse().session is None, "the end of the transaction")
    ended = csms.now()
    await rig.settle()
    await online(rig)
    stopped = await csms.expect("StopTransaction", transactionId=1, idTag="CARD1", meterStop=1235567)
    await csms.status(1, "Finishing")
    assert stopped.get("reason") in {None, "Local"}
    assert stopped["timestamp"] <= ended
    await rig.settle()
    assert csms.statuses(1) == ["Finishing"]


async def test_case_136_whole_transaction_offline(rig: Rig) -> None:
    rig.csms.transaction_ids = iter([4711])
    csms = await ready(rig)
    await learn(rig, "CARD1")
    await offline(rig)
    await charge_unseen(rig, "CARD1")
    rig.meter().add(42)
    await rig.settle()
    await end_unseen(rig, "CARD1")
    ended = csms.now()
    await online(rig)
    started = await csms.expect("StartTransaction", idTag="CARD1", meterStart=1234567)
    stopped = await csms.expect("StopTransaction", transactionId=4711, meterStop=1234609)
    assert started.index < stopped.index
    assert started["timestamp"] < stopped["timestamp"] <= ended
    await rig.settle()
    assert set(csms.statuses(1)) <= {"Available"}
    assert len(in_order(csms)) == 2


@pytest.mark.parametrize("unknown", [False, True])
async def test_case_137_known_tag_but_no_offline_authorisation(rig: Rig, unknown: bool) -> None:
    csms = await ready(rig, LocalAuthorizeOffline=False, AllowOfflineTxForUnknownId=unknown)
    await learn(rig, "CARD1")
    assert await send_list(csms, 1, entry("CARD2")) == "Accepted"
    await offline(rig)
    await is_refused(rig, "CARD1")
    await is_refused(rig, "CARD2")


@pytest.mark.parametrize(
    "listed",
    [
        *(entry("CARD1", status) for status in ("ConcurrentTx", "Blocked", "Expired", "Invalid")),
        entry("CARD1", "Accepted", expiryDate="2026-01-01T00:00:00Z"),
    ],
)
async def test_case_137_listed_but_not_accepted(rig: Rig, listed: Payload) -> None:
    csms = await ready(rig, LocalAuthorizeOffline=True, AllowOfflineTxForUnknownId=True)
    assert await send_list(csms, 1, listed) == "Accepted"
    await offline(rig)
    await is_refused(rig, "CARD1")


async def test_case_138_unknown_tag_allowed(rig: Rig) -> None:
    csms = await ready(rig, AllowOfflineTxForUnknownId=True, StopTransactionOnInvalidId=True)
    csms.cards["NEW1"] = {"status": "Invalid"}
    await offline(rig)
    await charge_unseen(rig, "NEW1")
    await online(rig)
    await csms.expect("StartTransaction", idTag="NEW1")
    await csms.expect("StopTransaction", reason="DeAuthorized")


async def test_case_138_unknown_tag_not_allowed(rig: Rig) -> None:
    csms = await ready(rig, AllowOfflineTxForUnknownId=False)
    await offline(rig)
    await is_refused(rig, "NEW1")
    await online(rig)
    await rig.quiet("StartTransaction")
    assert csms.statuses(1) == ["Preparing"]


async def test_case_138_known_as_refused_is_not_unknown(rig: Rig) -> None:
    csms = await ready(rig, AllowOfflineTxForUnknownId=True)
    csms.cards["CARD1"] = {"status": "Blocked"}
    await learn(rig, "CARD1")
    await offline(rig)
    await is_refused(rig, "CARD1")


async def test_case_139_two_transactions_offline(rig: Rig, leaps: Leaps) -> None:
    rig.csms.transaction_ids = iter([31, 32])
    csms = await ready(rig, MeterValueSampleInterval=10)
    for card in ("CARD1", "CARD2"):
        await learn(rig, card)
    await offline(rig)
    for card in ("CARD1", "CARD2"):
        await charge_unseen(rig, card)
        await leaps.ahead(22)
        await end_unseen(rig, card)
    await online(rig)
    for number in (31, 32):
        await csms.expect("StopTransaction", transactionId=number)
    one = ["StartTransaction", "MeterValues", "MeterValues", "StopTransaction"]
    told = in_order(csms)
    assert [c.action for c in told] == one * 2
    assert [c.get("transactionId") for c in told] == [None, 31, 31, 31, None, 32, 32, 32]
    assert [c.get("idTag") for c in told] == ["CARD1", None, None, "CARD1", "CARD2", None, None, "CARD2"]
    stamps = [c.get("timestamp") or c["meterValue"][0]["timestamp"] for c in told]
    assert stamps == sorted(stamps)


async def test_case_140_start_that_fails_until_it_is_dropped(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(
        TransactionMessageAttempts=3, TransactionMessageRetryInterval=10, MeterValueSampleInterval=25
    )
    csms.once("StartTransaction", *[Refuse("InternalError")] * 3)
    rig.plug()
    rig.tap("CARD1")
    first = await csms.expect("StartTransaction")
    await csms.status(1, "Charging")
    for number, wait in ((1, 10), (2, 20)):
        await leaps.ahead(wait - 2)
        assert len(csms.of("StartTransaction")) == number
        await leaps.ahead(2.2)
        again = await csms.expect("StartTransaction")
        assert (again.message_id, again.payload) == (first.message_id, first.payload)
    values = await csms.expect("MeterValues", transactionId=-1)
    assert values.index > again.index
    assert rig.box().charging
    stopped = await finish(rig)
    assert stopped["transactionId"] == -1
    csms.mark()
    await rig.charging("CARD1")
    assert (await finish(rig))["transactionId"] == 1
    assert len(csms.of("StartTransaction")) == 1


async def test_case_141_stop_that_nobody_answers(rig: Rig, leaps: Leaps) -> None:
    keys = {"MessageTimeout": 1, "TransactionMessageAttempts": 2, "TransactionMessageRetryInterval": 10}
    csms = await rig.ready(**keys)
    await rig.charging("CARD1")
    csms.on("StopTransaction", Silence())
    rig.tap("CARD1")
    first = await csms.expect("StopTransaction", transactionId=1)
    rig.unplug()
    gone = await csms.status(1, "Available")
    assert gone.at - first.at > 0.95
    csms.mark()
    await rig.settle()
    rig.plug()
    rig.tap("CARD2")
    await csms.expect("Authorize", idTag="CARD2")
    await csms.status(1, "Charging")
    await leaps.ahead(6)
    await rig.quiet("StopTransaction", "StartTransaction")
    await csms.change("HeartbeatInterval", 1)
    await csms.expect("Heartbeat")
    await csms.change("HeartbeatInterval", 300)
    assert not in_order(csms)
    await leaps.ahead(4)
    again = await csms.expect("StopTransaction")
    assert (again.message_id, again.payload) == (first.message_id, first.payload)
    csms.on("StopTransaction", None)
    started = await csms.expect("StartTransaction", idTag="CARD2")
    assert started.at - again.at > 0.95
    assert len(csms.of("StopTransaction")) == 1


async def test_case_142_answer_after_the_time_out(rig: Rig, leaps: Leaps) -> None:
    csms = await rig.ready(MessageTimeout=1, TransactionMessageRetryInterval=10)
    csms.once("StartTransaction", Late(1.1))
    rig.plug()
    rig.tap("CARD1")
    started = await csms.expect("StartTransaction")
    await csms.until(lambda: started.answered_at, "the late answer")
    await leaps.ahead(11)
    assert await csms.call("RemoteStopTransaction", transactionId=1) == {"status": "Accepted"}
    await csms.expect("StopTransaction", transactionId=1)
    await leaps.ahead(11)
    assert len(csms.of("StartTransaction")) == 1


async def test_case_143_link_lost_before_the_answer(rig: Rig) -> None:
    csms = await ready(rig, TransactionMessageAttempts=1)
    csms.once("StartTransaction", *[HangUp()] * 2)
    rig.plug()
    rig.tap("CARD1")
    await csms.until(lambda: len(csms.of("StartTransaction")) >= 3, "two resends")
    rig.tap("CARD1")
    await csms.expect("StopTransaction", transactionId=1)
    sent = csms.of("StartTransaction")
    assert len({(c.message_id, c["timestamp"], c["meterStart"]) for c in sent}) == 1
    assert [c.connection for c in sent] == [1, 2, 3]


async def test_case_144_reboot_with_a_queue(rig: Rig) -> None:
    csms = await ready(rig)
    await learn(rig, "CARD1")
    await offline(rig)
    await charge_unseen(rig, "CARD1")
    await end_unseen(rig, "CARD1")
    await rig.power_cut()
    await csms.up()
    held = csms.hold("BootNotification")
    await rig.start()
    await held.arrived.wait()
    await rig.settle()
    assert csms.actions() == ["BootNotification"]
    held.release()
    started = await csms.expect("StartTransaction", idTag="CARD1")
    stopped = await csms.expect("StopTransaction", transactionId=1, idTag="CARD1")
    assert started.index < stopped.index
    await rig.settle()
    assert len(in_order(csms)) == 2


async def test_case_145_long_offline(rig: Rig, leaps: Leaps) -> None:
    csms = await ready(rig, MeterValueSampleInterval=10, ClockAlignedDataInterval=60)
    await learn(rig, "CARD1")
    await offline(rig)
    await leaps.until_minute()
    await leaps.ahead(60)
    for _ in range(2):
        await charge_unseen(rig, "CARD1")
        rig.meter().add(500)
        await leaps.ahead(120)
        await end_unseen(rig, "CARD1")
    assert await rig.now.outbox.count() <= 40
    await online(rig)
    stops = [await csms.expect("StopTransaction", transactionId=number) for number in (1, 2)]
    await csms.until(lambda: rig.now.service.status().queued == 0, "the end of the queue")
    told = in_order(csms)
    assert [c["meterStop"] for c in stops] == [1235067, 1235567]
    assert [c.action for c in told if c.action != "MeterValues"] == ["StartTransaction", "StopTransaction"] * 2
    idle = csms.of("MeterValues", transactionId=None)
    assert {s.context for s in samples(*(c["meterValue"] for c in idle))} == {"Sample.Clock"}
    assert len(idle) >= 2
    assert min(c.index for c in idle) < told[1].index
    for number in (1, 2):
        assert 11 <= len(csms.of("MeterValues", transactionId=number)) <= 15


async def test_case_146_status_churn_while_offline(rig: Rig) -> None:
    csms = await ready(rig)
    await offline(rig)
    for move in (rig.plug, rig.unplug, rig.plug):
        move()
        await rig.settle()
    csms.mark()
    await online(rig)
    await csms.status(1, "Preparing")
    await rig.settle()
    assert csms.actions("Heartbeat") == ["StatusNotification"]


async def test_case_146_back_where_it_was(rig: Rig) -> None:
    csms = await ready(rig)
    await offline(rig)
    for move in (rig.plug, rig.unplug):
        move()
        await rig.settle()
    csms.mark()
    await online(rig)
    await rig.until(lambda: rig.now.loop.state.cloud.online, "the new link")
    await rig.quiet("BootNotification")
    assert set(csms.statuses(1)) <= {"Available"}


async def test_case_146_a_fault_that_stays(rig: Rig) -> None:
    csms = await ready(rig)
    await offline(rig)
    rig.plug()
    await rig.settle()
    rig.box().faults = ("rcd",)
    await rig.settle()
    csms.mark()
    await online(rig)
    await csms.status(1, "Faulted", errorCode="GroundFailure")
    await rig.settle()
    assert csms.statuses(1) == ["Faulted"]
