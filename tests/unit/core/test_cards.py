"""Cards known locally: added, changed, blocked, unblocked, removed, and kept over a restart."""

from __future__ import annotations

import pytest

from agent.core.commands import BlockCard, Command, PutCard, RemoveCard, Result, UnblockCard
from agent.core.effects import AskCsms
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.model import IdToken, Profile
from agent.core.state import Card
from tests.unit.core.charger import ALICE, BOB, PRIVATE, Charger, a_charger, cached, charging


def control(charger: Charger, command: Command) -> tuple[Result, str | None]:
    outcome = charger.command(command, "control")
    return outcome.result, outcome.reason


def card(charger: Charger, token: IdToken) -> Card | None:
    return charger.state.tokens.cards.get(token.key)


def test_a_card_is_known_with_all_that_was_said_of_it() -> None:
    c = a_charger()
    put = PutCard(ALICE, Profile.PRIVATE, number="NL-WEX-1", ema_id="NLACM1", name="Alice")
    assert control(c, put) == (Result.ACCEPTED, None)
    assert card(c, ALICE) == Card(ALICE, Profile.PRIVATE, "NL-WEX-1", "NLACM1", "Alice")


def test_a_private_card_works_as_soon_as_it_is_known() -> None:
    c = a_charger()
    c.plug()
    control(c, PutCard(BOB, Profile.PRIVATE))
    c.card(BOB)
    assert c.all(SessionStarted)


def test_changing_a_card_keeps_its_block() -> None:
    c = a_charger()
    control(c, BlockCard(ALICE, "lost"))
    control(c, PutCard(ALICE, Profile.FLEET, name="Alice"))
    assert card(c, ALICE) == Card(ALICE, name="Alice", blocked="lost")


def test_a_card_that_was_not_known_becomes_known_by_its_block() -> None:
    c = a_charger()
    control(c, BlockCard(ALICE, None))
    assert card(c, ALICE) == Card(ALICE, blocked="")


def test_a_block_is_lifted_once() -> None:
    c = a_charger()
    control(c, BlockCard(ALICE, "lost"))
    assert control(c, UnblockCard(IdToken(ALICE.value.lower()))) == (Result.ACCEPTED, None)
    assert control(c, UnblockCard(ALICE)) == (Result.REJECTED, "card ****AA01 is not blocked here")
    assert control(c, UnblockCard(BOB)) == (Result.REJECTED, "card ****BB02 is not blocked here")


def test_a_card_is_forgotten() -> None:
    c = a_charger()
    assert control(c, RemoveCard(PRIVATE)) == (Result.ACCEPTED, None)
    assert card(c, PRIVATE) is None
    assert control(c, RemoveCard(PRIVATE)) == (Result.REJECTED, "card ****CC03 is not known here")


def test_a_block_in_mid_session_lets_it_go_on_and_end_by_its_card() -> None:
    c = charging()
    control(c, BlockCard(PRIVATE, "lost"))
    assert c.phase == "charging"
    c.card(PRIVATE)
    c.run(4)
    assert c.all(SessionEnded)


@pytest.mark.parametrize("profile", list(Profile))
def test_blocks_survive_a_restart(profile: Profile) -> None:
    c = cached(a_charger(), ALICE)
    control(c, PutCard(ALICE, profile))
    control(c, BlockCard(ALICE, "lost"))
    c.crash()
    c.plug()
    c.online()
    c.run(2)
    c.card(ALICE)
    assert not c.all(SessionStarted)
    assert not c.all(AskCsms)
