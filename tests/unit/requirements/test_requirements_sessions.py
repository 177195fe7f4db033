"""Requirements about sessions: resets and power cuts at every point, late events, readings at their edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from agent.core.commands import CallRef, RemoteStop, Reset, ResetKind, Result
from agent.core.effects import Effect, Energise, Restart
from agent.core.events import (
    AuthorizationAnswered,
    ClockStepped,
    CommandReceived,
    Event,
    LockMoved,
    ShutdownRequested,
    StartAnswered,
    Ticked,
)
from agent.core.facts import Fact, SessionEnded, SessionStarted
from agent.core.model import IdToken, Quality, StopReason, TokenInfo, TokenStatus
from agent.core.state import MeterView
from tests.unit.core.charger import ACCEPTED, ALICE, ONE, PRIVATE, Charger, a_charger, charging, fleet

FAMILY = IdToken("FAMILY")
OF_FAMILY = TokenInfo(TokenStatus.ACCEPTED, group=FAMILY)
INVALID = TokenInfo(TokenStatus.INVALID)


def leave(c: Charger) -> None:
    """Let everything work, the car go, and all come to rest."""
    c.site.meter_error = c.site.evse_error = None
    c.site.faults = ()
    c.unplug()
    c.run(80)


# ---- resets and cuts at every point ----


def before_the_start() -> Charger:
    c = a_charger()
    c.card(PRIVATE)
    return c


def during_the_start() -> Charger:
    c = a_charger()
    c.site.hungry = False
    c.plug()
    c.card(PRIVATE)
    assert c.phase == "starting"
    return c


def running() -> Charger:
    c = charging()
    c.run(70)
    return c


def stopping() -> Charger:
    c = running()
    c.site.deaf = True
    c.card(PRIVATE)
    assert c.phase == "ending"
    c.site.deaf = False
    return c


def step_with(c: Charger, what: Effect | Fact) -> int:
    """Return the number of the step that brought a fact or an effect."""
    return next(n for n, step in enumerate(c.steps) if what in step.facts or what in step.effects)


POINTS: list[Callable[[], Charger]] = [before_the_start, during_the_start, running, stopping]


@pytest.mark.requirement(19)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ResetKind)
def test_a_reset_at_any_point_has_a_defined_end(point: Callable[[], Charger], kind: ResetKind) -> None:
    c = point()
    began = c.evse.session
    assert c.command(Reset(kind)).result is Result.ACCEPTED
    assert c.evse.grant is None
    c.run(20)
    assert c.only(Restart).hard is (kind is ResetKind.HARD)
    c.crash()
    c.plug()
    c.run(5)
    leave(c)
    if began is None:
        assert not c.facts
        return
    own = StopReason.SOFT_RESET if kind is ResetKind.SOFT else StopReason.HARD_RESET
    ended = c.only(SessionEnded)
    assert ended.session == c.only(SessionStarted).session == began.id
    assert ended.reason is (StopReason.LOCAL if point is stopping else own)
    assert step_with(c, c.only(Restart)) >= step_with(c, ended)
    assert ended.register == c.site.register
    assert c.site.limit == 0


@pytest.mark.requirement(19, 20)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("reboot", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("down", [5, 2000])
def test_a_kill_at_any_point_gives_one_start_and_one_stop_or_neither(
    point: Callable[[], Charger], reboot: bool, down: int
) -> None:
    c = point()
    began = c.evse.session
    cause = StopReason.POWER_LOSS if reboot else StopReason.REBOOT
    c.crash(down=down, reboot=reboot, cause=cause)
    c.plug()
    c.run(5)
    if point in {during_the_start, running} and down == 5:
        assert began is not None
        assert c.session.id == began.id
        assert (c.session.id_token, c.session.register) == (began.id_token, began.register)
    leave(c)
    if began is None:
        assert not c.facts
        return
    ended = c.only(SessionEnded)
    assert ended.session == c.only(SessionStarted).session == began.id
    expected = StopReason.LOCAL if point is stopping else StopReason.EV_DISCONNECTED if down == 5 else cause
    assert ended.reason is expected
    assert ended.register == c.site.register
    assert c.evse.meter.unattributed == 0


@pytest.mark.requirement(20)
def test_after_a_power_cut_the_transaction_goes_on_under_its_name_and_card() -> None:
    c = fleet(info=OF_FAMILY)
    c.answer_start(OF_FAMILY, transaction=4711)
    c.run(60)
    c.crash(down=60, reboot=True, cause=StopReason.POWER_LOSS)
    c.online()
    c.run(10)
    assert (c.session.transaction, c.session.id_token, c.session.group) == (4711, ALICE, FAMILY)
    assert c.shown == "Charging"
    assert c.command(RemoteStop(4711)).result is Result.ACCEPTED
    c.run(5)
    assert len(c.all(SessionStarted)) == 1
    assert c.only(SessionEnded).reason is StopReason.REMOTE


@pytest.mark.requirement(15)
def test_nothing_that_comes_late_brings_back_a_session_that_is_over() -> None:
    c = fleet()
    session, question = c.session, c.question
    c.answer_start(transaction=42)
    c.card(ALICE)
    leave(c)
    facts, offers = len(c.facts), len(c.all(Energise))
    late: list[Event] = [
        StartAnswered(session.id, 43, ALICE, ACCEPTED),
        StartAnswered(session.id, 44, ALICE, INVALID),
        AuthorizationAnswered(question.request, ACCEPTED),
        LockMoved(ONE, None, opened=True),
        CommandReceived(CallRef("cloud", "late"), RemoteStop(42)),
        ClockStepped(),
        Ticked(),
        ShutdownRequested(),
        Ticked(),
    ]
    for event in late:
        c.do(event)
        c.run(61)
    assert (len(c.facts), len(c.all(Energise))) == (facts, offers)
    assert c.evse.session is None
    assert c.site.limit == 0


# ---- readings at the edges of a session ----


@pytest.mark.requirement(46)
def test_no_reading_is_an_error_and_never_a_register_of_zero() -> None:
    c = a_charger()
    c.state = c.state.put(replace(c.evse, meter=MeterView()))
    c.site.meter_error = "meter 1 does not answer"
    c.plug()
    c.card(PRIVATE)
    assert "no meter reading: meter 1 does not answer" in c.said
    c.run(20)
    assert not c.facts
    assert c.shown == "Faulted/PowerMeterFailure"


@pytest.mark.requirement(46)
def test_energy_from_before_a_late_first_reading_is_nobodys_and_not_forgotten() -> None:
    c = a_charger()
    begin = c.site.register
    c.site.meter_error = "no answer"
    c.run(3)
    c.site.count(Decimal(5))
    c.site.meter_error = None
    c.run(2)
    charging(c)
    leave(c)
    started, ended = c.only(SessionStarted), c.only(SessionEnded)
    assert started.reading.register == begin + 5
    assert c.evse.meter.unattributed == 5
    assert ended.register - started.reading.register + 5 == c.site.register - begin


@pytest.mark.requirement(48)
@pytest.mark.parametrize("silent_s", [0, 8])
def test_what_the_meter_tells_after_the_unplug_is_of_the_session_that_used_it(silent_s: int) -> None:
    c = charging()
    c.run(30)
    c.pass_time(1)
    c.site.plugged = c.site.charging = False
    c.site.meter_error = "no answer" if silent_s else None
    c.site.count(Decimal(7))  # a coarse register that moves late
    c.poll()
    c.run(silent_s)
    c.site.meter_error = None
    c.run(3)
    first = c.only(SessionEnded)
    assert (first.register, first.quality) == (c.site.register, (Quality.MEASURED,))
    charging(c)
    assert c.all(SessionStarted)[1].reading.register == first.register


@pytest.mark.requirement(47)
@pytest.mark.parametrize("down", [1000, 100_000])
def test_a_session_found_open_is_closed_on_the_next_reading_and_marked(down: int) -> None:
    c = charging()
    c.run(70)
    c.site.meter_error = "no answer"
    c.crash(down=down, reboot=True, cause=StopReason.POWER_LOSS)
    c.run(10)
    assert not c.all(SessionEnded)
    c.site.meter_error = None
    c.run(2)
    ended = c.only(SessionEnded)
    assert ended.register == c.site.register.quantize(Decimal("0.001"))
    assert ended.quality == (Quality.RECONSTRUCTED,)


@pytest.mark.requirement(51)
@pytest.mark.parametrize("how", ["unplugged", "unplugged while dead", "unplugged while the meter is dead", "replaced"])
def test_a_connector_that_shows_available_has_no_session_left(how: str) -> None:
    c = fleet()
    c.answer_start(transaction=42)
    if how == "unplugged while dead":
        c.site.plugged = c.site.charging = False
        c.crash()
    elif how == "unplugged while the meter is dead":
        c.site.meter_error = "no answer"
    elif how == "replaced":
        c.site.serial, c.site.register = "99999999", Decimal(3)
        c.run(1)
    c.unplug()
    for _ in range(90):
        c.run(1)
        assert c.shown != "Available" or c.evse.session is None
    c.site.meter_error = None
    c.run(10)
    assert c.shown == "Available"
    assert len(c.all(SessionEnded)) == 1
    assert c.command(RemoteStop(42)).result is Result.REJECTED
