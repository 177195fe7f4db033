"""Payments that the central system confirms: how they are read, and when they are taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from agent.core.commands import Outcome, PushPayment, Result
from agent.core.company import LinkState
from agent.core.payment import Payment
from agent.core.prices_json import currency_in, date_in, moment_in, number_in, object_in, refuse
from agent.core.turn import Turn

MESSAGE: Final = "StatementPaid"
MONTH: Final = re.compile("2[0-9]{3}-(?:0[1-9]|1[0-2])")
MOST_KEPT: Final = 240
"""Months of which a payment is kept: twenty years; the oldest gives way."""
CENTS: Final = 4
REFERENCE: Final = 100
DAY: Final = len("2026-12-24")


def payment_from_json(content: object) -> Payment:
    """Return the payment of a ``StatementPaid`` message; only the month must be there.

    Raises: ValueError naming the member at fault and what is allowed.
    """
    message = object_in(content, "data")
    month, currency = message.get("month"), message.get("currency")
    if not isinstance(month, str) or not MONTH.fullmatch(month):
        refuse("month", "must be a month like 2026-11")
    return Payment(
        month=month,
        paid_at=_moment(message.get("paidAt")),
        amount=_amount(message.get("amount")),
        currency=None if currency is None else currency_in(currency, "currency"),
        reference=_reference(message),
    )


def paid(turn: Turn, command: PushPayment) -> Outcome:
    """Keep what the company paid of a month that is over; what is told later of a month counts."""
    payment, payments = command.payment, turn.state.payments
    if turn.state.company.state is not LinkState.LINKED:
        return Outcome(command, Result.REJECTED, "the station is not linked to a company")
    if payment.month >= f"{turn.at.wall.astimezone(ZoneInfo(turn.policy.timezone)):%Y-%m}":
        return Outcome(command, Result.REJECTED, f"month {payment.month} is not over")
    if payments.get(payment.month) != payment:
        kept = sorted({**payments, payment.month: payment}.items())[-MOST_KEPT:]
        turn.state = replace(turn.state, payments=dict(kept))
    return Outcome(command, Result.ACCEPTED)


def _moment(value: object) -> date | datetime | None:
    is_day = isinstance(value, str) and len(value) == DAY
    return date_in(value, "paidAt") if is_day else moment_in(value, "paidAt")


def _amount(value: object) -> Decimal | None:
    if value is None:
        return None
    amount = number_in(value, "amount")
    if int(amount.as_tuple().exponent) < -CENTS:
        refuse("amount", f"must have at most {CENTS} decimal places")
    return amount


def _reference(message: Mapping[str, object]) -> str | None:
    text = message.get("reference")
    if text is None:
        return None
    if not isinstance(text, str) or not text.isprintable() or not 1 <= len(text.strip()) <= REFERENCE:
        refuse("reference", f"must be a text of one line, at most {REFERENCE} characters")
    return text.strip()
