"""How a station behaves on the wire: one CALL at a time, the boot first, ids of its own, plausible timestamps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from simulators.csms.log import MessageLog
from simulators.csms.readings import moment
from simulators.csms.state import JsonObject
from simulators.csms.statuses import Statuses

BOOT: Final = "BootNotification"
OLDEST_YEAR: Final = 2024
#: A station counts its time-outs and intervals from other moments than we do.
SLACK: Final = 0.9


@dataclass(slots=True)
class _Seen:
    """What is known of a station. open: unanswered CALLs, id -> when they came. allowed: actions it was asked for."""

    open: dict[str, float] = field(default_factory=dict)
    ids: dict[str, tuple[str, JsonObject]] = field(default_factory=dict)
    allowed: set[str] = field(default_factory=set)
    next_boot: float = 0.0


class Conduct:
    """Watches stations and puts what is wrong into the log.

    message_timeout_s: after so long a station may give up waiting for an answer; learned from the key MessageTimeout
    when it is set from here, to be set by tests that set it in the station. statuses: how they may follow each other.
    """

    def __init__(self, log: MessageLog) -> None:
        self.message_timeout_s = 30.0
        self.statuses = Statuses()
        self._log = log
        self._stations: dict[str, _Seen] = {}

    def _of(self, station: str) -> _Seen:
        return self._stations.setdefault(station, _Seen())

    def connected(self, station: str) -> None:
        """A new connection: nothing is open on it."""
        self._of(station).open.clear()
        self.statuses.forget(station)

    def asked_for(self, station: str, action: str) -> None:
        """The station agreed to send an action: it may until its next boot, whatever its registration."""
        self._of(station).allowed.add(action)

    def called(self, station: str, id_: str, action: str, payload: JsonObject) -> None:
        """Check a CALL that came in."""
        seen, now = self._of(station), time.monotonic()
        waiting = [since for since in seen.open.values() if now - since < SLACK * self.message_timeout_s]
        if waiting:
            self._log.accuse(station, f"{action} while another CALL is unanswered for {now - waiting[0]:.1f} s")
        seen.open[id_] = now
        if seen.ids.setdefault(id_, (action, payload)) != (action, payload):
            self._log.accuse(station, f"message id {id_} used again for another {action}")
        for text in _timestamps(payload):
            self._check_time(station, action, text)

    def answered(self, station: str, id_: str) -> None:
        """A CALL was answered."""
        self._of(station).open.pop(id_, None)

    def may_send(self, station: str, action: str, registration: str | None) -> bool:
        """Tell whether a station may send an action in its state of registration; what it may not is noted."""
        seen = self._of(station)
        if action in seen.allowed:
            return True
        if action == BOOT:
            if time.monotonic() < seen.next_boot:
                self._log.accuse(station, "BootNotification before its interval has passed")
            return True
        if registration != "Accepted":
            self._log.accuse(station, f"{action} while its registration is {registration or 'missing'}")
        return registration == "Accepted"

    def booted(self, station: str, status: str, interval_s: float) -> None:
        """A boot was answered: the next one is due after the interval unless this one was accepted."""
        seen = self._of(station)
        seen.allowed.clear()
        self.statuses.forget(station)
        seen.next_boot = 0.0 if status == "Accepted" else time.monotonic() + SLACK * interval_s

    def _check_time(self, station: str, action: str, text: str) -> None:
        try:
            year = moment(text).year
        except ValueError as error:
            self._log.accuse(station, f"{action}: {error}")
            return
        if year < OLDEST_YEAR:
            self._log.accuse(station, f"{action}: implausible timestamp {text}")


def _timestamps(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield all timestamps in a payload."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if key == "timestamp" and isinstance(entry, str):
                yield entry
            else:
                yield from _timestamps(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _timestamps(entry)
