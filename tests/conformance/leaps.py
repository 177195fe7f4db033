"""A station's clock that leaps ahead on command, so that a case of minutes takes a second."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.core.instant import Instant
from agent.runtime.clock import SystemClock
from tests.conformance.devices import Box, Meter
from tests.conformance.rig import Rig

STEP_S = 10.0
"""The station sees its devices at least so often while the time leaps."""


class LeapClock(SystemClock):
    """The system's clock, and ahead of it by all leaps so far."""

    ahead_s: float = 0.0

    def mono(self) -> float:
        return super().mono() + self.ahead_s

    def now(self) -> Instant:
        at = super().now()
        return replace(at, wall=at.wall + timedelta(seconds=self.ahead_s))


class Leaps:
    """Moves the time of one station and of its central system; set up before the station starts."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.conformance.station.SystemClock", LeapClock)
        rig.lax.add("stamps")  # the rule knows one distance between the clocks, not one that grows
        self.rig = rig

    async def ahead(self, seconds: float) -> None:
        """Let so much time pass, in steps after each of which the station has seen its devices anew."""
        left = seconds
        while left > 0:
            step = min(left, STEP_S)
            left -= step
            await self._begun()
            self._move(step)
            await self._begun()
            await self._seen()
        await self._begun()
        self.rig.now.performer.committed()  # the link to the central system waits in real time: let it look again
        await self.rig.settle()

    async def until_minute(self) -> None:
        """Let time pass until a second after a whole minute."""
        await self.ahead(61 - self.rig.now.clock.now().wall.timestamp() % 60)

    async def _begun(self) -> None:
        """Wait for a station that starts anew."""

        def begun() -> bool:
            return self.rig.now.begun.is_set()

        await self.rig.until(begun, "a start")

    def _move(self, seconds: float) -> None:
        clock = self.rig.now.clock
        assert isinstance(clock, LeapClock)
        clock.ahead_s += seconds
        self.rig.csms.offset += timedelta(seconds=seconds)

    async def _seen(self) -> None:
        devices: list[Box | Meter] = [*self.rig.boxes.values(), *self.rig.meters.values()]
        wanted = [(device, device.polls + 1) for device in devices]
        run, steps = self.rig.now, self.rig.now.loop.steps

        def looked() -> bool:
            if self.rig.now is not run:  # it has started anew
                return self.rig.now.begun.is_set()
            return all(d.polls >= polls for d, polls in wanted) and run.loop.steps >= steps + len(devices)

        await self.rig.until(looked, "a poll of each device")
