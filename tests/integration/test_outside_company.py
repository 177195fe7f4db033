"""The company link from outside: codes, every answer to LinkCompany, held and local sessions, settings, privacy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from employer import Payload
from outside import charge, the_session, transactions, unplug
from station import FLEET, Station, a_station

pytestmark = pytest.mark.timeout(60)

VENDOR = "org.wallbox-agent"
CODE = 'company_code = "acme-7f3k"'


def answering(status: str, **more: object) -> Callable[[Payload], Payload]:
    """Answer LinkCompany so."""

    def answer(payload: Payload) -> Payload:
        if payload["vendorId"] != VENDOR or payload["messageId"] != "LinkCompany":
            return {"status": "Accepted"}
        return {"status": "Accepted", "data": json.dumps({"status": status, **more})}

    return answer


async def told(station: Station, message: str, data: object) -> Payload:
    """Push something to the station."""
    text = data if isinstance(data, str) else json.dumps(data)
    return await station.employer.call("DataTransfer", {"vendorId": VENDOR, "messageId": message, "data": text})


async def company(station: Station, state: str) -> dict[str, Any]:
    return dict((await station.until(lambda s: s["company"]["state"] == state))["company"])


FIELDS = {"companyCode", "stationId", "evseIds", "meterSerialNumbers", "agentVersion", "settingsVersion"}


async def test_a_code_in_lower_case_links_and_everything_is_told(tmp_path: Path) -> None:
    async with a_station(tmp_path, cloud=CODE) as station:
        settings = {"version": 7, "refundPercentage": "80"}
        station.employer.answers["DataTransfer"] = answering("Linked", companyName="Acme BV", settings=settings)
        seen = await company(station, "linked")
        assert (seen["code"], seen["name"], seen["settings_version"]) == ("ACME-7F3K", "Acme BV", 7)
        data = json.loads(station.employer.of("DataTransfer")[0].payload["data"])
        assert set(data) == FIELDS
        assert (data["companyCode"], data["meterSerialNumbers"]) == ("ACME-7F3K", ["23004711"])
        for wrong in ("ab", "acme_7", "x" * 37):
            assert (await station.cli("link", wrong))[0] == 2


#: the answer to LinkCompany -> the state that it comes to
ANSWERS: list[tuple[Payload | str, str]] = [
    ({"status": "UnknownVendorId"}, "unsupported"),
    ({"status": "UnknownMessageId"}, "unsupported"),
    ("NotImplemented", "unsupported"),
    ({"status": "Accepted"}, "unsupported"),
    ({"status": "Accepted", "data": "garbage"}, "unsupported"),
    ({"status": "Accepted", "data": '{"status": "Perhaps"}'}, "unsupported"),
    ({"status": "Rejected"}, "rejected"),
    ({"status": "Accepted", "data": '{"status": "Rejected", "reason": "unknown code"}'}, "rejected"),
    ({"status": "Accepted", "data": '{"status": "Pending"}'}, "pending"),
    ("InternalError", "pending"),
]


async def test_every_answer_to_linkcompany_has_its_state(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        for number, (answer, state) in enumerate(ANSWERS):
            station.employer.answers["DataTransfer"] = lambda _, answer=answer: answer  # type: ignore[misc]  # bound now
            assert (await station.cli("link", f"ACME-{number}"))[0] in {0, 1}
            seen = await station.until(
                lambda s, wanted=(f"ACME-{number}", state): (s["company"]["code"], s["company"]["state"]) == wanted  # type: ignore[misc]  # bound now
            )
            assert seen["cloud"]["state"] == "connected"


async def test_sessions_held_while_pending_are_delivered_after_activation(tmp_path: Path) -> None:
    async with a_station(tmp_path, cloud=CODE) as station:
        station.employer.answers["DataTransfer"] = answering("Pending")
        await station.ready()
        await company(station, "pending")
        await charge(station, 0.5)
        await unplug(station)
        assert (await the_session(station))["reporting"] == "pending"
        assert not transactions(station)
        assert await station.employer.call("RemoteStartTransaction", {"idTag": FLEET, "connectorId": 1}) == {
            "status": "Rejected"
        }
        assert (await told(station, "CompanyLink", {"status": "Linked", "companyName": "Acme BV"}))[
            "status"
        ] == "Accepted"
        await station.employer.wait_for("StopTransaction")
        assert [r.action for r in transactions(station)] == ["StartTransaction", "StopTransaction"]
        await asyncio.sleep(0.5)
        assert (await the_session(station))["reporting"] == "reported"


async def test_sessions_held_while_pending_stay_here_after_rejection(tmp_path: Path) -> None:
    async with a_station(tmp_path, cloud=CODE) as station:
        station.employer.answers["DataTransfer"] = answering("Pending")
        await station.ready()
        await company(station, "pending")
        await charge(station, 0.5)
        await unplug(station)
        assert (await told(station, "CompanyLink", {"status": "Rejected", "reason": "left"}))["status"] == "Accepted"
        shown = await company(station, "rejected")
        assert shown["reason"] == "left"
        await charge(station, 0.5)
        await unplug(station)
        await asyncio.sleep(0.5)
        assert not transactions(station)
        sessions = await station.json("sessions", "list")
        assert [s["reporting"] for s in sessions] == ["local-only", "local-only"]


BAD_SETTINGS: list[object] = [
    {"version": 4},
    {"version": 7, "refundPercentage": "150"},
    {"version": 7, "refundPercentage": "NaN"},
    {"version": 7, "sessionLogging": "yes"},
    {"version": 7, "tariff": {}},
    {"version": 7, "refundPercentage": []},
    {"version": "7x"},
    {"version": True},
    {"version": 1.5},
    {"version": 10**30},
    {},
    [],
    "garbage",
]


async def test_settings_count_by_version_whole_or_not_at_all(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        assert (await told(station, "CompanySettings", {"version": 3}))["status"] == "Rejected"
        station.employer.answers["DataTransfer"] = answering("Linked", settings={"version": 5})
        assert (await station.cli("link", "acme-7f3k"))[0] == 0
        await company(station, "linked")
        good = {"version": 6, "refundPercentage": "50", "sessionLogging": True}
        assert (await told(station, "CompanySettings", good))["status"] == "Accepted"
        for bad in BAD_SETTINGS:
            answer = await told(station, "CompanySettings", bad)
            assert answer["status"] == "Rejected", bad
            assert json.loads(answer["data"])["reason"], bad
        same = {"version": 6, "refundPercentage": "10"}
        assert (await told(station, "CompanySettings", same))["status"] == "Accepted"
        seen = (await station.status())["company"]
        assert (seen["settings_version"], seen["settings"]["refundPercentage"]) == (6, "50")


async def test_refund_and_tariff_count_from_the_next_session_on(tmp_path: Path) -> None:
    def tariff(price: float) -> dict[str, object]:
        return {
            "country_code": "NL",
            "party_id": "ACM",
            "id": "1",
            "currency": "EUR",
            "last_updated": "2026-01-01T00:00:00Z",
            "elements": [{"price_components": [{"type": "ENERGY", "price": price, "vat": 21, "step_size": 1}]}],
        }

    async with a_station(tmp_path, cloud=CODE, max_power=4_000_000) as station:
        station.wall.speed = 200
        station.employer.answers["DataTransfer"] = answering(
            "Linked", settings={"version": 5, "refundPercentage": "100", "tariff": tariff(1.0)}
        )
        await station.ready()
        await company(station, "linked")
        await charge(station, 1.0)
        answer = await told(station, "CompanySettings", {"version": 6, "refundPercentage": "50", "tariff": tariff(2.0)})
        assert answer["status"] == "Accepted", answer
        await unplug(station)
        await charge(station, 1.0)
        await unplug(station)
        first, second = await station.json("sessions", "list")
        for s, price in ((first, 1), (second, 2)):
            assert abs(float(s["cost"]["excl_vat"]) - s["energy_wh"] / 1000 * price) < 0.011
        assert (first["refund"]["percentage"], second["refund"]["percentage"]) == ("100", "50")


async def test_a_private_card_leaves_no_trace_outside(tmp_path: Path) -> None:
    private = "0ABBCCDD11"
    async with a_station(tmp_path) as station:
        await station.ready()
        status, _, err = await station.cli("cards", "add", private, "--profile", "private", "--name", "Me")
        assert status == 0, err
        assert await station.employer.call(
            "ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "1"}
        ) == {"status": "Accepted"}
        await charge(station, 3.0, private)
        await unplug(station)
        await asyncio.sleep(0.5)
        seen = {r.action for r in station.employer.got}
        assert seen == {"BootNotification", "StatusNotification"}
        everything = json.dumps([r.payload for r in station.employer.got]).lower()
        assert private.lower() not in everything
        assert private[-4:].lower() not in everything
        session = await the_session(station)
        assert (session["reporting"], session["refund"], session["profile"]) == ("local-only", None, "private")
        assert private not in station.log.read_text().upper()


async def test_without_session_logging_nothing_of_a_session_is_sent(tmp_path: Path) -> None:
    async with a_station(tmp_path, cloud=CODE) as station:
        station.employer.answers["DataTransfer"] = answering("Linked", settings={"version": 5, "sessionLogging": False})
        await station.ready()
        await company(station, "linked")
        assert await station.employer.call("RemoteStartTransaction", {"idTag": FLEET, "connectorId": 1}) == {
            "status": "Rejected"
        }
        await charge(station, 1.0)
        await unplug(station)
        await asyncio.sleep(0.5)
        assert not transactions(station)
        assert not station.employer.of("MeterValues")
        assert (await the_session(station))["reporting"] == "local-only"


async def test_after_unlink_sessions_stay_here_and_the_company_is_told(tmp_path: Path) -> None:
    async with a_station(tmp_path, cloud=CODE) as station:
        station.employer.answers["DataTransfer"] = answering(
            "Linked", settings={"version": 5, "refundPercentage": "80"}
        )
        await station.ready()
        await company(station, "linked")
        assert (await station.cli("unlink"))[0] == 0
        await company(station, "none")
        await station.employer.wait(
            lambda: any(r.payload["messageId"] == "UnlinkCompany" for r in station.employer.of("DataTransfer"))
        )
        await charge(station, 0.5)
        await unplug(station)
        await asyncio.sleep(0.5)
        session = await the_session(station)
        assert session["reporting"] == "local-only"
        assert not transactions(station)
        told_so_far = len(station.employer.of("DataTransfer"))
        station.kill()
        station.wall.car.plugged = False
        station.start()
        await station.ready()
        await asyncio.sleep(1.0)
        assert (await station.status())["company"]["state"] == "none"
        assert len(station.employer.of("DataTransfer")) == told_so_far


async def test_prices_by_the_hour_that_come_after_a_session_give_it_its_cost(tmp_path: Path) -> None:
    async with a_station(tmp_path, cloud=CODE) as station:
        station.employer.answers["DataTransfer"] = answering("Linked", settings={"version": 5})
        text = station.config.read_text().replace("energy = 0.29\n", '[statement]\nbasis = "hourly"\n')
        station.kill()
        station.config.write_text(text)
        station.start()
        await station.ready()
        await company(station, "linked")
        await charge(station, 2.0)
        await unplug(station)
        session = await the_session(station)
        assert (session["cost"], session["refund"]) == (None, None)
        prices = {"currency": "EUR", "start": session["started_at"][:14] + "00:00Z", "prices": ["2.50", "2.50"]}
        refused = await told(station, "DayAheadPrices", prices | {"currency": "SEK"})
        assert (refused["status"], "SEK" in refused["data"]) == ("Rejected", True)
        for wrong in ("{", "[]", {}, prices | {"prices": []}, prices | {"start": "now"}, prices | {"resolution": 7}):
            assert (await told(station, "DayAheadPrices", wrong))["status"] == "Rejected"
        assert (await the_session(station))["cost"] is None
        assert (await told(station, "DayAheadPrices", prices))["status"] == "Accepted"
        for _ in range(50):
            session = await the_session(station)
            if session["cost"] is not None:
                break
        exact = Decimal(session["energy_wh"]) * Decimal("2.5") / 1000
        assert session["cost"]["energy"] == str(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))
        assert session["refund"]["amount"] == session["cost"]["incl_vat"]
        status, out, err = await station.cli("sessions", "verify")
        assert (status, err) == (0, ""), out


async def test_an_unlink_that_nobody_could_hear_is_told_after_a_restart(tmp_path: Path) -> None:
    async with a_station(tmp_path, cloud=CODE) as station:
        station.employer.answers["DataTransfer"] = answering("Linked")
        await station.ready()
        await company(station, "linked")
        await station.employer.close()
        await station.until(lambda s: s["cloud"]["state"] != "connected")
        assert (await station.cli("unlink"))[0] == 0
        station.kill()
        station.start()
        await station.until(lambda s: s["company"]["state"] == "none")
        await station.employer.open()

        def unlinks() -> list[Any]:
            return [r for r in station.employer.of("DataTransfer") if r.payload["messageId"] == "UnlinkCompany"]

        await station.employer.wait(unlinks)
        assert json.loads(unlinks()[0].payload["data"]) == {"companyCode": "ACME-7F3K"}
        station.stop()
        station.start()
        await station.ready()
        await asyncio.sleep(0.5)
        assert len(unlinks()) == 1
