"""Where a price may change: moments that are known beforehand, and limits of energy and draw that readings cross."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from agent.core.calendar import next_local, next_shift, on_date
from agent.core.metering import CURRENTS, POWER
from agent.core.model import Reading
from agent.core.prices import next_change
from agent.core.prices_cost import energy_limits
from agent.core.tariff import KWH, Basis, Draw, Restrictions, Tariff, Terms

NOMINAL_V: Final = 230
SAME: Final = timedelta(microseconds=500)
"""How long a session lasts is told to the millisecond; what is nearer than half of one has come."""

Band: TypeAlias = tuple[bool | None, ...]
"""Which of a tariff's limits of power and current a draw reaches; None for those that cannot be told."""


def next_boundary(terms: Terms, after: datetime, began: datetime | None = None) -> datetime | None:
    """Return the next moment (UTC) at which a price may change, None where none will with time alone.

    Besides the times that the tariff names this is midnight where it names days, or only a start or an end, and a
    change of daylight saving. began: when the session did, by today's clock; without it durations are left out.
    """
    moments = [*_by_clock(terms, after), *_by_date(terms, after)]
    if began is not None:
        lengths = {s for limits in _limits(terms.tariff) for s in (limits.min_duration, limits.max_duration) if s}
        moments += [end for s in lengths if (end := began + timedelta(seconds=s)) - after > SAME]
    if terms.basis is Basis.HOURLY:
        moments.append(next_change(terms.prices, after))
    return min((moment for moment in moments if moment > after), default=None)


def draw_in(reading: Reading) -> Draw:
    """Return what a car draws by a reading; power and current follow from each other where the meter tells one."""
    values = {value.name: max(value.number, Decimal(0)) for value in reading.values if value.number.is_finite()}
    phases = [values[name] for name in CURRENTS if name in values]
    current = sum(phases, Decimal(0)) if phases else None
    power = values.get(POWER)
    if power is None and current is not None:
        power = current * NOMINAL_V
    if current is None and power is not None:
        current = power / NOMINAL_V
    return Draw(power, current)


def band(tariff: Tariff, draw: Draw) -> Band:
    """Return the band that a draw is in; empty where the tariff asks for neither power nor current."""
    powers = {kw * KWH for limits in _limits(tariff) for kw in (limits.min_power, limits.max_power) if kw is not None}
    amps = {a for limits in _limits(tariff) for a in (limits.min_current, limits.max_current) if a is not None}
    power, current = draw.power_w, draw.current_a
    by_power = (None if power is None else power >= limit for limit in sorted(powers))
    return (*by_power, *(None if current is None else current >= limit for limit in sorted(amps)))


def next_energy(tariff: Tariff, drawn: Decimal) -> Decimal | None:
    """Return the next energy of a session (Wh) at which a price may change, None where none will."""
    return next((limit for limit in energy_limits(tariff) if limit > drawn), None)


def _limits(tariff: Tariff) -> Iterator[Restrictions]:
    return (element.restrictions for element in tariff.elements)


def _by_clock(terms: Terms, after: datetime) -> Iterator[datetime]:
    clocks: set[time] = set()
    for limits in _limits(terms.tariff):
        named = {clock for clock in (limits.start, limits.end) if clock is not None}
        clocks |= {*named, time(0)} if limits.days or len(named) == 1 else named
    yield from (next_local(after, clock, terms.zone) for clock in clocks)
    shift = next_shift(after, terms.zone) if clocks else None
    if shift is not None:
        yield shift


def _by_date(terms: Terms, after: datetime) -> Iterator[datetime]:
    for limits in _limits(terms.tariff):
        for day in (limits.start_date, limits.end_date):
            if day is not None and (moment := on_date(day, terms.zone)) > after:
                yield moment
