"""Prices by the hour that became known after a session had ended: its cost, as a record of its own (ADR 20).

The fact of the end stays as it was, without a cost; the newest correction for prices has what the session costs.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from agent.buffer.records import COSTS, Draft, JsonObject, priced_late
from agent.buffer.timeline import Timeline
from agent.core.charges import late_bill
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.model import Wh
from agent.core.prices import PriceBlock
from agent.core.prices_terms import in_currency
from agent.core.tariff import Basis, Cost

#: Those that were stamped while the time was not known are looked at too.
UNPRICED: Final = """
SELECT a.session, a.schema, a.json, z.schema, z.json
FROM fact AS z JOIN session AS s ON s.end_fact = z.seq JOIN fact AS a ON a.seq = s.start_fact
WHERE z.seq IN (
        SELECT seq FROM fact WHERE kind = 'session-ended' AND wall >= ?
        UNION ALL SELECT seq FROM fact WHERE kind = 'session-ended' AND wall < '2024'
    )
    AND json_extract(z.json, '$.cost') IS NULL
    AND json_extract(a.json, '$.terms.basis') = 'hourly'
    AND NOT EXISTS (
        SELECT 1 FROM record AS r
        WHERE r.session = s.id AND r.kind = 'correction' AND json_extract(r.json, '$.reason') = 'prices'
    )
ORDER BY z.seq
"""
CORRECTED: Final = (
    "SELECT json FROM record WHERE session = ? AND kind = 'correction' AND json_extract(json, '$.reason') = 'prices'"
    " ORDER BY number DESC LIMIT 1"
)
REACH: Final = timedelta(days=400)
"""Sessions that ended longer ago are not priced any more: their year is closed."""


def draft(
    start: SessionStarted, end: SessionEnded, known: Timeline, prices: Sequence[PriceBlock], *, corrects: int
) -> Draft | None:
    """Return the record of what a session costs by the prices known now, None where hours still have none.

    corrects: number of the session's own record.
    """
    if start.terms is None:
        return None
    periods = [replace(period, start=known.corrected(period.start)) for period in end.periods]
    bill = late_bill(start.terms, periods, in_currency(prices, start.terms.tariff.currency), start.booked)
    if bill.cost is None:
        return None
    starts = [period.start for period in periods]
    late = replace(end, periods=bill.periods, cost=bill.cost, refund=bill.refund)
    return priced_late(start, (end, late), known, corrects=corrects, of=[starts.index(p.start) for p in bill.periods])


def priced(connection: sqlite3.Connection, start: SessionStarted, end: SessionEnded) -> SessionEnded:
    """Return the end of a session with what it costs by prices that were known later, if they are.

    A record that is not as the station makes them changes nothing: ``sessions verify`` tells of it.
    """
    if end.cost is not None or start.terms is None or start.terms.basis is not Basis.HOURLY:
        return end
    row = connection.execute(CORRECTED, (start.session,)).fetchone()
    if row is None:
        return end
    try:
        return _with(end, json.loads(row[0]))
    except (ValueError, ArithmeticError, LookupError, TypeError):
        return end


def _with(end: SessionEnded, body: JsonObject) -> SessionEnded:
    """Return an end with what a record says. Raises: ValueError, ArithmeticError, LookupError, TypeError."""
    told = dict(body["cost"])
    cost = Cost(told.pop("currency"), **{name: Decimal(told[name]) for name in COSTS if name != "incl_vat"})
    periods = tuple(
        replace(end.periods[place], energy=Wh(Decimal(one["energy_wh"])), price=Decimal(one["price"]))
        for place, one in zip(body["of"], body["prices"], strict=True)
    )
    refund = None if body["refund"] is None else Decimal(body["refund"]["amount"])
    return replace(end, periods=periods, cost=cost, refund=refund)
