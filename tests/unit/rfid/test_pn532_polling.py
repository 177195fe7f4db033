"""The dialogue with a polled reader, in virtual time: set-up, held cards, losses of all kinds, and when it gives up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rfid.debounce import Debounce
from agent.rfid.dialogue import GaveUp, Ready, Told
from agent.rfid.frames import FrameError, FrameFault, Tag
from agent.rfid.pn532 import FIELD_OFF, Pn532
from agent.rfid.polling import POLL_S, REFRESH_S, Polling
from tests.unit.rfid.pn532_board import (
    ACK,
    LIST,
    RELEASE,
    RF,
    SAM,
    SYNTAX_ERROR,
    VERSION,
    Behaviour,
    Board,
    Piece,
    Talk,
    acked,
    answer,
    target,
)

CARD = target("DEADBEEF")
NONE = answer(0x4B, b"\x00")
NOTICED_S = 10.0
"""So soon a dead reader must be noticed."""


def talk(board: Board, *, byte_s: float = 0.0) -> Talk:
    return Talk(Polling(Pn532()), board, byte_s=byte_s)


def working(board: Board) -> Talk:
    going = talk(board)
    assert going.run(1.0)[:1] == [Ready("PN532 1.6")]
    board.received.clear()
    board.aborts = 0
    return going


def tags(told: list[Told]) -> list[str]:
    return [event.id_tag for event in told if isinstance(event, Tag)]


def reasons(told: list[Told]) -> list[str]:
    return [event.reason for event in told if isinstance(event, GaveUp)]


def silent(_command: bytes) -> list[Piece]:
    return []


def sends(*pieces: Piece) -> Behaviour:
    return lambda _command: pieces


def test_the_chip_is_woken_set_up_and_asked_for_one_card() -> None:
    board = Board()
    told = talk(board).run(0.5)
    assert [command.hex().upper() for command in board.received[:5]] == [
        "14011401",
        "02",
        "3205FF0101",
        "4A0100",
        "320100",
    ]
    assert told == [Ready("PN532 1.6")]


def test_it_is_asked_about_three_times_a_second_and_nothing_else_wakes_the_program() -> None:
    board = Board()
    going = working(board)
    turns = going.turns
    going.run(30.0)
    assert [command[0] for command in board.received].count(LIST) == pytest.approx(30.0 / POLL_S, abs=2)
    assert going.turns - turns <= 5 * 30.0 / POLL_S + 5
    assert board.aborts == 0


@pytest.mark.parametrize("field_control", [True, False], ids=["field switched off", "field stays on"])
def test_a_held_card_is_read_at_every_poll_and_is_one_touch(*, field_control: bool) -> None:
    board = Board(field_control=field_control)
    going, debounce = working(board), Debounce()
    board.present = [CARD]
    read = [event for event in going.run(30.0) if isinstance(event, Tag)]
    assert len(read) > 90
    assert [tag.at for tag in read if debounce.touched(tag.uid, tag.at)] == [read[0].at]
    assert RELEASE in [command[0] for command in board.received]
    board.present = []
    going.run(0.2)
    assert tags(going.run(5.0)) == []
    board.present = [target("04A1B2C3D4E580")]
    assert set(tags(going.run(2.0))) == {"04A1B2C3D4E580"}


def test_a_board_that_cannot_switch_its_field_is_not_asked_to_again() -> None:
    board = Board(field_control=False)
    going = working(board)
    going.run(10.0)
    assert FIELD_OFF.frame[6:9] not in board.received
    assert [command[0] for command in board.received].count(LIST) > 30


@pytest.mark.parametrize("byte_s", [0.0, 0.0002, 0.003])
def test_the_line_may_be_slow_and_cut_everywhere(byte_s: float) -> None:
    board = Board(present=[target("04A1B2C3D4E580", ats="067577810280")])
    told = talk(board, byte_s=byte_s).run(3.0)
    assert told[0] == Ready("PN532 1.6")
    assert set(tags(told)) == {"04A1B2C3D4E580"}
    assert not reasons(told)


def test_two_cards_in_an_answer_are_two_cards() -> None:
    board = Board()
    going = working(board)
    board.script.append(sends(*acked(answer(0x4B, b"\x02\x01" + CARD + b"\x02" + target("11223344")))))
    assert tags(going.run(1.0)) == ["DEADBEEF", "11223344"]


def test_an_answer_whose_acknowledgement_was_lost_is_used() -> None:
    board = Board()
    going = working(board)
    board.script.append(sends((0.03, answer(0x4B, b"\x01\x01" + CARD))))
    assert tags(going.run(0.5)) == ["DEADBEEF"]


@pytest.mark.parametrize(
    "behaviour",
    [
        silent,
        sends((0.002, ACK)),
        sends((0.002, bytes.fromhex("0000FFFF0000"))),
        sends((0.002, ACK), (0.03, SYNTAX_ERROR)),
        sends((0.002, ACK), (0.03, answer(0x4B, b"\x01\x01" + CARD)[:9])),
        sends((0.002, ACK), (0.03, answer(0x4B, b"\x01\x01" + CARD).replace(b"\xbe", b"\xbf"))),
        sends((0.002, ACK), (0.03, answer(0x4B, b"\x01\x01" + CARD).replace(b"\xf4", b"\xf5"))),
        sends((0.002, b"\xff\x00\xffgarbage" * 5)),
    ],
    ids=["silence", "no answer", "NACK", "error frame", "half an answer", "data broken", "length broken", "garbage"],
)
def test_one_failure_costs_one_poll_and_no_set_up(behaviour: Behaviour) -> None:
    board = Board(present=[CARD])
    going = working(board)
    board.script.append(behaviour)
    told = going.run(2.0)
    assert not reasons(told)
    assert tags(told)
    assert SAM not in [command[0] for command in board.received]


def test_a_late_answer_is_not_taken_for_another() -> None:
    board = Board()
    going = working(board)
    board.script.append(sends((0.002, ACK), (1.2, answer(0x4B, b"\x01\x01" + CARD))))
    assert tags(going.run(1.29)) == []
    assert board.aborts == 1
    assert tags(going.run(3.0)) == []
    assert not [event for event in going.told if isinstance(event[1], GaveUp)]


def test_an_answer_to_another_command_is_not_taken() -> None:
    board = Board()
    going = working(board)
    board.script.append(sends((0.002, ACK), (0.01, answer(0x03, b"\x32\x01\x06\x07")), (0.05, NONE)))
    going.run(0.5)
    assert board.aborts == 0


def test_a_reader_that_lost_power_for_two_seconds_works_again_without_being_given_up() -> None:
    board = Board(present=[CARD])
    going = working(board)
    board.cut_power()
    going.run(0.2)
    assert tags(going.run(1.8)) == []
    board.powered = True
    told = going.run(5.0)
    assert not reasons(told)
    assert set(tags(told)) == {"DEADBEEF"}
    assert board.finite


def test_a_reader_that_forgot_its_settings_is_set_up_anew() -> None:
    board = Board()
    going = working(board)
    board.finite = False
    assert not reasons(going.run(6.0))
    assert board.finite


def test_settings_are_renewed_before_anybody_notices_that_they_are_gone() -> None:
    board = Board()
    going = working(board)
    going.run(REFRESH_S + 1)
    codes = [command[0] for command in board.received]
    assert codes.count(SAM) == codes.count(VERSION) == 1
    assert board.aborts == 0


LINE = "check its power, that TX and RX are crossed, that its mode switches are set to HSU (UART), and 115200 baud"
CABLE = "check that its cable is short, has a ground of its own and is away from the contactor"
SUPPLY = "switch it off and on, and check that its supply is strong enough"


@pytest.mark.parametrize(
    ("usual", "reason"),
    [
        (silent, f"the PN532 does not answer; {LINE}"),
        (sends((0.01, b"\xf8\x00\x80" * 9)), f"the PN532 is not understood, what it sends is no frame; {LINE}"),
        (sends((0.01, b"\x00\x00\xff\x03")), f"the PN532 is not understood, what it sends is no frame; {LINE}"),
        (sends((0.01, ACK)), f"the PN532 takes commands, but does not answer SAMConfiguration; {SUPPLY}"),
        (
            sends((0.01, ACK), (0.02, answer(0x15)[:-2] + b"\x17\x00")),
            f"the PN532 answers SAMConfiguration with damaged frames; {CABLE}",
        ),
        (sends((0.01, SYNTAX_ERROR)), f"the PN532 refuses SAMConfiguration; {SUPPLY}"),
    ],
    ids=["silence", "garbage", "half frames", "only acknowledgements", "damaged answers", "only errors"],
)
def test_a_reader_that_cannot_be_set_up_is_given_up_with_what_to_check(usual: Behaviour, reason: str) -> None:
    going = talk(Board(usual=usual))
    told = going.run(60.0)
    assert reasons(told) == reasons(told[-1:]) == [reason]
    assert Ready("PN532 1.6") not in told


@pytest.mark.parametrize(
    "usual",
    [silent, sends((0.01, b"\xf8\x00" * 9)), sends((0.01, ACK)), sends((0.01, SYNTAX_ERROR))],
    ids=["silence", "garbage", "only acknowledgements", "only errors"],
)
def test_a_dead_reader_is_noticed_in_ten_seconds_and_without_haste(usual: Behaviour) -> None:
    board = Board()
    going = working(board)
    board.usual, at = usual, going.now
    told = going.run(NOTICED_S)
    assert len(reasons(told)) == 1
    assert going.told[-1][0] - at > 3.0
    assert len(board.received) <= 3 * NOTICED_S


def test_a_reader_that_is_well_but_never_finishes_a_search_is_given_up() -> None:
    def no_search(command: bytes) -> list[Piece]:
        return [(0.01, ACK)] if command[0] == LIST else acked(answer(command[0] + 1))

    board = Board(usual=no_search)
    told = talk(board).run(NOTICED_S)
    assert reasons(told) == [f"the PN532 takes commands, but does not answer InListPassiveTarget; {SUPPLY}"]
    assert not [event for event in told if isinstance(event, Ready)]


@pytest.mark.requirement(62)
@pytest.mark.parametrize("noise", [ACK, b"\xff\x55\x00\x00\xff\x02\xfe", bytes(30)], ids=["ACKs", "garbage", "zeros"])
def test_noise_without_end_hides_no_dead_reader(noise: bytes) -> None:
    board = Board()
    going = working(board)
    board.cut_power()
    for number in range(2000):
        going.arrive(going.now + number * 0.005, noise)
    assert len(reasons(going.run(NOTICED_S))) == 1


def test_a_program_that_was_held_up_blames_no_reader() -> None:
    board = Board(present=[CARD])
    going = working(board)
    going.now += 20.0
    told = going.run(2.0)
    assert not reasons(told)
    assert tags(told)


def test_what_is_wrong_with_frames_is_told() -> None:
    board = Board()
    going = working(board)
    board.script.append(sends(*acked(answer(0x4B, b"\x01\x01" + target("8804A1B2")))))
    assert [event.fault for event in going.run(0.5) if isinstance(event, FrameError)] == [FrameFault.UID_LENGTH]


def damage(kind: int, at: int) -> Callable[[bytes], list[Piece]]:
    """Return how the honest pieces of a poll are damaged on their way."""
    honest = acked(answer(0x4B, b"\x01\x01" + CARD))

    def behaviour(_command: bytes) -> list[Piece]:
        pieces = [(delay, data) for delay, data in honest]
        delay, data = pieces[at % 2]
        cut = at % len(data)
        pieces[at % 2] = (delay, (data[:cut], data[cut:], data + data, b"\x00\xff" + data, b"")[kind])
        return pieces

    return behaviour


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 30)), max_size=12))
def test_whatever_happens_to_some_answers_a_good_reader_works_in_the_end_and_invents_no_card(
    damages: list[tuple[int, int]],
) -> None:
    board = Board(present=[CARD])
    going = working(board)
    board.script.extend(damage(kind, at) for kind, at in damages)
    told = going.run(3.0)
    told += going.run(20.0) if not reasons(told) else []
    assert set(tags(told)) <= {"DEADBEEF"}
    assert reasons(told) or isinstance(told[-1], Tag)


def test_a_configuration_command_is_its_own() -> None:
    board = Board()
    going = working(board)
    going.run(1.0)
    assert {command for command in board.received if command[0] == RF} == {b"\x32\x01\x00"}
