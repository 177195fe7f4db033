"""Cards as a fleet knows them: validity, activation, replacement, the end for good, and being learnt at the reader."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from agent.buffer.codec import dump, load
from agent.core.card import CardKind, Cleared, SentCard, Stage, Standing
from agent.core.commands import (
    ActivateCard,
    BlockCard,
    DeactivateCard,
    LearnCard,
    PushCards,
    PutCard,
    RemoteStart,
    RemoveCard,
    ReplaceCard,
    Result,
    StopLearning,
    UnblockCard,
)
from agent.core.effects import AskCsms
from agent.core.events import ReaderChanged
from agent.core.facts import SCHEMA, SessionEnded, SessionStarted
from agent.core.instant import TimeStatus
from agent.core.learning import LEASE_S, LEFT_IN_PEACE_S
from agent.core.model import IdToken, Profile
from agent.core.state import Card
from agent.core.validity import first_moment, is_reversed, last_moment
from tests.unit.core.charger import ALICE, BOB, NOON, ONE, PRIVATE, Charger, a_charger, cached, charging, fleet, known

NEW = IdToken("04EEEE05")
DAY = timedelta(days=1)
AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def card(charger: Charger, token: IdToken) -> Card:
    return charger.state.tokens.cards[token.key]


def asked(charger: Charger, command: object) -> tuple[Result, str | None]:
    outcome = charger.command(command, "control")  # type: ignore[arg-type]  # a test names commands
    return outcome.result, outcome.reason


def with_car(*cards: Card) -> Charger:
    c = known(a_charger(), *cards)
    c.plug()
    return c


# --- what an old ledger has -----------------------------------------------------------------------------------------


def test_a_card_of_an_older_ledger_is_in_use_without_limits() -> None:
    old = load(Card, SCHEMA, '{"id_token":{"value":"04A1"},"profile":"private","number":"N","blocked":"lost"}')
    assert old == Card(IdToken("04A1"), Profile.PRIVATE, "N", blocked="lost")
    assert old.standing == Standing()


def test_all_that_is_known_of_a_card_is_kept() -> None:
    standing = Standing(CardKind.VIRTUAL, NOON, NOON + DAY, Stage.DEACTIVATED, "lost", BOB, NEW, sent=True)
    whole = Card(ALICE, Profile.FLEET, "N", "E", "Kim", "", standing)
    assert load(Card, SCHEMA, dump(whole)) == whole


# --- validity -------------------------------------------------------------------------------------------------------


def test_a_day_is_good_from_its_local_midnight_to_the_next_one() -> None:
    spring = date(2027, 3, 28)  # 23 hours long
    first, last = first_moment(spring, AMSTERDAM), last_moment(spring, AMSTERDAM)
    assert first == datetime(2027, 3, 27, 23, tzinfo=UTC)
    assert last == datetime(2027, 3, 28, 22, tzinfo=UTC)
    assert last_moment(datetime(2026, 12, 31, 18), AMSTERDAM) == datetime(2026, 12, 31, 17, tzinfo=UTC)  # noqa: DTZ001
    assert last_moment(NOON, AMSTERDAM) == NOON
    assert last_moment(None, AMSTERDAM, NOON) == NOON
    assert last_moment(Cleared.NONE, AMSTERDAM, NOON) is None


def test_a_card_that_is_never_good_is_refused() -> None:
    assert is_reversed(NOON, NOON)
    assert not is_reversed(NOON, None)
    c = a_charger()
    put = PutCard(BOB, Profile.PRIVATE, valid_from=date(2026, 12, 2), valid_until=date(2026, 12, 1))
    assert asked(c, put) == (Result.REJECTED, "valid_from is after valid_until: give the earlier one first")
    assert BOB.key not in c.state.tokens.cards


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Standing(valid_from=NOON + DAY), "this card is not valid yet"),
        (Standing(valid_until=NOON - DAY), "this card has expired"),
        (Standing(valid_from=NOON - DAY, valid_until=NOON + DAY), None),
    ],
)
@pytest.mark.parametrize("how", ["reader", "installer"])
def test_a_private_card_charges_in_its_time_only(limits: Standing, words: str | None, how: str) -> None:
    c = with_car(Card(PRIVATE, Profile.PRIVATE, standing=limits))
    if how == "reader":
        c.card(PRIVATE)
        assert words is None or c.said == f"card ****CC03 refused: {words}"
    else:
        assert asked(c, RemoteStart(PRIVATE, ONE)) == (Result.ACCEPTED if words is None else Result.REJECTED, words)
    assert bool(c.all(SessionStarted)) == (words is None)


def test_a_station_without_the_time_keeps_nobody_out_by_it() -> None:
    c = known(a_charger(), Card(PRIVATE, Profile.PRIVATE, standing=Standing(valid_from=NOON + DAY)))
    c.status = TimeStatus.UNKNOWN
    c.plug()
    c.card(PRIVATE)
    assert c.all(SessionStarted)


def test_a_fleet_card_whose_time_is_over_is_refused_offline_and_asked_about_online() -> None:
    c = cached(with_car(Card(ALICE, standing=Standing(valid_until=NOON - DAY))), ALICE)
    c.card(ALICE)
    assert c.said == "card ****AA01 refused: this card has expired"
    c.online()
    c.card(ALICE)
    assert c.question.id_token == ALICE
    c.answer()
    assert c.all(SessionStarted)


def test_pre_authorisation_does_not_spare_the_question_about_a_card_whose_time_is_over() -> None:
    c = cached(a_charger(lambda s: replace(s, local_pre_authorize=True)), ALICE)
    known(c, Card(ALICE, standing=Standing(valid_until=NOON - DAY)))
    c.online()
    c.plug()
    c.card(ALICE)
    assert c.all(AskCsms)


def test_what_is_said_again_changes_and_what_is_not_said_stays() -> None:
    c = a_charger(timezone="Europe/Amsterdam")
    asked(c, PutCard(BOB, Profile.FLEET, "N-1", "NLACM1", "Kim", CardKind.OTHER, valid_until=date(2026, 12, 31)))
    asked(c, PutCard(BOB, Profile.FLEET, name="Kim B."))
    until = datetime(2026, 12, 31, 23, tzinfo=UTC)
    standing = Standing(CardKind.OTHER, valid_until=until)
    assert card(c, BOB) == Card(BOB, Profile.FLEET, "N-1", "NLACM1", "Kim B.", standing=standing)
    asked(c, PutCard(BOB, Profile.FLEET, kind=CardKind.CARD, valid_until=Cleared.NONE))
    assert card(c, BOB).standing == Standing()


def test_two_cards_of_one_driver_have_one_name_and_no_two_one_number() -> None:
    c = a_charger()
    asked(c, PutCard(ALICE, Profile.FLEET, "N-1", name="Kim"))
    assert asked(c, PutCard(BOB, Profile.PRIVATE, "N-2", name="Kim")) == (Result.ACCEPTED, None)
    taken = "number n1 is that of card ****BB02 already"
    asked(c, PutCard(BOB, Profile.PRIVATE, "N-1"))
    asked(c, DeactivateCard(ALICE, "lost"))
    assert asked(c, PutCard(BOB, Profile.PRIVATE, "N-1")) == (Result.ACCEPTED, None)
    assert asked(c, PutCard(NEW, Profile.FLEET, "n1")) == (Result.REJECTED, taken)


# --- out of use for good --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["online", "offline"])
@pytest.mark.parametrize("profile", list(Profile))
def test_a_deactivated_card_never_starts_and_nobody_is_asked_about_it(link: str, profile: Profile) -> None:
    c = cached(a_charger(), ALICE)
    asked(c, PutCard(ALICE, profile))
    assert asked(c, DeactivateCard(ALICE, "stolen")) == (Result.ACCEPTED, None)
    c.crash()
    if link == "online":
        c.online()
    c.plug()
    c.run(2)
    c.card(ALICE)
    assert c.said == "card ****AA01 refused: deactivated for good: stolen"
    remote = c.command(RemoteStart(ALICE, ONE))
    assert (remote.result, remote.reason) == (Result.REJECTED, "deactivated for good: stolen")
    assert asked(c, RemoteStart(ALICE, ONE))[0] is Result.REJECTED
    c.run(5)
    assert not c.facts
    assert not c.all(AskCsms)


def test_a_deactivation_cannot_be_undone() -> None:
    c = a_charger()
    asked(c, DeactivateCard(ALICE, None))
    final = "card ****AA01 was deactivated for good"
    for command in (
        PutCard(ALICE, Profile.PRIVATE),
        BlockCard(ALICE, "again"),
        UnblockCard(ALICE),
        DeactivateCard(ALICE, "again"),
    ):
        assert asked(c, command) == (Result.REJECTED, final)
    forgotten = f"{final}: it stays known, so that nobody is asked about it"
    assert asked(c, RemoveCard(ALICE)) == (Result.REJECTED, forgotten)
    assert asked(c, ActivateCard(ALICE.value)) == (Result.REJECTED, "card 04AAAA01 was deactivated for good")
    assert card(c, ALICE).standing.stage is Stage.DEACTIVATED


def test_a_deactivated_card_of_the_group_does_not_end_the_session() -> None:
    c = fleet()
    asked(c, DeactivateCard(BOB, "lost"))
    questions = len(c.all(AskCsms))
    c.card(BOB)
    c.run(5)
    assert len(c.all(AskCsms)) == questions
    assert not c.all(SessionEnded)


def test_a_deactivation_in_mid_session_lets_it_go_on_and_end_by_its_card() -> None:
    c = charging()
    asked(c, DeactivateCard(PRIVATE, "lost"))
    c.run(3)
    assert c.phase == "charging"
    c.card(PRIVATE)
    c.run(4)
    assert c.all(SessionEnded)


def test_a_card_deactivated_while_it_waits_for_the_plug_does_not_start() -> None:
    c = a_charger()
    c.card(PRIVATE)
    asked(c, DeactivateCard(PRIVATE, None))
    c.plug()
    assert not c.facts
    assert c.said == "card ****CC03 refused: deactivated for good"


def test_a_card_deactivated_while_it_is_asked_about_is_refused() -> None:
    c = a_charger()
    c.online()
    c.plug()
    c.card(ALICE)
    asked(c, DeactivateCard(ALICE, "lost"))
    c.answer()
    assert not c.facts


# --- replacement ----------------------------------------------------------------------------------------------------


def test_a_new_card_takes_the_place_of_the_old_one_with_all_that_it_was() -> None:
    c = a_charger()
    asked(c, PutCard(ALICE, Profile.PRIVATE, "N-1", "NLACM1", "Kim", valid_until=date(2027, 1, 1)))
    asked(c, BlockCard(ALICE, "lost"))
    assert asked(c, ReplaceCard(ALICE, NEW)) == (Result.ACCEPTED, None)
    old, new = card(c, ALICE), card(c, NEW)
    until = datetime(2027, 1, 2, tzinfo=UTC)
    assert new == Card(NEW, Profile.PRIVATE, "N-1", "NLACM1", "Kim", None, Standing(valid_until=until, replaces=ALICE))
    assert old.number == "N-1"  # its sessions are known by it
    assert (old.standing.stage, old.standing.replaced_by) == (Stage.DEACTIVATED, NEW)
    c.plug()
    c.card(ALICE)
    assert c.said == "card ****AA01 refused: deactivated for good: replaced"
    c.card(NEW)
    assert c.only(SessionStarted).profile is Profile.PRIVATE


def test_a_replacement_goes_on_to_the_next_one() -> None:
    c = a_charger()
    asked(c, PutCard(ALICE, Profile.FLEET, "N-1"))
    asked(c, ReplaceCard(ALICE, BOB, "N-2", "broken"))
    asked(c, ReplaceCard(BOB, NEW))
    standings = [card(c, token).standing for token in (ALICE, BOB, NEW)]
    assert [(s.replaces, s.replaced_by) for s in standings] == [(None, BOB), (ALICE, NEW), (BOB, None)]
    assert [card(c, token).number for token in (ALICE, BOB, NEW)] == ["N-1", "N-2", "N-2"]
    assert standings[0].reason == "broken"


def test_the_physical_card_takes_the_place_of_the_virtual_one() -> None:
    c = a_charger()
    asked(c, PutCard(ALICE, Profile.FLEET, kind=CardKind.VIRTUAL))
    asked(c, ReplaceCard(ALICE, NEW))
    assert card(c, NEW).standing.kind is CardKind.CARD


def test_a_card_that_was_only_learnt_keeps_its_block_when_it_replaces_another() -> None:
    c = a_charger()
    asked(c, PutCard(ALICE, Profile.FLEET, "N-1"))
    asked(c, BlockCard(NEW, "not handed over yet"))
    asked(c, ReplaceCard(ALICE, NEW))
    assert card(c, NEW).blocked == "not handed over yet"


def test_what_cannot_replace_is_told_why() -> None:
    c = a_charger()
    asked(c, PutCard(ALICE, Profile.FLEET, "N-1"))
    asked(c, PutCard(BOB, Profile.FLEET, "N-2"))
    assert asked(c, ReplaceCard(ALICE, ALICE))[1] == "card ****AA01 cannot replace itself"
    assert asked(c, ReplaceCard(NEW, BOB))[1] == "card ****EE05 is not known here"
    assert asked(c, ReplaceCard(ALICE, BOB))[1] == (
        "card ****BB02 is another card already: `wallbox-agent cards list` shows it"
    )
    assert asked(c, ReplaceCard(ALICE, NEW, "N-2"))[1] == "number N-2 is that of card ****BB02 already"
    asked(c, DeactivateCard(PRIVATE, None))
    assert asked(c, ReplaceCard(ALICE, PRIVATE))[1] == "card ****CC03 was deactivated for good"
    asked(c, ReplaceCard(ALICE, NEW))
    assert asked(c, ReplaceCard(ALICE, IdToken("04FFFF06")))[1] == "card ****AA01 was replaced already, by ****EE05"


# --- activation -----------------------------------------------------------------------------------------------------


def sent(*cards: SentCard) -> Charger:
    c = a_charger()
    assert c.command(PushCards(1, True, cards)).result is Result.ACCEPTED
    return c


@pytest.mark.parametrize(
    "typed", ["NL-WEX-CNQPWFBEK", "nl wex cnqpwfbek", "NLTNM000122045U", "NL-TNM-000122045", "04aaaa01"]
)
def test_a_card_that_was_sent_starts_once_what_is_printed_on_it_was_typed(typed: str) -> None:
    c = sent(SentCard(ALICE, Stage.NEW, "NL-WEX-CNQPWFBEK", "NL-TNM-000122045-U"))
    c.online()
    c.plug()
    c.card(ALICE)
    assert "not activated yet" in c.said
    assert not c.all(AskCsms)
    assert asked(c, ActivateCard(typed)) == (Result.ACCEPTED, ALICE.value)
    c.card(ALICE)
    assert c.question.id_token == ALICE


def test_what_cannot_be_activated_is_told_why() -> None:
    c = sent(SentCard(ALICE, Stage.NEW, "N-1"), SentCard(BOB, Stage.NEW, "N-1"), SentCard(NEW, number="N-2"))
    assert asked(c, ActivateCard("N-1"))[1] == "2 cards bear N-1: type the UID of the one that is meant"
    assert asked(c, ActivateCard("N-2"))[1] == "card N-2 is active already"
    assert asked(c, ActivateCard("N-3"))[1] == (
        "no card with N-3 is known here: compare it with the card, or ask who sent it"
    )
    assert asked(c, ActivateCard(BOB.value)) == (Result.ACCEPTED, BOB.value)


# --- learning -------------------------------------------------------------------------------------------------------


def test_a_card_that_is_learnt_is_told_and_starts_nothing() -> None:
    c = a_charger()
    c.online()
    c.plug()
    assert asked(c, LearnCard("me")) == (Result.SCHEDULED, None)
    c.card(PRIVATE)
    assert c.said == "card ****CC03 was held to be learnt; it starts nothing"
    assert asked(c, LearnCard("me")) == (Result.ACCEPTED, PRIVATE.value)
    c.run(LEFT_IN_PEACE_S - 1)
    c.card(PRIVATE)
    assert not c.facts
    assert not c.all(AskCsms)
    c.run(2)
    c.card(PRIVATE)
    assert c.all(SessionStarted)


def test_a_card_that_is_learnt_does_not_end_its_session() -> None:
    c = charging()
    asked(c, LearnCard("me"))
    c.card(PRIVATE)
    c.run(5)
    assert c.phase == "charging"


def test_another_card_right_after_the_one_that_was_learnt_is_an_ordinary_one() -> None:
    c = known(a_charger(), Card(PRIVATE, Profile.PRIVATE))
    c.plug()
    asked(c, LearnCard("me"))
    c.card(BOB)
    c.card(PRIVATE)
    assert c.all(SessionStarted)


def test_who_looks_no_more_is_not_waited_for() -> None:
    c = a_charger()
    c.plug()
    asked(c, LearnCard("me"))
    c.run(LEASE_S + 1)
    c.card(PRIVATE)
    assert c.all(SessionStarted)
    c = a_charger()
    c.plug()
    asked(c, LearnCard("me"))
    assert asked(c, StopLearning("somebody")) == (Result.ACCEPTED, None)
    assert c.state.learning is not None
    assert asked(c, StopLearning("me")) == (Result.ACCEPTED, None)
    c.card(PRIVATE)
    assert c.all(SessionStarted)


def test_a_card_that_has_come_is_left_in_peace_although_nobody_looks_any_more() -> None:
    c = a_charger()
    c.plug()
    asked(c, LearnCard("me"))
    c.card(PRIVATE)
    asked(c, StopLearning("me"))
    c.card(PRIVATE)
    assert not c.facts


def test_one_card_at_a_time_is_learnt() -> None:
    c = a_charger()
    asked(c, LearnCard("me"))
    words = "somebody else waits for a card at this moment: try again in some seconds"
    assert asked(c, LearnCard("you")) == (Result.REJECTED, words)
    c.pass_time(LEASE_S)
    assert asked(c, LearnCard("you")) == (Result.SCHEDULED, None)
    c.card(BOB)
    assert asked(c, LearnCard("you")) == (Result.ACCEPTED, BOB.value)
    assert asked(c, LearnCard("me")) == (Result.SCHEDULED, None)


def test_without_a_reader_no_card_is_learnt() -> None:
    assert "has no card reader" in str(asked(a_charger(reader=False), LearnCard("me"))[1])
    c = a_charger()
    c.do(ReaderChanged("card reader on /dev/ttyUSB1: there is no such port"))
    words = "no card can be read: card reader on /dev/ttyUSB1: there is no such port"
    assert asked(c, LearnCard("me")) == (Result.REJECTED, words)
