"""Delays, without clock and chance: between connections, and between BootNotifications that were not answered well.

Source: OCPP 2.0.1 part 4, section 5.3, used for 1.6 as well; the numbers are this project's, gentle on short outages.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """Delays before connecting again; they never end.

    The first after a connection that was good is quick, between ``quick_s`` and three times that. Then ``base_s`` to
    ``base_s + spread_s``, doubled ``doublings`` times, and constant from there.
    """

    base_s: float = 3.0
    spread_s: float = 3.0
    doublings: int = 7
    quick_s: float = 1.0
    failures: int = 0

    def next(self, chance: float) -> float:
        """Return the next delay in seconds; chance: in [0, 1), spreads stations that lost the same central system."""
        self.failures += 1
        if self.failures == 1:
            return self.quick_s * (1 + 2 * chance)
        doubled = min(self.failures - 2, self.doublings)
        return float((self.base_s + self.spread_s * chance) * 2.0**doubled)

    def reset(self) -> None:
        """Begin anew: the connection was good."""
        self.failures = 0


@dataclass(slots=True)
class BootDelays:
    """Delays before the next BootNotification where the central system names none.

    ``base_s`` with 20 % to either side, doubled each time up to ``most_s``.
    """

    base_s: float = 30.0
    most_s: float = 900.0
    failures: int = 0

    def next(self, chance: float) -> float:
        """Return the next delay in seconds; chance: in [0, 1)."""
        delay = min(self.base_s * 2.0 ** min(self.failures, 16), self.most_s)
        self.failures += 1
        return delay * (0.8 + 0.4 * chance)

    def reset(self) -> None:
        """Begin anew: the central system has answered properly."""
        self.failures = 0
