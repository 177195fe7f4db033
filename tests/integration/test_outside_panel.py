"""The agent and the employer's panel: what is clicked arrives at the charger, and both sides have the same figures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from outside import charge, the_session, unplug
from station import FLEET, Station, a_station, connector

from simulators.csms import Activation, Company, Csms
from simulators.csms.rates import flat
from simulators.panel import Panel
from tests.simulators.visitor import Visitor

pytestmark = pytest.mark.timeout(90)

HOME = "/ACME-7F3K"
DEVICE = f"{HOME}/devices/NL-TEST-1"
ACME = Company("ACME-7F3K", "Acme BV", Activation.PENDING, settings={"tariff": flat("0.29", "21")})
VIRTUAL = "VIRTUAL-1"


async def company(station: Station, state: str, version: int | None = None) -> dict[str, Any]:
    seen = await station.until(
        lambda s: s["company"]["state"] == state and version in {None, s["company"]["settings_version"]}
    )
    return dict(seen["company"])


async def add_token(visitor: Visitor, uid: str, **fields: str) -> str:
    typed = {"kind": "card", "number": "", "ema_id": "", "employee": "E1", "valid_from": "", "valid_to": ""}
    return (await visitor.post(f"{HOME}/tokens", "add", uid=uid, **(typed | fields))).text


async def cards(station: Station) -> dict[str, str]:
    return {card["id_tag"]: card["status"] for card in await station.json("cards", "list")}


async def test_an_employer_does_it_all_by_the_panel(tmp_path: Path) -> None:
    async with Csms.start(companies=[ACME]) as csms, Panel(csms, 0) as panel:
        visitor = Visitor(panel.url)
        async with a_station(
            tmp_path, url=csms.url, cloud='company_code = "acme-7f3k"', max_power=4_000_000
        ) as station:
            station.wall.speed = 500
            await station.ready()
            await company(station, "pending")
            await visitor.post(f"{HOME}/devices", "activate", station="NL-TEST-1")
            await company(station, "linked", 1)

            await visitor.post(f"{HOME}/employees", "add", name="Eva", number="", iban="NL91 ABNA 0417 1643 00")
            own = {"employee": "E1", "logging": "default", "payment": "default", "refund": "66.5", "rate": ""}
            await visitor.post(DEVICE, "save", **own)
            assert (await company(station, "linked", 2))["settings"]["refundPercentage"] == "66.5"

            await add_token(visitor, FLEET, number="NL-ACM-C00000042-K")
            await add_token(visitor, VIRTUAL, kind="virtual")
            assert await cards(station) == {FLEET: "active", VIRTUAL: "active"}
            await visitor.post(f"{HOME}/tokens/{FLEET}", "block", reason="lost")
            assert (await cards(station))[FLEET] == "blocked"
            await visitor.post(f"{HOME}/tokens/{FLEET}", "unblock")

            await charge(station, 1.0)
            await unplug(station)
            await csms.wait_for("StopTransaction", timeout=10)
            mine, (_, *theirs) = (
                await the_session(station),
                (await visitor.get(f"{HOME}/sessions/1")).text.split("Cost "),
            )
            assert f"With VAT {mine['cost']['incl_vat']} EUR Refund {mine['refund']['amount']} EUR" in theirs[-1]
            row = (await visitor.get(f"{HOME}/billing")).rows[0]
            assert (row[0], row[5]) == ("Eva", f"{mine['cost']['incl_vat']} EUR")
            assert row[6] == mine["refund"]["amount"]

            answer = await visitor.post(DEVICE, "start", token=VIRTUAL, connector="1")
            assert "RemoteStartTransaction: Accepted" in answer.text
            station.wall.car.plugged = True
            await station.until(lambda s: connector(s)["status"] == "Charging")
            await csms.wait_for("StartTransaction", nth=2, timeout=10)
            assert "RemoteStopTransaction: Accepted" in (await visitor.post(DEVICE, "stop", transaction="2")).text
            await csms.wait_for("StopTransaction", nth=2, timeout=10)
            await unplug(station)

            await visitor.post(f"{HOME}/devices", "reject", station="NL-TEST-1")
            assert (await company(station, "rejected"))["reason"] == "ended by the company"
            assert csms.violations == []


async def test_a_card_that_came_by_post_is_active_at_both_sides_once_its_driver_typed_what_is_printed(
    tmp_path: Path,
) -> None:
    acme = Company("ACME-7F3K", "Acme BV", settings={"tariff": flat("0.29", "21")})
    async with Csms.start(companies=[acme]) as csms, Panel(csms, 0) as panel:
        visitor = Visitor(panel.url)
        async with a_station(tmp_path, url=csms.url, cloud='company_code = "acme-7f3k"') as station:
            await station.ready()
            await company(station, "linked")
            await visitor.post(f"{HOME}/employees", "add", name="Eva", number="", iban="")
            await add_token(visitor, FLEET, number="NL-ACM-C00000042-K", post="yes")
            await add_token(visitor, "0A11223344", ema_id="NL-ACM-C00000042-X")
            rows = (await visitor.get(f"{HOME}/distribution/NL-TEST-1")).rows
            assert [row[2] for row in rows] == ["Taken", "Failed"]
            assert "wrong check digit" in rows[1][3]
            page = await visitor.get(f"{HOME}/tokens")
            assert page.rows[0][3] == "inactive"
            assert (await station.cli("cards", "activate", "NL-ACM-C00000042-K"))[0] == 0
            await visitor.post(f"{HOME}/distribution/NL-TEST-1", "ask", station="NL-TEST-1")
            assert (await visitor.get(f"{HOME}/tokens")).rows[0][3] == "active"
            async with asyncio.timeout(10):
                while (await visitor.get(f"{HOME}/distribution/NL-TEST-1")).rows[0][2] != "Taken":
                    await asyncio.sleep(0.1)
            assert csms.violations == []
