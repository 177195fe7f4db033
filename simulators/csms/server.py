"""A central system that can be watched, commanded and broken: OCPP 1.6J over WebSocket."""

from __future__ import annotations

import asyncio
import base64
import binascii
import ssl as tls
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event
from websockets.typing import Subprotocol

from simulators.csms.billing import Bill, bill
from simulators.csms.book import Book
from simulators.csms.company import CompanyLink
from simulators.csms.conduct import Conduct
from simulators.csms.desk import CompanyDesk
from simulators.csms.faults import Faults
from simulators.csms.link import Link, NotConnected
from simulators.csms.log import Kind, Message, MessageLog, Violation
from simulators.csms.reception import Reception
from simulators.csms.state import Company, JsonObject, State, Token, load
from simulators.csms.store import Store
from simulators.csms.v16 import SUBPROTOCOL, V16, Policy


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a station asked for a connection. status: what it got, 101 for a connection; authorization: the header."""

    station: str
    path: str
    protocols: tuple[str, ...]
    authorization: str | None
    status: int


@dataclass(frozen=True, slots=True)
class Setup:
    """Where a central system listens and what it knows at its start.

    port 0: any free one. state_file: what is there at the start wins over companies and tokens given here. passwords:
    station -> password of HTTP basic authentication (bytes that are no UTF-8 as surrogates); a station that is not in
    it, or that presents a certificate, needs none. secure_port, secure: where it listens with TLS too. store: used like
    state_file, in its place; whoever opened it closes it.
    """

    host: str = "127.0.0.1"
    port: int = 0
    companies: tuple[Company, ...] = ()
    tokens: tuple[Token, ...] = ()
    tariff: JsonObject | None = None
    policy: Policy = field(default_factory=Policy)
    state_file: Path | None = None
    passwords: dict[str, str] = field(default_factory=dict)
    ssl: tls.SSLContext | None = None
    store: Store | None = None
    secure_port: int | None = None
    secure: tls.SSLContext | None = None


class _Connection(ServerConnection):
    """A connection that tells of pings."""

    pinged: Callable[[], None] | None = None

    def process_event(self, event: Event) -> None:
        """Take a frame; tell of it when it is a ping."""
        if isinstance(event, Frame) and event.opcode is Opcode.PING and self.pinged is not None:
            self.pinged()
        super().process_event(event)


class Csms:
    """The central system; an asynchronous context manager.

    >>> async with Csms.start(tokens=[Token("04A1B2C3D4E5F6")]) as csms:
    ...     start_station(csms.url)  # the station appends its id
    ...     await csms.wait_for("StartTransaction", timeout=5)
    ...     await csms.call("CP1", "RemoteStopTransaction", {"transactionId": 1})
    ...     assert not csms.violations

    Parts: ``log`` (messages, violations), ``faults``, ``policy`` (registration), ``state`` (companies, tokens, devices,
    sessions), ``desk`` (the employer's side), ``company_link`` (the extension), ``book``, ``conduct``, ``handshakes``.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.port = setup.port
        self.state = _remembered(setup)
        self.log = MessageLog()
        self.faults = Faults()
        self.handshakes: list[Handshake] = []
        self.conduct = Conduct(self.log)
        self.book = Book(self.state, self.log)
        self.state.tariff = setup.tariff if setup.tariff is not None else self.state.tariff
        self.company_link = CompanyLink(self.state, self.log)
        self.desk = CompanyDesk(self.state, self.call)
        dialect = V16(self.state, self.log, book=self.book, link=self.company_link, conduct=self.conduct)
        self.on_request = dialect.on_request
        self.policy = dialect.policy = setup.policy
        self._central = Reception(dialect, self.state, self.conduct, self.faults, book=self.book, save=self.save)
        self._links: dict[str, Link] = {}
        self._server: Server | None = None
        self._second: Server | None = None
        self.secure_port = setup.secure_port
        self._released = asyncio.Event()
        for company in setup.companies:
            self.state.companies.setdefault(company.code.upper(), deepcopy(company))
        for token in setup.tokens:
            self.state.tokens.setdefault(token.uid.upper(), deepcopy(token))

    @classmethod
    def start(
        cls,
        *,
        companies: Iterable[Company] = (),
        tokens: Iterable[Token] = (),
        tariff: JsonObject | None = None,
        accept_unknown: bool = False,
        state_file: Path | None = None,
        passwords: dict[str, str] | None = None,
        ssl: tls.SSLContext | None = None,
        port: int = 0,
        store: Store | None = None,
    ) -> Self:
        """Return a central system on 127.0.0.1, to be entered with ``async with``; see Setup."""
        policy = Policy(accept_unknown=accept_unknown)
        chosen = tuple(companies), tuple(tokens), tariff, policy, state_file, passwords or {}, ssl, store
        return cls(Setup("127.0.0.1", port, *chosen))

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close(abort=False)
        self.save()

    # -- what tests and people see

    @property
    def url(self) -> str:
        """Where stations connect to; they append their id."""
        return f"{'ws' if self.setup.ssl is None else 'wss'}://{self.setup.host}:{self.port}/ocpp"

    @property
    def violations(self) -> list[Violation]:
        """All rules that stations broke, oldest first."""
        return self.log.violations

    @property
    def connected(self) -> tuple[str, ...]:
        """The stations that are connected now."""
        return tuple(self._links)

    def sessions(self, station: str | None = None) -> list[Bill]:
        """Return the sessions as they were reported, oldest first, with their price."""
        chosen = [session for session in self.state.sessions if station in {None, session.station}]
        return [bill(self.state, session, self.policy.zone) for session in chosen]

    async def wait_for(
        self,
        action: str,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 - part of the interface
        station: str | None = None,
        nth: int = 1,
        since: int = 0,
        kind: Kind = "call",
        where: Callable[[Message], bool] | None = None,
    ) -> Message:
        """Return the nth message of an action that came from a station, waiting for it. Raises TimeoutError.

        since: number of the log from which on it counts (``len(csms.log.messages)`` for what comes from now on).
        ``wait_for("connected", kind="event")`` waits for a connection.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    found = list(self.log.find(action, station=station, kind=kind, since=since, where=where))
                    if len(found) >= nth:
                        return found[nth - 1]
                    await self.log.changed()
        except TimeoutError:
            seen = ", ".join(message.action or message.kind for message in self.log.messages[-12:]) or "nothing"
            raise TimeoutError(f"no {action} (number {nth}) within {timeout:g} s; last seen: {seen}") from None

    async def call(
        self,
        station: str,
        action: str,
        payload: JsonObject | None = None,
        *,
        timeout: float = 10.0,  # noqa: ASYNC109
    ) -> JsonObject:
        """Send a CALL to a station and return the answer's payload. Raises CallRefused, NotConnected, TimeoutError."""
        return await self._link(station).call(action, payload or {}, timeout)

    async def send_text(self, station: str, text: str) -> None:
        """Send any text to a station, however wrong. Raises NotConnected."""
        await self._link(station).send_text(text)

    async def resend(self, station: str) -> None:
        """Send the last CALL to a station again, byte for byte. Raises NotConnected."""
        await self._link(station).repeat()

    async def cut(self, how: str = "close", station: str | None = None) -> None:
        """Break the connections, all or that of one station.

        close: politely, abort: at once, half-open: they stay and are not read any more, pings neither; down: abort all
        and stop listening until ``restore``.
        """
        links = [self._links[station]] if station is not None else list(self._links.values())
        if how == "half-open":
            self.faults.half_open = True
            for link in links:
                link.socket.transport.pause_reading()
        elif how == "down":
            self.faults.down = True
            await self._close(abort=True)
        elif how == "abort":
            for link in links:
                link.socket.transport.abort()
        else:
            for link in links:
                await link.socket.close(1001)

    async def restore(self) -> None:
        """End all faults: listen again, on the same port; connections that hung are cut."""
        hung = self.faults.half_open or self.faults.mute
        self.faults.clear()
        self._release()
        if hung:
            await self.cut("abort")
        await self._listen()

    def save(self) -> None:
        """Write the state to its file, where there is one."""
        if self.setup.store is not None:
            self.setup.store.save(self.state)
        elif self.setup.state_file is not None:
            self.state.save(self.setup.state_file)

    # -- connections

    def _link(self, station: str) -> Link:
        link = self._links.get(station)
        if link is None:
            raise NotConnected(f"{station} is not connected")
        return link

    async def _listen(self) -> None:
        if self._server is not None:
            return
        self._released.clear()
        self._server = await self._opened(self.port, self.setup.ssl)
        self.port = self._server.sockets[0].getsockname()[1]
        if self.setup.secure is not None:
            self._second = await self._opened(self.secure_port or 0, self.setup.secure)
            self.secure_port = self._second.sockets[0].getsockname()[1]

    async def _opened(self, port: int, context: tls.SSLContext | None) -> Server:
        return await serve(
            self._serve,
            self.setup.host,
            port,
            ssl=context,
            process_request=self._requested,
            process_response=self._responded,
            select_subprotocol=_chosen,
            create_connection=_Connection,
            ping_interval=None,
            open_timeout=None,
            compression=None,
            close_timeout=1,
        )

    async def _close(self, *, abort: bool) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        self._release()
        for link in list(self._links.values()):
            if abort or self.faults.half_open:
                link.socket.transport.abort()
        second, self._second = self._second, None
        for one in (server, second):
            if one is not None:
                one.close()
                await one.wait_closed()

    def _release(self) -> None:
        """Let go of the handshakes that hang."""
        self._released.set()
        self._released = asyncio.Event()

    async def _requested(self, connection: ServerConnection, request: Request) -> Response | None:
        station = _station(request.path)
        authorization = request.headers.get("Authorization")
        secure = connection.transport.get_extra_info("ssl_object")
        certified = secure is not None and bool(secure.getpeercert())
        status = self._status(station, authorization, certified=certified)
        protocols = tuple(text.strip() for text in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if text)
        self.handshakes.append(Handshake(station, request.path, protocols, authorization, status))
        if self.faults.hang:
            await self._released.wait()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "simulated\n")
        if status == HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        return connection.respond(HTTPStatus(status), "refused\n")

    def _status(self, station: str, authorization: str | None, *, certified: bool) -> int:
        if self.faults.refuse_http is not None:
            return self.faults.refuse_http
        expected = self.setup.passwords.get(station)
        wanted = None if expected is None or certified else expected.encode("utf-8", "surrogateescape")
        if wanted is not None and _password(station, authorization) != wanted:
            return HTTPStatus.UNAUTHORIZED
        return HTTPStatus.SWITCHING_PROTOCOLS if station else HTTPStatus.NOT_FOUND

    def _responded(self, _connection: ServerConnection, _request: Request, response: Response) -> None:
        wanted = self.faults.subprotocol
        if wanted is not None and response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            if "Sec-WebSocket-Protocol" in response.headers:
                del response.headers["Sec-WebSocket-Protocol"]
            if wanted:
                response.headers["Sec-WebSocket-Protocol"] = wanted

    async def _serve(self, socket: ServerConnection) -> None:
        station = "" if socket.request is None else _station(socket.request.path)
        if socket.subprotocol != SUBPROTOCOL and self.faults.subprotocol is None:
            return  # none that both know: close (OCPP-J 1.6, 3.2)
        link, previous = Link(station, socket, self._central), self._links.get(station)
        if previous is not None:
            previous.socket.transport.abort()  # the station came back, the old connection is a corpse
        self._links[station] = link
        if isinstance(socket, _Connection):
            socket.pinged = lambda: self.log.add(station, "ping", inbound=True)
        if self.faults.half_open:
            socket.transport.pause_reading()
        self.log.add(station, "event", inbound=True, action="connected")
        try:
            await link.run()
        finally:
            if self._links.get(station) is link:
                del self._links[station]
            self.log.add(station, "event", inbound=True, action="closed")


def _remembered(setup: Setup) -> State:
    if setup.store is not None:
        return setup.store.load()
    return State() if setup.state_file is None else load(setup.state_file)


def _station(path: str) -> str:
    return unquote(path.partition("?")[0].rpartition("/")[2])


def _chosen(_connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return Subprotocol(SUBPROTOCOL) if SUBPROTOCOL in offered else None


def _password(station: str, authorization: str | None) -> bytes | None:
    """Return the password of a basic authorization of this station; None where there is none."""
    scheme, _, encoded = (authorization or "").partition(" ")
    try:
        user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return None
    return password if scheme.lower() == "basic" and user.decode(errors="replace") == station else None
