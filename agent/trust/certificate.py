"""X.509 certificates as far as the station looks into them itself: names, times, keys, and what OCSP calls them.

Chains are verified by OpenSSL (``chain``). The library ``asn1crypto`` takes its time to load, so that it is imported
when a certificate is read first (ADR 24). Sources: RFC 5280; RFC 6960, section 4.1.1 (hashes).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from agent.buffer.signing import pem
from agent.core.security_model import CertificateHash

if TYPE_CHECKING:
    from collections.abc import Iterator

ARMOUR: Final = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")
ALGORITHMS: Final = ("SHA256", "SHA384", "SHA512")
WEAKEST: Final = {"rsa": 2048, "rsassa_pss": 2048, "ec": 224}
"""Bits that a key must have (whitepaper ed. 3, A00.FR.501 to 506), by its kind; other kinds are not used."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate.

    der: the whole; subject, issuer: names in DER; public: the key's SubjectPublicKeyInfo in DER; key: its bits alone;
    kind: of the key (``ec``, ``rsa``), with its size in bits, 0 for kinds that are not used; common_name, organisation:
    of the subject, None without; is_ca: may sign others.
    """

    der: bytes = field(repr=False)
    subject: bytes
    issuer: bytes
    serial: int
    public: bytes
    key: bytes
    kind: str
    bits: int
    not_before: datetime
    not_after: datetime
    common_name: str | None
    organisation: str | None
    is_ca: bool

    @property
    def pem(self) -> str:
        """The certificate as text."""
        return pem(self.der, "CERTIFICATE")

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the whole, in hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def is_strong(self) -> bool:
        """Whether its key is long enough."""
        return self.kind in WEAKEST and self.bits >= WEAKEST[self.kind]

    def named(self, algorithm: str, issuer_key: bytes | None = None) -> CertificateHash:
        """Return what OCSP calls it; issuer_key: bits of the issuer's key, None for a root that signed itself."""
        digest = getattr(hashlib, algorithm.lower())
        return CertificateHash(
            algorithm,
            digest(self.issuer).hexdigest(),
            digest(self.key if issuer_key is None else issuer_key).hexdigest(),
            f"{self.serial:x}",
        )


def certificates(text: str) -> tuple[Certificate, ...]:
    """Return the certificates of a PEM text in their order, at least one. Raises: ValueError, in words."""
    found = tuple(_blocks(text))
    if not found:
        raise ValueError("there is no certificate in PEM form")
    return tuple(_read(der) for der in found)


def _blocks(text: str) -> Iterator[bytes]:
    for body in ARMOUR.findall(text):
        try:
            yield base64.b64decode("".join(body.split()), validate=True)
        except binascii.Error as error:
            raise ValueError("its PEM form is damaged") from error


def _read(der: bytes) -> Certificate:
    from asn1crypto.x509 import Certificate as Parsed  # noqa: PLC0415  # see above

    try:
        parsed = Parsed.load(der, strict=True)
        return _taken(der, parsed, parsed["tbs_certificate"])
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, IndexError, NotImplementedError) as error:
        raise ValueError("it is no certificate, or a damaged one") from error  # the library has no error of its own


def _taken(der: bytes, parsed: Any, content: Any) -> Certificate:  # noqa: ANN401  # the library ships no types
    """Take what is of use; the library reads each part when it is asked for."""
    public, validity, basic = content["subject_public_key_info"], content["validity"], parsed.basic_constraints_value
    if int(content["serial_number"].native) < 0:
        raise ValueError("negative serial number")
    kind = str(public.algorithm)
    names = {str(t["type"].native): str(t["value"].native) for part in content["subject"].chosen for t in part}
    return Certificate(
        der=der,
        subject=content["subject"].dump(),
        issuer=content["issuer"].dump(),
        serial=int(content["serial_number"].native),
        public=public.dump(),
        key=public["public_key"].contents[1:],
        kind=kind,
        bits=int(public.bit_size) if kind in WEAKEST else 0,
        not_before=validity["not_before"].native,
        not_after=validity["not_after"].native,
        common_name=names.get("common_name"),
        organisation=names.get("organization_name"),
        is_ca=basic is not None and bool(basic["ca"].native),
    )
