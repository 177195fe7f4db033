"""The control socket, by which the command line asks the running daemon.

One JSON document per line: ``{"command": "link", "code": "ACME-7F3K"}`` is answered with ``{"ok": true, "result": …}``
or ``{"ok": false, "error": "words", "exit": 1}``, where exit is the status that the command line ends with. Access is
decided by the file system alone: the state directory and the socket are open to their owner and group.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from agent.buffer.annotation import Annotation, CannotAnnotate, Change
from agent.core.asked import INSTALLER
from agent.core.commands import CallRef, Command, LinkCompany, Outcome, Result, UnlinkCompany
from agent.core.effects import Answer, Effect
from agent.core.errors import AgentError, JournalError
from agent.core.events import CommandReceived, Event
from agent.ocpp.dialect import StationView
from agent.ocpp.v16.configuration import changed
from agent.runtime.keys import change_of, key_named
from agent.runtime.possession import DIRECTORY_MODE
from agent.runtime.requests import (
    ANNOTATE,
    DELIVER,
    DIAGNOSTICS,
    OF_SESSIONS,
    STATUS,
    Refused,
    Request,
    SettingRequest,
    annotation_of,
    command_of,
    session_of,
)
from agent.runtime.sockets import places

log = structlog.get_logger(__name__)

Document: TypeAlias = dict[str, object]

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


class ControlUnavailable(AgentError):
    """The control socket cannot be opened; the daemon can go on without it."""


def listen_first(paths: Sequence[Path]) -> tuple[socket.socket, Path]:
    """Return a listening socket at the first path where there can be one, and that path.

    Raises: ControlUnavailable, with what is wrong with the first.
    """
    refused: ControlUnavailable | None = None
    for path in paths:
        try:
            return listen(path), path
        except ControlUnavailable as error:
            refused = refused or error
    raise refused or ControlUnavailable("there is no place for the control socket")


def listen(path: Path) -> socket.socket:
    """Return a listening socket at the path, open to its owner and the directory's group; a stale one is replaced.

    It gets its permissions and listens before it takes its name, so that nobody meets a half-made one.
    Raises: ControlUnavailable.
    """
    new = path.with_name(f"{path.name}.new")
    endpoint = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
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
        annotate: Callable[[str, Change], Awaitable[Annotation]],
        deliver: Callable[[Request], Awaitable[object]] | None = None,
        recent: Callable[[], Sequence[str]] = tuple,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        """Keep what is needed; nothing is opened.

        post: takes events of the core; status: the ``status --json`` document of this moment; view: what decides how
        configuration keys may be changed; resend: puts what was given up of a session back into the queue, returns how
        many messages that is, and raises JournalError; annotate: changes what stands beside a session, returns what
        holds then, and raises CannotAnnotate, JournalError; deliver: delivers a month's statement, returns what
        came of it, and raises ValueError and AgentError; recent: the newest lines of the log.
        """
        self._paths = places(state_dir, os.environ)
        self._post = post
        self._status = status
        self._view = view
        self._resend = resend
        self._annotate = annotate
        self._deliver = deliver
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
        endpoint, path = listen_first(self._paths)
        if path != self._paths[0]:
            log.warning("the control socket is not in the state directory", path=str(path))
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
            _remove(path)

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
            return await self._carried_out(request_of(line))
        except (Refused, Unanswered, AgentError) as error:
            return failure(str(error), REFUSED)
        except ValueError as error:
            return failure(str(error), USAGE)

    async def _carried_out(self, request: Request) -> Document:
        """Do what is asked for. Raises: Refused, ValueError, Unanswered, AgentError."""
        name = request.get("command")
        if name == STATUS:
            return success(self._status())
        if name == DIAGNOSTICS:
            return success(self._diagnostics())
        if name in OF_SESSIONS:
            return await self._of_session(session_of(request), request)
        if name == DELIVER and self._deliver is not None:
            return success(await self._deliver(request))
        command = command_of(request)
        if isinstance(command, SettingRequest):
            return await self._change(command)
        return self._reply(await self._outcome(command))

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

    async def _of_session(self, session: str, request: Request) -> Document:
        """Change what stands beside a session, or put what was given up of it back into the queue.

        Raises: Refused; ValueError for a request at fault.
        """
        try:
            if request["command"] == ANNOTATE:
                holds = await self._annotate(session, annotation_of(request))
                return success({"session": session, **holds.to_json()})
            messages = await self._resend(session)
        except (CannotAnnotate, JournalError) as error:
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
