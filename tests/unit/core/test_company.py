"""The company link as data: which sessions may leave in which state, and which settings win."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agent.core.company import (
    Company,
    CompanySettings,
    LinkAnswer,
    LinkState,
    acceptable,
    answered,
    remote_start_allowed,
    reporting,
    request,
    unlinked,
)
from agent.core.model import Profile, Reporting

SEVEN = CompanySettings(7, refund_percentage=Decimal(80))
LINKED = Company("ACME", LinkState.LINKED, "Acme BV", settings=SEVEN)

#: Contract, section 5, table of link states.
TABLE = [
    (LinkState.NONE, Reporting.REPORT, True),
    (LinkState.UNSUPPORTED, Reporting.REPORT, True),
    (LinkState.LINKED, Reporting.REPORT, True),
    (LinkState.PENDING, Reporting.HOLD, False),
    (LinkState.REJECTED, Reporting.LOCAL_ONLY, False),
]


@pytest.mark.parametrize(("state", "expected", "remote"), TABLE)
def test_the_state_of_the_link_decides_what_leaves(state: LinkState, expected: Reporting, remote: bool) -> None:
    company = Company("ACME", state)
    assert reporting(company, Profile.FLEET) is expected
    assert remote_start_allowed(company) is remote


@pytest.mark.parametrize("state", list(LinkState))
def test_a_private_session_never_leaves(state: LinkState) -> None:
    assert reporting(Company("ACME", state), Profile.PRIVATE) is Reporting.LOCAL_ONLY


@pytest.mark.parametrize("state", list(LinkState))
def test_nothing_leaves_while_logging_is_off(state: LinkState) -> None:
    company = Company("ACME", state, settings=CompanySettings(1, session_logging=False))
    assert reporting(company, Profile.FLEET) is Reporting.LOCAL_ONLY
    assert not remote_start_allowed(company)


def test_nothing_leaves_after_the_company_was_left() -> None:
    company = unlinked(LINKED)
    assert company == Company(left="ACME", untold=("ACME",))
    assert reporting(company, Profile.FLEET) is Reporting.LOCAL_ONLY
    assert not remote_start_allowed(company)


def test_leaving_twice_remembers_the_company_that_was_left() -> None:
    assert unlinked(unlinked(LINKED)).left == "ACME"


def test_a_new_code_is_pending_and_forgets_the_company_before() -> None:
    company = request(replace(LINKED, configured="ACME"), "OTHER")
    assert (company.code, company.state, company.settings) == ("OTHER", LinkState.PENDING, None)
    assert company.configured == "ACME"


@pytest.mark.parametrize("state", [LinkState.LINKED, LinkState.PENDING, LinkState.UNSUPPORTED])
def test_the_same_code_again_keeps_what_is_known(state: LinkState) -> None:
    company = replace(LINKED, state=state)
    assert request(company, "ACME") is company


def test_the_same_code_again_after_a_refusal_is_tried_anew() -> None:
    company = request(Company("ACME", LinkState.REJECTED, reason="unknown code"), "ACME")
    assert company.state is LinkState.PENDING


@pytest.mark.parametrize("before", list(LinkState))
def test_settings_come_with_the_answer_whatever_was_before(before: LinkState) -> None:
    company = answered(Company("ACME", before), LinkAnswer(LinkState.LINKED, None, "Acme BV", SEVEN))
    assert (company.state, company.name, company.settings) == (LinkState.LINKED, "Acme BV", SEVEN)


def test_an_answer_without_settings_keeps_those_in_force() -> None:
    assert answered(LINKED, LinkAnswer(LinkState.LINKED)).settings == SEVEN
    assert answered(LINKED, LinkAnswer(LinkState.LINKED)).name == "Acme BV"


def test_older_settings_in_an_answer_change_nothing() -> None:
    older = replace(SEVEN, version=6, refund_percentage=Decimal(10))
    assert answered(LINKED, LinkAnswer(LinkState.LINKED, settings=older)).settings == SEVEN


def test_the_same_version_again_changes_nothing() -> None:
    same = replace(SEVEN, refund_percentage=Decimal(10))
    assert answered(LINKED, LinkAnswer(LinkState.LINKED, settings=same)).settings == SEVEN


def test_a_refusal_has_a_reason_and_no_settings() -> None:
    company = answered(LINKED, LinkAnswer(LinkState.REJECTED, "left the fleet", settings=SEVEN))
    assert (company.state, company.reason, company.settings) == (LinkState.REJECTED, "left the fleet", None)


@pytest.mark.parametrize(
    ("state", "version", "refusal"),
    [
        (LinkState.LINKED, 8, None),
        (LinkState.LINKED, 7, None),
        (LinkState.PENDING, 8, None),
        (LinkState.LINKED, 6, "version 6 is older than 7, which is in force"),
        (LinkState.NONE, 8, "the station is not linked to a company"),
        (LinkState.REJECTED, 8, "the station is not linked to a company"),
        (LinkState.UNSUPPORTED, 8, "the station is not linked to a company"),
    ],
)
def test_settings_are_taken_only_from_a_company_of_ours_and_never_older(
    state: LinkState, version: int, refusal: str | None
) -> None:
    assert acceptable(replace(LINKED, state=state), replace(SEVEN, version=version)) == refusal


def test_the_first_settings_are_taken_whatever_their_version() -> None:
    assert acceptable(replace(LINKED, settings=None), CompanySettings(0)) is None
    assert Company().settings_version is None
    assert LINKED.settings_version == 7


def test_a_missing_key_is_its_default() -> None:
    assert CompanySettings(1) == CompanySettings(
        1, session_logging=True, automatic_payment=False, refund_percentage=Decimal(100), tariff=None
    )
