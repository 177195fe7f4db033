"""The support bundle: texts in a zip, without a secret, and without anything of a private card.

A private card's sessions never leave the station (contract, promise 11): lines of a log that name one are left out.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

HIDDEN: Final = "***"
PRIVATE: Final = "(private)"
SHOWN: Final = 4
"""Characters of an id that a masked one shows (``logs.last_four``)."""
SHORTEST_SECRET: Final = 4
EARLIEST: Final = (1980, 1, 1, 0, 0, 0)
"""What the format can stamp a file with."""


@dataclass(frozen=True, slots=True)
class Confidential:
    """What must not be in a bundle.

    cards: ids of private cards; sessions: ids of their sessions; secrets: passwords and keys that are configured.
    """

    cards: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()

    def log(self, lines: Iterable[str]) -> str:
        """Return lines of a log without those that tell of a private card."""
        private = _pattern((*self._forms(), *self.sessions))
        return self.text("".join(f"{line}\n" for line in lines if private is None or not private.search(line)))

    def text(self, text: str) -> str:
        """Return a text in which ids of private cards and secrets are replaced."""
        for pattern, instead in ((_pattern(self._forms()), PRIVATE), (_pattern(self._long_secrets()), HIDDEN)):
            text = text if pattern is None else pattern.sub(instead, text)
        return text

    def _forms(self) -> tuple[str, ...]:
        """Return ids as they are, and masked, where a masked one still tells something."""
        masked = ("*" * (len(card) - SHOWN) + card[-SHOWN:] for card in self.cards if len(card) > SHOWN)
        return (*self.cards, *masked)

    def _long_secrets(self) -> tuple[str, ...]:
        return tuple(secret for secret in self.secrets if len(secret) >= SHORTEST_SECRET)


def packed(texts: Mapping[str, str], now: datetime) -> bytes:
    """Return a zip of texts, by their names; it has some hundred kilobytes at most."""
    stamp = max((now.year, now.month, now.day, now.hour, now.minute, now.second), EARLIEST)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, stamp), text, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def _pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds any of these, the longest first; none of an empty list."""
    found = sorted({word for word in words if word}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, found)), re.IGNORECASE) if found else None
