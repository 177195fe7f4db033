"""``make bench``: figures of the agent, each beside its floor of the same run; floor and figure take turns.

    python -m benchmarks [--rounds 7] [--only TEXT] [--sessions 15000] [--readings 133] [--place DIR] [--json FILE]

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
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "integration"))

from benchmarks import figures, long_life
from benchmarks.history import Size

USUAL = Size()
Round: TypeAlias = Callable[[], Awaitable[tuple[figures.Pair, ...]]]


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


@dataclass(frozen=True, slots=True)
class Names:
    """What a benchmark measures: name, unit and floor of each of its figures, in order."""

    rows: tuple[tuple[str, str, str], ...]

    def begun(self) -> list[Row]:
        """Return a row for each figure."""
        return [Row(*row) for row in self.rows]


FIRST: tuple[tuple[Names, Callable[[Path], Awaitable[figures.Pair]]], ...] = (
    (Names((("known card, last byte to limit on the bus", "ms", "bare tty to tty"),)), figures.card_to_limit),
    (Names((("backlog delivered", "messages/s", "bare websockets echo"),)), figures.backlog),
    (Names((("process start to BootNotification", "ms", "imports, connect, send"),)), figures.start_to_boot),
    (Names((("resident memory, idle", "MiB", "imports of the libraries"),)), figures.memory),
)
EMPTY, ALONE, COMMIT = "the same, empty ledger", "a ledger of that alone", "4 KiB for each commit"
#: On a ledger of ten years.
LONG: tuple[tuple[Names, Callable[[long_life.Ledgers], Awaitable[long_life.Pairs]]], ...] = (
    (
        Names(
            (
                ("ten years: sessions list --limit 20", "ms", ALONE),
                ("ten years: sessions list --limit 20", "ms", EMPTY),
                ("ten years: sessions export of a month", "ms", ALONE),
                ("ten years: sessions show", "ms", ALONE),
            )
        ),
        long_life.commands,
    ),
    (
        Names(
            (
                ("ten years: 20 newest sessions, in the process", "ms", ALONE),
                ("ten years: a month as CSV, in the process", "ms", ALONE),
                ("ten years: a session by its id, in the process", "ms", ALONE),
            )
        ),
        long_life.queries,
    ),
    (
        Names(
            (
                ("ten years: process start to ready", "ms", EMPTY),
                ("ten years: resident memory, idle", "MiB", EMPTY),
                ("ten years: status, the command", "ms", EMPTY),
                ("ten years: status, over the control socket", "ms", EMPTY),
            )
        ),
        long_life.daemon,
    ),
    (
        Names(
            (
                ("ten years: commit of a session's start", "ms", EMPTY),
                ("ten years: commit of a session's end", "ms", EMPTY),
                ("ten years: answer to a start kept", "ms", EMPTY),
                (f"ten years: {long_life.READINGS} readings, a commit each", "ms", EMPTY),
            )
        ),
        long_life.commits,
    ),
    (Names((("ten years: resident memory after an hour", "MiB", EMPTY),)), long_life.hour),
    (
        Names(
            (
                ("wear: written by a session, ten years", "KiB", EMPTY),
                ("wear: written by a session", "KiB", COMMIT),
                ("wear: syncs of a session", "", "one for each commit"),
                ("wear: written in an idle hour", "KiB", "one 4 KiB write"),
                ("wear: syncs of an idle hour", "", "one"),
                ("wear: life of a card", "years", "ten years"),
            )
        ),
        long_life.wear,
    ),
)


async def measure(rounds: int, rows: list[Row], one: Round) -> None:
    """Run a benchmark; the first round warms up and does not count."""
    for number in range(rounds + 1):
        pairs = await one()
        if number:
            for row, (figure, floor) in zip(rows, pairs, strict=True):
                row.figure.append(figure)
                row.floor.append(floor)
    for row in rows:
        sys.stdout.write(line(row) + "\n")
    sys.stdout.flush()


async def in_a_folder(bench: Callable[[Path], Awaitable[figures.Pair]]) -> tuple[figures.Pair, ...]:
    """Run a round in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return (await bench(Path(folder)),)


def run(options: argparse.Namespace) -> list[Row]:
    """Run every benchmark that was asked for."""
    every: list[Row] = []
    for names, bench in FIRST:
        if rows := _chosen(names, options.only):
            asyncio.run(measure(options.rounds, rows, partial(in_a_folder, bench)))
            every += rows
    chosen = [(rows, bench) for names, bench in LONG if (rows := _chosen(names, options.only))]
    if chosen:
        with _place(options.place) as place, long_life.ledgers(place, Size(options.sessions, options.readings)) as on:
            for rows, bench_on in chosen:
                asyncio.run(measure(options.rounds, rows, partial(bench_on, on)))
                every += rows
    return every


def _chosen(names: Names, only: str) -> list[Row]:
    return names.begun() if any(only in name for name, _, _ in names.rows) else []


@contextmanager
def _place(chosen: Path | None) -> Iterator[Path]:
    """Yield the directory where ledgers are made: one that is kept, or one for this run."""
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def line(row: Row) -> str:
    """Return a row of the table."""
    return (
        f"{row.name:47} {spread(row.figure):>26} {row.unit:10} | {row.floor_name:24} {spread(row.floor):>26} "
        f"| x{row.ratio:.2f}"
    )


def spread(values: Sequence[float]) -> str:
    """Return minimum, median and maximum."""
    return " / ".join(f"{v:.1f}" for v in (min(values), statistics.median(values), max(values)))


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="the agent's figures beside their floors")
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds of each (7)")
    parser.add_argument("--only", default="", help="only benchmarks with this text in the name of one of their figures")
    parser.add_argument("--sessions", type=int, default=USUAL.sessions, help="sessions of the old ledger (15000)")
    parser.add_argument("--readings", type=int, default=USUAL.samples, help="readings in each of them (133)")
    parser.add_argument("--place", type=Path, help="keep the old ledger here (2 GB), and take one that is here already")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.stdout.write(
        f"{platform.machine()}, Python {platform.python_version()}, {options.rounds} rounds, min / median / max\n"
    )
    rows = run(options)
    if options.json:
        options.json.write_text(json.dumps([{**vars(r), "ratio": r.ratio} for r in rows], indent=1), encoding="utf-8")


main()
