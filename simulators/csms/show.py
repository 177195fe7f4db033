"""A central system for people: one line per message, the gist in words, tables of sessions and months."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from simulators.csms.billing import Bill, Row, Summary
from simulators.csms.log import Message, Violation
from simulators.csms.readings import registers
from simulators.csms.state import JsonObject

COLOURS: Final = {"call": "36", "result": "32", "error": "31", "garbage": "31", "event": "33", "violation": "1;31"}
VISIBLE: Final = 4
#: A card's UID in the data of the extension.
CARD_ID: Final = re.compile(r'("(?:uid|replaces)": ?)"([^"]*)"')


def line(entry: Message | Violation) -> str:
    """Return the line of a message or violation, with its time and in colour; empty for a ping."""
    clock = f"{entry.time.astimezone():%H:%M:%S.%f}"[:-3]
    if isinstance(entry, Violation):
        return f"{clock} {coloured('violation', f'!! {printable(str(entry))}')}"
    if entry.kind == "ping":
        return ""
    station, what, words = printable(entry.station), title(entry), printable(gist(entry))
    return f"{clock} {station} {arrow(entry)} {coloured(entry.kind, what)}  {words}".rstrip()


def plain_line(entry: Message | Violation) -> str:
    """Return the line of a message or violation without time, station and colour; empty for a ping."""
    if isinstance(entry, Violation):
        return f"!! {printable(entry.text)}"
    return "" if entry.kind == "ping" else f"{arrow(entry)} {title(entry)}  {printable(gist(entry))}".rstrip()


def arrow(message: Message) -> str:
    """Return where a message goes: from the station, or to it."""
    return "->" if message.inbound else "<-"


def title(message: Message) -> str:
    """Return the action of a message, and that it is an answer where it is one."""
    return printable(
        message.action if message.kind in {"call", "event"} else f"{message.action} {message.kind}".strip()
    )


def printable(text: str) -> str:
    """Return a text without what could play tricks on a terminal: stations send what they like."""
    return "".join(character if character.isprintable() else "?" for character in text)


def coloured(kind: str, text: str) -> str:
    """Return a text in the colour of its kind, where the output is a terminal that wants colours."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\x1b[{COLOURS.get(kind, '0')}m{text}\x1b[0m"


def masked(id_tag: str) -> str:
    """Return a card number of which only the end can be read."""
    return f"...{id_tag[-VISIBLE:]}" if len(id_tag) > VISIBLE else id_tag


def gist(message: Message) -> str:
    """Return in words what a message says, card numbers masked."""
    payload = message.payload
    if message.kind in {"event", "garbage"} or not isinstance(payload, dict):
        return "" if message.kind == "event" else message.text[:100]
    if message.kind == "error":
        return f"{payload['code']}: {payload['description']}"
    words = GISTS.get(message.action) if message.kind == "call" else None
    try:
        return _plain(payload) if words is None else words(payload)
    except (LookupError, TypeError, ValueError, AttributeError):  # a message that violates its schema
        return _plain(payload)


def _plain(payload: JsonObject) -> str:
    return ", ".join(f"{key} {_value(key, value)}" for key, value in payload.items())[:200]


def _value(key: str, value: Any) -> str:  # noqa: ANN401 - JSON
    if key in {"idTag", "parentIdTag"}:
        return masked(str(value))
    if key == "data":
        return without_cards(value)
    if isinstance(value, dict):
        return f"({_plain(value)})"
    return f"{len(value)} entries" if isinstance(value, list) else str(value)


def _values(payload: JsonObject) -> str:
    readings = [reading for value in payload["meterValue"] for reading in registers(value)]
    register = (
        f"{readings[-1].wh.normalize():f} Wh ({readings[-1].context})"
        if readings
        else f"{len(payload['meterValue'])} values"
    )
    return f"connector {payload['connectorId']}, transaction {payload.get('transactionId', '-')}, {register}"


def _status(payload: JsonObject) -> str:
    error = "" if payload["errorCode"] == "NoError" else f" ({payload['errorCode']})"
    return f"connector {payload['connectorId']} {payload['status']}{error} {payload.get('info', '')}".rstrip()


def _stop(payload: JsonObject) -> str:
    data = f", {len(payload['transactionData'])} values" if payload.get("transactionData") else ""
    what = f"transaction {payload['transactionId']}, {payload['meterStop']} Wh, {payload.get('reason', 'Local')}"
    return f"{what}, {payload['timestamp']}{data}"


def _transfer(payload: JsonObject) -> str:
    return f"{payload.get('messageId', '')} {without_cards(payload.get('data', ''))}"


def without_cards(data: object) -> str:
    """Return the data of a message of the extension, card numbers masked."""
    return CARD_ID.sub(lambda found: f'{found[1]}"{masked(found[2])}"', str(data))


GISTS: Final[Mapping[str, Callable[[JsonObject], str]]] = {
    "BootNotification": lambda p: f"{p['chargePointVendor']} {p['chargePointModel']} {p.get('firmwareVersion', '')}",
    "StatusNotification": _status,
    "Authorize": lambda p: f"card {masked(p['idTag'])}",
    "StartTransaction": lambda p: (
        f"card {masked(p['idTag'])} at connector {p['connectorId']}, {p['meterStart']} Wh, {p['timestamp']}"
    ),
    "StopTransaction": _stop,
    "MeterValues": _values,
    "DataTransfer": _transfer,
}


def sessions(bills: Iterable[Bill]) -> str:
    """Return a table of sessions."""
    rows: list[tuple[str, ...]] = [("transaction", "station", "card", "start", "stop", "kWh", "cost", "refund")]
    rows += [_session(each) for each in bills]
    return table(rows)


def _session(bill: Bill) -> tuple[str, ...]:
    session = bill.session
    stop = "-" if session.stopped_at is None else f"{session.stopped_at:%Y-%m-%d %H:%M:%S}"
    energy = "-" if session.energy_wh is None else f"{session.energy_wh / 1000:.3f}"
    cost = f"{bill.cost.incl_vat} {bill.cost.currency}" if bill.cost is not None else bill.why
    card = masked(bill.card) if bill.card == session.id_tag else bill.card
    refund = "-" if bill.refund is None else str(bill.refund)
    start = f"{session.started_at:%Y-%m-%d %H:%M:%S}"
    return (str(session.transaction_id), session.station, card, start, stop, energy, cost, refund)


def statement(summary: Summary) -> str:
    """Return a month as a table."""
    rows: list[tuple[str, ...]] = [
        ("station", "card", "sessions", "kWh", "excl. VAT", "VAT", "incl. VAT", "refund", "state")
    ]
    rows += [*map(_row, summary.rows), (*_row(summary.total)[:-1], "")]
    unpriced = f"\n{summary.unpriced} sessions without a price" if summary.unpriced else ""
    return f"{summary.month}\n{table(rows)}{unpriced}"


def _row(row: Row) -> tuple[str, ...]:
    amounts = (f"{row.energy_wh / 1000:.3f}", str(row.excl_vat), str(row.vat), str(row.incl_vat), str(row.refund))
    return (row.station, row.card, str(row.sessions), *amounts, row.state)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows in columns as wide as their longest entries."""
    widths = [max(len(entry) for entry in column) for column in zip(*rows, strict=True)]
    padded = ("  ".join(entry.ljust(width) for entry, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {text}".rstrip() for text in padded)


def as_json(payload: object) -> str:
    """Return JSON for people."""
    return json.dumps(payload, indent=2, ensure_ascii=False)
