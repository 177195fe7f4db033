"""What a request, a card number, a company code and a setting must look like, and the commands they become."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.buffer.annotation import Annotation, Change
from agent.core.commands import (
    BlockCard,
    Command,
    LinkCompany,
    PutCard,
    RemoteStart,
    RemoveCard,
    StopSession,
    UnblockCard,
    UnlinkCompany,
)
from agent.core.model import EvseId, IdToken, Profile
from agent.runtime.requests import SettingRequest, annotation_of, command_of, company_code, id_token

UID = IdToken("04A1B2C3")


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("04A1B2C3D4E5F6", "04A1B2C3D4E5F6"),
        ("04a1b2c3d4e5f6", "04A1B2C3D4E5F6"),
        ("04:A1:B2:C3:D4:E5:F6", "04A1B2C3D4E5F6"),
        ("04-a1-b2-c3", "04A1B2C3"),
        ("04.A1.B2.C3", "04A1B2C3"),
        (" 04 A1 B2 C3 ", "04A1B2C3"),
        ("04A1:B2C3", "04A1B2C3"),
        ("04:A1:B2:C3:D4:E5:F6:07:08:09", "04A1B2C3D4E5F6070809"),
        ("4A1B2C3", "4A1B2C3"),  # an odd number of digits is no UID
        ("virtual-token 7", "virtual-token 7"),
        ("VT12345678901234567X", "VT12345678901234567X"),
        ("04::A1", "04::A1"),
    ],
)
def test_hex_pairs_become_a_uid_and_other_text_stays(typed: str, value: str) -> None:
    assert id_token(typed) == IdToken(value)


@given(st.binary(min_size=1, max_size=10), st.sampled_from(["", ":", "-", ".", " "]), st.booleans())
def test_a_uid_is_the_same_however_it_is_typed(uid: bytes, separator: str, lower: bool) -> None:
    typed = separator.join(f"{byte:02x}" if lower else f"{byte:02X}" for byte in uid)
    assert id_token(typed).value == uid.hex().upper()


@pytest.mark.parametrize("typed", ["", "   ", "\x1b[31m", "a\nb", "kaart-é", "\ud800"])
def test_what_is_no_card_number_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="is not a card number"):
        id_token(typed)


@pytest.mark.parametrize("typed", ["123456789012345678901", "04:A1:B2:C3:D4:E5:F6:07:08:09:0A"])
def test_a_card_number_over_20_characters_is_refused_with_its_length(typed: str) -> None:
    with pytest.raises(ValueError, match=r"has 2[12] characters, at most 20 are allowed"):
        id_token(typed)


def test_a_company_code_is_taken_in_any_case() -> None:
    assert company_code(" acme-7f3k ") == "ACME-7F3K"
    assert company_code("A1-B") == "A1-B"
    assert company_code("A" * 36) == "A" * 36


@pytest.mark.parametrize("typed", ["", "ABC", "A" * 37, "ACME_7F3K", "ACME 7F3K", "ÀCME-7F3K", "ACME-7F3K\n-"])
def test_a_code_outside_its_alphabet_or_length_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="is not a company code"):
        company_code(typed)


@pytest.mark.parametrize(
    ("request_", "command"),
    [
        ({"command": "link", "code": "acme-7f3k"}, LinkCompany("ACME-7F3K")),
        ({"command": "unlink"}, UnlinkCompany()),
        ({"command": "start", "card": "04:a1:b2:c3"}, RemoteStart(UID, None)),
        ({"command": "start", "card": "04:a1:b2:c3", "connector": None}, RemoteStart(UID, None)),
        ({"command": "start", "card": "04A1B2C3", "connector": 2}, RemoteStart(UID, EvseId(2))),
        ({"command": "stop", "connector": 1}, StopSession(EvseId(1))),
        ({"command": "cards add", "uid": "04A1B2C3"}, PutCard(UID, Profile.FLEET)),
        (
            {
                "command": "cards add",
                "uid": "04A1B2C3",
                "profile": "private",
                "number": "N",
                "ema_id": "E",
                "name": " Ü ",
            },
            PutCard(UID, Profile.PRIVATE, "N", "E", "Ü"),
        ),
        ({"command": "cards block", "uid": "04A1B2C3"}, BlockCard(UID, None)),
        ({"command": "cards block", "uid": "04A1B2C3", "reason": "lost"}, BlockCard(UID, "lost")),
        ({"command": "cards unblock", "uid": "04A1B2C3"}, UnblockCard(UID)),
        ({"command": "cards remove", "uid": "04A1B2C3"}, RemoveCard(UID)),
        ({"command": "config reset", "key": "HeartbeatInterval"}, SettingRequest("HeartbeatInterval", None)),
        (
            {"command": "config set", "key": " HeartbeatInterval", "value": "15 "},
            SettingRequest("HeartbeatInterval", "15 "),
        ),
    ],
)
def test_a_request_becomes_its_command(request_: dict[str, object], command: Command | SettingRequest) -> None:
    assert command_of(request_) == command


def test_texts_are_one_printable_line_of_bounded_length() -> None:
    with pytest.raises(ValueError, match="name must be one line of at most 100 characters"):
        command_of({"command": "cards add", "uid": "04A1B2C3", "name": "x" * 101})
    with pytest.raises(ValueError, match="reason must be one line"):
        command_of({"command": "cards block", "uid": "04A1B2C3", "reason": "a\tb"})
    with pytest.raises(ValueError, match="uid is missing"):
        command_of({"command": "cards block", "reason": "lost"})


def test_a_value_may_be_empty_but_not_missing_or_endless() -> None:
    request = {"command": "config set", "key": "StopTxnSampledData"}
    assert command_of({**request, "value": ""}) == SettingRequest("StopTxnSampledData", "")
    for value in (None, 7, True, ["1"]):
        with pytest.raises(ValueError, match="value is missing"):
            command_of({**request, "value": value})
    with pytest.raises(ValueError, match="value has 501 characters, at most 500"):
        command_of({**request, "value": "x" * 501})
    with pytest.raises(ValueError, match="value must be one line without control characters"):
        command_of({**request, "value": "60\n"})


@pytest.mark.parametrize(
    ("request_", "change"),
    [
        ({"odometer": "48123"}, Change(Annotation(Decimal(48_123)))),
        ({"odometer": " 0 ", "note": " a "}, Change(Annotation(Decimal(0), "a"))),
        ({"clear": ["note", "odometer"]}, Change(Annotation(), frozenset({"note", "odometer_km"}))),
        ({"note": "x", "clear": ["odometer"]}, Change(Annotation(note="x"), frozenset({"odometer_km"}))),
    ],
)
def test_what_stands_beside_a_session_is_changed_as_asked(request_: dict[str, object], change: Change) -> None:
    assert annotation_of(request_) == change


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "nothing to add"),
        ({"clear": []}, "nothing to add"),
        ({"odometer": 48_123}, "odometer is '48123', allowed are whole km"),
        ({"odometer": ["1"]}, "odometer is"),
        ({"note": 7}, "note is empty"),
        ({"clear": "note"}, "clear is 'note', allowed are odometer and note"),
        ({"clear": ["odometer_km"]}, "allowed are odometer and note"),
        ({"clear": [[]]}, "allowed are odometer and note"),
        ({"clear": {"note": 1}}, "allowed are odometer and note"),
    ],
)
def test_what_cannot_stand_beside_a_session_is_refused(request_: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        annotation_of(request_)


def test_an_unknown_command_is_answered_with_those_that_are_known() -> None:
    words = "unknown command 'frobnicate': known are status, deliver, resend, annotate, link, unlink, start, stop"
    with pytest.raises(ValueError, match=words):
        command_of({"command": "frobnicate"})
