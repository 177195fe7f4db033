"""Several connectors, one reader: cards that came before any car, and cars that nobody spoke for, in their order.

A card is for the car that was plugged in first and still waits. A card that comes before any car waits for the next
plug, wherever it is. A car for which nobody shows a card within ConnectionTimeOut has to be plugged in again, so that a
later driver's card cannot start it (OCPP 1.6 ed. 2, section 4.9, transition B6; errata 3.20).
"""

from __future__ import annotations

from dataclasses import replace

from agent.core import reservation
from agent.core.availability import startable
from agent.core.booking import Fit
from agent.core.effects import Indicate
from agent.core.model import STATION, IdToken
from agent.core.state import EvseState, Grant, Left, StationState
from agent.core.turn import Turn


def free(turn: Turn, id_token: IdToken, group: IdToken | None) -> list[EvseState]:
    """Return the EVSEs where a card may start: in plug order, then without a car; last where one is asked about.

    Those that are kept for others are left out. Before any car is plugged the one that is reserved for the card is all.
    """
    asked = {asking.evse for asking in turn.state.asking if asking.pending and not asking.stops}
    found = {e.id: reservation.fit(turn, e, id_token, group) for e in turn.state.evses if startable(turn, e)}
    idle = [e for e in turn.state.evses if found.get(e.id, Fit.CLOSED) is not Fit.CLOSED]
    idle.sort(key=lambda e: (e.id in asked, e.plugged_since is None, found[e.id], e.plugged_since or 0.0))
    own = idle[:1] if idle and idle[0].plugged_since is None and found[idle[0].id] is Fit.OWN else []
    return own or idle


def room(turn: Turn, idle: list[EvseState], id_token: IdToken, group: IdToken | None) -> bool:
    """Tell whether one more card may wait for a plug at any of the EVSEs that ``free`` returned for it."""
    if idle and reservation.fit(turn, idle[0], id_token, group) is Fit.OWN:
        return True
    asked = sum(asking.anywhere and asking.pending for asking in turn.state.asking)
    return len(turn.state.waiting) + asked + reservation.kept_from(turn, id_token, group) < len(idle)


def wait(turn: Turn, given: Grant) -> None:
    """Let a token that may charge wait for the next plug, within ConnectionTimeOut."""
    limit = turn.settings.connection_timeout_s
    given = replace(given, until=turn.at.mono + limit if limit else None)
    turn.state = replace(turn.state, waiting=(*turn.state.waiting, given))
    turn.effects.append(Indicate(None, f"card {given.id_token.masked} accepted: plug in the car", accepted=True))


def take_back(turn: Turn, given: Grant) -> None:
    """Let a token wait no longer."""
    turn.state = replace(turn.state, waiting=tuple(g for g in turn.state.waiting if g is not given))


def overdue(turn: Turn) -> None:
    """Take back what waited too long for a plug."""
    for given in turn.state.waiting:
        if given.until is not None and turn.at.mono >= given.until:
            take_back(turn, given)
            text = "no car was plugged in in time: hold the card again"
            turn.effects.append(Indicate(None, text, accepted=False))


def settle(turn: Turn, evse: EvseState) -> None:
    """Give a plugged EVSE, or the only one that is left, to the card that waits longest; let a car's time run out."""
    first = _first(turn, evse)
    if first is not None:
        others = [e for e in turn.state.evses if e.id != evse.id and _may_take(turn, e, first)]
        if evse.plugged_since is not None or not others:
            take_back(turn, first)
            turn.put(replace(evse, grant=first))
    elif expired(turn, evse):
        turn.put(evse.leave(Left(finishing=True)))
        text = "nobody held a card for this car in time: unplug it, plug it in again, and hold the card"
        turn.effects.append(Indicate(evse.id, text, accepted=False))


def plug_deadline(state: StationState, turn_limit: int, evse: EvseState) -> float | None:
    """Return the monotonic second until which a plugged car may wait for its card; None: for ever, or none waits.

    While something is reserved for its connector, or for connector 0, it may wait until that is over.
    """
    busy = evse.session is not None or evse.grant is not None or evse.finishing
    reserved = any(r.evse in {STATION, evse.id} for r in state.reservations.values())
    if busy or reserved or evse.plugged_since is None or turn_limit == 0:
        return None
    return evse.plugged_since + turn_limit


def _first(turn: Turn, evse: EvseState) -> Grant | None:
    """Return the card that waits longest of those that may start on an EVSE."""
    return next((given for given in turn.state.waiting if _may_take(turn, evse, given)), None)


def _may_take(turn: Turn, evse: EvseState, given: Grant) -> bool:
    return startable(turn, evse) and reservation.lets(turn, evse, given.id_token, given.group)


def expired(turn: Turn, evse: EvseState) -> bool:
    """Tell whether a car has waited for its card for too long, where another connector shares the reader."""
    until = plug_deadline(turn.state, turn.settings.connection_timeout_s, evse)
    if until is None or not turn.policy.shared_reader or not turn.evse_policy(evse).controlled:
        return False
    asked = any(a.pending and a.evse == evse.id for a in turn.state.asking)
    return turn.at.mono >= until and not asked
