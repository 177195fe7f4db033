"""Debouncing: the vectors' reports, the rule's edges, bounded memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.rfid.debounce import MOST_TAGS, Debounce
from agent.rfid.frames import Rdm6300Frames, Tag

VECTORS: list[dict[str, Any]] = json.loads(Path("tests/vectors/rfid/rdm6300.json").read_text(encoding="utf-8"))[
    "vectors"
]
CARD, OTHER = b"\x01\x02\x03\x04\x05", b"\x05\x04\x03\x02\x01"


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_the_vectors_are_reported_as_they_say(vector: dict[str, Any]) -> None:
    frames, debounce, reports = Rdm6300Frames(), Debounce(), []
    for chunk in vector["chunks"]:
        tags = [tag for tag in frames.feed(bytes.fromhex(chunk["hex"]), chunk["t_ms"] / 1000) if isinstance(tag, Tag)]
        reports += [
            {"t_ms": round(tag.at * 1000), "id_tag": tag.id_tag} for tag in tags if debounce.touched(tag.uid, tag.at)
        ]
    assert reports == vector["reports"]


@pytest.mark.requirement(39)
@pytest.mark.parametrize(
    ("reads", "reported"),
    [
        ([0.0, 1.5, 3.0, 4.5], [0.0]),
        ([0.0, 1.501, 3.0], [0.0]),
        ([0.0, 1.2, 3.0], [0.0, 3.0]),
        ([0.0, 2.999], [0.0]),
        ([0.0, 3.0], [0.0, 3.0]),
        ([0.0, 2.0, 3.4, 4.8], [0.0]),
        ([0.0, 2.0, 3.6], [0.0, 3.6]),
        ([10.0, 13.0, 14.0, 17.0], [10.0, 13.0, 17.0]),
    ],
)
def test_a_touch_is_reported_once_and_again_only_after_release_and_pause(
    reads: list[float], reported: list[float]
) -> None:
    debounce = Debounce()
    assert [now for now in reads if debounce.touched(CARD, now)] == reported


def test_every_card_counts_for_itself() -> None:
    debounce = Debounce()
    touches = [debounce.touched(CARD if turn % 2 else OTHER, turn / 10) for turn in range(40)]
    assert [turn for turn, touched in enumerate(touches) if touched] == [0, 1]


@given(
    st.lists(st.tuples(st.sampled_from([CARD, OTHER]), st.integers(0, 5000)), max_size=60),
    st.integers(0, 4000),
    st.integers(0, 4000),
)
def test_forgetting_changes_no_report(reads: list[tuple[bytes, int]], gap_ms: int, repeat_ms: int) -> None:
    debounce, now = Debounce(gap_ms, repeat_ms), 0
    seen: dict[bytes, int] = {}
    reported: dict[bytes, int] = {}
    for uid, pause in reads:
        now += pause
        new = uid not in seen or (now - seen[uid] > gap_ms and now - reported[uid] >= repeat_ms)
        seen[uid] = now
        if new:
            reported[uid] = now
        assert debounce.touched(uid, now) == new


def test_the_memory_is_bounded() -> None:
    debounce = Debounce()
    for number in range(5000):
        debounce.touched(number.to_bytes(5, "big"), number / 10_000)
    assert len(debounce._present) <= MOST_TAGS
    debounce.touched(CARD, 1000.0)
    assert list(debounce._present) == [CARD]
