"""Support bundles: what must not be in one."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

from agent.maintenance.bundle import Confidential, packed

PRIVATE = Confidential(frozenset({"04AABBCC"}), frozenset({"019a-session"}), frozenset({"s3cret!", "x"}))


def test_lines_about_private_cards_and_their_sessions_are_left_out() -> None:
    lines = [
        "session started for card ****BBCC",
        "card 04aabbcc refused",
        "session 019A-SESSION",
        "card ****1234",
        "up",
    ]
    assert PRIVATE.log(lines) == "card ****1234\nup\n"


def test_secrets_and_ids_are_replaced_wherever_they_are() -> None:
    assert PRIVATE.text('{"a": "s3cret!", "b": "04AABBCC", "x": 1}') == '{"a": "***", "b": "(private)", "x": 1}'


def test_nothing_to_hide_hides_nothing() -> None:
    assert Confidential().log(["a ****", ""]) == "a ****\n\n"


def test_a_card_of_four_characters_does_not_hide_every_masked_one() -> None:
    assert Confidential(frozenset({"ABCD"})).log(["card **** refused"]) == "card **** refused\n"


def test_a_bundle_is_a_zip_whatever_the_clock_says() -> None:
    with zipfile.ZipFile(io.BytesIO(packed({"a.txt": "ä"}, datetime(1970, 1, 1, tzinfo=UTC)))) as archive:
        assert archive.read("a.txt").decode() == "ä"
