"""What a rescue loses: readings in between, all of a session or none; never its registers or what vouches for it."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.buffer.database import open_database
from agent.buffer.evidence import verify_ledger
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.reader import open_reader
from agent.buffer.rescue import Secured, secure
from agent.buffer.sealing import Sealer
from agent.core.model import EvseId
from tests.unit.buffer.evidence_rig import STATION
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, at, ended, running, sampled, started

SESSIONS, READINGS, PAGE = ("s1", "s2"), 120, 4096
READ = "SELECT session, count(*) FROM fact WHERE kind = 'session-sampled' GROUP BY session ORDER BY session"
ENDS = "SELECT seq, kind, session, json FROM fact WHERE kind <> 'session-sampled' ORDER BY seq"
LOST = "SELECT count(*) FROM outbox WHERE fact NOT IN (SELECT seq FROM fact)"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Two sessions with readings on pages of their own."""
    asyncio.run(charge(tmp_path / "state"))
    return tmp_path / "state"


async def charge(state_dir: Path) -> None:
    async with open_database(state_dir, copied=True) as database:
        journal = SqliteJournal(database, ("cloud",), Sealer(database, state_dir, STATION))
        await journal.begin_run("boot-1", "1.0.0", at(1))
        for number, name in enumerate(SESSIONS):
            begin = at(10_000 * number + 10)
            fact = started(name, begin)
            session = replace(EMPTY, sessions={EvseId(1): running(fact)})
            readings = [sampled(name, seq, at(begin.mono + 60 * seq)) for seq in range(1, READINGS + 1)]
            await journal.commit(session, [fact, *readings], begin)
            end = at(begin.mono + 9000)
            await journal.commit(EMPTY, [ended(name, READINGS + 1, end)], end)


def rows(state_dir: Path, sql: str) -> list[tuple[object, ...]]:
    with open_reader(state_dir) as connection:
        return [tuple(row) for row in connection.execute(sql)]


def rescued(state_dir: Path) -> Secured:
    return secure(state_dir, ("cloud",), NEW_YEAR)


def page_with(state_dir: Path, name: str) -> int:
    """Return where a page begins that holds readings of this session alone."""
    content = (state_dir / LEDGER).read_bytes()
    others = [other.encode() for other in SESSIONS if other != name]
    for place in range(PAGE, len(content), PAGE):
        page = content[place : place + PAGE]
        of_it = page[:1] == b"\x0d" and page.count(b"Sample.Periodic") > 3 and page.count(name.encode()) > 3
        if of_it and b"session-started" not in page and not any(page.count(other) for other in others):
            return place
    raise AssertionError("there is no such page")


def test_without_the_ledger_the_copy_has_all_but_the_readings(state_dir: Path) -> None:
    ends = rows(state_dir, ENDS)
    (state_dir / LEDGER).unlink()
    rescued(state_dir)
    assert rows(state_dir, ENDS) == ends
    assert rows(state_dir, READ) == []
    assert rows(state_dir, LOST) == [(0,)]
    found = verify_ledger(state_dir)
    assert found.faults == ()
    assert "of 2 sessions the readings" in found.notes[0]


def test_a_session_that_lost_some_readings_loses_the_others_and_is_not_called_changed(state_dir: Path) -> None:
    ends = rows(state_dir, ENDS)
    place = page_with(state_dir, "s1")
    with (state_dir / LEDGER).open("r+b") as file:
        file.seek(place)
        file.write(bytes(PAGE))
    (state_dir / "ledger.suspect").write_text("a page")
    assert rescued(state_dir).rescue is not None
    assert rows(state_dir, ENDS) == ends
    assert rows(state_dir, READ) == [("s2", READINGS)]
    assert rows(state_dir, LOST) == [(0,)]
    found = verify_ledger(state_dir)
    assert found.faults == ()
    assert "of 1 sessions the readings" in found.notes[0]


def test_a_reading_that_somebody_takes_out_is_found_as_before(state_dir: Path) -> None:
    with closing(sqlite3.connect(state_dir / LEDGER)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("DELETE FROM fact WHERE session = 's1' AND session_seq = 3")
        connection.execute("DELETE FROM outbox WHERE fact NOT IN (SELECT seq FROM fact)")
        connection.commit()
    assert rescued(state_dir).rescue is None
    (fault,) = verify_ledger(state_dir).faults
    assert "readings in between" in fault.fault
