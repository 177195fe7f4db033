"""Delivers a destination's lane over one connection: rows in order, each until it is taken or given up.

Frames are kept before they leave for the first time, answers in groups; only the answer to a start is kept before
anything that depends on it leaves. Source: OCPP 1.6 ed. 2, section 3.7.1; errata 3.18.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

import structlog

from agent.core.events import Event, StartAnswered, TokenTold
from agent.core.facts import Fact, FirmwareTold, LogTold, SessionEnded, SessionSampled, SessionStarted
from agent.core.instant import Instant
from agent.core.model import IdToken, SessionId
from agent.core.outbox import Failure, GiveUp, Idle, Queued, RetryPolicy, Send, Wait, after_failure, choose
from agent.core.settings import Settings
from agent.ocpp.dialect import Call, Dialect, Encoded, NotYet, Skip, Taken
from agent.ocpp.rpc import JsonObject, frame
from agent.ports import Acknowledged, Clock, Outbox, OutboxRow

log = structlog.get_logger(__name__)

BATCH: Final = 16
"""So many rows are read, kept as sent, and acknowledged together: with an SD card's fsync only grouping counts."""
REMEMBERED: Final = 64
LEDGER_S: Final = 5.0
"""A ledger that could not be written is tried again so long after."""
SESSIONS: Final = "a message about a session"
ORPHAN: Final = "the start of its session was never answered, and is not in the lane any more"


@dataclass(frozen=True, slots=True)
class _Settled:
    """A message that was taken, not yet durably; event: what the core hears once it is."""

    acknowledged: Acknowledged
    event: Event | None


def of_sessions(settings: Settings) -> RetryPolicy:
    """Return how often a message about a session is tried (OCPP 1.6 ed. 2, section 3.7.1)."""
    return RetryPolicy(settings.message_attempts, settings.message_retry_interval_s)


class Lane:
    """The rows of one destination that are under way."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        post: Callable[[Event], None],
        settings: Callable[[], Settings],
        *,
        anchor: Callable[[Instant], Awaitable[None]],
        policy: Callable[[Settings], RetryPolicy] = of_sessions,
        what: str = SESSIONS,
    ) -> None:
        """Deliver ``outbox``; opens nothing.

        anchor: awaited before rows are read, to have their times corrected; policy: how often a message is tried;
        what: a message is, in words.
        """
        self._policy = policy
        self._what = what
        self._outbox = outbox
        self._clock = clock
        self._post = post
        self._settings = settings
        self._anchor = anchor
        self._batch: deque[tuple[OutboxRow, str]] = deque()
        self._settled: list[_Settled] = []
        self._overdue: OrderedDict[str, OutboxRow] = OrderedDict()
        self._names: OrderedDict[SessionId, int | str] = OrderedDict()
        self._more = True
        self._waiting = 0
        self._still = False
        self.wait_until: float | None = None
        self.error: str | None = None

    @property
    def queued(self) -> int:
        """How many messages still have to go, as last counted."""
        return max(self._waiting - len(self._settled), 0)

    def wake(self) -> None:
        """There may be new rows."""
        self._more = True

    def restart(self) -> None:
        """A new connection, or registration: what was prepared is read anew; a message that failed waits on."""
        self._batch.clear()
        self._overdue.clear()
        self._more = True
        self.wait_until = None

    def stand_still(self, words: str) -> None:
        """Take that the ledger cannot be written or read: look again later; what was answered is kept until then."""
        self._batch.clear()
        self._more = True
        self.error = words
        self._still = True
        self.wait_until = self._clock.now().mono + LEDGER_S

    def ready(self, now: float) -> bool:
        """Tell whether there may be something to send now."""
        if self._batch:
            return True
        return self._more if self.wait_until is None else now >= self.wait_until

    async def next(self, dialect: Dialect, now: float) -> tuple[OutboxRow, str] | None:
        """Return the next row with its frame, durable by now; None where nothing can go. Raises: JournalError."""
        if not self._batch:
            await self._fill(dialect, now)
        if not self._batch:
            return None
        self._remind(self._batch[0][0])
        return self._batch[0]

    async def answered(self, row: OutboxRow, result: JsonObject, dialect: Dialect) -> None:
        """Take a CALLRESULT; one that cannot be used counts as a failure. Raises: JournalError."""
        try:
            taken = dialect.results.taken(row.fact, result)
        except ValueError as error:
            await self.failed(row, Failure.REFUSED, f"the answer cannot be used: {error}")
            return
        await self._take(row, taken)

    async def failed(self, row: OutboxRow, failure: Failure, error: str) -> None:
        """Take that a message was not taken: it is tried again later, or given up. Raises: JournalError."""
        self._batch.clear()
        self._more = True
        if failure is Failure.TIMED_OUT:
            self._overdue[row.message.message_id] = row
            while len(self._overdue) > REMEMBERED:
                self._overdue.popitem(last=False)
        self.error = f"{self._what} was not taken: {error}"
        await self.flush()
        policy, now = self._policy(self._settings()), self._clock.now()
        if isinstance(row.fact, FirmwareTold | LogTold) and failure is Failure.REFUSED:
            policy = replace(policy, attempts=1)  # how a job stands is not told twice to who refuses it
        after = after_failure(row.message, failure, policy, now.mono, error=error)
        if isinstance(after, GiveUp):
            self.wait_until = None
            await self._give_up(row, after.message, after.error)
        else:
            self.wait_until = after.not_before
            await self._outbox.failed(after)

    async def late(self, message_id: str, result: JsonObject, dialect: Dialect) -> bool:
        """Take an answer that came after its time-out: it counts, and spares the next try.

        It counts for a message given up since, too. Returns False for the answer to another kind of CALL.
        Raises: JournalError.
        """
        row = self._overdue.pop(message_id, None)
        if row is None:
            return False
        try:
            taken = dialect.results.taken(row.fact, result)
        except ValueError as error:
            log.warning("a late answer is of no use", cause=str(error))
            return True
        self._batch.clear()
        self._more = True
        self.wait_until = None
        await self._take(row, taken)
        await self.flush()
        return True

    async def flush(self) -> None:
        """Make durable what was taken, in one commit, then tell the core. Raises: JournalError, forgetting nothing."""
        if not self._settled:
            return
        settled = tuple(self._settled)
        await self._outbox.acknowledge([one.acknowledged for one in settled])
        self._settled = self._settled[len(settled) :]
        self._waiting = max(self._waiting - len(settled), 0)
        for one in settled:
            if one.event is not None:
                self._post(one.event)
        await self.count()

    async def count(self) -> None:
        """Count what still has to go. Raises: JournalError."""
        self._waiting = await self._outbox.count()

    async def _take(self, row: OutboxRow, taken: Taken) -> None:
        self._drop(row)
        self._overdue.pop(row.message.message_id, None)
        self.error = None
        acknowledged = Acknowledged(row.message.row, self._clock.now(), taken.transaction)
        self._settled.append(_Settled(acknowledged, _event(row.fact, taken)))
        if isinstance(row.fact, SessionStarted):
            self._batch.clear()
            self._more = True
            await self.flush()
            if taken.transaction is not None:
                self._name(row.fact.session, taken.transaction)
        elif len(self._settled) >= BATCH or not self._batch:
            await self.flush()

    async def _give_up(self, row: OutboxRow, message: Queued, error: str) -> None:
        log.error("message given up, kept apart", session=row.message.session, cause=error)
        await self._outbox.give_up(message, error, self._clock.now())
        if isinstance(row.fact, SessionStarted):
            self._post(StartAnswered(row.fact.session, None, row.fact.id_token, None))
        await self.count()

    def _remind(self, row: OutboxRow) -> None:
        """Tell the core a name that an earlier run kept in the ledger, perhaps in the very moment of its end."""
        if not isinstance(row.fact, SessionSampled) or row.transaction is None or row.fact.session in self._names:
            return
        self._name(row.fact.session, row.transaction)
        nobody = IdToken("")  # without a verdict it does not matter whose it is
        self._post(StartAnswered(row.fact.session, row.transaction, nobody, None))

    def _name(self, session: SessionId, transaction: int | str) -> None:
        self._names[session] = transaction
        while len(self._names) > REMEMBERED:
            self._names.popitem(last=False)

    async def _with_history(self, row: OutboxRow) -> OutboxRow:
        """Return the end of a session with the readings that are to go with it."""
        settings = self._settings()
        wanted = settings.stop_sampled_measurands or settings.stop_aligned_measurands
        if row.text is not None or not wanted or not isinstance(row.fact, SessionEnded):
            return row
        return replace(row, history=await self._outbox.history(row.fact.session))

    def _drop(self, row: OutboxRow) -> None:
        if self._batch and self._batch[0][0].message.row == row.message.row:
            self._batch.popleft()

    async def _fill(self, dialect: Dialect, now: float) -> None:
        """Read, encode and keep the next rows; those that are nothing in this version are taken out of the lane."""
        await self.flush()
        await self._anchor(self._clock.now())
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
        if self._still:
            self._still, self.error = False, None

    async def _prepare(self, rows: tuple[OutboxRow, ...], dialect: Dialect) -> None:
        """Fill the batch with what can go; a first row that will never be able to go blocks nobody."""
        self._more = True
        fresh: list[tuple[int, str]] = []
        ready: list[tuple[OutboxRow, str]] = []
        for bare in rows:
            row = await self._with_history(bare)
            text = row.text or _text(row, dialect.requests.encode(row, self._settings()))
            if isinstance(text, NotYet):
                break
            if isinstance(text, Skip):
                self._settled.append(_Settled(Acknowledged(row.message.row, self._clock.now()), None))
                continue
            fresh += [(row.message.row, text)] if row.text is None else []
            ready.append((row, text))
            if row.start_given_up and row.transaction is None:
                break  # the start may still be answered, late; then the rows behind this one carry its name
        if fresh:
            await self._outbox.sending(fresh)
        self._batch.extend(ready)
        if not ready and not self._settled:
            await self._give_up(rows[0], replace(rows[0].message, error=ORPHAN), ORPHAN)
        elif not ready:
            await self.flush()


def _text(row: OutboxRow, encoded: Encoded) -> str | Skip | NotYet:
    """Return the frame of a message, or why there is none."""
    if isinstance(encoded, Call):
        return frame(row.message.message_id, encoded.action, encoded.payload)
    return encoded


def _event(fact: Fact, taken: Taken) -> Event | None:
    """Return what the core hears of an answer."""
    if isinstance(fact, SessionStarted):
        return StartAnswered(fact.session, taken.transaction, fact.id_token, taken.info)
    if taken.info is not None and taken.id_token is not None:
        return TokenTold(taken.id_token, taken.info)
    return None
