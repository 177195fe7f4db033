"""Which readings of a running session are kept: at price boundaries, at an interval, and as snapshots for a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from agent.core.charges import counted, next_stretch, stretch_from
from agent.core.effects import PollMeter
from agent.core.facts import SessionSampled
from agent.core.instant import Instant, TimeStatus, in_step
from agent.core.model import Quality, Reading, ReadingContext, Value, Wh, billed
from agent.core.prices_boundaries import NOMINAL_V, band, draw_in, next_boundary, next_energy
from agent.core.state import EvseState, Phase, Session
from agent.core.tariff import Shift
from agent.core.turn import Turn

STEADY_S: Final = 10.0
"""A draw of another price counts when it has lasted so long; then from its first reading on."""
READING_S: Final = 1.0
"""Readings are asked for no more often than this."""
LATE_S: Final = 10.0
"""Energy that flowed over a price boundary with so long no reading after it is not split where the price changed."""


def sample(turn: Turn, evse: EvseState, reading: Reading) -> None:
    """Keep a plausible reading of a running session where one is due: a price boundary, an interval, or a snapshot."""
    if evse.session is None or evse.recovering is not None or evse.session.phase is Phase.ENDING:
        return
    evse = split(turn, evse, reading)
    if evse.next_sample is not None and reading.at.mono >= evse.next_sample:
        interval = max(turn.settings.sample_interval_s, 1)
        behind = int((reading.at.mono - evse.next_sample) // interval)
        evse = turn.put(replace(evse, next_sample=evse.next_sample + (behind + 1) * interval))
        evse = record(turn, evse, reading, ReadingContext.PERIODIC)
    if evse.session is not None and reading.at.mono - evse.session.last.at.mono >= turn.policy.snapshot_s:
        evse = turn.put(replace(evse, session=kept(evse.session, reading, turn.at)))
    _near_energy(turn, evse, reading)


def split(turn: Turn, evse: EvseState, reading: Reading) -> EvseState:
    """Begin a new stretch where the price may have changed before a reading: by time, by energy, or by the draw."""
    session = evse.session
    if session is None:
        return evse
    if evse.boundary is not None and reading.at.wall >= evse.boundary:
        late = (reading.at.wall - evse.boundary).total_seconds() > LATE_S and reading.register > session.last.register
        marks = (Quality.METER_GAP,) if late else ()
        session = next_stretch(counted(session, turn.at), reading)
        evse = turn.put(replace(evse, session=replace(session, quality=(*session.quality, *marks)), shifted=None))
        return record(turn, plan_boundary(turn, evse), reading, ReadingContext.OTHER)
    missing = missing_energy(session, session.stretch.register)
    if missing is not None and billed(reading.register) - billed(session.stretch.register) >= missing:
        session = next_stretch(counted(session, turn.at), reading)
        evse = turn.put(replace(evse, session=session, shifted=None))
        return record(turn, evse, reading, ReadingContext.OTHER)
    return _split_by_draw(turn, evse, session, reading)


def missing_energy(session: Session, register: Decimal) -> Decimal | None:
    """Return the energy (Wh) from a register on to the next one at which a price may change, None without any."""
    drawn = billed(Wh(register)) - billed(session.register)
    limit = None if session.terms is None else next_energy(session.terms.tariff, drawn)
    return None if limit is None else limit - drawn


def _split_by_draw(turn: Turn, evse: EvseState, session: Session, reading: Reading) -> EvseState:
    """Begin a new stretch with the reading that first showed another price's draw, once that has lasted."""
    if session.terms is None or session.stretch.draw is None:
        return evse
    tariff, shift = session.terms.tariff, evse.shifted
    seen = band(tariff, draw_in(reading))
    if seen == band(tariff, session.stretch.draw):
        return evse if shift is None else turn.put(replace(evse, shifted=None))
    now = counted(session, turn.at)
    if shift is None or band(tariff, draw_in(shift.reading)) != seen or not _since(shift.reading, now.stretch.start):
        begun = Shift(reading, now.stretch.charging_ms, now.stretch.parking_ms)
        return turn.put(replace(evse, shifted=begun))
    if reading.at.mono - shift.reading.at.mono < STEADY_S:
        return evse
    evse = turn.put(replace(evse, session=_shifted(now, shift), shifted=None))
    first = shift.reading if _since(shift.reading, session.last.at) else reading
    return record(turn, evse, first, ReadingContext.OTHER)


def _shifted(session: Session, shift: Shift) -> Session:
    """Return the session with a new stretch from the reading of a shift on, and the time counted since moved to it."""
    stretch = replace(session.stretch, charging_ms=shift.charging_ms, parking_ms=shift.parking_ms)
    following = replace(
        stretch_from(session.terms, shift.reading.at, shift.reading),
        charging_ms=session.stretch.charging_ms - shift.charging_ms,
        parking_ms=session.stretch.parking_ms - shift.parking_ms,
    )
    return replace(session, stretches=(*session.stretches, stretch), stretch=following)


def _since(reading: Reading, at: Instant) -> bool:
    """Tell whether a reading was taken in this run, and not before a moment."""
    return reading.at.boot == at.boot and reading.at.mono >= at.mono


def record(turn: Turn, evse: EvseState, reading: Reading, context: ReadingContext) -> EvseState:
    """Make a reading a fact of the running session."""
    session = evse.session
    if session is None:
        return evse
    told = offered(turn, evse, replace(reading, at=in_step(session.started, reading.at)))
    turn.facts.append(SessionSampled(session.id, session.seq, session.evse, context, told))
    return turn.put(replace(evse, session=replace(kept(session, reading, turn.at), seq=session.seq + 1)))


def offered(turn: Turn, evse: EvseState, reading: Reading) -> Reading:
    """Return a reading with the current (A) and power (W) that are offered to the car, where this station decides."""
    limit, policy = evse.evse.limit_sent, turn.evse_policy(evse)
    if limit is None or not policy.controlled:
        return reading
    current = Decimal(limit) / 1000
    values = (Value("current_offered", current), Value("power_offered", current * NOMINAL_V * policy.phases))
    return replace(reading, values=(*reading.values, *values))


def kept(session: Session, reading: Reading, at: Instant) -> Session:
    """Return the session with its last reading made durable, and the time up to it, so that a crash costs neither."""
    return replace(counted(session, at), last=reading)


def replan(turn: Turn, evse: EvseState) -> EvseState:
    """Plan the next sample and price boundary anew: at a start, after a restart, or for another interval."""
    if evse.session is None:
        return evse
    interval = turn.settings.sample_interval_s
    evse = turn.put(replace(evse, next_sample=turn.at.mono + interval if interval else None))
    return plan_boundary(turn, evse)


def plan_boundary(turn: Turn, evse: EvseState) -> EvseState:
    """Plan the next price boundary of the running session; one that was passed unseen is due at once."""
    session = evse.session
    if session is None or session.terms is None:
        return turn.put(replace(evse, boundary=None, boundary_due=None))
    start = began(session.started, turn.at)
    ahead = [next_boundary(session.terms, moment, start) for moment in (session.stretch.start.wall, turn.at.wall)]
    boundary = min((moment for moment in ahead if moment is not None), default=None)
    if boundary is None:
        return turn.put(replace(evse, boundary=None, boundary_due=None))
    due = turn.at.mono + max((boundary - turn.at.wall).total_seconds(), 0.0)
    return turn.put(replace(evse, boundary=boundary, boundary_due=due))


def began(started: Instant, at: Instant) -> datetime:
    """Return when a session began by today's clock, so that no step of it changes how long the session lasts."""
    if started.boot != at.boot:
        return started.wall
    return at.wall - timedelta(seconds=at.mono - started.mono)


def ask_at_boundary(turn: Turn, evse: EvseState) -> None:
    """Have the meter read when a price boundary is reached, however long its poll interval."""
    if boundary_pending(evse) and evse.boundary_due is not None and turn.at.mono >= evse.boundary_due:
        ahead = None if evse.boundary is None else (evse.boundary - turn.at.wall).total_seconds()
        turn.put(replace(evse, boundary_due=turn.at.mono + ahead if ahead and ahead > 0 else None))
        turn.effects.append(PollMeter(evse.id))


def _near_energy(turn: Turn, evse: EvseState, reading: Reading) -> None:
    """Have the meter read when a limit of energy is likely to be reached before its next poll."""
    session, poll_s = evse.session, turn.evse_policy(evse).poll_s
    power = draw_in(reading).power_w
    missing = None if session is None or not power or poll_s <= READING_S else missing_energy(session, reading.register)
    if missing is None or power is None:
        return
    due = reading.at.mono + max(float(missing * 3600 / power), READING_S)
    if due < reading.at.mono + poll_s and (evse.boundary_due is None or due < evse.boundary_due):
        turn.put(replace(evse, boundary_due=due))


def boundary_pending(evse: EvseState) -> bool:
    """Tell whether a price boundary of a running session is ahead, for which the meter will be read."""
    running = evse.session is not None and evse.session.phase is not Phase.ENDING and evse.recovering is None
    return running and evse.boundary_due is not None


def clock_stepped(turn: Turn, evse: EvseState) -> None:
    """Follow a step of the wall clock: boundaries are planned anew, and stamps made without the time corrected."""
    session = evse.session
    if session is None:
        return
    stretches = tuple(replace(s, start=corrected(s.start, turn.at)) for s in (*session.stretches, session.stretch))
    if stretches != (*session.stretches, session.stretch):
        evse = turn.put(replace(evse, session=replace(session, stretches=stretches[:-1], stretch=stretches[-1])))
    plan_boundary(turn, evse)


def corrected(stamp: Instant, at: Instant) -> Instant:
    """Return a stamp that was made before the time was known as it is seen from now; others are left alone."""
    if stamp.boot != at.boot or stamp.status is TimeStatus.SYNCHRONISED or at.status is not TimeStatus.SYNCHRONISED:
        return stamp
    return replace(stamp, wall=at.wall - timedelta(seconds=at.mono - stamp.mono), status=at.status)
