"""Finding the answer to a request among the bytes that came."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.fieldbus.answers import expected, fault, find
from tests.unit.fieldbus.slave import rtu

READ = expected(rtu(b"\x01\x04\x00\x48\x00\x02"), tcp=False)
GOOD = rtu(b"\x01\x04\x04\x44\x9a\x52\x25")
READ_TCP = expected(b"\x00\x07\x00\x00\x00\x06\x01\x04\x00\x48\x00\x02", tcp=True)
GOOD_TCP = b"\x00\x07\x00\x00\x00\x07\x01\x04\x04\x44\x9a\x52\x25"


def test_an_answer_is_found_when_it_is_whole() -> None:
    assert READ.size == len(GOOD)
    assert find(READ, GOOD) == GOOD
    assert all(find(READ, GOOD[:end]) == b"" for end in range(len(GOOD)))
    assert find(READ_TCP, GOOD_TCP) == GOOD_TCP
    assert all(find(READ_TCP, GOOD_TCP[:end]) == b"" for end in range(len(GOOD_TCP)))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_an_answer_is_found_among_noise(before: bytes, after: bytes) -> None:
    assert find(READ, before + GOOD + after) == GOOD


@given(st.binary(max_size=600))
def test_noise_is_no_answer_and_has_words(noise: bytes) -> None:
    assert find(READ, noise) == b""
    assert find(READ_TCP, noise) == b""
    assert fault(READ, noise)
    assert fault(READ_TCP, noise)


@given(st.integers(0, len(GOOD) * 8 - 1))
def test_an_answer_with_a_wrong_bit_is_none(bit: int) -> None:
    broken = bytearray(GOOD)
    broken[bit // 8] ^= 1 << bit % 8
    assert find(READ, bytes(broken)) == b""


def test_a_refusal_is_an_answer() -> None:
    refusal = rtu(b"\x01\x84\x02")
    assert find(READ, refusal) == refusal
    assert find(READ, rtu(b"\x01\x83\x02")) == b""
    assert find(READ_TCP, b"\x00\x07\x00\x00\x00\x03\x01\x84\x02") == b"\x00\x07\x00\x00\x00\x03\x01\x84\x02"


def test_the_answer_to_a_write_repeats_what_was_written_where() -> None:
    many = expected(rtu(b"\x01\x10\x03\xe8\x00\x01\x02\x00\x10"), tcp=False)
    assert find(many, rtu(b"\x01\x10\x03\xe8\x00\x01")) != b""
    assert find(many, rtu(b"\x01\x10\x03\xe9\x00\x01")) == b""
    one = expected(rtu(b"\x01\x06\x03\xe8\x00\x10"), tcp=False)
    assert find(one, rtu(b"\x01\x06\x03\xe8\x00\x10")) != b""
    assert find(one, rtu(b"\x01\x06\x03\xe8\x00\x11")) == b""


def test_bits_are_counted_in_bytes() -> None:
    coils = expected(rtu(b"\x01\x01\x4e\x20\x00\x0a"), tcp=False)
    assert find(coils, rtu(b"\x01\x01\x02\xff\x03")) != b""


def test_a_frame_for_another_request_is_skipped_on_tcp() -> None:
    late = b"\x00\x06" + GOOD_TCP[2:]
    stranger = GOOD_TCP[:6] + b"\x02" + GOOD_TCP[7:]
    longer = b"\x00\x07\x00\x00\x00\x09\x01\x04\x06\x44\x9a\x52\x25\x00\x00"
    assert find(READ_TCP, late + stranger + longer + GOOD_TCP) == GOOD_TCP
    assert find(READ_TCP, late) == b""
    assert find(READ_TCP, b"\x00\x07\x00\x01\x00\x07" + GOOD_TCP[6:]) == b""
