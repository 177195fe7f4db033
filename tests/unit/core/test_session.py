"""The session of one EVSE: start, phases, end, the last reading, and a start that the central system refuses."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agent.core.commands import BlockCard, Reset, ResetKind
from agent.core.effects import Deenergise, Energise, Indicate, PollMeter, Restart
from agent.core.events import EvseRead, StartAnswered
from agent.core.facts import SessionEnded, SessionSampled, SessionStarted, StartTrigger
from agent.core.instant import Instant
from agent.core.model import (
    EvseReading,
    IdToken,
    MilliAmp,
    Profile,
    Quality,
    Reporting,
    StopReason,
    TokenInfo,
    TokenStatus,
)
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import Card, Phase
from tests.unit.core.charger import ALICE, NOON, ONE, PRIVATE, TWO, Charger, a_charger, charging, fleet, known

INVALID = TokenInfo(TokenStatus.INVALID)


def test_a_card_at_a_plugged_car_starts_a_session_on_the_register() -> None:
    c = a_charger()
    c.plug()
    result = c.card(PRIVATE)
    (started,) = result.facts
    assert isinstance(started, SessionStarted)
    assert (started.seq, started.evse, started.id_token, started.profile) == (0, ONE, PRIVATE, Profile.PRIVATE)
    assert (started.trigger, started.at, started.reading.register) == (StartTrigger.CARD, c.at, Decimal(1_000_000))
    assert started.reporting is Reporting.LOCAL_ONLY
    assert Energise(ONE, MilliAmp(16_000)) in result.effects


def test_power_is_offered_only_in_the_step_that_records_the_start_or_after_it() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.plug()
    first = next(s for s in c.steps if any(isinstance(e, Energise) for e in s.effects))
    assert [type(f) for f in first.facts] == [SessionStarted]


def test_a_card_before_the_plug_waits_for_it() -> None:
    c = a_charger()
    c.card(PRIVATE)
    assert not c.facts
    assert c.shown == "Preparing"
    c.run(30)
    c.plug()
    assert c.only(SessionStarted).at == c.at


def test_a_grant_without_a_plug_is_taken_back_after_the_connection_time_out() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.run(59)
    assert c.evse.grant is not None
    c.run(2)
    assert c.evse.grant is None
    assert c.shown == "Available"
    assert c.said == "no car was plugged in in time: hold the card again"
    c.plug()
    c.run(5)
    assert not c.facts


def test_a_connection_time_out_of_zero_waits_for_ever() -> None:
    c = a_charger(lambda s: replace(s, connection_timeout_s=0))
    c.card(PRIVATE)
    c.pass_time(100_000)
    c.poll()
    c.plug()
    assert c.all(SessionStarted)


def test_a_plug_while_something_is_wrong_waits_until_it_is_not() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.site.faults = ("rcd",)
    c.plug()
    c.run(3)
    assert not c.facts
    c.site.faults = ()
    c.run(2)
    assert c.all(SessionStarted)


def test_a_grant_that_never_could_start_says_so() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.site.faults = ("rcd",)
    c.plug()
    c.run(61)
    assert c.evse.grant is None
    assert c.said == "the charger was not ready in time: hold the card again"


@pytest.mark.requirement(46)
def test_a_plug_without_a_meter_takes_the_grant_back() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.site.meter_error = "meter 1 does not answer"
    c.run(2)
    c.plug()
    assert not c.facts
    assert c.evse.grant is None
    assert c.said == "card ****CC03 refused: no meter reading: meter 1 does not answer"


def test_a_card_that_was_blocked_while_it_waited_for_the_plug_does_not_start() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.command(BlockCard(PRIVATE, "stolen"), "control")
    c.plug()
    assert not c.facts
    assert c.said == "card ****CC03 refused: blocked here: stolen"


def test_a_controller_that_cannot_tell_the_plug_starts_at_the_card() -> None:
    c = a_charger()
    c.do(EvseRead(ONE, EvseReading(c.at, None, None, None)))
    c.poll_meter()
    c.card(PRIVATE)
    assert c.all(SessionStarted)


@pytest.mark.requirement(52)
def test_the_phases_follow_car_and_controller() -> None:
    c = charging()
    c.site.hungry = False
    c.run(3)
    assert c.phase == Phase.SUSPENDED_EV.value
    c.site.hungry = True
    c.run(3)
    assert c.phase == Phase.CHARGING.value
    offered = EvseReading(c.at, None, connected=True, charging=False, offering=False)
    c.do(EvseRead(ONE, offered))
    assert c.phase == Phase.SUSPENDED_EVSE.value
    assert c.statuses == ["Available", "Preparing", "Charging", "SuspendedEV", "Charging", "SuspendedEVSE"]


def test_a_car_that_never_begins_is_starting_for_a_moment_and_then_suspended() -> None:
    c = a_charger()
    c.site.hungry = False
    c.plug()
    c.card(PRIVATE)
    c.run(4)
    assert c.phase == Phase.STARTING.value
    c.run(3)
    assert c.phase == Phase.SUSPENDED_EV.value
    assert c.statuses == ["Available", "Preparing", "SuspendedEV"]


def test_where_the_controller_does_not_tell_whether_the_car_draws_the_meter_does() -> None:
    c = a_charger()
    c.do(EvseRead(ONE, EvseReading(c.at, None, None, None)))
    c.card(PRIVATE)
    c.pass_time(6)
    c.do(EvseRead(ONE, EvseReading(c.at, None, None, None)))
    assert c.phase == Phase.SUSPENDED_EV.value
    c.state = c.state.put(replace(c.evse, meter=replace(c.evse.meter, drawing=True)))
    c.do(EvseRead(ONE, EvseReading(c.at, None, None, None)))
    assert c.phase == Phase.CHARGING.value


def test_a_silent_controller_counts_as_not_charging_after_its_watchdog() -> None:
    c = charging(a_charger(evses=(EvsePolicy(ONE, watchdog_s=20),)))
    c.site.evse_error = "controller 1 does not answer"
    c.run(18)
    assert c.phase == Phase.CHARGING.value
    c.run(4)
    assert c.phase == Phase.SUSPENDED_EVSE.value
    c.site.evse_error = None
    c.run(2)
    assert c.phase == Phase.CHARGING.value


def test_the_end_withdraws_the_offer_at_once_and_reads_the_register_when_nothing_flows() -> None:
    c = charging()
    c.run(100)
    result = c.card(PRIVATE)
    assert result.safety == (Deenergise(ONE),)
    assert c.shown == "Finishing"
    assert not c.all(SessionEnded)
    ended_at = c.at
    c.run(3)
    ended = c.only(SessionEnded)
    assert (ended.reason, ended.id_token, ended.at) == (StopReason.LOCAL, PRIVATE, ended_at)
    assert ended.register == c.site.register.quantize(Decimal("0.001"))
    assert ended.quality == (Quality.MEASURED,)
    assert c.all(PollMeter)


@pytest.mark.requirement(48)
def test_energy_that_flows_until_the_contactor_opens_belongs_to_the_session() -> None:
    c = charging()
    c.site.deaf = True
    c.card(PRIVATE)
    c.run(4)
    assert not c.all(SessionEnded)
    c.run(2)
    assert c.only(SessionEnded).register == c.site.register - 2


def test_a_meter_that_is_gone_at_the_end_is_waited_for_and_then_the_last_reading_counts() -> None:
    c = charging()
    c.run(60)
    before = c.evse.meter.reading
    assert before is not None
    c.site.meter_error = "no answer"
    c.card(PRIVATE)
    c.run(14)
    assert not c.all(SessionEnded)
    c.run(2)
    ended = c.only(SessionEnded)
    assert ended.register == before.register
    assert ended.quality == (Quality.METER_GAP,)


@pytest.mark.requirement(51)
def test_unplugging_ends_the_session() -> None:
    c = charging()
    c.unplug()
    c.run(3)
    assert c.only(SessionEnded).reason is StopReason.EV_DISCONNECTED
    assert c.statuses[-2:] == ["Finishing", "Available"]


@pytest.mark.requirement(41, 52)
def test_a_station_that_keeps_sessions_over_an_unplug_suspends_them() -> None:
    c = charging(a_charger(lambda s: replace(s, stop_on_ev_disconnect=False)))
    c.unplug()
    c.run(20)
    assert c.shown == "SuspendedEV"
    c.plug()
    c.run(5)
    assert c.shown == "Charging"
    assert len(c.all(SessionStarted)) == 1
    assert not c.all(SessionEnded)


@pytest.mark.requirement(32)
def test_after_the_end_the_connector_is_finishing_until_the_plug_is_out() -> None:
    c = charging()
    c.card(PRIVATE)
    c.run(5)
    assert c.shown == "Finishing"
    c.card(PRIVATE)
    assert c.said.endswith("the last session is over: unplug the car before the next one")
    c.run(5)
    assert len(c.all(SessionStarted)) == 1
    c.unplug()
    assert c.shown == "Available"


def test_facts_of_a_session_are_numbered_without_a_gap() -> None:
    c = charging()
    c.run(200)
    c.card(PRIVATE)
    c.run(5)
    seqs = [f.seq for f in c.facts if isinstance(f, SessionStarted | SessionSampled | SessionEnded)]
    assert seqs == list(range(len(seqs)))
    assert len(seqs) == 5


def test_the_ids_of_two_sessions_differ() -> None:
    c = charging()
    c.unplug()
    c.run(5)
    charging(c)
    one, other = c.all(SessionStarted)
    assert one.session != other.session
    assert one.session < other.session


# --- the answer to the start (OCPP 1.6 ed. 2, section 3.5.4; errata 3.17) --------------------------------------------


def test_an_accepted_start_gives_the_session_its_name_and_changes_nothing_else() -> None:
    c = fleet()
    c.answer_start(transaction=7)
    c.run(3)
    assert c.session.transaction == 7
    assert c.shown == "Charging"


@pytest.mark.requirement(41, 42)
@pytest.mark.parametrize("status", [s for s in TokenStatus if s is not TokenStatus.ACCEPTED])
def test_a_refused_start_stops_at_once_where_stop_on_invalid_is_set(status: TokenStatus) -> None:
    c = fleet()
    result = c.answer_start(TokenInfo(status), transaction=9)
    assert Deenergise(ONE) in result.safety
    c.run(3)
    assert c.only(SessionEnded).reason is StopReason.DE_AUTHORIZED
    assert c.shown == "Finishing"


def test_a_refused_start_stops_even_where_energy_is_allowed() -> None:
    c = fleet(a_charger(lambda s: replace(s, max_energy_on_invalid_wh=500)))
    c.answer_start(INVALID)
    c.run(3)
    assert c.only(SessionEnded).reason is StopReason.DE_AUTHORIZED


@pytest.mark.requirement(41, 42)
def test_a_refused_start_suspends_where_it_does_not_stop() -> None:
    c = fleet(a_charger(lambda s: replace(s, stop_on_invalid=False)))
    result = c.answer_start(INVALID, transaction=9)
    assert Deenergise(ONE) in result.safety
    c.run(20)
    assert c.shown == "SuspendedEVSE"
    assert c.session.transaction == 9
    assert not c.all(SessionEnded)
    c.card(ALICE)
    c.run(3)
    assert c.only(SessionEnded).reason is StopReason.LOCAL


@pytest.mark.requirement(42)
def test_a_refused_start_may_use_what_is_allowed_and_is_suspended_then() -> None:
    c = fleet(a_charger(lambda s: replace(s, stop_on_invalid=False, max_energy_on_invalid_wh=100)))
    c.answer_start(INVALID)
    from_here = c.site.register
    c.run(40)
    assert c.shown == "Charging"
    c.run(20)
    assert c.shown == "SuspendedEVSE"
    assert Decimal(100) <= c.site.register - from_here <= Decimal(106)


def test_a_start_whose_token_expired_meanwhile_counts_as_refused() -> None:
    c = fleet()
    c.answer_start(TokenInfo(TokenStatus.ACCEPTED, expiry=Instant(0.0, NOON)))
    c.run(3)
    assert c.only(SessionEnded).reason is StopReason.DE_AUTHORIZED


@pytest.mark.requirement(15)
def test_an_answer_after_the_end_is_only_remembered() -> None:
    c = fleet()
    session = c.session
    c.unplug()
    c.run(5)
    c.do(StartAnswered(session.id, 3, ALICE, INVALID))
    c.run(2)
    assert len(c.all(SessionEnded)) == 1
    assert c.state.tokens.cache[ALICE.key].info == INVALID


def test_a_start_that_was_given_up_leaves_the_session_alone() -> None:
    c = fleet()
    c.do(StartAnswered(c.session.id, None, ALICE, None))
    assert c.session.transaction is None
    assert c.phase == Phase.CHARGING.value


def test_the_group_of_a_start_is_kept_for_the_stop() -> None:
    c = fleet()
    c.answer_start(TokenInfo(TokenStatus.ACCEPTED, group=IdToken("FAMILY")))
    assert c.session.group == IdToken("FAMILY")


# --- reset -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(19)
@pytest.mark.parametrize(
    ("kind", "reason"), [(ResetKind.SOFT, StopReason.SOFT_RESET), (ResetKind.HARD, StopReason.HARD_RESET)]
)
def test_a_reset_ends_the_session_before_it_restarts(kind: ResetKind, reason: StopReason) -> None:
    c = charging()
    c.command(Reset(kind))
    assert not c.all(Restart)
    c.run(4)
    assert c.only(SessionEnded).reason is reason
    assert c.only(Restart).hard is (kind is ResetKind.HARD)


@pytest.mark.requirement(19)
def test_a_reset_does_not_wait_for_ever_for_a_last_reading() -> None:
    c = charging(a_charger(last_reading_s=100.0))
    c.site.meter_error = "no answer"
    c.command(Reset(ResetKind.SOFT))
    c.run(19)
    assert not c.all(Restart)
    c.run(2)
    assert c.all(Restart)


@pytest.mark.requirement(56)
def test_an_ending_session_is_not_ended_again() -> None:
    c = charging()
    c.card(PRIVATE)
    c.unplug()
    c.run(4)
    assert c.only(SessionEnded).reason is StopReason.LOCAL


def test_two_connectors_run_two_sessions_of_their_own() -> None:
    c = Charger(policy=Policy(evses=(EvsePolicy(ONE), EvsePolicy(TWO))))
    known(c, Card(PRIVATE, Profile.PRIVATE), Card(ALICE, Profile.PRIVATE))
    c.plug()
    c.card(PRIVATE)
    c.run(10)
    c.sites[TWO].plugged = True
    c.run(1)
    c.card(ALICE)
    c.run(10)
    assert [s.evse for s in c.all(SessionStarted)] == [ONE, TWO]
    c.card(ALICE)
    c.run(5)
    assert c.only(SessionEnded).evse == TWO
    assert c.phase == Phase.CHARGING.value


def test_people_are_told_with_masked_cards() -> None:
    c = charging()
    texts = [e.text for e in c.all(Indicate)]
    assert texts
    assert all(PRIVATE.value not in text for text in texts)
