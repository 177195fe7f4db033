"""HTTP/1.1 on the loopback interface: one request per connection, bounded in size and time, from its own pages only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

import h11

HOST: Final = "127.0.0.1"
LARGEST_BODY: Final = 64 * 1024
LARGEST_HEAD: Final = 32 * 1024
#: A request has to be there within this time.
PATIENCE_S: Final = 10.0
FORM: Final = "application/x-www-form-urlencoded"
HTML: Final = "text/html; charset=utf-8"
#: No script, nothing from elsewhere, no frame around it; an address is told to its own pages only.
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser would send no Origin
    "Cache-Control": "no-store",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Request:
    """path: its segments, decoded. form: what was sent, None where it only asks for a page."""

    path: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered. location: where the browser has to go; name: under which it is saved."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    kind: str = HTML
    location: str = ""
    name: str = ""

    def headers(self) -> dict[str, str]:
        """Return all headers."""
        extras = {"Location": self.location} if self.location else {}
        if self.name:
            extras["Content-Disposition"] = f'attachment; filename="{self.name}"'
        return {**HEADERS, "Content-Type": self.kind, "Content-Length": str(len(self.body)), **extras}


Respond: TypeAlias = Callable[[Request], Awaitable[Response]]


class Refused(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


class Web:
    """A server; an asynchronous context manager. port 0: any free one, then in ``port``."""

    def __init__(self, respond: Respond, port: int) -> None:
        self.port = port
        self._respond = respond
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}/"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in filter(None, tuple(self._serving)):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            await self._exchange(_Wire(reader, writer))
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            return  # the browser is gone, says nothing, or the panel ends
        finally:
            self._serving.discard(task)
            writer.close()

    async def _exchange(self, wire: _Wire) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                head, body = await wire.request()
            response = await self._respond(self._checked(head, body))
        except Refused as refused:
            response = Response(f"{refused}\n".encode(), refused.status, "text/plain; charset=utf-8")
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            response = Response(f"{error}\n".encode(), status, "text/plain; charset=utf-8")
        async with asyncio.timeout(PATIENCE_S):
            await wire.answer(response)

    def _checked(self, head: h11.Request, body: bytes) -> Request:
        """Return what is asked for; only by a browser that has this address open, and changes only from its pages."""
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        host, method = headers.get("host", "").lower(), head.method.decode()
        if host not in {f"{name}:{self.port}" for name in (HOST, "localhost")}:
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, f"this is {self.url}, not {host}")
        address = urlsplit(head.target.decode("latin-1"))
        path = tuple(unquote(part) for part in address.path.split("/") if part)
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        if method in {"GET", "HEAD"}:
            return Request(path, query)
        if method != "POST":
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{method} is not known here")
        if headers.get("origin", "").lower() != f"http://{host}":
            raise Refused(HTTPStatus.FORBIDDEN, "only the pages of this address may change something")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a form is {FORM}")
        return Request(path, query, _form(body))


def _form(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200))
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "this is no form") from None


class _Wire:
    """One connection: a request, and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)
        self._bare = False

    async def request(self) -> tuple[h11.Request, bytes]:
        """Return the request and its body. Raises RemoteProtocolError, Refused: too large; ConnectionError."""
        head, body = await self._next(), bytearray()
        if not isinstance(head, h11.Request):
            raise ConnectionResetError
        self._bare = head.method == b"HEAD"
        while isinstance(part := await self._next(), h11.Data):
            body += part.data
            if len(body) > LARGEST_BODY:
                raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LARGEST_BODY} bytes")
        return head, bytes(body)

    async def _next(self) -> h11.Event:
        while not isinstance(event := self._http.next_event(), h11.Event):
            if event is h11.PAUSED:
                raise ConnectionResetError  # a second request, which is not served here
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._http.receive_data(await self._reader.read(4096))
        return event

    async def answer(self, response: Response) -> None:
        """Send an answer, without body to a HEAD."""
        if self._http.our_state not in {h11.SEND_RESPONSE, h11.IDLE}:
            return
        headers = list(response.headers().items())
        await self._send(
            h11.Response(status_code=response.status, headers=headers, reason=response.status.phrase.encode())
        )
        if not self._bare:
            await self._send(h11.Data(data=response.body))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()
