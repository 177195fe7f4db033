"""A certificate signing request for the station's own key: ECDSA on P-256 (PKCS#10, RFC 2986)."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.buffer.signing import PRIVATE, PRIVATE_HEAD, PRIVATE_MIDDLE, PUBLIC_HEAD, pem


@dataclass(frozen=True, slots=True)
class Requested:
    """A new key and its request; key: PEM (RFC 5915), public: SubjectPublicKeyInfo in DER, csr: PEM."""

    key: str = field(repr=False)
    public: bytes
    csr: str


def requested(common_name: str, organisation: str) -> Requested:
    """Make a key and a request; tens of milliseconds of arithmetic, more on a small computer."""
    from asn1crypto import core, csr, keys, x509  # noqa: PLC0415  # see ``certificate``

    from agent.buffer.curve import Secret, generate  # noqa: PLC0415  # see ``signing``

    scalar = generate()
    secret = Secret(scalar)
    public = PUBLIC_HEAD + secret.point
    content = csr.CertificationRequestInfo(
        {
            "version": "v1",
            "subject": x509.Name.build({"organization_name": organisation, "common_name": common_name}),
            "subject_pk_info": keys.PublicKeyInfo.load(public),
            "attributes": [],
        }
    )
    request = csr.CertificationRequest(
        {
            "certification_request_info": content,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": core.OctetBitString(secret.sign(content.dump())),
        }
    )
    key = pem(PRIVATE_HEAD + scalar + PRIVATE_MIDDLE + secret.point, PRIVATE)
    return Requested(key, public, pem(request.dump(), "CERTIFICATE REQUEST"))
