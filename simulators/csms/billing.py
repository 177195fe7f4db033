"""What sessions cost the employer, and the summary of a month."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from simulators.csms.book import readings_of
from simulators.csms.rates import Cost, Unpriceable, cost, refund
from simulators.csms.state import Session, State
from simulators.errors import Misuse


@dataclass(frozen=True, slots=True)
class Bill:
    """A session with its price. cost and refund: None where it still runs or cannot be priced, then ``why`` says so."""

    session: Session
    card: str
    cost: Cost | None
    refund: Decimal | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Sessions of a card at a station, with sums. state: in progress, pending (to be paid) or completed."""

    station: str
    card: str
    sessions: int
    energy_wh: Decimal
    excl_vat: Decimal
    vat: Decimal
    incl_vat: Decimal
    refund: Decimal
    state: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A month: a row per station and card, and their sum. unpriced: sessions that are in no amount."""

    month: str
    rows: tuple[Row, ...]
    total: Row
    unpriced: int


def bill(state: State, session: Session, zone: ZoneInfo) -> Bill:
    """Price a session by the terms it began with."""
    token = state.tokens.get(session.id_tag.upper())
    card = token.number if token is not None and token.number else session.id_tag
    if session.stopped_at is None:
        return Bill(session, card, None, None, "running")
    if session.tariff is None:
        return Bill(session, card, None, None, "no tariff")
    try:
        price = cost(session.tariff, readings_of(session), zone)
    except Unpriceable as reason:
        return Bill(session, card, None, None, str(reason))
    return Bill(session, card, price, refund(price, session.refund_percentage))


def summary(state: State, month: str, zone: ZoneInfo, now: datetime) -> Summary:
    """Return the month of sessions that ended in it, local time. month: ``2026-11``. Raises Misuse."""
    _check(month)
    ended = [session for session in state.sessions if session.stopped_at is not None]
    mine = [session for session in ended if _month(session.stopped_at, zone) == month]
    bills = [bill(state, session, zone) for session in mine]
    keys = sorted({(each.session.station, each.card) for each in bills})
    running = month >= _month(now, zone)
    rows = []
    for station, card in keys:
        chosen = [each for each in bills if (each.session.station, each.card) == (station, card)]
        paid = all(each.session.automatic_payment for each in chosen) or f"{month} {station}" in state.paid
        rows.append(_row(station, card, chosen, "in progress" if running else "completed" if paid else "pending"))
    return Summary(month, tuple(rows), _row("", "total", bills, ""), sum(each.cost is None for each in bills))


def _row(station: str, card: str, bills: list[Bill], state: str) -> Row:
    costs = [each.cost for each in bills if each.cost is not None]
    return Row(
        station=station,
        card=card,
        sessions=len(bills),
        energy_wh=_sum(each.session.energy_wh for each in bills),
        excl_vat=_sum(each.excl_vat for each in costs),
        vat=_sum(each.vat for each in costs),
        incl_vat=_sum(each.incl_vat for each in costs),
        refund=_sum(each.refund for each in bills),
        state=state,
    )


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), Decimal("0.00"))


def _month(at: datetime | None, zone: ZoneInfo) -> str:
    return "" if at is None else f"{at.astimezone(zone):%Y-%m}"


def _check(month: str) -> None:
    try:
        datetime.strptime(month, "%Y-%m")  # noqa: DTZ007 - a month has no time zone
    except ValueError:
        raise Misuse(f"{month!r} is no month, write it as 2026-11") from None
