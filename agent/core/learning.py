"""Learning a card by holding one to the reader: it is told to whoever asked, and starts nothing.

Who asks looks again and again; who stops looking (its terminal was closed) is waited for no longer than ``LEASE_S``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from agent.core.card import Learning
from agent.core.commands import LearnCard, Outcome, Result, StopLearning
from agent.core.effects import Indicate
from agent.core.model import IdToken
from agent.core.turn import Turn

LEASE_S: Final = 5.0
"""So long after its last look somebody is thought to wait still."""
LEFT_IN_PEACE_S: Final = 10.0
"""So long a card that was learnt starts nothing: it may be held again while the question about it is answered."""


def learn(turn: Turn, command: LearnCard) -> Outcome:
    """Tell the card that was held since the first look, or wait for it."""
    now, current = turn.at.mono, turn.state.learning
    mine = current is not None and current.learner == command.learner
    if current is not None and mine and current.held is not None:
        return Outcome(command, Result.ACCEPTED, current.held.value)
    refusal = _refusal(turn, command)
    if refusal is not None:
        return Outcome(command, Result.REJECTED, refusal)
    turn.state = replace(turn.state, learning=Learning(command.learner, now + LEASE_S))
    return Outcome(command, Result.SCHEDULED)


def stop(turn: Turn, command: StopLearning) -> Outcome:
    """Wait for a card no longer; one that has come is left in peace all the same."""
    current = turn.state.learning
    if current is not None and current.learner == command.learner and current.held is None:
        turn.state = replace(turn.state, learning=None)
    return Outcome(command, Result.ACCEPTED)


def captured(turn: Turn, id_token: IdToken) -> bool:
    """Take a touch that is only to be told to somebody; returns whether it was one."""
    current = turn.state.learning
    if current is None or turn.at.mono >= current.until:
        return False
    if current.held is not None:
        return current.held.key == id_token.key
    held = replace(current, held=id_token, until=turn.at.mono + LEFT_IN_PEACE_S)
    turn.state = replace(turn.state, learning=held)
    turn.effects.append(
        Indicate(None, f"card {id_token.masked} was held to be learnt; it starts nothing", accepted=True)
    )
    return True


def _refusal(turn: Turn, command: LearnCard) -> str | None:
    """Return why no card can be waited for, None where one can."""
    if not turn.policy.reader:
        return "the station has no card reader: set rfid.reader, or type the UID with `wallbox-agent cards add UID`"
    if turn.state.reader_error is not None:
        return f"no card can be read: {turn.state.reader_error}"
    current = turn.state.learning
    others = current is not None and current.learner != command.learner and current.held is None
    if current is not None and others and turn.at.mono < current.until:
        return "somebody else waits for a card at this moment: try again in some seconds"
    return None
