"""Reads from the ledger what a month's statement is made of; nothing is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from agent.buffer.annotation import Annotation, annotation_of
from agent.buffer.codec import load
from agent.buffer.ledger import SessionRecord, cards, sessions
from agent.buffer.timeline import BOOTS, Timeline, timeline
from agent.core.facts import SessionEnded, SessionSampled, SessionStarted
from agent.core.model import Profile, SessionId
from agent.core.payment import Payment
from agent.core.prices_terms import settled
from agent.core.tariff import Basis, Dimension, Terms
from agent.statement.model import Found, Line, Origin, Pricing
from agent.statement.month import Month

FIRST: Final = "SELECT kind, schema, json FROM fact WHERE session = ? ORDER BY session_seq LIMIT 1"
LAST: Final = "SELECT kind, schema, json FROM fact WHERE session = ? ORDER BY session_seq DESC LIMIT 1"
BASES: Final = """
SELECT DISTINCT CASE json_type(a.json, '$.terms')
    WHEN 'object' THEN coalesce(json_extract(a.json, '$.terms.basis'), 'tariff') END
FROM session AS s JOIN fact AS a ON a.seq = s.start_fact JOIN fact AS z ON z.seq = s.end_fact
WHERE s.profile <> 'private' AND z.wall >= ? AND z.wall < ?
"""
PAYMENT: Final = "SELECT schema, json FROM slice WHERE kind = 'payment' AND key = ?"
KINDS: Final = {"session-started": SessionStarted, "session-sampled": SessionSampled, "session-ended": SessionEnded}


def find(connection: sqlite3.Connection, month: Month, zone: ZoneInfo) -> Found:
    """Return the fleet sessions that ended in a month, and the open ones that may still do so. Raises: JournalCorrupt.

    A session that was seen running after the month is none of it: only one that nobody has seen since may turn out, at
    the next start of the agent, to have ended before.
    """
    end = month.end(zone)
    known = timeline(connection.execute(BOOTS))
    found = sessions(connection, since=month.begin(zone), until=end)
    chosen = tuple(
        record
        for record in found
        if record.profile is not Profile.PRIVATE
        and (record.stopped_at is not None or _last_seen(connection, record, known) < end)
    )
    return Found(
        records=chosen,
        origins={record.id: _origin(connection, record) for record in chosen},
        names={card.id_token.key: (card.ema_id, card.name) for card in cards(connection)},
        annotations=_annotations(connection, chosen),
        bases=_bases(connection, month.year, zone),
        payment=_payment(connection, month),
    )


def lines(connection: sqlite3.Connection, records: Sequence[SessionRecord]) -> tuple[Line, ...]:
    """Return sessions with what a CDR has beside them, as lines of a statement. Raises: JournalCorrupt."""
    return tuple(Line(record, _origin(connection, record)) for record in records)


def contracts(connection: sqlite3.Connection) -> Mapping[str, str | None]:
    """Return the EMA-IDs of the cards known here, by the token's key. Raises: JournalCorrupt."""
    return {card.id_token.key: card.ema_id for card in cards(connection)}


def _annotations(connection: sqlite3.Connection, records: Sequence[SessionRecord]) -> Mapping[SessionId, Annotation]:
    every = {record.id: annotation_of(connection, record.id) for record in records}
    return {session: found for session, found in every.items() if found != Annotation()}


def _payment(connection: sqlite3.Connection, month: Month) -> Payment | None:
    row = connection.execute(PAYMENT, (str(month),)).fetchone()
    return None if row is None else load(Payment, *row)


def _last_seen(connection: sqlite3.Connection, record: SessionRecord, known: Timeline) -> datetime:
    """Return the latest moment (UTC) at which a session is known to have run."""
    fact = _fact(connection, LAST, record)
    moment = fact.at if isinstance(fact, SessionStarted | SessionEnded) else fact.reading.at if fact else None
    return record.started_at if moment is None else known.corrected(moment).wall


def _origin(connection: sqlite3.Connection, record: SessionRecord) -> Origin:
    fact = _fact(connection, FIRST, record)
    if not isinstance(fact, SessionStarted):
        return Origin()
    terms = None if fact.terms is None else settled(fact.terms, record.stopped_at or record.started_at)
    return Origin(fact.trigger, fact.reading.serial, None if terms is None else _pricing(terms))


def _pricing(terms: Terms) -> Pricing:
    """Return what prices came from; terms: as a session was charged by them."""
    if terms.basis is not Basis.FLAT:
        return Pricing(terms.basis)
    components = (c for element in terms.tariff.elements for c in element.components)
    energy = next((c for c in components if c.dimension is Dimension.ENERGY), None)
    if energy is None:
        return Pricing(terms.basis)
    return Pricing(terms.basis, energy.price, terms.tariff.currency, energy.vat)


def _bases(connection: sqlite3.Connection, year: int, zone: ZoneInfo) -> frozenset[Basis]:
    """Return what the closed sessions of a year were priced by, as the moments were stamped."""
    span = (Month(year, 1).begin(zone).isoformat(), Month(year, 12).end(zone).isoformat())
    return frozenset(Basis(text) for (text,) in connection.execute(BASES, span) if text is not None)


def _fact(
    connection: sqlite3.Connection, query: str, record: SessionRecord
) -> SessionStarted | SessionSampled | SessionEnded | None:
    row = connection.execute(query, (record.id,)).fetchone()
    kind = None if row is None else KINDS.get(row[0])
    return None if kind is None else load(kind, row[1], row[2])
