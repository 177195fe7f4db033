"""Billing: what is paid back to each employee for a month, and whether it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from simulators.csms.billing import Bill, BillState, Row, by_employee, employee_of, ended_in, month_of, pay, totals
from simulators.csms.iban import grouped
from simulators.csms.state import Payment
from simulators.errors import Misuse
from simulators.panel import layout
from simulators.panel.forms import Form
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.view import Done, Page, View, told

HEADS: Final = ("Employee", "IBAN", "Payment", "Sessions", "kWh", "Cost", "Refund", "Paid", "State", "")
NOBODY: Final = "nobody"


def month_shown(view: View) -> str:
    """Return the month that the address names, else the one that runs."""
    return view.query.get("month") or view.month


def bills_of(view: View) -> list[Bill]:
    """Return the sessions of the month that is shown. Raises Misuse: no month."""
    return ended_in(view.state, month_shown(view), view.zone, company=view.company.code)


def rows_of(view: View) -> list[Row]:
    """Return a row per employee and currency."""
    return by_employee(view.state, bills_of(view), running=_runs(view))


def totals_of(view: View) -> list[Row]:
    """Return the sums of the month, a row per currency."""
    return totals(bills_of(view), running=_runs(view))


def _runs(view: View) -> bool:
    return month_shown(view) >= view.month


def payment_of(row: Row) -> str:
    """Return how a row is paid."""
    return "automatic" if row.automatic else "manual"


def show(view: View) -> Markup:
    """Return the page."""
    month, wanted = month_shown(view), view.query.get("state", "")
    rows = [row for row in rows_of(view) if wanted in {"", layout.STATES[row.state]}]
    sums = [("Total", "", "", *_figures(row), "", "") for row in totals_of(view)]
    table = layout.table(
        HEADS,
        (_row(view, row) for row in rows),
        empty=f"No session ended in {month}." if not sums else "Nothing in this state.",
        numbers=(3, 4, 5, 6, 7),
        totals=() if wanted else sums,
    )
    unpriced = sum(row.unpriced for row in rows)
    hint = h.p(f"{unpriced} sessions have no price and are in no amount.", class_="hint") if unpriced else None
    paid = [each for each in view.state.payments if (each.company, each.month) == (view.company.code, month)]
    return joined(
        layout.section("Which", _choice(view)),
        layout.section(f"{month}, per employee", table, hint),
        layout.section("Payments", _payments(view, paid)),
    )


def _figures(row: Row) -> tuple[Node, ...]:
    cost = f"{row.incl_vat} {row.currency}".rstrip()
    return row.sessions, layout.kwh(row.energy_wh), cost, str(row.refund), str(row.paid)


def _row(view: View, row: Row) -> tuple[Node, ...]:
    employee = view.state.employees.get(row.employee)
    if employee is None:
        name: Node = NOBODY
        account: Node = "-"
    else:
        name = h.a(employee.name, href=view.path("employees", employee.id))
        account = grouped(employee.iban) or layout.badge("missing")
    act = None
    if row.state is BillState.DUE and employee is not None and row.refund != row.paid:
        act = layout.button("pay", "Mark as paid", employee=row.employee, month=month_shown(view))
    return name, account, payment_of(row), *_figures(row), layout.badge(layout.STATES[row.state]), act


def _choice(view: View) -> Markup:
    ended = {month_of(each.session.stopped_at, view.zone) for each in view.bills if each.session.stopped_at}
    months = sorted({*ended, view.month, month_shown(view)}, reverse=True)
    states = [("", "all"), *((word, word) for word in layout.STATES.values())]
    fields = [
        layout.select(view, "", "Month", "month", options=[(each, each) for each in months], chosen=month_shown(view)),
        layout.select(view, "", "State", "state", options=states, chosen=view.query.get("state", "")),
    ]
    export = f"{view.path('billing.xlsx')}?{urlencode({'month': month_shown(view)})}"
    acts = h.div(h.button("Show"), " ", h.a("Excel", href=export, class_="action small"), class_="send")
    return h.form(fields, acts, method="get", class_="fields")


def _payments(view: View, paid: Sequence[Payment]) -> Markup:
    rows = (
        (
            layout.when(each.at, view.zone),
            view.name_of(each.employee) or NOBODY,
            f"{each.amount} {each.currency}",
            "automatic" if each.automatic else "manual",
            ", ".join(map(str, each.sessions)),
        )
        for each in paid
    )
    heads = ("Paid on", "To", "Amount", "How", "Transactions")
    return layout.table(heads, rows, empty="Nothing is paid yet.", numbers=(2,))


async def mark(view: View, form: Form) -> Done:
    """Mark the month of an employee as paid."""
    month, employee = form.text("month", "month"), view.state.employees.get(form.text("employee", "employee"))
    if employee is None or employee.company != view.company.code:
        raise Misuse("employee: nobody can be paid for sessions of nobody; say whose charger or whose card it is")
    if not employee.iban:
        raise Misuse(f"{employee.name} has no IBAN: add it first")
    mine = [
        each
        for each in ended_in(view.state, month, view.zone, company=view.company.code)
        if employee_of(view.state, each.session) == employee.id
    ]
    if month >= view.month:
        raise Misuse(f"{month} is not over")
    payments = pay(view.state, mine, month, now=view.now)
    if not payments:
        raise Misuse(f"nothing is left to pay to {employee.name} for {month}")
    amounts = ", ".join(f"{each.amount} {each.currency}" for each in payments)
    done = f"{amounts} to {employee.name}, {grouped(employee.iban)}, is marked as paid"
    stations = {each.session.station for each in mine} & set(view.csms.connected)
    return Done(await told(view.csms.desk.tell_paid(month, sorted(stations)), done))


PAGE: Final = Page("Billing", show, {"pay": mark})
