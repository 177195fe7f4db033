"""The evidence of a commit: which records its closed sessions get, and those that became due since (ADR 17)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.buffer import annotation
from agent.buffer.chain import Chain, Sealed, Station
from agent.buffer.codec import load
from agent.buffer.database import Database, Statement
from agent.buffer.records import (
    Draft,
    FactRow,
    Surroundings,
    closed_session,
    correction,
    digest,
    parsed,
    settled,
    times,
)
from agent.buffer.repricing import REACH, UNPRICED, draft
from agent.buffer.timeline import Timeline, timeline
from agent.core.errors import JournalCorrupt
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import Reporting
from agent.core.prices import PriceBlock
from agent.core.state import Card

FACTS: Final = (
    "SELECT seq, session, session_seq, kind, schema, boot, mono, wall, json"
    " FROM fact WHERE session = ? ORDER BY session_seq"
)
SIGNED: Final = "SELECT format, text FROM signed_reading WHERE session = ? ORDER BY place"
OWN: Final = "SELECT number, json FROM record WHERE session = ? AND kind IN ('session', 'correction') ORDER BY number"
DUE: Final = (
    "SELECT due.session, due.why, session.reporting FROM record_due AS due JOIN session ON session.id = due.session"
    " ORDER BY session.end_fact"
)
#: The boots as they are once the commit is made that may tell when one of them began: its number, and both clocks.
BOOTS: Final = """
SELECT number,
    CASE WHEN number = ?1 AND anchor_mono IS NULL THEN ?2 ELSE anchor_mono END,
    CASE WHEN number = ?1 AND anchor_mono IS NULL THEN ?3 ELSE anchor_wall END, seen_mono
FROM boot ORDER BY number DESC
"""
LATE: Final = "INSERT OR REPLACE INTO record_due (session, why) VALUES (?, 'late')"
UNSURE: Final = "INSERT OR REPLACE INTO record_due (session, why) VALUES (?, 'times')"
DONE: Final = "DELETE FROM record_due WHERE session = ?"

AT_ONCE: Final = 8
"""So many records that became due are made in one commit: what else has to be written waits for them no longer."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A session that a commit closes; reporting: what it may do from then on; rows: its facts in this commit."""

    session: str
    reporting: Reporting
    rows: tuple[FactRow, ...]


@dataclass(frozen=True, slots=True)
class _Case:
    """A closed session with all that its record is made of; signed: what its meter signed, as (format, SHA-256)."""

    rows: Sequence[FactRow]
    start: SessionStarted
    end: SessionEnded
    reporting: str
    signed: tuple[tuple[str, str], ...]


class Sealer:
    """Makes the records of one ledger. Its caller sees to it that one commit at a time is made."""

    def __init__(
        self, database: Database, state_dir: Path, station: Station, hourly: Sequence[PriceBlock] = ()
    ) -> None:
        """Keep what is needed; nothing is read yet. state_dir: where the key and the file with the chain's end are.

        hourly: the supplier's prices, for sessions that had none for some of their hours when they ended.
        """
        self._database = database
        self._hourly = tuple(hourly)
        self._tried: tuple[PriceBlock, ...] = ()
        self._station = station
        self._chain = Chain(database, state_dir, station)

    @property
    def notices(self) -> list[str]:
        """What somebody should be told of key and chain, oldest first; the reader may empty it."""
        return self._chain.notices

    async def begin(self, at: Instant) -> Sealed:
        """Make the key where there is none, and return what the chain has to tell at a start, mostly nothing.

        Raises: JournalError.
        """
        return await self._chain.sealed((), at)

    async def added(self, draft: Draft, at: Instant) -> Sealed:
        """Return a record that somebody adds: an annotation. Raises: JournalError."""
        return await self._chain.sealed((draft,), at)

    async def closed(self, sessions: Sequence[Closed], cards: Mapping[str, Card], at: Instant) -> Sealed:
        """Return the records of the sessions that a commit closes, in that order; at: the commit's.

        A session whose earlier facts cannot be read gets its record when they can be: closing it matters more.
        Raises: JournalError.
        """
        known = await self._timeline(at)
        drafts, more = [], list[Statement]()
        for one in sessions:
            try:
                draft = await asyncio.to_thread(self._draft, await self._case(one), known, cards)
            except JournalCorrupt as error:
                self.notices.append(f"session {one.session} has no evidence record yet: {error}")
                more.append((LATE, (one.session,)))
            else:
                drafts.append(draft)
                more += [] if settled(draft.members) else [(UNSURE, (one.session,))]
        return await self._chain.sealed(drafts, at, more)

    async def due(self, cards: Mapping[str, Card], at: Instant) -> Sealed:
        """Return the next records of sessions that wait for one: a few, none when all are made; annotations come last.

        Raises: JournalError.
        """
        known = await self._timeline()
        drafts, more = [], list[Statement]()
        for session, why, reporting in await self._database.read(DUE):
            try:
                case = await self._case(Closed(session, Reporting(reporting), ()))
            except JournalCorrupt:
                continue  # it was told when it was closed, and `sessions verify` tells it each time
            draft = await (self._late(case, known, cards) if why == "late" else self._better(case, known))
            if draft is not None:
                drafts.append(draft)
                more.append((UNSURE if why == "late" and not settled(draft.members) else DONE, (session,)))
            if len(drafts) == AT_ONCE:
                break
        if not drafts:
            drafts, more = annotation.due(await self._database.read(annotation.DUE, (AT_ONCE,)))
        return await self._chain.sealed(drafts, at, more) if drafts else Sealed()

    async def priced(self, pushed: Sequence[PriceBlock], at: Instant) -> Sealed:
        """Return the next records of sessions whose cost has become known: a few, none when all are made.

        pushed: the company's prices, which win over the supplier's. Raises: JournalError.
        """
        prices = (*self._hourly, *pushed)
        if prices == self._tried:
            return Sealed()
        known, drafts = await self._timeline(), list[Draft]()
        for session, *facts in await self._database.read(UNPRICED, ((at.wall - REACH).isoformat(),)):
            try:
                start, end = load(SessionStarted, *facts[:2]), load(SessionEnded, *facts[2:])
            except JournalCorrupt:
                continue  # as above
            own = await self._database.read(OWN, (session,))
            late = draft(start, end, known, prices, corrects=int(own[0][0])) if own else None
            drafts += [] if late is None else [late]
            if len(drafts) == AT_ONCE:
                break
        if not drafts:
            self._tried = prices
        return await self._chain.sealed(drafts, at) if drafts else Sealed()

    async def written(self, sealed: Sealed) -> None:
        """Take note that a commit is on the disk."""
        await self._chain.written(sealed)

    async def _timeline(self, at: Instant | None = None) -> Timeline:
        """Return what is known of boots; at: once the commit of this moment is made, which may tell when one began."""
        told = at is not None and at.status is TimeStatus.SYNCHRONISED
        anchor = (at.boot, at.mono, at.wall.isoformat()) if at is not None and told else (None, None, None)
        return timeline(await self._database.read(BOOTS, anchor))

    async def _case(self, one: Closed) -> _Case:
        rows = [*map(tuple, await self._database.read(FACTS, (one.session,))), *one.rows]
        start = load(SessionStarted, int(rows[0][4]), str(rows[0][8]))
        end = load(SessionEnded, int(rows[-1][4]), str(rows[-1][8]))
        signed = await self._database.read(SIGNED, (one.session,))
        return _Case(rows, start, end, one.reporting.value, tuple((form, digest(text)) for form, text in signed))

    async def _late(self, case: _Case, known: Timeline, cards: Mapping[str, Card]) -> Draft | None:
        return await asyncio.to_thread(self._draft, case, known, cards, late=True)

    async def _better(self, case: _Case, known: Timeline) -> Draft | None:
        """Return a correction where the times of a session are known better than its records have them."""
        own = await self._database.read(OWN, (case.start.session,))
        told = parsed(own[-1][1].encode()) if own else None
        now = times(case.start, case.end, known)
        if told is None or all(told.get(name) == value for name, value in now.items()):
            return None
        return correction(case.start, case.end, known, own[0][0])

    def _draft(self, case: _Case, known: Timeline, cards: Mapping[str, Card], *, late: bool = False) -> Draft:
        evse, card = case.start.evse, cards.get(case.start.id_token.key)
        beside = Surroundings(
            card=None if card is None else card.number,
            evse_id=self._station.evse_ids.get(evse),
            meter_model=self._station.meters.get(evse),
            reporting=case.reporting,
            signed=case.signed,
            late=late,
        )
        return closed_session((case.start, case.end), case.rows, known, beside)
