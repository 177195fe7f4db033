"""The command line's side of the control socket: one request, one answer."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from agent.cli.context import NOT_RUNNING, REFUSED, CommandFailed
from agent.runtime.requests import SOCKET, STATUS
from agent.runtime.sockets import places

ANSWER_WITHIN_S: Final = 15.0
"""The daemon itself gives up after 10 s, and says so."""
ANSWER_LIMIT: Final = 4 * 1024 * 1024
STOPPED: Final = "the agent is not running: start it with `systemctl start wallbox-agent`, or `wallbox-agent run`"
GARBLED: Final = "the agent closed the connection without an answer: look at `journalctl -u wallbox-agent`"


class Connection:
    """A connection to the daemon that uses a state directory; one request after the other, each with one answer."""

    def __init__(self, state_dir: Path, within_s: float = ANSWER_WITHIN_S) -> None:
        """Connect; within_s: so long an answer is waited for.

        Raises: CommandFailed with status 3 where no daemon runs; 1 where it may not be asked.
        """
        self._path = state_dir / SOCKET
        self._within_s = within_s
        with self._explained():
            self._socket = _connected(places(state_dir, os.environ), within_s)
        self._answers = self._socket.makefile("rb")

    def ask(self, request: Mapping[str, object]) -> object:
        """Return the result of a request.

        Raises: CommandFailed with status 1 where the daemon refuses, is late, or is gone; 2 where it finds the request
        wrong.
        """
        with self._explained():
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._answers.readline(ANSWER_LIMIT)
        return _result(line)

    def status(self) -> Mapping[str, object]:
        """Return the document of ``status --json``. Raises: CommandFailed."""
        document = self.ask({"command": STATUS})
        if not isinstance(document, Mapping):
            raise CommandFailed("the agent sent no status: it is of another release than this command; restart it")
        return document

    def pause(self, seconds: float) -> None:
        """Return after so many seconds, or as soon as the daemon hangs up."""
        select.select([self._socket], [], [], seconds)

    def close(self) -> None:
        """Hang up; once more does nothing."""
        self._answers.close()
        self._socket.close()

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the socket into what to do about them."""
        try:
            yield
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
            raise CommandFailed(STOPPED, status=NOT_RUNNING) from error
        except PermissionError as error:
            raise CommandFailed(no_permission(self._path.parent)) from error
        except TimeoutError as error:
            words = f"the agent does not answer within {self._within_s:g} s: look at `journalctl -u wallbox-agent`"
            raise CommandFailed(words) from error
        except ConnectionError as error:
            raise CommandFailed(GARBLED) from error
        except OSError as error:
            raise CommandFailed(f"{self._path} cannot be used ({error}): check station.state_dir") from error


def ask(state_dir: Path, request: Mapping[str, object]) -> object:
    """Return the result of one request to the daemon that uses this state directory. Raises: CommandFailed."""
    with Connection(state_dir, ANSWER_WITHIN_S) as connection:
        return connection.ask(request)


def no_permission(state_dir: Path) -> str:
    """Return what to do for the right to use what is in the state directory: which group to join."""
    group = _group(state_dir)
    if group is None:
        return f"no permission for {state_dir}: run the command with sudo"
    remedy = f"run the command with sudo, or join the group with `sudo usermod -aG {group} $USER` and log in again"
    return f"no permission for {state_dir}, which is open to group {group} only: {remedy}"


def _connected(paths: Sequence[Path], within_s: float) -> socket.socket:
    """Return a connection to the first socket at which a daemon listens. Raises: OSError, that of the first path."""
    refused: OSError | None = None
    for path in paths:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(within_s)
            connection.connect(str(path))
        except (PermissionError, TimeoutError):
            connection.close()
            raise
        except OSError as error:
            connection.close()
            refused = refused or error
        else:
            return connection
    raise refused or FileNotFoundError(None, "there is no control socket")


def _result(line: bytes) -> object:
    try:
        answer = json.loads(line)
    except ValueError as error:
        raise CommandFailed(GARBLED) from error
    if not isinstance(answer, dict):
        raise CommandFailed(GARBLED)
    if answer.get("ok") is True:
        return answer.get("result")
    status = answer.get("exit")
    raise CommandFailed(str(answer.get("error")), status=status if isinstance(status, int) else REFUSED)


def _group(path: Path) -> str | None:
    """Return the name of the group that may enter a directory; None where none but root's may, or it cannot be seen."""
    import grp

    try:
        seen = path.stat()
        return grp.getgrgid(seen.st_gid).gr_name if seen.st_gid and seen.st_mode & stat.S_IXGRP else None
    except (OSError, KeyError):
        return None
