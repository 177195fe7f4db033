"""Delays between connections and between BootNotifications."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ocpp.backoff import Backoff, BootDelays

CHANCE = st.floats(0, 1, exclude_max=True)


def test_the_first_retry_is_quick_then_three_seconds_doubled_seven_times() -> None:
    backoff = Backoff()
    assert [backoff.next(0.0) for _ in range(10)] == [1, 3, 6, 12, 24, 48, 96, 192, 384, 384]


@pytest.mark.requirement(13)
def test_no_delay_is_longer_than_thirteen_minutes_and_the_next_range_begins_where_the_last_ends() -> None:
    low, high = Backoff(), Backoff()
    lows, highs = [low.next(0.0) for _ in range(12)], [high.next(1.0) for _ in range(12)]
    assert highs[:8] == lows[1:9]
    assert max(highs) == 768


def test_chance_spreads_every_delay() -> None:
    low, high = Backoff(), Backoff()
    for _ in range(9):
        assert high.next(0.999) > 1.9 * low.next(0.0)


@given(st.lists(CHANCE, min_size=7, max_size=7))
def test_delays_grow_whatever_the_chance(chances: list[float]) -> None:
    backoff = Backoff()
    delays = [backoff.next(chance) for chance in chances]
    assert delays == sorted(delays)


@pytest.mark.requirement(10)
def test_a_good_connection_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next(0.5)
    backoff.reset()
    assert backoff.next(0.0) == 1


def test_delays_are_set_for_tests() -> None:
    backoff = Backoff(base_s=0.01, spread_s=0.0, doublings=1, quick_s=0.0)
    assert [backoff.next(0.5) for _ in range(4)] == [0.0, 0.01, 0.02, 0.02]


@pytest.mark.requirement(13, 23)
def test_boot_is_retried_after_thirty_seconds_doubled_up_to_a_quarter_of_an_hour() -> None:
    delays = BootDelays()
    assert [delays.next(0.5) for _ in range(7)] == pytest.approx([30, 60, 120, 240, 480, 900, 900])


@given(CHANCE)
def test_boot_retries_vary_by_a_fifth(chance: float) -> None:
    assert 24 <= BootDelays().next(chance) <= 36


@pytest.mark.requirement(10)
def test_a_proper_answer_begins_anew() -> None:
    delays = BootDelays()
    for _ in range(2000):
        delays.next(0.5)
    delays.reset()
    assert delays.next(0.5) == pytest.approx(30)
