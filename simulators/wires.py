"""What a program under test opens: a pseudo-terminal with a stable name, or a TCP port; both can be unplugged."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from simulators.errors import Misuse

#: A real port's buffer is overrun when nobody reads; so much may wait on a pseudo-terminal before it is dropped.
UNREAD_LIMIT: Final = 1024


class LinkRefused(Misuse):
    """The path for the symbolic link is taken by something that is no symbolic link."""


#: Called with what sends to the program under test, returns what takes the bytes that come from it.
Connect: TypeAlias = Callable[[Callable[[bytes], None]], Callable[[bytes], None]]


class Pty:
    """One end of a serial line. The other end is the pseudo-terminal that ``path`` names.

    connect: called at each plugging in, like a new connection. link: a symbolic link to the pseudo-terminal, made anew
    at each plugging in and removed at each unplugging; without it the path changes each time.
    """

    def __init__(self, connect: Connect, link: Path | str | None = None) -> None:
        self._connect = connect
        self._received: Callable[[bytes], None] | None = None
        self._link = None if link is None else Path(link)
        self._master = self._slave = -1
        self._name = ""

    @property
    def plugged(self) -> bool:
        """Whether there is a terminal."""
        return self._master >= 0

    @property
    def path(self) -> str:
        """The name to open: the link where there is one, the terminal's otherwise; empty while unplugged."""
        return self._name if self._link is None else str(self._link)

    def plug(self) -> None:
        """Make the terminal, raw and without echo, and the link. Needs a running loop; raises LinkRefused, OSError."""
        if self.plugged:
            return
        if self._link is not None and self._link.exists() and not self._link.is_symlink():
            raise LinkRefused(f"{self._link} exists and is no symbolic link")
        self._master, self._slave = os.openpty()  # the slave stays open here too: a reader that leaves is no hang-up
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._name = os.ttyname(self._slave)
        if self._link is not None:
            self._point(self._link)
        self._received = self._connect(self.write)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _point(self, link: Path) -> None:
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._name)
        fresh.replace(link)

    def unplug(self) -> None:
        """Hang up: who has the terminal open gets EIO, the link is gone. Does nothing when unplugged."""
        if not self.plugged:
            return
        if self._link is not None and self._link.is_symlink() and str(self._link.readlink()) == self._name:
            self._link.unlink()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = -1
        self._name = ""

    def write(self, data: bytes) -> None:
        """Send bytes. What does not fit, or waits unread for long, is lost as on a real port."""
        if not self.plugged:
            return
        (unread,) = struct.unpack("i", fcntl.ioctl(self._slave, termios.FIONREAD, b"\0" * 4))
        if unread > UNREAD_LIMIT:
            termios.tcflush(self._slave, termios.TCIFLUSH)
        try:
            os.write(self._master, data)
        except BlockingIOError:
            return

    def _readable(self) -> None:
        try:
            data = os.read(self._master, 4096)
        except BlockingIOError:
            return
        if self._received is not None:
            self._received(data)


class TcpPort:
    """A listening port. connect: called for each connection; port: 0 for any, then ``port`` tells which."""

    def __init__(self, connect: Connect, host: str, port: int) -> None:
        self._connect = connect
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    async def plug(self) -> None:
        """Listen; on the same port again after unplugging. Raises OSError where it is taken."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self._host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def unplug(self) -> None:
        """Stop listening and cut all connections."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for writer in self._connections:
            writer.transport.abort()
        await asyncio.gather(*filter(None, self._connections.values()))
        await server.wait_closed()

    def cut(self) -> None:
        """Reset all connections (RST) and go on listening."""
        for writer in self._connections:
            if (end := writer.get_extra_info("socket")) is not None:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def write(self, data: bytes) -> None:
        """Send bytes to everybody who is connected."""
        for writer in self._connections:
            writer.write(data)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections[writer] = asyncio.current_task()
        received = self._connect(lambda data: None if writer.is_closing() else writer.write(data))
        if self._server is None:  # accepted while the cable was pulled
            writer.transport.abort()
        try:
            while data := await reader.read(4096):
                received(data)
        except ConnectionError:
            return
        finally:
            del self._connections[writer]
            writer.close()
