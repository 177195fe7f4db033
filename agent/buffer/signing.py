"""The station's own key: ECDSA on P-256 with SHA-256, made at the first start (ADR 17).

The library is pure Python and takes some megabytes, so it is imported when something is signed or verified first; which
key a file holds is told from its bytes.
"""

from __future__ import annotations

import base64
import binascii
import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.buffer.file import close_to_others
from agent.buffer.private_file import put_private

if TYPE_CHECKING:
    from agent.buffer.curve import Public, Secret

KEY: Final = "signing_key.pem"
"""Name of the file in the state directory, closed to other users."""
ALGORITHM: Final = "ECDSA-secp256r1-SHA256"

PRIVATE: Final = "EC PRIVATE KEY"
PUBLIC: Final = "PUBLIC KEY"
#: An ECPrivateKey of P-256 with its public key (RFC 5915): what stands before and between the two.
PRIVATE_HEAD: Final = bytes.fromhex("30770201010420")
PRIVATE_MIDDLE: Final = bytes.fromhex("a00a06082a8648ce3d030107a144034200")
#: A SubjectPublicKeyInfo of P-256 up to the point (RFC 5480).
PUBLIC_HEAD: Final = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
POINT: Final = 65
SCALAR: Final = 32
HASH: Final = re.compile(r"[0-9a-f]{64}")
SIGNATURE: Final = re.compile(r"(?:[0-9a-f]{2}){8,72}")
ARMOUR: Final = re.compile(r"-----BEGIN ([A-Z ]+)-----\s([A-Za-z0-9+/=\s]+)-----END \1-----")


class KeyDamaged(Exception):
    """The key's file is there, and holds no key of this kind, or none that fits together."""


class Signer:
    """Signs with the station's key."""

    def __init__(self, scalar: bytes, public: bytes) -> None:
        """Keep the secret number, and the public key in DER; they are compared when something is signed first."""
        self._scalar = scalar
        self.public = public
        self.fingerprint = fingerprint(public)
        self._secret: Secret | None = None

    def sign(self, text: bytes) -> str:
        """Return the signature of a text: DER in lower-case hex; the same text has the same one.

        Milliseconds of arithmetic: not for the event loop. Raises: KeyDamaged.
        """
        if self._secret is None:
            self._secret = self._loaded()
        return self._secret.sign(text).hex()

    def _loaded(self) -> Secret:
        from agent.buffer.curve import Secret  # noqa: PLC0415  # see above

        try:
            secret = Secret(self._scalar)
        except ValueError as error:
            raise KeyDamaged(str(error)) from error
        if PUBLIC_HEAD + secret.point != self.public:
            raise KeyDamaged("its two halves do not belong together")
        return secret


class Verifier:
    """Verifies with one public key; many signatures with the same one are what it is quick at."""

    def __init__(self, public: bytes) -> None:
        """Take a key in DER. Raises: ValueError where it is none of P-256."""
        self.public = public
        self.fingerprint = fingerprint(public)
        self._key = _verifying(public)

    def verifies(self, signature: str, digest: str) -> bool:
        """Tell whether a signature (DER in lower-case hex) is that of the text with this SHA-256 (hex)."""
        whole = SIGNATURE.fullmatch(signature) is not None and HASH.fullmatch(digest) is not None
        return whole and self._key.verifies(bytes.fromhex(signature), bytes.fromhex(digest))


def found(state_dir: Path) -> Signer | None:
    """Return the key of a state directory, None where there is none. Raises: KeyDamaged, OSError."""
    path = state_dir / KEY
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return None
    except (ValueError, PermissionError) as error:
        raise KeyDamaged(f"{path}: {error}") from error
    close_to_others(path)
    return _signer(path, text)


def made(state_dir: Path) -> Signer:
    """Make a new key; a file that is in its place is kept beside it under another name. Raises: OSError."""
    from agent.buffer.curve import Secret, generate  # noqa: PLC0415  # see above

    scalar = generate()
    point = Secret(scalar).point
    path = state_dir / KEY
    if path.exists():
        path.rename(_free(path))
    put_private(path, pem(PRIVATE_HEAD + scalar + PRIVATE_MIDDLE + point, PRIVATE).encode())
    return Signer(scalar, PUBLIC_HEAD + point)


def fingerprint(public: bytes) -> str:
    """Return the name of a key: SHA-256 over its DER form, in hex."""
    return sha256(public).hexdigest()


def public_pem(public: bytes) -> str:
    """Return a public key as PEM, as ``openssl`` reads it."""
    return pem(public, PUBLIC)


def public_keys(text: str) -> tuple[bytes, ...]:
    """Return the keys of a PEM text in DER, at least one. Raises: ValueError, which says what is wrong."""
    blocks = ARMOUR.findall(text)
    if not blocks:
        raise ValueError("it holds no key in PEM form")
    if any(label != PUBLIC for label, _ in blocks):
        raise ValueError(
            f"it holds {', '.join(sorted({label.lower() for label, _ in blocks}))} where a public key is due"
        )
    keys = tuple(_decoded(body) for _, body in blocks)
    for key in keys:
        _verifying(key)
    return keys


def pem(der: bytes, label: str) -> str:
    """Return the PEM form of DER."""
    body = base64.b64encode(der).decode()
    lines = [body[at : at + 64] for at in range(0, len(body), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def _signer(path: Path, text: str) -> Signer:
    block = ARMOUR.search(text)
    try:
        der = b"" if block is None or block[1] != PRIVATE else _decoded(block[2])
    except ValueError as error:
        raise KeyDamaged(f"{path}: {error}") from error
    middle = len(PRIVATE_HEAD) + SCALAR
    begins, follows = der.startswith(PRIVATE_HEAD), der[middle:].startswith(PRIVATE_MIDDLE)
    if not (begins and follows and len(der) == middle + len(PRIVATE_MIDDLE) + POINT):
        raise KeyDamaged(f"{path} holds no private key of P-256")
    return Signer(der[len(PRIVATE_HEAD) : middle], PUBLIC_HEAD + der[-POINT:])


def _verifying(public: bytes) -> Public:
    from agent.buffer.curve import Public  # noqa: PLC0415  # see above

    if not public.startswith(PUBLIC_HEAD) or len(public) != len(PUBLIC_HEAD) + POINT:
        raise ValueError("it holds another kind of key than ECDSA on P-256")
    try:
        return Public(public[len(PUBLIC_HEAD) :])
    except ValueError as error:
        raise ValueError("it holds a key that is no point of P-256") from error


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"its PEM form is damaged ({error})") from error


def _free(path: Path) -> Path:
    """Return a name for a file that is set aside."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return aside
