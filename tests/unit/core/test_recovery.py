"""Sessions that a start of the process finds open: resumed or closed, and no energy invented or lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from agent.core.commands import StopSession
from agent.core.effects import Deenergise, Energise, SendCompanyLink
from agent.core.events import ShutdownRequested
from agent.core.facts import Fact, HeldDropped, SessionEnded, SessionSampled, SessionStarted
from agent.core.instant import TimeStatus
from agent.core.model import ConnectorStatus, Quality, ReadingContext, Reporting, StopReason
from agent.core.policy import EvsePolicy, Policy
from agent.core.recovery import recover
from agent.core.state import durable, restored, same_slices
from tests.unit.core.charger import ONE, PRIVATE, Charger, a_charger, charging
from tests.unit.core.test_sampling import DAY_AND_NIGHT, at

RECONSTRUCTED = (Quality.RECONSTRUCTED,)


def seqs(facts: list[Fact]) -> list[int]:
    return [f.seq for f in facts if isinstance(f, SessionStarted | SessionSampled | SessionEnded)]


@pytest.mark.requirement(20)
def test_a_killed_process_goes_on_with_the_same_session() -> None:
    c = charging()
    c.run(100)
    before = c.session
    c.crash(down=30)
    assert c.session.id == before.id
    c.run(2)
    resumed = c.all(SessionSampled)[-1]
    assert resumed.context is ReadingContext.INTERRUPTION_END
    assert resumed.session == before.id
    assert len(c.all(Energise)) == 2
    c.run(60)
    c.card(PRIVATE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert ended.register == c.site.register
    assert ended.quality == (Quality.MEASURED,)
    assert seqs(c.facts) == list(range(len(seqs(c.facts))))


def test_nothing_is_commanded_before_both_devices_were_heard() -> None:
    c = charging()
    c.crash()
    commands = len(c.safety), len(c.all(Energise))
    c.poll_evse()
    c.run(0)
    assert c.evse.recovering is not None
    assert (len(c.safety), len(c.all(Energise))) == commands
    c.poll_meter()
    assert c.evse.recovering is None
    assert len(c.all(Energise)) == commands[1] + 1


@pytest.mark.requirement(47)
def test_a_session_away_for_too_long_is_closed_on_the_register_found() -> None:
    c = charging()
    c.run(60)
    c.crash(down=1000)
    c.run(1)
    assert c.site.limit == 0
    assert not c.all(SessionEnded)
    seen = c.at
    c.site.count(Decimal(3))
    c.run(1)
    ended = c.only(SessionEnded)
    assert ended.register == c.site.register
    assert (ended.reason, ended.quality) == (StopReason.REBOOT, RECONSTRUCTED)
    assert ended.at == seen
    assert c.shown == "Finishing"


def test_a_session_whose_register_did_not_move_ended_when_it_was_last_seen() -> None:
    c = charging()
    c.site.hungry = False
    c.run(130)
    last = c.session.last.at
    c.site.plugged = False
    c.crash(down=2000, reboot=True, cause=StopReason.POWER_LOSS)
    c.run(1)
    ended = c.only(SessionEnded)
    assert (ended.reason, ended.at, ended.register) == (StopReason.POWER_LOSS, last, c.site.register)
    assert c.shown == "Available"


@pytest.mark.requirement(19, 56)
def test_a_session_that_was_cut_at_its_start_does_not_end_before_it() -> None:
    c = a_charger()
    c.site.hungry = False
    c.plug()
    c.pass_time(3)
    c.card(PRIVATE)
    c.crash(down=2000, reboot=True, cause=StopReason.POWER_LOSS)
    c.run(1)
    assert c.only(SessionEnded).at == c.only(SessionStarted).at


@pytest.mark.requirement(20)
def test_a_power_cut_within_the_window_goes_on() -> None:
    c = charging()
    c.crash(down=300, reboot=True, cause=StopReason.POWER_LOSS)
    c.run(20)
    assert not c.all(SessionEnded)
    assert c.shown == "Charging"


@pytest.mark.requirement(51)
def test_a_car_that_left_meanwhile_closes_the_session() -> None:
    c = charging()
    c.site.plugged = c.site.charging = False
    c.crash(down=10)
    c.run(1)
    assert c.only(SessionEnded).quality == RECONSTRUCTED
    assert c.shown == "Available"


def test_a_station_that_keeps_sessions_over_an_unplug_keeps_them_over_a_crash() -> None:
    c = charging(a_charger(lambda s: replace(s, stop_on_ev_disconnect=False)))
    c.unplug()
    c.crash(down=10)
    c.run(3)
    assert not c.all(SessionEnded)
    assert c.phase == "suspended-ev"


def test_without_a_meter_the_last_durable_reading_counts_in_the_end() -> None:
    c = charging()
    c.run(70)
    last = c.session.last
    c.site.meter_error = "no answer"
    c.crash(down=10)
    c.run(59)
    assert not c.all(SessionEnded)
    c.run(2)
    ended = c.only(SessionEnded)
    assert (ended.register, ended.at) == (last.register, last.at)
    assert ended.quality == (Quality.RECONSTRUCTED, Quality.METER_GAP)


def test_what_flowed_after_the_last_durable_reading_is_found_when_the_meter_comes_back() -> None:
    c = charging()
    c.run(70)
    c.site.meter_error = "no answer"
    c.crash(down=10)
    c.run(65)
    c.site.meter_error = None
    c.run(3)
    ended = c.only(SessionEnded)
    assert c.evse.meter.unattributed == c.site.register - ended.register > 0


def test_without_a_controller_the_session_is_closed_on_the_register() -> None:
    c = charging()
    c.site.evse_error = "no answer"
    c.crash(down=10)
    c.run(62)
    ended = c.only(SessionEnded)
    assert ended.register > 1_000_000 + 2 * 60
    assert ended.register + c.evse.meter.unattributed == c.site.register


@pytest.mark.requirement(55)
def test_a_replaced_meter_closes_on_the_last_good_reading_and_is_shown() -> None:
    c = charging()
    c.run(70)
    last = c.session.last
    c.site.serial, c.site.register = "99999999", Decimal(3)
    c.crash(down=10)
    c.run(1)
    ended = c.only(SessionEnded)
    assert ended.register == last.register
    assert ended.quality == (Quality.RECONSTRUCTED, Quality.METER_CHANGED)
    assert c.shown == "Faulted/PowerMeterFailure"
    c.run(12)
    assert c.shown == "Finishing"


@pytest.mark.requirement(55)
@pytest.mark.parametrize("register", [Decimal(5), Decimal(2_000_000)])
def test_an_impossible_register_closes_on_the_last_good_reading(register: Decimal) -> None:
    c = charging()
    c.run(70)
    last = c.session.last
    c.site.register = register
    c.crash(down=10)
    c.run(1)
    ended = c.only(SessionEnded)
    assert ended.register == last.register
    assert ended.quality == (Quality.RECONSTRUCTED, Quality.IMPLAUSIBLE)
    assert c.evse.meter.unattributed <= 3


def test_a_power_cut_without_a_clock_loses_no_energy() -> None:
    c = charging()
    c.run(70)
    c.site.register += 4000
    c.crash(down=60, reboot=True, cause=StopReason.POWER_LOSS)
    c.wall -= timedelta(seconds=60)
    c.status = TimeStatus.INFORMATIVE
    c.run(2)
    c.card(PRIVATE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert ended.register == c.site.register
    assert Quality.IMPLAUSIBLE not in ended.quality


def test_a_card_presented_before_the_devices_are_heard_ends_the_session_and_cuts_power() -> None:
    c = charging()
    c.run(20)
    c.crash(down=5)
    c.card(PRIVATE)
    assert not c.all(SessionEnded)
    c.poll_evse()
    assert c.safety[-1] == Deenergise(ONE)
    c.run(3)
    ended = c.only(SessionEnded)
    assert (ended.reason, ended.id_token) == (StopReason.LOCAL, PRIVATE)
    assert len(c.all(Energise)) == 1


@pytest.mark.requirement(19)
def test_a_session_that_was_ending_ends_as_it_was_meant_to() -> None:
    c = charging()
    c.run(20)
    c.site.meter_error = "no answer"
    c.command(StopSession(ONE), "control")
    assert not c.all(SessionEnded)
    c.site.meter_error = None
    c.crash(down=5000, reboot=True)
    c.run(3)
    ended = c.only(SessionEnded)
    assert ended.reason is StopReason.LOCAL
    assert ended.register == c.site.register
    assert ended.quality == RECONSTRUCTED


def test_a_session_that_was_ending_waits_until_nothing_flows() -> None:
    c = charging()
    c.run(20)
    c.command(StopSession(ONE), "control")
    c.site.deaf, c.site.limit = True, 16_000
    c.site.charging = True
    c.crash(down=2)
    c.run(5)
    assert not c.all(SessionEnded)
    c.site.deaf = False
    c.run(6)
    assert c.only(SessionEnded).register == c.site.register


def test_charging_time_before_a_crash_is_not_forgotten() -> None:
    c = charging(a_charger(tariff=DAY_AND_NIGHT))
    c.run(600)
    c.crash(down=120, reboot=True)
    c.run(1)
    assert c.session.stretch.charging_ms >= 550_000
    c.run(100)
    c.card(PRIVATE)
    assert 640_000 <= c.session.stretch.charging_ms <= 720_000


def test_time_through_a_gap_counts_where_energy_flowed() -> None:
    c = charging()
    c.run(50)
    c.crash(down=100)
    c.run(1)
    c.card(PRIVATE)
    assert c.session.stretch.charging_ms == 160_000


def test_time_through_a_gap_without_energy_does_not_count() -> None:
    c = charging()
    c.run(50)
    c.site.hungry = c.site.charging = False
    c.crash(down=100)
    c.run(3)
    assert c.phase == "suspended-ev"
    assert c.session.stretch.charging_ms == 59_000


def test_a_price_boundary_in_the_gap_splits_where_the_register_was_found() -> None:
    c = charging(at("22:59:00", a_charger(tariff=DAY_AND_NIGHT)))
    c.run(5)
    c.crash(down=120)
    c.run(1)
    found = c.site.register
    c.run(30)
    c.card(PRIVATE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert [p.price for p in ended.periods] == [Decimal("0.30"), Decimal("0.20")]
    assert ended.periods[0].energy == found - 1_000_000
    assert ended.quality == (Quality.METER_GAP,)


def test_a_shutdown_in_order_keeps_the_last_reading() -> None:
    c = charging()
    c.run(15)
    register = c.evse.meter.reading
    c.do(ShutdownRequested())
    assert register is not None
    assert c.session.last == register
    c.crash(down=3)
    c.run(2)
    assert c.shown == "Charging"


def test_a_session_of_a_connector_that_is_no_longer_configured_is_closed() -> None:
    c = charging()
    c.run(70)
    last = c.session.last
    policy = Policy(evses=(EvsePolicy(ONE + 1),))  # type: ignore[arg-type]  # another connector than before
    moved = Charger(policy=policy, mono=c.mono, wall=c.wall)
    moved.state = restored(durable(c.state), tuple(p.id for p in policy.evses))
    moved.apply(recover(moved.state, moved.at, policy, StopReason.REBOOT))
    moved.run(61)
    ended = moved.only(SessionEnded)
    assert (ended.evse, ended.register) == (ONE, last.register)


def test_a_start_that_finds_nothing_open_changes_nothing_durable() -> None:
    c = a_charger()
    slices = durable(c.state)
    result = recover(restored(slices, (ONE,)), c.at, c.policy, StopReason.REBOOT)
    assert not result.facts
    assert same_slices(durable(result.state), slices)


def test_an_open_session_alone_makes_the_start_write_nothing() -> None:
    c = charging()
    slices = durable(c.state)
    result = recover(restored(slices, (ONE,)), c.at, c.policy, StopReason.REBOOT)
    assert not result.facts
    assert same_slices(durable(result.state), slices)


@pytest.mark.requirement(20)
def test_crashes_in_a_row_lose_nothing() -> None:
    c = charging()
    for down in (1, 7, 30, 2):
        c.crash(down=down)
        c.poll_evse()
        c.crash(down=down)
        c.run(3)
    c.card(PRIVATE)
    c.run(4)
    ended = c.only(SessionEnded)
    assert ended.register - c.only(SessionStarted).reading.register == c.site.register - 1_000_000
    assert seqs(c.facts) == list(range(len(seqs(c.facts))))


def test_the_code_of_the_configuration_is_acted_upon_once() -> None:
    c = a_charger(company_code="acme-7F3K")
    c.crash()
    assert c.state.company.code == "ACME-7F3K"
    assert c.state.company.state.value == "pending"
    c.online()
    assert c.last(SendCompanyLink).code == "ACME-7F3K"
    slices = durable(c.state)
    c.crash()
    assert same_slices(durable(c.state), slices)


def test_another_code_in_the_configuration_leaves_the_company_before() -> None:
    c = a_charger(company_code="ACME-7F3K")
    c.crash()
    c.policy = replace(c.policy, company_code="OTHER-1")
    c.crash()
    assert c.state.company.code == "OTHER-1"
    assert c.only(HeldDropped).company_code == "ACME-7F3K"


def test_a_running_session_keeps_what_it_began_with_over_a_restart() -> None:
    c = charging()
    c.crash()
    assert c.session.reporting is Reporting.LOCAL_ONLY
    c.run(1)
    assert c.evse.shown is not None
    assert c.evse.shown[0] is not ConnectorStatus.FAULTED
