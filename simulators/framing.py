"""Modbus frames on serial lines and on TCP: requests out of bytes, answers into bytes, and how they are spoilt.

Sources: Modbus over Serial Line V1.02; Modbus Messaging on TCP/IP V1.0b.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Protocol

#: Bytes of a frame on a serial line, at least and at most; what is longer has lost its end.
MIN_FRAME: Final = 4
MAX_FRAME: Final = 256
#: Functions whose requests have eight bytes with address and CRC, and those that have as many as byte 6 says.
FIXED: Final = range(1, 7)
COUNTED: Final = (15, 16)
BYTE_COUNT: Final = 6
#: Transaction, protocol id, length of what follows it, unit (TCP).
HEADER: Final = struct.Struct(">HHHB")
WRONG_PROTOCOL: Final = 0x5555


@dataclass(frozen=True, slots=True)
class Spoilt:
    """What is wrong with a frame: its check (CRC, or the protocol id on TCP), its transaction, its length (TCP)."""

    check: bool = False
    transaction: int = 0
    length: int = 0


def crc16(data: bytes) -> int:
    """Return the CRC of a serial line frame; it is sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """Return a serial line frame: address, PDU, CRC."""
    body = bytes([unit]) + pdu
    return body + struct.pack("<H", crc16(body))


@dataclass(frozen=True, slots=True)
class Request:
    """A request on the wire; the transaction is that of TCP, 0 on serial lines."""

    unit: int
    pdu: bytes
    transaction: int = 0


class Framing(Protocol):
    """How requests and answers stand on a wire; one instance per connection, because it keeps what is incomplete."""

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that became complete."""
        ...

    def silence(self) -> list[Request]:
        """The wire has been quiet for a while: return what was ended by that, drop the rest."""
        ...

    def frame(self, request: Request, unit: int, pdu: bytes) -> bytes:
        """Return the bytes of an answer, or of the request itself."""
        ...

    def spoil(self, frame: bytes, spoilt: Spoilt) -> bytes:
        """Return the bytes of an answer with what is wrong with them."""
        ...


class Rtu:
    """Serial line frames. Their length follows from the function; silence ends those of unknown functions."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests completed by ``data``; a frame with a wrong CRC blocks the line until it is silent."""
        self._buffer = (self._buffer + data)[-2 * MAX_FRAME :]
        found = []
        while (length := self._length()) is not None and len(self._buffer) >= length:
            request = self._take(length)
            if request is None:
                break
            found.append(request)
            self._buffer = self._buffer[length:]
        return found

    def silence(self) -> list[Request]:
        """Take all that is left as one frame, or drop it."""
        left, request = self._buffer, self._take(len(self._buffer))
        self._buffer = b""
        return [request] if request is not None and len(left) <= MAX_FRAME else []

    def frame(self, request: Request, unit: int, pdu: bytes) -> bytes:  # noqa: ARG002 - serial lines have no transactions
        """Return address, PDU and CRC."""
        return rtu_frame(unit, pdu)

    def spoil(self, frame: bytes, spoilt: Spoilt) -> bytes:
        """Return the frame with its last byte inverted where its CRC is to be wrong."""
        return frame[:-1] + bytes([frame[-1] ^ 0xFF]) if spoilt.check else frame

    def _length(self) -> int | None:
        if len(self._buffer) <= 1:
            return None
        if self._buffer[1] in FIXED:
            return 8
        if self._buffer[1] in COUNTED and len(self._buffer) > BYTE_COUNT:
            return 9 + self._buffer[BYTE_COUNT]
        return None

    def _take(self, length: int) -> Request | None:
        frame = self._buffer[:length]
        if length < MIN_FRAME or struct.pack("<H", crc16(frame[:-2])) != frame[-2:]:
            return None
        return Request(frame[0], frame[1:-2])


class Mbap:
    """TCP frames: transaction, protocol id 0, length, unit, PDU."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests completed by ``data``; another protocol id than 0 is skipped."""
        self._buffer += data
        found = []
        while len(self._buffer) >= HEADER.size:
            transaction, protocol, length, unit = HEADER.unpack(self._buffer[: HEADER.size])
            end = HEADER.size - 1 + max(length, 1)
            if len(self._buffer) < end:
                break
            if protocol == 0 and length > 1:
                found.append(Request(unit, self._buffer[HEADER.size : end], transaction))
            self._buffer = self._buffer[end:]
        return found

    def silence(self) -> list[Request]:
        """Do nothing: silence has no meaning on a stream."""
        return []

    def frame(self, request: Request, unit: int, pdu: bytes) -> bytes:
        """Return the answer under the request's transaction."""
        return HEADER.pack(request.transaction, 0, len(pdu) + 1, unit) + pdu

    def spoil(self, frame: bytes, spoilt: Spoilt) -> bytes:
        """Return the frame under a wrong transaction, protocol id or length where it is to have them."""
        transaction, protocol, length, unit = HEADER.unpack(frame[: HEADER.size])
        protocol = WRONG_PROTOCOL if spoilt.check else protocol
        wrong = (transaction + spoilt.transaction) % 0x10000, protocol, (length + spoilt.length) % 0x10000, unit
        return HEADER.pack(*wrong) + frame[HEADER.size :]
