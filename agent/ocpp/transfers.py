"""Company links to be asked for, and companies that were left, as long as the central system has not been told; no I/O.

Source: contract, section 5.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SERIALS_S: Final = 5.0
"""So long after an accepted boot LinkCompany waits for the serial numbers of meters that were not heard yet."""
LOOK_S: Final = 0.2
"""So often it is looked whether they have been heard."""
RETRY_FIRST_S: Final = 60.0
RETRY_DOUBLINGS: Final = 6


class Transfers:
    """What is to be told of the company: the newest code that is asked for, and each one that was left."""

    def __init__(self) -> None:
        """There is nothing to tell yet."""
        self._link: str | None = None
        self._unlinks: deque[str] = deque()
        self._patient_until = 0.0
        self._unlink_at = 0.0
        self._failures = 0

    def booted(self, now: float) -> None:
        """Take that the station was accepted: from now on the meters have a moment to tell their serial numbers."""
        self._patient_until = now + SERIALS_S
        self.connected()

    def connected(self) -> None:
        """Take that there is another connection: who was not told of an unlink is told at once."""
        self._unlink_at, self._failures = 0.0, 0

    def link(self, code: str) -> None:
        """Ask for a link; that the same company was left need not be told any more."""
        self._link = code
        self._told(code)

    def unlink(self, code: str) -> None:
        """Tell that a company was left; that it was to be asked for before no longer counts."""
        if self._link == code:
            self._link = None
        if code not in self._unlinks:
            self._unlinks.append(code)

    def due(self, now: float) -> float | None:
        """Return when one of the two ``take`` may have something, None while there is nothing to tell."""
        dues = [self._unlink_at] if self._unlinks else []
        if self._link is not None:
            dues.append(min(now + LOOK_S, self._patient_until))
        return min(dues, default=None)

    def take_unlink(self, now: float) -> str | None:
        """Return the code of a company that was left, to be told now; it stays until ``unlink_told``."""
        return self._unlinks[0] if self._unlinks and now >= self._unlink_at else None

    def take_link(self, now: float, *, complete: bool) -> str | None:
        """Return the code to be asked for now, once; complete: all meters have told their serial numbers."""
        if self._link is None or not (complete or now >= self._patient_until):
            return None
        return self.drop_link()

    def drop_link(self) -> str | None:
        """Return the code that is asked for no more: there is nobody to ask."""
        code, self._link = self._link, None
        return code

    def unlink_told(self, code: str) -> None:
        """Take that the central system has heard, whatever it makes of it."""
        self._failures = 0
        self._told(code)

    def unlink_failed(self, now: float) -> None:
        """Take that it has not: it is told again later, at growing intervals."""
        self._unlink_at = now + RETRY_FIRST_S * 2.0 ** min(self._failures, RETRY_DOUBLINGS)
        self._failures += 1

    def _told(self, code: str) -> None:
        self._unlinks = deque(left for left in self._unlinks if left != code)
