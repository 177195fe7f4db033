"""Controllers of every kind as definition files, over a real pseudo-terminal: no code knows their models.

The definitions are extracts of boxes that exist: coils and texts (Phoenix Contact), a heartbeat with a floating-point
limit (Mennekes), milliamperes with a register of their own to read back (KEBA), several connectors (CHARX), bit fields
(eMH1), a pause that is another value of the limit (DaheimLaden).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.core.errors import EvseFault
from agent.core.model import MilliAmp, Pilot
from agent.evse.modbus_evse import EvseOptions, ModbusEvse
from agent.fieldbus.bus import Wire
from agent.fieldbus.definition import load_definition
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import Slave, on_pty, rtu, silence

HEAD = """
model = "Example"
source = "its manual"
[bus]
baudrate = 9600
parity = "N"
stop_bits = 1
timeout_ms = 100
max_gap = 0
"""

COILS = (
    HEAD
    + """
[points.poll]
state = { function = 3, address = 24000, type = "ascii", count = 1 }
offered = { function = 3, address = 24003, type = "u16", unit = "A" }
errors = { function = 3, address = 24025, type = "u16" }
release = { function = 1, address = 20000, type = "bit" }
door = { function = 2, address = 7, type = "bit" }
[points.inspection]
release_by = { function = 3, address = 4000, type = "u16", wears = true }
[points.command]
limit = { function = 3, address = 22000, type = "u16", unit = "A" }
[control]
limit = "limit"
readback = "offered"
function = 6
pause = [{ point = "release", value = 0 }]
resume = [{ point = "release", value = 1 }]
keep = [{ point = "release_by", value = 3 }]
[[control.rules]]
when = { state = ["B1", "B2"] }
pilot = "B"
connected = true
charging = false
[[control.rules]]
when = { release = [1] }
offering = true
[[control.rules]]
when = { release = [0] }
offering = false
paused = true
[[control.rules]]
when = {}
bits = { errors = 13 }
fault = "diode"
[[control.rules]]
when = { door = [1] }
fault = "door"
[variants.inputs]
read = { state = 4 }
"""
)
COILS_IMAGE = {
    (3, 24000): 0x4232,
    (3, 24001): 20,
    (3, 24002): 266,
    (3, 24003): 16,
    (3, 24025): 0,
    (3, 4000): 1,
    (1, 20000): 1,
    (2, 7): 0,
    (4, 24000): 0x4231,
}

BEATS = (
    HEAD
    + """
[points.poll]
cp = { function = 3, address = 0x108, type = "u16" }
limit = { function = 3, address = 0x302, type = "f32", unit = "A", invalid = [0] }
release = { function = 3, address = 0xD05, type = "u16", write = 6 }
[points.command]
alive = { function = 3, address = 0xD00, type = "u16", write = 6 }
[control]
limit = "limit"
function = 16
pause = [{ point = "release", value = 0 }]
resume = [{ point = "release", value = 1 }]
[control.heartbeat]
writes = [{ point = "alive", value = 0x55AA }]
interval_s = 5
[[control.rules]]
when = { cp = [28] }
pilot = "C"
charging = true
[[control.rules]]
when = { release = [0] }
paused = true
"""
)
BEATS_IMAGE = {(3, 0x108): 28, (3, 0x302): 0x4180, (3, 0x303): 0, (3, 0xD05): 1}

MILLIAMPERES = (
    HEAD.replace("max_gap = 0", "max_registers = 2")
    + """
[points.poll]
state = { function = 3, address = 1000, type = "u32" }
plug = { function = 3, address = 1004, type = "u32" }
allowed = { function = 3, address = 1100, type = "u32", unit = "A", scale = 0.001 }
[points.inspection]
failsafe = { function = 3, address = 1600, type = "u32", unit = "A", scale = 0.001 }
[points.command]
limit = { function = 3, address = 5004, type = "u16", unit = "A", scale = 0.001 }
enable = { function = 3, address = 5014, type = "u16" }
[control]
limit = "limit"
readback = "allowed"
function = 6
pause = [{ point = "enable", value = 0 }]
resume = [{ point = "enable", value = 1 }]
[[control.rules]]
when = { state = [3] }
pilot = "C"
charging = true
[variants.p40]
pause = [{ point = "limit", value = 0 }]
resume = []
"""
)
MILLIAMPERES_IMAGE = {
    (3, address + place): word
    for address, words in {1000: (0, 3), 1004: (0, 7), 1100: (0, 16000), 1600: (0, 0)}.items()
    for place, word in enumerate(words)
}

SEVERAL = (
    HEAD
    + """
[[blocks]]
function = 3
address = 1299
count = 3
[points.poll]
devices = { function = 3, address = 114, type = "u16" }
state = { function = 3, address = 1299, type = "ascii", count = 1 }
limit = { function = 3, address = 1301, type = "u16", unit = "A" }
[control]
limit = "limit"
function = 16
pause = [{ point = "limit", value = 0 }]
rules = [{ when = { state = ["C2"] }, pilot = "C" }, { when = { state = ["B1"] }, pilot = "B" }]
[connectors]
step = 1000
most = 12
first = 1000
"""
)
SEVERAL_IMAGE = {
    (3, address): word
    for address, word in {114: 2, 1299: 0x4231, 1300: 0, 1301: 0, 2299: 0x4332, 2300: 1, 2301: 10}.items()
}

FIELDS = (
    HEAD
    + """
[points.poll]
state = { function = 3, address = 0x2E, type = "u16", mask = "0x00FF" }
duty = { function = 3, address = 0x2F, type = "u16", unit = "A", mask = "0x0FFF", scale = 0.06, invalid = ["0x91F4"] }
[points.command]
limit = { function = 3, address = 0x14, type = "u16", unit = "A", scale = 0.06 }
[control]
limit = "limit"
readback = "duty"
function = 16
pause = [{ point = "limit", value = 1000 }]
[[control.rules]]
when = { state = [0xB2] }
pilot = "B"
[[control.rules]]
when = { duty = [1000] }
paused = true
"""
)

UNLIMITED = (
    HEAD
    + """
[points.poll]
state = { function = 3, address = 0, type = "u16" }
power = { function = 3, address = 12, type = "u32", unit = "W" }
limit = { function = 3, address = 91, type = "u16", unit = "A", scale = 0.1, invalid = [0] }
[control]
limit = "limit"
function = 16
pause = [{ point = "limit", value = 1 }]
[[control.rules]]
when = { state = [4] }
pilot = "C"
charging = true
[[control.rules]]
when = { state = [4], power = [0] }
pilot = "B"
charging = false
[[control.rules]]
when = { limit = [1] }
paused = true
"""
)
USUAL = EvseOptions()


@dataclass
class Bench:
    slave: Slave
    evse: ModbusEvse

    @property
    def writes(self) -> list[bytes]:
        return [request for request in self.slave.requests if request[1] in {5, 6, 16}]

    @property
    def reads(self) -> set[tuple[int, int, int]]:
        return {(r[1], int.from_bytes(r[2:4]), int.from_bytes(r[4:6])) for r in self.slave.requests if r[1] < 5}


@asynccontextmanager
async def bench(
    folder: Path, text: str, image: dict[tuple[int, int], int], options: EvseOptions = USUAL
) -> AsyncIterator[Bench]:
    path = folder / "example.toml"
    path.write_text(text)
    slave, clock = Slave(dict(image)), SystemClock(1)
    async with on_pty(slave, folder) as (_, line):
        wire = Wire(line, clock, quiet_s=0.05)
        async with wire.open():
            yield Bench(slave, ModbusEvse(wire, load_definition(path), address=1, clock=clock, options=options))


async def test_coils_and_texts_are_read(tmp_path: Path) -> None:
    async with bench(tmp_path, COILS, COILS_IMAGE) as at:
        reading = await at.evse.read()
        assert (reading.pilot, reading.connected, reading.offering) == (Pilot.B, True, True)
        assert (reading.limit, reading.faults) == (16000, ())
        at.slave.words |= {(1, 20000): 0, (2, 7): 1, (3, 24025): 0x2000}
        reading = await at.evse.read()
        assert (reading.offering, reading.limit, reading.faults) == (False, 0, ("diode", "door"))
        assert at.reads >= {(1, 20000, 1), (2, 7, 1), (3, 24000, 1), (3, 24003, 1), (3, 24025, 1)}


async def test_coils_release_and_withdraw(tmp_path: Path) -> None:
    async with bench(tmp_path, COILS, COILS_IMAGE | {(3, 4000): 3}) as at:
        await at.evse.set_limit(MilliAmp(16000))
        await at.evse.set_limit(MilliAmp(0))
        frames = ["010655F0001099F9", "01054E20FF009AD8", "01054E200000DB28"]
        assert at.writes == [bytes.fromhex(frame) for frame in frames]
        assert at.slave.words[1, 20000] == 0


async def test_memory_that_wears_is_written_only_where_it_differs(tmp_path: Path) -> None:
    async with bench(tmp_path, COILS, COILS_IMAGE) as at:
        for _ in range(3):
            await at.evse.read()
        assert at.writes == [bytes.fromhex("01060FA00003CAFD")]
        await at.evse._writer.write(at.evse._control.keep)
        assert len(at.writes) == 1


async def test_a_variant_may_tell_its_state_elsewhere(tmp_path: Path) -> None:
    async with bench(tmp_path, COILS, COILS_IMAGE, EvseOptions(variant="inputs")) as at:
        await at.evse.read()
        assert (4, 24000, 1) in at.reads


async def test_a_heartbeat_is_sent_in_its_interval_and_before_all_else(tmp_path: Path) -> None:
    async with bench(tmp_path, BEATS, BEATS_IMAGE) as at:
        beat = rtu(bytes.fromhex("01060D0055AA"))
        assert (await at.evse.read()).limit == 16000
        await at.evse.read()
        assert at.writes == [beat]
        assert at.slave.requests[0] == beat
        at.evse._beat_at = 0.0
        await at.evse.set_limit(MilliAmp(6500))
        assert at.writes[1:] == [
            beat,
            rtu(bytes.fromhex("0110030200020440D00000")),
            rtu(bytes.fromhex("01060D050001")),
        ]


async def test_a_heartbeat_without_an_answer_is_tried_again_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path, BEATS, BEATS_IMAGE) as at:
        at.slave.script += [silence, silence]
        with pytest.raises(EvseFault, match="no answer"):
            await at.evse.read()
        assert (await at.evse.read()).charging
        assert len(at.writes) == 3


async def test_a_limit_of_zero_may_mean_none(tmp_path: Path) -> None:
    async with bench(tmp_path, BEATS, BEATS_IMAGE | {(3, 0x302): 0}) as at:
        assert (await at.evse.read()).limit is None
        await at.evse.set_limit(MilliAmp(0))
        assert at.slave.words[3, 0xD05] == 0
        assert at.slave.words[3, 0x302] == 0
        assert (await at.evse.read()).limit == 0


async def test_a_limit_may_be_told_by_another_register(tmp_path: Path) -> None:
    options = EvseOptions(failsafe=MilliAmp(6000))
    async with bench(tmp_path, MILLIAMPERES, MILLIAMPERES_IMAGE, options) as at:
        assert (await at.evse.read()).limit == 16000
        assert at.reads == {(3, 1000, 2), (3, 1004, 2), (3, 1100, 2)}
        await at.evse.set_limit(MilliAmp(15999))
        assert at.writes == [rtu(bytes.fromhex("0106138C3E7F")), rtu(bytes.fromhex("010613960001"))]


async def test_a_variant_may_pause_in_another_way(tmp_path: Path) -> None:
    async with bench(tmp_path, MILLIAMPERES, MILLIAMPERES_IMAGE, EvseOptions(variant="p40")) as at:
        await at.evse.set_limit(MilliAmp(16000))
        await at.evse.set_limit(MilliAmp(0))
        assert at.writes == [rtu(bytes.fromhex("0106138C3E80")), rtu(bytes.fromhex("0106138C0000"))]


@pytest.mark.parametrize(
    ("connector", "seen", "frame"),
    [(1, (Pilot.B, 0), "01100515000102000A"), (2, (Pilot.C, 10000), "011008FD000102000A")],
)
async def test_each_connector_has_its_registers(
    tmp_path: Path, connector: int, seen: tuple[Pilot, int], frame: str
) -> None:
    async with bench(tmp_path, SEVERAL, SEVERAL_IMAGE, EvseOptions(connector=connector)) as at:
        reading = await at.evse.read()
        assert (reading.pilot, reading.limit) == seen
        assert at.reads == {(3, 114, 1), (3, 299 + 1000 * connector, 3)}
        await at.evse.set_limit(MilliAmp(10000))
        assert at.writes == [rtu(bytes.fromhex(frame))]


async def test_a_value_may_be_a_part_of_a_register(tmp_path: Path) -> None:
    async with bench(tmp_path, FIELDS, {(3, 0x2E): 0x2EB2, (3, 0x2F): 0x910B}) as at:
        reading = await at.evse.read()
        assert (reading.pilot, reading.limit) == (Pilot.B, 16020)
        at.slave.words[3, 0x2F] = 0x93E8
        assert (await at.evse.read()).limit == 0
        for limit in (16000, 6000, 0):
            await at.evse.set_limit(MilliAmp(limit))
        assert [int.from_bytes(frame[7:9]) for frame in at.writes] == [0x010A, 100, 1000]


async def test_a_box_may_pause_by_a_limit_of_its_own(tmp_path: Path) -> None:
    async with bench(tmp_path, UNLIMITED, {(3, 0): 4, (3, 12): 0, (3, 13): 7000, (3, 91): 0}) as at:
        reading = await at.evse.read()
        assert (reading.pilot, reading.charging, reading.limit) == (Pilot.C, True, None)
        await at.evse.set_limit(MilliAmp(0))
        at.slave.words[3, 13] = 0
        reading = await at.evse.read()
        assert (reading.pilot, reading.charging, reading.limit, at.slave.words[3, 91]) == (Pilot.B, False, 0, 1)
