"""The lane of a destination on real files: order, resends, confirmations, quarantine, and what a restart leaves."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer import entries
from agent.buffer.outbox_store import OutboxStore
from agent.core.facts import (
    Fact,
    HeldDropped,
    HeldReleased,
    MeterSampled,
    Period,
    SessionEnded,
    SessionSampled,
    SessionStarted,
)
from agent.core.instant import TimeStatus
from agent.core.model import EvseId, Profile, ReadingContext, Reporting, SessionId, Wh
from agent.ports import Acknowledged, Outbox
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, Ledger, at, ended, opened, reading, sampled, started


async def commit(ledger: Ledger, *facts: Fact) -> None:
    await ledger.journal.commit(EMPTY, facts, at(100))


async def test_rows_are_the_oldest_facts_with_all_that_is_needed_to_send_them(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        outbox: Outbox = ledger.outbox
        facts = (started(), sampled(), ended(seq=2))
        await commit(ledger, *facts)
        rows = await outbox.rows(2)
        assert [row.fact for row in rows] == list(facts[:2])
        assert [(r.message.session, r.message.attempts, r.message.not_before, r.message.error) for r in rows] == [
            ("s1", 0, 0.0, None)
        ] * 2
        assert [(row.text, row.transaction, row.start_given_up) for row in rows] == [(None, None, False)] * 2
        assert await outbox.count() == 3


@pytest.mark.requirement(73)
async def test_a_resend_has_the_message_id_and_the_text_of_the_first_sending(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started())
        (first,) = await ledger.outbox.rows(1)
        await ledger.outbox.sending([(first.message.row, "first")])
    async with opened(tmp_path) as ledger:
        await ledger.outbox.sending([(first.message.row, "second")])
        assert await ledger.outbox.rows(1) == (replace(first, text="first"),)


async def test_what_was_confirmed_never_comes_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled(), ended(seq=2))
        rows = await ledger.outbox.rows(10)
        await ledger.outbox.acknowledge([Acknowledged(row.message.row, at(200)) for row in rows[:2]])
        await ledger.outbox.acknowledge([Acknowledged(rows[0].message.row, at(201))])  # told twice
        assert await ledger.outbox.count() == 1
    async with opened(tmp_path) as ledger:
        assert await ledger.lane() == [("s1", 2)]


async def test_followers_of_a_start_get_the_name_that_it_was_given(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled(), started("s2"))
        await ledger.acknowledge_head(42)
        assert [(r.message.session, r.transaction) for r in await ledger.outbox.rows(9)] == [("s1", 42), ("s2", None)]
        await ledger.acknowledge_head()
        await ledger.acknowledge_head("42")
        assert [await ledger.outbox.session_of(name) for name in (42, "42", 43)] == ["s1", "s2", None]


async def test_a_name_that_a_peer_uses_again_means_the_newest_session(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started("b"), started("a"), started("c"))
        for _ in range(2):
            await ledger.acknowledge_head(7)
        assert await ledger.outbox.session_of(7) == "a"


async def test_a_name_of_any_size_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled())
        await ledger.acknowledge_head(10**30)
        assert [row.transaction for row in await ledger.outbox.rows(1)] == [10**30]
        assert await ledger.outbox.session_of(10**30) == "s1"


async def test_a_failed_message_keeps_its_attempts_and_after_a_restart_goes_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started())
        (row,) = await ledger.outbox.rows(1)
        failed = replace(row.message, attempts=2, not_before=1234.5, error="GenericError: later")
        await ledger.outbox.failed(failed)
        assert (await ledger.outbox.rows(1))[0].message == failed
        await ledger.outbox.failed(replace(failed, not_before=0.0))  # the link was lost
        assert (await ledger.outbox.rows(1))[0].message == replace(failed, not_before=0.0)
        await ledger.outbox.failed(failed)
    async with opened(tmp_path) as ledger:
        assert (await ledger.outbox.rows(1))[0].message == replace(failed, not_before=0.0)


@pytest.mark.requirement(5, 9)
async def test_a_message_that_is_given_up_is_kept_and_blocks_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled(), started("s2"))
        row = await ledger.give_up_head("FormationViolation")
        query = "SELECT state, attempts, error, settled_at FROM outbox WHERE fact = ?"
        assert await ledger.lane() == [("s1", 1), ("s2", 0)]
        assert await ledger.outbox.count() == 2
        kept = await ledger.database.read(query, (row,))
        assert [tuple(r) for r in kept] == [("quarantined", 3, "FormationViolation", "2026-01-01T01:23:20+00:00")]


async def test_followers_know_that_their_start_was_given_up(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled(), started("s2"), sampled("s2"))
        await ledger.give_up_head()
        rows = await ledger.outbox.rows(9)
        assert [(r.message.session, r.start_given_up) for r in rows] == [("s1", True), ("s2", False), ("s2", False)]


async def test_a_message_confirmed_after_it_was_given_up_counts_as_confirmed(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await commit(ledger, started(), sampled())
        row = await ledger.give_up_head()
        await ledger.outbox.acknowledge([Acknowledged(row, at(6000), 42)])
        (follower,) = await ledger.outbox.rows(9)
        assert (follower.transaction, follower.start_given_up) == (42, False)
        await ledger.outbox.give_up(replace(follower.message, row=row), "too late", at(6001))
        assert [r.start_given_up for r in await ledger.outbox.rows(9)] == [False]


async def test_lanes_do_not_touch_each_other(tmp_path: Path) -> None:
    async with opened(tmp_path, "cloud", "ere") as ledger:
        ere = OutboxStore(ledger.database, "ere")
        await commit(ledger, started(), sampled())
        await ledger.acknowledge_head(42)
        await ledger.give_up_head()
        assert (await ledger.outbox.count(), await ere.count()) == (0, 2)
        assert [(row.transaction, row.message.attempts) for row in await ere.rows(9)] == [(None, 0)] * 2
        assert await ere.session_of(42) is None


@pytest.mark.requirement(16)
async def test_stamps_made_before_the_clock_was_known_are_right_when_they_are_sent(tmp_path: Path) -> None:
    wrong = [replace(at(s, TimeStatus.UNKNOWN), wall=at(s - 999_999).wall) for s in (10, 20, 30)]
    async with opened(tmp_path) as ledger:
        period = Period(wrong[0], Wh(Decimal(1)), Decimal(1))
        await ledger.journal.commit(
            EMPTY,
            [started(moment=wrong[0]), sampled(moment=wrong[1]), ended(seq=2, moment=wrong[2], periods=(period,))],
            wrong[2],
        )
        assert [row.fact for row in await ledger.outbox.rows(1)] == [started(moment=wrong[0])]
        await ledger.journal.anchor(at(40))
        start, sample, end = (row.fact for row in await ledger.outbox.rows(9))
        assert isinstance(start, SessionStarted)
        assert isinstance(sample, SessionSampled)
        assert isinstance(end, SessionEnded)
        moments = [start.at, start.reading.at, sample.reading.at, end.at, end.periods[0].start]
        assert [m.wall for m in moments] == [NEW_YEAR + timedelta(seconds=s) for s in (10, 10, 20, 30, 10)]
        assert {m.status for m in moments} == {TimeStatus.RELATIVE}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), st.sampled_from(["report", "hold", "local-only", "private"])),
        st.tuples(st.sampled_from(["sample", "end"]), st.integers(0, 3)),
        st.sampled_from([("release",), ("drop",), ("acknowledge",), ("give up",), ("reopen",)]),
    ),
    max_size=25,
)


@pytest.mark.requirement(1)
@settings(max_examples=25)
@given(STEPS)
def test_no_lane_loses_reorders_or_invents_a_message(steps: list[tuple[str, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), steps))


async def _play(folder: Path, steps: list[tuple[str, ...]]) -> None:
    model = Model()
    while steps:
        async with opened(folder) as ledger:
            assert await ledger.lane() == model.lane()
            steps = await _play_until_reopened(ledger, model, steps)
            assert await ledger.outbox.count() == len(model.lane())


async def _play_until_reopened(ledger: Ledger, model: Model, steps: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    while steps:
        step, steps = steps[0], steps[1:]
        if step == ("reopen",):
            break
        fact = model.fact(step)
        if fact is not None:
            await commit(ledger, fact)
        elif step[0] in {"acknowledge", "give up"} and model.lane():
            await (ledger.acknowledge_head() if step[0] == "acknowledge" else ledger.give_up_head())
            model.gone.add(model.lane()[0])
        assert await ledger.lane() == model.lane()
    return steps


class Model:
    """What the lane must be, kept the simple way: a list of all messages in order, filtered."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, int]] = []
        self.fate: dict[str, str] = {}
        self.open: dict[str, int] = {}
        self.gone: set[tuple[str, int]] = set()

    def lane(self) -> list[tuple[str, int]]:
        return [fact for fact in self.facts if self.fate[fact[0]] == "report" and fact not in self.gone]

    def fact(self, step: tuple[str, ...]) -> Fact | None:
        match step:
            case ("start", how):
                return self._start(how)
            case ("sample" | "end" as what, number):
                return self._follow(what, int(number))
            case ("release",):
                self.fate = {k: "report" if v == "hold" else v for k, v in self.fate.items()}
                return HeldReleased("ACME")
            case ("drop",):
                self.fate = {k: "local-only" if v == "hold" else v for k, v in self.fate.items()}
                return HeldDropped("ACME")
            case _:
                return None

    def _start(self, how: str) -> Fact:
        name = f"s{len(self.fate)}"
        self.fate[name] = how
        self.open[name] = 1
        self.facts.append((name, 0))
        if how == "private":
            return started(name, profile=Profile.PRIVATE, reporting=Reporting.LOCAL_ONLY)
        return started(name, reporting=Reporting(how), company_code="ACME")

    def _follow(self, what: str, number: int) -> Fact | None:
        if not self.open:
            return None
        name = list(self.open)[number % len(self.open)]
        seq = self.open[name]
        self.facts.append((name, seq))
        if what == "sample":
            self.open[name] += 1
            return sampled(name, seq)
        del self.open[name]
        return ended(name, seq)


def reading_at(seconds: float, status: TimeStatus = TimeStatus.SYNCHRONISED) -> MeterSampled:
    return MeterSampled(EvseId(1), ReadingContext.CLOCK, reading(at(seconds, status)))


async def test_a_reading_without_a_session_goes_to_every_lane_in_its_place(tmp_path: Path) -> None:
    async with opened(tmp_path, "cloud", "ere") as ledger:
        await ledger.journal.commit(
            EMPTY, (reading_at(5), started(), sampled(), ended(seq=2), reading_at(4000)), at(4000)
        )
        for name in ("cloud", "ere"):
            rows = await OutboxStore(ledger.database, name).rows(10)
            assert [type(row.fact) for row in rows] == [
                MeterSampled, SessionStarted, SessionSampled, SessionEnded, MeterSampled,
            ]  # fmt: skip
            assert (rows[0].message.session, rows[0].transaction, rows[0].start_given_up) == (None, None, False)
        await ledger.acknowledge_head()
        assert await ledger.outbox.count() == 4
        assert await OutboxStore(ledger.database, "ere").count() == 5


async def test_a_reading_that_was_taken_or_given_up_leaves_the_lane(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, (reading_at(5), reading_at(6)), at(7))
        await ledger.acknowledge_head()
        await ledger.give_up_head()
        assert await ledger.outbox.count() == 0
        found = await ledger.database.read("SELECT state FROM outbox")
        assert [state for (state,) in found] == ["quarantined"]


async def test_the_stamp_of_a_reading_without_a_session_is_corrected_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, (reading_at(5, TimeStatus.UNKNOWN),), at(5, TimeStatus.UNKNOWN))
        year = at(100)
        await ledger.journal.anchor(replace(year, wall=year.wall + timedelta(days=365)))
        (row,) = await ledger.outbox.rows(10)
        assert isinstance(row.fact, MeterSampled)
        assert row.fact.reading.at.wall == at(5).wall + timedelta(days=365)


async def test_the_history_of_a_session_is_its_start_and_its_readings(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, (started(), sampled(seq=1), started("s2"), sampled(seq=2)), at(50))
        await ledger.journal.commit(EMPTY, (ended(seq=3),), at(4000))
        history = await ledger.outbox.history(SessionId("s1"))
        assert [fact.seq for fact in history] == [0, 1, 2]
        assert await ledger.outbox.history(SessionId("nobody")) == ()


@pytest.mark.requirement(18)
async def test_samples_that_nobody_takes_are_thinned_and_starts_and_ends_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "THIN_EVERY", 16)
    monkeypatch.setattr(entries, "MOST_WITHOUT_SESSION", 20)
    monkeypatch.setattr(entries, "MOST_SAMPLES", 60)
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, (started(),), at(10))
        for n in range(1, 301):
            await ledger.journal.commit(EMPTY, (reading_at(n), sampled(seq=n, moment=at(20 + n))), at(20 + n))
        await ledger.journal.commit(EMPTY, (ended(seq=301),), at(4000))
        rows = [row.fact for row in await ledger.outbox.rows(1000)]
        assert isinstance(rows[0], SessionStarted)
        assert isinstance(rows[-1], SessionEnded)
        assert 5 <= sum(isinstance(fact, MeterSampled) for fact in rows) <= 36
        assert 20 <= sum(isinstance(fact, SessionSampled) for fact in rows) <= 76
        assert len(await ledger.outbox.history(SessionId("s1"))) == 301


async def test_what_was_given_up_is_sent_again_with_its_id_and_text(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, (started(), sampled(), ended(seq=2)), at(4000))
        await ledger.acknowledge_head(42)
        await ledger.acknowledge_head()
        (end,) = await ledger.outbox.rows(5)
        await ledger.outbox.sending([(end.message.row, "the stop")])
        await ledger.give_up_head()
        assert await ledger.outbox.count() == 0
        assert await ledger.outbox.resend(SessionId("s1")) == 1
        (again,) = await ledger.outbox.rows(5)
        assert (again.message.message_id, again.text, again.transaction) == (end.message.message_id, "the stop", 42)
        assert (again.message.attempts, again.message.error) == (0, None)
        assert await ledger.outbox.resend(SessionId("s1")) == 0


async def test_a_start_that_was_given_up_takes_along_what_went_out_without_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, (started(), sampled(), ended(seq=2)), at(4000))
        (start, _, _) = await ledger.outbox.rows(5)
        await ledger.outbox.sending([(start.message.row, "the start")])
        await ledger.give_up_head()
        _, end = await ledger.outbox.rows(5)
        await ledger.outbox.sending([(end.message.row, "the stop of -1")])
        await ledger.acknowledge_head()
        await ledger.acknowledge_head()
        assert await ledger.outbox.resend(SessionId("s1")) == 2
        first, second = await ledger.outbox.rows(5)
        assert (first.message.message_id, first.text) == (start.message.message_id, "the start")
        assert second.text is None
        assert second.message.message_id != end.message.message_id
        assert not second.start_given_up
        await ledger.acknowledge_head(7)
        (last,) = await ledger.outbox.rows(5)
        assert last.transaction == 7


async def test_a_session_that_went_well_or_that_nobody_knows_is_not_sent_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as ledger:
        await ledger.journal.commit(EMPTY, (started(), ended()), at(4000))
        await ledger.acknowledge_head(42)
        assert await ledger.outbox.resend(SessionId("s1")) == 0
        assert await ledger.outbox.resend(SessionId("nobody")) == 0
        assert await ledger.outbox.count() == 1
