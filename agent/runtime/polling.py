"""Asks meters and controllers at their interval, and turns what they answer, or that they don't, into events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from agent.core.errors import EvseFault, MeterCorrupt, MeterTimeout
from agent.core.events import Event, EvseFailed, EvseRead, MeterFailed, MeterRead
from agent.core.model import EvseId
from agent.ports import Clock, EnergyMeter, Evse

EVSE_INTERVAL_S: Final = 1.0


class Poll:
    """One device's poll: at an interval, and at once when asked."""

    def __init__(
        self, ask: Callable[[], Awaitable[Event]], *, interval_s: float, clock: Clock, post: Callable[[Event], None]
    ) -> None:
        """Poll with ``ask``, which never fails: a failure is an event too."""
        self._ask = ask
        self._interval_s = interval_s
        self._clock = clock
        self._post = post
        self._wanted = asyncio.Event()

    def now(self) -> None:
        """Poll at once, after one that is under way."""
        self._wanted.set()

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            began = self._clock.now().mono
            self._wanted.clear()
            self._post(await self._ask())
            await self._pause(began + self._interval_s)

    async def _pause(self, until: float) -> None:
        try:
            async with asyncio.timeout(max(until - self._clock.now().mono, 0.0)):
                await self._wanted.wait()
        except TimeoutError:
            return


def ask_meter(evse: EvseId, meter: EnergyMeter) -> Callable[[], Awaitable[Event]]:
    """Return a poll of a meter."""

    async def ask() -> Event:
        try:
            return MeterRead(evse, await meter.read())
        except (MeterTimeout, MeterCorrupt) as error:
            return MeterFailed(evse, str(error))

    return ask


def ask_evse(evse: EvseId, controller: Evse) -> Callable[[], Awaitable[Event]]:
    """Return a poll of a controller."""

    async def ask() -> Event:
        try:
            return EvseRead(evse, await controller.read())
        except EvseFault as error:
            return EvseFailed(evse, str(error))

    return ask
