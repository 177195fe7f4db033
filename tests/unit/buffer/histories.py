"""A ledger with a history, its second copy beside it, and what is in it: for the tests of its damage and its backup."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from agent.buffer.database import Database, open_database
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.core.facts import SessionStarted
from agent.core.model import EvseId, IdToken, Profile, Reporting
from agent.core.state import Card, Durable, Tokens
from agent.ports import Acknowledged
from tests.unit.buffer.scripted import EMPTY, at, ended, running, sampled, started

LANES = ("cloud", "ere")
BLOCKED = Card(IdToken("0000AB12CD"), Profile.FLEET, None, None, None, "lost")
CARDS = replace(EMPTY, tokens=Tokens(cards={BLOCKED.id_token.key: BLOCKED}))
Content = dict[str, list[tuple[object, ...]]]

#: What has to survive: all but readings, their places in the lanes, and the seed of ids.
LASTING = {
    "session": "SELECT * FROM session ORDER BY id",
    "delivery": "SELECT * FROM delivery ORDER BY session, destination",
    "fact": "SELECT * FROM fact WHERE kind <> 'session-sampled' ORDER BY seq",
    "outbox": (
        "SELECT o.* FROM outbox AS o JOIN fact AS f ON f.seq = o.fact WHERE f.kind <> 'session-sampled'"
        " ORDER BY o.destination, o.fact"
    ),
    "slice": "SELECT * FROM slice WHERE kind NOT IN ('ids', 'session') ORDER BY kind, key",
}


async def make(
    state_dir: Path, count: int = 12, *, boot: str = "boot-1", prefix: str = "s", closed: bool = False
) -> None:
    """Write sessions of every kind: every second one is confirmed everywhere, the last one runs (unless closed)."""
    async with open_database(state_dir, copied=True) as database:
        journal = SqliteJournal(database, LANES)
        await journal.begin_run(boot, "1.0.0", at(1))
        state = await journal.load() or CARDS
        for number in range(count):
            begin = at(1000 * (number + 1))
            fact = started(f"{prefix}{number:02}", begin)
            if number % 7 == 3:
                fact = replace(fact, profile=Profile.PRIVATE)
            if number % 7 == 5:
                fact = replace(fact, reporting=Reporting.HOLD, company_code="ACME")
            named = replace(BLOCKED, name=f"as of session {number}")
            tokens = Tokens(cards={**state.tokens.cards, named.id_token.key: named})
            state = replace(state, sessions={EvseId(1): running(fact)}, tokens=tokens)
            await journal.commit(state, [fact], begin)
            for seq in range(1, 5):
                moment = at(begin.mono + seq)
                await journal.commit(
                    replace(state, sessions={EvseId(1): running(fact, seq + 1)}),
                    [sampled(fact.session, seq, moment)],
                    moment,
                )
            if number % 2 == 0:
                await deliver(database, number)
            if number < count - 1 or closed:
                end = at(begin.mono + 100)
                state = replace(state, sessions={})
                await journal.commit(state, [ended(fact.session, 5, end)], end)
        await journal.end_run(at(99_999))


async def deliver(database: Database, transaction: int) -> None:
    """Let every lane confirm what waits."""
    for name in LANES:
        store = OutboxStore(database, name)
        for row in await store.rows(1000):
            await store.sending([(row.message.row, f'[2,"{row.message.message_id}","X",{{}}]')])
            named = transaction if isinstance(row.fact, SessionStarted) else None
            await store.acknowledge([Acknowledged(row.message.row, at(9000), named)])


def content(state_dir: Path) -> Content:
    """Return what has to survive, of a ledger that is whole."""
    with closing(sqlite3.connect(state_dir / LEDGER)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return {name: connection.execute(sql).fetchall() for name, sql in LASTING.items()}


async def goes_on(state_dir: Path, boot: str = "boot-2") -> Durable:
    """See that a ledger takes a session from its start to its delivery, and what was open before; return its state."""
    async with open_database(state_dir, copied=True) as database:
        journal = SqliteJournal(database, LANES)
        await journal.begin_run(boot, "1.0.0", at(100_000))
        state = await journal.load() or EMPTY
        for session in state.sessions.values():
            end = ended(session.id, session.seq, at(100_001))
            state = replace(state, sessions={})
            await journal.commit(state, [end], at(100_001))
        for fact in (started("new", at(100_010)), ended("new", 1, at(100_020))):
            await journal.commit(state, [fact], fact.at)
        await deliver(database, 1)
        assert [await OutboxStore(database, name).count() for name in LANES] == [0, 0]
        assert database.second is not None
        assert database.second.error is None
    return state


def numbers(found: Content, table: str = "session") -> Sequence[object]:
    """Return the first columns of a table's rows."""
    return [row[0] for row in found[table]]
