"""The play on a terminal: keys in, pictures out."""

from __future__ import annotations

import asyncio
import contextlib
import io
import signal
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from simulators.errors import SimulatorError
from simulators.play.canvas import Painter
from simulators.play.keyboard import Key, Keyboard, Prompt
from simulators.play.moves import KEYS, Moves
from simulators.play.news import Who
from simulators.play.terminal import Terminal, speaks_unicode, wants_colour
from simulators.play.view import Overlay, Scene, picture
from simulators.play.world import World

#: At most so many seconds between two pictures, at least so many.
SLOWEST_S, FASTEST_S = 0.25, 0.04
#: A lone Escape is one when nothing has followed for so long.
ESCAPE_S: Final = 0.05
#: An answer with more lines than that is laid over everything.
MOST_LINES: Final = 3
ENDING: Final = frozenset({"interrupt", "end-of-input"})


class Screen:
    """Shows both sides live and obeys keys and typed lines until somebody quits, a signal comes, the terminal goes."""

    def __init__(self, world: World, moves: Moves) -> None:
        self._world = world
        self._moves = moves
        self._keyboard = Keyboard()
        self._prompt = Prompt()
        self._overlay: Overlay | None = None
        self._painter = Painter(colour=wants_colour(), unicode=speaks_unicode())
        self._due = asyncio.Event()
        self._deeds: set[asyncio.Task[None]] = set()
        self._terminal = Terminal(self._typed)
        self._escape: asyncio.TimerHandle | None = None
        self._defect: BaseException | None = None

    @staticmethod
    def possible() -> bool:
        """Whether there is a terminal for it."""
        return Terminal.possible()

    async def run(self) -> None:
        """Play; the terminal is as before when it returns or raises."""
        quitting = self._moves.commands.quitting
        ended = asyncio.create_task(quitting.wait())
        self._world.news.listeners.append(lambda _: self._due.set())
        stray = Stray(lambda text: self._world.news.tell(Who.PLAY, text, bad=True))
        try:
            with contextlib.redirect_stderr(stray), self._terminal, self._signals():
                self._do(self._opened())
                while not quitting.is_set():
                    self._draw()
                    await self._pause(ended)
        finally:
            await _drop({ended, *self._deeds})
        if self._defect is not None:
            raise self._defect

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._due.set)
        loop.add_signal_handler(signal.SIGCONT, self._resumed)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)
            loop.remove_signal_handler(signal.SIGCONT)

    async def _pause(self, ended: asyncio.Task[bool]) -> None:
        """Wait until there is something new to draw, or the clock has moved; never draw faster than eyes."""
        self._due.clear()
        due = asyncio.create_task(self._due.wait())
        await asyncio.wait({due, ended}, timeout=SLOWEST_S, return_when=asyncio.FIRST_COMPLETED)
        due.cancel()
        if not ended.done():
            await asyncio.sleep(FASTEST_S)

    def _draw(self) -> None:
        if self._terminal.ready:  # else the next round draws what is new then
            scene = Scene(self._prompt, self._moves.chosen, datetime.now(UTC), self._overlay)
            self._terminal.write(self._painter.paint(picture(self._world, scene, self._terminal.size)))

    def _resumed(self) -> None:
        self._terminal.resume()
        self._painter.forget()
        self._due.set()

    # -- keys

    def _typed(self, data: bytes) -> None:
        if not data:  # the terminal is gone
            self._moves.commands.quitting.set()
            return
        if self._escape is not None:
            self._escape.cancel()
        for key in self._keyboard.feed(data):
            self._press(key)
        if self._keyboard.waits:
            self._escape = asyncio.get_running_loop().call_later(ESCAPE_S, self._silence)
        self._due.set()

    def _silence(self) -> None:
        for key in self._keyboard.silence():
            self._press(key)
        self._due.set()

    def _press(self, key: Key) -> None:
        if key.name == "redraw":
            self._painter.forget()
        elif self._overlay is not None:
            self._press_over(key, self._overlay)
        elif self._prompt.open:
            line = self._prompt.press(key)
            if line is not None and line.strip():
                self._do(self._moves.obey(line))
        else:
            self._press_alone(key)

    def _press_over(self, key: Key, overlay: Overlay) -> None:
        height = self._terminal.size[1] - 1
        rows = {"up": -1, "down": 1}.get(key.name, height if key.text == " " else 0)
        moved = overlay.moved(rows, height)
        self._overlay = moved if rows and moved.first != overlay.first else None if not rows else overlay

    def _press_alone(self, key: Key) -> None:
        """Take a key while nothing is typed: most stand for a line."""
        if key.name in ENDING:
            self._moves.commands.quitting.set()
        elif key.name == "tab":
            self._moves.chosen = self._moves.chosen % len(self._world.places) + 1
        elif key.name == "paste":
            self._prompt.begin(key.text)
        elif key.name == "enter" or key.text in {":", "/"}:
            self._prompt.begin()
        elif key.text in KEYS:
            self._stand_for(KEYS[key.text])

    def _stand_for(self, line: str) -> None:
        if line.endswith(" "):
            self._prompt.begin(line)
        else:
            self._do(self._moves.obey(line))

    # -- deeds

    def _do(self, deed: Awaitable[str]) -> None:
        task = asyncio.create_task(self._done(deed))
        self._deeds.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._deeds.discard(task)
        self._due.set()
        if not task.cancelled() and task.exception() is not None:  # a defect: end, and let it be seen
            self._defect = task.exception()
            self._moves.commands.quitting.set()

    async def _opened(self) -> str:
        await self._world.open()
        return (
            "the station is up and linked; p plugs the car in, 1 holds the fleet card to the reader, ? lists all keys"
        )

    async def _done(self, deed: Awaitable[str]) -> None:
        try:
            text = await deed
        except SimulatorError as error:
            self._tell(str(error), bad=True)
            return
        lines = text.splitlines()
        if len(lines) > MOST_LINES:
            self._overlay = Overlay(tuple(lines))
        else:
            self._tell(text)

    def _tell(self, text: str, *, bad: bool = False) -> None:
        for line in text.splitlines():
            self._world.news.tell(Who.PLAY, line, bad=bad)


async def _drop(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Stray(io.TextIOBase):
    """Takes what would be printed over the picture, a library's warning for instance, and tells it line by line."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._left = ""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Take a text; lines are told when they are whole."""
        *lines, self._left = (self._left + text).split("\n")
        for line in filter(str.strip, lines):
            self._tell(line)
        return len(text)
