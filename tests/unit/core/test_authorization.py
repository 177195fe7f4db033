"""Who may charge: one example per row of the decision table, expiry, groups, and what the cache remembers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.core.authorization import (
    CACHE_LIMIT,
    AskVerdict,
    Known,
    Verdict,
    barred,
    blocked,
    current,
    decide,
    known,
    lapsed,
    remember,
    same_group,
    verdict_of,
)
from agent.core.card import Stage, Standing
from agent.core.instant import Instant, TimeStatus
from agent.core.model import IdToken, Profile, TokenInfo, TokenStatus
from agent.core.settings import Settings
from agent.core.state import Card, Tokens
from tests.unit.core.charger import ACCEPTED, ALICE, BOB, NOON

AT = Instant(0.0, NOON)
PAST, FUTURE = (Instant(0.0, NOON + timedelta(seconds=s)) for s in (0, 1))
EXPIRED = TokenInfo(TokenStatus.ACCEPTED, expiry=PAST)
VALID = TokenInfo(TokenStatus.ACCEPTED, expiry=FUTURE)
BLOCKED = TokenInfo(TokenStatus.BLOCKED)
CONCURRENT = TokenInfo(TokenStatus.CONCURRENT_TX)
ASK = "ask"


def settings(*, pre: bool = False, offline: bool = True, unknown: bool = False) -> Settings:
    return Settings(local_pre_authorize=pre, local_authorize_offline=offline, allow_offline_unknown=unknown)


def outcome(about: Known, rules: Settings, *, online: bool) -> str:
    decision = decide(about, rules, online=online)
    if isinstance(decision, AskVerdict):
        return ASK
    return "accept" if decision.accepted else "refuse"


#: cached verdict, LocalPreAuthorize -> decision online (OCPP 1.6 ed. 2, sections 3.5.1 and 4.1).
ONLINE = [
    (VALID, True, "accept"),
    (VALID, False, ASK),
    (BLOCKED, True, ASK),
    (BLOCKED, False, ASK),
    (EXPIRED, True, ASK),
    (CONCURRENT, True, ASK),
    (None, True, ASK),
    (None, False, ASK),
]

#: cached verdict, LocalAuthorizeOffline, AllowOfflineTxForUnknownId -> decision offline (section 3.5.4).
OFFLINE = [
    (VALID, True, False, "accept"),
    (VALID, True, True, "accept"),
    (VALID, False, False, "refuse"),
    (VALID, False, True, "refuse"),
    (BLOCKED, True, False, "refuse"),
    (BLOCKED, True, True, "refuse"),
    (EXPIRED, True, True, "refuse"),
    (CONCURRENT, True, True, "refuse"),
    (None, True, True, "accept"),
    (None, False, True, "accept"),
    (None, True, False, "refuse"),
]


@pytest.mark.requirement(41)
@pytest.mark.parametrize(("info", "pre", "expected"), ONLINE)
def test_online_only_a_valid_verdict_and_pre_authorisation_spare_the_question(
    info: TokenInfo | None, pre: bool, expected: str
) -> None:
    about = Known(None, None if info is None else current(info, AT))
    assert outcome(about, settings(pre=pre), online=True) == expected


@pytest.mark.requirement(41)
@pytest.mark.parametrize(("info", "local", "unknown", "expected"), OFFLINE)
def test_offline_the_station_decides_by_what_it_was_told(
    info: TokenInfo | None, local: bool, unknown: bool, expected: str
) -> None:
    about = Known(None, None if info is None else current(info, AT))
    assert outcome(about, settings(offline=local, unknown=unknown), online=False) == expected


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("info", [None, VALID, BLOCKED])
def test_a_private_card_is_accepted_whatever_anybody_says(info: TokenInfo | None, online: bool) -> None:
    about = Known(Card(ALICE, Profile.PRIVATE), info)
    assert decide(about, settings(offline=False), online=online) == Verdict(accepted=True, profile=Profile.PRIVATE)


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("profile", list(Profile))
def test_a_block_here_wins_over_everybody(profile: Profile, online: bool) -> None:
    about = Known(Card(ALICE, profile, blocked="lost"), VALID)
    verdict = decide(about, settings(pre=True, unknown=True), online=online)
    assert verdict == Verdict(accepted=False, reason="blocked here: lost")


def test_a_fleet_card_known_here_is_decided_by_the_cloud_alone() -> None:
    about = Known(Card(ALICE, Profile.FLEET))
    assert outcome(about, settings(), online=True) == ASK
    assert outcome(about, settings(), online=False) == "refuse"


def test_an_unknown_token_accepted_offline_has_no_group() -> None:
    assert decide(Known(), settings(unknown=True), online=False) == Verdict(accepted=True)


def test_a_verdict_is_accepted_until_its_expiry_and_expired_from_then_on() -> None:
    assert current(VALID, AT) == VALID
    assert current(EXPIRED, AT).status is TokenStatus.EXPIRED
    assert verdict_of(EXPIRED, AT) == Verdict(accepted=False, reason="this card has expired")
    assert current(TokenInfo(TokenStatus.BLOCKED, expiry=PAST), AT).status is TokenStatus.BLOCKED


@pytest.mark.requirement(30)
def test_what_is_known_comes_from_cards_and_cache_by_any_case() -> None:
    tokens = remember(Tokens(cards={ALICE.key: Card(ALICE)}), ALICE, EXPIRED, AT)
    about = known(tokens, IdToken(ALICE.value.lower()), settings(), AT)
    assert about.card == Card(ALICE)
    assert about.cached == replace(EXPIRED, status=TokenStatus.EXPIRED)
    assert known(tokens, BOB, settings(), AT) == Known()


def test_a_cache_that_is_switched_off_is_not_read() -> None:
    tokens = remember(Tokens(), ALICE, ACCEPTED, AT)
    assert known(tokens, ALICE, replace(settings(), cache_enabled=False), AT).cached is None


def test_the_cache_keeps_the_last_verdict_valid_or_not() -> None:
    tokens = remember(remember(Tokens(), ALICE, ACCEPTED, AT), ALICE, BLOCKED, AT)
    assert tokens.cache[ALICE.key].info == BLOCKED
    assert len(tokens.cache) == 1


def test_the_same_verdict_again_changes_nothing() -> None:
    tokens = remember(Tokens(), ALICE, ACCEPTED, AT)
    assert remember(tokens, ALICE, ACCEPTED, Instant(9.0, NOON + timedelta(days=1))) is tokens


@pytest.mark.requirement(37)
def test_a_full_cache_forgets_what_is_not_valid_first_and_then_the_oldest() -> None:
    tokens = Tokens()
    for n in range(CACHE_LIMIT):
        info = BLOCKED if n == 500 else ACCEPTED
        tokens = remember(tokens, IdToken(f"{n:06}"), info, Instant(n, NOON + timedelta(seconds=n)))
    tokens = remember(tokens, ALICE, ACCEPTED, Instant(9999, NOON + timedelta(hours=9)))
    assert len(tokens.cache) == CACHE_LIMIT
    assert "000500" not in tokens.cache
    tokens = remember(tokens, BOB, ACCEPTED, Instant(9999, NOON + timedelta(hours=9)))
    assert "000000" not in tokens.cache
    assert {ALICE.key, BOB.key} <= set(tokens.cache)


@pytest.mark.requirement(30)
def test_groups_are_the_same_only_where_both_are_known() -> None:
    family = IdToken("FAMILY")
    assert same_group(family, IdToken("family"))
    assert not same_group(family, None)
    assert not same_group(None, family)
    assert not same_group(None, None)
    assert not same_group(family, IdToken("OTHERS"))


def test_a_block_is_told_with_its_reason_where_it_has_one() -> None:
    tokens = Tokens(cards={ALICE.key: Card(ALICE, blocked=""), BOB.key: Card(BOB)})
    assert blocked(tokens, ALICE) == "blocked here"
    assert blocked(tokens, BOB) is None
    assert blocked(tokens, IdToken("unknown")) is None


#: how a card stands, link, profile -> decision; the cache holds a valid verdict and may be used without asking.
STANDINGS = [
    (Standing(stage=Stage.DEACTIVATED), True, Profile.FLEET, "refuse"),
    (Standing(stage=Stage.DEACTIVATED), True, Profile.PRIVATE, "refuse"),
    (Standing(stage=Stage.DEACTIVATED), False, Profile.FLEET, "refuse"),
    (Standing(stage=Stage.NEW), True, Profile.FLEET, "refuse"),
    (Standing(stage=Stage.NEW), False, Profile.FLEET, "refuse"),
    (Standing(stage=Stage.BLOCKED), True, Profile.FLEET, ASK),
    (Standing(stage=Stage.BLOCKED), False, Profile.FLEET, "refuse"),
    (Standing(valid_until=NOON), True, Profile.FLEET, ASK),
    (Standing(valid_until=NOON), False, Profile.FLEET, "refuse"),
    (Standing(valid_until=NOON), True, Profile.PRIVATE, "refuse"),
    (Standing(valid_from=FUTURE.wall), True, Profile.FLEET, ASK),
    (Standing(valid_from=FUTURE.wall), False, Profile.PRIVATE, "refuse"),
    (Standing(valid_from=NOON, valid_until=FUTURE.wall), True, Profile.FLEET, "accept"),
    (Standing(valid_from=NOON, valid_until=FUTURE.wall), False, Profile.FLEET, "accept"),
    (Standing(valid_from=NOON, valid_until=FUTURE.wall), False, Profile.PRIVATE, "accept"),
]


@pytest.mark.parametrize(("standing", "online", "profile", "expected"), STANDINGS)
def test_how_a_card_stands_comes_before_what_is_remembered_of_it(
    standing: Standing, online: bool, profile: Profile, expected: str
) -> None:
    tokens = remember(Tokens(cards={ALICE.key: Card(ALICE, profile, standing=standing)}), ALICE, ACCEPTED, AT)
    about = known(tokens, ALICE, settings(pre=True), AT)
    assert outcome(about, settings(pre=True), online=online) == expected


def test_the_time_of_a_card_counts_by_a_clock_that_was_told_the_time() -> None:
    card = Card(ALICE, standing=Standing(valid_until=NOON))
    assert lapsed(card, AT) == "this card has expired"
    assert lapsed(card, replace(AT, status=TimeStatus.UNKNOWN)) is None
    assert lapsed(None, AT) is None
    blocked_ = Card(ALICE, standing=Standing(stage=Stage.BLOCKED, reason="payment"))
    words = "the central system has blocked this card: payment"
    assert lapsed(blocked_, replace(AT, status=TimeStatus.UNKNOWN)) == words


def test_a_start_from_afar_is_barred_by_what_is_decided_here_alone() -> None:
    expired = Standing(valid_until=NOON)
    private, fleet = Card(ALICE, Profile.PRIVATE, standing=expired), Card(BOB, Profile.FLEET, standing=expired)
    tokens = Tokens(cards={ALICE.key: private, BOB.key: fleet})
    assert barred(tokens, ALICE, AT) == "this card has expired"
    assert barred(tokens, BOB, AT) is None
    assert barred(tokens, IdToken("unknown"), AT) is None
