"""The dashboard: who charges, where one can, how much, and how far that takes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from simulators.csms.billing import Bill, by_employee, employee_of, ended_in, totals
from simulators.panel import layout
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.sessions import card_of, lasted
from simulators.panel.view import Page, View

DAYS: Final = 30
#: Of the chart, in its own units.
WIDTH, HEIGHT, FOOT = 900, 150, 18


def show(view: View) -> Markup:
    """Return the page."""
    bills = view.bills
    ended = ended_in(view.state, view.month, view.zone, company=view.company.code)
    running = [each for each in bills if each.session.stopped_at is None]
    return joined(
        _waiting(view),
        _figures(view, ended, running),
        layout.section(f"kWh a day, the last {DAYS} days", _chart(view, bills)),
        h.div(
            layout.section("Charging now", _now(view, running)),
            layout.section("Who charged most this month", _most(view, ended)),
            class_="two",
        ),
    )


def _waiting(view: View) -> Node:
    pending = [device.station for device in view.devices if device.state == "pending"]
    if not pending:
        return None
    return h.p(
        "Waiting for activation: ", h.a(", ".join(pending), href=view.path("devices")), class_="note", role="status"
    )


def _figures(view: View, ended: Sequence[Bill], running: Sequence[Bill]) -> Markup:
    energy = sum((each.session.energy_wh or layout.ZERO for each in ended), layout.ZERO)
    available, connectors = _available(view)
    users = {employee_of(view.state, each.session) for each in (*ended, *running)} - {""}
    people = sum(each.active for each in view.employees)
    money = totals(ended, running=True)
    refund = ", ".join(f"{row.refund} {row.currency}" for row in money if row.currency) or "-"
    return h.div(
        layout.figure("Active users", len(users), f"charged this month, of {people}"),
        layout.figure("Available connectors", available, f"of {connectors}"),
        layout.figure("Active sessions", len(running), "now"),
        layout.figure("kWh", layout.kwh(energy), f"in {view.month}, {len(ended)} sessions"),
        layout.figure("Kilometres", _kilometres(view, energy), f"at {view.company.kwh_per_100km} kWh per 100 km"),
        layout.figure("Refund", refund, f"in {view.month}"),
        class_="figures",
    )


def _kilometres(view: View, energy_wh: Decimal) -> str:
    """Return how far an energy takes a car, estimated."""
    return f"{energy_wh / 10 / Decimal(view.company.kwh_per_100km):.0f}"


def _available(view: View) -> tuple[int, int]:
    """Return how many connectors wait for a car, and how many there are."""
    statuses = [
        status if device.station in view.csms.connected else "Unavailable"
        for device in view.devices
        if device.state == "linked"
        for connector, status in view.state.station(device.station).statuses.items()
        if connector != "0"
    ]
    return statuses.count("Available"), len(statuses)


def _chart(view: View, bills: Sequence[Bill]) -> Markup:
    today = view.now.astimezone(view.zone).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    energy = dict.fromkeys(days, layout.ZERO)
    for each in bills:
        if each.session.stopped_at is not None:
            day = each.session.stopped_at.astimezone(view.zone).date()
            if day in energy:
                energy[day] += each.session.energy_wh or layout.ZERO
    most = max(*energy.values(), Decimal(1))
    step = WIDTH / DAYS
    bars: list[Node] = []
    for place, (day, wh) in enumerate(energy.items()):
        tall = max(float(wh / most) * (HEIGHT - FOOT - 14), 1.0 if wh > 0 else 0.0)
        left = place * step
        size = {"width": f"{step - 6:.1f}", "height": f"{tall:.1f}", "rx": "2"}
        told = h.title(f"{day}: {layout.kwh(wh)} kWh")
        bars.append(h.rect(told, x=f"{left + 3:.1f}", y=f"{HEIGHT - FOOT - tall:.1f}", **size))
        if (DAYS - 1 - place) % 5 == 0:
            middle = f"{left + step / 2:.1f}"
            bars.append(h.text(f"{day:%d %b}", x=middle, y=HEIGHT - 4, text_anchor="middle"))
    bars.append(h.line(x1=0, x2=WIDTH, y1=HEIGHT - FOOT, y2=HEIGHT - FOOT))
    top = h.text(f"{layout.kwh(most)} kWh", x=3, y=10) if most > 1 else None
    return h.svg(top, bars, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label="kWh a day")


def _now(view: View, running: Sequence[Bill]) -> Markup:
    rows = (
        (
            h.a(each.session.station, href=view.path("devices", each.session.station)),
            view.name_of(employee_of(view.state, each.session)) or card_of(each),
            str(lasted(each.session, view.now)),
            layout.kwh(_so_far(each)),
        )
        for each in running
    )
    return layout.table(("Charger", "Who", "Since", "kWh"), rows, empty="Nobody charges now.", numbers=(2, 3))


def _so_far(bill: Bill) -> Decimal:
    readings = bill.session.readings
    return readings[-1].wh - bill.session.meter_start_wh if readings else layout.ZERO


def _most(view: View, ended: Sequence[Bill]) -> Markup:
    rows = sorted(by_employee(view.state, ended, running=True), key=lambda row: row.energy_wh, reverse=True)[:10]
    shown = (
        (
            view.name_of(row.employee) or "nobody",
            row.sessions,
            layout.kwh(row.energy_wh),
            f"{row.refund} {row.currency}",
        )
        for row in rows
    )
    return layout.table(("Employee", "Sessions", "kWh", "Refund"), shown, empty="No session yet.", numbers=(1, 2, 3))


PAGE: Final = Page("Dashboard", show, {})
