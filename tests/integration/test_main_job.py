"""The main job from outside: real bytes, a real socket, the daemon as a process."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from employer import Employer
from station import FLEET, OTHER, Station, a_station, connector
from wall import TcpLine

pytestmark = pytest.mark.timeout(60)


async def charge(station: Station, seconds: float = 1.0, card: str = FLEET) -> None:
    """Plug in, hold a card, and charge for a while."""
    station.wall.car.plugged = True
    await station.until(lambda s: connector(s)["evse"]["connected"])
    await station.tap(card)
    await station.until(lambda s: connector(s)["status"] == "Charging")
    await asyncio.sleep(seconds)


def register(payload: dict[str, Any], key: str) -> int:
    value = payload[key]
    assert isinstance(value, int)
    return value


async def test_a_card_charges_and_everybody_has_the_same_figures(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 6.0)
        await station.tap(FLEET)
        stop = await station.employer.wait_for("StopTransaction")
        start = station.employer.of("StartTransaction")[0]
        assert start.payload["idTag"] == FLEET
        assert start.payload["connectorId"] == 1
        assert stop.payload["transactionId"] == 1001
        assert stop.payload["reason"] == "Local"
        (session,) = await station.json("sessions", "list")
        assert session["transaction_id"] == 1001
        assert session["quality"] == ["measured"]
        energy = Decimal(str(session["meter_stop_wh"])) - Decimal(str(session["meter_start_wh"]))
        assert Decimal(str(session["energy_wh"])) == energy
        assert register(start.payload, "meterStart") == int(session["meter_start_wh"])
        assert register(stop.payload, "meterStop") == int(session["meter_stop_wh"])
        assert station.wall.commanded == 0


async def test_power_flows_only_after_the_start_is_on_disk(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 0.0)
        assert next(value for _, value in station.wall.writes if value) == 16
        station.kill()
        status, out, _ = await station.cli("sessions", "list", "--json")
        assert status == 0
        assert '"open"' in out


async def test_an_unknown_card_is_refused_and_nothing_starts(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["evse"]["connected"])
        await station.tap(OTHER)
        await station.employer.wait_for("Authorize")
        await asyncio.sleep(1.5)
        assert not station.employer.of("StartTransaction")
        assert station.wall.commanded == 0


@pytest.mark.requirement(6)
async def test_the_network_is_cut_in_mid_session_and_all_arrives_once_in_order(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 5.5)
        await station.employer.close()
        await station.until(lambda s: s["cloud"]["state"] != "connected")
        await station.tap(FLEET)
        await station.until(lambda s: connector(s)["session"] is None)
        station.wall.car.plugged = False
        await station.until(lambda s: connector(s)["status"] == "Available")
        await charge(station, 5.5)
        station.wall.car.plugged = False
        await station.until(lambda s: connector(s)["session"] is None)
        await station.employer.open()
        await station.employer.wait_for("StopTransaction", 2, within=40)
        order = [r.action for r in station.employer.got if r.action in {"StartTransaction", "StopTransaction"}]
        assert order == ["StartTransaction", "StopTransaction"] * 2
        ids = [r.payload["transactionId"] for r in station.employer.of("StopTransaction")]
        assert ids == [1001, 1002]
        assert len(station.employer.of("BootNotification")) == 1
        await station.until(lambda s: s["cloud"]["queued_messages"] == 0)
        assert [s["reporting"] for s in await station.json("sessions", "list")] == ["reported", "reported"]


@pytest.mark.requirement(20)
async def test_a_killed_agent_comes_back_and_the_session_goes_on(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 2.0)
        before = station.wall.register_wh
        station.kill()
        await asyncio.sleep(2.0)
        station.start()
        await station.until(lambda s: connector(s)["status"] == "Charging")
        await asyncio.sleep(4.0)
        await station.tap(FLEET)
        stop = await station.employer.wait_for("StopTransaction", within=20)
        assert len(station.employer.of("StartTransaction")) == 1
        assert stop.payload["transactionId"] == 1001
        assert stop.payload["meterStop"] > before
        (session,) = await station.json("sessions", "list")
        assert session["state"] == "closed"


async def test_unplugged_while_the_agent_was_dead_closes_on_the_register(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 2.0)
        station.kill()
        await asyncio.sleep(1.0)
        station.wall.car.plugged = False
        station.wall.tick()
        final = station.wall.register_wh
        station.start()
        stop = await station.employer.wait_for("StopTransaction", within=20)
        assert stop.payload["reason"] == "Reboot"
        assert abs(stop.payload["meterStop"] - final) <= 1
        (session,) = await station.json("sessions", "list")
        assert "reconstructed" in session["quality"]


@pytest.mark.parametrize("kind", ["tcp", "rtu-over-tcp"])
async def test_meter_and_controller_over_a_socket(tmp_path: Path, kind: str) -> None:
    async with Employer() as employer:
        station = Station(tmp_path, employer)
        line = TcpLine(station.wall, rtu=kind == "rtu-over-tcp")
        station.configure(port=f'transport = "{kind}"\nhost = "127.0.0.1"\nport = {line.port}')
        station.reader.plug_in()
        station.start()
        try:
            await station.ready()
            await charge(station, 1.0)
            station.wall.car.plugged = False
            stop = await employer.wait_for("StopTransaction")
            assert stop.payload["reason"] == "EVDisconnected"
        finally:
            station.kill()
            station.reader.pull_out()
            line.close()


@pytest.mark.requirement(62)
@pytest.mark.parametrize("spoil", ["crc", "unit", "garbage", "late"])
async def test_a_spoilt_line_heals_and_invents_nothing(tmp_path: Path, spoil: str) -> None:
    async with a_station(tmp_path) as station:
        ready = await station.ready()
        energy = connector(ready)["meter"]["energy_wh"]
        station.wall.spoil = spoil
        sick = await station.until(lambda s: connector(s)["meter"]["last_error"])
        assert connector(sick)["meter"]["energy_wh"] in {None, energy}
        station.wall.spoil = None
        well = await station.until(
            lambda s: (
                connector(s)["meter"]["ok"] and connector(s)["evse"]["ok"] and not connector(s)["meter"]["last_error"]
            )
        )
        assert connector(well)["meter"]["energy_wh"] == energy


async def test_no_meter_no_start(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.wall.mute = {1}
        await station.until(lambda s: connector(s)["error_code"] == "PowerMeterFailure")
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["evse"]["connected"])
        await station.tap(FLEET)
        await asyncio.sleep(1.0)
        assert station.wall.commanded == 0
        station.wall.mute = set()
        await station.until(lambda s: connector(s)["status"] == "Preparing")
        await station.tap(FLEET)
        await station.until(lambda s: connector(s)["status"] == "Charging")


async def test_devices_may_appear_in_any_order(tmp_path: Path) -> None:
    async with Employer() as employer:
        station = Station(tmp_path, employer)
        station.configure()
        await employer.close()
        station.start()
        try:
            await station.until(lambda s: s["rfid"]["last_error"] and connector(s)["meter"]["last_error"])
            station.line.plug_in()
            await station.until(lambda s: connector(s)["meter"]["ok"] and connector(s)["evse"]["ok"], within=30)
            station.reader.plug_in()
            await station.until(lambda s: s["rfid"]["ok"], within=30)
            await employer.open()
            await station.until(lambda s: s["cloud"]["registration"] == "Accepted", within=40)
        finally:
            station.kill()
            station.line.pull_out()
            station.reader.pull_out()


async def test_remote_start_and_stop(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.employer.cards["VIRTUAL-1"] = "Accepted"
        await station.employer.call("ChangeConfiguration", {"key": "AuthorizeRemoteTxRequests", "value": "false"})
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["evse"]["connected"])
        answer = await station.employer.call("RemoteStartTransaction", {"idTag": "VIRTUAL-1", "connectorId": 1})
        assert answer == {"status": "Accepted"}
        await station.employer.wait_for("StartTransaction")
        await station.until(lambda s: connector(s)["status"] == "Charging")
        assert await station.employer.call("RemoteStopTransaction", {"transactionId": 4}) == {"status": "Rejected"}
        assert await station.employer.call("RemoteStopTransaction", {"transactionId": 1001}) == {"status": "Accepted"}
        stop = await station.employer.wait_for("StopTransaction")
        assert stop.payload["reason"] == "Remote"


async def test_a_soft_reset_ends_the_session_and_boots_again(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station)
        assert await station.employer.call("Reset", {"type": "Soft"}) == {"status": "Accepted"}
        stop = await station.employer.wait_for("StopTransaction", within=20)
        assert stop.payload["reason"] == "SoftReset"
        await station.employer.wait_for("BootNotification", 2, within=20)


async def test_sigterm_ends_in_order_and_the_session_is_resumed(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station)
        assert station.stop() == 0
        station.start()
        await station.until(lambda s: connector(s)["status"] == "Charging")
        station.wall.car.plugged = False
        stop = await station.employer.wait_for("StopTransaction", within=20)
        assert stop.payload["reason"] == "EVDisconnected"
        assert len(station.employer.of("StartTransaction")) == 1


async def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        status, _, err = await station.cli("run")
        assert status == 1
        assert "another" in err
