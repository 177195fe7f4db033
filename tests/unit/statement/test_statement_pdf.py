"""The PDF, read back: every figure and total, pages, notes, texts of any length and language; always the same bytes."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.annotation import Annotation
from agent.buffer.deliveries import Reported
from agent.buffer.timeline import Trust
from agent.core.model import IdToken, Quality
from agent.core.tariff import Basis
from agent.statement.files import Form, made
from agent.statement.language import LANGUAGES, Language, language
from agent.statement.model import Device, Location, Origin, Pricing, Seal, Statement
from tests.unit.statement import book

PLAIN: Final = Form()
DASH: Final = "\N{EN DASH}"
GOLDEN: Final = Path(__file__).parents[2] / "vectors" / "statements"


def pdf(statement: Statement, form: Form = PLAIN) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(made(statement, "pdf", form)), strict=True)


def text(statement: Statement, form: Form = PLAIN) -> str:
    return "\n".join(page.extract_text() for page in pdf(statement, form).pages)


def amounts(line: str, words: Language, count: int) -> list[Decimal]:
    """Return the last numbers of a line as the language writes them."""
    cells = line.replace(words.group, "").replace(words.decimal, ".").split(" ")[-count:]
    return [Decimal(cell) for cell in cells]


def sessions(statement: Statement, code: str) -> dict[str, tuple[list[Decimal], list[Decimal], str]]:
    """Return of each session, by its id: kWh, excl. VAT, VAT, incl. VAT, refund; the components; and all its lines."""
    words, found, pending = language(code), {}, list[str]()
    for line in text(statement, Form(code)).splitlines():
        pending.append(line)
        if match := re.search(rf"{words['session']} ([0-9a-f-]{{36}})", line):
            first = max(i for i, one in enumerate(pending) if re.match(r"[0-9]+ .* [0-9]{2}:[0-9]{2}:[0-9]{2}", one))
            block = pending[first:]
            parts = next((one for one in block if one.startswith(words["energy"])), "")
            components = [amounts(part.strip(), words, 1)[0] for part in parts.split("\N{MIDDLE DOT}")[:-1]]
            found[match[1]] = (amounts(block[0], words, 5), components, "\n".join(block))
            pending = []
    return found


# ---- figures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_figure_read_back_is_the_ledgers(code: str) -> None:
    statement = book.typical(31)
    words, found = language(code), sessions(statement, code)
    assert len(found) == 31
    for record in statement.records:
        figures, components, block = found[record.id]
        cost, refund = record.cost, record.refund
        assert cost is not None
        assert refund is not None
        assert figures == [(record.energy or 0) / 1000, cost.excl_vat, cost.vat, cost.incl_vat, refund.amount]
        assert components == [cost.energy, cost.time, cost.fixed, cost.parking, cost.reservation, cost.surcharge]
        assert words.moment(record.started_at, statement.site.zone) in block
        assert words.duration(record.duration_s) in block
        assert words.kwh(record.meter_start) in block
        assert words.kwh(record.meter_stop) in block
        assert "NL*ACM*E000123*1" in block


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_totals_read_back_are_the_sums_of_the_lines_read_back(code: str) -> None:
    statement = book.typical(31)
    words, found = language(code), sessions(statement, code)
    sums = [sum((figures[at] for figures, _, _ in found.values()), Decimal(0)) for at in range(5)]
    lines = [line for line in text(statement, Form(code)).splitlines() if line.startswith(words["total"])]
    assert amounts(lines[0], words, 5) == amounts(lines[-1], words, 5) == sums
    cards = [amounts(line, words, 5) for line in lines[1:-1]]
    assert [sum(column) for column in zip(*cards, strict=True)] == sums
    components = [sum((parts[at] for _, parts, _ in found.values()), Decimal(0)) for at in range(6)]
    told = [line for line in text(statement, Form(code)).splitlines() if " EUR " in line and line[0].isalpha()]
    assert [amounts(line, words, 1)[0] for line in told[-10:]] == [*components, *sums[1:]]


def test_a_duration_is_told_in_words() -> None:
    record = book.session(duration_s=Decimal("3404.2"))
    assert "56 minuten, 44 seconden" in text(book.statement([record]), Form("nl"))


# ---- what else it says -----------------------------------------------------------------------------------------------


def test_it_names_station_location_meter_marking_serial_and_both_registers() -> None:
    told = text(book.typical(1), Form("de", "ACME Mobility B.V.\nStationsplein 1"))
    for part in (
        "ACME Mobility B.V.", "Stationsplein 1", "NL-ACME-000123", "Am Hafen 10", "17207 Müritz", "November 2026",
        "Eastron SDM630-Modbus v2 / MID", "M16 0122", "23004711", f"1.234,567 {DASH} 1.247,486 kWh",
        f"01.11.2026 {DASH} 30.11.2026",
        "Kilometerstand 48.123 km", "Visit to the customer in Müritz", "DE-ACM-C12345678-9", "Łukasz Żółć",
    ):  # fmt: skip
        assert part in told, part


def test_chain_head_signature_and_key_are_told_or_that_there_is_none() -> None:
    sealed = text(book.typical(1))
    assert book.SEAL.head in sealed
    assert "SHA256:" + "3c" * 32 in sealed
    assert str(book.SEAL.signature) in sealed.replace("\n", "")
    assert "This statement is not signed." in text(book.statement([book.session()]))
    assert "Signature" not in text(replace(book.statement([]), seal=Seal("ab" * 32)))


def test_each_mark_that_occurs_is_explained_and_no_other() -> None:
    records = [
        book.session(1, quality=(Quality.METER_GAP, Quality.RECONSTRUCTED)),
        book.session(2, reporting=Reported.LOCAL_ONLY, clock=Trust.ESTIMATED),
    ]
    told = text(book.statement(records))
    for part in ("Meter gap:", "Reconstructed:", "Measured:", "Local-only:", "Clock estimated:"):
        assert part in told
    for part in ("Implausible:", "Meter changed:", "Failed:", "Clock corrected:", "Pending:"):
        assert part not in told


def test_a_month_that_is_not_final_says_so() -> None:
    during = datetime(2026, 11, 25, tzinfo=UTC)
    told = text(book.statement([book.session(), book.running()], now=during))
    assert "In progress: the month is not over" in told
    assert "still running" in told
    pending = text(book.statement([book.session(reporting=Reported.PENDING)]))
    assert "Pending: sessions still have to reach a central system" in pending
    assert "In progress" not in pending


def test_a_session_without_a_price_and_several_currencies_are_told() -> None:
    cost = book.cost_of({"energy": "2.18"}, currency="CHF")
    records = [book.session(1), book.session(2, cost=cost), book.session(3, cost=None, refund=None)]
    told = text(book.statement(records))
    assert "no price available" in told
    assert "in no amount: 1." in told
    assert "several currencies" in told


@pytest.mark.parametrize(
    ("pricing", "words"),
    [
        (Pricing(Basis.TARIFF), "tariff in force at the start of each session"),
        (Pricing(Basis.HOURLY), "hourly prices"),
        (Pricing(Basis.FLAT, Decimal("0.34"), "EUR"), "flat price of 2026: 0.34 EUR per kWh"),
        (
            Pricing(Basis.FLAT, Decimal("0.3412"), "EUR", Decimal(19)),
            "flat price of 2026: 0.3412 EUR per kWh, plus 19 % VAT",
        ),
        (Pricing(Basis.FLAT), "flat price of the year"),
    ],
)
def test_the_basis_of_the_prices_is_named(pricing: Pricing, words: str) -> None:
    record = book.session()
    assert words in text(book.statement([record], origins={record.id: Origin(pricing=pricing)}))


def test_another_basis_in_the_same_year_is_told() -> None:
    told = text(book.statement([book.session()], bases=frozenset({Basis.TARIFF, Basis.FLAT})))
    assert "Other sessions of 2026 are priced by another basis (flat price of the year)" in told
    assert "another basis" not in text(book.statement([book.session()]))


def test_a_month_without_sessions_is_a_statement_too() -> None:
    told = text(book.statement([]), Form("fr"))
    assert "Aucune recharge ce mois-ci." in told
    assert "EUR 0,00" in told


def test_a_meter_that_tells_no_serial_and_no_marking_has_none_invented() -> None:
    device = Device(None, "mine.toml", "mine.toml")
    site = replace(
        book.SITE, devices=(device, device), location=Location(), serial_number=None, vendor=None, model=None
    )
    told = text(book.statement([book.session()], site, origins={}))
    assert told.count("not stated") == 4


# ---- pages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 31, 500])
def test_pages_are_numbered_and_nothing_is_lost(count: int) -> None:
    reader = pdf(book.typical(count))
    pages = [page.extract_text() for page in reader.pages]
    assert all(f"Page {number} of {len(pages)}" in page for number, page in enumerate(pages, 1))
    assert len(re.findall(r"Session 019a1234", "\n".join(pages))) == count
    assert all(
        (page.mediabox.width, page.mediabox.height) == (pytest.approx(595.276), pytest.approx(841.89))
        for page in reader.pages
    )


def test_a_card_that_goes_on_is_named_on_each_page() -> None:
    records = [book.session(number) for number in range(1, 60)]
    pages = [page.extract_text() for page in pdf(book.statement(records)).pages]
    with_sessions = [page for page in pages if "Session 019a1234" in page]
    assert len(with_sessions) > 2
    assert all("Card NL-WEX-CNQPWFBEK" in page for page in with_sessions)


def test_no_text_leaves_the_page() -> None:
    record = book.session(card="X" * 36, id_token=IdToken("Y" * 36))
    long = Annotation(Decimal(1), "lorem " * 400)
    location = replace(book.HOME, name="N" * 255, address="A" * 45)
    statement = book.statement([record], replace(book.SITE, location=location), annotations={record.id: long})
    seen = []

    def visit(text: str, _cm: object, matrix: list[float], _font: object, size: float) -> None:
        if text.strip():
            seen.append((matrix[4], matrix[5], text, size))

    for page in pdf(statement, Form(letterhead="L" * 1000)).pages:
        page.extract_text(visitor_text=visit)
    assert all(0 < x < 595 and 20 < y < 842 for x, y, _, _ in seen)
    told = text(statement, Form(letterhead="L" * 1000)).replace("\n", "")
    assert "X" * 36 in told
    assert told.count("lorem") == 400
    assert told.count("L") >= 1000


def test_a_note_longer_than_a_page_goes_on() -> None:
    record = book.session()
    told = text(book.statement([record], annotations={record.id: Annotation(note="word " * 5000)}))
    assert told.count("word") == 5000


@settings(max_examples=30)
@given(st.text(max_size=120), st.text(max_size=400), st.sampled_from(LANGUAGES))
def test_texts_of_any_language_and_length_are_printed(name: str, letterhead: str, code: str) -> None:
    statement = book.statement([book.session(card=name or None)], annotations={})
    statement = replace(statement, site=replace(book.SITE, location=replace(book.HOME, name=name or None)))
    assert len(pdf(statement, Form(code, letterhead)).pages) >= 1


def test_a_logo_stands_at_the_top_and_in_the_file_once(tmp_path: Path) -> None:
    logo = tmp_path / "logo.png"
    logo.write_bytes(book.png(40, 20))
    reader = pdf(book.typical(31), Form(logo=logo))
    drawn = [b"/Logo Do" in page.get_contents().get_data() for page in reader.pages]  # type: ignore[union-attr]  # has some
    assert drawn == [True, *([False] * (len(drawn) - 1))]
    assert made(book.typical(31), "pdf", Form(logo=logo)).count(b"/Subtype /Image") == 1


def test_a_logo_at_fault_is_told(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(b"GIF89a")
    with pytest.raises(ValueError, match=r"the logo .*logo\.png is no PNG and no JPEG"):
        made(book.typical(1), "pdf", Form(logo=tmp_path / "logo.png"))


# ---- the file --------------------------------------------------------------------------------------------------------


def test_fonts_are_embedded_and_metadata_tell_what_it_is() -> None:
    reader = pdf(book.typical(3), Form("es"))
    fonts = reader.pages[0]["/Resources"]["/Font"]  # type: ignore[index]  # a dictionary, as written
    for font in fonts.values():
        (descendant,) = font.get_object()["/DescendantFonts"]
        assert "/FontFile2" in descendant.get_object()["/FontDescriptor"].get_object()
    assert reader.metadata is not None
    assert reader.metadata.title == "Liquidación de recargas en casa noviembre de 2026, NL-ACME-000123"
    assert reader.metadata.creation_date == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert reader.trailer["/Root"]["/Lang"] == "es"  # type: ignore[index]  # as above


PROGRAM = """
import sys
from tests.unit.statement import book
from agent.statement.files import FORMATS, Form, made
for format_ in FORMATS:
    sys.stdout.buffer.write(made(book.typical(7), format_, Form("fr", "ACME")))
"""


def test_the_same_month_is_the_same_bytes_in_another_process() -> None:
    root = Path(__file__).parents[3]
    outputs = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        outputs.append(
            subprocess.run(
                [sys.executable, "-c", PROGRAM], cwd=root, env=environment, capture_output=True, check=True
            ).stdout
        )
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith(made(book.typical(7), "pdf", Form("fr", "ACME")))


@pytest.mark.parametrize("code", LANGUAGES)
def test_one_month_reads_as_it_did(code: str) -> None:
    """The golden files are the text of each page; REWRITE=1 writes them anew after a change that is meant."""
    told = text(book.typical(5), Form(code, "ACME Mobility B.V.\nStationsplein 1, 1012 AB Amsterdam")) + "\n"
    path = GOLDEN / f"2026-11.{code}.txt"
    if os.environ.get("REWRITE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(told, encoding="utf-8")
    assert told == path.read_text(encoding="utf-8")
