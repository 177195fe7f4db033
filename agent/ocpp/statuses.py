"""What the connectors show, and what of it the central system has still to be told.

While it listens, changes are told in the order in which they came to be. While it does not, only the last one of each
connector counts, and is told later where it differs from what was confirmed last.
Source: OCPP 1.6 ed. 2, section 4.9; errata 3.22.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from agent.core.effects import ReportStatus
from agent.core.model import ConnectorStatus, ErrorCode, EvseId

TRIES: Final = 3
"""A status that is not answered is told so often; then the next change, or the next connection, tells more."""


@dataclass(frozen=True, slots=True)
class Due:
    """A status to be told; ready_at: not before this monotonic second; tries: how often it was told already."""

    report: ReportStatus
    ready_at: float
    tries: int = 0


class Statuses:
    """The statuses of the station (0) and its connectors, as shown and as told."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._shown: dict[EvseId, Due] = {}
        self._told: dict[EvseId, tuple[ConnectorStatus, ErrorCode]] = {}
        self._under_way: dict[EvseId, tuple[ConnectorStatus, ErrorCode]] = {}
        self._waiting: list[Due] = []
        self._listening = False

    @property
    def ready_at(self) -> float | None:
        """The monotonic second at which ``take`` has something, None where there is nothing."""
        return self._waiting[0].ready_at if self._waiting else None

    def report(self, report: ReportStatus, now: float, minimum_s: float) -> None:
        """Take a status that a connector shows from now on; one that lasts less than ``minimum_s`` is not told.

        The first of a connector is told at once: an accepted boot is followed by all of them (errata 3.22).
        """
        due = Due(report, now + minimum_s if report.evse in self._shown else now)
        self._shown[report.evse] = due
        if self._listening:
            self._plan(due, now)

    def listen(self, now: float, *, everything: bool) -> None:
        """Plan what to tell now that the central system listens: every connector, or only what it does not know."""
        self.silence()
        self._listening = True
        if everything:
            self._told.clear()
        for evse in sorted(self._shown):
            due = self._shown[evse]
            self._plan(replace(due, ready_at=min(now, due.ready_at)) if everything else due, now)

    def silence(self) -> None:
        """Tell nothing more: the link went, or the central system does not know this station any more."""
        self._listening = False
        self._waiting.clear()
        self._under_way.clear()

    def take(self, now: float) -> Due | None:
        """Return the next status to be told, and take it off the list; None where nothing is ready."""
        if not self._waiting or self._waiting[0].ready_at > now:
            return None
        due = self._waiting.pop(0)
        self._under_way[due.report.evse] = _key(due.report)
        return due

    def told(self, due: Due) -> None:
        """Take that the central system has a status, whatever it said of it."""
        self._told[due.report.evse] = _key(due.report)
        self._under_way.pop(due.report.evse, None)

    def unanswered(self, due: Due) -> None:
        """Tell a status again unless a newer one of the connector waits, or it was told often enough."""
        self._under_way.pop(due.report.evse, None)
        again = replace(due, tries=due.tries + 1)
        if self._listening and again.tries < TRIES and not any(self._of(due.report.evse)):
            self._waiting.append(again)

    def current(self, evse: EvseId | None) -> tuple[ReportStatus, ...]:
        """Return what is shown by one connector, or by all in order."""
        return tuple(self._shown[key].report for key in sorted(self._shown) if evse in {None, key})

    def _plan(self, due: Due, now: float) -> None:
        """Put a status at the end; one of the same connector that has not lasted long enough is taken back."""
        evse = due.report.evse
        self._waiting = [d for d in self._waiting if d.report.evse != evse or d.ready_at <= now]
        waiting = [_key(d.report) for d in self._of(evse)]
        last = waiting[-1] if waiting else self._under_way.get(evse, self._told.get(evse))
        if last != _key(due.report):
            self._waiting.append(due)

    def _of(self, evse: EvseId) -> Iterator[Due]:
        return (due for due in self._waiting if due.report.evse == evse)


def _key(report: ReportStatus) -> tuple[ConnectorStatus, ErrorCode]:
    return report.status, report.error_code
