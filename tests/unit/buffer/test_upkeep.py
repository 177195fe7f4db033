"""The service beside the ledger: its warnings, its reserve, damage found while it runs; and whose a directory is."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from agent.buffer import file as file_module
from agent.buffer import reserve as reserve_module
from agent.buffer import upkeep as upkeep_module
from agent.buffer.database import Database, open_database
from agent.buffer.examine import SUSPECT, examine
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.owner import STATION, claim, claimed_by
from agent.buffer.reserve import RESERVE, SIZE, Reserve
from agent.buffer.upkeep import Limits, Upkeep, prepare, words_of
from agent.core.errors import ConfigError, JournalCorrupt, JournalError, JournalFull
from agent.core.instant import Instant
from tests.unit.buffer.histories import LANES, make
from tests.unit.buffer.scripted import NEW_YEAR, at


class Watch:
    """A clock that goes a second at each look, and sleeps at once."""

    def __init__(self) -> None:
        self.mono = 1000.0

    def now(self) -> Instant:
        self.mono += 1.0
        return at(self.mono + 400 * 86_400)

    async def sleep_until(self, mono: float) -> None:
        self.mono = max(self.mono, mono)
        await asyncio.sleep(0)


def keeper(database: Database, state_dir: Path, limits: Limits | None = None, *, unchecked: bool = False) -> Upkeep:
    return Upkeep(database, state_dir, limits or Limits(), clock=Watch(), unchecked=unchecked)


@asynccontextmanager
async def running(upkeep: Upkeep) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(upkeep.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, JournalCorrupt):
            await task


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep_module, "FIRST_S", 0.01)
    monkeypatch.setattr(upkeep_module, "LOOK_S", 0.01)


async def until(condition: Callable[[], object]) -> None:
    """Wait until a callable returns something; the time-out of the test bounds it."""
    while not condition():
        await asyncio.sleep(0.01)


async def test_old_details_are_removed_by_itself(tmp_path: Path) -> None:
    await make(tmp_path, 3, closed=True)
    async with open_database(tmp_path, copied=True) as database:
        await database.write([("DELETE FROM record_due", ())])
        async with running(keeper(database, tmp_path, Limits(timedelta(days=30)))):
            kept = "SELECT DISTINCT session FROM fact WHERE kind = 'session-sampled'"
            while [row[0] for row in await database.read(kept)] != ["s02"]:
                await asyncio.sleep(0.01)
        assert len(await database.read("SELECT id FROM session")) == 3


async def test_a_ledger_over_its_limit_is_told_and_loses_nothing(tmp_path: Path) -> None:
    await make(tmp_path, 3, closed=True)
    async with open_database(tmp_path, copied=True) as database:
        upkeep = keeper(database, tmp_path, Limits(timedelta(days=9999), max_size=1000))
        assert upkeep.view().warnings == ()
        async with running(upkeep):
            await until(lambda: upkeep.view().size)
        (warning,) = upkeep.view().warnings
        assert "ledger.max_size_mb" in warning
        assert len(await database.read("SELECT 1 FROM fact")) == 18


async def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (file_module, reserve_module, upkeep_module):
        monkeypatch.setattr(module, "free", lambda _: 2_000_000)
    async with open_database(tmp_path, copied=True) as database:
        upkeep = keeper(database, tmp_path)
        async with running(upkeep):
            await until(lambda: upkeep.view().warnings)
    assert "2 MB left" in upkeep.view().warnings[0]
    assert not (tmp_path / RESERVE).exists()


async def test_a_copy_that_lags_is_told(tmp_path: Path) -> None:
    async with open_database(tmp_path, copied=True) as database:
        upkeep = keeper(database, tmp_path)
        assert database.second is not None
        database.second.error = "the second copy cannot be written"
        assert upkeep.view().warnings == ("the second copy cannot be written",)


async def test_damage_that_anybody_meets_ends_the_run_and_has_the_next_start_look(tmp_path: Path) -> None:
    await make(tmp_path, 3)
    async with open_database(tmp_path, copied=True) as database:
        async with running(keeper(database, tmp_path)) as task:
            await asyncio.sleep(0.05)
            (tmp_path / LEDGER).write_bytes(b"\0" * 4096 * 40)
            with pytest.raises(JournalCorrupt):
                await database.read("SELECT json FROM fact")
            with pytest.raises(JournalCorrupt):
                await task
        assert (tmp_path / SUSPECT).exists()


async def test_a_large_ledger_is_read_through_after_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(tmp_path, 3)
    with closing(sqlite3.connect(tmp_path / LEDGER)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'record'")
    with (tmp_path / LEDGER).open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\0" * 4096)
    (tmp_path / f"{LEDGER}-wal").write_bytes(b"an end without order")
    monkeypatch.setattr("agent.buffer.examine.SMALL", 1000)
    found = prepare(tmp_path, LANES, NEW_YEAR)
    assert found.unchecked
    async with (
        open_database(tmp_path) as database,
        running(keeper(database, tmp_path, unchecked=True)) as task,
    ):
        with pytest.raises(JournalCorrupt, match="is damaged"):
            await task
    assert examine(tmp_path).damage is not None
    rescued = prepare(tmp_path, LANES, NEW_YEAR).rescue
    assert rescued is not None
    assert rescued.sessions == 3


async def test_a_sound_ledger_clears_the_suspicion(tmp_path: Path) -> None:
    await make(tmp_path, 2)
    (tmp_path / SUSPECT).touch()
    assert prepare(tmp_path, LANES, NEW_YEAR).rescue is None
    assert not (tmp_path / SUSPECT).exists()


async def test_the_reserve_is_made_where_there_is_ample_space(tmp_path: Path) -> None:
    async with open_database(tmp_path, copied=True) as database, running(keeper(database, tmp_path)):
        await until((tmp_path / RESERVE).exists)
    seen = (tmp_path / RESERVE).stat()
    assert (seen.st_size, seen.st_mode & 0o777) == (SIZE, 0o600)


def test_the_reserve_is_given_up_only_on_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(tmp_path)
    assert reserve.make()
    assert not reserve.give_up()
    for module in (file_module, reserve_module):
        monkeypatch.setattr(module, "free", lambda _: 1000)
    assert reserve.give_up()
    assert not reserve.is_there
    assert not reserve.give_up()
    assert not reserve.make()


async def test_a_commit_that_found_no_room_is_made_with_the_reserve(tmp_path: Path) -> None:
    room = iter([True])
    async with open_database(tmp_path, copied=True, relief=lambda: next(room, False)) as database:
        journal = SqliteJournal(database, LANES)
        await journal.boot_number("b")
        run = database._run
        calls = 0

        async def once(work: object) -> object:
            nonlocal calls
            calls += 1
            if calls == 1:
                message = "full"
                raise JournalFull(message)
            return await run(work)  # type: ignore[arg-type]  # as it came

        database._run = once  # type: ignore[assignment,method-assign]  # a disk that is full once
        await database.write([("UPDATE boot SET seen_mono = 1.0", ())])
        assert calls == 2
        calls = 0
        with pytest.raises(JournalFull):
            await database.write([("UPDATE boot SET seen_mono = 2.0", ())])


def test_a_state_directory_belongs_to_one_station(tmp_path: Path) -> None:
    claim(tmp_path, "NL-1")
    claim(tmp_path, "NL-1")
    with pytest.raises(ConfigError, match="belongs to station NL-1, and this is NL-2"):
        claim(tmp_path, "NL-2")
    assert claimed_by(tmp_path) == "NL-1"
    (tmp_path / STATION).unlink()
    claim(tmp_path, "NL-2")
    (tmp_path / STATION).write_bytes(b"\xff\0\xff")
    assert claimed_by(tmp_path) is None
    claim(tmp_path, "NL-2")
    assert claimed_by(tmp_path) == "NL-2"
    claim(tmp_path / "nowhere", "NL-2")


def test_a_ledger_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / LEDGER).mkdir()
    with pytest.raises(JournalError, match="is no file: move it"):
        examine(tmp_path)


AS_NOBODY = """
import os, sys
from pathlib import Path
import agent.buffer.examine as examine
import agent.buffer.migrate
agent.buffer.migrate.packaged()
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    print(examine.examine(Path(sys.argv[1])))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that a user without rights can come near."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "state"


async def test_files_of_another_user_are_told_with_both_names(open_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    await make(open_dir, 1)
    await asyncio.to_thread(open_dir.chmod, 0o777)
    command = [sys.executable, "-c", AS_NOBODY, str(open_dir)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=9, check=True)
    assert "JournalFull" in done.stdout
    assert "belongs to root and the agent runs as nobody: `sudo chown nobody: " in done.stdout


def test_the_words_of_a_damage_are_found_in_groups_of_groups() -> None:
    inner = ExceptionGroup("b", [JournalCorrupt("the words")])
    outer: ExceptionGroup[JournalCorrupt] = ExceptionGroup("a", [inner])  # type: ignore[list-item]  # except* makes such
    assert words_of(outer) == "the words"
