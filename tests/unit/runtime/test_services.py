"""Clock, supervision, polls, commanders and the table of effects."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agent.core.commands import CallRef, ClearCache, Outcome, Result
from agent.core.effects import (
    Answer,
    AskCsms,
    Deenergise,
    Effect,
    Energise,
    Indicate,
    PollMeter,
    Reduce,
    Restart,
    Stop,
    Unlock,
)
from agent.core.errors import EvseFault, MeterCorrupt, MeterTimeout
from agent.core.events import Event, EvseFailed, EvseRead, LockMoved, MeterFailed, MeterRead
from agent.core.instant import Instant, TimeStatus
from agent.core.model import EvseId, EvseReading, IdToken, MilliAmp, Pilot, Reading, Wh
from agent.runtime.clock import SystemClock, boot_id, ntp_synchronised
from agent.runtime.commander import Commander
from agent.runtime.perform import Performer
from agent.runtime.polling import Poll, ask_evse, ask_meter
from agent.runtime.supervise import supervise

ONE = EvseId(1)


def instant(mono: float = 1.0) -> Instant:
    return Instant(mono, datetime(2026, 1, 1, tzinfo=UTC))


def clock(*, ntp: bool = False) -> SystemClock:
    return SystemClock(3, ntp=lambda: ntp)


def test_the_clock_is_not_synchronised_until_somebody_told_the_time() -> None:
    ticking = clock()
    assert ticking.view().synchronised is False
    assert ticking.now().status is TimeStatus.INFORMATIVE
    assert ticking.now().boot == 3


def test_a_told_time_moves_the_wall_clock_but_not_durations() -> None:
    ticking = clock()
    steps: list[None] = []
    ticking.on_step(lambda: steps.append(None))
    before = ticking.now()
    ticking.told("ocpp", before.wall + timedelta(days=365), before)
    after = ticking.now()
    assert after.wall - before.wall >= timedelta(days=364)
    assert after.mono - before.mono < 5
    assert after.status is TimeStatus.SYNCHRONISED
    assert ticking.view().source == "ocpp"
    assert len(steps) == 1


def test_small_differences_do_not_step_the_clock() -> None:
    ticking = clock()
    steps: list[None] = []
    ticking.on_step(lambda: steps.append(None))
    now = ticking.now()
    ticking.told("ocpp", now.wall + timedelta(milliseconds=900), now)
    assert not steps
    assert ticking.view().synchronised


def test_a_time_server_wins_over_the_central_system() -> None:
    ticking = clock(ntp=True)
    now = ticking.now()
    ticking.told("ocpp", now.wall + timedelta(days=2), now)
    assert ticking.now().wall - now.wall < timedelta(minutes=1)
    assert ticking.view().source == "ntp"


def test_a_told_time_before_2024_is_not_believed() -> None:
    ticking = clock()
    now = ticking.now()
    ticking.told("ocpp", datetime(1970, 1, 1, tzinfo=UTC), now)
    assert ticking.view().synchronised is False


def test_the_kernel_tells_its_boot_and_whether_a_time_server_rules() -> None:
    assert len(boot_id()) == 36
    assert ntp_synchronised() in {True, False}


async def test_a_service_is_restarted_on_listed_failures_and_not_on_others() -> None:
    told: list[str] = []
    tries = 0

    class Hand:
        mono = 0.0

        def now(self) -> Instant:
            return instant(self.mono)

        async def sleep_until(self, mono: float) -> None:
            self.mono = mono

    async def run() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise MeterTimeout(str(tries))
        message = "a defect"
        raise ZeroDivisionError(message)

    hand = Hand()
    with pytest.raises(ZeroDivisionError):
        await supervise(
            "x", run, clock=hand, failures=(MeterTimeout,), failed=lambda e: told.append(str(e)), chance=lambda: 0.5
        )
    assert told == ["1", "2", "3"]
    assert hand.mono == pytest.approx((1 + 2 + 5) * 1.1)


@dataclass
class Box:
    """A controller that remembers what it was told."""

    limits: list[int] = field(default_factory=list)
    broken: bool = False

    async def read(self) -> EvseReading:
        if self.broken:
            message = "no answer"
            raise EvseFault(message)
        return EvseReading(instant(), Pilot.A, connected=False, charging=False)

    async def set_limit(self, limit: MilliAmp) -> None:
        if self.broken:
            message = "no answer"
            raise EvseFault(message)
        self.limits.append(limit)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_only_the_newest_limit_is_sent() -> None:
    box, events = Box(), list[Event]()
    commander = Commander(ONE, box, events.append)
    commander.order(MilliAmp(16000))
    commander.order(MilliAmp(0))
    running = asyncio.ensure_future(commander.run())
    await settle()
    assert box.limits == [0]
    commander.order(MilliAmp(6000))
    await settle()
    assert box.limits == [0, 6000]
    running.cancel()


async def test_a_limit_that_is_not_taken_is_an_event() -> None:
    box, events = Box(broken=True), list[Event]()
    commander = Commander(ONE, box, events.append)
    running = asyncio.ensure_future(commander.run())
    commander.order(MilliAmp(6000))
    await settle()
    assert events == [EvseFailed(ONE, "no answer")]
    running.cancel()


class Socket:
    """The lock of a socket, which may be stuck."""

    def __init__(self, *, stuck: bool = False) -> None:
        self.stuck = stuck
        self.opened = 0

    async def unlock(self) -> None:
        if self.stuck:
            message = "the bolt is stuck"
            raise EvseFault(message)
        self.opened += 1


@pytest.mark.parametrize("lock", [Socket(), Socket(stuck=True), None])
async def test_a_lock_opens_after_the_limit_and_tells_who_asked_what_became_of_it(lock: Socket | None) -> None:
    box, events = Box(), list[Event]()
    commander = Commander(ONE, box, events.append, lock)
    performer = Performer({ONE: commander}, {}, lambda _: None)
    call = CallRef("cloud", "7")
    performer.perform(Unlock(ONE, call))
    performer.perform(Unlock(ONE))
    performer.safety(Deenergise(ONE))
    running = asyncio.ensure_future(commander.run())
    await settle()
    opens = lock is not None and not lock.stuck
    assert events == [LockMoved(ONE, call, opens), LockMoved(ONE, None, opens)]
    assert box.limits == [0]
    running.cancel()


class Meter:
    """A meter with a list of answers."""

    def __init__(self, *answers: Reading | Exception) -> None:
        self.answers = list(answers)

    async def read(self) -> Reading:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_poll_turns_answers_and_their_absence_into_events() -> None:
    reading = Reading(instant(), Wh(Decimal(5)))
    ask = ask_meter(ONE, Meter(reading, MeterTimeout("silence"), MeterCorrupt("nonsense")))
    assert [await ask(), await ask(), await ask()] == [
        MeterRead(ONE, reading),
        MeterFailed(ONE, "silence"),
        MeterFailed(ONE, "nonsense"),
    ]
    box = Box()
    assert isinstance(await ask_evse(ONE, box)(), EvseRead)
    box.broken = True
    assert await ask_evse(ONE, box)() == EvseFailed(ONE, "no answer")


async def test_a_poll_comes_at_once_when_asked() -> None:
    events: list[Event] = []
    reading = Reading(instant(), Wh(Decimal(5)))
    poll = Poll(ask_meter(ONE, Meter(*[reading] * 5)), interval_s=3600, clock=clock(), post=events.append)
    running = asyncio.ensure_future(poll.run())
    await settle()
    assert len(events) == 1
    poll.now()
    await settle()
    assert len(events) == 2
    running.cancel()


@dataclass
class Peer:
    """A destination that remembers."""

    got: list[Effect] = field(default_factory=list)
    told: int = 0

    def perform(self, effect: Effect) -> None:
        self.got.append(effect)

    def facts_committed(self) -> None:
        self.told += 1


async def test_effects_go_where_they_belong() -> None:
    box, stops = Box(), list[Restart | Stop]()
    commander = Commander(ONE, box, lambda _: None)
    cloud, control = Peer(), Peer()
    performer = Performer({ONE: commander}, {}, stops.append, {"cloud": cloud, "control": control})
    running = asyncio.ensure_future(commander.run())
    answer = Answer(CallRef("control", "1"), Outcome(ClearCache(), Result.ACCEPTED))
    for effect in (
        Energise(ONE, MilliAmp(7000)),
        PollMeter(ONE),
        answer,
        Indicate(ONE, "hello", accepted=True),
        Stop(),
    ):
        performer.perform(effect)
    await settle()
    performer.safety(Reduce(ONE, MilliAmp(6000)))
    await settle()
    performer.safety(Deenergise(ONE))
    await settle()
    performer.perform(AskCsms(1, IdToken("A")))
    performer.committed()
    assert box.limits == [7000, 6000, 0]
    assert control.got == [answer, AskCsms(1, IdToken("A"))]
    assert cloud.got == [AskCsms(1, IdToken("A"))]
    assert (cloud.told, control.told) == (1, 1)
    assert stops == [Stop()]
    running.cancel()
