"""Readers without the daemon, beside it, after its crash, and on a disk that cannot be written."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.migrate import packaged
from agent.buffer.reader import LedgerMissing, open_reader
from agent.core.errors import JournalCorrupt, JournalError

BOOT = "INSERT INTO boot (boot_id) VALUES (?)"


def boots(state_dir: Path) -> list[str]:
    with open_reader(state_dir) as connection:
        return [name for (name,) in connection.execute("SELECT boot_id FROM boot ORDER BY number")]


def close(state_dir: Path, directory: int, ledger: int) -> None:
    (state_dir / LEDGER).chmod(ledger)
    state_dir.chmod(directory)


async def make(state_dir: Path, *names: str) -> None:
    async with open_database(state_dir) as database:
        await database.write([(BOOT, (name,)) for name in names])


async def test_a_ledger_is_read_while_the_daemon_writes_it(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.write([(BOOT, ("a",))])
        with open_reader(tmp_path) as connection:
            await database.write([(BOOT, ("b",))])  # waits for no reader
            assert [name for (name,) in connection.execute("SELECT boot_id FROM boot")] == ["a"]  # of one moment
        assert boots(tmp_path) == ["a", "b"]


async def test_a_ledger_is_read_after_the_daemon_was_stopped(tmp_path: Path) -> None:
    await make(tmp_path, "a")
    assert boots(tmp_path) == ["a"]


async def test_what_only_the_log_has_is_read(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with open_database(tmp_path / "running") as database:
        await database.write([(BOOT, ("a",))])
        for suffix in ("", "-wal"):  # no -shm: it does not survive the machine's restart
            shutil.copy(tmp_path / "running" / f"{LEDGER}{suffix}", crashed)
    assert boots(crashed) == ["a"]


async def test_a_reader_cannot_write(tmp_path: Path) -> None:
    await make(tmp_path, "a")
    with open_reader(tmp_path) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute(BOOT, ("b",))


def test_a_daemon_that_never_ran_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match="start the service once"), open_reader(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_that_was_only_begun_is_none(tmp_path: Path) -> None:
    (tmp_path / LEDGER).touch()
    with pytest.raises(LedgerMissing), open_reader(tmp_path):
        pass


async def test_a_newer_and_an_older_ledger_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await make(tmp_path, "a")
    latest = len(packaged())
    monkeypatch.setattr("agent.buffer.reader.packaged", lambda: ("",) * (latest + 1))
    with pytest.raises(JournalError, match="older release"), open_reader(tmp_path):
        pass
    monkeypatch.setattr("agent.buffer.reader.packaged", lambda: ("",) * (latest - 1))
    with pytest.raises(JournalCorrupt, match="newer release"), open_reader(tmp_path):
        pass


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_bytes(b"x" * 9000)
    with pytest.raises(JournalCorrupt, match="not a database"), open_reader(tmp_path):
        pass


async def test_names_with_signs_that_mean_something_in_a_uri_are_names(tmp_path: Path) -> None:
    state_dir = tmp_path / "50% of #1?mode=rw"
    await make(state_dir, "a")
    assert boots(state_dir) == ["a"]


AS_NOBODY = """
import os, sys
from pathlib import Path
from agent.buffer.migrate import packaged
from agent.buffer.reader import open_reader
packaged()  # while the interpreter's own files may be read
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    with open_reader(Path(sys.argv[1])) as connection:
        print(*(name for (name,) in connection.execute("SELECT boot_id FROM boot")))
except Exception as error:
    print(type(error).__name__, error)
"""


def as_nobody(state_dir: Path) -> str:
    """Read a ledger as a user without rights; root may read and write all."""
    command = [sys.executable, "-c", AS_NOBODY, str(state_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=9, check=True)
    return done.stdout.strip()


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A state directory that a user without rights can come near; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "state"
        (Path(folder) / "state").chmod(0o700)


async def test_a_ledger_on_a_disk_that_cannot_be_written_is_read(state_dir: Path) -> None:
    await make(state_dir, "a")
    close(state_dir, 0o555, 0o444)
    assert as_nobody(state_dir) == "a"


async def test_a_user_who_may_not_read_the_ledger_is_told_what_to_do(state_dir: Path) -> None:
    await make(state_dir, "a")
    close(state_dir, 0o755, 0o000)
    assert "run the command with sudo" in as_nobody(state_dir)
    close(state_dir, 0o000, 0o000)
    assert "run the command with sudo" in as_nobody(state_dir)
