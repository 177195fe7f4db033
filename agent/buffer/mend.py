"""Makes rows that were saved from a damaged ledger a ledger again, without inventing energy or deliveries.

A session follows from the fact that it began; a running one whose record of progress is gone is closed on the last
reading that is known; a message of which nobody knows any more whether it was delivered is put aside, to be seen and
sent again by hand.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import uuid4

from agent.buffer.codec import dump, load, load_fact
from agent.buffer.entries import END, FACT, SESSION, SETTLE
from agent.buffer.second import tables
from agent.buffer.slices import PUT
from agent.core.facts import SCHEMA, HeldDropped, HeldReleased, SessionEnded, SessionSampled, SessionStarted
from agent.core.model import Profile, Quality, Reading, Reporting, StopReason
from agent.core.state import IdSource, Session

DOUBT: Final = "the ledger was damaged: it is not known whether this was delivered"

WITHOUT_ROW: Final = (
    "SELECT seq, json FROM fact WHERE kind = 'session-started' AND session NOT IN (SELECT id FROM session)"
)
HELD: Final = "SELECT seq, kind, schema, json FROM fact WHERE kind IN ('held-released', 'held-dropped') ORDER BY seq"
SETTLE_BEFORE: Final = f"{SETTLE} AND start_fact < ?"
BEGINLESS: Final = "SELECT id FROM session WHERE start_fact NOT IN (SELECT seq FROM fact)"
ENDS: Final = "SELECT seq, session FROM fact WHERE kind = 'session-ended'"
ENDED: Final = f"{END} AND end_fact IS NOT ?"
ENDLESS: Final = (
    "SELECT id, end_fact FROM session WHERE end_fact IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM fact WHERE seq = end_fact AND session = id)"
)
TAKEN: Final = "SELECT 1 FROM fact WHERE seq = ?"
OPEN: Final = "SELECT id FROM session WHERE end_fact IS NULL ORDER BY start_fact"
RUNNING: Final = "SELECT key, schema, json FROM slice WHERE kind = 'session'"
NEXT_SEQ: Final = "SELECT max(session_seq) + 1 FROM fact WHERE session = ?"
LAST: Final = (
    "SELECT kind, schema, json FROM fact WHERE session = ? AND kind IN ('session-started', 'session-sampled')"
    " ORDER BY session_seq DESC LIMIT 1"
)
FREE: Final = "SELECT max(seq) + 1 FROM (SELECT max(seq) AS seq FROM fact UNION ALL SELECT max(fact) FROM outbox)"
LANELESS: Final = "SELECT id FROM session WHERE reporting <> 'local-only' AND id NOT IN (SELECT session FROM delivery)"
#: Puts in a lane what it lacks: what may have left is in doubt, what was held never left.
LACKING: Final = """
INSERT INTO outbox (destination, fact, session, message_id, state, error, settled_at)
SELECT d.destination, f.seq, s.id, new_id(), CASE s.reporting WHEN 'hold' THEN 'held' ELSE ?1 END,
    CASE WHEN s.reporting = 'report' AND ?1 = 'quarantined' THEN ?2 END,
    CASE WHEN s.reporting = 'report' AND ?1 = 'quarantined' THEN ?3 END
FROM session AS s JOIN delivery AS d ON d.session = s.id JOIN fact AS f ON f.seq IN (s.start_fact, s.end_fact)
WHERE s.reporting <> 'local-only' AND (?4 IS NULL OR f.seq = ?4)
    AND NOT EXISTS (SELECT 1 FROM outbox AS o WHERE o.destination = d.destination AND o.fact = f.seq)
"""
BOOTS: Final = "INSERT OR IGNORE INTO boot (number, boot_id) SELECT DISTINCT boot, 'lost-' || boot FROM fact"
#: The note of the newest record is one of an older commit where that is all that could be read of it.
NEWEST: Final = (
    "UPDATE chain SET number = r.number, hash = r.hash"
    " FROM (SELECT number, hash FROM record ORDER BY number DESC LIMIT 1) AS r WHERE chain.number < r.number"
)
#: A record vouches for all readings of its session together: what is left of some that are gone can be checked no more.
PARTIAL: Final = """
DELETE FROM fact WHERE kind = 'session-sampled' AND session IN (
    SELECT r.session FROM record AS r WHERE r.kind = 'session' AND json_valid(r.json)
        AND json_extract(r.json, '$.facts.between[0]')
            <> (SELECT count(*) FROM fact AS f WHERE f.session = r.session AND f.kind = 'session-sampled')
)
"""
LATE: Final = (
    "INSERT OR IGNORE INTO record_due (session, why) SELECT id, 'late' FROM session WHERE end_fact IS NOT NULL"
    " AND id NOT IN (SELECT session FROM record WHERE kind = 'session' AND session IS NOT NULL)"
)


@dataclass(frozen=True, slots=True)
class Mended:
    """What could not be had: sessions of which nothing but their id is left, those closed here, messages in doubt."""

    lost: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    doubtful: int = 0


@dataclass(slots=True)
class _Work:
    connection: sqlite3.Connection
    destinations: tuple[str, ...]
    now: datetime
    ended: dict[str, int] = field(default_factory=dict)
    """Sessions that were known to have ended, with the number of the fact that is gone, 0 where another one has it."""

    def all(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        return [tuple(row) for row in self.connection.execute(sql, parameters)]


def mend(connection: sqlite3.Connection, destinations: tuple[str, ...], now: datetime) -> Mended:
    """Put right a ledger of the latest schema, in one transaction, with foreign keys off.

    destinations: lanes of sessions of which none is known. Raises: sqlite3.Error, JournalCorrupt.
    """
    connection.create_function("new_id", 0, lambda: str(uuid4()))
    work = _Work(connection, destinations, now)
    connection.execute("BEGIN IMMEDIATE")
    _sessions(work)
    lost = _beginless(work)
    _ends(work)
    _running(work)
    closed = tuple(_closed(work))
    doubtful = _lanes(work)
    _orphans(work)
    _settings(work)
    connection.execute("COMMIT")
    return Mended(lost, closed, doubtful)


def _sessions(work: _Work) -> None:
    """Make the rows of sessions whose beginning is on record."""
    for seq, text in work.all(WITHOUT_ROW):
        fact = load(SessionStarted, SCHEMA, str(text))
        reporting = Reporting.LOCAL_ONLY if fact.profile is Profile.PRIVATE else fact.reporting
        row = (fact.session, fact.evse, fact.profile.value, reporting.value, fact.company_code, seq)
        work.connection.execute(SESSION.replace("INSERT", "INSERT OR IGNORE"), row)
    for seq, kind, schema, text in work.all(HELD):
        held = load_fact(str(kind), int(str(schema)), str(text))
        if isinstance(held, HeldReleased | HeldDropped):
            settled = Reporting.REPORT if isinstance(held, HeldReleased) else Reporting.LOCAL_ONLY
            work.connection.execute(SETTLE_BEFORE, (settled.value, held.company_code, seq))


def _beginless(work: _Work) -> tuple[str, ...]:
    """Take out sessions of which nobody knows any more when and on which card they began."""
    lost = tuple(str(name) for (name,) in work.all(BEGINLESS))
    for name in lost:
        work.connection.execute("DELETE FROM session WHERE id = ?", (name,))
    return lost


def _ends(work: _Work) -> None:
    for seq, name in work.all(ENDS):
        work.connection.execute(ENDED, (seq, name, seq))
    for name, seq in work.all(ENDLESS):
        work.connection.execute(END, (None, name))
        work.ended[str(name)] = 0 if work.all(TAKEN, seq) else int(str(seq))


def _running(work: _Work) -> None:
    """Keep the progress of open sessions only, with the number of the fact that comes next."""
    still_open = {str(name) for (name,) in work.all(OPEN)} - work.ended.keys()
    for key, schema, text in work.all(RUNNING):
        running = load(Session, int(str(schema)), str(text))
        if running.id not in still_open:
            work.connection.execute("DELETE FROM slice WHERE kind = 'session' AND key = ?", (key,))
            continue
        ((following,),) = work.all(NEXT_SEQ, running.id)
        put = (PUT, ("session", key, SCHEMA, dump(replace(running, seq=int(str(following))))))
        work.connection.execute(*put)


def _closed(work: _Work) -> Iterator[str]:
    """Close the open sessions that nothing goes on with; return their ids."""
    going_on = {json.loads(str(text))["id"] for _, _, text in work.all(RUNNING)}
    for (name,) in work.all(OPEN):
        if name not in going_on:
            _close(work, str(name))
            yield str(name)


def _close(work: _Work, name: str) -> None:
    ((kind, schema, text),) = work.all(LAST, name)
    fact = load_fact(str(kind), int(str(schema)), str(text))
    if not isinstance(fact, SessionStarted | SessionSampled):
        raise TypeError(f"session {name}: {LAST} found a {type(fact).__name__}")
    last: Reading = fact.reading
    ((following,),) = work.all(NEXT_SEQ, name)
    end = SessionEnded(
        session=fact.session,
        seq=int(str(following)),
        evse=fact.evse,
        at=last.at,
        register=last.register,
        reason=StopReason.OTHER,
        id_token=None,
        quality=(Quality.RECONSTRUCTED,),
        reading=last,
    )
    seq = work.ended.get(name) or int(str(work.all(FREE)[0][0]))
    at = (last.at.boot, last.at.mono, last.at.wall.isoformat())
    row = (seq, name, end.seq, "session-ended", SCHEMA, *at, dump(end))
    work.connection.execute(FACT, row)
    work.connection.execute(END, (seq, name))
    work.connection.execute(LACKING, ("queued", None, None, seq))


def _lanes(work: _Work) -> int:
    """Fill what is missing in the lanes; return how many messages are in doubt."""
    for (name,) in work.all(LANELESS):
        rows = [(name, destination) for destination in work.destinations]
        work.connection.executemany("INSERT INTO delivery (session, destination) VALUES (?, ?)", rows)
    work.connection.execute(LACKING, ("quarantined", DOUBT, work.now.isoformat(), None))
    ((doubtful,),) = work.all("SELECT count(*) FROM outbox WHERE error = ?", DOUBT)
    return int(str(doubtful))


def _orphans(work: _Work) -> None:
    """Take out what is left of readings of which some are gone, and rows that refer to something which is gone."""
    work.connection.execute(PARTIAL)
    work.connection.execute(BOOTS)
    for table in tables(work.connection):
        for _, _, parent, column, key, *_ in work.all(f"PRAGMA foreign_key_list('{table.name}')"):
            absent = f"{column} NOT IN (SELECT {key} FROM {parent})"  # noqa: S608  # of the schema
            work.connection.execute(f"DELETE FROM {table.name} WHERE {column} IS NOT NULL AND {absent}")  # noqa: S608  # of the schema


def _settings(work: _Work) -> None:
    """Let no session get an id that was given before; and have closed sessions without a record get one."""
    if work.all("SELECT 1 FROM slice LIMIT 1"):
        ids = IdSource(seed=secrets.token_hex(16))
        work.connection.execute(PUT, ("ids", "", SCHEMA, dump(ids)))
    work.connection.execute(LATE)
    work.connection.execute(NEWEST)
