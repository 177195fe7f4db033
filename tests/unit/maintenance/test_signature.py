"""Signatures that OpenSSL made, and what is wrong with others."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.maintenance.signature import Untrusted, certificates, signer, verify_file
from tests.conformance.firmware import Maker

IMAGE = bytes(range(256)) * 100
NOW = datetime.now(UTC) + timedelta(days=1)
"""The certificates are made later than this file is read, and are good for nine days."""
PSS = ("-sigopt", "rsa_padding_mode:pss", "-sigopt")


@pytest.fixture(scope="module")
def ec(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("ec"))


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("rsa"), "rsa")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(IMAGE)
    return path


def test_an_ecdsa_signature_is_genuine(ec: Maker, file: Path) -> None:
    verify_file(file, ec.sign(IMAGE), signer(ec.certificate, [ec.root], NOW))


@pytest.mark.parametrize(
    "options", [(), (*PSS, "rsa_pss_saltlen:-1"), (*PSS, "rsa_pss_saltlen:-2"), (*PSS, "rsa_pss_saltlen:0")]
)
def test_an_rsa_signature_is_genuine_with_either_padding(rsa: Maker, file: Path, options: tuple[str, ...]) -> None:
    verify_file(file, rsa.sign(IMAGE, *options), signer(rsa.certificate, [rsa.root], NOW))


@pytest.mark.parametrize("options", [(), (*PSS, "rsa_pss_saltlen:-1")])
def test_every_changed_byte_of_an_rsa_signature_makes_it_false(
    rsa: Maker, file: Path, options: tuple[str, ...]
) -> None:
    certificate, good = signer(rsa.certificate, [rsa.root], NOW), base64.b64decode(rsa.sign(IMAGE, *options))
    for place in range(0, len(good), 17):
        bad = bytearray(good)
        bad[place] ^= 1
        with pytest.raises(Untrusted):
            verify_file(file, base64.b64encode(bad).decode(), certificate)


def test_another_file_another_key_and_no_base64_are_found(ec: Maker, rsa: Maker, file: Path) -> None:
    certificate = signer(ec.certificate, [ec.root], NOW)
    for wrong in (ec.sign(IMAGE + b"x"), rsa.sign(IMAGE), "not base64!", "", "AAAA"):
        with pytest.raises(Untrusted):
            verify_file(file, wrong, certificate)


def test_a_certificate_counts_only_if_an_installed_root_has_signed_it(ec: Maker, rsa: Maker) -> None:
    assert signer(ec.certificate, [rsa.root, ec.root], NOW)
    for roots in ([], [rsa.root], [ec.certificate.encode()], [b"garbage"]):
        with pytest.raises(Untrusted):
            signer(ec.certificate, roots, NOW)


@pytest.mark.parametrize("moment", [NOW - timedelta(days=400), NOW + timedelta(days=400)])
def test_a_certificate_counts_only_in_its_time(ec: Maker, moment: datetime) -> None:
    with pytest.raises(Untrusted):
        signer(ec.certificate, [ec.root], moment)


def test_a_damaged_certificate_is_refused(ec: Maker) -> None:
    good = ec.certificate
    for damaged in ("", good * 2, good[:200], good.replace("M", "N", 3), "-----BEGIN CERTIFICATE-----"):
        with pytest.raises(Untrusted):
            signer(damaged, [ec.root], NOW)


def test_a_forged_certificate_is_refused(ec: Maker) -> None:
    (certificate,) = certificates(ec.certificate.encode())
    der = bytearray(certificate.dump())
    der[-1] ^= 1
    text = base64.encodebytes(bytes(der)).decode()
    with pytest.raises(Untrusted):
        signer(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n", [ec.root], NOW)
