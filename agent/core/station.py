"""The whole behaviour of the charger, pure: ``step`` routes an event to the blocks and lets each EVSE settle."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, assert_never

from agent.core import (
    admission,
    aligned,
    asked,
    balance,
    charging,
    firmware,
    linking,
    maintenance,
    metering,
    recovery,
    reservation,
    sampling,
    security,
    session,
    unlocking,
    waiting,
)
from agent.core.availability import show, show_station
from agent.core.commands import ResetKind
from agent.core.effects import Restart, Stop
from agent.core.events import (
    AuthorizationAnswered,
    CardPresented,
    ClockStepped,
    CloudChanged,
    CommandReceived,
    Event,
    EvseFailed,
    EvseRead,
    LedgerChanged,
    LinkAnswered,
    LockMoved,
    MeterFailed,
    MeterRead,
    ReaderChanged,
    ShutdownRequested,
    StartAnswered,
    StationEvent,
    Ticked,
    TokenTold,
    UnlinkTold,
)
from agent.core.instant import Instant
from agent.core.limits import drive
from agent.core.maintenance_events import MaintenanceEvent
from agent.core.metering import Judgement
from agent.core.model import Registration, Wh
from agent.core.policy import Policy
from agent.core.security_events import SecurityNews
from agent.core.state import Cloud, EvseState, Left, Phase, StationState
from agent.core.turn import Step, Turn

NEVER: Final = -math.inf
"""A command that was never sent."""
UNDER_WAY: Final = math.inf
"""The process is about to end for a reset; nothing begins any more."""


def step(state: StationState, event: Event, at: Instant, policy: Policy) -> Step:
    """Apply one event to the station.

    Pure: equal arguments give equal results. The result is applied in the order of its fields; a step whose commit
    fails has not happened, its safety effects apart.
    """
    turn = Turn(state, at, policy)
    _route(turn, event)
    reservation.overdue(turn)
    admission.overdue(turn)
    waiting.overdue(turn)
    linking.due(turn)
    aligned.due(turn)
    maintenance.due(turn)
    for evse in state.evses:
        _let_settle(turn, turn.state.evse(evse.id))
    charging.forget(turn)
    firmware.settle(turn)
    show_station(turn)
    _restart(turn)
    return turn.step()


def _route(turn: Turn, event: Event) -> None:
    if isinstance(event, MaintenanceEvent):
        maintenance.take(turn, event)
        return
    if isinstance(event, SecurityNews):
        security.take(turn, event)
        return
    _station(turn, event)


def _station(turn: Turn, event: StationEvent) -> None:  # noqa: C901, PLR0912  # one line per event
    match event:
        case CardPresented():
            admission.present(turn, event.id_token)
        case MeterRead():
            _meter_read(turn, event)
        case MeterFailed():
            evse = turn.state.evse(event.evse)
            turn.put(replace(evse, meter=metering.failed(evse.meter, event.error, turn.at.mono)))
        case EvseRead():
            _evse_read(turn, event)
        case EvseFailed():
            _evse_failed(turn, event)
        case LockMoved():
            unlocking.moved(turn, event.evse, event.call, opened=event.opened)
        case ReaderChanged():
            turn.state = replace(turn.state, reader_error=event.error)
        case LedgerChanged():
            turn.state = replace(turn.state, ledger_error=event.error)
        case CloudChanged():
            _cloud_changed(turn, event)
        case AuthorizationAnswered():
            admission.answered(turn, event.request, event.info)
        case StartAnswered():
            _start_answered(turn, event)
        case TokenTold():
            admission.told(turn, event.id_token, event.info)
        case LinkAnswered():
            linking.answered(turn, event.code, event.answer)
        case UnlinkTold():
            linking.unlink_told(turn, event.code)
        case CommandReceived():
            asked.perform(turn, event.call, event.command)
        case ClockStepped():
            security.clock_stepped(turn, event.by_s)
            aligned.clock_stepped(turn)
            firmware.clock_stepped(turn)
            for evse in turn.state.evses:
                sampling.clock_stepped(turn, evse)
        case ShutdownRequested():
            _shut_down(turn)
        case Ticked():
            pass
        case _:
            assert_never(event)


def _let_settle(turn: Turn, evse: EvseState) -> None:
    """Let one EVSE draw the consequences of what was just learnt, in the order in which they depend on each other."""
    recovery.look(turn, evse)
    waiting.settle(turn, turn.state.evse(evse.id))
    session.await_start(turn, turn.state.evse(evse.id))
    sampling.ask_at_boundary(turn, turn.state.evse(evse.id))
    session.conclude(turn, turn.state.evse(evse.id))
    unlocking.settled(turn, turn.state.evse(evse.id))
    charging.settle(turn, turn.state.evse(evse.id))
    _rephase(turn, turn.state.evse(evse.id))
    drive(turn, turn.state.evse(evse.id))
    reservation.settle(turn, turn.state.evse(evse.id))
    show(turn, turn.state.evse(evse.id))


def _meter_read(turn: Turn, event: MeterRead) -> None:
    """Judge a reading; a register that broke closes the session on the last good one (promise 4)."""
    evse = turn.state.evse(event.evse)
    before = evse.meter.reading
    judged = metering.judge(evse.meter, event.reading, turn.evse_policy(evse))
    evse = turn.put(replace(evse, meter=judged.view))
    mark = metering.MARKS.get(judged.judgement)
    if mark is not None:
        if before is not None and evse.session is not None and evse.recovering is None:
            session.break_off(turn, evse, before, mark)
        idle = before if evse.session is None else None
        balance.broke(turn, turn.state.evse(event.evse), idle, event.reading)
    elif judged.judgement is Judgement.GOOD:
        if evse.session is None and before is not None:
            energy = Wh(event.reading.register - before.register)
            turn.put(replace(evse, meter=metering.unattributed(evse.meter, energy)))
        balance.note(turn, turn.state.evse(event.evse), event.reading)
        if not turn.evse_policy(evse).controlled:
            _infer_plug(turn, turn.state.evse(event.evse))
        aligned.take(turn, turn.state.evse(event.evse), event.reading)
        sampling.sample(turn, turn.state.evse(event.evse), event.reading)


def _infer_plug(turn: Turn, evse: EvseState) -> None:
    """Take it that a car is plugged while it draws, where no controller tells."""
    if not evse.meter.drawing:
        turn.put(replace(evse, plugged_since=None).leave(Left()))
    elif evse.plugged_since is None:
        turn.put(replace(evse, plugged_since=turn.at.mono))


def _evse_read(turn: Turn, event: EvseRead) -> None:
    """Take what the controller tells; what runs follows it when all is settled."""
    evse, seen = turn.state.evse(event.evse), event.reading
    evse = turn.put(replace(evse, evse=replace(evse.evse, reading=seen, error=None, failed_since=None)))
    if seen.connected and evse.plugged_since is None:
        evse = turn.put(replace(evse, plugged_since=turn.at.mono))
    elif seen.connected is False:
        in_socket = Left(evse.finishing, evse.left.claim) if seen.plug is True else Left(claim=evse.left.claim)
        evse = turn.put(replace(evse, plugged_since=None).leave(in_socket))
    if seen.plug is False:
        turn.put(evse.leave(Left(evse.finishing)))


def _evse_failed(turn: Turn, event: EvseFailed) -> None:
    """Take that the controller did not answer; what it was told last is told again when it does."""
    evse = turn.state.evse(event.evse)
    since = turn.at.mono if evse.evse.failed_since is None else evse.evse.failed_since
    view = replace(evse.evse, error=event.error, failed_since=since)
    if view.limit_sent is not None:
        view = replace(view, limit_sent=None, sent_at=NEVER)
    turn.put(replace(evse, evse=view))


def _cloud_changed(turn: Turn, event: CloudChanged) -> None:
    before, now = turn.state.cloud, Cloud(event.connected, event.registration)
    turn.state = replace(turn.state, cloud=now)
    security.connected(turn, event)
    if before.online and not now.online:
        admission.alone(turn)
    if now.registration is Registration.ACCEPTED and before.registration is not Registration.ACCEPTED:
        linking.accepted_boot(turn)
        firmware.accepted_boot(turn)


def _start_answered(turn: Turn, event: StartAnswered) -> None:
    if event.info is not None:
        admission.told(turn, event.id_token, event.info)
    for evse in turn.state.evses:
        if evse.session is not None and evse.session.id == event.session:
            session.answered(turn, evse, event.transaction, event.info)


def _rephase(turn: Turn, evse: EvseState) -> None:
    """Let the phase of what runs follow the controller, and what this side decided since it was last heard."""
    if not turn.evse_policy(evse).controlled:
        session.measured(turn, evse)
    elif evse.evse.error is not None:
        session.unheard(turn, evse)
    elif evse.evse.reading is not None:
        session.follow(turn, evse, evse.evse.reading)


def _shut_down(turn: Turn) -> None:
    """End in order: running sessions stay open, with their last reading made durable, and are resumed."""
    for evse in turn.state.evses:
        balance.shut_down(turn, evse)
        if evse.session is not None and evse.meter.reading is not None and evse.recovering is None:
            turn.put(replace(evse, session=sampling.kept(evse.session, evse.meter.reading, turn.at)))
    turn.effects.append(Stop())


def _restart(turn: Turn) -> None:
    """Start again once the sessions that a reset ends are closed, or are waited for no longer."""
    kind = turn.state.restarting
    if kind is None or turn.state.restart_by == UNDER_WAY:
        return
    open_ones = any(e.session is not None and e.session.phase is Phase.ENDING for e in turn.state.evses)
    if not open_ones or turn.at.mono >= turn.state.restart_by:
        turn.state = replace(turn.state, restart_by=UNDER_WAY)
        turn.effects.append(Restart(hard=kind is ResetKind.HARD))
