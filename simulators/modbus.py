"""Modbus slaves without a wire: bytes of requests in, timed bytes of answers out, with the faults of a bad line.

Sources: Modbus Application Protocol V1.1b3; Modbus over Serial Line V1.02; Modbus Messaging on TCP/IP V1.0b.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, Protocol, runtime_checkable

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
READ_HOLDING: Final = 3
READ_INPUT: Final = 4
BROADCAST: Final = 0
MAX_READ: Final = 125
MAX_WRITE: Final = 123
MAX_COILS: Final = 2000
COIL_ON: Final = 0xFF00
ADDRESSES: Final = 0x10000
#: Bytes of a frame on a serial line, at least and at most; what is longer has lost its end.
MIN_FRAME: Final = 4
MAX_FRAME: Final = 256
#: Functions whose requests have eight bytes with address and CRC, and those that have as many as byte 6 says.
FIXED: Final = range(1, 7)
COUNTED: Final = (15, 16)
BYTE_COUNT: Final = 6
#: Transaction, protocol id, length of what follows it, unit (TCP).
HEADER: Final = struct.Struct(">HHHB")
#: Address and count, or address and value.
PAIR: Final = struct.Struct(">HH")


class Refused(Exception):
    """The device answers a request with an exception: 1 function, 2 address, 3 value."""

    def __init__(self, code: int) -> None:
        super().__init__(f"modbus exception {code}")
        self.code = code


@dataclass(slots=True)
class Faults:
    """What is wrong with the answers of one unit; each fault stays until it is cleared.

    silent: nothing is executed or answered. delay_s: the answer comes so much later. exception: the code that is
    answered to everything, nothing is executed. unit: the address the answers carry instead of the own one. bad_crc:
    the last byte is wrong (on TCP: the protocol id). before, after: bytes around each answer. keep: so many bytes of it
    are sent. late: each answer is kept back until the next request. stray: each answer is sent twice. times: after so
    many requests all of it ends; an answer that is kept back still comes.
    """

    silent: bool = False
    delay_s: float = 0.0
    exception: int | None = None
    unit: int | None = None
    bad_crc: bool = False
    before: bytes = b""
    after: bytes = b""
    keep: int | None = None
    late: bool = False
    stray: bool = False
    times: int | None = None
    kept: bytes = field(default=b"", init=False)

    def clear(self) -> None:
        """Be a healthy unit again."""
        healthy = Faults()
        for each in fields(self):
            setattr(self, each.name, getattr(healthy, each.name))

    def count(self) -> None:
        """One more request has met these faults."""
        if self.times is not None:
            self.times -= 1
            if self.times <= 0:
                kept = self.kept
                self.clear()
                self.kept = kept


class Device(Protocol):
    """What sits behind a unit address. Both methods raise Refused; the function of a read is 3 or 4."""

    faults: Faults

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        """Return ``count`` 16-bit words from a zero-based address on."""
        ...

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Take words from a zero-based address on."""
        ...


@runtime_checkable
class Bits(Protocol):
    """A device with coils, too (functions 1 and 5)."""

    def read_bits(self, address: int, count: int) -> Sequence[bool]:
        """Return ``count`` coils from a zero-based address on."""
        ...

    def write_bit(self, address: int, on: bool) -> None:
        """Set one coil."""
        ...


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


def execute(device: Device, pdu: bytes) -> bytes:
    """Return the answer PDU of a device to a request PDU of at least one byte; never raises."""
    try:
        return pdu[:1] + _execute(device, pdu[0], pdu[1:])
    except Refused as refusal:
        return bytes([pdu[0] | 0x80, refusal.code])


def _execute(device: Device, function: int, body: bytes) -> bytes:
    match function:
        case 3 | 4:
            address, count = _span(body, MAX_READ)
            words = device.read_words(function, address, count)
            return bytes([2 * count]) + struct.pack(f">{count}H", *words)
        case 6:
            device.write_words(*_single(body))
            return body
        case 16:
            device.write_words(*_block(body))
            return body[:4]
        case 1 if isinstance(device, Bits):
            address, count = _span(body, MAX_COILS)
            bits = device.read_bits(address, count)
            packed = sum(1 << place for place, on in enumerate(bits) if on).to_bytes((count + 7) // 8, "little")
            return bytes([len(packed)]) + packed
        case 5 if isinstance(device, Bits):
            address, value = _pair(body)
            if value not in {0, COIL_ON}:
                raise Refused(ILLEGAL_VALUE)
            device.write_bit(address, value == COIL_ON)
            return body
        case _:
            raise Refused(ILLEGAL_FUNCTION)


def _pair(body: bytes) -> tuple[int, int]:
    if len(body) != PAIR.size:
        raise Refused(ILLEGAL_VALUE)
    first, second = PAIR.unpack(body)
    return first, second


def _span(body: bytes, most: int) -> tuple[int, int]:
    address, count = _pair(body)
    if not 1 <= count <= most:
        raise Refused(ILLEGAL_VALUE)
    if address + count > ADDRESSES:
        raise Refused(ILLEGAL_ADDRESS)
    return address, count


def _single(body: bytes) -> tuple[int, tuple[int, ...]]:
    address, value = _pair(body)
    return address, (value,)


def _block(body: bytes) -> tuple[int, tuple[int, ...]]:
    address, count = _span(body[: PAIR.size], MAX_WRITE)
    words = body[PAIR.size + 1 :]
    if len(words) != 2 * count or body[PAIR.size] != len(words):
        raise Refused(ILLEGAL_VALUE)
    return address, struct.unpack(f">{count}H", words)


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
        """Return the bytes of an answer."""
        ...

    def spoil(self, frame: bytes) -> bytes:
        """Return the bytes of an answer that was damaged on its way."""
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

    def spoil(self, frame: bytes) -> bytes:
        """Return the frame with its last byte inverted."""
        return frame[:-1] + bytes([frame[-1] ^ 0xFF])

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

    def spoil(self, frame: bytes) -> bytes:
        """Return the frame under a wrong protocol id."""
        return frame[:2] + b"\x55\x55" + frame[4:]


class Line:
    """The units of one wire. Addresses that are not there stay silent, a broadcast is executed and not answered."""

    def __init__(self, devices: Mapping[int, Device]) -> None:
        self.devices = dict(devices)

    def answer(self, request: Request, framing: Framing) -> list[tuple[float, bytes]]:
        """Return what is sent because of a request: seconds to wait, and bytes."""
        if request.unit == BROADCAST:
            for listener in self.devices.values():
                if not listener.faults.silent:
                    execute(listener, request.pdu)
            return []
        device = self.devices.get(request.unit)
        if device is None or not request.pdu:
            return []
        faults = device.faults
        try:
            return [] if faults.silent else self._faulty(device, request, framing)
        finally:
            faults.count()

    def _faulty(self, device: Device, request: Request, framing: Framing) -> list[tuple[float, bytes]]:
        faults = device.faults
        if faults.exception is None:
            pdu = execute(device, request.pdu)
        else:
            pdu = bytes([request.pdu[0] | 0x80, faults.exception])
        frame = framing.frame(request, request.unit if faults.unit is None else faults.unit, pdu)
        frame = framing.spoil(frame) if faults.bad_crc else frame
        data = faults.before + frame[: faults.keep] + faults.after
        late, faults.kept = faults.kept, data if faults.late else b""
        sent = [late] if late else []
        if not faults.late:
            sent += [data] * (2 if faults.stray else 1)
        return [(faults.delay_s, each) for each in sent]
