"""The energy of a span of time: sessions and nobody make up the register's difference, whatever happened in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.balance import Balance, balances
from agent.buffer.codec import NAMES, dump
from agent.buffer.file import LEDGER
from agent.buffer.timeline import BOOTS
from agent.core.facts import SCHEMA, Fact, MeterSampled, SessionEnded, SessionSampled, SessionStarted
from agent.core.model import EvseId, ReadingContext, SessionId, Wh
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, at, ended, opened, reading, sampled, started

ONE, TWO = EvseId(1), EvseId(2)


def idle(seconds: float, energy: str, evse: EvseId = ONE, *, anew: bool = False) -> MeterSampled:
    return MeterSampled(evse, ReadingContext.OTHER, reading(at(seconds), energy), anew)


def start(session: str, seconds: float, energy: str, evse: EvseId = ONE) -> SessionStarted:
    return started(session, at(seconds), reading=reading(at(seconds), energy), evse=evse)


def sample(session: str, seq: int, seconds: float, energy: str) -> SessionSampled:
    return SessionSampled(SessionId(session), seq, ONE, ReadingContext.PERIODIC, reading(at(seconds), energy))


def end(session: str, seq: int, seconds: float, energy: str, *, evse: EvseId = ONE) -> SessionEnded:
    return ended(session, seq, at(seconds), register=Wh(Decimal(energy)), evse=evse)


def accounts(*facts: Fact, begin: float | None = None, until: float | None = None) -> tuple[Balance, ...]:
    """Return the balances of a ledger that holds these facts."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("CREATE TABLE boot (number, anchor_mono, anchor_wall, seen_mono)")
        connection.execute("CREATE TABLE fact (seq INTEGER PRIMARY KEY, session, kind, schema, json)")
        for fact in facts:
            row = (getattr(fact, "session", None), NAMES[type(fact)], SCHEMA, dump(fact))
            connection.execute("INSERT INTO fact (session, kind, schema, json) VALUES (?, ?, ?, ?)", row)
        ends = (None if s is None else NEW_YEAR + timedelta(seconds=s) for s in (begin, until))
        return balances(connection, *ends)


def sums(found: Sequence[Balance]) -> list[tuple[str, str]]:
    return [(str(balance.sessions), str(balance.unattributed)) for balance in found]


def test_what_flowed_in_sessions_and_between_them_is_the_difference_of_the_register() -> None:
    (balance,) = accounts(
        idle(0, "1000"),
        start("a", 10, "1000.5"),
        sample("a", 1, 20, "1100"),
        end("a", 2, 30, "1200.25"),
        idle(40, "1200.25"),
        start("b", 50, "1203.125"),
        end("b", 1, 60, "1300"),
        idle(70, "1301"),
    )
    assert (balance.begin.register, balance.end.register) == (Decimal(1000), Decimal(1301))
    assert balance.sessions == Decimal("199.75") + Decimal("96.875")
    assert balance.sessions + balance.unattributed == Decimal(301)
    assert balance.to_json() == {
        "connector": 1,
        "meter": None,
        "from": "2026-01-01T00:00:00.000Z",
        "to": "2026-01-01T00:01:10.000Z",
        "register_start_wh": 1000,
        "register_stop_wh": 1301,
        "sessions_wh": 296.625,
        "unattributed_wh": 4.375,
    }


def test_a_span_takes_the_points_that_lie_in_it_also_of_sessions_across_its_ends() -> None:
    facts = (
        start("a", 10, "1000"),
        sample("a", 1, 20, "1010"),
        sample("a", 2, 30, "1030"),
        end("a", 3, 40, "1050"),
        start("b", 50, "1051"),
        sample("b", 1, 60, "1061"),
        sample("b", 2, 70, "1081"),
    )
    (balance,) = accounts(*facts, begin=15, until=65)
    assert (balance.begin.register, balance.end.register) == (Decimal(1010), Decimal(1061))
    assert sums([balance]) == [("50", "1")]
    (inner,) = accounts(*facts, begin=25, until=35)
    assert sums([inner]) == [("0", "0")]
    assert accounts(*facts, begin=1000) == ()


def test_another_meter_or_a_register_that_went_back_is_another_account() -> None:
    found = accounts(
        idle(0, "1000"),
        start("a", 10, "1000"),
        end("a", 1, 20, "1100"),
        idle(21, "5", anew=True),
        idle(30, "9"),
        idle(40, "3"),
        start("b", 50, "4"),
        end("b", 1, 60, "10"),
    )
    assert sums(found) == [("100", "0"), ("0", "4"), ("6", "1")]


def test_an_impossible_jump_upwards_is_nobodys_energy_and_no_sessions() -> None:
    found = accounts(idle(0, "1000"), idle(1, "1001"), idle(2, "9000000", anew=True), idle(3, "9000002"))
    assert sums(found) == [("0", "1"), ("0", "2")]


def test_connectors_have_accounts_of_their_own_although_their_facts_mix() -> None:
    found = accounts(
        idle(0, "1000"), idle(0, "50", TWO),
        start("a", 10, "1000"), start("b", 11, "52", TWO),
        end("b", 1, 15, "60", evse=TWO), end("a", 1, 20, "1100"),
    )  # fmt: skip
    assert [(int(b.evse), *pair) for b, pair in zip(found, sums(found), strict=True)] == [
        (1, "100", "0"),
        (2, "8", "2"),
    ]


async def test_it_reads_a_real_ledger(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        facts = (idle(5, "999"), started(), sampled(), ended(seq=2))
        await ledger.journal.commit(EMPTY, facts, at(4000))
        assert await ledger.outbox.count() == 3
    with closing(sqlite3.connect(tmp_path / LEDGER)) as connection:
        connection.row_factory = sqlite3.Row
        assert connection.execute(BOOTS).fetchall()
        (balance,) = balances(connection)
    assert sums([balance]) == [("7522", "1")]


STEPS = st.lists(st.tuples(st.sampled_from(["idle", "start", "sample", "end"]), st.integers(0, 50)), max_size=30)


def history(steps: list[tuple[str, int]]) -> list[Fact]:
    """Return the facts of steps that make sense, each with the energy that flowed before it."""
    facts: list[Fact] = []
    register, session, seq = 1000, 0, 0
    for second, (what, energy) in enumerate(steps):
        register += energy
        text = str(register)
        if what == "start" and seq == 0:
            session, seq = session + 1, 1
            facts.append(start(f"s{session}", second, text))
        elif what == "idle" and seq == 0:
            facts.append(idle(second, text))
        elif what == "sample" and seq:
            facts.append(sample(f"s{session}", seq, second, text))
            seq += 1
        elif what == "end" and seq:
            facts.append(end(f"s{session}", seq, second, text))
            seq = 0
    return facts


@settings(max_examples=200)
@given(STEPS, st.integers(0, 30), st.integers(0, 30))
def test_any_history_balances(steps: list[tuple[str, int]], first: int, length: int) -> None:
    facts = history(steps)
    for found in (accounts(*facts), accounts(*facts, begin=first, until=first + length)):
        for balance in found:
            assert balance.sessions >= 0 <= balance.unattributed
            assert balance.sessions + balance.unattributed == balance.end.register - balance.begin.register
    if facts:
        (whole,) = accounts(*facts)
        last = replace(whole.end, session=None).register
        assert whole.sessions + whole.unattributed == last - whole.begin.register


def test_without_facts_there_is_no_account() -> None:
    assert accounts() == ()
