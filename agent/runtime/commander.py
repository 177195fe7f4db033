"""Carries the limits that the core decides to a controller: always the newest, one at a time, at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.core.errors import EvseFault
from agent.core.events import Event, EvseFailed
from agent.core.model import EvseId, MilliAmp
from agent.ports import Evse


class Commander:
    """Sends limits to one controller; a newer order replaces one that has not been sent."""

    def __init__(self, evse_id: EvseId, evse: Evse, post: Callable[[Event], None]) -> None:
        """Send to ``evse``; failures become events."""
        self._id = evse_id
        self._evse = evse
        self._post = post
        self._order: MilliAmp | None = None
        self._ordered = asyncio.Event()

    def order(self, limit: MilliAmp) -> None:
        """Take an order; never waits."""
        self._order = limit
        self._ordered.set()

    async def run(self) -> None:
        """Carry out orders for ever."""
        while True:
            await self._ordered.wait()
            self._ordered.clear()
            limit, self._order = self._order, None
            if limit is None:
                continue
            try:
                await self._evse.set_limit(limit)
            except EvseFault as error:
                self._post(EvseFailed(self._id, str(error)))
