"""What is forgotten: old details of what is confirmed everywhere, all of a session at once; and nothing else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.database import Database, open_database
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import sessions
from agent.buffer.outbox_store import OutboxStore
from agent.buffer.reader import open_reader
from agent.buffer.retention import Place, next_step
from agent.core.facts import Fact, MeterSampled
from agent.core.instant import Instant, TimeStatus
from agent.core.model import EvseId, Profile, ReadingContext, Reporting
from tests.unit.buffer.histories import LANES, deliver
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, at, ended, reading, sampled, started

DAY = 86_400


class History:
    """A ledger, and a pass over what is older than a day of it."""

    def __init__(self, state_dir: Path, database: Database) -> None:
        self.state_dir = state_dir
        self.database = database
        self.journal = SqliteJournal(database, LANES)

    async def session(
        self,
        name: str,
        day: float,
        status: TimeStatus = TimeStatus.SYNCHRONISED,
        **kinds: Any,  # noqa: ANN401  # of ``started``
    ) -> None:
        """Have a session with two readings begin at noon."""
        moments = [at(day * DAY + 43_200 + n * 60, status) for n in range(4)]
        facts: list[Fact] = [
            started(name, moments[0], **kinds),
            sampled(name, 1, moments[1]),
            sampled(name, 2, moments[2]),
            ended(name, 3, moments[3]),
        ]
        await self.journal.commit(EMPTY, facts, moments[3])

    async def reading(self, day: float, *, anew: bool = False) -> None:
        moment = at(day * DAY)
        await self.journal.commit(EMPTY, [MeterSampled(EvseId(1), ReadingContext.OTHER, reading(moment), anew)], moment)

    async def forget(self, day: float) -> int:
        """Forget what is older than a day of the year, and return how many steps it took."""
        place, steps, is_last = Place(), 0, False
        await self.database.write([("DELETE FROM record_due", ())])
        while not is_last:
            with open_reader(self.state_dir) as connection:
                step = next_step(connection, place, NEW_YEAR + timedelta(days=day))
            if step.statements:
                await self.database.forget(step.statements)
            steps += bool(step.statements)
            place, is_last = step.place, step.is_last
        return steps

    def left(self, kind: str = "session-sampled") -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.state_dir / LEDGER)) as connection:
            sql = "SELECT session FROM fact WHERE kind = ? ORDER BY seq"
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
            return connection.execute(sql, (kind,)).fetchall()


async def test_details_that_are_old_and_confirmed_go_and_all_else_stays(tmp_path: Path) -> None:
    async with open_database(tmp_path, copied=True) as database:
        history = History(tmp_path, database)
        await history.journal.boot_number("b")
        await history.session("old", 0)
        await deliver(database, 1)
        await history.session("private", 1, profile=Profile.PRIVATE)
        await history.session("recent", 9)
        await deliver(database, 2)
        with open_reader(tmp_path) as connection:
            before = sessions(connection)
        assert await history.forget(5) == 2
        with open_reader(tmp_path) as connection:
            assert sessions(connection) == before
        assert history.left() == [("recent",)] * 2
        assert len(history.left("session-started")) == len(history.left("session-ended")) == 3
        rows = await database.read("SELECT session, state, text FROM outbox ORDER BY fact, destination")
        assert {tuple(row)[:2] for row in rows} == {("old", "confirmed"), ("recent", "confirmed")}
        assert {row["session"] for row in rows if row["text"] is None} == {"old"}
        assert await history.forget(5) == 0


@pytest.mark.parametrize("what", ["queued at one", "held", "given up", "open", "record due"])
async def test_what_still_has_to_go_keeps_its_details(what: str, tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        history = History(tmp_path, database)
        await history.journal.boot_number("b")
        if what == "held":
            await history.session("s", 0, reporting=Reporting.HOLD, company_code="ACME")
        elif what == "open":
            await history.journal.commit(
                EMPTY, [started("s", at(0)), sampled("s", 1, at(1)), sampled("s", 2, at(2))], at(3)
            )
        else:
            await history.session("s", 0)
        if what not in {"held", "open"}:
            await deliver(database, 1)
            states = {"queued at one": "queued", "given up": "quarantined"}
            change = "UPDATE outbox SET state = ? WHERE destination = 'ere' AND fact = (SELECT max(fact) FROM outbox)"
            await database.write([(change, (states.get(what, "confirmed"),))])
        await history.forget(0)
        if what == "record due":
            await database.write([("INSERT INTO record_due VALUES ('s', 'times')", ())])
            with open_reader(tmp_path) as connection:
                step = next_step(connection, Place(), NEW_YEAR + timedelta(days=5))
            assert step.statements == ()
        else:
            await history.forget(5)
        assert history.left() == [("s",)] * 2


async def test_one_that_waits_does_not_keep_those_behind_it(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        history = History(tmp_path, database)
        await history.journal.boot_number("b")
        await history.session("held", 0, reporting=Reporting.HOLD, company_code="ACME")
        await history.session("unsure", 1, TimeStatus.INFORMATIVE)
        await history.session("sure", 2)
        await deliver(database, 1)
        await database.write([("UPDATE boot SET anchor_mono = NULL", ())])
        await history.forget(5)
        assert history.left() == [("held",)] * 2 + [("unsure",)] * 2


async def test_a_time_that_became_known_counts(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        history = History(tmp_path, database)
        await history.journal.boot_number("b")
        await history.session("s", 0, TimeStatus.UNKNOWN)
        await deliver(database, 1)
        known = replace(at(100), wall=NEW_YEAR + timedelta(days=300))
        await history.journal.anchor(Instant(known.mono, known.wall, TimeStatus.SYNCHRONISED, 1))
        await history.forget(200)
        assert len(history.left()) == 2
        await history.forget(302)
        assert history.left() == []


async def test_readings_between_sessions_go_but_where_a_register_begins_anew(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        history = History(tmp_path, database)
        await history.journal.boot_number("b")
        for day in range(6):
            await history.reading(day, anew=day == 2)
        waiting = MeterSampled(EvseId(1), ReadingContext.CLOCK, reading(at(3 * DAY)))
        await history.journal.commit(EMPTY, [waiting], at(3 * DAY))
        await history.forget(4.5)
        assert len(history.left("meter-sampled")) == 3  # the one anew, the one of day five, and the one that waits
        await deliver(database, 1)
        assert await OutboxStore(database, "cloud").count() == 0


async def test_a_step_writes_no_more_than_one_session(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        history = History(tmp_path, database)
        await history.journal.boot_number("b")
        for number in range(5):
            await history.session(f"s{number}", number)
        await deliver(database, 1)
        assert await history.forget(10) == 5
