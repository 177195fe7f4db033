"""A statement as one JSON document (contract, section 3), and the text of it that the station signs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from agent.buffer.ledger import JsonObject, to_json
from agent.core.payment import Payment
from agent.core.tariff import CENT, Cost
from agent.statement.model import CardPart, Line, Pricing, Seal, Statement, Sums

COSTS: Final = ("excl_vat", "vat", "incl_vat", "energy", "time", "fixed", "parking", "reservation", "surcharge")


def document_of(statement: Statement) -> JsonObject:
    """Return the document. Money as texts with two places, energy in Wh."""
    seal = statement.seal
    return {
        "month": str(statement.month),
        "state": statement.state.value,
        "station": statement.site.station,
        "meter": _meter(statement, 1),
        "meters": [_meter(statement, number) for number in range(1, len(statement.site.devices) + 1)],
        "currency": statement.currency,
        "basis": statement.pricings[-1].basis.value,
        "bases": [_pricing(pricing) for pricing in statement.pricings],
        "cards": [_card(card) for card in statement.cards],
        "sessions": [_session(line) for line in statement.lines],
        "totals": _sums(statement.totals),
        "payment": None if statement.payment is None else _payment(statement.payment),
        "chain_head": None if seal is None else seal.head,
        "signature": None if seal is None else seal.signature,
        "key_fingerprint": None if seal is None else seal.fingerprint,
    }


def json_of(statement: Statement) -> bytes:
    """Return the document as a file."""
    return (json.dumps(document_of(statement), indent=2) + "\n").encode()


def signed_text(statement: Statement, seal: Seal) -> bytes:
    """Return what the station's key signs: the document with chain head and key, the signature being null.

    Whoever verifies takes ``report --json``, sets ``signature`` to null, and writes it without white space, the keys
    sorted, in ASCII.
    """
    unsigned = replace(statement, seal=replace(seal, signature=None))
    return json.dumps(document_of(unsigned), sort_keys=True, separators=(",", ":")).encode("ascii")


def _meter(statement: Statement, connector: int) -> JsonObject:
    device, serials = statement.site.device(connector), statement.serials.get(connector, ())
    return {
        "connector": connector,
        "evse_id": None if device is None else device.evse_id,
        "model": None if device is None else device.model,
        "mid": None if device is None else device.mid,
        "serial_number": serials[-1] if serials else None,
        "serial_numbers": list(serials),
    }


def _pricing(pricing: Pricing) -> JsonObject:
    price = None if pricing.price is None else f"{pricing.price:f}"
    return {"basis": pricing.basis.value, "price": price, "currency": pricing.currency}


def _card(card: CardPart) -> JsonObject:
    known = {"card": card.number, "id_tag": card.id_tag, "ema_id": card.ema_id, "name": card.name}
    return {**known, "profile": card.profile, **_sums(card.sums)}


def _session(line: Line) -> JsonObject:
    noted = {name: value for name, value in line.annotation.to_json().items() if value is not None}
    return {**to_json(line.record), **noted}


def _payment(payment: Payment) -> JsonObject:
    return {
        "paid_at": None if payment.paid_at is None else payment.paid_at.isoformat().replace("+00:00", "Z"),
        "amount": None if payment.amount is None else f"{payment.amount:f}",
        "currency": payment.currency,
        "reference": payment.reference,
    }


def _sums(sums: Sums) -> JsonObject:
    return {
        "sessions": sums.sessions,
        "energy_wh": float(sums.energy),
        "cost": None if sums.cost is None else _cost(sums.cost),
        "refund": None if sums.refund is None else _refund(sums),
    }


def _cost(cost: Cost) -> JsonObject:
    return {"currency": cost.currency, **{name: f"{getattr(cost, name).quantize(CENT):f}" for name in COSTS}}


def _refund(sums: Sums) -> JsonObject:
    share = None if sums.percentage is None else f"{sums.percentage.normalize():f}"
    return {"percentage": share, "amount": f"{sums.refund:f}"}
