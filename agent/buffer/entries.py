"""What a commit writes of its facts: the facts, their session, and a row in each lane that the session may go to.

Facts that cannot be true together (two starts or ends of a session, a gap in its numbers) are a defect of the core:
they raise AssertionError before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, assert_never
from uuid import uuid4

from agent.buffer.codec import NAMES, SAMPLES, dump
from agent.buffer.database import Statement
from agent.buffer.deliveries import CLOUD, SECURITY
from agent.buffer.sealing import Closed
from agent.core.facts import (
    SCHEMA,
    Fact,
    FirmwareTold,
    HeldDropped,
    HeldReleased,
    LogTold,
    MeterSampled,
    SecurityEventRaised,
    SessionEnded,
    SessionSampled,
    SessionStarted,
)
from agent.core.instant import Instant
from agent.core.model import Profile, ReadingContext, Reporting, SessionId
from agent.core.state import Durable

OfSession: TypeAlias = SessionStarted | SessionSampled | SessionEnded

FACT: Final = (
    "INSERT INTO fact (seq, session, session_seq, kind, schema, boot, mono, wall, json)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
SESSION: Final = (
    "INSERT INTO session (id, connector, profile, reporting, company_code, start_fact) VALUES (?, ?, ?, ?, ?, ?)"
)
END: Final = "UPDATE session SET end_fact = ? WHERE id = ?"
DELIVERY: Final = "INSERT INTO delivery (session, destination) VALUES (?, ?)"
QUEUE: Final = "INSERT INTO outbox (destination, fact, session, message_id, state) VALUES (?, ?, ?, ?, ?)"

THIN_EVERY: Final = 256
MOST_WITHOUT_SESSION: Final = 5_000
MOST_SAMPLES: Final = 20_000
"""Samples that wait in a lane, those between sessions and all of them; starts and ends are never dropped."""
WAITING: Final = """
    SELECT destination, fact, session, text FROM outbox INDEXED BY outbox_waiting WHERE state = 'queued'
    UNION ALL SELECT destination, fact, session, text FROM outbox INDEXED BY outbox_held WHERE state = 'held'
"""
#: Drops every second of the samples that wait where there are more than so many; of those without a session, or all.
THIN: Final = f"""
DELETE FROM outbox WHERE (destination, fact) IN (
    SELECT destination, fact FROM (
        SELECT o.destination, o.fact, count(*) OVER lane AS total,
            row_number() OVER (lane ORDER BY o.fact) AS place
        FROM ({WAITING}) AS o JOIN fact AS f ON f.seq = o.fact
        WHERE o.text IS NULL AND f.kind IN {SAMPLES} AND (o.session IS NULL) >= ?2
        WINDOW lane AS (PARTITION BY o.destination)
    ) WHERE total > ?1 AND place % 2 = 0
)
"""  # noqa: S608  # a constant of the codec

OF_CODE: Final = "session IN (SELECT id FROM session WHERE reporting = 'hold' AND company_code = ?)"
RELEASE_ROWS: Final = f"UPDATE outbox SET state = 'queued' WHERE state = 'held' AND {OF_CODE}"  # noqa: S608  # the constant above
DROP_ROWS: Final = f"DELETE FROM outbox WHERE state = 'held' AND {OF_CODE}"  # noqa: S608  # the constant above
SETTLE: Final = "UPDATE session SET reporting = ? WHERE reporting = 'hold' AND company_code = ?"

STATES: Final = {Reporting.REPORT: "queued", Reporting.HOLD: "held"}


@dataclass(frozen=True, slots=True)
class Running:
    """A session without an end: the number of its next fact, whether it may leave now, and the lanes it began with."""

    next_seq: int
    reporting: Reporting
    company_code: str | None
    destinations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Books:
    """What is known of the ledger without asking it, as of the last commit; slices: None in a new ledger.

    anchored: boots whose wall clock is known (see ``timeline``).
    """

    slices: Durable | None = None
    next_fact: int = 1
    running: Mapping[SessionId, Running] = field(default_factory=dict)
    anchored: frozenset[int] = frozenset()


class Entry:
    """Collects the statements of one commit's facts, and the sessions that it closes; local to the commit."""

    def __init__(self, books: Books, destinations: tuple[str, ...], at: Instant) -> None:
        """Begin from the books; at: the commit's moment, for facts without one of their own."""
        self._destinations = destinations
        self._at = at
        self.next_fact = books.next_fact
        self.running = dict(books.running)
        self.statements: list[Statement] = []
        self.closed: list[Closed] = []

    def add(self, fact: Fact) -> None:
        """Write a fact after those before it. Raises: AssertionError where it cannot follow them."""
        match fact:
            case SessionStarted():
                self._start(fact)
            case SessionSampled() | SessionEnded():
                self._follow(fact)
            case MeterSampled():
                self._sample(fact)
            case FirmwareTold() | LogTold():
                self._queue_for([CLOUD], self._record(fact, fact.at))
            case SecurityEventRaised():
                self._security_event(fact)
            case HeldReleased():
                self._record(fact, self._at)
                self._settle(fact.company_code, Reporting.REPORT, RELEASE_ROWS)
            case HeldDropped():
                self._record(fact, self._at)
                self._settle(fact.company_code, Reporting.LOCAL_ONLY, DROP_ROWS)
            case _:
                assert_never(fact)

    def _start(self, fact: SessionStarted) -> None:
        if fact.session in self.running:
            raise AssertionError(f"session {fact.session} has begun already")
        reporting = Reporting.LOCAL_ONLY if fact.profile is Profile.PRIVATE else fact.reporting
        session = Running(0, reporting, fact.company_code, self._destinations)
        row = (fact.session, fact.evse, fact.profile.value, reporting.value, fact.company_code, self.next_fact)
        seq = self._record(fact, fact.at, session)
        self.statements.append((SESSION, row))
        self.statements += [(DELIVERY, (fact.session, name)) for name in session.destinations]
        self._queue(fact, seq, session)

    def _follow(self, fact: SessionSampled | SessionEnded) -> None:
        session = self.running.get(fact.session)
        if session is None:
            raise AssertionError(f"session {fact.session} is not running: it has not begun, or has ended already")
        seq = self._record(fact, fact.at if isinstance(fact, SessionEnded) else fact.reading.at, session)
        self._queue(fact, seq, session)
        if isinstance(fact, SessionSampled):
            self._thin(seq)
        if isinstance(fact, SessionEnded):
            self.statements.append((END, (seq, fact.session)))
            rows = tuple(row for sql, row in self.statements if sql is FACT and row[1] == fact.session)
            self.closed.append(Closed(fact.session, session.reporting, rows))
            del self.running[fact.session]

    def _sample(self, fact: MeterSampled) -> None:
        """Write a reading that belongs to no session: it may go everywhere, where it is not for the balance alone."""
        seq = self._record(fact, fact.reading.at)
        if fact.context is ReadingContext.OTHER:
            return
        self._queue_for(self._destinations, seq)
        self._thin(seq)

    def _queue_for(self, names: Iterable[str], seq: int) -> None:
        """Queue a fact of the station itself."""
        rows = [(name, seq, None, str(uuid4()), "queued") for name in names]
        self.statements += [(QUEUE, row) for row in rows]

    def _security_event(self, fact: SecurityEventRaised) -> None:
        """Write a security event: it waits in a lane of its own beside that of the commanding central system."""
        seq = self._record(fact, fact.at)
        if CLOUD in self._destinations:
            self.statements.append((QUEUE, (SECURITY, seq, None, str(uuid4()), "queued")))

    def _thin(self, seq: int) -> None:
        """Now and then see that samples which nobody takes do not fill the disk: every second of too many goes."""
        if seq % THIN_EVERY == 0:
            self.statements += [(THIN, (MOST_WITHOUT_SESSION, 1)), (THIN, (MOST_SAMPLES, 0))]

    def _record(self, fact: Fact, at: Instant, session: Running | None = None) -> int:
        """Append the fact and return its number."""
        place: tuple[str | None, int | None] = (None, None)
        if session is not None and isinstance(fact, OfSession):
            if fact.seq != session.next_seq:
                raise AssertionError(f"session {fact.session}: fact {fact.seq} where {session.next_seq} is due")
            place = (fact.session, fact.seq)
            self.running[fact.session] = replace(session, next_seq=fact.seq + 1)
        seq = self.next_fact
        self.next_fact += 1
        stamp = (at.boot, at.mono, at.wall.isoformat())
        self.statements.append((FACT, (seq, *place, NAMES[type(fact)], SCHEMA, *stamp, dump(fact))))
        return seq

    def _queue(self, fact: OfSession, seq: int, session: Running) -> None:
        state = STATES.get(session.reporting)
        if state is not None:
            rows = [(name, seq, fact.session, str(uuid4()), state) for name in session.destinations]
            self.statements += [(QUEUE, row) for row in rows]

    def _settle(self, code: str, reporting: Reporting, rows: str) -> None:
        """Let go, or keep for ever, what waits for a company."""
        self.statements += [(rows, (code,)), (SETTLE, (reporting.value, code))]
        for name, session in self.running.items():
            if session.reporting is Reporting.HOLD and session.company_code == code:
                self.running[name] = replace(session, reporting=reporting)
