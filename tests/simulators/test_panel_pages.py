"""The panel over real HTTP, with chargers on real WebSockets: what is clicked is sent, and what is shown is true."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from simulators.console import Commands
from simulators.csms import Company, Csms, Token, TokenStatus
from simulators.csms.billing import summary
from simulators.csms.commands import Commander
from simulators.csms.rates import flat
from simulators.csms.state import Activation, Employee
from simulators.csms.store import Store
from simulators.panel import Panel
from simulators.panel.program import PAGES
from tests.simulators.charger import Charger, charger
from tests.simulators.visitor import Visitor

IBAN = "NL91 ABNA 0417 1643 00"
ACME = Company("ACME-7F3K", "Acme BV", settings={"refundPercentage": "80", "tariff": flat("0.29", "21")})
HOME = "/ACME-7F3K"
LAST_MONTH = "2026-01"


@contextlib.asynccontextmanager
async def panel(*companies: Company, **options: Any) -> AsyncIterator[tuple[Csms, Visitor]]:  # noqa: ANN401 - of start
    async with Csms.start(companies=companies, **options) as csms, Panel(csms, 0) as one:
        yield csms, Visitor(one.url)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(8):
        while not true():
            await asyncio.sleep(0.01)


async def add_employee(visitor: Visitor, name: str = "Eva Smit", iban: str = IBAN) -> None:
    answer = await visitor.post(f"{HOME}/employees", "add", name=name, number="", iban=iban)
    assert f"{name} is added" in answer.text


async def add_token(visitor: Visitor, uid: str, **fields: str) -> None:
    typed = {"kind": "card", "number": "", "ema_id": "", "employee": "", "valid_from": "", "valid_to": ""} | fields
    answer = await visitor.post(f"{HOME}/tokens", "add", uid=uid, **typed)
    assert "is added" in answer.text, answer.text


def of_cards(cp: Charger) -> list[dict[str, Any]]:
    """Return the cards of all messages that the charger got."""
    messages = [payload for action, payload in cp.asked if action == "DataTransfer"]
    return [card for each in messages if each["messageId"] == "Cards" for card in json.loads(each["data"])["cards"]]


# -- the employer's story


async def test_a_company_is_made_and_its_charger_activated_by_hand() -> None:
    async with panel() as (csms, visitor), charger(csms.url) as cp:
        first = await visitor.raw("GET", "/")
        assert (first.status, first.headers["Location"]) == (303, "/companies")
        made = await visitor.post(
            "/companies",
            "create",
            name="Acme BV",
            code="acme-7f3k",
            refund="80",
            price="0.29",
            vat="21",
            currency="EUR",
        )
        assert "Acme BV is made; chargers link with the code ACME-7F3K" in made.text
        assert (await cp.give_code("ACME-7F3K"))["status"] == "Pending"
        assert (
            "NL-HOME-1 gave the company code and waits for its activation"
            in (await visitor.get(f"{HOME}/devices")).text
        )
        shown = await visitor.post(f"{HOME}/devices", "activate", station="NL-HOME-1")
        assert "NL-HOME-1 is activated" in shown.text
        assert (cp.link["status"], cp.settings["refundPercentage"], cp.settings["tariff"]["id"]) == (
            "Linked",
            "80",
            "Standard",
        )
        (row,) = shown.rows
        assert row == ["NL-HOME-1 online", "linked", "Available", "-", "yes", "manual", "80 %", "Standard", "version 1"]
        assert csms.violations == []


async def test_a_device_gets_settings_of_its_own_at_once_and_those_of_the_company_otherwise() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        await add_employee(visitor)
        await visitor.post(f"{HOME}/rates", "add", name="Night", price="0.2", vat="9", currency="EUR")
        page = f"{HOME}/devices/NL-HOME-1"
        own = {"employee": "E1", "logging": "off", "payment": "on", "refund": "66,5", "rate": "Night"}
        assert "saved" in (await visitor.post(page, "save", **own)).text
        told = cp.settings
        assert (told["version"], told["sessionLogging"], told["automaticPayment"]) == (2, False, True)
        assert (told["refundPercentage"], told["tariff"]["id"]) == ("66.5", "Night")
        changed = {"name": "Acme BV", "refund": "50", "payment": "manual", "activation": "pending"}
        await visitor.post(f"{HOME}/company", "save", **changed, logging="yes", consumption="20")
        assert (cp.settings["version"], cp.settings["refundPercentage"]) == (3, "66.5")
        none = {"employee": "E1", "logging": "default", "payment": "default", "refund": "", "rate": ""}
        await visitor.post(page, "save", **none)
        assert (cp.settings["version"], cp.settings["refundPercentage"], cp.settings["tariff"]["id"]) == (
            4,
            "50",
            "flat",
        )
        assert csms.state.devices["NL-HOME-1"].overrides == {}
        before = len(cp.asked)
        await visitor.post(page, "save", **none)
        assert len(cp.asked) == before
        assert csms.state.companies["ACME-7F3K"].activation is Activation.PENDING


async def test_a_change_of_a_rate_reaches_the_chargers_that_have_it_and_the_default_stays() -> None:
    async with panel(Company("ACME-7F3K", "Acme BV")) as (csms, visitor), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        assert "No rate yet" in (await visitor.get(f"{HOME}/rates")).text
        typed = {"price": "0.2", "vat": "21", "currency": "EUR"}
        first = await visitor.post(f"{HOME}/rates", "add", name="Day", **typed)
        assert "rate Day is added, and holds by default" in first.text
        assert cp.settings["tariff"]["id"] == "Day"
        await visitor.post(f"{HOME}/rates", "add", name="Night", **typed)
        await visitor.post(f"{HOME}/rates/Day", "change", price="0.25", vat="21", currency="EUR")
        assert cp.settings["tariff"]["elements"][0]["price_components"][0]["price"] == 0.25
        assert (await visitor.post(f"{HOME}/rates/Day", "remove")).status == 422
        assert "Night is the default rate now" in (await visitor.post(f"{HOME}/rates", "default", rate="Night")).text
        assert (cp.settings["version"], cp.settings["tariff"]["id"]) == (4, "Night")
        assert "rate Day is removed" in (await visitor.post(f"{HOME}/rates/Day", "remove")).text
        assert (await visitor.post(f"{HOME}/rates/Night", "remove")).status == 422
        assert list(csms.state.rates) == ["ACME-7F3K/Night"]


async def test_settings_that_a_charger_refuses_are_shown_with_its_reason() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        cp.answers["CompanySettings"] = {"status": "Rejected", "data": '{"reason": "no such price"}'}
        own = {"employee": "", "logging": "default", "payment": "default", "refund": "10", "rate": ""}
        answer = await visitor.post(f"{HOME}/devices/NL-HOME-1", "save", **own)
        assert "saved, but NL-HOME-1 answers CompanySettings with Rejected" in answer.text
        assert "no such price" in (await visitor.get(f"{HOME}/devices")).rows[0][-1]
        assert len(csms.state.devices["NL-HOME-1"].terms) == 1


# -- tokens and their distribution


async def test_a_token_lives_from_its_first_day_to_its_replacement_and_chargers_know() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        await add_employee(visitor)
        await add_token(visitor, "62:e3:08:6c:ed", number="NL-ACM-C00000042-K", employee="E1", valid_to="2099-12-31")
        assert cp.cards["62E3086CED"] == {
            "uid": "62E3086CED",
            "status": "active",
            "number": "NL-ACM-C00000042-K",
            "name": "Eva Smit",
            "kind": "card",
            "validTo": "2099-12-31T23:00:00Z",
        }
        page = f"{HOME}/tokens/62E3086CED"
        assert (await visitor.post(page, "block", reason="")).status == 422
        await visitor.post(page, "block", reason="lost on the road")
        assert (cp.cards["62E3086CED"]["status"], cp.cards["62E3086CED"]["reason"]) == ("blocked", "lost on the road")
        await visitor.post(page, "unblock")
        assert cp.cards["62E3086CED"]["status"] == "active"
        replaced = await visitor.post(page, "replace", uid="0A11223344", number="NL-ACM-C00000043-1", post="yes")
        assert "NL-ACM-C00000042-K is replaced by NL-ACM-C00000043-1" in replaced.text
        new = cp.cards["0A11223344"]
        assert (new["status"], new["replaces"], new["name"]) == ("inactive", "62E3086CED", "Eva Smit")
        assert cp.cards["62E3086CED"]["status"] == "deactivated"
        for do in ("block", "unblock", "replace", "deactivate"):
            assert (await visitor.post(page, do, reason="x", uid="0A11223355")).status == 422, do
        assert "Deactivated for good" in (await visitor.get(page)).text
        with pytest.raises(ValueError, match="deactivated for good"):
            csms.desk.set_status("62E3086CED", TokenStatus.ACTIVE)
        info = (await cp.ask("Authorize", {"idTag": "0A11223344"}))["idTagInfo"]
        assert info == {"status": "Accepted", "expiryDate": "2099-12-31T23:00:00Z"}
        assert csms.state.tokens["0A11223344"].status is TokenStatus.ACTIVE
        assert "activated by the driver" in (await visitor.get(f"{HOME}/tokens/0A11223344")).text
        await until(lambda: cp.cards["0A11223344"]["status"] == "active")


async def test_what_failed_is_told_with_its_reason_and_retried_for_one_or_all() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp, charger(csms.url, "NL-HOME-2") as other:
        for each in (cp, other):
            await each.give_code("ACME-7F3K")
            each.refused["0A11223344"] = "no room"
        await add_token(visitor, "62E3086CED", number="NL-1")
        await add_token(visitor, "0A11223344", number="NL-2")
        page = await visitor.get(f"{HOME}/distribution")
        assert [row[:4] for row in page.rows] == [
            ["NL-HOME-1 online", "1", "1", "0"],
            ["NL-HOME-2 online", "1", "1", "0"],
        ]
        (_, row) = (await visitor.get(f"{HOME}/distribution/NL-HOME-1")).rows
        assert row[:5] == ["NL-2", "active", "Failed", "no room", "1"]
        sent = len(of_cards(cp))
        assert (
            "1 sent again, 1 failed" in (await visitor.post(f"{HOME}/distribution", "retry", station="NL-HOME-1")).text
        )
        assert [card["uid"] for card in of_cards(cp)[sent:]] == ["0A11223344"]
        cp.refused.clear()
        assert "2 sent again, 1 failed" in (await visitor.post(f"{HOME}/distribution", "retry-all")).text
        assert "0A11223344" in cp.cards
        asked = await visitor.post(f"{HOME}/distribution/NL-HOME-1", "ask", station="NL-HOME-1")
        assert "NL-HOME-1 has 2 of our tokens: ...6CED active, ...3344 active" in asked.text
        cp.cards.clear()
        await visitor.post(f"{HOME}/distribution/NL-HOME-1", "full", station="NL-HOME-1")
        assert set(cp.cards) == {"62E3086CED", "0A11223344"}
        versions = [
            json.loads(p["data"])["version"] for a, p in cp.asked if a == "DataTransfer" and p["messageId"] == "Cards"
        ]
        assert versions == sorted(set(versions))


async def test_a_charger_that_knows_no_cards_or_talks_nonsense_has_taken_none() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        cp.answers["Cards"] = {"status": "UnknownMessageId"}
        await add_token(visitor, "62E3086CED")
        (row,) = (await visitor.get(f"{HOME}/distribution/NL-HOME-1")).rows
        assert row[2:4] == ["Failed", "NL-HOME-1 answers Cards with UnknownMessageId"]
        for answer, why in (
            ({"status": "Accepted", "data": '{"results": []}'}, "the answer says nothing of it"),
            ({"status": "Accepted", "data": "[]"}, "NL-HOME-1 answers Cards with data that is no JSON object"),
        ):
            cp.answers["Cards"] = answer
            await visitor.post(f"{HOME}/distribution", "retry-all")
            assert (await visitor.get(f"{HOME}/distribution/NL-HOME-1")).rows[0][3] == why


async def test_a_charger_that_was_away_is_told_all_when_it_comes_back() -> None:
    async with panel(ACME) as (csms, visitor):
        async with charger(csms.url) as cp:
            await cp.give_code("ACME-7F3K")
            cards, settings = cp.cards, cp.settings
        await until(lambda: csms.connected == ())
        await add_token(visitor, "62E3086CED", number="NL-1")
        own = {"employee": "", "logging": "default", "payment": "default", "refund": "10", "rate": ""}
        answer = await visitor.post(f"{HOME}/devices/NL-HOME-1", "save", **own)
        assert "saved, but NL-HOME-1 is not connected" in answer.text
        assert (await visitor.get(f"{HOME}/devices")).rows[0][-1] == "Waiting version 2"
        assert (await visitor.post(f"{HOME}/distribution/NL-HOME-1", "ask", station="NL-HOME-1")).status == 422
        async with charger(csms.url, boots=False, cards=cards, settings=settings) as cp:
            await until(lambda: "62E3086CED" in cp.cards)
            assert (cp.settings["version"], cp.settings["refundPercentage"]) == (2, "10")
            assert (await visitor.get(f"{HOME}/devices")).rows[0][-1] == "version 2"


async def test_a_card_blocked_at_the_console_goes_out_like_one_blocked_here() -> None:
    async with panel(ACME, tokens=[Token("62E3086CED", "NL-1")]) as (csms, _), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        await until(lambda: "62E3086CED" in cp.cards)
        commands = Commands()
        Commander(csms).add_to(commands)
        await commands.obey("block 62E3086CED")
        await until(lambda: cp.cards["62E3086CED"]["status"] == "blocked")


async def test_who_leaves_takes_no_token_along() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        await add_employee(visitor)
        await add_token(visitor, "", kind="virtual", employee="E1")
        (uid,) = cp.cards
        assert (uid[0], cp.cards[uid]["kind"]) == ("V", "virtual")
        assert "Eva Smit has left" in (await visitor.post(f"{HOME}/employees/E1", "leave")).text
        assert (cp.cards[uid]["status"], cp.cards[uid]["reason"]) == ("deactivated", "left the company")


# -- what a charger is asked now


async def test_a_session_starts_from_afar_with_a_virtual_token_and_is_stopped() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await cp.give_code("ACME-7F3K")
        await add_token(visitor, "VIRTUAL-1", kind="virtual")
        page = f"{HOME}/devices/NL-HOME-1"
        answer = await visitor.post(page, "start", token="VIRTUAL-1", connector="1")
        assert "NL-HOME-1 answers RemoteStartTransaction: Accepted" in answer.text
        assert cp.asked[-1] == ("RemoteStartTransaction", {"idTag": "VIRTUAL-1", "connectorId": 1})
        number = await cp.begin("VIRTUAL-1")
        assert f"Stop transaction {number}" in (await visitor.get(page)).text
        cp.answers |= {"UnlockConnector": {"status": "NotSupported"}}
        for do, fields, call in (
            ("stop", {"transaction": str(number)}, ("RemoteStopTransaction", {"transactionId": number})),
            ("unlock", {"connector": "1"}, ("UnlockConnector", {"connectorId": 1})),
            ("inoperative", {}, ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})),
            ("reset", {}, ("Reset", {"type": "Soft"})),
        ):
            await visitor.post(page, do, **fields)
            assert cp.asked[-1] == call
        await visitor.post(page, "list")
        assert cp.asked[-1][1]["localAuthorizationList"] == [
            {"idTag": "VIRTUAL-1", "idTagInfo": {"status": "Accepted"}}
        ]
        assert csms.violations == []


# -- money


async def charged(csms: Csms, visitor: Visitor, cp: Charger) -> None:
    """Charge in two months, with two employees at one charger without an owner, one of them twice."""
    await cp.give_code("ACME-7F3K")
    for name in ("Eva Smit", "Jan <Bos>"):
        await add_employee(visitor, name)
    await add_token(visitor, "62E3086CED", number="NL-ACM-C00000042-K", employee="E1")
    await add_token(visitor, "0A11223344", employee="E2")
    csms.state.devices["NL-HOME-1"].terms[0].since = datetime(2020, 1, 1, tzinfo=UTC)
    for card, wh, stop in (
        ("62E3086CED", 10_123, "2026-01-31T22:59:59Z"),
        ("62E3086CED", 7_777, "2026-01-31T23:00:00Z"),  # midnight in Amsterdam: February
        ("0A11223344", 33_333, "2026-01-15T12:00:00Z"),
        ("62E3086CED", 1, "2026-01-02T12:00:00Z"),
    ):
        await cp.charge(card, wh, start="2026-01-01T10:00:00Z", stop=stop)
    await cp.begin("62E3086CED", at="2026-03-01T10:00:00Z")


async def test_every_figure_of_the_panel_is_the_consoles() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await charged(csms, visitor, cp)
        commands = Commands()
        Commander(csms).add_to(commands)
        printed = [line.split("  ") for line in (await commands.obey("sessions")).splitlines()[1:]]
        told = [[part.strip() for part in line if part.strip()] for line in printed]
        shown = {row[0]: row for row in (await visitor.get(f"{HOME}/sessions")).rows}
        for number, station, card, _, _, energy, cost, refund in told:
            row = shown[number]
            assert (row[1], row[3], row[7], row[9]) == (station, card, energy, refund)
            assert row[8] == cost
        for month in ("2026-01", "2026-02", "2026-03"):
            rows = (await visitor.get(f"{HOME}/billing?month={month}")).rows
            total = next((row for row in rows if row[0] == "Total"), None)
            theirs = summary(csms.state, month, csms.policy.zone, datetime.now(UTC)).total
            printed_total = (await commands.obey(f"statement {month}")).splitlines()[-1].split()
            if total is None:
                assert printed_total[1:3] == ["0", "0.000"]
                continue
            assert total[3:7] == [printed_total[1], printed_total[2], f"{printed_total[5]} EUR", printed_total[6]]
            assert (total[3], total[6]) == (str(theirs.sessions), str(theirs.refund))
            assert sum(Decimal(row[6]) for row in rows if row[0] in {"Eva Smit", "Jan <Bos>"}) == theirs.refund


async def test_a_month_is_to_be_paid_then_paid_and_the_console_agrees() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await charged(csms, visitor, cp)
        page = f"{HOME}/billing?month={LAST_MONTH}"
        rows = (await visitor.get(page)).rows
        assert [row[:9] for row in rows[:3]] == [
            ["Eva Smit", IBAN, "manual", "2", "10.124", "3.56 EUR", "2.85", "0.00", "to be paid"],
            ["Jan <Bos>", IBAN, "manual", "1", "33.333", "11.70 EUR", "9.36", "0.00", "to be paid"],
            ["Total", "", "", "3", "43.457", "15.26 EUR", "12.21", "0.00", ""],
        ]
        paid = await visitor.post(f"{HOME}/billing", "pay", employee="E1", month=LAST_MONTH)
        assert f"2.85 EUR to Eva Smit, {IBAN}, is marked as paid" in paid.text
        again = await visitor.post(f"{HOME}/billing", "pay", employee="E1", month=LAST_MONTH)
        assert (again.status, "nothing is left to pay to Eva Smit" in again.text) == (422, True)
        rows = (await visitor.get(page)).rows
        assert [(row[0], row[7], row[8]) for row in rows[:3]] == [
            ("Eva Smit", "2.85", "paid"),
            ("Jan <Bos>", "0.00", "to be paid"),
            ("Total", "2.85", ""),
        ]
        only = (await visitor.get(f"{page}&state=paid")).rows
        assert [row[0] for row in only] == ["Eva Smit", only[1][0]]
        states = {
            row.card: row.state for row in summary(csms.state, LAST_MONTH, csms.policy.zone, datetime.now(UTC)).rows
        }
        assert states == {"NL-ACM-C00000042-K": "completed", "0A11223344": "pending"}
        csms.state.employees["E2"].iban = ""
        refused = await visitor.post(f"{HOME}/billing", "pay", employee="E2", month=LAST_MONTH)
        assert (refused.status, "has no IBAN: add it first" in refused.text) == (422, True)
        running = await visitor.post(f"{HOME}/billing", "pay", employee="E1", month="2999-01")
        assert "2999-01 is not over" in running.text


async def test_automatic_payment_pays_a_month_that_is_over_by_itself() -> None:
    acme = Company("ACME-7F3K", "Acme BV", settings=ACME.settings | {"automaticPayment": True})
    async with panel(acme) as (csms, visitor):
        async with charger(csms.url) as cp:
            await charged(csms, visitor, cp)
        async with Panel(csms, 0):
            await until(lambda: len(csms.state.payments) == 3)
        rows = (await visitor.get(f"{HOME}/billing?month={LAST_MONTH}")).rows
        assert [row[8] for row in rows[:2]] == ["paid", "paid"]
        assert {each.automatic for each in csms.state.payments} == {True}


async def test_the_excel_files_have_the_figures_of_the_pages() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await charged(csms, visitor, cp)
        csms.state.employees["E1"].name = "=1+1"
        answer = await visitor.get(f"{HOME}/billing.xlsx?month={LAST_MONTH}")
        assert answer.headers["Content-Disposition"] == f'attachment; filename="billing-{LAST_MONTH}.xlsx"'
        book = openpyxl.load_workbook(io.BytesIO(answer.body))
        head, *rows = book[LAST_MONTH].iter_rows(values_only=True)
        shown = (await visitor.get(f"{HOME}/billing?month={LAST_MONTH}")).rows
        for mine, row in zip(shown, rows, strict=False):
            cells = dict(zip(head, row, strict=True))
            assert [cells["Employee"], str(cells["Sessions"])] == [mine[0], mine[3]]
            assert f"{Decimal(str(cells['kWh'])):.3f}" == mine[4]
            money = [f"{Decimal(str(cells[name])):.2f}" for name in ("Cost", "Refund", "Paid")]
            assert [f"{money[0]} {cells['Currency']}", *money[1:]] == mine[5:8]
        assert rows[0][0] == "=1+1"
        assert book[LAST_MONTH]["A2"].data_type == "s"
        assert len(list(book["Sessions"].iter_rows())) == 1 + 3
        some = await visitor.get(f"{HOME}/sessions.xlsx?q=bos")
        (_, row) = openpyxl.load_workbook(io.BytesIO(some.body))["Sessions"].iter_rows(values_only=True)
        assert (row[2], row[3], row[6]) == ("Jan <Bos>", "...3344", 33.333)


async def test_sessions_are_filtered_by_day_and_searched() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await charged(csms, visitor, cp)

        async def numbers(query: str) -> list[str]:
            rows = (await visitor.get(f"{HOME}/sessions?{query}")).rows
            return [row[0] for row in rows if row[0]]

        assert await numbers("") == ["5", "4", "3", "2", "1"]
        assert await numbers("from=2026-01-15&to=2026-01-31") == ["3", "1"]
        assert await numbers("from=2026-02-01&to=2026-02-01") == ["2"]
        assert await numbers("q=c00000042&to=2026-01-31") == ["4", "1"]
        assert await numbers("q=bos+nl-home") == ["3"]
        assert await numbers("q=charging") == ["5"]
        assert await numbers("q=nobody+here") == []
        for page in ("0", "-1", "2", "x", "9" * 5000):
            assert len(await numbers(f"page={page}")) == 5
        session = csms.state.sessions[0]
        csms.state.sessions += [replace(session, transaction_id=number) for number in range(6, 121)]
        assert (await numbers("page=2"))[-1] == "1"
        assert len(await numbers("page=1")) == 100
        assert (await visitor.raw("GET", f"{HOME}/sessions?from=soon")).status == 404
        one = await visitor.get(f"{HOME}/sessions/3")
        assert "With VAT 11.70 EUR Refund 9.36 EUR (80 %)" in one.text


async def test_the_dashboard_counts_what_goes_on_now() -> None:
    async with panel(ACME) as (csms, visitor), charger(csms.url) as cp:
        await charged(csms, visitor, cp)
        await cp.charge("0A11223344", 36_000)
        await cp.status(1, "Preparing")
        text = (await visitor.get(HOME)).text
        for figure in (
            "Active users 2 charged this month, of 2",
            "Available connectors 0 of 1",
            "Active sessions 1 now",
            "kWh 36.000",
            "Kilometres 200 at 18 kWh per 100 km",
            "Refund 10.10 EUR",
        ):
            assert figure in text, figure
        await visitor.post(
            f"{HOME}/company", "save", name="A", refund="80", payment="manual", activation="automatic", consumption="12"
        )
        assert "Kilometres 300 at 12 kWh per 100 km" in (await visitor.get(HOME)).text


# -- a restart, and strangers


async def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    async def pages(visitor: Visitor) -> list[list[list[str]]]:
        names = ("employees", "tokens", "rates", "sessions?to=2026-12-31", f"billing?month={LAST_MONTH}")
        return [(await visitor.get(f"{HOME}/{name}")).rows for name in names]

    with Store(tmp_path / "panel.db") as store:
        async with panel(ACME, store=store) as (csms, visitor):
            async with charger(csms.url) as cp:
                await charged(csms, visitor, cp)
                await cp.end(5, 4000, at="2026-03-01T12:00:00Z")
            await visitor.post(f"{HOME}/billing", "pay", employee="E1", month=LAST_MONTH)
            await visitor.post(f"{HOME}/rates", "add", name="Night", price="0.2", vat="9", currency="EUR")
            before = await pages(visitor)
    with Store(tmp_path / "panel.db") as store:
        async with panel(store=store) as (_, visitor):
            assert await pages(visitor) == before


async def test_wrong_input_is_refused_and_stays_in_the_form() -> None:
    async with panel(ACME) as (csms, visitor):
        refused = await visitor.post(
            f"{HOME}/employees", "add", name="<i>Eva</i>", number="1", iban="NL00 ABNA 0417 1643 00"
        )
        assert refused.status == 422
        assert "check digits of NL00 ABNA 0417 1643 00 are wrong" in refused.text
        assert 'value="&lt;i&gt;Eva&lt;/i&gt;"' in refused.html
        assert csms.state.employees == {}
        right = {"kind": "card", "employee": "", "valid_from": "", "valid_to": ""}
        for typed in (
            {"uid": "XYZ"},
            {"uid": "AB12CD3"},
            {"uid": ""},
            {"uid": "a b", "kind": "other"},
            {"uid": "AB12CD34", "kind": "spoon"},
            {"uid": "AB12CD34", "ema_id": "?"},
            {"uid": "AB12CD34", "employee": "E9"},
            {"uid": "AB12CD34", "valid_from": "2026-02-01", "valid_to": "2026-01-01"},
        ):
            assert (await visitor.post(f"{HOME}/tokens", "add", **(right | typed))).status == 422, typed
        assert csms.state.tokens == {}
        for typed in ({"code": "ab"}, {"code": "ACME-7F3K"}, {"refund": "101"}, {"price": "x"}, {"name": ""}):
            fields = {"name": "B", "code": "B-1234", "refund": "1", "price": "1", "vat": "1", "currency": "EUR"} | typed
            assert (await visitor.post("/companies", "create", **fields)).status == 422
        assert list(csms.state.companies) == ["ACME-7F3K"]


async def test_a_name_full_of_html_is_shown_as_it_is_typed_on_every_page() -> None:
    evil = "<script>alert(1)</script>"
    async with panel(Company("ACME-7F3K", evil)) as (csms, visitor), charger(csms.url, "<b>CP&1") as cp:
        await cp.give_code("ACME-7F3K")
        csms.state.employees["E1"] = Employee("E1", "ACME-7F3K", evil, evil)
        csms.state.devices["<b>CP&1"].employee = "E1"
        await cp.begin("<i>CARD")
        await cp.status(1, "Charging")
        for page in PAGES:
            html = (await visitor.get(f"{HOME}/{page}")).html
            assert "<script" not in html
            assert "<b>CP" not in html
            assert "<i>" not in html
        assert "&lt;b&gt;CP&amp;1" in (await visitor.get(f"{HOME}/devices/%3Cb%3ECP%261")).html


async def test_only_its_own_pages_may_change_something() -> None:
    async with panel(ACME) as (csms, visitor):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body, good = b"do=add&name=Eva&number=&iban=", {"Origin": f"http://{visitor.host}"}

        async def sent(headers: dict[str, str]) -> int:
            return (await visitor.raw("POST", f"{HOME}/employees", body, headers)).status

        assert await sent(form) == 403
        assert await sent(form | {"Origin": "http://evil.example"}) == 403
        assert await sent(form | {"Origin": "null"}) == 403
        assert await sent(form | good | {"Host": "evil.example"}) == 421
        assert await sent(good | {"Content-Type": "text/plain"}) == 415
        assert (await visitor.raw("GET", HOME, headers={"Host": f"rebound.example:{visitor.host[-5:]}"})).status == 421
        assert (await visitor.raw("PUT", HOME, b"", form | good)).status == 405
        assert (await visitor.raw("POST", HOME, b"x" * 70_000, form | good)).status == 413
        assert (await visitor.raw("POST", HOME, b"do=%ff\xff", form | good)).status == 400
        assert (await visitor.raw("POST", HOME, b"do=dance", form | good)).status == 404
        assert csms.state.employees == {}
        assert await sent(form | good) == 303


async def test_answers_carry_no_script_no_frame_and_no_foreign_content() -> None:
    async with panel(ACME) as (_, visitor):
        page = await visitor.raw("GET", HOME)
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert (page.headers["Cache-Control"], page.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        assert "http://" not in page.html
        head = await visitor.raw("HEAD", HOME)
        assert (head.status, head.body) == (200, b"")
        assert int(head.headers["Content-Length"]) > 1000
        assert (await visitor.get("/style.css")).headers["Content-Type"].startswith("text/css")
        for nothing in ("/nobody", f"{HOME}/dance", f"{HOME}/tokens/AB", f"{HOME}/sessions/9/9", "/%ff"):
            assert (await visitor.raw("GET", nothing)).status == 404, nothing


@pytest.mark.parametrize("text", [b"\x16\x03\x01garbage\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"x" * 40_000])
async def test_what_is_no_http_is_refused_and_the_panel_lives_on(text: bytes) -> None:
    async with panel(ACME) as (_, visitor):
        host, _, port = visitor.host.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(text)
        with contextlib.suppress(ConnectionError):
            assert (await reader.read(12)).startswith(b"HTTP/1.1 4")
        writer.close()
        assert (await visitor.get(HOME)).status == 200


async def test_it_listens_on_the_loopback_interface_alone() -> None:
    async with panel(ACME) as (_, visitor):
        port = int(visitor.host.rpartition(":")[2])
        with socket.socket() as other:
            other.settimeout(1)
            assert other.connect_ex(("127.0.0.2", port)) != 0
