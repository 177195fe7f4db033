"""Outbox policy: which message of a destination's lane goes next, when one is tried again, when it is given up.

Source: OCPP 1.6 ed. 2, section 3.7.1; errata 3.18; OCPP-J 1.6 errata 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from agent.core.model import SessionId


class Failure(StrEnum):
    """Why a message was not taken. A lost link costs no attempt."""

    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    LINK_LOST = "link-lost"


@dataclass(frozen=True, slots=True)
class Queued:
    """A message that waits in a lane.

    row: its place in the lane; message_id: for life; attempts: used so far; not_before: wall-clock free waiting time in
    monotonic seconds, 0 for at once; error: the last failure in the peer's words.
    """

    row: int
    message_id: str
    session: SessionId | None
    attempts: int = 0
    not_before: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """attempts: at least 1 (0 and 1 mean a single one); interval_s: waited n times after the n-th failure.

    most_s: no wait is longer.
    """

    attempts: int
    interval_s: int
    most_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Send:
    """Send this one now."""

    message: Queued


@dataclass(frozen=True, slots=True)
class Wait:
    """The head of the lane waits until this monotonic second."""

    until: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to send."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """All attempts are used; the message goes to quarantine, kept and shown, and the lane goes on."""

    message: Queued
    error: str


Choice: TypeAlias = Send | Wait | Idle


def choose(queue: Sequence[Queued], now: float) -> Choice:
    """Return what a lane does next: its head or nothing, since the order of a lane never changes."""
    if not queue:
        return Idle()
    head = queue[0]
    return Send(head) if head.not_before <= now else Wait(head.not_before)


def after_failure(  # noqa: PLR0917  # the four that decide, and the words for the person who asks
    message: Queued, failure: Failure, policy: RetryPolicy, now: float, error: str = ""
) -> Queued | GiveUp:
    """Return the message with its next try, or that it is given up.

    error: in words, for the person who asks why a session is not reported.
    """
    if failure is Failure.LINK_LOST:
        return replace(message, not_before=0.0)
    attempts = message.attempts + 1
    text = error or failure.value
    if attempts >= max(policy.attempts, 1):
        return GiveUp(replace(message, attempts=attempts, error=text), text)
    return replace(
        message, attempts=attempts, not_before=now + min(attempts * policy.interval_s, policy.most_s), error=text
    )
