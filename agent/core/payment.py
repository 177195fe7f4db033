"""What a company paid of a month's statement."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Payment:
    """What the central system told of a month (like 2026-11); None: it did not say.

    paid_at: a day, or a moment (UTC); durable.
    """

    month: str
    paid_at: date | datetime | None = None
    amount: Decimal | None = None
    currency: str | None = None
    reference: str | None = None
