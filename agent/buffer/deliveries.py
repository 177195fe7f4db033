"""How far each session has come on its way to each destination, read from the lanes."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.core.model import Reporting

CLOUD: Final = "cloud"
"""Name of the commanding central system's lane."""
SECURITY: Final = "cloud/security"
"""Name of the lane beside it, in which security events wait: neither holds up the other."""

CONFIRMED: Final = "confirmed"
QUARANTINED: Final = "quarantined"

#: The facts of a session lie between its start and its end, and so do its rows in each lane: nothing else is read.
LANES: Final = """
SELECT d.destination, d.transaction_id,
    max(CASE WHEN o.fact = s.start_fact THEN o.state END) AS start_state,
    max(CASE WHEN o.fact = s.end_fact THEN o.state END) AS end_state,
    sum(o.state = 'held') AS held,
    sum(o.state = 'queued') AS waiting,
    sum(o.state = 'queued' AND o.text IS NULL) AS unsent,
    coalesce(max(CASE WHEN o.state = 'quarantined' THEN o.error END), max(o.error)) AS error
FROM session AS s JOIN delivery AS d ON d.session = s.id LEFT JOIN outbox AS o
    ON o.destination = d.destination AND o.session = s.id
    AND o.fact BETWEEN s.start_fact AND coalesce(s.end_fact, 9223372036854775807)
WHERE s.id = ? GROUP BY d.destination
"""
COUNTS: Final = """
SELECT
    (SELECT count(*) FROM outbox WHERE state = 'queued' AND (:only IS NULL OR destination = :only)),
    (SELECT count(*) FROM outbox WHERE state = 'quarantined' AND (:only IS NULL OR destination = :only))
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


def lanes(connection: sqlite3.Connection, session_id: str) -> tuple[Lane, ...]:
    """Return the lanes of a session, the commanding central system's first; without any where it is not known."""
    found = [_lane(row) for row in connection.execute(LANES, (session_id,))]
    return tuple(sorted(found, key=lambda lane: (lane.delivery.to != CLOUD, lane.delivery.to)))


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
