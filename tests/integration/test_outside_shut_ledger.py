"""A ledger that cannot be opened at the start: said, nothing is offered, and work begins by itself once it can be."""

from __future__ import annotations

import asyncio
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from outside import charge, plug_and_tap, shown, the_session, transactions, unplug
from station import FLEET, Station, a_station, connector

pytestmark = pytest.mark.timeout(90)

FULL, ROOM = 100, resource.RLIM_INFINITY


def limit(station: Station, size: int) -> None:
    """Let the daemon write no file beyond so many bytes, as on a disk that is full."""
    assert station.process is not None
    resource.prlimit(station.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def start_full(station: Station) -> None:
    """Start the daemon on a disk that is full from its first moment; the interpreter alone takes longer to begin."""
    station.start()
    limit(station, FULL)


async def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        assert await asyncio.to_thread(station.stop) == 0
        start_full(station)
        seen = await station.until(lambda s: connector(s)["status"] == "Faulted")
        assert not seen["ledger"]["ok"]
        assert str(tmp_path) in seen["ledger"]["last_error"]
        assert connector(seen)["error_code"] == "InternalError"
        await station.employer.wait(lambda: ("Faulted", "InternalError") in shown(station, 1))
        await plug_and_tap(station)
        assert connector(await station.status())["session"] is None
        assert station.wall.commanded == 0
        status, _, err = await station.cli("cards", "block", FLEET)
        assert (status, len(err.splitlines())) == (1, 1)
        assert "ledger" in err
        limit(station, ROOM)
        await station.until(lambda s: s["ledger"]["ok"], within=40)
        await station.until(lambda s: connector(s)["status"] == "Preparing")
        await station.tap(FLEET)
        await station.until(lambda s: connector(s)["status"] == "Charging")
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        assert [r.action for r in transactions(station)] == ["StartTransaction", "StopTransaction"]


async def test_a_session_found_open_waits_for_the_ledger_and_goes_on(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 1.0)
        station.kill()
        start_full(station)
        await station.until(lambda s: not s["ledger"]["ok"])
        await station.employer.wait(lambda: station.wall.commanded == 0)
        limit(station, ROOM)
        await station.until(lambda s: connector(s)["status"] == "Charging", within=40)
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        assert [r.action for r in transactions(station)] == ["StartTransaction", "StopTransaction"]
        session = await the_session(station)
        assert abs(session["meter_stop_wh"] - station.wall.register_wh) <= 1


async def test_sigterm_ends_a_daemon_that_waits(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        assert await asyncio.to_thread(station.stop) == 0
        start_full(station)
        await station.until(lambda s: not s["ledger"]["ok"])
        assert await asyncio.to_thread(station.stop) == 0
        assert "Traceback" not in station.log.read_text()


async def logged(station: Station, words: str) -> None:
    """Wait until the daemon has said something."""
    await station.employer.wait(lambda: words in station.log.read_text())


def run(name: str, *arguments: str) -> int:
    command = shutil.which(name)
    return 1 if command is None else subprocess.run([command, *arguments], capture_output=True, check=False).returncode


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own for the state directory."""
    place = tmp_path / "state"
    place.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=8m,mode=750", "tmpfs", str(place)):
        pytest.skip("only root may mount")
    yield place
    run("umount", "-l", str(place))


def is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def remount(disk: Path, how: str) -> None:
    assert run("mount", "-o", f"remount,{how}", str(disk)) == 0


async def test_a_disk_that_is_read_only_from_the_very_first_start_is_waited_for(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    remount(disk, "ro")
    async with a_station(tmp_path) as station:
        await logged(station, "ready")
        seen = await station.json("status")
        assert not seen["ledger"]["ok"]
        assert "read-only" in seen["ledger"]["last_error"].lower()
        assert is_empty(disk)
        assert station.wall.commanded == 0
        remount(disk, "rw")
        await station.until(lambda s: s["ledger"]["ok"], within=40)
        await charge(station)
        await unplug(station)
        await station.employer.wait_for("StopTransaction")


async def test_a_ledger_can_be_read_on_a_disk_that_is_read_only(
    tmp_path: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station)
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        station.kill()
        remount(disk, "ro")
        station.start()
        await logged(station, "nothing new starts")
        assert (await the_session(station))["state"] == "closed"
        assert (await station.cli("sessions", "verify"))[0] == 0
        assert (await station.cli("backup", str(tmp_path / "backup.zip")))[0] == 0
        assert not (await station.json("status"))["ledger"]["ok"]
