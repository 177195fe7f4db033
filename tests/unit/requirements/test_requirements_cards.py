"""Requirements about who may charge: withdrawal, second presentations, refusals after the start, switches, plugs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from agent.core.commands import (
    BlockCard,
    ChangeAvailability,
    ChangeSetting,
    ListEntry,
    RemoteStart,
    RemoteStop,
    Result,
    SendLocalList,
    StopSession,
)
from agent.core.effects import AskCsms, Deenergise, Energise, Unlock
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.model import STATION, EvseId, IdToken, StopReason, TokenInfo, TokenStatus
from agent.core.policy import EvsePolicy
from agent.core.reservation_commands import ReserveNow
from agent.core.settings import Settings
from agent.core.state import Card
from agent.rfid.debounce import Debounce
from tests.unit.core.charger import (
    ACCEPTED,
    ALICE,
    BOB,
    ONE,
    PRIVATE,
    Charger,
    a_charger,
    cached,
    charging,
    fleet,
    known,
)

FAMILY = IdToken("FAMILY")
OF_FAMILY = TokenInfo(TokenStatus.ACCEPTED, group=FAMILY)
INVALID = TokenInfo(TokenStatus.INVALID)


def socket(charger: Charger | None = None) -> Charger:
    """Return a charger whose cable lies in a socket with a lock."""
    c = charger or a_charger(evses=(EvsePolicy(ONE, has_lock=True),))
    c.site.plug = True
    return c


def leave(c: Charger) -> None:
    """Take the car away, and let everything come to rest."""
    c.site.plug = None if c.site.plug is None else False
    c.unplug()
    c.run(20)


# ---- an authorisation is withdrawn ----


def asked() -> Charger:
    c = a_charger()
    c.online()
    c.plug()
    c.card(ALICE)
    return c


def waiting() -> Charger:
    c = a_charger()
    c.online()
    c.card(ALICE)
    c.answer()
    return c


def at_work() -> Charger:
    c = fleet()
    c.answer_start(transaction=42)
    return c


@pytest.mark.requirement(27)
@pytest.mark.parametrize("who", ["central system", "installer"])
def test_while_it_is_asked_about_an_authorisation_can_be_withdrawn(who: str) -> None:
    c = asked()
    c.command(ChangeAvailability(ONE, operative=False) if who == "central system" else BlockCard(ALICE, "lost"))
    c.answer()
    c.run(20)
    assert not c.facts
    assert not c.all(Energise)


@pytest.mark.requirement(27)
@pytest.mark.parametrize("who", ["central system", "installer", "driver"])
def test_while_it_waits_for_the_plug_an_authorisation_can_be_withdrawn(who: str) -> None:
    c = waiting()
    if who == "driver":
        c.card(ALICE)
    else:
        c.command(ChangeAvailability(ONE, operative=False) if who == "central system" else BlockCard(ALICE, "lost"))
    c.plug()
    c.run(20)
    assert not c.facts
    assert not c.all(Energise)


@pytest.mark.requirement(27)
@pytest.mark.parametrize("who", ["central system", "installer", "driver", "answer to the start"])
def test_during_the_session_an_authorisation_can_be_withdrawn(who: str) -> None:
    c = at_work()
    if who == "driver":
        c.card(ALICE)
    elif who == "answer to the start":
        c.answer_start(INVALID)
    else:
        c.command(RemoteStop(42) if who == "central system" else StopSession(ONE))
    assert Deenergise(ONE) in c.safety
    c.run(20)
    assert len(c.all(SessionEnded)) == 1
    assert c.site.limit == 0


# ---- cards after the end, and cards without end ----


@pytest.mark.requirement(32)
@pytest.mark.parametrize("token", [ALICE, BOB, IdToken("04DDDD04")], ids=["own", "of the group", "unknown"])
def test_a_card_in_finishing_starts_nothing_and_ends_nothing_again(token: IdToken) -> None:
    c = fleet(info=OF_FAMILY)
    cached(c, BOB, OF_FAMILY)
    c.card(ALICE)
    c.run(5)
    assert c.shown == "Finishing"
    for _ in range(3):
        c.card(token)
        c.run(6)
    assert (len(c.all(SessionStarted)), len(c.all(SessionEnded))) == (1, 1)
    assert c.site.limit == 0
    assert c.shown == "Finishing"


@pytest.mark.requirement(39)
def test_a_card_that_is_refused_and_held_again_and_again_is_asked_about_at_most_once_in_three_seconds() -> None:
    c, debounce = asked(), Debounce()
    c.answer(INVALID)
    before = len(c.all(AskCsms))
    for touch in range(600):
        c.run(0.1)
        if touch % 20 < 2 and debounce.touched(b"\x04\xaa\xaa\x01", c.mono):  # every other second, for a moment
            c.card(ALICE)
            if c.state.asking:
                c.answer(INVALID)
    assert 10 <= len(c.all(AskCsms)) - before <= 20
    assert not c.facts


@pytest.mark.requirement(39)
def test_while_a_card_is_asked_about_it_is_not_asked_about_again() -> None:
    c = asked()
    for _ in range(50):
        c.card(ALICE)
    assert len(c.all(AskCsms)) == 1


# ---- a refusal after the start ----


@pytest.mark.requirement(42)
@pytest.mark.parametrize("status", [s for s in TokenStatus if s is not TokenStatus.ACCEPTED])
@pytest.mark.parametrize(("stops", "allowed"), [(True, 0), (True, 50), (False, 0), (False, 50)])
def test_energy_of_a_card_accepted_offline_and_refused_later_stays_in_its_session(
    status: TokenStatus, stops: bool, allowed: int
) -> None:
    c = cached(a_charger(lambda s: replace(s, stop_on_invalid=stops, max_energy_on_invalid_wh=allowed)), ALICE)
    begin = c.site.register
    c.plug()
    c.card(ALICE)
    c.run(30)
    c.online()
    c.answer_start(TokenInfo(status))
    refused_at = c.site.register
    c.run(300)
    used = c.site.register - refused_at
    assert used == 0 if stops or not allowed else allowed <= used <= allowed + 6
    assert c.shown == ("Finishing" if stops else "SuspendedEVSE")
    leave(c)
    ended = c.only(SessionEnded)
    assert ended.reason is (StopReason.DE_AUTHORIZED if stops else StopReason.EV_DISCONNECTED)
    assert ended.register - c.only(SessionStarted).reading.register == c.site.register - begin
    assert c.evse.meter.unattributed == 0


# ---- whose cable it is ----


@pytest.mark.requirement(44)
@pytest.mark.parametrize("how", ["refused", "pulled at the car"])
def test_no_other_card_frees_a_plug_that_is_kept_for_the_card_that_locked_it(how: str) -> None:
    c = fleet(socket())
    if how == "refused":
        c.answer_start(INVALID)
    else:
        c.site.plugged = c.site.charging = False
    c.run(20)
    for stranger in (BOB, PRIVATE):
        c.card(stranger)
        if c.state.asking:
            c.answer()
        c.run(6)
    assert not c.all(Unlock)
    c.card(ALICE)
    assert c.only(Unlock) == Unlock(ONE, None)


@pytest.mark.requirement(44)
def test_after_a_restart_the_card_that_locked_a_plug_still_frees_it() -> None:
    c = charging(socket())
    c.site.plugged = c.site.charging = False
    c.run(20)
    assert not c.all(Unlock)
    c.crash()
    c.run(5)
    c.card(PRIVATE)
    assert c.only(Unlock) == Unlock(ONE, None)


# ---- every switch, both ways ----


def new() -> Charger:
    return a_charger()


def known_offline() -> Charger:
    return cached(a_charger(), ALICE)


def known_online() -> Charger:
    c = known_offline()
    c.online()
    return c


def listed() -> Charger:
    c = a_charger()
    c.command(SendLocalList(1, (ListEntry(ALICE, ACCEPTED),), full=True))
    return c


def begins(c: Charger) -> bool:
    """Tell whether a card begins a session without anybody being asked."""
    c.plug()
    c.card(ALICE)
    return bool(c.all(SessionStarted))


def is_asked_about(c: Charger) -> bool:
    c.plug()
    c.command(RemoteStart(ALICE, ONE))
    return bool(c.all(AskCsms))


def ends_at_the_unplug(c: Charger) -> bool:
    c.unplug()
    c.run(20)
    return bool(c.all(SessionEnded))


def ends_at_the_refusal(c: Charger) -> bool:
    c.answer_start(INVALID)
    c.run(20)
    return bool(c.all(SessionEnded))


def lets_the_plug_go(c: Charger) -> bool:
    c.site.plugged = c.site.charging = False
    c.run(20)
    return bool(c.all(Unlock))


def keeps(evse: EvseId) -> Callable[[Charger], bool]:
    """Tell whether a connector, or any (0), is kept for a card."""

    def is_kept(c: Charger) -> bool:
        c.run(2)
        asked = ReserveNow(7, evse, ALICE, None, c.wall + timedelta(hours=1))
        return c.command(asked).result is Result.ACCEPTED

    return is_kept


def online() -> Charger:
    c = a_charger()
    c.online()
    return c


#: A switch -> a charger, and what happens there where the switch is on, and does not where it is off.
SWITCHES: dict[str, tuple[Callable[[], Charger], Callable[[Charger], bool]]] = {
    "allow_offline_unknown": (new, begins),
    "cache_enabled": (known_offline, begins),
    "authorize_remote": (online, is_asked_about),
    "local_list_enabled": (listed, begins),
    "local_authorize_offline": (known_offline, begins),
    "local_pre_authorize": (known_online, begins),
    "stop_on_ev_disconnect": (charging, ends_at_the_unplug),
    "stop_on_invalid": (fleet, ends_at_the_refusal),
    "reservation_enabled": (online, keeps(ONE)),
    "reserve_connector_zero": (online, keeps(STATION)),
    "unlock_on_ev_disconnect": (lambda: charging(socket()), lets_the_plug_go),
}


@pytest.mark.requirement(41)
@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", [True, False])
def test_each_switch_of_the_configuration_does_what_it_says_both_ways(name: str, value: bool) -> None:
    prepare, happens = SWITCHES[name]
    c = prepare()
    c.command(ChangeSetting(name, value=value))
    assert happens(c) is value


@pytest.mark.requirement(41)
def test_no_switch_of_the_configuration_is_without_a_test() -> None:
    assert {field.name for field in fields(Settings) if isinstance(field.default, bool)} == set(SWITCHES)


# ---- what could not be stored ----


@pytest.mark.requirement(35)
def test_what_a_full_disk_did_not_keep_lets_nobody_charge() -> None:
    c = a_charger()
    c.journal_full = True
    c.command(SendLocalList(1, (ListEntry(ALICE, ACCEPTED),), full=True))
    cached(c, BOB)
    c.journal_full = False
    c.plug()
    for token in (ALICE, BOB):
        c.card(token)
        assert "no connection to the central system, and this card is not known here" in c.said
    assert not c.facts


@pytest.mark.requirement(35)
@pytest.mark.parametrize("link", ["online", "offline"])
def test_on_a_full_disk_not_even_a_known_card_charges(link: str) -> None:
    c = known(cached(a_charger(), ALICE), Card(BOB, blocked="lost"))
    if link == "online":
        c.online()
    c.plug()
    c.journal_full = True
    c.card(ALICE)
    if c.state.asking:
        c.answer()
    c.run(30)
    assert not c.facts
    assert not c.all(Energise)
    assert c.site.limit == 0
