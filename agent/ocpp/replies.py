"""Answers to the central system's CALLs, in the order in which these came, whichever of them is known first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

OPEN_CALLS: Final = 200
"""More CALLs than this are not kept waiting at one time."""


@dataclass(slots=True)
class _Slot:
    """The place of an answer; text: None until it is known; of: the place whose answer it repeats.

    message_id: None where the place is not found by it; an empty one is an id like any other.
    """

    message_id: str | None
    text: str | None = None
    of: _Slot | None = None


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
        """Take the next place for a CALL; an open one with the same id, which asked something else, is given up.

        One answer can only be meant for one of them, and what is never answered would hold up all that came after it.
        """
        old = self._open(message_id)
        if old is not None:
            self._slots = deque(slot for slot in self._slots if slot is not old and slot.of is not old)
        self._slots.append(_Slot(message_id))

    def repeat(self, message_id: str) -> None:
        """Take a place for a CALL that came again before it was answered: it gets the same answer."""
        first = self._open(message_id)
        if first is not None:
            self._slots.append(_Slot(None, of=first))

    def fill(self, message_id: str, text: str | None) -> None:
        """Answer a CALL, as often as it came; nothing happens for one that is not owed an answer, or has none."""
        first = self._open(message_id)
        if first is None or text is None:
            return
        for slot in self._slots:
            if slot is first or slot.of is first:
                slot.text = text

    def put(self, text: str) -> None:
        """Take the next place for an answer that is known already."""
        self._slots.append(_Slot(None, text))

    def take(self) -> str | None:
        """Return the next answer to be sent, None while it is not known."""
        if self._slots and self._slots[0].text is not None:
            return self._slots.popleft().text
        return None

    def _open(self, message_id: str) -> _Slot | None:
        return next((s for s in self._slots if s.message_id == message_id and s.text is None), None)
