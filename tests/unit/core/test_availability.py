"""What a connector shows and whether it may start: service state, faults, silence, and meters without a controller."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agent.core.commands import ChangeAvailability, Result
from agent.core.effects import Deenergise, Energise, ReportStatus
from agent.core.events import EvseFailed, EvseRead, MeterFailed, MeterRead, ReaderChanged
from agent.core.facts import SessionEnded
from agent.core.model import STATION, EvseId, EvseReading, Pilot, Reading, StopReason, Value, Wh
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import EvseState, StationState
from tests.unit.core.charger import BOB, ONE, PRIVATE, TWO, Charger, a_charger, charging

IN, OUT = (ChangeAvailability(ONE, operative=o) for o in (True, False))


def reports(charger: Charger, evse: EvseId = ONE) -> list[tuple[str, str]]:
    return [(r.status.value, r.error_code.value) for r in charger.all(ReportStatus) if r.evse == evse]


# --- service state --------------------------------------------------------------------------------------------------


def test_out_of_service_shows_and_refuses_until_it_is_back() -> None:
    c = a_charger()
    assert c.command(OUT).result is Result.ACCEPTED
    assert c.shown == "Unavailable"
    c.card(PRIVATE)
    assert c.evse.grant is None
    c.command(IN)
    assert c.shown == "Available"


def test_the_same_state_again_is_accepted_and_not_reported_twice() -> None:
    c = a_charger()
    c.command(OUT)
    before = len(reports(c))
    assert c.command(OUT).result is Result.ACCEPTED
    assert len(reports(c)) == before


@pytest.mark.requirement(64)
def test_during_a_session_it_is_scheduled_and_takes_effect_at_its_end() -> None:
    c = charging()
    assert c.command(OUT).result is Result.SCHEDULED
    assert c.shown == "Charging"
    c.card(PRIVATE)
    c.run(5)
    assert c.shown == "Finishing"
    c.unplug()
    assert c.shown == "Unavailable"


def test_a_scheduled_change_is_replaced_by_the_next_request() -> None:
    c = charging()
    c.command(OUT)
    assert c.command(IN).result is Result.ACCEPTED
    c.unplug()
    c.run(5)
    assert c.shown == "Available"


@pytest.mark.requirement(64)
def test_it_survives_a_restart_also_while_it_is_scheduled() -> None:
    c = charging()
    c.command(OUT)
    c.crash(down=2000)
    c.run(2)
    c.unplug()
    assert c.shown == "Unavailable"
    c.crash()
    c.run(2)
    assert c.shown == "Unavailable"


def test_out_of_service_takes_a_grant_back() -> None:
    c = a_charger()
    c.card(PRIVATE)
    c.command(OUT)
    c.plug()
    assert not c.facts
    assert c.shown == "Unavailable"


def test_the_whole_station_is_reported_on_zero_and_on_each_connector() -> None:
    c = a_charger()
    assert c.command(ChangeAvailability(STATION, operative=False)).result is Result.ACCEPTED
    assert reports(c, STATION)[-1] == ("Unavailable", "NoError")
    assert c.shown == "Unavailable"
    c.command(ChangeAvailability(STATION, operative=True))
    assert (reports(c, STATION)[-1], c.shown) == (("Available", "NoError"), "Available")


def test_the_whole_station_waits_only_for_the_connector_that_is_charging() -> None:
    c = Charger(policy=Policy(evses=(EvsePolicy(ONE), EvsePolicy(TWO))))
    c.state = replace(c.state, tokens=a_charger().state.tokens)
    charging(c)
    assert c.command(ChangeAvailability(STATION, operative=False)).result is Result.SCHEDULED
    assert reports(c, STATION)[-1][0] == "Unavailable"
    assert reports(c, TWO)[-1][0] == "Unavailable"
    assert c.shown == "Charging"
    c.card(BOB)
    assert not c.all(SessionEnded)


def test_an_unknown_connector_is_refused() -> None:
    outcome = a_charger().command(ChangeAvailability(EvseId(5), operative=False))
    assert (outcome.result, outcome.reason) == (Result.REJECTED, "there is no connector 5")


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("rcd", "GroundFailure"),
        ("dc_residual", "GroundFailure"),
        ("contactor_weld", "PowerSwitchFailure"),
        ("contactor_open", "PowerSwitchFailure"),
        ("over_current", "OverCurrentFailure"),
        ("over_temperature", "HighTemperature"),
        ("lock", "ConnectorLockFailure"),
        ("diode", "EVCommunicationError"),
        ("cp", "EVCommunicationError"),
        ("something_new", "OtherError"),
    ],
)
def test_a_fault_of_the_controller_has_its_code_and_goes_by_itself(fault: str, code: str) -> None:
    c = a_charger()
    c.site.faults = (fault,)
    c.run(1)
    assert c.shown == f"Faulted/{code}"
    assert c.last(ReportStatus).info == f"the controller reports: {fault}"
    c.site.faults = ()
    c.run(4)
    assert c.shown == f"Faulted/{code}"
    c.run(2)
    assert c.shown == "Available"


def test_a_fault_in_mid_session_withdraws_the_offer_and_keeps_the_session() -> None:
    c = charging()
    c.site.faults = ("rcd",)
    c.run(2)
    assert c.safety[-1] == Deenergise(ONE)
    assert c.shown == "Faulted/GroundFailure"
    assert c.phase == "suspended-evse"
    c.site.faults = ()
    c.run(3)
    assert c.shown == "Faulted/GroundFailure"
    c.run(3)
    assert c.shown == "Charging"
    assert not c.all(SessionEnded)


@pytest.mark.parametrize("pilot", [Pilot.E, Pilot.F])
def test_a_pilot_in_a_fault_state_is_a_fault(pilot: Pilot) -> None:
    c = a_charger()
    c.site.pilot = pilot
    c.run(1)
    assert c.shown == "Faulted/OtherError"


def test_a_silent_controller_is_shown_after_five_seconds() -> None:
    c = a_charger()
    c.site.evse_error = "controller 1 does not answer"
    c.run(5)
    assert c.shown == "Available"
    c.run(2)
    assert c.shown == "Faulted/InternalError"
    c.site.evse_error = None
    c.run(6)
    assert c.shown == "Available"


def test_a_controller_that_was_never_heard_is_shown_only_when_it_is_found_silent() -> None:
    c = Charger()
    c.poll_meter()
    assert not reports(c)
    c.site.evse_error = "controller 1 does not answer"
    c.run(7)
    assert reports(c) == [("Faulted", "InternalError")]


@pytest.mark.requirement(69)
def test_a_silent_meter_is_shown_after_five_seconds_while_nobody_charges() -> None:
    c = a_charger()
    c.site.meter_error = "no answer"
    c.run(5)
    assert c.shown == "Available"
    c.run(2)
    assert c.shown == "Faulted/PowerMeterFailure"


@pytest.mark.requirement(69)
def test_a_card_reader_that_fails_is_reported_for_the_station_and_stops_nothing() -> None:
    c = charging()
    c.do(ReaderChanged("no card reader at /dev/ttyUSB1"))
    assert reports(c, STATION)[-1] == ("Available", "ReaderFailure")
    assert c.shown == "Charging"
    c.do(ReaderChanged(None))
    assert reports(c, STATION)[-1] == ("Available", "NoError")


def test_words_of_a_report_fit_into_ocpp() -> None:
    c = a_charger()
    c.do(ReaderChanged("x" * 200))
    assert c.last(ReportStatus).info == "x" * 50


def test_a_status_is_reported_once() -> None:
    c = charging()
    before = len(c.all(ReportStatus))
    c.run(30)
    assert len(c.all(ReportStatus)) == before


# --- meter only -----------------------------------------------------------------------------------------------------


def test_a_meter_without_controller_shows_charging_by_what_is_drawn() -> None:
    policy = Policy(evses=(EvsePolicy(ONE, controlled=False),))
    c = Charger(policy=policy)
    c.state = StationState((EvseState(ONE),))
    for ampere in [0, 0, 6, 6, 6, 6, 0]:
        c.pass_time(1)
        values = (Value("current_l1", Decimal(ampere)),)
        c.do(MeterRead(ONE, Reading(c.at, Wh(Decimal(1000)), values)))
    assert [status for status, _ in reports(c)] == ["Available", "Charging"]
    c.do(MeterFailed(ONE, "no answer"))
    c.pass_time(6)
    c.do(MeterFailed(ONE, "no answer"))
    assert c.shown == "Faulted/PowerMeterFailure"
    assert not c.safety
    assert not c.all(Energise)


def test_a_plug_that_the_controller_cannot_see_changes_nothing_shown() -> None:
    c = Charger()
    c.do(EvseRead(ONE, EvseReading(c.at, None, None, None)))
    assert c.shown == "Available"
    c.do(EvseFailed(ONE, "x"))
    assert c.shown == "Available"


@pytest.mark.requirement(65)
def test_a_warning_of_the_controller_has_its_code_beside_the_true_status_and_charging_goes_on() -> None:
    c = charging()
    c.site.faults = ("derating",)
    c.site.charging = True
    c.run(2)
    assert c.shown == "Charging/HighTemperature"
    assert not c.safety[1:]
    c.site.faults = ()
    c.run(2)
    assert c.shown == "Charging"


@pytest.mark.requirement(69)
def test_flaps_of_the_car_are_not_shown_and_a_real_pause_is() -> None:
    c = charging()
    c.run(5)
    before = len(c.statuses)
    for _ in range(3):
        c.site.hungry = False
        c.run(1)
        c.site.hungry = True
        c.run(1)
    assert c.statuses[before:] == []
    c.site.hungry = False
    paused = c.mono + 1
    c.run(4)
    assert c.statuses[before:] == ["SuspendedEV"]
    assert c.last(ReportStatus).at.mono == pytest.approx(paused, abs=1)
    c.site.hungry = True
    c.run(5)
    assert c.statuses[before:] == ["SuspendedEV", "Charging"]


@pytest.mark.requirement(65)
def test_a_fault_that_comes_again_within_its_time_was_never_gone() -> None:
    c = a_charger()
    for _ in range(3):
        c.site.faults = ("rcd",)
        c.run(1)
        c.site.faults = ()
        c.run(3)
    assert c.statuses[1:] == ["Faulted"]
    c.run(3)
    assert c.shown == "Available"


def test_the_car_side_out_is_told_beside_a_session_that_stays_open() -> None:
    c = charging(a_charger(lambda s: replace(s, stop_on_ev_disconnect=False)))
    c.run(3)
    c.unplug()
    c.run(3)
    assert c.shown == "SuspendedEV"
    assert c.last(ReportStatus).info == "EV side disconnected"


@pytest.mark.parametrize("name", ["emergency", "emergency_stop"])
def test_an_emergency_stop_ends_the_session_for_good(name: str) -> None:
    c = charging()
    c.run(3)
    c.site.faults = (name,)
    c.run(8)
    assert c.only(SessionEnded).reason is StopReason.EMERGENCY_STOP
    assert c.shown == "Faulted/OtherError"
    c.site.faults = ()
    c.run(7)
    assert c.shown == "Finishing"


def test_a_watchdog_that_ran_out_while_we_were_away_is_no_fault() -> None:
    c = charging()
    c.site.faults, c.site.pilot, c.site.charging = ("watchdog_expired",), Pilot.F, False
    c.run(1)
    c.site.hungry = False
    c.run(3)
    assert c.shown == "SuspendedEV/OtherError"
    assert c.phase == "suspended-ev"
    assert not c.safety[1:]
    c.site.faults, c.site.pilot, c.site.hungry = (), None, True
    c.run(6)
    assert c.shown == "Charging"
