"""What is to be delivered when, and again when: pure, time is an argument (docs/adr/0022)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from math import inf
from typing import Final

from agent.core.instant import Instant
from agent.statement.model import State
from agent.statement.month import Month, month_at

FIRST_S: Final = 15.0
"""The first retry comes within this time, each later one after twice as long."""
MOST_S: Final = 3600.0
DOUBLINGS: Final = 8
JITTER: Final = 0.2
"""Delays are shortened by up to this part, so that a fleet does not come back all at once."""
SOON_S: Final = 60.0
"""A session that may belong to a month that has ended is settled a minute after a start, mostly."""
LATER_S: Final = 3600.0
"""How often it is looked whether the figures of a delivered month have changed."""
PATIENCE: Final = timedelta(days=1)
"""A month that is still in progress so long after its end is delivered as such."""
MOST_MONTHS: Final = 24
"""A clock that was set wrong by decades does not send hundreds of statements."""


class Standing(StrEnum):
    """Whether a recipient has all of a month's statement."""

    PENDING = "pending"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Shipment:
    """A month's statement on its way to one recipient; durable but for ``due`` and ``following``.

    edition: 0 of a month in progress, 1 of the month that has ended, more with each correction; turn: how often this
    edition was asked for by hand; figures: fingerprint of what was made last, empty before; done: what has arrived of
    edition and turn; settled: what arrived changes no more; attempts: of edition and turn; tried: when last (UTC);
    due: monotonic second from which on it is looked at, 0 at once; following: the same as a moment (UTC), of retries.
    """

    name: str
    month: Month
    standing: Standing = Standing.PENDING
    edition: int = 0
    turn: int = 0
    figures: str = ""
    done: frozenset[str] = frozenset()
    settled: bool = False
    attempts: int = 0
    error: str | None = None
    tried: datetime | None = None
    due: float = 0.0
    following: datetime | None = None

    @property
    def pending(self) -> bool:
        """Whether something still has to arrive."""
        return self.standing is Standing.PENDING


def ended(since: datetime, now: datetime, zone: tzinfo) -> tuple[Month, ...]:
    """Return the months that ended after ``since`` and not after ``now``, oldest first; the newest where it is many."""
    running, month = month_at(now, zone), month_at(since, zone)
    months: list[Month] = []
    while month < running:
        months.append(month)
        month = month.following
    return tuple(months[-MOST_MONTHS:])


def is_due(row: Shipment, now: Instant, zone: tzinfo) -> bool:
    """Tell whether something is to be done: to deliver, or to look whether what was delivered still holds."""
    return row.due <= now.mono and (row.pending or (not row.settled and row.month.end(zone) <= now.wall))


def asked(row: Shipment | None, name: str, month: Month) -> Shipment:
    """Return the row once somebody asks for the statement now, also for one that has arrived."""
    if row is None:
        return Shipment(name, month, turn=1)
    if row.pending:
        return replace(row, due=0.0, following=None, turn=max(row.turn, 1) if row.edition == 0 else row.turn)
    again = replace(row, standing=Standing.PENDING, done=frozenset(), settled=False, attempts=0, error=None)
    return replace(again, turn=row.turn + 1, due=0.0)


def doubted(row: Shipment, now: Instant, zone: tzinfo) -> Shipment:
    """Return the row; where its month is not over after all, since a clock was wrong, it is looked at when it is."""
    too_early = row.settled and row.month.end(zone) > now.wall
    return replace(row, settled=False, due=0.0) if too_early else row


def revised(row: Shipment, state: State, figures: str, *, over_for: timedelta, mono: float) -> Shipment:
    """Return the row in the light of the statement as it is now.

    over_for: time since the month's end, negative before. A row that is pending and due afterwards is to be sent.
    """
    is_open, same = state is State.IN_PROGRESS, row.figures == figures
    if is_open and row.pending and row.turn == 0 and over_for < PATIENCE:
        return replace(row, due=mono + SOON_S)
    edition = _edition(row, is_open=is_open, same=same)
    if edition == row.edition and same:
        return row if row.pending else _rested(row, state, mono)
    if not row.pending and is_open:
        return _rested(row, state, mono)
    afresh = replace(row, standing=Standing.PENDING, edition=edition, figures=figures, done=frozenset(), settled=False)
    goes_on = row.pending and edition == row.edition
    return afresh if goes_on else replace(afresh, turn=0, attempts=0, error=None, due=0.0)


def arrived(row: Shipment, state: State, now: Instant) -> Shipment:
    """Return the row after an attempt by which all has arrived; state: of the statement."""
    row = replace(row, standing=Standing.COMPLETED, attempts=row.attempts + 1, error=None, tried=now.wall)
    row = replace(row, following=None)
    return _rested(row, state, now.mono)


def failed(row: Shipment, error: str, now: Instant, chance: float) -> Shipment:
    """Return the row after an attempt that left something to do; chance: in [0, 1), for the jitter."""
    row = replace(row, attempts=row.attempts + 1, error=error, tried=now.wall)
    wait_s = delay(row.attempts, chance)
    return replace(row, due=now.mono + wait_s, following=now.wall + timedelta(seconds=wait_s))


def delay(attempts: int, chance: float) -> float:
    """Return how long (s) the next attempt waits after so many that failed."""
    full: float = min(FIRST_S * 2.0 ** min(attempts - 1, DOUBLINGS), MOST_S)
    return full * (1 - JITTER * chance)


def _edition(row: Shipment, *, is_open: bool, same: bool) -> int:
    """Return which edition the statement is: another one where somebody has the present one with other figures."""
    if row.edition == 0:
        return 0 if is_open else 1
    told = not row.pending or bool(row.done) or row.turn > 0
    return row.edition + (told and not same)


def _rested(row: Shipment, state: State, mono: float) -> Shipment:
    if state is State.COMPLETED:
        return replace(row, settled=True, due=inf)
    return replace(row, due=mono + (SOON_S if state is State.IN_PROGRESS else LATER_S))
