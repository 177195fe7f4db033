"""The syntax of a PDF file (ISO 32000-1, section 7): objects, streams, cross-reference table.

Equal objects give equal bytes: nothing of the clock, of chance or of memory addresses is in them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, TypeAlias

HEADER: Final = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
"""The second line's high bytes tell transfer programs that the file is binary."""
LEVEL: Final = 9


@dataclass(frozen=True, slots=True)
class Name:
    """A name, without its slash; of the characters that need no escape."""

    text: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to an object of the file."""

    number: int


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes with a dictionary; plain: not compressed here, since they are already, or shall be read without tools."""

    content: bytes
    entries: Mapping[str, Value] = field(default_factory=dict)
    plain: bool = False


Value: TypeAlias = (
    "Name | Ref | Stream | str | bytes | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
)


class PdfFile:
    """Collects objects and writes them as a file."""

    def __init__(self) -> None:
        """Begin an empty file."""
        self._objects: list[Value] = []

    def add(self, value: Value) -> Ref:
        """Add an object and return the reference to it."""
        self._objects.append(value)
        return Ref(len(self._objects))

    def put(self, ref: Ref, value: Value) -> None:
        """Replace an object, which others refer to already."""
        self._objects[ref.number - 1] = value

    def written(self, root: Ref, info: Ref) -> bytes:
        """Return the file; its identifier is a digest of what is in it."""
        out = bytearray(HEADER)
        places = []
        for number, value in enumerate(self._objects, 1):
            places.append(len(out))
            out += b"%d 0 obj\n%b\nendobj\n" % (number, encoded(value))
        identifier = sha256(out).digest()[:16]
        start, size = len(out), len(places) + 1
        out += b"xref\n0 %d\n0000000000 65535 f \n" % size
        out += b"".join(b"%010d 00000 n \n" % place for place in places)
        trailer: Value = {"Size": size, "Root": root, "Info": info, "ID": [identifier, identifier]}
        out += b"trailer\n%b\nstartxref\n%d\n%%%%EOF\n" % (encoded(trailer), start)
        return bytes(out)


def encoded(value: Value) -> bytes:
    """Return a value in the syntax of PDF; texts as text strings, bytes as hexadecimal strings."""
    match value:
        case str():
            return b"<%b>" % (b"\xfe\xff" + value.encode("utf-16-be", "surrogatepass")).hex().encode()
        case bytes():
            return b"<%b>" % value.hex().encode()
        case Stream():
            return b"".join(_stream(value))
        case Mapping():
            return b"<<%b>>" % b" ".join(b"/%b %b" % (key.encode(), encoded(item)) for key, item in value.items())
        case Sequence():
            return b"[%b]" % b" ".join(encoded(item) for item in value)
        case _:
            return _atom(value)


def _atom(value: Name | Ref | float | None) -> bytes:
    match value:
        case None:
            return b"null"
        case Name(text):
            return b"/" + text.encode("ascii")
        case Ref():
            return b"%d 0 R" % value.number
        case bool():
            return b"true" if value else b"false"
        case _:
            return number(value)


def number(value: float) -> bytes:
    """Return a number with at most three places, which is finer than any printer."""
    if isinstance(value, int):
        return b"%d" % value
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return b"0" if text in {"", "-0"} else text.encode()


def _stream(stream: Stream) -> Iterator[bytes]:
    content = stream.content if stream.plain else zlib.compress(stream.content, LEVEL)
    coded: Mapping[str, Value] = {} if stream.plain else {"Filter": Name("FlateDecode")}
    yield encoded({**stream.entries, **coded, "Length": len(content)})
    yield b"\nstream\n"
    yield content
    yield b"\nendstream"
