"""``sessions annotate``: what stands beside a session, by a running daemon, and what is said of wrong input."""

from __future__ import annotations

import pytest

from tests.unit.cli.installed import Station

FIRST = "019a1234-0000-7000-8000-000000000001"
OPEN = "019a1234-0000-7000-8000-000000000002"
HELP = ": see `wallbox-agent sessions annotate --help`"


def test_what_was_added_is_told_shown_and_on_record(with_ledger: Station) -> None:
    with with_ledger.running():
        told = with_ledger.call("sessions", "annotate", FIRST, "--odometer", " 48123", "--note", " Visit to Müritz ")
        assert told == (0, f"session {FIRST}: odometer 48123 km, note: Visit to Müritz\n", "")
        assert with_ledger.json("sessions", "annotate", FIRST.upper(), "--note", "Utrecht") == {
            "session": FIRST,
            "odometer_km": 48_123,
            "note": "Utrecht",
        }
    shown = with_ledger.json("sessions", "show", FIRST)
    assert (shown["odometer_km"], shown["note"]) == (48_123, "Utrecht")
    text = with_ledger.call("sessions", "show", FIRST)[1]
    assert "odometer km  48123" in text
    assert "note         Utrecht" in text
    assert not {"odometer_km", "note"} & with_ledger.json("sessions", "list")[0].keys()
    assert "Utrecht" not in with_ledger.call("sessions", "export")[1]
    assert "48123" in with_ledger.call("sessions", "export", "--format", "json")[1]


def test_what_is_cleared_is_said_to_be_gone(with_ledger: Station) -> None:
    with with_ledger.running():
        with_ledger.json("sessions", "annotate", FIRST, "--odometer", "0", "--note", "wrong")
        assert with_ledger.call("sessions", "annotate", FIRST, "--clear", "note")[1].endswith(": odometer 0 km\n")
        cleared = with_ledger.call("sessions", "annotate", FIRST, "--clear", "odometer", "--clear", "note")
    assert cleared == (0, f"session {FIRST}: nothing stands beside it any more\n", "")
    assert with_ledger.json("sessions", "show", FIRST)["odometer_km"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--odometer", "-5"], "odometer is '-5', allowed are whole km from 0 to 9999999, digits alone, like 48123"),
        (["--odometer", "48.123"], "odometer is '48.123', allowed are whole km"),
        (["--odometer", "48123.0"], "odometer is '48123.0', allowed are whole km"),
        (["--odometer", "10000000"], "odometer is '10000000', allowed are whole km"),
        (["--odometer", "9" * 100], f"odometer is '{'9' * 40}', allowed are whole km"),
        (["--odometer", "\u0664\u0662"], "odometer is '\u0664\u0662', allowed are whole km"),
        (["--odometer", ""], "odometer is '', allowed are whole km"),
        (["--note", "  "], "note is empty: write something, or clear the note"),
        (["--note", "two\nlines"], "note must be one line without control characters"),
        (["--note", "\x1b[31mred"], "note must be one line without control characters"),
        (["--note", "\u202egnirts"], "note must be one line without control characters"),
        (["--note", "\udcff"], "note must be one line without control characters"),
        (["--note", "x" * 256], "note has 256 characters, at most 255 are allowed"),
        ([], "nothing to add: give an odometer reading, a note, or what to clear"),
        (["--clear", "note", "--note", "x"], "note is given, and to be cleared: leave one of the two out"),
        (["--clear", "odometer", "--odometer", "1"], "odometer is given, and to be cleared"),
        (["--clear", "all"], "argument --clear: invalid choice: 'all'"),
    ],
)
def test_wrong_input_is_told_without_a_daemon(with_ledger: Station, arguments: list[str], words: str) -> None:
    refused = with_ledger.refusal("sessions", "annotate", FIRST, *arguments, status=2)
    assert refused.startswith(words)
    assert refused.endswith(HELP)


@pytest.mark.parametrize(
    ("session", "words"),
    [
        (OPEN, f"session {OPEN} is still running: annotate it once it has ended"),
        ("ffff", "no session has the id 'ffff': look at `wallbox-agent sessions list`"),
        ("", "no session has the id ''"),
        ("019a", "2 sessions begin with '019a': type more of the id, like"),
    ],
)
def test_a_session_that_cannot_be_annotated_is_refused_in_one_line(
    with_ledger: Station, session: str, words: str
) -> None:
    with with_ledger.running():
        assert with_ledger.refusal("sessions", "annotate", session, "--odometer", "1").startswith(words)


def test_without_a_daemon_nothing_is_added(with_ledger: Station) -> None:
    assert "not running" in with_ledger.refusal("sessions", "annotate", FIRST, "--odometer", "1", status=3)
    assert with_ledger.json("sessions", "show", FIRST)["odometer_km"] is None


def test_a_note_of_255_characters_is_taken(with_ledger: Station) -> None:
    with with_ledger.running():
        assert with_ledger.json("sessions", "annotate", FIRST, "--note", "ü" * 255)["note"] == "ü" * 255
