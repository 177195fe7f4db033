"""The command line's side of the control socket: one request, one answer."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.cli.context import NOT_RUNNING, REFUSED, CommandFailed
from agent.runtime.requests import SOCKET

ANSWER_WITHIN_S: Final = 15.0
"""The daemon itself gives up after 10 s, and says so."""
ANSWER_LIMIT: Final = 4 * 1024 * 1024
STOPPED: Final = "the agent is not running: start it with `systemctl start wallbox-agent`, or `wallbox-agent run`"
GARBLED: Final = "the agent closed the connection without an answer: look at `journalctl -u wallbox-agent`"


def ask(state_dir: Path, request: Mapping[str, object]) -> object:
    """Return the result of a request to the daemon that uses this state directory.

    Raises: CommandFailed with status 3 where no daemon runs; 1 where it refuses, is late, or may not be asked; 2 where
    it finds the request wrong.
    """
    try:
        line = _exchange(state_dir / SOCKET, json.dumps(request).encode() + b"\n")
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        raise CommandFailed(STOPPED, status=NOT_RUNNING) from error
    except PermissionError as error:
        raise CommandFailed(no_permission(state_dir)) from error
    except TimeoutError as error:
        words = f"the agent does not answer within {ANSWER_WITHIN_S:g} s: look at `journalctl -u wallbox-agent`"
        raise CommandFailed(words) from error
    except ConnectionError as error:
        raise CommandFailed(GARBLED) from error
    except OSError as error:
        raise CommandFailed(f"{state_dir / SOCKET} cannot be used ({error}): check station.state_dir") from error
    return _result(line)


def no_permission(state_dir: Path) -> str:
    """Return what to do for the right to use what is in the state directory: which group to join."""
    group = _group(state_dir)
    if group is None:
        return f"no permission for {state_dir}: run the command with sudo"
    remedy = f"run the command with sudo, or join the group with `sudo usermod -aG {group} $USER` and log in again"
    return f"no permission for {state_dir}, which is open to group {group} only: {remedy}"


def _exchange(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(str(path))
        connection.sendall(line)
        with connection.makefile("rb") as answers:
            return answers.readline(ANSWER_LIMIT)


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
