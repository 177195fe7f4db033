"""The deliveries of a station; without any, nothing of what they need is loaded."""

from __future__ import annotations

from agent.buffer.database import Database
from agent.ports import Clock
from agent.runtime.config import AgentConfig
from agent.statement.delivery.office import Office
from agent.statement.delivery.record import Record


def office_of(config: AgentConfig, database: Database, clock: Clock) -> Office:
    """Return the deliveries that the configuration asks for; nothing is opened."""
    record = Record(database)
    if not config.document.delivery:
        return Office((), record)
    from agent.runtime.couriers import couriers_of  # noqa: PLC0415  # fonts, tables and mail take megabytes

    return Office(couriers_of(config, record, clock), record)
