"""Identifiers of cards as people and central systems write them: UID, printed number, EMA-ID, days of validity.

Errors are ValueError with words for the person who typed.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Final, NoReturn

from agent.core.card import Cleared
from agent.core.model import IdToken

UID_LENGTH: Final = 20
"""OCPP 1.6 ed. 2, section 7.28 (IdToken is a CiString20Type)."""
NUMBER_LENGTH: Final = 36
"""Longest number that is printed on a card (OCPI 2.2.1, Token.visual_number has 64; cards print half a line)."""
HEX_PAIRS: Final = re.compile(r"[0-9A-Fa-f]{2}(?:[:\-. ]?[0-9A-Fa-f]{2})*")
SEPARATORS: Final = re.compile(r"[-*. ]")
#: Country, provider, nine characters, and perhaps the check digit (ISO 15118-1, annex H; eMI3 part 2).
ISO: Final = re.compile(r"([A-Z]{2}[A-Z0-9]{12})([A-Z0-9]?)")
#: Country, provider, six characters, check digit (DIN SPEC 91286); only with separators, since else anything is one.
DIN: Final = re.compile(r"([A-Z]{2})[-*]([A-Z0-9]{3})[-*]([A-Z0-9]{6})[-*]([A-Z0-9])")
YEARS: Final = range(2000, 2200)
"""Others are slips of the finger, and the first and last of all could not be put into UTC."""
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIN_MODULUS: Final = 11
DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
MOMENT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def uid(text: str) -> IdToken:
    """Return the id token that somebody wrote.

    Hex pairs, with or without ``:``, ``-``, ``.`` or space between them, become upper-case hex without separators, as
    readers report cards; any other text is kept as it is (a virtual token). Raises: ValueError.
    """
    typed = text.strip()
    value = re.sub(r"[:\-. ]", "", typed).upper() if HEX_PAIRS.fullmatch(typed) else typed
    if not value or not (value.isascii() and value.isprintable()):
        _refuse(f"{typed!r} is not a card number: type it as the reader shows it, like 04A1B2C3D4E5F6")
    if len(value) > UID_LENGTH:
        _refuse(f"card number {value} has {len(value)} characters, at most {UID_LENGTH} are allowed: type its UID")
    return IdToken(value)


def number(text: str) -> str:
    """Return the number printed on a card. Raises: ValueError."""
    if len(text) > NUMBER_LENGTH:
        _refuse(f"number has {len(text)} characters, at most {NUMBER_LENGTH} are allowed: type what is printed on it")
    return text


def ema_id(text: str) -> str:
    """Return an EMA-ID in upper case, its separators as they were written.

    The check digit must be right where there is one; an id of another scheme is taken as it is. Raises: ValueError.
    """
    written = text.upper()
    right = _right_digit(written)
    if right is not None and right != written[-1]:
        _refuse(f"EMA-ID {written} has the wrong check digit: it should end in {right}; compare it with the card")
    return written


def same_number(one: str | None, other: str) -> bool:
    """Tell whether two numbers are the same for a person: case and separators do not count."""
    return one is not None and _bare(one) == _bare(other)


def same_ema_id(one: str | None, other: str) -> bool:
    """Tell whether two EMA-IDs are the same: case, separators and the check digit do not count."""
    return one is not None and _contract(_bare(one)) == _contract(_bare(other))


def limit(text: str) -> date | datetime | Cleared:
    """Return a day, a moment, or that there is no limit (``none``). Raises: ValueError."""
    typed = text.strip()
    found = Cleared.NONE if typed.lower() == Cleared.NONE else day_or_moment(typed)
    if found is None:
        _refuse(f"{typed!r} is neither a day like 2026-12-31 nor a moment like 2026-12-31T18:00, nor none")
    return found


def day_or_moment(text: str) -> date | datetime | None:
    """Return a day or a moment of this or the next century, None where the text is neither."""
    found: date | datetime | None = None
    try:
        if DAY.fullmatch(text):
            found = date.fromisoformat(text)
        elif MOMENT.fullmatch(text):
            found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found is not None and found.year in YEARS else None


def check_digit(contract: str) -> str:
    """Return the check digit of an EMA-ID's first fourteen characters, upper case without separators.

    Each character stands for two binary and two ternary digits; position i weighs with the i-th power of a matrix,
    [[0, 1], [1, 1]] modulo 2 and [[0, 1], [1, 2]] modulo 3, and the digit makes both sums zero at position 15
    (ISO 15118-1, annex H; eMI3, "Check Digit Calculation for Contract-IDs").
    """
    places = [ALPHABET.index(character) for character in contract]
    binary = _weighed([divmod(place // 9, 2) for place in places], 1, 2)
    first, second = _weighed([divmod(place % 9, 3) for place in places], 2, 3)
    # The third matrix, [[0, 2], [2, 1]], is the negative of the inverse of the second one's fifteenth power.
    ternary = (2 * second % 3, (2 * first + second) % 3)
    return ALPHABET[9 * (2 * binary[0] + binary[1]) + 3 * ternary[0] + ternary[1]]


def din_check_digit(contract: str) -> str:
    """Return the check digit of a DIN SPEC 91286 contract id: decimal digits (A is 10) weigh 1, 2, 4, …, modulo 11."""
    digits = "".join(str(ALPHABET.index(character)) for character in contract)
    rest = sum(int(digit) << place for place, digit in enumerate(digits)) % DIN_MODULUS
    return "X" if rest == DIN_MODULUS - 1 else str(rest)


def _weighed(pairs: list[tuple[int, int]], corner: int, modulus: int) -> tuple[int, int]:
    """Return the sum of row vectors times the powers of [[0, 1], [1, corner]], the last position first (Horner)."""
    first, second = 0, 0
    for one, other in reversed(pairs):
        first, second = second + other, first + one + corner * (second + other)
        first, second = first % modulus, second % modulus
    return first, second


def _right_digit(written: str) -> str | None:
    """Return the check digit that an id should have, None where it has none, or is of another scheme."""
    if din := DIN.fullmatch(written):
        return din_check_digit("".join(din.groups()[:3]))
    iso = ISO.fullmatch(_bare(written))
    return check_digit(iso[1]) if iso is not None and iso[2] else None


def _bare(text: str) -> str:
    return SEPARATORS.sub("", text).upper()


def _contract(bare: str) -> str:
    iso = ISO.fullmatch(bare)
    return iso[1] if iso is not None else bare


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)
