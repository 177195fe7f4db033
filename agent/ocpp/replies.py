"""Answers to the central system's CALLs, in the order in which these came, whichever of them is known first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

OPEN_CALLS: Final = 200
"""More CALLs than this are not kept waiting at one time."""


@dataclass(slots=True)
class _Slot:
    """The place of an answer; text: None until it is known."""

    message_id: str
    text: str | None = None


class Replies:
    """A queue of places: taken when a CALL comes, filled when its answer is known, left in turn."""

    def __init__(self) -> None:
        """Owe no answers."""
        self._slots: deque[_Slot] = deque()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def full(self) -> bool:
        """Whether too many CALLs wait already."""
        return len(self._slots) >= OPEN_CALLS

    def expect(self, message_id: str) -> None:
        """Take the next place for a CALL."""
        self._slots.append(_Slot(message_id))

    def fill(self, message_id: str, text: str | None) -> None:
        """Answer a CALL; nothing happens for one that is not owed an answer, or has none."""
        slot = next((s for s in self._slots if s.message_id == message_id and s.text is None), None)
        if slot is not None and text is not None:
            slot.text = text

    def put(self, text: str) -> None:
        """Take the next place for an answer that is known already."""
        self._slots.append(_Slot("", text))

    def take(self) -> str | None:
        """Return the next answer to be sent, None while it is not known."""
        if self._slots and self._slots[0].text is not None:
            return self._slots.popleft().text
        return None
