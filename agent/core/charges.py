"""What a session has used, counted stretch by stretch, and what it costs in the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from agent.core.facts import Period
from agent.core.instant import Instant
from agent.core.model import Reading, Wh, billed
from agent.core.state import Phase, Session, Stretch
from agent.core.tariff import Consumption, Cost, cost, energy_price, refund


@dataclass(frozen=True, slots=True)
class Bill:
    """A session's periods, cost and refund; the last two None where no tariff is known, or nobody refunds."""

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
    return replace(session, stretches=stretches, stretch=Stretch(reading.at, reading.register))


def bill(session: Session, register: Wh) -> Bill:
    """Return what a session comes to that ends at a register."""
    terms = session.terms
    if terms is None:
        return Bill()
    stretches = (*session.stretches, session.stretch)
    ends = (*(s.register for s in stretches[1:]), register)
    energies = [Wh(billed(stop) - billed(s.register)) for s, stop in zip(stretches, ends, strict=True)]
    used = [
        Consumption(s.start.wall, energy, Decimal(s.charging_ms) / 1000, Decimal(s.parking_ms) / 1000)
        for s, energy in zip(stretches, energies, strict=True)
    ]
    periods = tuple(
        Period(s.start, part.energy, energy_price(terms, s.start.wall)) for s, part in zip(stretches, used, strict=True)
    )
    total = cost(terms, used)
    return Bill(merged(periods), total, refund(terms, total))


def merged(periods: tuple[Period, ...]) -> tuple[Period, ...]:
    """Return the periods with neighbours of one price taken together."""
    result: list[Period] = []
    for period in periods:
        if result and result[-1].price == period.price:
            result[-1] = replace(result[-1], energy=Wh(result[-1].energy + period.energy))
        else:
            result.append(period)
    return tuple(result)
