"""Charging profiles at work: taken, dropped and told on command, and what they let each running session have.

A limit that changes by a profile is commanded at most once in ``Policy.limit_pace_s``; what is a matter of safety waits
for nothing (``limits``). Less than a car needs is a pause by the station. The profiles of a session end with it; a
session that is not told to the central system has none, since for the central system there is none (promise 11).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from typing import Final, assert_never

from agent.core.allowance import Allowance, Promise
from agent.core.charging_commands import (
    ChargingCommand,
    ClearChargingProfiles,
    CompositeSchedule,
    GetCompositeSchedule,
    SetChargingProfile,
)
from agent.core.charging_profile import (
    MAX_INSTALLED,
    Installed,
    Purpose,
    RateUnit,
    flaw,
    milliseconds,
    settled,
    timeless,
)
from agent.core.charging_schedule import LEAST_A, LONGEST_S, Outlet, Rate, composite, next_edge, rates_at, station_rate
from agent.core.commands import Outcome, RemoteStart, Result
from agent.core.effects import Indicate
from agent.core.facts import StartTrigger
from agent.core.instant import TimeStatus
from agent.core.model import STATION, MilliAmp, Profile, Reporting
from agent.core.sampling import began
from agent.core.state import EvseState, Phase, Session
from agent.core.turn import Turn

LEAST: Final = MilliAmp(LEAST_A * 1000)
OFF: Final = MilliAmp(0)
STEP: Final = 100
"""A limit is rounded down to so many mA."""


def perform(turn: Turn, command: ChargingCommand) -> Outcome:
    """Carry out a command about charging profiles."""
    match command:
        case SetChargingProfile():
            return _set(turn, command)
        case ClearChargingProfiles():
            return _clear(turn, command)
        case GetCompositeSchedule():
            return _composite(turn, command)
    assert_never(command)


def unfit(turn: Turn, command: RemoteStart) -> str | None:
    """Return why the profile that a remote start brings cannot be the session's, None where it can, or none came."""
    profile = command.profile
    if profile is None:
        return None
    card = turn.state.tokens.cards.get(command.id_token.key)
    if profile.purpose is not Purpose.TX or profile.transaction is not None:
        return "only a profile for the session that is about to begin may come with a remote start"
    if card is not None and card.profile is Profile.PRIVATE:
        return "a private session takes no profile"
    return flaw(profile, turn.at.wall) or _full(turn, Installed(profile, STATION))


def promise(turn: Turn, evse: EvseState, command: RemoteStart) -> EvseState:
    """Keep what came with a remote start for the session that it starts; what came with an earlier one is void."""
    profile = command.profile
    promised = None if profile is None else Promise(command.id_token, settled(profile, turn.at.wall))
    return evse if promised == evse.promised else turn.put(replace(evse, promised=promised))


def settle(turn: Turn, evse: EvseState) -> None:
    """Let what a running session is allowed follow the profiles and the time."""
    session = _running(evse)
    if session is None or not turn.evse_policy(evse).controlled:
        if evse.allowed != Allowance():
            turn.put(replace(evse, allowed=Allowance()))
        return
    if evse.allowed.limit is None:
        evse = _begun(turn, evse, session)
    outlets = tuple(_outlets(turn))
    installed, at_ms = _in_force(turn), milliseconds(turn.at.wall)
    rate = rates_at(installed, outlets, at_ms, RateUnit.AMPERE)[evse.id]
    limit = min(_milliamperes(turn, evse, rate), _left(turn, evse, installed, at_ms))
    allowed = _paced(turn, evse.allowed, limit if limit >= LEAST else OFF, rate.profile)
    edge = next_edge(installed, outlets, at_ms)
    edge_due = None if edge is None else turn.at.mono + (edge - at_ms) / 1000
    due = min((moment for moment in (edge_due, allowed.due) if moment is not None), default=None)
    if replace(allowed, due=due) != evse.allowed:
        _indicate(turn, evse, allowed)
        turn.put(replace(evse, allowed=replace(allowed, due=due)))


def forget(turn: Turn) -> None:
    """Drop the profiles of sessions that are over."""
    if all(i.session is None for i in turn.state.profiles.values()):
        return
    lasting = {e.session.id for e in turn.state.evses if e.session is not None and e.session.phase is not Phase.ENDING}
    kept = {key: i for key, i in turn.state.profiles.items() if i.session is None or i.session in lasting}
    if len(kept) < len(turn.state.profiles):
        turn.state = replace(turn.state, profiles=kept)


def _set(turn: Turn, command: SetChargingProfile) -> Outcome:
    profile, evse = command.profile, command.evse
    refusal = flaw(profile, turn.at.wall) or _misplaced(turn, command)
    session = turn.state.evse(evse).session if refusal is None and profile.purpose is Purpose.TX else None
    new = Installed(settled(profile, turn.at.wall), evse, None if session is None else session.id)
    refusal = refusal or _full(turn, new)
    if refusal is not None:
        text = f"charging profile {profile.id} refused: {refusal}"
        turn.effects.append(Indicate(evse if turn.state.has(evse) else None, text, accepted=False))
        return Outcome(command, Result.REJECTED, refusal)
    _install(turn, new)
    return Outcome(command, Result.ACCEPTED)


def _misplaced(turn: Turn, command: SetChargingProfile) -> str | None:
    """Return why a profile cannot be where it was sent (OCPP 1.6 ed. 2, section 3.13.1)."""
    purpose, wanted = command.profile.purpose, command.evse
    limited = [e.id for e in turn.state.evses if turn.evse_policy(e).controlled]
    if wanted not in ({STATION} if limited else set()) | set(limited):
        return f"there is no connector {wanted} whose current could be limited"
    if purpose is Purpose.STATION_MAX and wanted != STATION:
        return "a limit of the station as a whole belongs to connector 0"
    if purpose is not Purpose.TX:
        return None
    session = None if wanted == STATION else _running(turn.state.evse(wanted), recovering=True)
    if session is None or not _told(session):
        return f"no transaction is running on connector {wanted}"
    named = command.profile.transaction
    return None if named in {None, session.transaction} else f"transaction {named} is not running there"


def _full(turn: Turn, new: Installed) -> str | None:
    """Return that no more profiles can be kept, None where a new one has room, or replaces one."""
    kept = sum(not _replaces(new, old) for old in turn.state.profiles.values())
    return None if kept < MAX_INSTALLED else f"there are {MAX_INSTALLED} charging profiles already: clear some first"


def _replaces(new: Installed, old: Installed) -> bool:
    """Tell whether a profile takes another's place (OCPP 1.6 ed. 2, section 5.16.3)."""
    one, other = new.profile, old.profile
    place = (one.purpose, one.stack_level, new.evse) == (other.purpose, other.stack_level, old.evse)
    return one.id == other.id or place


def _install(turn: Turn, new: Installed) -> None:
    kept = {key: old for key, old in turn.state.profiles.items() if not _replaces(new, old)}
    turn.state = replace(turn.state, profiles={**kept, new.profile.id: new})


def _clear(turn: Turn, command: ClearChargingProfiles) -> Outcome:
    """Drop what is meant; REJECTED where nothing is (OCPP 1.6 ed. 2, section 5.2; errata 3.26)."""
    kept = {key: i for key, i in turn.state.profiles.items() if not _meant(command, i)}
    if len(kept) == len(turn.state.profiles):
        return Outcome(command, Result.REJECTED, "no charging profile is like that")
    turn.state = replace(turn.state, profiles=kept)
    return Outcome(command, Result.ACCEPTED)


def _meant(command: ClearChargingProfiles, installed: Installed) -> bool:
    if command.id is not None:
        return installed.profile.id == command.id
    wanted = (command.evse, command.purpose, command.stack_level)
    found = (installed.evse, installed.profile.purpose, installed.profile.stack_level)
    return all(want is None or want == have for want, have in zip(wanted, found, strict=True))


def _composite(turn: Turn, command: GetCompositeSchedule) -> Outcome:
    """Tell what is to come (OCPP 1.6 ed. 2, section 5.7); an EVSE without a transaction as if one began now."""
    wanted = command.evse
    start = turn.at.wall.replace(microsecond=0)
    asked = [e for e in turn.state.evses if wanted in {STATION, e.id} and turn.evse_policy(e).controlled]
    if not asked or command.duration_s < 0:
        return Outcome(command, Result.REJECTED, f"there is nothing to tell of connector {wanted}")
    outlets, begin_ms = tuple(_outlets(turn, asked)), milliseconds(start)
    unit = command.unit or _unit(turn, asked[0], outlets, begin_ms)
    window = (begin_ms, begin_ms + min(command.duration_s, LONGEST_S) * 1000)
    periods, end_ms = composite(_in_force(turn), outlets, window, unit=unit, asked=[e.id for e in asked])
    told = CompositeSchedule(wanted, start, (end_ms - begin_ms) // 1000, unit, periods)
    return Outcome(command, Result.ACCEPTED, schedule=told)


def _unit(turn: Turn, evse: EvseState, outlets: Sequence[Outlet], at_ms: int) -> RateUnit:
    """Return the unit of what rules an EVSE now."""
    return rates_at(_in_force(turn), outlets, at_ms, RateUnit.AMPERE)[evse.id].unit


def _outlets(turn: Turn, asked: Sequence[EvseState] = ()) -> Iterator[Outlet]:
    """Yield the EVSEs that charge, in the order in which they began; last those that are asked about and do not.

    To who asks, a session that the central system is not told of begins now.
    """
    now, running = milliseconds(turn.at.wall), list[Outlet]()
    for evse in turn.state.evses:
        session, policy = _running(evse, recovering=bool(asked)), turn.evse_policy(evse)
        if not policy.controlled or (session is None and evse not in asked):
            continue
        known = session is not None and (not asked or _told(session))
        began_ms = milliseconds(began(session.started, turn.at)) if session is not None and known else now
        name = session.id if session is not None and known else None
        running.append(Outlet(evse.id, Decimal(policy.max_current) / 1000, policy.phases, began_ms, name))
    yield from sorted(running, key=lambda outlet: outlet.began_ms)


def _in_force(turn: Turn) -> tuple[Installed, ...]:
    """Return the profiles as they count now; without the time those that depend on it count at their lowest."""
    installed = tuple(turn.state.profiles.values())
    if turn.at.status is not TimeStatus.UNKNOWN:
        return installed
    return tuple(replace(i, profile=timeless(i.profile)) for i in installed)


def _running(evse: EvseState, *, recovering: bool = False) -> Session | None:
    """Return the session of an EVSE that goes on; recovering: also one that waits for its devices after a start."""
    session = evse.session
    if session is None or session.phase is Phase.ENDING or (evse.recovering is not None and not recovering):
        return None
    return session


def _told(session: Session) -> bool:
    """Tell whether the central system knows of a session."""
    return session.profile is not Profile.PRIVATE and session.reporting is Reporting.REPORT


def _begun(turn: Turn, evse: EvseState, session: Session) -> EvseState:
    """Give a session that has just begun the profile that came with its remote start."""
    promised = evse.promised
    if promised is None:
        return evse
    ours = session.trigger is StartTrigger.REMOTE and promised.id_token.key == session.id_token.key
    if ours and _told(session):
        _install(turn, Installed(promised.profile, evse.id, session.id))
    return turn.put(replace(evse, promised=None))


def _milliamperes(turn: Turn, evse: EvseState, rate: Rate) -> MilliAmp:
    """Return a rate as a controller takes it, rounded down; that of the installation as it is."""
    if rate.profile is None:
        return turn.evse_policy(evse).max_current
    steps = (rate.of(RateUnit.AMPERE) * 1000 / STEP).to_integral_value(ROUND_FLOOR)
    return MilliAmp(int(steps) * STEP)


def _left(turn: Turn, evse: EvseState, installed: Sequence[Installed], at_ms: int) -> MilliAmp:
    """Return what the others leave now of what the station may draw: who shall have more waits until they have less."""
    policy = turn.evse_policy(evse)
    most = station_rate(installed, at_ms, policy.phases)
    taken = sum(e.allowed.limit or OFF for e in turn.state.evses if e.id != evse.id)
    if most is None or not taken:
        return policy.max_current
    return MilliAmp(max(_milliamperes(turn, evse, most) - taken, OFF))


def _indicate(turn: Turn, evse: EvseState, allowed: Allowance) -> None:
    """Tell of another limit, and whose it is; a session that begins without one is no news."""
    if allowed.limit is None or allowed.limit == evse.allowed.limit:
        return
    if evse.allowed.limit is None and allowed.limit == turn.evse_policy(evse).max_current:
        return
    whose = "the installation" if allowed.profile is None else f"charging profile {allowed.profile}"
    what = f"limited to {Decimal(allowed.limit) / 1000:g} A" if allowed.limit else "paused"
    turn.effects.append(Indicate(evse.id, f"{what} by {whose}", accepted=True))


def _paced(turn: Turn, before: Allowance, limit: MilliAmp, profile: int | None) -> Allowance:
    """Return what is allowed now: a session's first limit at once, another one when the last has lasted."""
    now, pace = turn.at.mono, turn.policy.limit_pace_s
    if before.limit is None:
        return Allowance(limit, now if limit else None, None, profile)
    if limit == before.limit:
        return replace(before, due=None, profile=profile)
    if before.since is not None and now < before.since + pace:
        return replace(before, due=before.since + pace)
    return Allowance(limit, now, None, profile)
