"""Line commands for a person at the keyboard and for scripts on a Unix socket, and the life of such a program."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from simulators.errors import Misuse, SimulatorError

#: An answer to a line: text, nothing, or either of them later.
Answer = str | None | Awaitable[str | None]
#: No quantity of a wallbox is larger.
LARGEST: Final = 1e12
STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Command:
    """usage: what follows the name. purpose: one line for ``help``. action: takes the words that followed.

    topic: heading that ``help`` lists it under. details: more rows of ``help``, what may follow the name and what it
    means.
    """

    usage: str
    purpose: str
    action: Callable[[list[str]], Answer]
    topic: str = ""
    details: tuple[tuple[str, str], ...] = ()


class Commands:
    """A table of line commands. Add with ``add``, obey lines with ``obey``; ``help`` and ``quit`` are built in.

    topic: heading of what is added from now on; ``help`` lists the topics in the order of their first command.
    """

    def __init__(self) -> None:
        self.quitting = asyncio.Event()
        self.topic = ""
        self._table: dict[str, Command] = {}
        self.add("help", "[COMMAND]", "this list, or what it tells of one command", self._help)
        self.add("quit", "", "end the program", lambda _: self.quitting.set())

    def add(self, name: str, usage: str, purpose: str, action: Callable[[list[str]], Answer]) -> None:
        """Add a command; a name that is there already is replaced."""
        self._table.pop(name, None)
        self._table[name] = Command(usage, purpose, action, self.topic)

    def explain(self, name: str, details: Iterable[tuple[str, str]]) -> None:
        """Add rows to what ``help`` tells of a command: what may follow its name, and what it means."""
        self._table[name] = replace(self._table[name], details=tuple(details))

    def listing(self) -> str:
        """Return the list of all commands, a line each, by topic."""
        rows = {topic: self._rows(topic) for topic in dict.fromkeys(each.topic for each in self._table.values())}
        width = max(len(left) for listed in rows.values() for left, _ in listed)
        lines: list[str] = []
        for topic, listed in sorted(rows.items(), key=lambda item: not item[0]):
            lines += [f"{topic}:"] * bool(topic) + [f"  {left:<{width}}  {right}" for left, right in listed]
        return "\n".join(lines)

    def _help(self, words: list[str]) -> str:
        if not words:
            return self.listing()
        rows = self._told(words[0], self._table[words[0]])
        width = max(len(left) for left, _ in rows)
        return "\n".join(f"  {left:<{width}}  {right}" for left, right in rows)

    def _rows(self, topic: str) -> list[tuple[str, str]]:
        listed = [(name, command) for name, command in sorted(self._table.items()) if command.topic == topic]
        return [row for name, command in listed for row in self._told(name, command)]

    @staticmethod
    def _told(name: str, command: Command) -> list[tuple[str, str]]:
        details = [(f"  {name} {left}", right) for left, right in command.details]
        return [(f"{name} {command.usage}".strip(), command.purpose), *details]

    async def obey(self, line: str) -> str:
        """Obey a line and return what is to be shown, often nothing. Raises SimulatorError."""
        name, *words = line.split() or [""]
        if not name or name.startswith("#"):
            return ""
        command = self._table.get(name)
        if command is None:
            raise Misuse(f"unknown command {name!r}, try help")
        if words and not command.usage:
            raise Misuse(f"usage: {name}")
        try:
            answer = command.action(words)
            text = await answer if inspect.isawaitable(answer) else answer
        except SimulatorError:
            raise
        except (ValueError, LookupError) as error:  # a word that is missing, or is no number
            raise Misuse(f"usage: {name} {command.usage}".rstrip()) from error
        except OSError as error:  # TimeoutError, too
            raise SimulatorError(str(error)) from error
        return text or ""


def number(text: str, what: str) -> float:
    """Return a number that was typed, none that is beyond all measure. Raises Misuse."""
    try:
        value = float(text)
    except ValueError:
        raise Misuse(f"{what}: {text!r} is no number") from None
    if not abs(value) <= LARGEST:
        raise Misuse(f"{what}: {text!r} is out of range")
    return value


def seconds(text: str) -> float:
    """Return a time that was typed. Raises Misuse."""
    value = number(text, "seconds")
    if value < 0:
        raise Misuse(f"seconds: {text!r} is negative")
    return value


def padded(words: list[str], least: int, most: int) -> list[str]:
    """Return ``most`` words, empty ones for those that were left out at the end. Raises ValueError."""
    if not least <= len(words) <= most:
        raise ValueError(words)
    return words + [""] * (most - len(words))


def switch(words: list[str]) -> bool:
    """Return what the words after the name of a switch mean: on where there is none. Raises ValueError."""
    if words not in ([], ["on"], ["off"]):
        raise ValueError(words)
    return words != ["off"]


async def converse(commands: Commands, control: Path | None, *, banner: str = "") -> None:
    """Obey lines from standard input, and from a Unix socket where ``control`` is given, until quit, SIGTERM or SIGINT.

    The end of standard input ends the program only when somebody sat at a terminal. On the socket each line is answered
    with its text, then with a line ``ok`` or ``error: ...``.
    """
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()
    for stop in STOPPING:
        loop.add_signal_handler(stop, commands.quitting.set)
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # started with & in a terminal: reading fails instead of stopping
    say(banner)
    threading.Thread(target=_read_lines, args=(loop, lines), daemon=True).start()
    async with contextlib.AsyncExitStack() as stack:
        if control is not None:
            await stack.enter_async_context(ControlSocket(commands, control))
        typist = asyncio.create_task(_obey_lines(commands, lines))
        await commands.quitting.wait()
        typist.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await typist


def say(text: str) -> None:
    """Print a text at once, where there is one; a reader that is gone is no fault."""
    if text:
        with contextlib.suppress(BrokenPipeError):
            print(text, flush=True)


def _read_lines(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[str | None]) -> None:
    """Read file descriptor 0 in a thread: neither every file nor /dev/null can be waited for by an event loop."""
    left = b""
    with contextlib.suppress(OSError, RuntimeError):  # no standard input; the loop is closed
        while data := os.read(0, 4096):
            *complete, left = (left + data).split(b"\n")
            for line in complete:
                loop.call_soon_threadsafe(lines.put_nowait, line.decode(errors="replace"))
        if left:
            loop.call_soon_threadsafe(lines.put_nowait, left.decode(errors="replace"))
        if os.isatty(0):
            loop.call_soon_threadsafe(lines.put_nowait, None)


async def _obey_lines(commands: Commands, lines: asyncio.Queue[str | None]) -> None:
    while (line := await lines.get()) is not None:
        try:
            say(await commands.obey(line))
        except SimulatorError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
    commands.quitting.set()


class ControlSocket:
    """The line commands on a Unix socket; an asynchronous context manager. A socket that a crash left is replaced."""

    def __init__(self, commands: Commands, path: Path) -> None:
        self._commands = commands
        self._path = path
        self._talking: set[asyncio.Task[None] | None] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ControlSocket:
        if self._path.exists() and not self._path.is_socket():
            raise Misuse(f"{self._path} exists and is no socket")
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._talk, self._path)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for task in filter(None, self._talking):
            task.cancel()
        self._path.unlink(missing_ok=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._talking.add(task)
        try:
            while line := await reader.readline():
                writer.write((await self._result(line.decode(errors="replace"))).encode())
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            return
        finally:
            self._talking.discard(task)
            writer.close()

    async def _result(self, line: str) -> str:
        try:
            text = await self._commands.obey(line)
        except SimulatorError as error:
            return f"error: {error}\n"
        return f"{text}\nok\n" if text else "ok\n"


def tell(path: Path, line: str) -> int:
    """Send a line to a simulator's control socket and print the answer. Returns 0, 1 (refused) or 3 (nobody there)."""
    return asyncio.run(_tell(path, line))


async def _tell(path: Path, line: str) -> int:
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        print(f"error: no simulator listens on {path}: {error.strerror}", file=sys.stderr)
        return 3
    writer.write(line.encode() + b"\n")
    try:
        while answer := (await reader.readline()).decode():
            if answer.startswith("error: "):
                print(answer.rstrip(), file=sys.stderr)
                return 1
            if answer == "ok\n":
                return 0
            print(answer, end="")
    finally:
        writer.close()
    print("error: the simulator ended", file=sys.stderr)
    return 1


def run(program: Coroutine[Any, Any, None]) -> int:
    """Run a simulator to its end. Returns 0, or 2 where it could not start, with the reason in one line."""
    try:
        asyncio.run(program)
    except (SimulatorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0
    return 0
