"""Transactions against a central system that refuses, forgets, answers late or is cut off."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from employer import Payload, stamp
from outside import change, charge, quick, unplug
from station import FLEET, a_station, connector

pytestmark = pytest.mark.timeout(60)


@pytest.mark.requirement(2, 5)
async def test_a_start_refused_three_times_ends_with_minus_one_and_the_next_session_is_whole(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await quick(station)
        station.employer.answers["StartTransaction"] = lambda _: "InternalError"
        await charge(station)
        await station.employer.wait_for("StartTransaction", 3)
        await unplug(station)
        stop = await station.employer.wait_for("StopTransaction")
        starts = station.employer.of("StartTransaction")
        assert len(starts) == 3
        assert len({s.message_id for s in starts}) == 1
        assert all(s.payload == starts[0].payload for s in starts)
        assert stop.payload["transactionId"] == -1
        del station.employer.answers["StartTransaction"]
        await charge(station)
        await unplug(station)
        second = await station.employer.wait_for("StopTransaction", 2)
        assert second.payload["transactionId"] == 1001
        await station.until(lambda s: s["cloud"]["queued_messages"] == 0)
        await asyncio.sleep(0.5)
        sessions = await station.json("sessions", "list")
        assert [s["reporting"] for s in sessions] == ["failed", "reported"]


async def test_a_stop_that_is_never_answered_is_repeated_word_for_word_and_given_up(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await quick(station, MessageTimeout=1)
        station.employer.answers["StopTransaction"] = lambda _: None
        await charge(station)
        await unplug(station)
        await station.employer.wait_for("StopTransaction", 3, within=20)
        stops = station.employer.of("StopTransaction")
        assert len({s.message_id for s in stops}) == 1
        assert all(s.payload == stops[0].payload for s in stops)
        await station.until(
            lambda s: s["cloud"]["state"] == "connected" and s["cloud"]["queued_messages"] == 0, within=30
        )
        del station.employer.answers["StopTransaction"]


async def test_a_late_answer_to_the_start_counts(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await quick(station, TransactionMessageRetryInterval=30, MessageTimeout=1)
        station.employer.answers["StartTransaction"] = lambda _: None
        await charge(station, 2.0)
        (start,) = station.employer.of("StartTransaction")
        await station.employer.connections[-1].send(
            f'[3,"{start.message_id}",{{"transactionId":0,"idTagInfo":{{"status":"Accepted"}}}}]'
        )
        await station.until(lambda s: connector(s)["session"]["transaction_id"] == 0)
        await unplug(station)
        stop = await station.employer.wait_for("StopTransaction")
        assert stop.payload["transactionId"] == 0
        assert len(station.employer.of("StartTransaction")) == 1


@pytest.mark.requirement(73)
async def test_a_link_cut_before_the_answer_repeats_the_start_word_for_word(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        employer = station.employer
        employer.answers["StartTransaction"] = lambda _: None
        await charge(station)
        await employer.wait_for("StartTransaction")
        await employer.close()
        del employer.answers["StartTransaction"]
        await asyncio.sleep(0.5)
        await employer.open()
        second = await employer.wait_for("StartTransaction", 2)
        first = employer.of("StartTransaction")[0]
        assert (first.message_id, first.payload) == (second.message_id, second.payload)
        await unplug(station)
        stop = await employer.wait_for("StopTransaction")
        assert stop.payload["transactionId"] == 1001
        assert len(employer.of("BootNotification")) == 1


async def test_any_transaction_id_is_used_as_it_is(tmp_path: Path) -> None:
    numbers = [0, -5]

    def answer(_: Payload) -> Payload:
        return {"transactionId": numbers[0], "idTagInfo": {"status": "Accepted"}}

    async with a_station(tmp_path) as station:
        await station.ready()
        await quick(station, MeterValueSampleInterval=1)
        station.employer.answers["StartTransaction"] = answer
        while numbers:
            station.employer.got.clear()
            await charge(station, 0.5)
            assert (await station.employer.wait_for("MeterValues")).payload["transactionId"] == numbers[0]
            stopped = await station.employer.call("RemoteStopTransaction", {"transactionId": numbers[0]})
            assert stopped == {"status": "Accepted"}
            stop = await station.employer.wait_for("StopTransaction")
            assert (stop.payload["transactionId"], stop.payload["reason"]) == (numbers.pop(0), "Remote")
            await unplug(station)


async def test_an_unanswered_authorize_is_decided_within_two_seconds(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await charge(station)
        await unplug(station)
        employer = station.employer
        employer.answers["Authorize"] = lambda _: None
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["evse"]["connected"])
        await station.tap(FLEET)
        began = asyncio.get_running_loop().time()
        await station.until(lambda s: connector(s)["session"] is not None, within=4)
        took = asyncio.get_running_loop().time() - began
        assert took < 2.6, took


@pytest.mark.requirement(11)
async def test_a_polite_close_is_followed_by_a_new_connection_without_boot(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await station.employer.connections[-1].close(1001, "maintenance")
        seen = await station.until(lambda s: s["cloud"]["state"] != "connected")
        assert "1001" in seen["cloud"]["last_error"]
        assert "maintenance" in seen["cloud"]["last_error"]
        await station.until(lambda s: s["cloud"]["state"] == "connected")
        await asyncio.sleep(0.5)
        assert len(station.employer.of("BootNotification")) == 1


async def test_a_security_error_to_heartbeat_ends_the_registration_and_says_so(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.employer.answers["Heartbeat"] = lambda _: "SecurityError"
        await change(station, "HeartbeatInterval", 1)
        await station.employer.wait_for("Heartbeat")
        seen = await station.until(lambda s: s["cloud"]["registration"] != "Accepted")
        assert "SecurityError" in seen["cloud"]["last_error"]
        del station.employer.answers["Heartbeat"]
        station.kill()
        station.start()
        await station.employer.wait_for("BootNotification", 2)
        await station.until(lambda s: s["cloud"]["registration"] == "Accepted" and s["cloud"]["last_error"] is None)


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
async def test_a_station_that_is_not_accepted_is_silent_and_heals(tmp_path: Path, status: str) -> None:
    statuses = [status, status]

    def answer(_: Payload) -> Payload:
        return {"status": statuses.pop() if statuses else "Accepted", "currentTime": stamp(), "interval": 2}

    async with a_station(tmp_path) as station:
        employer = station.employer
        employer.answers["BootNotification"] = answer
        seen = await station.until(lambda s: s["cloud"]["registration"] == status)
        assert seen["cloud"]["last_error"]
        if status == "Pending":
            remote = await employer.call("RemoteStartTransaction", {"idTag": FLEET, "connectorId": 1})
            assert remote == {"status": "Rejected"}
            assert (await employer.call("GetConfiguration", {"key": ["HeartbeatInterval"]}))["configurationKey"]
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["evse"]["connected"])
        await station.tap(FLEET)
        await employer.wait_for("StatusNotification", 2)
        before = employer.got[: employer.got.index(employer.of("BootNotification")[2])]
        assert {r.action for r in before} == {"BootNotification"}


async def test_an_id_tag_is_the_same_in_any_case(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        station.employer.cards[FLEET.lower()] = "Accepted"
        station.wall.car.plugged = True
        await station.until(lambda s: connector(s)["evse"]["connected"])
        await station.employer.call("RemoteStartTransaction", {"idTag": FLEET.lower(), "connectorId": 1})
        await station.until(lambda s: connector(s)["status"] == "Charging")
        await asyncio.sleep(5.0)
        await station.tap(FLEET)
        stop = await station.employer.wait_for("StopTransaction")
        assert station.employer.of("StartTransaction")[0].payload["idTag"] == FLEET.lower()
        assert stop.payload["reason"] == "Local"
        assert not station.employer.of("Authorize")


async def test_slow_answers_keep_one_call_in_flight(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await quick(station, MeterValueSampleInterval=1, MessageTimeout=10, HeartbeatInterval=1)
        station.employer.delay_s = 0.8
        await charge(station, 3)
        await unplug(station)
        await station.employer.wait_for("StopTransaction", within=30)
        assert station.employer.most_outstanding == 1
        station.employer.delay_s = 0.0
