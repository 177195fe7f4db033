"""Walking a chain of models on a real socket: where it may begin, which model counts, and what is no chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from agent.fieldbus.bus import Wire
from agent.fieldbus.chain import locate
from agent.fieldbus.line import Refused, WrongAnswer
from agent.fieldbus.points import Chain
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import BUS, Slave, on_socket

SUNSPEC = Chain(3, (40000, 50000, 0), 0x53756E53, {"common": (1,), "meter": (201, 203)})
SIZES = {"common": 66, "meter": 55}
Model = tuple[int, int]
"""Id and length."""


def chain(start: int, models: Sequence[Model]) -> dict[tuple[int, int], int]:
    words = {(3, start): 0x5375, (3, start + 1): 0x6E53}
    at = start + 2
    for kind, length in models:
        words |= {(3, at): kind, (3, at + 1): length}
        at += 2 + length
    return words


async def walked(words: dict[tuple[int, int], int], sizes: Mapping[str, int] = SIZES) -> Mapping[str, int]:
    async with on_socket(Slave(words, tcp=True)) as (_, line):
        wire = Wire(line, SystemClock(1))
        async with wire.open():
            return await locate(wire.device("meter", 1, BUS), SUNSPEC, sizes)


END = (0xFFFF, 0)


@pytest.mark.parametrize("start", [40000, 50000, 0])
@pytest.mark.parametrize("length", [65, 66])
async def test_a_chain_is_found_at_each_start_and_walked_by_lengths(start: int, length: int) -> None:
    found = await walked(chain(start, [(1, length), (203, 105), END]))
    assert found == {"common": start + 2, "meter": start + 4 + length}


async def test_the_names_of_a_meter_behind_an_inverter_are_its_own() -> None:
    models = [(1, 65), (103, 50), (1, 65), (203, 105), (1, 65), (203, 105), END]
    assert await walked(chain(40000, models)) == {"common": 40121, "meter": 40188}


async def test_a_model_that_is_too_short_does_not_count() -> None:
    models = [(1, 66), (203, 20), (201, 105), END]
    assert await walked(chain(40000, models)) == {"common": 40002, "meter": 40092}


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ([(1, 66), (103, 50), END], r"its chain of models \(1, 103\) has no meter \(201 or 203\)"),
        ([(1, 66)], r"its chain of models \(1\) has no meter"),
        ([(1, 10), (203, 105), END], r"its chain of models \(1, 203\) has no common \(1\) that is long enough"),
        ([(1, 66), (203, 65000)], r"its chain of models \(1\) has no meter"),
        ([(7, 0)] * 200, r"has no common \(1\), no meter"),
        ([END], r"its chain of models \(\) has no common"),
    ],
)
async def test_a_chain_without_a_meter_is_told_with_what_it_has(models: list[Model], told: str) -> None:
    with pytest.raises(WrongAnswer, match=rf"meter address 1 on 127.0.0.1:\d+: .*{told}"):
        await walked(chain(40000, models))


@pytest.mark.parametrize("words", [{}, {(3, at): 0 for at in (40000, 40001, 50000, 50001, 0, 1)}])
async def test_a_device_without_a_chain_is_told_where_it_was_looked_for(words: dict[tuple[int, int], int]) -> None:
    with pytest.raises(WrongAnswer, match=r"has no chain of models \(no 0x53756e53 at 40000, 50000, 0\); check the mo"):
        await walked(words)


async def test_a_busy_device_is_not_taken_for_one_without_a_chain() -> None:
    slave = Slave({}, tcp=True)
    slave.script.append(lambda request, _honest: [(0.0, request[:4] + bytes((0, 3, 1, 0x83, 6)))])
    async with on_socket(slave) as (_, line):
        wire = Wire(line, SystemClock(1))
        async with wire.open():
            with pytest.raises(Refused, match="busy"):
                await locate(wire.device("meter", 1, BUS), SUNSPEC, SIZES)
