"""A month's statement as text for people, in its language."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import datetime

from agent.cli.layout import WIDTH, clean, table
from agent.core.payment import Payment
from agent.statement.language import UNKNOWN, Language
from agent.statement.model import Line, Statement, Sums
from agent.statement.printing.front import bases, place
from agent.statement.printing.notes import annotated, explained


def statement_text(statement: Statement, words: Language) -> str:
    """Return the statement: what it is about, its sessions, its cards and the notes."""
    blocks = ["\n".join(_about(statement, words)) + "\n"]
    if statement.lines:
        blocks += [_sessions(statement, words), *_annotated(statement, words), _cards(statement, words)]
    else:
        blocks.append(f"{words['none']}\n")
    notes = (textwrap.fill(clean(text), WIDTH, break_on_hyphens=False) for text in explained(statement, words))
    blocks.append("\n".join(notes) + "\n")
    return "\n".join(blocks)


def _about(statement: Statement, words: Language) -> Iterator[str]:
    site = statement.site
    yield f"{words['title']} {words.month(statement.month)}"
    serials = ", ".join(serial for found in statement.serials.values() for serial in found)
    meters = ", ".join(dict.fromkeys(device.maker for device in site.devices))
    pairs = {
        "state": words.name("state", statement.state.value),
        "station": ", ".join(filter(None, (site.station, place(site.location)))),
        "meter": f"{meters}{f', {serials}' if serials else ''}",
        "basis": bases(statement, words).replace("\n", "; "),
        **({} if statement.payment is None else {"payment": _payment(statement.payment, statement, words)}),
        "head": UNKNOWN if statement.seal is None else statement.seal.head,
    }
    width = max(len(words[name]) for name in pairs)
    yield from (f"  {words[name]:<{width}}  {clean(value)}" for name, value in pairs.items())


def _payment(payment: Payment, statement: Statement, words: Language) -> str:
    """Return what the central system said of a payment, in the order in which people ask for it."""
    at, amount = payment.paid_at, payment.amount
    when = words.date(at, statement.site.zone) if isinstance(at, datetime) else None if at is None else words.day(at)
    money = None if amount is None else f"{words.price(amount)} {payment.currency or ''}".strip()
    return ", ".join(filter(None, (when, money, payment.reference))) or words["paid"]


def _sessions(statement: Statement, words: Language) -> str:
    head = [words[name] for name in ("number", "start", "duration", "kwh", "card", "incl_vat", "refund", "reporting")]
    labels = {one.record.id: card.label for card in statement.cards for one in card.lines}
    rows = [
        [str(number), *_session(one, statement, clean(labels[one.record.id]), words=words)]
        for number, one in enumerate(statement.lines, 1)
    ]
    return table(head, rows, right=(0, 3, 5, 6))


def _annotated(statement: Statement, words: Language) -> Iterator[str]:
    """Yield what stands beside sessions, under their numbers, where anything does."""
    found = [(n, ", ".join(annotated(one.annotation, words))) for n, one in enumerate(statement.lines, 1)]
    if any(text for _, text in found):
        yield "".join(f"{textwrap.fill(clean(f'{n}  {text}'), WIDTH)}\n" for n, text in found if text)


def _session(one: Line, statement: Statement, label: str, *, words: Language) -> Iterator[str]:
    record = one.record
    yield words.moment(record.started_at, statement.site.zone)
    yield words["running"] if record.stopped_at is None else words.duration(record.duration_s)
    yield words.kwh(record.energy)
    yield label
    yield UNKNOWN if record.cost is None else f"{words.money(record.cost.incl_vat)} {record.cost.currency}"
    yield words.money(None if record.refund is None else record.refund.amount)
    yield words.name("reporting", record.reporting.value)


def _cards(statement: Statement, words: Language) -> str:
    names = ("card", "profile", "sessions", "kwh", "excl_vat", "vat", "incl_vat", "refund")
    rows = [
        [clean(card.label), words.name("profile", card.profile), *_sums(card.sums, words)] for card in statement.cards
    ]
    rows.append([words["total"], "", *_sums(statement.totals, words)])
    head = [words[name] for name in names]
    head[-1] += f" {statement.currency}" if statement.currency else ""
    return table(head, rows, right=(2, 3, 4, 5, 6, 7))


def _sums(sums: Sums, words: Language) -> list[str]:
    cost = sums.cost
    amounts = (None, None, None) if cost is None else (cost.excl_vat, cost.vat, cost.incl_vat)
    return [str(sums.sessions), words.kwh(sums.energy), *map(words.money, (*amounts, sums.refund))]
