"""A central system to test against: a scripted OCPP 1.6J server, written for the tests alone."""

from __future__ import annotations

import asyncio
import itertools
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Payload = dict[str, Any]
Doorman = Callable[[ServerConnection, Request], Response | None]


def stamp() -> str:
    """The present moment as OCPP writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class Received:
    """A CALL of the station."""

    action: str
    payload: Payload
    message_id: str
    at: float


@dataclass
class Employer:
    """Accepts stations and cards, gives out transaction ids, remembers every message.

    answers: action -> function of the payload, which replaces the ordinary answer; returning None answers nothing.
    doorman: may refuse a handshake, by returning a response. delay_s: every answer comes so much later; outstanding,
    most_outstanding: CALLs that wait for their answer.
    """

    cards: dict[str, str] = field(default_factory=lambda: {"62E3086CED": "Accepted"})
    got: list[Received] = field(default_factory=list)
    answers: dict[str, Callable[[Payload], Payload | str | None]] = field(default_factory=dict)
    connections: list[ServerConnection] = field(default_factory=list)
    handshakes: int = 0
    transactions: dict[str, int] = field(default_factory=dict)
    doorman: Doorman | None = None
    mute: bool = False
    delay_s: float = 0.0
    outstanding: int = 0
    most_outstanding: int = 0
    port: int = 0
    _server: Server | None = None
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1001))
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _pending: dict[str, asyncio.Future[list[Any]]] = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen; on the same port as before when it was open before."""
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            subprotocols=[Subprotocol("ocpp1.6")],
            ping_interval=None,
            process_request=self.doorman,
            ssl=self.tls(),
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    def tls(self) -> ssl.SSLContext | None:
        """Return what the server shows of itself, None without TLS."""
        return None

    async def close(self) -> None:
        """Cut every connection and stop listening."""
        if self._server is not None:
            self._server.close(close_connections=False)
            for connection in self.connections:
                connection.transport.abort()
            self._server = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    def of(self, action: str) -> list[Received]:
        """Return the CALLs of one action, in order."""
        return [r for r in self.got if r.action == action]

    async def wait(self, condition: Callable[[], object], within: float = 10.0, what: str = "") -> None:
        """Wait until a condition holds."""
        deadline = asyncio.get_running_loop().time() + within
        while not condition():
            if asyncio.get_running_loop().time() > deadline:
                message = f"not within {within} s: {what}; got {[r.action for r in self.got]}"
                raise AssertionError(message)
            await asyncio.sleep(0.02)

    async def wait_for(self, action: str, count: int = 1, within: float = 10.0) -> Received:
        """Wait for the n-th CALL of an action."""
        await self.wait(lambda: len(self.of(action)) >= count, within, f"{action} no. {count}")
        return self.of(action)[count - 1]

    async def call(self, action: str, payload: Payload, within: float = 5.0) -> Payload:
        """Send a CALL to the station and return the payload of its answer; a CALLERROR comes as {"error": code}."""
        answer = await self.raw(
            json.dumps([2, (identity := f"csms-{next(self._ids)}"), action, payload]), identity, within
        )
        return answer[2] if answer[0] == 3 else {"error": answer[2]}

    async def raw(self, text: str, identity: str, within: float = 5.0) -> list[Any]:
        """Send any text, and return the answer that carries this message id."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._pending[identity] = future
        await self.connections[-1].send(text)
        async with asyncio.timeout(within):
            return await future

    async def _serve(self, connection: ServerConnection) -> None:
        self.handshakes += 1
        self.connections.append(connection)
        async with asyncio.TaskGroup() as answering:
            with suppress(ConnectionClosed):
                async for text in connection:
                    frame = json.loads(text)
                    if frame[0] == 2 and self.delay_s:
                        answering.create_task(self._called_late(connection, frame))
                    elif frame[0] == 2:
                        await self._called(connection, frame)
                    elif frame[1] in self._pending and not self._pending[frame[1]].done():
                        self._pending[frame[1]].set_result(frame)
        self.connections.remove(connection)

    async def _called_late(self, connection: ServerConnection, frame: list[Any]) -> None:
        self.outstanding += 1
        self.most_outstanding = max(self.outstanding, self.most_outstanding)
        await asyncio.sleep(self.delay_s)
        self.outstanding -= 1
        with suppress(ConnectionClosed):
            await self._called(connection, frame)

    async def _called(self, connection: ServerConnection, frame: list[Any]) -> None:
        _, identity, action, payload = frame
        self.got.append(Received(action, payload, identity, asyncio.get_running_loop().time()))
        if self.mute:
            return
        answer = self.answers[action](payload) if action in self.answers else self._ordinary(action, payload, identity)
        if isinstance(answer, str):
            await connection.send(json.dumps([4, identity, answer, "", {}]) if answer.isalpha() else answer)
        elif answer is not None:
            await connection.send(json.dumps([3, identity, answer]))

    def _ordinary(self, action: str, payload: Payload, identity: str) -> Payload:  # noqa: PLR0911  # one per action
        match action:
            case "BootNotification":
                return {"status": "Accepted", "currentTime": stamp(), "interval": 300}
            case "Heartbeat":
                return {"currentTime": stamp()}
            case "Authorize":
                return {"idTagInfo": {"status": self.cards.get(payload["idTag"], "Invalid")}}
            case "StartTransaction":
                number = self.transactions.setdefault(identity, next(self._numbers))
                return {"transactionId": number, "idTagInfo": {"status": self.cards.get(payload["idTag"], "Invalid")}}
            case "StopTransaction":
                return {}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
            case _:
                return {}
