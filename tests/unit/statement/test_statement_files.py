"""CSV, XLSX, OCPI and JSON, read back: every figure and total is the ledger's, whatever the sessions are called."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.annotation import Annotation
from agent.buffer.deliveries import Reported
from agent.buffer.ledger import SessionRecord
from agent.core.facts import Period, StartTrigger
from agent.core.instant import Instant
from agent.core.model import IdToken, Quality, Wh
from agent.core.tariff import Basis
from agent.statement.cdr import cdrs, missing
from agent.statement.document import document_of, signed_text
from agent.statement.files import CONTENT, FORMATS, Form, made, name_of
from agent.statement.model import Device, Location, Origin, Pricing, Seal, Statement
from agent.statement.sheet import COSTS, HEADER
from agent.statement.workbook import sessions_of
from tests.unit.statement import book


def workbook(statement: Statement, *, values: bool = True, language: str = "en") -> Any:  # noqa: ANN401  # openpyxl's own
    return openpyxl.load_workbook(io.BytesIO(made(statement, "xlsx", Form(language))), data_only=values)


def rows(statement: Statement, flavour: str = "standard") -> list[dict[str, str]]:
    content = made(statement, "csv", Form(csv_flavour=flavour)).decode("utf-8-sig")
    separator = ";" if flavour == "excel" else ","
    return list(csv.DictReader(io.StringIO(content, newline=""), delimiter=separator))


def figures(record: SessionRecord) -> dict[str, Decimal | None]:
    """Return what the ledger has, by the columns of the CSV."""
    cost, refund = record.cost, record.refund
    return {
        "duration_s": record.duration_s,
        "meter_start_wh": record.meter_start,
        "meter_stop_wh": record.meter_stop,
        "energy_kwh": None if record.energy is None else record.energy / 1000,
        **{name: None if cost is None else getattr(cost, name) for name in COSTS},
        "refund": None if refund is None else refund.amount,
    }


# ---- all of them -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("count", [0, 1, 31])
def test_the_same_statement_is_the_same_bytes(format_: str, count: int) -> None:
    assert made(book.typical(count), format_, Form("nl")) == made(book.typical(count), format_, Form("nl"))


def test_each_format_has_a_type_and_a_name() -> None:
    statement = replace(book.typical(1), site=replace(book.SITE, station="NL ACME/1"))
    assert set(CONTENT) == set(FORMATS)
    assert name_of(statement, "pdf") == "NL_ACME_1-2026-11.pdf"
    assert len({name_of(statement, format_) for format_ in FORMATS}) == len(FORMATS)


def test_a_format_that_there_is_not_is_refused() -> None:
    with pytest.raises(KeyError):
        made(book.typical(1), "odt", Form())


# ---- CSV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["standard", "excel"])
@pytest.mark.requirement(60)
def test_the_csv_read_back_is_the_ledger(flavour: str) -> None:
    statement = book.typical(31)
    read = rows(statement, flavour)
    assert len(read) == 31
    for row, record in zip(read, statement.records, strict=True):
        for name, value in figures(record).items():
            assert Decimal(row[name].replace(",", ".")) == value
    total = sum(Decimal(row["incl_vat"].replace(",", ".")) for row in read)
    assert statement.totals.cost is not None
    assert total == statement.totals.cost.incl_vat


# ---- XLSX ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 31])
@pytest.mark.requirement(60)
def test_the_workbook_read_back_is_the_ledger(count: int) -> None:
    statement = book.typical(count)
    sheet = workbook(statement)["Sessions"]
    read = list(sheet.iter_rows(values_only=True))
    assert read[0] == HEADER
    assert len(read) == count + 2
    for row, record in zip(read[1:-1], statement.records, strict=True):
        told = dict(zip(HEADER, row, strict=True))
        assert told["id"] == record.id
        for name, value in figures(record).items():
            assert told[name] == pytest.approx(float(value or 0), abs=1e-9)
            assert isinstance(told[name], int | float)
        local = record.started_at.astimezone(statement.site.zone).replace(tzinfo=None)
        assert abs(told["start"] - local) < timedelta(milliseconds=1)


@pytest.mark.parametrize("count", [0, 1, 31])
def test_the_last_row_sums_by_formula_and_the_value_is_there(count: int) -> None:
    statement = book.typical(count)
    formulas = list(workbook(statement, values=False)["Sessions"].iter_rows(values_only=True))
    values = list(workbook(statement)["Sessions"].iter_rows(values_only=True))
    for name, formula, value, column in zip(
        HEADER, formulas[-1], values[-1], zip(*values[1:-1], strict=True) if count else [()] * 22, strict=True
    ):
        if name in {"duration_s", "energy_kwh", *COSTS, "refund"}:
            letter = re.fullmatch(r"=SUM\(([A-Z]+)([0-9]+):\1([0-9]+)\)", formula)
            assert letter is not None
            assert (int(letter[2]), int(letter[3])) == ((2, count + 1) if count else (1, 1))
            assert value == pytest.approx(sum(column), abs=1e-9)
        elif name != "id":
            assert formula is value is None
    totals = dict(zip(HEADER, values[-1], strict=True))
    cost, refund = statement.totals.cost, statement.totals.refund
    assert cost is not None
    assert refund is not None
    assert Decimal(str(totals["incl_vat"])) == cost.incl_vat
    assert Decimal(str(totals["refund"])) == refund
    assert totals["energy_kwh"] == float(statement.totals.energy / 1000)


def test_the_sheet_of_cards_adds_up_to_the_sheet_of_sessions() -> None:
    statement = book.typical(31)
    found = workbook(statement)
    names, *cards, total = found["Cards"].iter_rows(values_only=True)
    sessions = dict(zip(HEADER, list(found["Sessions"].iter_rows(values_only=True))[-1], strict=True))
    assert [row[0] for row in cards] == ["62E30860", "DE8C10C91EF350", "NL-WEX-CNQPWFBEK"]
    for at, name in enumerate(names):
        if name in {"energy_kwh", *COSTS, "refund"}:
            assert sum(row[at] for row in cards) == pytest.approx(total[at], abs=1e-9)
            assert total[at] == sessions[name]


def evaluated(formula: str, sheets: Any, sheet: str) -> float:  # noqa: ANN401  # as workbook
    """Compute a SUMPRODUCT of comparisons and a column as a spreadsheet does; texts in the column count as nothing."""
    arguments = re.findall(r"--\(Sessions!\$(\w+)\$(\d+):\$\w+\$(\d+)=(\$?\w+)\)", formula)
    first, last = int(arguments[0][1]), int(arguments[0][2])
    chosen = [1.0] * (last - first + 1)
    for letter, _, _, cell in arguments:
        wanted = str(sheets[sheet][cell.replace("$", "")].value).casefold()
        for at in range(first, last + 1):
            chosen[at - first] *= str(sheets["Sessions"][f"{letter}{at}"].value).casefold() == wanted
    column = re.search(r",Sessions!\$(\w+)\$\d+:\$\w+\$\d+\)$", formula)
    if column is not None:
        cells = [sheets["Sessions"][f"{column[1]}{at}"].value for at in range(first, last + 1)]
        chosen = [c * (v if isinstance(v, int | float) else 0) for c, v in zip(chosen, cells, strict=True)]
    return sum(chosen)


def test_the_formulas_of_the_cards_give_their_values() -> None:
    records = book.month(20)
    records[3] = replace(records[3], card=None, id_token=IdToken("62e30860"), cost=None, refund=None)
    statement = book.statement(records)
    formulas, values = workbook(statement, values=False), workbook(statement)
    for row in formulas["Cards"].iter_rows(min_row=2, max_row=4):
        for cell in row[2:]:
            assert evaluated(cell.value, values, "Cards") == pytest.approx(
                values["Cards"][cell.coordinate].value, abs=1e-9
            )


@pytest.mark.parametrize("card", ["=HYPERLINK(1)", "62E30860", "00123", "+1", "https://x.example", "A*B?", '"q"'])
def test_a_card_number_is_a_text_whatever_it_looks_like(card: str) -> None:
    statement = book.statement([book.session(card=card)])
    sheets = workbook(statement, values=False)
    assert (sheets["Sessions"]["B2"].value, sheets["Sessions"]["B2"].data_type) == (card, "s")
    assert sheets["Sessions"]["B2"].hyperlink is None
    assert sheets["Cards"]["A2"].value == card


def test_money_of_several_currencies_has_no_sum() -> None:
    cost = book.cost_of({"energy": "2.18"}, currency="CHF")
    sheet = workbook(book.statement([book.session(1), book.session(2, cost=cost)]))["Sessions"]
    total = dict(zip(HEADER, list(sheet.iter_rows(values_only=True))[-1], strict=True))
    assert (total["incl_vat"], total["refund"], total["energy_kwh"]) == (None, None, 15.044)


def test_an_open_session_is_in_no_sheet_and_an_unknown_price_is_an_empty_cell() -> None:
    records = [book.session(1, cost=None, refund=None), book.running()]
    read = list(
        workbook(book.statement(records, now=datetime(2026, 11, 25, tzinfo=UTC)))["Sessions"].iter_rows(
            values_only=True
        )
    )
    assert len(read) == 3
    assert dict(zip(HEADER, read[1], strict=True))["incl_vat"] is None


def test_the_third_sheet_says_what_it_is_about_in_the_language() -> None:
    sheet = workbook(book.typical(3), language="nl")["Statement"]
    told = {str(label): str(value) for label, value in sheet.iter_rows(values_only=True)}
    assert told["Overzicht thuisladen"] == "november 2026"
    assert told["Locatie"] == "Home, Am Hafen 10, 17207 Müritz, DEU"
    assert "M16 0122" in told["Meter 1"]
    assert told["Kop van de keten (SHA-256)"] == book.SEAL.head


def test_the_properties_are_dated_by_the_statement() -> None:
    properties = workbook(book.typical(3)).properties
    assert properties.created == datetime(2026, 12, 1)  # noqa: DTZ001  # local, as written


def test_sessions_alone_make_a_workbook_too() -> None:
    content = sessions_of(book.month(3), book.SITE.evse_ids, book.SITE.zone)
    assert content == sessions_of(book.month(3), book.SITE.evse_ids, book.SITE.zone)
    assert openpyxl.load_workbook(io.BytesIO(content)).sheetnames == ["Sessions"]
    assert openpyxl.load_workbook(io.BytesIO(sessions_of([], (), book.SITE.zone)))["Sessions"].max_row == 2


# ---- OCPI ------------------------------------------------------------------------------------------------------------

#: Members of OCPI 2.2.1 (mod_cdrs, CDR object) that are required.
REQUIRED = {
    "country_code", "party_id", "id", "start_date_time", "end_date_time", "cdr_token", "auth_method", "cdr_location",
    "currency", "charging_periods", "total_cost", "total_energy", "total_time", "last_updated",
}  # fmt: skip
LOCATION = {
    "id", "address", "city", "country", "coordinates", "evse_uid", "evse_id", "connector_id", "connector_standard",
    "connector_format", "connector_power_type",
}  # fmt: skip
TOKEN = {"country_code", "party_id", "uid", "type", "contract_id"}


def ocpi(statement: Statement) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(made(statement, "ocpi", Form()), parse_float=Decimal)
    return found


@pytest.mark.requirement(60)
def test_cdrs_read_back_are_the_ledger() -> None:
    statement = book.typical(31)
    read = ocpi(statement)
    assert len(read) == 31
    for cdr, record in zip(read, statement.records, strict=True):
        cost = record.cost
        assert cost is not None
        assert cdr["total_cost"] == {"excl_vat": cost.excl_vat, "incl_vat": cost.incl_vat}
        assert cdr["total_energy"] == (record.energy or 0) / 1000
        for member, amount in (
            ("energy", cost.energy),
            ("time", cost.time),
            ("fixed", cost.fixed),
            ("parking", cost.parking),
            ("reservation", cost.reservation),
        ):
            assert cdr[f"total_{member}_cost"]["excl_vat"] == amount
        assert abs(cdr["total_time"] * 3600 - (record.duration_s or 0)) < Decimal("0.002")
        assert abs(datetime.fromisoformat(cdr["start_date_time"]) - record.started_at) < timedelta(milliseconds=1)
    assert statement.totals.cost is not None
    assert sum(cdr["total_cost"]["incl_vat"] for cdr in read) == statement.totals.cost.incl_vat


@pytest.mark.parametrize(
    "site", [book.SITE, replace(book.SITE, location=Location(), devices=(Device(None, "m", "m"),))]
)
def test_cdrs_have_every_member_that_is_required(site: Any) -> None:  # noqa: ANN401  # a Site
    (cdr,) = ocpi(book.statement([book.session()], site))
    assert cdr.keys() >= REQUIRED
    assert cdr["cdr_location"].keys() >= LOCATION
    assert cdr["cdr_token"].keys() >= TOKEN
    assert re.fullmatch(r"-?[0-9]{1,2}\.[0-9]{5,7}", cdr["cdr_location"]["coordinates"]["latitude"])
    assert re.fullmatch(r"-?[0-9]{1,3}\.[0-9]{5,7}", cdr["cdr_location"]["coordinates"]["longitude"])
    assert (len(cdr["country_code"]), len(cdr["party_id"]), len(cdr["id"])) == (2, 3, 36)
    assert len(cdr["cdr_location"]["country"]) == 3


def test_country_and_party_come_from_the_evse_id_where_they_are_not_configured() -> None:
    site = replace(book.SITE, location=Location())
    (cdr,) = ocpi(book.statement([book.session()], site))
    assert (cdr["country_code"], cdr["party_id"], cdr["cdr_location"]["country"]) == ("NL", "ACM", "NLD")
    assert missing(site) == ("address", "city", "latitude", "longitude")
    assert missing(book.SITE) == ()
    nothing = replace(site, devices=(Device(None, "m", "m"),))
    assert missing(nothing)[-2:] == ("country_code", "party_id")


def test_the_token_is_of_who_issued_it() -> None:
    records = [
        book.session(1),
        book.session(2, card=None, id_token=IdToken("DE8C10C91EF350")),
        book.session(3, card=None, id_token=IdToken("62E30860")),
    ]
    origins = {records[0].id: Origin(StartTrigger.REMOTE)}
    first, second, third = (cdr["cdr_token"] for cdr in ocpi(book.statement(records, origins=origins)))
    assert (first["type"], first["country_code"], first["party_id"]) == ("APP_USER", "NL", "WEX")
    assert (second["contract_id"], second["party_id"], second["uid"]) == ("DE-ACM-C12345678-9", "ACM", "DE8C10C91EF350")
    assert (third["contract_id"], third["country_code"], third["party_id"]) == ("62E30860", "DE", "ACM")


def test_periods_of_one_price_are_charging_periods() -> None:
    begin = book.session().started_at
    periods = tuple(
        Period(Instant(0.0, begin + timedelta(hours=n)), Wh(Decimal(e)), Decimal("0.3"))
        for n, e in ((0, 3000), (1, 4522))
    )
    (cdr,) = ocpi(book.statement([book.session(periods=periods)]))
    assert [p["dimensions"][0]["volume"] for p in cdr["charging_periods"]] == [Decimal("3.0"), Decimal("4.522")]
    assert cdr["charging_periods"][1]["start_date_time"] == "2026-11-21T21:15:03.120Z"


def test_what_has_no_price_or_no_end_has_no_cdr() -> None:
    records = [book.session(1, cost=None, refund=None), book.running()]
    statement = book.statement(records)
    assert cdrs(statement.lines, {}, statement.site) == []


def test_marks_are_remarked() -> None:
    cost = book.cost_of({"energy": "2.00", "surcharge": "1.00"})
    record = book.session(cost=cost, quality=(Quality.METER_GAP,), reporting=Reported.LOCAL_ONLY)
    (cdr,) = ocpi(book.statement([record]))
    assert cdr["remark"] == "local-only; meter-gap; surcharge 1.00; refund 2.64"


@pytest.mark.parametrize("note", ["Visit to Müritz", "=HYPERLINK(1)", "https://example.org", "48123", "x" * 255])
def test_what_was_added_has_a_sheet_of_its_own_where_anything_was(note: str) -> None:
    records = [book.session(1), book.session(2)]
    added = {records[1].id: Annotation(Decimal(48_123), note)}
    found = workbook(book.statement(records, annotations=added))
    assert found.sheetnames == ["Sessions", "Cards", "Notes", "Statement"]
    head, row = found["Notes"].iter_rows(values_only=True)
    assert head == ("id", "card", "end", "odometer_km", "note")
    end = datetime(2026, 11, 22, 0, 41, 59)  # noqa: DTZ001  # local, as spreadsheets have it
    assert row == (records[1].id, "NL-WEX-CNQPWFBEK", end, 48_123, note)
    assert [cell.data_type for cell in found["Notes"][2]][-1] == "s"
    assert list(found["Sessions"].iter_rows(max_row=1, values_only=True)) == [HEADER]
    assert workbook(book.statement(records)).sheetnames == ["Sessions", "Cards", "Statement"]


# ---- JSON ------------------------------------------------------------------------------------------------------------


def test_the_document_is_the_contracts() -> None:
    document = json.loads(made(book.typical(7), "json", Form()))
    assert document.keys() >= {
        "month", "state", "station", "meter", "currency", "basis", "cards", "sessions", "totals", "chain_head",
        "signature",
    }  # fmt: skip
    assert document["month"] == "2026-11"
    assert document["state"] == "completed"
    assert document["station"] == "NL-ACME-000123"
    assert document["basis"] == "tariff"
    assert (document["meter"]["model"], document["meter"]["serial_number"]) == ("eastron_sdm630_v2", "23004711")
    assert (document["chain_head"], document["signature"]) == (book.SEAL.head, book.SEAL.signature)
    card = document["cards"][0]
    assert card.keys() >= {"card", "id_tag", "profile", "sessions", "energy_wh", "cost", "refund"}
    assert card["cost"].keys() == document["sessions"][0]["cost"].keys()
    assert document["totals"].keys() == {"sessions", "energy_wh", "cost", "refund"}


def test_totals_of_the_document_are_the_sums_of_its_sessions() -> None:
    document = json.loads(made(book.typical(31), "json", Form()))
    for name in COSTS:
        total = sum(Decimal(session["cost"][name]) for session in document["sessions"])
        assert Decimal(document["totals"]["cost"][name]) == total
        assert sum(Decimal(card["cost"][name]) for card in document["cards"]) == total
    assert Decimal(document["totals"]["refund"]["amount"]) == sum(
        Decimal(s["refund"]["amount"]) for s in document["sessions"]
    )
    assert document["totals"]["refund"]["percentage"] is None
    assert document["totals"]["energy_wh"] == sum(s["energy_wh"] for s in document["sessions"])


def test_an_open_session_has_no_cost_and_no_refund() -> None:
    document = document_of(book.statement([book.running()], now=datetime(2026, 11, 25, tzinfo=UTC)))
    assert isinstance(document["sessions"], list)
    (session,) = document["sessions"]
    assert (session["state"], session["cost"], session["refund"]) == ("open", None, None)
    assert document["state"] == "in progress"


def test_a_note_and_a_flat_price_are_told() -> None:
    record = book.session()
    origins = {record.id: Origin(pricing=Pricing(Basis.FLAT, Decimal("0.340"), "EUR"))}
    statement = book.statement(
        [record], origins=origins, annotations={record.id: Annotation(Decimal(48_123), "Müritz")}
    )
    document = json.loads(made(statement, "json", Form()))
    assert (document["basis"], document["bases"][0]["price"]) == ("flat", "0.340")
    assert (document["sessions"][0]["odometer_km"], document["sessions"][0]["note"]) == (48_123, "Müritz")


def test_what_is_signed_is_the_document_with_head_and_key_and_without_the_signature() -> None:
    statement = replace(book.typical(2), seal=None)
    signed = signed_text(statement, book.SEAL)
    document = json.loads(made(replace(statement, seal=book.SEAL), "json", Form()))
    document["signature"] = None
    assert signed == json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert signed == signed_text(statement, replace(book.SEAL, signature="other"))
    assert signed != signed_text(statement, Seal("00" * 32, None, book.SEAL.fingerprint))


# ---- all against all -------------------------------------------------------------------------------------------------

CENTS = st.decimals(0, 999, places=2)


@settings(max_examples=25)
@given(st.lists(st.tuples(CENTS, CENTS, st.integers(0, 90_000), st.sampled_from(book.CARDS)), max_size=12))
def test_all_formats_say_the_same(
    drawn: list[tuple[Decimal, Decimal, int, tuple[str, str | None, str | None, str | None]]],
) -> None:
    records = []
    for number, (energy_cost, fixed, energy, (uid, label, _, _)) in enumerate(drawn):
        cost = book.cost_of({"energy": energy_cost, "fixed": fixed})
        end = Wh(Decimal(1_234_567 + energy))
        records.append(
            book.session(
                number, cost=cost, refund=book.refund_of(cost, "80"), meter_stop=end, id_token=IdToken(uid), card=label
            )
        )
    statement = book.statement(records)
    assert statement.totals.cost is not None
    expected = statement.totals.cost.incl_vat
    assert sum((Decimal(row["incl_vat"]) for row in rows(statement)), Decimal(0)) == expected
    assert sum((cdr["total_cost"]["incl_vat"] for cdr in ocpi(statement)), Decimal(0)) == expected
    document = json.loads(made(statement, "json", Form()))
    assert Decimal(document["totals"]["cost"]["incl_vat"]) == expected
    sheet = workbook(statement)["Sessions"]
    total = dict(zip(HEADER, list(sheet.iter_rows(values_only=True))[-1], strict=True))
    assert round(Decimal(total["incl_vat"]), 2) == expected
    assert round(Decimal(total["energy_kwh"]), 3) == statement.totals.energy / 1000
