"""Languages: the same words in each, and the forms of numbers, days and durations that each has."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.buffer.deliveries import Reported
from agent.core.model import Quality
from agent.core.tariff import Basis
from agent.statement.language import LANGUAGES, language
from agent.statement.model import State
from agent.statement.month import Month

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NARROW = "\u202f"
EVENING = datetime(2026, 3, 5, 20, 15, 3, 999_000, tzinfo=UTC)


def test_each_language_has_the_same_words() -> None:
    names = [
        {(section, word) for section, words in language(code).words.items() for word in words} for code in LANGUAGES
    ]
    assert all(other == names[0] for other in names)
    assert all(text.strip() for code in LANGUAGES for words in language(code).words.values() for text in words.values())


def test_the_places_to_fill_in_are_the_same_in_each_language() -> None:
    english = language("en").words
    for code in LANGUAGES:
        for section, words in language(code).words.items():
            for word, text in words.items():
                assert sorted(part.split("}")[0] for part in text.split("{")[1:]) == sorted(
                    part.split("}")[0] for part in english[section][word].split("{")[1:]
                ), (code, section, word)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_state_and_mark_has_a_name(code: str) -> None:
    words = language(code)
    assert all(words.name("state", state.value) for state in State)
    assert all(words.name("reporting", state.value) for state in Reported)
    assert all(words.name("quality", mark.value) and words.name("explained", mark.value) for mark in Quality)
    assert all(words.name("basis", basis.value) for basis in Basis)
    assert all(words.name("explained", f"reporting-{s.value}") for s in Reported if s is not Reported.REPORTED)


def test_a_language_that_there_is_not_is_refused() -> None:
    with pytest.raises(KeyError):
        language("it")


@pytest.mark.parametrize(
    ("code", "number", "kwh", "small"),
    [
        ("en", "1,234,567.90", "1,234.567", "1,234.50"),
        ("nl", "1.234.567,90", "1.234,567", "1.234,50"),
        ("de", "1.234.567,90", "1.234,567", "1.234,50"),
        ("es", "1.234.567,90", "1234,567", "1234,50"),
        ("fr", f"1{NARROW}234{NARROW}567,90", f"1{NARROW}234,567", f"1{NARROW}234,50"),
    ],
)
def test_numbers_have_the_signs_of_the_language(code: str, number: str, kwh: str, small: str) -> None:
    words = language(code)
    assert words.number(Decimal("1234567.895")) == number
    assert words.kwh(Decimal(1_234_567)) == kwh
    assert words.money(Decimal("1234.5")) == small


@pytest.mark.parametrize(
    ("code", "moment", "month"),
    [
        ("en", "5 Mar 2026 21:15:03", "March 2026"),
        ("nl", "05-03-2026 21:15:03", "maart 2026"),
        ("de", "05.03.2026 21:15:03", "März 2026"),
        ("es", "05/03/2026 21:15:03", "marzo de 2026"),
        ("fr", "05/03/2026 21:15:03", "mars 2026"),
    ],
)
def test_days_have_the_form_of_the_language(code: str, moment: str, month: str) -> None:
    words = language(code)
    assert words.moment(EVENING, AMSTERDAM) == moment
    assert words.month(Month(2026, 3)) == month


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ("en", ("56 minutes, 44 seconds", "1 hour, 1 second", "1 day, 1 minute", "0 seconds")),
        ("nl", ("56 minuten, 44 seconden", "1 uur, 1 seconde", "1 dag, 1 minuut", "0 seconden")),
        ("de", ("56 Minuten, 44 Sekunden", "1 Stunde, 1 Sekunde", "1 Tag, 1 Minute", "0 Sekunden")),
        ("es", ("56 minutos, 44 segundos", "1 hora, 1 segundo", "1 día, 1 minuto", "0 segundos")),
        ("fr", ("56 minutes, 44 secondes", "1 heure, 1 seconde", "1 jour, 1 minute", "0 seconde")),
    ],
)
def test_durations_are_words_with_the_right_number(code: str, texts: tuple[str, ...]) -> None:
    lengths = (Decimal("3404.2"), Decimal(3601), Decimal(86_460), Decimal("0.4"))
    assert tuple(map(language(code).duration, lengths)) == texts


def test_both_hours_of_the_night_when_clocks_go_back_are_told_apart() -> None:
    words = language("nl")
    first, second = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
    assert words.moment(first, AMSTERDAM) == "25-10-2026 02:30:00 (+02:00)"
    assert words.moment(second, AMSTERDAM) == "25-10-2026 02:30:00 (+01:00)"
    assert words.moment(datetime(2026, 10, 25, 2, 30, tzinfo=UTC), AMSTERDAM) == "25-10-2026 03:30:00"


def test_what_is_not_known_is_a_dash_and_never_zero() -> None:
    words = language("de")
    assert words.money(None) == words.kwh(None) == words.duration(None) == "\N{EN DASH}"


def test_a_price_has_all_its_places_and_at_least_two() -> None:
    words = language("nl")
    assert [words.price(Decimal(p)) for p in ("0.3", "0.2931", "1", "10", "0.300000")] == [
        "0,30",
        "0,2931",
        "1,00",
        "10,00",
        "0,30",
    ]


@given(st.decimals(min_value=-(10**12), max_value=10**12, places=2), st.sampled_from(LANGUAGES))
def test_a_number_read_back_is_the_number(number: Decimal, code: str) -> None:
    words = language(code)
    text = words.number(number).replace(words.group, "").replace(words.decimal, ".")
    assert Decimal(text) == number
    assert not (number == 0 and "-" in text)


@given(st.integers(0, 10**7), st.sampled_from(LANGUAGES))
def test_a_duration_read_back_is_the_duration(seconds: int, code: str) -> None:
    words = language(code)
    lengths = {
        name: length
        for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60), ("seconds", 1))
        for name in words.units[unit]
    }
    parts = (part.split(" ", 1) for part in words.duration(Decimal(seconds)).split(", "))
    assert sum(int(count) * lengths[name] for count, name in parts) == seconds
