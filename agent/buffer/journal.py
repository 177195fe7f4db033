"""The journal: the station's durable state and its facts, in one commit; and which runs of which boot there were."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from agent.buffer.chain import Sealed
from agent.buffer.codec import dump, load
from agent.buffer.database import Database, Statement, uninterrupted
from agent.buffer.entries import Books, Entry, Running
from agent.buffer.records import Draft
from agent.buffer.sealing import Sealer
from agent.buffer.slices import SLICES, assembled, changes
from agent.core.errors import JournalError
from agent.core.facts import SCHEMA, Fact, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import Reporting, SessionId
from agent.core.state import Durable, same_slices

NEXT_FACT: Final = "SELECT coalesce(max(seq), 0) + 1 FROM fact"
ANCHORED: Final = "SELECT number FROM boot WHERE anchor_mono IS NOT NULL"
RUNNING: Final = (
    "SELECT id, reporting, company_code, (SELECT max(session_seq) + 1 FROM fact WHERE fact.session = session.id)"
    " FROM session WHERE end_fact IS NULL ORDER BY start_fact"
)
LANES: Final = (
    "SELECT delivery.session, destination FROM delivery JOIN session ON session.id = delivery.session"
    " WHERE end_fact IS NULL"
)
KNOWN: Final = "SELECT 1 FROM session WHERE id = ?"
ANCHOR: Final = "UPDATE boot SET anchor_mono = ?, anchor_wall = ? WHERE number = ? AND anchor_mono IS NULL"
SEEN: Final = "UPDATE boot SET seen_mono = ? WHERE number = ?"
BOOT: Final = "SELECT number FROM boot WHERE boot_id = ?"
NEW_BOOT: Final = "INSERT INTO boot (boot_id) VALUES (?) ON CONFLICT (boot_id) DO NOTHING"
LAST_RUN: Final = "SELECT boot, version, began, ended FROM run ORDER BY id DESC LIMIT 1"
NEW_RUN: Final = "INSERT INTO run (boot, version, began) VALUES (?, ?, ?)"
SAME_RUN: Final = "UPDATE run SET version = version WHERE id = (SELECT max(id) FROM run)"
END_RUN: Final = "UPDATE run SET ended = ? WHERE id = (SELECT max(id) FROM run)"


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """The run of the process before this one; ended: None where it was not stopped in order.

    boot: number of the machine's start it ran in; another one than the present means that the machine was started anew.
    """

    boot: int
    version: str
    began: Instant
    ended: Instant | None


class SqliteJournal:
    """The durable memory in a SQLite database; implements ``ports.Journal``. One per database."""

    def __init__(self, database: Database, destinations: tuple[str, ...], sealer: Sealer | None = None) -> None:
        """Write to a database; destinations: the lanes that sessions beginning from now on get, in any order.

        sealer: makes the evidence of closed sessions; without one there is none, and `sessions verify` misses it.
        """
        self._database = database
        self._destinations = destinations
        self._sealer = sealer
        self._due = asyncio.Event()
        self._books: Books | None = None
        self._turn = asyncio.Lock()

    async def load(self) -> Durable | None:
        """Return the durable slices as last committed, None in a new ledger. Raises: JournalError."""
        async with self._turn:
            self._books = await self._read()
            return self._books.slices

    async def commit(self, slices: Durable, facts: Sequence[Fact], at: Instant) -> None:
        """Make the slices and the facts durable, whole or not at all; costs nothing where nothing is new.

        Returns after the disk has them. A commit under way is finished although the caller is cancelled.
        Raises: JournalFull, JournalCorrupt, JournalError; AssertionError for facts that cannot be true together.
        """
        if not facts and self._books is not None and self._same(self._books, slices):
            return
        await uninterrupted(self._commit(slices, facts, at))

    async def check(self) -> None:
        """Write something that changes nothing. Raises: JournalFull, JournalCorrupt, JournalError."""
        await self._database.write([(SAME_RUN, ())])

    async def anchor(self, at: Instant) -> None:
        """Keep what a clock that can be trusted says, to correct earlier stamps of its boot; free once it is known.

        Every commit does so by itself; to call before lanes are emptied when the clock has just become known.
        Raises: JournalError.
        """
        await uninterrupted(self._anchor(at))

    async def boot_number(self, boot_id: str) -> int:
        """Return the number of a start of the machine, from 1; the same id has the same number for ever."""
        known = await self._database.read(BOOT, (boot_id,))
        if not known:
            await self._database.write([(NEW_BOOT, (boot_id,))])
            known = await self._database.read(BOOT, (boot_id,))
        return int(known[0][0])

    async def begin_run(self, boot_id: str, version: str, at: Instant) -> PreviousRun | None:
        """Record that the process begins, and return the run before, None for the first. Raises: JournalError."""
        boot = await self.boot_number(boot_id)
        last = await self._database.read(LAST_RUN)
        await self._database.write([(NEW_RUN, (boot, version, dump(at)))])
        await uninterrupted(self._begin_chain(at))
        return _previous(*last[0]) if last else None

    async def end_run(self, at: Instant) -> None:
        """Record that the process ends in order. Raises: JournalError."""
        await self._database.write([(END_RUN, (dump(at),))])

    async def seal_due(self, now: Callable[[], Instant]) -> None:
        """Make the evidence records that are due by themselves, for ever; to run beside the commits.

        Those are of sessions that closed before there was evidence, of stamps whose time has become known, and of
        costs whose prices by the hour have. What cannot be written now is tried again when the next session closes, or
        at the next start.
        """
        while True:
            self._due.clear()
            with suppress(JournalError):
                while await uninterrupted(self._seal_some(now())):
                    pass
            await self._due.wait()

    async def add_record(self, draft: Draft, at: Instant, more: Sequence[Statement] = ()) -> None:
        """Add to the evidence what somebody says of a session (an annotation); without a sealer nothing is kept.

        more: what is written in the same transaction. Raises: JournalError.
        """
        await uninterrupted(self._add(draft, at, more))

    async def _add(self, draft: Draft, at: Instant, more: Sequence[Statement]) -> None:
        async with self._turn:
            if self._sealer is not None:
                await self._write(more, await self._sealer.added(draft, at))

    async def _begin_chain(self, at: Instant) -> None:
        async with self._turn:
            if self._sealer is not None:
                await self._write((), await self._sealer.begin(at))

    async def _seal_some(self, at: Instant) -> bool:
        """Make a few of the records that are due; tell whether there may be more."""
        async with self._turn:
            if self._sealer is None:
                return False
            books = self._books = self._books or await self._read()
            slices = books.slices
            sealed = await self._sealer.due({} if slices is None else slices.tokens.cards, at)
            if not sealed.statements:
                sealed = await self._sealer.priced(() if slices is None else slices.company.prices, at)
            await self._write((), sealed)
            return bool(sealed.statements)

    async def _write(self, statements: Sequence[Statement], sealed: Sealed) -> None:
        await self._database.write([*statements, *sealed.statements])
        if self._sealer is not None:
            await self._sealer.written(sealed)

    async def _commit(self, slices: Durable, facts: Sequence[Fact], at: Instant) -> None:
        async with self._turn:
            books = self._books or await self._read()
            await self._refuse_known(facts)
            entry = Entry(books, self._destinations, at)
            for fact in facts:
                entry.add(fact)
            statements = [*changes(books.slices, slices), *entry.statements]
            stamped = _stamped(books, at) if statements else []
            sealed = Sealed()
            if self._sealer is not None and entry.closed:
                sealed = await self._sealer.closed(entry.closed, slices.tokens.cards, at)
                self._due.set()
            await self._write([*statements, *stamped], sealed)
            if books.slices is not None and books.slices.company.prices != slices.company.prices:
                self._due.set()
            anchored = self._known(books, at) if statements else books.anchored
            self._books = Books(slices, entry.next_fact, entry.running, anchored)

    async def _anchor(self, at: Instant) -> None:
        async with self._turn:
            books = self._books or await self._read()
            if at.status is TimeStatus.SYNCHRONISED and at.boot not in books.anchored:
                await self._database.write(_stamped(books, at))
                books = replace(books, anchored=self._known(books, at))
            self._books = books

    async def _refuse_known(self, facts: Sequence[Fact]) -> None:
        """Raise AssertionError for the start of a closed session; the running ones are known without asking."""
        for fact in facts:
            if isinstance(fact, SessionStarted) and await self._database.read(KNOWN, (fact.session,)):
                raise AssertionError(f"session {fact.session} has begun already")

    async def _read(self) -> Books:
        slices = assembled(await self._database.read(SLICES))
        ((next_fact,),) = await self._database.read(NEXT_FACT)
        lanes: defaultdict[str, list[str]] = defaultdict(list)
        for session, destination in await self._database.read(LANES):
            lanes[session].append(destination)
        running = {
            SessionId(name): Running(seq, Reporting(reporting), code, tuple(lanes[name]))
            for name, reporting, code, seq in await self._database.read(RUNNING)
        }
        anchored = frozenset(int(number) for (number,) in await self._database.read(ANCHORED))
        return Books(slices, next_fact, running, anchored)

    def _known(self, books: Books, at: Instant) -> frozenset[int]:
        """Return the boots whose wall clock is known after a commit; a new one may put earlier stamps right."""
        if at.status is not TimeStatus.SYNCHRONISED or at.boot in books.anchored:
            return books.anchored
        self._due.set()
        return books.anchored | {at.boot}

    @staticmethod
    def _same(books: Books, slices: Durable) -> bool:
        return books.slices is not None and same_slices(books.slices, slices)


def _stamped(books: Books, at: Instant) -> list[Statement]:
    """Return what keeps the relation of monotonic and wall-clock time of a boot, as far as it is new."""
    if at.status is TimeStatus.SYNCHRONISED and at.boot not in books.anchored:
        return [(ANCHOR, (at.mono, at.wall.isoformat(), at.boot))]
    return [(SEEN, (at.mono, at.boot))] if at.status is TimeStatus.UNKNOWN else []


def _previous(boot: int, version: str, began: str, ended: str | None) -> PreviousRun:
    return PreviousRun(
        boot, version, load(Instant, SCHEMA, began), None if ended is None else load(Instant, SCHEMA, ended)
    )
