"""One touch is one report, however often a reader repeats a tag (promise 19).

While reads of a tag come at most ``release_gap_s`` apart the tag is held; a later read is a new touch, which is
reported only when ``min_repeat_s`` have passed since the tag's last report. Every tag counts for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

MOST_TAGS: Final = 64
"""Tags remembered at once; nobody holds so many within a few seconds."""


@dataclass(frozen=True, slots=True)
class _Presence:
    """When a tag was last read and last reported, monotonic seconds."""

    seen: float
    reported: float


class Debounce:
    """Remembers the tags of the last seconds."""

    def __init__(self, release_gap_s: float = 1.5, min_repeat_s: float = 3.0) -> None:
        """Begin with no tag."""
        self._release_gap_s = release_gap_s
        self._min_repeat_s = min_repeat_s
        self._present: dict[bytes, _Presence] = {}

    def touched(self, uid: bytes, now: float) -> bool:
        """Take a read at ``now`` (monotonic seconds); return whether it begins a touch to be reported."""
        self._forget(now)
        before = self._present.pop(uid, None)
        if before is None:
            self._present[uid] = _Presence(now, now)
            return True
        held = now - before.seen <= self._release_gap_s
        report = not held and now - before.reported >= self._min_repeat_s
        self._present[uid] = _Presence(now, now) if report else replace(before, seen=now)
        return report

    def _forget(self, now: float) -> None:
        """Drop tags whose next read would be reported anyway, and the oldest where there are too many."""
        longest = max(self._release_gap_s, self._min_repeat_s)
        self._present = {uid: at for uid, at in self._present.items() if now - at.seen <= longest}
        while len(self._present) >= MOST_TAGS:
            del self._present[next(iter(self._present))]
