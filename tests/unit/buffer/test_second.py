"""The second copy follows every commit, is small, survives spoilt lines and a full disk, and starts itself anew."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.buffer import second
from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.buffer.second import COPY, Line, read_copy, read_header, read_upto
from agent.core.facts import MeterSampled
from agent.core.model import EvseId, ReadingContext
from agent.ports import Acknowledged
from tests.unit.buffer.histories import make
from tests.unit.buffer.scripted import EMPTY, Ledger, at, ended, reading, running, sampled, started


def lines(state_dir: Path) -> list[Line]:
    return [line for line in read_copy(state_dir / COPY) if line is not None]


def last_words(state_dir: Path, table: str) -> list[dict[str, object]]:
    """Return the last word of the copy on each row of a table."""
    words: dict[str, dict[str, object]] = {}
    for line in lines(state_dir):
        for name, row in line.rows:
            if name == table:
                words[json.dumps([row[k] for k in list(row)[:2]])] = row
        for name, key in line.gone:
            if name == table:
                words = {k: v for k, v in words.items() if not k.startswith(json.dumps(list(key))[:-1])}
    return list(words.values())


async def test_the_copy_has_the_last_word_on_every_row_that_lasts(tmp_path: Path) -> None:
    await make(tmp_path)
    with closing(sqlite3.connect(tmp_path / LEDGER)) as connection:
        connection.row_factory = sqlite3.Row
        for table, where in (
            ("session", "1"),
            ("delivery", "1"),
            ("fact", "kind <> 'session-sampled'"),
            ("outbox", "fact IN (SELECT seq FROM fact WHERE kind <> 'session-sampled')"),
            ("slice", "kind NOT IN ('session', 'cache')"),
        ):
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table} WHERE {where}")]  # noqa: S608
            assert sorted(map(str, last_words(tmp_path, table))) == sorted(map(str, rows)), table


async def test_readings_are_not_in_it_but_where_a_register_begins_anew(tmp_path: Path) -> None:
    async with open_database(tmp_path, copied=True) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.boot_number("b")
        for anew in (False, True):
            fact = MeterSampled(EvseId(1), ReadingContext.OTHER, reading(at(10)), anew)
            await journal.commit(EMPTY, [fact], at(10))
    assert [row["seq"] for row in last_words(tmp_path, "fact")] == [2]


async def test_a_commit_that_changes_nothing_of_weight_costs_no_line(tmp_path: Path) -> None:
    async with open_database(tmp_path, copied=True) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.boot_number("b")
        fact = started()
        await journal.commit(replace(EMPTY, sessions={EvseId(1): running(fact)}), [fact], at(10))
        size = (tmp_path / COPY).stat().st_size
        for seq in range(1, 30):
            state = replace(EMPTY, sessions={EvseId(1): running(fact, seq + 1)})
            await journal.commit(state, [sampled(seq=seq)], at(20))
        assert (tmp_path / COPY).stat().st_size == size


async def test_what_is_running_is_told_with_the_session(tmp_path: Path) -> None:
    async with open_database(tmp_path, copied=True) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.boot_number("b")
        fact = started()
        await journal.commit(replace(EMPTY, sessions={EvseId(1): running(fact)}), [fact], at(10))
        (row,) = lines(tmp_path)[-1].running or ()
        assert json.loads(row["json"])["id"] == "s1"
        await journal.commit(EMPTY, [ended()], at(20))
        assert lines(tmp_path)[-1].running == ()


async def test_starting_again_adds_nothing_that_is_there(tmp_path: Path) -> None:
    await make(tmp_path)
    size = (tmp_path / COPY).stat().st_size
    for _ in range(3):
        async with open_database(tmp_path, copied=True):
            pass
    assert (tmp_path / COPY).stat().st_size == size


async def test_what_missed_the_copy_at_a_power_cut_is_added_at_the_start(tmp_path: Path) -> None:
    await make(tmp_path, 3)
    content = (tmp_path / COPY).read_bytes()
    before = last_words(tmp_path, "session")
    (tmp_path / COPY).write_bytes(content[: content.index(b'"s02"')])  # within a line
    assert last_words(tmp_path, "session") != before
    async with open_database(tmp_path, copied=True) as database:
        assert database.second is not None
        assert database.second.error is None
    assert last_words(tmp_path, "session") == before


async def test_a_spoilt_line_costs_no_other(tmp_path: Path) -> None:
    await make(tmp_path, 3)
    count = len(lines(tmp_path))
    content = bytearray((tmp_path / COPY).read_bytes())
    content[content.index(b'"s01"') + 1] ^= 1
    (tmp_path / COPY).write_bytes(content)
    assert len(lines(tmp_path)) == count - 1
    assert read_upto(tmp_path / COPY) > 0


async def test_a_copy_that_is_gone_or_of_another_version_is_written_anew(tmp_path: Path) -> None:
    await make(tmp_path, 3)
    whole = last_words(tmp_path, "session")
    for content in (None, b"x" * 500, b""):
        (tmp_path / COPY).unlink()
        if content is not None:
            (tmp_path / COPY).write_bytes(content)
        async with open_database(tmp_path, copied=True):
            pass
        assert read_header(tmp_path / COPY) is not None
        assert last_words(tmp_path, "session") == whole
        assert (tmp_path / COPY).stat().st_mode & 0o777 == 0o600


async def test_a_copy_that_grew_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(tmp_path, 6)
    size = (tmp_path / COPY).stat().st_size
    monkeypatch.setattr(second, "SLACK", 0)
    async with open_database(tmp_path, copied=True):
        pass
    assert (tmp_path / COPY).stat().st_size < size
    assert len(last_words(tmp_path, "session")) == 6


async def test_a_copy_that_cannot_be_written_costs_no_commit_and_catches_up(tmp_path: Path) -> None:
    async with open_database(tmp_path, copied=True) as database:
        assert database.second is not None
        journal = SqliteJournal(database, ("cloud",))
        ledger = Ledger(database, journal, OutboxStore(database, "cloud"))
        await journal.boot_number("b")
        (tmp_path / COPY).rename(tmp_path / "elsewhere")
        (tmp_path / COPY).mkdir()
        await journal.commit(EMPTY, [started(), ended()], at(10))
        assert "the second copy" in str(database.second.error)
        assert await ledger.lane() == [("s1", 0), ("s1", 1)]
        (tmp_path / COPY).rmdir()
        (tmp_path / "elsewhere").rename(tmp_path / COPY)
        (head,) = await ledger.outbox.rows(1)
        await ledger.outbox.acknowledge([Acknowledged(head.message.row, at(20), 7)])
        assert database.second.error is None
    assert {row["id"] for row in last_words(tmp_path, "session")} == {"s1"}


async def test_a_session_costs_a_few_kilobytes(tmp_path: Path) -> None:
    await make(tmp_path, 1, closed=True)
    before = (tmp_path / COPY).stat().st_size
    await make(tmp_path, 10, boot="boot-2", prefix="t", closed=True)
    assert ((tmp_path / COPY).stat().st_size - before) / 10 < 9_000
