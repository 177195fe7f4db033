"""Times of moments that were stamped before the clock was known: corrected, estimated, or left alone."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

import pytest

from agent.buffer.timeline import Timeline, Trust, doubtful, timeline
from agent.core.facts import HeldReleased
from agent.core.instant import Instant, TimeStatus
from tests.unit.buffer.scripted import NEW_YEAR, at, ended, sampled, started

UNSET = datetime(1970, 1, 1, tzinfo=NEW_YEAR.tzinfo)


def boots(*rows: tuple[int, float | None, datetime | None, float | None]) -> Timeline:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.execute("CREATE TABLE boot (number, anchor_mono, anchor_wall, seen_mono)")
    connection.executemany(
        "INSERT INTO boot VALUES (?, ?, ?, ?)", [(n, m, None if w is None else w.isoformat(), s) for n, m, w, s in rows]
    )
    found = timeline(connection.execute("SELECT * FROM boot ORDER BY number DESC").fetchall())
    connection.close()
    return found


def unset(mono: float, boot: int, status: TimeStatus = TimeStatus.UNKNOWN) -> Instant:
    return Instant(mono, UNSET + timedelta(seconds=mono), status, boot)


@pytest.mark.requirement(16)
def test_a_moment_of_an_anchored_boot_is_placed_by_the_monotonic_clock() -> None:
    times = boots((1, 100.0, NEW_YEAR, None))
    assert times.corrected(unset(40, 1)) == Instant(40, NEW_YEAR - timedelta(seconds=60), TimeStatus.RELATIVE, 1)
    assert times.corrected(unset(160, 1, TimeStatus.INFORMATIVE)).wall == NEW_YEAR + timedelta(seconds=60)


def test_a_moment_that_can_be_trusted_is_never_moved() -> None:
    times = boots((1, 100.0, NEW_YEAR - timedelta(days=9), None))
    assert times.corrected(at(40)) == at(40)
    assert times.corrected(at(40, TimeStatus.RELATIVE)) == at(40, TimeStatus.RELATIVE)


@pytest.mark.requirement(17)
def test_boots_without_any_clock_are_put_right_before_the_next() -> None:
    times = boots((1, None, None, 600.0), (2, None, None, 300.0), (3, 100.0, NEW_YEAR, None))
    third = NEW_YEAR - timedelta(seconds=100)
    assert times.corrected(unset(300, 2)).wall == third
    assert times.corrected(unset(0, 2)).wall == third - timedelta(seconds=300)
    assert times.corrected(unset(600, 1)).wall == third - timedelta(seconds=300)
    assert times.corrected(unset(600, 1)).status is TimeStatus.INFORMATIVE


def test_a_clock_that_was_set_once_is_better_than_a_guess() -> None:
    times = boots((1, None, None, 600.0), (2, 100.0, NEW_YEAR, None))
    informative = at(5, TimeStatus.INFORMATIVE)
    assert times.corrected(informative) == informative


def test_nothing_is_guessed_without_a_later_boot_whose_time_is_known() -> None:
    times = boots((1, 100.0, NEW_YEAR, None), (2, None, None, 600.0))
    assert times.corrected(unset(5, 2)) == unset(5, 2)


def test_the_least_reliable_moment_counts() -> None:
    times = boots((1, 100.0, NEW_YEAR, None), (2, None, None, None))
    assert times.trust(at(1), at(2)) is Trust.SYNCHRONISED
    assert times.trust(at(1), unset(1, 1)) is Trust.CORRECTED
    assert times.trust(unset(1, 1), unset(1, 2)) is Trust.ESTIMATED


def test_facts_with_a_doubtful_moment_are_found() -> None:
    unsure = at(1, TimeStatus.INFORMATIVE)
    doubted = [doubtful(f) for f in (started(moment=unsure), sampled(moment=unsure), ended(moment=unsure))]
    assert doubted == [True] * 3
    assert [doubtful(fact) for fact in (started(), sampled(), ended(), HeldReleased("ACME"))] == [False] * 4


def test_facts_without_moments_stay_as_they_are() -> None:
    assert Timeline().corrected_fact(HeldReleased("ACME")) == HeldReleased("ACME")
