"""A scripted central system, and what is around the service at the station: a clock, a lane in memory, a core."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from agent.core.company import Company
from agent.core.effects import ReportStatus
from agent.core.errors import JournalFull
from agent.core.events import CloudChanged, CommandReceived, Event
from agent.core.facts import Fact, SessionEnded, SessionSampled, SessionStarted, StartTrigger
from agent.core.instant import Instant
from agent.core.model import (
    ConnectorStatus,
    ErrorCode,
    EvseId,
    IdToken,
    Profile,
    Quality,
    Reading,
    ReadingContext,
    Reporting,
    SessionId,
    StopReason,
    Wh,
)
from agent.core.outbox import Queued
from agent.core.settings import Settings
from agent.ocpp.backoff import Backoff, BootDelays
from agent.ocpp.dialect import Identity, StationView
from agent.ocpp.link import Endpoint
from agent.ocpp.service import OcppService, ServiceConfig
from agent.ports import Acknowledged, OutboxRow

WITHIN_S = 8.0
NOW = "2026-11-21T20:15:03.000Z"
Payload: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Failing:
    """Answer with a CALLERROR."""

    code: str
    description: str = "words"


class Silence:
    """Do not answer."""


class HangUp:
    """Close the connection instead of answering."""


Script: TypeAlias = Payload | Failing | Silence | HangUp
Answering: TypeAlias = Script | list[Script] | Callable[[Payload], Script]


async def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Wait until a condition holds, not for ever."""
    limit = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < limit, f"never came: {what or condition}"
        await asyncio.sleep(0.005)


@dataclass
class Received:
    """A CALL of the station."""

    connection: int
    message_id: str
    action: str
    payload: Payload
    at: float


@dataclass
class Central:
    """The central system.

    answering: by action; a list is used up, its last member for ever. statuses: HTTP statuses with which the first
    handshakes are refused. subprotocol: None accepts the connection without one.
    """

    answering: dict[str, Answering] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    subprotocol: str | None = "ocpp1.6"
    calls: list[Received] = field(default_factory=list)
    replies: list[Any] = field(default_factory=list)
    frames: list[str | bytes] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    closed: list[int | None] = field(default_factory=list)
    port: int = 0
    _transactions: int = 40
    _server: Server | None = None

    async def listen(self) -> None:
        """Listen, on the same port as before."""
        self._server = await serve(
            self._talk,
            "127.0.0.1",
            self.port,
            process_request=self._handshake,
            select_subprotocol=lambda *_: None if self.subprotocol is None else Subprotocol(self.subprotocol),
            ping_interval=None,
            compression=None,
            close_timeout=0.2,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and close what is open."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    @property
    def newest(self) -> ServerConnection:
        return self.connections[-1]

    def actions(self, connection: int | None = None) -> list[str]:
        """Return the actions that came, on one connection (from 1) or on all."""
        return [c.action for c in self.calls if connection in {None, c.connection}]

    def of(self, action: str) -> list[Received]:
        """Return the CALLs of one action."""
        return [c for c in self.calls if c.action == action]

    async def send(self, *content: object) -> None:
        """Send a frame on the newest connection."""
        await self.newest.send(json.dumps(list(content)))

    async def ask(self, action: str, payload: Payload, message_id: str = "s1") -> list[Any]:
        """Send a CALL and return the frame that answers it."""
        count = len(self.replies)
        await self.send(2, message_id, action, payload)
        await eventually(lambda: any(r[1] == message_id for r in self.replies[count:]), f"the answer to {action}")
        reply: list[Any] = next(r for r in self.replies[count:] if r[1] == message_id)
        return reply

    def _handshake(self, _connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if not self.statuses:
            return None
        status = HTTPStatus(self.statuses.pop(0))
        return _connection.respond(status, "no\n")

    async def _talk(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        number = len(self.connections)
        try:
            async for data in connection:
                await self._take(connection, number, data)
        except ConnectionClosed:
            pass
        finally:
            self.closed.append(connection.close_code)

    async def _take(self, connection: ServerConnection, number: int, data: str | bytes) -> None:
        self.frames.append(data)
        frame = json.loads(data)
        if frame[0] != 2:
            self.replies.append(frame)
            return
        _, message_id, action, payload = frame
        self.calls.append(Received(number, message_id, action, payload, time.monotonic()))
        answer = self._answer(action, payload)
        if isinstance(answer, HangUp):
            await connection.close(1001)
        elif isinstance(answer, Failing):
            await connection.send(json.dumps([4, message_id, answer.code, answer.description, {}]))
        elif not isinstance(answer, Silence):
            await connection.send(json.dumps([3, message_id, answer]))

    def _answer(self, action: str, payload: Payload) -> Script:
        answer = self.answering.get(action)
        if answer is None:
            return self._default(action)
        if callable(answer):
            return answer(payload)
        if isinstance(answer, list):
            return answer.pop(0) if len(answer) > 1 else answer[0]
        return answer

    def _default(self, action: str) -> Payload:
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": NOW, "interval": 300}
            case "Heartbeat":
                return {"currentTime": NOW}
            case "StartTransaction":
                self._transactions += 1
                return {"transactionId": self._transactions, "idTagInfo": {"status": "Accepted"}}
            case "Authorize" | "StopTransaction":
                return {"idTagInfo": {"status": "Accepted"}}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case _:
                return {}


class RealClock:
    """Time as it passes."""

    def now(self) -> Instant:
        return Instant(time.monotonic(), datetime.now(UTC))

    async def sleep_until(self, mono: float) -> None:
        await asyncio.sleep(max(mono - time.monotonic(), 0.0))


@dataclass
class Lane:
    """A lane in memory, with a list of what was done to it; broken: every write fails."""

    waiting: list[OutboxRow] = field(default_factory=list)
    doings: list[tuple[str, Any]] = field(default_factory=list)
    told: list[OutboxRow] = field(default_factory=list)
    quarantine: list[tuple[Queued, str]] = field(default_factory=list)
    names: dict[SessionId, int | str] = field(default_factory=dict)
    given_up: set[SessionId] = field(default_factory=set)
    sessions: dict[int, SessionId | None] = field(default_factory=dict)
    broken: bool = False

    def put(self, *facts: Fact) -> None:
        for fact in facts:
            number = len(self.sessions) + 1
            session = getattr(fact, "session", None)
            self.sessions[number] = session
            message = Queued(number, f"m-{session}-{getattr(fact, 'seq', number)}", session)
            self.told.append(OutboxRow(message, fact, None, None, start_given_up=False))
            self.waiting.append(self.told[-1])

    async def rows(self, limit: int) -> tuple[OutboxRow, ...]:
        await asyncio.sleep(0)
        return tuple(self._told(row) for row in self.waiting[:limit])

    async def history(self, session: SessionId) -> tuple[SessionStarted | SessionSampled, ...]:
        facts = (row.fact for row in self.told)
        return tuple(f for f in facts if isinstance(f, SessionStarted | SessionSampled) and f.session == session)

    async def sending(self, texts: Sequence[tuple[int, str]]) -> None:
        self._write("sending", list(texts))
        kept = dict(texts)
        self.waiting = [
            replace(row, text=kept.get(row.message.row, row.text)) if row.text is None else row for row in self.waiting
        ]

    async def acknowledge(self, acknowledged: Sequence[Acknowledged]) -> None:
        await asyncio.sleep(0)
        self._write("acknowledge", [a.row for a in acknowledged])
        for one in acknowledged:
            session = self.sessions[one.row]
            if one.transaction is not None and session is not None:
                self.names[session] = one.transaction
        taken = {a.row for a in acknowledged}
        self.waiting = [row for row in self.waiting if row.message.row not in taken]

    async def failed(self, message: Queued) -> None:
        self._write("failed", message)
        self.waiting = [
            replace(row, message=message) if row.message.row == message.row else row for row in self.waiting
        ]

    async def give_up(self, message: Queued, error: str, at: Instant) -> None:
        self._write("give up", (message, at))
        self.quarantine.append((message, error))
        for row in self.waiting:
            if row.message.row == message.row and isinstance(row.fact, SessionStarted):
                self.given_up.add(row.fact.session)
        self.waiting = [row for row in self.waiting if row.message.row != message.row]

    async def session_of(self, transaction: int | str) -> SessionId | None:
        return next((session for session, name in self.names.items() if name == transaction), None)

    async def count(self) -> int:
        return len(self.waiting)

    def _write(self, what: str, about: object) -> None:
        if self.broken:
            raise JournalFull("the ledger is full")
        self.doings.append((what, about))

    def _told(self, row: OutboxRow) -> OutboxRow:
        session = row.message.session
        if session is None:
            return row
        return replace(row, transaction=self.names.get(session), start_given_up=session in self.given_up)


@dataclass
class Station:
    """The service under test, and all that it is given."""

    central: Central
    lane: Lane = field(default_factory=Lane)
    settings: Settings = field(default_factory=lambda: Settings(message_timeout_s=1, message_retry_interval_s=0))
    company: Company = field(default_factory=Company)
    events: list[Event] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    anchored: list[Instant] = field(default_factory=list)
    backoff: Backoff = field(default_factory=lambda: Backoff(0.05, 0.0, 0, 0.05))
    boot_delays: BootDelays = field(default_factory=lambda: BootDelays(base_s=0.1, most_s=0.1))
    serials: tuple[str, ...] = ("23004711",)
    path: str = ""
    on_event: Callable[[Event], None] | None = None

    def __post_init__(self) -> None:
        endpoint = Endpoint(self.central.url + self.path, "NL ACME/1", ("ocpp1.6",), open_timeout_s=2.0)
        config = ServiceConfig(
            name="cloud",
            endpoint=endpoint,
            identity=lambda: Identity("Generic", "Wallbox", "1.0.0", "WB123", "eastron", "23004711"),
            evse_ids=("NL*ACM*E1*1",),
            serials=lambda: self.serials,
            backoff=self.backoff,
            boot_delays=self.boot_delays,
        )
        self.service = OcppService(
            config,
            clock=RealClock(),
            outbox=self.lane,
            time_sink=self,
            post=self.post,
            view=lambda: StationView(1, self.settings, self.company),
            chance=lambda: 0.0,
            anchor=self.anchor,
        )

    def post(self, event: Event) -> None:
        self.events.append(event)
        if self.on_event is not None:
            self.on_event(event)

    def told(self, source: str, wall: datetime, received: Instant) -> None:
        assert source == "ocpp"
        assert received.mono <= time.monotonic()
        self.times.append(wall)

    async def anchor(self, at: Instant) -> None:
        self.anchored.append(at)

    def report(self, *put: Fact) -> None:
        """Let facts be committed."""
        self.lane.put(*put)
        self.service.facts_committed()

    def show(self, status: ConnectorStatus, evse: int = 1, error: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """Let a connector show a status."""
        self.service.perform(ReportStatus(EvseId(evse), status, error, RealClock().now()))

    def commands(self) -> list[CommandReceived]:
        return [event for event in self.events if isinstance(event, CommandReceived)]

    async def accepted(self) -> None:
        """Wait until the station is accepted."""
        await eventually(lambda: self.service.status().registration == "Accepted", "an accepted boot")

    async def reconnected(self, number: int) -> None:
        """Wait for the n-th connection."""
        await eventually(lambda: len(self.central.connections) >= number, f"connection {number}")

    async def back(self, number: int) -> None:
        """Wait for the n-th connection, until both ends have it."""
        await self.reconnected(number)
        await eventually(lambda: self._is_back(number), f"connection {number} at the station")

    def _is_back(self, number: int) -> bool:
        """Tell whether the station has lost all connections before the n-th, and has that one."""
        changes = [event.connected for event in self.events if isinstance(event, CloudChanged)]
        return changes.count(False) >= number - 1 and changes[-1]


@asynccontextmanager
async def running(central: Central, station: Station | None = None) -> AsyncIterator[Station]:
    """Run a station against a central system; at the end both are gone."""
    if not central.port:
        await central.listen()
    station = station or Station(central)
    task = asyncio.create_task(station.service.run())
    try:
        yield station
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.wait([task])
        await central.close()
    if not task.cancelled():
        await _raise(task)


async def _raise(task: Awaitable[None]) -> None:
    await task


def instant(seconds: float = 0.0) -> Instant:
    return Instant(seconds, datetime(2026, 11, 21, 20, 0, tzinfo=UTC))


def reading(wh: int) -> Reading:
    return Reading(instant(), Wh(Decimal(wh)))


def started(session: str = "s1", card: str = "04A1B2C3") -> SessionStarted:
    return SessionStarted(
        SessionId(session), 0, EvseId(1), IdToken(card), Profile.FLEET, StartTrigger.CARD, instant(), reading(1000),
        Reporting.REPORT, None, None,
    )  # fmt: skip


def sampled(session: str = "s1", seq: int = 1, wh: int = 1100) -> SessionSampled:
    return SessionSampled(SessionId(session), seq, EvseId(1), ReadingContext.PERIODIC, reading(wh))


def ended(session: str = "s1", seq: int = 9, wh: int = 2000) -> SessionEnded:
    return SessionEnded(
        SessionId(session), seq, EvseId(1), instant(), Wh(Decimal(wh)), StopReason.LOCAL, IdToken("04A1B2C3"),
        (Quality.MEASURED,),
    )  # fmt: skip
