"""Identifiers of cards: check digits by published examples, numbers that are the same to a person, days and moments."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.card import Cleared
from agent.core.card_ids import (
    ALPHABET,
    check_digit,
    day_or_moment,
    din_check_digit,
    ema_id,
    limit,
    number,
    same_ema_id,
    same_number,
    uid,
)

#: Examples of eMI3's check digit paper, of ISO 15118-1 annex H, and of operators.
ISO = [
    "NN123ABCDEFGHIT",
    "FRXYZ1234567892",
    "ITA1B2C3E4F5G64",
    "ESZU8WOX834H1DR",
    "PT73902837ABCZZ",
    "DE83DUIEN83QGZD",
    "DE83DUIEN83ZGQM",
    "DE8AA0012345670",
    "NLTNM000122045U",
    "NLTNM000722345X",
    "NLTNMC00122045K",
]
DIN = ["INTNM0000719", "INTNM000110X", "INTNM0001240", "INTNM0001146", "INTNM0001915", "NLTNM0122045", "NLTNM1220450"]
CONTRACTS = st.text(ALPHABET, min_size=12, max_size=12).map(lambda rest: f"NL{rest}")


@pytest.mark.parametrize("whole", ISO)
def test_check_digits_are_those_of_the_published_examples(whole: str) -> None:
    assert check_digit(whole[:-1]) == whole[-1]


@pytest.mark.parametrize("whole", DIN)
def test_check_digits_of_the_older_scheme_are_those_of_its_examples(whole: str) -> None:
    assert din_check_digit(whole[:-1]) == whole[-1]


@pytest.mark.parametrize(
    "text", ["NLTNM000122045U", "NL-TNM-000122045-U", "nl*tnm*000122045*u", "NL-TNM-012204-5", "NL-WEX-CNQPWFBEK"]
)
def test_an_id_is_kept_in_upper_case_with_its_separators(text: str) -> None:
    assert ema_id(text) == text.upper()


@pytest.mark.parametrize(
    ("text", "right"),
    [("NL-TNM-000122045-X", "U"), ("nltnm0001220450", "U"), ("NL-TNM-012204-6", "5"), ("IN*TNM*000110*0", "X")],
)
def test_a_wrong_check_digit_is_refused_with_the_right_one(text: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"has the wrong check digit: it should end in {right};"):
        ema_id(text)


@pytest.mark.parametrize("text", ["NLTNM000122045", "NL-TNM-000122045", "NLTNM0122046", "NLACM1", "E"])
def test_an_id_without_a_check_digit_or_of_another_scheme_is_taken(text: str) -> None:
    assert ema_id(text) == text


@given(CONTRACTS, st.integers(0, 13), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_found(contract: str, place: int, other: str) -> None:
    wrong = contract[:place] + other + contract[place + 1 :]
    assert (check_digit(wrong) == check_digit(contract)) == (wrong == contract)


@given(CONTRACTS, st.integers(0, 12))
def test_two_neighbours_that_changed_places_are_found(contract: str, place: int) -> None:
    wrong = contract[:place] + contract[place + 1] + contract[place] + contract[place + 2 :]
    assert (check_digit(wrong) == check_digit(contract)) == (wrong == contract)


def test_numbers_are_the_same_whatever_their_case_and_separators() -> None:
    assert same_number("NL-WEX-CNQPWFBEK", "nl wex cnqpwfbek")
    assert not same_number("NL-WEX-CNQPWFBEK", "NL-WEX-CNQPWFBEL")
    assert not same_number(None, "NL-WEX")


def test_ema_ids_are_the_same_with_and_without_check_digit() -> None:
    assert same_ema_id("NL-TNM-000122045-U", "nltnm000122045")
    assert same_ema_id("NLTNM000122045", "NL-TNM-000122045-U")
    assert not same_ema_id("NLTNM000122045", "NL-TNM-000122046-U")
    assert not same_ema_id(None, "NLTNM000122045")


def test_a_printed_number_is_free_text_of_at_most_36_characters() -> None:
    assert number("x" * 36) == "x" * 36
    with pytest.raises(ValueError, match="number has 37 characters, at most 36 are allowed"):
        number("x" * 37)


def test_a_uid_is_read_as_readers_report_it() -> None:
    assert uid(" 04:a1:b2:c3 ").value == "04A1B2C3"
    with pytest.raises(ValueError, match="is not a card number"):
        uid("")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-12-31", date(2026, 12, 31)),
        ("2026-12-31T18:00", datetime(2026, 12, 31, 18)),  # noqa: DTZ001  # local time, whose zone the station has
        ("2026-12-31 18:00:00Z", datetime(2026, 12, 31, 18, tzinfo=UTC)),
        (" none ", Cleared.NONE),
        ("NONE", Cleared.NONE),
    ],
)
def test_a_limit_is_a_day_a_moment_or_none(text: str, found: object) -> None:
    assert limit(text) == found
    assert type(limit(text)) is type(found)


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "2026-02-30", "31.12.2026", "9999-12-31", "0001-01-01"])
def test_what_is_no_day_of_this_age_is_refused(text: str) -> None:
    assert day_or_moment(text) is None
    with pytest.raises(ValueError, match="is neither a day like 2026-12-31 nor a moment"):
        limit(text)
