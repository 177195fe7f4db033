"""The session of one EVSE: how it begins, moves between its phases, and ends.

A session begins when a grant and a plugged car come together and the meter tells its register; the start is a fact
before any power flows. It ends by its token, by the car, by command or by a broken register: the offer is withdrawn at
once, and the register is read when the car has stopped drawing. The phases in between follow the controller (table
``FOLLOWING``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.core import company as companies
from agent.core import reservation, unlocking
from agent.core.authorization import blocked, current
from agent.core.availability import maybe_plugged, sound
from agent.core.charges import bill, counted, stretch_from
from agent.core.effects import Indicate, PollMeter
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.ids import next_id
from agent.core.instant import Instant, in_step
from agent.core.limits import suspended_by_station
from agent.core.metering import IDLE_S, SILENT, fresh
from agent.core.model import (
    EvseReading,
    IdToken,
    Profile,
    Quality,
    Reading,
    StopReason,
    TokenInfo,
    TokenStatus,
    Wh,
)
from agent.core.policy import Policy
from agent.core.prices_terms import known_prices, terms_at
from agent.core.sampling import offered, replan
from agent.core.state import Claim, Ending, EvseState, Grant, Left, Phase, Session
from agent.core.turn import Turn

#: (charging, offering) as the controller tells -> phase, where the station wants power to flow.
FOLLOWING: Final[Mapping[tuple[bool, bool], Phase]] = {
    (True, True): Phase.CHARGING,
    (True, False): Phase.CHARGING,
    (False, True): Phase.SUSPENDED_EV,
    (False, False): Phase.SUSPENDED_EVSE,
}

EMERGENCY: Final = frozenset({"emergency", "emergency_stop"})
"""Faults that end a session for good, since somebody pressed a button."""


def grant(turn: Turn, evse: EvseState, given: Grant) -> None:
    """Let a token charge as soon as a car is plugged, within ``ConnectionTimeOut``."""
    wait = turn.settings.connection_timeout_s
    turn.put(replace(evse, grant=replace(given, until=turn.at.mono + wait if wait else None)))
    if not maybe_plugged(evse):
        turn.effects.append(Indicate(evse.id, f"card {given.id_token.masked} accepted: plug in the car", accepted=True))


def await_start(turn: Turn, evse: EvseState) -> None:
    """Begin the session of a grant once a car is plugged and nothing is wrong, or take the grant back in the end."""
    given = evse.grant
    if given is None:
        return
    ready = maybe_plugged(evse) and evse.evse.error is None and sound(turn, evse)
    if ready and evse.session is None:
        begin(turn, evse, given)
    elif given.until is not None and turn.at.mono >= given.until:
        turn.put(replace(evse, grant=None))
        why = "the charger was not ready" if maybe_plugged(evse) else "no car was plugged in"
        turn.effects.append(Indicate(evse.id, f"{why} in time: hold the card again", accepted=False))


def begin(turn: Turn, evse: EvseState, given: Grant) -> None:
    """Turn a grant into a session, or refuse: without a meter's register (promise 5), and a card blocked meanwhile."""
    reading, refusal = evse.meter.reading, blocked(turn.state.tokens, given.id_token)
    if refusal is None and (reading is None or not fresh(evse.meter, turn.at, turn.evse_policy(evse))):
        refusal = f"no meter reading: {evse.meter.error or SILENT}"
    if refusal is not None or reading is None:
        turn.put(replace(evse, grant=None))
        text = f"card {given.id_token.masked} refused: {refusal}"
        turn.effects.append(Indicate(evse.id, text, accepted=False))
        return
    session = _opened(turn, evse, given, reading)
    told = offered(turn, evse, reading)
    replan(turn, turn.put(replace(evse, session=session, grant=None, settled_at=None).leave(Left())))
    turn.facts.append(_start_fact(session, told))
    turn.effects.append(Indicate(evse.id, f"session started for card {given.id_token.masked}", accepted=True))


def follow(turn: Turn, evse: EvseState, seen: EvseReading) -> None:
    """Move a running session on by what the controller tells."""
    session = evse.session
    if session is None or evse.recovering is not None or session.phase is Phase.ENDING:
        return
    if not EMERGENCY.isdisjoint(seen.faults):
        end(turn, evse, StopReason.EMERGENCY_STOP)
    elif seen.connected is False:
        _unplugged(turn, evse)
    else:
        shift(turn, evse, _phase(turn, evse, session, seen))


def measured(turn: Turn, evse: EvseState) -> None:
    """Move a running session on by the meter alone, where there is no controller: it ends when the car has stopped."""
    session, view = evse.session, evse.meter
    if session is None or evse.recovering is not None or session.phase is Phase.ENDING:
        return
    shift(turn, evse, Phase.CHARGING if view.drawing_samples else Phase.SUSPENDED_EV)
    since = max(view.idle_since or turn.at.mono, session.started.mono if session.started.boot == turn.at.boot else 0.0)
    if not view.drawing and turn.at.mono - since >= IDLE_S:
        end(turn, turn.state.evse(evse.id), StopReason.OTHER)


def unheard(turn: Turn, evse: EvseState) -> None:
    """Count a controller that was not heard for its watchdog time as not charging (promise 18)."""
    session, since = evse.session, evse.evse.failed_since
    if session is None or since is None or evse.recovering is not None or session.phase is Phase.ENDING:
        return
    if turn.at.mono - since >= turn.evse_policy(evse).watchdog_s:
        shift(turn, evse, Phase.SUSPENDED_EVSE)


def shift(turn: Turn, evse: EvseState, phase: Phase) -> None:
    """Put a running session into a phase, and count the time of the one it leaves."""
    session = evse.session
    if session is not None and session.phase is not phase:
        turn.put(replace(evse, session=replace(counted(session, turn.at), phase=phase)))


def end(turn: Turn, evse: EvseState, reason: StopReason, id_token: IdToken | None = None, *quality: Quality) -> None:
    """Begin to end a running session: no more offer, then the last reading; one that is ending already goes on."""
    session = evse.session
    if session is None or session.phase is Phase.ENDING:
        return
    ending = Ending(reason, in_step(session.started, turn.at), id_token, quality)
    session = replace(counted(session, turn.at), phase=Phase.ENDING, ending=ending)
    turn.put(replace(evse, session=session, settled_at=None, boundary=None, boundary_due=None, next_sample=None))
    who = f" by card {id_token.masked}" if id_token else ""
    turn.effects.append(Indicate(evse.id, f"session ends{who}: {reason}", accepted=True))


def conclude(turn: Turn, evse: EvseState) -> None:
    """Close an ending session once its last reading is there, or is waited for no longer."""
    session = evse.session
    if session is None or session.ending is None or evse.recovering is not None:
        return
    if evse.settled_at is None and _settled(turn, evse, session.ending):
        evse = turn.put(replace(evse, settled_at=turn.at.mono))
        turn.effects.append(PollMeter(evse.id))
    reading = evse.meter.reading
    if evse.settled_at is not None and reading is not None and _after(reading, evse.settled_at, turn.at):
        close(turn, evse, reading)
    elif turn.at.mono >= last_call(turn, session.ending):
        close(turn, evse, reading or session.last, Quality.METER_GAP)


def last_call(turn: Turn, ending: Ending) -> float:
    """Return the monotonic second from which a session is closed without a last reading."""
    return ending.at.mono + turn.policy.settle_s + turn.policy.last_reading_s


def ending_deadlines(evse: EvseState, ending: Ending, policy: Policy) -> tuple[float, ...]:
    """Return the monotonic seconds at which ``conclude`` has to look again."""
    settled = ending.at.mono + policy.settle_s
    last = settled + policy.last_reading_s
    return (last,) if evse.settled_at is not None else (settled, last)


def close(turn: Turn, evse: EvseState, reading: Reading, *quality: Quality) -> None:
    """Close a session on a register; the caller vouches for the register or marks it."""
    session = evse.session
    if session is None:
        return
    ending = session.ending or Ending(StopReason.OTHER, turn.at, None)
    register = max(reading.register, session.last.register)
    known = known_prices(session.terms, turn.policy, turn.state.company)
    billed = bill(session, register, known, ending.at)
    turn.facts.append(
        SessionEnded(
            session=session.id,
            seq=session.seq,
            evse=session.evse,
            at=ending.at,
            register=Wh(register),
            reason=ending.reason,
            id_token=ending.id_token,
            quality=_qualities((*session.quality, *ending.quality, *quality)),
            periods=billed.periods,
            cost=billed.cost,
            refund=billed.refund,
            reading=None if quality else offered(turn, evse, reading),
        )
    )
    in_socket = evse.evse.reading is not None and evse.evse.reading.plug is True
    left = Left(finishing=evse.plugged_since is not None or in_socket)
    evse = replace(evse, session=None, settled_at=None).leave(left)
    turn.put(replace(evse, next_sample=None, boundary=None, boundary_due=None))
    _scheduled_availability(turn, evse)
    unlocking.closed(turn, evse.id, ending.reason, Claim(session.id_token, session.group))


def break_off(turn: Turn, evse: EvseState, last: Reading, mark: Quality) -> None:
    """Close a session on the last good reading because its register broke (promise 4)."""
    end(turn, evse, StopReason.OTHER)
    close(turn, turn.state.evse(evse.id), last, mark)


def answered(turn: Turn, evse: EvseState, transaction: int | str | None, info: TokenInfo | None) -> None:
    """Take the commanding system's answer to a session's start (OCPP 1.6 ed. 2, section 3.5.4, errata 3.17)."""
    session = evse.session
    if session is None:
        return
    group = info.group if info and info.group else session.group
    session = replace(session, transaction=session.transaction if transaction is None else transaction, group=group)
    evse = turn.put(replace(evse, session=session))
    if info is None or current(info, turn.at).status is TokenStatus.ACCEPTED or session.refused:
        return
    if turn.settings.stop_on_invalid:
        end(turn, evse, StopReason.DE_AUTHORIZED)
    else:
        register = evse.meter.reading.register if evse.meter.reading else session.last.register
        turn.put(replace(evse, session=replace(session, refused=True, invalid_from=register)))


def _opened(turn: Turn, evse: EvseState, given: Grant, reading: Reading) -> Session:
    identifier, ids = next_id(turn.state.ids, turn.at)
    turn.state = replace(turn.state, ids=ids)
    terms = terms_at(turn.policy, turn.state.company, turn.at, fleet=given.profile is Profile.FLEET)
    return Session(
        id=identifier,
        evse=evse.id,
        id_token=given.id_token,
        profile=given.profile,
        trigger=given.trigger,
        reporting=companies.reporting(turn.state.company, given.profile),
        company_code=turn.state.company.code,
        terms=terms,
        started=turn.at,
        register=reading.register,
        serial=reading.serial,
        seq=1,
        phase=Phase.STARTING,
        phase_since=turn.at,
        last=reading,
        stretch=stretch_from(terms, turn.at, reading),
        group=given.group,
        quality=(),
        booked=reservation.used(turn, evse.id, given.id_token, given.group),
    )


def _start_fact(session: Session, reading: Reading) -> SessionStarted:
    return SessionStarted(
        session=session.id,
        seq=0,
        evse=session.evse,
        id_token=session.id_token,
        profile=session.profile,
        trigger=session.trigger,
        at=session.started,
        reading=reading,
        reporting=session.reporting,
        company_code=session.company_code,
        terms=session.terms,
        booked=session.booked,
    )


def _unplugged(turn: Turn, evse: EvseState) -> None:
    if turn.settings.stop_on_ev_disconnect:
        end(turn, evse, StopReason.EV_DISCONNECTED)
    else:
        shift(turn, evse, Phase.SUSPENDED_EVSE if suspended_by_station(evse, turn) else Phase.SUSPENDED_EV)


def _phase(turn: Turn, evse: EvseState, session: Session, seen: EvseReading) -> Phase:
    """Return the phase that the controller shows; where it does not tell whether the car draws, the meter does."""
    if suspended_by_station(evse, turn):
        return Phase.SUSPENDED_EVSE
    charging = evse.meter.drawing if seen.charging is None else seen.charging
    following = FOLLOWING[charging, seen.offering is not False]
    just_begun = session.phase is Phase.STARTING and turn.at.mono - session.phase_since.mono < turn.policy.settle_s
    return Phase.STARTING if just_begun and following is not Phase.CHARGING else following


def _settled(turn: Turn, evse: EvseState, ending: Ending) -> bool:
    """Tell whether the car has stopped drawing: the controller says so after the end, or the time for it is over."""
    seen = evse.evse.reading
    told = (
        seen is not None
        and seen.at.boot == ending.at.boot
        and seen.at.mono >= ending.at.mono
        and seen.charging is False
    )
    return told or not turn.evse_policy(evse).controlled or turn.at.mono >= ending.at.mono + turn.policy.settle_s


def _after(reading: Reading, mono: float, at: Instant) -> bool:
    return reading.at.boot == at.boot and reading.at.mono >= mono


def _qualities(marks: tuple[Quality, ...]) -> tuple[Quality, ...]:
    """Return the marks once each; a session without any was measured."""
    return tuple(dict.fromkeys(marks)) or (Quality.MEASURED,)


def _scheduled_availability(turn: Turn, evse: EvseState) -> None:
    now = turn.state.evse(evse.id)
    if now.availability.scheduled is not None:
        turn.put(
            replace(now, availability=replace(now.availability, operative=now.availability.scheduled, scheduled=None))
        )
