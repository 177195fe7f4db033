"""Distribution: which charger was sent which tokens, what it took, and what failed."""

from __future__ import annotations

from collections import Counter
from typing import Final

from simulators.csms.cards import FAILED, TAKEN, WAITING, failed, of_company, standing
from simulators.csms.show import masked
from simulators.csms.state import Device
from simulators.errors import Misuse, SimulatorError
from simulators.panel import layout
from simulators.panel.forms import Form
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.tokens import condition, link
from simulators.panel.view import Done, Page, View, the_device


def _linked(view: View) -> list[Device]:
    return [device for device in view.devices if device.state == "linked"]


def show_all(view: View) -> Markup:
    """Return a row per charger."""
    heads = ("Charger", "Taken", "Failed", "Waiting", "Last sent", "")
    table = layout.table(
        heads, (_row(view, each) for each in _linked(view)), empty="No charger is linked.", numbers=(1, 2, 3)
    )
    some = any(failed(view.state, device) for device in _linked(view))
    retry = layout.form("retry-all", "Retry all failed distributions") if some else None
    hint = (
        "Tokens go to every linked charger by themselves, also to one that comes back; what it refused waits for you."
    )
    return layout.section("Distribution", h.p(hint, class_="hint"), table, retry)


def _row(view: View, device: Device) -> tuple[Node, ...]:
    standings = [standing(view.state, device.station, token) for token in view.tokens]
    count = Counter(each.status for each in standings)
    last = max((each.at for each in view.state.deliveries.values() if each.station == device.station), default=None)
    name = h.a(device.station, href=view.path("distribution", device.station))
    retry = layout.button("retry", "Retry failed", station=device.station) if count[FAILED] else None
    online = layout.badge("online" if device.station in view.csms.connected else "offline")
    numbers = (count[TAKEN], count[FAILED], count[WAITING])
    return joined(name, " ", online), *numbers, layout.when(last, view.zone), retry


def show_one(view: View) -> Markup:
    """Return the tokens of a charger, each with what became of it."""
    device = the_device(view)
    rows = (
        (
            link(view, token),
            condition(view, token),
            layout.badge(each.status),
            each.reason or "-",
            each.tries,
            layout.when(each.at, view.zone) if each.status != WAITING else "-",
        )
        for token in view.tokens
        for each in (standing(view.state, device.station, token),)
    )
    heads = ("Token", "State", "Distribution", "Reason", "Tries", "Sent")
    acts = [
        layout.button("retry", "Retry failed", station=device.station),
        layout.button("full", "Send all again", station=device.station),
        layout.button("ask", "Ask what it has", station=device.station),
    ]
    table = layout.table(heads, rows, empty="No token yet.", numbers=(4,))
    return layout.section(f"Tokens at {device.station}", table, h.p(acts))


def _named(view: View, form: Form) -> Device:
    station = form.text("station", "charger")
    for device in _linked(view):
        if device.station == station:
            return device
    raise Misuse(f"{station} is not linked")


async def retry(view: View, form: Form) -> Done:
    """Send a charger again what it did not take."""
    return Done(await _retry(view, [_named(view, form)]))


async def retry_all(view: View, _form: Form) -> Done:
    """Send all chargers again what they did not take."""
    return Done(await _retry(view, _linked(view)))


async def _retry(view: View, devices: list[Device]) -> str:
    sent, missed = 0, []
    for device in devices:
        tokens = failed(view.state, device)
        if not tokens:
            continue
        try:
            await view.courier.post.send(device.station, tokens)
            sent += len(tokens)
        except (SimulatorError, TimeoutError) as error:
            missed.append(str(error))
    left = sum(len(failed(view.state, device)) for device in devices)
    done = f"{sent} sent again, {left} failed" if sent or left else "nothing failed"
    return "; ".join([done, *missed])


async def full(view: View, form: Form) -> Done:
    """Send a charger all tokens, and that it has no others."""
    device = _named(view, form)
    await view.courier.post.send(device.station, of_company(view.state, device.company), full=True)
    return Done(f"all tokens are sent to {device.station} again; {len(failed(view.state, device))} failed")


async def ask(view: View, form: Form) -> Done:
    """Ask a charger what it has."""
    device = _named(view, form)
    held = await view.courier.post.ask(device.station)
    listed = ", ".join(f"{masked(uid)} {status}" for uid, status in held.items())
    return Done(f"{device.station} has {len(held)} of our tokens{': ' if listed else ''}{listed}")


PAGE: Final = Page(
    "Distribution", show_all, {"retry": retry, "retry-all": retry_all, "full": full, "ask": ask}, show_one
)
