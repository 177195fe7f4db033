"""Rows of prices by the hour: which one holds when, what a session is frozen with, and what is kept of pushed ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.prices import MOST_BLOCKS, PriceBlock, frozen, next_change, price_at, taken

START = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = PriceBlock(START, 60, tuple(Decimal(n) for n in range(24)))


def test_each_price_holds_from_its_begin_to_before_the_next() -> None:
    quarters = PriceBlock(START, 15, tuple(Decimal(n) for n in range(4)))
    minutes = [-1, 0, 14, 15, 59, 60]
    found = [quarters.price(START + timedelta(minutes=m)) for m in minutes]
    assert found == [None, 0, 0, 1, 3, None]
    assert quarters.end == START + HOUR


def test_the_block_that_came_last_wins_where_two_know_a_price() -> None:
    corrected = PriceBlock(START + 2 * HOUR, 60, (Decimal(99),))
    found = [price_at((DAY, corrected), START + n * HOUR) for n in (1, 2, 3)]
    assert found == [1, 99, 3]
    assert price_at((), START) is None


def test_a_change_comes_with_the_step_and_with_the_edge_of_another_block() -> None:
    odd = PriceBlock(START + timedelta(minutes=90), 30, (Decimal(1),))
    assert next_change((DAY,), START) == START + HOUR
    assert next_change((DAY, odd), START + HOUR) == START + timedelta(minutes=90)
    assert next_change((DAY, odd), START + timedelta(minutes=90)) == START + 2 * HOUR
    assert next_change((), START + timedelta(minutes=3)) == START + timedelta(minutes=15)


def test_a_session_is_frozen_with_the_prices_of_two_days() -> None:
    year = PriceBlock(START - 100 * HOUR, 60, tuple(Decimal(n) for n in range(1000)))
    at = START + timedelta(minutes=20)
    (block,) = frozen((year, PriceBlock(START - 9 * HOUR, 60, (Decimal(1),))), at)
    assert (block.start, block.end) == (START, START + 49 * HOUR)
    assert block.price(at) == year.price(at) == 100


@given(st.integers(-30, 60), st.integers(1, 90), st.integers(0, 40))
def test_a_part_of_a_block_has_the_prices_of_the_block(minute: int, length: int, later: int) -> None:
    quarters = PriceBlock(START, 15, tuple(Decimal(n) for n in range(5)))
    begin = START + timedelta(minutes=minute)
    end = begin + timedelta(minutes=length)
    part = quarters.within(begin, end)
    moment = begin + timedelta(minutes=min(later, length - 1))
    assert part.price(moment) == quarters.price(moment)
    assert len(part.prices) <= length // 15 + 2


def test_pushed_prices_replace_what_they_tell_anew_and_outlive_their_day_by_two_months() -> None:
    again = replace(DAY, prices=DAY.prices[::-1])
    assert taken((DAY,), again, START) == (again,)
    tomorrow = replace(DAY, start=DAY.end)
    assert taken((DAY,), tomorrow, START) == (DAY, tomorrow)
    assert taken((DAY,), tomorrow, DAY.end + timedelta(days=61)) == (DAY, tomorrow)
    assert taken((DAY,), tomorrow, DAY.end + timedelta(days=62)) == (tomorrow,)


def test_many_pushes_do_not_grow_without_bound() -> None:
    blocks: tuple[PriceBlock, ...] = ()
    for n in range(MOST_BLOCKS + 5):
        blocks = taken(blocks, PriceBlock(START + n * HOUR, 60, (Decimal(n),)), START)
    assert len(blocks) == MOST_BLOCKS
    assert blocks[-1].prices == (Decimal(MOST_BLOCKS + 4),)


@pytest.mark.parametrize("step", [15, 30, 60])
def test_no_price_changes_before_the_next_change(step: int) -> None:
    block = PriceBlock(START, step, tuple(Decimal(n) for n in range(3)))
    here = START - timedelta(minutes=40)
    while here < START + timedelta(hours=4):
        there = next_change((block,), here)
        minutes = range(int((there - here).total_seconds()) // 60)
        assert len({price_at((block,), here + timedelta(minutes=m)) for m in minutes}) == 1
        here = there
