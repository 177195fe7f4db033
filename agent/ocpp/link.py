"""The WebSocket to a central system, and nothing above it; it and ``causes`` alone know the library ``websockets``."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.datastructures import HeadersLike
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from agent.core.errors import LinkLost
from agent.ocpp.causes import Attempt, HandshakeRefused, ended, event_of, explain, place
from agent.ocpp.security import Credentials, basic_header, tls_context, verified_chain

MAX_SIZE: Final = 4 * 2**20
"""Bytes of a message; OCPP-J asks for less, configuration and lists have been seen to need more."""
SEND_S: Final = 30.0
"""A frame that the network does not take for so long means that the link is dead."""
CLOSE_S: Final = 2.0
"""A peer that is asked to close is not waited for any longer."""
DELIMITERS: Final = "{}%:/?#[]@!$&'()*+,;="
"""What of a URL is not encoded: delimiters, what is encoded already, and the braces of placeholders."""
REDIRECTS: Final = 3
"""The first digit of the HTTP statuses that lead elsewhere."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a central system is.

    url: the station's id is appended as the last path segment unless ``{station_id}`` stands in it; ``{company_code}``
    may stand in it too. protocols: subprotocols to offer, the preferred one first.
    """

    url: str = field(repr=False)  # its query may hold a secret
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
        self.chain: tuple[bytes, ...] = verified_chain(connection.transport.get_extra_info("ssl_object"))

    async def send(self, text: str) -> None:
        """Send a text frame. Raises: LinkLost."""
        try:
            async with asyncio.timeout(SEND_S):
                await self._connection.send(text)
        except TimeoutError:
            raise self._dead(f"the network takes no data for {SEND_S:g} s") from None
        except ConnectionClosed as closed:
            raise LinkLost(ended(closed)) from closed

    async def receive(self) -> bytes:
        """Return the next message, whether it came as text or as binary. Raises: LinkLost.

        Cancellation loses no message.
        """
        try:
            return await self._connection.recv(decode=False)
        except ConnectionClosed as closed:
            raise LinkLost(ended(closed)) from closed

    async def ping(self, within_s: float) -> None:
        """Return when the peer has answered a ping. Raises: LinkLost, also when it has not within ``within_s``."""
        try:
            async with asyncio.timeout(within_s):
                pong = await self._connection.ping()
                await pong
        except TimeoutError:
            raise self._dead(f"the central system did not answer a ping within {within_s:g} s") from None
        except ConnectionClosed as closed:
            raise LinkLost(ended(closed)) from closed

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

    def aim(self, endpoint: Endpoint) -> None:
        """Dial another endpoint, or the same one with other credentials, from now on."""
        if endpoint.credentials != self._endpoint.credentials:
            self._tls = None
        self._endpoint = endpoint

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
                raise LinkLost(f"{place(url)}: the central system speaks none of the offered protocols ({offered})")
            link = Link(connection, connection.subprotocol)
            yield link
        finally:
            await connection.close(1001)

    async def _open(self, url: str) -> ClientConnection:
        credentials = self._endpoint.credentials
        attempt = Attempt(url, credentials.password is not None, credentials.certificate is not None)
        headers = self._authorization()
        try:
            return await connect(
                url,
                subprotocols=[Subprotocol(name) for name in self._endpoint.protocols],
                additional_headers=headers,
                user_agent_header=self._endpoint.user_agent,
                ssl=self._context() if attempt.secure else None,
                compression=None,  # costs memory and processor time, and gains nothing on messages of this size
                proxy=None,  # of the environment, which an installer does not see
                open_timeout=self._endpoint.open_timeout_s,
                ping_interval=None,  # the service pings, since the interval can change while connected
                close_timeout=CLOSE_S,
                max_size=MAX_SIZE,
                create_connection=_Handshake,
            )
        except (OSError, WebSocketException, EOFError, UnicodeError) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                self._tls = None  # the next attempt reads the certificates anew: they may have been renewed
            # the library's words are left out, since they may hold the whole URL
            raise LinkLost(f"{place(url)}: {explain(error, attempt)}", event_of(error)) from None

    def _authorization(self) -> dict[str, str]:
        """Return the header of basic authentication, where there is a password (A00.FR.203)."""
        endpoint = self._endpoint
        password = endpoint.credentials.password
        return {} if password is None else {"Authorization": basic_header(endpoint.station_id, password)}

    def _context(self) -> ssl.SSLContext:
        """Return the context for TLS; kept, since reading the system's certificates keeps a small machine busy."""
        if self._tls is None:
            self._tls = tls_context(self._endpoint.credentials)
        return self._tls


class _Handshake(ClientConnection):
    """Ends where the library would go on: a redirect is an answer like any other, and is not followed.

    The library follows redirects to other hosts, and from ``ws`` to ``wss`` and back as far as it can.
    """

    async def handshake(
        self, additional_headers: HeadersLike | None = None, user_agent_header: str | None = None
    ) -> None:
        """Open the WebSocket. Raises: HandshakeRefused; InvalidHandshake; SSLError, where that is why nothing came."""
        try:
            await super().handshake(additional_headers, user_agent_header)
        except InvalidStatus as error:
            status, locations = error.response.status_code, error.response.headers.get_all("Location")
            redirects = locations and status // 100 == REDIRECTS
            raise HandshakeRefused(status, locations[0] if redirects else None) from None
        except InvalidMessage as error:
            lost = self.connection_exc  # such as the alert by which TLS 1.3 refuses a client after its handshake
            raise (lost if isinstance(lost, ssl.SSLError) else error) from None


def address(endpoint: Endpoint, company_code: str | None) -> str:
    """Return the URL to dial, in ASCII. Raises: LinkLost where it needs a company code and there is none."""
    if "{company_code}" in endpoint.url and company_code is None:
        raise LinkLost("cloud.url contains {company_code}, but there is no code yet: link this station to a company")
    station = quote(endpoint.station_id, safe="")
    url = _ascii(endpoint.url.replace("{company_code}", quote(company_code or "", safe="")))
    if "{station_id}" in url:
        return url.replace("{station_id}", station)
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{station}").geturl()


def _ascii(url: str) -> str:
    """Return a URL with letters beyond ASCII encoded; left to the library, it would encode a second time what is."""
    if url.isascii():
        return url
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = parts.netloc if host.isascii() else f"{_idna(host)}{f':{parts.port}' if parts.port else ''}"
    path, query = (quote(part, safe=DELIMITERS) for part in (parts.path, parts.query))
    return parts._replace(netloc=netloc, path=path, query=query).geturl()


def _idna(host: str) -> str:
    """Return a host name as the name service has it; one that it cannot have stays, and is told when it is dialled."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return host
