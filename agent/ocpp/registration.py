"""Where the station stands with its central system, and when BootNotification is due; no clock, no I/O.

Source: OCPP 1.6 ed. 2, section 4.2; OCPP-J 1.6, section 5.4; errata of OCPP-J 1.6, section 3.10 (lost registration).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from agent.core.model import Registration
from agent.ocpp.backoff import BootDelays
from agent.ocpp.dialect import Booted

WORDS: Final = {
    Registration.PENDING: "the central system has not accepted this station yet (Pending): is it set up there?",
    Registration.REJECTED: "the central system rejects this station: check station.id and whether it is known there",
}


class Registering:
    """Registration over the whole run of the process, connections come and go."""

    def __init__(self, delays: BootDelays, chance: Callable[[], float]) -> None:
        """Begin unregistered; chance: numbers in [0, 1) that spread the retries."""
        self._delays = delays
        self._chance = chance
        self._boot_at: float | None = None
        self._unanswered: str | None = None
        self.status: Registration | None = None

    @property
    def accepted(self) -> bool:
        """Whether everything may be sent, once connected."""
        return self.status is Registration.ACCEPTED

    @property
    def boot_at(self) -> float | None:
        """The monotonic second of the next BootNotification, None while none is planned."""
        return self._boot_at

    @property
    def error(self) -> str | None:
        """What is wrong with the registration, in words."""
        return self._unanswered or (WORDS.get(self.status) if self.status is not None else None)

    def connected(self, now: float) -> None:
        """Plan for a new connection: at once, unless accepted before, or told to wait.

        A station that is rejected is silent until its interval is over, also on another connection.
        """
        if self.accepted:
            self._boot_at = None
        elif self.status is not Registration.REJECTED or self._boot_at is None:
            self._boot_at = now

    def sent(self) -> None:
        """Take that BootNotification is under way."""
        self._boot_at = None

    def answered(self, booted: Booted, now: float) -> None:
        """Take a proper answer; an interval of 0 leaves the wait to the station."""
        self.status = booted.registration
        self._unanswered = None
        if self.accepted:
            self._delays.reset()
            self._boot_at = None
        elif booted.interval_s > 0:
            self._delays.reset()
            self._boot_at = now + booted.interval_s
        else:
            self._boot_at = now + self._delays.next(self._chance())

    def failed(self, words: str, now: float) -> None:
        """Take that BootNotification brought nothing usable: an error, silence, or garbage."""
        self._unanswered = f"BootNotification: {words}"
        self._boot_at = now + self._delays.next(self._chance())

    def lost(self, now: float) -> None:
        """Take that the central system knows this station no longer: register again after a while."""
        self.status = None
        self.failed("the central system has lost this station's registration (SecurityError)", now)

    def moved(self) -> None:
        """Take that the next connection goes to another address, where nobody knows this station yet."""
        self.status = None
        self._boot_at = None

    def trigger(self, now: float) -> None:
        """Send BootNotification now, since the central system asks for it."""
        if not self.accepted:
            self._boot_at = now
