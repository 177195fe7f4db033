"""``make bench``: four figures of the agent, each beside its floor of the same run; floor and figure take turns.

    python -m benchmarks [--rounds 7] [--json FILE]

Both ends share one processor, so that a figure is the work of all that is involved and not a matter of scheduling.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))

from benchmarks import figures


@dataclass
class Row:
    """One figure with its floor; ``ratio`` is taken round by round."""

    name: str
    unit: str
    floor_name: str
    figure: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(a / b for a, b in zip(self.figure, self.floor, strict=True))


BENCHES: tuple[tuple[str, str, str, Callable[[Path], Awaitable[figures.Pair]]], ...] = (
    ("known card, last byte to limit on the bus", "ms", "bare tty to tty", figures.card_to_limit),
    ("backlog delivered", "messages/s", "bare websockets echo", figures.backlog),
    ("process start to BootNotification", "ms", "imports, connect, send", figures.start_to_boot),
    ("resident memory, idle", "MiB", "imports of the libraries", figures.memory),
)


async def measure(rounds: int, only: str) -> list[Row]:
    """Run every benchmark; the first round warms up and does not count."""
    rows = []
    for name, unit, floor_name, bench in BENCHES:
        if only not in name:
            continue
        row = Row(name, unit, floor_name)
        for number in range(rounds + 1):
            with tempfile.TemporaryDirectory() as folder:
                figure, floor = await bench(Path(folder))
            if number:
                row.figure.append(figure)
                row.floor.append(floor)
        rows.append(row)
        sys.stdout.write(line(row) + "\n")
        sys.stdout.flush()
    return rows


def line(row: Row) -> str:
    """Return a row of the table."""
    return (
        f"{row.name:43} {spread(row.figure):>26} {row.unit:10} | {row.floor_name:24} {spread(row.floor):>26} "
        f"| x{row.ratio:.2f}"
    )


def spread(values: list[float]) -> str:
    """Return minimum, median and maximum."""
    return " / ".join(f"{v:.1f}" for v in (min(values), statistics.median(values), max(values)))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="the agent's figures beside their floors")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each (7)")
    parser.add_argument("--only", default="", help="only benchmarks with this text in their name")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.stdout.write(
        f"{platform.machine()}, Python {platform.python_version()}, {options.rounds} rounds, min / median / max\n"
    )
    rows = asyncio.run(measure(options.rounds, options.only))
    if options.json:
        options.json.write_text(json.dumps([{**vars(r), "ratio": r.ratio} for r in rows], indent=1), encoding="utf-8")


main()
