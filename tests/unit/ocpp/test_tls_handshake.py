"""Profiles 1 and 2 on the wire: credentials byte for byte, certificates, versions, redirects, proxies, and nothing sent
to anybody who is not the central system.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import ssl
import time
import traceback
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, LinkLost
from agent.ocpp.link import Dialler, Endpoint
from agent.ocpp.security import Credentials
from tests.unit.ocpp.gate import VECTORS, Gate, only, presenting, status, switching

ID, PASSWORD = "NL-ACMÉ 1", "pässwört-geheim".encode()
ROOT = VECTORS / "root.pem"
OLD = ssl.TLSVersion.TLSv1_1


def dialler(url: str, *, password: bytes | None = PASSWORD, ca_file: Path | None = ROOT) -> Dialler:
    return Dialler(Endpoint(url, ID, ("ocpp1.6",), Credentials(password, ca_file), open_timeout_s=2.0))


async def dialled(url: str, *, password: bytes | None = PASSWORD, ca_file: Path | None = ROOT) -> None:
    """Open a connection and close it."""
    async with dialler(url, password=password, ca_file=ca_file).dial("ACME-7F3K") as link:
        assert link.subprotocol == "ocpp1.6"


async def refused(url: str, *, password: bytes | None = PASSWORD, ca_file: Path | None = ROOT) -> str:
    """Try to open a connection, and return why it was not opened."""
    with pytest.raises(LinkLost) as caught:
        await dialled(url, password=password, ca_file=ca_file)
    text = "".join(traceback.format_exception(caught.value))
    assert "geheim" not in text
    assert base64.b64encode(PASSWORD).decode()[:12] not in text
    return str(caught.value)


# ---- basic authentication ----


@pytest.mark.parametrize(
    "password",
    [b"geheim", "pässwört".encode(), bytes(range(1, 256)), b"with:colons:", b" spaces ", b"\x00\r\n", b"x" * 64],
)
async def test_every_handshake_carries_station_id_and_password_byte_for_byte(password: bytes) -> None:
    with Gate(answer=only(ID, password)).open() as gate:
        caller = dialler(f"ws://127.0.0.1:{gate.port}/ocpp", password=password)
        for _ in range(3):
            async with caller.dial(None):
                pass
    credentials = [base64.b64decode(came.values("Authorization")[0].removeprefix(b"Basic ")) for came in gate.came]
    assert credentials == [ID.encode() + b":" + password] * 3


async def test_a_station_without_password_sends_no_credentials() -> None:
    with Gate().open() as gate:
        await dialled(f"ws://127.0.0.1:{gate.port}", password=None)
    (came,) = gate.came
    assert came.values("Authorization") == []
    assert b"Basic" not in came.head


async def test_a_strict_central_system_refuses_another_password_and_the_words_say_what_to_check() -> None:
    with Gate(answer=only(ID, PASSWORD)).open() as gate:
        url = f"ws://127.0.0.1:{gate.port}/ocpp"
        told = [await refused(url, password=PASSWORD + b"\n"), await refused(url, password=None)]
        await dialled(url)
    place = f"ws://127.0.0.1:{gate.port}"
    refusal = "the central system refused the station's password (HTTP 401): check station.id and cloud.password"
    assert told[0] == f"{place}: {refusal}"
    assert told[1].startswith(f"{place}: the central system asks for a password (HTTP 401)")


# ---- the request ----


@pytest.mark.parametrize(
    ("path", "request_line"),
    [
        ("", "GET /NL-ACM%C3%89%201 HTTP/1.1"),
        ("/", "GET /NL-ACM%C3%89%201 HTTP/1.1"),
        ("/ocpp/", "GET /ocpp/NL-ACM%C3%89%201 HTTP/1.1"),
        ("?key=geheim", "GET /NL-ACM%C3%89%201?key=geheim HTTP/1.1"),
        ("/ocpp?key=a%2Fb", "GET /ocpp/NL-ACM%C3%89%201?key=a%2Fb HTTP/1.1"),
        ("/{company_code}/x", "GET /ACME-7F3K/x/NL-ACM%C3%89%201 HTTP/1.1"),
        ("/{company_code}/{station_id}/ws/", "GET /ACME-7F3K/NL-ACM%C3%89%201/ws/ HTTP/1.1"),
        ("/ws?id={station_id}", "GET /ws?id=NL-ACM%C3%89%201 HTTP/1.1"),
        ("/höhe", "GET /h%C3%B6he/NL-ACM%C3%89%201 HTTP/1.1"),
        ("/a%20b", "GET /a%20b/NL-ACM%C3%89%201 HTTP/1.1"),
        ("/%C3%B6/ä/{station_id}?ort=köln&a=%20", "GET /%C3%B6/%C3%A4/NL-ACM%C3%89%201?ort=k%C3%B6ln&a=%20 HTTP/1.1"),
    ],
)
async def test_the_path_of_the_address_is_kept_and_the_station_id_percent_encoded(path: str, request_line: str) -> None:
    with Gate().open() as gate:
        await dialled(f"ws://127.0.0.1:{gate.port}{path}")
    (came,) = gate.came
    assert came.request == request_line
    assert came.values("Host") == [f"127.0.0.1:{gate.port}".encode()]
    assert came.values("Sec-WebSocket-Protocol") == [b"ocpp1.6"]
    assert came.values("Sec-WebSocket-Extensions") == []


async def test_ipv6_is_dialled_with_and_without_tls() -> None:
    for tls in (None, presenting("good")):
        with Gate(tls, host="::1").open() as gate:
            await dialled(f"{'ws' if tls is None else 'wss'}://[::1]:{gate.port}/ocpp")
        assert gate.came[0].values("Host") == [f"[::1]:{gate.port}".encode()]
    assert (await refused(f"wss://[::1]:{gate.port}/ocpp")).startswith(f"wss://[::1]:{gate.port}: nothing listens")


# ---- TLS: whom the station trusts ----


@pytest.mark.parametrize(
    ("certificate", "host", "ca"),
    [
        ("good", "localhost", "root"),
        ("good", "127.0.0.1", "root"),
        ("chained", "localhost", "root"),
        ("chained", "localhost", "intermediate"),
        ("lonely", "localhost", "intermediate"),
        ("common_name", "localhost", "root"),
        ("self_signed", "localhost", "self_signed"),
        ("good", "localhost", "good"),
    ],
)
async def test_a_certificate_of_the_ca_for_this_host_is_taken(certificate: str, host: str, ca: str) -> None:
    with Gate(presenting(certificate), only(ID, PASSWORD)).open() as gate:
        await dialled(f"wss://{host}:{gate.port}/ocpp", ca_file=VECTORS / f"{ca}.pem")
    (came,) = gate.came
    assert came.version in {"TLSv1.2", "TLSv1.3"}
    assert came.name == (None if host == "127.0.0.1" else host)


@pytest.mark.parametrize(
    ("certificate", "host", "words"),
    [
        ("other_name", "localhost", "its certificate is for another host name: check the host in cloud.url"),
        ("other_name", "127.0.0.1", "its certificate is not for this IP address"),
        ("common_name", "127.0.0.1", "its certificate is not for this IP address"),
        ("self_signed", "localhost", "its certificate is self-signed"),
        ("other_ca", "localhost", "its certificate comes from an unknown CA"),
        ("lonely", "localhost", "its certificate comes from an unknown CA, or its chain is incomplete"),
        ("expired", "localhost", "its certificate has expired: check the clock of this station"),
        ("future", "localhost", "its certificate is not valid yet: the clock of this station may be wrong"),
        ("client", "localhost", "its certificate is not meant for servers"),
    ],
)
async def test_any_other_certificate_is_refused_before_a_word_is_sent(certificate: str, host: str, words: str) -> None:
    with Gate(presenting(certificate)).open() as gate:
        told = await refused(f"wss://{host}:{gate.port}/ocpp?key=geheim")
    assert told.startswith(f"wss://{host}:{gate.port}: not secure: {words}")
    assert [came.head for came in gate.came] == [b""]


@pytest.mark.parametrize("ca", ["unknown", "intermediate"])
async def test_a_ca_file_replaces_the_certificates_of_the_system(ca: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ROOT))
    with Gate(presenting("good")).open() as gate:
        url = f"wss://localhost:{gate.port}"
        await dialled(url, ca_file=None)
        assert "unknown CA" in await refused(url, ca_file=VECTORS / f"{ca}.pem")


async def test_a_private_ca_is_unknown_to_the_system() -> None:
    with Gate(presenting("good")).open() as gate:
        assert "give the CA's certificate as cloud.ca_file" in await refused(
            f"wss://localhost:{gate.port}", ca_file=None
        )


async def test_one_of_several_cas_in_the_file_is_enough(tmp_path: Path) -> None:
    several = tmp_path / "several.pem"
    several.write_text((VECTORS / "unknown.pem").read_text() + ROOT.read_text())
    with Gate(presenting("good")).open() as gate:
        await dialled(f"wss://localhost:{gate.port}", ca_file=several)


async def test_a_ca_file_that_was_renewed_counts_from_the_next_attempt_on(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    shutil.copy(VECTORS / "unknown.pem", ca_file)
    with Gate(presenting("good")).open() as gate:
        caller = dialler(f"wss://localhost:{gate.port}", ca_file=ca_file)
        with pytest.raises(LinkLost, match="unknown CA"):
            await caller.dial(None).__aenter__()
        shutil.copy(ROOT, ca_file)
        async with caller.dial(None):
            pass


async def test_a_ca_file_that_was_spoilt_meanwhile_names_its_key(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("")
    with pytest.raises(ConfigError, match=r"cloud\.ca_file: .*ca\.pem is empty; write the CA's certificate into it"):
        await dialled("wss://localhost:1", ca_file=ca_file)


# ---- TLS: what is spoken ----


@pytest.mark.parametrize(
    ("tls", "agreed"),
    [
        (presenting("good", least=ssl.TLSVersion.TLSv1_3), ("TLSv1.3", "")),
        (presenting("good", most=ssl.TLSVersion.TLSv1_2), ("TLSv1.2", "ECDHE-ECDSA")),
        *(
            (presenting("good", most=ssl.TLSVersion.TLSv1_2, ciphers=suite), ("TLSv1.2", suite))
            for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384")
        ),
        (presenting("rsa", key="server_rsa.key", most=ssl.TLSVersion.TLSv1_2), ("TLSv1.2", "ECDHE-RSA")),
    ],
    ids=["1.3", "1.2", "AES128", "AES256", "RSA"],
)
async def test_tls_1_2_with_the_suites_of_ocpp_and_1_3_are_spoken(tls: ssl.SSLContext, agreed: tuple[str, str]) -> None:
    with Gate(tls).open() as gate:
        await dialled(f"wss://localhost:{gate.port}")
    (came,) = gate.came
    assert came.version == agreed[0]
    assert str(came.cipher).startswith(agreed[1])


SERVER_HELLO_1_1 = bytes.fromhex("0302") + bytes(32) + bytes.fromhex("00002f00")
#: What a server of TLS 1.1 alone says to a client of today, as OpenSSL puts it: its hello, or an alert.
ONLY_1_1 = {
    "hello": b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26" + SERVER_HELLO_1_1,
    "alert": bytes.fromhex("15030100020246"),
}


@pytest.mark.parametrize("said", ONLY_1_1)
async def test_a_server_of_tls_1_1_is_refused(said: str) -> None:
    with Gate(raw=ONLY_1_1[said]).open() as gate:
        assert "speaks only TLS older than 1.2, which is not secure" in await refused(f"wss://localhost:{gate.port}")


@pytest.mark.skipif(not ssl.HAS_TLSv1_1, reason="this OpenSSL has no TLS 1.1 to serve")
async def test_a_real_server_of_tls_1_1_is_refused() -> None:
    with Gate(presenting("good", ciphers="ALL:@SECLEVEL=0", least=OLD, most=OLD)).open() as gate:
        assert "speaks only TLS older than 1.2" in await refused(f"wss://localhost:{gate.port}")


async def test_suites_without_forward_secrecy_are_not_spoken() -> None:
    tls = presenting("rsa", key="server_rsa.key", most=ssl.TLSVersion.TLSv1_2, ciphers="AES128-GCM-SHA256")
    with Gate(tls).open() as gate:
        assert "shares no cipher suite" in await refused(f"wss://localhost:{gate.port}")


@pytest.mark.parametrize(
    ("most", "words"),
    [
        (ssl.TLSVersion.TLSv1_2, "TLS failed: it shares no cipher suite with this station, or demands a client"),
        (ssl.TLSVersion.TLSv1_3, "TLS failed: it demands a client certificate (security profile 3)"),
    ],
)
async def test_a_server_that_wants_a_client_certificate_is_named(most: ssl.TLSVersion, words: str) -> None:
    with Gate(presenting("good", most=most, demands="root"), only(ID, PASSWORD)).open() as gate:
        assert words in await refused(f"wss://localhost:{gate.port}")


# ---- never without TLS, and nobody else ----


@pytest.mark.parametrize(
    "raw",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.1 301 Moved\r\nLocation: ws://localhost/\r\n\r\n", b"220 mail\r\n"],
)
async def test_what_speaks_no_tls_is_left_without_a_word_in_clear(raw: bytes) -> None:
    with Gate(raw=raw).open() as gate:
        caller = dialler(f"wss://localhost:{gate.port}")
        for _ in range(3):
            with pytest.raises(LinkLost, match=r"does not speak TLS: check host and port in cloud\.url"):
                await caller.dial(None).__aenter__()
    assert {came.first[:2] for came in gate.came} == {b"\x16\x03"}
    assert len(gate.came) == 3


async def test_a_tls_server_behind_ws_is_told() -> None:
    with Gate(presenting("good")).open() as gate:
        told = await refused(f"ws://localhost:{gate.port}", password=None)
    assert "no WebSocket server" in told
    assert "if it speaks TLS, the address begins with wss://" in told


@pytest.mark.parametrize("scheme", ["ws", "wss"])
async def test_a_server_that_closes_at_once_is_told(scheme: str) -> None:
    with Gate(raw=b"").open() as gate:
        told = await refused(f"{scheme}://localhost:{gate.port}")
    assert "check host" in told
    assert "cloud.url" in told


async def test_a_server_that_closes_after_tls_is_told() -> None:
    with Gate(presenting("good"), lambda _came: b"").open() as gate:
        told = await refused(f"wss://localhost:{gate.port}")
    assert "no WebSocket server, or demands a client certificate" in told


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["ws", "wss", "http", "https"])
async def test_a_redirect_to_another_host_or_scheme_is_not_followed(code: int, scheme: str) -> None:
    with Gate(presenting("good") if scheme in {"wss", "https"} else None).open() as other:
        location = f"Location: {scheme}://localhost:{other.port}/ocpp?key=geheim"
        for tls in (None, presenting("good")):
            with Gate(tls, status(code, location)).open() as gate:
                told = await refused(f"{'ws' if tls is None else 'wss'}://localhost:{gate.port}")
            assert f"localhost:{other.port} (HTTP {code}): redirects are not followed" in told
            assert len(gate.came) == 1
    assert other.came == []


async def test_a_redirect_to_another_path_is_not_followed_either() -> None:
    with Gate(answer=status(301, "Location: /elsewhere")).open() as gate:
        told = await refused(f"ws://localhost:{gate.port}")
    assert "to another path (HTTP 301): redirects are not followed" in told
    assert len(gate.came) == 1


PROXIES = ("http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "all_proxy")


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Gate().open() as proxy:
        for name in PROXIES:
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        for tls in (None, presenting("good")):
            with Gate(tls, only(ID, PASSWORD)).open() as gate:
                await dialled(f"{'ws' if tls is None else 'wss'}://localhost:{gate.port}")
    assert proxy.came == []


async def test_the_keys_of_a_session_are_written_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    with Gate(presenting("good")).open() as gate:
        await dialled(f"wss://localhost:{gate.port}")
    assert not (tmp_path / "keys").exists()


# ---- peers that behave badly ----

ODD = {
    "two locations": b"HTTP/1.1 302 Found\r\nLocation: ws://a/\r\nLocation: ws://b/\r\nContent-Length: 0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "length of words": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "old HTTP": b"HTTP/1.0 200 OK\r\n\r\n",
    "long line": b"HTTP/1.1 200 " + b"x" * 20_000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n",
    "odd header": b"HTTP/1.1 200 OK\r\n\xff\xfe: \x00\r\n\r\n",
    "no accept": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "two accepts": b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n"
    b"Sec-WebSocket-Accept: b\r\n\r\n",
    "binary": bytes(range(256)) * 20,
    "redirect without address": b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n",
    "redirect to nonsense": b"HTTP/1.1 301 Moved\r\nLocation: ws://[::1\r\nContent-Length: 0\r\n\r\n",
    "line end": b"\n",
}


@pytest.mark.parametrize("answer", ODD)
async def test_whatever_answers_is_a_lost_link_and_no_more(answer: str) -> None:
    with Gate(answer=lambda _came: ODD[answer]).open() as gate:
        told = await refused(f"ws://127.0.0.1:{gate.port}")
    assert "cloud.url" in told
    assert told.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "wss://.example.com/",
        "ws://.example.com/",
        f"wss://{'x' * 70}.example/",
        f"ws://{'ö' * 70}.example",
        "ws://a..b/",
    ],
)
async def test_a_host_that_is_none_is_told(url: str) -> None:
    assert "check cloud.url" in await refused(url) or "check the host in cloud.url" in await refused(url)


async def test_a_tls_peer_that_is_gone_does_not_hold_up_the_end() -> None:
    with Gate(presenting("good"), deaf=True).open() as gate:
        async with dialler(f"wss://localhost:{gate.port}").dial(None) as link:
            began = time.monotonic()
            with pytest.raises(LinkLost, match="did not answer a ping"):
                await link.ping(0.2)
        assert time.monotonic() - began < 4.0


async def test_a_tls_link_is_closed_in_order() -> None:
    with Gate(presenting("good"), switching).open() as gate:
        async with asyncio.timeout(1.5):
            await dialled(f"wss://localhost:{gate.port}")
    assert gate.came[0].failure == ""
