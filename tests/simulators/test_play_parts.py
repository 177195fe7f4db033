"""The parts of the play that need no terminal: keys, prompt, rows and pictures, words for status, log and news."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.play import changes
from simulators.play.canvas import Painter, Picture, Row, Span, clipped, columns, fitted, width_of
from simulators.play.keyboard import SEQUENCES, Key, Keyboard, Prompt
from simulators.play.news import LogTail, Newsroom, Who, log_line
from simulators.play.view import Overlay
from tests.simulators.glass import Glass

# -- keys


def names(data: bytes) -> list[str]:
    return [key.name or key.text for key in Keyboard().feed(data)]


def test_keys_and_text_are_told_apart() -> None:
    assert names(b"p\r\x7f\x03\x1b[A\x1bOB\x1b[3~\x1b[1;5Cq\x0c") == [
        "p",
        "enter",
        "backspace",
        "interrupt",
        "up",
        "down",
        "delete",
        "q",
        "redraw",
    ]


def test_letters_of_more_bytes_may_come_in_pieces() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\xc3") == []
    assert keyboard.feed(b"\xa9\xe6\xbc") == [Key("", "é")]
    assert keyboard.feed(b"\xa2") == [Key("", "漢")]


def test_a_lone_escape_is_one_only_after_a_silence() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b") == []
    assert keyboard.waits
    assert keyboard.feed(b"[A") == [Key("up")]
    assert keyboard.feed(b"\x1b") == []
    assert keyboard.silence() == [Key("escape")]
    assert not keyboard.waits
    assert keyboard.feed(b"\x1bp") == [Key("escape"), Key("", "p")]


def test_half_a_sequence_means_nothing_after_a_silence() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b[1;") == []
    assert keyboard.silence() == []
    assert keyboard.feed(b"p") == [Key("", "p")]


def test_pasted_text_is_no_keys() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b[200~qk\x1b[3") == []
    assert keyboard.silence() == []
    assert keyboard.feed(b"1mx\r\n\x1b[201~p") == [Key("paste", "qk[31mx"), Key("", "p")]


def test_a_paste_that_never_ends_gives_the_keyboard_back() -> None:
    keyboard = Keyboard()
    assert keyboard.feed(b"\x1b[200~" + b"x" * 5000) == []
    assert keyboard.feed(b"p") == [Key("", "p")]


@given(st.binary(max_size=60), st.integers(1, 7))
def test_no_bytes_break_the_keyboard(data: bytes, size: int) -> None:
    keyboard = Keyboard()
    for place in range(0, len(data), size):
        for key in keyboard.feed(data[place : place + size]):
            assert bool(key.name) != bool(key.text) or key.name == "paste"


@given(st.lists(st.sampled_from([*"pq1é漢", *("\x1b[" + each for each in SEQUENCES)]), max_size=12), st.data())
def test_any_chunking_gives_the_same_keys(typed: list[str], data: st.DataObject) -> None:
    raw = "".join(typed).encode()
    keyboard, keys = Keyboard(), []
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        keys += keyboard.feed(raw[:size])
        raw = raw[size:]
    assert keys == Keyboard().feed("".join(typed).encode())


def typed(prompt: Prompt, text: str, *keys: str) -> str | None:
    line = None
    for key in [*(Key("", character) for character in text), *map(Key, keys)]:
        line = prompt.press(key)
    return line


def test_a_line_is_edited() -> None:
    prompt = Prompt()
    prompt.begin("tap ")
    typed(prompt, "12x", "backspace", "left", "delete")
    assert (prompt.text, prompt.cursor) == ("tap 1", 5)
    typed(prompt, "", "home", "right", "erase-line")
    assert (prompt.text, prompt.cursor) == ("ap 1", 0)
    typed(prompt, "t", "end", "erase-word")
    assert prompt.text == "tap "
    assert prompt.press(Key("paste", "62E3")) is None
    assert typed(prompt, "", "enter") == "tap 62E3"
    assert not prompt.open


def test_earlier_lines_come_back() -> None:
    prompt = Prompt()
    for line in ("plug", "tap 1"):
        prompt.begin()
        typed(prompt, line, "enter")
    prompt.begin()
    typed(prompt, "", "up")
    assert prompt.text == "tap 1"
    typed(prompt, "", "up", "up")
    assert prompt.text == "plug"
    typed(prompt, "", "down", "down")
    assert prompt.text == ""
    typed(prompt, "x", "escape")
    assert not prompt.open


# -- rows and pictures


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), st.integers(0, 20))
def test_a_row_has_exactly_its_width(text: str, width: int) -> None:
    assert width_of(clipped(text, width)) <= max(width, 0)
    assert sum(width_of(span.text) for span in fitted((Span(text), Span("more", "bad")), width)) == width


def test_what_is_cut_shows_it() -> None:
    assert clipped("abcdef", 4) == "abc…"
    assert clipped("漢字漢字", 4) == "漢…"
    assert clipped("abcd", 4) == "abcd"
    rows = columns([(Span("left"),)], [(Span("right"),)], width=20, height=2)
    assert ["".join(span.text for span in row) for row in rows] == ["left      │ right   ", "          │         "]


def pictured(*texts: str, width: int = 12, cursor: tuple[int, int] | None = None) -> Picture:
    rows: tuple[Row, ...] = tuple(fitted((Span(text, "bad"), Span(" x", "you")), width) for text in texts)
    return Picture(width, rows, cursor)


def glass(columns: int = 12, rows: int = 3) -> Glass:
    shown = Glass(columns, rows)
    shown.feed(b"\x1b[?1049h\x1b[?7l")
    return shown


@given(st.lists(st.lists(st.text("ab漢é…", max_size=14), min_size=3, max_size=3), min_size=1, max_size=5))
def test_painting_only_the_difference_shows_each_picture(pictures: list[list[str]]) -> None:
    painter, shown = Painter(colour=True), glass()
    for texts in pictures:
        shown.feed(painter.paint(pictured(*texts)))
        fresh = glass()
        fresh.feed(Painter(colour=False).paint(pictured(*texts)))
        assert shown.lines == fresh.lines
        assert shown.scrolled == 0
        assert painter.paint(pictured(*texts)) == b""


def test_one_row_that_changed_is_all_that_is_sent_and_nothing_is_erased() -> None:
    painter = Painter(colour=False)
    painter.paint(pictured("one", "two", "three"))
    sent = painter.paint(pictured("one", "2", "three"))
    assert b"2J" not in sent
    assert b"\x1b[2;1H" in sent
    assert b"one" not in sent
    assert b"2J" in painter.paint(pictured("one", "2"))  # another size
    painter.forget()
    assert b"one" in painter.paint(pictured("one", "2"))


def test_the_cursor_is_shown_only_where_something_is_typed() -> None:
    painter, shown = Painter(colour=True), glass()
    shown.feed(painter.paint(pictured("a", "b", "c")))
    assert not shown.modes["25"]
    shown.feed(painter.paint(pictured("a", "b", "c", cursor=(3, 2))))
    assert (shown.modes["25"], shown.cursor) == (True, (3, 2))


def test_without_colour_and_unicode_none_is_sent() -> None:
    sent = Painter(colour=False, unicode=False).paint(pictured("│─…é"))
    assert b"|-~?" in sent
    assert b"\x1b[31" not in sent
    assert b"\x1b[33" not in sent


def test_an_overlay_moves_within_its_lines() -> None:
    overlay = Overlay(tuple(map(str, range(30))))
    assert overlay.moved(-1, 10).first == 0
    assert overlay.moved(10, 10).first == 10
    assert overlay.moved(10, 10).moved(99, 10).first == 20


# -- words

CONNECTOR = {
    "id": 1,
    "status": "Available",
    "error_code": "NoError",
    "meter": {"ok": True, "last_error": None},
    "evse": {"ok": True, "state": "A", "current_limit_a": 0.0, "faults": [], "last_error": None},
    "session": None,
}
STATUS = {
    "station": {"version": "1.0"},
    "cloud": {"state": "connected", "protocol": "ocpp1.6", "registration": "Accepted", "last_error": None},
    "company": {"code": None, "state": "none", "name": None, "reason": None},
    "rfid": {"ok": True, "last_error": None},
    "ledger": {"ok": True, "last_error": None},
    "connectors": [CONNECTOR],
}
SESSION = {"state": "charging", "id_tag": "******6CED", "transaction_id": 7}


def changed(**parts: object) -> dict[str, Any]:
    return STATUS | {"connectors": [CONNECTOR | parts]}


def told(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [("!" if change.bad else "") + change.text for change in changes.between(before, now)]


def test_only_what_changed_is_told() -> None:
    assert told(STATUS, STATUS) == []
    assert told(STATUS, {}) == ["!the agent does not answer"]
    assert told({}, {}) == []
    assert told({}, STATUS)[0] == "the agent answers, version 1.0"
    evse = {"ok": True, "state": "C", "current_limit_a": 16.0, "faults": [], "last_error": None}
    assert told(STATUS, changed(status="Charging", evse=evse, session=SESSION)) == [
        "connector 1: Charging",
        "connector 1 controller: pilot C, offers 16 A",
        "connector 1 session: charging, card ******6CED, transaction 7",
    ]
    assert told(STATUS, changed(status="Faulted", error_code="PowerMeterFailure")) == [
        "!connector 1: Faulted (PowerMeterFailure)"
    ]
    assert told(STATUS, changed(meter={"ok": False, "last_error": "no answer"})) == ["!connector 1 meter: no answer"]


@pytest.mark.parametrize(
    ("part", "view", "text"),
    [
        ("cloud", {"state": "offline", "last_error": "refused"}, "!cloud: offline: refused"),
        ("cloud", {"registration": "Pending"}, "!cloud: connected with ocpp1.6, Pending"),
        ("company", {"code": "AC-1", "state": "linked", "name": "Acme"}, "company: AC-1 linked Acme"),
        ("company", {"code": "AC-1", "state": "rejected", "reason": "no"}, "!company: AC-1 rejected no"),
        ("rfid", {"ok": False, "last_error": None}, "!card reader: not heard yet"),
    ],
)
def test_each_part_has_its_words(part: str, view: dict[str, Any], text: str) -> None:
    before: dict[str, Any] = STATUS
    assert told(before, STATUS | {part: before[part] | view}) == [text]


def test_a_card_that_waits_is_told() -> None:
    waiting = {"id_tag": "******6CED", "for": "car"}
    assert told(STATUS, changed(waiting=waiting)) == ["connector 1 session: none, card ******6CED waits for the car"]


def test_log_lines_are_put_into_words() -> None:
    line = log_line(
        json.dumps({"event": "card ******12CD refused", "level": "info", "connector": 1, "accepted": False, "x": None})
    )
    assert (line.text, line.bad, line.card) == ("card ******12CD refused; connector 1", False, True)
    line = log_line('{"event": "no connection", "level": "warning", "retry_in_s": 3}')
    assert (line.text, line.bad, line.card) == ("no connection; retry in 3", True, False)
    for odd in ("Traceback (most recent call last):", "[1]", '{"level": "info"}'):
        assert log_line(odd).text == odd
        assert log_line(odd).bad


def test_a_log_is_followed_line_by_line(tmp_path: Path) -> None:
    log = tmp_path / "agent.log"
    tail = LogTail(log)
    assert list(tail.read()) == []
    with log.open("ab") as file:
        file.write(b'{"event": "one"}\n{"event": "t')
        file.flush()
        assert [line.text for line in tail.read()] == ["one"]
        file.write(b'wo"}\n\n')
        file.flush()
        assert [line.text for line in tail.read()] == ["two"]
        assert list(tail.read()) == []


def test_news_are_printable_whatever_is_told() -> None:
    room = Newsroom()
    heard: list[str] = []
    room.listeners.append(lambda news: heard.append(str(news)))
    room.tell(Who.CLOUD, "a\x1b[2Jb" + "x" * 1000)
    assert heard[0][8:].startswith("  cloud    a?[2Jb")
    assert len(heard[0]) < 450
