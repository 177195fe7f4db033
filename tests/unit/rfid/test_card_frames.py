"""Framings of card readers: the vectors, any chunking, noise."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rfid.dialogue import Ready
from agent.rfid.frames import FrameError, FrameFault, Rdm6300Frames, Seen, Tag
from agent.rfid.kinds import KINDS

VECTORS: list[dict[str, Any]] = json.loads(Path("tests/vectors/rfid/rdm6300.json").read_text(encoding="utf-8"))[
    "vectors"
]
CARD = bytes.fromhex("0236324533303836434544303803")


def frame(uid: bytes) -> bytes:
    checksum = 0
    for byte in uid:
        checksum ^= byte
    return b"\x02" + (uid + bytes((checksum,))).hex().upper().encode() + b"\x03"


def described(seen: Seen) -> dict[str, Any]:
    at = round(seen.at * 1000)
    if isinstance(seen, FrameError):
        return {"t_ms": at, "type": "error", "code": seen.fault.value}
    return {"t_ms": at, "type": "tag", "tech": seen.technology, "uid": seen.uid.hex().upper(), "id_tag": seen.id_tag}


def test_all_vectors_are_there() -> None:
    assert [vector["id"] for vector in VECTORS] == [f"rdm-{number:02}" for number in range(1, 23)]


@pytest.mark.parametrize("watched", [True, False], ids=["with an idle timer", "without"])
@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_the_vectors_are_read_as_they_say(vector: dict[str, Any], *, watched: bool) -> None:
    frames, seen = Rdm6300Frames(), []
    for chunk in vector["chunks"]:
        if watched:
            seen += frames.idle(chunk["t_ms"] / 1000)
        seen += frames.feed(bytes.fromhex(chunk["hex"]), chunk["t_ms"] / 1000)
    seen += frames.idle(vector["end_ms"] / 1000)
    assert [described(event) for event in seen] == vector["expect"]


@pytest.mark.requirement(62)
@given(st.lists(st.binary(min_size=5, max_size=5), max_size=5), st.data())
def test_any_chunking_of_a_stream_gives_the_same_cards(uids: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame(uid) for uid in uids)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    frames, seen = Rdm6300Frames(), []
    for start, end in pairwise([0, *cuts, len(stream)]):
        seen += frames.feed(stream[start:end], 1.0)
    assert seen == Rdm6300Frames().feed(stream, 1.0)
    noise = {bytes(5), b"\xff" * 5}
    assert [event.uid for event in seen if isinstance(event, Tag)] == [uid for uid in uids if uid not in noise]


@pytest.mark.requirement(62)
@given(st.lists(st.binary(max_size=300), max_size=8))
def test_noise_neither_raises_nor_grows_the_buffer(chunks: list[bytes]) -> None:
    frames = Rdm6300Frames()
    for chunk in chunks:
        frames.feed(chunk, 1.0)
        assert len(frames._digits) <= 13
    frames.idle(2.0)
    assert [event for event in frames.feed(CARD, 3.0) if isinstance(event, Tag)] == [Tag(_uid(), "EM4100", 3.0)]


@given(st.integers(8, 8 * 13 - 1))
def test_no_single_wrong_bit_makes_another_card(bit: int) -> None:
    broken = bytearray(CARD)
    broken[bit // 8] ^= 1 << bit % 8
    tags = [event for event in Rdm6300Frames().feed(bytes(broken), 1.0) if isinstance(event, Tag)]
    assert [tag.uid for tag in tags] in ([], [_uid()])


def test_white_space_is_no_digit() -> None:
    assert Rdm6300Frames().feed(b"\x0262E3086CED  \x03", 1.0) == [FrameError(FrameFault.FRAMING, 1.0)]


@pytest.mark.requirement(62)
def test_an_open_frame_has_a_deadline() -> None:
    frames = Rdm6300Frames()
    assert frames.deadline is None
    frames.feed(CARD[:5], 2.0)
    assert frames.deadline == pytest.approx(2.1)
    assert frames.idle(2.05) == []
    assert frames.idle(2.2) == [FrameError(FrameFault.TIMEOUT, 2.0 + Rdm6300Frames.IDLE_S)]
    assert frames.deadline is None


def test_the_table_names_the_reader_with_its_line() -> None:
    kind = KINDS["rdm6300"]
    assert (kind.baudrate, kind.parity, kind.stopbits) == (9600, "N", 1)
    dialogue = kind.talk()
    assert dialogue.begin(1.0) == [Ready()]
    assert dialogue.feed(CARD, 1.0) == [Tag(_uid(), "EM4100", 1.0)]
    dialogue.feed(CARD[:5], 2.0)
    assert dialogue.deadline == pytest.approx(2.1)
    assert dialogue.idle(2.2) == [FrameError(FrameFault.TIMEOUT, 2.0 + Rdm6300Frames.IDLE_S)]
    assert dialogue.outgoing() == b""


def test_each_opened_port_begins_a_dialogue_of_its_own() -> None:
    for kind in KINDS.values():
        assert kind.talk() is not kind.talk()


@pytest.mark.parametrize(
    ("uid", "technology", "changing"),
    [
        ("08A1B2C3", "ISO14443A", True),
        ("08A1B2C3", "unknown", False),
        ("08A1B2C3D4E580", "ISO14443A", False),
        ("0801020304", "EM4100", False),
        ("18A1B2C3", "ISO14443A", False),
    ],
)
def test_a_number_that_changes_at_each_touch_is_known_by_its_first_byte(
    uid: str, technology: str, *, changing: bool
) -> None:
    assert Tag(bytes.fromhex(uid), technology, 1.0).is_random is changing


def _uid() -> bytes:
    return bytes.fromhex("62E3086CED")
