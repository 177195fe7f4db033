"""The control socket, by which the command line asks the running daemon; and the lock on its state directory.

One JSON document per line: ``{"command": "link", "code": "ACME-7F3K"}`` is answered with ``{"ok": true, "result": …}``
or ``{"ok": false, "error": "words", "exit": 1}``, where exit is the status that the command line ends with. Access is
decided by the file system alone: the state directory and the socket are open to their owner and group.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

from agent.buffer.file import make_directory
from agent.core.asked import INSTALLER
from agent.core.commands import CallRef, Command, LinkCompany, Outcome, Result, UnlinkCompany
from agent.core.effects import Answer, Effect
from agent.core.errors import AgentError, JournalError
from agent.core.events import CommandReceived, Event
from agent.ocpp.dialect import StationView
from agent.ocpp.v16.configuration import changed
from agent.runtime.keys import change_of, key_named
from agent.runtime.requests import (
    DIAGNOSTICS,
    RESEND,
    SOCKET,
    STATUS,
    Refused,
    Request,
    SettingRequest,
    command_of,
    session_of,
)

Document: TypeAlias = dict[str, object]

LOCK: Final = "lock"
DIRECTORY_MODE: Final = 0o750
SOCKET_MODE: Final = 0o660

REQUEST_LIMIT: Final = 16 * 1024
"""Longest line that is read, in bytes; the longest request is a card with all its texts."""
CLIENTS_MOST: Final = 32
"""More connections at once are refused, so that a script gone wild cannot use up the daemon's file descriptors."""
IDLE_S: Final = 60.0
SEND_WITHIN_S: Final = 10.0
ANSWER_WITHIN_S: Final = 10.0
CLOSE_WITHIN_S: Final = 1.0

REFUSED: Final = 1
USAGE: Final = 2
DONE: Final = frozenset({Result.ACCEPTED, Result.SCHEDULED, Result.RESTART_REQUIRED, Result.UNLOCKED})


class StateDirUnusable(AgentError):
    """The state directory cannot be made, opened or locked."""


class StateDirBusy(StateDirUnusable):
    """Another daemon uses the state directory."""


class ControlUnavailable(AgentError):
    """The control socket cannot be opened; the daemon can go on without it."""


@dataclass(frozen=True, slots=True)
class StateLock:
    """The right to use a state directory, as long as it is held; it ends with the process in any case."""

    descriptor: int

    def release(self) -> None:
        """Let another daemon use the directory; once only."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        """Return the lock."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the lock."""
        self.release()


def acquire(state_dir: Path) -> StateLock:
    """Make the state directory where it is missing, close it to other users, and lock it.

    It comes before anything else is opened. A lock that a killed process left behind counts for nothing.
    Raises: StateDirBusy, StateDirUnusable.
    """
    try:
        make_directory(state_dir, DIRECTORY_MODE)
        _close_to_others(state_dir)
        descriptor = _open_lock(state_dir / LOCK)
    except OSError as error:
        reason = error.strerror or error
        message = f"state directory {state_dir} cannot be used ({reason}): check its owner, permissions and disk"
        raise StateDirUnusable(message) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise StateDirBusy(_busy(state_dir, owner)) from error
    with contextlib.suppress(OSError):  # a full or read-only disk: the number is only for the words of a refusal
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
    return StateLock(descriptor)


def listen(path: Path) -> socket.socket:
    """Return a listening socket at the path, open to its owner and the directory's group; a stale one is replaced.

    It gets its permissions and listens before it takes its name, so that nobody meets a half-made one.
    Raises: ControlUnavailable.
    """
    new = path.with_name(f"{path.name}.new")
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if path.exists() and not path.is_socket():
            raise FileExistsError(None, "something else has its name")
        new.unlink(missing_ok=True)
        endpoint.bind(str(new))
        _share_with_group(new, path.parent.stat().st_gid)
        endpoint.listen(CLIENTS_MOST)
        new.replace(path)
    except OSError as error:
        endpoint.close()
        message = f"control socket {path} cannot be opened ({error.strerror or error}): check station.state_dir"
        raise ControlUnavailable(message) from error
    endpoint.setblocking(False)
    return endpoint


class Unanswered(Exception):
    """The core did not carry out a command, or not in time; its only argument says so."""


class ControlServer:
    """Serves the control socket; a destination of the answers to its own commands."""

    def __init__(
        self,
        state_dir: Path,
        post: Callable[[Event], None],
        status: Callable[[], Mapping[str, object]],
        *,
        view: Callable[[], StationView],
        resend: Callable[[str], Awaitable[int]],
        recent: Callable[[], Sequence[str]] = tuple,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        """Keep what is needed; nothing is opened.

        post: takes events of the core; status: the ``status --json`` document of this moment; view: what decides how
        configuration keys may be changed; resend: puts what was given up of a session back into the queue, returns how
        many messages that is, and raises JournalError; recent: the newest lines of the log.
        """
        self._path = state_dir / SOCKET
        self._post = post
        self._status = status
        self._view = view
        self._resend = resend
        self._recent = recent
        self._answer_within_s = answer_within_s
        self._waiting: dict[str, asyncio.Future[Outcome | None]] = {}
        self._clients: dict[asyncio.StreamWriter, bool] = {}  # True while a command of it is under way
        self._empty = asyncio.Event()
        self._empty.set()
        self._numbers = itertools.count(1)
        self.listening = asyncio.Event()

    def perform(self, effect: Effect) -> None:
        """Take the answer to a command that came in here; other effects are not for it."""
        if isinstance(effect, Answer) and effect.call.origin == INSTALLER:
            waiting = self._waiting.get(effect.call.message_id)
            if waiting is not None and not waiting.done():
                waiting.set_result(effect.outcome)

    def facts_committed(self) -> None:
        """Facts are not sent here."""

    async def run(self) -> None:
        """Serve until cancelled; then no client is left waiting and the socket is gone. Raises: ControlUnavailable."""
        endpoint = listen(self._path)
        try:
            server = await asyncio.start_unix_server(self._serve, sock=endpoint, limit=REQUEST_LIMIT)
            self.listening.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.listening.clear()
                server.close()
                await self._dismiss()
        finally:
            endpoint.close()
            _remove(self._path)

    async def _dismiss(self) -> None:
        """Answer those who wait and let nobody ask again; who does not read the answer in time is cut off."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(None)
        for writer, is_busy in self._clients.items():
            if not is_busy:
                writer.close()
        if not await self._all_left():
            for writer in self._clients:
                writer.transport.abort()
            await self._all_left()

    async def _all_left(self) -> bool:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients[writer] = False
        self._empty.clear()
        try:
            if len(self._clients) > CLIENTS_MOST:
                await _send(writer, failure("too many connections at once: try again", REFUSED))
                return
            while await self._turn(reader, writer):
                pass
        except (ConnectionError, TimeoutError):
            writer.transport.abort()
        finally:
            writer.close()
            del self._clients[writer]
            if not self._clients:
                self._empty.set()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one line; return False when there will be no other."""
        try:
            async with asyncio.timeout(IDLE_S):
                line = await reader.readline()
        except ValueError:
            await _send(writer, failure(f"a request has at most {REQUEST_LIMIT} bytes", USAGE))
            return False
        if not line:
            return False
        self._clients[writer] = True
        await _send(writer, await self._answer(line))
        self._clients[writer] = False
        return self.listening.is_set()

    async def _answer(self, line: bytes) -> Document:
        try:
            request = request_of(line)
            told = {STATUS: self._status, DIAGNOSTICS: self._diagnostics}.get(str(request.get("command")))
            if told is not None:
                return success(told())
            if request.get("command") == RESEND:
                return await self._send_again(session_of(request))
            command = command_of(request)
            if isinstance(command, SettingRequest):
                return await self._change(command)
            return self._reply(await self._outcome(command))
        except (Refused, Unanswered) as error:
            return failure(str(error), REFUSED)
        except ValueError as error:
            return failure(str(error), USAGE)

    def _diagnostics(self) -> Mapping[str, object]:
        return {"status": self._status(), "log": list(self._recent())}

    async def _change(self, request: SettingRequest) -> Document:
        """Change a configuration key by the rules of ChangeConfiguration; the result is what holds then.

        Raises: Refused, ValueError, Unanswered.
        """
        key = key_named(request.key)
        command = change_of(request.key, request.value, self._view())
        outcome = await self._outcome(command)
        if outcome.result not in DONE:
            return self._reply(outcome)
        return success({"key": key.name, "value": key.read(self._view()), **changed(outcome)})

    async def _send_again(self, session: str) -> Document:
        """Put what was given up of a session back into the queue. Raises: Refused."""
        try:
            messages = await self._resend(session)
        except JournalError as error:
            raise Refused(str(error)) from error
        if not messages:
            raise Refused(f"nothing of session {session} was given up: look at `wallbox-agent sessions show {session}`")
        return success({"session": session, "messages": messages})

    async def _outcome(self, command: Command) -> Outcome:
        """Let the core carry out a command, and return what came of it. Raises: Unanswered."""
        call = CallRef(INSTALLER, str(next(self._numbers)))
        waiting: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        self._waiting[call.message_id] = waiting
        try:
            self._post(CommandReceived(call, command))
            async with asyncio.timeout(self._answer_within_s):
                outcome = await waiting
        except TimeoutError as error:
            waited = f"{self._answer_within_s:g} s"
            words = f"not carried out within {waited}: check `wallbox-agent status` and the disk's space"
            raise Unanswered(words) from error
        finally:
            del self._waiting[call.message_id]
        if outcome is None:
            raise Unanswered("the agent is stopping: try again once it runs")
        return outcome

    def _reply(self, outcome: Outcome) -> Document:
        if outcome.result not in DONE:
            return failure(outcome.reason or f"the agent answers: {outcome.result.value}", REFUSED)
        if isinstance(outcome.command, LinkCompany | UnlinkCompany):
            company = self._status().get("company")
            link = company if isinstance(company, Mapping) else {}
            return success({name: link.get(name) for name in ("code", "state", "name", "reason")})
        return success({"result": outcome.result.value, "reason": outcome.reason})


def request_of(line: bytes) -> Request:
    """Return the request that a line holds. Raises: ValueError."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        message = 'a request is one JSON document on one line, like {"command": "status"}'
        raise ValueError(message) from error
    if not isinstance(request, dict):
        message = 'a request is a JSON object, like {"command": "status"}'
        raise ValueError(message)  # noqa: TRY004  # every refused request is a ValueError
    return request


def success(result: object) -> Document:
    """Return the answer to a request that was carried out."""
    return {"ok": True, "result": result}


def failure(error: str, status: int) -> Document:
    """Return the answer to a request that was not; status: what the command line exits with."""
    return {"ok": False, "error": error, "exit": status}


async def _send(writer: asyncio.StreamWriter, answer: Document) -> None:
    """Write an answer. Raises: ConnectionError, TimeoutError where the client does not read."""
    writer.write(json.dumps(answer).encode() + b"\n")
    async with asyncio.timeout(SEND_WITHIN_S):
        await writer.drain()


def _close_to_others(state_dir: Path) -> None:
    mode = stat.S_IMODE(state_dir.stat().st_mode)
    if mode & stat.S_IWOTH:
        raise PermissionError(None, "everybody may write to it; the agent needs a directory of its own")
    if mode & ~(DIRECTORY_MODE | stat.S_ISGID):
        state_dir.chmod(mode & (DIRECTORY_MODE | stat.S_ISGID))


def _open_lock(path: Path) -> int:
    """Open the lock file; one that exists is enough where the disk became read-only."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _busy(state_dir: Path, owner: str) -> str:
    who = f" (process {owner})" if owner.isdigit() else ""
    return (
        f"another wallbox-agent{who} uses {state_dir}: "
        "stop it with `systemctl stop wallbox-agent`, or give this one a station.state_dir of its own"
    )


def _share_with_group(path: Path, group: int) -> None:
    """Open the socket to its directory's group; to its owner alone where the process may not give it to that group."""
    try:
        if path.stat().st_gid != group:
            os.chown(path, -1, group)
    except PermissionError:
        path.chmod(SOCKET_MODE & 0o700)
        return
    path.chmod(SOCKET_MODE)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # a disk that became read-only: the next start replaces it
        path.unlink(missing_ok=True)
