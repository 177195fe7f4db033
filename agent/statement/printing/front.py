"""The first page: letterhead, what the statement is about, meters, and the summary per card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from agent.core.tariff import Basis, Cost
from agent.statement.language import UNKNOWN, Language
from agent.statement.model import CardPart, Device, Location, Pricing, State, Statement, Sums
from agent.statement.paper.canvas import MM, Canvas, Style
from agent.statement.paper.flow import RIGHT, Block, Cell, Strip, row, rule, shaded, space
from agent.statement.paper.picture import Picture
from agent.statement.printing.styles import BODY, GROUND, MARGIN, Column, Styles, across, cells

LOGO: Final = (62 * MM, 22 * MM)
"""The room of a logo, width and height."""
FINEST: Final = 72 / 96
"""A small logo is not blown up: points for a pixel, at most."""
BESIDE: Final = 96 * MM
"""Where the letterhead's text begins, from the margin."""
HALF: Final = 90 * MM
PARTS: Final = ("energy", "time", "fixed", "parking", "reservation", "surcharge", "excl_vat", "vat", "incl_vat")
CARDS: Final = (
    Column(46), Column(19), Column(14, RIGHT), Column(19, RIGHT), Column(18, RIGHT), Column(17, RIGHT),
    Column(19, RIGHT), Column(22, RIGHT),
)  # fmt: skip
METERS: Final = (Column(20), Column(48), Column(52), Column(26), Column(28))


@dataclass(frozen=True, slots=True)
class Look:
    """What is the sender's own: text and logo of the letterhead."""

    letterhead: str | None = None
    logo: Picture | None = None


def letterhead(look: Look, styles: Styles) -> Block:
    """Return logo and text beside each other; an empty block without both."""
    text = [] if look.letterhead is None else row([Cell(look.letterhead, MARGIN + BESIDE, BODY - BESIDE, styles.body)])
    if look.logo is None:
        return Block((*text, *([space(7 * MM)] if text else [])))
    width, height = _fitted(look.logo)

    def draw(canvas: Canvas, top: float) -> None:
        canvas.picture("Logo", MARGIN, top, width=width, height=height)
        for strip in text:
            strip.draw(canvas, top)
            top += strip.height

    room = max(height, sum(strip.height for strip in text))
    return Block((Strip(room, draw), space(7 * MM)))


def _fitted(logo: Picture) -> tuple[float, float]:
    scale = min(LOGO[0] / logo.width, LOGO[1] / logo.height, FINEST)
    return logo.width * scale, logo.height * scale


def title(statement: Statement, words: Language, styles: Styles) -> Iterator[Block]:
    """Yield the title, and a banner where the month is not final."""
    yield Block((*row([across(f"{words['title']} {words.month(statement.month)}", styles.title)]), space(2 * MM)))
    if statement.state is not State.COMPLETED:
        told = words.name("explained", statement.state.value)
        inner = row([across(told, styles.strong, 2)], above=1.4 * MM, below=1.4 * MM)
        yield Block((*shaded(inner, MARGIN, BODY, GROUND), space(2.5 * MM)))


def facts(statement: Statement, words: Language, styles: Styles) -> Block:
    """Return what the statement is about, in two columns."""
    pairs = [(label, value) for label, value in _pairs(statement, words) if value]
    strips: list[Strip] = []
    for at in range(0, len(pairs), 2):
        both = list(zip((MARGIN, MARGIN + HALF), pairs[at : at + 2], strict=False))
        strips += row([Cell(label, x, HALF - 6 * MM, styles.label) for x, (label, _) in both])
        strips += row([Cell(value, x, HALF - 6 * MM, styles.body) for x, (_, value) in both], below=1.3 * MM)
    return Block((*strips, space(2 * MM)))


def _pairs(statement: Statement, words: Language) -> Iterator[tuple[str, str]]:
    site, zone, month = statement.site, statement.site.zone, statement.month
    last = month.end(zone) - timedelta(seconds=1)
    yield words["period"], f"{words.date(month.begin(zone), zone)} {UNKNOWN} {words.date(last, zone)}"
    yield words["state"], words.name("state", statement.state.value)
    yield words["station"], "\n".join(filter(None, (site.station, " ".join(filter(None, (site.vendor, site.model))))))
    yield words["location"], place(site.location, "\n")
    yield words["serial_number"], site.serial_number or ""
    yield words["basis"], bases(statement, words)
    yield words["currency"], statement.currency or UNKNOWN


def bases(statement: Statement, words: Language) -> str:
    """Return what prices come from, one line for each."""
    return "\n".join(_basis(pricing, statement.month.year, words) for pricing in statement.pricings)


def _basis(pricing: Pricing, year: int, words: Language) -> str:
    if pricing.basis is not Basis.FLAT or pricing.price is None:
        return words.name("basis", pricing.basis.value if pricing.basis is not Basis.FLAT else "flat_alone")
    form = words.name("basis", "flat_with_vat" if pricing.vat else "flat")
    vat = "" if pricing.vat is None else words.number(pricing.vat, 0 if pricing.vat % 1 == 0 else 2)
    return form.format(year=year, price=words.price(pricing.price), currency=pricing.currency, vat=vat)


def place(location: Location, separator: str = ", ") -> str:
    """Return a location as an address, empty where nothing is known of it."""
    town = " ".join(filter(None, (location.postal_code, location.city)))
    return separator.join(filter(None, (location.name, location.address, town, location.country)))


def meters(statement: Statement, words: Language, styles: Styles) -> Block:
    """Return the table of connectors with their meters."""
    heads = [words[name] for name in ("connector", "evse", "meter", "mid", "serial_number")]
    strips = list(_head(words["connectors"], heads, METERS, styles=styles))
    for number, device in enumerate(statement.site.devices, 1):
        strips += row(cells(_meter(number, device, statement, words=words), METERS, styles.body), above=0.8 * MM)
    return Block((*strips, space(4 * MM)))


def _meter(number: int, device: Device, statement: Statement, *, words: Language) -> list[str]:
    serials = "\n".join(statement.serials.get(number, ())) or words["unstated"]
    return [str(number), device.evse_id or UNKNOWN, device.maker, device.mid or words["unstated"], serials]


def summary(statement: Statement, words: Language, styles: Styles) -> Iterator[Block]:
    """Yield the table of cards with its sum."""
    names = ("card", "profile", "sessions", "kwh", "excl_vat", "vat", "incl_vat", "refund")
    yield Block(tuple(_head(words["summary"], [words[name] for name in names], CARDS, styles=styles)), heading=True)
    if not statement.cards:
        yield Block(tuple(row([across(words["none"], styles.body)], above=0.8 * MM)))
    for card in statement.cards:
        figures = [words.name("profile", card.profile), *_sums(card.sums, words)]
        strips = row(cells([_called(card), *figures], CARDS, styles.body), above=0.8 * MM, below=0.8 * MM)
        yield Block((*strips, rule(MARGIN, BODY, thick=0.3)))
    figures = [words["total"], "", *_sums(statement.totals, words)]
    yield Block((*row(cells(figures, CARDS, styles.strong), above=1 * MM), space(4 * MM)))


def _called(card: CardPart) -> str:
    more = ", ".join(part for part in (card.name, card.ema_id) if part and part != card.label)
    return f"{card.label}\n{more}" if more else card.label


def _sums(sums: Sums, words: Language) -> list[str]:
    cost = sums.cost
    amounts = (None, None, None) if cost is None else (cost.excl_vat, cost.vat, cost.incl_vat)
    return [str(sums.sessions), words.kwh(sums.energy), *map(words.money, (*amounts, sums.refund))]


def components(statement: Statement, words: Language, styles: Styles) -> Block:
    """Return the sums of the cost components, one below the other."""
    cost, totals = statement.totals.cost, statement.totals
    strips = list(_head(words["components"], [], (), styles=styles))
    for name in PARTS:
        style = styles.strong if name.endswith("_vat") else styles.body
        amount = None if cost is None else _part(cost, name)
        strips += _amount(words[name], words.money(amount), statement.currency, style=style)
    percentage = totals.percentage
    share = f" ({words.number(percentage, 0 if percentage % 1 == 0 else 2)} %)" if percentage is not None else ""
    label = f"{words['refund']}{share}"
    strips += _amount(label, words.money(totals.refund), statement.currency, style=styles.strong)
    return Block((*strips, space(4 * MM)))


def _part(cost: Cost, name: str) -> Decimal:
    amounts = {
        "energy": cost.energy, "time": cost.time, "fixed": cost.fixed, "parking": cost.parking,
        "reservation": cost.reservation, "surcharge": cost.surcharge, "excl_vat": cost.excl_vat, "vat": cost.vat,
        "incl_vat": cost.incl_vat,
    }  # fmt: skip
    return amounts[name]


def _amount(label: str, amount: str, currency: str | None, *, style: Style) -> list[Strip]:
    columns = (Column(50), Column(34, RIGHT))
    return row(cells([label, f"{currency or ''} {amount}".strip()], columns, style), above=0.5 * MM)


def _head(name: str, heads: Sequence[str], columns: Sequence[Column], *, styles: Styles) -> Iterator[Strip]:
    """Yield a section's title and the heads of its columns."""
    yield from row([across(name, styles.heading)], below=0.8 * MM)
    yield rule(MARGIN, BODY, thick=0.8)
    if heads:
        yield from row(cells(heads, columns, styles.label), above=0.8 * MM, below=0.4 * MM)
