"""Frames of the PN532: the vectors, the host's frames, any chunking, noise, every broken bit, odd targets."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rfid.debounce import Debounce
from agent.rfid.frames import FrameError, FrameFault, Seen, Tag
from agent.rfid.pn532 import FEW_RETRIES, FIELD_OFF, LIST, NORMAL_MODE, RELEASE, VERSION
from agent.rfid.pn532_frames import ACK, WAKE_UP, Pn532Frames, cards, frame
from agent.rfid.polling import Ack, Answer, Heard, Nack
from tests.unit.rfid.pn532_board import answer, target

DOCUMENT: dict[str, Any] = json.loads(Path("tests/vectors/rfid/pn532_hsu.json").read_text(encoding="utf-8"))
VECTORS: list[dict[str, Any]] = DOCUMENT["vectors"]
HOST_FRAMES: dict[str, str] = {vector["name"]: vector["hex"] for vector in DOCUMENT["host_frames"]}
LISTED = 0x4B


def seen(heard: Heard) -> list[Seen | Heard | None]:
    """Return the cards of an answer that may have some, None where there is none."""
    if isinstance(heard, Answer) and heard.code in {LISTED, 0x61}:
        return [*cards(heard)] or [None]
    return [heard]


def read(frames: Pn532Frames, vector: dict[str, Any], *, watched: bool) -> list[tuple[float, Seen | Heard | None]]:
    events: list[tuple[float, Seen | Heard | None]] = []
    for chunk in vector["chunks"]:
        now = chunk["t_ms"] / 1000
        heard = frames.idle(now) if watched else []
        heard += frames.feed(bytes.fromhex(chunk["hex"]), now)
        events += [(event.at, thing) for event in heard for thing in seen(event)]
    return events + [(event.at, event) for event in frames.idle(vector["end_ms"] / 1000)]


def described(at: float, event: Seen | Heard | None) -> dict[str, Any]:
    when = {"t_ms": round(at * 1000)}
    match event:
        case None:
            return when | {"type": "no_tag"}
        case Ack() | Nack():
            return when | {"type": type(event).__name__.lower()}
        case Answer():
            return when | {"type": "response", "cmd": f"{event.code:02X}", "data": event.data.hex().upper()}
        case Tag():
            told = {"type": "tag", "tech": event.technology, "uid": event.uid.hex().upper(), "id_tag": event.id_tag}
            return when | told | ({"random": True} if event.is_random else {})
        case FrameError():
            error = {"type": "error", "code": event.fault.value}
            return when | error | ({"detail": event.detail} if event.detail else {})


def test_all_vectors_are_there() -> None:
    assert [vector["id"] for vector in VECTORS] == [f"pn-{number:02}" for number in range(1, 26)]
    assert len(HOST_FRAMES) == 11


@pytest.mark.parametrize("watched", [True, False], ids=["with an idle timer", "without"])
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_the_vectors_are_read_as_they_say(vector: dict[str, Any], *, watched: bool) -> None:
    events = read(Pn532Frames(), vector, watched=watched)
    assert [described(at, event) for at, event in events] == vector["expect"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_the_vectors_are_reported_as_they_say(vector: dict[str, Any]) -> None:
    debounce = Debounce()
    tags = [event for _, event in read(Pn532Frames(), vector, watched=True) if isinstance(event, Tag)]
    reports = [tag for tag in tags if not tag.is_random and debounce.touched(tag.uid, tag.at)]
    assert [{"t_ms": round(tag.at * 1000), "id_tag": tag.id_tag} for tag in reports] == vector["reports"]


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("wake-up preamble (send before the first command)", WAKE_UP),
        ("GetFirmwareVersion", VERSION.frame),
        ("SAMConfiguration normal, no timeout, no IRQ", frame(0x14, bytes.fromhex("010000"))),
        ("SAMConfiguration normal, 20*50 ms, IRQ", NORMAL_MODE.frame.removeprefix(WAKE_UP)),
        ("RFConfiguration MaxRetries: ATR FF, PSL 01, passive activation 01", FEW_RETRIES.frame),
        ("InListPassiveTarget 1 target, 106 kbit/s type A", LIST.frame),
        ("InListPassiveTarget 2 targets", frame(0x4A, bytes.fromhex("0200"))),
        ("InRelease all targets", RELEASE.frame),
        ("RFConfiguration RF field off", FIELD_OFF.frame),
        ("InAutoPoll 1 poll, period 1 (150 ms), type 10 and 20", frame(0x60, bytes.fromhex("01011020"))),
        ("host ACK (aborts a running command)", ACK),
    ],
)
def test_the_host_sends_the_frames_of_the_vectors(name: str, sent: bytes) -> None:
    assert sent.hex().upper() == HOST_FRAMES[name]


def test_the_first_command_wakes_the_chip() -> None:
    assert NORMAL_MODE.frame.startswith(WAKE_UP)


def many(uids: list[bytes]) -> bytes:
    return b"".join(ACK + answer(LISTED, b"\x01\x01" + target(uid.hex())) for uid in uids)


def tags_in(heard: list[Heard]) -> list[bytes]:
    return [tag.uid for event in heard if isinstance(event, Answer) for tag in cards(event) if isinstance(tag, Tag)]


UIDS = (
    st.sampled_from([4, 7, 10])
    .flatmap(lambda size: st.binary(min_size=size, max_size=size))
    .filter(lambda uid: set(uid) not in ({0}, {255}) and (len(uid) != 4 or uid[0] != 0x88))
)


@pytest.mark.requirement(62)
@given(st.lists(UIDS, max_size=5), st.binary(max_size=3), st.data())
def test_any_chunking_of_a_stream_gives_the_same_cards(uids: list[bytes], idle: bytes, data: st.DataObject) -> None:
    stream = idle.replace(b"\xff", b"\x55") + many(uids)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    frames, heard = Pn532Frames(), []
    for start, end in pairwise([0, *cuts, len(stream)]):
        heard += frames.feed(stream[start:end], 1.0)
    assert heard == Pn532Frames().feed(stream, 1.0)
    assert tags_in(heard) == uids


@pytest.mark.requirement(62)
@given(st.lists(st.one_of(st.binary(max_size=300), st.just(b"\x00\xff\xff\xff\x01\x08\xf7" + bytes(90))), max_size=8))
def test_noise_neither_raises_nor_grows_the_buffer(chunks: list[bytes]) -> None:
    frames = Pn532Frames()
    for chunk in chunks:
        for event in frames.feed(chunk, 1.0):
            if isinstance(event, Answer):
                cards(event)
        assert len(frames._buffer) <= 300
    frames.idle(2.0)
    assert tags_in(frames.feed(many([b"\xde\xad\xbe\xef"]), 3.0)) == [b"\xde\xad\xbe\xef"]


@given(st.integers(0, 1), st.data())
def test_no_single_wrong_bit_makes_another_card(which: int, data: st.DataObject) -> None:
    uid = (bytes.fromhex("DEADBEEF"), bytes.fromhex("04A1B2C3D4E580"))[which]
    broken = bytearray(answer(LISTED, b"\x01\x01" + target(uid.hex())))
    bit = data.draw(st.integers(0, 8 * len(broken) - 1))
    broken[bit // 8] ^= 1 << bit % 8
    assert tags_in(Pn532Frames().feed(bytes(broken), 1.0)) in ([], [uid])


@given(st.binary(max_size=60), st.sampled_from([LISTED, 0x61]))
def test_targets_of_any_content_never_raise_and_never_give_a_number_of_a_wrong_length(data: bytes, code: int) -> None:
    for event in cards(Answer(code, data, 1.0)):
        assert isinstance(event, FrameError) or len(event.uid) in {4, 7, 10}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", []),
        ("00", []),
        ("01", [FrameFault.LENGTH]),
        ("0101000408", [FrameFault.LENGTH]),
        ("010100040804DEADBE", [FrameFault.LENGTH]),
        ("010100040800", [FrameFault.UID_LENGTH]),
        ("010100040805DEADBEEF01", [FrameFault.UID_LENGTH]),
        ("01010004080488DEADBE", [FrameFault.UID_LENGTH]),
        ("01010004080400000000", [FrameFault.IMPLAUSIBLE]),
        ("010100440007FFFFFFFFFFFFFF", [FrameFault.IMPLAUSIBLE]),
        ("01010004080400ABC123", ["00ABC123"]),
        ("010100042004DEADBEEF", ["DEADBEEF"]),
        ("010100042004DEADBEEF0675778102", ["DEADBEEF"]),
        ("0201000420048804A1B2067577810280020004080411223344", [FrameFault.UID_LENGTH, "11223344"]),
        ("020100040804DEADBEEF02", ["DEADBEEF", FrameFault.LENGTH]),
    ],
)
def test_odd_targets_are_errors_in_their_place(data: str, expected: list[str | FrameFault]) -> None:
    found = cards(Answer(LISTED, bytes.fromhex(data), 1.0))
    assert [event.id_tag if isinstance(event, Tag) else event.fault for event in found] == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("0223090400040804DEADBEEF10090100040804DEADBEEF", ["DEADBEEF"]),
        ("0110", [FrameFault.LENGTH]),
        ("01100C0100", [FrameFault.LENGTH]),
    ],
)
def test_an_automatic_search_finds_cards_of_type_a_only(data: str, expected: list[str | FrameFault]) -> None:
    found = cards(Answer(0x61, bytes.fromhex(data), 1.0))
    assert [event.id_tag if isinstance(event, Tag) else event.fault for event in found] == expected


def test_another_answer_has_no_cards() -> None:
    assert cards(Answer(0x03, bytes.fromhex("0101000804DEADBEEF"), 1.0)) == []


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("0000FF02FED4022A00", FrameFault.FRAMING),
        ("0000FF01FFD52B00", FrameFault.LENGTH),
        ("0000FFFFFF010AF5", FrameFault.LENGTH),
        ("0000FFFFFF0000000000", FrameFault.LENGTH),
        ("0000FFFFFF000FF0", FrameFault.LENGTH_CHECKSUM),
    ],
)
def test_what_no_chip_sends_is_an_error(data: str, fault: FrameFault) -> None:
    assert Pn532Frames().feed(bytes.fromhex(data), 1.0)[0] == FrameError(fault, 1.0)


def test_the_longest_frame_is_taken() -> None:
    body = b"\xd5\x41" + bytes(263)
    length = len(body).to_bytes(2, "big")
    whole = b"\x00\xff\xff\xff" + length + bytes((-sum(length) & 0xFF,)) + body + bytes((-sum(body) & 0xFF, 0))
    assert Pn532Frames().feed(whole, 1.0) == [Answer(0x41, bytes(263), 1.0)]
    frames = Pn532Frames()
    assert [event for byte in whole for event in frames.feed(bytes((byte,)), 1.0)] == [Answer(0x41, bytes(263), 1.0)]


def test_an_open_frame_has_a_deadline_and_a_lone_zero_has_none() -> None:
    frames = Pn532Frames()
    assert frames.deadline is None
    frames.feed(b"\x55\x00", 1.0)
    assert frames.deadline is None
    frames.feed(b"\xff\x02", 2.0)
    assert frames.deadline == pytest.approx(2.2)
    assert frames.idle(2.1) == []
    assert frames.idle(2.5) == [FrameError(FrameFault.TIMEOUT, 2.0 + Pn532Frames.IDLE_S)]
    assert frames.deadline is None
