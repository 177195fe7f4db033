"""A scripted central system for OCPP 1.6J: records every frame, answers as it is told to, and asks what it is told to.

Built on the WebSocket library alone; shares no code with the agent or the simulators.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Payload: TypeAlias = dict[str, Any]

WITHIN_S = 5.0
LOOK_S = 0.004
TRANSCRIPT = 60


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a CALLERROR."""

    code: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Silence:
    """Do not answer."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Cut the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class Raw:
    """Answer with any text, made from the message id."""

    text: Callable[[str], str]


@dataclass(slots=True)
class Held:
    """Answer when ``release`` is called; arrived: it has come to that. then: the answer, None for the ordinary one."""

    then: Script | None = None
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self.released.set()


@dataclass(frozen=True, slots=True)
class Late:
    """Answer so many seconds later; then: the answer, None for the ordinary one."""

    seconds: float
    then: Script | None = None


@dataclass(frozen=True, slots=True)
class Trailed:
    """Answer, and ask something in the same breath: both may well be read at once; then: the answer."""

    action: str
    payload: Payload
    then: Script | None = None


Script: TypeAlias = Payload | Refuse | Silence | HangUp | Raw | Held | Late | Trailed
Scripted: TypeAlias = Script | Callable[[Payload], "Script | None"]
"""An answer, or what makes one of the request; None: the ordinary one."""


@dataclass(slots=True, eq=False)
class Received:
    """A CALL of the station; at: seconds of this process, wall: by the central system's clock."""

    index: int
    connection: int
    message_id: str
    action: str
    payload: Payload
    at: float
    wall: datetime
    answered_at: float | None = None
    answer: Payload | None = None
    taken: bool = False

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # JSON
        return self.payload[name]

    def get(self, name: str) -> Any:  # noqa: ANN401  # JSON
        return self.payload.get(name)


@dataclass(slots=True, eq=False)
class Asked:
    """A CALL to the station and what became of it; excused: no answer is owed."""

    connection: int
    message_id: str
    action: str
    at: float
    answer: asyncio.Future[list[Any]]
    excused: bool = False
    answered_at: float | None = None

    @property
    def frame(self) -> list[Any]:
        return self.answer.result()


@dataclass(frozen=True, slots=True)
class Handshake:
    """A request for a connection."""

    path: str
    headers: dict[str, str]
    at: float


class Ear(ServerConnection):
    """A connection that also notes when pings come, and tells when it has ended."""

    pings: list[float]

    def process_event(self, event: Any) -> None:  # noqa: ANN401  # of the library
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pings.append(asyncio.get_running_loop().time())
        super().process_event(event)


@dataclass(slots=True)
class Connection:
    """One connection of the station; number: from 1."""

    number: int
    ear: Ear
    began: float
    ended: float | None = None

    @property
    def open(self) -> bool:
        return self.ended is None


class Csms:
    """The central system.

    cards: idTagInfo by upper-case idTag, {"status": "Accepted"} for all others. statuses_of_http: HTTP statuses with
    which the next handshakes are refused. subprotocol: None opens connections without one. offset: how far its clock is
    from the machine's. transaction_ids: given out in turn. tls: for ``wss``.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.cards: dict[str, Payload] = {}
        self.refusals: deque[int] = deque()
        self.subprotocol: str | None = "ocpp1.6"
        self.offset = timedelta()
        self.heartbeat_interval_s = 300
        self.transaction_ids: Iterator[int] = itertools.count(1)
        self.transactions: dict[str, int] = {}
        self.calls: list[Received] = []
        self.asked: list[Asked] = []
        self.handshakes: list[Handshake] = []
        self.connections: list[Connection] = []
        self.answers: list[str] = []
        self.garbage: list[str] = []
        self.timeouts: list[tuple[float, float]] = []
        self.began = datetime.now(UTC)
        self.log: list[str] = []
        self.port = 0
        self._tls = tls
        self._server: Server | None = None
        self._for_ever: dict[str, Scripted] = {}
        self._once: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._ids = itertools.count(1)
        self._mark = 0

    # ---- the server --------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"{'ws' if self._tls is None else 'wss'}://127.0.0.1:{self.port}/ocpp"

    async def up(self) -> None:
        """Listen, on the same port as before."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            create_connection=Ear,
            process_request=self._handshake,
            select_subprotocol=self._subprotocol,
            ping_interval=None,
            compression=None,
            close_timeout=0.2,
            ssl=self._tls,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def down(self) -> None:
        """Cut every connection, and listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.close(close_connections=False)
            self.abort()
            await self.until(lambda: not any(c.open for c in self.connections), "the connections ended")

    async def close(self, code: int = 1001) -> None:
        """Close the newest connection in order."""
        await self.newest.ear.close(code)

    def abort(self) -> None:
        """Cut every connection, without a word."""
        for connection in self.connections:
            if connection.open:
                connection.ear.transport.abort()

    def freeze(self) -> None:
        """Read nothing more on the newest connection: half open, no pongs."""
        self.newest.ear.transport.pause_reading()

    @property
    def newest(self) -> Connection:
        return self.connections[-1]

    @property
    def connected(self) -> bool:
        return bool(self.connections) and self.newest.open

    async def connection(self, number: int, within: float = WITHIN_S) -> Connection:
        """Wait for the n-th connection."""
        await self.until(lambda: len(self.connections) >= number, f"connection no. {number}", within)
        return self.connections[number - 1]

    # ---- what it answers ---------------------------------------------------------------------------------------------

    def on(self, action: str, script: Scripted | None) -> None:
        """Answer an action so from now on; None: in the ordinary way again."""
        if script is None:
            self._for_ever.pop(action, None)
        else:
            self._for_ever[action] = script

    def once(self, action: str, *scripts: Scripted) -> None:
        """Answer the next ones of an action so, each once."""
        self._once[action].extend(scripts)

    def hold(self, action: str, then: Script | None = None) -> Held:
        """Keep the answer to the next one of an action until it is released."""
        held = Held(then)
        self.once(action, held)
        return held

    # ---- what it asks ------------------------------------------------------------------------------------------------

    async def call(self, action: str, **payload: Any) -> Payload:  # noqa: ANN401  # JSON
        """Send a CALL, and return the payload of its CALLRESULT."""
        frame = await self.ask(action, payload)
        assert frame[0] == 3, self._trouble(f"{action} was answered with {frame[2:4]}")
        return dict(frame[2])

    async def refused(self, action: str, payload: object) -> str:
        """Send a CALL, and return the code of its CALLERROR."""
        frame = await self.ask(action, payload)
        assert frame[0] == 4, self._trouble(f"{action} was answered with {frame[2:]}")
        return str(frame[2])

    async def ask(self, action: str, payload: object, within: float = WITHIN_S) -> list[Any]:
        """Send a CALL, and return the frame that answers it."""
        asked = await self.begin(action, payload)
        await self.until(asked.answer.done, f"an answer to {action}", within)
        return asked.frame

    async def begin(self, action: str, payload: object, message_id: str | None = None, *, owed: bool = True) -> Asked:
        """Send a CALL without waiting; owed: False where no answer need come."""
        message_id = message_id or f"csms-{next(self._ids)}"
        now = asyncio.get_running_loop()
        asked = Asked(len(self.connections), message_id, action, now.time(), now.create_future(), excused=not owed)
        self.asked.append(asked)
        match payload:
            case {"key": "MessageTimeout", "value": str(value)} if value.isdigit():
                self.timeouts.append((asked.at, float(value)))
        await self.send(json.dumps([2, message_id, action, payload]))
        return asked

    async def send(self, data: str | bytes) -> None:
        """Send any frame on the newest connection."""
        self._note("->", data)
        await self.newest.ear.send(data)

    async def change(self, key: str, value: object) -> None:
        """Change a configuration key, which must be accepted."""
        text = str(value).lower() if isinstance(value, bool) else str(value)
        answer = await self.call("ChangeConfiguration", key=key, value=text)
        assert answer == {"status": "Accepted"}, self._trouble(f"{key}={text}: {answer}")

    async def value(self, key: str) -> str | None:
        """Return the value of a configuration key."""
        answer = await self.call("GetConfiguration", key=[key])
        assert answer.get("configurationKey"), self._trouble(f"{key} is not known")
        value: str | None = answer["configurationKey"][0].get("value")
        return value

    # ---- what it got -------------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Count everything that came so far as past."""
        self._mark = len(self.calls)

    @property
    def fresh(self) -> list[Received]:
        """What came since the mark."""
        return self.calls[self._mark :]

    def of(self, action: str, **fields: Any) -> list[Received]:  # noqa: ANN401  # JSON
        """Return the CALLs of an action since the mark with these fields (None: absent)."""
        return [c for c in self.fresh if c.action == action and _has(c, fields)]

    def actions(self, *but: str) -> list[str]:
        """Return the actions that came since the mark, but some."""
        return [c.action for c in self.fresh if c.action not in but]

    def statuses(self, connector: int = 1) -> list[str]:
        """Return the statuses of a connector since the mark, in order."""
        return [c["status"] for c in self.of("StatusNotification", connectorId=connector)]

    async def expect(self, action: str, within: float = WITHIN_S, **fields: Any) -> Received:  # noqa: ANN401  # JSON
        """Wait for a CALL with these fields (None: absent) that came since the mark and was not taken yet; take it."""
        what = f"{action} {fields or ''}"
        await self.until(lambda: self._waiting(action, fields), what, within)
        received = self._waiting(action, fields)[0]
        received.taken = True
        return received

    async def status(self, connector: int, status: str, **fields: Any) -> Received:  # noqa: ANN401  # JSON
        """Wait for a StatusNotification, as ``expect``."""
        return await self.expect("StatusNotification", connectorId=connector, status=status, **fields)

    async def until(self, condition: Callable[[], object], what: str = "", within: float = WITHIN_S) -> None:
        """Wait until a condition holds."""
        deadline = asyncio.get_running_loop().time() + within
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, self._trouble(f"never came: {what}")
            await asyncio.sleep(LOOK_S)

    def transcript(self) -> str:
        """Return the last frames, one a line."""
        return "\n".join(self.log[-TRANSCRIPT:])

    def _waiting(self, action: str, fields: Payload) -> list[Received]:
        return [c for c in self.of(action, **fields) if not c.taken]

    def _trouble(self, words: str) -> str:
        return f"{words}\n{self.transcript()}"

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _handshake(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        self.handshakes.append(Handshake(request.path, headers, asyncio.get_running_loop().time()))
        if not self.refusals:
            return None
        status = HTTPStatus(self.refusals.popleft())
        self.log.append(f"     handshake refused: {status}")
        return connection.respond(status, "no\n")

    def _subprotocol(self, _connection: ServerConnection, offered: object) -> Subprotocol | None:
        wanted = self.subprotocol
        return Subprotocol(wanted) if wanted is not None and wanted in list(offered) else None  # type: ignore[call-overload]  # a sequence

    async def _serve(self, ear: ServerConnection) -> None:
        assert isinstance(ear, Ear)
        ear.pings = []
        connection = Connection(len(self.connections) + 1, ear, asyncio.get_running_loop().time())
        self.connections.append(connection)
        self.log.append(f"---- connection {connection.number}")
        answers: list[asyncio.Task[None]] = []
        try:
            with suppress(ConnectionClosed):
                async for data in ear:
                    self._take(connection, data, answers)
            for task in answers:
                task.cancel()
            for outcome in await asyncio.gather(*answers, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
        finally:
            connection.ended = asyncio.get_running_loop().time()
            self.log.append(f"---- connection {connection.number} ended ({ear.close_code})")

    def _take(self, connection: Connection, data: str | bytes, answers: list[asyncio.Task[None]]) -> None:
        self._note("<-", data)
        frame = json.loads(data) if isinstance(data, str) else None
        match frame:
            case [2, str(message_id), str(action), dict(payload)]:
                now = asyncio.get_running_loop().time()
                wall = datetime.now(UTC) + self.offset
                received = Received(len(self.calls), connection.number, message_id, action, payload, now, wall)
                self.calls.append(received)
                answer = self._answer(connection, received, self._script(action, payload))
                answers.append(asyncio.create_task(answer))
            case [3, str(message_id), dict()] | [4, str(message_id), str(), str(), dict()]:
                self._answered(connection, message_id, frame)
            case _:
                self.garbage.append(str(data))

    def _answered(self, connection: Connection, message_id: str, frame: list[Any]) -> None:
        self.answers.append(message_id)
        waiting = [a for a in self.asked if a.message_id == message_id and not a.answer.done()]
        waiting = [a for a in waiting if a.connection == connection.number]
        if waiting:
            waiting[0].answered_at = asyncio.get_running_loop().time()
            waiting[0].answer.set_result(frame)
        else:
            self.garbage.append(json.dumps(frame))

    def _script(self, action: str, payload: Payload) -> Script | None:
        script = self._once[action].popleft() if self._once[action] else self._for_ever.get(action)
        return script(payload) if callable(script) else script

    async def _answer(self, connection: Connection, received: Received, script: Script | None) -> None:
        if isinstance(script, Held):
            script.arrived.set()
            await script.released.wait()
            script = script.then
        elif isinstance(script, Late):
            await asyncio.sleep(script.seconds)
            script = script.then
        trailer, script = (script, script.then) if isinstance(script, Trailed) else (None, script)
        text = self._text(received, script)
        if isinstance(script, HangUp):
            connection.ear.transport.abort()
        elif text is not None:
            received.answered_at = asyncio.get_running_loop().time()
            self._note("->", text)
            with suppress(ConnectionClosed):
                await connection.ear.send(text)
                if trailer is not None:
                    await self.begin(trailer.action, trailer.payload)

    def _text(self, received: Received, script: Script | None) -> str | None:
        match script:
            case Silence() | HangUp():
                return None
            case Refuse(code, description):
                return json.dumps([4, received.message_id, code, description, {}])
            case Raw(text):
                return text(received.message_id)
            case dict():
                received.answer = script
            case _:
                received.answer = self._ordinary(received)
        if received.action == "StartTransaction" and isinstance(received.answer.get("transactionId"), int):
            self.transactions[received.message_id] = received.answer["transactionId"]
        return json.dumps([3, received.message_id, received.answer])

    def _ordinary(self, received: Received) -> Payload:
        match received.action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": self.now(), "interval": self.heartbeat_interval_s}
            case "Heartbeat":
                return {"currentTime": self.now()}
            case "Authorize":
                return {"idTagInfo": self._card(received["idTag"])}
            case "StartTransaction":
                number = self.transactions.get(received.message_id)
                number = next(self.transaction_ids) if number is None else number
                return {"transactionId": number, "idTagInfo": self._card(received["idTag"])}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case _:
                return {}

    def _card(self, id_tag: str) -> Payload:
        return self.cards.get(id_tag.upper(), {"status": "Accepted"})

    def now(self) -> str:
        """The present moment by its clock, as OCPP writes it."""
        return (datetime.now(UTC) + self.offset).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _note(self, arrow: str, data: str | bytes) -> None:
        text = data if isinstance(data, str) else repr(data)
        self.log.append(f"{asyncio.get_running_loop().time() % 1000:8.3f} {arrow} {text[:300]}")


def _has(received: Received, fields: Payload) -> bool:
    return all(received.payload.get(name) == value for name, value in fields.items())
