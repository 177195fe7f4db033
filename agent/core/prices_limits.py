"""The least and the most that a session may cost: what a surcharge, or a rebate, makes up for."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

CENT: Final = Decimal("0.01")
NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Price:
    """An amount of money (OCPI 2.2.1, types, Price); incl_vat None where only the one without VAT counts."""

    excl_vat: Decimal
    incl_vat: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """Amounts of one kind with two places: excl. VAT, and the VAT on it."""

    excl_vat: Decimal
    vat: Decimal

    @property
    def incl_vat(self) -> Decimal:
        """Both together."""
        return self.excl_vat + self.vat


def money(amount: Decimal) -> Decimal:
    """Round half up to the cent."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def surcharge(sums: Sums, rate: Decimal, least: Price | None, most: Price | None) -> Sums:
    """Return what has to be added to a session's sums so that they keep within both limits; negative for a rebate.

    rate: VAT of the surcharge in percent. The sum without VAT and the sum with it both keep the limit (OCPI 2.2.1,
    tariffs, notes to min_price and max_price). Where the first one is moved to the limit the second one comes to what
    the limit says too, be it a cent of rounding or parts with other rates of VAT that stand in the way.
    """
    added = Sums(money(NOTHING), money(NOTHING))
    for limit, sign in ((least, 1), (most, -1)):
        if limit is not None:
            more = _moved(Sums(sums.excl_vat + added.excl_vat, sums.vat + added.vat), rate, limit, sign)
            added = Sums(added.excl_vat + more.excl_vat, added.vat + more.vat)
    return added


def _moved(sums: Sums, rate: Decimal, limit: Price, sign: int) -> Sums:
    """Return what moves sums that are beyond a limit to it; sign: 1 for the least, -1 for the most."""
    excl = max((money(limit.excl_vat) - sums.excl_vat) * sign, NOTHING) * sign or NOTHING
    vat = money(excl * rate / 100)
    if limit.incl_vat is None:
        return Sums(money(excl), vat)
    missing = money(limit.incl_vat) - sums.incl_vat - excl - vat
    if excl and missing * sign >= -CENT:
        return Sums(excl, vat + missing)
    if missing * sign > 0:
        net = money(missing / (1 + rate / 100))
        return Sums(net, missing - net)
    return Sums(money(excl), vat)
