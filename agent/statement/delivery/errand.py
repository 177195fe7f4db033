"""Runs what blocks in a thread that nobody has to wait for: neither the event loop, nor the end of the process."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final, TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")

STUCK: Final = "the attempt before still hangs: restart the service when its network or disk is back"


class NotReached(Exception):
    """Nothing could be handed over; its only argument says why, and what to check."""


class Line:
    """What an errand holds open, so that it can be cut off from another thread."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: socket.socket | None = None
        self._is_cut = False

    def hold(self, held: socket.socket | None) -> None:
        """Take a socket, which is shut down when the errand is cut off. Raises: NotReached where it has been."""
        self._held = held
        if self._is_cut:
            self.cut()
            raise NotReached("it was ended here")

    def cut(self) -> None:
        """Let whatever waits for the socket fail at once."""
        self._is_cut = True
        if self._held is not None:
            with suppress(OSError):
                socket.socket.shutdown(self._held, socket.SHUT_RDWR)  # TLS's own would leave it in the clear meanwhile


class Errands:
    """One errand at a time."""

    def __init__(self) -> None:
        """Run nothing yet."""
        self._last: Future[Any] = Future()
        self._last.set_result(None)

    async def run(self, work: Callable[[Line], T], within_s: float) -> T:
        """Return what ``work`` returns; cut off after ``within_s``, and when the caller is cancelled.

        Raises: NotReached, also where the errand before has not come back, or failed by a defect: a charge goes on
        whatever becomes of a statement.
        """
        if not self._last.done():
            raise NotReached(STUCK)
        line, done = Line(), Future[T]()
        self._last = done
        done.set_running_or_notify_cancel()  # from here on nobody can take it back
        threading.Thread(target=_perform, args=(work, line, done), name="delivery", daemon=True).start()
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.wrap_future(done)
        except TimeoutError as error:
            raise NotReached(f"not delivered within {within_s:g} s: it is tried again") from error
        finally:
            line.cut()


def _perform(work: Callable[[Line], T], line: Line, done: Future[T]) -> None:
    try:
        result = work(line)
    except NotReached as error:
        done.set_exception(error)
    except Exception as error:
        log.exception("a delivery failed by a defect")
        done.set_exception(NotReached(f"the agent failed at it ({type(error).__name__}): report it with the log"))
    else:
        done.set_result(result)
