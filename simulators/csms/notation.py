"""How companies, cards and rates are written short, in options and line commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from simulators.csms.rates import day_night, flat
from simulators.csms.state import Activation, Company, JsonObject, Token, TokenStatus
from simulators.errors import Misuse

COMPANY = "CODE:NAME[:automatic|pending|rejected[:REASON]]"
TOKEN = "UID[:NUMBER[:active|blocked|deactivated[:GROUP]]]"  # noqa: S105 - a card, no secret
RATE = "flat:PRICE:VAT|daynight:DAY:NIGHT:VAT[:WEEKEND][@07:00-23:00]|FILE"
T = TypeVar("T")


def company(text: str) -> Company:
    """Return the company that a text describes. Raises Misuse."""
    code, name, activation, reason = (*text.split(":", 3), "", "", "")[:4]
    return Company(code.upper(), name or code, _one_of(Activation, activation or "automatic"), reason)


def token(text: str) -> Token:
    """Return the card that a text describes. Raises Misuse."""
    uid, number, status, group = (*text.split(":", 3), "", "", "")[:4]
    return Token(uid.upper(), number, _one_of(TokenStatus, status or "active"), group or None)


def _one_of(kind: Callable[[str], T], text: str) -> T:
    try:
        return kind(text)
    except ValueError as error:
        raise Misuse(str(error)) from None


def tariff(text: str) -> JsonObject:
    """Return the OCPI tariff that a text describes, or that is in a file. Raises Misuse."""
    prices, _, hours = text.partition("@")
    kind, *parts = prices.split(":")
    try:
        if kind == "flat":
            return flat(*parts)
        if kind == "daynight":
            day, night, vat, weekend = (*parts, None)[:4]
            start, _, end = (hours or "07:00-23:00").partition("-")
            return day_night(str(day), str(night), str(vat), hours=(start, end), weekend=weekend)
        content: JsonObject = json.loads(Path(text).read_text())
    except (TypeError, ValueError, OSError) as error:
        raise Misuse(f"{text!r} is no tariff: {error}") from None
    return content
