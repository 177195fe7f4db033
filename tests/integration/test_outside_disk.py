"""A state directory that is full or corrupt, and SIGTERM in every phase."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import pytest
from outside import charge, plug_and_tap, the_session, unplug
from station import FLEET, Station, a_station, connector

pytestmark = pytest.mark.timeout(60)

FULL, ROOM = 100, resource.RLIM_INFINITY


def room(station: Station, limit: int) -> None:
    """Let the daemon write no file beyond so many bytes, as on a disk that is full."""
    assert station.process is not None
    resource.prlimit(station.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


@pytest.mark.requirement(18, 35)
async def test_a_full_disk_starts_nothing_says_so_and_heals(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        room(station, FULL)
        await plug_and_tap(station)
        seen = await station.until(lambda s: not s["ledger"]["ok"])
        assert str(tmp_path) in seen["ledger"]["last_error"]
        await asyncio.sleep(1.0)
        assert station.wall.commanded == 0
        assert connector(await station.status())["session"] is None
        status, _, err = await station.cli("cards", "block", FLEET)
        assert (status, len(err.splitlines())) == (1, 1)
        assert "ledger" in err
        refused = await station.employer.call("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "77"})
        assert refused == {"status": "Rejected"}
        room(station, ROOM)
        await station.until(lambda s: s["ledger"]["ok"])
        await station.tap(FLEET)
        await station.until(lambda s: connector(s)["status"] == "Charging")
        await unplug(station)
        await station.employer.wait_for("StopTransaction")


async def test_a_card_ends_its_session_on_a_full_disk(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 5.5)
        room(station, FULL)
        await station.tap(FLEET)
        await station.employer.wait(lambda: station.wall.commanded == 0)
        await asyncio.sleep(3.0)
        assert station.wall.commanded == 0
        assert not station.employer.of("StopTransaction")
        room(station, ROOM)
        await station.employer.wait_for("StopTransaction")
        session = await the_session(station)
        assert session["stop_reason"] == "Local"
        assert abs(session["meter_stop_wh"] - station.wall.register_wh) <= 1


async def test_sigterm_ends_the_daemon_on_a_full_disk(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 1.0)
        room(station, FULL)
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(station.stop) == 0
        assert "Traceback" not in station.log.read_text()


@pytest.mark.requirement(15)
@pytest.mark.parametrize("phase", ["no link", "ending", "asking"])
async def test_sigterm_in_each_phase_ends_in_order(tmp_path: Path, phase: str) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        if phase == "no link":
            await station.employer.close()
            await station.until(lambda s: s["cloud"]["state"] != "connected")
        if phase == "asking":
            station.employer.answers["Authorize"] = lambda _: None
            await plug_and_tap(station)
        if phase == "ending":
            await charge(station, 5.5)
            await station.tap(FLEET)
        assert await asyncio.to_thread(station.stop, 6.0) == 0
        assert not (tmp_path / "state" / "control.sock").exists()


@pytest.mark.requirement(58)
async def test_a_corrupt_ledger_is_said_in_one_line(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.kill()
        for path in (tmp_path / "state").iterdir():
            if path.name.endswith(("-wal", "-shm")):
                path.unlink()
        (tmp_path / "state" / "ledger.sqlite3").write_bytes(b"this is no database" * 500)
        for command in (["sessions", "list"], ["cards", "list"]):
            status, _, err = await station.cli(*command)
            told = [line for line in err.splitlines() if line.startswith("wallbox-agent: ")]
            assert (status, len(told)) == (1, 1), err
            assert "restore a backup" in told[0]
