"""The local authorisation list: how it changes, what it decides beside the cache, and conflicts with the cloud."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from agent.core.authorization import AskVerdict, Known, current, decide
from agent.core.commands import ChangeSetting, GetLocalListVersion, ListEntry, Result, SendLocalList
from agent.core.effects import AskCsms, ReportStatus
from agent.core.facts import SessionStarted
from agent.core.instant import Instant
from agent.core.local_list import LONGEST
from agent.core.model import STATION, IdToken, TokenInfo, TokenStatus
from agent.core.settings import Settings
from agent.core.state import Durable, durable
from tests.unit.core.charger import ACCEPTED, ALICE, BOB, NOON, Charger, a_charger

AT = Instant(0.0, NOON)
BLOCKED = TokenInfo(TokenStatus.BLOCKED)
INFOS = {
    "absent": None,
    "valid": TokenInfo(TokenStatus.ACCEPTED, expiry=Instant(0.0, NOON + timedelta(seconds=1))),
    "expired": TokenInfo(TokenStatus.ACCEPTED, expiry=Instant(0.0, NOON - timedelta(seconds=1))),
    "blocked": BLOCKED,
    "invalid": TokenInfo(TokenStatus.INVALID),
    "concurrent": TokenInfo(TokenStatus.CONCURRENT_TX),
}


def expected(listed: str, cached: str, rules: Settings, *, online: bool) -> str:
    """The decision as the rows of OCPP 1.6 ed. 2, sections 3.4.1 and 3.5, taken together have it."""
    decisive = cached if listed == "absent" else listed
    if online:
        return "accept" if decisive == "valid" and rules.local_pre_authorize else "ask"
    if decisive == "absent":
        return "accept" if rules.allow_offline_unknown else "refuse"
    return "accept" if decisive == "valid" and rules.local_authorize_offline else "refuse"


@pytest.mark.requirement(41)
@pytest.mark.parametrize("listed", INFOS)
@pytest.mark.parametrize("cached", INFOS)
@pytest.mark.parametrize("online", [True, False])
def test_every_cell_of_the_decision_table(listed: str, cached: str, online: bool) -> None:
    for pre, offline, unknown in product((True, False), repeat=3):
        rules = Settings(local_pre_authorize=pre, local_authorize_offline=offline, allow_offline_unknown=unknown)
        at_hand = {name: info and current(info, AT) for name, info in INFOS.items()}
        about = Known(None, cached=at_hand[cached], listed=at_hand[listed])
        decision = decide(about, rules, online=online)
        said = "ask" if isinstance(decision, AskVerdict) else "accept" if decision.accepted else "refuse"
        assert said == expected(listed, cached, rules, online=online), (pre, offline, unknown)


def entry(token: IdToken, info: TokenInfo | None = ACCEPTED) -> ListEntry:
    return ListEntry(token, info)


def full(charger: Charger, version: int, *entries: ListEntry) -> Result:
    return charger.command(SendLocalList(version, entries, full=True)).result


def differential(charger: Charger, version: int, *entries: ListEntry) -> Result:
    return charger.command(SendLocalList(version, entries, full=False)).result


def version(charger: Charger) -> int | None:
    return charger.command(GetLocalListVersion()).list_version


def saved(charger: Charger) -> Durable:
    return durable(charger.state)


def in_list(charger: Charger) -> dict[str, TokenStatus]:
    return {key: listed.info.status for key, listed in charger.state.tokens.listed.items()}


def test_a_full_list_replaces_everything_and_an_empty_one_empties() -> None:
    charger = a_charger()
    assert full(charger, 3, entry(ALICE), entry(BOB, BLOCKED)) is Result.ACCEPTED
    assert full(charger, 2, entry(BOB)) is Result.ACCEPTED
    assert in_list(charger) == {BOB.key: TokenStatus.ACCEPTED}
    assert version(charger) == 2
    assert full(charger, 7) is Result.ACCEPTED
    assert in_list(charger) == {}
    assert version(charger) == 0


def test_a_differential_list_adds_replaces_and_takes_out() -> None:
    charger = a_charger()
    full(charger, 1, entry(ALICE), entry(BOB))
    assert differential(charger, 2, entry(ALICE, BLOCKED), entry(BOB, None)) is Result.ACCEPTED
    assert in_list(charger) == {ALICE.key: TokenStatus.BLOCKED}
    assert differential(charger, 3, entry(BOB, None)) is Result.ACCEPTED
    assert differential(charger, 9) is Result.ACCEPTED
    assert version(charger) == 9


@pytest.mark.requirement(36)
@pytest.mark.parametrize("number", [5, 4, 1])
def test_a_differential_list_that_is_not_newer_is_a_mismatch(number: int) -> None:
    charger = a_charger()
    full(charger, 5, entry(ALICE))
    before = saved(charger)
    assert differential(charger, number, entry(BOB)) is Result.VERSION_MISMATCH
    assert saved(charger) == before


@pytest.mark.requirement(36)
def test_the_version_of_an_emptied_list_still_counts_for_the_next_change() -> None:
    charger = a_charger()
    full(charger, 7)
    assert differential(charger, 7, entry(ALICE)) is Result.VERSION_MISMATCH
    assert differential(charger, 8, entry(ALICE)) is Result.ACCEPTED
    assert version(charger) == 8


MANY = tuple(ListEntry(IdToken(f"{n:08X}"), ACCEPTED) for n in range(LONGEST + 1))
WRONG = {
    "twice": (9, (entry(ALICE), entry(IdToken(ALICE.value.lower()))), True),
    "nothing said": (9, (entry(ALICE, None),), True),
    "too many": (9, MANY, True),
    "too many in all": (9, MANY[:LONGEST], False),
    "version 0": (0, (entry(BOB),), True),
    "version -1": (-1, (entry(BOB),), True),
}


@pytest.mark.requirement(36, 40)
@pytest.mark.parametrize("name", WRONG)
def test_a_list_that_cannot_be_taken_whole_changes_nothing(name: str) -> None:
    number, entries, whole = WRONG[name]
    charger = a_charger()
    full(charger, 5, entry(ALICE), entry(BOB))
    before = saved(charger)
    assert charger.command(SendLocalList(number, entries, full=whole)).result is Result.FAILED
    assert saved(charger) == before


@pytest.mark.requirement(40)
def test_the_longest_list_is_taken() -> None:
    charger = a_charger()
    assert full(charger, 1, *MANY[:LONGEST]) is Result.ACCEPTED
    assert len(in_list(charger)) == LONGEST


def test_a_list_that_is_switched_off_is_not_supported_and_not_read() -> None:
    charger = a_charger()
    full(charger, 5, entry(ALICE))
    charger.command(ChangeSetting("local_list_enabled", value=False))
    assert full(charger, 6) is Result.NOT_SUPPORTED
    assert version(charger) == -1
    charger.plug()
    charger.card(ALICE)
    assert not charger.all(SessionStarted)
    charger.command(ChangeSetting("local_list_enabled", value=True))
    assert version(charger) == 5


def test_list_and_version_survive_a_restart() -> None:
    charger = a_charger()
    full(charger, 5, entry(ALICE))
    charger.crash()
    assert version(charger) == 5
    charger.poll()
    charger.plug()
    charger.card(ALICE)
    assert charger.only(SessionStarted).id_token == ALICE


def test_an_entry_that_stays_as_it_was_is_not_written_again() -> None:
    charger = a_charger()
    full(charger, 1, entry(ALICE), entry(BOB))
    before = charger.state.tokens.listed
    full(charger, 2, entry(ALICE), entry(BOB, BLOCKED))
    after = charger.state.tokens.listed
    assert after[ALICE.key] is before[ALICE.key]
    differential(charger, 3, entry(ALICE), entry(BOB))
    assert charger.state.tokens.listed[ALICE.key] is after[ALICE.key]


def test_a_listed_token_starts_without_a_question_where_it_is_pre_authorised() -> None:
    charger = a_charger(lambda s: replace(s, local_pre_authorize=True))
    charger.online()
    full(charger, 1, entry(ALICE, TokenInfo(TokenStatus.ACCEPTED, group=IdToken("G"))))
    charger.plug()
    charger.card(ALICE)
    assert not charger.all(AskCsms)
    assert charger.session.group == IdToken("G")


def test_a_listed_token_never_gets_into_the_cache_and_leaves_it_when_listed() -> None:
    charger = a_charger()
    charger.online()
    charger.plug()
    charger.card(ALICE)
    charger.answer(ACCEPTED)
    assert ALICE.key in charger.state.tokens.cache
    full(charger, 1, entry(ALICE))
    assert ALICE.key not in charger.state.tokens.cache
    charger.answer_start(ACCEPTED)
    assert ALICE.key not in charger.state.tokens.cache


def station_errors(charger: Charger) -> list[str]:
    return [e.error_code.value for e in charger.effects if isinstance(e, ReportStatus) and e.evse == STATION]


def test_an_answer_against_the_list_counts_and_is_shown_until_they_agree() -> None:
    charger = a_charger()
    charger.online()
    full(charger, 1, entry(ALICE, BLOCKED))
    charger.plug()
    charger.card(ALICE)
    charger.answer(ACCEPTED)
    assert charger.only(SessionStarted).id_token == ALICE
    assert station_errors(charger)[-1] == "LocalListConflict"
    assert in_list(charger) == {ALICE.key: TokenStatus.BLOCKED}
    full(charger, 2, entry(ALICE))
    assert station_errors(charger)[-1] == "NoError"


def test_a_conflict_ends_when_the_central_system_agrees_again() -> None:
    charger = a_charger(lambda s: replace(s, stop_on_invalid=False))
    charger.online()
    full(charger, 1, entry(ALICE))
    charger.plug()
    charger.card(ALICE)
    charger.answer(ACCEPTED)
    assert "LocalListConflict" not in station_errors(charger)
    charger.answer_start(BLOCKED)
    assert station_errors(charger)[-1] == "LocalListConflict"
    charger.answer_start(ACCEPTED)
    assert station_errors(charger)[-1] == "NoError"
