"""Frames of the NXP PN532 on a serial line, both ways, and the cards in its answers; sans-I/O.

``00 FF``, length, its complement, direction, data, complement of their sum; more zeros before and after mean nothing.
Source: PN532 user manual UM0701-02, sections 6.2.1 (frames), 7.3.5 (InListPassiveTarget), 7.3.13 (InAutoPoll).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

from agent.rfid.frames import ISO14443A, SINGLE, FrameError, FrameFault, Seen, Tag, is_noise
from agent.rfid.polling import Ack, Answer, Heard, Nack

ACK: Final = bytes.fromhex("0000FF00FF00")
"""From the host it ends the command under way."""
WAKE_UP: Final = bytes.fromhex("5555") + bytes(14)
"""Before the first command: the chip sleeps after power-up, and takes its time to wake."""
TO_CHIP: Final = 0xD4
TO_HOST: Final = 0xD5
SYNTAX_ERROR: Final = 0x7F

START: Final = b"\x00\xff"
ACKNOWLEDGED: Final = b"\x00\xff"
NOT_ACKNOWLEDGED: Final = b"\xff\x00"
EXTENDED: Final = b"\xff\xff"
LONGEST: Final = 265
"""Bytes from the direction to the end of the data."""
LONGEST_FRAME: Final = len(START + EXTENDED) + 3 + LONGEST + 1
"""With the extended length and both checksums."""

LIST_PASSIVE_TARGET: Final = 0x4A
AUTO_POLL: Final = 0x60
UID_SIZES: Final = frozenset({SINGLE, 7, 10})
CASCADE_TAG: Final = 0x88
"""Stands before the first three bytes of a longer number, and begins no number of four (ISO/IEC 14443-3)."""
HAS_ATS: Final = 0x20
"""Bit of SEL_RES: the tag speaks ISO/IEC 14443-4, its answer to select follows the number."""
TYPES_A: Final = frozenset({0x00, 0x10, 0x20})
"""Kinds of InAutoPoll whose data are those of InListPassiveTarget: 106 kbit/s type A, MIFARE, ISO/IEC 14443-4A."""

_Found: TypeAlias = tuple[Heard, int]
"""What a frame is, and how many bytes behind its start code it takes; none where it is broken."""


def frame(command: int, data: bytes = b"") -> bytes:
    """Return a command as it is sent; data: at most 253 bytes."""
    body = bytes((TO_CHIP, command)) + data
    return b"\x00" + START + bytes((len(body), -len(body) & 0xFF)) + body + bytes((-sum(body) & 0xFF, 0))


class Pn532Frames:
    """Splits what the chip sends.

    A frame that breaks off is given up after some time; behind a start code whose checksums are wrong the search goes
    on at the next byte, so that a damaged frame hides no good one.
    """

    IDLE_S: Final = 0.2

    def __init__(self) -> None:
        """Begin outside a frame."""
        self._buffer = bytearray()
        self._last = 0.0

    @property
    def deadline(self) -> float | None:
        """Monotonic second at which an open frame is given up, None while none is open."""
        return self._last + self.IDLE_S if self._buffer.startswith(START) else None

    def feed(self, data: bytes, now: float) -> list[Heard]:
        """Return what became complete by ``data``, in order; ``now`` is when it arrived."""
        heard = self.idle(now)
        self._buffer += data
        self._last = now
        heard += self._complete(now)
        return heard

    def idle(self, now: float) -> list[Heard]:
        """Return the time-out of a frame that has been open for too long, stamped with when it was due."""
        if self.deadline is None or now < self.deadline:
            return []
        self._buffer.clear()
        return [FrameError(FrameFault.TIMEOUT, self._last + self.IDLE_S)]

    def _complete(self, now: float) -> Iterator[Heard]:
        while self._at_start():
            found = _first(bytes(self._buffer[len(START) : LONGEST_FRAME]), now)
            if found is None:
                return
            heard, size = found
            del self._buffer[: len(START) + size]
            yield heard

    def _at_start(self) -> bool:
        """Drop what is before the next start code; keep a zero that may be its first half."""
        at = self._buffer.find(START)
        if at >= 0:
            del self._buffer[:at]
            return True
        self._buffer[:] = START[:1] if self._buffer.endswith(START[:1]) else b""
        return False


def _first(data: bytes, now: float) -> _Found | None:
    """Return what begins behind a start code, None while more bytes are needed to tell."""
    head = data[:2]
    if head == ACKNOWLEDGED:
        return Ack(now), len(head)
    if head == NOT_ACKNOWLEDGED:
        return Nack(now), len(head)
    begin, end = (2, 5) if head == EXTENDED else (0, 2)
    length = data[begin:end]
    if len(length) < end - begin:
        return None
    size = int.from_bytes(length[:-1])
    if sum(length) & 0xFF:
        return FrameError(FrameFault.LENGTH_CHECKSUM, now), 0
    if not 1 <= size <= LONGEST:
        return FrameError(FrameFault.LENGTH, now), 0
    return _body(data[end : end + size + 1], size, now, end)


def _body(body: bytes, size: int, now: float, header: int) -> _Found | None:
    """Return what a frame says whose length is right; its body ends with its checksum."""
    if len(body) <= size:
        return None
    if sum(body) & 0xFF:
        return FrameError(FrameFault.CHECKSUM, now), 0
    return _meaning(body[:-1], now), header + len(body)


def _meaning(body: bytes, now: float) -> Heard:
    if body[0] == SYNTAX_ERROR:
        return FrameError(FrameFault.DEVICE_ERROR, now, f"{SYNTAX_ERROR:02X}")
    if body[0] != TO_HOST:
        return FrameError(FrameFault.FRAMING, now)
    if len(body) == 1:
        return FrameError(FrameFault.LENGTH, now)
    return Answer(body[1], body[2:], now)


def answer_to(command: int) -> int:
    """Return the code that the answer to a command has."""
    return command + 1


def cards(answer: Answer) -> list[Seen]:
    """Return the cards in an answer to InListPassiveTarget or InAutoPoll, in order; nothing of another answer.

    A number that is none (wrong length, cascade tag, noise) is an error in its place, data that break off the last.
    """
    targets = {answer_to(LIST_PASSIVE_TARGET): _listed, answer_to(AUTO_POLL): _polled}.get(answer.code)
    if targets is None or not answer.data:
        return []
    return [_card(uid, answer.at) for uid in targets(answer.data[1:], answer.data[0])]


def _listed(data: bytes, count: int) -> Iterator[bytes | None]:
    """Yield the numbers of targets that follow each other, None for data that break off."""
    for _ in range(count):
        uid, data = _target(data)
        yield uid
        if uid is None:
            return


def _polled(data: bytes, count: int) -> Iterator[bytes | None]:
    """Yield the numbers of targets that each have their kind and length before them."""
    for _ in range(count):
        if len(data) < 2 or len(data) < 2 + data[1]:  # noqa: PLR2004  kind and length
            yield None
            return
        if data[0] in TYPES_A:
            yield _target(data[2 : 2 + data[1]])[0]
        data = data[2 + data[1] :]


def _target(data: bytes) -> tuple[bytes | None, bytes]:
    """Return a number and what follows the target: Tg, SENS_RES (2), SEL_RES, length, number, with ATS its own length.

    The number is None where the data break off.
    """
    head = data[:5]
    if len(head) < 5 or len(data) < 5 + head[4]:  # noqa: PLR2004  the five bytes named above
        return None, b""
    uid, rest = data[5 : 5 + head[4]], data[5 + head[4] :]
    return uid, rest[rest[0] :] if head[3] & HAS_ATS and rest else rest


def _card(uid: bytes | None, at: float) -> Seen:
    if uid is None:
        return FrameError(FrameFault.LENGTH, at)
    if len(uid) not in UID_SIZES or (len(uid) == SINGLE and uid[0] == CASCADE_TAG):
        return FrameError(FrameFault.UID_LENGTH, at)
    if is_noise(uid):
        return FrameError(FrameFault.IMPLAUSIBLE, at)
    return Tag(uid, ISO14443A, at)
