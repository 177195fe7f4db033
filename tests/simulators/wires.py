"""The other ends for the tests: a serial line opened with nothing but the system calls, and answers checked by hand."""

from __future__ import annotations

import asyncio
import os
import termios
import tty
from pathlib import Path
from types import TracebackType
from typing import Final, Self

VECTORS: Final = Path(__file__).parent / "vectors"


class SerialLine:
    """A serial device, raw. Reads are collected in ``received``; ``lost`` is set when the line hangs up."""

    def __init__(self, path: str) -> None:
        self.received = b""
        self.lost = asyncio.Event()
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._fd)
        termios.tcflush(self._fd, termios.TCIOFLUSH)
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._fd)
            self.lost.set()
        self.received += data
        self._more.set()

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    async def read(self, count: int, timeout: float = 2.0) -> bytes:  # noqa: ASYNC109 - bounds the test
        """Take ``count`` bytes; what came until the time-out where there are fewer."""
        try:
            async with asyncio.timeout(timeout):
                while len(self.received) < count:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            count = len(self.received)
        data, self.received = self.received[:count], self.received[count:]
        return data

    async def ask(self, request: str, count: int, timeout: float = 2.0) -> str:  # noqa: ASYNC109 - bounds the test
        """Send a request in hexadecimal, return ``count`` bytes of the answer in hexadecimal."""
        self.write(bytes.fromhex(request))
        return (await self.read(count, timeout)).hex().upper()

    async def silent(self, request: str) -> bool:
        """Tell whether a request stays unanswered, for long enough to be sure on a pseudo-terminal."""
        return not await self.ask(request, 1, 0.15)
