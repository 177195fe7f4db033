"""A ledger with a long history: the benchmarks' own is read by the product, and to read a little of it costs little."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from agent.buffer.balance import balances
from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.ledger import SessionRecord, named, session, sessions
from agent.buffer.outbox_store import OutboxStore
from agent.buffer.reader import open_reader
from agent.buffer.timeline import BOOTS, Trust, timeline
from agent.core.facts import SessionSampled, SessionStarted
from agent.core.model import Quality, SessionId
from benchmarks.history import BEGAN, CARDS, INTERVAL_S, SAMPLE_WH, Size, plan, write_history
from benchmarks.simulated import simulated

#: Ten years in few sessions, and the last hundredth of it alone.
LONG = Size(sessions=1000, samples=6)
SHORT = Size(sessions=10, samples=6, over=LONG.over / 100)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("long") / "state", LONG)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("short") / "state", SHORT)


def written(state_dir: Path, size: Size) -> Path:
    write_history(state_dir, size)
    return state_dir


def read(state_dir: Path) -> list[SessionRecord]:
    with open_reader(state_dir) as connection:
        return sessions(connection)


def test_equal_sizes_give_equal_sessions(tmp_path: Path, short: Path) -> None:
    assert read(written(tmp_path / "again", SHORT)) == read(short)


def test_the_file_is_whole(long: Path) -> None:
    with closing(sqlite3.connect(long / LEDGER)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        ((first, last, count),) = connection.execute("SELECT min(seq), max(seq), count(*) FROM fact")
        assert (first, last) == (1, count)


def test_every_session_is_read_as_it_was_planned(long: Path) -> None:
    records, planned = read(long), list(plan(LONG))
    assert [r.id for r in records] == [p.id for p in planned]
    length = (LONG.samples + 1) * INTERVAL_S
    for record, p in zip(records, planned, strict=True):
        assert record.duration_s == length
        assert record.energy == (LONG.samples + 1) * SAMPLE_WH
        assert record.meter_start == p.register
        assert record.transaction_id == 1000 + p.place
        assert record.card is not None
        if record.clock is not Trust.ESTIMATED:
            assert record.started_at == p.start
            assert record.stopped_at == p.start + timedelta(seconds=length)
    assert all(one.meter_stop is not None and one.meter_stop <= other.meter_start for one, other in pairwise(records))


def test_its_registers_balance(long: Path) -> None:
    with open_reader(long) as connection:
        (balance,) = balances(connection)
    assert balance.sessions + balance.unattributed == balance.end.register - balance.begin.register
    assert balance.sessions > LONG.sessions * LONG.samples * SAMPLE_WH


def test_it_has_what_happens_in_ten_years(long: Path) -> None:
    records = read(long)
    assert {r.clock for r in records} == set(Trust)
    assert {r.reporting.value for r in records} == {"reported", "failed"}
    assert {r.quality for r in records} == {(Quality.MEASURED,)}
    assert len({r.card for r in records}) == CARDS
    with open_reader(long) as connection:
        times = timeline(connection.execute(BOOTS))
    assert times.anchored
    assert times.guessed


async def test_the_lane_and_the_readings_of_a_session_are_read_as_the_daemon_reads_them(long: Path) -> None:
    async with open_database(long) as database:
        outbox = OutboxStore(database, "cloud")
        assert await outbox.count() == 0
        for p in list(plan(LONG))[::97]:
            facts = await outbox.history(p.id)
            assert [f.seq for f in facts] == list(range(LONG.samples + 1))
            assert [type(f) for f in facts] == [SessionStarted] + [SessionSampled] * LONG.samples
            assert await outbox.session_of(1000 + p.place) == p.id


@pytest.mark.timeout(60)
async def test_a_station_goes_on_with_it(tmp_path: Path) -> None:
    state_dir = written(tmp_path / "state", SHORT)
    async with simulated(state_dir) as station:
        await station.session(90)
    (*old, new) = read(state_dir)
    assert len(old) == SHORT.sessions
    assert (new.reporting.value, new.clock) == ("reported", Trust.SYNCHRONISED)


# --- the same cost ----------------------------------------------------------------------------------------------------


def cost(state_dir: Path, what: Callable[[sqlite3.Connection], object]) -> int:
    """Return how many instructions SQLite executes for something."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    with open_reader(state_dir) as connection:
        connection.set_progress_handler(step, 1)
        what(connection)
        connection.set_progress_handler(None, 0)
    return count


def newest(connection: sqlite3.Connection) -> None:
    assert len(sessions(connection, limit=5)) == 5


def last_one(size: Size) -> SessionId:
    *_, last = plan(size)
    return last.id


@pytest.mark.parametrize(
    "what",
    [
        lambda _: newest,
        lambda size: lambda connection: session(connection, last_one(size)),
        lambda size: lambda connection: named(connection, last_one(size)[:24]),
    ],
    ids=["the newest", "one by its id", "one by the beginning of its id"],
)
def test_a_hundred_times_the_history_costs_the_same(
    long: Path, short: Path, what: Callable[[Size], Callable[[sqlite3.Connection], object]]
) -> None:
    assert cost(long, what(LONG)) <= 1.1 * cost(short, what(SHORT))


def test_a_month_costs_what_is_in_it_and_a_little_for_each_start_of_the_machine(long: Path, short: Path) -> None:
    def month(since: datetime) -> Callable[[sqlite3.Connection], object]:
        return lambda connection: sessions(connection, since=since, until=since + 30 * DAY)

    in_it = len(sessions_within(long, BEGAN + 1800 * DAY))
    assert 6 <= in_it <= 10
    boots = -(-LONG.sessions // LONG.per_boot)
    per_session = cost(short, month(BEGAN)) / len(sessions_within(short, BEGAN))
    assert cost(long, month(BEGAN + 1800 * DAY)) < (in_it + 2) * per_session * 1.2 + boots * 60


def sessions_within(state_dir: Path, since: datetime) -> list[SessionRecord]:
    with open_reader(state_dir) as connection:
        return sessions(connection, since=since, until=since + 30 * DAY)


def test_a_history_of_nothing_is_an_empty_ledger(tmp_path: Path) -> None:
    assert read(written(tmp_path / "state", replace(LONG, sessions=0))) == []
