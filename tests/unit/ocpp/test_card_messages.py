"""Cards on the wire: what is refused whole, what is not taken alone, and answers that name no UID but what was sent."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.messages import get_validator

from agent.core.card import CardKind, CardsReport, HeldCard, SentCard, Stage, Unreadable
from agent.core.commands import GetCards, Outcome, PushCards, Result
from agent.core.company import Company
from agent.core.model import IdToken
from agent.core.settings import Settings
from agent.ocpp.card_messages import report, sent
from agent.ocpp.company_link import VENDOR, answer_data, pushed
from agent.ocpp.dialect import Immediate, StationView
from agent.ocpp.rpc import Incoming, JsonObject
from agent.ocpp.v16.decode import answer, decode

VIEW = StationView(connectors=1, settings=Settings(), company=Company())
UID = IdToken("04A1B2C3D4E5F6")
WHOLE: JsonObject = {
    "uid": "04:a1:b2:c3:d4:e5:f6",
    "number": "NL-WEX-CNQPWFBEK",
    "emaId": "nl-tnm-000122045-u",
    "name": " Kim ",
    "kind": "virtual",
    "profile": "fleet",
    "status": "blocked",
    "reason": "payment",
    "validFrom": "2026-11-01",
    "validTo": "2026-12-31T18:00:00Z",
    "replaces": "04DD",
}


def one(**members: object) -> SentCard | Unreadable:
    """Return what is made of one card."""
    (card,) = sent({"version": 1, "cards": [{"uid": UID.value, **members}]}).cards
    return card


def transfer(message: str, data: str | None) -> JsonObject:
    payload: JsonObject = {"vendorId": VENDOR, "messageId": message}
    return payload if data is None else {**payload, "data": data}


def test_a_card_is_read_with_all_that_is_sent_of_it() -> None:
    push = pushed("Cards", json.dumps({"version": 12, "updateType": "Differential", "cards": [WHOLE]}))
    card = SentCard(
        UID,
        Stage.BLOCKED,
        "NL-WEX-CNQPWFBEK",
        "NL-TNM-000122045-U",
        "Kim",
        CardKind.VIRTUAL,
        "payment",
        date(2026, 11, 1),
        datetime(2026, 12, 31, 18, tzinfo=UTC),
        IdToken("04DD"),
    )
    assert push == PushCards(12, False, (card,))


def test_a_uid_alone_is_a_card_in_use_and_a_message_without_an_update_type_is_whole() -> None:
    assert sent({"version": 1, "cards": [{"uid": UID.value}]}) == PushCards(1, True, (SentCard(UID),))


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ("active", Stage.IN_USE),
        ("Active", Stage.IN_USE),
        ("inactive", Stage.NEW),
        ("blocked", Stage.BLOCKED),
        ("deactivated", Stage.DEACTIVATED),
        ("removed", None),
    ],
)
def test_a_status_is_a_stage_of_the_card(status: str, stage: Stage | None) -> None:
    assert one(status=status) == SentCard(UID, stage)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"cards": []}, "version must be a whole number, 1 or more"),
        ({"version": 0, "cards": []}, "version must be"),
        ({"version": True, "cards": []}, "version must be"),
        ({"version": 2**63, "cards": []}, "version must be"),
        ({"version": "1", "cards": []}, "version must be"),
        ({"version": 1}, "cards must be a list"),
        ({"version": 1, "cards": {}}, "cards must be a list"),
        ({"version": 1, "updateType": "some", "cards": []}, "updateType must be Full or Differential"),
        ({"version": 1, "updateType": [], "cards": []}, "updateType must be Full or Differential"),
    ],
)
def test_a_message_that_is_none_is_refused_whole(content: JsonObject, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sent(content)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"emaId": "NL-TNM-000122045-X"}, "EMA-ID NL-TNM-000122045-X has the wrong check digit: it should end in U"),
        ({"number": "x" * 37}, "number has 37 characters"),
        ({"number": 7}, "number must be one line"),
        ({"name": "a\nb"}, "name must be one line"),
        ({"name": "x" * 101}, "name must be one line of at most 100 characters"),
        ({"kind": "ring"}, "kind must be one of card, virtual, other"),
        ({"kind": []}, "kind must be one of"),
        ({"status": "lost"}, "status must be one of active, inactive, blocked, deactivated, removed"),
        ({"status": None}, "status must be one of"),
        ({"status": []}, "status must be one of"),
        ({"profile": "private"}, "profile must be fleet: private cards are made at the station"),
        ({"profile": []}, "profile must be fleet"),
        ({"validFrom": "tomorrow"}, "validFrom must be a day like"),
        ({"validTo": 20261231}, "validTo must be a day like"),
        ({"validTo": "9999-12-31"}, "validTo must be a day like"),
        ({"replaces": ""}, "replaces must be the uid of a card"),
        ({"replaces": 4}, "replaces must be the uid of a card"),
    ],
)
def test_a_card_that_cannot_be_read_is_not_taken_alone(members: JsonObject, words: str) -> None:
    card = one(**members)
    assert isinstance(card, Unreadable)
    assert card.id_token == UID
    assert card.reason.startswith(words)


@pytest.mark.parametrize("card", [7, None, [], {}, {"uid": None}, {"uid": ""}, {"uid": "x" * 21}, {"uid": "kaart-é"}])
def test_a_card_without_a_usable_uid_is_nobodys(card: object) -> None:
    (read,) = sent({"version": 1, "cards": [card]}).cards
    assert isinstance(read, Unreadable)
    assert read.id_token is None


def test_an_answer_tells_what_came_of_each_card_by_its_place() -> None:
    assert report(CardsReport(12, (None, "wrong check digit"))) == {
        "version": 12,
        "results": [{"status": "Taken"}, {"status": "Failed", "reason": "wrong check digit"}],
    }


def test_cards_are_told_as_they_stand() -> None:
    cards = (
        HeldCard(UID, Stage.NEW, blocked=False),
        HeldCard(IdToken("04DD"), Stage.IN_USE, blocked=True),
        HeldCard(IdToken("04EE"), Stage.DEACTIVATED, blocked=True),
        HeldCard(IdToken("04FF"), Stage.BLOCKED, blocked=True),
        HeldCard(IdToken("0400"), Stage.IN_USE, blocked=False),
    )
    assert report(CardsReport(3, held=cards)) == {
        "version": 3,
        "cards": [
            {"uid": UID.value, "status": "inactive", "activated": False},
            {"uid": "04DD", "status": "blocked", "activated": True},
            {"uid": "04EE", "status": "deactivated", "activated": True},
            {"uid": "04FF", "status": "blocked", "activated": True},
            {"uid": "0400", "status": "active", "activated": True},
        ],
    }


# --- as OCPP 1.6 carries them ---------------------------------------------------------------------------------------


def test_a_push_is_answered_with_what_came_of_each_card() -> None:
    command = decode(Incoming("id", "DataTransfer", transfer("Cards", '{"version":1,"cards":[{"uid":"04DD"}]}')), VIEW)
    assert isinstance(command, PushCards)
    payload = answer(command, Outcome(command, Result.ACCEPTED, cards=CardsReport(1, (None,))), VIEW)
    assert payload == {"status": "Accepted", "data": '{"version":1,"results":[{"status":"Taken"}]}'}
    get_validator(3, "DataTransfer", "1.6").validate(payload)


def test_a_push_that_is_refused_is_answered_with_the_reason() -> None:
    command = PushCards(1, True, ())
    payload = answer(command, Outcome(command, Result.REJECTED, "version 1 is older than 2, which is here"), VIEW)
    assert payload == {"status": "Rejected", "data": '{"reason":"version 1 is older than 2, which is here"}'}
    decoded = decode(Incoming("id", "DataTransfer", transfer("Cards", '{"version":1}')), VIEW)
    assert isinstance(decoded, Immediate)
    assert decoded.payload == {"status": "Rejected", "data": '{"reason":"cards must be a list"}'}


@pytest.mark.parametrize("data", [None, "", "{}", "whatever"])
def test_who_asks_how_the_cards_stand_need_say_nothing_more(data: str | None) -> None:
    assert decode(Incoming("id", "DataTransfer", transfer("GetCards", data)), VIEW) == GetCards()


def test_an_outcome_without_cards_has_no_data() -> None:
    assert answer_data(Outcome(GetCards(), Result.ACCEPTED)) is None
    assert answer_data(Outcome(GetCards(), Result.REJECTED)) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(WHOLE)), inner, max_size=4),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(WHOLE)), VALUES, max_size=11) | VALUES, max_size=4))
def test_whatever_is_sent_every_card_is_read_or_told_why_not(cards: list[object]) -> None:
    push = sent({"version": 1, "cards": cards})
    assert len(push.cards) == len(cards)


@given(st.text(max_size=60) | VALUES.map(json.dumps))
def test_whatever_the_data_are_the_message_is_taken_or_refused_in_words(data: str) -> None:
    with suppress(ValueError):
        pushed("Cards", data)
