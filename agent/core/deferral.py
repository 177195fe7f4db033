"""Times of the wall clock as deadlines of the monotonic one."""

from __future__ import annotations

from datetime import datetime

from agent.core.instant import Instant


def after(now: Instant, wall: datetime) -> float:
    """Return the monotonic second at which the wall clock will show a time, if nothing sets it; now for a past one."""
    return now.mono + max((wall - now.wall).total_seconds(), 0.0)
