"""Restart a service on the failures listed for it, with growing, jittered delays; anything else ends the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import structlog

from agent.ports import Clock

log = structlog.get_logger(__name__)

DELAYS_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""As the card readers' notes have them; the last one for ever."""
STABLE_S: Final = 60.0
JITTER: Final = 0.2


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    clock: Clock,
    failures: tuple[type[Exception], ...],
    failed: Callable[[Exception], None],
    chance: Callable[[], float],
) -> None:
    """Run a service for ever.

    failures: what it is restarted on; ``failed`` is told each time. chance: numbers in [0, 1) for the jitter.
    Returns only by cancellation, or with an exception that is not listed.
    """
    delays = _delays()
    while True:
        began = clock.now().mono
        try:
            await run()
        except failures as error:
            failed(error)
            log.debug("service failed", service=name, error=str(error))
        if clock.now().mono - began >= STABLE_S:
            delays = _delays()
        await clock.sleep_until(clock.now().mono + next(delays) * (1 + JITTER * chance()))


def _delays() -> Iterator[float]:
    yield from DELAYS_S
    while True:
        yield DELAYS_S[-1]
