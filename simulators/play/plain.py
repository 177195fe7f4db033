"""The play without a screen: lines in, lines out, to be scripted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Awaitable

from simulators.console import say
from simulators.errors import SimulatorError
from simulators.play.moves import Moves
from simulators.play.news import Who
from simulators.play.world import World


class Plain:
    """Reads lines from standard input, one after another, and prints what happens.

    The end of the input ends the play, after the last line was done. ``failed`` counts the lines that were.
    """

    def __init__(self, world: World, moves: Moves) -> None:
        self.failed = 0
        self._world = world
        self._moves = moves
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()

    async def run(self) -> None:
        """Play until the input ends, somebody quits, or a signal comes."""
        self._world.news.listeners.append(lambda news: say(str(news)))
        threading.Thread(target=self._read, args=(asyncio.get_running_loop(),), daemon=True).start()
        typist = asyncio.create_task(self._obey())
        typist.add_done_callback(lambda _: self._moves.commands.quitting.set())
        await self._moves.commands.quitting.wait()
        typist.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await typist

    async def _obey(self) -> None:
        await self._do(self._opened())
        quitting = self._moves.commands.quitting
        while not quitting.is_set() and (line := await self._lines.get()) is not None:
            await self._do(self._moves.obey(line))

    async def _opened(self) -> str:
        await self._world.open()
        return "the station is up and linked; type help for what can be done"

    async def _do(self, deed: Awaitable[str]) -> None:
        try:
            text = await deed
        except SimulatorError as error:
            self.failed += 1
            self._tell(f"error: {error}", bad=True)
        else:
            self._tell(text)

    def _tell(self, text: str, *, bad: bool = False) -> None:
        for line in text.splitlines():
            self._world.news.tell(Who.PLAY, line, bad=bad)

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read file descriptor 0 in a thread: neither every file nor /dev/null can be waited for by an event loop."""
        left = b""
        with contextlib.suppress(OSError, RuntimeError):  # no standard input; the loop is closed
            while data := os.read(0, 4096):
                *complete, left = (left + data).split(b"\n")
                for line in complete:
                    loop.call_soon_threadsafe(self._lines.put_nowait, line.decode(errors="replace"))
            if left:
                loop.call_soon_threadsafe(self._lines.put_nowait, left.decode(errors="replace"))
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._lines.put_nowait, None)
