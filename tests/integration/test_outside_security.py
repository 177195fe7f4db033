"""Basic authentication and TLS of the whole process: strict servers, refusals that `status` explains, secrets kept."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from employer import Doorman, Employer
from station import Station
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.unit.ocpp.gate import VECTORS, Gate, presenting

PASSWORD = b"geheim-\xe4\xff-wort"
WRITTEN = base64.b64encode(b"NL-TEST-1:" + PASSWORD).decode()
PROFILE_2 = f'security_profile = 2\npassword_file = "password"\nca_file = "{VECTORS / "root.pem"}"'
SECRETS = ("geheim", WRITTEN, WRITTEN[16:40])


def strict(connection: ServerConnection, request: Request) -> Response | None:
    """Let the station in by its password, byte for byte, and nobody else."""
    if request.headers.get_all("Authorization") == [f"Basic {WRITTEN}"] and request.path == "/ocpp/NL-TEST-1":
        return None
    return connection.respond(401, "no\n")


@dataclass
class StrictEmployer(Employer):
    """A central system behind TLS that wants a password."""

    certificate: str = "good"
    doorman: Doorman | None = strict

    def tls(self) -> ssl.SSLContext:
        """Return a context with this certificate."""
        return presenting(self.certificate)

    @property
    def url(self) -> str:
        return f"wss://localhost:{self.port}/ocpp"


@asynccontextmanager
async def running(folder: Path, employer: Employer, cloud: str = PROFILE_2) -> AsyncIterator[Station]:
    """Run a station without devices against a central system."""
    (folder / "password").write_bytes(PASSWORD + b"\n")
    async with employer:
        station = Station(folder, employer)
        station.configure(cloud=cloud)
        station.start()
        try:
            yield station
        finally:
            station.kill()


def accepted(status: dict[str, Any]) -> bool:
    return bool(status["cloud"]["state"] == "connected" and status["cloud"]["registration"] == "Accepted")


async def test_profile_2_reports_to_a_strict_central_system_and_keeps_its_secret(tmp_path: Path) -> None:
    async with running(tmp_path, StrictEmployer()) as station:
        await station.until(accepted)
        await station.employer.close()
        await station.until(lambda s: s["cloud"]["state"] != "connected")
        await station.employer.open()
        seen = await station.until(accepted)
        shown = json.dumps([seen, await station.json("config", "show")]) + station.log.read_text()
        assert (await station.cli("config", "check"))[0] == 0
    assert station.employer.handshakes == 2
    assert [secret for secret in SECRETS if secret in shown] == []


async def test_a_refused_password_is_explained_until_the_central_system_knows_it(tmp_path: Path) -> None:
    refusals = [401]

    def unknown(connection: ServerConnection, request: Request) -> Response | None:
        return connection.respond(refusals.pop(), "no\n") if refusals else strict(connection, request)

    async with running(tmp_path, StrictEmployer(doorman=unknown)) as station:
        seen = await station.until(lambda s: s["cloud"]["last_error"])
        well = await station.until(accepted)
    assert seen["cloud"]["last_error"] == (
        f"wss://localhost:{station.employer.port}: the central system refused the station's password (HTTP 401):"
        " check station.id and cloud.password"
    )
    assert well["cloud"]["last_error"] is None
    assert [secret for secret in SECRETS if secret in station.log.read_text()] == []


CERTIFICATES = {
    "future": "its certificate is not valid yet: the clock of this station may be wrong",
    "other_ca": "its certificate comes from an unknown CA",
    "other_name": "its certificate is for another host name: check the host in cloud.url",
}


@pytest.mark.parametrize("certificate", CERTIFICATES)
async def test_a_certificate_that_does_not_hold_is_explained_and_nothing_is_sent(
    tmp_path: Path, certificate: str
) -> None:
    async with running(tmp_path, StrictEmployer(certificate=certificate)) as station:
        seen = await station.until(lambda s: s["cloud"]["last_error"])
        assert f"not secure: {CERTIFICATES[certificate]}" in seen["cloud"]["last_error"]
        assert seen["cloud"]["state"] in {"offline", "connecting"}
    assert station.employer.handshakes == 0


async def test_a_station_with_tls_never_speaks_without_it(tmp_path: Path) -> None:
    with Gate(raw=b"HTTP/1.1 301 Moved\r\nLocation: ws://localhost/\r\nContent-Length: 0\r\n\r\n").open() as gate:
        (tmp_path / "password").write_bytes(PASSWORD)
        station = Station(tmp_path, StrictEmployer(port=gate.port))
        station.configure(cloud=PROFILE_2)
        station.start()
        try:
            seen = await station.until(lambda s: len(gate.came) >= 2 and s["cloud"]["last_error"])
        finally:
            station.kill()
    assert "does not speak TLS" in seen["cloud"]["last_error"]
    assert {came.first[:2] for came in gate.came} == {b"\x16\x03"}


async def test_a_password_in_profile_0_is_not_sent(tmp_path: Path) -> None:
    headers: list[list[str]] = []

    def note(_connection: ServerConnection, request: Request) -> Response | None:
        headers.append(request.headers.get_all("Authorization"))
        return None

    async with running(tmp_path, Employer(doorman=note), 'password_file = "password"') as station:
        await station.until(accepted)
    assert headers == [[]]


async def test_what_cannot_be_secure_does_not_start(tmp_path: Path) -> None:
    async with Employer() as employer:
        station = Station(tmp_path, employer)
        (tmp_path / "key.pem").write_bytes((VECTORS / "server.key").read_bytes())
        (tmp_path / "client.pem").write_bytes((VECTORS / "client.pem").read_bytes())
        certificate = 'client_cert_file = "client.pem"\nclient_key_file = "key.pem"'
        wrong = {
            f"security_profile = 3\n{certificate}": "security_profile: 3 needs a url that begins with wss://",
            'ca_file = "key.pem"': "ca_file: ",
        }
        for lines, words in wrong.items():
            station.configure(cloud=lines)
            status, _, errors = await station.cli("config", "check")
            assert status == 2
            assert len(errors.splitlines()) == 1
            assert f"cloud.{words}" in errors
