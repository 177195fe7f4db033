"""What goes wrong with a meter on a pseudo-terminal, for three kinds: nothing is invented, nothing is final."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import MeterCorrupt, MeterTimeout
from agent.core.model import Reading
from agent.fieldbus.bus import Wire
from agent.fieldbus.definition import find
from agent.fieldbus.line import LineSettings
from agent.meter.modbus_meter import DEFINITIONS, ModbusMeter
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import Behaviour, Pty, Slave, late, on_pty, refuses, rtu, sends, silence

EXPORT = {"eastron_sdm120": 12340, "eastron_sdm630_v2": 12340, "abb_b23": 12000}
MODELS = tuple(EXPORT)
"""Each with another way to say that there is no value, and one that says it in no way."""
SERIAL_AT = {"eastron_sdm120": 0xFC01, "eastron_sdm630_v2": 0xFC01, "abb_b23": 0x8901}


def vector(model: str, number: int = 0) -> dict[str, Any]:
    path = Path("tests/vectors/meters") / f"{model}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["vectors"][number]
    return found


def image(model: str) -> dict[tuple[int, int], int]:
    functions = vector(model)["registers"].items()
    return {(int(function), int(at)): word for function, words in functions for at, word in words.items()}


@dataclass
class Bench:
    slave: Slave
    pty: Pty
    meter: ModbusMeter
    energy: Decimal


def honest(_request: bytes, answer: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, answer)]


def as_many(request: bytes) -> bytes:
    """Return an answer of zeros to a read, without its checksum."""
    count = 2 * int.from_bytes(request[4:6])
    return request[:2] + bytes((count,)) + bytes(count)


def bad_checksum(request: bytes, _answer: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, rtu(as_many(request))[:-1] + b"\xee")]


def other_unit(request: bytes, _answer: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, rtu(b"\x02" + as_many(request)[1:]))]


def other_function(request: bytes, _answer: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, rtu(bytes((request[0], request[1] ^ 7)) + as_many(request)[2:]))]


def fewer_words(request: bytes, _answer: bytes) -> list[tuple[float, bytes]]:
    body = as_many(request)
    return [(0.0, rtu(body[:2] + bytes((body[2] - 2,)) + body[5:]))]


def more_words(request: bytes, _answer: bytes) -> list[tuple[float, bytes]]:
    body = as_many(request)
    return [(0.0, rtu(body[:2] + bytes((body[2] + 2,)) + body[3:] + b"\0\0"))]


def cut_off(_request: bytes, answer: bytes) -> list[tuple[float, bytes]]:
    return [(0.0, answer[:6])]


@asynccontextmanager
async def bench(folder: Path, model: str, *, strict: bool = False) -> AsyncIterator[Bench]:
    slave, clock = Slave(image(model)), SystemClock(1)
    slave.strict = strict
    definition = find(DEFINITIONS, model)
    definition = replace(definition, bus=replace(definition.bus, min_gap_ms=0, timeout_ms=100))
    energy = vector(model)["expect"]["energy_import"]["value"]
    async with on_pty(slave, folder) as (pty, line):
        wire = Wire(line, clock, quiet_s=0.05)
        async with wire.open():
            yield Bench(slave, pty, ModbusMeter(wire, definition, address=1, clock=clock), Decimal(energy))


async def until_read(meter: ModbusMeter) -> Reading:
    async with asyncio.timeout(5):
        while True:
            try:
                return await meter.read()
            except MeterTimeout:
                await asyncio.sleep(0.05)


BYTES = [bad_checksum, other_unit, other_function, fewer_words, more_words, cut_off]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("behaviour", [*BYTES, sends(b"\xff\x00" * 9), sends(b"\x01")])
async def test_wrong_bytes_are_dropped_and_the_next_reading_is_right(
    tmp_path: Path, model: str, behaviour: Behaviour
) -> None:
    async with bench(tmp_path, model) as at:
        assert (await at.meter.read()).register == at.energy
        at.slave.script += [behaviour, behaviour]
        with pytest.raises(MeterCorrupt, match=r"got .*; check baud rate and parity"):
            await at.meter.read()
        assert (await at.meter.read()).register == at.energy


@pytest.mark.parametrize("model", MODELS)
async def test_a_late_answer_is_never_taken_for_another(tmp_path: Path, model: str) -> None:
    async with bench(tmp_path, model) as at:
        await at.meter.read()
        at.slave.script += [late(0.13), late(0.13)]
        with pytest.raises(MeterTimeout):
            await at.meter.read()
        reading = await at.meter.read()
        assert reading.register == at.energy
        told = {value.name: value.number for value in reading.values}
        assert round(told["energy_export"]) == EXPORT[model]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("code", [1, 2, 3])
async def test_a_refusal_that_passes_costs_no_value_for_long(tmp_path: Path, model: str, code: int) -> None:
    async with bench(tmp_path, model) as at:
        whole = await at.meter.read()
        at.slave.script += [refuses(code)] * 60
        with pytest.raises(MeterCorrupt, match="told no energy value"):
            await at.meter.read()
        at.slave.script.clear()
        await at.meter.read()
        again = await at.meter.read()
        assert (again.register, again.values) == (at.energy, whole.values)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("code", "words"), [(4, "device failure"), (5, "not done yet"), (6, "busy"), (99, "unknown")])
async def test_a_meter_in_trouble_says_so(tmp_path: Path, model: str, code: int, words: str) -> None:
    async with bench(tmp_path, model) as at:
        at.slave.script.append(refuses(code))
        with pytest.raises(MeterCorrupt, match=f"exception {code}, {words}"):
            await at.meter.read()
        assert (await at.meter.read()).register == at.energy


@pytest.mark.parametrize("model", MODELS)
async def test_a_meter_appears_when_it_does_and_another_one_shows_by_its_number(tmp_path: Path, model: str) -> None:
    async with bench(tmp_path, model) as at:
        at.pty.unplug()
        with pytest.raises(MeterTimeout, match="the port is not there"):
            await at.meter.read()
        at.slave.script += [silence] * 2
        at.pty.plug(at.slave.received)
        first = await until_read(at.meter)
        assert first.register == at.energy
        assert first.serial == str(vector(model)["expect"]["serial_number"]["value"])
        at.pty.unplug()
        with pytest.raises(MeterTimeout):
            await at.meter.read()
        at.slave.words[3, SERIAL_AT[model]] += 1
        at.pty.plug(at.slave.received)
        assert (await until_read(at.meter)).serial != first.serial


@pytest.mark.parametrize(
    ("model", "word"), [*((model, 0xFFFF) for model in MODELS), ("eastron_sdm120", 0x7FC0), ("eastron_sdm120", 0x7F80)]
)
async def test_a_meter_that_tells_only_no_values_tells_no_energy(tmp_path: Path, model: str, word: int) -> None:
    async with bench(tmp_path, model) as at:
        at.slave.words = dict.fromkeys(at.slave.words, word)
        with pytest.raises(MeterCorrupt, match="told no energy value; check the model"):
            await at.meter.read()
        at.slave.words = image(model)
        assert (await until_read(at.meter)).register == at.energy


@pytest.mark.parametrize(
    ("address", "words", "name"),
    [
        (0x5B00, (0xFFFF, 0xFFFF), "voltage_l1"),
        (0x5B10, (0xFFFF, 0xFFFF), "current_l3"),
        (0x5B14, (0x7FFF, 0xFFFF), "power_total"),
        (0x5B2C, (0xFFFF,), "frequency"),
        (0x5B3A, (0x7FFF,), "power_factor"),
        (0x5004, (0xFFFF,) * 4, "energy_export"),
    ],
)
async def test_what_an_abb_meter_lacks_is_absent_and_never_a_number(
    tmp_path: Path, address: int, words: tuple[int, ...], name: str
) -> None:
    async with bench(tmp_path, "abb_b23", strict=True) as at:
        whole = {value.name for value in (await at.meter.read()).values}
        at.slave.words |= {(3, address + place): word for place, word in enumerate(words)}
        assert {value.name for value in (await at.meter.read()).values} == whole - {name}


async def test_a_number_that_looks_like_a_missing_one_of_another_type_is_a_number(tmp_path: Path) -> None:
    async with bench(tmp_path, "abb_b23") as at:
        at.slave.words |= {(3, 0x5B14): 0xFFFF, (3, 0x5B15): 0xFFFF}
        told = {value.name: value.number for value in (await at.meter.read()).values}
        assert told["power_total"] == Decimal("-0.01")


@pytest.mark.parametrize(
    ("text", "doubted"), [(b"B21 112-100", True), (b"B24 212-100", False), (b"A44 552-100", False)]
)
async def test_an_abb_meter_of_another_family_is_doubted_but_read(
    tmp_path: Path, text: bytes, *, doubted: bool
) -> None:
    async with bench(tmp_path, "abb_b23") as at:
        data = text.ljust(12, b"\0")
        at.slave.words |= {(3, 0x8960 + place): int.from_bytes(data[2 * place : 2 * place + 2]) for place in range(6)}
        assert (await at.meter.read()).register == at.energy
        assert (at.meter.doubt is not None) == doubted
        if doubted:
            assert str(at.meter.doubt).endswith(
                "model_text is B21 112-100, not one of B23*, B24*, A43*, A44*; check the model (abb_b23)"
            )


async def test_the_steps_of_the_registers_are_theirs(tmp_path: Path) -> None:
    for model, step in (("abb_b23", "10"), ("eastron_sdm120", "0.1220703125")):
        (tmp_path / model).mkdir()
        async with bench(tmp_path / model, model) as at:
            assert (await at.meter.read()).step == Decimal(step)


async def test_an_sdm120_is_asked_for_no_model_code_unless_somebody_looks(tmp_path: Path) -> None:
    async with bench(tmp_path, "eastron_sdm120", strict=True) as at:
        await at.meter.read()
        assert [request[1:6] for request in at.slave.requests if request[1] == 3] == [b"\x03\xfc\x00\x00\x02"]
        assert "model_code" not in await at.meter.inspect()


def test_a_meter_can_be_on_a_line_of_its_own_settings() -> None:
    forms = {
        model: LineSettings(device="/dev/ttyUSB9").completed(find(DEFINITIONS, model).bus).form for model in MODELS
    }
    assert forms == {"abb_b23": "19200 8E1", "eastron_sdm120": "9600 8N1", "eastron_sdm630_v2": "9600 8N1"}
