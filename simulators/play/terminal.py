"""A terminal that is drawn on: raw, on its alternate screen, and left as it was found."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
import termios
import tty
from collections.abc import Callable
from typing import Any, Final

#: Alternate screen, no wrapping at the edge, pasted text in brackets, no cursor.
ENTER: Final = b"\x1b[?1049h\x1b[?7l\x1b[?2004h\x1b[?25l\x1b[0m\x1b[2J"
#: The same back, a half-sent update ended first.
LEAVE: Final = b"\x1b[?2026l\x1b[0m\x1b[?2004l\x1b[?7h\x1b[?25h\x1b[?1049l"
#: So long a terminal that does not take its bytes is waited for at the end.
LEAVES_S: Final = 1.0
NO_SIZE: Final = (80, 24)


class Terminal:
    """The terminal of the file descriptors 0 and 1; a context manager. Bytes that come in go to ``received``.

    Writing never blocks: while the terminal has not taken the last picture, ``ready`` is False. ``received`` gets
    empty bytes when the terminal is gone.
    """

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        self._modes: list[Any] = []
        self._out = -1
        self._pending = b""
        self._loop = asyncio.get_running_loop()

    @staticmethod
    def possible() -> bool:
        """Whether there is a terminal that can be drawn on."""
        return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") not in {"", "dumb"}

    @property
    def ready(self) -> bool:
        """Whether all that was written is taken."""
        return not self._pending

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows now."""
        try:
            columns, rows = os.get_terminal_size(1)
        except OSError:
            return NO_SIZE
        return (columns, rows) if columns and rows else NO_SIZE

    def __enter__(self) -> Terminal:
        self._modes = termios.tcgetattr(0)
        self._out = _own_descriptor(1)
        try:
            self.resume()
            self._loop.add_reader(0, self._readable)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.remove_reader(0)
        self._loop.remove_writer(self._out)
        self._pending = b""
        with contextlib.suppress(OSError, termios.error):  # the terminal is gone
            self._write_all(LEAVE)
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(0, termios.TCSANOW, self._modes)
            termios.tcflush(0, termios.TCIFLUSH)
        os.close(self._out)

    def resume(self) -> None:
        """Take the terminal (again), after a stop by SIGTSTP for instance."""
        tty.setraw(0, termios.TCSANOW)
        self.write(ENTER)

    def write(self, data: bytes) -> None:
        """Send bytes, as fast as the terminal takes them."""
        self._pending += data
        self._flush()

    def _flush(self) -> None:
        self._loop.remove_writer(self._out)
        try:
            while self._pending:
                self._pending = self._pending[os.write(self._out, self._pending) :]
        except BlockingIOError:
            self._loop.add_writer(self._out, self._flush)
        except OSError:  # hung up
            self._pending = b""
            self._received(b"")

    def _write_all(self, data: bytes) -> None:
        while data and select.select([], [self._out], [], LEAVES_S)[1]:
            data = data[os.write(self._out, data) :]

    def _readable(self) -> None:
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        except OSError:  # hung up
            data = b""
        if not data:
            self._loop.remove_reader(0)
        self._received(data)


def _own_descriptor(descriptor: int) -> int:
    """Return a descriptor of the same terminal that alone does not block: the other one is the shell's, too."""
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # a terminal of another user, after `su` for instance
        return os.dup(descriptor)


def wants_colour() -> bool:
    """Whether the person wants colours (no-color.org)."""
    return not os.environ.get("NO_COLOR")


def speaks_unicode() -> bool:
    """Whether the terminal is said to show more than ASCII."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
