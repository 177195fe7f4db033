"""Employees: who is paid back, and to which account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from simulators.csms.billing import Bill, by_employee, employee_of, month_of
from simulators.csms.iban import grouped, iban
from simulators.csms.state import Employee, TokenStatus
from simulators.errors import Misuse
from simulators.panel import layout
from simulators.panel.forms import Form
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.sessions import listed
from simulators.panel.tokens import condition, link
from simulators.panel.view import Done, Page, View, tell_all, the_employee

RECENT: Final = 10
LEFT: Final = "left the company"


def show_all(view: View) -> Markup:
    """Return the list, and a form for a new one."""
    bills = view.bills
    rows = [_row(view, each, bills) for each in view.employees]
    heads = ("Name", "No.", "IBAN", "Tokens", "Chargers", "kWh this month", "Refund this month")
    table = layout.table(heads, rows, empty="No employee yet.", numbers=(3, 4, 5, 6))
    return joined(
        layout.section("Employees", table),
        layout.section("A new employee", layout.form("add", "Add the employee", *_fields(view, "add", None))),
    )


def _row(view: View, employee: Employee, bills: Sequence[Bill]) -> tuple[Node, ...]:
    mine = [
        each
        for each in bills
        if employee_of(view.state, each.session) == employee.id
        and month_of(each.session.stopped_at, view.zone) == view.month
    ]
    sums = by_employee(view.state, mine, running=True)
    left = None if employee.active else layout.badge("left")
    return (
        joined(h.a(employee.name, href=view.path("employees", employee.id)), " ", left),
        employee.number or "-",
        grouped(employee.iban) or layout.badge("missing"),
        sum(token.employee == employee.id for token in view.tokens),
        sum(device.employee == employee.id for device in view.devices),
        layout.kwh(sum((row.energy_wh for row in sums), layout.ZERO)),
        ", ".join(f"{row.refund} {row.currency}" for row in sums if row.currency) or "-",
    )


def _fields(view: View, do: str, employee: Employee | None) -> list[Markup]:
    name, number, account = ("", "", "") if employee is None else (employee.name, employee.number, employee.iban)
    return [
        layout.entry((view, do), "Name", "name", name),
        layout.entry((view, do), "Personnel number", "number", number),
        layout.entry((view, do), "IBAN", "iban", grouped(account), placeholder="NL91 ABNA 0417 1643 00"),
    ]


def show_one(view: View) -> Markup:
    """Return an employee."""
    employee = the_employee(view)
    tokens = layout.table(
        ("Token", "Kind", "State"),
        (
            (link(view, each), str(each.kind), condition(view, each))
            for each in view.tokens
            if each.employee == employee.id
        ),
        empty="No token: without one nothing can be charged away from home.",
    )
    chargers = [device.station for device in view.devices if device.employee == employee.id]
    at = [h.a(station, href=view.path("devices", station)) for station in chargers] or "none"
    sessions = [each for each in view.bills if employee_of(view.state, each.session) == employee.id]
    leave = layout.form("leave", "Left the company: deactivate all tokens", grave=True) if employee.active else None
    paid = [each for each in view.state.payments if each.employee == employee.id]
    payments = layout.table(
        ("Paid on", "Month", "Amount", "How"),
        (
            (
                layout.when(each.at, view.zone),
                each.month,
                f"{each.amount} {each.currency}",
                "automatic" if each.automatic else "manual",
            )
            for each in reversed(paid)
        ),
        empty="Nothing is paid yet.",
        numbers=(2,),
    )
    return joined(
        h.div(
            layout.section(employee.name, layout.form("save", "Save", *_fields(view, "save", employee)), leave),
            layout.section("Tokens", tokens, h.p("Charger at home: ", at)),
            class_="two",
        ),
        layout.section("Sessions", listed(view, sessions[: -RECENT - 1 : -1])),
        layout.section("Payments", payments),
    )


def _read(form: Form) -> tuple[str, str, str]:
    account = form.text("iban", "IBAN", most=60, needed=False)
    name, number = form.text("name", "name", most=60), form.text("number", "personnel number", most=30, needed=False)
    return name, number, iban(account) if account else ""


async def add(view: View, form: Form) -> Done:
    """Add an employee."""
    name, number, account = _read(form)
    if number and number in {each.number for each in view.employees}:
        raise Misuse(f"personnel number: {number} is taken")
    taken = [int(id_[1:]) for id_ in view.state.employees]
    id_ = f"E{max(taken, default=0) + 1}"
    view.state.employees[id_] = Employee(id_, view.company.code, name, number, account)
    return Done(f"{name} is added")


async def save(view: View, form: Form) -> Done:
    """Change an employee; cards show the name, so chargers are told of a new one."""
    employee = the_employee(view)
    name, number, account = _read(form)
    if number and number in {each.number for each in view.employees if each is not employee}:
        raise Misuse(f"personnel number: {number} is taken")
    employee.name, employee.number, employee.iban = name, number, account
    return Done(await tell_all(view, "saved"))


async def leave(view: View, _form: Form) -> Done:
    """Deactivate all tokens of somebody who left; what is to be paid stays to be paid."""
    employee = the_employee(view)
    for token in view.tokens:
        if token.employee == employee.id and token.status is not TokenStatus.DEACTIVATED:
            view.csms.desk.set_status(token.uid, TokenStatus.DEACTIVATED, LEFT)
    for device in view.devices:
        if device.employee == employee.id:
            device.employee = ""
    employee.active = False
    return Done(await tell_all(view, f"{employee.name} has left; all tokens are deactivated"))


PAGE: Final = Page("Employees", show_all, {"add": add, "save": save, "leave": leave}, show_one)
