"""A terminal's screen for what changes: drawn over, never cleared, and left as it was found."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Final, NoReturn

from agent.cli.context import CommandFailed, OutputClosed, write

#: Alternate screen, no wrapping, no cursor, nothing on it; and all of that taken back (ECMA-48, xterm's private modes).
ENTER: Final = "\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[H\x1b[2J"
LEAVE: Final = "\x1b[?25h\x1b[?7h\x1b[?1049l"
HOME: Final = "\x1b[H"
REST_OF_LINE: Final = "\x1b[K"
BELOW: Final = "\x1b[J"
SIZE: Final = (80, 24)
"""Columns and lines of a terminal that does not tell its own."""
FEWEST: Final = (20, 4)
FOOTER: Final = "  changes show by themselves; q ends"
ENDING: Final = 128
"""Exit status of a signal, without its number, as shells have it."""


def is_terminal() -> bool:
    """Tell whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def size() -> tuple[int, int]:
    """Return columns and lines, as they are now."""
    seen = shutil.get_terminal_size(SIZE)
    return max(seen.columns, FEWEST[0]), max(seen.lines, FEWEST[1])


def frame(text: str, columns: int, lines: int) -> str:
    """Return what draws a text over the one before, without flicker: in one piece, from the top, no line cleared first.

    What is too high loses its blank lines first, then its end, which is said.
    """
    shown = text.rstrip("\n").split("\n")
    room = lines - 1
    if len(shown) > room:
        shown = [one for one in shown if one]
    if len(shown) > room:
        hidden = len(shown) - room + 1
        shown = [*shown[: room - 1], f"  … {hidden} more lines than fit here"]
    shown += [""] * (room - len(shown)) + [FOOTER]
    cut = (one[:columns] for one in shown)
    return HOME + "\r\n".join(one if len(one) == columns else one + REST_OF_LINE for one in cut) + BELOW


class Screen:
    """The screen while something is watched on it; in between it may be stopped (Ctrl-Z) and taken up again."""

    def __init__(self) -> None:
        """Touch nothing yet; without a keyboard only signals end it."""
        self._keys: int | None = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._restore: Callable[[], None] = _nothing

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Take the terminal, and give it back in the end, whatever the end is."""
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)}
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGHUP, _end)
        signal.signal(signal.SIGTSTP, self._stop)
        self._enter()
        try:
            yield
        finally:
            self._leave()
            for number, handler in before.items():
                signal.signal(number, handler)

    def draw(self, text: str) -> None:
        """Show a text instead of the one before. Raises: OutputClosed, CommandFailed."""
        write(frame(text, *size()))

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until a key is pressed; tell whether it was the one that ends."""
        if self._keys is None:
            select.select([], [], [], seconds)
            return False
        ready, _, _ = select.select([self._keys], [], [], seconds)
        if not ready:
            return False
        pressed = os.read(self._keys, 64)
        return not pressed or b"q" in pressed.lower()

    def _enter(self) -> None:
        if self._keys is not None:
            self._restore = partial(termios.tcsetattr, self._keys, termios.TCSADRAIN, termios.tcgetattr(self._keys))
            tty.setcbreak(self._keys, termios.TCSADRAIN)
        write(ENTER)

    def _leave(self) -> None:
        with contextlib.suppress(termios.error, CommandFailed, OutputClosed):  # a terminal that hung up needs nothing
            self._restore()
            write(LEAVE)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        """Give the terminal back while the program is stopped."""
        self._leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(signal.SIGTSTP, self._stop)
        self._enter()


def _nothing() -> None:
    """Restore nothing: nothing was changed."""


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(ENDING + number)
