"""Security of [cloud] in the configuration: passwords byte for byte, CA files, and the profiles of this release."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Final

import pytest

from agent.core.errors import ConfigError
from agent.runtime.config import AgentConfig, load
from agent.runtime.config.shown import show, to_json

TLS: Final = Path(__file__).parents[2] / "vectors" / "tls"
#: server.key with the password "secret".
ENCRYPTED: Final = """\
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-128-CBC,1FF8FA3F6253E536EDB1144A1B23C342

eBCwQpdJxPmBm3H581N2mnV/fNFKcvBtz2VGiJQtYFlSLozOtE/y8nV1tkzkDpO0
FrNRizLAFlNwK99Xy++ssn7KH/Q7Pw+iPmtIKniQ1i+ojLnoW9ZqZlMDedBVbIDW
ZLpeQDa6Alf0ZJpnM4ncwUJnJ3lzgFNkvPs3n1/PEJE=
-----END EC PRIVATE KEY-----
"""
ROOT: Final = (TLS / "root.pem").read_bytes()
CONFIG: Final = """\
[station]
id = "NL-ACME-000123"
[cloud]
url = "{scheme}://csms.example.com/ocpp"
security_profile = {profile}
{lines}
[[connector]]
[connector.meter]
model = "eastron_sdm630_v2"
device = "/dev/ttyUSB0"
[connector.evse]
controller = "evse_din"
device = "/dev/ttyUSB0"
address = 2
"""


def loaded(
    folder: Path, *lines: str, profile: int = 2, credential: bytes | None = None, environ: dict[str, str] | None = None
) -> AgentConfig:
    """Load a configuration with these lines in [cloud]."""
    scheme = "wss" if profile > 1 else "ws"
    (folder / "agent.toml").write_text(CONFIG.format(scheme=scheme, profile=profile, lines="\n".join(lines)))
    directory = folder / "credentials"
    directory.mkdir(exist_ok=True)
    if credential is not None:
        (directory / "cloud.password").write_bytes(credential)
    return load(folder / "agent.toml", environ or {}, directory)


def problems(folder: Path, *lines: str, profile: int = 2, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, *lines, profile=profile, environ=environ)
    return tuple(problem.replace(f"{folder}/", "") for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        (b"geheim", b"geheim"),
        (b"geheim\n", b"geheim"),
        (b"geheim\r\n", b"geheim"),
        (b"geheim\n\n", b"geheim"),
        (b"  spaces at both ends \n", b"  spaces at both ends "),
        (b"two\nlines\n", b"two\nlines"),
        ("pässwört\n".encode(), "pässwört".encode()),
        (b"p\xe4ssw\xf6rt\n", b"p\xe4ssw\xf6rt"),
        (bytes(range(1, 10)) + bytes(range(128, 256)), bytes(range(1, 10)) + bytes(range(128, 256))),
        (b"\x00null\x00", b"\x00null\x00"),
    ],
)
def test_the_bytes_of_a_password_file_are_sent_without_its_line_end(
    tmp_path: Path, content: bytes, sent: bytes
) -> None:
    (tmp_path / "secret").write_bytes(content)
    config = loaded(tmp_path, 'password_file = "secret"')
    assert config.credentials().password == sent


@pytest.mark.parametrize(
    ("line", "credential", "sent"),
    [
        ('password = "pässwört"', None, "pässwört".encode()),
        ('password = " spaces "', None, b" spaces "),
        ('password = "a:b\\u0000\\n"', None, b"a:b\x00\n"),
        ("", b" spaces \r\n", b" spaces "),
        ("", "pässwört".encode(), "pässwört".encode()),
    ],
)
def test_a_password_of_file_or_credential_is_sent_as_it_stands(
    tmp_path: Path, line: str, credential: bytes | None, sent: bytes
) -> None:
    assert loaded(tmp_path, line, credential=credential).credentials().password == sent


def test_a_password_of_the_environment_is_sent_as_it_stands(tmp_path: Path) -> None:
    config = loaded(tmp_path, environ={"WALLBOX_CLOUD__PASSWORD": " pässwört "})
    assert config.credentials().password == " pässwört ".encode()


@pytest.mark.parametrize("profile", [0, 1, 2])
@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b" \n", b"\t"])
def test_a_password_file_without_a_password_is_refused_in_every_profile(
    tmp_path: Path, profile: int, content: bytes
) -> None:
    (tmp_path / "secret").write_bytes(content)
    (problem,) = problems(tmp_path, 'password_file = "secret"', profile=profile)
    assert problem == 'agent.toml:6: cloud.password_file: "secret" is empty; write the password alone into it'


def test_profile_0_sends_no_password_and_says_so(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'password = "geheim"', profile=0)
    assert config.credentials().password is None
    assert config.notes == ("cloud.password: is not used with security profile 0",)


@pytest.mark.parametrize("profile", [1, 2])
def test_profiles_1_and_2_send_the_password(tmp_path: Path, profile: int) -> None:
    assert loaded(tmp_path, 'password = "geheim"', profile=profile).credentials().password == b"geheim"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "cloud.client_cert_file: missing; security profile 3 needs it and client_key_file"),
        (('password = "geheim"',), "cloud.client_cert_file: missing; security profile 3 needs it"),
        (('client_cert_file = "root.pem"',), "cloud.client_key_file: missing; a client certificate needs it"),
        (
            ('client_cert_file = "root.pem"', 'client_key_file = "server.key"'),
            "cloud.client_cert_file: {folder}server.key is not the key of that certificate",
        ),
        (
            ('client_cert_file = "root.pem"', 'client_key_file = "root.pem"'),
            "cloud.client_cert_file: {folder}root.pem and its key are no certificate and key in PEM form",
        ),
    ],
)
def test_profile_3_needs_a_certificate_and_its_key(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    (tmp_path / "root.pem").write_bytes(ROOT)
    (tmp_path / "server.key").write_bytes((TLS / "server.key").read_bytes())
    (problem,) = problems(tmp_path, *lines, profile=3)
    assert words.format(folder="") in problem


def test_a_key_that_is_encrypted_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path) -> None:
    (tmp_path / "client.pem").write_bytes((TLS / "client.pem").read_bytes())
    (tmp_path / "client.key").write_text(ENCRYPTED)
    (problem,) = problems(tmp_path, 'client_cert_file = "client.pem"', 'client_key_file = "client.key"', profile=3)
    assert "client.key is encrypted" in problem


def test_profile_3_presents_the_certificate_and_sends_no_password(tmp_path: Path) -> None:
    for name in ("client.pem", "server.key"):
        (tmp_path / name).write_bytes((TLS / name).read_bytes())
    lines = ('client_cert_file = "client.pem"', 'client_key_file = "server.key"', 'password = "geheim"')
    config = loaded(tmp_path, *lines, profile=3)
    credentials = config.credentials()
    assert credentials.password is None
    assert (credentials.certificate, credentials.key) == (tmp_path / "client.pem", tmp_path / "server.key")
    assert config.policy().settings.security_profile == 3
    assert "geheim" not in show(config)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"a note\n", "is not in PEM form"),
        (ssl.PEM_cert_to_DER_cert(ROOT.decode()), "is not in PEM form but binary (DER); convert it: openssl x509"),
        ((TLS / "server.key").read_bytes(), "holds a private key and no certificate"),
        (ROOT[:-40], "holds a certificate that is damaged"),
        (ROOT + ROOT[:100] + ROOT[130:], "holds a certificate that is damaged"),
    ],
)
def test_a_ca_file_that_gives_no_certificate_is_an_error_with_its_line(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    (problem,) = problems(tmp_path, 'password = "geheim"', 'ca_file = "ca.pem"')
    assert problem.startswith(f'agent.toml:7: cloud.ca_file: "ca.pem" {words}')


def test_a_ca_file_of_the_environment_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"a note\n")
    (problem,) = problems(tmp_path, 'password = "geheim"', environ={"WALLBOX_CLOUD__CA_FILE": "ca.pem"})
    assert problem.startswith("environment WALLBOX_CLOUD__CA_FILE: cloud.ca_file: ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_ca_file_without_permission_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch(0o000)
    (problem,) = problems(tmp_path, 'password = "geheim"', 'ca_file = "ca.pem"')
    assert "give the user of the service access" in problem


@pytest.mark.parametrize(
    "content",
    [ROOT, ROOT + (TLS / "unknown.pem").read_bytes(), "# Müller\n".encode() + ROOT, ROOT.replace(b"\n", b"\r\n")],
)
def test_a_ca_file_may_hold_several_certificates_and_comments(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ca.pem").write_bytes(content)
    config = loaded(tmp_path, 'password = "geheim"', 'ca_file = "ca.pem"')
    assert config.credentials().ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize("content", [b"geheim\n", b"gehe\xefm-\xff"])
def test_no_output_shows_the_password_of_a_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    config = loaded(tmp_path, 'password_file = "secret"')
    texts = (repr(config), str(config), repr(config.credentials()), show(config), repr(to_json(config)))
    assert not any(re.search("gehe", text) for text in texts)
