"""``cards``: learnt at the reader, activated, replaced, deactivated, listed; asked about on a real terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.cli import card_learning
from agent.cli.card_list import _distribution_text, distribution_to_json
from agent.cli.context import CommandFailed
from agent.core.card import CardKind, Distribution, NotTaken, Stage, Standing
from agent.core.events import CardPresented, ReaderChanged
from agent.core.model import EvseId, IdToken, Profile
from agent.core.state import Card, EvseState, StationState, Tokens
from tests.unit.cli.installed import Station, instant, write_ledger

UID, NEW = IdToken("04A1B2C3D4E5F6"), IdToken("04EEEEEE")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card_learning, "INTERVAL_S", 0.005)
    monkeypatch.setattr(card_learning, "LOOKS", 4)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let standard input be a real terminal; return the end where somebody types."""
    typing, line = pty.openpty()
    with os.fdopen(line, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield typing
    os.close(typing)


def knows(station: Station, *cards: Card) -> None:
    station.state = replace(station.state, tokens=Tokens({card.id_token.key: card for card in cards}))


def card(station: Station, token: IdToken) -> Card:
    return station.state.tokens.cards[token.key]


# ---- learn -----------------------------------------------------------------------------------------------------------


def test_a_card_that_is_held_is_shown_in_full_and_added(station: Station) -> None:
    station.afterwards = [CardPresented(UID)]
    status, out, err = station.call("cards", "learn", "--number", "NL-1", "--profile", "private", "--yes")
    assert (status, out) == (0, "card 04A1B2C3D4E5F6 is known (private)\n")
    assert err == "hold the card to the reader (within a minute; Ctrl-C ends it)\ncard 04A1B2C3D4E5F6\n"
    assert card(station, UID) == Card(UID, Profile.PRIVATE, "NL-1")
    assert station.state.evses[0].grant is None


def test_a_card_is_learnt_as_one_document(station: Station) -> None:
    station.afterwards = [CardPresented(UID)]
    _, out, _ = station.call("cards", "learn", "--yes", "--json")
    assert out == '{\n  "id_tag": "04A1B2C3D4E5F6",\n  "result": "accepted",\n  "reason": null\n}\n'


@pytest.mark.parametrize(("typed", "status"), [(b"y\n", 0), (b"YES\n", 0), (b"n\n", 1), (b"\n", 1), (b"\x04", 1)])
def test_a_card_is_added_when_it_is_said_to_be_the_right_one(
    station: Station, terminal: int, typed: bytes, status: int
) -> None:
    station.afterwards = [CardPresented(UID)]
    os.write(terminal, typed)
    seen, _, err = station.call("cards", "learn")
    assert seen == status
    assert "card 04A1B2C3D4E5F6\nadd it? [y/N] " in err
    assert (UID.key in station.state.tokens.cards) == (status == 0)
    assert ("nothing was changed" in err) == (status == 1)


def test_a_number_that_changes_at_each_touch_is_told_when_it_is_learnt(station: Station) -> None:
    station.afterwards = [CardPresented(IdToken("08A1B2C3"))]
    assert "note: 08A1B2C3 looks like a number that changes" in station.call("cards", "learn", "--yes")[2]


def test_a_minute_without_a_card_is_told(station: Station) -> None:
    status, out, err = station.call("cards", "learn", "--yes")
    assert (status, out) == (1, "")
    assert err.endswith(
        "no card was held to the reader within a minute: try again, and look at `wallbox-agent status`\n"
    )
    assert station.state.learning is None


def test_what_could_not_be_kept_is_told_before_anybody_walks_to_the_reader(station: Station) -> None:
    words = "EMA-ID NL-TNM-000122045-X has the wrong check digit: it should end in U; compare it with the card"
    assert station.refusal("cards", "learn", "--yes", "--ema-id", "NL-TNM-000122045-X", status=2) == words
    assert station.state.learning is None


def test_nobody_is_asked_where_there_is_no_terminal(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull) as nothing:  # noqa: PTH123  # a device, no file
        monkeypatch.setattr(sys, "stdin", nothing)
        words = "nobody can be asked whether it is meant: add --yes"
        assert station.refusal("cards", "learn", status=2) == words
        assert station.refusal("cards", "deactivate", "04A1B2C3", status=2) == words
        assert station.refusal("cards", "replace", "04A1B2C3", "04EEEEEE", status=2) == words
    assert not station.state.tokens.cards


def test_a_reader_that_does_not_work_is_told_at_once(station: Station) -> None:
    station.afterwards = [ReaderChanged("card reader on /dev/ttyUSB1: there is no such port")]
    station.daemon_is_asked("cards learn-stop", learner="nobody")
    words = "no card can be read: card reader on /dev/ttyUSB1: there is no such port"
    assert station.refusal("cards", "learn", "--yes") == words


def test_ctrl_c_ends_it_and_the_card_is_an_ordinary_one_again(station: Station) -> None:
    command = [sys.executable, "-m", "agent", "cards", "learn", "--yes", "--config", str(station.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "hold the card" in process.stderr.readline()
        assert station.state.learning is not None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=8)
    assert (process.returncode, out, err) == (130, "", "")
    assert station.state.learning is None


# ---- the life of a card ----------------------------------------------------------------------------------------------


def test_a_card_is_activated_by_what_is_printed_on_it(station: Station) -> None:
    knows(station, Card(UID, number="NL-WEX-CNQPWFBEK", standing=Standing(stage=Stage.NEW, sent=True)))
    done = station.call("cards", "activate", "nl wex cnqpwfbek")
    assert done == (0, "card nl wex cnqpwfbek is active (UID 04A1B2C3D4E5F6)\n", "")
    assert card(station, UID).standing.stage is Stage.IN_USE
    assert station.refusal("cards", "activate", "NL-WEX-CNQPWFBEK") == "card NL-WEX-CNQPWFBEK is active already"
    knows(station, Card(UID, number="N-1", standing=Standing(stage=Stage.NEW)))
    assert station.json("cards", "activate", "N-1") == {
        "id_tag": UID.value,
        "card": "N-1",
        "result": "accepted",
        "reason": None,
    }


def test_a_card_is_deactivated_for_good(station: Station) -> None:
    done = station.call("cards", "deactivate", "04:a1:b2:c3:d4:e5:f6", "--reason", "stolen", "--yes")
    assert done == (0, "card 04A1B2C3D4E5F6 is deactivated for good\n", "")
    assert card(station, UID).standing == Standing(stage=Stage.DEACTIVATED, reason="stolen")
    for verb in ("add", "block", "unblock"):
        assert station.refusal("cards", verb, UID.value) == "card 04A1B2C3D4E5F6 was deactivated for good"
    words = "card 04A1B2C3D4E5F6 was deactivated for good: it stays known, so that nobody is asked about it"
    assert station.refusal("cards", "remove", UID.value) == words


def test_what_cannot_be_undone_is_asked_about(station: Station, terminal: int) -> None:
    os.write(terminal, b"no\n")
    status, out, err = station.call("cards", "deactivate", UID.value)
    assert (status, out) == (1, "")
    assert err.startswith("deactivate card 04A1B2C3D4E5F6? that cannot be undone [y/N] ")
    assert not station.state.tokens.cards


def test_a_lost_card_is_replaced(station: Station) -> None:
    knows(station, Card(UID, number="N-1", name="Kim"))
    document = station.json("cards", "replace", UID.value, NEW.value, "--yes", "--reason", "lost", "--number", "N-2")
    assert document == {"id_tag": NEW.value, "replaces": UID.value, "result": "accepted", "reason": None}
    assert card(station, NEW) == Card(NEW, number="N-2", name="Kim", standing=Standing(replaces=UID))
    assert card(station, UID).standing.reason == "lost"
    words = "card 04A1B2C3D4E5F6 was replaced already, by ****EEEE"
    assert station.refusal("cards", "replace", UID.value, "04FFFFFF", "--yes") == words


def test_a_replacement_is_told_in_words(station: Station) -> None:
    knows(station, Card(UID, number="N-1"))
    done = station.call("cards", "replace", UID.value, NEW.value, "--yes")
    assert done == (0, "card 04EEEEEE replaces 04A1B2C3D4E5F6\n", "")


def test_limits_and_kind_are_kept(station: Station) -> None:
    options = ["--valid-from", "2026-11-01T08:00Z", "--valid-until", "2026-12-31", "--kind", "other"]
    station.json("cards", "add", UID.value, *options)
    until = datetime(2027, 1, 1, tzinfo=UTC)
    assert card(station, UID).standing == Standing(CardKind.OTHER, datetime(2026, 11, 1, 8, tzinfo=UTC), until)
    station.json("cards", "add", UID.value, "--valid-from", "none")
    assert card(station, UID).standing == Standing(CardKind.OTHER, valid_until=until)


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("--number", "x" * 37, "number has 37 characters, at most 36 are allowed: type what is printed on it"),
        (
            "--valid-from",
            "31.12.2026",
            "valid_from: '31.12.2026' is neither a day like 2026-12-31 nor a moment like 2026-12-31T18:00, nor none",
        ),
        (
            "--ema-id",
            "NL-TNM-000122045-X",
            "EMA-ID NL-TNM-000122045-X has the wrong check digit: it should end in U; compare it with the card",
        ),
    ],
)
def test_what_is_wrong_with_a_card_is_told_in_one_line(station: Station, option: str, text: str, words: str) -> None:
    assert station.refusal("cards", "add", UID.value, option, text, status=2) == words


def test_a_kind_that_is_none_is_refused_on_the_socket_too(station: Station) -> None:
    with pytest.raises(CommandFailed, match="kind is 'ring', allowed are card, virtual, other") as failed:
        station.daemon_is_asked("cards add", uid=UID.value, kind="ring")
    assert failed.value.status == 2
    assert station.refusal("cards", "deactivate", "", "--yes", status=2).startswith("'' is not a card number")


def test_a_card_keeps_its_profile_unless_another_is_said(with_ledger: Station) -> None:
    with with_ledger.running():
        assert (
            with_ledger.call("cards", "add", "virtual-1", "--name", "Kim")[1] == "card virtual-1 is known (private)\n"
        )
        assert (
            with_ledger.call("cards", "add", "virtual-1", "--profile", "fleet")[1]
            == "card virtual-1 is known (fleet)\n"
        )


# ---- lists -----------------------------------------------------------------------------------------------------------


def ledger(station: Station, *cards: Card) -> Any:  # noqa: ANN401  # a document, taken apart where it is asserted
    """Write a ledger with cards, and return the list of them."""
    tokens = Tokens({card.id_token.key: card for card in cards})
    write_ledger(station.state_dir, StationState((EvseState(EvseId(1)),), tokens=tokens))
    return station.json("cards", "list")


@pytest.mark.parametrize(
    ("blocked", "standing", "expected"),
    [
        (None, Standing(), ("active", None, "in-use")),
        ("lost", Standing(), ("blocked", "lost", "in-use")),
        ("", Standing(), ("blocked", None, "in-use")),
        (None, Standing(stage=Stage.BLOCKED, reason="payment"), ("blocked", "payment", "blocked")),
        ("lost", Standing(stage=Stage.BLOCKED, reason="payment"), ("blocked", "lost", "blocked")),
        (None, Standing(stage=Stage.NEW, reason="sent by post"), ("inactive", None, "new")),
        ("lost", Standing(stage=Stage.DEACTIVATED, reason="stolen"), ("inactive", "stolen", "deactivated")),
    ],
)
def test_a_card_is_active_blocked_or_inactive(
    stopped: Station, blocked: str | None, standing: Standing, expected: tuple[str, str | None, str]
) -> None:
    (document,) = ledger(stopped, Card(UID, blocked=blocked, standing=standing))
    assert (document["status"], document["reason"], document.get("stage", "in-use")) == expected


def test_history_and_validity_are_in_the_list(stopped: Station) -> None:
    until = datetime(2026, 12, 31, 23, tzinfo=UTC)
    first = datetime(2026, 11, 1, 7, tzinfo=UTC)
    old = Card(UID, number="N-1", standing=Standing(stage=Stage.DEACTIVATED, reason="lost", replaced_by=NEW))
    new = Card(NEW, standing=Standing(CardKind.OTHER, first, until, Stage.NEW, replaces=UID, sent=True))
    one, other = ledger(stopped, old, new)
    usual = {"id_tag", "card", "ema_id", "name", "profile", "status", "reason"}
    assert {name: one[name] for name in one.keys() - usual} == {"stage": "deactivated", "replaced_by": NEW.value}
    assert {name: other[name] for name in other.keys() - usual} == {
        "kind": "other",
        "stage": "new",
        "valid_from": "2026-11-01T07:00:00Z",
        "valid_until": "2026-12-31T23:00:00Z",
        "replaces": UID.value,
        "sent": True,
    }
    lines = stopped.call("cards", "list")[1].splitlines()
    assert lines[1].endswith("deactivated for good: lost; replaced by 04EEEEEE")
    assert lines[2].endswith(
        "not activated yet; other; from 2026-11-01 08:00; until 2026-12-31; replaces 04A1B2C3D4E5F6"
    )


def test_without_cards_from_afar_that_is_said(stopped: Station) -> None:
    assert stopped.call("cards", "distribution") == (0, "the central system has sent no cards\n", "")
    assert stopped.json("cards", "distribution") == {"version": 0, "at": None, "taken": 0, "failed": []}
    ledger(stopped, Card(UID))
    assert stopped.json("cards", "distribution")["version"] == 0


def test_what_was_not_taken_is_told_with_the_reason_and_the_tries() -> None:
    failed = (NotTaken(UID, "wrong check digit", 2), NotTaken(None, "a card must be an object"))
    assert distribution_to_json(Distribution(12, instant(), failed), 92) == {
        "version": 12,
        "at": "2026-11-21T20:15:03Z",
        "taken": 92,
        "failed": [
            {"id_tag": UID.value, "reason": "wrong check digit", "tries": 2},
            {"id_tag": None, "reason": "a card must be an object", "tries": 1},
        ],
    }


def test_what_was_taken_is_told_in_local_time() -> None:
    failed = (NotTaken(UID, "wrong check digit", 2), NotTaken(None, "a card must be an object"))
    zone = ZoneInfo("Europe/Amsterdam")
    assert _distribution_text(Distribution(12, instant()), 3, zone) == "version 12 of 2026-11-21 21:15: 3 taken, 0 not"
    assert _distribution_text(Distribution(12, instant(), failed), 3, zone).splitlines() == [
        "version 12 of 2026-11-21 21:15: 3 taken, 2 not",
        "",
        "UID             TRIES  WHY NOT",
        "04A1B2C3D4E5F6      2  wrong check digit",
        "-                   1  a card must be an object",
    ]
