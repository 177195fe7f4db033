"""Kills at random instants: each session has one start and one stop at the employer, and the registers chain."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest
from employer import Payload
from outside import transactions
from station import FLEET, Station, a_station, connector

TRIALS = int(os.environ.get("KILL_TRIALS", "1"))
SEED = int(os.environ.get("KILL_SEED", "20261124"))


async def drive(station: Station, rng: random.Random) -> None:
    """One session of a driver who does not care about the agent's health."""
    await asyncio.sleep(rng.uniform(0, 1))
    station.wall.car.plugged = True
    for _ in range(4):
        await asyncio.sleep(rng.uniform(0.5, 1.5))
        await station.tap(FLEET)
        await asyncio.sleep(0.6)
        if station.wall.charging:
            break
    await asyncio.sleep(rng.uniform(0.5, 4))
    if rng.random() < 0.5:
        await station.tap(FLEET)
        await asyncio.sleep(rng.uniform(0, 2))
    station.wall.car.plugged = False
    await asyncio.sleep(rng.uniform(2.0, 3.5))


async def cut(station: Station, rng: random.Random, done: asyncio.Event) -> None:
    """Kill the agent again and again, and now and then the network too."""
    online = True
    while not done.is_set():
        await asyncio.sleep(rng.uniform(0.3, 3.5))
        if rng.random() < 0.35:
            if online:
                await station.employer.close()
            else:
                await station.employer.open()
            online = not online
        if rng.random() < 0.8:
            station.kill()
            if rng.random() < 0.5:
                await asyncio.sleep(rng.uniform(0, 1.0))
            station.start()
    if not online:
        await station.employer.open()


def judge(station: Station, sessions: list[dict[str, Any]], begin: float) -> None:
    """Hold the employer's book against the ledger and the wall's register."""
    employer = station.employer
    seen: dict[str, Payload] = {}
    for message in transactions(station):
        key = message.message_id
        assert seen.setdefault(key, message.payload) == message.payload, "a resend differs"
    starts = {m.message_id: m for m in employer.of("StartTransaction")}
    stops = {m.message_id: m for m in employer.of("StopTransaction")}
    numbers = [employer.transactions[i] for i in starts]
    assert sorted(numbers) == sorted(m.payload["transactionId"] for m in stops.values())
    assert len(starts) == len(stops) == len(sessions)
    by_number = {m.payload["transactionId"]: m.payload for m in stops.values()}
    previous = begin
    for identity, start in starts.items():
        stop = by_number[employer.transactions[identity]]
        first, last = start.payload["meterStart"], stop["meterStop"]
        assert previous - 1 <= first <= last, (previous, first, last)
        assert start.payload["timestamp"] <= stop["timestamp"]
        previous = last
    ledger_energy = sum(s["energy_wh"] for s in sessions)
    flown = station.wall.register_wh - begin
    assert ledger_energy <= flown + 1.5
    assert ledger_energy >= flown - 1.5, "energy in no session"


@pytest.mark.requirement(19)
@pytest.mark.timeout(120)
@pytest.mark.parametrize("trial", range(TRIALS))
async def test_kills_at_random_lose_and_double_nothing(tmp_path: Path, trial: int) -> None:
    rng = random.Random(SEED + trial)
    async with a_station(tmp_path) as station:
        await station.ready()
        station.wall.tick()
        begin = station.wall.register_wh
        done = asyncio.Event()
        cutter = asyncio.create_task(cut(station, rng, done))
        for _ in range(2):
            await drive(station, rng)
        done.set()
        await cutter
        station.kill()
        station.start()
        await station.until(
            lambda s: connector(s)["session"] is None and connector(s)["status"] == "Available", within=25
        )
        await station.until(
            lambda s: s["cloud"]["registration"] == "Accepted" and s["cloud"]["queued_messages"] == 0, within=30
        )
        await asyncio.sleep(0.3)
        sessions = await station.json("sessions", "list")
        judge(station, sessions, begin)
        assert all(s["reporting"] == "reported" for s in sessions), sessions
