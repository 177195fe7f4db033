"""The connection that writes, on real files: whole units, cancellation, and what a broken disk or file looks like."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from agent.buffer import database as module
from agent.buffer.database import Database, Statement, open_database, uninterrupted
from agent.buffer.file import LEDGER
from agent.core.errors import JournalCorrupt, JournalError, JournalFull

BOOT = "INSERT INTO boot (boot_id) VALUES (?)"
RUN = "INSERT INTO run (boot, version, began) VALUES (?, ?, ?)"


def boots(*names: str) -> list[Statement]:
    return [(BOOT, (name,)) for name in names]


async def names(database: Database) -> list[str]:
    return [row["boot_id"] for row in await database.read("SELECT boot_id FROM boot ORDER BY number")]


async def test_what_was_written_is_there_when_the_ledger_is_opened_again(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.write(boots("a", "b"))
    async with open_database(tmp_path) as database:
        assert await names(database) == ["a", "b"]


async def test_each_commit_reaches_the_disk(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        settings = [tuple((await database.read(f"PRAGMA {name}"))[0]) for name in ("journal_mode", "synchronous")]
        assert settings == [("wal",), (2,)]
        assert tuple((await database.read("PRAGMA foreign_keys"))[0]) == (1,)


async def test_directory_and_files_are_closed_to_other_users(tmp_path: Path) -> None:
    state_dir = tmp_path / "var" / "state"
    async with open_database(state_dir) as database:
        await database.write(boots("a"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state_dir.iterdir()}
    assert modes == {LEDGER: 0o600, f"{LEDGER}-wal": 0o600, f"{LEDGER}-shm": 0o600}
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


async def test_a_file_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / LEDGER).touch(mode=0o644)
    async with open_database(tmp_path):
        assert stat.S_IMODE((tmp_path / LEDGER).stat().st_mode) == 0o600


async def test_units_that_run_at_the_same_time_never_mix(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        units = [boots(*(f"{unit}.{n}" for n in range(5))) for unit in range(10)]
        await asyncio.gather(*(database.write(unit) for unit in units))
        written = [name.split(".")[0] for name in await names(database)]
        assert [written[i : i + 5] for i in range(0, 50, 5)] == [[str(unit)] * 5 for unit in range(10)]


async def test_a_unit_that_fails_leaves_nothing_and_harms_no_other(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        failing = database.write([*boots("a", "b"), (RUN, (99, "no such boot", "{}")), *boots("c")])
        results = await asyncio.gather(failing, database.write(boots("d")), return_exceptions=True)
        assert isinstance(results[0], sqlite3.IntegrityError)
        assert await names(database) == ["d"]


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_caller_gets_its_unit_finished(tmp_path: Path, turns: int) -> None:
    async with open_database(tmp_path) as database:
        caller = asyncio.create_task(database.write(boots("a", "b")))
        for _ in range(turns + 1):
            await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        with closing(sqlite3.connect(tmp_path / LEDGER)) as other:  # at once, and not behind the unit
            assert list(other.execute("SELECT boot_id FROM boot ORDER BY number")) == [("a",), ("b",)]
        await database.write(boots("c"))


async def test_a_caller_that_is_cancelled_again_and_again_still_waits_for_its_unit() -> None:
    gate, done = asyncio.Event(), []

    async def unit() -> None:
        await gate.wait()
        done.append(True)

    caller = asyncio.create_task(uninterrupted(unit()))
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == [True]


async def test_a_unit_that_fails_after_its_caller_was_cancelled_is_no_error_of_anybody() -> None:
    gate = asyncio.Event()

    async def unit() -> None:
        await gate.wait()
        raise JournalFull("full")

    caller = asyncio.create_task(uninterrupted(unit()))
    await asyncio.sleep(0)
    caller.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await caller


def test_an_event_loop_that_ends_in_the_middle_leaves_a_whole_ledger(tmp_path: Path) -> None:
    async def leave() -> None:
        opening = open_database(tmp_path)
        database = await opening.__aenter__()
        await database.write(boots("whole"))
        units = [asyncio.create_task(database.write(boots(*(f"{u}.{n}" for n in range(3))))) for u in range(5)]
        await asyncio.sleep(0.002)
        for unit in units:
            unit.cancel()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:  # as asyncio.run does, the units themselves too
            task.cancel()
        await opening.__aexit__(None, None, None)

    asyncio.run(leave())
    with sqlite3.connect(tmp_path / LEDGER) as connection:
        written = [name for (name,) in connection.execute("SELECT boot_id FROM boot ORDER BY number")]
    connection.close()
    counts = {unit: sum(name.startswith(f"{unit}.") for name in written) for unit in range(5)}
    assert written[0] == "whole"
    assert set(counts.values()) <= {0, 3}


async def test_closing_waits_for_the_unit_under_way(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        unit = asyncio.create_task(database.write(boots("a", "b")))
        await asyncio.sleep(0)
    await unit
    async with open_database(tmp_path) as database:
        assert await names(database) == ["a", "b"]


@pytest.mark.requirement(18)
async def test_a_full_disk_is_told_and_left_behind_as_soon_as_there_is_space(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.write(boots("before"))
        await database.read("PRAGMA max_page_count=1")  # no page more than there are
        with pytest.raises(JournalFull, match=r"ledger\.sqlite3 .*full.*: free some space"):
            await database.write([*boots("a"), *boots("b" * 50_000)])
        await database.read("PRAGMA max_page_count=100000")
        await database.write(boots("after"))
        assert await names(database) == ["before", "after"]


async def test_a_disk_that_became_read_only_is_told(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.read("PRAGMA query_only=ON")
        with pytest.raises(JournalFull, match=r"readonly.*SD card"):
            await database.write(boots("a"))
        await database.read("PRAGMA query_only=OFF")
        await database.write(boots("b"))


async def test_a_ledger_that_another_program_holds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.05)
    async with open_database(tmp_path) as database:
        other = sqlite3.connect(tmp_path / LEDGER, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="another program"):
            await database.write(boots("a"))
        other.close()
        await database.write(boots("b"))
        assert await names(database) == ["b"]


@pytest.mark.requirement(58)
async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_bytes(b"not a database, but long enough to look like one" * 100)
    with pytest.raises(JournalCorrupt, match="restore a backup"):
        async with open_database(tmp_path):
            pass


@pytest.mark.requirement(58)
async def test_damage_within_the_file_is_told_when_it_is_met(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.write(boots(*(f"{n:0500}" for n in range(200))))
    path = tmp_path / LEDGER
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2 :] = b"\xff" * (len(damaged) - len(damaged) // 2)
    path.write_bytes(damaged)
    async with open_database(tmp_path) as database:
        with pytest.raises(JournalCorrupt, match="malformed"):
            await names(database)


async def test_a_state_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalFull, match="Not a directory"):
        async with open_database(tmp_path / "file" / "state"):
            pass


async def test_nothing_to_write_is_no_transaction(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        wal = tmp_path / f"{LEDGER}-wal"
        before = wal.stat().st_size
        await database.write([])
        assert wal.stat().st_size == before
