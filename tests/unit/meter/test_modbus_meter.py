"""The meter over a real pseudo-terminal: vectors, identity, disturbances, refusals, implausible values."""

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

from agent.core.errors import ConfigError, MeterCorrupt, MeterTimeout
from agent.core.model import Reading
from agent.fieldbus.bus import Wire, Wires
from agent.fieldbus.definition import Definition, find, load_definition
from agent.fieldbus.line import LineSettings, Transport
from agent.meter.modbus_meter import DEFINITIONS, MeterSettings, ModbusMeter, available_models, open_meter
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import Pty, Slave, late, on_pty, on_socket, refuses, rtu, sends, silence

VECTORS: dict[str, list[dict[str, Any]]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))["vectors"]
    for path in sorted(Path("tests/vectors/meters").glob("*.json"))
}
EVERY = [(model, vector) for model, vectors in VECTORS.items() for vector in vectors]
ORDINARY = VECTORS["eastron_sdm630_v2"][0]
OF_THE_CHAIN = {"sunspec_magic", "end_id"}
"""What the walk itself reads: no values of the meter."""
ENERGY = (0x449A, 0x5225)
POLL = rtu(b"\x01\x04\x00\x00\x00\x4c")
IDENTITY = rtu(b"\x01\x03\xfc\x00\x00\x03")


def image(vector: dict[str, Any] = ORDINARY) -> dict[tuple[int, int], int]:
    """Return the vector's registers, with those in front of them where it shows a part of a chain alone."""
    groups = [*vector["registers"].items(), *vector.get("in_front", {}).items()]
    return {(int(function), int(address)): word for function, words in groups for address, word in words.items()}


def of(model: str = "eastron_sdm630_v2") -> Definition:
    definition = find(DEFINITIONS, model)
    return replace(definition, bus=replace(definition.bus, min_gap_ms=0, timeout_ms=100))


@dataclass
class Bench:
    slave: Slave
    pty: Pty
    wire: Wire
    meter: ModbusMeter

    def told(self, energy: tuple[int, int]) -> None:
        self.slave.words |= {(4, 72): energy[0], (4, 73): energy[1]}


@asynccontextmanager
async def bench(
    folder: Path, definition: Definition | None = None, words: dict[tuple[int, int], int] | None = None
) -> AsyncIterator[Bench]:
    slave = Slave(words or image())
    slave.strict = False
    clock = SystemClock(1)
    async with on_pty(slave, folder) as (pty, line):
        wire = Wire(line, clock, quiet_s=0.05)
        async with wire.open():
            yield Bench(slave, pty, wire, ModbusMeter(wire, definition or of(), address=1, clock=clock))


def values(reading: Reading) -> dict[str, Decimal]:
    return {value.name: value.number for value in reading.values}


def told_as(vector: dict[str, Any], told: dict[str, Decimal | str]) -> None:
    """Compare every measurand that the vector names; one without a value must not be told."""
    for name, expected in vector["expect"].items():
        value = expected["value"]
        if value is None or name in OF_THE_CHAIN:
            assert name not in told
        elif isinstance(value, str):
            assert told[name] == value
        else:
            assert float(told[name]) == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("model", "vector"), EVERY, ids=[vector["id"] for _, vector in EVERY])
@pytest.mark.parametrize("strict", [False, True])
async def test_the_vectors_are_read_to_the_last_digit(
    tmp_path: Path, model: str, vector: dict[str, Any], *, strict: bool
) -> None:
    async with bench(tmp_path, of(model), image(vector)) as at:
        at.slave.strict = strict
        told = await at.meter.inspect()
        told_as(vector, told)
        if vector["expect"]["energy_import"]["value"] is None:
            with pytest.raises(MeterCorrupt, match="told no energy value"):
                await at.meter.read()
            return
        reading = await at.meter.read()
        assert reading.register == told["energy_import"]
        number = vector["expect"].get("serial_number", vector["expect"].get("mac", {"value": None}))["value"]
        assert reading.serial == (None if number is None else str(number))
        polled = {*at.meter.definition.points.poll, *at.meter.definition.combined} - {"energy_import"}
        assert values(reading) == {name: told[name] for name in polled if name in told}
        assert at.meter.doubt is None


def test_every_meter_has_its_vectors() -> None:
    assert set(available_models()) == VECTORS.keys()


async def test_a_poll_is_one_request_and_the_identity_is_read_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        first, second = await at.meter.read(), await at.meter.read()
        assert at.slave.requests == [POLL, IDENTITY, POLL]
        assert first.register == second.register == Decimal("1234567.0166015625")
        assert (first.serial, second.serial) == ("17123456", "17123456")
        assert first.step == Decimal("0.1220703125")
        assert at.meter.model == "eastron_sdm630_v2"
        assert at.meter.doubt is None


async def test_another_model_is_doubted_but_read(tmp_path: Path) -> None:
    async with bench(tmp_path, words=image() | {(3, 64514): 0x0089}) as at:
        await at.meter.read()
        assert at.meter.doubt is not None
        assert at.meter.doubt.endswith("model_code is 137, not one of 112, 121, 0; check the model (eastron_sdm630_v2)")


async def test_a_silent_meter_is_a_timeout_with_words(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.slave.script.append(silence)
        with pytest.raises(MeterTimeout, match=r"meter address 1 on .*ttyUSB0: no answer within 0.1 s; check power"):
            await at.meter.read()


@pytest.mark.parametrize("answer", [rtu(b"\x01\x04\x02\x00\x00"), b"\x01\x04\x98\x00", b"\xff" * 30])
async def test_wrong_bytes_are_corrupt(tmp_path: Path, answer: bytes) -> None:
    async with bench(tmp_path) as at:
        at.slave.script.append(sends(answer))
        with pytest.raises(MeterCorrupt, match=r"got .*; check baud rate and parity"):
            await at.meter.read()


async def test_after_a_disturbance_the_register_is_read_twice_and_the_identity_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.meter.read()
        at.slave.script += [silence, silence]
        with pytest.raises(MeterTimeout):
            await at.meter.read()
        at.slave.requests.clear()
        assert (await at.meter.read()).register == Decimal("1234567.0166015625")
        assert at.slave.requests == [POLL, POLL, IDENTITY]
        assert (await at.meter.read()).serial == "17123456"
        assert at.slave.requests[3:] == [POLL]


async def test_a_stale_answer_after_a_disturbance_is_found_out(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.meter.read()
        stale = rtu(b"\x01\x04\x98" + b"\x43\x66" * 76)
        at.slave.script += [silence, sends(stale)]
        with pytest.raises(MeterCorrupt, match="two readings after a disturbance do not agree"):
            await at.meter.read()
        assert (await at.meter.read()).register == Decimal("1234567.0166015625")


async def test_a_late_answer_is_dropped(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.slave.script.append(late(0.13))
        with pytest.raises(MeterTimeout):
            await at.meter.read()
        at.told((0x449A, 0x6000))
        assert (await at.meter.read()).register == Decimal(1235000)


async def test_a_meter_that_took_the_place_of_another_shows_by_its_number(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.meter.read()
        at.pty.unplug()
        with pytest.raises(MeterTimeout, match="the port is not there"):
            await at.meter.read()
        at.slave.words[3, 64513] += 1
        at.pty.plug(at.slave.received)
        assert (await _until_read(at.meter)).serial == "17123457"


async def test_the_identity_is_checked_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.meter.modbus_meter.IDENTITY_S", 0.0)
    async with bench(tmp_path) as at:
        await at.meter.read()
        at.slave.words[3, 64513] += 1
        assert (await at.meter.read()).serial == "17123457"


async def test_a_meter_without_an_identity_is_read_all_the_same(tmp_path: Path) -> None:
    words = {key: word for key, word in image().items() if key[0] == 4}
    async with bench(tmp_path, words=words) as at:
        at.slave.strict = True
        assert (await at.meter.read()).serial is None
        requests = len(at.slave.requests)
        assert (await at.meter.read()).serial is None
        assert len(at.slave.requests) == requests + len(at.meter._polled.requests)


async def test_a_meter_that_is_silent_when_asked_for_its_identity_is_read_after_a_while(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        honest = at.slave._honest
        at.slave._honest = lambda request: b"" if request[1] == 3 else honest(request)  # type: ignore[method-assign]  # silent for one function code
        for _ in range(2):
            with pytest.raises(MeterTimeout):
                await at.meter.read()
        assert (await at.meter.read()).serial is None


async def test_a_known_number_is_not_given_up_for_a_disturbance(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.meter.read()
        for _ in range(4):
            at.meter._named_at = None
            at.slave.script += [lambda _request, honest: [(0.0, honest)], silence, silence]
            with pytest.raises(MeterTimeout):
                await at.meter.read()
            at.meter._device._healthy = True
            at.meter._confirmed = at.meter._device.misses
        assert (await at.meter.read()).serial == "17123456"


async def test_what_a_meter_refuses_is_split_once_and_remembered(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.slave.strict = True
        first = await at.meter.read()
        assert len(values(first)) == 13
        at.slave.requests.clear()
        second = await at.meter.read()
        assert values(second) == values(first)
        assert [(int.from_bytes(r[2:4]), int.from_bytes(r[4:6])) for r in at.slave.requests] == [
            (0, 18),
            (52, 2),
            (62, 2),
            (70, 6),
        ]


async def test_what_a_meter_lacks_is_absent(tmp_path: Path) -> None:
    words = {key: word for key, word in image().items() if key not in {(4, 62), (4, 63), (4, 4), (4, 5)}}
    async with bench(tmp_path, words=words) as at:
        at.slave.strict = True
        told = values(await at.meter.read())
        assert "power_factor" not in told
        assert "voltage_l3" not in told
        assert told["voltage_l2"] > 230


async def test_what_was_refused_is_asked_for_again_after_a_disturbance(tmp_path: Path) -> None:
    words = {key: word for key, word in image().items() if key not in {(4, 62), (4, 63)}}
    async with bench(tmp_path, words=words) as at:
        at.slave.strict = True
        assert "power_factor" not in values(await at.meter.read())
        at.slave.words = image()
        at.slave.script += [silence, silence]
        with pytest.raises(MeterTimeout):
            await at.meter.read()
        assert "power_factor" in values(await at.meter.read())


async def test_no_energy_is_no_reading_and_is_asked_for_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.told((0x7FC0, 0))
        with pytest.raises(MeterCorrupt, match="told no energy value; check the model"):
            await at.meter.read()
        at.slave.script += [refuses(2)] * 4
        at.slave.strict = True
        at.slave.words = {}
        with pytest.raises(MeterCorrupt, match="told no energy value"):
            await at.meter.read()
        at.slave.words = image()
        assert (await at.meter.read()).register == Decimal("1234567.0166015625")


async def test_a_busy_meter_is_told_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.slave.script.append(refuses(6))
        with pytest.raises(MeterCorrupt, match="exception 6, busy"):
            await at.meter.read()


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        ({(4, 70): 0x43FA, (4, 71): 0}, "told 500.00 Hz, which cannot be"),
        ({(4, 70): 0, (4, 71): 0}, "told 0.00 Hz"),
        ({(4, 72): 0xC49A, (4, 73): 0x5225}, "told -1234567.017 Wh"),
        ({(4, 72): 0x7F80, (4, 73): 0}, "told no energy value"),
    ],
)
async def test_impossible_values_are_corrupt(tmp_path: Path, words: dict[tuple[int, int], int], seen: str) -> None:
    async with bench(tmp_path, words=image() | words) as at:
        with pytest.raises(MeterCorrupt, match=seen):
            await at.meter.read()


async def test_a_frequency_that_is_not_told_is_no_fault(tmp_path: Path) -> None:
    async with bench(tmp_path, words=image() | {(4, 70): 0x7FC0, (4, 71): 0}) as at:
        assert "frequency" not in values(await at.meter.read())


async def test_a_chain_is_walked_once_and_again_after_a_disturbance(tmp_path: Path) -> None:
    words = image(VECTORS["sunspec_203"][0])
    async with bench(tmp_path, of("sunspec_203"), words) as at:
        first = await at.meter.read()
        walked = len(at.slave.requests)
        assert (await at.meter.read()).values == first.values
        assert len(at.slave.requests) == walked + 1
        at.slave.words = {(function, address + 10_000): word for (function, address), word in words.items()}
        at.slave.script += [silence, silence]
        with pytest.raises(MeterTimeout):
            await at.meter.read()
        second = await at.meter.read()
        assert (second.register, second.values, second.serial) == (first.register, first.values, first.serial)


async def test_a_device_without_the_chain_is_no_reading_until_it_has_one(tmp_path: Path) -> None:
    async with bench(tmp_path, of("sunspec_203")) as at:
        for _ in range(2):
            with pytest.raises(MeterCorrupt, match="has no chain of models"):
                await at.meter.read()
        at.slave.words = image(VECTORS["sunspec_203"][0])
        assert (await at.meter.read()).register == 1234567


async def test_a_cancelled_poll_leaves_the_meter_usable(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.slave.script.append(late(0.06))
        task = asyncio.create_task(at.meter.read())
        while not at.slave.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await at.meter.read()).register == Decimal("1234567.0166015625")


OWN = """
model = "Own 1P"
source = "its manual"
[bus]
baudrate = 19200
parity = "E"
stop_bits = 1
timeout_ms = 100
[points.poll]
voltage_l1 = { function = 3, address = 0x5B00, type = "u32", unit = "V", scale = 0.1, invalid = ["0xFFFFFFFF"] }
energy_import = { function = 3, address = 0x5000, type = "u64", unit = "Wh", scale = 10 }
[points.identity]
model_text = { function = 3, address = 0x8960, type = "ascii", count = 6 }
"""


async def test_another_meter_is_a_file_and_no_code(tmp_path: Path) -> None:
    path = tmp_path / "own_1p.toml"
    path.write_text(OWN)
    words = {
        **{(3, 0x5000 + place): word for place, word in enumerate((0, 0, 1, 2))},
        **{(3, 0x5B00 + place): word for place, word in enumerate((0, 2301))},
        **{(3, 0x8960 + place): word for place, word in enumerate((0x4232, 0x3320, 0, 0, 0, 0))},
    }
    async with bench(tmp_path, load_definition(path), words) as at:
        reading = await at.meter.read()
        assert reading.register == (2**16 + 2) * 10
        assert values(reading) == {"voltage_l1": Decimal("230.1")}
        assert (reading.serial, reading.step) == (None, Decimal(10))
        assert at.meter.identity == {"model_text": "B23"}


@pytest.mark.parametrize("tcp", [True, False])
async def test_a_meter_behind_a_socket_is_opened_by_its_settings(*, tcp: bool) -> None:
    slave = Slave(image(), tcp=tcp)
    slave.strict = False
    clock = SystemClock(1)
    async with on_socket(slave) as (_, line):
        wires = Wires(clock)
        async with wires.open():
            meter = open_meter(MeterSettings("eastron_sdm630_v2", line), wires, clock)
            assert (await meter.read()).register == Decimal("1234567.0166015625")


def test_a_meter_is_opened_with_the_line_settings_of_its_definition() -> None:
    wires = Wires(SystemClock(1))
    open_meter(MeterSettings("abb_b23", LineSettings(Transport.RTU, "/dev/ttyUSB9")), wires, SystemClock(1))
    assert wires.get(LineSettings(Transport.RTU, "/dev/ttyUSB9", 19200, "E", 1, port=502)).line.form == "19200 8E1"
    with pytest.raises(ConfigError, match="used with 19200 8E1 and with 9600 8N1"):
        open_meter(MeterSettings("eastron_sdm630_v2", LineSettings(device="/dev/ttyUSB9")), wires, SystemClock(1))


def test_the_known_models_are_listed() -> None:
    assert len(available_models()) == 35
    assert {"abb_b23", "eastron_sdm630_v2", "sunspec_203"} < set(available_models())
    with pytest.raises(ConfigError, match="'sdm630' is not known"):
        open_meter(MeterSettings("sdm630", LineSettings(device="/dev/ttyUSB9")), Wires(SystemClock(1)), SystemClock(1))


async def _until_read(meter: ModbusMeter) -> Reading:
    async with asyncio.timeout(5):
        while True:
            try:
                return await meter.read()
            except MeterTimeout:
                await asyncio.sleep(0.05)
