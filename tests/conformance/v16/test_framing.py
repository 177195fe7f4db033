"""Cases 1 to 23: how the station connects, and frames its messages."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from agent.buffer.database import Database, Statement
from agent.ocpp.backoff import Backoff
from tests.conformance.csms import Late, Raw, Refuse, Silence
from tests.conformance.rig import Rig


async def test_case_001_handshake(rig: Rig) -> None:
    rig.station_id = "NL*ACME/1 ü"
    csms = await rig.ready()
    (handshake,) = csms.handshakes
    assert handshake.path == "/ocpp/NL%2AACME%2F1%20%C3%BC"
    assert "ocpp1.6" in handshake.headers["sec-websocket-protocol"].replace(" ", "").split(",")
    assert "authorization" not in handshake.headers


async def test_case_002_subprotocol_not_accepted(rig: Rig) -> None:
    csms = rig.csms
    csms.subprotocol = None
    await csms.up()
    await rig.start()
    for number in (1, 2):
        await csms.connection(number)
        await csms.until(lambda: not csms.newest.open, "the station closes")
    assert not csms.calls
    assert csms.handshakes[1].at - csms.handshakes[0].at >= rig.plan.backoff.quick_s
    csms.subprotocol = "ocpp1.6"
    await rig.booted()


@pytest.mark.parametrize("chance", [0.0, 0.9])
async def test_case_003_refused_handshakes(rig: Rig, chance: float) -> None:
    rig.plan.backoff = Backoff(base_s=0.1, spread_s=0.1, doublings=4, quick_s=0.02)
    rig.plan.chance = lambda: chance
    rig.csms.refusals.extend([404, 401, 503])
    csms = await rig.ready()
    times = [h.at for h in csms.handshakes]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) == 3
    least = [0.02 * (1 + 2 * chance), 0.1 + 0.1 * chance, 2 * (0.1 + 0.1 * chance)]
    assert all(gap >= wait - 0.005 for gap, wait in zip(gaps, least, strict=True)), gaps


async def test_case_004_server_unreachable_for_long(rig: Rig) -> None:
    csms, cap = rig.csms, 0.05 * 4
    rig.plan.backoff = Backoff(base_s=0.05, spread_s=0.0, doublings=2, quick_s=0.02)
    await csms.up()
    csms.refusals.extend([503] * 7)
    await rig.start()
    await csms.until(lambda: len(csms.handshakes) >= 6, "attempts")
    times = [h.at for h in csms.handshakes]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(cap - 0.01 <= gap < 3 * cap for gap in gaps[3:]), gaps
    await csms.down()
    before = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # as many as ever
    await asyncio.sleep(0.3)
    after = len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    assert after[0] - before[0] <= 2
    assert after[1] - before[1] <= 2
    csms.refusals.clear()
    await csms.up()
    await csms.expect("BootNotification", within=5 * cap)


@pytest.mark.parametrize("changed", [False, True])
async def test_case_005_reconnect_without_reboot(rig: Rig, changed: bool) -> None:
    csms = await rig.ready()
    await csms.down()
    if changed:
        rig.plug()
    await rig.settle()
    await csms.up()
    await csms.connection(2)
    if changed:
        await csms.status(1, "Preparing")
    await rig.quiet("BootNotification")
    assert csms.actions("Heartbeat") == (["StatusNotification"] if changed else [])


async def test_case_005_closed_in_order_by_the_server(rig: Rig) -> None:
    csms = await rig.ready()
    await csms.close(1001)
    await csms.connection(2)
    await rig.quiet()


async def test_case_006_half_open_link(rig: Rig) -> None:
    csms = await rig.ready(WebSocketPingInterval=1)
    began = asyncio.get_running_loop().time()
    csms.freeze()
    second = await csms.connection(2)
    assert second.began - began < 1 + 1 + 0.5
    rig.plug()
    assert (await csms.status(1, "Preparing")).connection == 2


async def test_case_007_ping_interval(rig: Rig) -> None:
    csms = await rig.ready(WebSocketPingInterval=1, HeartbeatInterval=1)
    pings = csms.newest.ear.pings
    await csms.until(lambda: len(pings) >= 2, "pings")
    assert 0.8 < pings[-1] - pings[-2] < 1.3
    await csms.change("WebSocketPingInterval", 0)
    pings.clear()
    for _ in range(2):
        await csms.expect("Heartbeat")
    assert not pings
    assert await csms.call("ChangeConfiguration", key="WebSocketPingInterval", value="-1") == {"status": "Rejected"}
    assert await csms.value("WebSocketPingInterval") == "0"


async def test_case_008_pong_while_a_call_is_pending(rig: Rig) -> None:
    csms = await rig.ready()
    held = csms.hold("StatusNotification")
    rig.plug()
    await held.arrived.wait()
    async with asyncio.timeout(1):
        await (await csms.newest.ear.ping(b"\x00payload\xff"))
    held.release()
    await csms.status(1, "Preparing")


async def test_case_009_one_outstanding_call(rig: Rig) -> None:
    csms = await rig.ready(MeterValueSampleInterval=2, HeartbeatInterval=1)
    for action in ("StatusNotification", "Authorize", "StartTransaction", "MeterValues", "Heartbeat"):
        csms.on(action, Late(0.12))
    await rig.charging()
    for asks, status in ((False, "SuspendedEV"), (True, "Charging"), (False, "SuspendedEV")):
        rig.box().asks = asks
        await csms.status(1, status)
    await csms.expect("MeterValues")
    await csms.expect("Heartbeat")
    assert csms.statuses(1) == ["Preparing", "Charging", "SuspendedEV", "Charging", "SuspendedEV"]


async def test_case_010_crossing_calls(rig: Rig) -> None:
    csms = await rig.ready(HeartbeatInterval=1)
    held = csms.hold("Heartbeat")
    await held.arrived.wait()
    assert await csms.value("HeartbeatInterval") == "1"
    assert not held.released.is_set()
    held.release()
    await csms.expect("Heartbeat")


async def test_case_010_crossing_the_boot(rig: Rig) -> None:
    csms = rig.csms
    held = csms.hold("BootNotification")
    await csms.up()
    await rig.start()
    await held.arrived.wait()
    frame = await csms.ask("GetConfiguration", {"key": ["HeartbeatInterval"]})
    assert frame[0] == 3 or frame[2] == "SecurityError"
    held.release()
    await rig.booted()


async def test_case_011_unknown_action(rig: Rig) -> None:
    csms = await rig.ready()
    asked = await csms.begin("Foo", {"bar": 1})
    await csms.until(asked.answer.done, "an answer")
    kind, identity, code, description, details = asked.frame
    assert (kind, identity, code, details) == (4, asked.message_id, "NotImplemented", {})
    assert isinstance(description, str)


@pytest.mark.parametrize("action", ["Authorize", "BootNotification", "StopTransaction"])
async def test_case_012_action_of_the_other_direction(rig: Rig, action: str) -> None:
    csms = await rig.ready()
    assert await csms.refused(action, {"idTag": "CARD1"}) in {"NotSupported", "NotImplemented"}
    assert await csms.value("NumberOfConnectors") == "1"
    assert len(csms.connections) == 1


async def test_case_013_missing_field(rig: Rig) -> None:
    csms = await rig.ready()
    before = await csms.call("GetConfiguration")
    code = await csms.refused("ChangeConfiguration", {"key": "MeterValueSampleInterval"})
    assert code in {"ProtocolError", "OccurenceConstraintViolation", "FormationViolation"}
    assert await csms.call("GetConfiguration") == before


@pytest.mark.parametrize(
    "payload",
    [
        {"key": "MeterValueSampleInterval", "value": 5},
        {"key": "M" * 51, "value": "5"},
        {"key": "MeterValueSampleInterval", "value": "5" * 501},
        {"key": ["MeterValueSampleInterval"], "value": "5"},
    ],
    ids=["number", "long-key", "long-value", "list"],
)
async def test_case_014_wrong_type_or_length(rig: Rig, payload: dict[str, object]) -> None:
    csms = await rig.ready()
    code = await csms.refused("ChangeConfiguration", payload)
    assert code in {"TypeConstraintViolation", "PropertyConstraintViolation", "FormationViolation"}
    assert await csms.value("MeterValueSampleInterval") == "60"
    assert len(csms.connections) == 1


async def test_case_014_a_field_too_much_is_tolerated(rig: Rig) -> None:
    csms = await rig.ready()
    answer = await csms.call("ChangeConfiguration", key="MeterValueSampleInterval", value="5", more=1)
    assert answer == {"status": "Accepted"}
    assert await csms.value("MeterValueSampleInterval") == "5"


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Reset", {"type": "Warm"}),
        ("ChangeAvailability", {"connectorId": 1, "type": "Sometimes"}),
        ("SendLocalList", {"listVersion": 1, "updateType": "Some"}),
    ],
)
async def test_case_015_invalid_enum(rig: Rig, action: str, payload: dict[str, object]) -> None:
    csms = await rig.ready()
    assert await csms.refused(action, payload) in {"PropertyConstraintViolation", "FormationViolation"}
    assert await csms.call("GetConfiguration", key=["NumberOfConnectors"])


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("TriggerMessage", {"requestedMessage": "Everything"}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {"chargingProfilePurpose": "Fun"}}),
    ],
)
async def test_case_015_invalid_enum_of_a_profile_that_may_be_missing(
    rig: Rig, action: str, payload: dict[str, object]
) -> None:
    csms = await rig.ready()
    codes = {"PropertyConstraintViolation", "FormationViolation", "ProtocolError", "NotSupported"}
    assert await csms.refused(action, payload) in codes


GARBAGE = [
    "",
    "not JSON",
    "{}",
    "[]",
    "[2]",
    '[2,"1","Reset"]',
    '[2,"1","Reset","Soft"]',
    '[9,"1",{}]',
    "[2,1,2,3]",
    "null",
    "[" * 3000,
    b"\x00\xff\xfe",
    b"[]",
]


@pytest.mark.parametrize("data", GARBAGE, ids=[str(n) for n in range(len(GARBAGE))])
async def test_case_016_garbage(rig: Rig, data: str | bytes) -> None:
    rig.lax.add("garbage")
    csms = await rig.ready()
    await csms.send(data)
    assert await csms.value("NumberOfConnectors") == "1"
    assert len(csms.connections) == 1
    assert rig.runs == 1
    assert all(json.loads(text)[0] == 4 for text in csms.garbage)


async def test_case_017_answers_to_nothing(rig: Rig) -> None:
    csms = await rig.ready()
    held = csms.hold("StatusNotification")
    rig.plug()
    await held.arrived.wait()
    pending = await csms.status(1, "Preparing")
    for frame in ([3, "nobody", {}], [4, "nobody", "GenericError"], [4, "nobody", "GenericError", "", {}]):
        await csms.send(json.dumps(frame))
    await rig.settle()
    held.release()
    await csms.until(lambda: pending.answered_at, "the answer")
    await csms.send(json.dumps([3, pending.message_id, {}]))
    rig.unplug()
    await csms.status(1, "Available")
    assert csms.statuses(1) == ["Preparing", "Available"]
    assert len(csms.connections) == 1


async def test_case_018_the_same_call_twice(rig: Rig) -> None:
    csms = await rig.ready()
    payload = {"connectorId": 1, "idTag": "CARD1"}
    first = await csms.begin("RemoteStartTransaction", payload, "same")
    await csms.until(first.answer.done, "an answer")
    second = await csms.begin("RemoteStartTransaction", payload, "same")
    await csms.until(second.answer.done, "an answer")
    assert first.frame == [3, "same", {"status": "Accepted"}]
    assert second.frame == first.frame or second.frame[0] == 4
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD1")
    await rig.settle()
    assert len(csms.of("StartTransaction")) == 1


async def test_case_018_the_same_call_again_before_its_answer(rig: Rig) -> None:
    csms = await rig.ready()
    payload = {"connectorId": 1, "idTag": "CARD1"}
    first = await csms.begin("RemoteStartTransaction", payload, "same")
    await csms.begin("RemoteStartTransaction", payload, "same", owed=False)
    await csms.until(first.answer.done, "an answer")
    assert first.frame == [3, "same", {"status": "Accepted"}]
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD1")
    await rig.settle()
    assert len(csms.of("StartTransaction")) == 1


async def test_case_018_an_id_used_again_for_another_call(rig: Rig) -> None:
    csms = await rig.ready()
    await csms.begin("ClearCache", {}, "same", owed=False)
    await csms.begin("RemoteStopTransaction", {"transactionId": 1}, "same", owed=False)
    assert await csms.value("NumberOfConnectors") == "1"
    assert len(csms.connections) == 1


async def test_case_019_response_time_out(rig: Rig) -> None:
    csms = await rig.ready(MessageTimeout=1, HeartbeatInterval=1)
    csms.once("Heartbeat", Silence())
    beat = await csms.expect("Heartbeat")
    rig.plug()
    status = await csms.status(1, "Preparing")
    assert 0.9 < status.at - beat.at < 2
    await csms.send(json.dumps([3, beat.message_id, {"currentTime": "2031-01-01T00:00:00Z"}]))
    rig.unplug()
    await csms.status(1, "Available")
    assert len(csms.connections) == 1


async def test_case_020_unknown_error_code(rig: Rig) -> None:
    csms = await rig.ready()
    csms.once("StatusNotification", Refuse("Bananas", "too many"))
    rig.plug()
    await csms.status(1, "Preparing")
    rig.unplug()
    await csms.status(1, "Available")
    assert csms.statuses(1) == ["Preparing", "Available"]
    assert len(csms.connections) == 1


async def test_case_021_fields_too_many_in_answers(rig: Rig) -> None:
    csms = rig.csms
    more = {"more": {"of": ["this"]}}
    csms.once("BootNotification", {"status": "Accepted", "currentTime": csms.now(), "interval": 300} | more)
    csms.once("StartTransaction", {"transactionId": 77, "idTagInfo": {"status": "Accepted"} | more} | more)
    await rig.ready()
    await rig.charging()
    rig.tap("CARD1")
    await csms.expect("StopTransaction", transactionId=77, idTag="CARD1")
    assert len(csms.of("StartTransaction")) == 1


async def test_case_022_fifty_calls_at_once(rig: Rig) -> None:
    csms = await rig.ready()
    csms.answers.clear()
    asked = [await csms.begin("GetConfiguration", {"key": [f"Key{n}"]}) for n in range(50)]
    await csms.until(lambda: all(a.answer.done() for a in asked), "all answers")
    assert csms.answers == [a.message_id for a in asked]
    assert [a.frame[2]["unknownKey"] for a in asked] == [[f"Key{n}"] for n in range(50)]


@pytest.mark.parametrize("commit_s", [0.1, 0.4])
async def test_case_022_fifty_calls_at_once_while_the_ledger_is_slow(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, commit_s: float
) -> None:
    csms = await rig.ready(MeterValueSampleInterval=1)
    await rig.charging()
    write = Database.write

    async def slowly(self: Database, statements: Sequence[Statement]) -> None:
        await asyncio.sleep(commit_s)
        await write(self, statements)

    monkeypatch.setattr(Database, "write", slowly)
    rig.tap("CARD1")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("ChangeConfiguration", {"key": "MessageTimeout", "value": f"{30 + n}"}) for n in range(20)
    ]
    calls += [("GetConfiguration", {"key": ["MessageTimeout"]}), ("ClearCache", {})] * 10
    calls += [("TriggerMessage", {"requestedMessage": "Heartbeat"}), ("Foo", {})] * 5
    asked = [await csms.begin(action, payload) for action, payload in calls]
    await csms.until(lambda: all(a.answer.done() for a in asked), "all answers")
    waited = [a.answered_at - a.at for a in asked if a.answered_at is not None]
    assert max(waited) < 1, waited
    assert csms.answers[-50:] == [a.message_id for a in asked]
    assert await csms.value("MessageTimeout") == "49"
    await csms.expect("StopTransaction")


async def test_case_023_a_mebibyte(rig: Rig) -> None:
    csms = await rig.ready()
    text = "x" * (2**20 - 200)
    transfer = await csms.call("DataTransfer", vendorId="somebody", data=text)
    assert transfer == {"status": "UnknownVendorId"}
    assert await csms.refused("ChangeConfiguration", {"key": "MessageTimeout", "value": text})
    answer = await csms.call("GetConfiguration", key=[f"{n:050}" for n in range(15_000)])
    assert len(answer["unknownKey"]) == 15_000
    assert len(csms.connections) == 1


async def test_case_023_large_messages(rig: Rig) -> None:
    csms = await rig.ready()
    keys = (await csms.call("GetConfiguration"))["configurationKey"]
    assert len(keys) > 30
    count = int(await csms.value("SendLocalListMaxLength") or 0)
    entries: list[dict[str, Any]] = [
        {"idTag": f"{n:020}", "idTagInfo": {"status": "Accepted", "parentIdTag": "P" * 20}} for n in range(count)
    ]
    sent = await csms.call("SendLocalList", listVersion=1, updateType="Full", localAuthorizationList=entries)
    assert sent == {"status": "Accepted"}
    assert await csms.call("GetLocalListVersion") == {"listVersion": 1}
    assert len(csms.connections) == 1


async def test_case_023_many_keys_asked_for(rig: Rig) -> None:
    csms = await rig.ready()
    wanted = [f"Unknown{n:043}" for n in range(100)]
    answer = await csms.call("GetConfiguration", key=[*wanted, "HeartbeatInterval"])
    assert answer["unknownKey"] == wanted
    assert [k["key"] for k in answer["configurationKey"]] == ["HeartbeatInterval"]


async def test_case_021_an_answer_in_other_words(rig: Rig) -> None:
    csms = await rig.ready()
    csms.once("StatusNotification", Raw(lambda identity: f'[3, "{identity}", null]'))
    rig.plug()
    await csms.status(1, "Preparing")
    rig.unplug()
    await csms.status(1, "Available")
    assert csms.statuses(1) == ["Preparing", "Available"]
