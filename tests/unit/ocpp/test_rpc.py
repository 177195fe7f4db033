"""OCPP-J frames: what is answered, what is dropped, what belongs together; arbitrary text never raises."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.errors import RpcError
from agent.ocpp.rpc import LONGEST_ID, REMEMBERED, Answered, Garbage, Incoming, Refused, Repeated, Rpc, frame


def fly(rpc: Rpc, message_id: str = "a") -> None:
    rpc.call(message_id, "Heartbeat", {}, now=0.0, timeout=30.0)


def reply_of(received: object) -> list[object]:
    assert isinstance(received, Garbage)
    assert received.reply is not None
    content = json.loads(received.reply)
    assert isinstance(content, list)
    return content


def test_a_call_is_four_elements_without_blanks() -> None:
    text = Rpc().call("id1", "Authorize", {"idTag": "AB"}, now=0.0, timeout=30.0)
    assert text == '[2,"id1","Authorize",{"idTag":"AB"}]'
    assert text == frame("id1", "Authorize", {"idTag": "AB"})


def test_only_one_call_is_in_flight() -> None:
    rpc = Rpc()
    fly(rpc)
    with pytest.raises(AssertionError):
        fly(rpc, "b")


def test_an_answer_ends_the_flight() -> None:
    rpc = Rpc()
    fly(rpc)
    assert rpc.received('[3,"a",{"currentTime":"x","more":1}]') == Answered("a", {"currentTime": "x", "more": 1})
    assert rpc.in_flight is None
    assert rpc.deadline is None


@pytest.mark.parametrize("text", ['[3,"a",null]', '[3,"a",{},"more"]'])
def test_sloppy_answers_count(text: str) -> None:
    rpc = Rpc()
    fly(rpc)
    assert rpc.received(text) == Answered("a", {})


@pytest.mark.parametrize("code", ["NotSupported", "FormatViolation", "OccurrenceConstraintViolation", "Whatever"])
def test_an_error_of_any_spelling_is_a_refusal(code: str) -> None:
    rpc = Rpc()
    fly(rpc)
    assert rpc.received(json.dumps([4, "a", code, "words", {}])) == Refused("a", code, "words")


def test_an_error_without_details_counts_and_null_words_are_empty() -> None:
    rpc = Rpc()
    fly(rpc)
    assert rpc.received('[4,"a","GenericError",null]') == Refused("a", "GenericError", "")


@pytest.mark.parametrize("text", ['[3,"other",{}]', '[4,"a","GenericError"]', '[3,"a"]', '[3,"a",[]]', '[3,"a",7]'])
def test_what_is_no_answer_leaves_the_call_in_flight(text: str) -> None:
    rpc = Rpc()
    fly(rpc)
    assert isinstance(rpc.received(text), Garbage)
    assert rpc.in_flight == "a"
    assert rpc.received('[3,"a",{}]') == Answered("a", {})


@pytest.mark.requirement(14)
def test_a_second_answer_is_an_answer_to_nothing() -> None:
    rpc = Rpc()
    fly(rpc)
    rpc.received('[3,"a",{}]')
    assert isinstance(rpc.received('[3,"a",{}]'), Garbage)


def test_an_answer_after_the_time_out_is_late() -> None:
    rpc = Rpc()
    fly(rpc)
    assert rpc.expired(29.9) is None
    assert rpc.expired(30.0) == "a"
    assert rpc.in_flight is None
    assert rpc.received('[3,"a",{"transactionId":5}]') == Answered("a", {"transactionId": 5}, late=True)
    assert isinstance(rpc.received('[3,"a",{}]'), Garbage)


def test_a_resent_call_is_answered_in_time_again() -> None:
    rpc = Rpc()
    fly(rpc)
    rpc.expired(30.0)
    assert rpc.resend("a", "the text", now=60.0, timeout=30.0) == "the text"
    assert rpc.received('[3,"a",{}]') == Answered("a", {})


def test_only_the_latest_time_outs_are_remembered() -> None:
    rpc = Rpc()
    for number in range(REMEMBERED + 1):
        fly(rpc, str(number))
        rpc.expired(30.0)
    assert isinstance(rpc.received('[3,"0",{}]'), Garbage)
    assert isinstance(rpc.received('[3,"1",{}]'), Answered)


def test_a_call_of_the_peer_is_answered_once_under_its_id() -> None:
    rpc = Rpc()
    assert rpc.received('[2,"s1","ClearCache",{}]') == Incoming("s1", "ClearCache", {})
    assert rpc.result("s1", {"status": "Accepted"}) == '[3,"s1",{"status":"Accepted"}]'
    assert rpc.result("s1", {"status": "Rejected"}) is None
    assert rpc.result("unknown", {}) is None


def test_an_error_answers_with_five_elements() -> None:
    rpc = Rpc()
    rpc.received('[2,"s1","Foo",{}]')
    text = rpc.error("s1", RpcError("NotImplemented", "w" * 300))
    assert text is not None
    assert json.loads(text) == [4, "s1", "NotImplemented", "w" * 255, {}]


def test_calls_cross_while_ours_is_in_flight() -> None:
    rpc = Rpc()
    fly(rpc)
    assert isinstance(rpc.received('[2,"s1","GetConfiguration",{}]'), Incoming)
    assert rpc.result("s1", {}) is not None
    assert rpc.in_flight == "a"


@pytest.mark.requirement(14)
def test_a_call_that_comes_twice_is_executed_once_and_answered_the_same() -> None:
    rpc = Rpc()
    call = '[2,"s1","Reset",{"type":"Soft"}]'
    rpc.received(call)
    assert rpc.received(call) == Repeated("s1", None)
    first = rpc.result("s1", {"status": "Accepted"})
    assert rpc.received(call) == Repeated("s1", first)


def test_the_same_id_with_other_content_is_another_call() -> None:
    rpc = Rpc()
    rpc.received('[2,"1","ClearCache",{}]')
    rpc.result("1", {"status": "Accepted"})
    assert rpc.received('[2,"1","Reset",{"type":"Hard"}]') == Incoming("1", "Reset", {"type": "Hard"})


def test_an_id_of_an_earlier_connection_is_new() -> None:
    rpc = Rpc()
    rpc.received('[2,"1","ClearCache",{}]')
    rpc.lost()
    assert rpc.result("1", {}) is None
    assert isinstance(rpc.received('[2,"1","ClearCache",{}]'), Incoming)


def test_an_ignored_call_may_come_again() -> None:
    rpc = Rpc()
    rpc.received('[2,"1","ClearCache",{}]')
    rpc.ignore("1")
    assert rpc.result("1", {}) is None
    assert isinstance(rpc.received('[2,"1","ClearCache",{}]'), Incoming)


def test_memory_of_answered_calls_is_bounded_and_open_ones_are_kept() -> None:
    rpc = Rpc()
    rpc.received('[2,"open","ClearCache",{}]')
    for number in range(3 * REMEMBERED):
        rpc.received(f'[2,"{number}","ClearCache",{{}}]')
        rpc.result(str(number), {})
    assert isinstance(rpc.received('[2,"0","ClearCache",{}]'), Incoming)
    assert isinstance(rpc.received(f'[2,"{3 * REMEMBERED - 1}","ClearCache",{{}}]'), Repeated)
    assert rpc.result("open", {}) is not None


@pytest.mark.requirement(66)
@pytest.mark.parametrize(
    "text",
    [
        "", "nonsense", "{}", "[]", "[2]", "null", "7", '"text"', '[2,7,"Reset",{}]', '["2","a","Reset",{}]',
        '[true,"a",{}]', '[9,"a",{}]', '[2.0,"a","Reset",{}]', "[" * 100_000, '[2,"a","Reset",NaN]',
        '[2,"a","Reset",{"x":"\\ud800"}]', "[2,null,null,null]", '[3,"a",{"x":1' + "0" * 5000 + "}]",
    ],
)  # fmt: skip
def test_garbage_is_dropped_without_an_answer(text: str) -> None:
    received = Rpc().received(text)
    assert isinstance(received, Garbage)
    assert received.reply is None


@pytest.mark.requirement(66)
@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","Reset"]',
        '[2,"1"]',
        '[2,"1","Reset",{},{}]',
        '[2,"1","Reset",[]]',
        '[2,"1","Reset","x"]',
        '[2,"1",7,{}]',
    ],
)
def test_a_call_of_the_wrong_shape_is_answered_with_formation_violation(text: str) -> None:
    reply = reply_of(Rpc().received(text))
    assert reply[:3] == [4, "1", "FormationViolation"]
    assert reply[4] == {}


def test_null_as_payload_is_an_empty_object() -> None:
    assert Rpc().received('[2,"1","ClearCache",null]') == Incoming("1", "ClearCache", {})


def test_an_id_longer_than_36_characters_is_answered_with_it() -> None:
    rpc, message_id = Rpc(), "x" * 80
    assert isinstance(rpc.received(json.dumps([2, message_id, "ClearCache", {}])), Incoming)
    text = rpc.result(message_id, {})
    assert text is not None
    assert json.loads(text)[1] == message_id


def test_an_id_that_is_a_text_of_its_own_is_no_id() -> None:
    assert isinstance(Rpc().received(json.dumps([2, "x" * (LONGEST_ID + 1), "ClearCache", {}])), Garbage)


def test_large_calls_and_answers_are_known_again_without_being_kept() -> None:
    rpc, large = Rpc(), "x" * 100_000
    call = json.dumps([2, "large", "DataTransfer", {"data": large}])
    rpc.received(call)
    tracemalloc.start()
    try:
        for number in range(2 * REMEMBERED):
            rpc.received(json.dumps([2, str(number), "DataTransfer", {"data": large}]))
            rpc.result(str(number), {"data": large})
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
    assert rpc.received(call) == Repeated("large", None)


def test_the_same_content_in_another_order_is_the_same_call_and_another_type_is_not() -> None:
    rpc = Rpc()
    rpc.received('[2,"1","Reset",{"a":1,"b":true}]')
    assert rpc.received('[2,"1","Reset",{"b":true,"a":1}]') == Repeated("1", None)
    assert isinstance(rpc.received('[2,"1","Reset",{"a":1,"b":1}]'), Incoming)


def test_binary_frames_count_as_text_where_they_are_utf_8() -> None:
    assert Rpc().received('[2,"1","Foo",{"é":1}]'.encode()) == Incoming("1", "Foo", {"é": 1})
    assert Rpc().received(b"\xff\xfe") == Garbage("not UTF-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.requirement(66)
@given(st.one_of(st.text(), st.binary(), JSON.map(json.dumps)))
def test_nothing_that_is_received_raises(data: str | bytes) -> None:
    rpc = Rpc()
    fly(rpc)
    rpc.received(data)


@given(
    st.lists(st.sampled_from([2, 3, 4, 9]) | JSON, max_size=1),
    st.lists(st.just("a") | JSON, max_size=1),
    st.lists(JSON, max_size=4),
)
def test_almost_frames_never_raise(kind: list[object], message_id: list[object], rest: list[object]) -> None:
    rpc = Rpc()
    fly(rpc)
    rpc.received(json.dumps([*kind, *message_id, *rest]))
