"""Readings at even times of the day, in a session and between sessions.

The grid begins at local midnight. It needs a clock that can be trusted: without one there are no such readings. While a
session keeps its energy to itself (private, held, or logging off) nothing of its connector is told.
Source: OCPP 1.6 ed. 2, sections 3.16, 4.7 and 9.1.6; contract, promise 11 and section 5.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from agent.core.calendar import Grid, next_local
from agent.core.company import reporting
from agent.core.effects import PollMeter
from agent.core.facts import MeterSampled
from agent.core.instant import Instant, TimeStatus
from agent.core.model import Profile, Reading, ReadingContext, Reporting
from agent.core.sampling import offered, record
from agent.core.state import EvseState, Phase
from agent.core.turn import Turn

LATE_S: Final = 10.0
"""A reading that comes so long after its time stands for it no more."""
MIDNIGHT: Final = time()
ANY: Final = timedelta(days=1, hours=2)
"""Longer than any local day."""


def due(turn: Turn) -> None:
    """Have the meters read when a time of the grid has come, and plan the next."""
    interval, grid = turn.settings.clock_aligned_interval_s, turn.state.grid
    if interval == 0 or turn.at.status is not TimeStatus.SYNCHRONISED:
        if grid is not None:
            turn.state = replace(turn.state, grid=None)
        return
    if grid is not None and grid.interval_s == interval:
        if turn.at.mono < grid.due:
            return
        for evse in turn.state.evses:
            _ask(turn, evse, Instant(grid.due, grid.wall, turn.at.status, turn.at.boot))
    wall = next_time(turn.at.wall, interval, turn.policy.timezone)
    ahead = (wall - turn.at.wall).total_seconds()
    turn.state = replace(turn.state, grid=Grid(interval, wall, turn.at.mono + ahead))


def next_time(after: datetime, interval_s: int, timezone: str) -> datetime:
    """Return the first time of the grid after a moment (UTC); each local day begins it anew."""
    zone = ZoneInfo(timezone)
    midnight = next_local(after - ANY, MIDNIGHT, zone)
    following = next_local(midnight, MIDNIGHT, zone)
    while following <= after:
        midnight, following = following, next_local(following, MIDNIGHT, zone)
    steps = int((after - midnight).total_seconds() // interval_s) + 1
    return min(midnight + timedelta(seconds=steps * interval_s), following)


def take(turn: Turn, evse: EvseState, reading: Reading) -> None:
    """Keep a plausible reading for the time of the grid that it was asked for; one that comes too late is dropped."""
    at = evse.aligned
    if at is None or reading.at.mono < at.mono or reading.at.boot != at.boot:
        return
    evse = turn.put(replace(evse, aligned=None))
    if reading.at.mono - at.mono > LATE_S:
        return
    stamped, running = replace(reading, at=at), evse.session
    if running is None:
        if turn.settings.aligned_measurands and reporting(turn.state.company, Profile.FLEET) is Reporting.REPORT:
            turn.facts.append(MeterSampled(evse.id, ReadingContext.CLOCK, offered(turn, evse, stamped)))
    elif running.phase is not Phase.ENDING and evse.recovering is None and running.started.wall <= at.wall:
        record(turn, evse, stamped, ReadingContext.CLOCK)


def clock_stepped(turn: Turn) -> None:
    """Plan anew by the clock as it is now."""
    turn.state = replace(turn.state, grid=None)


def _ask(turn: Turn, evse: EvseState, at: Instant) -> None:
    """Have a meter read, where anybody wants the values."""
    settings = turn.settings
    if settings.aligned_measurands or (evse.session is not None and settings.stop_aligned_measurands):
        turn.put(replace(evse, aligned=at))
        turn.effects.append(PollMeter(evse.id))
