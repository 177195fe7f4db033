"""Whether one certificate signed another, by RSA or ECDSA; ``ssl`` has no way to ask only that.

Sources: RFC 8017, section 8.2.2 (RSASSA-PKCS1-v1_5); RFC 5480 and 5758 (ECDSA).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from agent.trust.certificate import Certificate

#: Hash -> the DER that stands before it in a signature (RFC 8017, 9.2, note 1).
DIGEST_INFO: Final = {
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


def is_signed_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Tell whether ``issuer`` signed a certificate; False too for signatures of other kinds (PSS, SHA-1, Ed25519)."""
    from asn1crypto.x509 import Certificate as Parsed  # noqa: PLC0415  # see ``certificate``

    if certificate.issuer != issuer.subject or not issuer.is_ca:
        return False
    parsed = Parsed.load(certificate.der)
    algorithm, text = parsed["signature_algorithm"], parsed["tbs_certificate"].dump()
    name = str(algorithm["algorithm"].native)
    hashed = name.partition("_")[0]
    if hashed not in DIGEST_INFO:
        return False
    if name.endswith("_rsa") and issuer.kind == "rsa":
        return _rsa(issuer, parsed.signature, text, hashed)
    return name.endswith("_ecdsa") and issuer.kind == "ec" and _ecdsa(issuer, parsed.signature, text, hashed)


def _rsa(issuer: Certificate, signature: bytes, text: bytes, hashed: str) -> bool:
    from asn1crypto.keys import PublicKeyInfo  # noqa: PLC0415  # as above

    key: Any = PublicKeyInfo.load(issuer.public)["public_key"].parsed
    modulus, exponent = int(key["modulus"].native), int(key["public_exponent"].native)
    size = (modulus.bit_length() + 7) // 8
    end = DIGEST_INFO[hashed] + hashlib.new(hashed, text).digest()
    padded = b"\x00\x01" + b"\xff" * (size - len(end) - 3) + b"\x00" + end
    number = int.from_bytes(signature)
    return len(signature) == size and number < modulus and pow(number, exponent, modulus) == int.from_bytes(padded)


def _ecdsa(issuer: Certificate, signature: bytes, text: bytes, hashed: str) -> bool:
    from ecdsa import BadSignatureError, VerifyingKey  # type: ignore[import-untyped]  # noqa: PLC0415  # as above
    from ecdsa.curves import UnknownCurveError  # type: ignore[import-untyped]  # noqa: PLC0415  # as above
    from ecdsa.der import UnexpectedDER  # type: ignore[import-untyped]  # noqa: PLC0415  # as above
    from ecdsa.errors import MalformedPointError  # type: ignore[import-untyped]  # noqa: PLC0415  # as above
    from ecdsa.util import sigdecode_der  # type: ignore[import-untyped]  # noqa: PLC0415  # as above

    try:
        key = VerifyingKey.from_der(issuer.public)
        return bool(key.verify(signature, text, hashfunc=getattr(hashlib, hashed), sigdecode=sigdecode_der))
    except (BadSignatureError, MalformedPointError, UnexpectedDER, UnknownCurveError):
        return False
