"""The least and the most price of a session: the surcharge, and its VAT."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent.core.prices_limits import Price, Sums, surcharge


def price(text: str | None) -> Price | None:
    if text is None:
        return None
    excl, _, incl = text.partition("/")
    return Price(Decimal(excl), Decimal(incl) if incl else None)


@pytest.mark.parametrize(
    ("sums", "rate", "limits", "expected"),
    [
        ("1.00 0.21", "21", (None, None), "0.00 0.00"),
        ("1.00 0.21", "21", ("0.50", "2.00"), "0.00 0.00"),
        ("1.00 0.21", "21", ("1.50", None), "0.50 0.11"),  # 0.105 is rounded up
        ("9.99 2.10", "21", (None, "5.00"), "-4.99 -1.05"),  # 1.0479
        ("1.00 0.00", "0", ("1.50", None), "0.50 0.00"),
        ("0.25 0.03", "10", ("0.50/0.55", None), "0.25 0.02"),  # the cent that rounding twice adds is not charged
        ("1.00 0.21", "21", ("1.00/1.21", "1.00/1.21"), "0.00 0.00"),
        ("1.00 0.00", "21", ("0.50/1.21", None), "0.17 0.04"),  # the sum with VAT alone: 0.21 / 1.21 = 0.1736
        ("10.00 2.10", "21", (None, "12.00/12.00"), "-0.08 -0.02"),  # 0.10 too much with VAT
        ("13.00 1.35", "10", (None, "10.00/11.00"), "-3.00 -0.35"),  # a fee with 20 % stands in the way
        ("0.00 0.00", "21", ("0.50/0.605", None), "0.50 0.11"),  # 0.605 is 0.61
        ("1.00 0.40", "10", ("1.50/1.60", None), "0.50 0.05"),  # more VAT than the limit thinks of stays
    ],
)
def test_what_is_missing_is_added_and_what_is_too_much_taken_off(
    sums: str, rate: str, limits: tuple[str | None, str | None], expected: str
) -> None:
    before = Sums(*map(Decimal, sums.split()))
    added = surcharge(before, Decimal(rate), *map(price, limits))
    assert f"{added.excl_vat} {added.vat}" == expected
    assert before.incl_vat == before.excl_vat + before.vat
