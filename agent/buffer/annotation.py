"""What somebody adds to a closed session: the car's odometer, a note. Each time a record of the chain (ADR 17).

A record has all of it, so the newest one says what holds. What a merge of two ledgers took over from the chain that
ended waits as a slice until it is put on record in the chain that goes on.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from agent.buffer.codec import load
from agent.buffer.records import Draft, JsonObject, Kind, exact, parsed
from agent.core.errors import AgentError

if TYPE_CHECKING:
    from agent.buffer.database import Database, Statement
    from agent.buffer.journal import SqliteJournal
    from agent.core.instant import Instant

SESSION: Final = "SELECT profile, end_fact FROM session WHERE id = ?"
RECORDS: Final = "SELECT json FROM record WHERE session = ? AND kind = 'annotation' ORDER BY number DESC"
WAITING: Final = "SELECT schema, json FROM slice WHERE kind = 'annotation' AND key = ?"
DUE: Final = (
    "SELECT w.key, w.schema, w.json, s.profile FROM slice AS w JOIN session AS s ON s.id = w.key"
    " WHERE w.kind = 'annotation' AND s.end_fact IS NOT NULL ORDER BY s.start_fact LIMIT ?"
)
RECORDED: Final = "DELETE FROM slice WHERE kind = 'annotation' AND key = ?"


class CannotAnnotate(AgentError):
    """A session is not there, or has not ended yet; the text says so."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """What stands beside a session: what the car's odometer showed, in whole km, and a note of one line."""

    odometer_km: Decimal | None = None
    note: str | None = None

    def to_json(self) -> JsonObject:
        """Return it as documents have it."""
        return {"odometer_km": None if self.odometer_km is None else int(self.odometer_km), "note": self.note}


@dataclass(frozen=True, slots=True)
class Change:
    """What to make of an annotation: what is given takes the place of what was there; cleared: names of what goes."""

    given: Annotation
    cleared: frozenset[str] = frozenset()

    def applied(self, before: Annotation) -> Annotation:
        """Return what holds after it."""
        kept = replace(before, **dict.fromkeys(self.cleared))
        return Annotation(
            kept.odometer_km if self.given.odometer_km is None else self.given.odometer_km,
            kept.note if self.given.note is None else self.given.note,
        )


def annotation_of(connection: sqlite3.Connection, session: str) -> Annotation:
    """Return what holds of a session; nothing where nobody added anything. Raises: JournalCorrupt."""
    waiting = connection.execute(WAITING, (session,)).fetchone()
    texts = (str(row[0]) for row in connection.execute(RECORDS, (session,)))
    return _holding(None if waiting is None else (int(waiting[0]), str(waiting[1])), texts)


def told(text: str) -> Annotation | None:
    """Return what a record says, None where it is not as the station writes them, which `sessions verify` tells."""
    body = parsed(text.encode(errors="surrogateescape")) or {}
    odometer, note = body.get("odometer_km"), body.get("note")
    if body.get("kind") != Kind.ANNOTATION or not (note is None or isinstance(note, str)):
        return None
    if odometer is None:
        return Annotation(None, note)
    return Annotation(Decimal(odometer), note) if isinstance(odometer, str) and odometer.isdecimal() else None


def drafted(session: str, profile: str, annotation: Annotation) -> Draft:
    """Return the record; it has the profile, so that an export knows of a private session by this record alone."""
    odometer = None if annotation.odometer_km is None else exact(annotation.odometer_km)
    members: JsonObject = {"odometer_km": odometer, "note": annotation.note, "profile": profile}
    return Draft(Kind.ANNOTATION, members, session)


def due(rows: Iterable[Sequence[object]]) -> tuple[list[Draft], list[Statement]]:
    """Return the records of what waits, and what ends the waiting; rows: of ``DUE``. Raises: JournalCorrupt."""
    drafts, more = [], list["Statement"]()
    for session, schema, text, profile in rows:
        drafts.append(drafted(str(session), str(profile), load(Annotation, int(str(schema)), str(text))))
        more.append((RECORDED, (str(session),)))
    return drafts, more


class Annotator:
    """Annotates the sessions of one ledger; the only one that does, one at a time."""

    def __init__(self, database: Database, journal: SqliteJournal, now: Callable[[], Instant]) -> None:
        """Use a ledger that is open; now: tells when a record is made."""
        self._database = database
        self._journal = journal
        self._now = now
        self._turn = asyncio.Lock()

    async def annotate(self, session: str, change: Change) -> Annotation:
        """Change what stands beside a closed session, and return what holds then; nothing new leaves no record.

        Raises: CannotAnnotate; JournalFull, JournalCorrupt, JournalError.
        """
        async with self._turn:
            rows = await self._database.read(SESSION, (session,))
            if not rows:
                raise CannotAnnotate(f"there is no session {session}: look at `wallbox-agent sessions list`")
            if rows[0]["end_fact"] is None:
                raise CannotAnnotate(f"session {session} is still running: annotate it once it has ended")
            before = await self._before(session)
            after = change.applied(before)
            if after != before:
                draft = drafted(session, str(rows[0]["profile"]), after)
                await self._journal.add_record(draft, self._now(), [(RECORDED, (session,))])
            return after

    async def _before(self, session: str) -> Annotation:
        waiting = await self._database.read(WAITING, (session,))
        texts = [str(row["json"]) for row in await self._database.read(RECORDS, (session,))]
        return _holding((int(waiting[0]["schema"]), str(waiting[0]["json"])) if waiting else None, texts)


def _holding(waiting: tuple[int, str] | None, texts: Iterable[str]) -> Annotation:
    """Return what holds; waiting: schema and text of a slice; texts: of the records, the newest first."""
    if waiting is not None:
        return load(Annotation, *waiting)
    return next((found for found in map(told, texts) if found is not None), Annotation())
