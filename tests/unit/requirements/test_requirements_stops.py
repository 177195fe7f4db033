"""Requirements about what a transaction may tell, the true causes of its end, and whose fault a fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from agent.core.commands import CallRef, RemoteStop, Reset, ResetKind, StopSession, UnlockConnector
from agent.core.effects import Energise, ReportStatus
from agent.core.events import (
    ClockStepped,
    CommandReceived,
    EvseRead,
    ReaderChanged,
)
from agent.core.facts import SessionEnded, SessionSampled, SessionStarted
from agent.core.model import STATION, IdToken, StopReason, TokenInfo, TokenStatus, Value
from agent.core.outbox import Queued
from agent.core.policy import EvsePolicy
from agent.core.settings import Settings
from agent.ocpp.dialect import Call
from agent.ocpp.v16 import encode
from agent.ports import OutboxRow
from tests.unit.core.charger import ACCEPTED, ALICE, BOB, ONE, PRIVATE, Charger, a_charger, cached, charging, fleet

FAMILY = IdToken("FAMILY")
OF_FAMILY = TokenInfo(TokenStatus.ACCEPTED, group=FAMILY)
INVALID = TokenInfo(TokenStatus.INVALID)


def leave(c: Charger) -> None:
    """Let everything work, the car go, and all come to rest."""
    c.site.meter_error = c.site.evse_error = None
    c.site.faults = ()
    c.unplug()
    c.run(80)


# ---- what a strict central system refuses ----


@dataclass(frozen=True)
class Told:
    """A transaction as its messages tell it."""

    start: dict[str, Any]
    values: list[dict[str, Any]]
    stop: dict[str, Any]


def told(c: Charger) -> Told:
    """Return what OCPP 1.6 makes of the only session of a charger."""
    facts = [f for f in c.facts if isinstance(f, SessionStarted | SessionSampled | SessionEnded)]
    calls = []
    for number, fact in enumerate(facts):
        row = OutboxRow(Queued(number, str(number), fact.session), fact, None, 42, start_given_up=False)
        call = encode.encode(row, Settings())
        assert isinstance(call, Call)
        payload: Any = call.payload
        calls.append((call.action, payload))
    actions, (start, *values, stop) = [action for action, _ in calls], [payload for _, payload in calls]
    assert actions == ["StartTransaction", *["MeterValues"] * len(values), "StopTransaction"]
    return Told(start, [value["meterValue"][0] for value in values], stop)


def registers(values: list[dict[str, Any]]) -> list[int]:
    return [int(v["sampledValue"][0]["value"]) for v in values]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def ordinary(c: Charger) -> None:
    c.card(ALICE)


def nothing_drawn(c: Charger) -> None:
    c.site.hungry = c.site.charging = False
    c.unplug()


def register_back(c: Charger) -> None:
    c.site.register = Decimal(5)


def register_of_zero(c: Charger) -> None:
    c.site.register = Decimal(0)


def register_far_ahead(c: Charger) -> None:
    c.site.register += 90_000_000


def meter_replaced(c: Charger) -> None:
    c.site.serial, c.site.register = "99999999", Decimal(12)


def meter_lost(c: Charger) -> None:
    c.site.meter_error = "no answer"
    c.card(ALICE)


def killed(c: Charger) -> None:
    c.crash(down=2000)


def power_cut(c: Charger) -> None:
    c.crash(down=2000, reboot=True, cause=StopReason.POWER_LOSS)


def replaced_while_dead(c: Charger) -> None:
    meter_replaced(c)
    c.crash()


def ended_by_the_group(c: Charger) -> None:
    cached(c, BOB, OF_FAMILY)
    c.card(BOB)


def ended_by_nobodys_card(c: Charger) -> None:
    c.card(BOB)
    c.answer(ACCEPTED)
    c.command(StopSession(ONE), "control")


def clock_put_forward(c: Charger) -> None:
    c.wall += timedelta(hours=1)
    c.do(ClockStepped())
    c.run(60)


def clock_put_back(c: Charger) -> None:
    c.wall -= timedelta(hours=1)
    c.do(ClockStepped())
    c.run(60)


ENDS = [
    ordinary, nothing_drawn, register_back, register_of_zero, register_far_ahead, meter_replaced, meter_lost, killed,
    power_cut, replaced_while_dead, ended_by_the_group, ended_by_nobodys_card, clock_put_forward,
    clock_put_back,
]  # fmt: skip


@pytest.mark.requirement(56, 61)
@pytest.mark.parametrize("how", ENDS)
def test_no_transaction_tells_what_a_strict_central_system_refuses(how: Callable[[Charger], None]) -> None:
    c = fleet(info=OF_FAMILY)
    c.answer_start(OF_FAMILY, transaction=42)
    c.run(200)
    began = c.mono
    unset = c.wall - timedelta(seconds=c.mono)
    how(c)
    c.run(30)
    leave(c)
    whole = told(c)
    assert whole.start["connectorId"] == 1
    energies = [whole.start["meterStart"], *registers(whole.values), whole.stop["meterStop"]]
    assert energies[0] >= 0
    assert energies == sorted(energies)
    times = [whole.start["timestamp"], *(v["timestamp"] for v in whole.values), whole.stop["timestamp"]]
    same_boot = unset + timedelta(seconds=c.mono) if c.mono > began else c.wall
    assert max(map(moment, times)) <= max(c.wall, same_boot), "later than now, also by the clock that told the start"
    assert [moment(t) for t in times] == sorted(moment(t) for t in times)
    assert whole.stop.get("idTag") in {None, ALICE.value, BOB.value if how is ended_by_the_group else None}


@pytest.mark.requirement(61)
def test_values_that_are_no_numbers_are_left_out_and_those_beside_them_are_told() -> None:
    c = fleet()
    c.site.values = (Value("voltage_l1", Decimal("NaN")), Value("power_total", Decimal(7200)))
    c.run(70)
    c.card(ALICE)
    leave(c)
    samples = [s for value in told(c).values for s in value["sampledValue"]]
    assert "Power.Active.Import" in {s["measurand"] for s in samples}
    assert "Voltage" not in {s["measurand"] for s in samples}
    assert all(Decimal(s["value"]).is_finite() for s in samples)


@pytest.mark.requirement(61)
def test_after_a_restart_the_values_of_a_transaction_go_on_where_they_were() -> None:
    c = fleet()
    c.run(130)
    c.crash(down=30)
    c.run(130)
    c.card(ALICE)
    leave(c)
    whole = told(c)
    assert len(whole.values) >= 4
    assert all(one <= other for one, other in pairwise(registers(whole.values)))
    assert all(moment(one["timestamp"]) < moment(other["timestamp"]) for one, other in pairwise(whole.values))


# ---- causes ----


def by_card(c: Charger) -> None:
    c.card(ALICE)


def by_unplugging(c: Charger) -> None:
    c.unplug()


def from_afar(c: Charger) -> None:
    c.command(RemoteStop(42))


def by_unlocking(c: Charger) -> None:
    c.do(CommandReceived(CallRef("cloud", "u"), UnlockConnector(ONE)))


def by_refusal(c: Charger) -> None:
    c.answer_start(INVALID)


def by_button(c: Charger) -> None:
    c.site.faults = ("emergency_stop",)


def by_soft_reset(c: Charger) -> None:
    c.command(Reset(ResetKind.SOFT))


def by_hard_reset(c: Charger) -> None:
    c.command(Reset(ResetKind.HARD))


CAUSES: dict[Callable[[Charger], None], StopReason] = {
    by_card: StopReason.LOCAL,
    by_unplugging: StopReason.EV_DISCONNECTED,
    from_afar: StopReason.REMOTE,
    by_unlocking: StopReason.UNLOCK_COMMAND,
    by_refusal: StopReason.DE_AUTHORIZED,
    by_button: StopReason.EMERGENCY_STOP,
    by_soft_reset: StopReason.SOFT_RESET,
    by_hard_reset: StopReason.HARD_RESET,
    power_cut: StopReason.POWER_LOSS,
    killed: StopReason.REBOOT,
    register_back: StopReason.OTHER,
}


@pytest.mark.requirement(63)
@pytest.mark.parametrize("how", CAUSES)
def test_a_stop_has_the_reason_that_was_its_cause(how: Callable[[Charger], None]) -> None:
    c = fleet(a_charger(evses=(EvsePolicy(ONE, has_lock=True),)))
    c.answer_start(transaction=42)
    c.run(60)
    how(c)
    c.run(10)
    assert c.only(SessionEnded).reason is CAUSES[how]


@pytest.mark.requirement(63)
@pytest.mark.parametrize("when", ["before the card", "after the card"])
def test_a_lock_that_fails_keeps_the_contactor_open_and_books_no_energy(when: str) -> None:
    c = a_charger()
    begin = c.site.register
    if when == "after the card":
        c.card(PRIVATE)
    c.site.faults = ("lock",)
    c.plug()
    c.card(PRIVATE)
    c.run(70)
    assert c.shown == "Faulted/ConnectorLockFailure"
    assert not c.facts
    assert not c.all(Energise)
    assert c.site.register == begin


@pytest.mark.requirement(63)
def test_a_lock_that_fails_in_mid_session_withdraws_the_offer() -> None:
    c = charging()
    c.site.faults = ("lock",)
    c.run(2)
    assert c.site.limit == 0
    register = c.site.register
    c.run(60)
    assert c.site.register == register
    assert not c.all(SessionEnded)


# ---- whose fault it is ----


@pytest.mark.requirement(59, 69)
@pytest.mark.parametrize(
    ("meter", "controller", "fault", "code", "words"),
    [
        (True, False, False, "PowerMeterFailure", "meter 1 does not answer"),
        (False, True, False, "InternalError", "controller 1 does not answer"),
        (False, False, True, "GroundFailure", "the controller reports: rcd"),
        (True, True, False, "InternalError", "controller 1 does not answer"),
        (True, False, True, "GroundFailure", "the controller reports: rcd"),
        (False, True, True, "InternalError", "controller 1 does not answer"),
        (True, True, True, "InternalError", "controller 1 does not answer"),
    ],
)
def test_a_fault_names_the_device_that_has_it(  # noqa: PLR0917  # one row of the table
    meter: bool, controller: bool, fault: bool, code: str, words: str
) -> None:
    c = a_charger()
    c.site.meter_error = "meter 1 does not answer" if meter else None
    c.site.evse_error = "controller 1 does not answer" if controller else None
    c.site.faults = ("rcd",) if fault else ()
    c.run(8)
    assert c.shown == f"Faulted/{code}"
    assert c.last(ReportStatus).info == words
    c.plug()
    c.card(PRIVATE)
    assert c.said.endswith(words)
    c.site.meter_error = c.site.evse_error = None
    c.site.faults = ()
    c.run(8)
    assert c.shown == "Preparing"


@pytest.mark.requirement(59, 69)
def test_a_reader_that_fails_is_nobody_elses_fault() -> None:
    c = charging()
    c.do(ReaderChanged("no card reader at /dev/ttyUSB1"))
    report = c.last(ReportStatus)
    assert (report.evse, report.error_code) == (STATION, "ReaderFailure")
    assert c.shown == "Charging"


@pytest.mark.requirement(65)
def test_of_two_faults_the_one_that_stays_is_shown_when_the_other_goes() -> None:
    c = a_charger()
    shown = []
    for faults in [("rcd", "over_temperature"), ("over_temperature",), ("over_temperature", "rcd"), ("rcd",), ()]:
        c.site.faults = faults
        c.run(7)
        shown.append(c.shown)
    assert shown == [
        "Faulted/GroundFailure",
        "Faulted/HighTemperature",
        "Faulted/HighTemperature",
        "Faulted/GroundFailure",
        "Available",
    ]


@pytest.mark.requirement(65)
def test_what_is_no_fault_takes_nothing_out_of_service_and_hides_none() -> None:
    c = a_charger()
    c.site.faults = ("derating",)
    c.run(7)
    assert c.shown == "Available/HighTemperature"
    c.site.faults = ("derating", "rcd")
    c.run(7)
    assert c.shown == "Faulted/GroundFailure"
    c.site.faults = ("derating",)
    c.run(7)
    assert c.shown == "Available/HighTemperature"


@pytest.mark.requirement(65)
def test_the_end_of_a_fault_that_never_was_changes_nothing() -> None:
    c = charging()
    before = len(c.effects)
    c.do(ReaderChanged(None))
    c.do(EvseRead(ONE, c.site.seen(c.at)))
    assert len(c.effects) == before
    assert c.shown == "Charging"
