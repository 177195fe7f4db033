"""Which readings of a running session are kept: at price boundaries, at an interval, and as snapshots for a restart."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Final

from agent.core.charges import counted, next_stretch
from agent.core.effects import PollMeter
from agent.core.facts import SessionSampled
from agent.core.instant import Instant, TimeStatus, in_step
from agent.core.model import Quality, Reading, ReadingContext, Value
from agent.core.state import EvseState, Phase, Session
from agent.core.tariff import next_boundary
from agent.core.turn import Turn

NOMINAL_V: Final = 230
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
        turn.put(replace(evse, session=kept(evse.session, reading, turn.at)))


def split(turn: Turn, evse: EvseState, reading: Reading) -> EvseState:
    """Begin a new stretch where the price may have changed before a reading."""
    session = evse.session
    if session is None or evse.boundary is None or reading.at.wall < evse.boundary:
        return evse
    late = (reading.at.wall - evse.boundary).total_seconds() > LATE_S and reading.register > session.last.register
    marks = (Quality.METER_GAP,) if late else ()
    session = next_stretch(counted(session, turn.at), reading)
    evse = turn.put(replace(evse, session=replace(session, quality=(*session.quality, *marks))))
    return record(turn, plan_boundary(turn, evse), reading, ReadingContext.OTHER)


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
    ahead = [next_boundary(session.terms, moment) for moment in (session.stretch.start.wall, turn.at.wall)]
    boundary = min((moment for moment in ahead if moment is not None), default=None)
    if boundary is None:
        return turn.put(replace(evse, boundary=None, boundary_due=None))
    due = turn.at.mono + max((boundary - turn.at.wall).total_seconds(), 0.0)
    return turn.put(replace(evse, boundary=boundary, boundary_due=due))


def ask_at_boundary(turn: Turn, evse: EvseState) -> None:
    """Have the meter read when a price boundary is reached, however long its poll interval."""
    if boundary_pending(evse) and evse.boundary_due is not None and turn.at.mono >= evse.boundary_due:
        turn.put(replace(evse, boundary_due=None))
        turn.effects.append(PollMeter(evse.id))


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
