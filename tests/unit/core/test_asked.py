"""Commands: remote start and stop, reset, settings, and what is answered to those that are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.asked import INSTALLER
from agent.core.commands import (
    ChangeAvailability,
    ChangeSetting,
    ClearCache,
    Command,
    GetCards,
    GetLocalListVersion,
    GetSettings,
    LinkCompany,
    PushCards,
    PushCompanySettings,
    RemoteStart,
    RemoteStop,
    Reset,
    ResetKind,
    ResetSetting,
    Result,
    StopSession,
    UnlockConnector,
)
from agent.core.company import CompanySettings, LinkState
from agent.core.effects import Answer, AskCsms, Energise, Restart
from agent.core.events import AuthorizationAnswered, CloudChanged
from agent.core.facts import SessionEnded, SessionStarted, StartTrigger
from agent.core.model import EvseId, Profile, Registration, StopReason, TokenInfo, TokenStatus
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import Card
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

START = RemoteStart(ALICE, ONE)


def online() -> Charger:
    c = a_charger()
    c.online()
    return c


# --- remote start ---------------------------------------------------------------------------------------------------


def test_a_remote_start_at_a_plugged_car_starts_without_asking() -> None:
    c = online()
    c.plug()
    assert c.command(START).result is Result.ACCEPTED
    started = c.only(SessionStarted)
    assert (started.trigger, started.profile, started.id_token) == (StartTrigger.REMOTE, Profile.FLEET, ALICE)
    assert not c.all(AskCsms)


def test_the_answer_comes_before_what_follows_from_it() -> None:
    c = online()
    c.plug()
    c.command(START)
    kinds = [type(e) for e in c.steps[-1].effects]
    assert kinds.index(Answer) < kinds.index(Energise)


def test_a_remote_start_waits_for_the_plug_and_gives_up_after_the_time_out() -> None:
    c = online()
    assert c.command(START).result is Result.ACCEPTED
    assert c.shown == "Preparing"
    c.run(61)
    assert c.shown == "Available"
    c.plug()
    assert not c.facts


@pytest.mark.requirement(41)
def test_a_remote_start_asks_first_where_it_must_be_authorised() -> None:
    c = a_charger(lambda s: replace(s, authorize_remote=True))
    c.online()
    c.plug()
    assert c.command(START).result is Result.ACCEPTED
    assert c.question.id_token == ALICE
    c.answer(TokenInfo(TokenStatus.INVALID))
    assert not c.facts
    c.command(START)
    c.answer()
    assert c.only(SessionStarted).trigger is StartTrigger.REMOTE


@pytest.mark.requirement(33)
def test_a_second_remote_start_is_refused() -> None:
    c = online()
    c.command(START)
    assert c.command(RemoteStart(BOB, ONE)).result is Result.REJECTED
    c = a_charger(lambda s: replace(s, authorize_remote=True))
    c.online()
    c.command(START)
    assert c.command(START).result is Result.REJECTED


@pytest.mark.requirement(56)
@pytest.mark.parametrize("evse", [EvseId(0), EvseId(9)])
def test_a_remote_start_for_a_connector_that_is_not_there_is_refused(evse: EvseId) -> None:
    outcome = online().command(RemoteStart(ALICE, evse))
    assert outcome.result is Result.REJECTED
    assert outcome.reason == "there is no such connector, or none that is free"


@pytest.mark.parametrize("registration", [None, Registration.PENDING, Registration.REJECTED])
def test_a_remote_start_of_a_system_that_has_not_accepted_the_station_is_refused(
    registration: Registration | None,
) -> None:
    c = a_charger()
    c.do(CloudChanged(connected=True, registration=registration))
    assert c.command(START).result is Result.REJECTED


def test_a_remote_start_for_a_card_blocked_here_is_refused() -> None:
    c = known(online(), Card(ALICE, blocked="lost"))
    outcome = c.command(START)
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "blocked here: lost")
    assert c.command(START, INSTALLER).result is Result.REJECTED


def test_a_remote_start_while_a_session_runs_or_the_plug_is_still_in_is_refused() -> None:
    c = fleet()
    assert c.command(RemoteStart(BOB, ONE)).result is Result.REJECTED
    c.card(ALICE)
    c.run(5)
    assert c.shown == "Finishing"
    assert c.command(RemoteStart(BOB, ONE)).result is Result.REJECTED


def test_a_remote_start_out_of_service_or_at_a_fault_is_refused() -> None:
    c = online()
    c.site.faults = ("rcd",)
    c.run(1)
    assert c.command(START).result is Result.REJECTED
    c.site.faults = ()
    c.run(1)
    c.command(ChangeAvailability(ONE, operative=False))
    assert c.command(START).result is Result.REJECTED


def test_a_remote_start_without_a_meter_is_refused_with_the_cause() -> None:
    c = online()
    c.site.meter_error = "meter 1 does not answer"
    c.run(1)
    assert c.command(START).reason == "no meter reading: meter 1 does not answer"


def test_a_remote_start_without_a_controller_is_refused() -> None:
    c = a_charger(evses=(EvsePolicy(ONE, controlled=False),))
    c.online()
    assert c.command(START).result is Result.REJECTED


def test_a_remote_start_before_any_card_was_ever_seen_works() -> None:
    c = Charger()
    c.online()
    c.plug()
    assert c.command(RemoteStart(ALICE, None)).result is Result.ACCEPTED
    assert c.all(SessionStarted)


def test_a_remote_start_without_a_connector_takes_the_one_that_is_plugged() -> None:
    c = Charger(policy=Policy(evses=(EvsePolicy(ONE), EvsePolicy(TWO))))
    c.online()
    c.poll()
    assert c.command(RemoteStart(ALICE, None)).result is Result.REJECTED
    c.sites[TWO].plugged = True
    c.poll()
    assert c.command(RemoteStart(ALICE, None)).result is Result.ACCEPTED
    assert c.only(SessionStarted).evse == TWO
    assert c.command(RemoteStart(BOB, None)).result is Result.ACCEPTED
    assert c.evse.grant is not None


def test_a_remote_start_for_a_private_card_stays_private() -> None:
    c = online()
    c.plug()
    assert c.command(RemoteStart(PRIVATE, ONE)).result is Result.ACCEPTED
    assert c.only(SessionStarted).profile is Profile.PRIVATE


@pytest.mark.parametrize("state", [LinkState.PENDING, LinkState.REJECTED])
def test_a_remote_start_is_refused_while_the_company_is_not_ours(state: LinkState) -> None:
    c = online()
    c.command(LinkCompany("ACME"), INSTALLER)
    c.state = replace(c.state, company=replace(c.state.company, state=state))
    outcome = c.command(START)
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "the company link does not allow it")
    c.plug()
    cached(c, ALICE)
    assert c.command(START, INSTALLER).result is Result.ACCEPTED


def test_a_remote_start_is_refused_while_logging_is_off() -> None:
    c = online()
    c.state = replace(c.state, company=replace(c.state.company, code="ACME", state=LinkState.LINKED))
    c.command(PushCompanySettings(CompanySettings(1, session_logging=False)))
    assert c.command(START).result is Result.REJECTED


# --- from the command line ------------------------------------------------------------------------------------------


def test_the_installer_starts_a_known_card_without_any_central_system() -> None:
    c = cached(a_charger(), ALICE)
    c.plug()
    assert c.command(START, INSTALLER).result is Result.ACCEPTED
    assert c.only(SessionStarted).trigger is StartTrigger.INSTALLER


def test_the_installer_is_told_at_once_when_a_card_is_refused() -> None:
    c = a_charger()
    c.plug()
    outcome = c.command(START, INSTALLER)
    assert outcome.result is Result.REJECTED
    assert outcome.reason == "no connection to the central system, and this card is not known here"


def test_the_installers_card_is_asked_about_online() -> None:
    c = online()
    c.plug()
    assert c.command(START, INSTALLER).result is Result.ACCEPTED
    c.answer()
    assert c.only(SessionStarted).trigger is StartTrigger.INSTALLER


def test_the_installer_stops_what_runs() -> None:
    c = charging()
    assert c.command(StopSession(ONE), INSTALLER).result is Result.ACCEPTED
    assert c.command(StopSession(ONE), INSTALLER).result is Result.REJECTED
    c.run(4)
    assert c.only(SessionEnded).reason is StopReason.LOCAL
    assert c.command(StopSession(EvseId(7)), INSTALLER).reason == "there is no connector 7"


# --- remote stop ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transaction", [42, 0, -5, 2147483647, "a-text"])
def test_a_remote_stop_ends_the_transaction_it_names(transaction: int | str) -> None:
    c = fleet()
    assert c.command(RemoteStop(transaction)).result is Result.REJECTED
    c.answer_start(transaction=transaction)
    assert c.command(RemoteStop(transaction)).result is Result.ACCEPTED
    c.run(4)
    assert c.only(SessionEnded).reason is StopReason.REMOTE


def test_a_remote_stop_of_an_unknown_transaction_changes_nothing() -> None:
    c = fleet()
    c.answer_start(transaction=1)
    assert c.command(RemoteStop(2)).result is Result.REJECTED
    assert c.phase == "charging"


def test_a_transaction_that_is_ending_cannot_be_stopped_again() -> None:
    c = fleet()
    c.answer_start(transaction=1)
    c.command(RemoteStop(1))
    assert c.command(RemoteStop(1)).result is Result.REJECTED


# --- the rest -------------------------------------------------------------------------------------------------------


def test_unlocking_is_not_supported_and_leaves_the_session_alone() -> None:
    c = charging()
    assert c.command(UnlockConnector(ONE)).result is Result.NOT_SUPPORTED
    assert c.phase == "charging"


def test_the_cache_is_cleared_where_there_is_one() -> None:
    c = cached(a_charger(), ALICE)
    assert c.command(ClearCache()).result is Result.ACCEPTED
    assert not c.state.tokens.cache
    c.command(ChangeSetting("cache_enabled", value=False))
    assert c.command(ClearCache()).result is Result.REJECTED


def test_settings_are_changed_read_and_reset() -> None:
    c = a_charger(lambda s: replace(s, sample_interval_s=30))
    assert c.command(ChangeSetting("sample_interval_s", 10)).result is Result.ACCEPTED
    settings = c.command(GetSettings()).settings
    assert settings is not None
    assert settings.sample_interval_s == 10
    c.command(ResetSetting("sample_interval_s"))
    settings = c.command(GetSettings()).settings
    assert settings is not None
    assert settings.sample_interval_s == 30


def test_a_setting_acts_at_once() -> None:
    c = a_charger()
    c.command(ChangeSetting("connection_timeout_s", 5))
    c.card(PRIVATE)
    c.run(6)
    assert c.evse.grant is None


def test_once_a_reset_is_on_its_way_no_card_and_no_answer_starts_anything() -> None:
    c = a_charger()
    c.online()
    c.plug()
    c.card(ALICE)
    question = c.question
    assert c.command(Reset(ResetKind.SOFT)).result is Result.ACCEPTED
    assert c.only(Restart)
    c.do(AuthorizationAnswered(question.request, ACCEPTED))
    c.card(PRIVATE)
    c.run(30)
    assert not c.all(SessionStarted)
    assert len(c.all(Restart)) == 1


# --- a central system that only listens -----------------------------------------------------------------------------


def listened() -> Charger:
    c = charging(a_charger())
    c.policy = replace(c.policy, listeners=frozenset({"ere"}))
    return c


@pytest.mark.parametrize(
    "command",
    [
        START,
        RemoteStop(42),
        StopSession(ONE),
        Reset(ResetKind.HARD),
        ChangeAvailability(ONE, operative=False),
        ChangeSetting("connection_timeout_s", 1),
        ResetSetting("connection_timeout_s"),
        ClearCache(),
        LinkCompany("ACME-7F3K"),
        PushCompanySettings(CompanySettings(9)),
        PushCards(1, full=True, cards=()),
        GetCards(),
    ],
)
def test_who_only_listens_commands_nothing(command: Command) -> None:
    c = listened()
    before = c.state
    assert c.command(command, "ere").result is Result.REJECTED
    assert c.state == before


def test_who_only_listens_reads_and_unlocks_nothing() -> None:
    c = listened()
    assert c.command(GetSettings(()), "ere").result is Result.ACCEPTED
    assert c.command(GetLocalListVersion(), "ere").result is Result.ACCEPTED
    assert c.command(UnlockConnector(ONE), "ere").result is Result.NOT_SUPPORTED
