"""The journal on real files: what a commit makes durable, what it refuses, what it costs; boots and runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.journal import PreviousRun, SqliteJournal
from agent.core.booking import Reservation
from agent.core.company import Company
from agent.core.errors import JournalFull
from agent.core.facts import Fact, HeldDropped, HeldReleased
from agent.core.instant import TimeStatus
from agent.core.model import EvseId, IdToken, Profile, Reporting
from agent.core.settings import Overrides
from agent.core.state import Availability, Card, Durable, IdSource, Tokens
from agent.ports import Journal
from tests.unit.buffer.scripted import EMPTY, Ledger, at, ended, opened, running, sampled, started

HELD: dict[str, Any] = {"reporting": Reporting.HOLD, "company_code": "ACME"}


async def commit(ledger: Ledger, *facts: Fact, slices: Durable = EMPTY) -> None:
    await ledger.journal.commit(slices, facts, at(100))


async def rows(ledger: Ledger) -> list[tuple[str, str, str]]:
    """Return destination, kind and state of all rows of the lanes."""
    found = await ledger.database.read(
        "SELECT destination, kind, state FROM outbox JOIN fact ON fact.seq = outbox.fact ORDER BY fact, destination"
    )
    return [(row["destination"], row["kind"], row["state"]) for row in found]


async def facts(ledger: Ledger) -> list[tuple[int, str | None, int | None, str]]:
    found = await ledger.database.read("SELECT seq, session, session_seq, kind FROM fact ORDER BY seq")
    return [(row["seq"], row["session"], row["session_seq"], row["kind"]) for row in found]


async def changed(ledger: Ledger, slices: Durable, facts: Sequence[Fact] = ()) -> int:
    """Return how many rows a commit changed."""
    ((before,),) = await ledger.database.read("SELECT total_changes()")
    await ledger.journal.commit(slices, facts, at(100))
    ((after,),) = await ledger.database.read("SELECT total_changes()")
    return int(after - before)


async def test_a_new_ledger_has_no_state(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        journal: Journal = SqliteJournal(database, ("cloud",))
        assert await journal.load() is None


async def test_state_and_facts_are_there_after_a_restart(tmp_path: Path) -> None:
    fact = started()
    card = Card(IdToken("04a1"), Profile.PRIVATE, number="NL-1", blocked="")
    until = datetime(2026, 11, 18, tzinfo=UTC)
    slices = Durable(
        sessions={EvseId(1): running(fact)},
        availability={EvseId(1): Availability(), EvseId(2): Availability(operative=False, scheduled=True)},
        tokens=Tokens(cards={"04A1": card}),
        overrides=Overrides((("heartbeat_interval_s", 60),)),
        company=Company(code="ACME"),
        ids=IdSource("seed", 7),
        station=Availability(operative=False),
        reservations={7: Reservation(7, EvseId(0), IdToken("04a1"), IdToken("G"), at(5), until)},
    )
    async with opened(tmp_path) as ledger:
        await commit(ledger, fact, slices=slices)
    async with opened(tmp_path) as ledger:
        assert await ledger.journal.load() == slices
        assert await facts(ledger) == [(1, "s1", 0, "session-started")]


async def test_a_journal_that_was_not_loaded_knows_the_ledger_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), slices=replace(EMPTY, sessions={EvseId(1): running(started())}))
    async with open_database(tmp_path) as database:
        journal = SqliteJournal(database, ("cloud",))
        await journal.commit(EMPTY, [ended(seq=1)], at(200))
        assert await journal.load() == EMPTY


async def test_numbers_of_facts_go_on_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled(seq=1))
    async with opened(tmp_path) as ledger:
        await commit(ledger, sampled(seq=2), ended(seq=3))
        assert [row[:3] for row in await facts(ledger)] == [(1, "s1", 0), (2, "s1", 1), (3, "s1", 2), (4, "s1", 3)]


async def test_a_commit_without_changes_is_no_transaction(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started())
        wal = tmp_path / f"{LEDGER}-wal"
        before = wal.stat()
        assert await changed(ledger, replace(EMPTY, sessions=dict(EMPTY.sessions))) == 0
        assert (wal.stat().st_size, wal.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


async def test_one_changed_card_of_a_thousand_is_one_row(tmp_path: Path) -> None:
    cards = {f"{n:08X}": Card(IdToken(f"{n:08X}")) for n in range(1000)}
    slices = replace(EMPTY, tokens=Tokens(cards=cards))
    async with opened(tmp_path) as ledger:
        await commit(ledger, slices=slices)
        blocked = replace(slices, tokens=Tokens(cards={**cards, "00000007": Card(IdToken("00000007"), blocked="lost")}))
        assert await changed(ledger, blocked) == 1
        removed = replace(blocked, tokens=Tokens(cards={k: c for k, c in cards.items() if k != "00000008"}))
        assert await changed(ledger, removed) == 2  # the block is gone too
        loaded = await ledger.journal.load()
        assert loaded == removed


async def test_a_session_that_ended_leaves_the_state(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), slices=replace(EMPTY, sessions={EvseId(1): running(started())}))
        await commit(ledger, ended())
        loaded = await ledger.journal.load()
        assert loaded is not None
        assert loaded.sessions == {}


async def test_every_destination_gets_every_fact_with_a_message_id_of_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path, "cloud", "ere") as ledger:
        await commit(ledger, started(), sampled(), ended(seq=2))
        assert await rows(ledger) == [
            (destination, kind, "queued")
            for kind in ("session-started", "session-sampled", "session-ended")
            for destination in ("cloud", "ere")
        ]
        ids = [UUID(row["message_id"]) for row in await ledger.database.read("SELECT message_id FROM outbox")]
        assert len(set(ids)) == 6
        assert {i.version for i in ids} == {4}


async def test_a_session_keeps_the_destinations_that_it_began_with(tmp_path: Path) -> None:
    async with opened(tmp_path, "cloud") as ledger:
        await commit(ledger, started("old"))
    async with opened(tmp_path, "ere") as ledger:
        await commit(ledger, ended("old"), started("new"))
        assert [row[:2] for row in await rows(ledger)] == [
            ("cloud", "session-started"),
            ("cloud", "session-ended"),
            ("ere", "session-started"),
        ]


@pytest.mark.parametrize(
    "changes",
    [
        {"reporting": Reporting.LOCAL_ONLY},
        {"profile": Profile.PRIVATE, "reporting": Reporting.LOCAL_ONLY},
        {"profile": Profile.PRIVATE, "reporting": Reporting.REPORT},  # the core never does; private wins
        {"profile": Profile.PRIVATE, "reporting": Reporting.HOLD, "company_code": "ACME"},
    ],
)
async def test_a_private_or_local_session_never_gets_a_row(tmp_path: Path, changes: dict[str, Any]) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(**changes), sampled())
        await commit(ledger, HeldReleased("ACME"))
    async with opened(tmp_path) as ledger:
        await commit(ledger, ended(seq=2))
        assert await rows(ledger) == []


async def test_a_held_session_waits_until_its_company_takes_the_station_in(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(**HELD), sampled())
        await commit(ledger, started("other", reporting=Reporting.HOLD, company_code="OTHER"), ended("other"))
        assert await ledger.lane() == []
        await commit(ledger, HeldReleased("ACME"))
        assert await ledger.lane() == [("s1", 0), ("s1", 1)]
        await commit(ledger, ended(seq=2))
        assert await ledger.lane() == [("s1", 0), ("s1", 1), ("s1", 2)]


async def test_what_was_held_stands_before_what_came_after_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started("held", **HELD), ended("held"))
        await commit(ledger, started("reported"))
        await commit(ledger, HeldReleased("ACME"))
        assert await ledger.lane() == [("held", 0), ("held", 1), ("reported", 0)]


async def test_a_dropped_session_stays_here_for_ever(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(**HELD), sampled())
        await commit(ledger, started("reported"))
        await commit(ledger, HeldDropped("ACME"))
        await commit(ledger, sampled(seq=2))
    async with opened(tmp_path) as ledger:
        await commit(ledger, ended(seq=3))
        await commit(ledger, HeldReleased("ACME"))
        assert await ledger.lane() == [("reported", 0)]
        assert [fact[3] for fact in await facts(ledger) if fact[1] == "s1"] == [
            "session-started",
            "session-sampled",
            "session-sampled",
            "session-ended",
        ]


async def test_facts_of_one_commit_take_effect_in_their_order(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(
            ledger,
            started("first", **HELD),
            HeldReleased("ACME"),
            sampled("first"),
            started("second", **HELD),
            HeldDropped("OTHER"),
        )
        assert await ledger.lane() == [("first", 0), ("first", 1)]
        assert (await rows(ledger))[-1] == ("cloud", "session-started", "held")


@pytest.mark.requirement(56, 73)
@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    ("impossible", "words"),
    [
        (started("open"), "begun already"),
        (started("closed"), "begun already"),
        (sampled("open", seq=2), "fact 2 where 1 is due"),
        (sampled("open", seq=0), "fact 0 where 1 is due"),
        (ended("closed", seq=2), "not running"),
        (sampled("never"), "not running"),
        (started("new", seq=1), "fact 1 where 0 is due"),
    ],
)
async def test_facts_that_cannot_be_true_together_are_refused(
    tmp_path: Path, impossible: Fact, words: str, *, restarted: bool
) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started("open"), started("closed"), ended("closed"))
        if not restarted:
            await _refused(ledger, impossible, words)
    async with opened(tmp_path) as ledger:
        await _refused(ledger, impossible, words)


async def _refused(ledger: Ledger, impossible: Fact, words: str) -> None:
    before = (await facts(ledger), await rows(ledger))
    with pytest.raises(AssertionError, match=words):
        await commit(ledger, started("beside"), impossible, slices=replace(EMPTY, ids=IdSource("x", 1)))
    assert (await facts(ledger), await rows(ledger)) == before
    assert await ledger.journal.load() == EMPTY


async def test_a_commit_that_failed_has_not_happened_and_may_be_tried_again(tmp_path: Path) -> None:
    slices = replace(EMPTY, sessions={EvseId(1): running(started())})
    async with opened(tmp_path) as ledger:
        await commit(ledger)
        await ledger.database.read("PRAGMA query_only=ON")
        for _ in range(2):
            with pytest.raises(JournalFull):
                await commit(ledger, started(), sampled(), slices=slices)
        await ledger.database.read("PRAGMA query_only=OFF")
        assert (await facts(ledger), await rows(ledger)) == ([], [])
        await commit(ledger, started(), sampled(), slices=slices)
        assert [fact[:3] for fact in await facts(ledger)] == [(1, "s1", 0), (2, "s1", 1)]
        assert await ledger.journal.load() == slices


async def test_a_cancelled_commit_is_finished_and_known(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        caller = asyncio.create_task(commit(ledger, started()))
        await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await commit(ledger, ended())
        assert await ledger.lane() == [("s1", 0), ("s1", 1)]


async def test_commits_at_the_same_time_follow_each_other(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await asyncio.gather(*(commit(ledger, started(f"s{n}"), ended(f"s{n}")) for n in range(10)))
        assert await ledger.lane() == [(f"s{n}", seq) for n in range(10) for seq in (0, 1)]


async def test_a_boot_keeps_its_number(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        assert await ledger.journal.boot_number("boot-1") == 1
        assert await ledger.journal.boot_number("boot-2") == 2
    async with opened(tmp_path) as ledger:
        assert [await ledger.journal.boot_number(f"boot-{n}") for n in (1, 2, 3)] == [1, 2, 3]


async def test_a_start_is_told_how_the_run_before_it_ended(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        assert await ledger.journal.begin_run("boot-1", "1.0.0", at(1)) is None
        await ledger.journal.end_run(at(50))
    async with opened(tmp_path) as ledger:
        assert await ledger.journal.begin_run("boot-1", "1.1.0", at(60)) == PreviousRun(1, "1.0.0", at(1), at(50))
    async with opened(tmp_path) as ledger:
        assert await ledger.journal.begin_run("boot-2", "1.1.0", at(5, boot=2)) == PreviousRun(1, "1.1.0", at(60), None)


async def test_the_first_trusted_clock_of_a_boot_anchors_it_for_good(tmp_path: Path) -> None:
    async def anchors(ledger: Ledger) -> list[tuple[object, ...]]:
        return [tuple(row) for row in await ledger.database.read("SELECT anchor_mono, seen_mono FROM boot")]

    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [started(moment=at(5, TimeStatus.UNKNOWN))], at(5, TimeStatus.UNKNOWN))
        assert await anchors(ledger) == [(None, 5.0)]
        await ledger.journal.anchor(at(6, TimeStatus.INFORMATIVE))
        assert await anchors(ledger) == [(None, 5.0)]
        await ledger.journal.anchor(at(7))
        assert await changed(ledger, EMPTY) == 0
        await ledger.journal.commit(EMPTY, [ended()], at(3600))
        assert await anchors(ledger) == [(7.0, 5.0)]
    async with opened(tmp_path) as ledger:
        await ledger.journal.anchor(at(4000))
        assert await anchors(ledger) == [(7.0, 5.0)]


async def test_a_commit_anchors_its_boot_by_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, [], at(8))
        assert [row[0] for row in await ledger.database.read("SELECT anchor_mono FROM boot")] == [8.0]
