"""What a session has used, counted stretch by stretch, and what it costs in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from agent.core.booking import Booked
from agent.core.facts import Period
from agent.core.instant import Instant
from agent.core.model import Reading, Wh, billed
from agent.core.prices import PriceBlock
from agent.core.prices_boundaries import band, draw_in
from agent.core.prices_cost import Consumption, Piece, component_of, cost, pieces, priced, refund
from agent.core.prices_reserved import Reserved, reserved
from agent.core.prices_terms import settled
from agent.core.state import Phase, Session, Stretch
from agent.core.tariff import Basis, Cost, Dimension, Draw, Terms


@dataclass(frozen=True, slots=True)
class Bill:
    """A session's periods, cost and refund; the last two None where no price is known, or nobody refunds."""

    periods: tuple[Period, ...] = ()
    cost: Cost | None = None
    refund: Decimal | None = None


def counted(session: Session, at: Instant) -> Session:
    """Return the session with the time since its phase began counted to the present stretch.

    Time counts while the car draws, and apart while it pauses by itself; time suspended by the station or the
    central system counts as neither (contract, section 6). Across a start of the machine no time is counted.
    """
    since = session.phase_since
    spent = round((at.mono - since.mono) * 1000) if at.boot == since.boot else 0
    stretch = session.stretch
    if session.phase is Phase.CHARGING:
        stretch = replace(stretch, charging_ms=stretch.charging_ms + max(spent, 0))
    elif session.phase is Phase.SUSPENDED_EV:
        stretch = replace(stretch, parking_ms=stretch.parking_ms + max(spent, 0))
    return replace(session, stretch=stretch, phase_since=at)


def next_stretch(session: Session, reading: Reading) -> Session:
    """Return the session with a new stretch from a reading on."""
    stretches = (*session.stretches, session.stretch)
    return replace(session, stretches=stretches, stretch=stretch_from(session.terms, reading.at, reading))


def stretch_from(terms: Terms | None, start: Instant, reading: Reading) -> Stretch:
    """Return a stretch that begins with a reading; what the car draws is kept where the tariff asks for it."""
    asked = terms is not None and band(terms.tariff, Draw())
    return Stretch(start, reading.register, draw=draw_in(reading) if asked else None)


def bill(session: Session, register: Wh, known: Sequence[PriceBlock] = (), ended: Instant | None = None) -> Bill:
    """Return what a session comes to that ends at a register.

    known: prices by the hour as they are known now; they count for hours that had none when the session began.
    ended: when it ends; without it with its last reading.
    """
    if session.terms is None:
        return Bill()
    stretches = (*session.stretches, session.stretch)
    ends = (*(s.register for s in stretches[1:]), register)
    used = [_consumption(session, stretch, stop) for stretch, stop in zip(stretches, ends, strict=True)]
    starts = [*(s.start for s in stretches), max(session.last.at, session.stretch.start, key=lambda at: at.wall)]
    terms = settled(session.terms, (ended or starts[-1]).wall)
    return _billed(_knowing(terms, known), used, starts, session.booked)


def late_bill(
    terms: Terms, periods: Sequence[Period], known: Sequence[PriceBlock], booked: Booked | None = None
) -> Bill:
    """Return what a session comes to that had no cost when it ended, since some of its hours had no price yet.

    Prices that were known then are not moved. The cost is still None where hours have none. booked: the reservation
    that the session used.
    """
    start = periods[0].start if periods else None
    used = [
        Consumption(
            p.start.wall,
            p.energy,
            Decimal(p.charging_ms) / 1000,
            Decimal(p.parking_ms) / 1000,
            elapsed_s=None if start is None else _elapsed_s(start, p.start),
        )
        for p in periods
    ]
    starts = [p.start for p in periods]
    return _billed(_knowing(terms, known), used, [*starts, *starts[-1:]], booked) if used else Bill()


def merged(periods: tuple[Period, ...]) -> tuple[Period, ...]:
    """Return the periods with neighbours of one price taken together."""
    result: list[Period] = []
    for period in periods:
        if result and result[-1].price == period.price:
            result[-1] = _joined(result[-1], period)
        else:
            result.append(period)
    return tuple(result)


def _billed(terms: Terms, used: Sequence[Consumption], starts: Sequence[Instant], booked: Booked | None = None) -> Bill:
    """Return a bill; starts: of each consumption, and the end of the last one.

    A reservation that the session used is charged from when it was made until the session began (ADR 26).

    Periods of prices by the hour stay apart, so that a price that is known later still finds its energy.
    """
    periods = tuple(_period(terms, piece, starts) for piece in pieces(terms, used))
    fee = {} if booked is None else reserved(terms, Reserved(booked.since.wall, starts[0].wall))
    total = cost(terms, used, fee) if priced(terms, used) else None
    repaid = None if total is None else refund(terms, total)
    return Bill(periods if terms.basis is Basis.HOURLY else merged(periods), total, repaid)


def _period(terms: Terms, piece: Piece, starts: Sequence[Instant]) -> Period:
    component, used = component_of(terms, Dimension.ENERGY, piece), piece.used
    return Period(
        start=starts[piece.number + piece.behind],
        energy=used.energy,
        price=component.price if component else Decimal(0),
        charging_ms=int(used.charging_s * 1000),
        parking_ms=int(used.parking_s * 1000),
    )


def _consumption(session: Session, stretch: Stretch, stop: Wh) -> Consumption:
    return Consumption(
        start=stretch.start.wall,
        energy=Wh(billed(stop) - billed(stretch.register)),
        charging_s=Decimal(stretch.charging_ms) / 1000,
        parking_s=Decimal(stretch.parking_ms) / 1000,
        draw=stretch.draw or Draw(),
        elapsed_s=_elapsed_s(session.started, stretch.start),
    )


def _elapsed_s(began: Instant, at: Instant) -> Decimal:
    """Return the seconds between two moments to the millisecond, by the clock that nobody sets where it ran through."""
    passed = at.mono - began.mono if at.boot == began.boot else (at.wall - began.wall).total_seconds()
    return max(Decimal(round(passed * 1000)), Decimal(0)) / 1000


def _knowing(terms: Terms, known: Sequence[PriceBlock]) -> Terms:
    """Return terms with more prices; those that a session was frozen with win."""
    return replace(terms, prices=(*known, *terms.prices)) if terms.basis is Basis.HOURLY else terms


def _joined(one: Period, other: Period) -> Period:
    return replace(
        one,
        energy=Wh(one.energy + other.energy),
        charging_ms=one.charging_ms + other.charging_ms,
        parking_ms=one.parking_ms + other.parking_ms,
    )
