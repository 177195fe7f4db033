"""The loop: the single owner of the state. Events in, one step each, applied in the order safety, commit, effects."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from agent.core.commands import Outcome, Result
from agent.core.deadlines import next_deadline
from agent.core.effects import Answer, Effect, Energise, SafetyEffect, Stop
from agent.core.errors import JournalError
from agent.core.events import (
    AuthorizationAnswered,
    CommandReceived,
    Event,
    EvseRead,
    LedgerChanged,
    LinkAnswered,
    MeterRead,
    StartAnswered,
    Ticked,
    TokenTold,
)
from agent.core.facts import MeterSampled
from agent.core.instant import Instant
from agent.core.policy import Policy
from agent.core.security_events import SecurityNoticed
from agent.core.security_model import SecurityEventKind
from agent.core.state import StationState, durable, same_slices
from agent.core.station import step
from agent.core.turn import Step
from agent.ports import Clock, Journal

log = structlog.get_logger(__name__)

INBOX_LIMIT: Final = 1000
"""Above this, polls that a newer one replaces are dropped; cards, answers and commands never are."""
TOGETHER: Final = 64
"""So many commands, at most, share a commit."""
JOURNAL_RETRY_S: Final = 5.0
"""What could not be committed is tried again so long after."""


class Loop:
    """Applies events to the state, one at a time, in order of arrival."""

    def __init__(
        self,
        state: StationState,
        policy: Policy,
        *,
        clock: Clock,
        journal: Journal,
        safety: Callable[[SafetyEffect], None],
        perform: Callable[[Effect], None],
        committed: Callable[[], None],
    ) -> None:
        """Own the state from here on.

        safety and perform carry out effects, committed hears of new facts; none of them waits.
        """
        self._state = state
        self._policy = policy
        self._clock = clock
        self._journal = journal
        self._safety = safety
        self._perform = perform
        self._heard = committed
        self._inbox: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._first: deque[Callable[[StationState, Instant, Policy], Step]] = deque()
        self._deferred: list[Event] = []
        self._retry_at = 0.0
        self.journal_error: str | None = None
        self.steps = 0

    @property
    def state(self) -> StationState:
        """The state after the last step that was committed."""
        return self._state

    def post(self, event: Event) -> None:
        """Take an event; never waits. When too many wait, polls are dropped: the next one tells the same, newer."""
        if len(self._inbox) >= INBOX_LIMIT and isinstance(event, MeterRead | EvseRead | Ticked):
            return
        self._inbox.append(event)
        self._arrived.set()

    async def begin(self, *first: Callable[[StationState, Instant, Policy], Step]) -> None:
        """Apply the steps that come from no event (recovery), in order; what cannot be committed yet is tried again."""
        self._first.extend(first)
        await self._begin()

    def refuse(self, error: str | None) -> None:
        """Take that the ledger takes nothing, and why; None: that it does. The core hears of it."""
        if error is None and self.journal_error is not None:
            log.info("the ledger can be written again")
            self.post(SecurityNoticed(SecurityEventKind.MEMORY_EXHAUSTION, self.journal_error))
        elif error is not None and self.journal_error is None:
            log.warning("the ledger cannot be written: nothing new starts until it can", cause=error)
        if error != self.journal_error:
            self._inbox.appendleft(LedgerChanged(error))  # before whatever has come in meanwhile is decided on
            self._arrived.set()
        self.journal_error = error

    async def run(self) -> None:
        """Apply events for ever; returns only by cancellation."""
        while True:
            await self._wait()
            await self.drain()
            if self._due():
                await self._take(Ticked())

    async def drain(self) -> None:
        """Apply what has arrived, and return."""
        while self._inbox:
            event = self._inbox.popleft()
            if isinstance(event, CommandReceived) and self.journal_error is None:
                await self._take_together(event)
            else:
                await self._take(event)

    async def _wait(self) -> None:
        """Return when an event or a deadline has come."""
        if self._inbox:
            return
        self._arrived.clear()
        deadline = self._deadline()
        if deadline is None:
            await self._arrived.wait()
            return
        try:
            async with asyncio.timeout(max(deadline - self._clock.now().mono, 0.0)):
                await self._arrived.wait()
        except TimeoutError:
            return

    def _due(self) -> bool:
        deadline = self._deadline()
        return deadline is not None and deadline <= self._clock.now().mono

    def _deadline(self) -> float | None:
        """Return when to tick next; what could not be committed is not due again before the ledger is tried again."""
        deadline = next_deadline(self._state, self._policy)
        if self._first:
            return self._retry_at
        if deadline is None or self.journal_error is None:
            return deadline
        return max(deadline, self._retry_at)

    async def _begin(self) -> None:
        while self._first and await self._apply(self._first[0](self._state, self._clock.now(), self._policy)):
            self._first.popleft()

    async def _take_together(self, first: CommandReceived) -> None:
        """Apply commands that wait one behind the other with one commit for all, so that a slow disk holds up none.

        Where that commit fails, none of it has happened, and each is taken by itself.
        """
        events: list[Event] = [first]
        while self._inbox and isinstance(self._inbox[0], CommandReceived) and len(events) < TOGETHER:
            events.append(self._inbox.popleft())
        if len(events) == 1:
            await self._take(first)
            return
        steps: list[Step] = []
        for event in events:
            before = steps[-1].state if steps else self._state
            steps.append(step(before, event, self._clock.now(), self._policy))
            self._cut(steps[-1])
        if await self._committed(_joined(steps)):
            self._happen(_joined(steps), durably=True)
            return
        for event in events:
            await self._take(event)

    async def _take(self, event: Event) -> None:
        at = self._clock.now()
        if at.mono >= self._retry_at:
            await self._begin()
            self._inbox.extend(self._deferred)
            self._deferred.clear()
        applied = await self._apply(step(self._state, event, at, self._policy))
        if not applied and isinstance(event, StartAnswered | LinkAnswered | TokenTold | AuthorizationAnswered):
            self._deferred.append(event)

    async def _apply(self, result: Step) -> bool:
        """Apply a step: safety never waits for the disk; nothing visible happens before the commit.

        Returns False where the commit failed: the step has not happened, and who waits for an answer is refused. Only
        what cuts power without a fact, or ends the daemon, happens all the same: the next commit carries it.
        """
        self._cut(result)
        durably = await self._committed(result)
        if not durably and not self._may_wait(result):
            self._refuse(result)
            return False
        self._happen(result, durably=durably)
        return True

    def _cut(self, result: Step) -> None:
        for cut in result.safety:
            self._safety(cut)

    def _happen(self, result: Step, *, durably: bool) -> None:
        """Make a step's state the present one, and carry out its effects."""
        self._state = result.state
        for effect in result.effects:
            if not isinstance(effect, Energise) or self.journal_error is None:  # no power that might go unrecorded
                self._perform(effect)
        if result.facts and durably:
            self._heard()
        self.steps += 1

    async def _committed(self, result: Step) -> bool:
        """Make a step durable; one without anything new is a chance to see whether a ledger that failed works again."""
        slices, now = durable(result.state), self._clock.now()
        is_idle = not result.facts and same_slices(slices, durable(self._state))
        if is_idle and (self.journal_error is None or now.mono < self._retry_at):
            return True
        try:
            if is_idle:
                await self._journal.check()
            await self._journal.commit(slices, result.facts, now)
        except JournalError as error:
            self._retry_at = now.mono + JOURNAL_RETRY_S
            self.refuse(str(error))
            return False
        self.refuse(None)
        return True

    def _may_wait(self, result: Step) -> bool:
        """Tell whether a step may happen before it is durable: a kill would only undo that power was cut.

        A reading between sessions is not worth that nobody knows how the meter is.
        """
        if any(not isinstance(fact, MeterSampled) for fact in result.facts):
            return False
        ends = any(isinstance(effect, Stop) for effect in result.effects)
        return ends or bool(result.safety) or same_slices(durable(result.state), durable(self._state))

    def _refuse(self, result: Step) -> None:
        for effect in result.effects:
            if isinstance(effect, Answer):
                reason = self.journal_error or "the ledger cannot be written: check the disk's space"
                self._perform(Answer(effect.call, Outcome(effect.outcome.command, Result.REJECTED, reason)))


def _joined(steps: Sequence[Step]) -> Step:
    """Return steps that follow one another as one."""
    return Step(
        safety=tuple(cut for one in steps for cut in one.safety),
        state=steps[-1].state,
        facts=tuple(fact for one in steps for fact in one.facts),
        effects=tuple(effect for one in steps for effect in one.effects),
    )
