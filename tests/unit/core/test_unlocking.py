"""The lock of a socket: on command, at the end of a session, and kept for who locked it; fixed cables have none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.commands import CallRef, RemoteStop, Result, StopSession, UnlockConnector
from agent.core.effects import Answer, Unlock
from agent.core.events import CommandReceived, LockMoved
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.model import EvseId, IdToken, StopReason, TokenInfo, TokenStatus
from agent.core.policy import EvsePolicy
from agent.core.settings import Settings
from tests.unit.core.charger import ACCEPTED, ALICE, BOB, ONE, PRIVATE, Charger, a_charger, cached, charging, fleet

CALL = CallRef("cloud", "u1")
FAMILY = IdToken("FAMILY")
OF_FAMILY = TokenInfo(TokenStatus.ACCEPTED, group=FAMILY)


def socket(**settings: object) -> Charger:
    rules = replace(Settings(), **settings)  # type: ignore[arg-type]  # a test names fields of Settings
    c = a_charger(lambda _: rules, evses=(EvsePolicy(ONE, has_lock=True),))
    c.site.plug = False
    return c


def ask(c: Charger, evse: EvseId = ONE) -> None:
    c.do(CommandReceived(CALL, UnlockConnector(evse)))


def moved(c: Charger, *, opened: bool = True) -> Result:
    """Let the lock do what it was last told, and return what was answered."""
    unlock = c.last(Unlock)
    c.do(LockMoved(unlock.evse, unlock.call, opened))
    return c.last(Answer).outcome.result


def in_socket(c: Charger) -> Charger:
    c.site.plug = True
    return c


def car_out(c: Charger) -> None:
    """Pull the cable at the car's side; the plug stays in the socket."""
    c.site.plugged = c.site.charging = False
    c.run(8)


@pytest.mark.parametrize("evse", [ONE, EvseId(0), EvseId(9)])
def test_a_fixed_cable_and_an_unknown_connector_are_not_supported(evse: EvseId) -> None:
    c = charging()
    assert c.command(UnlockConnector(evse)).result is Result.NOT_SUPPORTED
    c.run(3)
    assert c.phase == "charging"
    assert socket().command(UnlockConnector(EvseId(9))).result is Result.NOT_SUPPORTED


@pytest.mark.parametrize(("opened", "result"), [(True, Result.UNLOCKED), (False, Result.UNLOCK_FAILED)])
def test_without_a_session_the_lock_moves_at_once_and_answers(opened: bool, result: Result) -> None:
    c = socket()
    ask(c)
    assert c.last(Unlock) == Unlock(ONE, CALL)
    assert not c.all(Answer)
    assert moved(c, opened=opened) is result


def test_a_session_ends_first_and_the_lock_opens_when_nothing_flows() -> None:
    c = charging(in_socket(socket()))
    ask(c)
    assert not c.all(Unlock)
    c.run(2)
    assert c.only(Unlock) == Unlock(ONE, CALL)
    assert moved(c) is Result.UNLOCKED
    c.run(8)
    assert c.only(SessionEnded).reason is StopReason.UNLOCK_COMMAND
    assert c.shown == "Finishing"
    assert len(c.all(Unlock)) == 1
    c.site.plug = False
    c.unplug()
    assert c.shown == "Available"


def test_two_who_ask_during_a_session_are_both_answered() -> None:
    c = charging(in_socket(socket()))
    ask(c)
    c.do(CommandReceived(CallRef("control", "u2"), UnlockConnector(ONE)))
    c.run(8)
    assert [u.call for u in c.all(Unlock)] == [CALL, CallRef("control", "u2")]


@pytest.mark.parametrize("stop", ["card", "remote", "installer"])
def test_the_plug_is_let_go_at_the_end_of_a_session(stop: str) -> None:
    c = fleet(in_socket(socket()))
    c.answer_start()
    if stop == "card":
        c.card(ALICE)
    else:
        c.command(RemoteStop(42) if stop == "remote" else StopSession(ONE))
    c.run(8)
    assert c.only(Unlock) == Unlock(ONE, None)


@pytest.mark.requirement(41, 44)
@pytest.mark.parametrize("unlock", [True, False])
def test_after_a_disconnect_at_the_car_the_socket_opens_or_waits_for_its_card(unlock: bool) -> None:
    c = charging(in_socket(socket(unlock_on_ev_disconnect=unlock)))
    car_out(c)
    assert c.only(SessionEnded).reason is StopReason.EV_DISCONNECTED
    assert c.shown == "Finishing"
    assert len(c.all(Unlock)) == unlock
    if not unlock:
        c.card(BOB)
        assert not c.all(Unlock)
        c.card(PRIVATE)
        assert c.only(Unlock) == Unlock(ONE, None)
    c.site.plug = False
    c.run(1)
    assert c.shown == "Available"
    assert len(c.all(SessionStarted)) == 1


@pytest.mark.requirement(44)
def test_a_card_of_the_group_frees_the_plug_too() -> None:
    c = fleet(in_socket(socket(unlock_on_ev_disconnect=False)), info=OF_FAMILY)
    c.answer_start(OF_FAMILY)
    cached(c, BOB, OF_FAMILY)
    car_out(c)
    c.card(BOB)
    assert c.only(Unlock) == Unlock(ONE, None)


def test_an_unlock_command_frees_a_plug_that_is_kept_back() -> None:
    c = charging(in_socket(socket(unlock_on_ev_disconnect=False)))
    car_out(c)
    ask(c)
    assert moved(c) is Result.UNLOCKED
    assert c.evse.left.claim is None


@pytest.mark.requirement(44)
def test_a_plug_refused_by_the_central_system_stays_locked_for_its_card() -> None:
    c = fleet(in_socket(socket()))
    c.answer_start(TokenInfo(TokenStatus.INVALID))
    c.run(8)
    assert c.only(SessionEnded).reason is StopReason.DE_AUTHORIZED
    assert not c.all(Unlock)
    cached(c, ALICE, ACCEPTED)
    c.card(ALICE)
    assert c.only(Unlock) == Unlock(ONE, None)


def test_a_plug_that_was_taken_out_by_force_is_nobodys_any_more() -> None:
    c = charging(in_socket(socket(unlock_on_ev_disconnect=False)))
    car_out(c)
    c.site.plug = False
    c.run(1)
    assert c.evse.left.claim is None
    c.card(PRIVATE)
    assert not c.all(Unlock)


def test_a_lock_that_does_not_open_is_told_to_the_person() -> None:
    c = charging(in_socket(socket()))
    c.card(PRIVATE)
    c.run(8)
    c.do(LockMoved(ONE, None, opened=False))
    assert c.said == "the lock did not open: move the plug a little, and try again"
