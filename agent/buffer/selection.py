"""Which sessions may belong to a span of time, without reading the others.

A session belongs to the time of its end, corrected as is known now (see ``timeline``). A corrected wall-clock time is
either the stored one or the beginning of its boot plus the monotonic time. So what an index by the one and an index by
the other find is all that can belong to a span; which of them do is told by their records.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from math import inf
from typing import Final

from agent.buffer.timeline import Timeline

EVERY: Final = "SELECT start_fact FROM session ORDER BY start_fact DESC"
OPEN: Final = "SELECT start_fact FROM session WHERE end_fact IS NULL"
ENDED: Final = """
SELECT s.start_fact FROM fact AS f JOIN session AS s ON s.end_fact = f.seq
WHERE f.kind = 'session-ended' AND f.wall >= ? AND f.wall < ?
"""
ENDED_IN_BOOT: Final = """
SELECT s.start_fact FROM fact AS f JOIN session AS s ON s.end_fact = f.seq
WHERE f.kind = 'session-ended' AND f.boot = ? AND f.mono >= ? AND f.mono <= ?
"""
FIRST: Final = ""
LAST: Final = "~"
"""Texts before and after any moment's."""
ROUNDING_S: Final = 1.0
"""More than what seconds lose as floating-point numbers."""


def all_starts(connection: sqlite3.Connection) -> Iterator[int]:
    """Yield the numbers of the facts that began sessions, newest first, read as they are asked for."""
    return (seq for (seq,) in connection.execute(EVERY))


def starts_within(
    connection: sqlite3.Connection, times: Timeline, since: datetime | None, until: datetime | None
) -> Iterator[int]:
    """Yield the same of all sessions that ended within the limits (UTC) or are open, and perhaps of some others."""
    found = {seq for (seq,) in connection.execute(OPEN)}
    walls = (FIRST if since is None else since.isoformat(), LAST if until is None else until.isoformat())
    found.update(seq for (seq,) in connection.execute(ENDED, walls))
    for boot, began in {**times.guessed, **times.anchored}.items():
        first = -inf if since is None else (since - began).total_seconds() - ROUNDING_S
        last = inf if until is None else (until - began).total_seconds() + ROUNDING_S
        found.update(seq for (seq,) in connection.execute(ENDED_IN_BOOT, (boot, first, last)))
    return iter(sorted(found, reverse=True))
