"""How much current an EVSE is to offer now, and the commands that make its controller follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.core.effects import Deenergise, Energise, Reduce
from agent.core.metering import broken
from agent.core.model import ErrorCode, EvseReading, MilliAmp
from agent.core.state import EvseState, EvseView, Phase, Session
from agent.core.turn import Turn

READBACK_S: Final = 3.0
"""A controller that shows another limit so long after a command is told again."""
IGNORED_LIMIT: Final = 3
"""So many commands without effect make a fault."""
OFF: Final = MilliAmp(0)

#: What a controller tells and copes with by itself -> OCPP error code; charging goes on.
WARNINGS: Final[Mapping[str, ErrorCode]] = {
    "derating": ErrorCode.HIGH_TEMPERATURE,
    "bus_idle": ErrorCode.OTHER_ERROR,
    "watchdog_expired": ErrorCode.OTHER_ERROR,
}


def serious(seen: EvseReading) -> tuple[str, ...]:
    """Return the faults that forbid charging."""
    return tuple(name for name in seen.faults if name not in WARNINGS)


def wanted(evse: EvseState, turn: Turn) -> MilliAmp | None:
    """Return the current to offer, 0 for none; None while a session found at start waits for its devices."""
    session = evse.session
    if session is None or session.phase is Phase.ENDING:
        return OFF
    if evse.recovering is not None:
        return None
    most, allowed = turn.evse_policy(evse).max_current, evse.allowed.limit
    return OFF if suspended_by_station(evse, turn) else most if allowed is None else min(allowed, most)


def suspended_by_station(evse: EvseState, turn: Turn) -> bool:
    """Tell whether this side, not the car, keeps a running session from charging.

    So it is without a meter, with a fault that the controller reports, when a refused token has used what it may, and
    when charging profiles leave less than a car needs.
    """
    session = evse.session
    if session is None or not turn.evse_policy(evse).controlled:
        return False
    gone = broken(evse.meter, turn.at.mono, turn.evse_policy(evse).meter_grace_s)
    faulty = evse.evse.reading is not None and bool(serious(evse.evse.reading))
    return evse.allowed.limit == OFF or gone or faulty or _spent(evse, session, turn.settings.max_energy_on_invalid_wh)


def drive(turn: Turn, evse: EvseState) -> None:
    """Command the controller where it does not offer what it should; what it did not take is told again."""
    limit, view = wanted(evse, turn), evse.evse
    if limit is None or not turn.evse_policy(evse).controlled:
        return
    if _due(evse, limit, turn.at.mono):
        heard = view.error is None
        ignored = view.ignored + 1 if view.limit_sent == limit else 0
        told = replace(view, limit_sent=limit if heard else None, sent_at=turn.at.mono, ignored=ignored)
        turn.put(replace(evse, evse=told))
        _command(turn, evse, limit, before=view.limit_sent)
    elif view.ignored and _follows(view.reading, limit, view.sent_at):
        turn.put(replace(evse, evse=replace(view, ignored=0)))


def ignores_commands(evse: EvseState) -> bool:
    """Tell whether the controller has offered more than it was told too often."""
    seen, sent = evse.evse.reading, evse.evse.limit_sent
    more = seen is not None and seen.limit is not None and sent is not None and seen.limit > sent
    return more and evse.evse.ignored >= IGNORED_LIMIT


def _due(evse: EvseState, limit: MilliAmp, now: float) -> bool:
    """Tell whether a command is to be sent now.

    A controller that does not answer is told when it does again; but to end a session is tried at once, and again.
    """
    view = evse.evse
    if view.limit_sent is not None:
        return view.limit_sent != limit or _lags(view, limit, now)
    if view.reading is None:
        return False
    return view.error is None or (limit == OFF and evse.session is not None and now - view.sent_at >= READBACK_S)


def _command(turn: Turn, evse: EvseState, limit: MilliAmp, *, before: MilliAmp | None) -> None:
    """Less is a matter of safety and never waits; more comes after the commit."""
    if limit == OFF:
        turn.safety.append(Deenergise(evse.id))
    elif before is not None and limit < before:
        turn.safety.append(Reduce(evse.id, limit))
    else:
        turn.effects.append(Energise(evse.id, limit))


def _lags(view: EvseView, limit: MilliAmp, now: float) -> bool:
    """Tell whether the controller shows another limit than it was told; one that stays below is let be in the end."""
    seen = view.reading
    if now - view.sent_at < READBACK_S or seen is None or seen.limit is None:
        return False
    if seen.at.mono - view.sent_at < READBACK_S / 2 or _obeys(seen.limit, limit):
        return False
    return seen.limit > limit or view.ignored < IGNORED_LIMIT


def _obeys(shown: MilliAmp, limit: MilliAmp) -> bool:
    """Tell whether a controller shows what it was told; it may round down to whole amperes."""
    return limit - 1000 < shown <= limit


def _follows(seen: EvseReading | None, limit: MilliAmp, sent_at: float) -> bool:
    return seen is not None and seen.limit is not None and _obeys(seen.limit, limit) and seen.at.mono >= sent_at


def _spent(evse: EvseState, session: Session, allowance_wh: int) -> bool:
    """Tell whether a refused token has used what MaxEnergyOnInvalidId lets it."""
    if not session.refused or session.invalid_from is None:
        return False
    reading = evse.meter.reading or session.last
    return reading.register - session.invalid_from >= allowance_wh
