"""How far each session has come on its way to each destination, read from the lanes."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.core.model import Reporting

CLOUD: Final = "cloud"
"""Name of the commanding central system's lane."""

CONFIRMED: Final = "confirmed"
QUARANTINED: Final = "quarantined"

LANES: Final = """
SELECT d.session, d.destination, d.transaction_id, o.start_state, o.end_state, o.held, o.waiting, o.unsent, o.error
FROM delivery AS d LEFT JOIN (
    SELECT o.session, o.destination,
        max(CASE WHEN o.fact = s.start_fact THEN o.state END) AS start_state,
        max(CASE WHEN o.fact = s.end_fact THEN o.state END) AS end_state,
        sum(o.state = 'held') AS held,
        sum(o.state = 'queued') AS waiting,
        sum(o.state = 'queued' AND o.text IS NULL) AS unsent,
        coalesce(max(CASE WHEN o.state = 'quarantined' THEN o.error END), max(o.error)) AS error
    FROM outbox AS o JOIN session AS s ON s.id = o.session
    WHERE :only IS NULL OR o.session = :only GROUP BY o.session, o.destination
) AS o ON o.session = d.session AND o.destination = d.destination
WHERE :only IS NULL OR d.session = :only
"""
COUNTS: Final = """
SELECT coalesce(sum(state = 'queued'), 0), coalesce(sum(state = 'quarantined'), 0)
FROM outbox WHERE :only IS NULL OR destination = :only
"""


class DeliveryState(StrEnum):
    """How far a session has come on its way to one destination.

    RECORDED: waits for the company link; SENT: all that is under way has left at least once; REFUSED: its start or its
    end was given up; NONE: it never leaves.
    """

    RECORDED = "recorded"
    QUEUED = "queued"
    SENT = "sent"
    CONFIRMED = "confirmed"
    REFUSED = "refused"
    NONE = "none"


class Reported(StrEnum):
    """Whether the commanding central system has a session; REPORTED: it confirmed both start and end."""

    PENDING = "pending"
    REPORTED = "reported"
    FAILED = "failed"
    LOCAL_ONLY = "local-only"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A session's way to one destination; error: of what was refused, or of the last try that failed."""

    to: str
    state: DeliveryState
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """What one destination has of a session.

    start, end: state of the row in the outbox, None where there is none.
    """

    delivery: Delivery
    transaction_id: int | str | None
    start: str | None
    end: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages that still have to go (held ones not counted), and messages that were given up."""

    queued: int
    quarantined: int


def lanes(connection: sqlite3.Connection, session_id: str | None = None) -> Mapping[str, tuple[Lane, ...]]:
    """Return the lanes of all sessions or of one, by session; the commanding central system's first."""
    found: defaultdict[str, tuple[Lane, ...]] = defaultdict(tuple)
    for row in connection.execute(LANES, {"only": session_id}):
        found[row["session"]] += (_lane(row),)
    for name, of_session in found.items():
        found[name] = tuple(sorted(of_session, key=lambda lane: (lane.delivery.to != CLOUD, lane.delivery.to)))
    return found


def counts(connection: sqlite3.Connection, destination: str | None = None) -> Counts:
    """Return how many messages wait or were given up, of one destination or of all."""
    ((queued, quarantined),) = connection.execute(COUNTS, {"only": destination})
    return Counts(queued, quarantined)


def reported(reporting: Reporting, of_session: tuple[Lane, ...]) -> Reported:
    """Return whether the commanding central system has a session; reporting: what the session may do now."""
    if reporting is Reporting.LOCAL_ONLY:
        return Reported.LOCAL_ONLY
    states = {state for lane in of_session if lane.delivery.to == CLOUD for state in (lane.start, lane.end)}
    if QUARANTINED in states:
        return Reported.FAILED
    return Reported.REPORTED if states == {CONFIRMED} else Reported.PENDING


def _lane(row: sqlite3.Row) -> Lane:
    transaction = None if row["transaction_id"] is None else json.loads(row["transaction_id"])
    delivery = Delivery(row["destination"], _state(row), row["error"])
    return Lane(delivery, transaction, row["start_state"], row["end_state"])


def _state(row: sqlite3.Row) -> DeliveryState:
    if QUARANTINED in {row["start_state"], row["end_state"]}:
        return DeliveryState.REFUSED
    if row["held"]:
        return DeliveryState.RECORDED
    if row["waiting"]:
        return DeliveryState.QUEUED if row["unsent"] else DeliveryState.SENT
    return DeliveryState.CONFIRMED if row["start_state"] == CONFIRMED else DeliveryState.NONE
