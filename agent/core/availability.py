"""What a connector shows, why, and whether it may start: service state, faults, phase and plug taken together.

Source: OCPP 1.6 ed. 2, section 4.9; IEC 61851-1, annex A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from agent.core.effects import ReportStatus
from agent.core.limits import WARNINGS, ignores_commands, serious
from agent.core.metering import SILENT, broken
from agent.core.model import STATION, ConnectorStatus, ErrorCode, EvseId, Pilot
from agent.core.policy import Policy
from agent.core.state import Availability, EvseState, EvseView, Phase, StationState
from agent.core.turn import Turn

SILENCE_S: Final = 5.0
"""A device that has not answered for so long is shown as faulty while nobody charges."""

#: Names of controller faults -> OCPP error codes; others are OtherError.
FAULTS: Final[Mapping[str, ErrorCode]] = {
    "rcd": ErrorCode.GROUND_FAILURE,
    "dc_residual": ErrorCode.GROUND_FAILURE,
    "gfci": ErrorCode.GROUND_FAILURE,
    "gfci_selftest": ErrorCode.GROUND_FAILURE,
    "ground": ErrorCode.GROUND_FAILURE,
    "contactor": ErrorCode.POWER_SWITCH_FAILURE,
    "contactor_weld": ErrorCode.POWER_SWITCH_FAILURE,
    "contactor_welded": ErrorCode.POWER_SWITCH_FAILURE,
    "contactor_open": ErrorCode.POWER_SWITCH_FAILURE,
    "relay_closure": ErrorCode.POWER_SWITCH_FAILURE,
    "over_current": ErrorCode.OVER_CURRENT_FAILURE,
    "over_temperature": ErrorCode.HIGH_TEMPERATURE,
    "temperature": ErrorCode.HIGH_TEMPERATURE,
    "internal": ErrorCode.INTERNAL_ERROR,
    "device_error": ErrorCode.INTERNAL_ERROR,
    "lock": ErrorCode.CONNECTOR_LOCK_FAILURE,
    "over_voltage": ErrorCode.OVER_VOLTAGE,
    "under_voltage": ErrorCode.UNDER_VOLTAGE,
    "diode": ErrorCode.EV_COMMUNICATION_ERROR,
    "cp": ErrorCode.EV_COMMUNICATION_ERROR,
    "cp_error": ErrorCode.EV_COMMUNICATION_ERROR,
}

#: Phase of a running session -> what is shown.
SHOWN: Final[Mapping[Phase, ConnectorStatus]] = {
    Phase.STARTING: ConnectorStatus.PREPARING,
    Phase.CHARGING: ConnectorStatus.CHARGING,
    Phase.SUSPENDED_EV: ConnectorStatus.SUSPENDED_EV,
    Phase.SUSPENDED_EVSE: ConnectorStatus.SUSPENDED_EVSE,
    Phase.ENDING: ConnectorStatus.FINISHING,
}


#: What a connector becomes reserved from; from anything else it is Available first (transitions A7, I7).
BEFORE_RESERVED: Final = frozenset({ConnectorStatus.AVAILABLE, ConnectorStatus.FAULTED, ConnectorStatus.RESERVED})

#: The car alone moves a session between these (IEC 61851-1 states C and B), some do so many times a minute.
FLAPPING: Final = frozenset({ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV})


def fault(turn: Turn, evse: EvseState) -> tuple[ErrorCode, str] | None:
    """Return what is wrong with an EVSE, in OCPP's code and in words; None where nothing is."""
    return _controller_fault(evse.evse) or _silence(turn, evse) or _unrecorded(turn.state, evse)


def _unrecorded(state: StationState, evse: EvseState) -> tuple[ErrorCode, str] | None:
    """Return that no session could be recorded; one that runs goes on, it began on disk."""
    if state.ledger_error is None or evse.session is not None:
        return None
    return ErrorCode.INTERNAL_ERROR, f"nothing can be recorded: {state.ledger_error}"


def _controller_fault(view: EvseView) -> tuple[ErrorCode, str] | None:
    if view.reading is not None and view.error is None:
        for name in serious(view.reading):
            words = "a fault, and not which" if name == "unknown" else name
            return FAULTS.get(name, ErrorCode.OTHER_ERROR), f"the controller reports: {words}"
        explained = any(name in WARNINGS for name in view.reading.faults)
        if view.reading.pilot in {Pilot.E, Pilot.F} and not explained:
            return ErrorCode.OTHER_ERROR, f"control pilot in state {view.reading.pilot}"
    return None


def _warning(view: EvseView) -> tuple[ErrorCode, str] | None:
    """Return what the controller warns of: shown with its code beside the status that is true (section 4.9)."""
    names = () if view.reading is None or view.error is not None else view.reading.faults
    return next(((WARNINGS[n], f"the controller warns: {n}") for n in names if n in WARNINGS), None)


def _silence(turn: Turn, evse: EvseState) -> tuple[ErrorCode, str] | None:
    """Return that the controller does not obey, or that it or the meter is silent."""
    view, now = evse.evse, turn.at.mono
    if ignores_commands(evse):
        return ErrorCode.POWER_SWITCH_FAILURE, "the controller ignores commands"
    if view.failed_since is not None and now - view.failed_since >= SILENCE_S:
        return ErrorCode.INTERNAL_ERROR, view.error or "the controller does not answer"
    grace = turn.evse_policy(evse).meter_grace_s if evse.session else SILENCE_S
    if broken(evse.meter, now, grace):
        return ErrorCode.POWER_METER_FAILURE, evse.meter.error or SILENT
    return None


def maybe_plugged(evse: EvseState) -> bool:
    """Tell whether a car is plugged, or may be since the controller cannot tell."""
    seen = evse.evse.reading
    return evse.plugged_since is not None or (seen is not None and seen.connected is None and seen.pilot is None)


def startable(turn: Turn, evse: EvseState) -> bool:
    """Tell whether a session may begin on an EVSE: in service, sound, seen, free, not left over from the last one."""
    busy = evse.session is not None or evse.finishing or evse.grant is not None
    busy = busy or turn.state.restarting is not None or turn.state.maintenance.holds
    device = evse.evse if turn.evse_policy(evse).controlled else evse.meter
    known = device.reading is not None and device.error is None
    return known and not busy and evse.availability.operative and sound(turn, evse)


def spare(turn: Turn) -> list[EvseState]:
    """Return the EVSEs that may start, and can be kept from somebody, but are not reserved themselves."""
    reserved = {reservation.evse for reservation in turn.state.reservations.values()}
    free = [e for e in turn.state.evses if e.id not in reserved and turn.evse_policy(e).controlled]
    return [e for e in free if startable(turn, e)]


def is_kept(turn: Turn, evse: EvseState) -> bool:
    """Tell whether an EVSE is kept for a reservation: its own, or as one of the last free ones for connector 0."""
    places = [reservation.evse for reservation in turn.state.reservations.values()]
    if evse.id in places or STATION not in places:
        return evse.id in places
    free = spare(turn)
    return len(free) <= places.count(STATION) and any(e.id == evse.id for e in free)


def sound(turn: Turn, evse: EvseState) -> bool:
    """Tell whether nothing is wrong with an EVSE, its meter apart: who wants to start is told of that one."""
    wrong = fault(turn, evse)
    return wrong is None or wrong[0] is ErrorCode.POWER_METER_FAILURE


def status_of(turn: Turn, evse: EvseState) -> tuple[ConnectorStatus, ErrorCode, str | None]:
    """Return what a connector shows now, its error code, and the cause in words."""
    wrong = fault(turn, evse)
    if wrong is not None:
        return ConnectorStatus.FAULTED, wrong[0], wrong[1]
    warned = _warning(evse.evse)
    status = _sound_status(turn, evse)
    return (status, ErrorCode.NO_ERROR, _info(evse)) if warned is None else (status, *warned)


def show(turn: Turn, evse: EvseState) -> None:
    """Report a connector whose status or error changed; nothing before it was heard, or found silent."""
    status, error, words = status_of(turn, evse)
    heard = (evse.evse if turn.evse_policy(evse).controlled else evse.meter).reading is not None
    if not heard and status is not ConnectorStatus.FAULTED:
        return
    since = None if evse.shown == (status, error) else evse.unshown or turn.at
    if since is None or turn.at.mono < since.mono + must_last(evse, status, turn.policy):
        if since != evse.unshown:
            turn.put(replace(evse, unshown=since))
        return
    if status is ConnectorStatus.RESERVED and evse.shown is not None and evse.shown[0] not in BEFORE_RESERVED:
        turn.effects.append(ReportStatus(evse.id, ConnectorStatus.AVAILABLE, ErrorCode.NO_ERROR, since))
    turn.put(replace(evse, shown=(status, error), unshown=None))
    turn.effects.append(ReportStatus(evse.id, status, error, since, words[:50] if words else None))


def must_last(evse: EvseState, status: ConnectorStatus | None, policy: Policy) -> float:
    """Return for how long (s) a new status must last before it is shown: flaps of the car, and the end of a fault.

    status None: whatever it is, the longest that may be.
    """
    before, error = evse.shown or (None, None)
    if error is ErrorCode.POWER_METER_FAILURE:
        return 0.0  # a meter is distrusted for a while, or was silent for a while, before it is shown
    if before is ConnectorStatus.FAULTED and status is not ConnectorStatus.FAULTED:
        return policy.fault_clears_s
    flaps = before in FLAPPING and (status is None or (status in FLAPPING and status is not before))
    return policy.flap_s if flaps else 0.0


def show_station(turn: Turn) -> None:
    """Report connector 0, whose status is the station's own and not its connectors'."""
    error, words = _station_error(turn.state)
    status = ConnectorStatus.AVAILABLE if turn.state.station.operative else ConnectorStatus.UNAVAILABLE
    shown = (status, error)
    if turn.state.station_shown != shown:
        turn.state = replace(turn.state, station_shown=shown)
        turn.effects.append(ReportStatus(STATION, shown[0], shown[1], turn.at, words[:50] if words else None))


def _station_error(state: StationState) -> tuple[ErrorCode, str | None]:
    if state.reader_error is not None:
        return ErrorCode.READER_FAILURE, state.reader_error
    if state.conflicts:
        return ErrorCode.LOCAL_LIST_CONFLICT, "the central system contradicts its local list"
    return ErrorCode.NO_ERROR, None


def change(turn: Turn, target: EvseId, *, operative: bool) -> bool:
    """Put an EVSE, or all with the station (0), in or out of service; return False where a session defers it.

    A second request replaces a scheduled one. Raises: nothing; the caller has checked the id.
    """
    if target != STATION:
        return _change(turn, turn.state.evse(target), operative=operative)
    waiting = turn.state.waiting if operative else ()
    turn.state = replace(turn.state, station=Availability(operative), waiting=waiting)
    done = [_change(turn, evse, operative=operative) for evse in turn.state.evses]
    return all(done)


def _change(turn: Turn, evse: EvseState, *, operative: bool) -> bool:
    if evse.session is None or operative:
        turn.put(replace(evse, availability=Availability(operative), grant=evse.grant if operative else None))
        return True
    turn.put(replace(evse, availability=replace(evse.availability, scheduled=False)))
    return False


def _info(evse: EvseState) -> str | None:
    """Return what is worth telling beside a status: who pauses, or that the car's end of the cable is out (4.9)."""
    seen, running = evse.evse.reading, evse.session
    if evse.allowed.limit == 0 and evse.allowed.profile is not None:
        return f"paused by charging profile {evse.allowed.profile}"
    out = seen is not None and seen.connected is False
    return "EV side disconnected" if out and running is not None and running.phase is Phase.SUSPENDED_EV else None


def _sound_status(turn: Turn, evse: EvseState) -> ConnectorStatus:
    """Return what is shown while nothing is wrong."""
    if not turn.evse_policy(evse).controlled:
        return _measured_status(turn, evse)
    if evse.session is not None:
        return SHOWN[evse.session.phase]
    if evse.finishing:
        return ConnectorStatus.FINISHING
    return _idle_status(turn, evse) if _in_service(turn, evse) else ConnectorStatus.UNAVAILABLE


def _idle_status(turn: Turn, evse: EvseState) -> ConnectorStatus:
    """Return what is shown by an EVSE in service between sessions; a car alone does not end a reservation."""
    if evse.grant is not None:
        return ConnectorStatus.PREPARING
    waits = evse.plugged_since is not None
    preparing = waits and evse.shown is not None and evse.shown[0] is ConnectorStatus.PREPARING
    if is_kept(turn, evse) and not preparing:
        return ConnectorStatus.RESERVED
    return ConnectorStatus.PREPARING if waits else ConnectorStatus.AVAILABLE


def _in_service(turn: Turn, evse: EvseState) -> bool:
    """Tell whether a session may begin as far as service goes: firmware that is about to be installed lets none."""
    return evse.availability.operative and not turn.state.maintenance.holds


def _measured_status(turn: Turn, evse: EvseState) -> ConnectorStatus:
    """Return what is shown without a controller: the meter tells whether a car draws, and nobody sees a plug."""
    if evse.session is not None or evse.meter.drawing:
        return ConnectorStatus.CHARGING
    return ConnectorStatus.AVAILABLE if _in_service(turn, evse) else ConnectorStatus.UNAVAILABLE
