"""The frame of every page, and what pages are put together from: tables, forms, badges, figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from simulators.csms.billing import BillState
from simulators.panel.markup import Attribute, Markup, Node, h, joined
from simulators.panel.view import View

#: Word -> the colour of its badge.
COLOURS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("online", "linked", "active", "Taken", "paid", "Available", "yes"), "good"),
    **dict.fromkeys(("pending", "inactive", "Waiting", "to be paid", "blocked", "Preparing", "Finishing"), "wait"),
    **dict.fromkeys(("rejected", "ended", "deactivated", "Failed", "Faulted", "refused", "expired"), "bad"),
    **dict.fromkeys(("Charging", "charging", "SuspendedEV", "SuspendedEVSE"), "run"),
}
#: What the states of a month are called here.
STATES: Final[Mapping[BillState, str]] = {
    BillState.OPEN: "open",
    BillState.DUE: "to be paid",
    BillState.PAID: "paid",
}
ZERO: Final = Decimal(0)
NAVIGATION: Final = (
    ("", "Dashboard"),
    ("devices", "Devices"),
    ("employees", "Employees"),
    ("tokens", "Tokens"),
    ("distribution", "Distribution"),
    ("rates", "Rates"),
    ("sessions", "Sessions"),
    ("billing", "Billing"),
    ("company", "Company"),
)


def document(title: str, body: Node, *, refresh_s: int = 0) -> bytes:
    """Return a whole page. refresh_s: the browser asks for it again by itself, 0: never."""
    head = [
        h.meta(charset="utf-8"),
        h.meta(name="viewport", content="width=device-width, initial-scale=1"),
        h.meta(http_equiv="refresh", content=str(refresh_s)) if refresh_s else None,
        h.title(title),
        h.link(rel="stylesheet", href="/style.css"),
        h.link(rel="icon", href="data:,"),
    ]
    return f"<!doctype html>{h.html(h.head(head), h.body(body), lang='en')}".encode()


def outcome(note: str, error: str) -> Markup:
    """Return what the last action came to."""
    done = h.p(note, class_="note", role="status") if note else None
    return joined(done, h.p(error, class_="error", role="alert") if error else None)


def frame(view: View, where: str, title: str, content: Node) -> Markup:
    """Return the body of a page of a company. where: its entry in the navigation."""
    links = [
        h.a(name, href=view.path(*([page] if page else [])), aria_current="page" if page == where else None)
        for page, name in NAVIGATION
    ]
    head = h.header(
        h.a(h.b(view.company.name), " ", h.code(view.company.code), href="/companies", class_="brand"), h.nav(links)
    )
    return joined(head, h.main(h.h1(title), outcome(view.note, view.error), content))


def badge(word: str) -> Markup:
    """Return a word with the colour of what it means."""
    return h.span(word, class_=f"badge {COLOURS.get(word, 'plain')}")


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Node]],
    *,
    empty: str,
    numbers: Sequence[int] = (),
    totals: Iterable[Sequence[Node]] = (),
) -> Markup:
    """Return a table. numbers: columns that stand on the right. empty: what is said where it has no rows.

    On a phone each row is a card, in which the heads stand beside the values.
    """

    def line(cells: Sequence[Node], kind: str | None) -> Markup:
        named = zip(heads, cells, strict=True)
        return h.tr(
            (
                h.td(cell, class_="n" if place in numbers else None, data_label=head)
                for place, (head, cell) in enumerate(named)
            ),
            class_=kind,
        )

    body = [line(row, None) for row in rows]
    if not body:
        return h.p(empty, class_="empty")
    body += [line(row, "total") for row in totals]
    head = h.tr(h.th(name, class_="n" if place in numbers else None) for place, name in enumerate(heads))
    return h.div(h.table(h.thead(head), h.tbody(body)), class_="wide")


def section(title: str, *content: Node) -> Markup:
    """Return a part of a page."""
    return h.section(h.h2(title), content)


def form(do: str, button: str, *fields: Node, grave: bool = False) -> Markup:
    """Return a form of the page itself. do: name of its action. grave: what it does cannot be undone."""
    send = h.button(button, class_="grave" if grave else None, name="do", value=do)
    return h.form(fields, h.div(send, class_="send"), method="post", class_="fields")


def button(do: str, label: str, *, grave: bool = False, to: str | None = None, **hidden: str) -> Markup:
    """Return a button that acts at once. to: the page whose action it is, its own by default; hidden: what is sent."""
    values = [h.input(type="hidden", name=name, value=value) for name, value in hidden.items()]
    send = h.button(label, name="do", value=do, class_="small grave" if grave else "small")
    return h.form(values, send, method="post", action=to, class_="inline")


def entry(place: tuple[View, str], label: str, name: str, value: object = "", **attributes: Attribute) -> Markup:
    """Return a field with its label; place: the view, and the action of its form.

    What was typed there and refused stands in it again.
    """
    view, do = place
    again = view.typed.get("do") == do
    shown = view.typed.get(name, "") if again else str(value)
    given: dict[str, Attribute] = {"type": "text", "autocomplete": "off"}
    return h.label(h.span(label), h.input(name=name, value=shown, **{**given, **attributes}))


def tick(view: View, do: str, label: str, name: str, *, ticked: bool = False) -> Markup:
    """Return a box to tick."""
    again = view.typed.get("do") == do
    shown = name in view.typed if again else ticked
    return h.label(h.input(type="checkbox", name=name, value="yes", checked=shown), h.span(label), class_="tick")


def select(view: View, do: str, label: str, name: str, *, options: Iterable[tuple[str, str]], chosen: str) -> Markup:
    """Return a field of which one of (value, text) is chosen."""
    now = view.typed.get(name, "") if view.typed.get("do") == do else chosen
    return h.label(
        h.span(label),
        h.select((h.option(text, value=value, selected=value == now) for value, text in options), name=name),
    )


def facts(rows: Iterable[tuple[str, Node]]) -> Markup:
    """Return a list of names and values."""
    return h.dl((h.dt(name), h.dd(value)) for name, value in rows)


def figure(label: str, value: Node, detail: Node = None) -> Markup:
    """Return a number that catches the eye."""
    return h.div(h.span(label), h.strong(value), h.small(detail), class_="figure")


def kwh(energy_wh: Decimal | None) -> str:
    """Return an energy with three decimals, as the console has it; a dash for none."""
    return "-" if energy_wh is None else f"{energy_wh / 1000:.3f}"


def when(at: datetime | None, zone: ZoneInfo) -> str:
    """Return a moment, local time; a dash for none."""
    return "-" if at is None else f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S}"
