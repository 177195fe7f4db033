"""An hour of a station's work on a ledger, in seconds; prints the resident memory after it (MiB).

    python -m benchmarks.hour STATE_DIR

In a process of its own, so that its memory is that of the work: an hour of polls, fifty minutes of it with a car that
charges, every reading delivered. Devices and the link are simulated and take no memory worth counting.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from benchmarks.floors import rss
from benchmarks.simulated import simulated


async def work(state_dir: Path) -> float:
    """Return the resident memory in MiB after an hour."""
    async with simulated(state_dir) as station:
        await station.session(50 * 60)
        await station.run(10 * 60)
        return rss(os.getpid())


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(work(Path(sys.argv[1]))):.3f}\n")
