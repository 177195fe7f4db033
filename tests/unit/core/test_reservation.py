"""Reservations: made, refused, kept from others, used, and at an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from agent.core.authorization import remember
from agent.core.booking import Booked, Fit, Reservation, fits, remaining_s
from agent.core.charges import late_bill
from agent.core.commands import (
    BlockCard,
    ChangeAvailability,
    RemoteStart,
    Reset,
    ResetKind,
    Result,
)
from agent.core.company import Company, LinkState
from agent.core.effects import AskCsms, Energise
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import STATION, EvseId, IdToken, Profile, TokenInfo, TokenStatus
from agent.core.policy import EvsePolicy, Policy
from agent.core.reservation_commands import CancelReservation, ReserveNow
from agent.core.settings import Settings
from agent.core.state import Card
from agent.core.tariff import (
    Dimension,
    Element,
    PriceComponent,
    ReservationKind,
    Restrictions,
    Tariff,
)
from tests.unit.core.charger import ACCEPTED, ALICE, BOB, NOON, ONE, PRIVATE, TWO, Charger, a_charger, known

FLEET = IdToken("GROUP-1")
OTHERS = IdToken("GROUP-2")
MEMBER = TokenInfo(TokenStatus.ACCEPTED, group=FLEET)
STRANGER = TokenInfo(TokenStatus.ACCEPTED, group=OTHERS)
IN_AN_HOUR = NOON + timedelta(hours=1)


def bench(connectors: int = 1, **settings: object) -> Charger:
    """Return a charger that is online and has been heard."""
    rules = replace(Settings(), **settings)  # type: ignore[arg-type]  # a test names fields of Settings
    evses = tuple(EvsePolicy(EvseId(number)) for number in range(1, connectors + 1))
    c = known(Charger(policy=Policy(evses=evses, settings=rules)), Card(PRIVATE, Profile.PRIVATE))
    c.poll()
    c.online()
    return c


def reserve(
    c: Charger,
    evse: EvseId = ONE,
    token: IdToken = ALICE,
    *,
    number: int = 7,
    group: IdToken | None = None,
    until: datetime = IN_AN_HOUR,
) -> Result:
    return c.command(ReserveNow(number, evse, token, group, until)).result


def reserved(c: Charger, evse: EvseId = ONE, token: IdToken = ALICE, **more: object) -> Charger:
    """Return the charger with a reservation."""
    assert reserve(c, evse, token, **more) is Result.ACCEPTED  # type: ignore[arg-type]  # of ``reserve``
    return c


def shown(c: Charger, evse: EvseId = ONE) -> str:
    status = c.state.evse(evse).shown
    assert status is not None
    return status[0].value


def plug(c: Charger, evse: EvseId = ONE) -> None:
    c.sites[evse].plugged = True
    c.poll()


def start(c: Charger) -> SessionStarted:
    return c.only(SessionStarted)


def cancel(c: Charger, number: int = 7) -> Result:
    return c.command(CancelReservation(number)).result


def tap(c: Charger, token: IdToken = ALICE, info: TokenInfo = ACCEPTED) -> None:
    """Hold a fleet card, and let the central system answer if it is asked."""
    asked = len(c.all(AskCsms))
    c.card(token)
    if len(c.all(AskCsms)) > asked:
        c.answer(info)


# --- whose it is ----------------------------------------------------------------------------------------------------


def booking(group: IdToken | None = FLEET, made: Instant | None = None) -> Reservation:
    return Reservation(7, ONE, ALICE, group, made or Instant(1000.0, NOON), IN_AN_HOUR)


@pytest.mark.parametrize(
    ("token", "group", "fit"),
    [
        (ALICE, None, Fit.OWN),
        (IdToken("04aaaa01"), None, Fit.OWN),
        (BOB, FLEET, Fit.OWN),
        (BOB, IdToken("group-1"), Fit.OWN),
        (BOB, None, Fit.UNSURE),
        (BOB, OTHERS, Fit.CLOSED),
        (FLEET, OTHERS, Fit.CLOSED),
    ],
)
def test_a_reservation_is_for_its_token_and_its_group_whatever_their_case(
    token: IdToken, group: IdToken | None, fit: Fit
) -> None:
    assert fits(booking(), token, group) is fit


def test_without_a_group_a_reservation_is_for_its_token_alone() -> None:
    assert fits(booking(None), BOB, FLEET) is Fit.CLOSED
    assert fits(booking(None), BOB, None) is Fit.CLOSED


def test_a_reservation_runs_by_the_wall_clock_and_without_one_no_longer_than_it_was_made_for() -> None:
    it = booking()
    assert remaining_s(it, Instant(1060.0, NOON + timedelta(seconds=90))) == 3510
    dark = datetime(2000, 1, 1, tzinfo=NOON.tzinfo)
    assert remaining_s(it, Instant(1060.0, dark, TimeStatus.UNKNOWN)) == 3540
    assert remaining_s(it, Instant(100.0, dark, TimeStatus.UNKNOWN, boot=2)) == 3500


# --- making one -----------------------------------------------------------------------------------------------------


def test_a_free_connector_is_reserved_and_shows_it() -> None:
    c = reserved(bench())
    assert c.statuses == ["Available", "Reserved"]
    assert c.state.reservations[7] == Reservation(7, ONE, ALICE, None, c.at, IN_AN_HOUR)


@pytest.mark.parametrize("evse", [ONE, STATION])
def test_what_is_taken_cannot_be_reserved(evse: EvseId) -> None:
    c = bench()
    plug(c)
    assert reserve(c, evse) is Result.OCCUPIED  # a car stands there
    tap(c, BOB)
    c.run(10)
    assert reserve(c, evse) is Result.OCCUPIED  # it charges
    tap(c, BOB)
    c.run(10)
    assert c.shown == "Finishing"
    assert reserve(c, evse) is Result.OCCUPIED
    c.unplug()
    assert reserve(c, evse) is Result.ACCEPTED


@pytest.mark.parametrize("evse", [ONE, STATION])
def test_a_connector_that_a_card_waits_for_or_is_asked_about_is_occupied(evse: EvseId) -> None:
    c = bench()
    c.card(BOB)
    assert reserve(c, evse) is Result.OCCUPIED
    c.answer(ACCEPTED)
    assert reserve(c, evse) is Result.OCCUPIED


@pytest.mark.parametrize("evse", [ONE, STATION])
def test_a_faulty_connector_and_one_out_of_service_say_so(evse: EvseId) -> None:
    c = bench()
    c.site.faults = ("rcd",)
    c.poll()
    assert reserve(c, evse) is Result.FAULTED
    c.site.faults = ()
    c.run(10)
    c.command(ChangeAvailability(ONE, operative=False))
    assert reserve(c, evse) is Result.UNAVAILABLE


@pytest.mark.parametrize("evse", [ONE, STATION])
def test_a_connector_whose_meter_is_silent_is_faulty(evse: EvseId) -> None:
    c = bench()
    c.site.meter_error = "no answer"
    c.run(10)
    assert reserve(c, evse) is Result.FAULTED


def test_another_id_on_a_reserved_connector_finds_it_occupied_even_for_the_same_token() -> None:
    c = reserved(bench())
    assert reserve(c, number=8) is Result.OCCUPIED
    assert reserve(c, STATION, number=8) is Result.OCCUPIED
    assert list(c.state.reservations) == [7]


def test_the_same_id_replaces_token_and_end() -> None:
    c = reserved(bench())
    made = c.at
    c.run(60)
    assert reserve(c, token=BOB, until=IN_AN_HOUR + timedelta(hours=1)) is Result.ACCEPTED
    new = c.state.reservations[7]
    assert (new.id_token, new.until) == (BOB, IN_AN_HOUR + timedelta(hours=1))
    assert new.made.mono > made.mono


def test_one_that_is_prolonged_began_when_it_was_first_made() -> None:
    c = reserved(bench())
    made = c.at
    c.run(60)
    reserved(c, until=IN_AN_HOUR + timedelta(hours=1))
    assert c.state.reservations[7].made == made


def test_a_replacement_that_is_refused_leaves_the_reservation_as_it_was() -> None:
    c = reserved(bench(2))
    before = c.state.reservations
    plug(c, TWO)
    assert reserve(c, TWO) is Result.OCCUPIED
    assert reserve(c, until=NOON) is Result.REJECTED
    assert c.state.reservations == before


@pytest.mark.parametrize("evse", [EvseId(2), EvseId(-1)])
def test_an_unknown_connector_is_rejected(evse: EvseId) -> None:
    assert reserve(bench(), evse) is Result.REJECTED


def test_one_that_is_over_already_or_whose_end_cannot_be_known_is_rejected() -> None:
    c = bench()
    assert reserve(c, until=c.wall) is Result.REJECTED
    c.status = TimeStatus.UNKNOWN
    assert reserve(c) is Result.REJECTED


def test_reservations_can_be_switched_off_and_those_of_connector_0_apart() -> None:
    assert reserve(bench(reservation_enabled=False)) is Result.REJECTED
    c = bench(reserve_connector_zero=False)
    assert reserve(c, STATION) is Result.REJECTED
    assert reserve(c) is Result.ACCEPTED


def test_a_connector_without_controller_cannot_be_kept_from_anybody() -> None:
    c = a_charger(evses=(EvsePolicy(ONE, controlled=False),))
    assert reserve(c) is Result.REJECTED
    assert reserve(c, STATION) is Result.REJECTED


def test_a_company_that_may_not_start_anything_may_not_reserve_either() -> None:
    c = bench()
    c.state = replace(c.state, company=Company(code="ACME", state=LinkState.PENDING))
    assert reserve(c) is Result.REJECTED


def test_nothing_is_reserved_for_a_card_that_is_blocked_here_nor_before_a_restart() -> None:
    c = bench()
    c.command(BlockCard(ALICE, "lost"), origin="control")
    assert reserve(c) is Result.REJECTED
    c.command(Reset(ResetKind.SOFT))
    assert reserve(c, token=BOB) is Result.REJECTED


def test_a_private_card_is_answered_like_any_other() -> None:
    assert reserve(bench(), token=PRIVATE) is Result.ACCEPTED


# --- while it is reserved -------------------------------------------------------------------------------------------


def test_the_right_card_before_the_plug_prepares_and_the_session_names_the_reservation() -> None:
    c = reserved(bench())
    made = c.at
    tap(c)
    assert c.shown == "Preparing"
    plug(c)
    assert start(c).booked == Booked(7, made)
    assert not c.state.reservations
    c.run(10)
    assert c.statuses == ["Available", "Reserved", "Preparing", "Charging"]


def test_a_car_alone_changes_nothing_and_its_right_card_charges() -> None:
    c = reserved(bench())
    plug(c)
    c.run(120)
    assert c.shown == "Reserved"
    tap(c)
    assert start(c).booked is not None


@pytest.mark.parametrize("plugged", [False, True])
def test_another_card_is_refused_and_nobody_is_asked_about_it(plugged: bool) -> None:
    c = reserved(bench())
    if plugged:
        plug(c)
    c.card(BOB)
    assert "reserved for another card" in c.said
    assert not c.all(AskCsms)
    c.card(PRIVATE)
    assert "reserved for another card" in c.said
    c.run(5)
    assert not c.all(SessionStarted)
    assert not c.all(Energise)
    assert c.shown == "Reserved"


def test_a_card_that_the_central_system_refuses_is_refused_although_it_is_reserved_for_it() -> None:
    c = reserved(bench())
    tap(c, ALICE, TokenInfo(TokenStatus.BLOCKED))
    plug(c)
    assert not c.all(SessionStarted)
    assert c.shown == "Reserved"


def test_a_card_that_is_blocked_here_meanwhile_does_not_start_by_whatever_way() -> None:
    c = reserved(bench())
    c.command(BlockCard(ALICE, "lost"), origin="control")
    plug(c)
    c.card(ALICE)
    assert "blocked here" in c.said
    assert c.command(RemoteStart(ALICE, ONE)).result is Result.REJECTED
    assert not c.all(SessionStarted)


def test_a_private_card_uses_its_reservation_and_nothing_of_it_leaves() -> None:
    c = reserved(bench(), token=PRIVATE)
    plug(c)
    c.card(PRIVATE)
    assert start(c).booked is not None
    assert start(c).reporting == "local-only"
    assert not c.all(AskCsms)


def test_a_private_card_is_never_asked_about_to_learn_its_group() -> None:
    c = reserved(bench(), group=FLEET)
    c.card(PRIVATE)
    assert not c.all(AskCsms)
    assert "reserved" in c.said


@pytest.mark.parametrize(("info", "starts"), [(MEMBER, True), (STRANGER, False), (ACCEPTED, False)])
@pytest.mark.parametrize("pre_authorize", [False, True])
def test_a_card_whose_group_is_not_known_is_asked_about(info: TokenInfo, starts: bool, pre_authorize: bool) -> None:
    c = reserved(bench(local_pre_authorize=pre_authorize), group=FLEET)
    c.state = replace(c.state, tokens=remember(c.state.tokens, BOB, ACCEPTED, c.at))
    plug(c)
    tap(c, BOB, info)
    assert bool(c.all(SessionStarted)) is starts
    assert len(c.all(AskCsms)) == 1
    if starts:
        assert start(c).booked is not None
    else:
        assert "reserved" in c.said


def test_a_card_known_to_be_of_the_group_needs_no_question_and_one_of_another_gets_none() -> None:
    c = reserved(bench(local_pre_authorize=True), group=FLEET)
    for token, info in ((BOB, MEMBER), (IdToken("04DDDD04"), STRANGER)):
        c.state = replace(c.state, tokens=remember(c.state.tokens, token, info, c.at))
    c.card(IdToken("04DDDD04"))
    assert "reserved" in c.said
    plug(c)
    c.card(BOB)
    assert start(c).booked is not None
    assert not c.all(AskCsms)


def test_offline_only_what_is_known_of_the_group_counts() -> None:
    c = reserved(bench(), group=FLEET)
    c.state = replace(c.state, tokens=remember(c.state.tokens, ALICE, MEMBER, c.at))
    c.state = replace(c.state, tokens=remember(c.state.tokens, BOB, ACCEPTED, c.at))
    c.offline()
    plug(c)
    c.card(BOB)
    assert "reserved" in c.said
    c.card(ALICE)
    assert start(c).booked is not None


def test_a_card_accepted_as_unknown_offline_does_not_get_a_reserved_connector() -> None:
    c = reserved(bench(allow_offline_unknown=True), group=FLEET)
    c.offline()
    plug(c)
    c.card(BOB)
    assert not c.all(SessionStarted)


# --- remote starts --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [ONE, None])
def test_a_remote_start_of_the_right_token_uses_it(wanted: EvseId | None) -> None:
    c = reserved(bench())
    assert c.command(RemoteStart(ALICE, wanted)).result is Result.ACCEPTED
    plug(c)
    assert start(c).booked is not None


@pytest.mark.parametrize("wanted", [ONE, None])
@pytest.mark.parametrize("token", [BOB, PRIVATE])
def test_a_remote_start_of_another_token_is_rejected(wanted: EvseId | None, token: IdToken) -> None:
    c = reserved(bench())
    plug(c)
    assert c.command(RemoteStart(token, wanted)).result is Result.REJECTED
    assert not c.all(SessionStarted)


@pytest.mark.parametrize(("info", "starts"), [(MEMBER, True), (STRANGER, False)])
def test_a_remote_start_is_asked_about_where_only_its_group_can_tell(info: TokenInfo, starts: bool) -> None:
    c = reserved(bench(authorize_remote=False), group=FLEET)
    plug(c)
    assert c.command(RemoteStart(BOB, ONE)).result is Result.ACCEPTED
    c.answer(info)
    assert bool(c.all(SessionStarted)) is starts


def test_a_remote_start_of_a_known_member_is_not_asked_about_and_of_a_known_stranger_rejected() -> None:
    c = reserved(bench(authorize_remote=False), group=FLEET)
    c.state = replace(c.state, tokens=remember(c.state.tokens, BOB, STRANGER, c.at))
    plug(c)
    assert c.command(RemoteStart(BOB, ONE)).result is Result.REJECTED
    c.state = replace(c.state, tokens=remember(c.state.tokens, BOB, MEMBER, c.at))
    assert c.command(RemoteStart(BOB, ONE)).result is Result.ACCEPTED
    assert not c.all(AskCsms)
    assert start(c).booked is not None


def test_the_installer_starts_nothing_that_is_reserved_for_others() -> None:
    c = reserved(bench())
    outcome = c.command(RemoteStart(BOB, ONE), origin="control")
    assert outcome.result is Result.REJECTED
    assert "reserved" in (outcome.reason or "")
    assert c.command(RemoteStart(ALICE, ONE), origin="control").result is Result.ACCEPTED


# --- several connectors, and connector 0 ----------------------------------------------------------------------------


def test_others_use_the_connector_that_is_not_reserved() -> None:
    c = reserved(bench(2), TWO)
    c.card(BOB)
    c.answer()
    plug(c, TWO)
    assert not c.all(SessionStarted)  # its car stands where it may not
    plug(c, ONE)
    assert (start(c).evse, start(c).booked) == (ONE, None)
    assert shown(c, TWO) == "Reserved"


def test_a_card_that_has_a_reservation_is_for_that_connector_while_no_car_is_plugged() -> None:
    c = reserved(bench(2), TWO)
    tap(c)
    assert (shown(c, ONE), shown(c, TWO)) == ("Available", "Preparing")
    plug(c, TWO)
    assert (start(c).evse, start(c).booked is not None) == (TWO, True)


def test_two_connectors_are_reserved_apart() -> None:
    c = reserved(reserved(bench(2), ONE, ALICE), TWO, BOB, number=8)
    plug(c, ONE)
    plug(c, TWO)
    tap(c, BOB)
    tap(c, ALICE)
    assert [(f.evse, f.booked and f.booked.id) for f in c.all(SessionStarted)] == [(TWO, 8), (ONE, 7)]


def test_connector_0_of_a_station_with_one_shows_on_that_one() -> None:
    c = reserved(bench(), STATION)
    assert c.shown == "Reserved"
    c.card(BOB)
    assert "reserved" in c.said
    plug(c)
    tap(c)
    assert start(c).booked == Booked(7, c.state.evse(ONE).session.booked.since)  # type: ignore[union-attr]  # it runs


def test_connector_0_keeps_the_last_free_one() -> None:
    c = reserved(bench(2), STATION)
    assert (shown(c, ONE), shown(c, TWO)) == ("Available", "Available")
    plug(c, ONE)
    tap(c, BOB)
    c.run(10)
    assert (shown(c, ONE), shown(c, TWO)) == ("Charging", "Reserved")
    c.card(IdToken("04DDDD04"))
    c.answer(STRANGER)
    plug(c, TWO)
    c.run(5)
    assert len(c.all(SessionStarted)) == 1
    tap(c)
    last = c.all(SessionStarted)[-1]
    assert (last.evse, last.booked is not None) == (TWO, True)


def test_with_connector_0_reserved_only_one_card_may_wait_for_a_plug() -> None:
    c = reserved(bench(2), STATION)
    tap(c, BOB)
    c.card(IdToken("04DDDD04"))
    assert c.said.startswith("card ****DD04 refused")
    tap(c, ALICE)
    plug(c, ONE)
    plug(c, TWO)
    assert {(f.id_token, f.booked is not None) for f in c.all(SessionStarted)} == {(BOB, False), (ALICE, True)}


def test_connector_0_is_occupied_once_all_free_connectors_are_kept() -> None:
    c = reserved(bench(2), STATION)
    reserved(c, STATION, BOB, number=8)
    assert (shown(c, ONE), shown(c, TWO)) == ("Reserved", "Reserved")
    assert reserve(c, STATION, number=9) is Result.OCCUPIED
    assert reserve(c, ONE, number=9) is Result.OCCUPIED


def test_a_free_connector_cannot_be_reserved_from_under_a_card_that_waits_for_a_plug() -> None:
    c = bench(2)
    tap(c, BOB)
    reserved(c, ONE)
    assert reserve(c, TWO, number=8) is Result.OCCUPIED
    plug(c, TWO)
    assert start(c).id_token == BOB


def test_a_car_without_a_card_that_stands_at_the_last_free_connector_goes_on_preparing() -> None:
    c = bench(2)
    plug(c, TWO)
    reserved(c, STATION)
    c.run(1)
    plug(c, ONE)
    tap(c, BOB)
    c.run(3)
    assert shown(c, ONE) == "Preparing"


def test_a_car_at_a_reserved_connector_need_not_be_unplugged_because_nobody_held_a_card() -> None:
    c = reserved(bench(2))
    plug(c)
    c.run(90)
    assert c.shown == "Reserved"
    cancel(c)
    c.run(30)
    assert c.shown == "Preparing"
    c.run(40)
    assert c.shown == "Finishing"  # nobody held a card for ConnectionTimeOut since


# --- its end --------------------------------------------------------------------------------------------------------


def test_cancelling_frees_the_connector_and_what_is_not_reserved_cannot_be_cancelled() -> None:
    c = reserved(bench())
    assert cancel(c, 8) is Result.REJECTED
    assert cancel(c) is Result.ACCEPTED
    assert c.shown == "Available"
    assert cancel(c) is Result.REJECTED


def test_it_expires_to_the_second_and_leaves_no_privilege() -> None:
    c = reserved(bench(), until=NOON + timedelta(seconds=90.5))
    c.run(90)
    assert c.shown == "Reserved"
    c.run(1)
    assert c.shown == "Available"
    plug(c)
    tap(c, BOB)
    assert start(c).booked is None


def test_one_that_expires_while_its_card_waits_for_the_plug_is_not_used() -> None:
    c = reserved(bench(), until=NOON + timedelta(seconds=20))
    tap(c)
    c.run(30)
    plug(c)
    assert start(c).booked is None


def test_it_follows_a_wall_clock_that_is_set() -> None:
    c = reserved(bench())
    c.wall += timedelta(hours=2)
    c.poll()
    assert c.shown == "Available"


def test_a_card_that_was_held_too_early_leaves_it_reserved() -> None:
    c = reserved(bench())
    tap(c)
    c.run(70)
    assert c.statuses[-3:] == ["Preparing", "Available", "Reserved"]
    plug(c)
    tap(c)
    assert start(c).booked is not None


@pytest.mark.parametrize("evse", [ONE, STATION])
def test_a_fault_ends_it_and_so_does_being_put_out_of_service(evse: EvseId) -> None:
    c = reserved(bench(), evse)
    c.site.faults = ("rcd",)
    c.poll()
    assert not c.state.reservations
    c.site.faults = ()
    c.run(10)
    reserved(c, evse)
    c.command(ChangeAvailability(ONE, operative=False))
    assert not c.state.reservations
    assert c.shown == "Unavailable"


def test_connector_0_stays_reserved_while_one_connector_is_left() -> None:
    c = reserved(reserved(bench(2), STATION), ONE, BOB, number=8)
    c.command(ChangeAvailability(ONE, operative=False))
    assert list(c.state.reservations) == [7]
    assert shown(c, TWO) == "Reserved"
    c.command(ChangeAvailability(TWO, operative=False))
    assert not c.state.reservations


@pytest.mark.parametrize("reboot", [False, True])
def test_it_outlives_a_restart_also_with_devices_that_are_slow_to_answer(reboot: bool) -> None:
    c = reserved(bench())
    c.site.evse_error = c.site.meter_error = "no answer"
    c.crash(reboot=reboot)
    c.run(20)
    assert c.shown == "Faulted/InternalError"
    c.site.evse_error = c.site.meter_error = None
    c.run(10)
    assert c.shown == "Reserved"
    c.online()
    plug(c)
    tap(c)
    assert start(c).booked is not None


def test_one_that_expired_meanwhile_is_gone_at_the_start() -> None:
    c = reserved(bench())
    c.crash(down=4000)
    assert not c.state.reservations


def test_without_the_time_a_restart_keeps_it_no_longer_than_it_was_made_for() -> None:
    c = reserved(bench(), until=NOON + timedelta(minutes=5))
    c.status, c.wall = TimeStatus.UNKNOWN, datetime(2000, 1, 1, tzinfo=NOON.tzinfo)
    c.crash(reboot=True)
    c.run(200)
    assert c.shown == "Reserved"
    c.run(100)
    assert c.shown == "Available"


def test_an_open_session_found_at_a_start_still_has_its_reservation() -> None:
    c = reserved(bench())
    plug(c)
    tap(c)
    c.run(10)
    c.crash()
    c.run(5)
    assert c.session.booked is not None


# --- what it costs --------------------------------------------------------------------------------------------------

BOOKED = Restrictions(reservation=ReservationKind.RESERVATION)
EXPIRED = Restrictions(reservation=ReservationKind.RESERVATION_EXPIRES)
TARIFF = Tariff(
    "EUR",
    (
        Element((PriceComponent(Dimension.FLAT, Decimal(9)),), EXPIRED),
        Element((PriceComponent(Dimension.FLAT, Decimal(1)), PriceComponent(Dimension.TIME, Decimal(6))), BOOKED),
        Element((PriceComponent(Dimension.ENERGY, Decimal("0.30")),)),
    ),
)


def costing() -> Charger:
    c = a_charger(tariff=TARIFF)
    c.online()
    return c


def test_the_session_that_uses_it_pays_its_fee_and_the_time_until_it_begins() -> None:
    c = reserved(costing())
    c.run(600)
    plug(c)
    tap(c)
    c.run(600)
    tap(c)
    c.run(10)
    ended = c.only(SessionEnded)
    assert ended.cost is not None
    assert ended.cost.reservation == Decimal("2.00")  # 1.00, and ten minutes at 6.00 an hour
    assert ended.cost.excl_vat == ended.cost.energy + Decimal("2.00")


def test_a_reservation_that_nobody_uses_is_charged_to_nobody() -> None:
    c = reserved(costing(), until=NOON + timedelta(minutes=5))
    c.run(301)
    plug(c)
    tap(c)
    c.run(60)
    tap(c)
    c.run(10)
    cost = c.only(SessionEnded).cost
    assert cost is not None
    assert cost.reservation == 0


def test_a_bill_that_comes_late_still_has_the_reservation() -> None:
    c = reserved(costing())
    c.run(600)
    plug(c)
    tap(c)
    c.run(600)
    terms, booked = start(c).terms, start(c).booked
    assert terms is not None
    tap(c)
    c.run(10)
    ended = c.only(SessionEnded)
    assert late_bill(terms, ended.periods, (), booked).cost == ended.cost
    without = late_bill(terms, ended.periods, ()).cost
    assert without is not None
    assert without.reservation == 0
