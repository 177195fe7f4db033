"""Carries what the core decides to a controller: always the newest limit, one at a time, at once; then the lock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from agent.core.commands import CallRef
from agent.core.errors import EvseFault
from agent.core.events import Event, EvseFailed, LockMoved
from agent.core.model import EvseId, MilliAmp
from agent.ports import Evse, Lock

log = structlog.get_logger(__name__)


class Commander:
    """Sends limits to one controller; a newer order replaces one that has not been sent."""

    def __init__(self, evse_id: EvseId, evse: Evse, post: Callable[[Event], None], lock: Lock | None = None) -> None:
        """Send to ``evse`` and its ``lock``, where it has one; failures become events."""
        self._id = evse_id
        self._evse = evse
        self._lock = lock
        self._post = post
        self._calls: deque[CallRef | None] = deque()
        self._order: MilliAmp | None = None
        self._ordered = asyncio.Event()

    def order(self, limit: MilliAmp) -> None:
        """Take an order; never waits."""
        self._order = limit
        self._ordered.set()

    def unlock(self, call: CallRef | None) -> None:
        """Take an order to open the lock for who asked; never waits."""
        self._calls.append(call)
        self._ordered.set()

    async def run(self) -> None:
        """Carry out orders for ever."""
        while True:
            await self._ordered.wait()
            self._ordered.clear()
            limit, self._order = self._order, None
            if limit is not None:
                await self._limit(limit)
            while self._calls and self._order is None:
                await self._open(self._calls.popleft())

    async def _limit(self, limit: MilliAmp) -> None:
        try:
            await self._evse.set_limit(limit)
        except EvseFault as error:
            self._post(EvseFailed(self._id, str(error)))

    async def _open(self, call: CallRef | None) -> None:
        opened = self._lock is not None
        try:
            if self._lock is not None:
                await self._lock.unlock()
        except EvseFault as error:
            log.warning("the lock did not open", connector=self._id, cause=str(error))
            opened = False
        self._post(LockMoved(self._id, call, opened))
