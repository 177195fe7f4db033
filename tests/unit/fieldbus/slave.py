"""A Modbus slave that a test scripts byte by byte, on a pseudo-terminal or a socket, with a checksum of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from agent.fieldbus.line import LineSettings, Transport
from agent.fieldbus.points import Bus

Piece = tuple[float, bytes]
"""Bytes to send, so many seconds after the request (or the piece before)."""
Behaviour = Callable[[bytes, bytes], Iterable[Piece]]
"""(request, honest answer), both as they are on the wire -> what is sent instead."""

BUS = Bus(baudrate=115200, parity="N", stop_bits=1, min_gap_ms=0, timeout_ms=100)


def checksum(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first (Modbus over serial line 1.02, appendix B), bit by bit."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def rtu(body: bytes) -> bytes:
    return body + checksum(body)


def silence(_request: bytes, _honest: bytes) -> list[Piece]:
    return []


def late(seconds: float) -> Behaviour:
    return lambda _request, honest: [(seconds, honest)]


def sends(*pieces: bytes) -> Behaviour:
    return lambda _request, _honest: [(0.0, piece) for piece in pieces]


def refuses(code: int) -> Behaviour:
    return lambda request, _honest: [(0.0, rtu(bytes((request[0], request[1] | 0x80, code))))]


class Slave:
    """Answers for several units; ``script`` holds what it does with the next requests, afterwards it is honest."""

    def __init__(self, words: dict[tuple[int, int], int], *, units: Iterable[int] = (1,), tcp: bool = False) -> None:
        self.words = words
        self.units = frozenset(units)
        self.tcp = tcp
        self.strict = True
        self.script: deque[Behaviour] = deque()
        self.requests: list[bytes] = []
        self.times: list[float] = []
        self.send: Callable[[bytes], None] = lambda _data: None
        self._buffer = b""
        self._timers: list[asyncio.TimerHandle] = []

    def received(self, data: bytes) -> None:
        self._buffer += data
        while (size := self._size()) and len(self._buffer) >= size:
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._serve(request)

    def _send(self, piece: bytes) -> None:
        self.send(piece)

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()

    def _size(self) -> int:
        if self.tcp:
            return 6 + int.from_bytes(self._buffer[4:6], "big") if len(self._buffer) > 6 else 0
        if len(self._buffer) < 8:
            return 0
        return 9 + self._buffer[6] if self._buffer[1] == 16 else 8

    def _serve(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.requests.append(request)
        self.times.append(loop.time())
        behaviour = self.script.popleft() if self.script else None
        unit = request[6] if self.tcp else request[0]
        if behaviour is None and unit not in self.units:
            return
        delay = 0.0
        honest = self._honest(request)
        for wait, piece in [(0.0, honest)] if behaviour is None else behaviour(request, honest):
            delay += wait
            self._timers.append(loop.call_later(delay, self._send, piece))

    def _honest(self, request: bytes) -> bytes:
        if not self.tcp:
            assert request[-2:] == checksum(request[:-2])
            return rtu(request[:1] + self._pdu(request[1:-2]))
        pdu = self._pdu(request[7:])
        return request[:4] + (len(pdu) + 1).to_bytes(2, "big") + request[6:7] + pdu

    def _pdu(self, pdu: bytes) -> bytes:
        function, address, count = pdu[0], int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if function == 5:
            self.words[1, address] = count // 0xFF00
            return pdu
        if function == 6:
            self.words[3, address] = count
            return pdu
        if function == 16:
            self.words |= {
                (3, address + place): int.from_bytes(pdu[6 + 2 * place : 8 + 2 * place]) for place in range(count)
            }
            return pdu[:5]
        found = [self.words.get((function, address + place)) for place in range(count)]
        if self.strict and None in found:
            return bytes((function | 0x80, 2))
        if function < 3:
            bits = sum((bit or 0) << place for place, bit in enumerate(found)).to_bytes((count + 7) // 8, "little")
            return bytes((function, len(bits))) + bits
        return bytes((function, 2 * count)) + b"".join((word or 0).to_bytes(2, "big") for word in found)


class Pty:
    """A pseudo-terminal behind a name that survives it, as a port below /dev does its adapter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master: int | None = None
        self._slave_end: int | None = None

    def plug(self, received: Callable[[bytes], None]) -> None:
        self._master, self._slave_end = os.openpty()
        tty.setraw(self._slave_end)
        os.set_blocking(self._master, False)
        self.path.symlink_to(os.ttyname(self._slave_end))
        asyncio.get_running_loop().add_reader(self._master, self._take, self._master, received)

    def unplug(self) -> None:
        if self._master is None or self._slave_end is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave_end)
        self.path.unlink()
        self._master = self._slave_end = None

    def send(self, data: bytes) -> None:
        if self._master is not None:
            os.write(self._master, data)

    @staticmethod
    def _take(master: int, received: Callable[[bytes], None]) -> None:
        with contextlib.suppress(OSError):
            received(os.read(master, 1024))


@asynccontextmanager
async def on_pty(slave: Slave, folder: Path) -> AsyncIterator[tuple[Pty, LineSettings]]:
    pty = Pty(folder / "ttyUSB0")
    slave.send = pty.send
    pty.plug(slave.received)
    try:
        yield pty, LineSettings(Transport.RTU, str(pty.path)).completed(BUS)
    finally:
        slave.stop()
        pty.unplug()


@asynccontextmanager
async def on_socket(slave: Slave) -> AsyncIterator[tuple[list[asyncio.StreamWriter], LineSettings]]:
    """The slave on a TCP port; the writers of the connections, newest last, are there to be closed by a test."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        slave.send = writer.write
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1024):
                slave.received(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    transport = Transport.TCP if slave.tcp else Transport.RTU_OVER_TCP
    try:
        yield writers, LineSettings(transport, host=host, port=port).completed(BUS)
    finally:
        slave.stop()
        server.close()
        for writer in writers:
            writer.close()
        for writer in writers:
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
