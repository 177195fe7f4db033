"""The central system behind TLS and a password: throw-away certificates, checked by OpenSSL as strictly as it can."""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

from simulators.__main__ import main
from simulators.csms import Csms
from simulators.csms.certificates import Authority, Key, in_folder
from tests.simulators.station import station
from tests.simulators.test_sim_command import running


def client(authority: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@contextlib.asynccontextmanager
async def served(folder: Path, certificate: str, key: str) -> AsyncIterator[str]:
    (folder / "server.pem").write_text(certificate + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    async with Csms.start(ssl=context) as csms:
        yield csms.url


async def test_a_station_that_trusts_the_authority_boots_and_another_does_not(tmp_path: Path) -> None:
    authority = Authority.new()
    async with served(tmp_path, *authority.issue(["127.0.0.1"])) as url:
        assert url.startswith("wss://127.0.0.1:")
        async with station(url, ssl=client(authority.pem)) as cp:
            assert (await cp.boot())["status"] == "Accepted"
        with pytest.raises(ssl.SSLCertVerificationError, match=r"signature|self-signed|local issuer"):
            await station(url, ssl=client(Authority.new().pem)).__aenter__()


async def test_another_host_and_another_time_are_refused(tmp_path: Path) -> None:
    authority, now = Authority.new(), datetime.now(UTC)
    for names, life, error in (
        (["csms.example"], None, "IP address mismatch"),
        (["127.0.0.1"], (now - timedelta(days=9), now - timedelta(days=1)), "certificate has expired"),
        (["127.0.0.1"], (now + timedelta(days=1), now + timedelta(days=9)), "certificate is not yet valid"),
    ):
        async with served(tmp_path, *authority.issue(names, life)) as url:
            with pytest.raises(ssl.SSLCertVerificationError, match=error):
                await station(url, ssl=client(authority.pem)).__aenter__()


async def test_dates_past_2049_are_written_in_another_way_and_read(tmp_path: Path) -> None:
    authority, now = Authority.new(), datetime.now(UTC)
    life = now - timedelta(days=1), datetime(2055, 6, 1, tzinfo=UTC)
    served_until = served(tmp_path, *authority.issue(["127.0.0.1"], life))
    async with served_until as url, station(url, ssl=client(authority.pem)) as cp:
        told = cp.socket.transport.get_extra_info("peercert")
        assert told["notAfter"] == "Jun  1 00:00:00 2055 GMT"
        assert told["subjectAltName"] == (("IP Address", "127.0.0.1"),)


@pytest.mark.parametrize("_number", range(8))
def test_the_arithmetic_agrees_with_openssl(_number: int, tmp_path: Path) -> None:
    authority = Authority.new()
    certificate, key = authority.issue(["localhost"])
    (tmp_path / "both.pem").write_text(certificate + key)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "both.pem")  # key fits certificate
    (tmp_path / "other.pem").write_text(certificate + Key.new().pem())
    with pytest.raises(ssl.SSLError, match="mismatch"):
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tmp_path / "other.pem")


def test_a_folder_keeps_its_authority_and_closes_its_key(tmp_path: Path) -> None:
    files = in_folder(tmp_path / "tls", ["localhost"])
    before = files.authority.read_bytes()
    assert in_folder(tmp_path / "tls", ["localhost"]) == files
    assert files.authority.read_bytes() == before
    assert files.key.stat().st_mode & 0o077 == 0
    files.key.unlink()
    in_folder(tmp_path / "tls", ["localhost"])
    assert files.authority.read_bytes() != before


@pytest.mark.timeout(30)
async def test_the_command_serves_tls_and_asks_for_a_password(tmp_path: Path) -> None:
    options = ("--port", "0", "--tls", tmp_path / "tls", "--password", "CP1:secret one", "--quiet")
    async with running("csms", *options) as (program, banner):
        (url,) = re.findall(r"wss://127\.0\.0\.1:\d+/ocpp", banner)
        trusting = client((tmp_path / "tls" / "ca.pem").read_text())
        with pytest.raises(InvalidStatus, match="401"):
            await station(url, ssl=trusting).__aenter__()
        basic = "Basic " + base64.b64encode(b"CP1:secret one").decode()
        async with station(url, ssl=trusting, additional_headers={"Authorization": basic}) as cp:
            assert (await cp.boot())["status"] == "Accepted"
        assert await program.end() == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--tls", "{}/a", "--tls-cert", "x"], "error: --tls makes a certificate, --tls-cert gives one"),
        (["--tls-key", "x"], "error: --tls-key needs --tls-cert"),
        (["--tls-cert", "{}/none.pem"], "error: {}/none.pem with {}/none.pem is no certificate with its key"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], error: str, tmp_path: Path, *, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["csms", *(word.replace("{}", str(tmp_path)) for word in arguments)]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(error.replace("{}", str(tmp_path)))
    assert errors.count("\n") == 1


def test_everything_that_can_go_wrong_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["csms", "--help"])
    shown = capsys.readouterr().out
    assert "  wrong-id " in shown
    assert "  half-open " in shown
