"""ECDSA on P-256 with SHA-256, by the library ``ecdsa``: the only module that imports it, and imported late itself."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from ecdsa import NIST256p, SigningKey, VerifyingKey  # type: ignore[import-untyped]  # the library ships no types
from ecdsa.ecdsa import Signature  # type: ignore[import-untyped]  # as above
from ecdsa.ellipticcurve import PointJacobi  # type: ignore[import-untyped]  # as above
from ecdsa.keys import MalformedPointError  # type: ignore[import-untyped]  # as above
from ecdsa.util import sigencode_der  # type: ignore[import-untyped]  # as above

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
WORTH_IT: Final = 4
"""Precomputing takes as long as four signatures, and halves the time of each that follows."""
HEAD: Final = 4
"""Tag and length of the sequence, and of the first number in it."""


class Secret:
    """A private key."""

    def __init__(self, scalar: bytes) -> None:
        """Take the secret number, 32 bytes. Raises: ValueError where it is none of P-256."""
        try:
            self._key = SigningKey.from_string(scalar, curve=NIST256p, hashfunc=sha256)
        except MalformedPointError as error:
            raise ValueError(str(error)) from error
        self.point: bytes = self._key.verifying_key.to_string("uncompressed")

    def sign(self, text: bytes) -> bytes:
        """Return the signature of a text in DER; the same text has the same one (RFC 6979)."""
        signature: bytes = self._key.sign_deterministic(text, hashfunc=sha256, sigencode=sigencode_der)
        return signature


class Public:
    """A public key."""

    def __init__(self, point: bytes) -> None:
        """Take an uncompressed point, 65 bytes. Raises: ValueError where it is none of P-256."""
        try:
            given = VerifyingKey.from_string(point, curve=NIST256p, hashfunc=sha256).pubkey.point
            ordered = PointJacobi(NIST256p.curve, given.x(), given.y(), 1, NIST256p.order)  # what precomputing needs
            self._key = VerifyingKey.from_public_point(ordered, curve=NIST256p, hashfunc=sha256)
        except MalformedPointError as error:
            raise ValueError(str(error)) from error
        self._uses = 0

    def verifies(self, signature: bytes, digest: bytes) -> bool:
        """Tell whether this is a signature, in its one DER form, of the text with this SHA-256."""
        numbers = _numbers(signature)
        if numbers is None:
            return False
        self._uses += 1
        if self._uses == WORTH_IT:
            self._key.precompute()
        return bool(self._key.pubkey.verifies(int.from_bytes(digest), Signature(*numbers)))


def generate() -> bytes:
    """Return a new secret number from the system's random source."""
    scalar: bytes = SigningKey.generate(curve=NIST256p).to_string()
    return scalar


def _numbers(der: bytes) -> tuple[int, int] | None:
    """Return r and s of a signature, None for anything but the DER form."""
    split = HEAD + (der[HEAD - 1] if len(der) >= HEAD else 0)
    r, s = der[HEAD:split], der[split + 2 :]
    heads = bytes([SEQUENCE, len(der) - 2 & 0xFF, INTEGER, len(r)]), bytes([INTEGER, len(s) & 0xFF])
    if (der[:HEAD], der[split : split + 2]) != heads or not (_minimal(r) and _minimal(s)):
        return None
    return int.from_bytes(r), int.from_bytes(s)


def _minimal(number: bytes) -> bool:
    """Tell whether bytes are a positive INTEGER of DER, without a zero too many."""
    return b"\x00" < number[:1] < b"\x80" or (number[:1] == b"\x00" and number[1:2] >= b"\x80")
