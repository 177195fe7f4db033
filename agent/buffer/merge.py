"""Two ledgers of one station become one: every session of both, once, as far as either of them knows it to have come.

``base`` is gone on with, ``other`` is added to it. Where numbers of facts or of the machine's starts mean different
things in the two (the other was begun anew), those of the other are changed, behind the base's; the evidence of its
sessions is then made again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from agent.buffer.annotation import told
from agent.buffer.codec import dump, load
from agent.buffer.second import Row, Table, tables
from agent.buffer.slices import KINDS, PUT
from agent.buffer.upsert import upsert
from agent.core.company import Company
from agent.core.errors import JournalError
from agent.core.facts import SCHEMA
from agent.core.settings import Overrides
from agent.core.state import Availability, ListVersion

Numbers: TypeAlias = Mapping[int, int]

STARTS: Final = "SELECT s.id, f.seq, f.json FROM {0}.session AS s JOIN {0}.fact AS f ON f.seq = s.start_fact"
BOOTS: Final = "SELECT number, boot_id FROM {0}.boot ORDER BY number"
TOP: Final = "SELECT coalesce(max({1}), 0) FROM {0}"
#: Facts of the other that the base lacks: of sessions by their place in it, of the station by what they say.
FACTS: Final = """
SELECT o.seq FROM other.fact AS o WHERE CASE WHEN o.session IS NULL
    THEN NOT EXISTS (SELECT 1 FROM main.fact AS b WHERE b.seq = o.seq AND b.kind = o.kind AND b.json = o.json)
    ELSE NOT EXISTS (SELECT 1 FROM main.fact AS b WHERE b.session = o.session AND b.session_seq = o.session_seq) END
ORDER BY o.seq
"""
SAME: Final = (
    "SELECT o.seq, b.seq FROM other.fact AS o JOIN main.fact AS b"
    " ON b.session = o.session AND b.session_seq = o.session_seq WHERE o.kind IN ('session-started', 'session-ended')"
)
CLASHES: Final = "SELECT 1 FROM main.fact WHERE seq = ?"
FACT: Final = "SELECT * FROM other.fact WHERE seq = ?"
FORKED: Final = "SELECT 1 FROM other.record AS o JOIN main.record AS b ON b.number = o.number WHERE o.hash <> b.hash"
AHEAD: Final = "SELECT o.number > b.number FROM other.chain AS o, main.chain AS b"
SLICES: Final = "SELECT kind, key, schema, json FROM {0}.slice"
LONGER: Final = "SELECT 1 FROM other.record WHERE number NOT IN (SELECT number FROM main.record) LIMIT 1"
#: Annotations that the base's chain does not have, the newest of a session last; sessions that have one in the base.
ADDED: Final = (
    "SELECT session, json FROM other.record WHERE kind = 'annotation'"
    " AND hash NOT IN (SELECT hash FROM main.record) ORDER BY number"
)
ANNOTATED: Final = (
    "SELECT session FROM main.record WHERE kind = 'annotation'"
    " UNION SELECT key FROM main.slice WHERE kind = 'annotation'"
)
ANNOTATION: Final = "annotation"
EVIDENCE: Final = frozenset({"record", "chain", "record_due"})
CORE: Final = frozenset({"boot", "run", "slice", "fact", "session", "delivery", "outbox"})
#: Slices of which a new ledger has one that says nothing.
NOTHING: Final = (Availability(), ListVersion(), Overrides(), Company())


class LedgersDiffer(JournalError):
    """The two say different things of one session: they are not of one station, or one of them was changed."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of it: sessions that only the base had, only the other, and both."""

    of_base: int
    of_other: int
    common: int


@dataclass(slots=True)
class _Work:
    connection: sqlite3.Connection
    by_name: Mapping[str, Table]
    facts: dict[int, int] = field(default_factory=dict)
    boots: dict[int, int] = field(default_factory=dict)

    @property
    def is_renumbered(self) -> bool:
        return any(a != b for numbers in (self.facts, self.boots) for a, b in numbers.items())

    def all(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.connection.execute(sql, parameters)]


def compared(connection: sqlite3.Connection) -> Merged:
    """Count the sessions of the ledger and of the one that is attached as ``other``.

    Raises: LedgersDiffer, sqlite3.Error.
    """
    base, other = (
        {name: text for name, _, text in connection.execute(STARTS.format(schema))} for schema in ("main", "other")
    )
    for name in base.keys() & other.keys():
        if base[name] != other[name]:
            raise LedgersDiffer(f"session {name} began otherwise in the two ledgers: they are not of one station")
    return Merged(len(base.keys() - other.keys()), len(other.keys() - base.keys()), len(base.keys() & other.keys()))


def merge(connection: sqlite3.Connection, *, other_is_newer: bool) -> bool:
    """Add to a ledger what the one attached as ``other`` has; both of the latest schema, foreign keys off.

    other_is_newer: its settings and cards count where both have one; otherwise they only fill gaps. What says nothing
    counts as a gap, and sessions run in the newer one only. Returns whether there was anything to add.
    Raises: sqlite3.Error, JournalCorrupt.
    """
    work = _Work(connection, {table.name: table for table in tables(connection)})
    connection.execute("BEGIN IMMEDIATE")
    _boots(work)
    added = _facts(work)
    for name in ("session", "delivery", "outbox"):
        _rows(work, name)
    forked = work.is_renumbered or bool(work.all(FORKED))
    lengthened = not forked and bool(work.all(LONGER))
    for name in sorted(work.by_name.keys() - CORE):
        if name not in EVIDENCE or not forked:
            _rows(work, name, is_newer=name == "chain" and work.all(AHEAD) == [(1,)])
    put = _slices(work, other_is_newer=other_is_newer)
    taken_over = _annotations(work, other_is_newer=other_is_newer)
    connection.execute("COMMIT")
    return added or put or taken_over or lengthened


def _boots(work: _Work) -> None:
    """Find or give each start of the machine its number in the base."""
    known = {name: number for number, name in work.all(BOOTS.format("main"))}
    ((top,),) = work.all(TOP.format("main.boot", "number"))
    table = work.by_name["boot"]
    for number, name in work.all(BOOTS.format("other")):
        free = number not in known.values()
        top = max(top, number) if free else top + (name not in known)
        work.boots[number] = known.get(name, number if free else top)
        known.setdefault(name, work.boots[number])
    sql = upsert(table, is_newer=False)
    for row in _all(work.connection, table):
        work.connection.execute(sql, {**row, "number": work.boots[row["number"]]})


def _facts(work: _Work) -> bool:
    """Put in the facts that the base lacks, with their own numbers where those are free, behind all others else."""
    table, connection = work.by_name["fact"], work.connection
    work.facts.update(work.all(SAME))
    found = [seq for (seq,) in work.all(FACTS)]
    clashing = any(work.all(CLASHES, seq) for seq in found)
    ((top,),) = work.all(TOP.format("main.fact", "seq"))
    work.facts.update((seq, top + place if clashing else seq) for place, seq in enumerate(found, 1))
    sql = upsert(table, is_newer=False)
    for seq in found:
        ((*values,),) = work.all(FACT, seq)
        row = dict(zip(table.columns, values, strict=True))
        moved = {"seq": work.facts[seq], "boot": work.boots.get(row["boot"], row["boot"])}
        connection.execute(sql, {**row, **moved, "json": _with_boots(row["json"], work.boots)})
    return bool(found)


def _rows(work: _Work, name: str, *, is_newer: bool = False) -> None:
    """Put in the rows of a table; what refers to facts gets their numbers."""
    table = work.by_name[name]
    sql = upsert(table, is_newer=is_newer)
    numbers = [c for c in table.columns if c in {"fact", "start_fact", "end_fact"}]
    for row in _all(work.connection, table):
        moved = {column: work.facts.get(row[column], row[column]) for column in numbers if row[column] is not None}
        work.connection.execute(sql, {**row, **moved})


def _slices(work: _Work, *, other_is_newer: bool) -> bool:
    base = {(kind, key): (schema, text) for kind, key, schema, text in work.all(SLICES.format("main"))}
    changed = False
    for kind, key, schema, text in work.all(SLICES.format("other")):
        if kind == ANNOTATION:
            continue
        mine = base.get((kind, key))
        wanted = other_is_newer or (kind != "session" and (mine is None or _says_nothing(kind, *mine)))
        if wanted and mine != (schema, text) and not _says_nothing(kind, schema, text):
            work.connection.execute(PUT, (kind, key, schema, _with_boots(text, work.boots)))
            changed = True
    return changed


def _annotations(work: _Work, *, other_is_newer: bool) -> bool:
    """Keep what was added to sessions in a chain that is not gone on with, until it is on record in the one that is."""
    found = {session: dump(said) for session, text in work.all(ADDED) if (said := told(text)) is not None}
    found |= {key: text for kind, key, _, text in work.all(SLICES.format("other")) if kind == ANNOTATION}
    mine = {session for (session,) in work.all(ANNOTATED)}
    chosen = {session: text for session, text in found.items() if other_is_newer or session not in mine}
    work.connection.executemany(PUT, [(ANNOTATION, session, SCHEMA, text) for session, text in chosen.items()])
    return bool(chosen)


def _says_nothing(kind: str, schema: int, text: str) -> bool:
    return load(KINDS[kind], schema, text) in NOTHING


def _all(connection: sqlite3.Connection, table: Table) -> Iterator[Row]:
    """Yield the other's rows."""
    columns = ", ".join(table.columns)
    found = connection.execute(f"SELECT {columns} FROM other.{table.name}")  # noqa: S608  # of the schema
    while rows := found.fetchmany(500):
        yield from (dict(zip(table.columns, row, strict=True)) for row in rows)


def _with_boots(text: str, numbers: Numbers) -> str:
    """Return JSON in which the moments are of the base's starts of the machine."""
    if all(number == other for number, other in numbers.items()):
        return text
    return json.dumps(_moved(json.loads(text), numbers), separators=(",", ":"), ensure_ascii=False)


def _moved(value: Any, numbers: Numbers) -> Any:  # noqa: ANN401  # JSON
    match value:
        case dict() if {"boot", "mono", "wall"} <= value.keys():
            return {**value, "boot": numbers.get(value["boot"], value["boot"])}
        case dict():
            return {name: _moved(member, numbers) for name, member in value.items()}
        case list():
            return [_moved(member, numbers) for member in value]
        case _:
            return value
