"""When the state has to be looked at again, and that one look is enough."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from agent.core.commands import LinkCompany, Reset, ResetKind
from agent.core.deadlines import next_deadline
from agent.core.events import ClockStepped
from agent.core.facts import SessionEnded
from tests.unit.core.charger import ALICE, PRIVATE, Charger, a_charger, charging
from tests.unit.core.test_sampling import DAY_AND_NIGHT, at


def wait(charger: Charger) -> float | None:
    """Return the seconds until the next deadline."""
    due = next_deadline(charger.state, charger.policy)
    return None if due is None else round(due - charger.mono, 6)


def keep(charger: Charger) -> None:
    """Let time pass to the next deadline, and keep it."""
    seconds = wait(charger)
    assert seconds is not None
    charger.pass_time(seconds)
    charger.keep_deadlines()


def test_an_idle_station_waits_for_nothing() -> None:
    assert wait(a_charger()) is None


def test_a_running_session_waits_for_nothing_but_the_next_price() -> None:
    assert wait(charging()) is None
    assert wait(charging(at("22:59:00", a_charger(tariff=DAY_AND_NIGHT)))) == 50


def test_a_grant_waits_for_the_plug() -> None:
    c = a_charger()
    c.card(PRIVATE)
    assert wait(c) == 60
    keep(c)
    assert wait(c) is None


def test_a_question_waits_for_its_answer_and_then_for_a_late_one() -> None:
    c = a_charger()
    c.online()
    c.plug()
    c.card(ALICE)
    assert wait(c) == 2
    keep(c)
    assert wait(c) == 28
    keep(c)
    assert wait(c) is None
    assert not c.state.asking


def test_an_ending_session_waits_for_the_car_and_then_for_the_meter() -> None:
    c = charging()
    c.site.deaf = True
    c.card(PRIVATE)
    assert wait(c) == 5
    keep(c)
    assert wait(c) == 10
    keep(c)
    assert c.all(SessionEnded)
    assert wait(c) is None


def test_a_session_found_at_start_waits_for_its_devices() -> None:
    c = charging()
    c.crash()
    assert wait(c) == 60
    keep(c)
    assert c.all(SessionEnded)
    assert wait(c) is None


def test_a_reset_waits_at_most_twenty_seconds() -> None:
    c = charging(a_charger(settle_s=1000.0))
    c.command(Reset(ResetKind.SOFT))
    assert wait(c) == 20
    keep(c)
    assert wait(c) == 980


def test_a_company_link_is_tried_again_only_online() -> None:
    c = a_charger()
    c.command(LinkCompany("ACME"), "control")
    assert wait(c) is None
    c.online()
    assert c.state.link_retry is not None
    assert c.state.link_retry[0] == inf
    assert wait(c) is None


def test_a_deadline_in_the_past_is_kept_by_one_tick() -> None:
    c = charging(at("22:59:00", a_charger(tariff=DAY_AND_NIGHT)))
    c.pass_time(100_000)
    c.keep_deadlines()
    c.card(PRIVATE)
    c.pass_time(100_000)
    c.keep_deadlines()
    assert wait(c) is None


def test_a_boundary_that_a_step_of_the_clock_put_behind_us_is_due_at_once_and_once() -> None:
    c = charging(at("22:00:00", a_charger(tariff=DAY_AND_NIGHT)))
    c.wall = c.wall.replace(hour=23, minute=30)
    c.do(ClockStepped())
    assert wait(c) is None
    assert c.evse.boundary_due is None
    assert c.evse.boundary is not None


def test_the_earliest_of_all_deadlines_counts() -> None:
    c = a_charger()
    c.online()
    c.card(PRIVATE)
    c.state = replace(c.state, link_retry=(c.mono + 7, 1))
    assert wait(c) == 7
