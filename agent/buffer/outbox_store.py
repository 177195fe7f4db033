"""The lane of one destination: what still has to go, in the order of the facts; implements ``ports.Outbox``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Final
from uuid import uuid4

from agent.buffer.codec import TOLD_ONCE, load_fact
from agent.buffer.database import Database, Statement
from agent.buffer.timeline import BOOTS, Timeline, doubtful, timeline
from agent.core.facts import SessionSampled, SessionStarted
from agent.core.instant import Instant
from agent.core.model import SessionId
from agent.core.outbox import Queued
from agent.ports import Acknowledged, OutboxRow

WAITING: Final = """
SELECT o.fact, o.message_id, o.session, o.attempts, o.error, o.text, f.kind, f.schema, f.json, d.transaction_id,
    coalesce(b.state = 'quarantined' AND b.fact <> o.fact, 0) AS start_given_up
FROM outbox AS o INDEXED BY outbox_waiting
JOIN fact AS f ON f.seq = o.fact
LEFT JOIN session AS s ON s.id = o.session
LEFT JOIN delivery AS d ON d.session = o.session AND d.destination = o.destination
LEFT JOIN outbox AS b ON b.destination = o.destination AND b.fact = s.start_fact
WHERE o.destination = ? AND o.state = 'queued'
ORDER BY o.fact LIMIT ?
"""
HISTORY: Final = "SELECT kind, schema, json FROM fact WHERE session = ? ORDER BY session_seq"
COUNT: Final = "SELECT count(*) FROM outbox INDEXED BY outbox_waiting WHERE destination = ? AND state = 'queued'"
SENDING: Final = "UPDATE outbox SET text = ? WHERE destination = ? AND fact = ? AND text IS NULL"
NAME: Final = (
    "UPDATE delivery SET transaction_id = ?1 WHERE destination = ?2"
    " AND session = (SELECT session FROM outbox WHERE destination = ?2 AND fact = ?3)"
)
FORGET: Final = (
    "DELETE FROM outbox WHERE destination = ? AND fact = ?"  # noqa: S608  # a constant of the codec
    f" AND (SELECT kind FROM fact WHERE seq = outbox.fact) IN {TOLD_ONCE}"
)
CONFIRM: Final = (
    "UPDATE outbox SET state = 'confirmed', error = NULL, settled_at = ? WHERE destination = ? AND fact = ?"
)
FAILED: Final = (
    "UPDATE outbox SET attempts = ?, error = ? WHERE destination = ? AND fact = ? AND state = 'queued'"
    " AND (attempts <> ? OR error IS NOT ?)"
)
GIVE_UP: Final = (
    "UPDATE outbox SET state = 'quarantined', attempts = ?, error = ?, settled_at = ?"
    " WHERE destination = ? AND fact = ? AND state = 'queued'"
)
OF_SESSION: Final = """
SELECT o.fact, o.state, o.text IS NOT NULL AS was_sent, o.fact = s.start_fact AS is_start
FROM outbox AS o JOIN session AS s ON s.id = o.session WHERE o.destination = ? AND o.session = ? ORDER BY o.fact
"""
FRESH: Final = "state = 'queued', attempts = 0, error = NULL, settled_at = NULL"
AGAIN: Final = f"UPDATE outbox SET {FRESH} WHERE destination = ? AND fact = ?"  # noqa: S608  # the constant above
ANEW: Final = f"UPDATE outbox SET {FRESH}, text = NULL, message_id = ? WHERE destination = ? AND fact = ?"  # noqa: S608  # as above
CALLED: Final = (
    "SELECT d.session FROM delivery AS d JOIN session AS s ON s.id = d.session"
    " WHERE d.destination = ? AND d.transaction_id = ? ORDER BY s.start_fact DESC LIMIT 1"
)


class OutboxStore:
    """The durable lane of one destination. A row's number is that of its fact."""

    def __init__(self, database: Database, destination: str) -> None:
        """Use a destination's rows of a database."""
        self._database = database
        self._destination = destination
        self._not_before: dict[int, float] = {}

    async def rows(self, limit: int) -> tuple[OutboxRow, ...]:
        """Return the oldest rows that still have to go, at most ``limit``; their facts' times as best known now."""
        found = await self._database.read(WAITING, (self._destination, limit))
        facts = [load_fact(row["kind"], row["schema"], row["json"]) for row in found]
        if any(doubtful(fact) for fact in facts):
            times = await self._timeline()
            facts = [times.corrected_fact(fact) for fact in facts]
        return tuple(
            OutboxRow(
                message=self._queued(row),
                fact=fact,
                text=row["text"],
                transaction=None if row["transaction_id"] is None else json.loads(row["transaction_id"]),
                start_given_up=bool(row["start_given_up"]),
            )
            for row, fact in zip(found, facts, strict=True)
        )

    async def history(self, session: SessionId) -> tuple[SessionStarted | SessionSampled, ...]:
        """Return the start and the readings of a session in their order, their times as best known now."""
        found = await self._database.read(HISTORY, (session,))
        times = await self._timeline()
        facts = (times.corrected_fact(load_fact(row["kind"], row["schema"], row["json"])) for row in found)
        return tuple(fact for fact in facts if isinstance(fact, SessionStarted | SessionSampled))

    async def sending(self, texts: Sequence[tuple[int, str]]) -> None:
        """Keep the frames (row, text) before they leave for the first time; a frame once kept never changes."""
        await self._database.write([(SENDING, (text, self._destination, row)) for row, text in texts])

    async def acknowledge(self, acknowledged: Sequence[Acknowledged]) -> None:
        """Take rows out of the lane because they were confirmed, also late, and keep the transactions' names."""
        lane = self._destination
        named = [a for a in acknowledged if a.transaction is not None]
        names: list[Statement] = [(NAME, (json.dumps(a.transaction), lane, a.row)) for a in named]
        forgotten: list[Statement] = [(FORGET, (lane, a.row)) for a in acknowledged]
        confirmed: list[Statement] = [(CONFIRM, (a.at.wall.isoformat(), lane, a.row)) for a in acknowledged]
        await self._database.write([*names, *forgotten, *confirmed])
        for one in acknowledged:
            self._not_before.pop(one.row, None)

    async def failed(self, message: Queued) -> None:
        """Keep the attempts used and the last error of a message that stays in the lane.

        When it may go again is known until the process ends; after that it goes at once.
        """
        self._not_before[message.row] = message.not_before
        durable = (message.attempts, message.error)
        await self._database.write([(FAILED, (*durable, self._destination, message.row, *durable))])

    async def give_up(self, message: Queued, error: str, at: Instant) -> None:
        """Move a message to quarantine: kept, shown, out of the way of those behind it."""
        settled = (message.attempts, error, at.wall.isoformat())
        await self._database.write([(GIVE_UP, (*settled, self._destination, message.row))])
        self._not_before.pop(message.row, None)

    async def resend(self, session: SessionId) -> int:
        """Put what was given up of a session back into the lane, and return how many messages that is.

        A message keeps its id and its text, so that a central system which had taken it can tell. Only what followed a
        start that was given up went out with no transaction (-1), or not at all: it becomes new messages, which carry
        the name that the start gets now.
        """
        rows = await self._database.read(OF_SESSION, (self._destination, session))
        given_up = {row["fact"] for row in rows if row["state"] == "quarantined"}
        nameless = any(row["is_start"] and row["fact"] in given_up for row in rows)
        again: list[Statement] = []
        for row in rows:
            if nameless and not row["is_start"] and row["was_sent"]:
                again.append((ANEW, (str(uuid4()), self._destination, row["fact"])))
            elif row["fact"] in given_up:
                again.append((AGAIN, (self._destination, row["fact"])))
        if again:
            await self._database.write(again)
            for row in rows:
                self._not_before.pop(row["fact"], None)
        return len(again)

    async def session_of(self, transaction: int | str) -> SessionId | None:
        """Return the session that this destination calls so, the newest where it has used a name again."""
        found = await self._database.read(CALLED, (self._destination, json.dumps(transaction)))
        return SessionId(found[0]["session"]) if found else None

    async def count(self) -> int:
        """Return how many messages still have to go, held ones not counted."""
        ((count,),) = await self._database.read(COUNT, (self._destination,))
        return int(count)

    async def _timeline(self) -> Timeline:
        return timeline(await self._database.read(BOOTS))

    def _queued(self, row: sqlite3.Row) -> Queued:
        return Queued(
            row=row["fact"],
            message_id=row["message_id"],
            session=None if row["session"] is None else SessionId(row["session"]),
            attempts=row["attempts"],
            not_before=self._not_before.get(row["fact"], 0.0),
            error=row["error"],
        )
