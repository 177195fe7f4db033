"""The WebSocket alone: addresses, credentials, frames, and how a connection ends."""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from agent.core.errors import ConfigError, LinkLost
from agent.ocpp.link import Dialler, Endpoint, address
from agent.ocpp.security import Credentials, basic_header, tls_context


def endpoint(url: str, *, password: bytes | None = None, ca_file: Path | None = None) -> Endpoint:
    return Endpoint(url, "S1", ("ocpp1.6",), Credentials(password, ca_file), open_timeout_s=1.0)


async def dialled(url: str, credentials: Credentials | None = None) -> str:
    """Open a connection, and return the subprotocol."""
    dialler = Dialler(Endpoint(url, "S1", ("ocpp1.6",), credentials or Credentials(), open_timeout_s=1.0))
    async with dialler.dial(None) as link:
        return link.subprotocol


async def refused(url: str, credentials: Credentials | None = None) -> str:
    with pytest.raises(LinkLost) as caught:
        await dialled(url, credentials)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "dialled_url"),
    [
        ("ws://h:1/ocpp", "ws://h:1/ocpp/NL%20A%2F%C3%A9"),
        ("ws://h/ocpp/", "ws://h/ocpp/NL%20A%2F%C3%A9"),
        ("ws://h", "ws://h/NL%20A%2F%C3%A9"),
        ("ws://h/a?x=1", "ws://h/a/NL%20A%2F%C3%A9?x=1"),
        ("ws://h?x=1", "ws://h/NL%20A%2F%C3%A9?x=1"),
        ("ws://[2001:db8::1]:1/ö", "ws://[2001:db8::1]:1/%C3%B6/NL%20A%2F%C3%A9"),
        ("wss://bücher.example:1/a", "wss://xn--bcher-kva.example:1/a/NL%20A%2F%C3%A9"),
        ("wss://bücher.example/{station_id}", "wss://xn--bcher-kva.example/NL%20A%2F%C3%A9"),
        ("ws://h/{station_id}/ocpp", "ws://h/NL%20A%2F%C3%A9/ocpp"),
        ("ws://h/{company_code}", "ws://h/AC-ME/NL%20A%2F%C3%A9"),
        ("ws://h/{company_code}?id={station_id}", "ws://h/AC-ME?id=NL%20A%2F%C3%A9"),
    ],
)
def test_the_station_id_is_the_last_segment_or_where_it_is_asked_for(url: str, dialled_url: str) -> None:
    assert address(Endpoint(url, "NL A/é", ("ocpp1.6",)), "AC-ME") == dialled_url


def test_an_address_with_a_company_code_needs_one() -> None:
    with pytest.raises(LinkLost, match="link this station"):
        address(endpoint("ws://h/{company_code}"), None)


def test_credentials_are_sent_as_bytes_and_never_shown() -> None:
    assert basic_header("S1", b"\xff\x00pass") == "Basic " + base64.b64encode(b"S1:\xff\x00pass").decode()
    assert "geheim" not in repr(Credentials(b"geheim"))


def test_tls_verifies_always_and_is_1_2_or_newer() -> None:
    context = tls_context(Credentials())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"cloud\.ca_file"):
        tls_context(Credentials(ca_file=path))


async def test_a_host_that_does_not_exist_is_named_without_secrets() -> None:
    words = await refused("ws://user:geheim@no-such-host.invalid:1/ocpp?token=geheim")
    assert "ws://no-such-host.invalid:1: the host name cannot be resolved" in words
    assert "geheim" not in words


async def test_what_is_no_websocket_server_is_told() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert "no WebSocket server" in await refused(f"ws://127.0.0.1:{port}")
        assert "TLS" in await refused(f"wss://127.0.0.1:{port}")


async def test_a_server_that_accepts_and_says_nothing_is_left_in_time() -> None:
    left = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        assert "no answer in time" in await refused(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await left.wait()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


def speaks(_connection: ServerConnection, _offered: object) -> Subprotocol:
    return Subprotocol("ocpp1.6")


async def test_basic_credentials_go_with_the_handshake_and_frames_come_as_bytes() -> None:
    seen: list[str | None] = []

    def note(_connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request.headers.get("Authorization"))
        return None

    server = await serve(echo, "127.0.0.1", 0, select_subprotocol=speaks, process_request=note)
    async with server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with Dialler(endpoint(f"ws://127.0.0.1:{port}", password=b"\xffpw")).dial(None) as link:
            await link.send("é")
            assert await link.receive() == "é".encode()
            await link.ping(1.0)
    assert seen == [basic_header("S1", b"\xffpw")]


async def test_a_protocol_that_was_not_offered_is_refused() -> None:
    def other(_connection: ServerConnection, _offered: object) -> Subprotocol:
        return Subprotocol("ocpp9")

    server = await serve(echo, "127.0.0.1", 0, select_subprotocol=other)
    async with server:
        words = await refused(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}")
    assert "not offered" in words


async def test_a_closed_connection_tells_code_and_reason() -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.close(4001, "maintenance")

    server = await serve(close, "127.0.0.1", 0, select_subprotocol=speaks)
    async with server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with Dialler(endpoint(f"ws://127.0.0.1:{port}")).dial(None) as link:
            with pytest.raises(LinkLost, match=r"closed the connection \(4001: maintenance\)"):
                await link.receive()
            with pytest.raises(LinkLost):
                await link.send("x")
