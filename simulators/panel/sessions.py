"""Sessions: by day, charger, employee and card; one of them with its prices and readings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from simulators.csms.billing import Bill, employee_of, month_of, sums, totals
from simulators.csms.show import masked
from simulators.csms.state import Session
from simulators.errors import Misuse
from simulators.panel import layout
from simulators.panel.forms import day
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.view import Page, View

ON_A_PAGE: Final = 100
HEADS: Final = ("No.", "Charger", "Employee", "Card", "Start", "End", "Duration", "kWh", "Cost", "Refund", "State")


def card_of(bill: Bill) -> str:
    """Return how a card is shown: its number, else the end of its UID, as at the console."""
    return masked(bill.card) if bill.card == bill.session.id_tag else bill.card


def state_of(view: View, bill: Bill) -> str:
    """Return the state of a session in a word."""
    if bill.session.stopped_at is None:
        return "charging"
    if bill.refund is None:
        return "no price"
    running = month_of(bill.session.stopped_at, view.zone) >= view.month
    return layout.STATES[sums([bill], running=running).state]


def lasted(session: Session, now: datetime) -> timedelta:
    """Return how long a session lasted, or lasts until now, in whole seconds."""
    return timedelta(seconds=round(((session.stopped_at or now) - session.started_at).total_seconds()))


def listed(view: View, bills: Sequence[Bill], in_all: Sequence[Sequence[Node]] = ()) -> Markup:
    """Return a table of sessions. in_all: rows below them."""
    rows = (_row(view, bill) for bill in bills)
    return layout.table(HEADS, rows, empty="No session.", numbers=(0, 6, 7, 8, 9), totals=in_all)


def _row(view: View, bill: Bill) -> tuple[Node, ...]:
    session, number = bill.session, str(bill.session.transaction_id)
    cost = bill.why if bill.cost is None else f"{bill.cost.incl_vat} {bill.cost.currency}"
    return (
        h.a(number, href=view.path("sessions", number)),
        session.station,
        view.name_of(employee_of(view.state, session)) or "-",
        card_of(bill),
        layout.when(session.started_at, view.zone),
        layout.when(session.stopped_at, view.zone),
        str(lasted(session, view.now)),
        layout.kwh(session.energy_wh),
        cost,
        "-" if bill.refund is None else str(bill.refund),
        layout.badge(state_of(view, bill)),
    )


def chosen(view: View) -> list[Bill]:
    """Return the sessions that the filter in the address lets through, newest first. Raises Misuse."""
    first, last = day(view.query.get("from", ""), "from"), day(view.query.get("to", ""), "to")
    words = view.query.get("q", "").casefold().split()
    return [each for each in reversed(view.bills) if _fits(view, each, first, last) and _has(view, each, words)]


def _fits(view: View, bill: Bill, first: date | None, last: date | None) -> bool:
    ended = (bill.session.stopped_at or view.now).astimezone(view.zone).date()
    return (first is None or first <= ended) and (last is None or ended <= last)


def _has(view: View, bill: Bill, words: list[str]) -> bool:
    session, who = bill.session, view.state.employees.get(employee_of(view.state, bill.session))
    person = () if who is None else (who.id, who.name, who.number)
    texts = (session.station, card_of(bill), str(session.transaction_id), state_of(view, bill), *person)
    searched = " ".join(texts).casefold()
    return all(word in searched for word in words)


def show_all(view: View) -> Markup:
    """Return the filter and what it lets through."""
    bills = chosen(view)
    place = view.query.get("page", "1")[:6]
    page = min(int(place) if place.isdecimal() else 1, -(-len(bills) // ON_A_PAGE)) or 1
    shown = bills[(page - 1) * ON_A_PAGE : page * ON_A_PAGE]
    ended = [each for each in bills if each.session.stopped_at is not None]
    sum_rows = [
        ("", f"{row.sessions} in all", "", "", "", "", "", layout.kwh(row.energy_wh),
         f"{row.incl_vat} {row.currency}", str(row.refund), "")
        for row in totals(ended, running=True)
    ]  # fmt: skip
    return joined(
        layout.section("Which", _filter(view)),
        layout.section("Sessions", listed(view, shown, sum_rows), _pages(view, len(bills), page)),
    )


def _filter(view: View) -> Markup:
    fields = [
        h.label(h.span(label), h.input(type=kind, name=name, value=view.query.get(name, "")))
        for label, name, kind in (
            ("Ended from", "from", "date"),
            ("to, that day too", "to", "date"),
            ("Charger, employee, card, state", "q", "search"),
        )
    ]
    query = {name: view.query[name] for name in ("from", "to", "q") if view.query.get(name)}
    export = f"{view.path('sessions.xlsx')}?{urlencode(query)}"
    acts = h.div(h.button("Show"), " ", h.a("Excel", href=export, class_="action small"), class_="send")
    return h.form(fields, acts, method="get", class_="fields")


def _pages(view: View, count: int, page: int) -> Node:
    if count <= ON_A_PAGE:
        return None
    kept = {name: value for name, value in view.query.items() if name in {"from", "to", "q"}}
    pages = range(1, -(-count // ON_A_PAGE) + 1)
    here = view.path("sessions")
    links = (
        h.a(number, href=f"{here}?{urlencode({**kept, 'page': number})}") if number != page else h.b(number)
        for number in pages
    )
    return h.p("Page ", [joined(link, " ") for link in links])


def show_one(view: View) -> Markup:
    """Return a session."""
    found = [each for each in view.bills if str(each.session.transaction_id) == view.item]
    if not found:
        raise Misuse(f"no session {view.item} here")
    (bill,) = found
    session = bill.session
    rows: list[tuple[str, Node]] = [
        ("Charger", h.a(session.station, href=view.path("devices", session.station))),
        ("Connector", session.connector),
        ("Employee", view.name_of(employee_of(view.state, session)) or "-"),
        ("Card", card_of(bill)),
        ("Start", layout.when(session.started_at, view.zone)),
        ("End", layout.when(session.stopped_at, view.zone)),
        (
            "Register",
            f"{session.meter_start_wh} to {'-' if session.meter_stop_wh is None else session.meter_stop_wh} Wh",
        ),
        ("Energy", f"{layout.kwh(session.energy_wh)} kWh"),
        ("Ended by", session.stop_reason or "-"),
        ("State", layout.badge(state_of(view, bill))),
    ]
    return h.div(
        layout.section(f"Transaction {session.transaction_id}", layout.facts(rows)),
        layout.section("Cost", _cost(view, bill)),
        class_="two",
    )


def _cost(view: View, bill: Bill) -> Node:
    if bill.cost is None:
        return h.p(f"No cost: {bill.why}", class_="empty")
    cost = bill.cost
    periods = layout.table(
        ("From", "kWh", "Per kWh", "VAT"),
        (
            (
                layout.when(each.start, view.zone),
                layout.kwh(each.energy_wh),
                f"{each.price.per_kwh:f}",
                f"{each.price.vat:f} %",
            )
            for each in cost.periods
        ),
        empty="-",
        numbers=(1, 2, 3),
    )
    rows = [
        ("Without VAT", f"{cost.excl_vat} {cost.currency}"),
        ("VAT", f"{cost.vat} {cost.currency}"),
        ("With VAT", f"{cost.incl_vat} {cost.currency}"),
        ("Refund", f"{bill.refund} {cost.currency} ({bill.session.refund_percentage} %)"),
        ("Payment", "automatic" if bill.session.automatic_payment else "manual"),
    ]
    return joined(periods, layout.facts(rows))


PAGE: Final = Page("Sessions", show_all, {}, show_one)
