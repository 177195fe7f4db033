"""A throw-away authority, and certificates of it for servers and stations, on machines without a tool that makes them.

Elliptic curve P-256 with SHA-256. The arithmetic takes no care of timing, so that its keys protect nothing of value.
Sources: RFC 5280 and 5480 (certificates, keys), RFC 5915 (key file), SEC 1 and SEC 2 (curve), FIPS 186-4 (signature).
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

Point: TypeAlias = tuple[int, int] | None
"""A point of the curve; None is the one at infinity."""

PRIME: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
BASE: Final = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
WIDTH: Final = 32
#: How long a certificate holds, and how much earlier it begins: clocks differ.
LIFE: Final = timedelta(days=365)
BEFORE: Final = timedelta(hours=1)
FIRST_OF_GENERALIZED: Final = 2050

AUTHORITY: Final = "wallbox-sim throw-away authority"
SIGNED_BY: Final = "1.2.840.10045.4.3.2"
KEY_TYPE: Final = "1.2.840.10045.2.1"
CURVE: Final = "1.2.840.10045.3.1.7"
COMMON_NAME: Final = "2.5.4.3"
SERVER: Final = "1.3.6.1.5.5.7.3.1"
CLIENT: Final = "1.3.6.1.5.5.7.3.2"
SUBJECT_KEY, USAGE, NAMES, CONSTRAINTS, AUTHORITY_KEY, PURPOSE = (
    f"2.5.29.{number}" for number in (14, 15, 17, 19, 35, 37)
)


@dataclass(frozen=True, slots=True)
class Key:
    """A private key and its point."""

    secret: int
    point: tuple[int, int]

    @classmethod
    def new(cls) -> Key:
        """Return a new one."""
        return cls.of(secrets.randbelow(ORDER - 1) + 1)

    @classmethod
    def of(cls, secret: int) -> Key:
        """Return the key of a secret number."""
        point = _times(secret, BASE)
        assert point is not None  # noqa: S101 - no multiple of the base below its order is infinite
        return cls(secret, point)

    @property
    def public(self) -> bytes:
        """The uncompressed point."""
        return b"\x04" + b"".join(coordinate.to_bytes(WIDTH, "big") for coordinate in self.point)

    @property
    def info(self) -> bytes:
        """The public key with its kind, as certificates have it."""
        return _sequence(_sequence(_oid(KEY_TYPE), _oid(CURVE)), _bits(self.public))

    @property
    def id(self) -> bytes:
        """What tells the key apart in certificates (RFC 5280, 4.2.1.2)."""
        return hashlib.sha1(self.public, usedforsecurity=False).digest()

    def sign(self, data: bytes) -> bytes:
        """Return the signature in DER."""
        digest = int.from_bytes(hashlib.sha256(data).digest(), "big")
        while True:
            once = secrets.randbelow(ORDER - 1) + 1
            point = _times(once, BASE)
            r = 0 if point is None else point[0] % ORDER
            s = pow(once, -1, ORDER) * (digest + r * self.secret) % ORDER
            if r and s:
                return _sequence(_integer(r), _integer(s))

    def pem(self) -> str:
        """Return the key file."""
        curve, public = _tagged(0xA0, _oid(CURVE)), _tagged(0xA1, _bits(self.public))
        return _pem(
            "EC PRIVATE KEY",
            _sequence(_integer(1), _tagged(0x04, self.secret.to_bytes(WIDTH, "big")), curve, public),
        )


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs. pem: its own certificate, that the other end trusts."""

    name: str
    key: Key
    pem: str

    @classmethod
    def new(cls, name: str = AUTHORITY, now: datetime | None = None) -> Authority:
        """Return a new one."""
        key, at = Key.new(), now or datetime.now(UTC)
        life = (at - BEFORE, at + LIFE)
        return cls(
            name, key, _certificate((name, key), _name(name), key.info, life=life, extensions=_of_authority(key))
        )

    def successor(self, name: str = "wallbox-sim next authority") -> Authority:
        """Return a new one that this one vouches for."""
        key, now = Key.new(), datetime.now(UTC)
        life = (now - BEFORE, now + LIFE)
        signed = _certificate((self.name, self.key), _name(name), key.info, life=life, extensions=_of_authority(key))
        return Authority(name, key, signed)

    def sign(self, csr: str, life: tuple[datetime, datetime] | None = None) -> str:
        """Return the certificate that a station asks for. Raises ValueError where the text is no request."""
        subject, public = read_request(csr)
        now = datetime.now(UTC)
        extensions = (
            _extension(CONSTRAINTS, _sequence()),
            _extension(USAGE, _bits(b"\x80", unused=7), critical=True),
            _extension(PURPOSE, _sequence(_oid(CLIENT))),
            _extension(AUTHORITY_KEY, _sequence(_tagged(0x80, self.key.id))),
        )
        return _certificate(
            (self.name, self.key), subject, public, life=life or (now - BEFORE, now + LIFE), extensions=extensions
        )

    def issue(self, names: Sequence[str], life: tuple[datetime, datetime] | None = None) -> tuple[str, str]:
        """Return certificate and key of a server with these host names and addresses; life: from and until."""
        key = Key.new()
        return self.certify(names, key, life), key.pem()

    def certify(self, names: Sequence[str], key: Key, life: tuple[datetime, datetime] | None = None) -> str:
        """Return the certificate of a key; what it signs is as good as what a server of these names says."""
        now = datetime.now(UTC)
        extensions = (
            _extension(CONSTRAINTS, _sequence()),
            _extension(USAGE, _bits(b"\x80", unused=7), critical=True),  # signs handshakes
            _extension(PURPOSE, _sequence(_oid(SERVER))),
            _extension(NAMES, _sequence(*map(_name_of_host, names))),
            _extension(SUBJECT_KEY, _tagged(0x04, key.id)),
            _extension(AUTHORITY_KEY, _sequence(_tagged(0x80, self.key.id))),
        )
        life = life or (now - BEFORE, now + LIFE)
        return _certificate((self.name, self.key), _name(names[0]), key.info, life=life, extensions=extensions)


@dataclass(frozen=True, slots=True)
class Files:
    """Where the files of a folder are. authority: what a station is given as ``ca_file``; signing: its key."""

    authority: Path
    certificate: Path
    key: Path
    signing: Path

    def signer(self) -> Authority:
        """Return the authority, to sign more."""
        der = base64.b64decode("".join(self.signing.read_text().strip().splitlines()[1:-1]))
        secret = _inside(der)[1]
        return Authority(AUTHORITY, Key.of(int.from_bytes(secret[_head(secret) :])), self.authority.read_text())


def read_request(csr: str) -> tuple[bytes, bytes]:
    """Return subject and public key, both in DER, of a request in PEM. Raises ValueError where it is none."""
    lines = csr.strip().splitlines()
    if not lines or "CERTIFICATE REQUEST" not in lines[0]:
        raise ValueError("this is no certificate request in PEM form")
    request = base64.b64decode("".join(lines[1:-1]), validate=True)
    signed = _inside(request)
    content = _inside(signed[0]) if signed else []
    if len(content) < 3:  # noqa: PLR2004 - version, subject, key
        raise ValueError("this is no certificate request, but other DER")
    return content[1], content[2]


def in_folder(folder: Path, names: Sequence[str]) -> Files:
    """Return the files of a folder, made where one of them is missing, so that stations may go on trusting them."""
    files = Files(folder / "ca.pem", folder / "server.pem", folder / "server.key", folder / "ca.key")
    if all(file.exists() for file in (files.authority, files.certificate, files.key, files.signing)):
        return files
    folder.mkdir(parents=True, exist_ok=True)
    authority = Authority.new()
    certificate, key = authority.issue(names)
    for file in (files.key, files.signing):
        file.touch(mode=0o600)
    texts = (authority.pem, certificate, key, authority.key.pem())
    for file, text in zip((files.authority, files.certificate, files.key, files.signing), texts, strict=True):
        file.write_text(text)
    return files


# -- the curve: y^2 = x^3 - 3x + b


def _times(factor: int, point: Point) -> Point:
    result: Point = None
    while factor:
        if factor & 1:
            result = _plus(result, point)
        point, factor = _plus(point, point), factor >> 1
    return result


def _plus(one: Point, other: Point) -> Point:
    if one is None or other is None:
        return other if one is None else one
    if one[0] == other[0]:
        if (one[1] + other[1]) % PRIME == 0:
            return None
        slope = (3 * one[0] * one[0] - 3) * pow(2 * one[1], -1, PRIME)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, PRIME)
    x = (slope * slope - one[0] - other[0]) % PRIME
    return x, (slope * (one[0] - x) - one[1]) % PRIME


# -- DER


def _inside(der: bytes) -> list[bytes]:
    """Return the elements of a sequence, each with its tag and length. Raises ValueError where they do not fit."""
    parts, content = [], der[_head(der) :]
    while content:
        whole = _head(content) + _size(content)
        if whole > len(content):
            raise ValueError("damaged DER")
        parts.append(content[:whole])
        content = content[whole:]
    return parts


def _head(der: bytes) -> int:
    """Return how many bytes tag and length have."""
    if len(der) < 2:  # noqa: PLR2004 - one each
        raise ValueError("damaged DER")
    return 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)


def _size(der: bytes) -> int:
    return int.from_bytes(der[2 : _head(der)]) if der[1] & 0x80 else der[1]


def _of_authority(key: Key) -> tuple[bytes, ...]:
    return (
        _extension(CONSTRAINTS, _sequence(_tagged(0x01, b"\xff")), critical=True),
        _extension(USAGE, _bits(b"\x06", unused=1), critical=True),  # signs certificates and revocations
        _extension(SUBJECT_KEY, _tagged(0x04, key.id)),
    )


def _certificate(
    issuer: tuple[str, Key],
    subject: bytes,
    public: bytes,
    *,
    life: tuple[datetime, datetime],
    extensions: Sequence[bytes],
) -> str:
    """Sign a certificate; subject and public: in DER."""
    algorithm = _sequence(_oid(SIGNED_BY))
    content = _sequence(
        _tagged(0xA0, _integer(2)),  # version 3
        _integer(secrets.randbits(120) | 1 << 119),
        algorithm,
        _name(issuer[0]),
        _sequence(*map(_time, life)),
        subject,
        public,
        _tagged(0xA3, _sequence(*extensions)),
    )
    return _pem("CERTIFICATE", _sequence(content, algorithm, _bits(issuer[1].sign(content))))


def _pem(label: str, der: bytes) -> str:
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""))


def _name(common: str) -> bytes:
    return _sequence(_tagged(0x31, _sequence(_oid(COMMON_NAME), _tagged(0x0C, common.encode()))))


def _name_of_host(host: str) -> bytes:
    try:
        return _tagged(0x87, ipaddress.ip_address(host).packed)
    except ValueError:
        return _tagged(0x82, host.encode("idna"))


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return _sequence(_oid(oid), *([_tagged(0x01, b"\xff")] if critical else []), _tagged(0x04, value))


def _time(at: datetime) -> bytes:
    text = f"{at.astimezone(UTC):%Y%m%d%H%M%SZ}".encode()
    return _tagged(0x18, text) if at.year >= FIRST_OF_GENERALIZED else _tagged(0x17, text[2:])


def _sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, b"".join(parts))


def _integer(number: int) -> bytes:
    return _tagged(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _bits(data: bytes, *, unused: int = 0) -> bytes:
    return _tagged(0x03, bytes([unused]) + data)


def _oid(text: str) -> bytes:
    first, second, *others = map(int, text.split("."))
    return _tagged(0x06, b"".join(map(_base_128, (40 * first + second, *others))))


def _base_128(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.insert(0, number & 0x7F | 0x80)
    return bytes(digits)


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:  # noqa: PLR2004 - the short form
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content
