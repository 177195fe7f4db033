"""A disk that is full for real (the kernel refuses every byte): told, nothing half written, and overcome."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FILL = """
import asyncio, resource, sys
from pathlib import Path
from agent.buffer.file import LEDGER
from agent.core.errors import JournalFull
from tests.unit.buffer.scripted import EMPTY, at, ended, opened, started

async def main(state_dir):
    async with opened(state_dir) as ledger:
        refused = 0
        for n in range(60):
            facts = [started(f"s{n}"), ended(f"s{n}")]
            log = (state_dir / f"{LEDGER}-wal").stat().st_size
            if n % 3 == 1:  # full before the first byte, or within a page, or within the commit
                resource.setrlimit(resource.RLIMIT_FSIZE, (log + n * 211, resource.RLIM_INFINITY))
            try:
                await ledger.journal.commit(EMPTY, facts, at(n))
            except JournalFull as error:
                refused += 1
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                assert await ledger.lane() == [(f"s{i}", seq) for i in range(n) for seq in (0, 1)], error
                await ledger.journal.commit(EMPTY, facts, at(n))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert refused >= 5, refused
    async with opened(state_dir) as ledger:
        assert await ledger.lane() == [(f"s{i}", seq) for i in range(60) for seq in (0, 1)]
        assert [tuple(row) for row in await ledger.database.read("PRAGMA integrity_check")] == [("ok",)]

asyncio.run(main(Path(sys.argv[1])))
"""


COPY = """
import asyncio, resource, sys
from pathlib import Path
from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.rescue import secure
from agent.buffer.second import COPY
from tests.unit.buffer.histories import content
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, at, ended, started

EVER = resource.RLIM_INFINITY

async def main(state_dir):
    late = 0
    async with open_database(state_dir, copied=True) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.boot_number("b")
        for n in range(80):
            if n > 50 and n % 3 == 1:  # the log begins anew and has room; the copy has none, or for a part of its line
                await database.read("PRAGMA wal_checkpoint(TRUNCATE)")
                resource.setrlimit(resource.RLIMIT_FSIZE, ((state_dir / COPY).stat().st_size + n * 9, EVER))
            await journal.commit(EMPTY, [started(f"s{n:02}"), ended(f"s{n:02}")], at(n))
            late += database.second.error is not None
            resource.setrlimit(resource.RLIMIT_FSIZE, (EVER, EVER))
        await journal.boot_number("another")
        assert database.second.error is None
    want = content(state_dir)
    (state_dir / LEDGER).unlink()
    secure(state_dir, ("cloud",), NEW_YEAR)
    assert content(state_dir) == want
    assert late >= 5, late

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_second_copy_that_found_no_room_catches_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COPY, str(tmp_path / "state")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=9, check=False)
    assert done.returncode == 0, done.stderr


def test_a_disk_that_is_full_costs_no_fact_and_no_restart(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path / "state")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=9, check=False)
    assert done.returncode == 0, done.stderr
