"""The simulated operator's side of security: a station asks for a certificate, and connects with it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from simulators.console import Commands
from simulators.csms import Csms, Setup
from simulators.csms.certificates import Authority, in_folder, read_request
from simulators.csms.commands import Commander
from simulators.csms.security import decoded
from simulators.errors import Misuse
from tests.simulators.station import station

OCTT = "4F43415F4F4354545F61646D696E5F74657374"


def test_an_authority_in_a_folder_signs_again_after_a_restart(tmp_path: Path) -> None:
    files = in_folder(tmp_path, ["localhost"])
    assert files.signing.stat().st_mode & 0o777 == 0o600
    again = in_folder(tmp_path, ["localhost"]).signer()
    assert again.pem == files.authority.read_text()
    certificate, _ = again.issue(["h"])
    context = ssl.create_default_context(cadata=again.pem)
    context.load_verify_locations(cadata=certificate)


def test_a_password_is_decoded_like_a_stations() -> None:
    assert decoded(OCTT) == "OCA_OCTT_admin_test"
    assert decoded("00ff" * 8).encode("utf-8", "surrogateescape") == b"\x00\xff" * 8
    assert decoded("sixteen-chars-16") == "sixteen-chars-16"


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END"])
def test_what_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"request|DER|unpack"):
        read_request(text)


async def test_both_ports_are_served_and_roots_are_installed(tmp_path: Path) -> None:
    authority = Authority.new()
    certificate, key = authority.issue(["127.0.0.1"])
    (tmp_path / "server.pem").write_text(certificate + key)
    secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    secure.load_cert_chain(tmp_path / "server.pem")
    async with Csms(Setup(secure_port=0, secure=secure)) as csms:
        commands = Commands()
        Commander(csms, authority=authority).add_to(commands)
        async with station(csms.url) as cp:
            await cp.boot()
            for line, action in (("install", "InstallCertificate"), (f"new-key {OCTT}", "ChangeConfiguration")):
                shown, call = await asyncio.gather(commands.obey(line), cp.answer({"status": "Accepted"}))
                assert "Accepted" in shown
                assert call[2] == action
        assert csms.setup.passwords["CP1"] == "OCA_OCTT_admin_test"
        url = csms.url.replace("ws://", "wss://").replace(f":{csms.port}", f":{csms.secure_port}")
        csms.setup.passwords.clear()
        async with station(url, ssl=ssl.create_default_context(cadata=authority.pem)) as cp:
            assert (await cp.boot())["status"] == "Accepted"
    with pytest.raises(Misuse, match="--tls"):
        Commander(csms)._security._root([])
