"""Is an image what the manufacturer signed? X.509 certificates, and RSA and ECDSA signatures, without OpenSSL's tool.

Source: Improved security for OCPP 1.6-J, ed. 3, use case L01; RFC 5280; RFC 8017, sections 8.1.2 and 8.2.2; FIPS 186-4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from asn1crypto import pem, x509
from asn1crypto.algos import DigestInfo
from ecdsa import BadSignatureError, VerifyingKey  # type: ignore[import-untyped]  # ships no types
from ecdsa.curves import (  # type: ignore[import-untyped]  # as above
    BRAINPOOLP256r1,
    BRAINPOOLP384r1,
    Curve,
    NIST256p,
    NIST384p,
    NIST521p,
)
from ecdsa.errors import MalformedPointError  # type: ignore[import-untyped]  # as above
from ecdsa.util import sigdecode_der  # type: ignore[import-untyped]  # as above

from agent.core.errors import AgentError

BLOCK: Final = 1024 * 1024
RSA_BITS: Final = range(2048, 16385)
"""Less is too weak, more would keep a small processor busy for minutes."""
EXPONENTS: Final = range(3, 1 << 33)
CURVES: Final[dict[str, Curve]] = {
    "secp256r1": NIST256p,
    "secp384r1": NIST384p,
    "secp521r1": NIST521p,
    "1.3.36.3.3.2.8.1.1.7": BRAINPOOLP256r1,
    "1.3.36.3.3.2.8.1.1.11": BRAINPOOLP384r1,
}
HASHES: Final = frozenset({"sha256", "sha384", "sha512"})
TRAILER: Final = b"\xbc"
PADDING: Final = 8
"""Bytes that a padding of PKCS #1 v1.5 has at least."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What is signed: a hash, and of which function."""

    name: str
    value: bytes


class Untrusted(AgentError):
    """A certificate or signature proves nothing; the only argument says why."""


def certificates(text: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, none where there are none. Raises: Untrusted for a damaged one."""
    try:
        if not pem.detect(text):
            return []
        parts = pem.unarmor(text, multiple=True)
        return [_loaded(der) for kind, _, der in parts if kind == "CERTIFICATE"]
    except (ValueError, TypeError, binascii.Error) as error:
        raise Untrusted("the certificate is damaged") from error


def signer(text: str, roots: Iterable[bytes], now: datetime) -> x509.Certificate:
    """Return the signing certificate (PEM), which one of the roots (PEM files) has signed itself.

    Raises: Untrusted.
    """
    given = certificates(text.encode())
    if len(given) != 1:
        raise Untrusted("not one certificate in PEM form")
    (certificate,) = given
    trusted = [root for one in roots for root in certificates(one)]
    if not trusted:
        raise Untrusted("no manufacturer's root certificate is installed here: set firmware.root_file")
    _valid(certificate, now)
    usage = certificate.key_usage_value
    if usage is not None and "digital_signature" not in usage.native:
        raise Untrusted("the certificate is not meant for signatures")
    issuers = [root for root in trusted if root.subject == certificate.issuer and _is_authority(root)]
    if not any(_signed_by(certificate, root) for root in issuers):
        raise Untrusted("the certificate is signed by no manufacturer's root that is installed here")
    return certificate


def verify_file(path: Path, signature: str, certificate: x509.Certificate) -> None:
    """See that a signature (base64) over a file is by the key of a certificate, over its SHA-256.

    RSA by either padding: PSS as the whitepaper says, and PKCS #1 v1.5, which signing tools use. Raises: Untrusted,
    OSError.
    """
    try:
        given = base64.b64decode("".join(signature.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Untrusted("the signature is no base64") from error
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if not _matches(certificate, given, Digest("sha256", digest.digest())):
        raise Untrusted("the signature does not belong to this file and this certificate")


def _loaded(der: bytes) -> x509.Certificate:
    certificate = x509.Certificate.load(der, strict=True)
    _ = certificate.native  # all of it is parsed now, and not in the middle of something
    return certificate


def _valid(certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before:
        raise Untrusted("the certificate is not valid yet: check the clock of this station")
    if now > certificate.not_valid_after:
        raise Untrusted("the certificate has expired")


def _is_authority(root: x509.Certificate) -> bool:
    constraints, usage = root.basic_constraints_value, root.key_usage_value
    is_ca = constraints is not None and bool(constraints["ca"].native)
    return is_ca and (usage is None or "key_cert_sign" in usage.native)


def _signed_by(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    algorithm = certificate["signature_algorithm"]
    if algorithm.native != certificate["tbs_certificate"]["signature"].native:
        return False
    try:
        hash_name = str(algorithm.hash_algo)
    except ValueError:
        return False
    if hash_name not in HASHES:
        return False
    digest = Digest(hash_name, hashlib.new(hash_name, certificate["tbs_certificate"].dump()).digest())
    return _matches(root, bytes(certificate["signature_value"].native), digest)


def _matches(certificate: x509.Certificate, signature: bytes, digest: Digest) -> bool:
    """Tell whether a signature over a digest is by a certificate's key."""
    key = certificate.public_key
    match key.algorithm:
        case "rsa":
            numbers = key["public_key"].parsed.native
            return _rsa(int(numbers["modulus"]), int(numbers["public_exponent"]), signature, digest)
        case "ec":
            return _ecdsa(key, signature, digest.value)
        case _:
            return False


def _ecdsa(key: x509.PublicKeyInfo, signature: bytes, digest: bytes) -> bool:
    kind, name = key.curve
    curve = CURVES.get(str(name)) if kind == "named" else None
    if curve is None:
        return False
    try:
        point = VerifyingKey.from_string(bytes(key["public_key"].native), curve=curve)
        return bool(point.verify_digest(signature, digest, sigdecode=sigdecode_der, allow_truncate=True))
    except (BadSignatureError, MalformedPointError, ValueError):
        return False


def _rsa(modulus: int, exponent: int, signature: bytes, digest: Digest) -> bool:
    size = (modulus.bit_length() + 7) // 8
    number = int.from_bytes(signature, "big")
    if modulus.bit_length() not in RSA_BITS or exponent not in EXPONENTS or not exponent & 1:
        return False
    if len(signature) != size or number >= modulus:
        return False
    message = pow(number, exponent, modulus).to_bytes(size, "big")
    return _is_pkcs1(message, digest) or _is_pss(message, modulus.bit_length() - 1, digest)


def _is_pkcs1(message: bytes, digest: Digest) -> bool:
    """Compare with the one encoding that is right (RFC 8017, section 9.2): nothing of the message is parsed."""
    info = DigestInfo({"digest_algorithm": {"algorithm": digest.name}, "digest": digest.value}).dump()
    padding = len(message) - len(info) - 3
    return padding >= PADDING and message == b"\x00\x01" + b"\xff" * padding + b"\x00" + info


def _is_pss(message: bytes, bits: int, digest: Digest) -> bool:
    """Verify the encoding with a salt of any length, MGF1 with the same hash (RFC 8017, section 9.1.2)."""
    size = (bits + 7) // 8
    length = len(digest.value)
    if message[: len(message) - size].strip(b"\x00") or size < 2 * length + 2:
        return False
    encoded = message[len(message) - size :]
    masked, hashed, trailer = encoded[: size - length - 1], encoded[size - length - 1 : -1], encoded[-1:]
    unused = 8 * size - bits
    if trailer != TRAILER or (unused and masked[0] >> (8 - unused)):
        return False
    mask = _mgf1(hashed, len(masked), digest.name)
    block = bytes(a ^ b for a, b in zip(masked, mask, strict=True))
    block = bytes([block[0] & (0xFF >> unused)]) + block[1:]
    padding, one, salt = block.partition(b"\x01")
    if padding.strip(b"\x00") or not one:
        return False
    return hashlib.new(digest.name, bytes(8) + digest.value + salt).digest() == hashed


def _mgf1(seed: bytes, length: int, hash_name: str) -> bytes:
    size = hashlib.new(hash_name).digest_size
    blocks = (hashlib.new(hash_name, seed + n.to_bytes(4, "big")).digest() for n in range(-(-length // size)))
    return b"".join(blocks)[:length]
