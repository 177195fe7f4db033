"""Meters, controllers, readers and lines that misbehave, from outside: bytes in, session figures and status out."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from employer import Employer
from outside import charge, shown, the_session, unplug
from station import FLEET, Station, a_station, connector
from wall import BOX, METER, TcpLine

pytestmark = pytest.mark.timeout(60)


async def test_a_reader_that_is_pulled_out_is_reported_and_so_is_its_return(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.reader.pull_out()
        gone = await station.until(lambda s: not s["rfid"]["ok"])
        assert str(station.reader.path) in gone["rfid"]["last_error"]
        await station.employer.wait(lambda: shown(station, 0)[-1] == ("Available", "ReaderFailure"))
        station.reader.plug_in()
        back = await station.until(lambda s: s["rfid"]["ok"])
        assert back["rfid"]["last_error"] is None
        await station.employer.wait(lambda: shown(station, 0)[-1] == ("Available", "NoError"))
        await charge(station)


@pytest.mark.requirement(62)
async def test_noise_and_half_frames_on_the_reader_are_no_cards(tmp_path: Path) -> None:
    noises = [b"\x00" * 300, b"\x0262E3086C", b"\x03\x02\x02\x02", b"\x0262E3086CED00\x03", b"\x02zzzzzzzzzzzz\x03"]
    async with a_station(tmp_path) as station:
        await station.ready()
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["evse"]["connected"])
        for noise in noises:
            station.reader.noise(noise)
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.5)
        assert not station.employer.of("Authorize")
        await station.tap(FLEET)
        await station.until(lambda s: connector(s)["status"] == "Charging")


#: what the meter tells in kWh
SICK = {"nan": math.nan, "back": 3.0, "jump": 1_734.0, "negative": -1.0, "silent": None}


async def test_a_meter_that_is_sick_in_every_way_in_mid_session_invents_nothing(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 2.0)
        wall = station.wall
        for kind, told in SICK.items():
            wall.told_kwh = told
            wall.mute = {METER} if kind == "silent" else set()
            sick = connector(await station.until(lambda s: connector(s)["meter"]["last_error"]))
            assert sick["session"]["energy_wh"] > 0, kind
            assert sick["meter"]["energy_wh"] is None, kind
            wall.told_kwh, wall.mute = None, set()
            await station.until(lambda s: connector(s)["meter"]["ok"])
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        session = await the_session(station)
        assert abs(session["meter_stop_wh"] - wall.register_wh) <= 1


async def test_a_meter_that_a_gateway_lost_for_a_while_tells_all_its_values_again(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        before = connector(await station.ready())["meter"]["values"]
        station.wall.refuses = True
        await station.until(lambda s: connector(s)["meter"]["last_error"])
        station.wall.refuses = False
        await station.until(lambda s: connector(s)["meter"]["values"].keys() == before.keys())


async def test_a_replaced_meter_closes_the_session_on_the_old_register(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 2.0)
        station.line.pull_out()
        await station.until(lambda s: connector(s)["meter"]["last_error"])
        old = station.wall.register_wh
        station.wall.serial, station.wall.register_wh = 99_000_001, 12.0
        station.line.plug_in()
        await station.employer.wait_for("StopTransaction", within=25)
        session = await the_session(station)
        assert session["quality"] == ["meter-changed"]
        assert session["meter_start_wh"] < session["meter_stop_wh"] <= old + 1
        await unplug(station)
        await charge(station)
        await unplug(station)
        second = (await station.json("sessions", "list"))[1]
        assert second["meter_start_wh"] < 100
        assert second["quality"] == ["measured"]


async def test_a_controller_that_cannot_be_read_for_a_while_costs_nothing(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 1.0)
        station.wall.mute = {BOX}
        await station.until(lambda s: not connector(s)["evse"]["ok"])
        station.wall.mute = set()
        await station.until(lambda s: connector(s)["evse"]["ok"])
        station.line.pull_out()
        await station.until(lambda s: not connector(s)["evse"]["ok"])
        station.line.plug_in()
        await station.until(lambda s: connector(s)["evse"]["ok"] and connector(s)["meter"]["ok"], within=25)
        station.wall.overlay = dict.fromkeys((1007, 1008, 1009))  # as firmware before version 12
        await asyncio.sleep(2.0)
        assert connector(await station.status())["evse"]["ok"]
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        session = await the_session(station)
        assert session["quality"] == ["measured"]
        assert abs(session["meter_stop_wh"] - station.wall.register_wh) <= 1
        assert station.wall.commanded == 0


async def test_a_controller_that_ignores_commands_is_faulted_and_told_again(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 5.5)
        station.wall.deaf = True
        await station.tap(FLEET)
        await station.until(lambda s: connector(s)["error_code"] == "PowerSwitchFailure")
        assert connector(await station.status())["meter"]["unattributed_wh"] > 0
        station.wall.deaf = False
        await station.employer.wait(lambda: station.wall.commanded == 0)
        await station.until(lambda s: connector(s)["error_code"] == "NoError")
        session = await the_session(station)
        assert session["meter_stop_wh"] < station.wall.register_wh


async def test_a_fault_of_the_controller_cuts_power_and_keeps_the_session(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 1.5)
        station.wall.overlay = {1002: 5, 1006: 0}
        await station.until(lambda s: connector(s)["status"] == "Faulted")
        await station.employer.wait(lambda: station.wall.commanded == 0)
        station.wall.overlay = {}
        await station.until(lambda s: connector(s)["status"] == "Charging")
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        session = await the_session(station)
        assert abs(session["meter_stop_wh"] - station.wall.register_wh) <= 1


@pytest.mark.requirement(52)
async def test_a_car_that_pauses_stays_in_its_session(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station, 1.0)
        station.wall.car.full = True
        await station.until(lambda s: connector(s)["status"] == "SuspendedEV")
        station.wall.car.full = False
        await station.until(lambda s: connector(s)["status"] == "Charging")
        await unplug(station)
        await station.employer.wait_for("StopTransaction")
        assert [status for status, _ in shown(station, 1)][2:5] == ["Charging", "SuspendedEV", "Charging"]
        assert len(station.employer.of("StartTransaction")) == 1


async def test_a_reset_socket_in_mid_session_costs_nothing(tmp_path: Path) -> None:
    async with Employer() as employer:
        station = Station(tmp_path, employer)
        line = TcpLine(station.wall)
        station.configure(port=f'transport = "tcp"\nhost = "127.0.0.1"\nport = {line.port}')
        station.reader.plug_in()
        station.start()
        try:
            await station.ready()
            await charge(station, 1.0)
            line.reset()
            await employer.wait(lambda: line.peers, what="a new connection")
            await station.until(lambda s: connector(s)["meter"]["ok"] and connector(s)["evse"]["ok"])
            await unplug(station)
            await employer.wait_for("StopTransaction")
            session = await the_session(station)
            assert session["quality"] == ["measured"]
            assert abs(session["meter_stop_wh"] - station.wall.register_wh) <= 1
        finally:
            station.kill()
            station.reader.pull_out()
            line.close()
