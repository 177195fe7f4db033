"""Notices a message at which the central system hangs up each time, so that it does not keep those behind it for ever.

A lost connection costs a message no attempt, since networks fail. But where the same message was under way at several
losses in a row, each soon after it had left, the message is to blame: from then on each loss is a failed attempt.
"""

from __future__ import annotations

from typing import Final

FORGIVEN: Final = 5
"""So many losses in a row with the same message under way are the network's."""
SOON_S: Final = 10.0
"""A connection that was lost later than this after the message had left was not lost because of it."""
WORDS: Final = "the central system hangs up at this message"


class Hangups:
    """What was under way when connections were lost; rows are those of a lane."""

    def __init__(self) -> None:
        """Blame nothing."""
        self._under_way: tuple[int, float] | None = None
        self._suspect: int | None = None
        self._losses = 0
        self._blamed = False

    def sent(self, row: int, now: float) -> None:
        """Take that a message leaves."""
        self._under_way = (row, now)

    def settled(self) -> None:
        """Take that the message under way was answered, or timed out while the connection held."""
        if self._under_way is not None and self._under_way[0] == self._suspect:
            self._suspect, self._losses = None, 0
        self._under_way = None

    def lost(self, now: float) -> None:
        """Take that the connection was lost."""
        if self._under_way is None:
            return
        (row, left), self._under_way = self._under_way, None
        if now - left > SOON_S:
            return
        self._losses = self._losses + 1 if row == self._suspect else 1
        self._suspect = row
        self._blamed = self._losses > FORGIVEN

    def blames(self, row: int) -> bool:
        """Tell once for each loss whether this message is to blame for it."""
        blamed = self._blamed and row == self._suspect
        self._blamed = False
        return blamed
