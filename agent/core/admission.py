"""From a card, or a remote start, to a grant: which EVSE it is for, who decides, what a second presentation means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from agent.core import learning, local_list, reservation, session, unlocking, waiting
from agent.core.asking import Asking
from agent.core.authorization import (
    AskVerdict,
    Known,
    Verdict,
    blocked,
    decide,
    decide_offline,
    known,
    remember,
    same_group,
    verdict_of,
)
from agent.core.availability import fault, startable
from agent.core.effects import AskCsms, Indicate
from agent.core.facts import StartTrigger
from agent.core.metering import SILENT, fresh
from agent.core.model import STATION, EvseId, IdToken, Profile, StopReason, TokenInfo
from agent.core.state import EvseState, Grant, Phase, Session
from agent.core.turn import Turn

ANOTHER: Final = "another card's session is running"


def present(turn: Turn, id_token: IdToken) -> None:
    """Take one touch of a card: it ends its own or its group's session, takes back its own grant, or asks to start.

    One that somebody waits for to learn it does nothing of that.
    """
    if learning.captured(turn, id_token):
        return
    if any(a.id_token.key == id_token.key and a.pending for a in turn.state.asking):
        return
    own = next((e for e in turn.state.evses if e.session and e.session.id_token.key == id_token.key), None)
    granted = next((e for e in turn.state.evses if e.grant and e.grant.id_token.key == id_token.key), None)
    waits = next((g for g in turn.state.waiting if g.id_token.key == id_token.key), None)
    if own is not None:
        _end_own(turn, own, id_token)
    elif granted is not None:
        turn.put(replace(granted, grant=None))
        turn.effects.append(Indicate(granted.id, "card taken back", accepted=True))
    elif waits is not None:
        waiting.take_back(turn, waits)
        turn.effects.append(Indicate(None, "card taken back", accepted=True))
    else:
        _start_or_group(turn, id_token)


def admit(turn: Turn, evse: EvseId, id_token: IdToken, trigger: StartTrigger) -> str | None:
    """Decide about a token for an EVSE that may start, asking the central system where it must be asked.

    evse: 0 for the next plug, wherever it is. Returns why it is refused, None where it is accepted or asked about.
    """
    about = known(turn.state.tokens, id_token, turn.settings, turn.at)
    decision = decide(about, turn.settings, online=turn.state.cloud.online)
    if isinstance(decision, AskVerdict) or (
        decision.accepted and reservation.unsure(turn, evse, id_token, decision.group)
    ):
        _ask(turn, _Wish(evse, id_token, trigger), stops=False)
        return None
    return _settle(turn, _Wish(evse, id_token, trigger), decision)


def answered(turn: Turn, request: int, info: TokenInfo | None) -> None:
    """Take the central system's answer about a token; one that comes too late only fills the cache."""
    asking = next((a for a in turn.state.asking if a.request == request), None)
    if asking is None:
        return
    _forget(turn, asking)
    if info is None:
        if asking.pending:
            _decide_alone(turn, asking)
        return
    told(turn, asking.id_token, info)
    refusal = blocked(turn.state.tokens, asking.id_token)
    verdict = verdict_of(info, turn.at) if refusal is None else Verdict(accepted=False, reason=refusal)
    if asking.stops:
        _stop_for_group(turn, asking, verdict)
    elif asking.pending or (asking.refused and verdict.accepted):
        _settle(turn, _wish(asking), verdict)


def told(turn: Turn, id_token: IdToken, info: TokenInfo) -> None:
    """Keep what a central system said of a token; one that is in the local list never gets into the cache."""
    if not local_list.heard(turn, id_token, info) and turn.settings.cache_enabled:
        turn.state = replace(turn.state, tokens=remember(turn.state.tokens, id_token, info, turn.at))


def overdue(turn: Turn) -> None:
    """Decide alone about tokens whose answer did not come in time, and forget questions that no longer count."""
    for asking in turn.state.asking:
        if turn.at.mono >= asking.drop:
            _forget(turn, asking)
        if asking.pending and turn.at.mono >= asking.until:
            _decide_alone(turn, asking)


def alone(turn: Turn) -> None:
    """Decide at once about every open question, since the link to the central system went."""
    asked, turn.state = turn.state.asking, replace(turn.state, asking=())
    for asking in asked:
        if asking.pending:
            _decide_alone(turn, asking)


@dataclass(frozen=True, slots=True)
class _Wish:
    """A token that wants to charge at an EVSE."""

    evse: EvseId
    id_token: IdToken
    trigger: StartTrigger


def _wish(asking: Asking) -> _Wish:
    return _Wish(asking.evse, asking.id_token, asking.trigger)


def _end_own(turn: Turn, evse: EvseState, id_token: IdToken) -> None:
    running = evse.session
    if running is None or running.phase is Phase.ENDING:
        return
    if running.started.boot == turn.at.boot and turn.at.mono - running.started.mono < turn.policy.same_card_pause_s:
        text = "the session has only just begun: hold the card again in some seconds to end it"
        turn.effects.append(Indicate(evse.id, text, accepted=False))
        return
    session.end(turn, evse, StopReason.LOCAL, id_token)


def _start_or_group(turn: Turn, id_token: IdToken) -> None:
    """A card that has nothing running: it may start, or end its group's session."""
    about = known(turn.state.tokens, id_token, turn.settings, turn.at)
    group = about.info.group if about.info else None
    idle = waiting.free(turn, id_token, group)
    holds = unlocking.claimed(turn, id_token, group)
    if about.blocked is not None:
        _refuse(turn, _of(idle), id_token, about.blocked)
    elif holds is not None:
        unlocking.open_lock(turn, holds)
    elif idle and (idle[0].plugged_since is not None or waiting.room(turn, idle, id_token, group)):
        _admit_card(turn, idle, id_token)
    elif running := _running(turn):
        _try_group(turn, running, id_token, about)
    else:
        _refuse(turn, None, id_token, _why_not(turn))


def _of(idle: Sequence[EvseState]) -> EvseId | None:
    """Return the EVSE that a card is for: the car that waits longest, or the only free one; None: any of several."""
    return idle[0].id if len(idle) == 1 or (idle and idle[0].plugged_since is not None) else None


def _admit_card(turn: Turn, idle: Sequence[EvseState], id_token: IdToken) -> None:
    """Take a card where it may start; without a meter nobody starts (promise 5)."""
    measured = [e for e in idle if fresh(e.meter, turn.at, turn.evse_policy(e))]
    chosen = _of(idle)
    if not measured or (chosen is not None and measured[0].id != chosen):
        first = idle[0]
        _refuse(turn, chosen, id_token, f"no meter reading: {first.meter.error or SILENT}")
    else:
        admit(turn, _of(measured) or STATION, id_token, StartTrigger.CARD)


def _running(turn: Turn) -> list[tuple[EvseState, Session]]:
    """Return the EVSEs whose session may be ended by a card, with it."""
    return [(e, e.session) for e in turn.state.evses if e.session and e.session.phase is not Phase.ENDING]


def _mate(running: Sequence[tuple[EvseState, Session]], verdict: Verdict) -> EvseState | None:
    """Return the EVSE with a session of a token's group, where the token is good for anything."""
    mates = (evse for evse, session_ in running if same_group(verdict.group, session_.group))
    return next(mates, None) if verdict.accepted else None


def _try_group(turn: Turn, running: list[tuple[EvseState, Session]], id_token: IdToken, about: Known) -> None:
    """Let a card of the same group end a session; another card changes nothing (promise 9).

    A private session has no group, and nobody is asked about a card while it is the only one (promise 11).
    """
    mate = _mate(running, decide_offline(about, turn.settings))
    fleet = next((evse for evse, session_ in running if session_.profile is Profile.FLEET), None)
    asks = isinstance(decide(about, turn.settings, online=turn.state.cloud.online), AskVerdict)
    if mate is not None:
        session.end(turn, mate, StopReason.LOCAL, id_token)
    elif asks and fleet is not None:
        _ask(turn, _Wish(fleet.id, id_token, StartTrigger.CARD), stops=True)
    else:
        _refuse(turn, running[0][0].id, id_token, ANOTHER)


def _stop_for_group(turn: Turn, asking: Asking, verdict: Verdict) -> None:
    mate = _mate(_running(turn), verdict)
    if mate is not None:
        session.end(turn, mate, StopReason.LOCAL, asking.id_token)
    elif asking.pending:
        _refuse(turn, asking.evse, asking.id_token, ANOTHER)


def _ask(turn: Turn, wish: _Wish, *, stops: bool) -> None:
    """Ask the central system; an earlier question about the token, which the station decided, no longer counts."""
    request, now = turn.state.requests + 1, turn.at.mono
    drop = now + max(turn.settings.message_timeout_s, turn.policy.answer_wait_s)
    until = now + turn.policy.answer_wait_s
    asking = Asking(request, wish.evse, wish.id_token, wish.trigger, until, drop, stops=stops)
    others = tuple(a for a in turn.state.asking if a.id_token.key != wish.id_token.key)
    turn.state = replace(turn.state, asking=(*others, asking), requests=request)
    turn.effects.append(AskCsms(request, wish.id_token))


def _decide_alone(turn: Turn, asking: Asking) -> None:
    """Decide as offline; a refusal is taken back when the central system still accepts in time."""
    about = known(turn.state.tokens, asking.id_token, turn.settings, turn.at)
    verdict = decide(about, turn.settings, online=False)
    if asking.stops or isinstance(verdict, AskVerdict):
        verdict = Verdict(accepted=False, reason=ANOTHER)
    decided = replace(asking, refused=not verdict.accepted, taken=verdict.accepted)
    turn.state = replace(turn.state, asking=tuple(decided if a is asking else a for a in turn.state.asking))
    _settle(turn, _wish(asking), verdict)


def _forget(turn: Turn, asking: Asking) -> None:
    turn.state = replace(turn.state, asking=tuple(a for a in turn.state.asking if a.request != asking.request))


def _settle(turn: Turn, wish: _Wish, verdict: Verdict) -> str | None:
    """Grant a wish, or refuse it; returns why."""
    evse = _placed(turn, wish, verdict.group)
    refusal = _no_place(turn, evse, wish.id_token, verdict.group) if verdict.accepted else verdict.reason
    given = Grant(wish.id_token, verdict.profile, wish.trigger, verdict.group, None)
    if refusal is not None:
        _refuse(turn, evse.id if evse else None, wish.id_token, refusal)
    elif evse is None:
        waiting.wait(turn, given)
    else:
        session.grant(turn, evse, given)
    return refusal


def _placed(turn: Turn, wish: _Wish, group: IdToken | None) -> EvseState | None:
    """Return the EVSE that a token is for by now; None where that is still open."""
    if wish.evse != STATION:
        return turn.state.evse(wish.evse)
    idle = waiting.free(turn, wish.id_token, group)
    chosen = _of(idle)
    return None if chosen is None else idle[0]


def _no_place(turn: Turn, evse: EvseState | None, id_token: IdToken, group: IdToken | None) -> str | None:
    """Return why a token that is accepted cannot start, None where it can; evse None: on any that is free."""
    free = [e for e in turn.state.evses if startable(turn, e) and (evse is None or e.id == evse.id)]
    if not free:
        return "the charger is no longer free"
    lets = any(reservation.lets(turn, e, id_token, group) for e in free)
    return None if lets else reservation.RESERVED


def _refuse(turn: Turn, evse: EvseId | None, id_token: IdToken, why: str) -> None:
    turn.effects.append(Indicate(evse, f"card {id_token.masked} refused: {why}", accepted=False))


def _why_not(turn: Turn) -> str:
    """Return why no card can start now, for the person who holds it."""
    evses = turn.state.evses
    if turn.state.restarting is not None:
        return "the charger is about to start again"
    if turn.state.waiting or any(e.grant is not None for e in evses):
        return "the charger waits for the car of another card"
    if any(e.finishing or e.session is not None for e in evses):
        return "the last session is over: unplug the car before the next one"
    if any(startable(turn, e) for e in evses):
        return reservation.RESERVED
    faults = (fault(turn, e) for e in evses)
    return next((wrong[1] for wrong in faults if wrong is not None), "the charger is out of service")
