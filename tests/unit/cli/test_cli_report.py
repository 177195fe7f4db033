"""``report``: a month's statement as text, JSON and files, what is refused, and the comparison with a bill."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pypdf
import pytest

from agent.cli import report
from agent.core.facts import Fact, SessionEnded, SessionStarted
from agent.core.instant import Instant
from agent.core.model import EvseId, IdToken, Profile, Reporting, SessionId, Wh
from agent.core.prices_limits import money
from agent.core.state import Card, EvseState, StationState, Tokens
from agent.core.tariff import Cost, Dimension, Element, PriceComponent, Tariff, Terms
from tests.unit.cli.installed import WALL, Station, one_session, write_ledger
from tests.unit.statement.book import png

VAT = Decimal(21)
TERMS = Terms(
    Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal("0.29"), VAT),)),)),
    "Europe/Amsterdam",
    Decimal(100),
)
ZERO = Decimal("0.00")
OTHER = IdToken("62E30860")


def cost(energy: Decimal) -> Cost:
    amount = money(energy * Decimal("0.29") / 1000)
    return Cost("EUR", amount, ZERO, ZERO, ZERO, ZERO, ZERO, amount, money(amount * VAT / 100))


def facts(number: int, day: int, *, energy: int = 7522, month: int = 11, **changes: Any) -> list[Fact]:  # noqa: ANN401
    """Return a session of a day, priced; changes: of its start."""
    start, end = one_session(1, closed=True)
    assert isinstance(start, SessionStarted)
    assert isinstance(end, SessionEnded)
    begin = Instant(100.0 + day * 86_400 + month * 31 * 86_400, WALL.replace(day=day, month=month))
    bill = cost(Decimal(energy))
    name = SessionId(f"019a1234-0000-7000-8000-{number:012}")
    return [
        replace(start, session=name, at=begin, reading=replace(start.reading, at=begin), terms=TERMS, **changes),
        replace(
            end, session=name, at=replace(begin, mono=begin.mono + 3404, wall=begin.wall + timedelta(seconds=3404)),
            register=Wh(Decimal(1_234_567 + energy)), cost=bill, refund=bill.incl_vat,
        ),
    ]  # fmt: skip


def ledger(station: Station, *commits: Sequence[Fact]) -> None:
    card = Card(IdToken("04A1B2C3D4E5F6"), Profile.FLEET, "NL-WEX-CNQPWFBEK", None, "Kim")
    state = StationState((EvseState(EvseId(1)),), tokens=Tokens({card.id_token.key: card}))
    write_ledger(station.state_dir, state, *commits)


@pytest.fixture
def december(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it be Christmas."""
    monkeypatch.setattr(report, "_now", lambda: datetime(2026, 12, 24, tzinfo=UTC))


@pytest.fixture
def month(stopped: Station, december: None) -> Station:  # noqa: ARG001  # the day
    """Return a station with sessions of two cards in November, a private one, one of December and an open one."""
    ledger(
        stopped,
        facts(1, 3),
        facts(2, 9, energy=12_001, id_token=OTHER, reporting=Reporting.LOCAL_ONLY),
        facts(3, 21, energy=500),
        facts(4, 22, profile=Profile.PRIVATE, reporting=Reporting.LOCAL_ONLY),
        facts(5, 2, month=12),
    )
    with stopped.path.open("a") as file:
        file.write('[statement]\nlanguage = "nl"\nletterhead = "ACME Mobility B.V."\n')
    return stopped


# ---- JSON and text ---------------------------------------------------------------------------------------------------


def test_the_document_has_the_fleet_sessions_of_the_month_and_their_sums(month: Station) -> None:
    document = month.json("report", "2026-11")
    assert [session["id"][-1] for session in document["sessions"]] == ["1", "2", "3"]
    assert (document["month"], document["state"], document["basis"], document["currency"]) == (
        "2026-11",
        "pending",
        "tariff",
        "EUR",
    )
    assert document["totals"]["energy_wh"] == 7522 + 12_001 + 500
    incl = sum(Decimal(session["cost"]["incl_vat"]) for session in document["sessions"])
    assert Decimal(document["totals"]["cost"]["incl_vat"]) == incl
    assert document["totals"]["refund"] == {"percentage": "100", "amount": f"{incl}"}
    assert [card["card"] for card in document["cards"]] == [None, "NL-WEX-CNQPWFBEK"]
    assert document["meter"]["serial_number"] == "23004711"
    assert document["sessions"][1]["reporting"] == "local-only"
    assert (document["chain_head"], document["signature"]) == (None, None)


def test_the_documents_sessions_are_those_of_the_ledger(month: Station) -> None:
    listed = {session["id"]: session for session in month.json("sessions", "list")}
    assert all(listed[session["id"]] == session for session in month.json("report", "2026-11")["sessions"])


def test_text_is_in_the_configured_language_or_in_another(month: Station) -> None:
    status, out, err = month.call("report", "2026-11")
    assert (status, err) == (0, "")
    for part in (
        "Overzicht thuisladen november 2026",
        "56 minuten, 44 seconden",
        "7,522",
        "alleen lokaal",
        "NL-WEX-CNQPWFBEK",
        "Totaal",
    ):
        assert part in out
    assert "Abrechnung Laden zu Hause November 2026" in month.call("report", "2026-11", "--lang", "de")[1]


def test_a_month_without_sessions_is_a_statement(month: Station) -> None:
    assert month.json("report", "2026-07")["sessions"] == []
    assert "Geen sessies in deze maand." in month.call("report", "2026-07")[1]


def test_a_station_that_never_ran_has_an_empty_statement(stopped: Station, december: None) -> None:  # noqa: ARG001  # the day
    document = stopped.json("report", "2026-11")
    assert (document["totals"]["sessions"], document["state"], document["totals"]["cost"]) == (0, "completed", None)


def test_the_month_that_runs_is_in_progress(month: Station) -> None:
    document = month.json("report", "2026-12")
    assert (document["state"], len(document["sessions"])) == ("in progress", 1)


def test_an_open_session_is_told_without_an_amount(stopped: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_now", lambda: datetime(2026, 11, 24, tzinfo=UTC))
    ledger(stopped, facts(1, 21)[:1])
    (session,) = stopped.json("report", "2026-11")["sessions"]
    assert (session["state"], session["cost"], session["refund"]) == ("open", None, None)
    assert "still running" in stopped.call("report", "2026-11")[1]


# ---- files -----------------------------------------------------------------------------------------------------------


def test_every_format_is_written_and_says_the_same(month: Station, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"november.{name}" for name in ("pdf", "xlsx", "csv", "ocpi")}
    arguments = [part for name, path in paths.items() for part in (f"--{name}", str(path))]
    status, out, err = month.call("report", "2026-11", *arguments)
    assert (status, out.count(": "), out.count("3 sessions")) == (0, 4, 4)
    assert "OCPI requires what the configuration does not give (location.address" in err
    total = Decimal(month.json("report", "2026-11")["totals"]["cost"]["incl_vat"])
    text = "\n".join(page.extract_text() for page in pypdf.PdfReader(paths["pdf"]).pages)
    assert "ACME Mobility B.V." in text
    assert f"Incl. btw EUR {total}".replace(".", ",").replace("Incl, btw", "Incl. btw") in text
    sheet = openpyxl.load_workbook(paths["xlsx"], data_only=True)["Sessions"]
    assert Decimal(str(sheet.cell(sheet.max_row, 19).value)) == total
    assert sum(Decimal(row["incl_vat"]) for row in csv.DictReader(io.StringIO(paths["csv"].read_text()))) == total
    assert sum(Decimal(str(cdr["total_cost"]["incl_vat"])) for cdr in json.loads(paths["ocpi"].read_text())) == total
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths.values())


def test_made_again_each_file_is_the_same(month: Station, tmp_path: Path) -> None:
    for name in ("pdf", "xlsx", "csv", "ocpi"):
        month.call("report", "2026-11", f"--{name}", str(tmp_path / "first"))
        month.call("report", "2026-11", f"--{name}", str(tmp_path / "second"))
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_program_of_its_own_writes_the_same_bytes_to_standard_output(month: Station, tmp_path: Path) -> None:
    month.call("report", "2025-11", "--pdf", str(tmp_path / "file.pdf"))
    command = [sys.executable, "-m", "agent", "report", "2025-11", "--pdf", "-", "--config", str(month.path)]
    ended = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert ended.stdout == (tmp_path / "file.pdf").read_bytes()
    assert ended.stderr == b""


def test_csv_is_the_export_without_private_sessions(month: Station, tmp_path: Path) -> None:
    month.call("report", "2026-11", "--csv", str(tmp_path / "report.csv"), "--csv-flavour", "excel")
    month.call(
        "sessions",
        "export",
        "--from",
        "2026-11",
        "--to",
        "2026-11",
        "--csv-flavour",
        "excel",
        "--output",
        str(tmp_path / "export.csv"),
    )
    exported = (tmp_path / "export.csv").read_text().splitlines()
    assert (tmp_path / "report.csv").read_text().splitlines() == [line for line in exported if ";private;" not in line]


def test_json_beside_files_is_the_document(month: Station, tmp_path: Path) -> None:
    document = month.json("report", "2026-11", "--pdf", str(tmp_path / "a.pdf"))
    assert document["month"] == "2026-11"
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF-1.7")


def test_a_logo_is_printed_and_one_at_fault_is_told(month: Station, tmp_path: Path) -> None:
    with month.path.open("a") as file:
        file.write('logo = "logo.png"\n')
    (month.path.parent / "logo.png").write_bytes(png())
    assert month.call("report", "2026-11", "--pdf", str(tmp_path / "a.pdf"))[0] == 0
    assert b"/Subtype /Image" in (tmp_path / "a.pdf").read_bytes()
    (month.path.parent / "logo.png").write_bytes(b"GIF89a")
    status, _, err = month.call("report", "2026-11", "--pdf", str(tmp_path / "b.pdf"))
    assert status == 1
    assert "the statement cannot be made: the logo" in err
    assert not (tmp_path / "b.pdf").exists()


# ---- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["2026-13"], "'2026-13' is no month: write one like 2026-11"),
        (["november"], "'november' is no month"),
        (["2027-05"], "2027-05 has not begun yet"),
        (["2026-11", "--lang", "it"], "invalid choice: 'it'"),
        (["2026-11", "extra"], "'extra' is for `report compare`"),
        (["2026-11", "--month", "2026-11"], "--month is for `report compare`"),
        (["2026-11", "--pdf", "a", "--csv", "a"], "two formats are to go to one file"),
        (["2026-11", "--pdf", " "], "--pdf is empty"),
        (["2026-11", "--csv-flavour", "excel"], "--csv-flavour is for --csv"),
        (["2026-11", "--deliver"], "no delivery is configured: add a section [[delivery]]"),
        (["2026-11", "--deliver", "--pdf", "a"], "--pdf cannot stand beside --deliver"),
        (["2027-05", "--deliver"], "2027-05 has not begun yet"),
        (["commissioning"], "not part of this release"),
        (["compare"], "report compare needs FILE"),
        (["compare", "x", "--deliver"], "--deliver is for a month's statement"),
        (["compare", "x", "--pdf", "y"], "--pdf is for a month's statement"),
        (["compare", "nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(arguments: list[str], words: str, month: Station) -> None:
    assert words in month.refusal("report", *arguments, status=2)


def test_json_and_another_format_do_not_share_standard_output(month: Station) -> None:
    status, out, err = month.call("report", "2026-11", "--pdf", "-", "--json")
    assert (status, out) == (2, "")
    assert "--json prints JSON" in err


def test_a_place_that_cannot_be_written_is_told(month: Station, tmp_path: Path) -> None:
    status, out, err = month.call("report", "2026-11", "--pdf", str(tmp_path / "none" / "a.pdf"))
    assert (status, out) == (1, "")
    assert "cannot be written" in err
    assert "is a directory" in month.call("report", "2026-11", "--xlsx", str(tmp_path))[2]


def test_a_month_begins_in_the_stations_time_zone(month: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_now", lambda: datetime(2026, 12, 31, 22, 59, tzinfo=UTC))
    assert "has not begun yet" in month.refusal("report", "2027-01", status=2)
    monkeypatch.setattr(report, "_now", lambda: datetime(2026, 12, 31, 23, 0, tzinfo=UTC))
    assert month.json("report", "2027-01")["state"] == "in progress"


# ---- compare ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bill(month: Station, tmp_path: Path) -> Path:
    """Return the cloud's CDRs, which agree."""
    path = tmp_path / "cdrs.json"
    month.call("report", "2026-11", "--ocpi", str(path))
    return path


def test_a_bill_that_agrees_is_told_with_the_sums(month: Station, bill: Path) -> None:
    status, out, err = month.call("report", "compare", str(bill))
    assert (status, err) == (0, "")
    assert "2026-11: no differences" in out
    assert out.count("20.023") == 2
    assert month.json("report", "compare", str(bill))["differences"] == []


def test_each_difference_is_told_to_the_cent_and_is_exit_status_1(month: Station, bill: Path) -> None:
    cdrs = json.loads(bill.read_text())
    cdrs[0]["total_cost"] = {"excl_vat": 2.18, "incl_vat": 2.60}
    bill.write_text(json.dumps(cdrs[:2]))
    status, out, _ = month.call("report", "compare", str(bill), "--json")
    assert status == 1
    found = {(one["field"], one["agent"], one["cloud"], one["difference"]) for one in json.loads(out)["differences"]}
    assert found == {
        ("vat", "0.46", "0.42", "-0.04"),
        ("incl_vat", "2.64", "2.60", "-0.04"),
        ("session", "closed", None, "-0.18"),
    }
    text = month.call("report", "compare", str(bill))[1]
    assert "3 differences" in text
    assert "another rate of VAT: 21.1 % here, 19.3 % there" in text


def test_a_bill_with_a_private_session_is_told(month: Station, bill: Path) -> None:
    private = "019a1234-0000-7000-8000-000000000004"
    cdrs = json.loads(bill.read_text())
    bill.write_text(json.dumps([*cdrs, {**cdrs[0], "id": private, "session_id": private}]))
    status, out, _ = month.call("report", "compare", str(bill))
    assert status == 1
    assert "a private session" in out


def test_one_month_alone_is_compared_where_it_is_named(month: Station, bill: Path) -> None:
    status, out, _ = month.call("report", "compare", str(bill), "--month", "2026-12", "--json")
    assert (status, json.loads(out)["months"]) == (1, ["2026-12"])
    assert [one["session"][-1] for one in json.loads(out)["differences"]] == ["5"]


def test_a_csv_is_compared_from_standard_input(month: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    class Input:
        buffer = io.BytesIO(b"start;kWh;incl vat\n2026-11-03 21:15:03;7,522;2,64\n2026-11-09 21:15:03;12,001;4,21\n")

    monkeypatch.setattr(sys, "stdin", Input)
    status, out, _ = month.call("report", "compare", "-", "--json")
    (one,) = json.loads(out)["differences"]
    assert (status, one["field"], one["session"][-1]) == (1, "session", "3")


def test_a_file_that_is_no_bill_is_refused(month: Station, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1]")
    assert "record 1 is no object" in month.refusal("report", "compare", str(tmp_path / "x.json"), status=2)


@pytest.mark.usefixtures("december")
def test_a_month_of_a_year_without_a_flat_price_is_told(stopped: Station) -> None:
    with stopped.path.open("a") as file:
        file.write('[tariff]\ncurrency = "EUR"\n[statement]\nbasis = "flat"\nflat_price = {2001 = 0.30}\n')
    start, end = facts(1, 3)
    assert isinstance(end, SessionEnded)
    ledger(stopped, [start, replace(end, cost=None, refund=None)], facts(2, 20, month=12))
    assert "note: statement.flat_price: has no price for 2026 (file, line" in stopped.call("report", "2026-11")[2]
    status, out, err = stopped.call("config", "check")
    assert (status, out) == (2, "")
    assert err.startswith(f"{stopped.path}: statement.flat_price: has no price for ")
    assert stopped.call("report", "2026-10")[2] == stopped.call("report", "2026-12")[2] == ""


def test_what_was_added_to_a_session_is_in_the_statement(month: Station, tmp_path: Path) -> None:
    name = "019a1234-0000-7000-8000-000000000002"
    with month.running():
        month.json("sessions", "annotate", name, "--odometer", "48123", "--note", "Bezoek aan Utrecht")
        month.json("sessions", "annotate", name[:-1] + "4", "--note", "vakantie")
    sessions = month.json("report", "2026-11")["sessions"]
    assert [(s.get("odometer_km"), s.get("note")) for s in sessions][:2] == [
        (None, None),
        (48_123, "Bezoek aan Utrecht"),
    ]
    out = month.call("report", "2026-11")[1]
    assert "\n2  Kilometerstand 48.123 km, Opmerking: Bezoek aan Utrecht\n" in out
    assert "vakantie" not in out
    assert month.call("report", "2026-11", "--xlsx", str(tmp_path / "x.xlsx"), "--pdf", str(tmp_path / "x.pdf"))[0] == 0
    notes = openpyxl.load_workbook(tmp_path / "x.xlsx")["Notes"]
    assert [row[3:] for row in notes.iter_rows(values_only=True)][1:] == [(48_123, "Bezoek aan Utrecht")]
    assert "Utrecht" in "".join(page.extract_text() for page in pypdf.PdfReader(tmp_path / "x.pdf").pages)
