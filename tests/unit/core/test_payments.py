"""Payments that the central system confirms: what is read, what is kept, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from agent.core.commands import LinkCompany, PushCompanyLink, PushPayment, Result
from agent.core.payment import Payment
from agent.core.payments import MOST_KEPT, payment_from_json
from agent.core.state import durable, restored
from tests.unit.core.charger import Charger, a_charger

OCTOBER = Payment("2026-10", date(2026, 11, 5), Decimal("12.34"), "EUR", "SEPA 4711")


def linked() -> Charger:
    charger = a_charger()
    charger.online()
    charger.command(LinkCompany("ACME-7F3K"), "control")
    charger.command(PushCompanyLink("Linked"))
    return charger


def before(charger: Charger) -> str:
    """Return the month before the charger's time."""
    wall = charger.at.wall
    return f"{wall.year - 1}-12" if wall.month == 1 else f"{wall.year}-{wall.month - 1:02}"


@pytest.mark.parametrize(
    ("content", "payment"),
    [
        ({"month": "2026-10"}, Payment("2026-10")),
        (
            {
                "month": "2026-10",
                "paidAt": "2026-11-05",
                "amount": "12.34",
                "currency": "eur",
                "reference": " SEPA 4711 ",
            },
            OCTOBER,
        ),
        (
            {"month": "2026-10", "paidAt": "2026-11-05T12:00:00+01:00", "amount": 0},
            Payment("2026-10", datetime(2026, 11, 5, 11, tzinfo=UTC), Decimal(0)),
        ),
    ],
)
def test_only_the_month_must_be_told(content: dict[str, object], payment: Payment) -> None:
    assert payment_from_json(content) == payment


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "data must be an object"),
        ({}, "month must be a month like 2026-11"),
        ({"month": "2026-13"}, "month must be"),
        ({"month": 202610}, "month must be"),
        ({"month": "2026-10", "paidAt": "2026-02-30"}, "paidAt must be a day"),
        ({"month": "2026-10", "paidAt": "yesterday"}, "paidAt must be a moment"),
        ({"month": "2026-10", "amount": "-1"}, "amount must be between 0"),
        ({"month": "2026-10", "amount": "1.23456"}, "amount must have at most 4 decimal places"),
        ({"month": "2026-10", "amount": "NaN"}, "amount must be"),
        ({"month": "2026-10", "currency": "EURO"}, "currency must be a currency's code"),
        ({"month": "2026-10", "reference": "x" * 101}, "reference must be a text of one line"),
        ({"month": "2026-10", "reference": "a\x1b[2J"}, "reference must be"),
        ({"month": "2026-10", "reference": 7}, "reference must be"),
    ],
)
def test_what_cannot_be_is_refused_with_the_member_at_fault(content: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        payment_from_json(content)


def test_a_payment_is_kept_over_a_restart_and_a_later_word_on_the_month_counts() -> None:
    charger = linked()
    first, later = Payment(before(charger), reference="one"), Payment(before(charger), reference="two")
    assert charger.command(PushPayment(first)).result is Result.ACCEPTED
    kept = charger.state.payments
    assert charger.command(PushPayment(Payment(before(charger), reference="one"))).result is Result.ACCEPTED
    assert charger.state.payments is kept
    assert charger.command(PushPayment(later)).result is Result.ACCEPTED
    assert restored(durable(charger.state), ()).payments == {later.month: later}


def test_a_month_that_is_not_over_cannot_have_been_paid() -> None:
    charger = linked()
    outcome = charger.command(PushPayment(Payment(f"{charger.at.wall:%Y-%m}")))
    assert (outcome.result, outcome.reason) == (Result.REJECTED, f"month {charger.at.wall:%Y-%m} is not over")


def test_a_station_that_is_not_linked_takes_no_payment() -> None:
    charger = a_charger()
    charger.online()
    outcome = charger.command(PushPayment(Payment(before(charger))))
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "the station is not linked to a company")
    assert charger.state.payments == {}


def test_the_oldest_month_gives_way() -> None:
    charger = linked()
    for number in range(MOST_KEPT + 5):
        charger.command(PushPayment(Payment(f"{2000 + number // 12}-{number % 12 + 1:02}")))
    assert len(charger.state.payments) == MOST_KEPT
    assert min(charger.state.payments) == "2000-06"
