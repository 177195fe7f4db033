"""``sessions export``, and the limits of ``sessions list``: the contract's CSV, dates, and files that are whole."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from agent.buffer.deliveries import Reported
from agent.buffer.ledger import Refund, SessionRecord
from agent.buffer.timeline import Trust
from agent.cli import dates
from agent.cli.context import CommandFailed
from agent.cli.sheet import FLAVOURS, HEADER, csv_of
from agent.core.facts import Fact, SessionEnded, SessionStarted
from agent.core.model import EvseId, IdToken, Profile, Quality, SessionId, StopReason, Wh
from agent.core.state import Card, EvseState, StationState, Tokens
from agent.core.tariff import Cost, Dimension, Element, PriceComponent, Tariff, Terms
from tests.unit.cli.installed import Station, instant, one_session, write_ledger

#: The header of the contract, section 6, to the letter.
CONTRACT = (
    "id,card,profile,evse_id,start,end,duration_s,meter_start_wh,meter_stop_wh,energy_kwh,energy,time,fixed,parking,"
    "reservation,surcharge,excl_vat,vat,incl_vat,refund,currency,reporting"
)
BERLIN = ZoneInfo("Europe/Berlin")
ZERO = Decimal(0)
COST = Cost("EUR", Decimal("2.18"), ZERO, ZERO, ZERO, ZERO, ZERO, Decimal("2.18"), Decimal("0.46"))
RECORD = SessionRecord(
    id=SessionId("019a1b2c-0000-7000-8000-000000000001"),
    connector=EvseId(1),
    transaction_id=42,
    id_token=IdToken("04A1B2C3D4E5F6"),
    card="NL-WEX-CNQPWFBEK",
    profile=Profile.FLEET,
    company_code=None,
    started_at=datetime(2026, 11, 21, 20, 15, 3, 120_000, tzinfo=UTC),
    stopped_at=datetime(2026, 11, 21, 23, 41, 59, tzinfo=UTC),
    duration_s=Decimal("12415.880"),
    clock=Trust.SYNCHRONISED,
    meter_start=Wh(Decimal(1_234_567)),
    meter_stop=Wh(Decimal(1_242_089)),
    stop_reason=StopReason.EV_DISCONNECTED,
    reporting=Reported.REPORTED,
    quality=(Quality.MEASURED,),
    delivery=(),
    cost=COST,
    refund=Refund(Decimal(100), Decimal("2.64")),
    periods=(),
)
EVSE_IDS = ("NL*ACM*E000123*1",)


def rows(content: bytes, separator: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=separator))


# ---- CSV -------------------------------------------------------------------------------------------------------------


def test_a_session_is_one_line_under_the_contracts_header() -> None:
    assert csv_of([RECORD], EVSE_IDS, BERLIN, FLAVOURS["standard"]).decode() == (
        f"{CONTRACT}\r\n"
        "019a1b2c-0000-7000-8000-000000000001,NL-WEX-CNQPWFBEK,fleet,NL*ACM*E000123*1,2026-11-21T21:15:03.120+01:00,"
        "2026-11-22T00:41:59.000+01:00,12415.880,1234567,1242089,7.522,2.18,0.00,0.00,0.00,0.00,0.00,2.18,0.46,2.64,"
        "2.64,EUR,reported\r\n"
    )


def test_the_flavour_for_spreadsheets_has_a_mark_semicolons_decimal_commas_and_plain_times() -> None:
    content = csv_of([RECORD], EVSE_IDS, BERLIN, FLAVOURS["excel"])
    assert content.startswith(b"\xef\xbb\xbf" + CONTRACT.replace(",", ";").encode() + b"\r\n")
    (row,) = rows(content, ";")
    assert (row["start"], row["end"]) == ("2026-11-21 21:15:03", "2026-11-22 00:41:59")
    assert (row["energy_kwh"], row["duration_s"], row["incl_vat"]) == ("7,522", "12415,880", "2,64")


def test_what_is_not_known_is_empty_and_never_zero() -> None:
    bare = replace(RECORD, card=None, cost=None, refund=None, duration_s=None, connector=EvseId(2))
    (row,) = rows(csv_of([bare], EVSE_IDS, BERLIN, FLAVOURS["standard"]))
    assert row["card"] == "04A1B2C3D4E5F6"
    empty = {name for name, cell in row.items() if cell == ""}
    assert empty == {
        "evse_id", "duration_s", "energy", "time", "fixed", "parking", "reservation", "surcharge", "excl_vat", "vat",
        "incl_vat", "refund", "currency",
    }  # fmt: skip


def test_there_is_no_sum_line_and_an_open_session_is_left_out() -> None:
    still_open = replace(RECORD, stopped_at=None, meter_stop=None, cost=None, refund=None)
    assert len(rows(csv_of([RECORD, still_open, RECORD], EVSE_IDS, BERLIN, FLAVOURS["standard"]))) == 2
    assert csv_of([], EVSE_IDS, BERLIN, FLAVOURS["standard"]).decode() == f"{CONTRACT}\r\n"


def test_texts_with_separators_and_quotes_are_quoted() -> None:
    odd = replace(RECORD, card='A "B", C;\nD ü')
    for flavour, separator in (("standard", ","), ("excel", ";")):
        (row,) = rows(csv_of([odd], EVSE_IDS, BERLIN, FLAVOURS[flavour]), separator)
        assert row["card"] == 'A "B", C;\nD ü'


@pytest.mark.parametrize(
    ("card", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM", "'@SUM"),
        ("62E30860", '="62E30860"'),
        ("04120000", '="04120000"'),
        ("62E3086CED", "62E3086CED"),
    ],
)
def test_a_spreadsheet_neither_runs_a_card_number_nor_takes_it_for_a_number(card: str, cell: str) -> None:
    odd = replace(RECORD, card=card)
    assert rows(csv_of([odd], EVSE_IDS, BERLIN, FLAVOURS["excel"]), ";")[0]["card"] == cell
    assert rows(csv_of([odd], EVSE_IDS, BERLIN, FLAVOURS["standard"]))[0]["card"] == card


def test_both_hours_of_the_night_when_clocks_go_back_are_told_apart() -> None:
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    (row,) = rows(csv_of([replace(RECORD, started_at=first, stopped_at=second)], (), BERLIN, FLAVOURS["standard"]))
    assert (row["start"], row["end"]) == ("2026-10-25T02:30:00.000+02:00", "2026-10-25T02:30:00.000+01:00")


# ---- dates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-11-21", "2026-11-20T23:00:00Z", "2026-11-21T23:00:00Z"),
        ("2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        ("2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
        ("2026-11", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        ("2026-12", "2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z"),
        ("2026-10", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z"),
        ("2026-11-21T08:00", "2026-11-21T07:00:00Z", "2026-11-21T07:00:00.000001Z"),
        ("2026-11-21 08:00:30", "2026-11-21T07:00:30Z", "2026-11-21T07:00:30.000001Z"),
        ("2026-11-21T08:00:30.5Z", "2026-11-21T08:00:30.5Z", "2026-11-21T08:00:30.500001Z"),
        ("2026-11-21T08:00-05:00", "2026-11-21T13:00:00Z", "2026-11-21T13:00:00.000001Z"),
        (" 2024-02-29 ", "2024-02-28T23:00:00Z", "2024-02-29T23:00:00Z"),
    ],
)
def test_days_and_months_are_local_and_inclusive(text: str, since: str, until: str) -> None:
    assert dates.since("--from", text, BERLIN) == datetime.fromisoformat(since)
    assert dates.until("--to", text, BERLIN) == datetime.fromisoformat(until)


@pytest.mark.parametrize(
    "text",
    [
        "", "yesterday", "2026", "2026-13", "2026-00", "2026-02-30", "2026-1-1", "20261121", "2026-W47", "0000-01-01",
        "9999-12", "9999-12-31", "2026-11-21T25:00", "2026-11-21T", "2026-11-21T08", "2026-11-21T08:00+25:00",
        "21-11-2026", "2026-11-21\n2026", "\uff12026-11-21", "0001-01-01",
    ],
)  # fmt: skip
def test_what_is_no_date_is_refused_with_the_forms_that_are(text: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        dates.until("--to", text, BERLIN)
    assert failed.value.status == 2
    assert failed.value.lines == (
        f"--to is {text!r}, allowed is a day like 2026-11-21, a month like 2026-11, or a moment like 2026-11-21T08:00",
    )


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--from", "2026-11-22"], ["1", "2"]),  # ended at 00:41:59 local; the open one ends later
        (["--to", "2026-11-21"], ["2"]),  # the open one began then
        (["--from", "2026-11-23"], ["2"]),
        (["--to", "2026-11-22"], ["1", "2"]),
        (["--to", "2026-11-20"], []),
        (["--from", "2026-11", "--to", "2026-11"], ["1", "2"]),
        (["--to", "2026-11-22T00:41:59"], ["1", "2"]),
        (["--to", "2026-11-22T00:41:58"], ["2"]),
    ],
)
def test_a_session_belongs_to_the_local_day_of_its_end(
    with_ledger: Station, arguments: list[str], found: list[str]
) -> None:
    listed = with_ledger.json("sessions", "list", *arguments)
    assert [session["id"][-1] for session in listed] == found
    assert with_ledger.json("sessions", "export", *arguments) == listed


def test_a_time_without_sessions_is_told(with_ledger: Station) -> None:
    assert with_ledger.call("sessions", "list", "--to", "2026-11-20") == (0, "no sessions in this time\n", "")


def test_limits_the_wrong_way_round_are_told(stopped: Station) -> None:
    for verb in ("list", "export"):
        words = "--from 2026-11-22 is after --to 2026-11-21: give the earlier one first"
        assert stopped.refusal("sessions", verb, "--from", "2026-11-22", "--to", "2026-11-21", status=2) == words


# ---- the command -----------------------------------------------------------------------------------------------------


def test_without_any_option_the_csv_goes_to_standard_output(with_ledger: Station) -> None:
    status, out, err = with_ledger.call("sessions", "export")
    assert (status, err) == (0, "note: 1 session still running, and left out\n")
    assert out.startswith(
        f"{CONTRACT}\r\n019a1234-0000-7000-8000-000000000001,NL-WEX-CNQPWFBEK,fleet,,2026-11-21T21:15"
    )
    assert out.count("\r\n") == out.count("\n") == 2
    assert with_ledger.call("sessions", "export", "--output", "-") == (status, out, err)


def test_json_is_the_list_of_sessions_list(with_ledger: Station) -> None:
    listed = with_ledger.json("sessions", "list")
    status, out, err = with_ledger.call("sessions", "export", "--format", "json")
    assert (status, err) == (0, "")
    assert json.loads(out) == listed
    assert with_ledger.json("sessions", "export") == listed


def test_a_station_that_never_ran_exports_the_header_alone(stopped: Station) -> None:
    assert stopped.call("sessions", "export") == (0, f"{CONTRACT}\r\n", "")
    assert ",".join(HEADER) == CONTRACT


def test_a_file_is_written_for_its_owner_alone_and_what_was_done_is_told(with_ledger: Station, tmp_path: Path) -> None:
    file = tmp_path / "november.csv"
    file.write_text("old")
    file.chmod(0o666)
    status, out, _ = with_ledger.call("sessions", "export", "--output", str(file))
    assert (status, out) == (0, f"{file}: 1 session\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(rows(file.read_bytes())) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agent.toml", "november.csv", "state"]


def test_the_format_is_the_one_the_file_is_named_after(with_ledger: Station, tmp_path: Path) -> None:
    file = tmp_path / "november.JSON"
    assert with_ledger.json("sessions", "export", "--output", str(file)) == {
        "file": str(file),
        "format": "json",
        "sessions": 2,
    }
    assert len(json.loads(file.read_text())) == 2
    for name, format_ in (("x.XLSX", "xlsx"), ("x.ocpi.json", "ocpi"), ("x.txt", "csv"), ("ocpi", "csv")):
        options = ("sessions", "export", "--to", "2026-11-20", "--output", str(tmp_path / name), "--json")
        assert json.loads(with_ledger.call(*options)[1])["format"] == format_


def test_the_file_behind_a_link_is_replaced_and_the_link_stays(with_ledger: Station, tmp_path: Path) -> None:
    link, file = tmp_path / "link.csv", tmp_path / "file.csv"
    link.symlink_to(file)
    assert with_ledger.call("sessions", "export", "--output", str(link))[0] == 0
    assert link.is_symlink()
    assert file.read_text().startswith("id,card")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--format", "pdf"], "--format is 'pdf', allowed are csv, xlsx, json, ocpi and ocmf"),
        (["--format", ""], "--format is '', allowed are csv, xlsx, json, ocpi and ocmf"),
        (["--format", "json", "--csv-flavour", "excel"], "--csv-flavour is for csv, not for json"),
        (["--format", "xlsx", "--csv-flavour", "excel"], "--csv-flavour is for csv, not for xlsx"),
        (["--csv-flavour", "german"], "argument --csv-flavour: invalid choice: 'german'"),
        (["--output", ""], "--output is empty: name a file, or `-` for standard output"),
        (["--from", "soon"], "--from is 'soon', allowed is a day like"),
        (["--to"], "argument --to: expected one argument"),
    ],
)
def test_wrong_usage_is_one_line_with_what_there_is(stopped: Station, arguments: list[str], words: str) -> None:
    assert stopped.refusal("sessions", "export", *arguments, status=2).startswith(words)


def test_csv_on_standard_output_is_no_json_document(stopped: Station) -> None:
    status, out, err = stopped.call("sessions", "export", "--format", "csv", "--json")
    assert (status, out) == (2, "")
    assert "--json prints JSON: use --format json, or write the csv to a file" in err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing/x.csv", "cannot be written (No such file or directory)"),
        ("state", "cannot be written (it is a directory: name a file in it)"),
        ("agent.toml/x.csv", "cannot be written (Not a directory)"),
        ("x" * 300, "cannot be written (File name too long)"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_with_its_path(
    with_ledger: Station, tmp_path: Path, name: str, words: str
) -> None:
    arguments = ("sessions", "export", "--to", "2026-11-22", "--format", "json", "--output", str(tmp_path / name))
    assert words in with_ledger.refusal(*arguments)


def test_a_device_is_written_to_and_a_full_one_is_told(with_ledger: Station) -> None:
    assert with_ledger.call("sessions", "export", "--format", "json", "--output", "/dev/null")[0] == 0
    words = with_ledger.refusal("sessions", "export", "--format", "json", "--output", "/dev/full")
    assert words.startswith("/dev/full cannot be written (No space left on device)")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "november.csv"
    file.write_text("old")
    code = (
        "import sys, pathlib, resource; from agent.cli.files import put; from agent.cli.context import CommandFailed\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try: put(pathlib.Path(sys.argv[1]), b'x' * 1000)\n"
        "except CommandFailed as failed: print(failed, failed.status)"
    )
    done = subprocess.run([sys.executable, "-B", "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{file} cannot be written (File too large): check its directory and the disk's space 1\n"
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_behind_standard_output_is_told(with_ledger: Station) -> None:
    command = [sys.executable, "-m", "agent", "sessions", "export", "--config", str(with_ledger.path)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "the result cannot be written (No space left on device)" in done.stderr


def test_csv_is_utf_8_whatever_the_terminal_speaks(with_ledger: Station) -> None:
    command = [sys.executable, "-m", "agent", "sessions", "export", "--config", str(with_ledger.path)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run([*command, "--csv-flavour", "excel"], capture_output=True, check=False, env=environment)
    assert done.returncode == 0
    assert done.stdout.startswith(b"\xef\xbb\xbfid;card;")


# ---- XLSX and OCPI ---------------------------------------------------------------------------------------------------


TARIFF = Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal("0.29"), Decimal(21)),)),))
MONEY = ("energy", "time", "fixed", "parking", "reservation", "surcharge", "excl_vat", "vat", "incl_vat", "refund")
FIGURES = ("duration_s", "meter_start_wh", "meter_stop_wh", "energy_kwh", *MONEY)


def charged(number: int, *, priced: bool = True, profile: Profile = Profile.FLEET) -> list[Fact]:
    """Return the facts of a session with its own times, energy and cost."""
    start, end = one_session(1, closed=True)
    assert isinstance(start, SessionStarted)
    assert isinstance(end, SessionEnded)
    name = SessionId(f"019a1234-0000-7000-8000-{number:012}")
    begin, over = instant(20_000.0007 * number), instant(20_000 * number + 7200.3459)
    energy = Decimal("8.27") + number
    cost = Cost("EUR", energy, ZERO, Decimal("0.50"), ZERO, ZERO, Decimal("1.10"), energy + Decimal("1.60"), ZERO)
    refund = None if profile is Profile.PRIVATE else Decimal("4.27")
    terms = Terms(TARIFF, "Europe/Amsterdam", None if profile is Profile.PRIVATE else Decimal(50)) if priced else None
    first = replace(start.reading, register=Wh(Decimal(1000 + number)), at=begin)
    register = Wh(Decimal(9_999 * number) + Decimal("1000.9"))
    return [
        replace(start, session=name, at=begin, reading=first, terms=terms, profile=profile),
        replace(
            end,
            session=name,
            at=over,
            register=register,
            cost=cost if priced else None,
            refund=refund if priced else None,
        ),
    ]


@pytest.fixture
def priced(stopped: Station) -> Station:
    """Return a station with two fleet sessions that have a price, one without, a private one, and an open one."""
    card = Card(IdToken("04A1B2C3D4E5F6"), Profile.FLEET, "NL-WEX-CNQPWFBEK", "NL-WEX-C00000017-0")
    state = StationState((EvseState(EvseId(1)),), tokens=Tokens({card.id_token.key: card}))
    rest = [charged(2), charged(3, priced=False), charged(4, profile=Profile.PRIVATE)]
    write_ledger(stopped.state_dir, state, charged(1), *rest, charged(5)[:1])
    return stopped


def workbook(content: bytes, *, values: bool = True) -> Any:  # noqa: ANN401  # openpyxl's own
    return openpyxl.load_workbook(io.BytesIO(content), data_only=values)


def written(station: Station, name: str, *options: str) -> bytes:
    """Return the file that is exported."""
    path = station.state_dir.parent / name
    assert station.call("sessions", "export", "--output", str(path), *options)[0] == 0
    return path.read_bytes()


@pytest.mark.parametrize("options", [(), ("--private", "no"), ("--private", "yes"), ("--from", "2026-11-22T08:00")])
def test_the_workbook_has_the_figures_of_the_csv_and_their_sums(priced: Station, options: tuple[str, ...]) -> None:
    expected = rows(written(priced, "x.csv", *options))
    content = written(priced, "x.xlsx", *options)
    values, formulas = workbook(content), workbook(content, values=False)
    assert values.sheetnames == ["Sessions"]
    head, *read, total = values["Sessions"].iter_rows(values_only=True)
    assert ",".join(head) == CONTRACT
    assert len(read) == len(expected) == (3 if options == ("--private", "no") else 4 - ("--from" in options))
    for row, told in zip(read, expected, strict=True):
        for name, value in zip(HEADER, row, strict=True):
            if name in FIGURES:
                assert (None if value is None else Decimal(str(value))) == (Decimal(told[name]) if told[name] else None)
            elif name in {"start", "end"}:
                local = datetime.fromisoformat(told[name]).replace(tzinfo=None)
                assert abs(value - local) < timedelta(microseconds=500)
            else:
                assert (value or "") == told[name]
    last = dict(zip(HEADER, list(formulas["Sessions"].iter_rows(values_only=True))[-1], strict=True))
    for name, value in zip(HEADER, total, strict=True):
        if name in {"duration_s", "energy_kwh", *MONEY}:
            letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[HEADER.index(name)]
            assert last[name] == f"=SUM({letter}2:{letter}{len(read) + 1})"
            assert round(Decimal(value), 3) == sum(Decimal(told[name] or 0) for told in expected)


def test_the_workbook_is_the_same_bytes_on_standard_output(priced: Station) -> None:
    command = [sys.executable, "-m", "agent", "sessions", "export", "--config", str(priced.path), "--format", "xlsx"]
    outputs = [subprocess.run([*command, *more], capture_output=True, check=True) for more in ([], ["--output", "-"])]
    assert outputs[0].stdout == outputs[1].stdout == written(priced, "x.xlsx")
    assert outputs[0].stderr == b"note: 1 session still running, and left out\n"


def test_a_workbook_is_not_printed_to_a_terminal(priced: Station) -> None:
    for arguments in (["sessions", "export", "--format", "xlsx"], ["report", "2026-11", "--pdf", "-"]):
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "agent", *arguments, "--config", str(priced.path)]
        done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
        os.close(theirs)
        os.close(ours)
        assert done.returncode == 2
        assert "is no text for a terminal: name a file for it, or send the output to one (> FILE)" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_cdrs_have_the_figures_of_the_csv(priced: Station) -> None:
    expected = [row for row in rows(written(priced, "x.csv", "--private", "no")) if row["incl_vat"]]
    cdrs = json.loads(written(priced, "x.ocpi.json"), parse_float=Decimal)
    listed = {session["id"]: session for session in json.loads(written(priced, "x.json"))}
    assert [cdr["id"] for cdr in cdrs] == [row["id"] for row in expected]
    assert len(cdrs) == 2
    for cdr, row in zip(cdrs, expected, strict=True):
        session = listed[cdr["id"]]
        assert cdr["total_energy"] == Decimal(row["energy_kwh"])
        assert (cdr["start_date_time"], cdr["end_date_time"]) == (session["started_at"], session["stopped_at"])
        assert cdr["total_cost"] == {"excl_vat": Decimal(row["excl_vat"]), "incl_vat": Decimal(row["incl_vat"])}
        for name in ("energy", "time", "fixed", "parking", "reservation"):
            assert cdr[f"total_{name}_cost"]["excl_vat"] == Decimal(row[name])
        assert abs(cdr["total_time"] * 3600 - Decimal(row["duration_s"])) < Decimal("0.01")
        assert cdr["currency"] == row["currency"]
        assert f"surcharge {row['surcharge']}; refund {row['refund']}" in cdr["remark"]
        assert cdr["cdr_token"]["contract_id"] == "NL-WEX-C00000017-0"
        assert (cdr["meter_id"], cdr["auth_method"]) == ("23004711", "WHITELIST")


def test_cdrs_are_those_of_the_months_statement(priced: Station, tmp_path: Path) -> None:
    of_month = tmp_path / "november.json"
    assert priced.call("report", "2026-11", "--ocpi", str(of_month))[0] == 0
    assert written(priced, "x.ocpi.json", "--from", "2026-11", "--to", "2026-11") == of_month.read_bytes()


def test_what_has_no_cdr_is_told_and_private_sessions_have_one_where_that_is_asked_for(priced: Station) -> None:
    file = str(priced.state_dir.parent / "x.ocpi.json")
    status, out, err = priced.call("sessions", "export", "--output", file)
    assert (status, out) == (0, f"{file}: 2 sessions\n")
    assert err.splitlines()[0] == "note: 1 session still running, and left out"
    assert "location.address" in err
    assert err.endswith("note: 1 session has no price and no CDR\n")
    cdrs = json.loads(written(priced, "x.json", "--format", "ocpi", "--private", "yes"))
    assert [cdr["id"][-1] for cdr in cdrs] == ["1", "2", "4"]
    assert cdrs[2]["remark"] == "local-only; surcharge 1.10"


def test_a_station_that_never_ran_has_no_cdrs_and_an_empty_sheet(stopped: Station) -> None:
    assert json.loads(written(stopped, "x.json", "--format", "ocpi")) == []
    head, total = workbook(written(stopped, "x.xlsx"))["Sessions"].iter_rows(values_only=True)
    assert ",".join(head) == CONTRACT
    assert (total[0], total[HEADER.index("incl_vat")]) == ("Total", 0)
