"""Finds the models of a device whose registers have no fixed place, by reading alone.

Source: SunSpec Device Information Model Specification 1.1, section 6 (marker, ids and lengths, end of the chain).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from agent.fieldbus.bus import Device
from agent.fieldbus.line import Refused, WrongAnswer
from agent.fieldbus.points import LAST_REGISTER, Chain

HEADER: Final = 2
"""Registers of the marker, and of a model's id and length."""
LONGEST: Final = 64
"""No chain of a real device has as many models; what has more is no chain."""


async def locate(device: Device, chain: Chain, sizes: Mapping[str, int]) -> Mapping[str, int]:
    """Return the first address of each model that the chain names, by name; see ``Chain``.

    sizes: registers that are wanted of each, its id and length included; a model that is shorter does not count.
    Raises: NoAnswer, PortLost; WrongAnswer where the device has no such chain, or one without these models.
    """
    for start in chain.starts:
        words = await _header(device, chain, start)
        if words is not None and words[0] << 16 | words[1] == chain.marker:
            return await _places(device, chain, start + HEADER, sizes)
    starts = ", ".join(str(start) for start in chain.starts)
    missing = f"has no chain of models (no {chain.marker:#010x} at {starts})"
    raise WrongAnswer(f"{device.place}: {missing}; check the model, and that the device is set to tell one")


async def _places(device: Device, chain: Chain, first: int, sizes: Mapping[str, int]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    passed: list[str] = []
    async for kind, address, size in _models(device, chain, first):
        passed.append(str(kind))
        named = [name for name, kinds in chain.models.items() if kind in kinds]
        found |= {name: address for name in named if size >= sizes.get(name, 0)}
        if len(found) == len(chain.models):
            return found
    lacking = [f"{name} ({' or '.join(map(str, kinds))})" for name, kinds in chain.models.items() if name not in found]
    told = f"its chain of models ({', '.join(passed)}) has no {', no '.join(lacking)} that is long enough"
    raise WrongAnswer(f"{device.place}: {told}; check the model")


async def _models(device: Device, chain: Chain, address: int) -> AsyncIterator[tuple[int, int, int]]:
    """Yield id, address and registers of each model up to the end, or to where the device refuses."""
    for _ in range(LONGEST):
        words = await _header(device, chain, address)
        if words is None or words[0] == chain.end or address + HEADER + words[1] > LAST_REGISTER + 1:
            return
        yield words[0], address, HEADER + words[1]
        address += HEADER + words[1]


async def _header(device: Device, chain: Chain, address: int) -> tuple[int, ...] | None:
    """Return two registers, None where the device has none there."""
    if address + HEADER > LAST_REGISTER + 1:
        return None
    try:
        return await device.read(chain.function, address, HEADER)
    except Refused as refused:
        if not refused.by_address:
            raise
        return None
