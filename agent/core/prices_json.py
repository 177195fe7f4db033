"""Members of JSON objects that tell prices: read with their digits, refused with their place and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NoReturn

from agent.core.prices_currency import CURRENCIES

MOST: Final = Decimal(1_000_000)
PLACES: Final = 40
"""Digits behind the point that a number may have; endless ones would fill the memory when shown."""
DATE: Final = re.compile("[12][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
MOMENT: Final = re.compile(r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}.*")


def refuse(where: str, why: str) -> NoReturn:
    """Refuse a document. Raises: ValueError."""
    message = f"{where} {why}"
    raise ValueError(message)


def object_in(value: object, where: str) -> Mapping[str, object]:
    """Return an object. Raises: ValueError."""
    if not isinstance(value, Mapping):
        refuse(where, "must be an object")
    return value


def list_in(value: object, where: str) -> Sequence[object]:
    """Return a list. Raises: ValueError."""
    if not isinstance(value, list | tuple):
        refuse(where, "must be a list")
    return value


def number_in(value: object, where: str, most: Decimal = MOST, *, least: Decimal = Decimal(0)) -> Decimal:
    """Return a number within its range, from its digits and never through a binary fraction. Raises: ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        refuse(where, "must be a number")
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        refuse(where, "must be a number")
    if not (number.is_finite() and least <= number <= most):
        refuse(where, f"must be between {least} and {most}")
    if int(number.as_tuple().exponent) < -PLACES:
        refuse(where, f"must have at most {PLACES} decimal places")
    return number


def whole_in(value: object, where: str, most: int, *, least: int = 0) -> int:
    """Return a whole number within its range. Raises: ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        refuse(where, f"must be a whole number, {least} to {most}")
    return value


def currency_in(value: object, where: str) -> str:
    """Return a currency's code in capitals. Raises: ValueError."""
    code = value.upper() if isinstance(value, str) and value.isascii() else ""
    if code not in CURRENCIES:
        refuse(where, "must be a currency's code of ISO 4217, like EUR")
    return code


def date_in(value: object, where: str) -> date | None:
    """Return a local day, None where there is none. Raises: ValueError."""
    if value is None:
        return None
    try:
        return date.fromisoformat(value if isinstance(value, str) and DATE.fullmatch(value) else "")
    except ValueError:
        refuse(where, "must be a day like 2026-12-24")


def moment_in(value: object, where: str) -> datetime | None:
    """Return a moment (UTC), None where there is none; without a zone it is UTC (OCPI 2.2.1, types, DateTime)."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) and MOMENT.fullmatch(value) else "")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        refuse(where, "must be a moment like 2026-12-24T18:00:00Z")
