"""Answers to the central system's CALLs: in the order of the CALLs, whichever is known first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.ocpp.replies import OPEN_CALLS, Replies


def taken(replies: Replies) -> list[str]:
    return list(iter(replies.take, None))


@given(st.permutations(range(8)))
def test_answers_leave_in_the_order_of_their_calls(known: list[int]) -> None:
    replies, left = Replies(), list[str]()
    for number in range(8):
        replies.expect(str(number))
    for number in known:
        replies.fill(str(number), f"answer {number}")
        left += taken(replies)
    assert left == [f"answer {number}" for number in range(8)]
    assert len(replies) == 0


def test_an_answer_that_needs_no_thought_keeps_its_turn_too() -> None:
    replies = Replies()
    replies.expect("a")
    replies.put("malformed")
    assert taken(replies) == []
    replies.fill("a", "answer")
    assert taken(replies) == ["answer", "malformed"]


def test_a_call_that_comes_again_before_its_answer_gets_the_same_in_its_turn() -> None:
    replies = Replies()
    replies.repeat("a")
    replies.expect("a")
    replies.repeat("a")
    replies.expect("b")
    replies.repeat("a")
    replies.fill("a", "first")
    replies.fill("b", "other")
    replies.expect("a")
    replies.fill("a", "second")
    assert taken(replies) == ["first", "first", "other", "first", "second"]


def test_no_answer_and_an_answer_to_nobody_change_nothing() -> None:
    replies = Replies()
    replies.expect("a")
    replies.fill("a", None)
    replies.fill("b", "answer")
    assert taken(replies) == []
    assert len(replies) == 1


def test_it_is_full_when_too_many_wait() -> None:
    replies = Replies()
    for number in range(OPEN_CALLS):
        assert not replies.full
        replies.expect(str(number))
    assert replies.full


def test_an_id_used_again_for_another_call_holds_up_nobody() -> None:
    replies = Replies()
    replies.expect("1")
    replies.repeat("1")
    replies.expect("1")
    replies.expect("2")
    replies.fill("2", "two")
    assert replies.take() is None
    replies.fill("1", "one")
    assert [replies.take(), replies.take(), replies.take()] == ["one", "two", None]


def test_an_empty_id_is_an_id_like_any_other() -> None:
    replies = Replies()
    replies.expect("a")
    replies.repeat("a")
    replies.expect("")
    replies.fill("", "nothing")
    replies.fill("a", "one")
    assert taken(replies) == ["one", "one", "nothing"]
