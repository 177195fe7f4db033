"""Cards sent by the central system: taken or not, with the reason, sent again, taken back; what is private stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from agent.buffer.codec import dump, load
from agent.core.card import CardKind, CardsReport, Distribution, HeldCard, NotTaken, SentCard, Stage, Unreadable
from agent.core.commands import (
    ActivateCard,
    BlockCard,
    DeactivateCard,
    GetCards,
    LinkCompany,
    PushCards,
    PushCompanyLink,
    PutCard,
    RemoveCard,
    Result,
    UnblockCard,
    UnlinkCompany,
)
from agent.core.distribution import FOR_GOOD, FULL, ITSELF, MOST, NOT_OURS, REVERSED, TWICE
from agent.core.effects import AskCsms
from agent.core.facts import SCHEMA, SessionStarted
from agent.core.model import IdToken, Profile
from agent.core.state import Card
from tests.unit.core.charger import ALICE, BOB, NOON, PRIVATE, Charger, a_charger, cached

NEW = IdToken("04EEEE05")


def card(charger: Charger, token: IdToken) -> Card | None:
    return charger.state.tokens.cards.get(token.key)


def push(charger: Charger, version: int, *cards: SentCard | Unreadable, full: bool = False) -> tuple[str | None, ...]:
    """Send cards, and return what came of each."""
    outcome = charger.command(PushCards(version, full, cards))
    assert outcome.result is Result.ACCEPTED
    assert outcome.cards is not None
    assert outcome.cards.version == version
    assert outcome.cards.results is not None
    return outcome.cards.results


def refused(charger: Charger, version: int, *cards: SentCard) -> str | None:
    outcome = charger.command(PushCards(version, True, cards))
    assert outcome.result is Result.REJECTED
    return outcome.reason


def held(charger: Charger) -> tuple[HeldCard, ...]:
    report = charger.command(GetCards()).cards
    assert report is not None
    assert report.held is not None
    return report.held


def stage(charger: Charger, token: IdToken) -> Stage | None:
    found = card(charger, token)
    return None if found is None else found.standing.stage


# --- taken ----------------------------------------------------------------------------------------------------------


def test_a_card_is_taken_with_all_that_was_sent() -> None:
    c = a_charger(timezone="Europe/Amsterdam")
    one = SentCard(
        ALICE,
        Stage.IN_USE,
        "NL-WEX-CNQPWFBEK",
        "NL-TNM-000122045-U",
        "Kim",
        CardKind.VIRTUAL,
        valid_from=date(2026, 11, 1),
        valid_until=NOON,
    )
    assert push(c, 7, one) == (None,)
    taken = card(c, ALICE)
    assert taken is not None
    assert (taken.profile, taken.number, taken.ema_id, taken.name) == (
        Profile.FLEET,
        "NL-WEX-CNQPWFBEK",
        "NL-TNM-000122045-U",
        "Kim",
    )
    standing = taken.standing
    assert (standing.kind, standing.valid_from, standing.valid_until, standing.sent) == (
        CardKind.VIRTUAL,
        datetime(2026, 10, 31, 23, tzinfo=UTC),
        NOON,
        True,
    )


def test_who_may_charge_is_still_for_the_central_system_to_say() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE))
    c.plug()
    c.card(ALICE)
    assert "not known here" in c.said
    c.online()
    c.card(ALICE)
    assert c.question.id_token == ALICE


def test_a_card_that_the_central_system_blocked_is_refused_offline_and_asked_about_online() -> None:
    c = cached(a_charger(), ALICE)
    push(c, 1, SentCard(ALICE, Stage.BLOCKED, reason="payment"))
    c.plug()
    c.card(ALICE)
    assert c.said == "card ****AA01 refused: the central system has blocked this card: payment"
    words = "card ****AA01 is blocked by the central system, which alone can lift that"
    assert c.command(UnblockCard(ALICE), "control").reason == words
    c.online()
    c.card(ALICE)
    assert c.question.id_token == ALICE


def test_a_card_that_the_central_system_deactivated_is_never_asked_about() -> None:
    c = cached(a_charger(), ALICE)
    push(c, 1, SentCard(ALICE, Stage.DEACTIVATED, reason="stolen"))
    c.crash()
    c.online()
    c.plug()
    c.run(2)
    c.card(ALICE)
    assert c.said == "card ****AA01 refused: deactivated for good: stolen"
    assert not c.all(AskCsms)


def test_a_card_that_is_in_use_need_not_be_activated_again() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE, Stage.NEW, "N-1"))
    c.command(ActivateCard("N-1"), "control")
    push(c, 2, SentCard(ALICE, Stage.NEW, "N-1"), full=True)
    assert stage(c, ALICE) is Stage.IN_USE
    push(c, 3, SentCard(BOB, Stage.NEW), SentCard(ALICE, Stage.BLOCKED))
    push(c, 4, SentCard(BOB, Stage.NEW), SentCard(ALICE))
    assert (stage(c, BOB), stage(c, ALICE)) == (Stage.NEW, Stage.IN_USE)


def test_a_name_given_here_stays_where_none_is_sent_and_limits_are_those_sent() -> None:
    c = a_charger()
    c.command(PutCard(ALICE, Profile.FLEET, "N-1", name="Kim", valid_until=date(2026, 12, 31)), "control")
    push(c, 1, SentCard(ALICE, number="N-2"))
    taken = card(c, ALICE)
    assert taken is not None
    assert (taken.number, taken.name, taken.standing.valid_until) == ("N-2", "Kim", None)


def test_the_same_again_keeps_every_card_the_same_object_which_spares_the_disk() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE), SentCard(BOB))
    before = c.state.tokens.cards
    push(c, 1, SentCard(ALICE), SentCard(BOB), full=True)
    assert all(c.state.tokens.cards[key] is before[key] for key in before)


# --- what was set here wins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [Stage.IN_USE, Stage.BLOCKED, Stage.DEACTIVATED, None])
def test_a_private_card_stays_as_it_is_and_nothing_is_told_of_it(state: Stage | None) -> None:
    c = a_charger()
    before = card(c, PRIVATE)
    results = push(c, 1, SentCard(PRIVATE, state), Unreadable(PRIVATE, "EMA-ID wrong"), full=True)
    assert results == (NOT_OURS, TWICE)
    assert push(c, 2, Unreadable(PRIVATE, "EMA-ID wrong")) == (NOT_OURS,)
    assert push(c, 3, SentCard(NEW, replaces=PRIVATE)) == (NOT_OURS,)
    assert card(c, PRIVATE) is before
    assert card(c, NEW) is None
    assert held(c) == ()


def test_a_card_that_becomes_private_is_no_affair_of_the_central_system_any_more() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE, Stage.BLOCKED))
    c.command(PutCard(ALICE, Profile.PRIVATE), "control")
    assert held(c) == ()
    push(c, 2, full=True)
    c.plug()
    c.card(ALICE)
    assert c.only(SessionStarted).profile is Profile.PRIVATE


def test_a_block_set_here_stays_whatever_is_sent() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE))
    c.command(BlockCard(ALICE, "lost"), "control")
    push(c, 2, SentCard(ALICE, number="N-1"))
    push(c, 3, full=True)
    kept = card(c, ALICE)
    assert kept is not None
    assert (kept.blocked, kept.standing.sent) == ("lost", False)


def test_a_card_that_is_out_of_use_for_good_stays_so_whoever_did_it() -> None:
    c = a_charger()
    c.command(DeactivateCard(ALICE, "lost"), "control")
    push(c, 1, SentCard(BOB, Stage.DEACTIVATED))
    assert push(c, 2, SentCard(ALICE), SentCard(BOB, Stage.NEW), SentCard(BOB)) == (FOR_GOOD, FOR_GOOD, TWICE)
    assert push(c, 3, SentCard(ALICE, Stage.DEACTIVATED), SentCard(BOB, None)) == (None, None)
    assert (stage(c, ALICE), stage(c, BOB)) == (Stage.DEACTIVATED, Stage.DEACTIVATED)
    assert c.command(RemoveCard(BOB), "control").result is Result.REJECTED


# --- replacement, taking back ---------------------------------------------------------------------------------------


def test_a_replacement_that_is_sent_deactivates_the_old_card() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE, number="N-1"))
    assert push(c, 2, SentCard(NEW, Stage.NEW, number="N-2", replaces=ALICE)) == (None,)
    old, new = card(c, ALICE), card(c, NEW)
    assert old is not None
    assert new is not None
    assert (old.standing.stage, old.standing.reason, old.standing.replaced_by) == (Stage.DEACTIVATED, "replaced", NEW)
    assert (new.standing.replaces, new.standing.stage) == (ALICE, Stage.NEW)
    assert push(c, 3, SentCard(NEW, replaces=NEW)) == (ITSELF,)
    assert push(c, 4, SentCard(NEW, replaces=IdToken("04DD"))) == (None,)


def test_an_old_card_that_was_deactivated_before_keeps_its_reason() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE, Stage.DEACTIVATED, reason="stolen"))
    push(c, 2, SentCard(NEW, replaces=ALICE))
    old = card(c, ALICE)
    assert old is not None
    assert (old.standing.reason, old.standing.replaced_by) == ("stolen", NEW)


def test_a_whole_list_takes_back_what_is_not_in_it_and_leaves_cards_of_the_house_alone() -> None:
    c = a_charger()
    c.command(PutCard(BOB, Profile.FLEET, name="guest"), "control")
    push(c, 1, SentCard(ALICE), SentCard(NEW, Stage.DEACTIVATED))
    push(c, 2, SentCard(BOB, None))
    push(c, 3, full=True)
    assert set(c.state.tokens.cards) == {PRIVATE.key, BOB.key, NEW.key}
    push(c, 4, SentCard(ALICE))
    push(c, 5, SentCard(ALICE, None))
    assert card(c, ALICE) is None


def test_a_card_that_cannot_be_read_is_not_taken_back_by_a_whole_list() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE))
    assert push(c, 2, Unreadable(ALICE, "wrong check digit"), full=True) == ("wrong check digit",)
    assert card(c, ALICE) is not None


# --- what is not taken ----------------------------------------------------------------------------------------------


def test_what_is_not_taken_is_remembered_until_it_is_and_counts_its_tries() -> None:
    c = a_charger()
    push(c, 1, SentCard(ALICE), Unreadable(BOB, "wrong check digit"), Unreadable(None, "no object"), full=True)
    assert c.state.tokens.distribution.failed == (NotTaken(BOB, "wrong check digit"), NotTaken(None, "no object"))
    push(c, 2, Unreadable(BOB, "wrong check digit"))
    push(c, 3, SentCard(ALICE))
    assert c.state.tokens.distribution == Distribution(3, c.at, (NotTaken(BOB, "wrong check digit", 2),))
    push(c, 4, SentCard(BOB))
    assert not c.state.tokens.distribution.failed


def test_a_card_that_is_never_good_is_not_taken() -> None:
    c = a_charger()
    assert push(c, 1, SentCard(ALICE, valid_from=NOON + timedelta(days=1), valid_until=NOON)) == (REVERSED,)


def test_a_station_takes_so_many_cards_and_no_more() -> None:
    c = a_charger()
    many = tuple(SentCard(IdToken(f"{n:08}")) for n in range(MOST))
    assert set(push(c, 1, *many, full=True)) == {None}
    assert push(c, 2, SentCard(ALICE), many[0]) == (FULL, None)
    assert push(c, 3, SentCard(ALICE), *many[1:], full=True)[0] is None
    assert refused(c, 4, *many, SentCard(BOB)) == f"more than {MOST} cards in one message"


def test_an_older_version_is_refused_and_the_same_is_taken_again() -> None:
    c = a_charger()
    push(c, 5, SentCard(ALICE))
    assert refused(c, 4) == "version 4 is older than 5, which is here"
    assert push(c, 5, SentCard(BOB)) == (None,)
    assert card(c, ALICE) is not None


def test_who_was_left_or_refused_the_station_sends_no_cards() -> None:
    c = a_charger()
    c.command(LinkCompany("ACME"), "control")
    assert push(c, 1, SentCard(ALICE)) == (None,)
    c.command(PushCompanyLink("Rejected"))
    assert refused(c, 2) == "the station is not linked to a company"
    c.command(UnlinkCompany(), "control")
    assert refused(c, 2) == "the station is not linked to a company"


# --- told -----------------------------------------------------------------------------------------------------------


def test_only_cards_that_were_sent_are_told_as_they_stand() -> None:
    c = a_charger()
    c.command(PutCard(IdToken("04DD"), Profile.FLEET), "control")
    push(c, 9, SentCard(ALICE, Stage.NEW), SentCard(BOB), SentCard(NEW, Stage.BLOCKED))
    c.command(BlockCard(BOB, "lost"), "control")
    report = c.command(GetCards()).cards
    assert report == CardsReport(
        9,
        held=(
            HeldCard(ALICE, Stage.NEW, blocked=False),
            HeldCard(BOB, Stage.IN_USE, blocked=True),
            HeldCard(NEW, Stage.BLOCKED, blocked=True),
        ),
    )


def test_what_came_of_cards_is_kept_as_it_is() -> None:
    c = a_charger()
    push(c, 1, Unreadable(BOB, "wrong"), Unreadable(None, "no object"))
    distribution = c.state.tokens.distribution
    assert load(Distribution, SCHEMA, dump(distribution)) == distribution
    c.crash()
    assert c.state.tokens.distribution == distribution
    assert replace(distribution, failed=()).version == 1
