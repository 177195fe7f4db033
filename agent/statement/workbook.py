"""A statement as XLSX: real numbers and dates, and sums by formula whose values are there without a calculation.

Sheets: ``Sessions`` with the columns of the CSV and a sum in the last row, ``Cards`` with the sums of each card by
formula over the first, ``Notes`` with what was added to sessions, where anything was, ``Statement`` with what they are
about. Times are local, as spreadsheets know no offset.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import xlsxwriter  # type: ignore[import-untyped]  # the library ships no types
from xlsxwriter.utility import xl_col_to_name, xl_rowcol_to_cell  # type: ignore[import-untyped]  # as above

from agent.buffer.annotation import Annotation
from agent.buffer.ledger import SessionRecord
from agent.core.tariff import CENT, Cost
from agent.statement.language import UNKNOWN, Language
from agent.statement.model import Statement
from agent.statement.printing.front import bases, place
from agent.statement.printing.notes import explained
from agent.statement.sheet import COSTS, HEADER, Cell, cells

if TYPE_CHECKING:
    from xlsxwriter.format import Format  # type: ignore[import-untyped]  # as above
    from xlsxwriter.workbook import Workbook  # type: ignore[import-untyped]  # as above
    from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]  # as above

SUMMED: Final = ("duration_s", "energy_kwh", *COSTS, "refund")
WIDTHS: Final = {
    "id": 38, "card": 22, "evse_id": 22, "start": 20, "end": 20, "meter_start_wh": 15, "meter_stop_wh": 15, "note": 60,
}  # fmt: skip
WIDTH: Final = 12
MONEY: Final = "0.00"
FORMS: Final = {
    "sessions": "0", "duration_s": "0.000", "meter_start_wh": "0", "meter_stop_wh": "0", "energy_kwh": "0.000",
    "odometer_km": "0",
    **dict.fromkeys((*COSTS, "refund"), MONEY),
}  # fmt: skip
MOMENT: Final = "yyyy-mm-dd hh:mm:ss"
DAY_S: Final = 86_400
NOTES: Final = ("id", "card", "end", "odometer_km", "note")
CARDS: Final = ("card", "profile", "sessions", "energy_kwh", *COSTS, "refund")
TEXTS: Final = 2
"""Columns of the cards that are no figures."""
OF_MONEY: Final = frozenset({*COSTS, "refund"})
KILO: Final = Decimal(1000)


@dataclass(frozen=True, slots=True)
class _Book:
    """A workbook with its formats, by the form of a number; bold: in the last rows."""

    book: Workbook
    head: Format
    plain: dict[str, Format]
    bold: dict[str, Format]


def xlsx_of(statement: Statement, words: Language) -> bytes:
    """Return the file; its properties are dated as the statement is."""
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as workbook:
        created = statement.dated.astimezone(statement.site.zone).replace(tzinfo=None, microsecond=0)
        name = f"{words['title']} {words.month(statement.month)}, {statement.site.station}"
        workbook.set_properties({"title": name, "created": created})
        book = _book(workbook)
        _sessions(book, statement)
        _cards(book, statement)
        _notes(book, statement)
        _about(book, statement, words)
    return out.getvalue()


def sessions_of(records: Sequence[SessionRecord], evse_ids: Sequence[str | None], zone: tzinfo) -> bytes:
    """Return closed sessions as a workbook of the one sheet ``Sessions``; open ones are left out."""
    out = io.BytesIO()
    ended = [record.stopped_at for record in records if record.stopped_at is not None]
    with xlsxwriter.Workbook(out, {"in_memory": True}) as workbook:
        created = max(ended, default=datetime(2000, 1, 1, tzinfo=zone)).astimezone(zone)
        workbook.set_properties({"created": created.replace(tzinfo=None, microsecond=0)})
        _table(_book(workbook), records, evse_ids, zone=zone)
    return out.getvalue()


def _book(workbook: Workbook) -> _Book:
    forms = ("", MOMENT, *dict.fromkeys(FORMS.values()))
    head = workbook.add_format({"bold": True, "bg_color": "#EDEDED", "bottom": 1})
    plain = {form: workbook.add_format({"num_format": form or "General"}) for form in forms}
    bold = {form: workbook.add_format({"num_format": form or "General", "bold": True, "top": 1}) for form in forms}
    return _Book(workbook, head, plain, bold)


def _sessions(book: _Book, statement: Statement) -> None:
    _table(book, statement.records, statement.site.evse_ids, zone=statement.site.zone)


def _table(book: _Book, records: Sequence[SessionRecord], evse_ids: Sequence[str | None], *, zone: tzinfo) -> None:
    """Write the sheet of sessions. The sum stands in a row of its own, the last."""
    sheet = book.book.add_worksheet("Sessions")
    _head(book, sheet, HEADER)
    ended = [record for record in records if record.stopped_at is not None]
    rows = [list(cells(record, evse_ids)) for record in ended]
    for number, row in enumerate(rows, 1):
        for column, (name, value) in enumerate(zip(HEADER, row, strict=True)):
            _put(book, sheet, (number, column), name=name, value=value, zone=zone)
    columns = zip(*rows, strict=True) if rows else [()] * len(HEADER)
    sums = {name: _added(column) for name, column in zip(HEADER, columns, strict=True) if name in SUMMED}
    _total(book, sheet, HEADER, row=len(rows) + 1, sums=_addable(sums, ended))
    sheet.freeze_panes(1, 0)
    if rows:
        sheet.autofilter(0, 0, len(rows), len(HEADER) - 1)
    _printed(sheet)


def _added(column: Iterable[Cell]) -> Decimal:
    return sum((value for value in column if isinstance(value, Decimal)), Decimal(0))


def _addable(sums: Mapping[str, Decimal], records: Iterable[SessionRecord]) -> Mapping[str, Decimal]:
    """Return the sums that mean something: none of money where it is of several currencies."""
    currencies = {record.cost.currency for record in records if record.cost is not None}
    return {name: value for name, value in sums.items() if len(currencies) <= 1 or name not in OF_MONEY}


def _total(book: _Book, sheet: Worksheet, names: Sequence[str], *, row: int, sums: Mapping[str, Decimal]) -> None:
    """Write the last row: a formula and its value for each column that has a sum."""
    sheet.write_string(row, 0, "Total", book.bold[""])
    for column, name in enumerate(names[1:], 1):
        if name in sums:
            letter = xl_col_to_name(column)
            formula = f"=SUM({letter}{min(2, row)}:{letter}{row})"
            sheet.write_formula(row, column, formula, book.bold[FORMS[name]], float(sums[name]))
        else:
            sheet.write_blank(row, column, None, book.bold[""])


def _head(book: _Book, sheet: Worksheet, names: Sequence[str]) -> None:
    for column, name in enumerate(names):
        sheet.write_string(0, column, name, book.head)
        sheet.set_column(column, column, WIDTHS.get(name, WIDTH))


def _put(book: _Book, sheet: Worksheet, at: tuple[int, int], *, name: str, value: Cell, zone: tzinfo) -> None:
    match value:
        case None:
            pass
        case Decimal():
            sheet.write_number(*at, float(value), book.plain[FORMS[name]])
        case datetime():
            local = value.astimezone(zone).replace(tzinfo=None)
            sheet.write_datetime(*at, local.replace(microsecond=local.microsecond // 1000 * 1000), book.plain[MOMENT])
        case str():
            sheet.write_string(*at, value)


def _cards(book: _Book, statement: Statement) -> None:
    """Write the sheet of cards: the figures of each by formula over the sessions, whatever a card is called."""
    sheet = book.book.add_worksheet("Cards")
    _head(book, sheet, CARDS)
    groups = _grouped(statement.closed)
    for number, ((_, profile), records) in enumerate(groups.items(), 1):
        sheet.write_string(number, 0, records[-1].card or records[-1].id_token.value)
        sheet.write_string(number, 1, profile)
        figures = _addable(_figures(records), records)
        for column, name in enumerate(CARDS[TEXTS:], TEXTS):
            if name in figures:
                formula = _over(name, number, max(len(statement.closed), 1))
                sheet.write_formula(number, column, formula, book.plain[FORMS[name]], float(figures[name]))
    _total(book, sheet, CARDS, row=len(groups) + 1, sums=_addable(_figures(statement.closed), statement.closed))
    sheet.freeze_panes(1, 0)
    _printed(sheet)


def _notes(book: _Book, statement: Statement) -> None:
    """Write the sheet of what was added to sessions, where anything was."""
    annotated = [line for line in statement.lines if line.annotation != Annotation()]
    if not annotated:
        return
    sheet = book.book.add_worksheet("Notes")
    _head(book, sheet, NOTES)
    for number, line in enumerate(annotated, 1):
        record, annotation = line.record, line.annotation
        label = record.card or record.id_token.value
        row = (record.id, label, record.stopped_at, annotation.odometer_km, annotation.note)
        for column, (name, value) in enumerate(zip(NOTES, row, strict=True)):
            _put(book, sheet, (number, column), name=name, value=value, zone=statement.site.zone)
    sheet.freeze_panes(1, 0)
    _printed(sheet)


def _grouped(records: Iterable[SessionRecord]) -> Mapping[tuple[str, str], list[SessionRecord]]:
    """Return the sessions by what spreadsheets take for the same card: they know no capitals."""
    groups: dict[tuple[str, str], list[SessionRecord]] = {}
    for record in records:
        label = (record.card or record.id_token.value).casefold()
        groups.setdefault((label, record.profile.value), []).append(record)
    return dict(sorted(groups.items()))


def _over(name: str, row: int, count: int) -> str:
    """Return a formula: texts are compared, for a criterion of SUMIFS takes some card numbers for numbers."""
    mine = xl_rowcol_to_cell(row, 0, col_abs=True)
    profile = xl_rowcol_to_cell(row, 1, col_abs=True)
    chosen = f"--({_span('card', count)}={mine}),--({_span('profile', count)}={profile})"
    return f"=SUMPRODUCT({chosen})" if name == "sessions" else f"=SUMPRODUCT({chosen},{_span(name, count)})"


def _span(name: str, count: int) -> str:
    letter = xl_col_to_name(HEADER.index(name))
    return f"Sessions!${letter}$2:${letter}${count + 1}"


def _figures(records: Sequence[SessionRecord]) -> Mapping[str, Decimal]:
    """Return the sums of closed sessions."""
    costs = [record.cost for record in records if record.cost is not None]
    energy = sum((record.energy for record in records if record.energy is not None), Decimal(0))
    refund = sum((record.refund.amount for record in records if record.refund is not None), Decimal(0))
    sums = {name: sum((_part(cost, name) for cost in costs), Decimal(0)) for name in COSTS}
    return {"sessions": Decimal(len(records)), "energy_kwh": energy / KILO, **sums, "refund": refund}


def _part(cost: Cost, name: str) -> Decimal:
    amount: Decimal = getattr(cost, name)
    return amount.quantize(CENT)


def _about(book: _Book, statement: Statement, words: Language) -> None:
    """Write what the statement is about, in its language."""
    sheet = book.book.add_worksheet("Statement")
    sheet.set_column(0, 0, 30)
    sheet.set_column(1, 1, 90)
    wrap = book.book.add_format({"text_wrap": True, "valign": "top"})
    for number, (label, value) in enumerate(_pairs(statement, words)):
        sheet.write_string(number, 0, label, book.head)
        sheet.write_string(number, 1, value, wrap)
    _printed(sheet)


def _pairs(statement: Statement, words: Language) -> Iterable[tuple[str, str]]:
    site, seal = statement.site, statement.seal
    yield words["title"], words.month(statement.month)
    yield words["state"], words.name("state", statement.state.value)
    yield words["station"], site.station
    yield words["location"], place(site.location) or UNKNOWN
    for number, device in enumerate(site.devices, 1):
        serials = ", ".join(statement.serials.get(number, ())) or words["unstated"]
        mid = f"{words['mid']}{words.colon} {device.mid or words['unstated']}"
        yield f"{words['meter']} {number}", f"{device.evse_id or UNKNOWN}; {device.maker}; {mid}; {serials}"
    yield words["basis"], bases(statement, words)
    yield words["currency"], statement.currency or UNKNOWN
    for text in explained(statement, words):
        yield words["marks"], text
    if seal is not None:
        yield words["head"], seal.head
        yield words["signature"], seal.signature or UNKNOWN
        yield words["key"], seal.fingerprint or UNKNOWN


def _printed(sheet: Worksheet) -> None:
    """Set how a sheet is printed: A4, all columns on one page."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
