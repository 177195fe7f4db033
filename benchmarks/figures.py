"""The figures: the agent as a process over real ttys and sockets; each returns its figure and the floor beside it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias

from employer import Employer
from station import FLEET, Station, a_station, connector
from wall import CardReader, PtyLine, Wall, crc

from agent.buffer.database import open_database
from agent.buffer.journal import SqliteJournal
from agent.core.facts import Fact, SessionEnded, SessionSampled, SessionStarted, StartTrigger
from agent.core.instant import Instant
from agent.core.model import (
    EvseId,
    IdToken,
    Profile,
    Quality,
    Reading,
    ReadingContext,
    Reporting,
    SessionId,
    StopReason,
    Value,
    Wh,
)
from agent.core.state import EvseState, StationState, durable
from benchmarks import floors

Pair: TypeAlias = tuple[float, float]

SESSIONS: Final = 100
SAMPLES: Final = 8
WITHIN_S: Final = 120.0


async def card_to_limit(folder: Path) -> Pair:
    """Milliseconds from the last byte of a cached card to the limit at the controller; the start is made durable."""
    async with a_station(folder) as station:
        await station.employer.wait(lambda: station.employer.connections)
        await station.ready()
        await station.employer.call("ChangeConfiguration", {"key": "LocalPreAuthorize", "value": "true"})
        await charge_once(station)
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["status"] == "Preparing")
        await asyncio.sleep(3.2)
        station.wall.writes.clear()
        await asyncio.to_thread(station.reader.tap, FLEET, 1)
        began = time.monotonic()
        await station.until(lambda _: any(value for _, value in station.wall.writes))
        figure = next(at for at, value in station.wall.writes if value) - began
    return figure * 1000, await bare_card_to_limit(folder) * 1000


async def charge_once(station: Station) -> None:
    """Let the card be known: one short session."""
    station.wall.car.plugged = True
    await station.until(lambda s: connector(s)["evse"]["connected"])
    await station.tap(FLEET)
    await station.until(lambda s: connector(s)["status"] == "Charging")
    station.wall.car.plugged = False
    await station.until(lambda s: connector(s)["status"] == "Available")


async def bare_card_to_limit(folder: Path) -> float:
    """Seconds of the shortest way over the same pseudo-terminals."""
    wall = Wall()
    line, reader = PtyLine(wall, folder / "floor-bus"), CardReader(folder / "floor-reader")
    line.plug_in()
    reader.plug_in()
    try:
        waiting = asyncio.ensure_future(
            floors.pty_to_modbus(reader.path, line.path, crc(bytes.fromhex("021003e80001020010")))
        )
        await asyncio.sleep(0.2)
        reader.tap(FLEET, 1)
        began = time.monotonic()
        await waiting
        while not wall.writes:
            await asyncio.sleep(0.0005)
        return wall.writes[0][0] - began
    finally:
        reader.pull_out()
        line.pull_out()


async def backlog(folder: Path) -> Pair:
    """Messages per second of an outbox filled while offline, against the same messages over a bare WebSocket."""
    async with Employer() as employer:
        station = Station(folder, employer)
        station.configure()
        await fill(folder / "state")
        total = SESSIONS * (SAMPLES + 2)
        station.start()
        try:
            await employer.wait(lambda: len(employer.of("StopTransaction")) >= SESSIONS, WITHIN_S)
        finally:
            station.kill()
        sent = [r for r in employer.got if r.action in {"StartTransaction", "MeterValues", "StopTransaction"}]
        figure = (len(sent) - 1) / (sent[-1].at - sent[0].at)
        assert len(sent) == total, (len(sent), total)
        texts = [f'[2,"{n}","MeterValues",{{"connectorId":1,"meterValue":[{"{}" * 0}]}}]' for n in range(total)]
        floor = total / await floors.echo(f"{employer.url}/floor", texts)
    return figure, floor


async def fill(state_dir: Path) -> None:
    """Write sessions into a ledger as the daemon would have, while offline."""
    state_dir.mkdir(mode=0o750, parents=True)
    async with open_database(state_dir) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.boot_number("bench")
        slices = durable(StationState((EvseState(EvseId(1)),)))
        for number in range(SESSIONS):
            facts = session(number)
            await journal.commit(slices, facts, facts[-1].at if isinstance(facts[-1], SessionEnded) else at(number, 0))


def session(number: int) -> list[Fact]:
    """Return the facts of one session: a start, samples as a three-phase meter gives them, an end."""
    name, one = SessionId(f"01900000-0000-7000-8000-{number:012x}"), EvseId(1)
    register = Decimal(1_000_000 + number * 8000)
    facts: list[Fact] = [
        SessionStarted(
            session=name, seq=0, evse=one, id_token=IdToken(FLEET), profile=Profile.FLEET, trigger=StartTrigger.CARD,
            at=at(number, 0), reading=reading(register, number, 0), reporting=Reporting.REPORT, company_code=None,
            terms=None,
        )
    ]  # fmt: skip
    facts += [
        SessionSampled(name, seq, one, ReadingContext.PERIODIC, reading(register + seq * 100, number, seq))
        for seq in range(1, SAMPLES + 1)
    ]
    facts.append(
        SessionEnded(
            session=name, seq=SAMPLES + 1, evse=one, at=at(number, 50), register=Wh(register + 1000),
            reason=StopReason.LOCAL, id_token=None, quality=(Quality.MEASURED,),
        )
    )  # fmt: skip
    return facts


def reading(register: Decimal, number: int, minute: int) -> Reading:
    """Return what an SDM630 tells."""
    names = [f"{kind}_l{phase}" for kind in ("voltage", "current", "power") for phase in (1, 2, 3)] + ["power_total"]
    return Reading(at(number, minute), Wh(register), tuple(Value(n, Decimal("230.5")) for n in names), "23004711")


def at(number: int, minute: int) -> Instant:
    """Return a moment of a session."""
    wall = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=number, minutes=minute)
    return Instant(float(number * 3600 + minute * 60), wall)


async def start_to_boot(folder: Path) -> Pair:
    """Milliseconds from the start of the process to its BootNotification at the central system."""
    async with Employer() as employer:
        station = Station(folder, employer)
        station.configure()
        began = asyncio.get_running_loop().time()
        station.start()
        boot = await employer.wait_for("BootNotification", within=WITHIN_S)
        figure = boot.at - began
        station.kill()
        employer.got.clear()
        began = asyncio.get_running_loop().time()
        process = floors.start_to_boot(f"{employer.url}/floor")
        floor = (await employer.wait_for("BootNotification", within=WITHIN_S)).at - began
        process.kill()
        process.wait()
    return figure * 1000, floor * 1000


async def memory(folder: Path) -> Pair:
    """MiB resident, with everything connected and idle, against an interpreter that only imported the libraries."""
    async with a_station(folder) as station:
        await station.ready()
        with suppress(TimeoutError):
            await asyncio.sleep(3)
        assert station.process is not None
        figure = floors.rss(station.process.pid)
    return figure, floors.import_rss()
