"""Splits the bytes of card readers into tags, sans-I/O: what they have in common, and readers that send by themselves.

A framing survives noise, keeps a bounded buffer and never raises; what is wrong with a frame is an event like a tag.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import reduce
from operator import xor
from typing import Final, Protocol, TypeAlias

STX: Final = 0x02
ETX: Final = 0x03
ISO14443A: Final = "ISO14443A"
RANDOM: Final = 0x08
"""First byte of a four-byte number that a tag makes anew at each touch (ISO/IEC 14443-3, UID of single size)."""
SINGLE: Final = 4


class FrameFault(StrEnum):
    """What is wrong with a frame."""

    CHECKSUM = "checksum"
    LENGTH_CHECKSUM = "length_checksum"
    FRAMING = "framing"
    LENGTH = "length"
    UID_LENGTH = "uid_length"
    TIMEOUT = "timeout"
    IMPLAUSIBLE = "implausible"
    DEVICE_ERROR = "device_error"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag that was read; uid: in the order of transmission; technology: as ``EM4100``; at: monotonic seconds."""

    uid: bytes
    technology: str
    at: float

    @property
    def id_tag(self) -> str:
        """The identifier: upper-case hex, leading zeros kept."""
        return self.uid.hex().upper()

    @property
    def is_random(self) -> bool:
        """Whether the number is another one at the next touch, as those of phones are."""
        return self.technology == ISO14443A and len(self.uid) == SINGLE and self.uid[0] == RANDOM


@dataclass(frozen=True, slots=True)
class FrameError:
    """A frame that was dropped, or an error that the reader tells; at: monotonic seconds; detail: the reader's code."""

    fault: FrameFault
    at: float
    detail: str = ""


Seen: TypeAlias = Tag | FrameError


def is_noise(uid: bytes) -> bool:
    """Tell whether a number passes checksums, but is no tag's: all bits 0 or all bits 1."""
    return set(uid) in ({0x00}, {0xFF})


class Frames(Protocol):
    """A splitter."""

    @property
    def deadline(self) -> float | None:
        """Monotonic second at which an open frame is given up, None while none is open."""
        ...

    def feed(self, data: bytes, now: float) -> list[Seen]:
        """Return what became complete by ``data``, in order; ``now`` is when it arrived."""
        ...

    def idle(self, now: float) -> list[Seen]:
        """Return the time-out of a frame that has been open for too long, nothing otherwise."""
        ...


class Rdm6300Frames:
    """STX, ten hex digits, two of their checksum, ETX: 125 kHz readers RDM6300, RDM630 and clones.

    The checksum is the XOR of the five bytes. A new STX restarts the frame; bytes outside a frame are ignored.
    Source: Seeed 125 kHz RFID module (113020002).
    """

    IDLE_S: Final = 0.1
    """A frame takes 15 ms at 9600 baud."""
    TECHNOLOGY: Final = "EM4100"
    UID_BYTES: Final = 5
    DIGITS: Final = 2 * (UID_BYTES + 1)

    def __init__(self) -> None:
        """Begin outside a frame."""
        self._open = False
        self._digits = bytearray()
        self._last = 0.0

    @property
    def deadline(self) -> float | None:
        """See Frames."""
        return self._last + self.IDLE_S if self._open else None

    def feed(self, data: bytes, now: float) -> list[Seen]:
        """See Frames."""
        seen = self.idle(now)
        for byte in data:
            event = self._take(byte, now)
            if event is not None:
                seen.append(event)
        self._last = now
        return seen

    def idle(self, now: float) -> list[Seen]:
        """See Frames; the time-out is stamped with the moment at which it was due."""
        if self.deadline is None or now < self.deadline:
            return []
        self._open = False
        return [FrameError(FrameFault.TIMEOUT, self._last + self.IDLE_S)]

    def _take(self, byte: int, now: float) -> Seen | None:
        if byte == STX:
            broken, self._open = self._open, True
            self._digits.clear()
            return FrameError(FrameFault.FRAMING, now) if broken else None
        if not self._open:
            return None
        if byte == ETX:
            self._open = False
            return self._close(now)
        self._digits.append(byte)
        if len(self._digits) <= self.DIGITS:
            return None
        self._open = False
        return FrameError(FrameFault.FRAMING, now)

    def _close(self, now: float) -> Seen:
        if len(self._digits) < self.DIGITS:
            return FrameError(FrameFault.LENGTH, now)
        try:
            *uid, checksum = _hex(self._digits)
        except ValueError:
            return FrameError(FrameFault.FRAMING, now)
        if reduce(xor, uid) != checksum:
            return FrameError(FrameFault.CHECKSUM, now)
        if is_noise(bytes(uid)):
            return FrameError(FrameFault.IMPLAUSIBLE, now)
        return Tag(bytes(uid), self.TECHNOLOGY, now)


def _hex(digits: bytearray) -> bytes:
    """Return the bytes of hex digits; white space, which ``fromhex`` skips, is no digit. Raises: ValueError."""
    text = digits.decode("ascii")
    if not text.isalnum():
        raise ValueError(text)
    return bytes.fromhex(text)
