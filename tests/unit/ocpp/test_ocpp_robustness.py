"""The service where things happen at the wrong moment: races, floods, silence, full disks, cancellation, moves."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from agent.core.commands import ClearCache, Outcome, RemoteStop, Result
from agent.core.company import Company
from agent.core.effects import Answer, AskCsms, SendCompanyLink, SendCompanyUnlink, SendTriggered
from agent.core.errors import JournalCorrupt, LinkLost
from agent.core.events import LinkAnswered, LinkFailure, StartAnswered
from agent.core.model import ConnectorStatus, IdToken, Registration
from agent.core.settings import Settings
from agent.core.trigger_commands import Trigger
from agent.ocpp import negotiate
from agent.ocpp.backoff import Backoff, BootDelays
from agent.ocpp.connection import UNREAD_ANSWERS, Connection
from agent.ocpp.errands import REMEMBERED
from agent.ocpp.rpc import Answered
from agent.ports import OutboxRow
from tests.unit.ocpp.central import (
    Central,
    Failing,
    Payload,
    Script,
    Silence,
    Station,
    ended,
    eventually,
    running,
    sampled,
    started,
)

if TYPE_CHECKING:
    from agent.ocpp.link import Link

FAST = Settings(message_timeout_s=1, message_retry_interval_s=0)
CARD = IdToken("04A1B2C3")
Status = ConnectorStatus


def transfers(central: Central) -> list[str]:
    return [c.payload["messageId"] for c in central.of("DataTransfer")]


def serials(central: Central) -> list[list[str]]:
    return [json.loads(c.payload["data"])["meterSerialNumbers"] for c in central.of("DataTransfer")]


# ---- answers at the wrong moment ----


class SlowAnswers:
    """A link on which each CALL is answered so long after it was sent."""

    def __init__(self, after_s: float) -> None:
        self.after_s = after_s
        self.connection: Connection | None = None

    async def send(self, text: str) -> None:
        message_id = json.loads(text)[1]
        asyncio.get_running_loop().call_later(self.after_s, self._answer, message_id)

    def _answer(self, message_id: str) -> None:
        assert self.connection is not None
        reply = self.connection._rpc.received(json.dumps([3, message_id, {}]))
        assert isinstance(reply, Answered)
        self.connection._replied(reply)


async def test_an_answer_in_the_very_moment_of_its_time_out_is_never_lost() -> None:
    station, connections = Station(Central(port=1)), list[Connection]()
    for number in range(150):
        link = SlowAnswers(0.9985 + number * 20e-6)
        connection = Connection(station.service, cast("Link", link), negotiate.dialect("ocpp1.6"))
        link.connection = connection
        connections.append(connection)
    replies = await asyncio.gather(*(c._exchange(f"m{n}", f'[2,"m{n}","X",{{}}]') for n, c in enumerate(connections)))
    await eventually(lambda: all(r is not None or c._errands._late for r, c in zip(replies, connections, strict=True)))
    assert any(reply is not None for reply in replies)
    assert any(reply is None for reply in replies)


class Losing:
    """A link that is lost when it is told."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    async def receive(self) -> str:
        await self.gone.wait()
        raise LinkLost("gone")


async def test_a_link_that_is_lost_in_the_very_moment_of_the_end_does_not_outlive_it() -> None:
    station, link = Station(Central(port=1)), Losing()
    connection = Connection(station.service, cast("Link", link), negotiate.dialect("ocpp1.6"))
    connection._desk.registering.status = Registration.ACCEPTED  # so that nothing is sent
    serving = asyncio.create_task(connection.serve())
    await asyncio.sleep(0.01)
    link.gone.set()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


@pytest.mark.requirement(14)
async def test_an_answer_to_an_earlier_connection_answers_no_other_command_with_the_same_id() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        await central.send(2, "1", "ClearCache", {})
        await eventually(station.commands)
        await central.newest.close()
        await station.reconnected(2)
        await central.send(2, "1", "RemoteStopTransaction", {"transactionId": 7})
        await eventually(lambda: len(station.commands()) == 2)
        first, second = station.commands()
        assert first.call == second.call
        station.service.perform(Answer(first.call, Outcome(ClearCache(), Result.ACCEPTED)))
        station.service.perform(Answer(second.call, Outcome(RemoteStop(7), Result.REJECTED)))
        await eventually(lambda: central.replies)
        await central.newest.ping()
        assert central.replies == [[3, "1", {"status": "Rejected"}]]


async def test_a_start_that_is_answered_after_it_was_given_up_still_names_what_was_not_sent_yet() -> None:
    central = Central(answering={"StartTransaction": Silence()})
    async with running(central) as station:
        station.settings = replace(FAST, message_attempts=1)
        await station.accepted()

        def answer_the_start(_payload: Payload) -> Script:
            start = central.of("StartTransaction")[0].message_id
            late.append(asyncio.create_task(central.send(3, start, {"transactionId": 77, "idTagInfo": {}})))
            return Silence()

        late: list[asyncio.Task[None]] = []
        central.answering["MeterValues"] = answer_the_start
        station.report(started(), sampled(), ended())
        await eventually(lambda: central.of("StopTransaction"))
        assert central.of("MeterValues")[0].payload["transactionId"] == -1
        assert central.of("StopTransaction")[0].payload["transactionId"] == 77
        assert [e.transaction for e in station.events if isinstance(e, StartAnswered)] == [None, 77]
        await asyncio.gather(*late)


# ---- silence and floods ----


@pytest.mark.requirement(4)
async def test_each_time_out_counts_as_an_attempt_also_the_one_that_ends_the_connection() -> None:
    central = Central(answering={"StopTransaction": Silence()})
    async with running(central) as station:
        station.settings = replace(FAST, message_attempts=3)
        station.report(started(), ended(), started("s2"))
        await eventually(lambda: len(central.of("StartTransaction")) == 2)
        ((message, error),) = station.lane.quarantine
        assert (message.session, message.attempts, error) == ("s1", 3, "no answer in time")
        assert len(central.of("StopTransaction")) == 3
        assert len({c.message_id for c in central.of("StopTransaction")}) == 1


@pytest.mark.requirement(1)
async def test_other_messages_flow_while_a_message_of_a_session_waits_for_its_next_try() -> None:
    central = Central(answering={"StopTransaction": Silence()})
    async with running(central) as station:
        station.settings = replace(FAST, message_attempts=3, message_retry_interval_s=600)
        station.report(started(), ended(), started("s2"))
        await eventually(lambda: any(what == "failed" for what, _ in station.lane.doings))
        station.show(Status.FINISHING)
        station.service.perform(AskCsms(1, CARD))
        station.service.perform(SendTriggered("cloud", Trigger.HEARTBEAT))
        await eventually(lambda: len(central.calls) == 6)
        assert set(central.actions()[3:]) == {"StatusNotification", "Authorize", "Heartbeat"}
        assert station.service.status().queued == 2


async def test_a_peer_that_asks_without_end_is_refused_then_left() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        for number in range(UNREAD_ANSWERS + 50):
            if central.newest.state.name != "OPEN":
                break
            await central.send(2, f"c{number}", "ClearCache", {})
        await station.reconnected(2)
        assert len(station.commands()) == 200
        assert central.replies == []


# ---- counting, and the ledger ----


async def test_the_queue_is_counted_while_offline_and_while_a_batch_is_under_way() -> None:
    central = Central(answering={"MeterValues": [{}, {}, Silence()]})
    await central.listen()
    await central.close()
    station = Station(central)
    task = asyncio.create_task(station.service.run())
    try:
        station.report(started(), *(sampled(seq=seq) for seq in range(1, 9)), ended())
        await eventually(lambda: station.service.status().queued == 10)
        await central.listen()
        await eventually(lambda: len(central.of("MeterValues")) == 3)
        assert station.service.status().queued == 7
    finally:
        task.cancel()
        await asyncio.wait([task])
        await central.close()


async def test_a_full_disk_heals_without_losing_the_connection_or_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.ocpp.lane.LEDGER_S", 0.1)
    central = Central()
    async with running(central) as station:
        await station.accepted()
        station.lane.broken = True
        station.report(started(), ended())
        await eventually(lambda: "ledger" in (station.service.status().last_error or ""))
        await asyncio.sleep(0.3)
        assert central.of("StartTransaction") == []
        station.lane.broken = False
        await eventually(lambda: not station.lane.waiting)
        assert central.actions() == ["BootNotification", "StartTransaction", "StopTransaction"]
        assert len(central.connections) == 1
        assert station.service.status().last_error is None


async def test_a_ledger_that_can_be_read_again_is_no_trouble_any_more_although_nothing_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.ocpp.lane.LEDGER_S", 0.1)
    central = Central()
    async with running(central) as station:
        await station.accepted()
        rows = station.lane.rows

        async def unreadable(_limit: int) -> tuple[OutboxRow, ...]:
            await asyncio.sleep(0)
            raise JournalCorrupt("the ledger is damaged")

        monkeypatch.setattr(station.lane, "rows", unreadable)
        station.report()
        await eventually(lambda: "damaged" in (station.service.status().last_error or ""))
        monkeypatch.setattr(station.lane, "rows", rows)
        await eventually(lambda: station.service.status().last_error is None)
        assert len(central.connections) == 1


@pytest.mark.requirement(3, 25)
async def test_a_pending_station_boots_for_ever_without_growing() -> None:
    pending = {"status": "Pending", "currentTime": "2026-11-21T20:15:03Z", "interval": 0}
    central = Central(answering={"BootNotification": pending})
    await central.listen()
    station = Station(central, boot_delays=BootDelays(base_s=0.001, most_s=0.001))
    async with running(central, station):
        await eventually(lambda: len(central.calls) > 100)
        connection = station.service._connection
        assert connection is not None
        assert len(connection._errands._boots) <= REMEMBERED
        assert set(central.actions()) == {"BootNotification"}


async def test_a_queue_that_could_not_be_counted_is_counted_when_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.ocpp.service.LEDGER_S", 0.05)
    station = Station(Central(port=1))
    counted, broken = station.lane.count, [True, True]

    async def count() -> int:
        if broken:
            broken.pop()
            station.lane.broken = True
            station.lane._write("count", None)
        return await counted()

    monkeypatch.setattr(station.lane, "count", count)
    task = asyncio.create_task(station.service.run())
    try:
        station.report(started())
        await eventually(lambda: station.service.status().queued == 1)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait([task])


# ---- statuses ----


async def test_a_connector_that_is_first_seen_after_the_boot_is_told_then() -> None:
    central = Central()
    async with running(central) as station:
        station.show(Status.AVAILABLE, 0)
        await eventually(lambda: central.of("StatusNotification"))
        station.show(Status.AVAILABLE, 1)
        await eventually(lambda: len(central.of("StatusNotification")) == 2)
        assert central.of("StatusNotification")[1].payload["connectorId"] == 1


# ---- the company ----


async def test_a_link_waits_after_the_boot_for_the_serial_number_of_the_meter() -> None:
    central = Central()
    await central.listen()
    station = Station(central, serials=())
    async with running(central, station):
        await station.accepted()
        station.service.perform(SendCompanyLink("ACME"))
        station.show(Status.AVAILABLE)
        await eventually(lambda: central.of("StatusNotification"))
        await asyncio.sleep(0.3)
        assert transfers(central) == []
        station.serials = ("77",)
        await eventually(lambda: transfers(central))
        assert serials(central) == [["77"]]


async def test_a_meter_that_tells_no_serial_number_holds_up_no_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.ocpp.transfers.SERIALS_S", 0.4)
    central = Central()
    await central.listen()
    station = Station(central, serials=())
    async with running(central, station):
        await station.accepted()
        for count in (1, 2):
            station.service.perform(SendCompanyLink("ACME"))
            await eventually(lambda count=count: len(transfers(central)) == count)  # type: ignore[misc]  # mypy has no types for defaults of a lambda
        assert serials(central) == [[], []]
        boot, first, second = central.calls[0].at, *(c.at for c in central.of("DataTransfer"))
        assert first - boot >= 0.35
        assert second - first < 0.3


async def test_leaving_is_told_on_the_same_connection_until_somebody_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.ocpp.transfers.RETRY_FIRST_S", 0.1)
    central = Central(answering={"DataTransfer": [Silence(), Failing("InternalError")]})
    async with running(central) as station:
        await station.accepted()
        station.service.perform(SendCompanyUnlink("ACME"))
        await eventually(lambda: len(transfers(central)) == 2)
        await asyncio.sleep(0.4)
        assert transfers(central) == ["UnlinkCompany"] * 2
        assert len(central.connections) == 1


async def test_leaving_is_told_again_to_who_has_forgotten_the_station() -> None:
    central = Central(answering={"DataTransfer": [Failing("SecurityError"), {"status": "Accepted"}]})
    async with running(central) as station:
        await station.accepted()
        station.service.perform(SendCompanyUnlink("ACME"))
        await eventually(lambda: len(transfers(central)) == 2)
        assert central.actions() == ["BootNotification", "DataTransfer", "BootNotification", "DataTransfer"]


async def test_a_company_that_is_joined_again_does_not_hear_late_that_it_was_left() -> None:
    central = Central(answering={"DataTransfer": [Silence(), {"status": "UnknownVendorId"}]})
    async with running(central) as station:
        await station.accepted()
        station.service.perform(SendCompanyUnlink("ACME"))
        await eventually(lambda: transfers(central))
        station.service.perform(SendCompanyLink("ACME"))
        await eventually(lambda: LinkAnswered("ACME", LinkFailure.UNSUPPORTED) in station.events)
        await central.newest.close()
        await station.back(2)
        station.service.perform(AskCsms(1, CARD))
        await eventually(lambda: central.of("Authorize"))
        await asyncio.sleep(0.1)
        assert transfers(central) == ["UnlinkCompany", "LinkCompany"]


async def test_after_leaving_the_status_goes_on_to_the_address_of_the_company() -> None:
    central = Central()
    await central.listen()
    station = Station(central, path="/{company_code}", company=Company(code="AAAA"))
    async with running(central, station):
        await station.accepted()
        station.company = Company(left="AAAA")
        await central.newest.close()
        await station.reconnected(2)
        station.show(Status.PREPARING)
        await eventually(lambda: central.of("StatusNotification"))
        assert {request.path for request in central.requests} == {"/ocpp/AAAA/NL%20ACME%2F1"}
        assert len(central.of("BootNotification")) == 1


async def test_a_first_company_code_is_dialled_at_once_although_nobody_asked_for_a_link() -> None:
    central = Central()
    await central.listen()
    station = Station(central, path="/{company_code}", backoff=Backoff(600.0, 0.0, 0, 600.0))
    async with running(central, station):
        await eventually(lambda: "link this station" in (station.service.status().last_error or ""))
        station.company = Company(code="CCCC")
        await station.accepted()
        assert central.requests[0].path == "/ocpp/CCCC/NL%20ACME%2F1"


# ---- the end ----


@pytest.mark.requirement(12, 15)
@pytest.mark.timeout(30)
async def test_cancelled_at_any_moment_it_ends_and_says_nothing_more() -> None:
    central = Central(answering={"MeterValues": [{}, {}, Silence()]})
    await central.listen()
    before = asyncio.all_tasks()
    for moment in range(40):
        station = Station(central)
        station.show(Status.CHARGING)
        station.report(started(), sampled(), sampled(seq=2), sampled(seq=3), ended())
        station.service.perform(SendCompanyUnlink("ACME"))
        task = asyncio.create_task(station.service.run())
        await asyncio.sleep(moment * 0.001)
        task.cancel()
        async with asyncio.timeout(3):
            await asyncio.wait([task])
        assert task.cancelled()
        assert station.service.status().state == "offline"
        frames = len(central.frames)
        station.service.perform(AskCsms(1, CARD))
        station.show(Status.AVAILABLE)
        station.report(started("late"))
        await asyncio.sleep(0.002)
        assert len(central.frames) == frames
    await eventually(lambda: len(central.closed) == len(central.connections))
    await central.close()
    await eventually(lambda: not ours(asyncio.all_tasks() - before))


def ours(tasks: set[asyncio.Task[Any]]) -> list[asyncio.Task[Any]]:
    return [task for task in tasks if "agent/ocpp" in str(task.get_coro())]
