"""Certificates as they are read, named and found to be signed."""

from __future__ import annotations

import random
import ssl
from pathlib import Path

import pytest

from agent.buffer.signing import pem
from agent.trust.certificate import Certificate, certificates
from agent.trust.signature import is_signed_by
from simulators.csms.certificates import Authority

TLS = Path(__file__).parents[2] / "vectors" / "tls"
X509 = Path(__file__).parents[2] / "vectors" / "x509"


def read(path: Path) -> Certificate:
    return certificates(path.read_text())[0]


def test_what_stands_in_a_certificate_is_read() -> None:
    root, leaf = read(TLS / "root.pem"), read(TLS / "chained.pem")
    assert (root.common_name, root.is_ca, root.kind, root.bits) == ("Test Root", True, "ec", 256)
    assert (leaf.common_name, leaf.is_ca) == ("localhost", False)
    assert root.not_before.year == 2026
    assert root.not_after.tzinfo is not None
    assert len(certificates((TLS / "chained.pem").read_text())) == 2
    assert ssl.PEM_cert_to_DER_cert(root.pem) == root.der


@pytest.mark.parametrize("name", ["rsa2048", "rsa3072", "p384"])
def test_who_signed_is_found_by_the_signature(name: str) -> None:
    root, leaf = read(X509 / f"{name}.pem"), read(X509 / f"by_{name}.pem")
    assert is_signed_by(leaf, root)
    assert is_signed_by(root, root)
    assert not is_signed_by(root, leaf)
    assert not is_signed_by(leaf, read(X509 / "rsa2048.pem")) or name == "rsa2048"


@pytest.mark.parametrize("name", ["rsa2048", "p384"])
def test_a_changed_certificate_is_signed_by_nobody(name: str) -> None:
    root, leaf = read(X509 / f"{name}.pem"), read(X509 / f"by_{name}.pem")
    der = leaf.der.replace(f"by {name}".encode(), f"by_{name}".encode())
    (forged,) = certificates(pem(der, "CERTIFICATE"))
    assert forged.common_name == f"by_{name}"
    assert not is_signed_by(forged, root)


def test_signatures_of_other_kinds_are_not_believed() -> None:
    assert not is_signed_by(read(X509 / "by_ed25519.pem"), read(X509 / "ed25519.pem"))


def test_a_stranger_of_the_same_name_signed_nothing() -> None:
    one, other = Authority.new("same"), Authority.new("same")
    (leaf,), (true,), (false,) = (certificates(text) for text in (one.issue(["h"])[0], one.pem, other.pem))
    assert is_signed_by(leaf, true)
    assert not is_signed_by(leaf, false)


def test_short_keys_and_other_kinds_are_weak() -> None:
    assert not read(X509 / "rsa1024.pem").is_strong
    assert not read(X509 / "ed25519.pem").is_strong
    assert read(X509 / "rsa2048.pem").is_strong


def test_names_are_those_that_openssl_gives() -> None:
    """Compared once with ``openssl ocsp -sha256 -issuer root.pem -cert root.pem -req_text``."""
    named = read(TLS / "root.pem").named("SHA256")
    assert named.issuer_name == "3636e1478f36ff26e555db8e379b80981318123edcf23867456c31008de457b1"
    assert named.issuer_key == "2488d3ce08b917c520a90a1c8a829e84ca65dd2e361398fde223779eaab08ce0"
    assert named.serial == "5db74d36a5a1b3ffffad901d4d3bc1a6aa3da2e1"


@pytest.mark.parametrize("text", ["", "garbage", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="certificate"):
        certificates(text)


def test_damage_raises_nothing_else_than_a_refusal() -> None:
    chance, refused = random.Random(7), 0
    for name in ("rsa2048", "p384", "by_rsa3072"):
        good = read(X509 / f"{name}.pem")
        for _ in range(150):
            damaged = bytearray(good.der)
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                (bad,) = certificates(pem(bytes(damaged), "CERTIFICATE"))
                is_signed_by(bad, good)
            except ValueError:
                refused += 1
    assert refused > 50
