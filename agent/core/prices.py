"""Prices by the hour: rows of prices per kWh that follow each other without a gap, and which of them holds when."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

#: Minutes that a price may hold for.
STEPS: Final = (60, 30, 15)
GRID: Final = timedelta(minutes=15)
"""Where no price is known yet, readings are taken this often: whatever comes later can then be applied exactly."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
FROZEN: Final = timedelta(days=2)
"""So far ahead prices are frozen with a session: further than any market has published."""
KEPT: Final = timedelta(days=62)
"""So long pushed prices are kept after their time: a month and its statement."""
MOST_BLOCKS: Final = 400


@dataclass(frozen=True, slots=True)
class PriceBlock:
    """A row of prices per kWh excl. VAT, each for ``step_min`` minutes, the first from ``start`` (UTC) on.

    Prices may be negative, as those of markets are. A block that spans a change of daylight saving has as many prices
    as hours pass. currency: None where it is that of any tariff.
    """

    start: datetime
    step_min: int
    prices: tuple[Decimal, ...]
    currency: str | None = None

    @property
    def step(self) -> timedelta:
        """How long each price holds."""
        return timedelta(minutes=self.step_min)

    @property
    def end(self) -> datetime:
        """From when on it knows no price (UTC)."""
        return self.start + self.step * len(self.prices)

    def covers(self, moment: datetime) -> bool:
        """Tell whether it has a price for a moment."""
        return self.start <= moment < self.end

    def price(self, moment: datetime) -> Decimal | None:
        """Return the price at a moment, None where it has none."""
        return self.prices[(moment - self.start) // self.step] if self.covers(moment) else None

    def within(self, begin: datetime, end: datetime) -> PriceBlock:
        """Return the part that is needed for the time between two moments; without any price where it has none."""
        first = min(max((begin - self.start) // self.step, 0), len(self.prices))
        last = min(max(-((self.start - end) // self.step), first), len(self.prices))
        return replace(self, start=self.start + self.step * first, prices=self.prices[first:last])


def price_at(blocks: Sequence[PriceBlock], moment: datetime) -> Decimal | None:
    """Return the price at a moment (UTC), None where no block has one; a later block wins over an earlier one."""
    return next((price for block in reversed(blocks) if (price := block.price(moment)) is not None), None)


def next_change(blocks: Sequence[PriceBlock], after: datetime) -> datetime:
    """Return the next moment after one at which another price may hold (UTC)."""
    block = next((block for block in reversed(blocks) if block.covers(after)), None)
    start, step = (EPOCH, GRID) if block is None else (block.start, block.step)
    regular = start + ((after - start) // step + 1) * step
    return min([regular, *(edge for b in blocks for edge in (b.start, b.end) if edge > after)])


def frozen(blocks: Iterable[PriceBlock], at: datetime) -> tuple[PriceBlock, ...]:
    """Return the prices that a session beginning now is frozen with."""
    return _having(block.within(at, at + FROZEN) for block in blocks)


def taken(blocks: Sequence[PriceBlock], pushed: PriceBlock, at: datetime) -> tuple[PriceBlock, ...]:
    """Return the prices known after more were pushed; what is long past is left out, and what is told anew."""
    lasting = [b for b in blocks if b.end > at - KEPT and not (pushed.start <= b.start and b.end <= pushed.end)]
    return (*lasting[-MOST_BLOCKS + 1 :], pushed)


def _having(blocks: Iterable[PriceBlock]) -> tuple[PriceBlock, ...]:
    return tuple(block for block in blocks if block.prices)
