"""Statements as their recipients get them from a running station; a charge goes on whatever becomes of them."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from employer import Payload
from outside import charge, unplug
from station import Station, a_station

from agent.buffer.codec import dump
from agent.buffer.database import open_database
from agent.core.instant import Instant
from tests.unit.statement.receivers import CA, HANG, MailServer, Payroll

pytestmark = pytest.mark.timeout(60)

VENDOR = "org.wallbox-agent"
LAST = (datetime.now(UTC).replace(day=1) - timedelta(days=5)).strftime("%Y-%m")


def https(payroll: Payroll, folder: Path, name: str = "payroll") -> str:
    """Return the section of a delivery."""
    (folder / "token").write_text("t0ken\n")
    return (
        f'[[delivery]]\nname = "{name}"\ntype = "https"\nformat = ["csv", "json"]\nurl = "{payroll.url}"\n'
        f'token_file = "token"\nca_file = "{CA}"\n'
    )


async def known_for_a_month(folder: Path, *names: str) -> None:
    """Have deliveries be known since the month before this one, which therefore is to be delivered."""
    since = Instant(1.0, datetime.now(UTC).replace(day=1) - timedelta(days=5), boot=0)
    async with open_database(folder / "state") as database:
        await database.write([("INSERT INTO statement_recipient VALUES (?, ?)", (name, dump(since))) for name in names])


@asynccontextmanager
async def delivering(folder: Path, sections: str) -> AsyncIterator[Station]:
    async with a_station(folder, cloud=sections) as station:
        yield station


def rows(status: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    return [(row["name"], row["month"], row["state"], row["attempts"]) for row in status["deliveries"]]


async def test_what_was_sent_before_a_kill_is_not_sent_again_and_the_rest_arrives(tmp_path: Path) -> None:
    await known_for_a_month(tmp_path, "payroll")
    with Payroll(answers=[(200, {}, b""), (HANG, {}, b"")]).running() as payroll:
        async with delivering(tmp_path, https(payroll, tmp_path)) as station:
            await station.employer.wait(lambda: len(payroll.got) == 2, what="the second file under way")
            station.kill()
            station.start()
            await station.until(lambda s: rows(s) == [("payroll", LAST, "completed", 1)])
            assert station.stop() == 0
    kinds = [post.headers["content-type"].partition(";")[0] for post in payroll.got]
    assert kinds == ["text/csv", "application/json", "application/json"]
    assert payroll.got[1].headers["idempotency-key"] == payroll.got[2].headers["idempotency-key"]
    assert json.loads(payroll.got[2].body)["month"] == LAST


async def test_a_charge_does_not_wait_for_a_server_that_hangs_and_neither_does_the_end(tmp_path: Path) -> None:
    await known_for_a_month(tmp_path, "payroll")
    with Payroll(answers=[(HANG, {}, b"")] * 9).running() as payroll:
        async with delivering(tmp_path, https(payroll, tmp_path)) as station:
            await station.ready()
            await station.employer.wait(payroll.arrived.is_set, what="the first file under way")
            await charge(station)
            await unplug(station)
            assert len(await station.json("sessions", "list")) == 1
            assert station.process is not None
            station.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(station.process.wait, 5) == 0


async def test_a_failure_is_in_the_status_and_told_by_hand_in_the_servers_words(tmp_path: Path) -> None:
    await known_for_a_month(tmp_path, "payroll")
    with Payroll(token="other").running() as payroll:
        async with delivering(tmp_path, https(payroll, tmp_path)) as station:
            status = await station.until(lambda s: s["deliveries"] and s["deliveries"][0]["last_error"])
            (row,) = status["deliveries"]
            assert (row["state"], row["attempts"]) == ("pending", 1)
            assert "csv, json: the server answers 401 Unauthorized: no such token: Bearer ***" in row["last_error"]
            assert datetime.fromisoformat(row["next_try"]) - datetime.now(UTC) < timedelta(seconds=16)
            assert "t0ken" not in json.dumps(status) + station.log.read_text()
            text = " ".join((await station.cli("status"))[1].split())
            assert f"! delivery {LAST} to payroll failed" in text
            code, out, _ = await station.cli("report", LAST, "--deliver")
            assert (code, "not delivered: csv, json: the server answers 401" in out) == (1, True)
            payroll.token = "t0ken"
            code, out, _ = await station.cli("report", LAST, "--deliver", "payroll")
            assert (code, out) == (0, f"payroll: {LAST} delivered\n")
            assert [d["state"] for d in (await station.status())["deliveries"]] == ["completed"]
            code, _, err = await station.cli("report", LAST, "--deliver", "pay")
            assert (code, "there is no delivery 'pay': configured are payroll" in err) == (2, True)


async def test_deliveries_do_not_wait_for_each_other_and_work_without_the_daemon_too(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "password").write_text("s3cret\n")
    with Payroll(answers=[(HANG, {}, b"")] * 9).running() as payroll, MailServer().running() as mail:
        sections = https(payroll, tmp_path) + (
            f'[[delivery]]\nname = "archive"\ntype = "folder"\npath = "out"\nformat = ["pdf", "xlsx"]\n'
            f'[[delivery]]\nname = "fleet"\ntype = "mail"\nhost = "localhost"\nport = {mail.port}\n'
            f'to = ["fleet@acme.example"]\nuser = "station"\npassword_file = "password"\nca_file = "{CA}"\n'
        )
        await known_for_a_month(tmp_path, "payroll", "archive", "fleet")
        async with delivering(tmp_path, sections) as station:
            await station.until(lambda s: [r[2] for r in rows(s)] == ["pending", "completed", "completed"])
            assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
                f"NL-TEST-1-{LAST}.pdf",
                f"NL-TEST-1-{LAST}.xlsx",
            ]
            assert (mail.letters[0].sender, list(mail.letters[0].files)) == (
                "station@localhost",
                [f"NL-TEST-1-{LAST}.pdf"],
            )
            station.stop()
            payroll.answers.clear()
            document = await station.json("report", LAST, "--deliver", "payroll")
            assert document["deliveries"][0]["state"] == "completed"
            station.start()
            await station.until(lambda s: [r[2] for r in rows(s)] == ["completed"] * 3)
            assert len(mail.letters) == 1


async def test_a_payment_that_the_central_system_confirms_is_shown_with_the_statement(tmp_path: Path) -> None:
    def link(_payload: Payload) -> Payload:
        return {"status": "Accepted", "data": json.dumps({"status": "Linked", "companyName": "Acme BV"})}

    async def told(station: Station, **data: object) -> Payload:
        payload = {"vendorId": VENDOR, "messageId": "StatementPaid", "data": json.dumps(data)}
        return await station.employer.call("DataTransfer", payload)

    async with a_station(tmp_path, cloud='company_code = "ACME-7F3K"') as station:
        station.employer.answers["DataTransfer"] = link
        await station.until(lambda s: s["company"]["state"] == "linked")
        assert (await station.json("report", LAST))["payment"] is None
        paid = {"paidAt": "2026-11-05", "amount": "12.34", "currency": "EUR", "reference": "SEPA 4711"}
        assert await told(station, month=LAST, **paid) == {"status": "Accepted"}
        station.kill()
        assert (await station.json("report", LAST))["payment"] == {
            "paid_at": "2026-11-05", "amount": "12.34", "currency": "EUR", "reference": "SEPA 4711",
        }  # fmt: skip
        text = (await station.cli("report", LAST, "--lang", "de"))[1]
        assert "Zahlung" in text
        assert "12,34 EUR, SEPA 4711" in text
        station.start()
        await station.until(lambda s: s["cloud"]["registration"] == "Accepted")
        for data, words in (({"month": "2099-01"}, "is not over"), ({"month": "x"}, "month must be a month")):
            answer = await told(station, **data)
            assert (answer["status"], words in json.loads(answer["data"])["reason"]) == ("Rejected", True)
