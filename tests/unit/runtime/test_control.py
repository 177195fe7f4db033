"""The control socket on real unix sockets with the real core behind it, and the lock on the state directory."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from agent.buffer.annotation import Annotation, CannotAnnotate, Change
from agent.core.commands import CallRef, ChangeSetting, ClearCache, Outcome, RemoteStart, Result
from agent.core.company import Company
from agent.core.effects import Answer
from agent.core.errors import JournalFull
from agent.core.events import CommandReceived, Event
from agent.core.instant import Instant
from agent.core.model import EvseId, IdToken
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import EvseState, StationState
from agent.core.station import step
from agent.ocpp.dialect import StationView
from agent.runtime import control
from agent.runtime.control import CLIENTS_MOST, REQUEST_LIMIT, ControlServer, ControlUnavailable
from agent.runtime.possession import StateDirBusy, StateDirUnusable, acquire
from agent.runtime.requests import SOCKET
from agent.runtime.status import ServiceViews, status_document

NOW = Instant(100.0, datetime(2026, 11, 21, 20, 15, tzinfo=UTC))
POLICY = Policy(evses=(EvsePolicy(EvseId(1)),))

Json = dict[str, object]


GIVEN_UP = "019a1234-0000-7000-8000-000000000001"
BROKEN = "019a1234-0000-7000-8000-00000000dead"


@dataclass
class Station:
    """The core, stepped as soon as an event is posted."""

    state: StationState = field(default_factory=lambda: StationState((EvseState(EvseId(1)),)))
    server: ControlServer | None = None
    events: list[Event] = field(default_factory=list)

    def post(self, event: Event) -> None:
        self.events.append(event)
        result = step(self.state, event, NOW, POLICY)
        self.state = result.state
        assert self.server is not None
        for effect in result.effects:
            self.server.perform(effect)

    def view(self) -> StationView:
        return StationView(1, self.state.overrides.over(POLICY.settings), self.state.company)

    async def resend(self, session: str) -> int:
        if session == BROKEN:
            message = "the ledger is full: make room"
            raise JournalFull(message)
        return 2 if session == GIVEN_UP else 0

    async def annotate(self, session: str, change: Change) -> Annotation:
        if session == BROKEN:
            message = "the ledger is full: make room"
            raise JournalFull(message)
        if session != GIVEN_UP:
            message = f"there is no session {session}"
            raise CannotAnnotate(message)
        return change.applied(Annotation(Decimal(7), "before"))

    def status(self) -> Json:
        return status_document(self.state, ServiceViews("NL-1", "1.0.0", 12.34))


class Client:
    """A connection to the socket that speaks lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def raw(self, line: bytes) -> Json:
        self.writer.write(line + b"\n")
        return await self.answer()

    async def answer(self) -> Json:
        answer: Json = json.loads(await self.reader.readline())
        return answer

    async def ask(self, command: str, **members: object) -> Json:
        return await self.raw(json.dumps({"command": command, **members}).encode())

    async def is_closed(self) -> bool:
        return await self.reader.read() == b""

    def close(self) -> None:
        self.writer.close()


@contextlib.asynccontextmanager
async def serving(server: ControlServer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(5):
            await server.listening.wait()
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def connected(directory: Path) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_unix_connection(directory / SOCKET, limit=2**23))
    try:
        yield client
    finally:
        client.close()
        with contextlib.suppress(ConnectionError):
            await client.writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Return when a condition holds, which nothing announces."""
    async with asyncio.timeout(5):
        while not condition():  # seen from outside only
            await asyncio.sleep(0.001)


def names(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir())


def stat_of(path: Path) -> os.stat_result:
    return path.stat()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o750)
    return path


@pytest.fixture
async def station(directory: Path) -> AsyncIterator[Station]:
    station = Station()
    station.server = ControlServer(
        directory, station.post, station.status, view=station.view, resend=station.resend, annotate=station.annotate
    )
    async with serving(station.server):
        yield station


def silent(directory: Path, post: Callable[[Event], None] = lambda _event: None, within: float = 10.0) -> ControlServer:
    """Return a server whose core never answers."""
    return ControlServer(
        directory, post, dict, view=untouched, resend=nothing, annotate=unchanged, answer_within_s=within
    )


async def nothing(_session: str) -> int:
    return 0


async def unchanged(_session: str, _change: Change) -> Annotation:
    return Annotation()


def untouched() -> StationView:
    return StationView(1, POLICY.settings, Company())


# ---- the protocol ----------------------------------------------------------------------------------------------------


async def test_status_is_answered_without_asking_the_core(station: Station, directory: Path) -> None:
    async with connected(directory) as client:
        answer = await client.ask("status")
    assert answer == {"ok": True, "result": json.loads(json.dumps(station.status()))}
    assert station.events == []


@pytest.mark.usefixtures("station")
@pytest.mark.parametrize(
    ("session", "answer"),
    [
        (GIVEN_UP, {"ok": True, "result": {"session": GIVEN_UP, "messages": 2}}),
        (BROKEN, {"ok": False, "error": "the ledger is full: make room", "exit": 1}),
        (
            GIVEN_UP.replace("1", "2"),
            {
                "ok": False,
                "error": f"nothing of session {GIVEN_UP.replace('1', '2')} was given up: "
                f"look at `wallbox-agent sessions show {GIVEN_UP.replace('1', '2')}`",
                "exit": 1,
            },
        ),
        (
            "019a",
            {
                "ok": False,
                "error": "session: give the whole id, as `wallbox-agent sessions list --json` has it",
                "exit": 2,
            },
        ),
    ],
)
async def test_what_was_given_up_is_queued_again(directory: Path, session: str, answer: Json) -> None:
    async with connected(directory) as client:
        assert await client.ask("resend", session=session) == answer


@pytest.mark.usefixtures("station")
@pytest.mark.parametrize(
    ("session", "members", "answer"),
    [
        (
            GIVEN_UP,
            {"odometer": "8"},
            {"ok": True, "result": {"session": GIVEN_UP, "odometer_km": 8, "note": "before"}},
        ),
        (
            GIVEN_UP,
            {"clear": ["odometer"], "note": "now"},
            {"ok": True, "result": {"session": GIVEN_UP, "odometer_km": None, "note": "now"}},
        ),
        (
            GIVEN_UP,
            {"note": ""},
            {"ok": False, "error": "note is empty: write something, or clear the note", "exit": 2},
        ),
        (BROKEN, {"note": "x"}, {"ok": False, "error": "the ledger is full: make room", "exit": 1}),
        (
            GIVEN_UP.replace("1", "2"),
            {"note": "x"},
            {"ok": False, "error": f"there is no session {GIVEN_UP.replace('1', '2')}", "exit": 1},
        ),
        (
            "019a",
            {"note": "x"},
            {
                "ok": False,
                "error": "session: give the whole id, as `wallbox-agent sessions list --json` has it",
                "exit": 2,
            },
        ),
    ],
)
async def test_what_stands_beside_a_session_is_changed(
    directory: Path, session: str, members: Json, answer: Json
) -> None:
    async with connected(directory) as client:
        assert await client.ask("annotate", session=session, **members) == answer


async def test_link_becomes_a_command_and_the_answer_tells_the_state(station: Station, directory: Path) -> None:
    async with connected(directory) as client:
        answer = await client.ask("link", code="acme-7f3k")
    assert answer == {
        "ok": True,
        "result": {
            "code": "ACME-7F3K",
            "state": "pending",
            "name": None,
            "reason": "waiting for the central system",
        },
    }
    assert station.state.company.code == "ACME-7F3K"


@pytest.mark.usefixtures("station")
async def test_unlink_without_a_link_is_refused_with_status_1(directory: Path) -> None:
    async with connected(directory) as client:
        answer = await client.ask("unlink")
    assert answer == {"ok": False, "error": "the station is not linked to a company", "exit": 1}


@pytest.mark.usefixtures("station")
async def test_unlink_answers_with_the_state_none(directory: Path) -> None:
    async with connected(directory) as client:
        await client.ask("link", code="ACME-7F3K")
        answer = await client.ask("unlink")
    assert answer["result"] == {"code": None, "state": "none", "name": None, "reason": None}


async def test_cards_are_added_blocked_unblocked_and_removed_on_one_connection(
    station: Station, directory: Path
) -> None:
    done = {"ok": True, "result": {"result": "accepted", "reason": None}}
    uid = "04:a1:b2:c3:d4:e5:f6"
    async with connected(directory) as client:
        assert await client.ask("cards add", uid=uid, profile="private", number="NL-1", name="Kim") == done
        card = station.state.tokens.cards["04A1B2C3D4E5F6"]
        assert (card.profile, card.number, card.name, card.ema_id) == ("private", "NL-1", "Kim", None)
        assert await client.ask("cards block", uid=uid, reason="lost") == done
        assert station.state.tokens.cards["04A1B2C3D4E5F6"].blocked == "lost"
        assert await client.ask("cards unblock", uid=uid) == done
        assert await client.ask("cards remove", uid=uid) == done
    assert station.state.tokens.cards == {}


async def test_a_start_is_asked_of_the_core_in_the_name_of_the_installer(station: Station, directory: Path) -> None:
    async with connected(directory) as client:
        answer = await client.ask("start", connector=1, card="04A1B2C3")
    assert answer["ok"] is False
    assert answer["exit"] == 1
    assert answer["error"] == "connector 1 is not free, out of service or faulty"
    asked = [e for e in station.events if isinstance(e, CommandReceived)]
    assert [(e.call.origin, e.command) for e in asked] == [("control", RemoteStart(IdToken("04A1B2C3"), EvseId(1)))]


@pytest.mark.usefixtures("station")
async def test_a_stop_of_a_connector_without_a_session_is_refused(directory: Path) -> None:
    async with connected(directory) as client:
        assert await client.ask("stop", connector=1) == {
            "ok": False,
            "error": "no session is running on connector 1",
            "exit": 1,
        }
        assert (await client.ask("stop", connector=2))["error"] == "there is no connector 2"


async def test_a_key_is_changed_and_reset_and_the_answer_tells_what_holds_then(
    station: Station, directory: Path
) -> None:
    async with connected(directory) as client:
        answer = await client.ask("config set", key="metervaluesampleinterval", value=" 30 ")
        assert answer == {
            "ok": True,
            "result": {"key": "MeterValueSampleInterval", "value": "30", "status": "Accepted"},
        }
        assert dict(station.state.overrides.values) == {"sample_interval_s": 30}
        answer = await client.ask("config reset", key="MeterValueSampleInterval")
        assert answer["result"] == {"key": "MeterValueSampleInterval", "value": "60", "status": "Accepted"}
    assert dict(station.state.overrides.values) == {}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("HeartbeatInterval=0", "HeartbeatInterval cannot be '0': must be a whole number from 1 to"),
        ("heartbeatinterval=soon", "HeartbeatInterval cannot be 'soon': must be a whole number"),
        ("AuthorizationCacheEnabled=1", "AuthorizationCacheEnabled cannot be '1': must be true or false"),
        ("NumberOfConnectors=2", "NumberOfConnectors is read-only"),
        ("CompanyCode=ACME-7F3K", "CompanyCode is changed by `wallbox-agent link CODE`"),
        ("ConnectorPhaseRotation=2.RST", "ConnectorPhaseRotation cannot be '2.RST'"),
    ],
)
async def test_a_value_that_is_not_allowed_is_refused_with_status_1_and_changes_nothing(
    station: Station, directory: Path, asked: str, words: str
) -> None:
    key, _, value = asked.partition("=")
    async with connected(directory) as client:
        answer = await client.ask("config set", key=key, value=value)
    assert (answer["ok"], answer["exit"]) == (False, 1)
    assert str(answer["error"]).startswith(words)
    assert station.state.overrides.values == ()


async def test_a_change_that_the_core_cannot_make_is_refused_in_its_words(directory: Path) -> None:
    events: list[Event] = []
    server = silent(directory, events.append)
    async with serving(server), connected(directory) as client:
        waiting = asyncio.create_task(client.ask("config set", key="HeartbeatInterval", value="60"))
        await until(lambda: events)
        change = events[0]
        assert isinstance(change, CommandReceived)
        assert change.command == ChangeSetting("heartbeat_interval_s", 60)
        server.perform(Answer(change.call, Outcome(change.command, Result.REJECTED, "the disk is full")))
        assert await waiting == {"ok": False, "error": "the disk is full", "exit": 1}


@pytest.mark.parametrize(
    "line",
    [
        b"status",
        b"[1, 2]",
        b'"status"',
        b"{}",
        b'{"command": null}',
        b'{"command": "explode"}',
        b'{"command": ["status"]}',
        b"\xff\xfe\x00",
        b"[" * 10_000,
        b"",
        b'{"command": "link"}',
        b'{"command": "link", "code": 7}',
        b'{"command": "link", "code": "x"}',
        b'{"command": "cards add", "uid": "04A1B2C3", "profile": "company"}',
        b'{"command": "cards add", "uid": "04A1B2C3", "name": "\\ud800"}',
        b'{"command": "cards add", "uid": "04A1B2C3", "name": "a\\u001b[31m"}',
        b'{"command": "cards block", "uid": "123456789012345678901"}',
        b'{"command": "stop", "connector": true}',
        b'{"command": "stop", "connector": "1"}',
        b'{"command": "stop", "connector": 0}',
        b'{"command": "stop"}',
        b'{"command": "start", "connector": 1}',
        b'{"command": "config set", "key": "nonsense", "value": "1"}',
        b'{"command": "config set", "key": "HeartbeatInterval"}',
        b'{"command": "config set", "key": "HeartbeatInterval", "value": 60}',
        b'{"command": "config set", "key": 7, "value": "60"}',
        b'{"command": "config set", "value": "60"}',
        b'{"command": "config reset", "key": "nonsense"}',
        b'{"command": "config reset"}',
    ],
)
async def test_garbage_is_answered_with_words_and_the_connection_goes_on(
    station: Station, directory: Path, line: bytes
) -> None:
    async with connected(directory) as client:
        answer = await client.raw(line)
        assert answer["ok"] is False
        assert answer["exit"] == 2
        assert isinstance(answer["error"], str)
        assert answer["error"].isprintable()
        assert (await client.ask("status"))["ok"] is True
    assert station.events == []


@pytest.mark.usefixtures("station")
async def test_a_request_beyond_the_limit_is_refused_and_others_are_served(directory: Path) -> None:
    async with connected(directory) as client, connected(directory) as other:
        client.writer.write(b"x" * (REQUEST_LIMIT * 3))
        answer = await client.answer()
        assert answer == {"ok": False, "error": f"a request has at most {REQUEST_LIMIT} bytes", "exit": 2}
        assert (await other.ask("status"))["ok"] is True


@pytest.mark.usefixtures("station")
async def test_a_request_without_line_end_counts_when_the_client_has_finished(directory: Path) -> None:
    async with connected(directory) as client:
        client.writer.write(b'{"command": "status"}')
        client.writer.write_eof()
        assert (await client.answer())["ok"] is True
        assert await client.is_closed()


@pytest.mark.usefixtures("station")
async def test_requests_sent_together_are_answered_in_order(directory: Path) -> None:
    async with connected(directory) as client:
        client.writer.write(b'{"command": "unlink"}\n{"command": "status"}\n')
        assert (await client.answer())["ok"] is False
        assert (await client.answer())["ok"] is True


# ---- many, slow and vanishing clients --------------------------------------------------------------------------------


async def test_a_client_that_waits_for_the_core_keeps_nobody_else_waiting(directory: Path) -> None:
    events: list[Event] = []
    server = silent(directory, events.append)
    async with serving(server), connected(directory) as first, connected(directory) as second:
        waiting = asyncio.create_task(first.ask("unlink"))
        assert (await second.ask("status"))["ok"] is True
        assert not waiting.done()
        event = events[0]
        assert isinstance(event, CommandReceived)
        server.perform(Answer(event.call, Outcome(event.command, Result.REJECTED, "no")))
        assert await waiting == {"ok": False, "error": "no", "exit": 1}


async def test_answers_find_the_client_that_asked(directory: Path) -> None:
    events: list[Event] = []
    server = silent(directory, events.append)
    async with serving(server), connected(directory) as first, connected(directory) as second:
        one = asyncio.create_task(first.ask("unlink"))
        two = asyncio.create_task(second.ask("cards remove", uid="04A1B2C3"))
        await until(lambda: len(events) == 2)
        for event in reversed(events):
            assert isinstance(event, CommandReceived)
            server.perform(Answer(event.call, Outcome(event.command, Result.REJECTED, type(event.command).__name__)))
        assert (await one)["error"] == "UnlinkCompany"
        assert (await two)["error"] == "RemoveCard"


async def test_a_command_that_the_core_does_not_answer_ends_in_words(directory: Path) -> None:
    async with serving(silent(directory, within=0.05)), connected(directory) as client:
        answer = await client.ask("unlink")
        assert answer["exit"] == 1
        assert "not carried out within 0.05 s" in str(answer["error"])
        assert (await client.ask("status"))["ok"] is True


async def test_answers_that_are_late_foreign_or_unknown_change_nothing(directory: Path) -> None:
    events: list[Event] = []
    server = silent(directory, events.append, within=0.05)
    outcome = Outcome(ClearCache(), Result.ACCEPTED)
    async with serving(server), connected(directory) as client:
        assert (await client.ask("unlink"))["ok"] is False
        event = events[0]
        assert isinstance(event, CommandReceived)
        server.perform(Answer(event.call, outcome))
        server.perform(Answer(CallRef("cloud", event.call.message_id), outcome))
        server.perform(Answer(CallRef("control", "no such id"), outcome))
        server.facts_committed()
        assert (await client.ask("status"))["ok"] is True


async def test_a_client_that_leaves_while_it_waits_harms_nobody(directory: Path) -> None:
    events: list[Event] = []
    server = silent(directory, events.append)
    async with serving(server), connected(directory) as other:
        async with connected(directory) as client:
            client.writer.write(b'{"command": "unlink"}\n')
            await until(lambda: events)
        event = events[0]
        assert isinstance(event, CommandReceived)
        server.perform(Answer(event.call, Outcome(event.command, Result.ACCEPTED)))
        assert (await other.ask("status"))["ok"] is True


async def test_a_client_that_does_not_read_is_cut_off_and_blocks_nobody(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "SEND_WITHIN_S", 0.2)
    server = ControlServer(
        directory,
        lambda _event: None,
        lambda: {"filler": "x" * 500_000},
        view=untouched,
        resend=nothing,
        annotate=unchanged,
    )
    async with serving(server), connected(directory) as other:
        with socket.socket(socket.AF_UNIX) as slow:
            slow.setblocking(False)
            slow.connect(str(directory / SOCKET))
            slow.send(b'{"command": "status"}\n' * 20)
            assert len(json.dumps(await other.ask("status"))) > 500_000
            await until(lambda: len(server._clients) == 1)


@pytest.mark.usefixtures("station")
async def test_connections_beyond_the_limit_are_refused_with_words(directory: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(directory)) for _ in range(CLIENTS_MOST)]
        for client in clients:
            assert (await client.ask("status"))["ok"] is True
        async with connected(directory) as extra:
            assert await extra.answer() == {"ok": False, "error": "too many connections at once: try again", "exit": 1}
            assert await extra.is_closed()
        assert (await clients[0].ask("status"))["ok"] is True


@pytest.mark.usefixtures("station")
async def test_an_idle_connection_is_closed_after_a_while(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE_S", 0.05)
    async with connected(directory) as client:
        assert await client.is_closed()


# ---- start and end ---------------------------------------------------------------------------------------------------


async def test_stopping_answers_who_waits_closes_who_idles_and_removes_the_socket(directory: Path) -> None:
    events: list[Event] = []
    server = silent(directory, events.append)
    async with serving(server) as task, connected(directory) as busy, connected(directory) as idle:
        assert (await idle.ask("status"))["ok"] is True
        waiting = asyncio.create_task(busy.ask("unlink"))
        await until(lambda: events)
        task.cancel()
        assert (await waiting)["error"] == "the agent is stopping: try again once it runs"
        assert await busy.is_closed()
        assert await idle.is_closed()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not server._clients
    assert names(directory) == []
    assert not server.listening.is_set()


async def test_stopping_does_not_wait_for_a_client_that_does_not_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CLOSE_WITHIN_S", 0.05)
    server = ControlServer(
        directory,
        lambda _event: None,
        lambda: {"filler": "x" * 3_000_000},
        view=untouched,
        resend=nothing,
        annotate=unchanged,
    )
    with socket.socket(socket.AF_UNIX) as slow:
        async with serving(server) as task:
            slow.setblocking(False)
            slow.connect(str(directory / SOCKET))
            slow.send(b'{"command": "status"}\n' * 5)
            await until(lambda: any(server._clients.values()))
            task.cancel()
            async with asyncio.timeout(5):
                with pytest.raises(asyncio.CancelledError):
                    await task
        assert not server._clients


async def test_the_service_can_run_again_after_it_was_stopped(directory: Path) -> None:
    server = silent(directory)
    for _ in range(2):
        async with serving(server), connected(directory) as client:
            assert (await client.ask("status"))["ok"] is True


async def test_a_stale_socket_of_a_dead_daemon_is_replaced(directory: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(directory / SOCKET))
    (directory / f"{SOCKET}.new").touch()
    async with serving(silent(directory)), connected(directory) as client:
        assert (await client.ask("status"))["ok"] is True


def test_a_file_of_that_name_is_not_touched(directory: Path) -> None:
    os.close(os.open(directory / SOCKET, os.O_CREAT))
    with pytest.raises(ControlUnavailable, match="something else has its name"):
        control.listen(directory / SOCKET)
    assert names(directory) == [SOCKET]


def test_a_path_too_long_for_a_socket_is_told_in_words(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    with pytest.raises(ControlUnavailable, match=r"control\.sock cannot be opened .*: check station\.state_dir"):
        control.listen(deep / SOCKET)


async def test_only_owner_and_group_of_the_directory_may_open_the_socket(directory: Path) -> None:
    group = next((g.gr_gid for g in grp.getgrall() if g.gr_gid != os.getegid()), None)
    if os.geteuid() == 0 and group is not None:
        os.chown(directory, -1, group)
    async with serving(silent(directory)):
        seen = stat_of(directory / SOCKET)
        assert stat.S_IMODE(seen.st_mode) == 0o660
        assert seen.st_gid == stat_of(directory).st_gid


# ---- the lock --------------------------------------------------------------------------------------------------------


def test_the_state_directory_is_made_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "var" / "state"
    with acquire(path):
        assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0
        assert (path / "lock").read_text() == f"{os.getpid()}\n"
        assert stat.S_IMODE((path / "lock").stat().st_mode) == 0o600


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o750), (0o770, 0o750), (0o700, 0o700), (0o2775, 0o2750)])
def test_an_open_state_directory_is_closed_and_never_opened(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(before)
    with acquire(path):
        assert stat.S_IMODE(path.stat().st_mode) == after


def test_a_directory_that_everybody_writes_to_is_not_taken_over(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    with pytest.raises(StateDirUnusable, match="a directory of its own"):
        acquire(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o1777


def test_a_second_daemon_is_refused_and_told_who_has_it(directory: Path) -> None:
    with acquire(directory), pytest.raises(StateDirBusy) as refused:
        acquire(directory)
    assert str(refused.value) == (
        f"another wallbox-agent (process {os.getpid()}) uses {directory}: stop it with "
        "`systemctl stop wallbox-agent`, or give this one a station.state_dir of its own"
    )
    with acquire(directory):
        pass


def test_the_lock_of_a_killed_process_counts_for_nothing(directory: Path) -> None:
    code = (
        "import sys, pathlib; from agent.runtime.possession import acquire; lock = acquire(pathlib.Path(sys.argv[1]))\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(StateDirBusy, match=f"process {other.pid}"):
            acquire(directory)
        other.send_signal(signal.SIGKILL)
    with acquire(directory):
        pass


def test_a_file_in_the_place_of_the_state_directory_is_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.touch()
    with pytest.raises(StateDirUnusable, match=r"state cannot be used \(File exists\): check its owner"):
        acquire(path)


NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to become another user")


def as_nobody(work: Callable[[], str]) -> str:
    """Return what a process of a user without any right makes of some work."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            os.write(writing, work().encode())
        except (OSError, StateDirUnusable) as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as told:
        return told.read()


@pytest.fixture
def of_nobody() -> Iterator[Path]:
    """Return a state directory that belongs to a user without any right, and to a group that user is not in."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        path = Path(above, "state")
        path.mkdir(mode=0o750)
        os.chown(path, NOBODY, 0)
        yield path


@needs_root
def test_a_socket_that_cannot_be_given_to_the_group_is_for_its_owner_alone(of_nobody: Path) -> None:
    def mode() -> str:
        with control.listen(of_nobody / SOCKET):
            return f"{stat.S_IMODE((of_nobody / SOCKET).stat().st_mode):o}"

    assert as_nobody(mode) == "600"


@needs_root
def test_a_lock_file_that_cannot_be_written_still_locks(of_nobody: Path) -> None:
    lock = of_nobody / "lock"
    lock.touch(mode=0o444)
    os.chown(lock, NOBODY, 0)

    def twice() -> str:
        with acquire(of_nobody):
            acquire(of_nobody)
        return "both"

    assert as_nobody(twice).startswith(f"another wallbox-agent uses {of_nobody}: ")


@needs_root
def test_a_state_directory_of_another_user_is_told_in_words(of_nobody: Path) -> None:
    os.chown(of_nobody, 0, 0)
    of_nobody.chmod(0o755)
    told = as_nobody(lambda: str(acquire(of_nobody)))
    assert told == (
        f"state directory {of_nobody} cannot be used (Operation not permitted): check its owner, permissions and disk"
    )
