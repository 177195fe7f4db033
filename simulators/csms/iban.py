"""International bank account numbers: the structure, and the check digits (ISO 13616, ISO 7064 MOD 97-10)."""

from __future__ import annotations

import re
from typing import Final

from simulators.errors import Misuse

SHAPE: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
#: Length by country, of those of the SEPA area (EPC409-09); others are held to the shape alone.
LENGTHS: Final = {
    "AD": 24, "AL": 28, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27,
    "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15,
    "PL": 28, "PT": 25, "RO": 24, "RS": 22, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "VA": 22,
}  # fmt: skip


def iban(text: str) -> str:
    """Return an account number without blanks, in upper case. Raises Misuse: it has a wrong shape or check digits."""
    number = "".join(text.split()).upper()
    expected = LENGTHS.get(number[:2])
    if not SHAPE.fullmatch(number):
        raise Misuse(f"{text!r} is no IBAN: two letters, two digits, then the account, as in NL91 ABNA 0417 1643 00")
    if expected is not None and len(number) != expected:
        raise Misuse(f"an IBAN of {number[:2]} has {expected} characters, this one {len(number)}")
    if int("".join(str(int(character, 36)) for character in number[4:] + number[:4])) % 97 != 1:
        raise Misuse(f"the check digits of {grouped(number)} are wrong: compare it with the card or statement")
    return number


def grouped(number: str) -> str:
    """Return an account number in groups of four, as it is printed."""
    return " ".join(number[start : start + 4] for start in range(0, len(number), 4))
