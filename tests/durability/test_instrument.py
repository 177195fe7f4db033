"""The instrument of the power cuts: what SQLite and Python do to files is on the tape, and nothing passes unheard."""

from __future__ import annotations

import _ctypes
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from tests.durability.disk import Disk
from tests.durability.recorder import Recorder, Watch
from tests.durability.tape import Created, DirectorySynced, Entry, Removed, Renamed, Synced, Tape, Truncated, Written
from tests.durability.vfs import NoInstrument, library

READ = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM t').fetchone()[0])"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    try:
        recorder = Recorder()
    except NoInstrument as reason:
        pytest.skip(f"SQLite cannot be recorded here: {reason}")
    with recorder.installed():
        yield recorder


@pytest.fixture
def tape(recorder: Recorder, tmp_path: Path) -> Tape:
    tape = Tape()
    recorder.watch(tmp_path, tape)
    return tape


def added_up(recorder: Recorder, tape: Tape) -> None:
    """Hold the tape against what is there."""
    disk = Disk()
    disk.follow(tape.entries)
    recorder.verify(disk)


def shape(entries: list[Entry]) -> list[str]:
    """Return what was done in short, writes to one file in a row only once."""
    names = [f"{type(e).__name__} {getattr(e, 'path', '').rpartition('/')[2]}" for e in entries]
    return [name for place, name in enumerate(names) if place == 0 or names[place - 1] != name]


def filled(path: Path, mode: str = "WAL", synchronous: str = "FULL") -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode={mode}")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.execute("CREATE TABLE t (a)")
    return connection


@pytest.mark.parametrize("mode", ["WAL", "DELETE", "TRUNCATE", "PERSIST"])
def test_all_that_sqlite_writes_is_on_the_tape(recorder: Recorder, tape: Tape, tmp_path: Path, mode: str) -> None:
    with closing(filled(tmp_path / "x.db", mode)) as connection:
        for n in range(30):
            connection.execute("INSERT INTO t VALUES (?)", ("x" * 300 * n,))
            added_up(recorder, tape)
        connection.execute("DELETE FROM t")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        added_up(recorder, tape)
    added_up(recorder, tape)
    assert {Created, Written, Truncated, Synced} <= {type(entry) for entry in tape.entries}


def test_a_commit_is_a_write_and_then_a_sync(tape: Tape, tmp_path: Path) -> None:
    with closing(filled(tmp_path / "x.db")) as connection:
        before = len(tape)
        connection.execute("INSERT INTO t VALUES (1)")
        assert shape(tape.entries[before:]) == ["Written x.db-wal", "Synced x.db-wal"]


def test_a_commit_that_is_not_synced_has_no_sync(tape: Tape, tmp_path: Path) -> None:
    with closing(filled(tmp_path / "x.db", synchronous="NORMAL")) as connection:
        before = len(tape)
        connection.execute("INSERT INTO t VALUES (1)")
        assert shape(tape.entries[before:]) == ["Written x.db-wal"]


def test_the_directory_is_synced_after_the_first_sync_of_a_new_log(tape: Tape, tmp_path: Path) -> None:
    filled(tmp_path / "x.db").close()
    done = shape(tape.entries)
    made = done.index("Created x.db-wal")
    assert done[made : made + 4] == ["Created x.db-wal", "Written x.db-wal", "Synced x.db-wal", "DirectorySynced "]
    assert done[-1] == "Removed x.db-wal"


def test_another_process_shares_the_memory_of_the_log(tape: Tape, tmp_path: Path) -> None:
    with closing(filled(tmp_path / "x.db")) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        command = [sys.executable, "-c", READ, str(tmp_path / "x.db")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=9, check=True)
        assert done.stdout == "1\n"
        connection.execute("INSERT INTO t VALUES (2)")
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
    assert len(tape) > 0


def test_what_python_makes_syncs_and_renames_is_on_the_tape(recorder: Recorder, tape: Tape, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with (tmp_path / "d" / "new").open("wb") as file:
        file.write(b"key")
        file.flush()
        os.fsync(file.fileno())
    (tmp_path / "d" / "new").replace(tmp_path / "d" / "key")
    descriptor = os.open(tmp_path / "d", os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    os.close(os.open(tmp_path / "other", os.O_CREAT | os.O_WRONLY))
    added_up(recorder, tape)
    (tmp_path / "other").unlink()
    added_up(recorder, tape)
    assert tape.entries == [
        Created("d", directory=True),
        Created("d/new"),
        Written("d/new", 0, b"key"),
        Truncated("d/new", 3),
        Synced("d/new"),
        Renamed("d/new", "d/key"),
        DirectorySynced("d"),
        Created("other"),
        Removed("other"),
    ]


def test_what_python_appends_and_cuts_is_on_the_tape_at_once(recorder: Recorder, tape: Tape, tmp_path: Path) -> None:
    for line in (b"one\n", b"two\n"):
        descriptor = os.open(tmp_path / "copy", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, line)
        os.close(descriptor)
        added_up(recorder, tape)
    descriptor = os.open(tmp_path / "copy", os.O_WRONLY)
    os.ftruncate(descriptor, 6)
    os.fdatasync(descriptor)
    os.close(descriptor)
    os.close(os.open(tmp_path / "copy", os.O_WRONLY | os.O_TRUNC))
    added_up(recorder, tape)
    assert tape.entries == [
        Created("copy"),
        Written("copy", 0, b"one\n"),
        Written("copy", 4, b"two\n"),
        Truncated("copy", 6),
        Synced("copy"),
        Truncated("copy", 0),
    ]


def test_what_passes_by_unheard_is_found(recorder: Recorder, tape: Tape, tmp_path: Path) -> None:
    filled(tmp_path / "x.db").close()
    (tmp_path / "x.db").write_bytes(b"not through anything that is recorded")
    with pytest.raises(AssertionError, match=r"x\.db"):
        added_up(recorder, tape)


def test_nothing_is_recorded_elsewhere_or_later(
    recorder: Recorder, tape: Tape, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    filled(tmp_path_factory.mktemp("elsewhere") / "x.db").close()
    assert tape.entries == []
    with closing(filled(tmp_path / "x.db")) as connection:
        recorder.unwatch()
        before = len(tape)
        connection.execute("INSERT INTO t VALUES (1)")
    assert len(tape) == before


def test_an_error_of_the_instrument_itself_is_raised(
    recorder: Recorder, tape: Tape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("no room on the tape")

    with closing(filled(tmp_path / "x.db")) as connection:
        with monkeypatch.context() as patch:
            patch.setattr(Watch, "written", fail)
            with pytest.raises(sqlite3.OperationalError):
                connection.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(LookupError, match="no room"):
            recorder.vfs.check()
    assert len(tape) > 0


def test_the_seed_decides_sqlites_chance(recorder: Recorder) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        drawn = []
        for seed in (1, 2, 1):
            recorder.vfs.seed(seed)
            drawn.append(connection.execute("SELECT random()").fetchone())
    assert drawn[0] == drawn[2] != drawn[1]


def test_a_build_without_symbols_says_so() -> None:
    linked_in = ModuleType("linked_in")
    linked_in.__file__ = _ctypes.__file__
    with pytest.raises(NoInstrument, match="without symbols"):
        library(linked_in)


def test_afterwards_everything_is_as_before(tmp_path: Path) -> None:
    tape, calls = Tape(), (os.open, os.fsync, os.rename)
    try:
        recorder = Recorder()
    except NoInstrument as reason:
        pytest.skip(f"SQLite cannot be recorded here: {reason}")
    with recorder.installed():
        recorder.watch(tmp_path, tape)
    filled(tmp_path / "x.db").close()
    assert tape.entries == []
    assert calls == (os.open, os.fsync, os.rename)
    with pytest.raises(sqlite3.OperationalError, match="no such vfs"):
        sqlite3.connect(f"file:{tmp_path / 'x.db'}?vfs=recording", uri=True)
