"""What is done on command: one function per command, each with an outcome that is answered at once.

Source: OCPP 1.6 ed. 2, section 5; contract, sections 3 and 5.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, assert_never

from agent.core import (
    admission,
    cards,
    charging,
    linking,
    local_list,
    maintenance,
    payments,
    reservation,
    security,
    session,
    triggers,
    waiting,
)
from agent.core.authorization import barred, known
from agent.core.availability import change, startable
from agent.core.booking import Fit
from agent.core.charging_commands import ChargingCommand, GetCompositeSchedule
from agent.core.commands import (
    CallRef,
    CardCommand,
    ChangeAvailability,
    ChangeSetting,
    ClearCache,
    Command,
    GetLocalListVersion,
    GetSettings,
    LinkCompany,
    Outcome,
    PushCompanyLink,
    PushCompanySettings,
    PushDayAheadPrices,
    PushPayment,
    RemoteStart,
    RemoteStop,
    Reset,
    ResetKind,
    ResetSetting,
    Result,
    SendLocalList,
    StationCommand,
    StopSession,
    UnlinkCompany,
    UnlockConnector,
)
from agent.core.company import remote_start_allowed
from agent.core.effects import Answer
from agent.core.facts import StartTrigger
from agent.core.firmware import BUSY
from agent.core.maintenance_commands import MaintenanceCommand
from agent.core.maintenance_state import Stage
from agent.core.metering import SILENT, fresh
from agent.core.model import STATION, IdToken, Profile, Registration, StopReason
from agent.core.reservation_commands import ReservationCommand
from agent.core.sampling import replan
from agent.core.security_commands import SecurityCommand
from agent.core.security_model import SecurityEventKind
from agent.core.settings import Overrides
from agent.core.state import EvseState, Grant, Phase
from agent.core.trigger_commands import TriggerCommand, TriggerMessage
from agent.core.turn import Turn

INSTALLER: Final = "control"
"""Origin of commands that come from the control socket."""
READING: Final = (GetCompositeSchedule, GetLocalListVersion, GetSettings, TriggerMessage)
"""What a central system may ask for that only listens (contract, promise 16)."""
LISTENS: Final = "this central system only listens"
RESET_WITHIN_S: Final = 20.0
"""A reset does not wait longer for the last readings of sessions."""
REASONS: Final = {ResetKind.SOFT: StopReason.SOFT_RESET, ResetKind.HARD: StopReason.HARD_RESET}


def perform(turn: Turn, call: CallRef, command: Command) -> None:
    """Do what was asked; the answer is the first effect of it, so that it is on the wire before what follows.

    Only a lock answers for itself, once it has moved, and who keeps keys and certificates, once they are on disk.
    """
    place = len(turn.effects)
    outcome = _listens(turn, call, command) or _outcome(turn, call, command)
    if outcome is not None:
        turn.effects.insert(place, Answer(call, outcome))


def _listens(turn: Turn, call: CallRef, command: Command) -> Outcome | None:
    """Refuse what a central system commands that only listens; it may read, and have things told."""
    if call.origin not in turn.policy.listeners or isinstance(command, READING):
        return None
    refused = Result.NOT_SUPPORTED if isinstance(command, UnlockConnector) else Result.REJECTED
    return Outcome(command, refused, LISTENS)


def _outcome(turn: Turn, call: CallRef, command: Command) -> Outcome | None:  # noqa: PLR0911  # one line per set of commands
    if isinstance(command, CardCommand):
        return cards.perform(turn, command)
    if isinstance(command, ChargingCommand):
        return charging.perform(turn, command)
    if isinstance(command, ReservationCommand):
        return reservation.perform(turn, command)
    if isinstance(command, TriggerCommand):
        return triggers.perform(turn, call, command)
    if isinstance(command, MaintenanceCommand):
        return maintenance.perform(turn, call, command)
    if isinstance(command, SecurityCommand):
        return security.entrust(turn, call, command)
    return _own(turn, call, command)


def _own(turn: Turn, call: CallRef, command: StationCommand) -> Outcome | None:  # noqa: C901, PLR0911, PLR0912  # one line per command
    """Do what no part of the station has a set of commands for."""
    match command:
        case RemoteStart():
            return _remote_start(turn, call, command)
        case RemoteStop():
            return _remote_stop(turn, command)
        case StopSession():
            return _stop(turn, command)
        case Reset():
            return _reset(turn, command)
        case UnlockConnector():
            return _unlock(turn, call, command)
        case ChangeAvailability():
            return _availability(turn, command)
        case ClearCache():
            return _clear_cache(turn, command)
        case SendLocalList():
            return local_list.send(turn, command)
        case GetLocalListVersion():
            return local_list.version(turn, command)
        case GetSettings():
            return Outcome(command, Result.ACCEPTED, settings=turn.settings)
        case ChangeSetting():
            return _override(turn, command, turn.state.overrides.put(command.name, command.value))
        case ResetSetting():
            return _override(turn, command, turn.state.overrides.drop(command.name))
        case PushCompanySettings():
            return linking.settings(turn, command)
        case PushCompanyLink():
            return linking.pushed(turn, command)
        case PushDayAheadPrices():
            return linking.prices(turn, command)
        case PushPayment():
            return payments.paid(turn, command)
        case LinkCompany():
            return linking.link(turn, command)
        case UnlinkCompany():
            return linking.unlink(turn, command)
    assert_never(command)


def _remote_start(turn: Turn, call: CallRef, command: RemoteStart) -> Outcome:
    """Start for a token from afar, or from the CLI (OCPP 1.6 ed. 2, section 5.11); accepted means that it is tried."""
    info = known(turn.state.tokens, command.id_token, turn.settings, turn.at).info
    group = info.group if info else None
    evse = _target(turn, command, group)
    refusal = _no_remote_start(turn, call, command, evse)
    if refusal is None and evse is not None and reservation.fit(turn, evse, command.id_token, group) is Fit.CLOSED:
        refusal = reservation.RESERVED
    if refusal is not None or evse is None:
        return Outcome(command, Result.REJECTED, refusal)
    evse = charging.promise(turn, evse, command)
    trigger = StartTrigger.INSTALLER if call.origin == INSTALLER else StartTrigger.REMOTE
    card = turn.state.tokens.cards.get(command.id_token.key)
    if card is not None and card.profile is Profile.PRIVATE:
        session.grant(turn, evse, Grant(command.id_token, Profile.PRIVATE, trigger, None, None))
    elif (
        trigger is StartTrigger.INSTALLER
        or turn.settings.authorize_remote
        or not reservation.lets(turn, evse, command.id_token, group)
    ):
        refusal = admission.admit(turn, evse.id, command.id_token, trigger)
    else:
        session.grant(turn, evse, Grant(command.id_token, Profile.FLEET, trigger, group, None))
    if refusal is not None and trigger is StartTrigger.INSTALLER:
        return Outcome(command, Result.REJECTED, refusal)
    return Outcome(command, Result.ACCEPTED)


def _no_remote_start(turn: Turn, call: CallRef, command: RemoteStart, evse: EvseState | None) -> str | None:
    """Return why a remote start is refused, None where it will be tried."""
    refusal = (
        barred(turn.state.tokens, command.id_token, turn.at)
        or _not_from_afar(turn, call)
        or charging.unfit(turn, command)
    )
    if refusal is not None:
        return refusal
    if evse is None:
        return "there is no such connector, or none that is free"
    if not turn.evse_policy(evse).controlled and call.origin != INSTALLER:
        return f"connector {evse.id} is only measured: nothing can be switched on here"
    if not startable(turn, evse) or any(a.evse == evse.id and a.pending for a in turn.state.asking):
        return f"connector {evse.id} is not free, out of service or faulty"
    if not fresh(evse.meter, turn.at, turn.evse_policy(evse)):
        return f"no meter reading: {evse.meter.error or SILENT}"
    return None


def _not_from_afar(turn: Turn, call: CallRef) -> str | None:
    """Return why a central system may not start anything now; the installer at the charger always may."""
    if call.origin == INSTALLER:
        return None
    if turn.state.cloud.registration is not Registration.ACCEPTED:
        return "the central system has not accepted this station"
    return None if remote_start_allowed(turn.state.company) else "the company link does not allow it"


def _target(turn: Turn, command: RemoteStart, group: IdToken | None) -> EvseState | None:
    """Return the EVSE that is named, or the only free one."""
    wanted = command.evse
    if wanted is not None:
        return turn.state.evse(wanted) if wanted != STATION and turn.state.has(wanted) else None
    free = waiting.free(turn, command.id_token, group)
    plugged = [e for e in free if e.plugged_since is not None]
    return (plugged or free)[0] if len(plugged or free) == 1 else None


def _remote_stop(turn: Turn, command: RemoteStop) -> Outcome:
    for evse in turn.state.evses:
        running = evse.session
        if running is not None and running.phase is not Phase.ENDING and running.transaction == command.transaction:
            session.end(turn, evse, StopReason.REMOTE)
            return Outcome(command, Result.ACCEPTED)
    return Outcome(command, Result.REJECTED, f"no transaction {command.transaction} is running here")


def _stop(turn: Turn, command: StopSession) -> Outcome:
    if not turn.state.has(command.evse):
        return Outcome(command, Result.REJECTED, f"there is no connector {command.evse}")
    evse = turn.state.evse(command.evse)
    if evse.session is None or evse.session.phase is Phase.ENDING:
        return Outcome(command, Result.REJECTED, f"no session is running on connector {command.evse}")
    session.end(turn, evse, StopReason.LOCAL)
    return Outcome(command, Result.ACCEPTED)


def _reset(turn: Turn, command: Reset) -> Outcome:
    update = turn.state.maintenance.jobs.firmware
    if update is not None and update.stage is Stage.INSTALLING:
        return Outcome(command, Result.REJECTED, BUSY)
    until = turn.at.mono + RESET_WITHIN_S
    turn.state = replace(turn.state, waiting=(), asking=(), restarting=command.kind, restart_by=until)
    security.raise_event(turn, SecurityEventKind.RESET_OR_REBOOT, f"{command.kind} reset")
    for evse in turn.state.evses:
        turn.put(replace(turn.state.evse(evse.id), grant=None))
        session.end(turn, turn.state.evse(evse.id), REASONS[command.kind])
    return Outcome(command, Result.ACCEPTED)


def _unlock(turn: Turn, call: CallRef, command: UnlockConnector) -> Outcome | None:
    """Open the lock after ending what runs (OCPP 1.6 ed. 2, section 5.18); None: the lock itself gives the answer."""
    if not turn.state.has(command.evse) or not turn.policy.evse(command.evse).has_lock:
        return Outcome(command, Result.NOT_SUPPORTED, "the connector has no lock that can be opened from here")
    evse = turn.state.evse(command.evse)
    turn.put(replace(evse, unlocking=(*evse.unlocking, call)))
    session.end(turn, turn.state.evse(evse.id), StopReason.UNLOCK_COMMAND)
    return None


def _availability(turn: Turn, command: ChangeAvailability) -> Outcome:
    if command.evse != STATION and not turn.state.has(command.evse):
        return Outcome(command, Result.REJECTED, f"there is no connector {command.evse}")
    done = change(turn, command.evse, operative=command.operative)
    return Outcome(command, Result.ACCEPTED if done else Result.SCHEDULED)


def _clear_cache(turn: Turn, command: ClearCache) -> Outcome:
    if not turn.settings.cache_enabled:
        return Outcome(command, Result.REJECTED, "the cache is switched off")
    turn.state = replace(turn.state, tokens=replace(turn.state.tokens, cache={}))
    return Outcome(command, Result.ACCEPTED)


def _override(turn: Turn, command: ChangeSetting | ResetSetting, overrides: Overrides) -> Outcome:
    """Put settings in force; another sample interval counts from now on."""
    before, profile = turn.settings.sample_interval_s, turn.settings.security_profile
    turn.state = replace(turn.state, overrides=overrides)
    security.changed_profile(turn, profile, on_trial=isinstance(command, ChangeSetting))
    if turn.settings.sample_interval_s != before:
        for evse in turn.state.evses:
            if evse.session is not None and evse.session.phase is not Phase.ENDING:
                replan(turn, evse)
    return Outcome(command, Result.ACCEPTED)
