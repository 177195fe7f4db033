"""The frames between a host and a PN532 on a serial line (HSU), from the chip's side.

Source: NXP PN532 user manual UM0701-02, section 6.2.1: 00, 00 FF, LEN, LCS, TFI and data, DCS, 00.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

ACK: Final = bytes.fromhex("0000FF00FF00")
#: Told by the chip where it cannot make sense of a command.
SYNTAX_ERROR: Final = bytes.fromhex("0000FF01FF7F8100")
START: Final = b"\x00\xff"
WAKING: Final = 0x55
FROM_HOST, FROM_CHIP = 0xD4, 0xD5
LONGEST: Final = 255
#: LEN and LCS of the frames without data, and of those with a length of two bytes.
ACKED, NACKED, EXTENDED = b"\x00\xff", b"\xff\x00", b"\xff\xff"


@dataclass(frozen=True, slots=True)
class Woken:
    """Bytes that wake a sleeping chip stood before what follows."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The host breaks off what runs."""


@dataclass(frozen=True, slots=True)
class Nacked:
    """The host wants the last answer again."""


@dataclass(frozen=True, slots=True)
class Command:
    """All from TFI to the end of the data; never empty."""

    body: bytes


Heard: TypeAlias = Woken | Acked | Nacked | Command

SHORT: Final[Mapping[bytes, Heard]] = {ACKED: Acked(), NACKED: Nacked()}


def information(body: bytes) -> bytes:
    """Return the frame of TFI and data, with a length of two bytes where they are more than 255."""
    size = len(body)
    if size <= LONGEST:
        length = bytes([size, -size % 256])
    else:
        length = EXTENDED + size.to_bytes(2, "big") + bytes([-sum(size.to_bytes(2, "big")) % 256])
    return b"\x00" + START + length + body + bytes([-sum(body) % 256]) + b"\x00"


class HostStream:
    """What a host sends, cut into what it means. Frames with wrong checksums are dropped as noise is."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Heard]:
        """Return what became complete."""
        self._buffer += data
        heard: list[Heard] = []
        while (start := self._buffer.find(START)) >= 0:
            heard += self._before(start)
            self._buffer = self._buffer[start:]
            found = self._frame(self._buffer[len(START) :])
            if found is None:
                return heard
            size, event = found
            self._buffer = self._buffer[len(START) + size :]
            heard += [event] if event is not None else []
        heard += self._before(len(self._buffer))
        self._buffer = b"\x00" if self._buffer.endswith(b"\x00") else b""
        return heard

    def forget(self) -> None:
        """Drop what is incomplete: the rest of it never came."""
        self._buffer = b""

    def _before(self, end: int) -> list[Heard]:
        return [Woken()] if WAKING in self._buffer[:end] else []

    def _frame(self, rest: bytes) -> tuple[int, Heard | None] | None:
        """Return what follows a start code, and its size; size 0: no frame; nothing: it is incomplete."""
        if rest[:2] in SHORT:
            return 2, SHORT[rest[:2]]
        header = 5 if rest[:2] == EXTENDED else 2
        if len(rest) < header:
            return None
        lengths = rest[header - 3 : header - 1] if header > 2 else rest[:1]  # noqa: PLR2004 - the two headers
        size = int.from_bytes(lengths, "big")
        if (sum(lengths) + rest[header - 1]) % 256 or not size:
            return 0, None
        body = rest[header : header + size]
        if len(rest) <= header + size:
            return None
        good = (sum(body) + rest[header + size]) % 256 == 0
        return (header + size + 1, Command(body)) if good else (0, None)
