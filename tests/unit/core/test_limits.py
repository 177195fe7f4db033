"""The offer: always what the state wants, told again where a controller does not follow, withdrawn before all else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.effects import Deenergise, Energise, Reduce
from agent.core.events import EvseFailed, EvseRead
from agent.core.limits import IGNORED_LIMIT, drive
from agent.core.model import EvseReading, MilliAmp, Pilot
from agent.core.policy import EvsePolicy
from agent.core.turn import Turn
from tests.unit.core.charger import ONE, PRIVATE, Charger, a_charger, charging

SIXTEEN = MilliAmp(16_000)


def told(charger: Charger) -> int:
    return len(charger.all(Energise)) + len(charger.safety)


def shows(charger: Charger, limit: int | None) -> EvseRead:
    shown = None if limit is None else MilliAmp(limit)
    return EvseRead(ONE, EvseReading(charger.at, Pilot.C, connected=True, charging=True, offering=True, limit=shown))


def test_a_controller_is_told_off_when_it_is_first_heard() -> None:
    c = Charger()
    c.poll_meter()
    assert not told(c)
    c.poll_evse()
    assert c.safety == [Deenergise(ONE)]


def test_what_the_controller_follows_is_told_once() -> None:
    c = charging()
    c.run(120)
    assert c.all(Energise) == [Energise(ONE, SIXTEEN)]


def test_the_offer_is_the_installations_maximum() -> None:
    c = charging(a_charger(evses=(EvsePolicy(ONE, max_current=MilliAmp(10_000)),)))
    assert c.only(Energise).limit == 10_000


def test_a_controller_that_shows_another_limit_is_told_again() -> None:
    c = charging()
    c.site.limit = 6000
    c.run(2)
    assert c.site.limit == 16_000
    assert len(c.all(Energise)) == 2


def test_a_controller_may_round_down_to_whole_amperes() -> None:
    c = charging(a_charger(evses=(EvsePolicy(ONE, max_current=MilliAmp(15_900)),)))
    before = told(c)
    for shown in (15_000, 15_900, None):
        c.pass_time(5)
        c.do(shows(c, shown))
    assert told(c) == before
    c.pass_time(5)
    c.do(shows(c, 14_900))
    assert told(c) == before + 1


def test_a_reading_from_before_the_command_took_effect_does_not_count() -> None:
    c = a_charger()
    c.plug()
    c.card(PRIVATE)
    stale = shows(c, 0)
    c.pass_time(4)
    c.do(stale)
    assert len(c.all(Energise)) == 1


def test_a_controller_that_offers_more_than_told_is_faulty_in_the_end_and_told_for_ever() -> None:
    c = charging()
    c.site.deaf = True
    c.card(PRIVATE)
    c.run(3 * IGNORED_LIMIT + 1)
    assert c.shown == "Faulted/PowerSwitchFailure"
    before = told(c)
    c.run(30)
    assert told(c) >= before + 9
    c.site.deaf = False
    c.run(10)
    assert c.shown == "Finishing"
    assert c.site.limit == 0


def test_a_controller_that_stays_below_is_left_alone_after_some_tries() -> None:
    c = charging()
    c.site.deaf, c.site.limit = True, 13_000
    c.run(60)
    assert len(c.all(Energise)) == 1 + IGNORED_LIMIT
    assert c.shown == "Charging"


def test_a_controller_that_follows_again_has_its_tries_back() -> None:
    c = charging()
    c.site.deaf, c.site.limit = True, 13_000
    c.run(4)
    assert c.evse.evse.ignored > 0
    c.site.deaf = False
    c.run(5)
    assert c.evse.evse.ignored == 0


def test_a_controller_that_was_silent_is_told_again() -> None:
    c = charging()
    c.site.evse_error = "no answer"
    c.run(3)
    c.site.evse_error, c.site.limit = None, 0
    c.run(1)
    assert c.site.limit == 16_000


def test_power_is_never_offered_to_a_silent_controller() -> None:
    c = charging()
    c.site.evse_error = "no answer"
    before = len(c.all(Energise))
    c.run(100)
    assert len(c.all(Energise)) == before


def test_ending_a_session_at_a_silent_controller_is_tried_at_once_and_again() -> None:
    c = charging()
    c.site.evse_error = "no answer"
    c.run(1)
    before = len(c.safety)
    c.card(PRIVATE)
    assert c.safety[before:] == [Deenergise(ONE)]
    c.run(5)
    assert len(c.safety) == before + 2
    c.run(30)
    assert len(c.safety) == before + 2
    c.site.evse_error = None
    c.run(1)
    assert c.site.limit == 0


def test_a_silent_controller_without_a_session_is_not_bothered() -> None:
    c = a_charger()
    c.site.evse_error = "no answer"
    before = told(c)
    c.run(60)
    assert told(c) == before


def test_a_lower_limit_is_a_matter_of_safety_and_a_higher_one_waits_for_the_commit() -> None:
    c = charging()
    for ampere, expected in ((10, Reduce(ONE, MilliAmp(10_000))), (12, Energise(ONE, MilliAmp(12_000)))):
        c.policy = replace(c.policy, evses=(EvsePolicy(ONE, max_current=MilliAmp(ampere * 1000)),))
        turn = Turn(c.state, c.at, c.policy)
        drive(turn, turn.state.evse(ONE))
        c.state = turn.state
        assert [*turn.safety, *turn.effects] == [expected]


@pytest.mark.parametrize("limit", [None, 0])
def test_a_controller_that_does_not_tell_its_limit_is_believed(limit: int | None) -> None:
    c = a_charger()
    c.site.shows_limit = limit is not None
    before = told(c)
    c.run(30)
    assert told(c) == before


def test_a_failed_step_leaves_the_offer_to_be_told_again() -> None:
    c = charging()
    c.journal_full = True
    c.card(PRIVATE)
    assert c.site.limit == 0
    c.journal_full = False
    c.run(5)
    assert c.site.limit == 16_000
    assert c.phase == "charging"


def test_a_command_that_failed_is_told_again() -> None:
    c = a_charger()
    c.plug()
    c.card(PRIVATE)
    c.site.limit = 0
    c.do(EvseFailed(ONE, "the command was not acknowledged"))
    c.run(1)
    assert c.site.limit == 16_000
