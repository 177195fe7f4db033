"""A tty as an async stream of bytes, without a thread: for card readers and controllers that speak text."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import serial

from agent.fieldbus.line import LineSettings, PortLost

BUFFER: Final = 4096
"""Bytes kept for a reader that is slow to fetch them; older ones are dropped."""
CHECK_PLUG: Final = "check that the adapter is plugged in, and its name in /dev/serial/by-id"

#: What an error number of opening a port means, and what to do.
OPENING: Final = {
    errno.ENOENT: f"the port is not there; {CHECK_PLUG}",
    errno.ENODEV: f"the port has no adapter; {CHECK_PLUG}",
    errno.ENXIO: f"the port has no adapter; {CHECK_PLUG}",
    errno.EIO: f"the port has lost its adapter; {CHECK_PLUG}",
    errno.EACCES: "no permission to open the port; add the user of this program to the group dialout",
    errno.EPERM: "no permission to open the port; add the user of this program to the group dialout",
    errno.EAGAIN: "the port is in use by another program; stop that, or give each its own port",
    errno.EBUSY: "the port is in use by another program; stop that, or give each its own port",
}
PSEUDO_TERMINALS: Final = Path("/dev/pts")
REFUSES: Final = "the port refuses the line settings"


def parity_at(path: str, parity: str | None) -> str:
    """Return the parity to open a port with: a pseudo-terminal has no parity bit, and the C library refuses one."""
    pseudo = Path(path).resolve().parent == PSEUDO_TERMINALS
    return "N" if pseudo else parity or "N"


def port_trouble(path: str) -> str:
    """Return why a port cannot be opened, with what to do; tries to open it, and closes it again."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        return OPENING.get(error.errno or 0, f"the port cannot be opened ({error.strerror})")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return REFUSES if os.isatty(descriptor) else "this is no serial port"
    except OSError as error:
        return OPENING.get(error.errno or 0, f"the port cannot be locked ({error.strerror})")
    finally:
        os.close(descriptor)


class SerialStream:
    """The bytes of a tty, both ways; raw mode, exclusive, what had arrived before it was opened is dropped."""

    def __init__(self, line: LineSettings) -> None:
        """Read from ``line``, completed; opens nothing."""
        self._line = line
        self._arrived = asyncio.Event()
        self._buffer = bytearray()
        self._lost = False
        self._port: serial.Serial | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the port open. Raises: PortLost, with the cause and what to do."""
        port = self._port = self._open()
        descriptor = port.fileno()
        loop = asyncio.get_running_loop()
        self._buffer.clear()
        self._arrived.clear()
        self._lost = False
        loop.add_reader(descriptor, self._take, descriptor)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)
            self._port = None
            port.close()

    async def read(self, within_s: float | None) -> bytes:
        """Return what has arrived since the last call, waiting for the first byte.

        within_s: wait at most so long and return nothing then; None: for ever. Raises: PortLost when the port breaks.
        Cancellation loses no byte.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._arrived.wait()
        data = bytes(self._buffer)
        if self._lost and not data:
            raise PortLost(f"{self._line.name}: the port went away; {CHECK_PLUG}")
        self._buffer.clear()
        if not self._lost:
            self._arrived.clear()
        return data

    def write(self, data: bytes) -> None:
        """Send what the port takes at once, which is far more than a command has. Raises: PortLost.

        What a blocked port does not take is lost, as what the wire loses: the answer will be missing.
        """
        if self._port is None or not data:
            return
        try:
            with contextlib.suppress(BlockingIOError):
                os.write(self._port.fileno(), data)
        except OSError as error:
            raise PortLost(f"{self._line.name}: the port went away; {CHECK_PLUG}") from error

    def _open(self) -> serial.Serial:
        path = self._line.device or ""
        try:
            return serial.Serial(
                path,
                baudrate=self._line.baudrate or 9600,
                parity=parity_at(path, self._line.parity),
                stopbits=self._line.stopbits or 1,
                timeout=0,
                exclusive=True,
            )
        except termios.error as error:
            raise PortLost(f"{self._line.name}: {REFUSES}") from error
        except (serial.SerialException, ValueError, OSError) as error:
            raise PortLost(f"{self._line.name}: {port_trouble(path)}") from error

    def _take(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, BUFFER)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._buffer += data
            del self._buffer[:-BUFFER]
        else:
            self._lost = True
            asyncio.get_running_loop().remove_reader(descriptor)
        self._arrived.set()
