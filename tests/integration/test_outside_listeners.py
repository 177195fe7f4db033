"""More central systems that only listen (promise 16): the same sessions to each, and no say for any of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from employer import Employer, Payload
from outside import charge, the_session, unplug
from station import FLEET, OTHER, Station, a_station, connector

pytestmark = pytest.mark.timeout(60)

LISTENER = '[[report_to]]\nname = "ere"\nurl = "{url}"\nprotocols = ["ocpp1.6"]\n'


class Registrant(Employer):
    """Gives out transaction ids of its own."""

    def number_from(self, first: int) -> None:
        self._numbers = iter(range(first, first + 1000))  # type: ignore[assignment]  # numbers all the same


@asynccontextmanager
async def both(folder: Path, cloud: str = "") -> AsyncIterator[tuple[Station, Registrant]]:
    """Run a station that also reports to a registrant."""
    async with Registrant() as registrant:
        registrant.number_from(90_001)
        async with a_station(folder, cloud=f"{cloud}\n{LISTENER.format(url=registrant.url)}") as station:
            yield station, registrant


def listener(status: dict[str, Any]) -> dict[str, Any]:
    (one,) = status["report_to"]
    return dict(one)


def told(system: Employer) -> list[tuple[str, Payload]]:
    """Return starts and stops without what each system numbers for itself."""
    found = [r for r in system.got if r.action in {"StartTransaction", "StopTransaction"}]
    return [(r.action, {k: v for k, v in r.payload.items() if k != "transactionId"}) for r in found]


async def stopped(system: Employer, count: int = 1) -> None:
    await system.wait_for("StopTransaction", count, 15)


@pytest.mark.requirement(24)
async def test_each_gets_every_session_with_its_own_boot_ids_and_transactions(tmp_path: Path) -> None:
    async with both(tmp_path) as (station, registrant):
        await station.ready()
        await station.until(lambda s: listener(s)["registration"] == "Accepted")
        await charge(station, 1.0)
        await unplug(station)
        await stopped(station.employer)
        await stopped(registrant)
        assert told(station.employer) == told(registrant)
        assert registrant.of("StopTransaction")[0].payload["transactionId"] == 90_001
        assert station.employer.of("StopTransaction")[0].payload["transactionId"] == 1001
        ours, theirs = ({r.message_id for r in system.got} for system in (station.employer, registrant))
        assert not ours & theirs
        await station.until(lambda s: listener(s)["queued_messages"] == 0)
        session = await the_session(station)
        assert session["delivery"] == [
            {"to": "cloud", "state": "confirmed", "error": None},
            {"to": "ere", "state": "confirmed", "error": None},
        ]
        assert session["transaction_id"] == 1001
        assert not registrant.of("Authorize")
        assert not registrant.of("DataTransfer")
        statuses = [r.payload["status"] for r in registrant.of("StatusNotification") if r.payload["connectorId"] == 1]
        assert statuses[-1] == "Available"
        assert "Charging" in statuses
        status, out, _ = await station.cli("status")
        assert status == 0
        assert "ere" in out


@pytest.mark.requirement(24)
async def test_one_that_is_down_holds_nobody_up_and_is_filled_up_afterwards(tmp_path: Path) -> None:
    async with both(tmp_path) as (station, registrant):
        await station.ready()
        await station.until(lambda s: listener(s)["registration"] == "Accepted")
        await registrant.close()
        await station.until(lambda s: listener(s)["state"] != "connected")
        await charge(station, 0.5)
        await unplug(station)
        await stopped(station.employer)
        station.kill()
        station.start()
        await station.ready()
        await charge(station, 0.5)
        await unplug(station)
        await stopped(station.employer, 2)
        assert (await station.status())["cloud"]["queued_messages"] == 0
        assert listener(await station.status())["queued_messages"] >= 4
        await registrant.open()
        await stopped(registrant, 2)
        assert told(registrant) == told(station.employer)


async def test_one_that_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    async with both(tmp_path) as (station, registrant):
        registrant.mute = True
        await station.ready()
        await charge(station, 0.5)
        await unplug(station)
        await stopped(station.employer)
        assert (await the_session(station))["reporting"] == "reported"


#: what it commands -> what it is answered
REFUSED: list[tuple[str, Payload, Payload]] = [
    ("RemoteStartTransaction", {"idTag": OTHER, "connectorId": 1}, {"status": "Rejected"}),
    ("RemoteStopTransaction", {"transactionId": 90_001}, {"status": "Rejected"}),
    ("RemoteStopTransaction", {"transactionId": 1001}, {"status": "Rejected"}),
    ("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "1"}, {"status": "Rejected"}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "77"}, {"status": "Rejected"}),
    ("ClearCache", {}, {"status": "Rejected"}),
    ("Reset", {"type": "Hard"}, {"status": "Rejected"}),
    ("UnlockConnector", {"connectorId": 1}, {"status": "NotSupported"}),
    ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {}}, {"error": "NotSupported"}),
    ("ClearChargingProfile", {}, {"status": "Unknown"}),
    ("SendLocalList", {"listVersion": 1, "updateType": "Full"}, {"status": "Failed"}),
]


def pushed(message: str, data: object) -> tuple[str, Payload]:
    return "DataTransfer", {"vendorId": "org.wallbox-agent", "messageId": message, "data": json.dumps(data)}


async def test_it_commands_nothing_and_reads_what_it_likes(tmp_path: Path) -> None:
    async with both(tmp_path) as (station, registrant):
        await station.ready()
        await station.until(lambda s: listener(s)["registration"] == "Accepted")
        await charge(station, 0.5)
        for action, payload, answer in REFUSED:
            assert await registrant.call(action, payload) == answer, action
        for action, payload in (pushed("CompanySettings", {"version": 9}), pushed("CompanyLink", {"status": "Linked"})):
            assert (await registrant.call(action, payload))["status"] == "Rejected"
        assert await registrant.call("GetLocalListVersion", {}) == {"listVersion": 0}
        for message in ("Heartbeat", "StatusNotification", "MeterValues"):
            asked: Payload = {"requestedMessage": message}
            before = len(registrant.of(message)), len(station.employer.of(message))
            assert await registrant.call("TriggerMessage", asked) == {"status": "Accepted"}
            await registrant.wait_for(message, before[0] + 1)
            assert len(station.employer.of(message)) == before[1]
        asked = {"connectorId": 1, "duration": 60}
        assert (await registrant.call("GetCompositeSchedule", asked))["status"] == "Accepted"
        answer = await registrant.call("GetConfiguration", {"key": ["NumberOfConnectors"]})
        assert answer["configurationKey"][0]["value"] == "1"
        seen = await station.status()
        assert connector(seen)["status"] == "Charging"
        assert connector(seen)["session"]["transaction_id"] == 1001
        await unplug(station)


async def test_its_verdict_and_its_clock_count_for_nothing(tmp_path: Path) -> None:
    async with both(tmp_path) as (station, registrant):
        registrant.cards = {}
        ancient = "2001-01-01T00:00:00.000Z"
        registrant.answers["BootNotification"] = lambda _: {
            "status": "Accepted", "currentTime": ancient, "interval": 1
        }  # fmt: skip
        registrant.answers["Heartbeat"] = lambda _: {"currentTime": ancient}
        await station.ready()
        await station.employer.call("ChangeConfiguration", {"key": "StopTransactionOnInvalidId", "value": "true"})
        await charge(station, 1.5)
        await registrant.wait_for("StartTransaction")
        await registrant.wait_for("Heartbeat", 2)
        await asyncio.sleep(0.5)
        assert connector(await station.status())["status"] == "Charging"
        await unplug(station)
        await stopped(registrant)
        assert registrant.of("StopTransaction")[0].payload["timestamp"] > "2026"
        assert len(station.employer.of("Heartbeat")) == 0
        await charge(station, 0.3)
        assert len(station.employer.of("Authorize")) >= 1
        await unplug(station)


async def test_nothing_of_a_private_card_goes_there_either(tmp_path: Path) -> None:
    async with both(tmp_path) as (station, registrant):
        await station.ready()
        await station.until(lambda s: listener(s)["registration"] == "Accepted")
        assert (await station.cli("cards", "add", FLEET, "--profile", "private"))[0] == 0
        await charge(station, 1.0)
        await unplug(station)
        await asyncio.sleep(0.5)
        assert {r.action for r in registrant.got} == {"BootNotification", "StatusNotification"}
        assert FLEET.lower() not in json.dumps([r.payload for r in registrant.got]).lower()


async def refused(registrant: Registrant, answer: Callable[[Payload], Payload | str | None], station: Station) -> None:
    for action in ("StartTransaction", "StopTransaction"):
        registrant.answers[action] = answer
    await charge(station, 0.3)
    await unplug(station)
    await stopped(station.employer)


async def test_what_it_refuses_for_good_is_kept_apart_and_can_be_sent_again(tmp_path: Path) -> None:
    async with both(tmp_path) as (station, registrant):
        await station.ready()
        for key, value in (("TransactionMessageAttempts", 1), ("TransactionMessageRetryInterval", 0)):
            await station.employer.call("ChangeConfiguration", {"key": key, "value": str(value)})
        await refused(registrant, lambda _: "InternalError", station)
        await station.until(lambda s: listener(s)["queued_messages"] == 0)
        session = await the_session(station)
        assert session["reporting"] == "reported"
        ways = {way["to"]: (way["state"], way["error"]) for way in session["delivery"]}
        assert ways["cloud"] == ("confirmed", None)
        assert ways["ere"][0] == "refused"
        assert "InternalError" in ways["ere"][1]
        registrant.answers.clear()
        assert (await station.cli("sessions", "resend", session["id"]))[0] == 0
        await station.until(lambda s: listener(s)["queued_messages"] == 0)
        assert {way["state"] for way in (await the_session(station))["delivery"]} == {"confirmed"}
        assert len(station.employer.of("StartTransaction")) == 1
