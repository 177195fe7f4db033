"""What ten years of history cost: each figure on an old ledger beside the same on one that has next to nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from employer import Employer
from station import Station

from agent.buffer.database import Database, open_database
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import named, sessions
from agent.buffer.outbox_store import OutboxStore
from agent.buffer.reader import open_reader
from agent.cli.sheet import FLAVOURS, csv_of
from agent.core.facts import SessionEnded, SessionSampled, SessionStarted
from agent.core.model import SessionId
from agent.core.state import Durable
from agent.ports import Acknowledged
from benchmarks import figures, floors
from benchmarks.history import BEGAN, YEARS, Size, plan, write_history
from benchmarks.simulated import Simulated
from benchmarks.wear import PAGE, SESSION_S, Wear, life_years, wear_of

Pairs: TypeAlias = tuple[figures.Pair, ...]
Timed: TypeAlias = Callable[[Path], object]
Typed: TypeAlias = tuple[Station | str, ...]

MONTH: Final = Size(sessions=125, samples=8, over=timedelta(days=30))
NEWEST: Final = 20
TURNS: Final = 4
STARTS: Final = 15
READINGS: Final = 256
"""After so many facts the lanes are looked through for what is too much."""
ZONE: Final = ZoneInfo("Europe/Amsterdam")
SETTLE_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Ledgers:
    """State directories: old has ten years, month what is shown of one month and no more, new nothing."""

    old: Path
    month: Path
    new: Path
    size: Size


@contextmanager
def ledgers(place: Path, size: Size) -> Iterator[Ledgers]:
    """Make the ledgers below a directory; an old one that is there already is taken as it is."""
    with TemporaryDirectory(dir=place) as name:
        young = Path(name)
        found = Ledgers(place / f"{size.sessions}x{size.samples}", young / "month", young / "new", size)
        if not found.old.exists():
            write_history(found.old, size)
        write_history(found.month, MONTH)
        write_history(found.new, replace(size, sessions=0))
        yield found


# --- commands ---------------------------------------------------------------------------------------------------------


async def commands(on: Ledgers) -> Pairs:
    """Milliseconds of three commands as typed, against a ledger of what is shown alone, the first also an empty one."""
    *_, last = plan(on.size)
    *_, young = plan(MONTH)
    old, new = f"{_middle(on.size):%Y-%m}", f"{BEGAN:%Y-%m}"
    newest = ("sessions", "list", "--limit", str(NEWEST), "--json")
    export = ("sessions", "export", "--from")
    async with Employer() as employer:
        with _stations((on.old, on.month, on.new), employer) as (years, month, empty):
            return (
                await _in_turns((years, *newest), (month, *newest)),
                await _in_turns((years, *newest), (empty, *newest)),
                await _in_turns((years, *export, old, "--to", old), (month, *export, new, "--to", new)),
                await _in_turns((years, "sessions", "show", last.id), (month, "sessions", "show", young.id)),
            )


async def _in_turns(one: Typed, other: Typed) -> figures.Pair:
    """Return the milliseconds of two commands, the median of a few runs; neither always comes first."""
    spent: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS):
        for place in (0, 1) if turn % 2 else (1, 0):
            station, *words = (one, other)[place]
            assert isinstance(station, Station)
            spent[place].append(await _command(station, *map(str, words)))
    return statistics.median(spent[0]), statistics.median(spent[1])


async def queries(on: Ledgers) -> Pairs:
    """Milliseconds of the same without the process around it, against a ledger that has no more than is shown."""
    *_, last = plan(on.size)
    *_, young = plan(MONTH)
    old, new = _month(_middle(on.size)), (BEGAN, BEGAN + timedelta(days=31))
    return (
        (_took(_newest, on.old), _took(_newest, on.month)),
        (_took(lambda path: _exported(path, old), on.old), _took(lambda path: _exported(path, new), on.month)),
        (_took(lambda path: _named(path, last.id), on.old), _took(lambda path: _named(path, young.id), on.month)),
    )


def _newest(path: Path) -> None:
    with open_reader(path) as connection:
        assert len(sessions(connection, limit=NEWEST)) == NEWEST


def _exported(path: Path, span: tuple[datetime, datetime]) -> None:
    with open_reader(path) as connection:
        found = sessions(connection, since=span[0], until=span[1])
    assert found, "nobody charged in a month"
    csv_of(found, ("NL*TST*E1*1",), ZONE, FLAVOURS["standard"])


def _named(path: Path, name: str) -> None:
    with open_reader(path) as connection:
        assert len(named(connection, name[:20])) == 1


def _took(what: Timed, path: Path) -> float:
    """Return the median of a few runs in milliseconds."""
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        what(path)
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1000


# --- the daemon -------------------------------------------------------------------------------------------------------


async def daemon(on: Ledgers) -> Pairs:
    """Milliseconds from the process's start to READY=1; resident MiB a little later; milliseconds of ``status``."""
    async with Employer() as employer:
        with _stations((on.old, on.new), employer) as (old, new):
            ready, memory = [], []
            for station in (old, new):
                ready.append(await _until_ready(station))
                await asyncio.sleep(SETTLE_S)
                assert station.process is not None
                memory.append(floors.rss(station.process.pid))
            typed = await _in_turns((old, "status", "--json"), (new, "status", "--json"))
            asked = [await _asked(station) for station in (old, new)]
    return ((ready[0], ready[1]), (memory[0], memory[1]), typed, (asked[0], asked[1]))


@contextmanager
def _stations(states: Sequence[Path], employer: Employer) -> Iterator[tuple[Station, ...]]:
    """Yield a station without devices on each state directory; whatever runs is killed afterwards."""
    with TemporaryDirectory() as name:
        stations = []
        for number, state in enumerate(states):
            folder = Path(name) / str(number)
            folder.mkdir()
            (folder / "state").symlink_to(state)
            station = Station(folder, employer)
            station.configure()
            stations.append(station)
        try:
            yield tuple(stations)
        finally:
            for station in stations:
                station.kill()


async def _until_ready(station: Station) -> float:
    address = f"@wallbox-bench-{os.getpid()}-{time.monotonic_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind("\0" + address[1:])
        told.setblocking(False)
        os.environ["NOTIFY_SOCKET"] = address
        try:
            began = time.perf_counter()
            station.start()
            async with asyncio.timeout(60):
                while b"READY=1" not in await asyncio.get_running_loop().sock_recv(told, 4096):
                    pass
            return (time.perf_counter() - began) * 1000
        finally:
            del os.environ["NOTIFY_SOCKET"]


async def _command(station: Station, *words: str) -> float:
    began = time.perf_counter()
    status, _, errors = await station.cli(*words)
    assert status == 0, (words, errors)
    return (time.perf_counter() - began) * 1000


async def _asked(station: Station) -> float:
    """Return the median of some status requests over the control socket, in milliseconds."""
    spent = []
    for _ in range(50):
        began = time.perf_counter()
        await station.status()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent) * 1000


# --- commits ----------------------------------------------------------------------------------------------------------


class Writer:
    """A ledger open for writing, and sessions to write."""

    def __init__(self, database: Database, slices: Durable, journal: SqliteJournal) -> None:
        """Use an open ledger."""
        self._slices = slices
        self._journal = journal
        self._outbox = OutboxStore(database, "cloud")
        self._number = time.monotonic_ns()

    async def session(self) -> dict[str, float]:
        """Write a session with its answers, and return the milliseconds of its commits."""
        self._number += 1
        name = SessionId(f"7fffffff-0000-7000-8000-{self._number:x}")
        start, *samples, end = (_named_as(name, fact) for fact in figures.session(1))
        spent = {"start": await self._commit(start)}
        for sample in samples:
            await self._commit(sample)
        spent["end"] = await self._commit(end)
        for row in await self._outbox.rows(16):
            taken = Acknowledged(row.message.row, figures.at(2, 0), 7 if row.fact == start else None)
            began = time.perf_counter()
            await self._outbox.acknowledge([taken])
            spent.setdefault("answer", (time.perf_counter() - began) * 1000)
        return spent

    async def readings(self) -> float:
        """Write many readings of a session, one by one; return the milliseconds of all."""
        self._number += 1
        name = SessionId(f"7fffffff-0000-7000-8000-{self._number:x}")
        start, sample, *_, end = (_named_as(name, fact) for fact in figures.session(1))
        await self._commit(start)
        spent = 0.0
        for seq in range(1, READINGS + 1):
            spent += await self._commit(replace(sample, seq=seq))
        await self._commit(replace(end, seq=READINGS + 1))
        while rows := await self._outbox.rows(64):
            await self._outbox.acknowledge([Acknowledged(row.message.row, figures.at(2, 0)) for row in rows])
        return spent

    async def _commit(self, fact: Any) -> float:  # noqa: ANN401  # a fact of a session
        began = time.perf_counter()
        await self._journal.commit(self._slices, [fact], figures.at(2, 0))
        return (time.perf_counter() - began) * 1000


def _named_as(name: SessionId, fact: object) -> Any:  # noqa: ANN401  # the fact it was given
    assert isinstance(fact, SessionStarted | SessionSampled | SessionEnded)
    return replace(fact, session=name)


@asynccontextmanager
async def _writer(state_dir: Path) -> AsyncIterator[Writer]:
    async with open_database(state_dir) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.boot_number("bench")
        slices = await journal.load()
        assert slices is not None
        yield Writer(database, slices, journal)


async def commits(on: Ledgers) -> Pairs:
    """Milliseconds of the commits of a start and an end, of keeping the answer to a start, and of many readings."""
    async with _writer(on.old) as old, _writer(on.new) as new:
        spent = [(await old.session(), await new.session()) for _ in range(STARTS)]
        names = ("start", "end", "answer")
        medians = [tuple(statistics.median(s[side][name] for s in spent) for side in (0, 1)) for name in names]
        many = (await old.readings(), await new.readings())
    return (*((a, b) for a, b in medians), many)


# --- memory and wear --------------------------------------------------------------------------------------------------


async def hour(on: Ledgers) -> Pairs:
    """Resident MiB after an hour's worth of work (see ``benchmarks.hour``)."""
    return ((_worked(on.old), _worked(on.new)),)


def _worked(state_dir: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.hour", str(state_dir)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


async def wear(on: Ledgers) -> Pairs:
    """KiB of a session, old to new; KiB and syncs of a session and an idle hour, against one synced page per commit."""
    old, new = await wear_of(on.old, _charge, _begin), await wear_of(on.new, _charge, _begin)
    idle = await wear_of(on.old, _idle, _begin)
    return (
        (kib(old), kib(new)),
        (kib(old), old.commits * PAGE / 1024),
        (float(old.syncs), float(old.commits)),
        (kib(idle), PAGE / 1024),
        (float(idle.syncs), 1.0),
        (life_years(old, idle), YEARS.days / 365.25),
    )


def kib(counted: Wear) -> float:
    """Return how much was written, in KiB."""
    return counted.written / 1024


async def _begin(station: Simulated) -> None:
    """Let what a start and a first session leave to do be done."""
    await station.session(600)
    await station.run(60)


async def _charge(station: Simulated) -> None:
    await station.session(SESSION_S)
    await station.run(60)


async def _idle(station: Simulated) -> None:
    await station.run(3600)


def _middle(size: Size) -> datetime:
    return BEGAN + size.over / 2


def _month(moment: datetime) -> tuple[datetime, datetime]:
    """Return the beginning of a month and of the next one."""
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    return first, (first + timedelta(days=32)).replace(day=1)
