"""Requirements about the way to the central system: order, retries, broken links, boots, answers that come twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from agent.core.events import CloudChanged, StartAnswered
from agent.core.facts import SessionSampled
from agent.core.model import Reading, Registration, Value, Wh
from tests.unit.ocpp.central import (
    NOW,
    Central,
    Failing,
    HangUp,
    Payload,
    Received,
    Script,
    Silence,
    Station,
    ended,
    eventually,
    instant,
    running,
    sampled,
    started,
)

TRANSACTION = ("StartTransaction", "MeterValues", "StopTransaction")
GOOD: dict[str, Payload] = {
    "StartTransaction": {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
    "MeterValues": {},
    "StopTransaction": {"idTagInfo": {"status": "Accepted"}},
}
REFUSAL = Failing("InternalError")


def trying(station: Station, attempts: int) -> None:
    station.settings = replace(station.settings, message_attempts=attempts)


async def delivered(station: Station) -> None:
    await eventually(lambda: not station.lane.waiting, "an empty lane")


def transactions(central: Central) -> list[Received]:
    return [call for call in central.calls if call.action in TRANSACTION]


# ---- messages that are not taken ----


@pytest.mark.requirement(2, 9)
@pytest.mark.parametrize("action", TRANSACTION)
@pytest.mark.parametrize("failure", [REFUSAL, Silence()], ids=["refused", "unanswered"])
async def test_whichever_message_fails_for_good_the_rest_of_the_lane_is_delivered(action: str, failure: Script) -> None:
    central = Central(answering={action: [failure, failure, GOOD[action]]})
    async with running(central) as station:
        trying(station, 2)
        station.report(started(), sampled(), ended(), started("s2"), ended("s2"))
        await delivered(station)
        ((lost, _),) = station.lane.quarantine
        assert lost.message_id == {"StartTransaction": "m-s1-0", "MeterValues": "m-s1-1"}.get(action, "m-s1-9")
        tries = [call.message_id for call in transactions(central)]
        assert tries.count(lost.message_id) == 2
        assert list(dict.fromkeys(tries)) == ["m-s1-0", "m-s1-1", "m-s1-9", "m-s2-0", "m-s2-9"]


@pytest.mark.requirement(2)
async def test_a_message_at_which_the_central_system_always_hangs_up_does_not_keep_later_sessions() -> None:
    central = Central(answering={"StopTransaction": HangUp()})
    async with running(central) as station:
        trying(station, 2)
        station.report(started(), ended(), started("s2"))
        await eventually(lambda: not station.lane.waiting or len(central.of("StopTransaction")) >= 12)
        assert len(central.of("StartTransaction")) == 2


@pytest.mark.requirement(1, 21)
async def test_start_values_and_stop_keep_their_order_although_each_is_refused_once() -> None:
    central = Central(answering={action: [REFUSAL, answer] for action, answer in GOOD.items()})
    async with running(central) as station:
        station.report(started(), sampled(), sampled(seq=2, wh=1200), ended())
        await delivered(station)
        assert [call.message_id for call in transactions(central)] == [
            "m-s1-0", "m-s1-0", "m-s1-1", "m-s1-1", "m-s1-2", "m-s1-9", "m-s1-9",
        ]  # fmt: skip
        assert {call.payload.get("transactionId") for call in transactions(central)} == {None, 7}


@pytest.mark.requirement(21)
async def test_another_list_of_measurands_holds_from_the_next_sample_on() -> None:
    def sample(seq: int) -> SessionSampled:
        values = (Value("power_total", Decimal(7200)), Value("voltage_l1", Decimal(230)))
        return replace(sampled(seq=seq), reading=Reading(instant(seq), Wh(Decimal(1000 + seq)), values))

    def measurands(call: Received) -> list[str]:
        return [value["measurand"] for value in call.payload["meterValue"][0]["sampledValue"]]

    central = Central()
    async with running(central) as station:
        station.settings = replace(station.settings, sampled_measurands=("Power.Active.Import",))
        station.report(started(), sample(1))
        await delivered(station)
        station.settings = replace(station.settings, sampled_measurands=("Voltage", "Energy.Active.Import.Register"))
        station.report(sample(2))
        await delivered(station)
        assert [measurands(call) for call in central.of("MeterValues")] == [
            ["Power.Active.Import"], ["Voltage", "Energy.Active.Import.Register"],
        ]  # fmt: skip


# ---- links that break ----


@dataclass
class Flaky:
    """Hangs up on some messages, before or after they were taken; takes each once, as a good central system does."""

    chance: random.Random
    texts: dict[str, Payload] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)

    def answering(self, central: Central) -> dict[str, Callable[[Payload], Script]]:
        return {action: self._script(central, action) for action in TRANSACTION}

    def _script(self, central: Central, action: str) -> Callable[[Payload], Script]:
        def answer(payload: Payload) -> Script:
            message_id = central.calls[-1].message_id
            assert self.texts.setdefault(message_id, payload) == payload, "a resend differs"
            what = self.chance.choice(["take", "take", "lose", "take and hang up"])
            if what != "lose" and message_id not in self.taken:
                self.taken.append(message_id)
            return GOOD[action] if what == "take" else HangUp()

        return answer


@pytest.mark.requirement(14)
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_links_that_break_again_and_again_lose_reorder_and_change_nothing(seed: int) -> None:
    central, flaky = Central(), Flaky(random.Random(seed))
    central.answering.update(flaky.answering(central))
    async with running(central) as station:
        facts = [f for n in range(5) for f in (started(f"s{n}"), sampled(f"s{n}"), ended(f"s{n}"))]
        station.report(*facts)
        await delivered(station)
        assert flaky.taken == [f"m-s{n}-{seq}" for n in range(5) for seq in (0, 1, 9)]
        assert len(central.connections) > 2
        assert not station.lane.quarantine
        assert len(central.of("BootNotification")) == 1


@pytest.mark.requirement(25)
async def test_a_central_system_that_hangs_up_at_each_boot_leaks_nothing_and_registers_once() -> None:
    boots: list[Script] = [HangUp()] * 15
    accepted: Payload = {"status": "Accepted", "currentTime": NOW, "interval": 300}
    async with running(Central()) as first_try:
        await first_try.accepted()
        needed = len(_tasks())
    central = Central(answering={"BootNotification": [*boots, accepted]})
    async with running(central) as station:
        await station.accepted()
        assert len(_tasks()) <= needed
        assert [call.connection for call in central.of("BootNotification")] == list(range(1, 17))
        told = [(e.connected, e.registration) for e in station.events if isinstance(e, CloudChanged)]
        assert told.count((True, Registration.ACCEPTED)) == 1
        await asyncio.sleep(0.3)  # longer than any boot that was planned
        assert len(central.of("BootNotification")) == 16


@pytest.mark.requirement(25)
async def test_a_link_that_comes_and_goes_after_the_boot_registers_no_second_time() -> None:
    central = Central()
    async with running(central) as station:
        await station.accepted()
        early = len(_tasks())
        for number in range(2, 12):
            await central.newest.close()
            await station.back(number)
        assert len(_tasks()) <= early
        assert len(central.of("BootNotification")) == 1


def _tasks() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if "agent/ocpp" in str(task.get_coro())]


# ---- answers that come twice ----


@pytest.mark.requirement(73)
async def test_a_start_that_is_answered_twice_with_two_names_has_one_of_them_for_good() -> None:
    central = Central(answering={"StartTransaction": Silence()})
    async with running(central) as station:
        trying(station, 5)
        station.report(started(), sampled(), ended())
        await eventually(lambda: len(central.of("StartTransaction")) == 2)
        message_id = central.of("StartTransaction")[0].message_id
        for name in (41, 42):
            await central.send(3, message_id, {"transactionId": name, "idTagInfo": {"status": "Accepted"}})
        await delivered(station)
        names = [call.payload["transactionId"] for call in transactions(central) if call.action != "StartTransaction"]
        assert names == [41, 41]
        assert [e.transaction for e in station.events if isinstance(e, StartAnswered)] == [41]


@pytest.mark.requirement(34)
async def test_a_list_with_a_token_that_is_too_long_is_refused_before_anything_of_it_counts() -> None:
    entries = [{"idTag": "04A1B2C3", "idTagInfo": {"status": "Accepted"}}, {"idTag": "A" * 21}]
    central = Central()
    async with running(central) as station:
        await station.accepted()
        payload = {"listVersion": 2, "updateType": "Full", "localAuthorizationList": entries}
        reply = await central.ask("SendLocalList", payload)
        assert reply[:3] == [4, "s1", "PropertyConstraintViolation"]
        assert station.commands() == []
