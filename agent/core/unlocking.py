"""The lock of a socket: who opens it, and when; a fixed cable has none.

The plug is let go when a session ends, except where only the card that locked it, or its group, may have it: after a
disconnect at the car's side with UnlockConnectorOnEVSideDisconnect off, and after a refusal by the central system.
Source: OCPP 1.6 ed. 2, sections 4.9, 4.10, 5.18; errata 3.5, 3.84, 3.87.
"""

from __future__ import annotations

from dataclasses import replace

from agent.core.authorization import same_group
from agent.core.commands import CallRef, Outcome, Result, UnlockConnector
from agent.core.effects import Answer, Indicate, Unlock
from agent.core.model import EvseId, IdToken, StopReason
from agent.core.state import Claim, EvseState, Left, Phase
from agent.core.turn import Turn


def open_lock(turn: Turn, evse: EvseState, call: CallRef | None = None) -> None:
    """Open the lock now; nobody has a claim to the plug any more."""
    now = turn.state.evse(evse.id)
    turn.put(now.leave(Left(now.finishing)))
    turn.effects.append(Unlock(evse.id, call))


def settled(turn: Turn, evse: EvseState) -> None:
    """Open the lock for those who asked, once a session that they ended draws nothing any more, or is over."""
    ending = evse.session is not None and (evse.session.phase is not Phase.ENDING or evse.settled_at is None)
    if not evse.unlocking or ending:
        return
    turn.put(replace(evse, unlocking=()))
    for call in evse.unlocking:
        open_lock(turn, evse, call)


def closed(turn: Turn, evse: EvseId, reason: StopReason, claim: Claim) -> None:
    """Let the plug go after a session, or keep it for who locked it."""
    if not turn.policy.evse(evse).has_lock:
        return
    kept = reason is StopReason.DE_AUTHORIZED or (
        reason is StopReason.EV_DISCONNECTED and not turn.settings.unlock_on_ev_disconnect
    )
    now = turn.state.evse(evse)
    if kept:
        turn.put(now.leave(Left(now.finishing, claim)))
    elif reason is not StopReason.UNLOCK_COMMAND:
        open_lock(turn, now)


def claimed(turn: Turn, id_token: IdToken, group: IdToken | None) -> EvseState | None:
    """Return the EVSE that holds a plug back for this token, or its group."""
    for evse in turn.state.evses:
        claim = evse.left.claim
        if claim is not None and (claim.id_token.key == id_token.key or same_group(claim.group, group)):
            return evse
    return None


def moved(turn: Turn, evse: EvseId, call: CallRef | None, *, opened: bool) -> None:
    """Take what became of the lock, and answer who asked."""
    if not opened:
        turn.effects.append(
            Indicate(evse, "the lock did not open: move the plug a little, and try again", accepted=False)
        )
    if call is not None:
        result = Result.UNLOCKED if opened else Result.UNLOCK_FAILED
        reason = None if opened else "the lock did not open"
        turn.effects.append(Answer(call, Outcome(UnlockConnector(evse), result, reason)))
