"""Compares the evidence records with the ledger that they are about: its sessions, their facts and times."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeAlias

from agent.buffer.audit import Fault
from agent.buffer.codec import load
from agent.buffer.keyring import Stored
from agent.buffer.records import FactRow, JsonObject, Kind, digest, fingerprints, settled, times, told
from agent.buffer.timeline import BOOTS, Timeline, timeline
from agent.core.errors import JournalCorrupt
from agent.core.facts import HeldDropped, HeldReleased, SessionEnded, SessionStarted
from agent.core.model import Reporting

SESSIONS: Final = "SELECT id, connector, profile, reporting, company_code, start_fact, end_fact FROM session"
FACTS: Final = (
    "SELECT seq, session, session_seq, kind, schema, boot, mono, wall, json"
    " FROM fact WHERE session IS NOT NULL ORDER BY session, session_seq"
)
HELD: Final = "SELECT seq, kind, schema, json FROM fact WHERE kind IN ('held-released', 'held-dropped') ORDER BY seq"
SIGNED: Final = "SELECT session, format, CAST(text AS BLOB) FROM signed_reading ORDER BY session, place"
DUE: Final = "SELECT session, why FROM record_due"

Moved: TypeAlias = tuple[int, str, Reporting]
"""Number of a fact, the company's code, and what its sessions that were held may do from then on."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """What the comparison found.

    unsealed: sessions that closed before there was evidence and have no record yet; thinned: sessions whose readings in
    between are not kept any more (``retention``), all of them.
    """

    faults: tuple[Fault, ...]
    unsealed: int
    thinned: int


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What records are compared with."""

    sessions: Mapping[str, sqlite3.Row]
    signed: Mapping[str, list[list[str]]]
    due: Mapping[str, str]
    moved: Sequence[Moved]
    known: Timeline
    records: Mapping[str, list[Stored]]
    thinned: set[str] = field(default_factory=set)


def compared(connection: sqlite3.Connection, records: Sequence[Stored]) -> Accounts:
    """Compare; one session's facts are in memory at a time."""
    faults: list[Fault] = []
    try:
        known = timeline(connection.execute(BOOTS))
    except (ValueError, TypeError, OverflowError):
        known = Timeline()
        faults.append(Fault(None, None, "changed: the times at which the machine was started"))
    ledger = _ledger(connection, records, known)
    seen: set[str] = set()
    for session, rows in groupby(connection.execute(FACTS), key=itemgetter(1)):
        seen.add(session)
        faults += _session(session, [tuple(row) for row in rows], ledger)
    for session in ledger.sessions.keys() - seen:
        faults.append(Fault(None, session, "missing: its facts are not in the ledger"))
    for session in ledger.records.keys() - seen:
        number, _ = _own(ledger.records[session])
        faults.append(Fault(number, session, "missing: the session is not in the ledger any more"))
    waiting = [s for s, why in ledger.due.items() if why == "late" and not _own(ledger.records.get(s, []))[0]]
    return Accounts(tuple(faults), len(waiting), len(ledger.thinned))


def _ledger(connection: sqlite3.Connection, records: Sequence[Stored], known: Timeline) -> _Ledger:
    of_sessions: defaultdict[str, list[Stored]] = defaultdict(list)
    for record in records:
        if record.session is not None:
            of_sessions[record.session].append(record)
    signed: defaultdict[str, list[list[str]]] = defaultdict(list)
    for session, form, text in connection.execute(SIGNED):
        signed[session].append([form, digest(bytes(text))])
    return _Ledger(
        sessions={row["id"]: row for row in connection.execute(SESSIONS)},
        signed=signed,
        due=dict(map(tuple, connection.execute(DUE))),
        moved=tuple(_moved(connection)),
        known=known,
        records=of_sessions,
    )


def _session(session: str, rows: Sequence[FactRow], ledger: _Ledger) -> Iterator[Fault]:
    """Compare a session that has facts."""
    row, own = ledger.sessions.get(session), ledger.records.get(session, [])
    number, body = _own(own)
    if row is None:
        yield Fault(number, session, "changed: the ledger has facts of it, and no session")
    elif row["end_fact"] is None:
        if body is not None or rows[-1][3] == "session-ended":
            yield Fault(number, session, "changed: it has ended, and the ledger has it as running")
    elif number is None and ledger.due.get(session) != "late":
        yield Fault(None, session, "missing: the session has ended, and has no record")
    elif body is not None:
        wrong = [*_rows(row, rows, body, ledger), *_facts(rows, body, own, ledger), *_beside(row, body, ledger)]
        if wrong:
            yield Fault(number, session, f"changed: not as recorded: {', '.join(dict.fromkeys(wrong))}")


def _own(records: Sequence[Stored]) -> tuple[int | None, JsonObject | None]:
    """Return number and content of a session's own record; the latter None where it cannot be read."""
    for record in records:
        kind = dict(record.told).get("kind") if record.body is None else record.body.get("kind")
        if kind == Kind.SESSION:
            return record.number, record.body
    return None, None


def _rows(row: sqlite3.Row, rows: Sequence[FactRow], body: JsonObject, ledger: _Ledger) -> Iterator[str]:
    """Name what was changed of the rows themselves."""
    facts, now = body.get("facts"), fingerprints(rows) if len(rows) > 1 else {}
    if not isinstance(facts, dict):
        yield "facts"
        return
    if facts.get("between") != now.get("between") and _first(now.get("between")) == 0:
        ledger.thinned.add(row["id"])
        now["between"] = facts.get("between")
    for name, words in (("start", "fact of the start"), ("end", "fact of the end"), ("between", "readings in between")):
        if facts.get(name) != now.get(name):
            yield words
    if [row["start_fact"], row["end_fact"]] != [_first(facts.get(end)) for end in ("start", "end")]:
        yield "numbers of its facts"


def _first(told: object) -> object:
    return told[0] if isinstance(told, list) and told else None


def _facts(rows: Sequence[FactRow], body: JsonObject, own: Sequence[Stored], ledger: _Ledger) -> Iterator[str]:
    """Name what the facts say otherwise than the record."""
    try:
        start = load(SessionStarted, int(str(rows[0][4])), str(rows[0][8]))
        end = load(SessionEnded, int(str(rows[-1][4])), str(rows[-1][8]))
    except (JournalCorrupt, ValueError):
        yield "facts"
        return
    yield from (name for name, value in told(start, end).items() if body.get(name) != value)
    latest = next((r.body for r in reversed(own) if r.body and r.body.get("kind") == Kind.CORRECTION), body)
    if start.session in ledger.due and _unsure(latest):
        return  # a correction may be due, and is made soon
    yield from (name for name, value in times(start, end, ledger.known).items() if latest.get(name) != value)


def _unsure(latest: JsonObject) -> bool:
    """Tell whether a record says that a time of it may become known better."""
    try:
        return not settled(latest)
    except (KeyError, TypeError):
        return False  # it has another shape than the station gives


def _beside(row: sqlite3.Row, body: JsonObject, ledger: _Ledger) -> Iterator[str]:
    """Name what other tables have otherwise than the record."""
    yield from (name for name in ("connector", "profile", "company_code") if row[name] != body.get(name))
    if row["reporting"] != _reporting(body, ledger.moved):
        yield "reporting"
    if ledger.signed.get(row["id"], []) != body.get("signed"):
        yield "readings that the meter signed"


def _reporting(body: JsonObject, moved: Sequence[Moved]) -> object:
    """Return what a session may do now: as when it closed, unless it was held and its company decided since."""
    then = body.get("reporting")
    if then != Reporting.HOLD:
        return then
    facts = body.get("facts")
    end = _first(facts.get("end")) if isinstance(facts, dict) else None
    after = (new for seq, code, new in moved if type(end) is int and seq > end and code == body.get("company_code"))
    return next(after, Reporting.HOLD).value


def _moved(connection: sqlite3.Connection) -> Iterator[Moved]:
    for seq, kind, schema, text in connection.execute(HELD):
        try:
            if kind == "held-released":
                yield seq, load(HeldReleased, schema, text).company_code, Reporting.REPORT
            else:
                yield seq, load(HeldDropped, schema, text).company_code, Reporting.LOCAL_ONLY
        except (JournalCorrupt, ValueError):
            continue  # a fact of the station that nothing depends on: what waits for it stays held
