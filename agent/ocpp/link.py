"""The WebSocket to a central system, and nothing above it; the only module that knows the library ``websockets``."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
    WebSocketException,
)
from websockets.typing import Subprotocol

from agent.core.errors import LinkLost
from agent.ocpp.security import Credentials, basic_header, tls_context

MAX_SIZE: Final = 4 * 2**20
"""Bytes of a message; OCPP-J asks for less, configuration and lists have been seen to need more."""
SEND_S: Final = 30.0
"""A frame that the network does not take for so long means that the link is dead."""
CLOSE_S: Final = 2.0
"""A peer that is asked to close is not waited for any longer."""
ABNORMAL: Final = 1006

#: HTTP status of a refused handshake -> what to check.
STATUSES: Final[Mapping[int, str]] = {
    400: "the central system takes this for a bad request: check the path in cloud.url",
    401: "the central system refuses the credentials: check station.id, the password and the security profile",
    403: "the central system forbids this station to connect: check whether station.id is set up and enabled there",
    404: "the central system does not know this address: check the path in cloud.url and station.id",
    429: "the central system asks for fewer attempts",
    500: "the central system has an internal error",
    502: "the central system's proxy does not reach it",
    503: "the central system is not available at present",
    504: "the central system's proxy gets no answer from it",
}
#: OpenSSL's verification result -> what to check.
CERTIFICATES: Final[Mapping[int, str]] = {
    9: "its certificate is not valid yet: check this station's clock",
    10: "its certificate has expired: check this station's clock, else the operator must renew it",
    18: "its certificate is self-signed: give it as cloud.ca_file where that is intended",
    19: "its certificate comes from an unknown CA: give the CA's certificate as cloud.ca_file",
    20: "its certificate comes from an unknown CA: give the CA's certificate as cloud.ca_file",
    62: "its certificate is for another host name: check the host in cloud.url",
}
#: Error number of the system -> what to check.
NETWORK: Final[Mapping[int, str]] = {
    errno.ECONNREFUSED: "nothing listens there: check host and port in cloud.url, and whether the central system runs",
    errno.ECONNRESET: "the connection was reset: a firewall or proxy may be in between",
    errno.ENETUNREACH: "there is no network: check the cable or Wi-Fi, and the router",
    errno.EHOSTUNREACH: "the host cannot be reached: check the network and the host in cloud.url",
    errno.ETIMEDOUT: "no answer: check host and port in cloud.url, and the firewall",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a central system is.

    url: the station's id is appended as the last path segment unless ``{station_id}`` stands in it; ``{company_code}``
    may stand in it too. protocols: subprotocols to offer, the preferred one first.
    """

    url: str
    station_id: str
    protocols: tuple[str, ...]
    credentials: Credentials = field(default_factory=Credentials)
    open_timeout_s: float = 20.0
    user_agent: str = "wallbox-agent"


class Link:
    """One open connection."""

    def __init__(self, connection: ClientConnection, subprotocol: str) -> None:
        """Use a connection on which a subprotocol was agreed."""
        self._connection = connection
        self.subprotocol = subprotocol

    async def send(self, text: str) -> None:
        """Send a text frame. Raises: LinkLost."""
        try:
            async with asyncio.timeout(SEND_S):
                await self._connection.send(text)
        except TimeoutError:
            raise self._dead(f"the network takes no data for {SEND_S:g} s") from None
        except ConnectionClosed as closed:
            raise LinkLost(_closed(closed)) from closed

    async def receive(self) -> bytes:
        """Return the next message, whether it came as text or as binary. Raises: LinkLost.

        Cancellation loses no message.
        """
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as closed:
            raise LinkLost(_closed(closed)) from closed

    async def ping(self, within_s: float) -> None:
        """Return when the peer has answered a ping. Raises: LinkLost, also when it has not within ``within_s``."""
        try:
            async with asyncio.timeout(within_s):
                pong = await self._connection.ping()
                await pong
        except TimeoutError:
            raise self._dead(f"the central system did not answer a ping within {within_s:g} s") from None
        except ConnectionClosed as closed:
            raise LinkLost(_closed(closed)) from closed

    async def close(self) -> None:
        """Close in order; returns after ``CLOSE_S`` at the latest."""
        await self._connection.close(1001, "")

    def _dead(self, words: str) -> LinkLost:
        """Tear down a connection at whose other end nobody is."""
        self._connection.transport.abort()
        return LinkLost(words)


class Dialler:
    """Opens connections to one central system."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Dial an endpoint; opens nothing."""
        self._endpoint = endpoint
        self._tls: ssl.SSLContext | None = None

    @asynccontextmanager
    async def dial(self, company_code: str | None) -> AsyncIterator[Link]:
        """Open a connection, and close it at the end.

        company_code: for an address that carries it. Raises: LinkLost with words for an installer; ConfigError for
        certificates that cannot be read.
        """
        url = address(self._endpoint, company_code)
        connection = await self._open(url)
        try:
            if connection.subprotocol is None:
                offered = ", ".join(self._endpoint.protocols)
                raise LinkLost(f"{_place(url)}: the central system speaks none of the offered protocols ({offered})")
            link = Link(connection, connection.subprotocol)
            yield link
        finally:
            await connection.close(1001)

    async def _open(self, url: str) -> ClientConnection:
        credentials = self._endpoint.credentials
        headers = {}
        if credentials.password is not None:
            headers["Authorization"] = basic_header(self._endpoint.station_id, credentials.password)
        try:
            return await connect(
                url,
                subprotocols=[Subprotocol(name) for name in self._endpoint.protocols],
                additional_headers=headers,
                user_agent_header=self._endpoint.user_agent,
                ssl=self._context() if urlsplit(url).scheme == "wss" else None,
                compression=None,  # costs memory and processor time, and gains nothing on messages of this size
                proxy=None,
                open_timeout=self._endpoint.open_timeout_s,
                ping_interval=None,  # the service pings, since the interval can change while connected
                close_timeout=CLOSE_S,
                max_size=MAX_SIZE,
            )
        except (OSError, WebSocketException, EOFError, UnicodeError) as error:
            raise LinkLost(f"{_place(url)}: {explain(error)}") from error

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self._endpoint.credentials)
        return self._tls


def address(endpoint: Endpoint, company_code: str | None) -> str:
    """Return the URL to dial. Raises: LinkLost where it needs a company code and there is none."""
    if "{company_code}" in endpoint.url and company_code is None:
        raise LinkLost("cloud.url contains {company_code}, but there is no code yet: link this station to a company")
    station = quote(endpoint.station_id, safe="")
    url = endpoint.url.replace("{company_code}", quote(company_code or "", safe=""))
    if "{station_id}" in url:
        return url.replace("{station_id}", station)
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{station}").geturl()


def explain(error: BaseException) -> str:  # noqa: C901, PLR0911  # one line per kind of failure
    """Return why a connection was not opened, in words for an installer."""
    match error:
        case socket.gaierror():
            return "the host name cannot be resolved: check the host in cloud.url, the network and DNS"
        case ssl.SSLCertVerificationError():
            return f"not secure: {CERTIFICATES.get(error.verify_code, error.verify_message)}"
        case ssl.SSLError():
            reason = getattr(error, "reason", None) or error  # OpenSSL's own errors alone have one
            return f"TLS failed ({reason}): check whether TLS 1.2 or newer is spoken there"
        case TimeoutError():
            return "no answer in time: check host and port in cloud.url, and the firewall"
        case OSError():
            return _system(error)
        case InvalidStatus():
            status = error.response.status_code
            return f"HTTP {status}: {STATUSES.get(status, 'the central system refuses the connection')}"
        case NegotiationError():
            return f"the central system answers with a protocol that was not offered ({error})"
        case InvalidURI() | UnicodeError():
            return "this is no address: check cloud.url"
        case InvalidHandshake() | EOFError():
            return "what answers there is no WebSocket server: check host, port and path in cloud.url"
        case _:
            return str(error)


def _system(error: OSError) -> str:
    """Return what an error of the network means; asyncio joins those of several addresses into a text."""
    text = str(error)
    for number, words in NETWORK.items():
        if error.errno == number or f"[Errno {number}]" in text:
            return words
    return text


def _closed(closed: ConnectionClosed) -> str:
    """Return how a connection ended."""
    frame = closed.rcvd
    if frame is None:
        return "the connection to the central system broke" if closed.sent is None else "the connection was closed here"
    reason = f": {frame.reason}" if frame.reason else ""
    return f"the central system closed the connection ({frame.code}{reason})"


def _place(url: str) -> str:
    """Return an address as it may be shown: without user, password, query and path."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}"
