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


def test_a_disk_that_is_full_costs_no_fact_and_no_restart(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FILL, str(tmp_path / "state")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=9, check=False)
    assert done.returncode == 0, done.stderr
