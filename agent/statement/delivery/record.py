"""The durable record of deliveries: from when on a recipient gets statements, and how far each month has come."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from datetime import datetime
from typing import Final

from agent.buffer.codec import dump, load
from agent.buffer.database import Database
from agent.buffer.timeline import BOOTS, timeline
from agent.core.facts import SCHEMA
from agent.core.instant import Instant
from agent.statement.delivery.plan import Shipment, Standing
from agent.statement.month import Month, month_of

RECIPIENTS: Final = "SELECT name FROM statement_recipient"
FORGET: Final = "DELETE FROM statement_recipient WHERE name = ?"
MEET: Final = "INSERT INTO statement_recipient (name, since) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
SINCE: Final = "SELECT since FROM statement_recipient WHERE name = ?"
ROWS: Final = "SELECT * FROM statement_delivery WHERE name = ? ORDER BY month"
PUT: Final = """
INSERT OR REPLACE INTO statement_delivery
    (name, month, state, edition, turn, figures, done, settled, attempts, error, tried)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class Record:
    """The record, in the ledger."""

    def __init__(self, database: Database) -> None:
        """Use an open ledger."""
        self._database = database

    async def forget(self, configured: Collection[str]) -> None:
        """Let recipients that are configured no more be new ones when they come back. Raises: JournalError."""
        known = [name for (name,) in await self._database.read(RECIPIENTS)]
        await self._database.write([(FORGET, (name,)) for name in known if name not in configured])

    async def met(self, name: str, now: Instant) -> Instant:
        """Return since when a recipient is known, from now on where it is new. Raises: JournalError."""
        if not await self._database.read(SINCE, (name,)):
            await self._database.write([(MEET, (name, dump(now)))])
        ((since,),) = await self._database.read(SINCE, (name,))
        return load(Instant, SCHEMA, since)

    async def corrected(self, moment: Instant) -> Instant:
        """Return a moment as it is known now. Raises: JournalError."""
        return timeline(await self._database.read(BOOTS)).corrected(moment)

    async def rows(self, name: str) -> dict[Month, Shipment]:
        """Return what was, or is to be, delivered to a recipient, oldest first. Raises: JournalError."""
        shipments = [_shipment(row) for row in await self._database.read(ROWS, (name,))]
        return {row.month: row for row in shipments}

    async def keep(self, row: Shipment) -> None:
        """Make a row durable. Raises: JournalError."""
        done, tried = json.dumps(sorted(row.done)), None if row.tried is None else row.tried.isoformat()
        key = (row.name, str(row.month), row.standing.value)
        which = (row.edition, row.turn, row.figures, done, int(row.settled))
        await self._database.write([(PUT, (*key, *which, row.attempts, row.error, tried))])


def _shipment(row: sqlite3.Row) -> Shipment:
    return Shipment(
        name=row["name"],
        month=month_of(row["month"]),
        standing=Standing(row["state"]),
        edition=row["edition"],
        turn=row["turn"],
        figures=row["figures"],
        done=frozenset(json.loads(row["done"])),
        settled=bool(row["settled"]),
        attempts=row["attempts"],
        error=row["error"],
        tried=None if row["tried"] is None else datetime.fromisoformat(row["tried"]),
    )
