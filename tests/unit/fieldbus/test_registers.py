"""Words to values and back: every type and word order, exactness, resolution, makers' own formats."""

from __future__ import annotations

import math
import struct
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fieldbus.registers import WIDTH, WireType, WordOrder, decode, encode, pattern, scaled, step, to_bytes

INTEGERS = {
    WireType.U16: (0, 2**16 - 1),
    WireType.I16: (-(2**15), 2**15 - 1),
    WireType.U32: (0, 2**32 - 1),
    WireType.I32: (-(2**31), 2**31 - 1),
    WireType.U64: (0, 2**64 - 1),
    WireType.I64: (-(2**63), 2**63 - 1),
}
orders = st.sampled_from(WordOrder)


@given(st.data(), st.sampled_from(list(INTEGERS)), orders)
def test_integers_survive_the_wire(data: st.DataObject, kind: WireType, order: WordOrder) -> None:
    value = Decimal(data.draw(st.integers(*INTEGERS[kind])))
    words = encode(value, kind, order)
    assert len(words) == WIDTH[kind]
    assert decode(words, kind, order) == value


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), orders)
def test_a_float_is_the_exact_number_that_was_sent(number: float, order: WordOrder) -> None:
    assert decode(encode(Decimal(number), WireType.F32, order), WireType.F32, order) == Decimal(number)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["1000", "0.001", "10"]))
def test_scaling_a_double_rounds_nothing(number: float, scale: str) -> None:
    value = decode(encode(Decimal(number), WireType.F64), WireType.F64)
    assert isinstance(value, Decimal)
    assert Fraction(scaled(value, Decimal(scale))) == Fraction(number) * Fraction(scale)


def test_a_kilowatt_hour_register_keeps_all_its_digits() -> None:
    value = decode((0x449A, 0x5225), WireType.F32)
    assert isinstance(value, Decimal)
    assert scaled(value, Decimal(1000)) == Decimal("1234567.0166015625")


@pytest.mark.parametrize("words", [(0x7FC0, 0), (0xFFC0, 1), (0x7F80, 0), (0xFF80, 0)])
def test_what_is_no_number_is_no_value(words: tuple[int, int]) -> None:
    assert decode(words, WireType.F32) is None
    assert decode((words[0] | 0x7F, 0xFFFF, 0xFFFF, 0xFFFF), WireType.F64) is None


def test_the_low_word_may_come_first() -> None:
    assert decode((0x5678, 0x1234), WireType.U32, WordOrder.LITTLE) == 0x12345678
    assert decode((4, 3, 2, 1), WireType.U64, WordOrder.LITTLE) == 0x0001000200030004
    assert pattern((0, 0xFFC0), WordOrder.LITTLE) == 0xFFC00000


def test_texts_lose_what_only_fills_them_up() -> None:
    assert decode((0x0000, 0x4123, 0x4220, 0x0000), WireType.ASCII) == "A#B"
    assert decode((0x2020, 0xFF41, 0x0D0A), WireType.ASCII) == "A"
    assert encode("ABC", WireType.ASCII, count=3) == (0x4142, 0x4300, 0)
    assert decode((0x0001, 0xABCD), WireType.HEX32) == "0001abcd"
    assert encode("0001abcd", WireType.HEX32) == (0x0001, 0xABCD)


def test_a_version_is_a_text() -> None:
    assert decode((0x0107,), WireType.VERSION) == "1.0.7"
    assert decode((0x0A2F,), WireType.VERSION) == "10.2.15"
    with pytest.raises(ValueError, match="cannot be written"):
        encode("1.0.7", WireType.VERSION)


def test_a_bit_is_zero_or_one() -> None:
    assert decode((1,), WireType.BIT) == 1
    assert [encode(Decimal(bit), WireType.BIT) for bit in (0, 1)] == [(0,), (1,)]
    with pytest.raises(ValueError, match="cannot be written as bit"):
        encode(Decimal(2), WireType.BIT)


@pytest.mark.parametrize(
    ("words", "kind", "value"),
    [
        ((0xFE00, 0x59D8), WireType.ISKRA_T5, "230.00"),
        ((0xFEFF, 0xFFFF), WireType.ISKRA_T5, "167772.15"),
        ((0xFFFF, 0xFFFF), WireType.ISKRA_T6, "-0.1"),
        ((0x0100, 0x0005), WireType.ISKRA_T6, "50"),
        ((0x00FF, 9980), WireType.ISKRA_T7, "0.9980"),
        ((0xFF00, 9980), WireType.ISKRA_T7, "-0.9980"),
    ],
)
def test_makers_own_formats_are_read(words: tuple[int, int], kind: WireType, value: str) -> None:
    assert decode(words, kind) == Decimal(value)


@given(st.floats(min_value=0, max_value=2.0**100, width=32))
def test_the_step_of_a_float_is_the_way_to_the_next_one(number: float) -> None:
    words = encode(Decimal(number), WireType.F32)
    following = struct.unpack(">f", (int.from_bytes(to_bytes(words), "big") + 1).to_bytes(4, "big"))[0]
    assert Fraction(step(words, WireType.F32)) == Fraction(following) - Fraction(number)


@given(st.floats(min_value=0, max_value=1e300))
def test_the_step_of_a_double_is_the_way_to_the_next_one(number: float) -> None:
    assert step(encode(Decimal(number), WireType.F64), WireType.F64) == Decimal(math.ulp(number))


def test_the_step_of_a_count_is_one() -> None:
    assert step((0, 7), WireType.U32) == 1
    assert step((0xFE00, 0x59D8), WireType.ISKRA_T5) == Decimal("0.01")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Decimal(65536), WireType.U16),
        (Decimal(-1), WireType.U32),
        (Decimal("0.5"), WireType.U16),
        (Decimal("1e39"), WireType.F32),
        (Decimal(1), WireType.ISKRA_T5),
        (Decimal(1), WireType.ASCII),
        ("ABC", WireType.ASCII),
        ("xyz", WireType.HEX32),
        ("1", WireType.U16),
        ("é", WireType.ASCII),
    ],
)
def test_what_does_not_fit_is_refused(value: Decimal | str, kind: WireType) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode(value, kind, count=1)


def test_words_must_be_as_many_as_the_type_has() -> None:
    with pytest.raises(ValueError, match="u32 takes 2 registers, not 1"):
        decode((1,), WireType.U32)
    with pytest.raises(ValueError, match="no 16-bit words"):
        decode((65536,), WireType.U16)
