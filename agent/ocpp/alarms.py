"""The lane of security events beside that of the sessions: neither holds up the other.

Source: Improved security for OCPP 1.6-J, ed. 3, A04.FR.02 (delivery is guaranteed).
"""

from __future__ import annotations

from typing import Final

from agent.core.facts import SecurityEventRaised
from agent.core.outbox import RetryPolicy
from agent.core.settings import Settings
from agent.ocpp.rpc import Refused
from agent.ports import OutboxRow

EVENTS: Final = "a security event"
ATTEMPTS: Final = 50
"""So often an event is tried on links that hold: about two days. It stays in the station's own log in any case."""
LONGEST_S: Final = 3600.0
UNKNOWN: Final = frozenset({"NotImplemented", "NotSupported"})
"""How a central system says that it has no use for security events."""


def of_events(settings: Settings) -> RetryPolicy:
    """Return how often a security event is tried."""
    return RetryPolicy(ATTEMPTS, max(settings.message_retry_interval_s, 1), LONGEST_S)


def is_unwanted(row: OutboxRow, reply: Refused | None) -> bool:
    """Tell whether a central system does not know security events, so that it need not be told again."""
    return reply is not None and reply.code in UNKNOWN and isinstance(row.fact, SecurityEventRaised)
