"""The company link as it is lived: asked for, taken in, refused, left, tried again; and what is held meanwhile."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agent.core.commands import (
    LinkCompany,
    PushCompanyLink,
    PushCompanySettings,
    PushDayAheadPrices,
    Result,
    UnlinkCompany,
)
from agent.core.company import CompanySettings, LinkAnswer, LinkState
from agent.core.deadlines import next_deadline
from agent.core.effects import SendCompanyLink, SendCompanyUnlink
from agent.core.events import CloudChanged, LinkAnswered, LinkFailure, Ticked, UnlinkTold
from agent.core.facts import HeldDropped, HeldReleased, SessionEnded, SessionStarted
from agent.core.model import Registration, Reporting
from agent.core.prices import PriceBlock
from agent.core.tariff import Basis, Dimension, Element, PriceComponent, Tariff
from tests.unit.core.charger import ALICE, NOON, Charger, a_charger, fleet

LINK = LinkCompany("ACME-7F3K")
CODE = "ACME-7F3K"


def price(amount: str) -> Tariff:
    return Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal(amount), Decimal(0)),)),))


def linked(state: LinkState = LinkState.LINKED, settings: CompanySettings | None = None) -> Charger:
    c = a_charger(tariff=price("1"))
    c.online()
    c.command(LINK, "control")
    answer = LinkFailure.UNSUPPORTED if state is LinkState.UNSUPPORTED else LinkAnswer(state, settings=settings)
    c.do(LinkAnswered(CODE, answer))
    return c


def asked(charger: Charger) -> int:
    return len(charger.all(SendCompanyLink))


# --- asking ---------------------------------------------------------------------------------------------------------


def test_a_link_is_asked_for_at_once_where_the_station_is_online() -> None:
    c = a_charger()
    c.online()
    assert c.command(LINK, "control").result is Result.ACCEPTED
    assert c.only(SendCompanyLink).code == CODE
    assert c.state.company.state is LinkState.PENDING


def test_codes_are_the_same_in_any_case() -> None:
    c = linked()
    c.command(LinkCompany("acme-7f3k"), "control")
    assert c.state.company.state is LinkState.LINKED
    assert not c.all(HeldDropped)


def test_a_link_made_offline_is_asked_for_when_the_link_is_back() -> None:
    c = a_charger()
    c.online()
    c.offline()
    c.command(LINK, "control")
    assert not asked(c)
    c.online()
    assert asked(c) == 1
    c.do(Ticked())
    assert asked(c) == 1


def test_a_link_made_before_the_boot_is_asked_for_when_it_is_accepted() -> None:
    c = a_charger()
    c.command(LINK, "control")
    c.do(CloudChanged(connected=True, registration=Registration.PENDING))
    assert not asked(c)
    c.online()
    assert asked(c) == 1


def test_it_is_asked_again_after_each_accepted_boot_and_not_after_a_reconnect() -> None:
    c = linked()
    c.offline()
    c.online()
    assert asked(c) == 1
    c.do(CloudChanged(connected=True, registration=None))
    c.online()
    assert asked(c) == 2


def test_without_a_code_nobody_is_asked() -> None:
    c = a_charger()
    c.online()
    assert not asked(c)


def test_after_an_error_it_is_asked_within_a_minute_and_then_at_growing_intervals() -> None:
    c = a_charger()
    c.online()
    c.command(LINK, "control")
    delays = []
    for _ in range(8):
        c.do(LinkAnswered(CODE, LinkFailure.FAILED))
        due = next_deadline(c.state, c.policy)
        assert due is not None
        delays.append(due - c.mono)
        before = asked(c)
        c.pass_time(due - c.mono)
        c.keep_deadlines()
        assert asked(c) == before + 1
    assert delays == [30, 60, 120, 240, 480, 900, 900, 900]


def test_years_of_errors_do_not_overflow() -> None:
    c = a_charger()
    c.online()
    c.command(LINK, "control")
    c.state = replace(c.state, link_retry=(c.mono, 5000))
    c.do(LinkAnswered(CODE, LinkFailure.FAILED))
    assert next_deadline(c.state, c.policy) == c.mono + 900


def test_an_answer_ends_the_tries() -> None:
    c = linked()
    assert c.state.link_retry is None
    assert next_deadline(c.state, c.policy) is None


def test_an_answer_for_another_code_changes_nothing() -> None:
    c = linked(LinkState.PENDING)
    c.do(LinkAnswered("OTHER", LinkAnswer(LinkState.REJECTED)))
    assert c.state.company.state is LinkState.PENDING
    assert not c.all(HeldDropped)


# --- held sessions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (LinkState.LINKED, Reporting.REPORT),
        (LinkState.UNSUPPORTED, Reporting.REPORT),
        (LinkState.PENDING, Reporting.HOLD),
        (LinkState.REJECTED, Reporting.LOCAL_ONLY),
    ],
)
def test_a_session_is_reported_as_the_link_was_when_it_began(state: LinkState, expected: Reporting) -> None:
    c = fleet(linked(state))
    started = c.only(SessionStarted)
    assert (started.reporting, started.company_code) == (expected, CODE)


@pytest.mark.parametrize("state", [LinkState.LINKED, LinkState.UNSUPPORTED])
def test_what_was_held_is_released_when_the_company_takes_the_station_in(state: LinkState) -> None:
    assert linked(state).only(HeldReleased).company_code == CODE


def test_what_was_held_stays_here_when_the_company_refuses() -> None:
    assert linked(LinkState.REJECTED).only(HeldDropped).company_code == CODE


def test_what_was_held_for_another_company_stays_here() -> None:
    c = linked(LinkState.PENDING)
    c.command(LinkCompany("OTHER-1"), "control")
    assert c.only(HeldDropped).company_code == CODE
    assert c.state.company.code == "OTHER-1"


def test_leaving_drops_what_is_held_and_tells_the_central_system() -> None:
    c = linked(LinkState.PENDING)
    assert c.command(UnlinkCompany(), "control").result is Result.ACCEPTED
    assert c.only(HeldDropped).company_code == CODE
    assert c.only(SendCompanyUnlink).code == CODE
    assert (c.state.company.state, c.state.company.left) == (LinkState.NONE, CODE)
    assert c.command(UnlinkCompany(), "control").result is Result.REJECTED
    assert fleet(c).only(SessionStarted).reporting is Reporting.LOCAL_ONLY


def test_leaving_while_an_answer_is_waited_for_is_final() -> None:
    c = a_charger()
    c.online()
    c.command(LINK, "control")
    c.command(UnlinkCompany(), "control")
    c.do(LinkAnswered(CODE, LinkAnswer(LinkState.LINKED)))
    assert c.state.company.state is LinkState.NONE
    assert next_deadline(c.state, c.policy) is None


def test_a_code_once_left_is_not_taken_up_again_from_the_configuration() -> None:
    c = a_charger(company_code=CODE)
    c.crash()
    c.command(UnlinkCompany(), "control")
    c.crash()
    assert c.state.company.code is None
    c.command(LINK, "control")
    assert c.state.company.code == CODE


# --- pushed by the company ------------------------------------------------------------------------------------------


def test_a_pending_link_is_activated_by_the_company() -> None:
    c = linked(LinkState.PENDING)
    push = PushCompanyLink("Linked", "Acme BV", settings=CompanySettings(3))
    assert c.command(push).result is Result.ACCEPTED
    assert (c.state.company.state, c.state.company.name) == (LinkState.LINKED, "Acme BV")
    assert c.state.company.settings == CompanySettings(3)
    assert c.only(HeldReleased).company_code == CODE


def test_a_link_is_ended_by_the_company() -> None:
    c = linked()
    c.command(PushCompanyLink("Rejected", reason="left the fleet"))
    assert (c.state.company.state, c.state.company.reason) == (LinkState.REJECTED, "left the fleet")
    assert c.only(HeldDropped).company_code == CODE


@pytest.mark.parametrize("status", ["None", "unsupported", "whatever", ""])
def test_a_status_that_no_company_may_say_is_refused(status: str) -> None:
    c = linked()
    assert c.command(PushCompanyLink(status)).result is Result.REJECTED
    assert c.state.company.state is LinkState.LINKED


def test_a_station_without_a_code_takes_no_link_and_no_settings() -> None:
    c = a_charger()
    assert c.command(PushCompanyLink("Linked")).result is Result.REJECTED
    assert c.command(PushCompanySettings(CompanySettings(1))).result is Result.REJECTED
    assert c.state.company.settings is None


def test_settings_are_applied_whole_and_older_ones_refused() -> None:
    c = linked(settings=CompanySettings(7))
    newer = CompanySettings(8, automatic_payment=True)
    assert c.command(PushCompanySettings(newer)).result is Result.ACCEPTED
    assert c.state.company.settings == newer
    assert c.command(PushCompanySettings(CompanySettings(7))).result is Result.REJECTED
    assert c.command(PushCompanySettings(CompanySettings(8))).result is Result.ACCEPTED
    assert c.state.company.settings == newer


# --- terms ----------------------------------------------------------------------------------------------------------


def test_a_running_session_keeps_the_terms_it_began_with() -> None:
    c = fleet(linked(settings=CompanySettings(1, tariff=price("2"), refund_percentage=Decimal(50))))
    c.command(PushCompanySettings(CompanySettings(2, session_logging=False, tariff=price("9"))))
    c.command(UnlinkCompany(), "control")
    c.run(500)
    c.card(ALICE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert ended.cost is not None
    energy = ended.register - c.only(SessionStarted).reading.register
    assert ended.cost.energy == round(energy * 2 / 1000, 2)
    assert ended.refund == round(ended.cost.incl_vat / 2, 2)
    assert c.only(SessionStarted).reporting is Reporting.REPORT


def test_the_companys_tariff_overrides_the_files_and_its_absence_does_not() -> None:
    for settings, expected in ((CompanySettings(1, tariff=price("2")), "2"), (CompanySettings(1), "1"), (None, "1")):
        terms = fleet(linked(settings=settings)).only(SessionStarted).terms
        assert terms is not None
        assert terms.tariff == price(expected)
        assert terms.refund == Decimal(100)


def test_a_company_that_refused_the_station_sets_no_prices() -> None:
    c = linked(settings=CompanySettings(1, tariff=price("2")))
    c.command(PushCompanyLink("Rejected"))
    terms = fleet(c).only(SessionStarted).terms
    assert terms is not None
    assert terms.tariff == price("1")


def boots(charger: Charger) -> list[str]:
    """Start anew, and return the codes that are told as left."""
    charger.crash()
    before = len(charger.all(SendCompanyUnlink))
    charger.online()
    return [effect.code for effect in charger.all(SendCompanyUnlink)[before:]]


def test_a_company_that_was_left_is_told_at_each_boot_until_it_has_heard() -> None:
    c = linked()
    c.command(UnlinkCompany(), "control")
    assert boots(c) == [CODE]
    c.do(UnlinkTold("OTHER-1"))
    assert boots(c) == [CODE]
    c.do(UnlinkTold(CODE))
    assert boots(c) == []


def test_a_company_that_is_taken_up_again_was_never_left() -> None:
    c = linked()
    c.command(UnlinkCompany(), "control")
    c.command(LinkCompany("OTHER-1"), "control")
    c.command(UnlinkCompany(), "control")
    assert boots(c) == [CODE, "OTHER-1"]
    c.command(LINK, "control")
    assert boots(c) == ["OTHER-1"]


# --- prices by the hour ---------------------------------------------------------------------------------------------

TOMORROW = PriceBlock(NOON, 60, (Decimal("0.30"),) * 24, "EUR")


@pytest.mark.parametrize("state", [LinkState.LINKED, LinkState.PENDING])
def test_prices_by_the_hour_are_taken_and_kept(state: LinkState) -> None:
    c = linked(state)
    c.policy = replace(c.policy, basis=Basis.HOURLY)
    assert c.command(PushDayAheadPrices(TOMORROW)).result is Result.ACCEPTED
    assert c.state.company.prices == (TOMORROW,)


@pytest.mark.parametrize("state", [LinkState.REJECTED, LinkState.UNSUPPORTED])
def test_prices_of_a_company_that_is_not_linked_are_refused(state: LinkState) -> None:
    c = linked(state)
    c.policy = replace(c.policy, basis=Basis.HOURLY)
    outcome = c.command(PushDayAheadPrices(TOMORROW))
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "the station is not linked to a company")
    assert not c.state.company.prices


@pytest.mark.parametrize(
    ("basis", "block", "words"),
    [(Basis.TARIFF, TOMORROW, 'basis is "tariff"'), (Basis.HOURLY, replace(TOMORROW, currency="SEK"), "currency SEK")],
)
def test_prices_that_cannot_be_charged_are_refused_whole(basis: Basis, block: PriceBlock, words: str) -> None:
    c = linked()
    c.policy = replace(c.policy, basis=basis)
    outcome = c.command(PushDayAheadPrices(block))
    assert outcome.result is Result.REJECTED
    assert words in (outcome.reason or "")
    assert not c.state.company.prices
