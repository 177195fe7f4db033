"""Cards at the reader: who decides, for which connector, what a second presentation means, and late answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.commands import BlockCard, ChangeAvailability, LearnCard, Reset, ResetKind, StopSession
from agent.core.effects import AskCsms, Indicate
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.model import STATION, IdToken, Profile, StopReason, TokenInfo, TokenStatus
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import Card, Cloud
from tests.unit.core.charger import (
    ACCEPTED,
    ALICE,
    BOB,
    ONE,
    PRIVATE,
    TWO,
    Charger,
    a_charger,
    cached,
    charging,
    fleet,
    known,
)

FAMILY = IdToken("FAMILY")
OF_FAMILY = TokenInfo(TokenStatus.ACCEPTED, group=FAMILY)


def online_with_car() -> Charger:
    c = a_charger()
    c.online()
    c.plug()
    return c


def two() -> Charger:
    c = Charger(policy=Policy(evses=(EvsePolicy(ONE), EvsePolicy(TWO))))
    known(c, Card(ALICE, Profile.PRIVATE), Card(BOB, Profile.PRIVATE))
    c.poll()
    return c


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_card_is_asked_about_online_and_starts_when_accepted() -> None:
    c = online_with_car()
    c.card(ALICE)
    assert c.question.id_token == ALICE
    assert not c.facts
    c.answer()
    assert c.only(SessionStarted).profile is Profile.FLEET
    assert c.state.tokens.cache[ALICE.key].info == ACCEPTED


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (TokenStatus.BLOCKED, "the central system has blocked this card"),
        (TokenStatus.EXPIRED, "this card has expired"),
        (TokenStatus.INVALID, "the central system does not know this card"),
        (TokenStatus.CONCURRENT_TX, "this card is charging elsewhere"),
    ],
)
def test_a_card_that_is_not_accepted_does_not_start_and_is_told_why(status: TokenStatus, words: str) -> None:
    c = online_with_car()
    c.card(ALICE)
    c.answer(TokenInfo(status))
    assert not c.facts
    assert c.said == f"card ****AA01 refused: {words}"
    assert c.shown == "Preparing"


def test_a_private_card_is_accepted_without_asking_anybody() -> None:
    c = online_with_car()
    c.card(PRIVATE)
    assert not c.all(AskCsms)
    assert c.only(SessionStarted).profile is Profile.PRIVATE


@pytest.mark.requirement(30)
def test_cards_are_compared_without_regard_to_case() -> None:
    c = fleet()
    c.card(IdToken(ALICE.value.lower()))
    c.run(4)
    assert c.only(SessionEnded).reason is StopReason.LOCAL


@pytest.mark.parametrize("link", ["online", "offline"])
def test_a_card_blocked_here_never_starts_and_nobody_is_asked(link: str) -> None:
    c = cached(a_charger(), ALICE)
    c.state = replace(c.state, cloud=Cloud())
    known(c, Card(ALICE, blocked=""), Card(BOB, Profile.PRIVATE, blocked="left the company"))
    if link == "online":
        c.online()
    c.plug()
    c.card(ALICE)
    assert c.said == "card ****AA01 refused: blocked here"
    c.card(BOB)
    assert c.said == "card ****BB02 refused: blocked here: left the company"
    assert not c.facts
    assert not c.all(AskCsms)


def test_a_card_blocked_here_while_it_is_asked_about_is_refused() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.command(BlockCard(ALICE, "lost"), "control")
    c.answer()
    assert not c.facts
    assert c.said == "card ****AA01 refused: blocked here: lost"


@pytest.mark.requirement(39)
def test_a_card_held_twice_is_asked_about_once() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.card(ALICE)
    assert len(c.all(AskCsms)) == 1


# --- no answer ------------------------------------------------------------------------------------------------------


def test_without_an_answer_the_station_decides_after_two_seconds() -> None:
    c = cached(online_with_car(), ALICE)
    c.card(ALICE)
    c.run(1.9)
    assert not c.facts
    c.run(0.2)
    assert c.all(SessionStarted)


@pytest.mark.requirement(26)
def test_an_answer_after_the_station_accepted_is_only_remembered() -> None:
    c = cached(online_with_car(), ALICE)
    c.card(ALICE)
    c.run(3)
    c.answer(TokenInfo(TokenStatus.BLOCKED))
    c.run(5)
    assert not c.all(SessionEnded)
    assert c.state.tokens.cache[ALICE.key].info.status is TokenStatus.BLOCKED
    assert not c.state.asking


def test_a_refusal_for_want_of_an_answer_is_taken_back_by_a_late_one() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(3)
    assert c.said == "card ****AA01 refused: no connection to the central system, and this card is not known here"
    c.run(20)
    c.answer()
    assert c.only(SessionStarted).id_token == ALICE


def test_a_refusal_for_want_of_an_answer_is_told_once() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(25)
    assert len([i for i in c.all(Indicate) if not i.accepted]) == 1


def test_a_late_refusal_is_not_told_twice() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(3)
    before = len(c.effects)
    c.answer(TokenInfo(TokenStatus.INVALID))
    assert len(c.effects) == before


def test_an_answer_later_than_the_message_time_out_counts_for_nothing() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(31)
    assert not c.state.asking
    c.answer()
    assert not c.facts


def test_a_late_answer_does_not_start_where_somebody_else_charges() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(3)
    c.card(PRIVATE)
    c.answer()
    assert c.only(SessionStarted).id_token == PRIVATE
    assert c.said == "card ****AA01 refused: the charger is no longer free"


@pytest.mark.requirement(26)
def test_a_card_held_again_after_the_refusal_is_asked_about_anew_and_starts_once() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(3)
    c.card(ALICE)
    one, other = c.all(AskCsms)
    assert one.request != other.request
    assert [a.request for a in c.state.asking] == [other.request]
    c.answer()
    assert len(c.all(SessionStarted)) == 1


def test_an_error_for_an_answer_decides_at_once() -> None:
    c = cached(online_with_car(), ALICE)
    c.card(ALICE)
    c.answer(None)
    assert c.all(SessionStarted)


def test_an_error_after_the_station_has_decided_changes_nothing() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(3)
    before = len(c.effects)
    c.answer(None)
    assert len(c.effects) == before


def test_a_lost_link_decides_at_once() -> None:
    c = cached(online_with_car(), ALICE)
    c.card(ALICE)
    c.card(BOB)
    c.offline()
    assert c.only(SessionStarted).id_token == ALICE
    assert [i.text for i in c.all(Indicate) if not i.accepted and "****BB02" in i.text and "no connection" in i.text]
    assert not c.state.asking


@pytest.mark.requirement(26)
def test_a_lost_link_does_not_decide_twice() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.run(3)
    before = c.said, len(c.effects)
    c.offline()
    assert (c.said, len(c.effects)) == before


def test_an_answer_nobody_waits_for_is_ignored() -> None:
    c = online_with_car()
    c.card(ALICE)
    c.answer(TokenInfo(TokenStatus.INVALID))
    c.answer()
    assert not c.facts


def test_what_is_said_of_a_token_is_not_kept_where_the_cache_is_off() -> None:
    c = a_charger(lambda s: replace(s, cache_enabled=False))
    c.online()
    c.plug()
    c.card(ALICE)
    c.answer()
    assert c.all(SessionStarted)
    assert not c.state.tokens.cache


# --- the second presentation ----------------------------------------------------------------------------------------


def test_the_same_card_ends_its_session_without_asking() -> None:
    c = fleet()
    questions = len(c.all(AskCsms))
    c.card(ALICE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert (ended.reason, ended.id_token) == (StopReason.LOCAL, ALICE)
    assert len(c.all(AskCsms)) == questions


def test_the_same_card_does_nothing_right_after_the_start() -> None:
    c = a_charger()
    c.plug()
    c.card(PRIVATE)
    c.run(4.9)
    c.card(PRIVATE)
    c.run(5)
    assert not c.all(SessionEnded)
    c.card(PRIVATE)
    c.run(4)
    assert c.all(SessionEnded)


@pytest.mark.requirement(27)
def test_the_same_card_takes_its_grant_back() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.card(PRIVATE)
    assert c.evse.grant is None
    assert c.said == "card taken back"
    assert c.shown == "Available"
    c.plug()
    assert not c.facts


@pytest.mark.requirement(28)
def test_another_card_while_one_waits_for_the_plug_is_refused() -> None:
    c = known(a_charger(), Card(PRIVATE, Profile.PRIVATE), Card(BOB, Profile.PRIVATE))
    c.card(PRIVATE)
    c.card(BOB)
    assert c.said == "card ****BB02 refused: the charger waits for the car of another card"
    c.plug()
    assert c.only(SessionStarted).id_token == PRIVATE


@pytest.mark.requirement(26)
def test_a_presentation_that_races_the_connection_time_out_has_one_outcome() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.pass_time(60)
    c.card(PRIVATE)
    assert c.evse.grant is None
    c.keep_deadlines()
    c.plug()
    assert not c.facts


# --- groups and other cards -----------------------------------------------------------------------------------------


@pytest.mark.requirement(43)
def test_a_card_of_the_same_group_known_here_ends_the_session_without_asking() -> None:
    c = fleet(info=OF_FAMILY)
    cached(c, BOB, OF_FAMILY)
    questions = len(c.all(AskCsms))
    c.card(BOB)
    c.run(4)
    assert c.only(SessionEnded).id_token == BOB
    assert len(c.all(AskCsms)) == questions


def test_a_card_of_unknown_group_is_asked_about_and_ends_the_session_of_its_group() -> None:
    c = fleet(info=OF_FAMILY)
    c.card(BOB)
    assert c.question.id_token == BOB
    c.answer(OF_FAMILY)
    c.run(4)
    assert c.only(SessionEnded).id_token == BOB


@pytest.mark.requirement(43, 56)
@pytest.mark.parametrize(
    "info",
    [
        TokenInfo(TokenStatus.BLOCKED, group=FAMILY),
        TokenInfo(TokenStatus.ACCEPTED, group=IdToken("OTHERS")),
        TokenInfo(TokenStatus.ACCEPTED),
    ],
)
def test_a_card_of_no_such_group_changes_nothing(info: TokenInfo) -> None:
    c = fleet(info=OF_FAMILY)
    c.card(BOB)
    c.answer(info)
    c.run(5)
    assert c.phase == "charging"
    assert c.said == "card ****BB02 refused: another card's session is running"


def test_a_card_of_the_group_that_is_blocked_here_does_not_end_the_session() -> None:
    c = known(fleet(info=OF_FAMILY), Card(BOB, blocked="lost"))
    cached(c, BOB, OF_FAMILY)
    c.card(BOB)
    c.run(5)
    assert not c.all(SessionEnded)


@pytest.mark.requirement(43)
def test_the_name_of_a_group_is_no_member_of_it() -> None:
    c = fleet(info=OF_FAMILY)
    c.card(FAMILY)
    c.answer(ACCEPTED)
    c.run(5)
    assert not c.all(SessionEnded)


def test_a_group_that_the_start_told_ends_the_session_too() -> None:
    c = fleet()
    c.answer_start(OF_FAMILY)
    cached(c, BOB, OF_FAMILY)
    c.card(BOB)
    c.run(4)
    assert c.only(SessionEnded).id_token == BOB


def test_a_question_about_a_group_without_an_answer_ends_nothing() -> None:
    c = fleet(info=OF_FAMILY)
    c.card(BOB)
    c.run(3)
    assert c.said == "card ****BB02 refused: another card's session is running"
    assert not c.all(SessionEnded)
    c.answer(TokenInfo(TokenStatus.INVALID))
    assert not c.all(SessionEnded)


def test_nobody_is_asked_about_a_card_while_a_private_session_runs() -> None:
    c = charging()
    c.online()
    c.card(BOB)
    assert not c.all(AskCsms)
    assert c.said == "card ****BB02 refused: another card's session is running"


def test_another_private_card_changes_nothing() -> None:
    c = known(charging(), Card(PRIVATE, Profile.PRIVATE), Card(BOB, Profile.PRIVATE))
    c.card(BOB)
    c.run(5)
    assert c.phase == "charging"
    assert len(c.all(SessionStarted)) == 1


def test_a_card_of_the_group_ends_the_second_of_two_sessions() -> None:
    c = two()
    c.plug()
    c.card(BOB)
    c.run(10)
    c.online()
    c.sites[TWO].plugged = True
    c.run(1)
    known(c, Card(BOB, Profile.PRIVATE))
    c.card(ALICE)
    c.answer(OF_FAMILY)
    c.run(10)
    sister = IdToken("04DDDD04")
    cached(c, sister, OF_FAMILY)
    c.card(sister)
    c.run(4)
    assert c.only(SessionEnded).evse == TWO


# --- which connector ------------------------------------------------------------------------------------------------


def test_a_card_without_a_car_is_for_the_only_free_connector() -> None:
    c = two()
    c.command(ChangeAvailability(ONE, operative=False))
    c.card(ALICE)
    assert c.state.evse(TWO).grant is not None


@pytest.mark.requirement(59)
@pytest.mark.parametrize("why", ["inoperative", "fault", "restarting", "silent"])
def test_a_card_at_a_charger_that_cannot_start_is_told_why(why: str) -> None:
    c = a_charger()
    c.plug()
    if why == "inoperative":
        c.command(ChangeAvailability(STATION, operative=False))
    elif why == "fault":
        c.site.faults = ("rcd",)
        c.run(1)
    elif why == "restarting":
        charging(c)
        c.site.meter_error = "no answer"
        c.command(Reset(ResetKind.SOFT))
    else:
        c.site.evse_error = "controller 1 does not answer"
        c.run(6)
    c.card(BOB)
    words = {
        "inoperative": "the charger is out of service",
        "fault": "the controller reports: rcd",
        "restarting": "the charger is about to start again",
        "silent": "controller 1 does not answer",
    }
    assert c.said == f"card ****BB02 refused: {words[why]}"


@pytest.mark.requirement(32)
def test_a_card_while_the_last_session_is_ending_starts_nothing() -> None:
    c = charging()
    c.command(StopSession(ONE), "control")
    c.card(BOB)
    assert "the last session is over" in c.said
    c.card(PRIVATE)
    c.run(5)
    assert len(c.all(SessionStarted)) == 1


def test_a_card_that_somebody_waits_for_to_learn_it_neither_starts_nor_takes_back_anything() -> None:
    c = a_charger()
    c.card(PRIVATE)
    assert c.evse.grant is not None
    c.command(LearnCard("me"), "control")
    c.card(PRIVATE)
    assert c.evse.grant is not None
    c.plug()
    assert c.only(SessionStarted).id_token == PRIVATE
