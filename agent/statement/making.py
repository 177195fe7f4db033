"""Makes a statement of what the ledger has of a month; pure, equal arguments give an equal statement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from agent.buffer.annotation import Annotation
from agent.buffer.deliveries import DeliveryState, Reported
from agent.buffer.ledger import SessionRecord
from agent.core.model import Wh
from agent.core.tariff import CENT, Basis, Cost
from agent.statement.model import CardPart, Found, Line, Origin, Pricing, Site, State, Statement, Sums
from agent.statement.month import Month

UNDER_WAY: Final = frozenset({DeliveryState.RECORDED, DeliveryState.QUEUED, DeliveryState.SENT})
NOTHING: Final = Decimal("0.00")


def statement_of(month: Month, found: Found, site: Site, now: datetime) -> Statement:
    """Return the statement of a month.

    now: tells whether the month is over, and nothing else; it is not in the statement.
    """
    lines = tuple(_line(record, found) for record in found.records)
    pricings = _pricings(lines, site)
    currency = _currency([line.record for line in lines], site)
    return Statement(
        month=month,
        state=_state(month, lines, site, now),
        site=site,
        pricings=pricings,
        others=found.bases - {pricing.basis for pricing in pricings},
        currency=currency,
        lines=lines,
        cards=_cards(lines, found, currency),
        totals=sums([line.record for line in lines], currency),
        serials=_serials(lines),
        payment=found.payment,
    )


def sums(records: Iterable[SessionRecord], currency: str | None) -> Sums:
    """Return the sums of the closed sessions; without any, amounts are 0.00 where the currency is known."""
    closed = [record for record in records if record.stopped_at is not None]
    costs = [record.cost for record in closed if record.cost is not None]
    refunds = [record.refund for record in closed if record.refund is not None]
    one = currency is not None and all(cost.currency == currency for cost in costs)
    percentages = {refund.percentage for refund in refunds}
    return Sums(
        sessions=len(closed),
        energy=Wh(sum((record.energy or Decimal(0) for record in closed), Decimal(0))),
        cost=_added(costs, currency) if currency is not None and one and (costs or not closed) else None,
        refund=sum((r.amount for r in refunds), NOTHING).quantize(CENT) if one and (refunds or not closed) else None,
        percentage=percentages.pop() if len(percentages) == 1 else None,
        unpriced=len(closed) - len(costs),
    )


def _added(costs: Sequence[Cost], currency: str) -> Cost:
    def total(of: Callable[[Cost], Decimal]) -> Decimal:
        return sum((of(cost) for cost in costs), NOTHING).quantize(CENT)

    return Cost(
        currency,
        energy=total(lambda cost: cost.energy),
        time=total(lambda cost: cost.time),
        fixed=total(lambda cost: cost.fixed),
        parking=total(lambda cost: cost.parking),
        reservation=total(lambda cost: cost.reservation),
        surcharge=total(lambda cost: cost.surcharge),
        excl_vat=total(lambda cost: cost.excl_vat),
        vat=total(lambda cost: cost.vat),
    )


def _line(record: SessionRecord, found: Found) -> Line:
    return Line(record, found.origins.get(record.id, Origin()), found.annotations.get(record.id, Annotation()))


def _pricings(lines: Iterable[Line], site: Site) -> tuple[Pricing, ...]:
    """Return what sessions were priced by, once each, the newest last; without any what the station is set to."""
    found: dict[Pricing, None] = {}
    for line in lines:
        if (pricing := line.origin.pricing) is not None:
            found.pop(pricing, None)
            found[pricing] = None
    return tuple(found) or (Pricing(site.basis),)


def _currency(records: Iterable[SessionRecord], site: Site) -> str | None:
    """Return the one currency of all costs; without any cost that of the station's own tariff."""
    currencies = {record.cost.currency for record in records if record.cost is not None}
    if not currencies:
        return site.currency
    return currencies.pop() if len(currencies) == 1 else None


def _state(month: Month, lines: Sequence[Line], site: Site, now: datetime) -> State:
    if now < month.end(site.zone) or any(line.record.stopped_at is None for line in lines):
        return State.IN_PROGRESS
    return State.PENDING if any(_unsettled(line) for line in lines) else State.COMPLETED


def _unsettled(line: Line) -> bool:
    """Tell whether a session still has to reach a central system, or waits for a price by the hour.

    What was given up, or never leaves, does not.
    """
    record, pricing = line.record, line.origin.pricing
    waits = record.cost is None and pricing is not None and pricing.basis is Basis.HOURLY
    return waits or record.reporting is Reported.PENDING or any(way.state in UNDER_WAY for way in record.delivery)


def _cards(lines: Iterable[Line], found: Found, currency: str | None) -> tuple[CardPart, ...]:
    """Return a part for each card and profile, by what the cards are called."""
    groups: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        groups[line.record.id_token.key, line.record.profile.value].append(line)
    parts = [
        _card(key, profile, group, names=found.names, currency=currency) for (key, profile), group in groups.items()
    ]
    return tuple(sorted(parts, key=lambda part: (part.label, part.id_tag, part.profile)))


def _card(
    key: str,
    profile: str,
    lines: Sequence[Line],
    *,
    names: Mapping[str, tuple[str | None, str | None]],
    currency: str | None,
) -> CardPart:
    newest = lines[-1].record
    ema_id, name = names.get(key, (None, None))
    total = sums([line.record for line in lines], currency)
    return CardPart(newest.card, ema_id, name, newest.id_token.value, profile, lines=tuple(lines), sums=total)


def _serials(lines: Iterable[Line]) -> Mapping[int, tuple[str, ...]]:
    """Return the serial numbers of the meters that measured, in order of time, by connector."""
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for line in lines:
        if line.origin.serial:
            found[line.record.connector][line.origin.serial] = None
    return {connector: tuple(serials) for connector, serials in sorted(found.items())}
