"""Modbus units on a real wire: a pseudo-terminal, TCP, or serial frames over TCP."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from simulators.framing import Framing, Mbap, Request, Rtu
from simulators.modbus import Device, Line
from simulators.wires import Pty, TcpPort

#: Ends a frame of unknown length. 3.5 characters by the standard, far more here: a loaded machine splits writes, too.
SILENCE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a bus is found: on a pseudo-terminal, with a symbolic link to it where there is ``link``.

    host: TCP instead, on ``port`` (0: any). serial: RTU frames over TCP.
    """

    link: Path | str | None = None
    host: str | None = None
    port: int = 0
    serial: bool = False


PTY: Final = Endpoint()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what was answered; empty: nothing."""

    request: Request
    answers: tuple[bytes, ...]


class Bus:
    """Units behind one wire; an asynchronous context manager that plugs it in and out.

    devices: unit address -> device, to be changed through ``line.devices`` at any time. baudrate: delays each answer by
    the time that request and answer take on a real line; 0: no delay.

    >>> async with Bus({1: Meter()}) as bus:
    ...     open_serial_port(bus.path)
    ...     await bus.unplug()
    """

    def __init__(self, devices: Mapping[int, Device], endpoint: Endpoint = PTY, *, baudrate: int = 0) -> None:
        self.line = Line(devices)
        #: The last requests with their answers, oldest first.
        self.trace: deque[Exchange] = deque(maxlen=10_000)
        self._baudrate = baudrate
        self._framing: type[Mbap | Rtu] = Rtu if endpoint.host is None or endpoint.serial else Mbap
        self._timers: set[asyncio.TimerHandle] = set()
        self._wire: Pty | TcpPort
        if endpoint.host is None:
            self._wire = Pty(self._connect, endpoint.link)
        else:
            self._wire = TcpPort(self._connect, endpoint.host, endpoint.port)

    async def __aenter__(self) -> Self:
        await self.replug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unplug()

    @property
    def path(self) -> str:
        """The serial device to open; changes with each plugging in unless there is a link. Empty on TCP."""
        return self._wire.path if isinstance(self._wire, Pty) else ""

    @property
    def port(self) -> int:
        """The TCP port; 0 on a pseudo-terminal."""
        return self._wire.port if isinstance(self._wire, TcpPort) else 0

    @property
    def wire(self) -> str:
        """What it is: "pty", "tcp" for Modbus TCP, "rtu-over-tcp"."""
        if isinstance(self._wire, Pty):
            return "pty"
        return "tcp" if self._framing is Mbap else "rtu-over-tcp"

    async def unplug(self) -> None:
        """Pull the cable: who has the terminal open gets EIO, TCP connections are cut, answers under way are lost."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if isinstance(self._wire, TcpPort):
            await self._wire.unplug()
        else:
            self._wire.unplug()

    async def replug(self) -> None:
        """Put it back, under the same link or port."""
        if isinstance(self._wire, TcpPort):
            await self._wire.plug()
        else:
            self._wire.plug()

    def inject(self, data: bytes) -> None:
        """Send bytes that nobody asked for, to all that listen."""
        self._wire.write(data)

    def _connect(self, send: Callable[[bytes], None]) -> Callable[[bytes], None]:
        framing: Framing = self._framing()
        quiet: asyncio.TimerHandle | None = None

        def received(data: bytes) -> None:
            nonlocal quiet
            if quiet is not None:
                quiet.cancel()
                self._timers.discard(quiet)
            self._answer(framing.feed(data), framing, send)
            quiet = self._after(SILENCE_S, lambda: self._answer(framing.silence(), framing, send))

        return received

    def _answer(self, requests: list[Request], framing: Framing, send: Callable[[bytes], None]) -> None:
        for request in requests:
            resets = self.line.resets(request)
            answers = self.line.answer(request, framing, asyncio.get_running_loop().time())
            if resets and isinstance(self._wire, TcpPort):
                self._wire.cut()
            self.trace.append(Exchange(request, tuple(data for _, data in answers)))
            for delay_s, data in answers:
                self._send_after(delay_s + self._on_the_line(len(request.pdu) + 3 + len(data)), data, send)

    def _on_the_line(self, characters: int) -> float:
        return characters * 10 / self._baudrate if self._baudrate else 0.0

    def _send_after(self, delay_s: float, data: bytes, send: Callable[[bytes], None]) -> None:
        if delay_s > 0:
            self._after(delay_s, lambda: send(data))
        else:
            send(data)

    def _after(self, delay_s: float, action: Callable[[], None]) -> asyncio.TimerHandle:
        def due() -> None:
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay_s, due)
        self._timers.add(timer)
        return timer
