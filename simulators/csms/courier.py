"""Tells chargers what they do not know yet: state of the link, settings, cards; those that come back, too."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Final, Self

from simulators.csms.cards import CardPost, due
from simulators.csms.log import Message, Violation
from simulators.csms.server import Csms
from simulators.csms.state import Device
from simulators.errors import SimulatorError

#: Seconds between two looks at what is due; after a connection, so that a boot comes first; after a failure.
LOOK_S: Final = 0.25
SETTLE_S: Final = 1.0
AGAIN_S: Final = 30.0


class Courier:
    """An asynchronous context manager that delivers in the background; ``deliver`` does it at once."""

    def __init__(self, csms: Csms) -> None:
        self.post = CardPost(csms.desk)
        self._csms = csms
        self._not_before: dict[str, float] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._csms.log.listeners.append(self._heard)
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._csms.log.listeners.remove(self._heard)
        for task in filter(None, (self._looking, *self._tasks.values())):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def deliver(self, station: str) -> None:
        """Tell a charger all that is due now. Raises SimulatorError and TimeoutError where it cannot be told."""
        async with self._turns.setdefault(station, asyncio.Lock()):
            device = self._csms.desk.device(station)
            if _untold(device):
                await self._csms.desk.tell(station)
            if device.state == "linked" and device.answered < device.version:
                await self._csms.desk.push(station)
            tokens = due(self._csms.state, device)
            if tokens:
                await self.post.send(station, tokens)

    def _heard(self, entry: Message | Violation) -> None:
        if isinstance(entry, Message) and (entry.kind, entry.action) == ("event", "connected"):
            self._not_before[entry.station] = time.monotonic() + SETTLE_S

    async def _look(self) -> None:
        while True:
            for station in self._csms.connected:
                task = self._tasks.get(station)
                if (task is None or task.done()) and self._is_due(station):
                    self._tasks[station] = asyncio.create_task(self._quietly(station))
            await asyncio.sleep(LOOK_S)

    def _is_due(self, station: str) -> bool:
        state = self._csms.state
        device, early = state.devices.get(station), time.monotonic() < self._not_before.get(station, 0.0)
        if device is None or early or state.station(station).registration != "Accepted":
            return False
        behind = device.state == "linked" and device.answered < device.version
        return _untold(device) or behind or bool(due(state, device))

    async def _quietly(self, station: str) -> None:
        try:
            await self.deliver(station)
            self._csms.save()
        except (SimulatorError, TimeoutError):
            self._not_before[station] = time.monotonic() + AGAIN_S


def _untold(device: Device) -> bool:
    """Whether the charger has to learn of its link; one that ended it itself knows."""
    return device.state in {"linked", "rejected"} and device.told != device.state
