"""A transfer that blocks, in a thread that can be cut off; and why a transfer comes to nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum
from typing import Final, TypeVar

import structlog

from agent.core.errors import AgentError

log = structlog.get_logger(__name__)

T = TypeVar("T")

NICE: Final = 10
"""The thread's share of the processor: charging comes first."""


class Trouble(Enum):
    """What kind of trouble a transfer had; central systems are told the kind."""

    FAILED = "failed"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    UNSUPPORTED = "unsupported"


class TransferFailed(Exception):
    """A transfer came to nothing; words: what failed, and what to check, nothing secret."""

    def __init__(self, words: str, trouble: Trouble = Trouble.FAILED) -> None:
        """Keep the words and the kind of trouble."""
        super().__init__(words)
        self.trouble = trouble


class Line:
    """What a transfer holds open, so that another thread can cut it off."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: socket.socket | None = None
        self._is_cut = threading.Event()

    def hold(self, held: socket.socket | None) -> None:
        """Take a socket in place of the one before. Raises: TransferFailed where the line has been cut."""
        self._held = held
        if self._is_cut.is_set():
            self.cut()
            self.check()

    def check(self) -> None:
        """Raise TransferFailed where the line has been cut."""
        if self._is_cut.is_set():
            raise TransferFailed("it was called off, or took too long")

    def wait(self, seconds: float) -> None:
        """Wait, or until the line is cut. Raises: TransferFailed."""
        self._is_cut.wait(seconds)
        self.check()

    def cut(self) -> None:
        """Let whatever waits for the socket fail at once."""
        self._is_cut.set()
        if self._held is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._held, socket.SHUT_RDWR)  # TLS's own would wait for the other side


async def apart(work: Callable[[Line], T], within_s: float, line: Line | None = None) -> T:
    """Run what blocks in a thread of its own, cut off after ``within_s`` and when the caller is cancelled.

    The thread ends with the process at the latest, which does not wait for it. Raises: the errors of this package and
    of the agent that ``work`` raises; TransferFailed after the time, and for a defect: a charge goes on whatever
    becomes of a transfer.
    """
    line, done = line or Line(), Future[T]()
    threading.Thread(target=_perform, args=(work, line, done), name="maintenance", daemon=True).start()
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.wrap_future(done)
    except TimeoutError as error:
        raise TransferFailed(f"not done within {within_s:g} s") from error
    finally:
        line.cut()


def _perform(work: Callable[[Line], T], line: Line, done: Future[T]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    try:
        result = work(line)
    except (TransferFailed, AgentError) as error:
        done.set_exception(error)
    except Exception as error:
        log.exception("a transfer failed by a defect")
        done.set_exception(TransferFailed(f"the agent failed at it ({type(error).__name__}): report it with the log"))
    else:
        done.set_result(result)
