"""Reservations: what is kept for whom, who may charge in spite of them, how they are made, used, and end.

One for connector 0 keeps the last free connector: it shows on none while another one is free as well. A reservation
ends when a session of its token or group begins, at its time, when it is cancelled, and when its connector goes out of
service or becomes faulty. A connector without controller cannot be kept from anybody, so that it is never reserved.
Source: OCPP 1.6 ed. 2, sections 4.8, 5.13 and 5.2; contract, promises 8, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, assert_never

from agent.core.authorization import blocked
from agent.core.availability import spare, startable, status_of
from agent.core.booking import Booked, Fit, Reservation, fits, remaining_s
from agent.core.commands import Outcome, Result
from agent.core.company import remote_start_allowed
from agent.core.effects import Indicate
from agent.core.instant import TimeStatus
from agent.core.model import STATION, ConnectorStatus, EvseId, IdToken, Profile
from agent.core.reservation_commands import CancelReservation, ReservationCommand, ReserveNow
from agent.core.state import EvseState
from agent.core.turn import Turn

RESERVED: Final = "the charger is reserved for another card"


def perform(turn: Turn, command: ReservationCommand) -> Outcome:
    """Carry out a command about reservations."""
    match command:
        case ReserveNow():
            return reserve(turn, command)
        case CancelReservation(number):
            if number not in turn.state.reservations:
                return Outcome(command, Result.REJECTED, f"there is no reservation {number}")
            _end(turn, (number,), "was cancelled")
            return Outcome(command, Result.ACCEPTED)
    assert_never(command)


def reserve(turn: Turn, command: ReserveNow) -> Outcome:
    """Keep an EVSE for a token; what is refused leaves an earlier reservation of the same id as it was."""
    refusal = _impossible(turn, command)
    if refusal is not None:
        return Outcome(command, Result.REJECTED, refusal)
    before, old = turn.state, turn.state.reservations.get(command.reservation)
    others = {number: r for number, r in before.reservations.items() if number != command.reservation}
    turn.state = replace(before, reservations=others)
    obstacle = _obstacle(turn, command.evse)
    if obstacle is not None:
        turn.state = before
        return Outcome(command, obstacle, "there is no connector free to be reserved")
    prolonged = old is not None and (old.evse, old.id_token.key) == (command.evse, command.id_token.key)
    made = old.made if old is not None and prolonged else turn.at
    new = Reservation(command.reservation, command.evse, command.id_token, command.group, made, command.until)
    turn.state = replace(turn.state, reservations={**others, new.id: new})
    return Outcome(command, Result.ACCEPTED)


def fit(turn: Turn, evse: EvseState, id_token: IdToken, group: IdToken | None) -> Fit:
    """Tell whether reservations let a token charge on an EVSE that may start; group: None where it is not known."""
    found = _fit(turn, evse, id_token, group)
    return Fit.CLOSED if found is Fit.UNSURE and not _can_be_asked_about(turn, id_token) else found


def lets(turn: Turn, evse: EvseState, id_token: IdToken, group: IdToken | None) -> bool:
    """Tell whether no reservation keeps a token from an EVSE, as far as is known now."""
    return _fit(turn, evse, id_token, group) <= Fit.OPEN


def unsure(turn: Turn, evse: EvseId, id_token: IdToken, group: IdToken | None) -> bool:
    """Tell whether the central system has to say a token's group before it may charge; evse 0: on any of them."""
    evses = [e for e in turn.state.evses if evse == e.id or (evse == STATION and startable(turn, e))]
    return min((fit(turn, e, id_token, group) for e in evses), default=Fit.CLOSED) is Fit.UNSURE


def kept_from(turn: Turn, id_token: IdToken, group: IdToken | None) -> int:
    """Return how many connectors, whichever, are kept for others than a token."""
    return sum(fits(r, id_token, group) is not Fit.OWN for r in turn.state.reservations.values() if r.evse == STATION)


def used(turn: Turn, evse: EvseId, id_token: IdToken, group: IdToken | None) -> Booked | None:
    """Take the reservation away that a session of a token uses, and return it; None where it uses none."""
    own = [r for r in turn.state.reservations.values() if fits(r, id_token, group) is Fit.OWN]
    found = next((r for place in (evse, STATION) for r in own if r.evse == place), None)
    if found is None:
        return None
    _drop(turn, (found.id,))
    return Booked(found.id, found.made)


def overdue(turn: Turn) -> None:
    """End what is over by its time, and plan when to look again."""
    if turn.state.reservations:
        over = [number for number, r in turn.state.reservations.items() if remaining_s(r, turn.at) <= 0]
        _end(turn, over, "has expired")
    left = min((remaining_s(r, turn.at) for r in turn.state.reservations.values()), default=None)
    until = None if left is None else turn.at.mono + left
    if until != turn.state.reserved_until:
        turn.state = replace(turn.state, reserved_until=until)


def settle(turn: Turn, evse: EvseState) -> None:
    """End what was reserved on an EVSE that is out of service, or becomes faulty.

    A device that has not been heard since the start of the process is no such fault: reservations outlive restarts.
    """
    if not turn.state.reservations or not _lost(turn, evse):
        return
    usable = any(e.availability.operative and not _faulty(turn, e) for e in turn.state.evses if e.id != evse.id)
    gone = {evse.id} if usable else {evse.id, STATION}
    _end(turn, [r.id for r in turn.state.reservations.values() if r.evse in gone], "ends: no connector is left for it")


def _impossible(turn: Turn, command: ReserveNow) -> str | None:
    """Return why nothing can be reserved, whether or not the connector is free; None where it may be."""
    state, settings = turn.state, turn.settings
    ids = [e.id for e in state.evses if turn.evse_policy(e).controlled]
    if not settings.reservation_enabled or (command.evse == STATION and not settings.reserve_connector_zero):
        return "reservations are switched off"
    if not ids or (command.evse != STATION and command.evse not in ids):
        return f"there is no connector {command.evse}, or it is only measured"
    if state.restarting is not None:
        return "the station is about to start again"
    if not remote_start_allowed(state.company):
        return "the company link does not allow it"
    return _untimely(turn, command) or blocked(state.tokens, command.id_token)


def _untimely(turn: Turn, command: ReserveNow) -> str | None:
    """Return what is wrong with a reservation's end, None where it is to come."""
    if turn.at.status is TimeStatus.UNKNOWN:
        return "the station does not know the time yet"
    return "the reservation is over already" if command.until <= turn.at.wall else None


def _obstacle(turn: Turn, evse: EvseId) -> Result | None:
    """Return why a connector, or one of them whichever (0), cannot be reserved now; None where it can."""
    evses = [e for e in turn.state.evses if turn.evse_policy(e).controlled and evse in {STATION, e.id}]
    found = [_taken(turn, e) for e in evses]
    if None not in found:
        return next(result for result in (Result.OCCUPIED, Result.UNAVAILABLE, Result.FAULTED) if result in found)
    asked = sum(asking.anywhere and asking.pending for asking in turn.state.asking)
    anywhere = sum(r.evse == STATION for r in turn.state.reservations.values())
    owed = len(turn.state.waiting) + asked + anywhere
    room = found.count(None) if evse == STATION else len(spare(turn))
    return None if room > owed else Result.OCCUPIED


def _taken(turn: Turn, evse: EvseState) -> Result | None:
    """Return what keeps an EVSE from being reserved, None where it is free."""
    if _faulty(turn, evse):
        return Result.FAULTED
    if evse.session is not None or evse.finishing:
        return Result.OCCUPIED
    if not evse.availability.operative:
        return Result.UNAVAILABLE
    asked = any(a.pending and a.evse == evse.id for a in turn.state.asking)
    reserved = any(r.evse == evse.id for r in turn.state.reservations.values())
    if asked or reserved or evse.grant is not None or evse.plugged_since is not None:
        return Result.OCCUPIED
    return None if startable(turn, evse) else Result.UNAVAILABLE


def _fit(turn: Turn, evse: EvseState, id_token: IdToken, group: IdToken | None) -> Fit:
    own = next((r for r in turn.state.reservations.values() if r.evse == evse.id), None)
    if own is not None:
        return fits(own, id_token, group)
    anywhere = [fits(r, id_token, group) for r in turn.state.reservations.values() if r.evse == STATION]
    free = spare(turn) if anywhere else []
    if Fit.OWN in anywhere or len(free) > len(anywhere) or not any(e.id == evse.id for e in free):
        return Fit.OPEN
    return min(anywhere)


def _can_be_asked_about(turn: Turn, id_token: IdToken) -> bool:
    """Tell whether the central system may be asked about a token: it is never told of a private one (promise 11)."""
    card = turn.state.tokens.cards.get(id_token.key)
    return turn.state.cloud.online and (card is None or card.profile is not Profile.PRIVATE)


def _lost(turn: Turn, evse: EvseState) -> bool:
    worked = evse.shown is not None and evse.shown[0] is not ConnectorStatus.FAULTED
    return not evse.availability.operative or (worked and _faulty(turn, evse))


def _faulty(turn: Turn, evse: EvseState) -> bool:
    return status_of(turn, evse)[0] is ConnectorStatus.FAULTED


def _end(turn: Turn, numbers: Iterable[int], how: str) -> None:
    """End reservations that nobody used; a car that stands there counts as just plugged in."""
    gone = tuple(numbers)
    places = {turn.state.reservations[number].evse for number in gone}
    _drop(turn, gone)
    for evse in turn.state.evses:
        waits = evse.plugged_since is not None and evse.session is None and evse.grant is None
        if waits and not places.isdisjoint({evse.id, STATION}):
            turn.put(replace(evse, plugged_since=turn.at.mono))
    for number in gone:
        turn.effects.append(Indicate(None, f"reservation {number} {how}", accepted=True))


def _drop(turn: Turn, numbers: Iterable[int]) -> None:
    gone = set(numbers)
    left = {number: r for number, r in turn.state.reservations.items() if number not in gone}
    if gone:
        turn.state = replace(turn.state, reservations=left)
