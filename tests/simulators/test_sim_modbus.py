"""The Modbus core of the simulators: CRC, frames, functions, exceptions, and every fault of a line."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.framing import Framing, Mbap, Request, Rtu, crc16, rtu_frame
from simulators.modbus import Faults, Line, Refused, execute
from tests.simulators.wires import VECTORS

FRAMES = json.loads((VECTORS / "evse_din.json").read_text())
READ_TWO = bytes.fromhex("0300000002")


class Numbers:
    """Ten registers that hold their address and can be written; two coils."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.words = list(range(10))
        self.bits = [False, True]

    def read_words(self, function: int, address: int, count: int) -> Sequence[int]:
        if function != 3:
            raise Refused(1)
        if address + count > len(self.words):
            raise Refused(2)
        return self.words[address : address + count]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        self.words[address : address + len(words)] = words

    def read_bits(self, address: int, count: int) -> Sequence[bool]:
        return self.bits[address : address + count]

    def write_bit(self, address: int, on: bool) -> None:
        self.bits[address] = on


def answers(device: Numbers, *, pdu: bytes = READ_TWO, framing: Framing | None = None) -> list[tuple[float, str]]:
    sent = Line({1: device}).answer(Request(1, pdu, 7), framing or Rtu())
    return [(delay, data.hex()) for delay, data in sent]


GOOD = rtu_frame(1, bytes.fromhex("030400000001")).hex()


@pytest.mark.parametrize("frame", [entry["request"] for entry in FRAMES["decode"] + FRAMES["write"]])
def test_the_crc_is_that_of_real_traces(frame: str) -> None:
    data = bytes.fromhex(frame)
    assert crc16(data[:-2]).to_bytes(2, "little") == data[-2:]
    assert rtu_frame(data[0], data[1:-2]) == data


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("0300000003", "0306000000010002"),
        ("0400000001", "8401"),
        ("0300090002", "8302"),
        ("0300000000", "8303"),
        ("030000007E", "8303"),
        ("03FFFF0002", "8302"),
        ("0300", "8303"),
        ("0600031234", "0600031234"),
        ("06000312", "8603"),
        ("10000200020400AA00BB", "1000020002"),
        ("10000200020300AA00", "9003"),
        ("1000020002", "9003"),
        ("100002007C00", "9003"),
        ("0100000002", "010102"),
        ("050000FF00", "050000FF00"),
        ("0500001234", "8503"),
        ("2B0E0100", "AB01"),
    ],
)
def test_requests_get_the_answer_or_the_exception_that_the_standard_demands(request_: str, answer: str) -> None:
    assert execute(Numbers(), bytes.fromhex(request_)).hex().upper() == answer


def test_writes_arrive() -> None:
    device = Numbers()
    execute(device, bytes.fromhex("10000200020400AA00BB"))
    execute(device, bytes.fromhex("0600091234"))
    execute(device, bytes.fromhex("050000FF00"))
    assert (device.words[2:4], device.words[9], device.bits[0]) == ([0xAA, 0xBB], 0x1234, True)


def test_a_unit_that_does_not_exist_stays_silent() -> None:
    assert Line({1: Numbers()}).answer(Request(2, READ_TWO), Rtu()) == []


def test_a_broadcast_is_obeyed_by_all_and_answered_by_none() -> None:
    one, two, deaf = Numbers(), Numbers(), Numbers()
    deaf.faults.silent = True
    assert Line({1: one, 2: two, 3: deaf}).answer(Request(0, bytes.fromhex("0600031234")), Rtu()) == []
    assert (one.words[3], two.words[3], deaf.words[3]) == (0x1234, 0x1234, 3)


def test_each_fault_of_a_line() -> None:
    device = Numbers()
    cases = {
        "silent": ({"silent": True}, []),
        "delay": ({"delay_s": 1.5}, [(1.5, GOOD)]),
        "exception": ({"exception": 4}, [(0, rtu_frame(1, b"\x83\x04").hex())]),
        "wrong unit": ({"unit": 9}, [(0, rtu_frame(9, bytes.fromhex("030400000001")).hex())]),
        "bad crc": ({"bad_crc": True}, [(0, GOOD[:-2] + f"{int(GOOD[-2:], 16) ^ 0xFF:02x}")]),
        "noise": ({"before": b"\0", "after": b"\xff"}, [(0, f"00{GOOD}ff")]),
        "truncated": ({"keep": 4}, [(0, GOOD[:8])]),
        "stray": ({"stray": True}, [(0, GOOD), (0, GOOD)]),
        "wrong function": ({"function": 4}, [(0, rtu_frame(1, bytes.fromhex("040400000001")).hex())]),
        "fewer": ({"fewer": 1}, [(0, rtu_frame(1, bytes.fromhex("03020000")).hex())]),
        "fewer than none": ({"fewer": 9}, [(0, rtu_frame(1, bytes.fromhex("0300")).hex())]),
        "echo": ({"echo": True}, [(0, rtu_frame(1, READ_TWO).hex() + GOOD)]),
        "slow": ({"slow_s": 0.5, "keep": 3}, [(0, "01"), (0.5, "03"), (1.0, "04")]),
        "all lost": ({"flaky": 100.0}, []),
        "reset": ({"reset": True}, []),
    }
    for name, (fault, expected) in cases.items():
        device.faults = Faults(**fault)  # type: ignore[arg-type]  # each value fits its own field
        assert answers(device) == expected, name
    device.faults.clear()
    assert answers(device) == [(0, GOOD)]


def test_garbage_comes_instead_of_the_answer() -> None:
    device = Numbers()
    device.faults.garbage = 20
    found = {answers(device)[0][1] for _ in range(3)}
    assert {len(each) for each in found} == {40}
    assert len(found) == 3


def test_some_answers_of_a_flaky_unit_are_lost() -> None:
    device = Numbers()
    device.faults.flaky = 50.0
    assert 20 < sum(bool(answers(device)) for _ in range(100)) < 80


def test_requests_that_come_too_soon_after_any_other_are_not_heard() -> None:
    one, two = Numbers(), Numbers()
    two.faults.gap_s = 0.1
    line, rtu = Line({1: one, 2: two}), Rtu()
    for unit, now, heard in ((2, 5.0, True), (2, 5.05, False), (2, 5.2, True), (1, 5.25, True), (2, 5.3, False)):
        assert bool(line.answer(Request(unit, READ_TWO), rtu, now)) is heard, now


def test_a_device_that_hears_decides_whether_it_answers_and_what_it_refuses_was_heard() -> None:
    class Sleeper(Numbers):
        heard = 0
        awake = False

        def hears(self) -> bool:
            self.heard += 1
            return self.awake

    device = Sleeper()
    assert answers(device) == []
    Line({1: device}).answer(Request(0, bytes.fromhex("0600031234")), Rtu())
    assert (device.heard, device.words[3]) == (2, 3)
    device.awake = True
    assert answers(device) == [(0, GOOD)]
    assert answers(device, pdu=bytes.fromhex("2B0E01"))[0][1][:6] == "01ab01"
    device.faults.silent = True
    assert answers(device) == []
    assert device.heard == 4


def test_a_late_answer_comes_at_the_next_request() -> None:
    device = Numbers()
    line = Line({1: device})
    device.faults.late = True
    assert line.answer(Request(1, READ_TWO), Rtu()) == []
    assert line.answer(Request(1, bytes.fromhex("0300050001")), Rtu()) == [(0, bytes.fromhex(GOOD))]
    device.faults.clear()
    assert line.answer(Request(1, READ_TWO), Rtu()) == [(0, bytes.fromhex(GOOD))]


def test_a_single_late_answer_comes_before_that_to_the_next_request() -> None:
    device = Numbers()
    line = Line({1: device})
    device.faults.late, device.faults.times = True, 1
    assert line.answer(Request(1, READ_TWO), Rtu()) == []
    five = rtu_frame(1, bytes.fromhex("03020005"))
    assert line.answer(Request(1, bytes.fromhex("0300050001")), Rtu()) == [(0, bytes.fromhex(GOOD)), (0, five)]
    assert line.answer(Request(1, READ_TWO), Rtu()) == [(0, bytes.fromhex(GOOD))]


def test_a_fault_can_be_limited_to_some_requests() -> None:
    device = Numbers()
    device.faults.silent, device.faults.times = True, 2
    assert [bool(answers(device)) for _ in range(3)] == [False, False, True]


def test_a_silent_or_refusing_unit_executes_nothing() -> None:
    device = Numbers()
    for fault in (Faults(silent=True), Faults(exception=4)):
        device.faults = fault
        answers(device, pdu=bytes.fromhex("0600031234"))
    assert device.words[3] == 3


def test_a_serial_frame_with_a_wrong_crc_blocks_the_line_until_it_is_silent() -> None:
    rtu, good = Rtu(), rtu_frame(1, READ_TWO)
    assert rtu.feed(good[:-1] + b"\0") == []
    assert rtu.feed(good) == []
    assert rtu.silence() == []
    assert rtu.feed(good) == [Request(1, READ_TWO)]


def test_silence_ends_a_frame_of_an_unknown_function() -> None:
    rtu, identification = Rtu(), bytes.fromhex("2B0E0100")
    assert rtu.feed(rtu_frame(1, identification)) == []
    assert rtu.silence() == [Request(1, identification)]


@given(st.data())
def test_however_a_stream_is_cut_the_same_requests_come_out(data: st.DataObject) -> None:
    pdus = [READ_TWO, bytes.fromhex("10000200020400AA00BB"), bytes.fromhex("0600031234")]
    rtu = b"".join(rtu_frame(1, pdu) for pdu in pdus)
    mbap = b"".join(number.to_bytes(2, "big") + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + b"\1" + pdu
                    for number, pdu in enumerate(pdus))  # fmt: skip
    framing: Framing
    for framing, stream in ((Rtu(), rtu), (Mbap(), mbap)):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
        pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        found = [request for piece in pieces for request in framing.feed(piece)]
        assert [request.pdu for request in found] == pdus


@given(st.binary(max_size=600))
def test_noise_neither_raises_nor_keeps_the_line_deaf(noise: bytes) -> None:
    rtu = Rtu()
    rtu.feed(noise)
    rtu.silence()
    assert rtu.feed(rtu_frame(1, READ_TWO)) == [Request(1, READ_TWO)]
    Mbap().feed(noise)


def test_tcp_answers_carry_the_transaction_and_faults_spoil_the_protocol_id() -> None:
    device, mbap = Numbers(), Mbap()
    assert answers(device, framing=mbap) == [(0, "000700000007" + "01" + "030400000001")]
    device.faults.bad_crc = True
    assert answers(device, framing=mbap) == [(0, "000755550007" + "01" + "030400000001")]
    device.faults = Faults(transaction=1)
    assert answers(device, framing=mbap) == [(0, "000800000007" + "01" + "030400000001")]
    device.faults = Faults(length=3)
    assert answers(device, framing=mbap) == [(0, "00070000000a" + "01" + "030400000001")]
