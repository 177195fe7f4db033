"""A ledger that is damaged, moved, backed up and put back, seen from outside the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from outside import charge, the_session, transactions, unplug
from station import Station, a_station

pytestmark = pytest.mark.timeout(60)

LEDGER = "ledger.sqlite3"


def state(station: Station) -> Path:
    return station.folder / "state"


async def a_session(station: Station) -> dict[str, Any]:
    """Let one session be charged, closed and delivered."""
    await station.ready()
    await charge(station, 1.0)
    await unplug(station)
    await station.employer.wait_for("StopTransaction")
    await station.until(lambda s: s["cloud"]["queued_messages"] == 0)
    return await the_session(station)


def set_aside(station: Station) -> list[Path]:
    found = state(station).glob("ledger.corrupt-*")
    return sorted(path for path in found if path.suffix != ".json" and "-wal" not in path.name)


def spoil(path: Path, how: str) -> None:
    """Do to a ledger what a dying card does."""
    content = bytearray(path.read_bytes())
    match how:
        case "garbage":
            content = bytearray(b"this is no database" * 500)
        case "cut off":
            del content[len(content) // 2 :]
        case "a page of zeros":
            page = len(content) // 4096 // 2 * 4096
            content[page : page + 4096] = bytes(4096)
        case "gone":
            path.unlink()
            return
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["garbage", "cut off", "a page of zeros", "gone"])
async def test_a_damaged_ledger_is_made_anew_and_loses_no_session(tmp_path: Path, how: str) -> None:
    async with a_station(tmp_path) as station:
        before = await a_session(station)
        station.stop()
        spoil(state(station) / LEDGER, how)
        (state(station) / "ledger.suspect").touch()  # a page in the middle is found by chance, or by a thorough look
        station.start()
        await station.ready()
        assert await the_session(station) == before
        assert "the ledger was damaged" in station.tail()
        assert len(set_aside(station)) == (how != "gone")
        assert (await station.cli("sessions", "verify"))[0] == 0
        await charge(station, 1.0)
        await unplug(station)
        await station.employer.wait(lambda: len(transactions(station)) == 4)
        assert [t.action for t in transactions(station)] == ["StartTransaction", "StopTransaction"] * 2
        assert len({t.message_id for t in transactions(station)}) == 4


async def test_a_session_that_runs_goes_on_with_the_second_copy_alone(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 1.0)
        station.kill()
        for path in state(station).glob(f"{LEDGER}*"):
            path.unlink()
        station.start()
        await station.until(lambda s: s["connectors"][0]["session"] is not None)
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        session = await the_session(station)
        assert [t.action for t in transactions(station)] == ["StartTransaction", "StopTransaction"]
        assert abs(session["meter_stop_wh"] - station.wall.register_wh) <= 1


async def test_a_backup_is_made_while_the_daemon_runs_and_put_back_beside_newer_sessions(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await a_session(station)
        told = await station.json("backup", str(tmp_path / "b.zip"))
        assert told["sessions"] == 1
        status, _, err = await station.cli("restore", str(tmp_path / "b.zip"))
        assert (status, "systemctl stop" in err) == (1, True)
        await charge(station, 1.0)
        await unplug(station)
        both = await station.json("sessions", "list")
        station.stop()
        told = await station.json("restore", str(tmp_path / "b.zip"))
        assert (told["restored"], told["kept"], told["sessions"]) == (0, 1, 2)
        (state(station) / LEDGER).unlink()
        (state(station) / "ledger.copy").unlink()
        told = await station.json("restore", str(tmp_path / "b.zip"))
        assert (told["restored"], told["sessions"]) == (1, 1)
        station.start()
        await station.ready()
        assert [s["id"] for s in await station.json("sessions", "list")] == [both[0]["id"]]


async def test_the_state_directory_of_another_station_is_refused(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.stop()
        station.config.write_text(station.config.read_text().replace('"NL-TEST-1"', '"NL-TEST-2"'))
        status, _, err = await station.cli("run")
        assert status == 2
        assert "belongs to station NL-TEST-1" in err
