"""Identifiers: compared without regard to case, and masked wherever they are shown."""

from __future__ import annotations

import pytest

from agent.core.model import IdToken


@pytest.mark.requirement(30)
def test_tokens_are_the_same_in_any_case() -> None:
    assert IdToken("abCD").key == IdToken("ABcd").key
    assert IdToken("abCD").value == "abCD"


@pytest.mark.parametrize(
    ("value", "masked"), [("04A1B2C3D4E5F6", "**********E5F6"), ("ABCD", "ABCD"), ("AB", "AB"), ("ABCDE", "*BCDE")]
)
def test_a_token_is_shown_by_its_last_four_characters(value: str, masked: str) -> None:
    assert IdToken(value).masked == masked
