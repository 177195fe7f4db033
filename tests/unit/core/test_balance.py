"""Registers noted while nobody charges: when the agent starts and ends, once a day, and on both sides of a break."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agent.core.events import ShutdownRequested
from agent.core.facts import SessionEnded
from tests.unit.core.charger import PRIVATE, a_charger, charging

START = Decimal(1_000_000)


def test_the_first_reading_of_a_run_is_noted_once() -> None:
    c = a_charger()
    c.run(3600)
    assert c.noted == [(START, False)]
    c.crash(down=5)
    c.run(60)
    assert c.noted == [(START, False), (START, False)]


def test_a_register_that_moves_is_noted_once_a_day() -> None:
    c = a_charger()
    for _ in range(3):
        c.site.count(Decimal(7))
        c.pass_time(43_200)
        c.poll()
    c.pass_time(43_200)
    c.poll()
    assert c.noted == [(START, False), (START + 14, False), (START + 21, False)]


def test_a_register_that_stands_still_is_not_noted_again() -> None:
    c = a_charger()
    for _ in range(5):
        c.pass_time(86_400)
        c.poll()
    assert len(c.noted) == 1


def test_a_session_notes_nothing_and_the_register_after_it_is_noted() -> None:
    c = charging()
    c.run(30)
    assert len(c.noted) == 1
    c.card(PRIVATE)
    c.run(5)
    ended = c.only(SessionEnded)
    assert c.noted[1:] == [(ended.register, False)]


def test_the_register_that_the_agent_leaves_behind_is_noted_where_it_moved() -> None:
    c = a_charger()
    c.do(ShutdownRequested())
    assert len(c.noted) == 1
    c.site.count(Decimal(3))
    c.poll()
    c.do(ShutdownRequested())
    assert c.noted == [(START, False), (START + 3, False)]


@pytest.mark.parametrize("far", [Decimal(5), Decimal(9_000_000)])
def test_both_sides_of_a_break_are_noted(far: Decimal) -> None:
    c = a_charger()
    c.site.count(Decimal(4))
    c.run(2)
    c.site.register = far
    c.run(5)
    assert c.noted == [(START, False), (START + 4, False), (far, True)]


def test_a_meter_that_was_replaced_begins_anew() -> None:
    c = charging()
    c.run(10)
    c.site.serial, c.site.register = "OTHER", Decimal(12)
    c.poll()
    assert c.only(SessionEnded).register > START
    assert c.noted[1:] == [(Decimal(12), True)]
