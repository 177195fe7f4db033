"""What a run of the daemon begins with: the state of a new ledger, and why the run before ended."""

from __future__ import annotations

import secrets

from agent.buffer.journal import PreviousRun
from agent.core.company import Company
from agent.core.model import StopReason
from agent.core.settings import Overrides
from agent.core.state import Availability, Durable, IdSource, Tokens


def new_ledger() -> Durable:
    """Return the durable state of a station that has never run; its ids come from a seed of its own."""
    return Durable(
        sessions={},
        availability={},
        tokens=Tokens(),
        overrides=Overrides(),
        company=Company(),
        ids=IdSource(seed=secrets.token_hex(16)),
        station=Availability(),
    )


def cause_of(previous: PreviousRun | None, boot: int) -> StopReason:
    """Return why the last run ended: the process alone, or the machine without being stopped in order."""
    if previous is None or previous.boot == boot or previous.ended is not None:
        return StopReason.REBOOT
    return StopReason.POWER_LOSS
