"""What a run of the process stands on: who signs, an empty ledger, why the last run ended, and the version."""

from __future__ import annotations

import secrets

from agent import __version__
from agent.buffer.chain import Station as Signing
from agent.buffer.journal import PreviousRun
from agent.core.company import Company
from agent.core.model import EvseId, StopReason
from agent.core.settings import Overrides
from agent.core.state import Availability, Durable, IdSource, Tokens
from agent.runtime.config import AgentConfig


def signing(config: AgentConfig) -> Signing:
    """Return what evidence records say of the station and its connectors."""
    connectors = {EvseId(n): c for n, c in enumerate(config.connectors, start=1)}
    return Signing(
        id=config.station.id,
        version=version(),
        evse_ids={n: c.evse_id for n, c in connectors.items()},
        meters={n: c.meter.model for n, c in connectors.items()},
    )


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


def version() -> str:
    """Return the installed version of the agent."""
    return __version__
