"""A wall to test against: meter, controller with car, card reader, made of plain bytes on pseudo-terminals or sockets.

Written for the tests alone, from the public register lists; shares no code with the agent or the simulators.
"""

from __future__ import annotations

import os
import pty
import select
import socket
import struct
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

METER, BOX = 1, 2


def crc(data: bytes) -> bytes:
    """CRC-16 of Modbus RTU, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return struct.pack("<H", value)


@dataclass
class Car:
    """A car: plugged or not, full or not, drawing what is offered."""

    plugged: bool = False
    full: bool = False

    def draws(self, offered_a: int) -> bool:
        return self.plugged and not self.full and offered_a >= 6


@dataclass
class Wall:
    """One RS-485 line with an SDM630 (unit 1) and an EVSE DIN (unit 2).

    power_w: drawn while charging; speed: energy counts so many times faster than real time;
    mute: units that do not answer; register_wh: of the meter; serial: of the meter. told_kwh: what the meter tells
    instead of its register; refuses: the meter has no input registers, as a gateway says that lost it; deaf: the
    controller confirms writes and ignores them; overlay: registers of the controller that show something else, None for
    those that it does not have.
    """

    car: Car = field(default_factory=Car)
    power_w: float = 11_040.0
    speed: float = 1.0
    register_wh: float = 1_234_567.0
    serial: int = 23_004_711
    commanded: int = 0
    mute: set[int] = field(default_factory=set)
    spoil: str | None = None
    told_kwh: float | None = None
    refuses: bool = False
    deaf: bool = False
    overlay: dict[int, int | None] = field(default_factory=dict)
    writes: list[tuple[float, int]] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _last: float = field(default_factory=time.monotonic)
    _late: bytes = b""

    def tick(self) -> None:
        """Let energy flow up to now."""
        now = time.monotonic()
        if self.charging:
            self.register_wh += self.power_w * (now - self._last) / 3600 * self.speed
        self._last = now

    @property
    def charging(self) -> bool:
        return self.car.draws(self.commanded)

    def read(self, unit: int, function: int, address: int, count: int) -> bytes | None:
        """Return register bytes, None for an address that the device does not have."""
        self.tick()
        image = self._meter(function) if unit == METER else self._box(function)
        words = [image.get(a) for a in range(address, address + count)]
        if any(w is None for w in words):
            return None
        return b"".join(struct.pack(">H", w) for w in words if w is not None)

    def _meter(self, function: int) -> dict[int, int]:
        if function == 3:
            return dict(enumerate(struct.unpack(">3H", struct.pack(">IH", self.serial, 0x70)), 0xFC00))
        amps = self.power_w / 690 if self.charging else 0.0
        watts = self.power_w if self.charging else 0.0
        floats = {0: 230.0, 2: 230.0, 4: 230.0, 6: amps, 8: amps, 10: amps, 12: watts / 3, 14: watts / 3, 16: watts / 3}
        told = self.register_wh / 1000 if self.told_kwh is None else self.told_kwh
        floats |= {52: watts, 62: 1.0, 70: 50.0, 72: told, 74: 0.0, 342: told}
        image: dict[int, int] = dict.fromkeys(range(380), 0)
        for address, number in floats.items():
            image[address], image[address + 1] = struct.unpack(">HH", struct.pack(">f", number))
        return image

    def _box(self, function: int) -> dict[int, int]:
        if function != 3:
            return {}
        state = 1 if not self.car.plugged else 3 if self.charging else 2
        pwm = 2 if self.commanded >= 6 else 1
        offered = self.commanded if self.commanded >= 6 else 0
        first = [self.commanded, offered, state, 32, 0, 17, pwm, int(self.charging), 0, 0]
        image = dict(enumerate(first, 1000)) | dict(enumerate([0, BOX, 5, 1, 0, 0x0209, 0, 0] + [0] * 10, 2000))
        return {a: w for a, w in {**image, **self.overlay}.items() if w is not None}

    def write(self, unit: int, address: int, value: int) -> None:
        self.tick()
        if unit == BOX and address == 1000 and not self.deaf:
            self.commanded = value
            self.writes.append((time.monotonic(), value))

    def answer(self, request: bytes) -> bytes:
        """Return what the line says to a request without CRC (unit, function, …); nothing where nobody answers."""
        with self.lock:
            self.requests.append(request)
            unit, function, address, count = struct.unpack(">BBHH", request[:6])
            if unit not in {METER, BOX} or unit in self.mute:
                return b""
            if function in {3, 4}:
                lost = self.refuses and unit == METER and function == 4
                data = None if lost else self.read(unit, function, address, count)
                if data is None:
                    return bytes([unit, function | 0x80, 2])
                return bytes([unit, function, len(data)]) + data
            if function in {6, 16}:
                self.write(unit, address, count if function == 6 else struct.unpack(">H", request[7:9])[0])
                return request[:6]
            return bytes([unit, function | 0x80, 1])

    def framed(self, request: bytes) -> bytes:
        """Return the answer as it stands on the line, with whatever spoils it."""
        body = self.answer(request)
        if not body:
            return b""
        frame = body + crc(body)
        match self.spoil:
            case "crc":
                return frame[:-1] + bytes([frame[-1] ^ 0xFF])
            case "unit":
                other = bytes([body[0] + 40]) + body[1:]
                return other + crc(other)
            case "garbage":
                return b"\xff\x00\x13garbage" + frame[:5]
            case "late":
                previous, self._late = self._late, frame
                return previous
            case _:
                return frame


def request_length(buffer: bytes) -> int | None:
    """Return the length of the RTU request at the start of a buffer, None where it is not complete."""
    if len(buffer) < 7:
        return None
    length = 9 + buffer[6] if buffer[1] == 16 else 8
    return length if len(buffer) >= length else None


class PtyLine:
    """Serves a wall as RTU on a pseudo-terminal behind a stable path."""

    def __init__(self, wall: Wall, path: Path) -> None:
        self.wall, self.path = wall, path
        self._master = -1
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def plug_in(self) -> None:
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(slave))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(self._master, slave, self._stop), daemon=True)
        self._thread.start()

    def pull_out(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.path.unlink(missing_ok=True)

    def _serve(self, master: int, slave: int, stop: threading.Event) -> None:
        buffer = b""
        while not stop.is_set():
            ready, _, _ = select.select([master], [], [], 0.02)
            if not ready:
                buffer = b""
                continue
            with suppress(OSError):
                buffer += os.read(master, 256)
            while (length := request_length(buffer)) is not None:
                frame, buffer = buffer[:length], buffer[length:]
                if crc(frame[:-2]) == frame[-2:]:
                    os.write(master, self.wall.framed(frame[:-2]))
        os.close(slave)
        os.close(master)


class TcpLine:
    """Serves a wall over TCP, as Modbus TCP or as RTU frames in a stream."""

    def __init__(self, wall: Wall, *, rtu: bool = False) -> None:
        self.wall, self.rtu = wall, rtu
        self.peers: list[socket.socket] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.server.close()

    def reset(self) -> None:
        """Cut every connection with a reset."""
        peers, self.peers = self.peers, []
        for peer in peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                self.peers.append(peer)
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        buffer = b""
        with suppress(OSError), peer:
            while data := peer.recv(512):
                buffer += data
                buffer = self._take(peer, buffer)

    def _take(self, peer: socket.socket, buffer: bytes) -> bytes:
        if self.rtu:
            while (length := request_length(buffer)) is not None:
                frame, buffer = buffer[:length], buffer[length:]
                peer.sendall(self.wall.framed(frame[:-2]))
            return buffer
        while len(buffer) >= 7 and len(buffer) >= 6 + struct.unpack(">H", buffer[4:6])[0]:
            length = 6 + struct.unpack(">H", buffer[4:6])[0]
            header, body, buffer = buffer[:4], buffer[6:length], buffer[length:]
            if reply := self.wall.answer(body):
                peer.sendall(header + struct.pack(">H", len(reply)) + reply)
        return buffer


class CardReader:
    """An RDM6300 on a pseudo-terminal: 14 bytes, repeated while a card is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._master, self._slave = -1, -1

    def plug_in(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))

    def pull_out(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self._master)

    def tap(self, uid: str, repeats: int = 3) -> None:
        check = 0
        for byte in bytes.fromhex(uid):
            check ^= byte
        for n in range(repeats):
            if n:
                time.sleep(0.07)
            self.noise(b"\x02" + uid.encode() + f"{check:02X}".encode() + b"\x03")

    def noise(self, data: bytes) -> None:
        os.write(self._master, data)


@contextmanager
def plugged(line: PtyLine | CardReader) -> Iterator[None]:
    """Plug a device in for a block."""
    line.plug_in()
    try:
        yield
    finally:
        line.pull_out()
