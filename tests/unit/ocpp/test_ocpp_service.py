"""The service against a scripted central system: registration, statuses, cards, the lane, commands, broken links."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.core.commands import (
    CallRef,
    ChangeSetting,
    GetSettings,
    Outcome,
    PushCompanySettings,
    RemoteStart,
    RemoteStop,
    Reset,
    Result,
)
from agent.core.company import Company, CompanySettings, LinkAnswer, LinkState
from agent.core.effects import (
    Answer,
    AskCsms,
    ReportStatus,
    ReportTriggered,
    SendCompanyLink,
    SendCompanyUnlink,
    SendTriggered,
    Stop,
)
from agent.core.events import (
    AuthorizationAnswered,
    CloudChanged,
    CommandReceived,
    Event,
    LinkAnswered,
    LinkFailure,
    StartAnswered,
    TokenTold,
)
from agent.core.facts import FirmwareStatus, FirmwareTold
from agent.core.instant import Instant, TimeStatus
from agent.core.maintenance_effects import SendNotice
from agent.core.model import (
    ConnectorStatus,
    ErrorCode,
    EvseId,
    IdToken,
    Registration,
    SessionId,
    TokenInfo,
    TokenStatus,
)
from agent.core.settings import Settings
from agent.core.trigger_commands import Trigger
from tests.unit.ocpp.central import (
    NOW,
    Central,
    Failing,
    HangUp,
    Lane,
    Payload,
    Script,
    Silence,
    Station,
    ended,
    eventually,
    reading,
    running,
    sampled,
    started,
)

FAST = Settings(message_timeout_s=1, message_retry_interval_s=0)
CARD = IdToken("04A1B2C3")
Status = ConnectorStatus


def boot(status: str, interval: int) -> Payload:
    return {"status": status, "currentTime": NOW, "interval": interval}


def texts(central: Central, action: str) -> list[str]:
    return [str(f) for f in central.frames if json.loads(f)[2:3] == [action]]


def statuses(central: Central, connection: int | None = None) -> list[tuple[int, str]]:
    return [
        (c.payload["connectorId"], c.payload["status"])
        for c in central.of("StatusNotification")
        if connection in {None, c.connection}
    ]


# ---- connection and registration ----


async def test_the_station_dials_its_own_address_and_offers_its_protocols() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        request = central.requests[0]
        assert request.path == "/ocpp/NL%20ACME%2F1"
        assert request.headers["Sec-WebSocket-Protocol"] == "ocpp1.6"
        assert "Authorization" not in request.headers
        assert "Sec-WebSocket-Extensions" not in request.headers
        view = station.service.status()
        assert (view.state, view.protocol, view.last_error) == ("connected", "ocpp1.6", None)
        assert view.silent_s is not None
        assert view.silent_s < 5
    assert station.service.status().protocol is None


@pytest.mark.requirement(22)
async def test_boot_comes_first_tells_the_time_and_the_statuses_follow() -> None:
    central = Central()
    await central.listen()
    station = Station(central)
    station.show(Status.AVAILABLE, 1)
    station.show(Status.AVAILABLE, 0)
    station.report(started())
    async with running(central, station):
        await eventually(lambda: len(central.calls) >= 4)
        assert central.actions()[:4] == [
            "BootNotification", "StatusNotification", "StatusNotification", "StartTransaction",
        ]  # fmt: skip
        assert statuses(central) == [(0, "Available"), (1, "Available")]
        assert central.calls[0].payload["meterSerialNumber"] == "23004711"
        assert station.times == [datetime(2026, 11, 21, 20, 15, 3, tzinfo=UTC)]
        assert station.anchored
        assert station.events[:2] == [CloudChanged(True, None, 0), CloudChanged(True, Registration.ACCEPTED, 0)]


@pytest.mark.requirement(22)
async def test_pending_and_rejected_stations_say_nothing_but_boot_until_they_are_accepted() -> None:
    central = Central(answering={"BootNotification": [boot("Pending", 1), boot("Rejected", 1), boot("Accepted", 300)]})
    async with running(central) as station:
        station.show(Status.AVAILABLE)
        station.report(started())
        station.service.perform(AskCsms(1, CARD))
        await station.accepted()
        await eventually(lambda: len(central.calls) >= 5)
        assert central.actions()[:5] == [
            "BootNotification", "BootNotification", "BootNotification", "StatusNotification", "StartTransaction",
        ]  # fmt: skip
        waits = [b.at - a.at for a, b in zip(central.calls, central.calls[1:3], strict=False)]
        assert all(0.95 <= wait < 3 for wait in waits)
        assert AuthorizationAnswered(1, None) in station.events


@pytest.mark.requirement(3, 22, 23)
@pytest.mark.parametrize(
    "first", [Failing("InternalError"), {"status": "Maybe"}, {}, boot("Pending", 0), boot("Rejected", -3), Silence()]
)
async def test_a_boot_that_brings_nothing_is_retried_at_an_own_interval(first: Script) -> None:
    central = Central(answering={"BootNotification": [first, boot("Accepted", 300)]})
    async with running(central) as station:
        await station.accepted()
        assert central.actions()[:2] == ["BootNotification", "BootNotification"]
        assert central.calls[1].at - central.calls[0].at >= 0.08
        assert station.service.status().last_error is None


async def test_why_the_station_is_not_accepted_is_told_in_words() -> None:
    central = Central(answering={"BootNotification": boot("Rejected", 60)})
    async with running(central) as station:
        await eventually(lambda: station.service.status().registration == "Rejected")
        assert "station.id" in (station.service.status().last_error or "")


async def test_a_late_boot_answer_still_counts() -> None:
    central = Central(answering={"BootNotification": Silence()})
    async with running(central, await quiet(central, boot_s=60.0)) as station:
        await eventually(lambda: "no answer" in (station.service.status().last_error or ""))
        await central.send(3, central.calls[0].message_id, boot("Accepted", 300))
        await station.accepted()
        assert central.actions() == ["BootNotification"]


async def quiet(central: Central, *, boot_s: float) -> Station:
    await central.listen()
    station = Station(central)
    station.boot_delays.base_s = station.boot_delays.most_s = boot_s
    return station


async def test_a_reconnect_brings_no_boot_and_only_the_statuses_that_differ() -> None:
    central = Central()
    async with running(central) as station:
        station.show(Status.AVAILABLE, 0)
        station.show(Status.AVAILABLE, 1)
        await eventually(lambda: len(statuses(central)) == 2)
        await central.close()
        await eventually(lambda: station.service.status().state != "connected")
        for status in (Status.PREPARING, Status.CHARGING, Status.SUSPENDED_EV):
            station.show(status)
        await central.listen()
        await eventually(lambda: statuses(central, 2))
        await asyncio.sleep(0.05)
        assert central.actions(2) == ["StatusNotification"]
        assert statuses(central, 2) == [(1, "SuspendedEV")]
        assert station.events.count(CloudChanged(False, Registration.ACCEPTED)) == 1


async def test_without_a_subprotocol_nothing_is_said_and_the_station_tries_again() -> None:
    central = Central(subprotocol=None)
    async with running(central) as station:
        await station.reconnected(2)
        assert central.frames == []
        assert "none of the offered protocols" in (station.service.status().last_error or "")
        central.subprotocol = "ocpp1.6"
        await station.accepted()
        assert station.service.status().last_error is None


async def test_a_refused_handshake_is_explained_and_tried_again_for_ever() -> None:
    central = Central(statuses=[404, 401, 503])
    await central.listen()
    station, seen = Station(central), set[str]()
    async with running(central, station):
        while station.service.status().registration != "Accepted":
            seen.add(station.service.status().last_error or "")
            await asyncio.sleep(0.01)
        assert len(central.requests) == 4
        for status in (404, 401, 503):
            assert any(f"HTTP {status}" in words for words in seen), seen


async def test_an_unreachable_central_system_is_dialled_until_it_is_there() -> None:
    central = Central()
    await central.listen()
    await central.close()
    station = Station(central)
    task = asyncio.create_task(station.service.run())
    await eventually(lambda: "nothing listens there" in (station.service.status().last_error or ""))
    assert station.service.status().state in {"offline", "connecting"}
    task.cancel()
    await asyncio.wait([task])
    await central.listen()
    async with running(central, station):
        await station.accepted()


@pytest.mark.requirement(10, 11)
async def test_delays_grow_and_start_anew_after_an_accepted_boot() -> None:
    central = Central(statuses=[503, 503, 503])
    await central.listen()
    station = Station(central)
    async with running(central, station):
        await station.accepted()
        assert station.backoff.failures == 3
        await central.newest.close(1001)
        await station.reconnected(2)
        assert station.backoff.failures == 1


async def test_a_lost_registration_is_made_anew_after_a_pause() -> None:
    central = Central(answering={"Heartbeat": [Failing("SecurityError"), {"currentTime": NOW}]})
    async with running(central) as station:
        await station.accepted()
        station.show(Status.AVAILABLE)
        await eventually(lambda: statuses(central))
        station.service.perform(SendTriggered("cloud", Trigger.HEARTBEAT))
        await eventually(lambda: len(central.of("BootNotification")) == 2)
        await eventually(lambda: len(statuses(central)) == 2)
        assert central.actions()[-2:] == ["BootNotification", "StatusNotification"]
        expected = [CloudChanged(True, None, 0), CloudChanged(True, Registration.ACCEPTED, 0)]
        assert [e for e in station.events if isinstance(e, CloudChanged)] == expected * 2


async def test_heartbeat_comes_at_the_interval_of_the_boot_and_tells_the_time() -> None:
    central = Central(answering={"BootNotification": boot("Accepted", 1)})
    async with running(central) as station:
        answer_like_the_core(station)
        await eventually(lambda: len(central.of("Heartbeat")) >= 2)
        await eventually(lambda: len(station.times) >= 3)
        first, second = central.of("Heartbeat")[:2]
        assert 0.9 <= second.at - first.at < 3


async def test_a_heartbeat_interval_that_is_changed_later_wins() -> None:
    central = Central(answering={"BootNotification": boot("Accepted", 600)})
    async with running(central) as station:
        answer_like_the_core(station)
        await station.accepted()
        assert await configured(central, "HeartbeatInterval") == "600"
        reply = await central.ask("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "1"}, "s3")
        assert reply == [3, "s3", {"status": "Accepted"}]
        assert await configured(central, "HeartbeatInterval", "s4") == "1"
        await eventually(lambda: central.of("Heartbeat"))


async def configured(central: Central, key: str, message_id: str = "s2") -> str:
    reply = await central.ask("GetConfiguration", {"key": [key]}, message_id)
    return str(reply[2]["configurationKey"][0]["value"])


def answer_like_the_core(station: Station) -> None:
    """Accept every command, at once."""

    def answer(event: Event) -> None:
        if not isinstance(event, CommandReceived):
            return
        command, settings = event.command, None
        if isinstance(command, ChangeSetting):
            values: Any = {command.name: command.value}
            station.settings = replace(station.settings, **values)
        if isinstance(command, GetSettings):
            settings = station.settings
        station.service.perform(Answer(event.call, Outcome(command, Result.ACCEPTED, settings=settings)))

    station.on_event = answer


# ---- statuses and cards ----


async def test_statuses_are_told_in_order_while_online_also_after_an_error() -> None:
    central = Central(answering={"StatusNotification": [{}, Failing("Whatever"), {}]})
    async with running(central) as station:
        await station.accepted()
        for status in (Status.AVAILABLE, Status.PREPARING, Status.CHARGING):
            station.show(status)
        await eventually(lambda: len(statuses(central)) == 3)
        assert [status for _, status in statuses(central)] == ["Available", "Preparing", "Charging"]


async def test_a_status_without_an_answer_is_told_again() -> None:
    central = Central(answering={"StatusNotification": [Silence(), {}]})
    async with running(central) as station:
        await station.accepted()
        station.show(Status.FAULTED, error=ErrorCode.GROUND_FAILURE)
        await eventually(lambda: len(statuses(central)) == 2)
        await eventually(lambda: station.service.status().last_error is None)


@pytest.mark.requirement(1)
async def test_a_card_is_asked_about_before_all_that_waits() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        station.report(started(), *(sampled(seq=n) for n in range(1, 30)), ended(seq=30))
        for status in (Status.PREPARING, Status.CHARGING):
            station.show(status)
        station.service.perform(AskCsms(7, CARD))
        await eventually(lambda: central.of("Authorize"))
        assert central.actions().index("Authorize") == 1
        await eventually(lambda: AuthorizationAnswered(7, TokenInfo(TokenStatus.ACCEPTED)) in station.events)


async def test_a_card_is_never_kept_for_later() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        await central.close()
        await eventually(lambda: station.service.status().state != "connected")
        station.service.perform(AskCsms(8, CARD))
        assert station.events[-1] == AuthorizationAnswered(8, None)
        await central.listen()
        await station.reconnected(2)
        await asyncio.sleep(0.05)
        assert central.of("Authorize") == []


@pytest.mark.parametrize("answer", [Failing("InternalError"), {}, {"idTagInfo": {"status": "Maybe"}}, HangUp()])
async def test_a_question_without_a_verdict_is_answered_with_none(answer: Script) -> None:
    central = Central(answering={"Authorize": answer})
    async with running(central) as station:
        await station.accepted()
        station.service.perform(AskCsms(9, CARD))
        await eventually(lambda: AuthorizationAnswered(9, None) in station.events)


async def test_questions_that_wait_are_answered_with_none_when_the_link_goes() -> None:
    central = Central(answering={"Authorize": Silence()})
    async with running(central) as station:
        await station.accepted()
        station.service.perform(AskCsms(1, CARD))
        station.service.perform(AskCsms(2, CARD))
        await eventually(lambda: central.of("Authorize"))
        await central.newest.close()
        await eventually(lambda: AuthorizationAnswered(2, None) in station.events)
        assert AuthorizationAnswered(1, None) in station.events


async def test_a_late_verdict_is_passed_on_and_kept_for_the_cache() -> None:
    central = Central(answering={"Authorize": Silence()})
    async with running(central) as station:
        await station.accepted()
        station.service.perform(AskCsms(3, CARD))
        await eventually(lambda: AuthorizationAnswered(3, None) in station.events)
        info = {"status": "Blocked", "parentIdTag": "P"}
        await central.send(3, central.of("Authorize")[0].message_id, {"idTagInfo": info})
        verdict = TokenInfo(TokenStatus.BLOCKED, group=IdToken("P"))
        await eventually(lambda: AuthorizationAnswered(3, verdict) in station.events)
        assert TokenTold(CARD, verdict) in station.events


# ---- the lane ----


@pytest.mark.requirement(1)
async def test_a_session_is_delivered_in_order_under_the_name_that_its_start_was_given() -> None:
    central = Central()
    async with running(central) as station:
        station.report(started(), sampled(), sampled(seq=2, wh=1200), ended(), started("s2"), ended("s2"))
        await eventually(lambda: not station.lane.waiting)
        assert central.actions()[1:] == [
            "StartTransaction", "MeterValues", "MeterValues", "StopTransaction", "StartTransaction", "StopTransaction",
        ]  # fmt: skip
        assert [c.payload.get("transactionId") for c in central.calls[1:]] == [None, 41, 41, 41, None, 42]
        info = TokenInfo(TokenStatus.ACCEPTED)
        assert StartAnswered(SessionId("s1"), 41, CARD, info) in station.events
        assert StartAnswered(SessionId("s2"), 42, CARD, info) in station.events
        assert TokenTold(CARD, info) in station.events
        await eventually(lambda: station.service.status().queued == 0)
        assert [c.message_id for c in central.calls[1:]] == ["m-s1-0", "m-s1-1", "m-s1-2", "m-s1-9", "m-s2-0", "m-s2-9"]


async def test_frames_are_durable_before_they_leave_and_the_name_before_it_is_used() -> None:
    lane, order = Lane(), list[tuple[str, object]]()

    def noted(payload: Payload) -> Script:
        order.append(("sent", payload.get("transactionId")))
        return {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}

    central = Central(answering=dict.fromkeys(("StartTransaction", "MeterValues", "StopTransaction"), noted))
    await central.listen()
    station = Station(central, lane=lane)
    lane.doings = History(order)
    async with running(central, station):
        station.report(started(), sampled(), ended())
        await eventually(lambda: not lane.waiting)
        assert [what for what, _ in order] == [
            "sending", "sent", "acknowledge", "sending", "sent", "sent", "acknowledge",
        ]  # fmt: skip


class History(list[tuple[str, Any]]):
    """A history that writes into another one, too."""

    def __init__(self, other: list[tuple[str, object]]) -> None:
        super().__init__()
        self._other = other

    def append(self, entry: tuple[str, Any]) -> None:
        self._other.append(entry)
        super().append(entry)


@pytest.mark.requirement(4)
async def test_after_a_broken_link_the_same_message_is_sent_again_at_no_cost() -> None:
    central = Central(answering={"StartTransaction": [HangUp(), HangUp(), HangUp(), {"transactionId": 7}]})
    async with running(central) as station:
        station.report(started(), ended())
        await eventually(lambda: not station.lane.waiting)
        starts = texts(central, "StartTransaction")
        assert len(starts) == 4
        assert len(set(starts)) == 1
        assert station.lane.quarantine == []
        assert not [entry for entry in station.lane.doings if entry[0] == "failed"]
        assert len(central.of("BootNotification")) == 1
        assert central.of("StopTransaction")[0].payload["transactionId"] == 7


@pytest.mark.requirement(73)
async def test_what_was_sent_by_an_earlier_run_is_sent_again_as_it_stands() -> None:
    central = Central()
    async with running(central) as station:
        station.lane.put(started())
        (row,) = station.lane.waiting
        text = '[2,"m-s1-0","StartTransaction",{"connectorId":1,"idTag":"OLD","meterStart":1,"timestamp":"x"}]'
        station.lane.waiting = [replace(row, text=text)]
        station.service.facts_committed()
        await eventually(lambda: not station.lane.waiting)
        assert texts(central, "StartTransaction") == [text]


@pytest.mark.requirement(2, 5)
async def test_a_refused_start_is_tried_again_then_given_up_and_its_stop_is_transaction_minus_one() -> None:
    central = Central(
        answering={"StartTransaction": [Failing("InternalError"), Failing("GenericError"), {}, {"transactionId": 9}]}
    )
    async with running(central) as station:
        station.settings = replace(FAST, message_attempts=3)
        station.report(started(), sampled(), ended(), started("s2"), ended("s2"))
        await eventually(lambda: not station.lane.waiting)
        starts = texts(central, "StartTransaction")
        assert starts[0] == starts[1] == starts[2] != starts[3]
        assert [c.payload["transactionId"] for c in central.of("StopTransaction")] == [-1, 9]
        assert central.of("MeterValues")[0].payload["transactionId"] == -1
        assert [message.session for message, _ in station.lane.quarantine] == ["s1"]
        assert "transaction id" in station.lane.quarantine[0][1]
        assert StartAnswered(SessionId("s1"), None, CARD, None) in station.events
        assert [about.attempts for what, about in station.lane.doings if what == "failed"] == [1, 2]
        assert [about.error for what, about in station.lane.doings if what == "failed"] == [
            "InternalError: words", "GenericError: words",
        ]  # fmt: skip
        await eventually(lambda: station.service.status().last_error is None)


@pytest.mark.requirement(1)
async def test_retries_wait_their_time_while_other_messages_flow() -> None:
    central = Central(answering={"StopTransaction": [Failing("InternalError"), {}]})
    async with running(central) as station:
        station.settings = replace(FAST, message_retry_interval_s=1)
        station.report(started(), ended(), started("s2"))
        await eventually(lambda: central.of("StopTransaction"))
        station.show(Status.FINISHING)
        await eventually(lambda: not station.lane.waiting)
        assert central.actions()[1:] == [
            "StartTransaction", "StopTransaction", "StatusNotification", "StopTransaction", "StartTransaction",
        ]  # fmt: skip
        first, second = central.of("StopTransaction")
        assert second.at - first.at >= 0.95


@pytest.mark.requirement(2, 4)
async def test_a_time_out_uses_an_attempt_up() -> None:
    central = Central(answering={"StopTransaction": Silence()})
    async with running(central) as station:
        station.settings = replace(FAST, message_attempts=2)
        station.report(started(), ended(), started("s2"))
        await eventually(lambda: not station.lane.waiting)
        stops = texts(central, "StopTransaction")
        assert len(stops) == 2
        assert len(set(stops)) == 1
        assert station.lane.quarantine[0][1] == "no answer in time"


@pytest.mark.requirement(73)
async def test_a_late_answer_to_a_start_spares_the_next_try() -> None:
    central = Central(answering={"StartTransaction": Silence()})
    async with running(central) as station:
        station.settings = replace(FAST, message_retry_interval_s=60)
        station.report(started(), ended())
        await eventually(lambda: any(what == "failed" for what, _ in station.lane.doings))
        await central.send(3, "m-s1-0", {"transactionId": 77, "idTagInfo": {"status": "Accepted"}})
        await eventually(lambda: not station.lane.waiting)
        assert len(central.of("StartTransaction")) == 1
        assert central.of("StopTransaction")[0].payload["transactionId"] == 77
        assert StartAnswered(SessionId("s1"), 77, CARD, TokenInfo(TokenStatus.ACCEPTED)) in station.events


async def test_a_verdict_against_the_token_comes_with_its_transaction() -> None:
    central = Central(answering={"StartTransaction": {"transactionId": 0, "idTagInfo": {"status": "Invalid"}}})
    async with running(central) as station:
        station.report(started())
        expected = StartAnswered(SessionId("s1"), 0, CARD, TokenInfo(TokenStatus.INVALID))
        await eventually(lambda: expected in station.events)


@pytest.mark.requirement(2)
async def test_a_message_that_costs_the_registration_each_time_is_given_up_in_the_end() -> None:
    central = Central(answering={"StopTransaction": Failing("SecurityError")})
    async with running(central) as station:
        station.settings = replace(FAST, message_attempts=1)
        station.report(started(), ended(), started("s2"))
        await eventually(lambda: not station.lane.waiting)
        assert len(central.of("StopTransaction")) == 2
        assert [message.session for message, _ in station.lane.quarantine] == ["s1"]
        assert len(central.of("StartTransaction")) == 2
        await eventually(lambda: len(central.of("BootNotification")) == 3)


@pytest.mark.requirement(73)
async def test_an_answer_that_could_not_be_kept_is_kept_later_and_nothing_is_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.ocpp.lane.LEDGER_S", 0.1)
    central = Central()
    async with running(central) as station:

        def full_disk(_payload: Payload) -> Script:
            station.lane.broken = True
            return {"transactionId": 5, "idTagInfo": {"status": "Accepted"}}

        central.answering["StartTransaction"] = full_disk
        station.report(started(), ended())
        await eventually(lambda: "ledger" in (station.service.status().last_error or ""))
        assert not [e for e in station.events if isinstance(e, StartAnswered)]
        station.lane.broken = False
        await eventually(lambda: not station.lane.waiting)
        assert central.actions() == ["BootNotification", "StartTransaction", "StopTransaction"]
        assert [e.transaction for e in station.events if isinstance(e, StartAnswered)] == [5]
        assert len(central.connections) == 1


async def test_a_connection_that_is_no_good_lets_the_delays_grow() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        for number in (2, 3, 4):
            await central.newest.close()
            await station.reconnected(number)
        assert station.backoff.failures == 3


async def test_a_ledger_that_cannot_be_written_stops_the_lane_and_nothing_else() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        station.lane.broken = True
        station.report(started())
        await eventually(lambda: "ledger" in (station.service.status().last_error or ""))
        station.show(Status.CHARGING)
        await eventually(lambda: statuses(central))
        assert central.of("StartTransaction") == []


@pytest.mark.requirement(2, 9)
async def test_a_message_whose_start_is_nowhere_does_not_block_those_behind_it() -> None:
    central = Central()
    async with running(central) as station:
        station.report(ended("gone"), started())
        await eventually(lambda: not station.lane.waiting)
        assert [message.session for message, _ in station.lane.quarantine] == ["gone"]
        assert central.of("StartTransaction")


async def test_a_name_kept_by_an_earlier_run_is_told_to_the_core_again() -> None:
    central = Central()
    async with running(central) as station:
        station.lane.names[SessionId("s1")] = 12
        station.report(sampled(), sampled(seq=2))
        await eventually(lambda: len(central.of("MeterValues")) == 2)
        told = [e for e in station.events if isinstance(e, StartAnswered)]
        assert told == [StartAnswered(SessionId("s1"), 12, IdToken(""), None)]


async def test_a_long_backlog_is_delivered_once_and_acknowledged_in_groups() -> None:
    central = Central()
    async with running(central) as station:
        facts = [f for n in range(40) for f in (started(f"s{n}"), sampled(f"s{n}"), ended(f"s{n}"))]
        station.report(*facts)
        await eventually(lambda: not station.lane.waiting)
        ids = [c.message_id for c in central.calls[1:]]
        assert ids == [f"m-s{n}-{seq}" for n in range(40) for seq in (0, 1, 9)]
        assert sum(what == "acknowledge" for what, _ in station.lane.doings) <= 42


# ---- RPC ----


async def test_only_one_call_is_under_way_at_a_time() -> None:
    central = Central(answering={"StatusNotification": Silence()})
    async with running(central) as station:
        station.settings = replace(FAST, message_timeout_s=5)
        await station.accepted()
        station.show(Status.PREPARING)
        await eventually(lambda: central.of("StatusNotification"))
        station.report(started())
        station.service.perform(AskCsms(1, CARD))
        await asyncio.sleep(0.2)
        assert len(central.calls) == 2
        await central.send(3, central.calls[1].message_id, {})
        await eventually(lambda: len(central.calls) == 4)
        assert central.actions()[2:] == ["Authorize", "StartTransaction"]


async def test_calls_are_answered_while_ours_waits_in_the_order_in_which_they_came() -> None:
    central = Central(answering={"Authorize": Silence()})
    async with running(central) as station:
        station.settings = replace(FAST, message_timeout_s=30)
        await station.accepted()
        station.service.perform(AskCsms(1, CARD))
        await eventually(lambda: central.of("Authorize"))
        await central.send(2, "s0", "ClearCache", {})
        await central.send(2, "s1", "GetConfiguration", {"key": ["HeartbeatInterval"]})
        await central.send(2, "s2", "Foo", {})
        await central.send(2, "s3", "GetConfiguration", {})
        await eventually(lambda: len(station.commands()) == 3)
        assert central.replies == []
        for event in reversed(station.commands()):
            outcome = Outcome(event.command, Result.ACCEPTED, settings=station.settings)
            station.service.perform(Answer(event.call, outcome))
        await eventually(lambda: len(central.replies) == 4)
        assert [(r[0], r[1]) for r in central.replies] == [(3, "s0"), (3, "s1"), (4, "s2"), (3, "s3")]
        assert central.replies[1][2]["configurationKey"][0]["key"] == "HeartbeatInterval"


async def test_settings_are_read_at_once_where_nothing_that_came_before_may_still_change_them() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        await central.send(2, "s1", "GetConfiguration", {"key": ["NumberOfConnectors"]})
        await eventually(lambda: central.replies)
        assert not station.commands()
        assert central.replies[0][2]["configurationKey"][0]["key"] == "NumberOfConnectors"


async def test_fifty_calls_at_once_are_all_answered_in_order() -> None:
    central = Central()
    async with running(central) as station:
        answer_like_the_core(station)
        await station.accepted()
        for number in range(50):
            await central.send(2, f"s{number}", "GetConfiguration", {})
        await eventually(lambda: len(central.replies) == 50)
        assert [r[1] for r in central.replies] == [f"s{n}" for n in range(50)]


@pytest.mark.requirement(14)
async def test_a_call_that_comes_twice_reaches_the_core_once() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        for _ in range(2):
            await central.send(2, "s1", "Reset", {"type": "Soft"})
        await eventually(station.commands)
        (event,) = station.commands()
        assert isinstance(event.command, Reset)
        station.service.perform(Answer(event.call, Outcome(event.command, Result.ACCEPTED)))
        first = await central.ask("Reset", {"type": "Soft"}, "s1")
        assert first == [3, "s1", {"status": "Accepted"}]
        assert len(station.commands()) == 1


@pytest.mark.requirement(14, 66)
async def test_garbage_does_not_disturb_the_link() -> None:
    central = Central()
    async with running(central) as station:
        answer_like_the_core(station)
        await station.accepted()
        for data in ("nonsense", "{}", "[]", "[2]", '[9,"1",{}]', b"\xff\x00", '[2,"1","Reset"]', '[3,"unknown",{}]'):
            await central.newest.send(data)
        await central.newest.send(json.dumps([2, "binary", "ClearCache", {}]).encode())
        await eventually(lambda: len(central.replies) == 2)
        assert central.replies[0][:3] == [4, "1", "FormationViolation"]
        assert central.replies[1] == [3, "binary", {"status": "Accepted"}]
        assert len(central.connections) == 1


async def test_a_large_message_is_taken() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        reply = await central.ask("Authorize", {"x": "y" * 2**20})
        assert reply[:3] == [4, "s1", "NotSupported"]


async def test_pings_of_the_central_system_are_answered_while_a_call_waits() -> None:
    central = Central(answering={"BootNotification": Silence()})
    async with running(central):
        await eventually(lambda: central.of("BootNotification"))
        pong = await central.newest.ping(b"payload")
        assert await pong < 2


async def test_three_calls_in_a_row_without_an_answer_end_the_connection() -> None:
    central = Central(answering=dict.fromkeys(("Authorize", "StatusNotification", "Heartbeat"), Silence()))
    async with running(central) as station:
        await station.accepted()
        station.show(Status.PREPARING)
        station.show(Status.CHARGING, 0)
        station.service.perform(AskCsms(1, CARD))
        await station.reconnected(2)
        assert len([c for c in central.calls if c.connection == 1]) == 4


async def test_a_peer_that_answers_no_ping_is_left() -> None:
    central = Central()
    async with running(central) as station:
        station.settings = replace(FAST, ping_interval_s=1)
        await station.accepted()
        began = time.monotonic()
        central.newest.transport.pause_reading()
        await station.reconnected(2)
        assert time.monotonic() - began < 4
        central.connections[0].transport.abort()


async def test_a_ping_interval_that_is_changed_holds_at_once_on_the_live_link() -> None:
    central = Central()
    async with running(central) as station:
        answer_like_the_core(station)
        station.settings = replace(FAST, ping_interval_s=0)
        await station.accepted()
        await central.ask("ChangeConfiguration", {"key": "WebSocketPingInterval", "value": "1"})
        before = station.service.status().silent_s or 0.0
        await asyncio.sleep(1.3)
        silent = station.service.status().silent_s
        assert silent is not None
        assert silent < before + 1.0


# ---- commands ----


async def test_remote_start_and_stop_are_refused_while_pending_and_all_else_is_served() -> None:
    central = Central(answering={"BootNotification": boot("Pending", 60)})
    async with running(central) as station:
        answer_like_the_core(station)
        await eventually(lambda: station.service.status().registration == "Pending")
        for action, payload in (
            ("RemoteStartTransaction", {"idTag": "A"}),
            ("RemoteStopTransaction", {"transactionId": 1}),
        ):
            assert await central.ask(action, payload, action) == [3, action, {"status": "Rejected"}]
        assert station.commands() == []
        assert await configured(central, "NumberOfConnectors") == "1"


@pytest.mark.parametrize("action", ["RemoteStartTransaction", "GetConfiguration", "Foo"])
async def test_before_boot_was_answered_every_call_is_a_security_error_at_once(action: str) -> None:
    central = Central(answering={"BootNotification": Silence()})
    async with running(central) as station:
        await eventually(lambda: central.of("BootNotification"))
        reply = await central.ask(action, {})
        assert reply[:3] == [4, "s1", "SecurityError"]
        assert station.commands() == []


@pytest.mark.requirement(22)
async def test_a_rejected_station_answers_nobody() -> None:
    central = Central(answering={"BootNotification": boot("Rejected", 60)})
    async with running(central) as station:
        await eventually(lambda: station.service.status().registration == "Rejected")
        await central.send(2, "s1", "GetConfiguration", {})
        await central.send(2, "s2", "Reset")
        pong = await central.newest.ping()
        await pong
        await asyncio.sleep(0.1)
        assert central.replies == []
        assert station.commands() == []


async def test_commands_reach_the_core_and_their_outcome_the_central_system() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        asking = asyncio.create_task(central.ask("RemoteStopTransaction", {"transactionId": -5}))
        await eventually(station.commands)
        (event,) = station.commands()
        assert event.command == RemoteStop(-5)
        assert (event.call.origin, event.call.message_id) == ("cloud", "s1")
        station.service.perform(Answer(event.call, Outcome(RemoteStop(-5), Result.REJECTED, "no such transaction")))
        assert await asking == [3, "s1", {"status": "Rejected"}]


async def test_the_answer_is_on_the_wire_before_what_follows_from_it() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        await central.send(2, "s1", "RemoteStopTransaction", {"transactionId": 41})
        await eventually(station.commands)
        (event,) = station.commands()
        station.service.perform(Answer(event.call, Outcome(event.command, Result.ACCEPTED)))
        station.show(Status.FINISHING)
        station.report(started())
        await eventually(lambda: len(central.frames) == 4)
        assert [json.loads(frame)[0] for frame in central.frames] == [2, 3, 2, 2]


async def test_an_answer_for_an_earlier_connection_is_not_sent_on_the_next() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        await central.send(2, "s1", "ClearCache", {})
        await eventually(station.commands)
        await central.newest.close()
        await station.back(2)
        (event,) = station.commands()
        station.service.perform(Answer(event.call, Outcome(event.command, Result.ACCEPTED)))
        station.service.perform(AskCsms(1, CARD))
        await eventually(lambda: central.of("Authorize"))
        assert central.replies == []


async def test_answers_that_are_ready_leave_before_the_process_ends_and_the_socket_is_closed() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        await central.send(2, "s1", "Reset", {"type": "Hard"})
        await eventually(station.commands)
        (event,) = station.commands()
        station.service.perform(Answer(event.call, Outcome(event.command, Result.ACCEPTED)))
    assert central.replies == [[3, "s1", {"status": "Accepted"}]]
    assert central.closed == [1001]


async def test_an_unknown_effect_and_answers_for_others_change_nothing() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        command = RemoteStart(CARD, None)
        station.service.perform(Answer(CallRef("control", "s1"), Outcome(command, Result.ACCEPTED)))
        station.service.perform(Stop())
        await asyncio.sleep(0.05)
        assert central.replies == []


MOMENT = Instant(1.0, datetime(2026, 11, 24, tzinfo=UTC))

# ---- triggers and company link ----


async def test_triggered_messages_leave_with_what_is_known() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        station.show(Status.CHARGING)
        station.report(started())
        await eventually(lambda: not station.lane.waiting)
        station.service.perform(ReportTriggered("cloud", EvseId(1), 41, reading(1500)))
        station.service.perform(SendTriggered("cloud", Trigger.HEARTBEAT))
        station.service.perform(SendTriggered("cloud", Trigger.STATUS))
        station.service.perform(SendTriggered("cloud", Trigger.BOOT))
        idle = FirmwareTold(FirmwareStatus.IDLE, signed=False, request=None, at=MOMENT)
        station.service.perform(SendNotice(idle, "cloud"))
        station.service.perform(SendNotice(idle, "another"))
        station.service.perform(SendTriggered("another", Trigger.HEARTBEAT))
        station.service.perform(ReportTriggered("another", EvseId(1), 41, reading(1500)))
        await eventually(lambda: len(central.calls) == 7)
        assert central.actions()[3:] == ["MeterValues", "Heartbeat", "StatusNotification", "FirmwareStatusNotification"]
        assert central.of("FirmwareStatusNotification")[0].payload == {"status": "Idle"}
        assert central.of("MeterValues")[0].payload["transactionId"] == 41


async def test_a_link_is_asked_for_and_the_answer_reaches_the_core() -> None:
    data = json.dumps({"status": "Linked", "companyName": "Acme BV", "settings": {"version": 7}})
    central = Central(answering={"DataTransfer": {"status": "Accepted", "data": data}})
    async with running(central) as station:
        await station.accepted()
        station.company = Company(code="ACME", state=LinkState.PENDING, settings=CompanySettings(6))
        station.service.perform(SendCompanyLink("ACME"))
        answer = LinkAnswer(LinkState.LINKED, None, "Acme BV", CompanySettings(7))
        await eventually(lambda: LinkAnswered("ACME", answer) in station.events)
        payload = central.of("DataTransfer")[0].payload
        assert (payload["vendorId"], payload["messageId"]) == ("org.wallbox-agent", "LinkCompany")
        assert json.loads(payload["data"]) == {
            "companyCode": "ACME",
            "stationId": "NL ACME/1",
            "evseIds": ["NL*ACM*E1*1"],
            "meterSerialNumbers": ["23004711"],
            "agentVersion": "1.0.0",
            "settingsVersion": 6,
        }


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ({"status": "UnknownVendorId"}, LinkFailure.UNSUPPORTED),
        ({"status": "Accepted", "data": "hello"}, LinkFailure.UNSUPPORTED),
        ({}, LinkFailure.UNSUPPORTED),
        (Failing("NotImplemented"), LinkFailure.UNSUPPORTED),
        (Failing("InternalError"), LinkFailure.FAILED),
        (Silence(), LinkFailure.FAILED),
        (HangUp(), LinkFailure.FAILED),
    ],
)
async def test_a_link_without_an_answer_is_unsupported_or_tried_again(answer: Script, failure: LinkFailure) -> None:
    central = Central(answering={"DataTransfer": answer})
    async with running(central) as station:
        await station.accepted()
        station.service.perform(SendCompanyLink("ACME"))
        await eventually(lambda: LinkAnswered("ACME", failure) in station.events)


async def test_a_link_asked_for_while_offline_has_failed_and_leaving_is_told_later() -> None:
    central = Central(answering={"DataTransfer": [HangUp(), Silence(), {"status": "Accepted"}]})
    async with running(central) as station:
        station.service.perform(SendCompanyLink("ACME"))
        assert station.events[0] == LinkAnswered("ACME", LinkFailure.FAILED)
        station.service.perform(SendCompanyUnlink("ACME"))
        await eventually(lambda: len(central.of("DataTransfer")) == 2)
        await asyncio.sleep(1.1)
        await central.newest.close()
        await eventually(lambda: len(central.of("DataTransfer")) == 3)
        await central.newest.close()
        await station.reconnected(4)
        assert {c.payload["messageId"] for c in central.of("DataTransfer")} == {"UnlinkCompany"}
        assert len(central.of("DataTransfer")) == 3


async def test_pushed_settings_reach_the_core_and_refusals_are_told() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        push = {"vendorId": "org.wallbox-agent", "messageId": "CompanySettings", "data": '{"version":7}'}
        asking = asyncio.create_task(central.ask("DataTransfer", push))
        await eventually(station.commands)
        (event,) = station.commands()
        assert event.command == PushCompanySettings(CompanySettings(7))
        station.service.perform(Answer(event.call, Outcome(event.command, Result.REJECTED, "not linked")))
        assert await asking == [3, "s1", {"status": "Rejected", "data": '{"reason":"not linked"}'}]


async def test_another_company_code_moves_the_station_to_its_address_where_it_boots_again() -> None:
    central = Central()
    await central.listen()
    station = Station(central, path="/{company_code}/{station_id}", company=Company(code="AAAA"))
    async with running(central, station):
        await station.accepted()
        station.company = Company(code="BBBB")
        station.service.perform(SendCompanyLink("BBBB"))
        await eventually(lambda: len(central.of("BootNotification")) == 2)
        assert [request.path for request in central.requests] == [
            "/ocpp/AAAA/NL%20ACME%2F1",
            "/ocpp/BBBB/NL%20ACME%2F1",
        ]


async def test_an_address_that_needs_a_company_code_waits_for_one() -> None:
    central = Central()
    await central.listen()
    station = Station(central, path="/{company_code}")
    async with running(central, station):
        await eventually(lambda: "link this station" in (station.service.status().last_error or ""))
        station.company = Company(code="CCCC")
        station.service.perform(SendCompanyLink("CCCC"))
        await station.accepted()
        assert central.requests[0].path == "/ocpp/CCCC/NL%20ACME%2F1"


async def test_stamps_of_statuses_from_before_the_time_was_known_are_corrected() -> None:
    central = Central()
    async with running(central) as station:
        wrong = Instant(time.monotonic() - 10, datetime(1970, 1, 1, tzinfo=UTC), TimeStatus.UNKNOWN)
        report = ReportStatus(EvseId(1), Status.AVAILABLE, ErrorCode.NO_ERROR, wrong)
        station.service.perform(report)
        await eventually(lambda: statuses(central))
        sent = datetime.fromisoformat(central.of("StatusNotification")[0].payload["timestamp"])
        assert timedelta(seconds=8) < datetime.now(UTC) - sent < timedelta(seconds=15)
