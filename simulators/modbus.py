"""Modbus slaves without a wire: bytes of requests in, timed bytes of answers out, with the faults of a bad line.

Source: Modbus Application Protocol V1.1b3. The frames are in ``framing``.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Final, Protocol, runtime_checkable

from simulators.framing import Framing, Request, Spoilt

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
READ_HOLDING: Final = 3
READ_INPUT: Final = 4
BROADCAST: Final = 0
MAX_UNIT: Final = 247
EXCEPTION: Final = 0x80
MAX_READ: Final = 125
MAX_WRITE: Final = 123
MAX_COILS: Final = 2000
COIL_ON: Final = 0xFF00
ADDRESSES: Final = 0x10000
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

    Nothing is heard: silent: nothing is executed or answered. reset: neither, and TCP connections are cut. gap_s: a
    request that comes sooner than so long after the one before, to whom ever that was, is not heard.
    The wrong answer: exception: the code that is answered to everything, nothing is executed. unit: the address the
    answers carry instead of the own one. function: the function that they carry. fewer: so many registers are missing
    at the end of a read, and the byte count fits that. transaction: TCP answers carry one that is so much higher.
    length: TCP answers say that they are so much longer.
    The wrong bytes: bad_crc: the last byte is wrong (on TCP: the protocol id). before, after: bytes around each answer.
    keep: so many bytes of it are sent. garbage: so many random bytes instead of it. echo: the request comes back before
    the answer. stray: each answer is sent twice.
    The wrong time: delay_s: the answer comes so much later. late: each answer is kept back until the next request.
    slow_s: so long between the bytes of an answer. flaky: so many per cent of the answers are lost.
    times: after so many requests all of it ends; an answer that is kept back still comes.
    """

    silent: bool = False
    reset: bool = False
    gap_s: float = 0.0
    exception: int | None = None
    unit: int | None = None
    function: int | None = None
    fewer: int = 0
    transaction: int = 0
    length: int = 0
    bad_crc: bool = False
    before: bytes = b""
    after: bytes = b""
    keep: int | None = None
    garbage: int = 0
    echo: bool = False
    stray: bool = False
    delay_s: float = 0.0
    late: bool = False
    slow_s: float = 0.0
    flaky: float = 0.0
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


@runtime_checkable
class Hearing(Protocol):
    """A device that takes notice of every frame for it, and may be too fast asleep to answer."""

    def hears(self) -> bool:
        """Take notice of a frame, whatever is in it; return whether it is executed and answered."""
        ...


def execute(device: Device, pdu: bytes) -> bytes:
    """Return the answer PDU of a device to a request PDU of at least one byte; never raises."""
    try:
        return pdu[:1] + _execute(device, pdu[0], pdu[1:])
    except Refused as refusal:
        return bytes([pdu[0] | EXCEPTION, refusal.code])


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


class Line:
    """The units of one wire. Addresses that are not there stay silent, a broadcast is executed and not answered."""

    def __init__(self, devices: Mapping[int, Device]) -> None:
        self.devices = dict(devices)
        self._last_at: float | None = None

    def resets(self, request: Request) -> bool:
        """Return whether the unit of a request answers it by cutting the connection."""
        device = self.devices.get(request.unit)
        return device is not None and device.faults.reset

    def answer(self, request: Request, framing: Framing, now: float | None = None) -> list[tuple[float, bytes]]:
        """Return what is sent because of a request that came at a time: seconds to wait, and bytes."""
        since_s = self._since(now)
        if request.unit == BROADCAST:
            for listener in self.devices.values():
                if not listener.faults.silent and _hears(listener):
                    execute(listener, request.pdu)
            return []
        device = self.devices.get(request.unit)
        if device is None or not request.pdu:
            return []
        faults = device.faults
        deaf = faults.silent or faults.reset or since_s < faults.gap_s
        try:
            return [] if deaf or not _hears(device) else _faulty(device, request, framing)
        finally:
            faults.count()

    def _since(self, now: float | None) -> float:
        last_at, self._last_at = self._last_at, now
        return math.inf if now is None or last_at is None else now - last_at


def _hears(device: Device) -> bool:
    return device.hears() if isinstance(device, Hearing) else True


def _faulty(device: Device, request: Request, framing: Framing) -> list[tuple[float, bytes]]:
    """Execute a request and return the answer as the faults of its unit leave it."""
    faults = device.faults
    pdu = _wrong_answer(device, request.pdu)
    spoilt = Spoilt(faults.bad_crc, faults.transaction, faults.length)
    frame = framing.spoil(framing.frame(request, request.unit if faults.unit is None else faults.unit, pdu), spoilt)
    if faults.garbage:
        frame = random.randbytes(faults.garbage)
    echo = framing.frame(request, request.unit, request.pdu) if faults.echo else b""
    data = echo + faults.before + frame[: faults.keep] + faults.after
    late, faults.kept = faults.kept, data if faults.late else b""
    sent = [late] if late else []
    if not faults.late and random.random() * 100 >= faults.flaky:
        sent += [data] * (2 if faults.stray else 1)
    return [timed for each in sent for timed in _timed(each, faults)]


def _wrong_answer(device: Device, request: bytes) -> bytes:
    faults = device.faults
    if faults.exception is not None:
        return bytes([request[0] | EXCEPTION, faults.exception])
    pdu = execute(device, request)
    if faults.fewer and pdu[0] in {READ_HOLDING, READ_INPUT}:
        size = max(0, pdu[1] - 2 * faults.fewer)
        pdu = bytes([pdu[0], size]) + pdu[2 : 2 + size]
    return pdu if faults.function is None else bytes([faults.function]) + pdu[1:]


def _timed(data: bytes, faults: Faults) -> list[tuple[float, bytes]]:
    if not faults.slow_s:
        return [(faults.delay_s, data)]
    return [(faults.delay_s + place * faults.slow_s, data[place : place + 1]) for place in range(len(data))]
