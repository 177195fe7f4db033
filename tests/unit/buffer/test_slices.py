"""Durable slices as rows: what a change costs, and what an incomplete ledger is taken for."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from agent.buffer.slices import DROP, PUT, SLICES, assembled, changes
from agent.core.charging_profile import (
    ChargingProfile,
    Installed,
    Kind,
    Purpose,
    RateUnit,
    Recurrence,
    Schedule,
    SchedulePeriod,
)
from agent.core.company import Company
from agent.core.model import EvseId, IdToken, SessionId, TokenInfo, TokenStatus
from agent.core.state import Availability, Cached, Card, Durable, Tokens
from tests.unit.buffer.scripted import EMPTY, at, running, started


def written(before: Durable | None, after: Durable) -> list[tuple[object, ...]]:
    return [(sql.split()[0], *parameters[:2]) for sql, parameters in changes(before, after)]


def test_a_new_ledger_gets_every_slice() -> None:
    assert {kind for _, kind, _ in written(None, EMPTY)} == {
        "availability", "distribution", "list-version", "overrides", "company", "ids", "station", "jobs", "security",
    }  # fmt: skip


def test_the_same_objects_cost_nothing() -> None:
    assert written(EMPTY, replace(EMPTY, availability=dict(EMPTY.availability))) == []


def test_an_equal_object_that_is_another_one_is_written() -> None:
    assert written(EMPTY, replace(EMPTY, company=Company())) == [("INSERT", "company", "")]


def test_only_what_changed_is_written_and_what_is_gone_is_deleted() -> None:
    kept, gone = Card(IdToken("a")), Card(IdToken("b"))
    before = replace(EMPTY, tokens=Tokens(cards={"A": kept, "B": gone}), sessions={EvseId(1): running(started())})
    cached = Cached(IdToken("c"), TokenInfo(TokenStatus.BLOCKED), at(1))
    after = replace(EMPTY, tokens=Tokens(cards={"A": kept}, cache={"C": cached}))
    assert written(before, after) == [("DELETE", "session", "1"), ("DELETE", "card", "B"), ("INSERT", "cache", "C")]


def test_charging_profiles_are_rows_of_their_own_and_come_back_as_they_were() -> None:
    periods = (SchedulePeriod(0, Decimal("16.1")), SchedulePeriod(60, Decimal(0), 1))
    noon = datetime(2026, 11, 18, 12, tzinfo=UTC)
    schedule = Schedule(RateUnit.AMPERE, periods, 600, noon, Decimal("6.0"))
    one = ChargingProfile(7, 2, Purpose.TX, Kind.RECURRING, schedule, Recurrence.WEEKLY, noon, noon, 42)
    bound = Installed(one, EvseId(1), SessionId("s"))
    other = Installed(replace(one, id=-1, transaction="named"), EvseId(0))
    before, after = replace(EMPTY, profiles={7: bound}), replace(EMPTY, profiles={-1: other, 7: bound})
    assert written(before, after) == [("INSERT", "charging-profile", "-1")]
    assert written(after, before) == [("DELETE", "charging-profile", "-1")]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE slice (kind, key, schema, json, PRIMARY KEY (kind, key))")
        for sql, parameters in changes(None, after):
            connection.execute(sql, parameters)
        connection.row_factory = sqlite3.Row
        assert assembled(connection.execute(SLICES)) == after


def test_a_slice_that_an_older_release_did_not_write_takes_its_default() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE slice (kind, key, schema, json, PRIMARY KEY (kind, key))")
    for sql, parameters in changes(None, replace(EMPTY, station=Availability(operative=False))):
        connection.execute(sql, parameters)
    connection.execute(DROP, ("company", ""))
    connection.row_factory = sqlite3.Row
    assert assembled(connection.execute(SLICES)) == replace(EMPTY, station=Availability(operative=False))
    connection.execute(PUT, ("availability", "2", 1, '{"operative":false}'))
    loaded = assembled(connection.execute(SLICES))
    assert loaded is not None
    assert loaded.availability[EvseId(2)] == Availability(operative=False)
    connection.close()
