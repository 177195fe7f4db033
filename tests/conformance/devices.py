"""Scripted devices for the conformance tests: they implement the agent's ports, and tests move them by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal

from agent.core.errors import EvseFault, MeterTimeout
from agent.core.model import EvseReading, IdToken, MilliAmp, Pilot, Reading, Value, Wh
from agent.ports import Clock

LEAST_MA = 6_000
"""Below this a pilot offers nothing."""


@dataclass(slots=True)
class Box:
    """A controller with its car.

    plugged: the car is connected; socket: the station has one, with a lock, else the cable is fixed; cable: it is in
    the socket; asks: the car wants to charge (pilot C); faults: as the controller names them; silent: it does not
    answer; jammed: the lock does not move; unlocked: how often it was opened.
    """

    plugged: bool = False
    socket: bool = False
    cable: bool = False
    asks: bool = True
    faults: tuple[str, ...] = ()
    silent: bool = False
    jammed: bool = False
    unlocked: int = 0
    limit: MilliAmp = MilliAmp(0)
    limits: list[MilliAmp] = field(default_factory=list)
    polls: int = 0
    clock: Clock | None = None

    @property
    def charging(self) -> bool:
        return self.plugged and self.asks and self.limit >= LEAST_MA and not self.faults

    @property
    def pilot(self) -> Pilot:
        if not self.plugged:
            return Pilot.A
        return Pilot.C if self.charging else Pilot.B

    async def read(self) -> EvseReading:
        self.polls += 1
        if self.silent or self.clock is None:
            raise EvseFault("the controller does not answer")
        return EvseReading(
            self.clock.now(),
            self.pilot,
            self.plugged,
            self.charging,
            offering=self.limit >= LEAST_MA,
            limit=self.limit,
            faults=self.faults,
            plug=self.cable if self.socket else None,
        )

    async def set_limit(self, limit: MilliAmp) -> None:
        if self.silent:
            raise EvseFault("the controller does not answer")
        self.limit = limit
        self.limits.append(limit)

    async def unlock(self) -> None:
        if self.jammed:
            raise EvseFault("the lock does not move")
        self.unlocked += 1


@dataclass(slots=True)
class Meter:
    """A meter whose register moves only when ``add`` is called; silent: it does not answer."""

    box: Box
    register: Decimal = Decimal("1234567.8")
    serial: str = "M-0001"
    silent: bool = False
    polls: int = 0
    clock: Clock | None = None

    def add(self, wh: float | str) -> None:
        """Count energy that flowed."""
        self.register += Decimal(str(wh))

    async def read(self) -> Reading:
        self.polls += 1
        if self.silent or self.clock is None:
            raise MeterTimeout("the meter does not answer")
        amperes = Decimal(self.box.limit) / 1000 if self.box.charging else Decimal(0)
        values = [Value(f"voltage_l{n}", Decimal("230.1")) for n in (1, 2, 3)]
        values += [Value(f"current_l{n}", amperes) for n in (1, 2, 3)]
        values += [Value("power_total", amperes * 690), Value("frequency", Decimal("49.98"))]
        return Reading(self.clock.now(), Wh(self.register), tuple(values), self.serial)


class Reader:
    """A card reader; ``tap`` holds a card to it."""

    def __init__(self) -> None:
        self._cards: asyncio.Queue[IdToken] = asyncio.Queue()

    def tap(self, id_tag: str) -> None:
        self._cards.put_nowait(IdToken(id_tag))

    async def cards(self) -> AsyncIterator[IdToken]:
        while True:
            yield await self._cards.get()
