"""The specification: each session of each card with all its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from agent.buffer.annotation import Annotation
from agent.buffer.ledger import SessionRecord
from agent.buffer.timeline import Trust
from agent.core.tariff import Cost
from agent.statement.language import UNKNOWN, Language
from agent.statement.model import CardPart, Line, Statement, Sums
from agent.statement.paper.canvas import MM
from agent.statement.paper.flow import RIGHT, Block, Strip, row, rule, shaded, space
from agent.statement.printing.front import place
from agent.statement.printing.notes import annotated
from agent.statement.printing.styles import BODY, GROUND, MARGIN, Column, Styles, across, cells

COLUMNS: Final = (
    Column(8), Column(34), Column(52), Column(17, RIGHT), Column(15, RIGHT), Column(13, RIGHT), Column(15, RIGHT),
    Column(20, RIGHT),
)  # fmt: skip
INDENT: Final = 8.0
"""Where the details of a session begin, in mm: below its start."""
BETWEEN: Final = "  \N{MIDDLE DOT}  "


def title(words: Language, styles: Styles) -> Block:
    """Return the section's title."""
    return Block(tuple(row([across(words["specification"], styles.heading)], below=1 * MM)), heading=True)


def head(card: CardPart, statement: Statement, words: Language, styles: Styles) -> list[Strip]:
    """Return what stands above the sessions of a card, on each page anew."""
    named = BETWEEN.join(filter(None, (card.label, card.name, words.name("profile", card.profile))))
    inner = row([across(f"{words['card']} {named}", styles.strong, 1.5)], above=0.9 * MM, below=0.5 * MM)
    where = place(statement.site.location)
    if where:
        inner += row([across(where, styles.small, 1.5)], below=0.7 * MM)
    names = ("number", "start", "duration", "kwh", "excl_vat", "vat", "incl_vat", "refund")
    heads = row(cells([words[name] for name in names], COLUMNS, styles.label), above=0.8 * MM, below=0.3 * MM)
    return [*shaded(inner, MARGIN, BODY, GROUND), *heads, rule(MARGIN, BODY)]


def sessions(card: CardPart, statement: Statement, words: Language, styles: Styles) -> Iterator[Block]:
    """Yield a block for each session of a card, and one for their sum."""
    for number, line in enumerate(card.lines, 1):
        record = line.record
        figures = [f"{number}", words.moment(record.started_at, statement.site.zone), _duration(record, words)]
        strips = row(cells([*figures, words.kwh(record.energy), *_amounts(record, words)], COLUMNS, styles.body))
        for details in _details(line, statement, words):
            strips += row([across(BETWEEN.join(details), styles.small, INDENT)])
        yield Block((space(1 * MM), *strips, space(0.9 * MM), rule(MARGIN, BODY, thick=0.3)))
    yield _total(words["total"], card.sums, words, styles=styles)


def total(statement: Statement, words: Language, styles: Styles) -> Block:
    """Return the sum of all cards."""
    block = _total(words["total"], statement.totals, words, styles=styles)
    return Block((rule(MARGIN, BODY, thick=0.8), *block.strips))


def _total(label: str, sums: Sums, words: Language, *, styles: Styles) -> Block:
    figures = [
        "",
        f"{label} ({sums.sessions})",
        "",
        words.kwh(sums.energy),
        *_costs(sums.cost, words),
        words.money(sums.refund),
    ]
    return Block((*row(cells(figures, COLUMNS, styles.strong), above=1 * MM), space(5 * MM)))


def _duration(record: SessionRecord, words: Language) -> str:
    return words["running"] if record.stopped_at is None else words.duration(record.duration_s)


def _amounts(record: SessionRecord, words: Language) -> list[str]:
    return [*_costs(record.cost, words), words.money(None if record.refund is None else record.refund.amount)]


def _costs(cost: Cost | None, words: Language) -> list[str]:
    amounts = (None, None, None) if cost is None else (cost.excl_vat, cost.vat, cost.incl_vat)
    return [words.money(amount) for amount in amounts]


def _details(line: Line, statement: Statement, words: Language) -> Iterator[Sequence[str]]:
    """Yield what else is told of a session, a list for each line."""
    record, zone = line.record, statement.site.zone
    end = UNKNOWN if record.stopped_at is None else words.moment(record.stopped_at, zone)
    device = statement.site.device(record.connector)
    evse = (device and device.evse_id) or f"{words['connector']} {record.connector}"
    serial = [f"{words['meter']} {line.origin.serial}"] if line.origin.serial else []
    registers = f"{words.kwh(record.meter_start)} {UNKNOWN} {words.kwh(record.meter_stop)} kWh"
    yield [f"{words['end']} {end}", evse, f"{words['registers']} {registers}", *serial]
    if record.stopped_at is not None:
        yield list(_parts(record, words))
    yield list(_marks(record, words))
    if line.annotation != Annotation():
        yield list(annotated(line.annotation, words))


def _parts(record: SessionRecord, words: Language) -> Iterator[str]:
    cost = record.cost
    if cost is None:
        yield words["unpriced"]
        return
    amounts = {
        "energy": cost.energy, "time": cost.time, "fixed": cost.fixed, "parking": cost.parking,
        "reservation": cost.reservation, "surcharge": cost.surcharge,
    }  # fmt: skip
    yield from (f"{words[name]} {words.money(amount)}" for name, amount in amounts.items())
    yield cost.currency


def _marks(record: SessionRecord, words: Language) -> Iterator[str]:
    yield f"{words['reporting']}{words.colon} {words.name('reporting', record.reporting.value)}"
    yield f"{words['quality']}{words.colon} {', '.join(words.name('quality', mark.value) for mark in record.quality)}"
    if record.clock is not Trust.SYNCHRONISED:
        yield f"{words['clock']}{words.colon} {words.name('clock', record.clock.value)}"
    yield f"{words['session']} {record.id}"
