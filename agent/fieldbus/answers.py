"""Finds the answer to a request among the bytes that came, sans-I/O.

On RTU nothing numbers the requests, so an answer is only taken when unit, function code, length and (for a write) the
echoed address fit the request and the checksum is right; bytes in front of it, as transceivers make them, are skipped.

Source: Modbus over serial line 1.02, section 2.5; Modbus messaging on TCP/IP 1.0b, section 3.1.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pymodbus.framer import FramerRTU

MBAP: Final = 7
"""Bytes of the header of Modbus TCP: transaction, protocol, length, unit."""
CHECKSUM: Final = 2
EXCEPTION: Final = 0x80
LONGEST: Final = 256
"""Bytes of the longest RTU frame."""
REFUSAL: Final = 5
"""Bytes of an RTU exception response, the shortest there is."""
ECHO: Final = 8
"""Bytes of an RTU answer to a write, and of most requests."""
READ_BITS: Final = frozenset({1, 2})
READ_REGISTERS: Final = frozenset({3, 4})


@dataclass(frozen=True, slots=True)
class Expected:
    """What the answer to a request looks like.

    start: the PDU's first bytes; length: bytes of the whole PDU; transaction: of Modbus TCP, None on RTU.
    """

    unit: int
    start: bytes
    length: int
    transaction: int | None = None

    @property
    def refusal(self) -> bytes:
        """The first byte of an exception response."""
        return bytes((self.start[0] | EXCEPTION,))

    @property
    def size(self) -> int:
        """Bytes of the whole answer."""
        return self.length + (1 + CHECKSUM if self.transaction is None else MBAP)


def expected(request: bytes, *, tcp: bool) -> Expected:
    """Return what answers a request, given as it goes over the wire."""
    if not tcp:
        return Expected(request[0], *_answer_pdu(request[1:-CHECKSUM]))
    start, length = _answer_pdu(request[MBAP:])
    return Expected(request[MBAP - 1], start, length, int.from_bytes(request[:2], "big"))


def find(wanted: Expected, data: bytes) -> bytes:
    """Return the whole answer, header and checksum included, from the bytes that came; empty while it is not there."""
    frames = _rtu_frames(wanted, data) if wanted.transaction is None else _tcp_frames(wanted, data)
    return next(frames, b"")


def fault(wanted: Expected, data: bytes) -> str:
    """Say what came instead of the answer, in words for an installer."""
    if wanted.transaction is not None:
        return f"{len(data)} bytes that are no Modbus TCP answer to this request"
    frame = next(_anybodys_frames(data[:LONGEST]), None)
    if frame is not None:
        return _stranger(wanted, frame)
    ours = data.find(bytes((wanted.unit, wanted.start[0])))
    if ours >= 0 and len(data) - ours < wanted.size:
        return f"an answer that was cut off after {len(data) - ours} of {wanted.size} bytes"
    return f"{len(data)} bytes with a wrong checksum"


def _answer_pdu(request: bytes) -> tuple[bytes, int]:
    function, count = request[0], int.from_bytes(request[3:5], "big")
    if function in READ_REGISTERS:
        return bytes((function, 2 * count)), 2 + 2 * count
    if function in READ_BITS:
        size = (count + 7) // 8
        return bytes((function, size)), 2 + size
    return request[:5], 5


def _rtu_frames(wanted: Expected, data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        if data[at] != wanted.unit:
            continue
        for start, length in ((wanted.start, wanted.length), (wanted.refusal, 2)):
            frame = data[at : at + 1 + length + CHECKSUM]
            if len(frame) == 1 + length + CHECKSUM and frame.startswith(start, 1) and _sound(frame):
                yield frame


def _anybodys_frames(data: bytes) -> Iterator[bytes]:
    for at in range(len(data) - REFUSAL + 1):
        for size in (REFUSAL, ECHO, 3 + data[at + 2] + CHECKSUM):
            frame = data[at : at + size]
            if len(frame) == size and _sound(frame):
                yield frame


def _tcp_frames(wanted: Expected, data: bytes) -> Iterator[bytes]:
    while len(data) > MBAP:
        end = MBAP - 1 + int.from_bytes(data[4:6], "big")
        frame, data = data[:end], data[end:]
        if len(frame) < end or end <= MBAP:
            return
        pdu = frame[MBAP:]
        ours = int.from_bytes(frame[:2], "big") == wanted.transaction and not any(frame[2:4])
        if not ours or frame[MBAP - 1] != wanted.unit:
            continue
        if (pdu.startswith(wanted.start) and len(pdu) == wanted.length) or (pdu[:1] == wanted.refusal and len(pdu) > 1):
            yield frame


def _sound(frame: bytes) -> bool:
    """Tell whether an RTU frame's checksum is right."""
    return FramerRTU.compute_CRC(frame[:-CHECKSUM]) == int.from_bytes(frame[-CHECKSUM:], "big")


def _stranger(wanted: Expected, frame: bytes) -> str:
    if frame[0] != wanted.unit:
        return f"an answer of address {frame[0]}"
    return f"an answer to another request (function {frame[1]}, {len(frame)} bytes instead of {wanted.size})"
