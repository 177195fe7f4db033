"""The company link seen from the cloud: registry, activation, settings with versions, terms of sessions, commands."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simulators.console import Commands
from simulators.csms import Activation, Company, Csms, Token, TokenStatus
from simulators.csms.commands import Commander
from simulators.csms.rates import day_night, flat
from simulators.errors import Misuse, SimulatorError
from tests.simulators.station import RawStation, booted, now

VENDOR = "org.wallbox-agent"
ACME = Company("ACME-7F3K", "Acme BV", settings={"refundPercentage": "80", "tariff": flat("0.29", "21")})
PENDING = Company("SLOW-1", "Slow Ltd", Activation.PENDING)
REFUSING = Company("NO-1", "No GmbH", Activation.REJECTED, "no private chargers")


def link(code: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    data = {
        "companyCode": code,
        "stationId": "CP1",
        "evseIds": ["NL*ACM*E1*1"],
        "meterSerialNumbers": ["23004711"],
        "agentVersion": "0.1.0",
        "settingsVersion": None,
    }
    return transfer("LinkCompany", data | changes)


def transfer(message: str, data: object) -> dict[str, Any]:
    return {"vendorId": VENDOR, "messageId": message, "data": json.dumps(data)}


async def later() -> None:
    """Let the milliseconds go by that timestamps have."""
    await asyncio.sleep(0.003)


async def linked(cp: RawStation, code: str) -> dict[str, Any]:
    answer = await cp.ask("DataTransfer", link(code))
    assert answer["status"] == "Accepted"
    told: dict[str, Any] = json.loads(answer["data"])
    return told


async def told(cp: RawStation, message: str, status: str = "Accepted", **more: str) -> dict[str, Any]:
    """Answer a DataTransfer of the cloud; return what it said."""
    call = await cp.answer({"status": status, **more})
    assert call[2:] == ["DataTransfer", call[3]]
    assert (call[3]["vendorId"], call[3]["messageId"]) == (VENDOR, message)
    data: dict[str, Any] = json.loads(call[3]["data"])
    return data


async def test_a_code_links_at_once_whatever_its_case() -> None:
    async with Csms.start(companies=[ACME]) as csms, booted(csms.url) as cp:
        assert await linked(cp, "acme-7f3k") == {
            "status": "Linked",
            "companyName": "Acme BV",
            "settings": {
                "version": 1,
                "sessionLogging": True,
                "automaticPayment": False,
                "refundPercentage": "80",
                "tariff": ACME.settings["tariff"],
            },
        }
        device = csms.state.devices["CP1"]
        assert (device.state, device.evse_ids, device.meter_serials) == ("linked", ["NL*ACM*E1*1"], ["23004711"])
        assert csms.violations == []


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("NOBODY", {"status": "Rejected", "reason": "unknown company code"}),
        ("NO-1", {"status": "Rejected", "companyName": "No GmbH", "reason": "no private chargers"}),
        ("SLOW-1", {"status": "Pending", "companyName": "Slow Ltd"}),
    ],
)
async def test_other_codes(code: str, answer: dict[str, str]) -> None:
    async with Csms.start(companies=[ACME, PENDING, REFUSING]) as csms, booted(csms.url) as cp:
        assert await linked(cp, code) == answer


async def test_a_pending_charger_is_activated_and_later_ended() -> None:
    async with Csms.start(companies=[PENDING]) as csms, booted(csms.url) as cp:
        await linked(cp, "SLOW-1")
        activating = asyncio.create_task(csms.desk.activate("CP1"))
        data = await told(cp, "CompanyLink")
        assert (data["status"], data["settings"]["version"]) == ("Linked", 1)
        await activating
        assert (await linked(cp, "SLOW-1"))["status"] == "Linked"
        ending = asyncio.create_task(csms.desk.reject("CP1", "left the company"))
        assert await told(cp, "CompanyLink") == {
            "status": "Rejected",
            "companyName": "Slow Ltd",
            "reason": "left the company",
        }
        await ending
        assert (await linked(cp, "SLOW-1"))["status"] == "Rejected"


async def test_settings_are_pushed_with_a_new_version_and_may_be_one_chargers_own() -> None:
    async with Csms.start(companies=[Company("A-1", "A")]) as csms, booted(csms.url) as cp:
        await linked(cp, "A-1")
        change = asyncio.create_task(csms.desk.change("CP1", refundPercentage="50", sessionLogging=False))
        data = await told(cp, "CompanySettings")
        assert (data["version"], data["refundPercentage"], data["sessionLogging"]) == (2, "50", False)
        await change
        change = asyncio.create_task(csms.desk.change("a-1", refundPercentage="70", automaticPayment=True))
        data = await told(cp, "CompanySettings")
        assert (data["version"], data["refundPercentage"], data["automaticPayment"]) == (3, "50", True)
        await change
        change = asyncio.create_task(csms.desk.change("CP1", refundPercentage=None))
        assert (await told(cp, "CompanySettings"))["refundPercentage"] == "70"
        await change


async def test_settings_that_a_station_refuses_are_no_terms() -> None:
    async with Csms.start(companies=[Company("A-1", "A")]) as csms, booted(csms.url) as cp:
        await linked(cp, "A-1")
        change = asyncio.create_task(csms.desk.change("CP1", refundPercentage="many"))
        await told(cp, "CompanySettings", "Rejected", data='{"reason": "no percentage"}')
        with pytest.raises(SimulatorError, match=r"CP1 answers CompanySettings with Rejected .*no percentage"):
            await change
        assert len(csms.state.devices["CP1"].terms) == 1
        with pytest.raises(Misuse, match="CP2 has not given a company code"):
            await csms.desk.change("CP2", refundPercentage="1")


async def test_a_station_leaves_and_comes_back() -> None:
    async with Csms.start(companies=[ACME]) as csms, booted(csms.url) as cp:
        await linked(cp, "ACME-7F3K")
        assert await cp.ask("DataTransfer", transfer("UnlinkCompany", {"companyCode": "ACME-7F3K"})) == {
            "status": "Accepted"
        }
        assert csms.state.devices["CP1"].state == "ended"
        assert (await linked(cp, "ACME-7F3K"))["settings"]["version"] == 2
        assert csms.violations == []


async def test_what_is_no_company_link_is_answered_as_ocpp_says() -> None:
    async with Csms.start(companies=[ACME]) as csms, booted(csms.url) as cp:
        for payload, status in (
            ({"vendorId": "other"}, "UnknownVendorId"),
            ({"vendorId": VENDOR}, "UnknownMessageId"),
            (transfer("Dance", {}), "UnknownMessageId"),
            ({"vendorId": VENDOR, "messageId": "LinkCompany", "data": "{"}, "Rejected"),
            (link("ACME-7F3K", evseIds="one", agentVersion=None), "Rejected"),
        ):
            assert await cp.ask("DataTransfer", payload) == {"status": status}
        await cp.ask("DataTransfer", link("ACME-7F3K", stationId="CP9"))
        await cp.ask("DataTransfer", transfer("UnlinkCompany", {"companyCode": "OTHER"}))
        assert [violation.text for violation in csms.violations] == [
            "data of LinkCompany is no JSON object",
            f"LinkCompany: missing or of a wrong type: {', '.join(json.loads(link('')['data']))}",
            "LinkCompany: missing or of a wrong type: evseIds, agentVersion",
            "LinkCompany names another station: CP9",
            "UnlinkCompany from a company it is not linked to",
        ]
        csms.company_link.enabled = False
        assert await cp.ask("DataTransfer", link("ACME-7F3K")) == {"status": "UnknownVendorId"}


async def test_sessions_keep_the_terms_they_began_with_also_when_they_are_reported_late() -> None:
    early = now()
    async with Csms.start(companies=[ACME], accept_unknown=True) as csms, booted(csms.url) as cp:
        await linked(cp, "ACME-7F3K")
        await later()
        first = now()
        await later()
        change = asyncio.create_task(csms.desk.change("CP1", refundPercentage="10", tariff=flat("1.00", "0")))
        await told(cp, "CompanySettings")
        await change
        await later()
        for start in (early, first, now()):
            number = (await cp.start(meterStart=0, timestamp=start))["transactionId"]
            await cp.stop(number, meterStop=10_000, timestamp=now())
        bills = csms.sessions()
        assert [str(bill.cost.incl_vat) for bill in bills if bill.cost] == ["3.51", "3.51", "10.00"]
        assert [str(bill.refund) for bill in bills] == ["2.81", "2.81", "1.00"]


async def test_without_a_company_the_default_rate_holds_and_boundaries_come_from_transaction_data() -> None:
    async with Csms.start(tariff=day_night("0.34", "0.25", "21"), accept_unknown=True) as csms, booted(csms.url) as cp:
        await cp.start(meterStart=1000, timestamp="2026-11-20T21:00:00Z")
        boundary = {"timestamp": "2026-11-20T22:00:00Z", "sampledValue": [{"value": "8000", "context": "Other"}]}
        await cp.stop(1, meterStop=17_500, timestamp="2026-11-21T00:00:00Z", transactionData=[boundary])
        await cp.start(meterStart=17_500, timestamp="2026-11-23T21:00:00Z")
        await cp.stop(2, meterStop=18_000, timestamp="2026-11-23T23:00:00Z")
        priced, unpriced = csms.sessions()
        assert priced.cost is not None
        assert (priced.cost.excl_vat, priced.cost.vat, priced.refund) == tuple(map(Decimal, ("4.76", "1.00", "5.76")))
        assert (unpriced.cost, unpriced.why) == (None, "no reading at 2026-11-23 23:00, where the price changes")


async def test_transactions_that_the_company_may_not_see_are_noted() -> None:
    async with Csms.start(companies=[ACME, PENDING], accept_unknown=True) as csms, booted(csms.url) as cp:
        await linked(cp, "SLOW-1")
        await cp.start(meterStart=0)
        await cp.stop(1, meterStop=1)
        await linked(cp, "ACME-7F3K")
        change = asyncio.create_task(csms.desk.change("CP1", sessionLogging=False))
        await told(cp, "CompanySettings")
        await change
        await later()
        await cp.start(meterStart=1)
        await cp.stop(2, meterStop=2)
        await cp.ask("DataTransfer", transfer("UnlinkCompany", {"companyCode": "ACME-7F3K"}))
        await later()
        await cp.start(meterStart=2)
        assert [violation.text for violation in csms.violations] == [
            "a transaction although the company link is pending",
            "a transaction although the company switched session logging off",
            "a transaction although the company link is ended",
            "a transaction although the company switched session logging off",
        ]


async def test_a_card_is_blocked_for_a_while_and_deactivated_for_good() -> None:
    async with Csms.start(tokens=[Token("AB12")]) as csms, booted(csms.url) as cp:

        async def status() -> str:
            return str((await cp.ask("Authorize", {"idTag": "AB12"}))["idTagInfo"]["status"])

        csms.desk.set_status("ab12", TokenStatus.BLOCKED)
        assert await status() == "Blocked"
        csms.desk.set_status("ab12", TokenStatus.ACTIVE)
        csms.state.tokens["AB12"].valid_to = datetime(2026, 1, 1, tzinfo=UTC)
        assert await status() == "Expired"
        csms.state.tokens["AB12"].valid_to = datetime(2099, 1, 1, tzinfo=UTC)
        info = (await cp.ask("Authorize", {"idTag": "AB12"}))["idTagInfo"]
        assert info == {"status": "Accepted", "expiryDate": "2099-01-01T00:00:00Z"}
        csms.state.tokens["AB12"].valid_from = datetime(2098, 1, 1, tzinfo=UTC)
        assert await status() == "Invalid"
        csms.desk.set_status("AB12", TokenStatus.DEACTIVATED)
        with pytest.raises(Misuse, match="deactivated for good"):
            csms.desk.set_status("AB12", TokenStatus.ACTIVE)


async def test_the_whole_registry_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    async with Csms.start(companies=[ACME], tokens=[Token("AB12")], state_file=file) as csms, booted(csms.url) as cp:
        await linked(cp, "ACME-7F3K")
        before = csms.state
    async with Csms.start(state_file=file) as csms:
        assert csms.state == before


# -- the line commands


class Typist:
    """Types lines for a central system with one station."""

    def __init__(self, csms: Csms, cp: RawStation) -> None:
        self.commands = Commands()
        Commander(csms).add_to(self.commands)
        self.cp = cp

    async def type(self, line: str, answer: dict[str, Any] | None = None) -> tuple[list[Any], str]:
        """Type a line that makes a call; return the call and what was printed."""
        typing = asyncio.create_task(self.commands.obey(line))
        call = (await self.cp.answer(answer or {"status": "Accepted"}))[2:]
        return call, await typing


async def test_the_operators_commands_become_calls() -> None:
    async with Csms.start(tokens=[Token("AB12", "NL-1")]) as csms, booted(csms.url) as cp:
        typist = Typist(csms, cp)
        await cp.start()
        list_ = {"listVersion": 3, "updateType": "Full"}
        cards = [{"idTag": "AB12", "idTagInfo": {"status": "Accepted"}}]
        for line, call in {
            "remote-start AB12 1": ["RemoteStartTransaction", {"idTag": "AB12", "connectorId": 1}],
            "remote-start CP1 AB12": ["RemoteStartTransaction", {"idTag": "AB12"}],
            "remote-stop": ["RemoteStopTransaction", {"transactionId": 1}],
            "remote-stop 7": ["RemoteStopTransaction", {"transactionId": 7}],
            "set HeartbeatInterval 60": ["ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}],
            "reset hard": ["Reset", {"type": "Hard"}],
            "clear-cache": ["ClearCache", {}],
            "availability 1 inoperative": ["ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}],
            "trigger Heartbeat": ["TriggerMessage", {"requestedMessage": "Heartbeat"}],
            "send-list 3": ["SendLocalList", list_ | {"localAuthorizationList": cards}],
            'call CP1 DataTransfer {"vendorId": "x"}': ["DataTransfer", {"vendorId": "x"}],
        }.items():
            assert (await typist.type(line))[0] == call
        assert (await typist.type("unlock", {"status": "Unlocked"}))[0] == ["UnlockConnector", {"connectorId": 1}]
        keys = {"configurationKey": [{"key": "A", "readonly": True, "value": "1"}], "unknownKey": ["B"]}
        call, shown = await typist.type("get A B", keys)
        assert (call, shown.split()) == (
            ["GetConfiguration", {"key": ["A", "B"]}],
            ["A", "1", "read-only", "B", "unknown"],
        )
        assert csms.violations == []
        for line, error in {
            "remote-start": "usage: remote-start .STATION. UID .CONNECTOR.",
            "fault Boot error": "unknown action 'Boot', try any",
            "fault Heartbeat dance": "usage: fault ACTION.any DEED",
            "cut softly": "cannot cut by 'softly'",
            "boot Perhaps": "'Perhaps' is no registration status",
            "settings CP1 refund": "write settings as KEY=VALUE",
            "block FF": "no card FF",
            "activate": "CP1 has not given a company code",
        }.items():
            with pytest.raises(Misuse, match=error):
                await typist.commands.obey(line)


async def test_the_employers_commands() -> None:
    async with Csms.start(companies=[PENDING], tokens=[Token("AB12", "NL-1")]) as csms, booted(csms.url) as cp:
        typist = Typist(csms, cp)
        await linked(cp, "SLOW-1")
        assert (await typist.type("activate"))[0][1]["messageId"] == "CompanyLink"
        await typist.type("settings refundPercentage=60 sessionLogging=false")
        assert csms.state.devices["CP1"].overrides == {"refundPercentage": "60", "sessionLogging": False}
        await typist.type('settings SLOW-1 tariff={"a":1}')
        assert json.loads(await typist.commands.obey("settings slow-1")) == {"tariff": {"a": 1}}
        assert json.loads(await typist.commands.obey("settings"))["version"] == 3
        await typist.type("reject CP1 left us")
        for line, shown in {
            "companies": "SLOW-1 Slow Ltd pending CP1 rejected",
            "block AB12": "",
            "cards": "AB12 NL-1 blocked",
            "stations": "CP1 online Accepted SLOW-1 rejected",
            "statement 2026-11": "total 0 0.000 0.00 0.00 0.00 0.00",
            "paid 2026-10 CP1": "nothing to pay",
            "sessions": "transaction station card start stop kWh cost refund",
            "violations": "",
        }.items():
            assert " ".join((await typist.commands.obey(line)).split()).endswith(shown), line
        with pytest.raises(Misuse, match="2999-11 is not over"):
            await typist.commands.obey("paid 2999-11 CP1")


async def test_faults_are_typed_too() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        commands = Typist(csms, cp).commands
        await commands.obey("fault Heartbeat error 1 1 GenericError")
        assert (await cp.call("Heartbeat", {}))[2] == "GenericError"
        await commands.obey("fault Heartbeat missing-fields")
        assert await cp.ask("Heartbeat") == {}
        await commands.obey("boot Rejected 12")
        assert (await cp.boot())["interval"] == 12
        await commands.obey("delay 0.5")
        await commands.obey("cut 503")
        assert (csms.faults.refuse_http, csms.faults.answer_delay_s) == (503, 0.5)
        await csms.wait_for("closed", kind="event")
        await commands.obey("restore")
        assert csms.faults.refuse_http is None
        for how in ("hang", "mute", "no-subprotocol"):
            await commands.obey(f"cut {how}")
        assert (csms.faults.hang, csms.faults.mute, csms.faults.subprotocol) == (True, True, "")
        await commands.obey("restore")
        assert "remote-start [STATION] UID [CONNECTOR]" in await commands.obey("help")


async def test_prices_and_payments_are_told_from_the_console() -> None:
    async with Csms.start(companies=[Company("A-1", "A")]) as csms, booted(csms.url) as cp:
        await linked(cp, "A-1")
        commands = Typist(csms, cp).commands
        typed = asyncio.create_task(commands.obey("prices EUR 2026-11-25T00:00+01:00 0.28 -0.01"))
        assert await told(cp, "DayAheadPrices") == {
            "currency": "EUR",
            "start": "2026-11-25T00:00+01:00",
            "prices": ["0.28", "-0.01"],
        }
        assert await typed == "CP1 took 2 prices"
        typed = asyncio.create_task(commands.obey("prices SEK 2026-11-25T00:00+01:00 1"))
        await told(cp, "DayAheadPrices", "Rejected", data='{"reason": "currency SEK"}')
        with pytest.raises(SimulatorError, match="currency SEK"):
            await typed
        typed = asyncio.create_task(commands.obey("paid 2026-10 CP1"))
        assert (await told(cp, "StatementPaid"))["month"] == "2026-10"
        assert await typed == "nothing to pay"
