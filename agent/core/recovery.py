"""Sessions that a start of the process finds open: resumed, or closed on the register as it stands now.

The register cannot lie: whatever flowed while nobody looked is in it. What is not known is when; the stop time is the
last moment that is known, or that of the reading which shows that energy flowed after it. A session whose card was
presented meanwhile, or that was ending already, ends as it was meant to.
"""

from __future__ import annotations

from dataclasses import replace

from agent.core import maintenance, reservation, session
from agent.core.charges import counted
from agent.core.instant import Instant, in_step
from agent.core.metering import MARKS, Judgement, distrusted, implausible, replaced, since_last_life
from agent.core.model import Quality, Reading, ReadingContext, StopReason
from agent.core.policy import Policy
from agent.core.sampling import record, replan, split
from agent.core.state import Ending, EvseState, MeterView, Phase, Session, StationState
from agent.core.turn import Step, Turn


def recover(state: StationState, at: Instant, policy: Policy, cause: StopReason) -> Step:
    """Return the first step of a process.

    cause: why the last run ended (REBOOT: the process alone; POWER_LOSS: the machine lost its supply).
    Open sessions wait for their devices, at most ``meter_grace_s``; nothing is commanded until then. Nothing durable
    changes, so that a full disk cannot undo it.
    """
    turn = Turn(replace(state, cause=cause), at, policy)
    for evse in state.evses:
        if evse.session is not None:
            until = at.mono + turn.evse_policy(evse).meter_grace_s
            turn.put(
                replace(evse, recovering=until, meter=MeterView(failed_since=at.mono, error="waiting for the meter"))
            )
    reservation.overdue(turn)
    maintenance.recover(turn)
    return turn.step()


def look(turn: Turn, evse: EvseState) -> None:
    """Decide about a session found open once meter and controller have been heard, or are waited for no longer."""
    running, until, reading = evse.session, evse.recovering, evse.meter.reading
    if running is None or until is None:
        return
    over = turn.at.mono >= until
    broken = None if reading is None else _broken(turn, evse, running, reading)
    if reading is None:
        if over:
            evse = replace(evse, meter=replace(evse.meter, reading=running.last))
            _close(turn, evse, running, running.last, Quality.METER_GAP)
    elif broken is not None:
        evse = replace(evse, meter=distrusted(evse.meter, broken, turn.at.mono))
        _close(turn, evse, running, running.last, MARKS[broken])
    elif _resumable(turn, evse, running):
        _resume(turn, evse, running, reading)
    elif running.phase is not Phase.ENDING and _still_draws(evse) and not over:
        _begin_to_end(turn, evse, running, reading)
    elif over or _told_to_end(turn, evse, running):
        _close(turn, evse, running, reading)


def _resumable(turn: Turn, evse: EvseState, running: Session) -> bool:
    """Tell whether a session may go on: its car is still there or need not be, and it was not away for too long."""
    seen, controlled = evse.evse.reading, turn.evse_policy(evse).controlled
    if running.phase is Phase.ENDING or (seen is None and controlled):
        return False
    if seen is not None and seen.connected is False and turn.settings.stop_on_ev_disconnect:
        return False
    return _away_s(running, turn.at) <= turn.policy.resume_window_s


def _still_draws(evse: EvseState) -> bool:
    seen = evse.evse.reading
    return seen is not None and bool(seen.charging)


def _begin_to_end(turn: Turn, evse: EvseState, running: Session, reading: Reading) -> None:
    """Withdraw the offer of a session that cannot go on; it is closed when nothing flows any more, as any other."""
    running = _through_gap(running, reading, reading.at)
    ending = Ending(turn.state.cause, in_step(running.started, reading.at), None, (Quality.RECONSTRUCTED,))
    turn.put(replace(evse, session=replace(running, phase=Phase.ENDING, ending=ending), recovering=None))


def _told_to_end(turn: Turn, evse: EvseState, running: Session) -> bool:
    """Tell whether a session that does not go on can be closed now: one that was ending only when nothing flows."""
    seen = evse.evse.reading
    if seen is None:
        return not turn.evse_policy(evse).controlled
    return running.phase is not Phase.ENDING or not seen.charging


def _resume(turn: Turn, evse: EvseState, running: Session, reading: Reading) -> None:
    running = replace(_through_gap(running, reading, turn.at), phase_since=turn.at)
    evse = replan(turn, turn.put(replace(evse, session=running, recovering=None)))
    record(turn, split(turn, evse, reading), reading, ReadingContext.INTERRUPTION_END)


def _close(turn: Turn, evse: EvseState, running: Session, reading: Reading, *marks: Quality) -> None:
    running = _through_gap(running, reading, reading.at)
    ending = running.ending or Ending(turn.state.cause, _stopped_at(running, reading), None)
    closing = replace(running, phase=Phase.ENDING, ending=ending)
    evse = turn.put(replace(evse, session=closing, recovering=None))
    session.close(turn, evse, reading, Quality.RECONSTRUCTED, *marks)


def _through_gap(running: Session, reading: Reading, at: Instant) -> Session:
    """Return the session with the time nobody looked counted, where it charged before and energy flowed meanwhile."""
    moved = reading.register > running.last.register and running.phase is Phase.CHARGING
    return counted(running, at) if moved else running


def _stopped_at(running: Session, reading: Reading) -> Instant:
    """Return when the session ended: the last moment known, unless energy flowed after it; never before its start."""
    started, last = running.started, running.last.at
    if reading.register > running.last.register:
        return in_step(started, reading.at)
    return started if last.boot == started.boot and last.mono < started.mono else in_step(started, last)


def _broken(turn: Turn, evse: EvseState, running: Session, reading: Reading) -> Judgement | None:
    """Return what is wrong with the register found, None where it may be believed."""
    if replaced(running.last, reading):
        return Judgement.REPLACED
    return implausible(since_last_life(running.last, reading), reading, turn.evse_policy(evse))


def _away_s(running: Session, at: Instant) -> float:
    """Return for how long nobody looked, as far as is known; a machine without the time was not away for long."""
    last = running.last.at
    return max(at.mono - last.mono if last.boot == at.boot else (at.wall - last.wall).total_seconds(), 0.0)
