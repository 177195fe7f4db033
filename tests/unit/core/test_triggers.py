"""Messages asked for out of turn: which may be sent, and of which connectors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core import triggers
from agent.core.commands import Outcome, Result
from agent.core.company import Company, LinkState
from agent.core.effects import Answer, ReportTriggered, SendTriggered
from agent.core.events import CloudChanged
from agent.core.maintenance_effects import SendNotice
from agent.core.model import STATION, EvseId, Profile, Registration
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import Card
from agent.core.trigger_commands import Trigger, TriggerMessage
from tests.unit.core.charger import ALICE, ONE, PRIVATE, TWO, Charger, a_charger, charging, fleet, known

PLAIN = [Trigger.HEARTBEAT]
JOBS = [Trigger.FIRMWARE, Trigger.SIGNED_FIRMWARE, Trigger.DIAGNOSTICS, Trigger.LOG]


def two() -> Charger:
    c = known(Charger(policy=Policy(evses=(EvsePolicy(ONE), EvsePolicy(TWO)))), Card(PRIVATE, Profile.PRIVATE))
    c.poll()
    c.online()
    return c


def ask(c: Charger, trigger: Trigger, evse: EvseId | None = None) -> Result:
    return c.command(TriggerMessage(trigger, evse)).result


@pytest.mark.parametrize("trigger", PLAIN)
@pytest.mark.parametrize("evse", [None, ONE, EvseId(9)])
def test_a_message_of_the_station_is_sent_to_its_asker_whatever_connector_is_named(
    trigger: Trigger, evse: EvseId | None
) -> None:
    c = a_charger()
    assert ask(c, trigger, evse) is Result.ACCEPTED
    assert [e for e in c.steps[-1].effects if not isinstance(e, Answer)] == [SendTriggered("cloud", trigger)]
    assert isinstance(c.steps[-1].effects[0], Answer)


@pytest.mark.parametrize("trigger", JOBS)
def test_a_job_that_is_not_under_way_is_told_as_idle_to_its_asker(trigger: Trigger) -> None:
    c = a_charger()
    assert ask(c, trigger) is Result.ACCEPTED
    (notice,) = [e for e in c.steps[-1].effects if isinstance(e, SendNotice)]
    assert (notice.told.status.value, notice.told.request, notice.origin) == ("Idle", None, "cloud")
    assert notice.told.signed is (trigger in {Trigger.SIGNED_FIRMWARE, Trigger.LOG})


@pytest.mark.parametrize("registration", [None, Registration.PENDING, Registration.ACCEPTED])
def test_a_boot_is_told_again_only_before_it_was_accepted(registration: Registration | None) -> None:
    c = a_charger()
    c.do(CloudChanged(connected=True, registration=registration))
    accepted = registration is not Registration.ACCEPTED
    assert ask(c, Trigger.BOOT) is (Result.ACCEPTED if accepted else Result.REJECTED)
    assert bool(c.all(SendTriggered)) is accepted


@pytest.mark.parametrize("evse", [None, STATION, ONE, TWO])
def test_statuses_are_told_of_the_station_of_each_connector_and_of_all(evse: EvseId | None) -> None:
    c = two()
    assert ask(c, Trigger.STATUS, evse) is Result.ACCEPTED
    assert c.only(SendTriggered).evse == evse


@pytest.mark.parametrize("evse", [EvseId(3), EvseId(-1)])
@pytest.mark.parametrize("trigger", [Trigger.STATUS, Trigger.METER_VALUES])
def test_an_unknown_connector_is_rejected(trigger: Trigger, evse: EvseId) -> None:
    c = two()
    assert ask(c, trigger, evse) is Result.REJECTED
    assert not c.all(SendTriggered)
    assert not c.all(ReportTriggered)


def test_a_connector_that_was_never_heard_has_no_status() -> None:
    c = Charger()
    assert ask(c, Trigger.STATUS, ONE) is Result.REJECTED


def test_the_values_of_each_connector_are_told_as_they_were_read_last() -> None:
    c = two()
    assert ask(c, Trigger.METER_VALUES) is Result.ACCEPTED
    told = c.all(ReportTriggered)
    assert [(t.origin, t.evse, t.transaction) for t in told] == [("cloud", ONE, None), ("cloud", TWO, None)]
    assert told[0].reading.register == c.site.register


def test_the_values_of_a_session_carry_its_transaction_once_it_has_a_name() -> None:
    c = fleet()
    assert ask(c, Trigger.METER_VALUES, ONE) is Result.ACCEPTED
    assert c.last(ReportTriggered).transaction is None
    c.answer_start(transaction=0)
    ask(c, Trigger.METER_VALUES, ONE)
    assert c.last(ReportTriggered).transaction == 0
    assert "current_offered" in {value.name for value in c.last(ReportTriggered).reading.values}


def test_connector_0_has_no_meter() -> None:
    assert ask(two(), Trigger.METER_VALUES, STATION) is Result.REJECTED


@pytest.mark.parametrize("evse", [None, ONE])
def test_the_values_of_a_private_session_never_leave(evse: EvseId | None) -> None:
    c = charging()
    assert ask(c, Trigger.METER_VALUES, evse) is Result.REJECTED
    assert not c.all(ReportTriggered)
    assert ask(c, Trigger.STATUS, evse) is Result.ACCEPTED


def test_beside_a_private_session_the_other_connector_still_tells_its_values() -> None:
    c = two()
    c.sites[ONE].plugged = True
    c.poll()
    c.card(PRIVATE)
    c.run(5)
    assert ask(c, Trigger.METER_VALUES) is Result.ACCEPTED
    assert [t.evse for t in c.all(ReportTriggered)] == [TWO]


@pytest.mark.parametrize("state", [LinkState.PENDING, LinkState.REJECTED])
def test_while_the_company_gets_no_sessions_it_gets_no_values_either(state: LinkState) -> None:
    c = a_charger()
    c.state = replace(c.state, company=Company(code="ACME", state=state))
    assert ask(c, Trigger.METER_VALUES) is Result.REJECTED


def test_a_silent_meter_has_no_values() -> None:
    c = fleet(token=ALICE)
    c.site.meter_error = "no answer"
    c.run(20)
    assert ask(c, Trigger.METER_VALUES, ONE) is Result.REJECTED


def test_a_message_that_nobody_makes_is_not_implemented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triggers, "MAKERS", {})
    c = a_charger()
    command = TriggerMessage(Trigger.HEARTBEAT)
    assert c.command(command) == Outcome(command, Result.NOT_SUPPORTED)
