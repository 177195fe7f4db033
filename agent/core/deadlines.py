"""When the state has to be looked at again although nothing came in.

Silent devices need no deadline: their polls fail once a second, and each failure is an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from agent.core.availability import must_last
from agent.core.maintenance import deadlines as maintenance_deadlines
from agent.core.policy import Policy
from agent.core.sampling import boundary_pending
from agent.core.session import ending_deadlines
from agent.core.state import EvseState, StationState
from agent.core.waiting import plug_deadline


def next_deadline(state: StationState, policy: Policy) -> float | None:
    """Return the monotonic second of the earliest deadline, None where nothing is waited for."""
    return min(_deadlines(state, policy), default=None)


def _deadlines(state: StationState, policy: Policy) -> Iterator[float]:
    for asking in state.asking:
        yield asking.until if asking.pending else asking.drop
    if state.link_retry is not None and state.cloud.online and state.link_retry[0] < inf:
        yield state.link_retry[0]
    if state.restarting is not None and state.restart_by < inf:
        yield state.restart_by
    if state.grid is not None:
        yield state.grid.due
    if state.reserved_until is not None:
        yield state.reserved_until
    yield from maintenance_deadlines(state.maintenance)
    yield from (given.until for given in state.waiting if given.until is not None)
    settings = state.overrides.over(policy.settings)
    for evse in state.evses:
        yield from _evse_deadlines(evse, policy)
        watched = policy.shared_reader and policy.evse(evse.id).controlled
        until = plug_deadline(state, settings.connection_timeout_s, evse) if watched else None
        if until is not None and not any(a.pending and a.evse == evse.id for a in state.asking):
            yield until


def _evse_deadlines(evse: EvseState, policy: Policy) -> Iterator[float]:
    if evse.grant is not None and evse.grant.until is not None:
        yield evse.grant.until
    if evse.unshown is not None:
        yield evse.unshown.mono + must_last(evse, None, policy)
    if evse.recovering is not None:
        yield evse.recovering
    if evse.allowed.due is not None:
        yield evse.allowed.due
    if boundary_pending(evse) and evse.boundary_due is not None:
        yield evse.boundary_due
    if evse.session is not None and evse.session.ending is not None and evse.recovering is None:
        yield from ending_deadlines(evse, evse.session.ending, policy)
