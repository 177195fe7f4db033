"""Requirements about what is kept: stamps made without a clock, and ledgers that older releases wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.buffer.file import LEDGER
from agent.buffer.ledger import SessionRecord, sessions
from agent.buffer.migrate import migrate, packaged
from agent.buffer.reader import open_reader
from agent.buffer.timeline import Trust
from agent.core.errors import JournalCorrupt
from agent.core.facts import Fact, SessionEnded, SessionSampled, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.settings import Settings
from agent.ocpp.dialect import Call
from agent.ocpp.v16 import encode
from agent.ports import OutboxRow
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, Ledger, at, ended, opened, running, sampled, started

HOURS_2 = 7200
UNSET = datetime(1970, 1, 1, tzinfo=UTC)


def unset(mono: float, boot: int = 1) -> Instant:
    """Return a moment of a machine that does not know the time."""
    return Instant(mono, UNSET + timedelta(seconds=mono), TimeStatus.UNKNOWN, boot)


def records(folder: Path) -> list[SessionRecord]:
    with open_reader(folder) as connection:
        return list(sessions(connection))


def stamps(rows: tuple[OutboxRow, ...]) -> list[datetime]:
    """Return when the facts of a lane happened, as their messages tell it."""
    told = []
    for row in rows:
        call = encode.encode(replace(row, transaction=1), Settings())
        assert isinstance(call, Call)
        content: Any = call.payload
        told.append(datetime.fromisoformat(content.get("meterValue", [content])[0]["timestamp"]))
    return told


@pytest.mark.requirement(16)
async def test_two_hours_without_the_time_and_a_restart_within_them_cost_less_than_ten_seconds(tmp_path: Path) -> None:
    truth = [timedelta(seconds=s) for s in (30, 3600, HOURS_2)]
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(moment=unset(30)), sampled(moment=unset(3600))], unset(3600))
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [ended(seq=2, moment=unset(HOURS_2))], unset(HOURS_2))
        await ledger.journal.anchor(at(HOURS_2 + 60))
        told = stamps(await ledger.outbox.rows(9))
    off = [abs(wall - NEW_YEAR - after) for wall, after in zip(told, truth, strict=True)]
    assert max(off) <= timedelta(seconds=10)
    assert [record.clock for record in records(tmp_path)] == [Trust.CORRECTED]


@pytest.mark.requirement(17)
async def test_a_session_of_a_start_that_never_knew_the_time_is_reported_all_the_same_and_marked(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as ledger:
        facts: list[Fact] = [started(moment=unset(30)), sampled(moment=unset(60)), ended(seq=2, moment=unset(90))]
        await ledger.journal.commit(EMPTY, facts, unset(95))
    async with opened(tmp_path) as ledger:
        second = await ledger.journal.boot_number("boot-2")
        await ledger.journal.anchor(at(50, boot=second))
        told = stamps(await ledger.outbox.rows(9))
    assert told == sorted(told)
    assert NEW_YEAR - timedelta(minutes=5) <= told[0] < told[-1] <= NEW_YEAR
    assert [record.clock for record in records(tmp_path)] == [Trust.ESTIMATED]


@pytest.mark.requirement(71)
@pytest.mark.parametrize("version", range(1, len(packaged())))
async def test_a_ledger_of_each_older_version_is_upgraded_with_all_that_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    scripts = packaged()
    monkeypatch.setattr("agent.buffer.migrate.packaged", lambda: scripts[:version])
    open_one = started("s2", at(5000))
    slices = replace(EMPTY, sessions={open_one.evse: running(open_one)})
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(slices, [started(), sampled(), ended(seq=2), open_one], at(5000))
        await ledger.acknowledge_head(42)
        (row,) = await ledger.outbox.rows(1)
        await ledger.outbox.sending([(row.message.row, "as it was first sent")])
        before = await everything(ledger)
        assert await version_of(ledger) == version
    monkeypatch.setattr("agent.buffer.migrate.packaged", lambda: scripts)
    for _ in range(2):  # a second opening finds nothing left to do
        async with opened(tmp_path) as ledger:
            assert await version_of(ledger) == len(scripts)
            assert await everything(ledger) == before
            assert await ledger.journal.load() == slices
    assert [record.transaction_id for record in records(tmp_path)] == [42, None]


async def version_of(ledger: Ledger) -> int:
    ((number,),) = await ledger.database.read("PRAGMA user_version")
    return int(number)


async def everything(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows of all that a session leaves behind."""
    queries = {
        name: f"SELECT * FROM {name} ORDER BY 1, 2"  # noqa: S608  # names of tables that are written here
        for name in ("fact", "session", "delivery", "outbox", "slice")
    }
    return {name: [tuple(row) for row in await ledger.database.read(query)] for name, query in queries.items()}


@pytest.mark.requirement(71)
def test_step_by_step_and_at_once_make_the_same_ledger(tmp_path: Path) -> None:
    schemas, latest = [], len(packaged())
    for name, stages in (("steps", range(1, latest + 1)), ("once", [latest])):
        with closing(sqlite3.connect(tmp_path / name, isolation_level=None)) as connection:
            for stage in stages:
                migrate(connection, packaged()[:stage])
            schemas.append(sorted(connection.execute("SELECT type, name, sql FROM sqlite_master")))
    assert schemas[0] == schemas[1]


@pytest.mark.requirement(56, 73)
@pytest.mark.parametrize(
    "again",
    [started("s1", at(70)), ended("s1", 2), ended("s1", 1), sampled("s1", 2)],
    ids=["start", "stop", "the same stop", "sample"],
)
async def test_nothing_can_follow_the_end_of_a_session_in_the_ledger(
    tmp_path: Path, again: SessionStarted | SessionSampled | SessionEnded
) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(), ended()], at(3600))
        with pytest.raises(AssertionError, match="s1"):
            await ledger.journal.commit(EMPTY, [again], at(3601))
        assert await ledger.lane() == [("s1", 0), ("s1", 1)]


@pytest.mark.requirement(58)
async def test_a_damaged_ledger_is_told_and_never_taken_for_an_empty_one(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started()], at(10))
    path = tmp_path / LEDGER
    path.write_bytes(b"\x00" * 100 + path.read_bytes()[100:])
    with pytest.raises(JournalCorrupt, match="restore a backup"):
        async with opened(tmp_path):
            pass
    with pytest.raises(JournalCorrupt, match="restore a backup"):
        records(tmp_path)
