"""A meter without a controller: sessions by card and by what the car draws; nothing is ever switched."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from agent.core.commands import RemoteStart, Result, UnlockConnector
from agent.core.effects import Energise
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.model import Quality, StopReason, Value
from agent.core.policy import EvsePolicy, Policy
from agent.core.settings import Settings
from tests.unit.core.charger import ALICE, BOB, ONE, PRIVATE, TWO, Charger, a_charger


def measured(**settings: object) -> Charger:
    rules = replace(Settings(), **settings)  # type: ignore[arg-type]  # a test names fields of Settings
    c = a_charger(lambda _: rules, evses=(EvsePolicy(ONE, controlled=False),))
    c.state = replace(c.state, evses=tuple(replace(e, evse=type(e.evse)()) for e in c.state.evses))
    return c


def poll(c: Charger, seconds: int, ampere: float) -> None:
    """Let a car draw; only the meter is read."""
    for _ in range(seconds):
        c.pass_time(1)
        c.site.count(Decimal(str(ampere)) * 690 / 3600)
        c.site.values = tuple(Value(f"current_l{n}", Decimal(str(ampere))) for n in (1, 2, 3))
        c.keep_deadlines()
        c.poll_meter()


def test_a_card_and_then_a_car_that_draws_make_a_session() -> None:
    c = measured()
    poll(c, 2, 0)
    c.card(PRIVATE)
    assert c.statuses == ["Available"]
    poll(c, 10, 0.1)
    assert not c.all(SessionStarted)
    poll(c, 3, 16)
    assert c.only(SessionStarted).id_token == PRIVATE
    assert c.shown == "Charging"
    assert not c.all(Energise)
    assert not c.safety


def test_a_car_that_draws_already_gives_its_session_to_the_card() -> None:
    c = measured()
    poll(c, 30, 16)
    assert c.shown == "Charging"
    assert not c.all(SessionStarted)
    assert c.evse.meter.unattributed > 0
    c.card(PRIVATE)
    assert c.only(SessionStarted).reading.register == pytest.approx(c.site.register, abs=1)


def test_a_card_waits_for_power_no_longer_than_the_time_out() -> None:
    c = measured(connection_timeout_s=20)
    poll(c, 2, 0)
    c.card(PRIVATE)
    poll(c, 25, 0)
    poll(c, 10, 16)
    assert not c.all(SessionStarted)


def test_a_session_ends_when_the_car_has_drawn_nothing_for_five_minutes() -> None:
    c = measured()
    c.card(PRIVATE)
    poll(c, 60, 16)
    poll(c, 190, 0.2)
    poll(c, 60, 16)
    assert not c.all(SessionEnded)
    poll(c, 299, 0.2)
    assert not c.all(SessionEnded)
    assert c.shown == "Charging"
    poll(c, 4, 0.2)
    ended = c.only(SessionEnded)
    assert (ended.reason, ended.quality) == (StopReason.OTHER, (Quality.MEASURED,))
    assert ended.register == pytest.approx(c.site.register, abs=1)
    assert c.shown == "Available"


def test_the_same_card_ends_its_session_and_another_changes_nothing() -> None:
    c = measured()
    c.card(PRIVATE)
    poll(c, 60, 16)
    c.card(BOB)
    poll(c, 3, 16)
    assert not c.all(SessionEnded)
    c.card(PRIVATE)
    poll(c, 3, 16)
    assert c.only(SessionEnded).reason is StopReason.LOCAL
    assert c.shown == "Charging"
    c.card(PRIVATE)
    poll(c, 3, 16)
    assert len(c.all(SessionStarted)) == 1


def test_nothing_is_started_or_unlocked_from_afar() -> None:
    c = measured()
    poll(c, 2, 16)
    c.online()
    refused = c.command(RemoteStart(ALICE, ONE))
    assert refused.result is Result.REJECTED
    assert refused.reason == "connector 1 is only measured: nothing can be switched on here"
    assert c.command(UnlockConnector(ONE)).result is Result.NOT_SUPPORTED
    assert c.command(RemoteStart(PRIVATE, ONE), origin="control").result is Result.ACCEPTED


def test_a_session_goes_on_after_a_restart_whether_or_not_the_car_draws_at_once() -> None:
    c = measured()
    c.card(PRIVATE)
    poll(c, 60, 16)
    c.crash(down=20)
    poll(c, 2, 16)
    assert not c.all(SessionEnded)
    c.crash(down=20)
    poll(c, 100, 0)
    assert not c.all(SessionEnded)
    poll(c, 210, 0)
    assert len(c.all(SessionEnded)) == 1


def test_a_meter_that_is_lost_keeps_the_session_open() -> None:
    c = measured()
    c.card(PRIVATE)
    poll(c, 60, 16)
    c.site.meter_error = "no answer"
    poll(c, 90, 16)
    assert c.shown == "Faulted/PowerMeterFailure"
    c.site.meter_error = None
    poll(c, 5, 16)
    assert c.shown == "Charging"
    assert not c.all(SessionEnded)
    assert not c.safety


def test_beside_a_connector_with_a_controller_no_car_runs_out_of_time() -> None:
    rules = Settings(connection_timeout_s=5)
    c = Charger(policy=Policy(evses=(EvsePolicy(ONE, controlled=False), EvsePolicy(TWO)), settings=rules))
    poll(c, 30, 16)
    assert c.evse.plugged_since is not None
    assert not c.evse.finishing
