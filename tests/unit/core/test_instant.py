"""Moments beside each other: a wall clock that is set in between changes neither their order nor what lies between."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.core.instant import STEP_S, Instant, TimeStatus, in_step
from tests.unit.core.charger import NOON

FIRST = Instant(100.0, NOON)


def later(seconds: float, stepped: float = 0.0) -> Instant:
    return Instant(100.0 + seconds, NOON + timedelta(seconds=seconds + stepped))


@pytest.mark.parametrize("stepped", [-3600.0, -2.1, 2.1, 86_400.0])
def test_a_step_in_between_is_taken_out(stepped: float) -> None:
    assert in_step(FIRST, later(60, stepped)) == later(60)


@pytest.mark.parametrize("stepped", [-STEP_S, 0.0, STEP_S])
def test_what_two_clocks_may_differ_is_left_alone(stepped: float) -> None:
    assert in_step(FIRST, later(60, stepped)) == later(60, stepped)


def test_stamps_that_are_corrected_later_and_other_starts_of_the_machine_are_left_alone() -> None:
    doubtful = replace(later(60, 3600), status=TimeStatus.INFORMATIVE)
    assert in_step(FIRST, doubtful) is doubtful
    assert in_step(replace(FIRST, status=TimeStatus.UNKNOWN), later(60, 3600)) == later(60, 3600)
    other = replace(later(60, 3600), boot=2)
    assert in_step(FIRST, other) is other
