"""Rates: flat or by the hour, weekdays and weekends apart; one is always the default."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

from simulators.csms.rates import WEEKDAYS, WEEKEND, Slot, hourly
from simulators.csms.state import JsonObject, Rate
from simulators.errors import Misuse
from simulators.panel import layout
from simulators.panel.forms import Form
from simulators.panel.markup import Markup, Node, h, joined
from simulators.panel.view import Done, Page, View, rate_name, the_rate, told

SLOTS: Final = 3
CURRENCY: Final = re.compile(r"[A-Z]{3}")
#: What OCPI allows in the id of a tariff; it is part of an address, too.
NAME: Final = re.compile(r"[A-Za-z0-9 ._-]{1,36}")
NAMED_DAYS: Final = {WEEKDAYS: "weekdays", WEEKEND: "weekends"}
FIELDS: Final = (
    *("price", "weekend", "vat", "currency"),
    *(f"{name}{number}" for number in range(1, SLOTS + 1) for name in ("from", "to", "price", "weekend")),
)


def tariff(form: Form, name: str) -> tuple[JsonObject, dict[str, str]]:
    """Return the OCPI tariff that was typed, and what was typed. Raises Misuse."""
    currency = form.text("currency", "currency", most=3).upper()
    if not CURRENCY.fullmatch(currency):
        raise Misuse(f"currency: {currency!r} is not three letters, as EUR")
    vat = f"{form.decimal('vat', 'VAT'):f}"
    rest = Slot("00:00", "00:00", f"{form.decimal('price', 'price per kWh'):f}", _maybe(form, "weekend"))
    slots = list(_slots(form))
    typed = {field: form.text(field, field, needed=False) for field in FIELDS}
    return hourly(name, currency, vat, slots=slots, rest=rest), typed


def _slots(form: Form) -> Iterator[Slot]:
    for number in range(1, SLOTS + 1):
        price = _maybe(form, f"price{number}")
        if price is None:
            if form.text(f"from{number}", "", needed=False) or form.text(f"to{number}", "", needed=False):
                raise Misuse(f"time slot {number}: hours without a price")
            continue
        start, end = (
            form.clock(f"from{number}", f"time slot {number}"),
            form.clock(f"to{number}", f"time slot {number}"),
        )
        if start == end:
            raise Misuse(f"time slot {number}: it ends when it begins; the other hours have the price above")
        yield Slot(start, end, price, _maybe(form, f"weekend{number}"))


def _maybe(form: Form, name: str) -> str | None:
    number = form.maybe(name, "price per kWh")
    return None if number is None else f"{number:f}"


def described(tariff: JsonObject) -> list[str]:
    """Return a line per element of an OCPI tariff."""
    try:
        return list(_lines(tariff))
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):  # typed at the console as JSON
        return ["cannot be read"]


def _lines(tariff: JsonObject) -> Iterator[str]:
    for element in tariff["elements"]:
        prices = ", ".join(
            f"{Decimal(str(part['price'])):f} per {'kWh' if part['type'] == 'ENERGY' else part['type']}"
            for part in element["price_components"]
        )
        held = element.get("restrictions") or {}
        hours = f"{held['start_time']} to {held['end_time']}" if "start_time" in held and "end_time" in held else ""
        named = held.get("day_of_week") or []
        days = NAMED_DAYS.get(tuple(named), ", ".join(day.capitalize() for day in named))
        yield " ".join(f"{prices} {hours} {days}".split())


def vat_of(tariff: JsonObject) -> str:
    """Return the VAT percentages of a tariff."""
    try:
        parts = [part for element in tariff["elements"] for part in element["price_components"]]
        return ", ".join(sorted({f"{Decimal(str(part.get('vat', 0))).normalize():f} %" for part in parts}))
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):  # as above
        return "-"


def show_all(view: View) -> Markup:
    """Return the list, and a form for a new rate."""
    default = rate_name(view.settings())
    used = [rate_name(view.settings(device)) for device in view.devices]
    rows = [_row(view, rate, default=default, used=used.count(rate.name)) for rate in view.rates]
    if default not in {rate.name for rate in view.rates}:
        rows.append(_from_console(view, used.count(default)))
    listed = layout.table(
        ("Name", "Per kWh, without VAT", "VAT", "Currency", "Chargers", ""),
        (row for row in rows if row),
        empty="No rate yet: sessions have no price until there is one.",
        numbers=(4,),
    )
    hint = h.p("A session keeps the rate it began with; a change counts from the next one on.", class_="hint")
    new = layout.form("add", "Add the rate", layout.entry((view, "add"), "Name", "name"), *_fields(view, "add", {}))
    return joined(layout.section("Rates", hint, listed), layout.section("A new rate", new))


def _row(view: View, rate: Rate, *, default: str, used: int) -> tuple[Node, ...]:
    lines = [h.div(line) for line in described(rate.tariff)]
    act = layout.badge("default") if rate.name == default else layout.button("default", "Make default", rate=rate.name)
    name = h.a(rate.name, href=view.path("rates", rate.name))
    return name, lines, vat_of(rate.tariff), str(rate.tariff["currency"]), used, act


def _from_console(view: View, used: int) -> tuple[Node, ...]:
    """Return the row of a default that was not made here."""
    found = view.settings().get("tariff")
    if not isinstance(found, dict):
        return ()
    lines = [h.div(line) for line in described(found)]
    name = joined(str(found.get("id", "")), " ", h.small("from the command line"))
    return name, lines, vat_of(found), str(found.get("currency", "")), used, layout.badge("default")


def _fields(view: View, do: str, typed: Mapping[str, str]) -> list[Markup]:
    def field(label: str, name: str, value: str = "", **more: str) -> Markup:
        return layout.entry((view, do), label, name, typed.get(name, value), **more)

    fields = [
        field("Price per kWh without VAT", "price", inputmode="decimal"),
        field("At weekends (empty: the same)", "weekend", inputmode="decimal"),
        field("VAT in %", "vat", "21", inputmode="decimal"),
        field("Currency", "currency", "EUR"),
        h.p("By the hour: up to three time slots with prices of their own.", class_="hint"),
    ]
    for number in range(1, SLOTS + 1):
        fields += [
            field(f"Slot {number} from", f"from{number}", type="time"),
            field("to", f"to{number}", type="time"),
            field("Price per kWh", f"price{number}", inputmode="decimal"),
            field("At weekends", f"weekend{number}", inputmode="decimal"),
        ]
    return fields


def show_one(view: View) -> Markup:
    """Return a rate with a form to change it."""
    rate = the_rate(view)
    users = [device.station for device in view.devices if rate_name(view.settings(device)) == rate.name]
    default = rate_name(view.settings()) == rate.name
    rows = [
        ("Per kWh, without VAT", [h.div(line) for line in described(rate.tariff)]),
        ("VAT", vat_of(rate.tariff)),
        ("Default", "yes" if default else "no"),
        ("Chargers", ", ".join(users) or "none"),
    ]
    change = layout.form("change", "Change the rate", *_fields(view, "change", rate.typed))
    remove = None if default or users else layout.form("remove", "Remove the rate", grave=True)
    return joined(layout.section(rate.name, layout.facts(rows)), layout.section("Change it", change, remove))


async def add(view: View, form: Form) -> Done:
    """Add a rate; where none holds by default it does."""
    name = form.text("name", "name", most=36)
    if not NAME.fullmatch(name) or name in {".", ".."}:
        raise Misuse(f"name: {name!r} has other characters than letters, digits, blanks, dots, - and _")
    key = f"{view.company.code}/{name}"
    if key in view.state.rates:
        raise Misuse(f"there is a rate {name} already: open it to change it")
    rate = view.state.rates[key] = Rate(view.company.code, name, *tariff(form, name))
    if "tariff" not in view.settings():
        return Done(await _set_default(view, rate, f"rate {name} is added, and holds by default"))
    return Done(f"rate {name} is added")


async def make_default(view: View, form: Form) -> Done:
    """Let a rate hold for all chargers that have none of their own."""
    name = form.text("rate", "rate")
    rate = view.state.rates.get(f"{view.company.code}/{name}")
    if rate is None:
        raise Misuse(f"no rate {name}")
    return Done(await _set_default(view, rate, f"{name} is the default rate now"))


async def _set_default(view: View, rate: Rate, done: str) -> str:
    return await told(view.csms.desk.change(view.company.code, tariff=rate.tariff), done)


async def change(view: View, form: Form) -> Done:
    """Change a rate, and tell the chargers that have it."""
    rate = the_rate(view)
    rate.tariff, rate.typed = tariff(form, rate.name)
    done = f"rate {rate.name} is changed"
    own = [each for each in view.devices if rate_name(each.overrides) == rate.name]
    if rate_name(view.settings()) == rate.name:
        done = await _set_default(view, rate, done)
    for device in own:
        done = await told(view.csms.desk.change(device.station, tariff=rate.tariff), done)
    return Done(done)


async def remove(view: View, _form: Form) -> Done:
    """Remove a rate that no charger has."""
    rate = the_rate(view)
    if rate.name in {rate_name(view.settings()), *(rate_name(view.settings(each)) for each in view.devices)}:
        raise Misuse(f"rate {rate.name} is in force: give its chargers another one first")
    del view.state.rates[f"{view.company.code}/{rate.name}"]
    return Done(f"rate {rate.name} is removed", view.path("rates"))


PAGE: Final = Page(
    "Rates", show_all, {"add": add, "default": make_default, "change": change, "remove": remove}, show_one
)
