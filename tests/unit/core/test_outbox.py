"""What a lane sends next, when a failed message is tried again, and when it is given up."""

from __future__ import annotations

import pytest

from agent.core.outbox import Failure, GiveUp, Idle, Queued, RetryPolicy, Send, Wait, after_failure, choose

FIRST, SECOND = Queued(1, "a", None), Queued(2, "b", None)
POLICY = RetryPolicy(attempts=3, interval_s=60)


def test_an_empty_lane_is_idle() -> None:
    assert choose([], 0.0) == Idle()


def test_a_lane_sends_its_head() -> None:
    assert choose([FIRST, SECOND], 0.0) == Send(FIRST)


@pytest.mark.requirement(1)
def test_a_lane_waits_for_its_head_and_lets_nobody_overtake() -> None:
    waiting = Queued(1, "a", None, attempts=1, not_before=50.0)
    assert choose([waiting, SECOND], 49.9) == Wait(50.0)
    assert choose([waiting, SECOND], 50.0) == Send(waiting)


@pytest.mark.requirement(4)
def test_a_lost_link_costs_no_attempt() -> None:
    tried = Queued(1, "a", None, attempts=2, not_before=500.0, error="before")
    after = after_failure(tried, Failure.LINK_LOST, POLICY, 100.0)
    assert after == Queued(1, "a", None, attempts=2, not_before=0.0, error="before")


@pytest.mark.requirement(2)
@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.TIMED_OUT])
def test_after_the_nth_failure_it_waits_n_intervals_until_the_attempts_are_used(failure: Failure) -> None:
    now, message, waits = 0.0, FIRST, []
    while isinstance(after := after_failure(message, failure, POLICY, now, error="InternalError"), Queued):
        waits.append(after.not_before - now)
        now, message = after.not_before, after
    assert waits == [60, 120]
    assert after == GiveUp(Queued(1, "a", None, 3, message.not_before, "InternalError"), "InternalError")


@pytest.mark.parametrize("attempts", [0, 1])
def test_no_attempts_and_one_are_a_single_one(attempts: int) -> None:
    assert isinstance(after_failure(FIRST, Failure.REFUSED, RetryPolicy(attempts, 60), 0.0), GiveUp)


def test_a_failure_without_words_is_named() -> None:
    after = after_failure(FIRST, Failure.TIMED_OUT, POLICY, 0.0)
    assert isinstance(after, Queued)
    assert after.error == "timed-out"


def test_the_message_keeps_its_id_for_life() -> None:
    after = after_failure(FIRST, Failure.REFUSED, POLICY, 0.0)
    assert isinstance(after, Queued)
    assert (after.row, after.message_id) == (FIRST.row, FIRST.message_id)
