"""Sessions and cards for people, made from their JSON documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Final

from agent.cli.layout import (
    NOTHING,
    Document,
    Row,
    decimal,
    entries,
    kwh,
    line,
    local_time,
    mapping,
    plain,
    table,
    texts,
)

EXTRAS: Final = (("transaction", "transaction_id"), ("odometer km", "odometer_km"), ("note", "note"))
COSTS: Final = ("energy", "time", "fixed", "parking", "reservation", "surcharge")


def sessions_table(sessions: Sequence[Document], zone: tzinfo) -> str:
    """Return one line per session, oldest first."""
    if not sessions:
        return "no sessions yet"
    unique = _unique_length([str(s.get("id")) for s in sessions])
    rows = [_session_row(s, zone, unique) for s in sessions]
    head = ("ID", "START", "DURATION", "KWH", "CARD", "COST", "REFUND", "REPORTING", "QUALITY")
    return table(head, rows, right=(2, 3, 5, 6))


def session_text(session: Document, zone: tzinfo) -> str:
    """Return all that is known of one session, with where it was reported and what came of that."""
    cost, refund = mapping(session, "cost"), mapping(session, "refund")
    currency = plain(cost, "currency")
    rows = [
        Row("session", f"{plain(session, 'id')}, {plain(session, 'state')}"),
        Row("connector", plain(session, "connector")),
        Row("card", f"{_card(session)}, {plain(session, 'profile')}"),
        Row("start", local_time(session, "started_at", zone)),
        Row("end", _end(session, zone)),
        Row("duration", f"{_duration(session)}, clock {plain(session, 'clock')}"),
        Row("meter", f"{kwh(session, 'meter_start_wh')} kWh at the start, {kwh(session, 'meter_stop_wh')} at the end"),
        Row("energy", f"{kwh(session, 'energy_wh')} kWh, {_quality(session)}", _quality(session) != "measured"),
        *_costs(cost, currency),
        *([Row("refund", f"{_money(refund, 'amount', currency)}, {plain(refund, 'percentage')} %")] if refund else []),
        *_periods(session, zone),
        *(Row(name, plain(session, key)) for name, key in EXTRAS if session.get(key) is not None),
        Row("reporting", plain(session, "reporting"), session.get("reporting") == "failed"),
        *_deliveries(session),
    ]
    return "\n".join(line(row) for row in rows) + "\n"


def cards_table(cards: Sequence[Document]) -> str:
    """Return one line per card, its number in full: it is what the other ``cards`` commands take."""
    if not cards:
        return "no cards are known here: add one with `wallbox-agent cards add UID`"
    keys = ("id_tag", "card", "ema_id", "name", "profile", "status", "reason")
    rows = [tuple(plain(card, key) or NOTHING for key in keys) for card in cards]
    return table(("UID", "NUMBER", "EMA-ID", "NAME", "PROFILE", "STATUS", "REASON"), rows)


def _session_row(session: Document, zone: tzinfo, unique: int) -> tuple[str, ...]:
    cost, refund = mapping(session, "cost"), mapping(session, "refund")
    currency = plain(cost, "currency")
    return (
        plain(session, "id")[:unique],
        local_time(session, "started_at", zone),
        _duration(session),
        kwh(session, "energy_wh"),
        _card(session),
        _money(cost, "incl_vat", currency),
        _money(refund, "amount", currency),
        plain(session, "reporting"),
        _quality(session),
    )


def _costs(cost: Document, currency: str) -> Iterator[Row]:
    if not cost:
        yield Row("cost", "not known: the session is open, or there is no tariff")
        return
    parts = [f"{name} {plain(cost, name)}" for name in COSTS if decimal(cost, name)]
    whole = f"{_money(cost, 'incl_vat', currency)} incl. {plain(cost, 'vat')} VAT"
    yield Row("cost", f"{whole}{'; excl. VAT: ' if parts else ''}{', '.join(parts)}")


def _periods(session: Document, zone: tzinfo) -> Iterator[Row]:
    for period in entries(session, "periods"):
        price = f" at {plain(period, 'price')} per kWh" if period.get("price") is not None else ""
        yield Row("  from", f"{local_time(period, 'start', zone)}: {kwh(period, 'energy_wh')} kWh{price}")


def _deliveries(session: Document) -> Iterator[Row]:
    for delivery in entries(session, "delivery"):
        error = plain(delivery, "error")
        bad = delivery.get("state") == "refused" or bool(error)
        yield Row(f"  to {plain(delivery, 'to')}", f"{plain(delivery, 'state')}{f': {error}' if error else ''}", bad)


def _end(session: Document, zone: tzinfo) -> str:
    if session.get("stopped_at") is None:
        return "still running"
    return f"{local_time(session, 'stopped_at', zone)}, {plain(session, 'stop_reason')}"


def _card(session: Document) -> str:
    """Return the number printed on the card, else the last four characters of its id."""
    tag = plain(session, "id_tag")
    return plain(session, "card") or "*" * max(len(tag) - 4, 0) + tag[-4:]


def _quality(session: Document) -> str:
    return ", ".join(texts(session, "quality")) or NOTHING


def _duration(session: Document) -> str:
    """Return hours, minutes and seconds; the seconds are counted by a clock that nobody sets."""
    length = decimal(session, "duration_s")
    if length is None:
        return "running" if session.get("stopped_at") is None else NOTHING
    seconds = round(length)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _money(document: Document, key: str, currency: str) -> str:
    return f"{plain(document, key)} {currency}" if document.get(key) is not None else NOTHING


def _unique_length(ids: Sequence[str]) -> int:
    """Return how many characters tell the sessions apart, at least 8."""
    length = 8
    while len({i[:length] for i in ids}) < len(set(ids)):
        length += 1
    return length
