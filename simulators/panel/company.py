"""The company: its code, and what holds for its chargers by default."""

from __future__ import annotations

from typing import Final

from simulators.csms.state import Activation
from simulators.panel import layout
from simulators.panel.forms import Form, one_of
from simulators.panel.markup import Markup, h, joined
from simulators.panel.view import Done, Page, View, rate_name, told

PAYMENTS: Final = (("manual", "manual: we transfer, and mark it"), ("automatic", "automatic: at the month's end"))
ACTIVATIONS: Final = (
    ("automatic", "automatic: they record at once"),
    ("pending", "by hand: they wait for activation"),
    ("rejected", "refuse new ones"),
)


def show(view: View) -> Markup:
    """Return the page."""
    settings, company = view.settings(), view.company
    known = [
        ("Company code", h.strong(h.code(company.code))),
        ("For the installer", h.code(f"wallbox-agent link {company.code}")),
        ("Default rate", h.a(rate_name(settings) or "none: sessions have no price", href=view.path("rates"))),
        ("Days, months and prices", f"in the time of {view.zone.key}"),
    ]
    fields = [
        layout.entry((view, "save"), "Name", "name", company.name),
        layout.entry((view, "save"), "Refund in % of the cost", "refund", settings["refundPercentage"]),
        layout.select(
            view,
            "save",
            "Payment",
            "payment",
            options=PAYMENTS,
            chosen="automatic" if settings["automaticPayment"] else "manual",
        ),
        layout.select(
            view, "save", "Activation of new chargers", "activation", options=ACTIVATIONS, chosen=company.activation
        ),
        layout.tick(view, "save", "Log sessions", "logging", ticked=settings["sessionLogging"]),
        layout.entry((view, "save"), "kWh per 100 km (assumed)", "consumption", company.kwh_per_100km),
    ]
    hint = "These hold for every charger that has nothing of its own; chargers that are connected are told at once."
    return joined(
        layout.section(company.name, layout.facts(known)),
        layout.section("Defaults", h.p(hint, class_="hint"), layout.form("save", "Save", *fields)),
    )


async def save(view: View, form: Form) -> Done:
    """Change the company, and tell its chargers what changed for them."""
    company, settings = view.company, view.settings()
    name = form.text("name", "name", most=60)
    consumption = form.decimal("consumption", "kWh per 100 km", least=1)
    activation = form.choice("activation", "activation", Activation)
    wanted = {
        "refundPercentage": f"{form.decimal('refund', 'refund'):f}",
        "automaticPayment": form.choice("payment", "payment", one_of(value for value, _ in PAYMENTS)) == "automatic",
        "sessionLogging": form.flag("logging"),
    }
    company.name, company.kwh_per_100km, company.activation = name, f"{consumption:f}", activation
    changed = {key: value for key, value in wanted.items() if settings[key] != value}
    return Done(await told(view.csms.desk.change(company.code, **changed), "saved") if changed else "saved")


PAGE: Final = Page("Company", show, {"save": save})
