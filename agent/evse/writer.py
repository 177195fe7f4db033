"""Writes a controller's points, each by its own function code, and memory that wears out only where it changes."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from agent.fieldbus.bus import Device
from agent.fieldbus.control import Control, Write
from agent.fieldbus.definition import Definition
from agent.fieldbus.points import BITS

WRITE_COIL: Final = 5


class Writer:
    """Writes to one device."""

    def __init__(self, device: Device, definition: Definition, control: Control) -> None:
        """Write to ``device`` as its definition says; control: the definition's."""
        self._device = device
        self._points = definition.points.every
        self._function = control.function

    async def write(self, writes: Iterable[Write]) -> None:
        """Write raw values in their order. Raises: as ``Device.write``; what follows a failure is not written."""
        for write in writes:
            await self.put(write.point, Decimal(write.value))

    async def put(self, name: str, raw: Decimal) -> None:
        """Write the number before scaling of a point. Raises: as ``Device.write``."""
        point = self._points[name]
        words = point.words(raw)
        if point.wears:
            held = await self._device.read(point.function, point.address, point.width, urgent=True)
            if held == words:
                return
        code = point.write or (WRITE_COIL if point.function in BITS else self._function)
        await self._device.write(code, point.address, words)
