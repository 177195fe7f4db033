"""Ports: all that core and loop need from outside. One capability each; an adapter has those of its hardware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agent.core.effects import Effect
from agent.core.facts import Fact, SessionSampled, SessionStarted
from agent.core.instant import Instant
from agent.core.model import EvseReading, IdToken, MilliAmp, Reading, SessionId
from agent.core.outbox import Queued
from agent.core.state import Durable


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> Instant:
        """Return this moment by both clocks."""
        ...

    async def sleep_until(self, mono: float) -> None:
        """Return once the monotonic clock has reached ``mono`` (seconds); at once where it has."""
        ...


class TimeSink(Protocol):
    """Who wants to know what time others say it is."""

    def told(self, source: str, wall: datetime, received: Instant) -> None:
        """Take a time (UTC) that a source (``ocpp``) told at the moment ``received``; never raises."""
        ...


class EnergyMeter(Protocol):
    """A kWh meter."""

    async def read(self) -> Reading:
        """Poll the meter once and return the register with the other measurands.

        Raises: MeterTimeout, MeterCorrupt. Cancellation leaves the wire quiet and usable.
        """
        ...


class Evse(Protocol):
    """An EVSE controller: the control pilot's state, and the current that it offers."""

    async def read(self) -> EvseReading:
        """Poll the controller once. Raises: EvseFault."""
        ...

    async def set_limit(self, limit: MilliAmp) -> None:
        """Offer at most this current per phase, 0 for none; rounded down to what the controller can.

        Overtakes polls that wait for the same wire. Returns when the controller has acknowledged. Raises: EvseFault.
        """
        ...


class Lock(Protocol):
    """The lock of a socket."""

    async def unlock(self) -> None:
        """Open it once. Raises: EvseFault where it stays locked, or nobody can tell."""
        ...


class CardReader(Protocol):
    """A reader of id tokens."""

    def cards(self) -> AsyncIterator[IdToken]:
        """Yield one token per physical touch; ends only by ReaderLost or cancellation."""
        ...


class Journal(Protocol):
    """The durable memory: state and facts in one commit."""

    async def load(self) -> Durable | None:
        """Return the durable slices as last committed, None in a new ledger. Raises: JournalCorrupt."""
        ...

    async def commit(self, slices: Durable, facts: Sequence[Fact], at: Instant) -> None:
        """Make the slices and the facts durable, whole or not at all; slices that are as last time cost nothing.

        Returns after the disk has them. A commit under way is finished although the caller is cancelled.
        Raises: JournalFull, JournalCorrupt.
        """
        ...

    async def check(self) -> None:
        """Write something that changes nothing: tells whether the disk takes anything. Raises: as ``commit``."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A message of a destination's lane with what is needed to encode it.

    text: the frame as first sent, None before; a resend sends exactly this.
    transaction: the destination's name of the fact's session, None while its start has not been answered;
    start_given_up: the start will never be answered, so that followers go out with -1 (OCPP 1.6 errata 3.18).
    history: start and readings of the session that the fact ends, where they are to go with it.
    """

    message: Queued
    fact: Fact
    text: str | None
    transaction: int | str | None
    start_given_up: bool
    history: tuple[SessionStarted | SessionSampled, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A message was taken; transaction: the name it gave to the session, where the message was a start."""

    row: int
    at: Instant
    transaction: int | str | None = None


class Outbox(Protocol):
    """The durable lane of one destination, in order of occurrence."""

    async def rows(self, limit: int) -> tuple[OutboxRow, ...]:
        """Return the oldest rows that still have to go, at most ``limit``."""
        ...

    async def history(self, session: SessionId) -> tuple[SessionStarted | SessionSampled, ...]:
        """Return the start and the readings of a session, in their order."""
        ...

    async def sending(self, texts: Sequence[tuple[int, str]]) -> None:
        """Keep the frames (row, text) before they leave for the first time; one commit."""
        ...

    async def acknowledge(self, acknowledged: Sequence[Acknowledged]) -> None:
        """Take rows out of the lane because they were confirmed; one commit, with the transactions' names."""
        ...

    async def failed(self, message: Queued) -> None:
        """Keep the attempts used and the last error of a message that stays in the lane."""
        ...

    async def give_up(self, message: Queued, error: str, at: Instant) -> None:
        """Move a message to quarantine: kept, shown, out of the way of those behind it."""
        ...

    async def session_of(self, transaction: int | str) -> SessionId | None:
        """Return the session that this destination calls so, None for an unknown name."""
        ...

    async def count(self) -> int:
        """Return how many messages still have to go."""
        ...


class Installer(Protocol):
    """Puts new firmware in place, and takes it back where it does not prove itself (ADR 25). All of it blocks."""

    def install(self, image: Path, job: int, line: Interruptible) -> str:
        """Put an image in place for the next start, on trial, and return its version; ``line`` may call it off.

        Raises: InstallFailed, after which everything is as it was.
        """
        ...

    def trial(self) -> int | None:
        """Return the number of the update whose firmware runs and has still to prove itself."""
        ...

    def keep(self) -> None:
        """Take the firmware that runs into force. Raises: OSError."""
        ...

    def revert(self) -> None:
        """Let the next start take the firmware before. Raises: OSError."""
        ...


class Interruptible(Protocol):
    """Something long that another thread may call off."""

    def check(self) -> None:
        """Raise where it has been called off."""
        ...


class Destination(Protocol):
    """Something that performs the effects meant for central systems, or for who asked."""

    def perform(self, effect: Effect) -> None:
        """Take an effect; never waits."""
        ...

    def facts_committed(self) -> None:
        """There may be something new to send."""
        ...


class Opened(Protocol):
    """A device that must be opened before use; leaving the context releases the port."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """Open the port. Raises the device's error where it cannot be opened."""
        ...
