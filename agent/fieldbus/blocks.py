"""Which registers are asked for together, and what is asked for instead where a device refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent.fieldbus.bus import Device
from agent.fieldbus.definition import BILLED, Definition
from agent.fieldbus.line import Refused
from agent.fieldbus.points import Bus, Image, Span

KEPT_TOGETHER: Final = (BILLED, "energy_export", "power_total")
"""Values of one sample that shall come from one cycle of the meter."""


@dataclass(frozen=True, slots=True)
class Block:
    """Registers of one request, and the spans in it that must not be cut, by address.

    whole: not to be split; otherwise: so many registers are asked for where the device refuses them all.
    """

    function: int
    address: int
    count: int
    spans: tuple[Span, ...]
    whole: bool = False
    otherwise: int | None = None


def plan(definition: Definition, names: Iterable[str]) -> tuple[Block, ...]:
    """Return the fewest requests that read the points: import, export and power in one where the limits allow.

    The block with the billed energy comes last, so that the reading's time is that of the energy.
    """
    names = tuple(names)
    spans = sorted({span for name in names for span in definition.spans(name)})
    blocks: list[Block] = []
    for whole in definition.blocks:
        inside = tuple(s for s in spans if s[0] == whole.function and _inside(s, whole.address, whole.count))
        spans = [span for span in spans if span not in inside]
        if inside:
            block = Block(whole.function, whole.address, whole.count, inside, whole=True, otherwise=whole.otherwise)
            blocks.append(block)
    kept = [s for name in KEPT_TOGETHER if name in names for s in definition.spans(name)]
    billed = kept[:1] if BILLED in names else []
    for function in sorted({span[0] for span in spans}):
        own = [span for span in spans if span[0] == function]
        blocks += _pack(own, [span for span in kept if span in own], definition.bus)
    return tuple(sorted(blocks, key=lambda block: any(span in block.spans for span in billed)))


def split(block: Block) -> tuple[Block, ...]:
    """Return the two blocks to ask for instead of a refused one: cut at its widest gap, else in the middle.

    Empty where nothing is left to split.
    """
    if block.whole or len(block.spans) < 2:  # noqa: PLR2004  one value cannot be cut
        return ()
    gaps = [_gap(block.spans, place) for place in range(1, len(block.spans))]
    cut = gaps.index(max(gaps)) + 1 if max(gaps) > 0 else len(block.spans) // 2
    return _block(block.spans[:cut]), _block(block.spans[cut:])


class BlockReader:
    """Reads blocks of one device, and remembers what it refused."""

    def __init__(self, device: Device, blocks: Sequence[Block]) -> None:
        """Read ``blocks`` until the device refuses one."""
        self._device = device
        self._all = tuple(blocks)
        self._blocks = list(blocks)
        self._left_out: list[Block] = []

    @property
    def requests(self) -> tuple[Block, ...]:
        """What is asked for now."""
        return tuple(self._blocks)

    def forget(self) -> None:
        """Begin anew with the blocks as they were planned, since another device may answer now."""
        self._blocks = list(self._all)
        self._left_out = []

    async def read(self, *, urgent: bool = False) -> dict[tuple[int, int], int]:
        """Return the words of all blocks; what the device refuses is absent, and is not asked for again.

        urgent: for a command that waits, so it overtakes polls.

        Raises: NoAnswer, WrongAnswer, PortLost; Refused for a reason that has nothing to do with the registers.
        """
        image: dict[tuple[int, int], int] = {}
        place = 0
        while place < len(self._blocks):
            block = self._blocks[place]
            try:
                image |= await self._words(block, urgent=urgent)
            except Refused as refused:
                if not refused.by_address:
                    raise
                self._blocks[place : place + 1] = self._instead(block, refused)
                continue
            place += 1
        return image

    async def read_left_out(self) -> Image:
        """Return the words that ``otherwise`` left out; empty where the device refuses them too."""
        image: dict[tuple[int, int], int] = {}
        for block in self._left_out:
            try:
                image |= await self._words(block)
            except Refused:
                continue
        return image

    async def _words(self, block: Block, *, urgent: bool = False) -> dict[tuple[int, int], int]:
        words = await self._device.read(block.function, block.address, block.count, urgent=urgent)
        return {
            (function, at): words[at - block.address]
            for function, address, count in block.spans
            for at in range(address, address + count)
        }  # nothing of the gaps: what a device tells alone may be something else in the midst of others

    def _instead(self, block: Block, refused: Refused) -> tuple[Block, ...]:
        if refused.code == Refused.FUNCTION:
            return ()
        if block.otherwise is None:
            return split(block)
        kept = tuple(span for span in block.spans if _inside(span, block.address, block.otherwise))
        self._left_out += [_block((span,)) for span in block.spans if span not in kept]
        return (Block(block.function, block.address, block.otherwise, kept, whole=True),)


def _inside(span: Span, address: int, count: int) -> bool:
    return address <= span[1] and span[1] + span[2] <= address + count


def _gap(spans: Sequence[Span], place: int) -> int:
    """Return how many registers nobody wants in front of a span."""
    return spans[place][1] - max(address + count for _, address, count in spans[:place])


def _block(spans: Sequence[Span]) -> Block:
    first = min(address for _, address, _ in spans)
    end = max(address + count for _, address, count in spans)
    return Block(spans[0][0], first, end - first, tuple(spans))


def _fits(spans: Sequence[Span], bus: Bus) -> bool:
    """Tell whether spans may be read in one request."""
    spans = sorted(spans)
    gaps = (_gap(spans, place) for place in range(1, len(spans)))
    return _block(spans).count <= bus.max_registers and all(gap <= bus.max_gap for gap in gaps)


def _pack(spans: Sequence[Span], kept: Sequence[Span], bus: Bus) -> list[Block]:
    """Fill requests from the lowest address up, around those that are kept together as far as they fit into one."""
    while kept and not _fits(_between(spans, kept), bus):
        kept = kept[:-1]
    if not kept:
        return _fill(spans, bus)
    inside = _between(spans, kept)
    first = _block(kept).address
    below = [span for span in spans if span not in inside and span[1] < first]
    above = [span for span in spans if span not in inside and span[1] >= first]
    while above and _fits([*inside, above[0]], bus):
        inside.append(above.pop(0))
    while below and _fits([below[-1], *inside], bus):
        inside.insert(0, below.pop())
    return [*_fill(below, bus), _block(sorted(inside)), *_fill(above, bus)]


def _between(spans: Sequence[Span], kept: Sequence[Span]) -> list[Span]:
    """Return the kept spans with those that lie between them."""
    seed = _block(kept)
    return [span for span in spans if _inside(span, seed.address, seed.count)]


def _fill(spans: Sequence[Span], bus: Bus) -> list[Block]:
    groups: list[list[Span]] = []
    for span in spans:
        if groups and _fits([*groups[-1], span], bus):
            groups[-1].append(span)
        else:
            groups.append([span])
    return [_block(group) for group in groups]
