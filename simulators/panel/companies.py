"""The first page: which company, and a new one."""

from __future__ import annotations

import re
import secrets
from typing import Final
from urllib.parse import quote

from simulators.csms.server import Csms
from simulators.csms.state import Activation, Company, Rate
from simulators.errors import Misuse
from simulators.panel import layout
from simulators.panel.forms import Form
from simulators.panel.markup import Markup, h, joined
from simulators.panel.rates import tariff
from simulators.panel.view import Done

CODE: Final = re.compile(r"[A-Z0-9-]{4,36}")
#: Characters of a code that nobody takes for another one.
CLEAR: Final = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


def show(csms: Csms, note: str, error: str, typed: dict[str, str]) -> Markup:
    """Return the page."""
    companies = csms.state.companies.values()
    links = layout.table(
        ("Company", "Code", "Chargers"),
        (
            (
                h.a(each.name, href=f"/{quote(each.code, safe='')}"),
                h.code(each.code),
                sum(device.company == each.code for device in csms.state.devices.values()),
            )
            for each in companies
        ),
        empty="There is no company yet.",
        numbers=(2,),
    )

    def field(label: str, name: str, value: str, **more: str) -> Markup:
        return h.label(h.span(label), h.input(name=name, value=typed.get(name, value), autocomplete="off", **more))

    fields = [
        field("Name", "name", ""),
        field("Company code (empty: one is made)", "code", "", placeholder="ACME-7F3K"),
        field("Refund in % of the cost", "refund", "100", inputmode="decimal"),
        field("Price per kWh without VAT", "price", "0.29", inputmode="decimal"),
        field("VAT in %", "vat", "21", inputmode="decimal"),
        field("Currency", "currency", "EUR"),
        h.label(h.input(type="checkbox", name="automatic", value="yes"), h.span("Pay automatically"), class_="tick"),
        h.label(
            h.input(type="checkbox", name="activate", value="yes"), h.span("Activate chargers at once"), class_="tick"
        ),
    ]
    head = h.header(h.a(h.b("wallbox-sim"), " central system", href="/companies", class_="brand"))
    body = [
        h.h1("Companies"),
        layout.outcome(note, error),
        layout.section("Whose side?", links),
        layout.section("A new company", layout.form("create", "Make the company", *fields)),
    ]
    return joined(head, h.main(body))


async def create(csms: Csms, form: Form) -> Done:
    """Make a company with its default rate. Raises Misuse."""
    name = form.text("name", "name", most=60)
    code = form.text("code", "company code", most=36, needed=False).upper() or _code(name)
    if not CODE.fullmatch(code):
        raise Misuse(f"company code: {code!r} is not 4 to 36 of A to Z, 0 to 9 and -")
    if code in csms.state.companies:
        raise Misuse(f"company code: {code} is taken")
    rate = Rate(code, "Standard", *tariff(form, "Standard"))
    settings = {
        "refundPercentage": f"{form.decimal('refund', 'refund'):f}",
        "automaticPayment": form.flag("automatic"),
        "tariff": rate.tariff,
    }
    activation = Activation.AUTOMATIC if form.flag("activate") else Activation.PENDING
    csms.state.companies[code] = Company(code, name, activation, settings=settings)
    csms.state.rates[f"{code}/{rate.name}"] = rate
    return Done(f"{name} is made; chargers link with the code {code}", f"/{code}")


def _code(name: str) -> str:
    stem = "".join(character for character in name.upper() if character in CLEAR)[:6] or "COMPANY"
    return f"{stem}-{''.join(secrets.choice(CLEAR) for _ in range(4))}"
