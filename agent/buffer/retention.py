"""What a ledger may forget: details, once they are old and no central system waits for anything of their session.

Details are the readings within a session, all of one session or none, readings between sessions, and the frames of
confirmed messages. A session, its start and its end, its messages' ids and states, and a register that begins anew stay
for good.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.buffer.codec import NOTICES, load, load_fact
from agent.buffer.database import Statement
from agent.buffer.timeline import BOOTS, Timeline, Trust, timeline
from agent.core.facts import Fact, FirmwareTold, LogTold, MeterSampled, SessionEnded

STEP: Final = 200
"""Readings between sessions that are looked at or removed at once."""

ENDED: Final = """
SELECT s.id, s.start_fact, s.end_fact, z.schema, z.json FROM session AS s JOIN fact AS z ON z.seq = s.end_fact
WHERE s.start_fact > ? ORDER BY s.start_fact LIMIT 50
"""
#: What of a session still has to go, was given up, or has to be put on record; ?1 the session, ?2 and ?3 its facts.
OWN_LANES: Final = "SELECT destination FROM delivery WHERE session = ?1"
UNSETTLED: Final = f"""
EXISTS (SELECT 1 FROM outbox WHERE destination IN ({OWN_LANES}) AND fact BETWEEN ?2 AND ?3
    AND session = ?1 AND state <> 'confirmed') OR EXISTS (SELECT 1 FROM record_due WHERE session = ?1)
"""  # noqa: S608  # the constant above
HAS_READINGS: Final = "EXISTS (SELECT 1 FROM fact WHERE session = ?1 AND session_seq > 0 AND kind = 'session-sampled')"
HAS_FRAMES: Final = f"""
EXISTS (SELECT 1 FROM outbox WHERE destination IN ({OWN_LANES}) AND fact IN (?2, ?3) AND text IS NOT NULL)
"""  # noqa: S608  # as above
MAY_GO: Final = f"SELECT NOT ({UNSETTLED}) AND ({HAS_READINGS} OR {HAS_FRAMES})"  # as above
READINGS: Final = f"DELETE FROM fact WHERE session = ?1 AND kind = 'session-sampled' AND NOT ({UNSETTLED})"  # noqa: S608  # as above
FRAMES: Final = f"""
UPDATE outbox SET text = NULL WHERE destination IN ({OWN_LANES}) AND fact BETWEEN ?2 AND ?3 AND session = ?1
    AND state = 'confirmed' AND NOT ({UNSETTLED})
"""  # noqa: S608  # as above
LANES: Final = "SELECT DISTINCT destination FROM delivery"
WITHOUT_SESSION: Final = ("meter-sampled", *NOTICES)
BETWEEN: Final = f"""
SELECT seq, kind, schema, json FROM fact WHERE seq > ? AND kind IN {WITHOUT_SESSION} ORDER BY seq LIMIT ?
"""  # noqa: S608  # the constant above
WAITS: Final = "SELECT 1 FROM outbox WHERE destination = ? AND fact = ?"
READING: Final = f"DELETE FROM fact WHERE seq = ?1 AND kind IN {WITHOUT_SESSION}"  # noqa: S608  # as above
TRUSTED: Final = frozenset({Trust.SYNCHRONISED, Trust.CORRECTED})


@dataclass(frozen=True, slots=True)
class Place:
    """How far a pass has come: numbers of the last start and of the last reading between sessions looked at."""

    session: int = 0
    reading: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One small unit of work; place: to go on from; is_last: there is nothing more that is old enough."""

    statements: Sequence[Statement]
    place: Place
    is_last: bool


def next_step(connection: sqlite3.Connection, place: Place, before: datetime) -> Step:
    """Return what to remove next, oldest first: the details of one session, or some readings between sessions.

    before: what ended later is kept; what has a time that nobody can vouch for is kept too. Nothing is changed here.
    Raises: JournalCorrupt.
    """
    times = timeline(connection.execute(BOOTS))
    found = _session(connection, place, before, times)
    return found if found.statements or not found.is_last else _readings(connection, place, before, times)


def _session(connection: sqlite3.Connection, place: Place, before: datetime, times: Timeline) -> Step:
    last = place.session
    while rows := connection.execute(ENDED, (last,)).fetchall():
        for name, start, end, schema, text in rows:
            is_old = _is_old(load(SessionEnded, schema, text), before, times)
            if is_old is False:
                return Step((), Place(last, place.reading), is_last=True)
            last, scope = start, (name, start, end)
            if is_old and connection.execute(MAY_GO, scope).fetchone()[0]:
                return Step(((READINGS, scope), (FRAMES, scope)), Place(last, place.reading), is_last=False)
    return Step((), Place(last, place.reading), is_last=True)


def _readings(connection: sqlite3.Connection, place: Place, before: datetime, times: Timeline) -> Step:
    statements: list[Statement] = []
    lanes = [name for (name,) in connection.execute(LANES)]
    rows = connection.execute(BETWEEN, (place.reading, STEP)).fetchall()
    last = place.reading
    for seq, kind, schema, text in rows:
        fact = load_fact(kind, schema, text)
        is_old = _is_old(fact, before, times)
        if is_old is False:
            return Step(tuple(statements), Place(place.session, last), is_last=True)
        last = seq
        waits = any(connection.execute(WAITS, (lane, seq)).fetchone() for lane in lanes)
        if is_old and not waits and not (isinstance(fact, MeterSampled) and fact.anew):
            statements.append((READING, (seq,)))
    return Step(tuple(statements), Place(place.session, last), is_last=len(rows) < STEP)


def _is_old(fact: Fact, before: datetime, times: Timeline) -> bool | None:
    """Tell whether a fact is older; None where nobody can vouch for its time."""
    match fact:
        case MeterSampled():
            at = fact.reading.at
        case SessionEnded() | FirmwareTold() | LogTold():
            at = fact.at
        case _:
            return None
    return times.corrected(at).wall < before if times.trust(at) in TRUSTED else None
