"""Session ids: UUIDs of version 7 that sort by time and never come twice."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from agent.core.ids import next_id
from agent.core.instant import Instant
from agent.core.state import IdSource
from tests.unit.core.charger import NOON


@given(st.text(), st.integers(0, 2**40), st.integers(-(10**9), 10**9))
def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front(seed: str, counter: int, second: int) -> None:
    at = Instant(0.0, NOON + timedelta(seconds=second))
    identifier, after = next_id(IdSource(seed, counter), at)
    uuid = UUID(identifier)
    assert str(uuid) == identifier
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert uuid.int >> 80 == int(at.wall.timestamp()) * 1000
    assert after == IdSource(seed, counter + 1)


def test_ids_of_one_moment_differ_and_ids_of_two_moments_sort() -> None:
    source, ids = IdSource("seed"), []
    for n in range(2000):
        identifier, source = next_id(source, Instant(0.0, NOON + timedelta(milliseconds=n // 2)))
        ids.append(identifier)
    assert len(set(ids)) == 2000
    assert sorted(ids, key=lambda i: i[:13]) == ids


def test_two_stations_make_different_ids_of_the_same_moment() -> None:
    at = Instant(0.0, NOON)
    assert next_id(IdSource("one"), at)[0] != next_id(IdSource("other"), at)[0]
