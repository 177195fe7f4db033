"""Two connectors and one reader: which car a card is for, cards that come first, and cars that nobody speaks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.commands import BlockCard, ChangeAvailability, RemoteStart, Reset, ResetKind, Result
from agent.core.effects import AskCsms, Indicate
from agent.core.events import AuthorizationAnswered
from agent.core.facts import SessionStarted
from agent.core.model import STATION, EvseId, IdToken, Profile, TokenInfo, TokenStatus
from agent.core.policy import EvsePolicy, Policy
from agent.core.settings import Settings
from agent.core.state import Card
from tests.unit.core.charger import ACCEPTED, ALICE, BOB, ONE, TWO, Charger, known

CAROL = IdToken("04DDDD04")


def two(**settings: object) -> Charger:
    rules = replace(Settings(), **settings)  # type: ignore[arg-type]  # a test names fields of Settings
    c = Charger(policy=Policy(evses=(EvsePolicy(ONE), EvsePolicy(TWO)), settings=rules))
    known(c, *(Card(token, Profile.PRIVATE) for token in (ALICE, BOB, CAROL)))
    c.poll()
    return c


def plug(c: Charger, evse: EvseId) -> None:
    c.sites[evse].plugged = True
    c.poll()


def started(c: Charger) -> list[tuple[EvseId, IdToken]]:
    return [(fact.evse, fact.id_token) for fact in c.all(SessionStarted)]


def status(c: Charger, evse: EvseId) -> str:
    shown = c.state.evse(evse).shown
    assert shown is not None
    return shown[0].value


@pytest.mark.requirement(45)
@pytest.mark.parametrize(("first", "second"), [(ONE, TWO), (TWO, ONE)])
def test_cards_are_for_the_cars_in_the_order_of_their_plugs(first: EvseId, second: EvseId) -> None:
    c = two()
    plug(c, first)
    c.run(3)
    plug(c, second)
    c.card(ALICE)
    c.run(1)
    c.card(BOB)
    assert started(c) == [(first, ALICE), (second, BOB)]


@pytest.mark.requirement(45)
@pytest.mark.parametrize("evse", [ONE, TWO])
def test_a_card_that_comes_first_is_for_the_next_plug_wherever_it_is(evse: EvseId) -> None:
    c = two()
    c.card(ALICE)
    assert c.said == "card ****AA01 accepted: plug in the car"
    assert {status(c, ONE), status(c, TWO)} == {"Available"}
    c.run(10)
    plug(c, evse)
    assert started(c) == [(evse, ALICE)]


@pytest.mark.requirement(45)
def test_two_cards_that_come_first_are_for_the_plugs_in_their_order() -> None:
    c = two()
    c.card(ALICE)
    c.card(BOB)
    plug(c, TWO)
    plug(c, ONE)
    assert started(c) == [(TWO, ALICE), (ONE, BOB)]


@pytest.mark.requirement(28)
def test_a_third_card_has_nowhere_to_wait() -> None:
    c = two()
    c.card(ALICE)
    c.card(BOB)
    c.card(CAROL)
    assert c.said == "card ****DD04 refused: the charger waits for the car of another card"
    assert len(c.state.waiting) == 2


@pytest.mark.requirement(27)
def test_a_card_that_waits_is_taken_back_by_showing_it_again() -> None:
    c = two()
    c.card(ALICE)
    c.card(ALICE)
    assert c.said == "card taken back"
    plug(c, ONE)
    assert not started(c)


def test_a_card_waits_for_a_plug_no_longer_than_the_time_out() -> None:
    c = two(connection_timeout_s=20)
    c.card(ALICE)
    c.run(19)
    assert c.state.waiting
    c.run(2)
    assert not c.state.waiting
    assert c.said == "no car was plugged in in time: hold the card again"
    plug(c, ONE)
    assert not started(c)


@pytest.mark.timeout(40)  # a day of steps
def test_without_a_time_out_cards_and_cars_wait_for_ever() -> None:
    c = two(connection_timeout_s=0)
    plug(c, ONE)
    c.run(3600)
    assert status(c, ONE) == "Preparing"
    c.card(ALICE)
    c.run(1)
    c.card(BOB)
    c.run(3600)
    plug(c, TWO)
    assert started(c) == [(ONE, ALICE), (TWO, BOB)]


def test_a_car_that_nobody_speaks_for_has_to_be_plugged_in_again() -> None:
    c = two(connection_timeout_s=20)
    plug(c, ONE)
    assert status(c, ONE) == "Preparing"
    c.run(21)
    assert status(c, ONE) == "Finishing"
    c.card(ALICE)
    assert not started(c)
    plug(c, TWO)
    assert started(c) == [(TWO, ALICE)]
    c.unplug()
    assert status(c, ONE) == "Available"
    plug(c, ONE)
    c.card(BOB)
    assert started(c) == [(TWO, ALICE), (ONE, BOB)]


def test_with_one_connector_or_no_reader_a_car_waits_for_its_card_for_ever() -> None:
    for policy in (Policy(evses=(EvsePolicy(ONE),)), Policy(evses=(EvsePolicy(ONE), EvsePolicy(TWO)), reader=False)):
        c = known(Charger(policy=policy), Card(ALICE, Profile.PRIVATE))
        c.plug()
        c.run(600)
        assert status(c, ONE) == "Preparing"


def test_a_question_about_a_card_keeps_its_car_from_running_out_of_time() -> None:
    c = two(connection_timeout_s=2)
    known(c)
    c.online()
    plug(c, ONE)
    c.run(1)
    c.card(ALICE)
    c.run(1)
    assert status(c, ONE) == "Preparing"
    c.answer()
    assert started(c) == [(ONE, ALICE)]


def test_the_answer_about_a_card_that_came_first_finds_the_car_that_was_plugged_meanwhile() -> None:
    c = two()
    known(c)
    c.online()
    c.card(ALICE)
    plug(c, TWO)
    c.answer()
    assert started(c) == [(TWO, ALICE)]


@pytest.mark.requirement(45)
def test_two_questions_at_once_are_for_two_connectors() -> None:
    c = two()
    known(c)
    c.online()
    plug(c, ONE)
    plug(c, TWO)
    c.card(ALICE)
    c.card(BOB)
    first, second = c.all(AskCsms)
    c.do(AuthorizationAnswered(second.request, ACCEPTED))
    c.do(AuthorizationAnswered(first.request, ACCEPTED))
    assert started(c) == [(TWO, BOB), (ONE, ALICE)]


def test_a_card_that_is_refused_does_not_wait() -> None:
    c = two()
    known(c)
    c.online()
    c.card(ALICE)
    c.answer(TokenInfo(TokenStatus.BLOCKED))
    assert not c.state.waiting
    assert not c.last(Indicate).accepted


def test_a_card_blocked_while_it_waits_starts_nothing() -> None:
    c = two()
    c.card(ALICE)
    c.command(BlockCard(ALICE, "lost"), origin="control")
    plug(c, ONE)
    assert not started(c)


def test_a_card_waits_for_the_only_connector_that_is_left() -> None:
    c = two()
    c.card(ALICE)
    c.command(ChangeAvailability(ONE, operative=False))
    assert c.state.evse(TWO).grant is not None
    assert status(c, TWO) == "Preparing"


@pytest.mark.parametrize("command", [ChangeAvailability(STATION, operative=False), Reset(ResetKind.SOFT)])
def test_nobody_waits_any_more_when_the_station_goes_out_of_service(command: ChangeAvailability | Reset) -> None:
    c = two()
    c.card(ALICE)
    c.command(command)
    assert not c.state.waiting


def test_a_remote_start_without_a_connector_where_two_are_free_is_rejected() -> None:
    c = two()
    c.online()
    assert c.command(RemoteStart(ALICE, None)).result is Result.REJECTED
    plug(c, TWO)
    assert c.command(RemoteStart(ALICE, None)).result is Result.ACCEPTED
    assert started(c) == [(TWO, ALICE)]
