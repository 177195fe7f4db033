"""The controller over a real pseudo-terminal: vectors byte by byte, old firmware, limits, options, shared wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import ConfigError, EvseFault
from agent.core.model import EvseReading, MilliAmp, Pilot
from agent.evse.modbus_evse import (
    DEFINITIONS,
    EvseOptions,
    EvseSettings,
    ModbusEvse,
    available_controllers,
    open_evse,
)
from agent.fieldbus.bus import Wire, Wires
from agent.fieldbus.definition import Definition, find
from agent.fieldbus.line import LineSettings
from agent.fieldbus.points import Bus
from agent.meter.modbus_meter import DEFINITIONS as METERS
from agent.meter.modbus_meter import ModbusMeter
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import Behaviour, Slave, late, on_pty, on_socket, refuses, rtu, sends, silence

VECTORS: dict[str, Any] = json.loads(Path("tests/vectors/evse/evse_din.json").read_text(encoding="utf-8"))
READS = [vector for vector in VECTORS["decode"] if vector["reads"][0]["address"] == 1000]
PLUGGED = (0, 0, 2, 32, 0, 17, 1, 0, 0, 0)
CHARGING = (16, 16, 3, 32, 0, 17, 2, 1, 0, 0)
FAILED = (16, 0, 5, 32, 0, 17, 3, 2, 0, 0)
SETTINGS = {2000: 32, 2002: 5, 2005: 0x0209, 2007: 0, 2009: 3}
PLAIN = EvseOptions()
WHOLE, OLD = bytes.fromhex("010303E8000A45BD"), bytes.fromhex("010303E800078478")


def words(*values: int, settings: dict[int, int] | None = None) -> dict[tuple[int, int], int]:
    state = {(3, 1000 + place): value for place, value in enumerate(values)}
    return state | {(3, address): word for address, word in (SETTINGS | (settings or {})).items()}


def evse_din() -> Definition:
    definition = find(DEFINITIONS, "evse_din")
    return replace(definition, bus=replace(definition.bus, min_gap_ms=0, timeout_ms=100))


@dataclass
class Bench:
    slave: Slave
    wire: Wire
    evse: ModbusEvse


@asynccontextmanager
async def bench(folder: Path, image: dict[tuple[int, int], int], options: EvseOptions = PLAIN) -> AsyncIterator[Bench]:
    slave, clock = Slave(image), SystemClock(1)
    async with on_pty(slave, folder) as (_, line):
        wire = Wire(line, clock, quiet_s=0.05)
        async with wire.open():
            yield Bench(slave, wire, ModbusEvse(wire, evse_din(), address=1, clock=clock, options=options))


def expected(vector: dict[str, Any], reading: EvseReading) -> None:
    """Compare what the vector names."""
    expect = vector["expect"]
    assert reading.pilot == expect["iec"]
    assert reading.charging == expect["charging"]
    assert list(reading.faults) == expect["faults"]
    if "sub" in expect:
        assert reading.offering == (expect["sub"] == 2)
    if "connected" in expect:
        assert reading.connected == expect["connected"]
    if "limit_a" in expect:
        assert reading.limit == expect["limit_a"] * 1000


@pytest.mark.parametrize("vector", READS, ids=[vector["id"] for vector in READS])
async def test_the_vectors_are_understood_and_the_frames_are_theirs(tmp_path: Path, vector: dict[str, Any]) -> None:
    (read,) = vector["reads"]
    options = EvseOptions(precise=vector.get("options", {}).get("precise", False))
    image = words(*(int(word, 16) for word in read["words"]), settings={2005: 0x0289})
    async with bench(tmp_path, image, options) as at:
        expected(vector, await at.evse.read())
        polls = [request for request in at.slave.requests if request[2:4] == b"\x03\xe8"]
        wanted = bytes.fromhex(read["wire"]["request"])
        assert polls == ([WHOLE] if wanted == WHOLE else [WHOLE, OLD])
        assert polls[-1] == wanted
        assert at.slave._honest(wanted) == bytes.fromhex(read["wire"]["response"])


def test_the_settings_block_is_read_as_the_vector_says() -> None:
    (vector,) = (vector for vector in VECTORS["decode"] if vector["reads"][0]["address"] == 2000)
    image = {(3, 2000 + place): int(word, 16) for place, word in enumerate(vector["reads"][0]["words"])}
    told = {name: evse_din().value(name, image) for name in evse_din().points.inspection}
    expect = vector["expect"]
    assert told["boot_current"] == expect["boot_a"]
    assert told["minimum_current"] == expect["min_a"]
    assert told["configuration"] == expect["config"]
    assert told["pp_limit"] == expect["pp_limit_a"]
    assert told["bootloader"] == expect["bootloader_fw"]


@pytest.mark.parametrize(
    ("action", "limit", "precise"),
    [("limit_16", 16000, False), ("pause", 0, False), ("limit_16", 16000, True), ("limit_6.5", 6500, True)],
)
async def test_limits_are_written_as_the_vectors_say(tmp_path: Path, action: str, limit: int, *, precise: bool) -> None:
    (vector,) = (
        vector
        for vector in VECTORS["write"]
        if vector["action"] == action and vector.get("options", {}).get("precise", False) == precise
    )
    (write,) = vector["writes"]
    async with bench(tmp_path, words(*PLUGGED, settings={2005: 0x0289}), EvseOptions(precise=precise)) as at:
        await at.evse.set_limit(MilliAmp(limit))
        assert at.slave.requests[-1] == bytes.fromhex(write["wire"]["request"])
        assert at.slave._honest(at.slave.requests[-1]) == bytes.fromhex(write["wire"]["response"])


@pytest.mark.parametrize(
    ("limit", "register"),
    [(16000, 16), (15999, 15), (6000, 6), (6999, 6), (5999, 0), (0, 0), (-1, 0), (80000, 80), (200_000, 80)],
)
async def test_a_limit_is_rounded_down_and_clamped(tmp_path: Path, limit: int, register: int) -> None:
    async with bench(tmp_path, words(*CHARGING)) as at:
        await at.evse.set_limit(MilliAmp(limit))
        assert at.slave.words[3, 1000] == register
        assert (await at.evse.read()).limit == register * 1000


async def test_hundredths_are_rounded_down_too(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*PLUGGED, settings={2005: 0x0289}), EvseOptions(precise=True)) as at:
        await at.evse.set_limit(MilliAmp(6509))
        assert at.slave.words[3, 1000] == 650
        assert (await at.evse.read()).limit == 6500


async def test_old_firmware_is_asked_for_seven_words_and_that_is_remembered(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*PLUGGED[:7])) as at:
        assert (await at.evse.read()).pilot is Pilot.B
        assert (await at.evse.read()).connected
        assert at.slave.requests == [WHOLE, OLD, OLD]


async def test_old_firmware_tells_the_reason_of_a_failure_on_its_own(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*FAILED[:8])) as at:
        assert (await at.evse.read()).faults == ("diode",)
        assert at.slave.requests[-1] == rtu(b"\x01\x03\x03\xef\x00\x01")


@pytest.mark.parametrize("behaviour", [silence, refuses(2), refuses(4)])
async def test_old_firmware_need_not_tell_the_reason(tmp_path: Path, behaviour: Behaviour) -> None:
    async with bench(tmp_path, words(*FAILED[:7])) as at:
        at.slave.script += [lambda _request, honest: [(0.0, honest)]] * 2 + [behaviour] * 2
        assert (await at.evse.read()).faults == ("unknown",)


async def test_the_frames_of_the_vectors_are_told_apart(tmp_path: Path) -> None:
    for frame in VECTORS["frames"]:
        request, response = bytes.fromhex(frame["request"]), bytes.fromhex(frame["response"])
        async with bench(tmp_path, {}) as at:
            at.slave.script.append(sends(response))
            device = at.wire.device("controller", 1, evse_din().bus)
            address, count = int.from_bytes(request[2:4]), int.from_bytes(request[4:6])
            if "words" in frame["expect"]:
                assert len(await device.read(3, address, count)) == frame["expect"]["words"]
                continue
            text = {2: "exception 2", "crc": "wrong checksum", "unit": "an answer of address 2"}
            with pytest.raises(Exception, match=text[frame["expect"].get("exception") or frame["expect"]["error"]]):
                await device.read(3, address, count)


async def test_a_silent_controller_is_a_fault_with_words(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*PLUGGED)) as at:
        at.slave.script += [silence] * 3
        with pytest.raises(EvseFault, match=r"controller address 1 on .*ttyUSB0: no answer within 0.1 s; check power"):
            await at.evse.read()
        with pytest.raises(EvseFault, match="no answer"):
            await at.evse.set_limit(MilliAmp(0))


async def test_a_write_that_is_refused_is_a_fault(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*PLUGGED)) as at:
        at.slave.script.append(refuses(3))
        with pytest.raises(EvseFault, match="refuses writing register 1000"):
            await at.evse.set_limit(MilliAmp(16000))


async def test_hundredths_that_the_controller_does_not_count_are_never_written(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*PLUGGED), EvseOptions(precise=True)) as at:
        for act in (at.evse.set_limit(MilliAmp(16000)), at.evse.read()):
            with pytest.raises(EvseFault, match="the option precise is set, but not in the controller"):
                await act
        assert at.slave.words[3, 1000] == 0
        await at.evse.set_limit(MilliAmp(0))


async def test_hundredths_are_believed_where_the_controller_does_not_tell(tmp_path: Path) -> None:
    image = {key: word for key, word in words(*PLUGGED).items() if key[1] != 2005}
    async with bench(tmp_path, image, EvseOptions(precise=True)) as at:
        await at.evse.set_limit(MilliAmp(16000))
        assert at.slave.words[3, 1000] == 1600


async def test_the_failsafe_current_is_written_where_it_is_another(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*PLUGGED), EvseOptions(failsafe=MilliAmp(0))) as at:
        await at.evse.read()
        await at.evse.read()
        assert bytes.fromhex("011007D00001020000C300") in at.slave.requests
        assert sum(request[1] == 16 for request in at.slave.requests) == 1


@pytest.mark.parametrize(("failsafe", "register"), [(32000, 32), (6900, 6), (5000, 0), (None, 32)])
async def test_the_failsafe_current_is_rounded_down(tmp_path: Path, failsafe: int | None, register: int) -> None:
    options = EvseOptions(failsafe=None if failsafe is None else MilliAmp(failsafe))
    async with bench(tmp_path, words(*PLUGGED), options) as at:
        await at.evse.read()
        assert at.slave.words[3, 2000] == register


async def test_memory_that_does_not_keep_the_failsafe_current_is_not_worn_out(tmp_path: Path) -> None:
    async with bench(tmp_path, words(*PLUGGED), EvseOptions(failsafe=MilliAmp(0))) as at:
        for _ in range(6):
            at.slave.words[3, 2000] = 32
            at.evse._device.misses += 1
            await at.evse.read()
        assert sum(request[1] == 16 for request in at.slave.requests) == 3


async def test_meter_and_controller_share_a_wire_and_a_limit_overtakes(tmp_path: Path) -> None:
    energy = {(4, address): 0 for address in range(76)} | {(4, 72): 0x449A, (4, 73): 0x5225, (4, 70): 0x4248}
    slave = Slave(words(*CHARGING) | energy | {(3, 64512 + place): 1 for place in range(3)}, units=(1, 2))
    clock = SystemClock(1)
    async with on_pty(slave, tmp_path) as (_, line):
        wires = Wires(clock)
        sdm630 = find(METERS, "eastron_sdm630_v2")
        quick = Bus(baudrate=9600, parity="N", stop_bits=1, min_gap_ms=20)
        meter = ModbusMeter(wires.get(line), replace(sdm630, bus=quick), address=2, clock=clock)
        evse = ModbusEvse(wires.get(line), replace(evse_din(), bus=quick), address=1, clock=clock)
        order: list[str] = []

        async def note(name: str, work: Awaitable[object]) -> None:
            await work
            order.append(name)

        async with wires.open():
            slave.script.append(late(0.05))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(note("meter", meter.read()))
                tasks.create_task(note("controller", evse.read()))
                while not slave.requests:
                    await asyncio.sleep(0.005)
                tasks.create_task(note("limit", evse.set_limit(MilliAmp(0))))
            assert order[0] == "limit"
            assert [request[:2] for request in slave.requests][:2] == [b"\x02\x04", b"\x01\x10"]
            for _ in range(3):
                readings = await asyncio.gather(meter.read(), evse.read())
                assert readings[0].register == Decimal("1234567.0166015625")
                assert readings[1].limit == 0


async def test_a_controller_behind_a_socket_is_opened_by_its_settings() -> None:
    slave, clock = Slave(words(*CHARGING), tcp=True), SystemClock(1)
    async with on_socket(slave) as (_, line):
        wires = Wires(clock)
        async with wires.open():
            evse = open_evse(EvseSettings("evse_din", line), wires, clock)
            assert (await evse.read()).charging
            await evse.set_limit(MilliAmp(10_000))
            assert slave.words[3, 1000] == 10


def test_the_known_controllers_are_listed() -> None:
    assert available_controllers() == ("evse_din", "heidelberg")
    wires, clock = Wires(SystemClock(1)), SystemClock(1)
    with pytest.raises(ConfigError, match="'din' is not known: use one of evse_din"):
        open_evse(EvseSettings("din", LineSettings(device="/dev/ttyUSB9")), wires, clock)


def test_a_meter_is_no_controller() -> None:
    clock = SystemClock(1)
    wire = Wire(LineSettings(device="/dev/ttyUSB9").completed(evse_din().bus), clock)
    with pytest.raises(ConfigError, match=r"eastron_sdm630_v2: the definition has no \[control\]"):
        ModbusEvse(wire, find(METERS, "eastron_sdm630_v2"), address=1, clock=clock)
    other = replace(evse_din(), id="other", options={})
    with pytest.raises(ConfigError, match="precise: other has no such option"):
        ModbusEvse(wire, other, address=1, clock=clock, options=EvseOptions(precise=True))
