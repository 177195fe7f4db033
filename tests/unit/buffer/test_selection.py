"""Sessions of a span of time: the same as when all are read, whatever was corrected; and none of the others is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer import deliveries, ledger, selection
from agent.buffer.codec import NAMES, dump
from agent.buffer.ledger import SessionRecord, named, session, sessions
from agent.buffer.migrate import migrate
from agent.buffer.timeline import Trust
from agent.core.facts import SCHEMA, SessionEnded, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import Wh
from tests.unit.buffer.scripted import NEW_YEAR, ended, started

UNSET = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Boot:
    """A start of the machine; anchor: when it began (s after the new year), where known; seen: as in the ledger."""

    anchor: float | None
    seen: float | None


@contextmanager
def opened(boots: Sequence[Boot], spans: Sequence[tuple[Instant, Instant | None]]) -> Iterator[sqlite3.Connection]:
    """Yield a ledger with these boots and sessions (start and end), written as rows."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        migrate(connection)
        for number, boot in enumerate(boots, 1):
            wall = None if boot.anchor is None else (NEW_YEAR + timedelta(seconds=boot.anchor + 7)).isoformat()
            row = (number, f"boot {number}", None if wall is None else 7.0, wall, boot.seen)
            connection.execute("INSERT INTO boot VALUES (?, ?, ?, ?, ?)", row)
        for place, (began, over) in enumerate(spans):
            name = f"{place:04d}"
            _write(connection, 2 * place + 1, started(name, began))
            if over is not None:
                _write(connection, 2 * place + 2, ended(name, 1, over))
            facts = (2 * place + 1, None if over is None else 2 * place + 2)
            connection.execute("INSERT INTO session VALUES (?, 1, 'fleet', 'report', NULL, ?, ?)", (name, *facts))
        yield connection


def _write(connection: sqlite3.Connection, seq: int, fact: SessionStarted | SessionEnded) -> None:
    stamp = (fact.at.boot, fact.at.mono, fact.at.wall.isoformat())
    row = (seq, fact.session, fact.seq, NAMES[type(fact)], SCHEMA, *stamp, dump(fact))
    connection.execute("INSERT INTO fact VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def straightforward(
    every: Sequence[SessionRecord], since: datetime | None, until: datetime | None, limit: int | None
) -> list[SessionRecord]:
    """Return what is wanted of all sessions, each looked at."""
    found = []
    for record in every:
        is_late_enough = since is None or record.stopped_at is None or record.stopped_at >= since
        moment = record.started_at if record.stopped_at is None else record.stopped_at
        if is_late_enough and (until is None or moment < until):
            found.append(record)
    return found if limit is None else found[len(found) - min(limit, len(found)) :]


#: Few different seconds, so that moments meet; some with parts of a second, which texts and floats write differently.
SECONDS = st.integers(0, 40).map(float) | st.sampled_from([0.5, 10.25, 19.999999, 20.000001, 39.9999995])
BOOTS = st.lists(st.builds(Boot, st.none() | SECONDS, st.none() | SECONDS), min_size=3, max_size=3)
#: A stamp by a clock that was set, or never was, or says anything.
WALLS = st.one_of(
    SECONDS.map(lambda s: NEW_YEAR + timedelta(seconds=s)), SECONDS.map(lambda s: UNSET + timedelta(seconds=s))
)
INSTANTS = st.builds(Instant, SECONDS, WALLS, st.sampled_from(TimeStatus), st.integers(1, 3))
SPANS = st.lists(st.tuples(INSTANTS, st.none() | INSTANTS), max_size=6)
ENDS = st.none() | st.integers(-1, 130).map(lambda s: NEW_YEAR + timedelta(seconds=s)) | WALLS
LIMITS = st.none() | st.integers(1, 4)
NUDGES = st.sampled_from([0, -1, 1])


@settings(max_examples=400, deadline=None)
@given(BOOTS, SPANS, st.data())
def test_the_sessions_of_a_span_are_those_that_reading_all_of_them_finds(
    boots: list[Boot], spans: list[tuple[Instant, Instant | None]], data: st.DataObject
) -> None:
    with opened(boots, spans) as connection:
        every = sessions(connection)
        assert len(every) == len(spans)
        moments = [m for r in every for m in (r.started_at, r.stopped_at) if m is not None]
        ends = ENDS | st.sampled_from(moments or [NEW_YEAR])  # the very moments of the sessions, or just beside them
        since, until = data.draw(ends), data.draw(ends)
        nudge = timedelta(microseconds=data.draw(NUDGES))
        since, until = since and since + nudge, until and until - nudge
        limit = data.draw(LIMITS)
        assert sessions(connection, since=since, until=until, limit=limit) == straightforward(
            every, since, until, limit
        )


def unset(mono: float) -> Instant:
    """Return a stamp of the first boot that was made without the time."""
    return Instant(mono, UNSET + timedelta(seconds=mono), TimeStatus.UNKNOWN)


def test_a_session_that_was_stamped_in_1970_belongs_to_the_day_on_which_it_ended() -> None:
    with opened([Boot(1000.0, None)], [(unset(10), unset(20))]) as connection:
        (found,) = sessions(connection, since=NEW_YEAR + timedelta(seconds=1020), until=NEW_YEAR + timedelta(days=1))
        assert (found.clock, found.stopped_at) == (Trust.CORRECTED, NEW_YEAR + timedelta(seconds=1020))
        assert sessions(connection, until=UNSET + timedelta(days=1)) == []


def test_a_session_of_a_start_that_never_knew_the_time_belongs_to_where_it_is_guessed() -> None:
    with opened([Boot(None, 30.0), Boot(1000.0, None)], [(unset(10), unset(20))]) as connection:
        since = NEW_YEAR + timedelta(seconds=989)
        (found,) = sessions(connection, since=since, until=since + timedelta(seconds=2))
        assert (found.clock, found.stopped_at) == (Trust.ESTIMATED, NEW_YEAR + timedelta(seconds=990))
        assert sessions(connection, since=since + timedelta(seconds=2)) == []


def test_seconds_with_more_places_than_a_moment_has_cost_no_session() -> None:
    with opened([Boot(0.0, None)], [(unset(10), unset(39.9999999))]) as connection:
        (found,) = sessions(connection, since=NEW_YEAR + timedelta(seconds=40))
        assert found.stopped_at == NEW_YEAR + timedelta(seconds=40)


def test_the_newest_come_oldest_first() -> None:
    moments = [(at(n * 10), at(n * 10 + 5)) for n in range(5)]
    with opened([Boot(0.0, None)], moments) as connection:
        assert [r.id for r in sessions(connection, limit=2)] == ["0003", "0004"]
        assert [r.id for r in sessions(connection, limit=9)] == [f"{n:04d}" for n in range(5)]
        until = NEW_YEAR + timedelta(seconds=26)
        assert [r.id for r in sessions(connection, until=until, limit=2)] == ["0001", "0002"]


def test_sessions_are_found_by_the_beginning_of_their_id() -> None:
    with opened([Boot(0.0, None)], [(at(n), at(n + 1)) for n in range(25)]) as connection:
        assert [r.id for r in named(connection, "001")] == [f"001{n}" for n in range(10)]
        assert named(connection, "0024") == [session(connection, "0024")]
        assert [named(connection, text) for text in ("0025", "", "x", "00240")] == [[]] * 4


def test_of_very_many_that_begin_so_the_newest_are_enough() -> None:
    with opened([Boot(0.0, None)], [(at(n), at(n + 1)) for n in range(ledger.MANY + 5)]) as connection:
        found = named(connection, "0")
        assert (len(found), found[0].id, found[-1].id) == (ledger.MANY, "0005", "0104")


def at(seconds: float) -> Instant:
    return Instant(float(seconds), NEW_YEAR + timedelta(seconds=seconds))


def test_energy_and_registers_are_those_of_the_session_that_was_looked_for() -> None:
    with opened([Boot(0.0, None)], [(at(0), at(1)), (at(2), None)]) as connection:
        one, other = named(connection, "0000"), named(connection, "0001")
        assert [r.meter_stop for r in (*one, *other)] == [Wh(Decimal(8522)), None]


@pytest.mark.parametrize(
    "sql",
    [selection.OPEN, selection.ENDED, selection.ENDED_IN_BOOT, ledger.SESSION, ledger.START, ledger.NAMED],
)
def test_what_is_looked_for_is_found_by_an_index(sql: str) -> None:
    with opened([], []) as connection:
        assert "SCAN" not in _plan(connection, sql)


def test_the_lane_of_a_session_is_a_range_of_the_outbox() -> None:
    with opened([], []) as connection:
        assert "SEARCH o USING PRIMARY KEY (destination=? AND fact>? AND fact<?)" in _plan(connection, deliveries.LANES)


def _plan(connection: sqlite3.Connection, sql: str) -> str:
    values = tuple(0 for _ in range(sql.count("?")))
    return "\n".join(row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))
