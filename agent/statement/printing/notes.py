"""The last part: what the marks mean, and the evidence."""

from __future__ import annotations

from collections.abc import Iterator

from agent.buffer.annotation import Annotation
from agent.buffer.deliveries import Reported
from agent.buffer.timeline import Trust
from agent.core.model import Quality
from agent.core.tariff import Basis
from agent.statement.language import Language
from agent.statement.model import Statement
from agent.statement.paper.canvas import MM
from agent.statement.paper.flow import Block, row, rule, space
from agent.statement.printing.styles import BODY, MARGIN, Styles, across


def notes(statement: Statement, words: Language, styles: Styles) -> Iterator[Block]:
    """Yield what the reader has to know, each mark that occurs explained."""
    title = row([across(words["marks"], styles.heading)], below=0.8 * MM)
    yield Block((*title, rule(MARGIN, BODY, thick=0.8), space(0.8 * MM)), heading=True)
    for text in explained(statement, words):
        yield Block(tuple(row([across(text, styles.small)], below=0.6 * MM)))
    yield Block((space(3.4 * MM),))


def explained(statement: Statement, words: Language) -> Iterator[str]:
    """Yield the notes in the order in which they are printed."""
    told = words.words["explained"]
    yield told["local"].format(zone=statement.site.timezone)
    yield told["rounding"]
    if len({record.cost.currency for record in statement.records if record.cost is not None}) > 1:
        yield told["several"]
    if _bases(statement):
        names = ", ".join(sorted(words.name("basis", _kind(basis)) for basis in _bases(statement)))
        yield told["other_basis"].format(year=statement.month.year, names=names)
    if statement.totals.unpriced:
        yield told["unpriced"].format(count=statement.totals.unpriced)
    marks = {mark for record in statement.records for mark in record.quality}
    yield from (words.name("explained", mark.value) for mark in Quality if mark in marks)
    states = {record.reporting for record in statement.records} - {Reported.REPORTED}
    yield from (words.name("explained", f"reporting-{state.value}") for state in Reported if state in states)
    clocks = {record.clock for record in statement.records} - {Trust.SYNCHRONISED}
    yield from (words.name("explained", f"clock-{clock.value}") for clock in Trust if clock in clocks)


def annotated(annotation: Annotation, words: Language) -> Iterator[str]:
    """Yield what stands beside a session, nothing where nothing does."""
    if annotation.odometer_km is not None:
        yield f"{words['odometer']} {words.number(annotation.odometer_km, 0)} km"
    if annotation.note is not None:
        yield f"{words['note']}{words.colon} {annotation.note}"


def _bases(statement: Statement) -> frozenset[Basis]:
    """Return what is not the basis in force at the month's end."""
    return (statement.others | {pricing.basis for pricing in statement.pricings}) - {statement.pricings[-1].basis}


def _kind(basis: Basis) -> str:
    return "flat_alone" if basis is Basis.FLAT else basis.value


def evidence(statement: Statement, words: Language, styles: Styles) -> Block:
    """Return chain head, signature and key, which stay on one page."""
    strips = row([across(words["evidence"], styles.heading)], below=0.8 * MM)
    strips += [rule(MARGIN, BODY, thick=0.8), space(0.8 * MM)]
    seal = statement.seal
    if seal is None:
        strips += row([across(words["unsealed"], styles.body)], below=0.6 * MM)
    else:
        for name, value in (("head", seal.head), ("signature", seal.signature), ("key", seal.fingerprint)):
            if value:
                strips += [*row([across(words[name], styles.label)]), *row([across(value, styles.body)], below=1 * MM)]
    return Block((*strips, *row([across(words["verify"], styles.small)], above=0.5 * MM)))
