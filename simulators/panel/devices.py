"""Chargers: their link to the company, what holds for each, and what can be asked of it now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from simulators.csms.cards import FAILED, TAKEN, standing
from simulators.csms.company import local_list
from simulators.csms.local_lists import next_version
from simulators.csms.state import Device, JsonObject, Session, TokenStatus
from simulators.errors import Misuse
from simulators.panel import layout
from simulators.panel.forms import Form, one_of
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.sessions import listed
from simulators.panel.tokens import shown
from simulators.panel.view import Action, Done, Page, View, rate_name, the_device, told

#: Choice -> what it means for a setting of the charger's own; None: the company's holds.
SWITCH: Final[Mapping[str, bool | None]] = {"default": None, "on": True, "off": False}
RECENT: Final = 10


def show_all(view: View) -> Markup:
    """Return the list of chargers."""
    rows = [_row(view, device) for device in sorted(view.devices, key=lambda each: each.station)]
    heads = ("Charger", "Link", "Connectors", "Employee", "Log sessions", "Payment", "Refund", "Rate", "Settings")
    empty = f"No charger has given the code {view.company.code} yet: wallbox-agent link {view.company.code}"
    waiting = [_pending(device) for device in view.devices if device.state == "pending"]
    return joined(waiting, layout.section("Devices", layout.table(heads, rows, empty=empty, numbers=(6,))))


def _pending(device: Device) -> Markup:
    act = layout.button("activate", "Activate", station=device.station)
    refuse = layout.button("reject", "Refuse", grave=True, station=device.station)
    text = h.p(h.b(device.station), " gave the company code and waits for its activation. ", layout.badge("pending"))
    return layout.section("A new charger", text, act, refuse)


def _row(view: View, device: Device) -> tuple[Node, ...]:
    settings = view.settings(device)
    name = h.a(device.station, href=view.path("devices", device.station))
    online = layout.badge("online" if device.station in view.csms.connected else "offline")
    payment = "automatic" if settings["automaticPayment"] else "manual"
    return (
        joined(name, " ", online),
        layout.badge(device.state),
        _connectors(view, device),
        view.name_of(device.employee) or "-",
        layout.badge("yes" if settings["sessionLogging"] else "no"),
        payment,
        f"{settings['refundPercentage']} %",
        rate_name(settings) or "-",
        _taken(device),
    )


def _connectors(view: View, device: Device) -> list[Node]:
    statuses = view.state.station(device.station).statuses
    return [layout.badge(status) for connector, status in sorted(statuses.items()) if connector != "0"]


def _taken(device: Device) -> Node:
    if device.state != "linked":
        return "-"
    if device.answered < device.version:
        return joined(layout.badge("Waiting"), f" version {device.version}")
    return joined(layout.badge("refused"), " ", device.refusal) if device.refusal else f"version {device.version}"


def show_one(view: View) -> Markup:
    """Return a charger."""
    device = the_device(view)
    standings = [standing(view.state, device.station, token) for token in view.tokens]
    taken, failed = (sum(each.status == status for each in standings) for status in (TAKEN, FAILED))
    boot = view.state.station(device.station).boot
    online = layout.badge("online" if device.station in view.csms.connected else "offline")
    rows: list[tuple[str, Node]] = [
        ("Link", joined(layout.badge(device.state), " ", online, " ", device.reason)),
        ("Since", layout.when(device.since, view.zone)),
        ("Connectors", _connectors(view, device)),
        ("EVSE ids", ", ".join(map(str, device.evse_ids)) or "-"),
        ("Meters", ", ".join(map(str, device.meter_serials)) or "-"),
        (
            "Model",
            f"{boot.get('chargePointVendor', '')} {boot.get('chargePointModel', '')}, agent {device.agent_version}",
        ),
        ("Settings", _taken(device)),
        ("Cards taken / failed", h.a(f"{taken} / {failed}", href=view.path("distribution", device.station))),
    ]
    sessions = [each for each in view.bills if each.session.station == device.station]
    return joined(
        h.div(
            layout.section(device.station, layout.facts(rows), _link_buttons(device)),
            layout.section("What holds here", _settings(view, device)),
            class_="two",
        ),
        layout.section("Do it now", _remote(view, device)),
        layout.section("Sessions", listed(view, sessions[: -RECENT - 1 : -1])),
    )


def _link_buttons(device: Device) -> list[Markup]:
    activate = layout.button("activate", "Activate", station=device.station)
    end = layout.button("reject", "End the link", grave=True, station=device.station)
    return {"pending": [activate, end], "linked": [end], "rejected": [activate]}.get(device.state, [])


def _settings(view: View, device: Device) -> Markup:
    company, own = view.settings(), device.overrides

    def switch(label: str, name: str, key: str, words: tuple[str, str]) -> Markup:
        on, off = words
        chosen = next(choice for choice, value in SWITCH.items() if value == own.get(key))
        options = [("default", f"default ({on if company[key] else off})"), ("on", on), ("off", off)]
        return layout.select(view, "save", label, name, options=options, chosen=chosen)

    rates = [("", f"default ({rate_name(company) or 'none'})"), *((rate.name, rate.name) for rate in view.rates)]
    if (name := rate_name(own)) not in dict(rates):
        rates.append((name, f"{name} (from the command line)"))
    fields = [
        layout.select(view, "save", "Employee (home of)", "employee", options=people(view), chosen=device.employee),
        switch("Log sessions", "logging", "sessionLogging", ("on", "off")),
        switch("Payment", "payment", "automaticPayment", ("automatic", "manual")),
        layout.entry(
            (view, "save"),
            f"Refund in % (empty: {company['refundPercentage']})",
            "refund",
            own.get("refundPercentage", ""),
            inputmode="decimal",
        ),
        layout.select(view, "save", "Rate", "rate", options=rates, chosen=name),
    ]
    return layout.form("save", "Save", *fields)


def people(view: View) -> list[tuple[str, str]]:
    """Return the employees to choose from, and nobody."""
    return [("", "nobody"), *((each.id, each.name) for each in view.employees if each.active)]


def _remote(view: View, device: Device) -> Node:
    if device.station not in view.csms.connected:
        return h.p("The charger is offline: it is told when it comes back.", class_="empty")
    tokens = [(each.uid, shown(each)) for each in view.tokens if each.status is TokenStatus.ACTIVE]
    connectors = sorted(each for each in view.state.station(device.station).statuses if each != "0") or ["1"]
    where = [(each, each) for each in connectors]
    start = layout.form(
        "start",
        "Start a session",
        layout.select(view, "start", "Token", "token", options=tokens, chosen=""),
        layout.select(view, "start", "Connector", "connector", options=where, chosen="1"),
    )
    running = [
        layout.button("stop", f"Stop transaction {each.transaction_id}", transaction=str(each.transaction_id))
        for each in _running(view, device)
    ]
    acts = [layout.button("unlock", f"Unlock connector {each}", connector=each) for each in connectors]
    acts += [
        layout.button("operative", "Into service"),
        layout.button("inoperative", "Out of service"),
        layout.button("list", "Send the local list"),
        layout.button("reset", "Restart", grave=True),
    ]
    return joined(start if tokens else h.p("No token is active.", class_="empty"), h.p(running, acts))


def _running(view: View, device: Device) -> list[Session]:
    return [each for each in view.state.sessions if each.station == device.station and each.stopped_at is None]


# -- actions


def _named(view: View, form: Form) -> str:
    station = form.text("station", "charger")
    if station not in {device.station for device in view.devices}:
        raise Misuse(f"no charger {station} has given the code of this company")
    return station


async def activate(view: View, form: Form) -> Done:
    """Link a pending charger."""
    station = _named(view, form)
    return Done(await told(view.csms.desk.activate(station), f"{station} is activated"))


async def reject(view: View, form: Form) -> Done:
    """End a link."""
    station = _named(view, form)
    return Done(await told(view.csms.desk.reject(station, "ended by the company"), f"{station} is no longer linked"))


async def save(view: View, form: Form) -> Done:
    """Change what holds for a charger, and tell it."""
    device, name = the_device(view), form.text("rate", "rate", needed=False)
    refund = form.maybe("refund", "refund")
    wanted: dict[str, Any] = {
        "sessionLogging": form.choice("logging", "log sessions", SWITCH.__getitem__),
        "automaticPayment": form.choice("payment", "payment", SWITCH.__getitem__),
        "refundPercentage": None if refund is None else f"{refund:f}",
    }
    if name != rate_name(device.overrides):
        rate = view.state.rates.get(f"{view.company.code}/{name}")
        if name and rate is None:
            raise Misuse(f"rate: no rate {name}")
        wanted["tariff"] = None if rate is None else rate.tariff
    device.employee = form.choice("employee", "employee", one_of({device.employee, *(id_ for id_, _ in people(view))}))
    changed = {key: value for key, value in wanted.items() if device.overrides.get(key) != value}
    return Done(await told(view.csms.desk.change(device.station, **changed), "saved") if changed else "saved")


def _asking(action: str, payload: Callable[[View, Form], JsonObject]) -> Action:
    """Return what calls the charger and tells its answer."""

    async def ask(view: View, form: Form) -> Done:
        station = the_device(view).station
        answer = await view.csms.call(station, action, payload(view, form))
        return Done(f"{station} answers {action}: {answer.get('status', 'done')}")

    return ask


def _start(view: View, form: Form) -> JsonObject:
    tokens = {token.uid for token in view.tokens}
    uid = form.choice("token", "token", one_of(tokens))
    return {"idTag": uid, "connectorId": int(form.decimal("connector", "connector", least=1))}


def _list(view: View, _form: Form) -> JsonObject:
    version = next_version(view.state.station(view.item))
    return {"listVersion": version, "updateType": "Full", "localAuthorizationList": local_list(view.state)}


def _whole(name: str) -> Callable[[View, Form], int]:
    return lambda _view, form: int(form.decimal(name, name, most=10**9).quantize(Decimal(1)))


ACTIONS: Final[Mapping[str, Callable[[View, Form], Awaitable[Done]]]] = {
    "activate": activate,
    "reject": reject,
    "save": save,
    "start": _asking("RemoteStartTransaction", _start),
    "stop": _asking("RemoteStopTransaction", lambda v, f: {"transactionId": _whole("transaction")(v, f)}),
    "unlock": _asking("UnlockConnector", lambda v, f: {"connectorId": _whole("connector")(v, f)}),
    "operative": _asking("ChangeAvailability", lambda *_: {"connectorId": 0, "type": "Operative"}),
    "inoperative": _asking("ChangeAvailability", lambda *_: {"connectorId": 0, "type": "Inoperative"}),
    "list": _asking("SendLocalList", _list),
    "reset": _asking("Reset", lambda *_: {"type": "Soft"}),
}
PAGE: Final = Page("Devices", show_all, ACTIONS, show_one)
