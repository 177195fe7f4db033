"""The loop: order of application, failed commits, deadlines; and the small services around it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agent.core.commands import BlockCard, CallRef, GetSettings, Result
from agent.core.effects import Answer, Effect, Energise, Indicate, ReportStatus, SafetyEffect, Stop
from agent.core.errors import JournalFull
from agent.core.events import (
    CardPresented,
    CloudChanged,
    CommandReceived,
    Event,
    EvseRead,
    MeterRead,
    ShutdownRequested,
)
from agent.core.facts import Fact, MeterSampled, SessionStarted
from agent.core.instant import Instant
from agent.core.model import (
    ConnectorStatus,
    ErrorCode,
    EvseId,
    EvseReading,
    IdToken,
    MilliAmp,
    Pilot,
    Profile,
    Reading,
    Wh,
)
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import Availability, Card, Durable, EvseState, Phase, StationState, Tokens
from agent.core.turn import Step
from agent.runtime.loop import JOURNAL_RETRY_S, Loop

ONE = EvseId(1)
CARD = IdToken("04A1B2C3")


@dataclass
class HandClock:
    """A clock that moves by hand."""

    mono: float = 100.0

    def now(self) -> Instant:
        return Instant(self.mono, datetime(2026, 11, 21, tzinfo=UTC) + timedelta(seconds=self.mono))

    async def sleep_until(self, mono: float) -> None:
        self.mono = max(self.mono, mono)


@dataclass
class Diary:
    """A journal, and everything that happened, in order."""

    lines: list[object] = field(default_factory=list)
    full: bool = False
    tries: int = 0
    checks: int = 0

    async def load(self) -> Durable | None:
        return None

    async def commit(self, slices: Durable, facts: Sequence[Fact], at: Instant) -> None:
        del at
        self.tries += 1
        if self.full:
            message = "no space left on device"
            raise JournalFull(message)
        self.lines.append(("commit", [type(f).__name__ for f in facts], sorted(slices.tokens.cards)))

    async def check(self) -> None:
        self.checks += 1
        if self.full:
            message = "no space left on device"
            raise JournalFull(message)

    def effects(self, kind: type) -> list[object]:
        return [line for line in self.lines if isinstance(line, kind)]


def a_loop(diary: Diary, clock: HandClock, change: Callable[[StationState], StationState] = lambda s: s) -> Loop:
    policy = Policy(evses=(EvsePolicy(ONE),))
    card = Card(CARD, Profile.PRIVATE)
    state = change(StationState((EvseState(ONE),), tokens=Tokens(cards={CARD.key: card})))
    return Loop(
        state,
        policy,
        clock=clock,
        journal=diary,
        safety=diary.lines.append,
        perform=diary.lines.append,
        committed=lambda: diary.lines.append("told"),
    )


def plugged(clock: HandClock) -> tuple[Event, ...]:
    seen = EvseReading(clock.now(), Pilot.B, connected=True, charging=False, offering=False, limit=MilliAmp(0))
    return MeterRead(ONE, Reading(clock.now(), Wh(Decimal(1000)))), EvseRead(ONE, seen)


async def feed(loop: Loop, *events: Event) -> None:
    for event in events:
        loop.post(event)
    await loop.drain()


async def test_the_start_is_committed_before_power_and_reported_after() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    kinds = [line[1] if isinstance(line, tuple) else type(line).__name__ for line in diary.lines]
    assert kinds.index(["SessionStarted"]) < kinds.index("Energise")
    assert "told" in diary.lines


async def test_polls_that_change_nothing_durable_are_not_committed() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock))
    diary.lines.clear()
    await feed(loop, *plugged(clock), *plugged(clock))
    assert not [line for line in diary.lines if isinstance(line, tuple)]


async def test_a_register_that_cannot_be_noted_is_seen_all_the_same() -> None:
    diary, clock = Diary(full=True), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock))
    assert loop.state.evse(ONE).meter.reading is not None
    assert loop.journal_error is not None


@pytest.mark.requirement(18, 35)
async def test_a_full_disk_starts_nothing_and_heals_by_itself() -> None:
    diary, clock = Diary(full=True), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    assert loop.journal_error == "no space left on device"
    assert not diary.effects(Energise)
    assert loop.state.evse(ONE).session is None
    diary.full = False
    clock.mono += 10
    await feed(loop, *plugged(clock), CardPresented(CARD))
    assert loop.journal_error is None
    assert diary.effects(Energise) == [Energise(ONE, MilliAmp(16000))]


@pytest.mark.requirement(35)
async def test_who_waits_for_an_answer_is_refused_when_the_ledger_is_full() -> None:
    diary, clock = Diary(full=True), HandClock()
    loop = a_loop(diary, clock)
    call = CallRef("control", "1")
    await feed(loop, CommandReceived(call, BlockCard(CARD, "lost")))
    (answer,) = diary.effects(Answer)
    assert isinstance(answer, Answer)
    assert answer.outcome.result is Result.REJECTED
    assert "no space left" in (answer.outcome.reason or "")


async def test_safety_effects_do_not_wait_for_the_ledger() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    diary.full = True
    diary.lines.clear()
    gone = EvseReading(clock.now(), Pilot.A, connected=False, charging=False, offering=False, limit=MilliAmp(16000))
    await feed(loop, EvseRead(ONE, gone))
    assert any(isinstance(line, SafetyEffect) for line in diary.lines)


async def test_a_card_ends_its_session_although_the_ledger_is_full() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    diary.full = True
    clock.mono += 60
    await feed(loop, CardPresented(CARD), *plugged(clock))
    session = loop.state.evse(ONE).session
    assert session is not None
    assert session.phase is Phase.ENDING
    assert loop.journal_error is not None
    diary.full = False
    clock.mono += 60
    await feed(loop, *plugged(clock), *plugged(clock))
    assert ("commit", ["SessionEnded"], [CARD.key]) in diary.lines
    assert loop.journal_error is None


async def test_a_shutdown_does_not_wait_for_a_full_disk() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    diary.full = True
    clock.mono += 60
    await feed(loop, *plugged(clock), ShutdownRequested())
    assert diary.effects(Stop) == [Stop()]


async def test_a_ledger_that_works_again_is_noticed_without_anything_new() -> None:
    diary, clock = Diary(full=True), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    await feed(loop, *plugged(clock))
    assert diary.checks == 0
    clock.mono += 10
    await feed(loop, *plugged(clock))
    assert (diary.checks, loop.journal_error) == (1, "no space left on device")
    diary.full = False
    clock.mono += 10
    await feed(loop, *plugged(clock))
    assert loop.journal_error is None


async def test_a_deadline_is_kept_without_an_event() -> None:
    diary, clock = Diary(), HandClock()
    unplugged = EvseReading(clock.now(), Pilot.A, connected=False, charging=False, offering=False, limit=MilliAmp(0))
    loop = a_loop(diary, clock)
    await feed(loop, plugged(clock)[0], EvseRead(ONE, unplugged), CardPresented(CARD))
    assert loop.state.evse(ONE).grant is not None
    clock.mono += 60.5
    running = asyncio.ensure_future(loop.run())
    async with asyncio.timeout(5):
        while loop.state.evse(ONE).grant is not None:  # the loop under test has nothing to wait on
            await asyncio.sleep(0)
    running.cancel()
    assert any(isinstance(line, Indicate) and not line.accepted for line in diary.lines)


@pytest.mark.requirement(18)
async def test_commands_are_never_dropped_however_many_polls_wait() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    for _ in range(2000):
        loop.post(plugged(clock)[0])
    loop.post(CommandReceived(CallRef("control", "7"), BlockCard(CARD, None)))
    await loop.drain()
    assert [e.call.message_id for e in diary.effects(Answer) if isinstance(e, Answer)] == ["7"]


def blocks(*reasons: str) -> list[Event]:
    cards = [IdToken(f"04{number:06}") for number in range(len(reasons))]
    pairs = zip(cards, reasons, strict=True)
    return [CommandReceived(CallRef("control", card.value), BlockCard(card, reason)) for card, reason in pairs]


async def test_commands_that_wait_one_behind_the_other_share_a_commit_and_are_answered_after_it_in_order() -> None:
    diary = Diary()
    loop = a_loop(diary, HandClock())
    asked = blocks(*"abcde")
    await feed(loop, *asked)
    assert diary.tries == 1
    commit = next(i for i, line in enumerate(diary.lines) if isinstance(line, tuple))
    answers = [line for line in diary.lines[commit:] if isinstance(line, Answer)]
    assert [a.call.message_id for a in answers] == [f"04{n:06}" for n in range(5)]
    assert {a.outcome.result for a in answers} == {Result.ACCEPTED}
    assert len(loop.state.tokens.cards) == 6


async def test_commands_whose_common_commit_fails_are_taken_each_by_itself() -> None:
    diary = Diary(full=True)
    loop = a_loop(diary, HandClock())
    reads = CommandReceived(CallRef("control", "read"), GetSettings())
    await feed(loop, blocks("a")[0], reads, *blocks("b", "c")[1:])
    answers = [a for a in diary.effects(Answer) if isinstance(a, Answer)]
    results = [(a.call.message_id, a.outcome.result) for a in answers]
    assert results == [("04000000", Result.REJECTED), ("read", Result.ACCEPTED), ("04000001", Result.REJECTED)]
    assert len(loop.state.tokens.cards) == 1


async def test_facts_reach_the_journal_in_the_step_that_made_them() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    commits = [line for line in diary.lines if isinstance(line, tuple)]
    assert [c[1] for c in commits] == [[MeterSampled.__name__], [SessionStarted.__name__]]


async def test_shutdown_keeps_the_last_reading_of_a_running_session() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    clock.mono += 1
    await feed(loop, MeterRead(ONE, Reading(clock.now(), Wh(Decimal(1003)))), ShutdownRequested())
    session = loop.state.evse(ONE).session
    assert session is not None
    assert session.last.register == Decimal(1003)


async def test_status_is_reported_once_per_change() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock, replace)
    await feed(loop, *plugged(clock), *plugged(clock), CloudChanged(connected=False, registration=None))
    reports: list[Effect] = [e for e in diary.effects(ReportStatus) if isinstance(e, ReportStatus) and e.evse == ONE]
    assert len(reports) == 1


async def test_a_deadline_that_cannot_be_committed_does_not_spin() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    gone = EvseReading(clock.now(), Pilot.A, connected=False, charging=False, offering=False, limit=MilliAmp(0))
    await feed(loop, EvseRead(ONE, gone))
    diary.full = True
    clock.mono += 30
    tries = diary.tries
    running = asyncio.ensure_future(loop.run())
    for _ in range(50):
        await asyncio.sleep(0)
    running.cancel()
    assert 1 <= diary.tries - tries <= 2
    assert loop.journal_error is not None


@pytest.mark.requirement(35)
async def test_no_power_is_offered_while_the_ledger_fails() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    clock.mono += 20
    await feed(loop, EvseRead(ONE, off(clock)))
    diary.full = True
    diary.lines.clear()
    clock.mono += 60
    await feed(loop, MeterRead(ONE, Reading(clock.now(), Wh(Decimal(1010)))), EvseRead(ONE, off(clock)))
    assert loop.journal_error is not None
    assert not diary.effects(Energise)
    diary.full = False
    clock.mono += 60
    await feed(loop, MeterRead(ONE, Reading(clock.now(), Wh(Decimal(1020)))), EvseRead(ONE, off(clock)))
    assert diary.effects(Energise)


def off(clock: HandClock) -> EvseReading:
    """Return what a controller tells that was started anew: it offers nothing."""
    return EvseReading(clock.now(), Pilot.B, connected=True, charging=False, offering=False, limit=MilliAmp(0))


async def test_a_first_step_that_could_not_be_committed_is_done_once_the_ledger_takes_it() -> None:
    diary, clock = Diary(full=True), HandClock()
    loop = a_loop(diary, clock)
    linked: list[float] = []

    def link(state: StationState, at: Instant, policy: Policy) -> Step:
        del policy
        linked.append(at.mono)
        return Step((), replace(state, company=replace(state.company, configured="ACME-7F3K")), (), ())

    await loop.begin(link)
    assert loop.state.company.configured is None
    await feed(loop, *plugged(clock))
    assert linked == [100.0]
    diary.full = False
    clock.mono += JOURNAL_RETRY_S
    await feed(loop, *plugged(clock))
    assert loop.state.company.configured == "ACME-7F3K"
    clock.mono += JOURNAL_RETRY_S
    await feed(loop, *plugged(clock))
    assert linked == [100.0, 105.0]


async def test_a_loop_without_events_tries_its_first_step_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.runtime.loop.JOURNAL_RETRY_S", 0.0)
    diary, clock = Diary(full=True), HandClock()
    loop = a_loop(diary, clock)
    await loop.begin(lambda state, _at, _policy: Step((), replace(state, station=Availability()), (), ()))
    diary.full = False
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        running = group.create_task(loop.run())
        while loop.journal_error is not None:
            await asyncio.sleep(0)
        running.cancel()
    assert any(isinstance(line, tuple) for line in diary.lines)


async def test_a_ledger_that_fails_makes_an_idle_connector_faulted_and_refuses_cards_with_the_cause() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock))
    loop.refuse("no space left on device")
    diary.full = True
    await feed(loop, CardPresented(CARD))
    reports = [e for e in diary.effects(ReportStatus) if isinstance(e, ReportStatus) and e.evse == ONE]
    assert (reports[-1].status, reports[-1].error_code) == (ConnectorStatus.FAULTED, ErrorCode.INTERNAL_ERROR)
    (told,) = diary.effects(Indicate)
    assert isinstance(told, Indicate)
    assert "nothing can be recorded: no space left on device" in told.text
    diary.full = False
    clock.mono += 60
    await feed(loop, *plugged(clock))
    clock.mono += 60
    await feed(loop, *plugged(clock))
    assert loop.state.evse(ONE).shown == (ConnectorStatus.PREPARING, ErrorCode.NO_ERROR)


async def test_a_session_that_runs_is_not_faulted_by_a_ledger_that_fails() -> None:
    diary, clock = Diary(), HandClock()
    loop = a_loop(diary, clock)
    await feed(loop, *plugged(clock), CardPresented(CARD))
    loop.refuse("no space left on device")
    await feed(loop, *plugged(clock))
    shown = loop.state.evse(ONE).shown
    assert shown is not None
    assert shown[0] is not ConnectorStatus.FAULTED
