"""Delivers a destination's lane over one connection: rows in order, each until it is taken or given up.

Frames are kept before they leave for the first time, answers in groups; only the answer to a start is kept before
anything that depends on it leaves. Source: OCPP 1.6 ed. 2, section 3.7.1; errata 3.18.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from agent.core.events import Event, StartAnswered, TokenTold
from agent.core.facts import SessionStarted
from agent.core.outbox import Failure, GiveUp, Idle, RetryPolicy, Send, Wait, after_failure, choose
from agent.core.settings import Settings
from agent.ocpp.dialect import Call, Dialect, NotYet, Skip
from agent.ocpp.rpc import JsonObject, frame
from agent.ports import Acknowledged, Clock, Outbox, OutboxRow

BATCH: Final = 16
"""So many rows are read, kept as sent, and acknowledged together: with an SD card's fsync only grouping counts."""
REMEMBERED: Final = 64
STUCK_S: Final = 60.0
"""A lane whose head cannot be encoded is looked at again so long after."""


class Lane:
    """The rows of one destination that are under way."""

    def __init__(
        self, outbox: Outbox, clock: Clock, post: Callable[[Event], None], settings: Callable[[], Settings]
    ) -> None:
        """Deliver ``outbox``; nothing is read yet."""
        self._outbox = outbox
        self._clock = clock
        self._post = post
        self._settings = settings
        self._batch: deque[tuple[OutboxRow, str]] = deque()
        self._taken: list[Acknowledged] = []
        self._overdue: OrderedDict[str, OutboxRow] = OrderedDict()
        self._more = True
        self.wait_until: float | None = None
        self.queued = 0

    def wake(self) -> None:
        """There may be new rows."""
        self._more = True

    def restart(self) -> None:
        """A new connection: what waits may go at once, and what was prepared is read anew."""
        self._batch.clear()
        self._overdue.clear()
        self._more = True
        self.wait_until = None

    def ready(self, now: float) -> bool:
        """Tell whether there may be something to send now."""
        if self._batch:
            return True
        return self._more if self.wait_until is None else now >= self.wait_until

    async def next(self, dialect: Dialect, now: float) -> tuple[OutboxRow, str] | None:
        """Return the next row with its frame, which is durable by now; None where nothing can go."""
        if not self._batch:
            await self._fill(dialect, now)
        return self._batch[0] if self._batch else None

    async def answered(self, row: OutboxRow, result: JsonObject, dialect: Dialect) -> None:
        """Take a CALLRESULT; one that cannot be used counts as a failure."""
        try:
            taken = dialect.results.taken(row.fact, result)
        except ValueError as error:
            await self.failed(row, Failure.REFUSED, f"the answer cannot be used: {error}")
            return
        self._drop(row)
        self._overdue.pop(row.message.message_id, None)
        self._taken.append(Acknowledged(row.message.row, self._clock.now(), taken.transaction))
        if isinstance(row.fact, SessionStarted):
            await self.flush()
            self._batch.clear()
            self._more = True
            self._post(StartAnswered(row.fact.session, taken.transaction, row.fact.id_token, taken.info))
        elif taken.info is not None and taken.id_token is not None:
            self._post(TokenTold(taken.id_token, taken.info))
        if len(self._taken) >= BATCH or not self._batch:
            await self.flush()

    async def failed(self, row: OutboxRow, failure: Failure, error: str) -> None:
        """Take that a message was not taken: it is tried again later, or given up and kept apart."""
        await self.flush()
        self._batch.clear()
        if failure is Failure.TIMED_OUT:
            self._overdue[row.message.message_id] = row
            while len(self._overdue) > REMEMBERED:
                self._overdue.popitem(last=False)
        settings = self._settings()
        policy = RetryPolicy(settings.message_attempts, settings.message_retry_interval_s)
        after = after_failure(row.message, failure, policy, self._clock.now().mono, error=error)
        if isinstance(after, GiveUp):
            await self._outbox.give_up(after.message, after.error, self._clock.now())
            if isinstance(row.fact, SessionStarted):
                self._post(StartAnswered(row.fact.session, None, row.fact.id_token, None))
            self.wait_until = None
        else:
            await self._outbox.failed(after)
            self.wait_until = after.not_before
        self._more = True

    async def late(self, message_id: str, result: JsonObject, dialect: Dialect) -> bool:
        """Take an answer that came after its time-out: it counts, and spares the next try; False for another's."""
        row = self._overdue.pop(message_id, None)
        if row is None:
            return False
        self.wait_until = None
        await self.answered(row, result, dialect)
        return True

    async def flush(self) -> None:
        """Make durable what was taken; one commit."""
        if self._taken:
            taken, self._taken = self._taken, []
            await self._outbox.acknowledge(taken)
            self.queued = await self._outbox.count()

    async def count(self) -> None:
        """Count what still has to go."""
        self.queued = await self._outbox.count()

    def _drop(self, row: OutboxRow) -> None:
        if self._batch and self._batch[0][0].message.row == row.message.row:
            self._batch.popleft()

    async def _fill(self, dialect: Dialect, now: float) -> None:
        """Read, encode and keep the next rows; those that are nothing in this version are taken out of the lane."""
        await self.flush()
        self._more = False
        rows = await self._outbox.rows(BATCH)
        match choose([row.message for row in rows], now):
            case Idle():
                self.wait_until = None
            case Wait(until):
                self.wait_until = until
            case Send():
                self.wait_until = None
                await self._prepare(rows, dialect)

    async def _prepare(self, rows: tuple[OutboxRow, ...], dialect: Dialect) -> None:
        settings, fresh = self._settings(), list[tuple[int, str]]()
        for row in rows:
            match dialect.requests.encode(row, settings):
                case NotYet():
                    break
                case Skip():
                    self._taken.append(Acknowledged(row.message.row, self._clock.now()))
                case Call(action, payload):
                    text = row.text or frame(row.message.message_id, action, payload)
                    if row.text is None:
                        fresh.append((row.message.row, text))
                    self._batch.append((row, text))
        await self._outbox.sending(fresh)
        if self._batch:
            self._more = True
        elif self._taken:
            await self.flush()
            self._more = True
        else:
            self.wait_until = self._clock.now().mono + STUCK_S
