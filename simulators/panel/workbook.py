"""Excel files of a month's billing and of sessions; the figures are those of the pages."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import xlsxwriter  # type: ignore[import-untyped]  # the library ships no types

from simulators.csms.billing import Bill, Row, employee_of
from simulators.csms.iban import grouped
from simulators.panel import billing, layout, sessions
from simulators.panel.view import View

Cell: TypeAlias = str | int | Decimal | datetime | None
BILLING: Final = (
    "Employee",
    "Personnel no.",
    "IBAN",
    "Payment",
    "Sessions",
    "kWh",
    "Cost without VAT",
    "VAT",
    "Cost",
    "Refund",
    "Paid",
    "Currency",
    "State",
)
SESSIONS: Final = (
    "Transaction",
    "Charger",
    "Employee",
    "Card",
    "Start",
    "End",
    "kWh",
    "Cost without VAT",
    "VAT",
    "Cost",
    "Refund",
    "Currency",
    "State",
)
WIDTH: Final = 18


def of_month(view: View) -> bytes:
    """Return the billing of the month that is shown: a sheet per employee's row, and one with the sessions."""
    rows = [_bill_row(view, row) for row in billing.rows_of(view)]
    rows += [("Total", *_bill_row(view, row)[1:]) for row in billing.totals_of(view)]
    return _book(
        ((billing.month_shown(view), BILLING, rows), ("Sessions", SESSIONS, _lines(view, billing.bills_of(view))))
    )


def of_sessions(view: View) -> bytes:
    """Return the sessions that the filter lets through."""
    return _book((("Sessions", SESSIONS, _lines(view, sessions.chosen(view))),))


def _bill_row(view: View, row: Row) -> tuple[Cell, ...]:
    employee = view.state.employees.get(row.employee)
    who = (billing.NOBODY, "", "") if employee is None else (employee.name, employee.number, grouped(employee.iban))
    money = (row.excl_vat, row.vat, row.incl_vat, row.refund, row.paid, row.currency)
    return *who, billing.payment_of(row), row.sessions, _kwh(row.energy_wh), *money, layout.STATES[row.state]


def _lines(view: View, bills: Iterable[Bill]) -> list[tuple[Cell, ...]]:
    return [_line(view, each) for each in bills]


def _line(view: View, bill: Bill) -> tuple[Cell, ...]:
    session, cost = bill.session, bill.cost
    money: tuple[Cell, ...] = (None, None, None, None, bill.why)
    if cost is not None:
        money = (cost.excl_vat, cost.vat, cost.incl_vat, bill.refund, cost.currency)
    return (
        session.transaction_id,
        session.station,
        view.name_of(employee_of(view.state, session)),
        sessions.card_of(bill),
        _local(session.started_at, view.zone),
        _local(session.stopped_at, view.zone),
        _kwh(session.energy_wh),
        *money,
        sessions.state_of(view, bill),
    )


def _kwh(energy_wh: Decimal | None) -> Decimal | None:
    return None if energy_wh is None else Decimal(layout.kwh(energy_wh))


def _local(at: datetime | None, zone: ZoneInfo) -> datetime | None:
    """Return a moment as a spreadsheet has it: local, to the second, without a zone."""
    return None if at is None else at.astimezone(zone).replace(tzinfo=None, microsecond=0)


def _book(sheets: Iterable[tuple[str, Sequence[str], Iterable[Sequence[Cell]]]]) -> bytes:
    content = io.BytesIO()
    with xlsxwriter.Workbook(content, {"in_memory": True}) as book:
        formats = {
            "head": book.add_format({"bold": True, "bottom": 1}),
            "kWh": book.add_format({"num_format": "0.000"}),
            "money": book.add_format({"num_format": "0.00"}),
            "moment": book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
        }
        for name, heads, rows in sheets:
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            sheet.set_column(0, len(heads) - 1, WIDTH)
            for column, head in enumerate(heads):
                sheet.write_string(0, column, head, formats["head"])
            for line, row in enumerate(rows, start=1):
                for column, cell in enumerate(row):
                    _write(sheet, (line, column), cell, formats=formats, head=heads[column])
    return content.getvalue()


def _write(sheet: Any, place: tuple[int, int], cell: Cell, *, formats: dict[str, Any], head: str) -> None:  # noqa: ANN401 - a worksheet
    """Write a cell; a text is a text, whatever it begins with."""
    match cell:
        case None | "":
            return
        case datetime():
            sheet.write_datetime(*place, cell, formats["moment"])
        case Decimal():
            sheet.write_number(*place, cell, formats["kWh" if head == "kWh" else "money"])
        case int():
            sheet.write_number(*place, cell)
        case _:
            sheet.write_string(*place, cell)
