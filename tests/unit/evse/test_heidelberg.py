"""The Heidelberg box over a real pseudo-terminal: vectors byte by byte, settings, watchdog, and what goes wrong."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.core.errors import ConfigError, EvseFault
from agent.core.model import EvseReading, MilliAmp, Pilot
from agent.evse.modbus_evse import DEFINITIONS, EXPIRED, EvseOptions, EvseSettings, ModbusEvse, open_evse
from agent.fieldbus.blocks import BlockReader, plan
from agent.fieldbus.bus import Wire, Wires
from agent.fieldbus.control import Write
from agent.fieldbus.definition import Definition, find
from agent.fieldbus.line import LineSettings, NoAnswer
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import Behaviour, Pty, Slave, late, on_pty, on_socket, refuses, rtu, sends, silence

VECTORS: dict[str, Any] = json.loads(Path("tests/vectors/evse/heidelberg.json").read_text(encoding="utf-8"))
STATES = [vector for vector in VECTORS["decode"] if len(vector["reads"][0]["words"]) == 15]
OTHERS = [vector for vector in VECTORS["decode"] if vector not in STATES]
INPUTS = dict(enumerate((0x0107, 4, 0, 0, 0, 250, 230, 231, 229, 1, 0, 0, 0, 49, 56809), 4))
LIMITS = {100: 16, 101: 6}
HOLDING = {257: 15000, 258: 4, 259: 1, 261: 0, 262: 0}
PLAIN = EvseOptions(failsafe=MilliAmp(0))
STATE, LIMIT = bytes.fromhex("01040004000FF1CF"), bytes.fromhex("010301050002D5F6")


def image(inputs: dict[int, int] | None = None, holding: dict[int, int] | None = None) -> dict[tuple[int, int], int]:
    told = {(4, address): word for address, word in (INPUTS | LIMITS | (inputs or {})).items()}
    return told | {(3, address): word for address, word in (HOLDING | (holding or {})).items()}


def heidelberg() -> Definition:
    definition = find(DEFINITIONS, "heidelberg")
    return replace(definition, bus=replace(definition.bus, min_gap_ms=0, timeout_ms=100))


@dataclass
class Bench:
    slave: Slave
    pty: Pty
    wire: Wire
    evse: ModbusEvse

    @property
    def writes(self) -> list[bytes]:
        return [request for request in self.slave.requests if request[1] in {6, 16}]

    def settled(self) -> None:
        """Let the time pass in which a state F may be the watchdog's doing."""
        self.evse._recovered_at = 0.0


@asynccontextmanager
async def bench(
    folder: Path, words: dict[tuple[int, int], int] | None = None, options: EvseOptions = PLAIN
) -> AsyncIterator[Bench]:
    slave, clock = Slave(words or image()), SystemClock(1)
    async with on_pty(slave, folder) as (pty, line):
        wire = Wire(line, clock, quiet_s=0.05)
        async with wire.open():
            evse = ModbusEvse(wire, heidelberg(), address=1, clock=clock, options=options)
            yield Bench(slave, pty, wire, evse)


def words_of(read: dict[str, Any]) -> dict[tuple[int, int], int]:
    return {(read["fc"], read["address"] + place): int(word, 16) for place, word in enumerate(read["words"])}


def understood(expect: dict[str, Any], reading: EvseReading) -> None:
    """Compare what the vector names of the vehicle."""
    assert reading.pilot == expect["iec"]
    assert reading.charging == expect["charging"]
    for name, seen in (("connected", reading.connected), ("enabled", reading.offering)):
        assert expect.get(name, seen) == seen
    if "sub" in expect:
        assert reading.offering == (expect["sub"] == 2)
    assert list(reading.faults) == expect.get("faults", list(reading.faults))


def measured(expect: dict[str, Any], told: dict[str, Decimal | str]) -> None:
    """Compare what the vector names of the registers."""
    names = {
        "power_w": "power", "total_wh": "energy_total", "temp_c": "temperature", "watchdog_ms": "watchdog",
        "limit_a": "limit", "failsafe_a": "failsafe", "max_a": "hardware_maximum", "min_a": "hardware_minimum",
        "layout": "layout", "hw_variant": "hardware_variant", "sw": "software",
    }  # fmt: skip
    for key, name in names.items():
        if key in expect:
            wanted = expect[key] / 1000 if key == "watchdog_ms" else expect[key]
            assert told[name] == (wanted if isinstance(wanted, str) else Decimal(str(wanted)))
    for place, amperes in enumerate(expect.get("currents_a", ()), 1):
        assert told[f"current_l{place}"] == Decimal(str(amperes))
    switches = (("standby_off", "standby", 4), ("remote_lock", "remote_lock", 0), ("locked", "external_lock", 0))
    for key, name, value in switches:
        if key in expect:
            assert (told[name] == value) == expect[key]


@pytest.mark.parametrize("vector", STATES, ids=[vector["id"] for vector in STATES])
async def test_the_states_of_the_vectors_are_understood(tmp_path: Path, vector: dict[str, Any]) -> None:
    (read,) = vector["reads"]
    async with bench(tmp_path, image() | words_of(read)) as at:
        await at.evse.read()
        at.settled()
        understood(vector["expect"], await at.evse.read())
        measured(vector["expect"], at.evse.definition.values(at.slave.words))
        wanted = bytes.fromhex(read["wire"]["request"])
        assert at.slave.requests[-2:] == [LIMIT, wanted]
        assert at.slave._honest(wanted) == bytes.fromhex(read["wire"]["response"])


@pytest.mark.parametrize("vector", OTHERS, ids=[vector["id"] for vector in OTHERS])
async def test_the_settings_of_the_vectors_are_read_as_they_say(tmp_path: Path, vector: dict[str, Any]) -> None:
    words = {place: word for read in vector["reads"] for place, word in words_of(read).items()}
    definition = heidelberg()
    names = [name for name, at in definition.every.items() if all((f, a) in words for f, a, _ in at.spans)]
    async with bench(tmp_path, words) as at:
        device = at.wire.device("controller", 1, definition.bus)
        told = await BlockReader(device, plan(definition, names)).read()
        measured(vector["expect"], definition.values(told))
        wires = [read["wire"] for read in vector["reads"]]
        assert sorted(at.slave.requests) == sorted(bytes.fromhex(wire["request"]) for wire in wires)
        for wire in wires:
            assert at.slave._honest(bytes.fromhex(wire["request"])) == bytes.fromhex(wire["response"])


def written(action: str, **options: int) -> list[dict[str, str]]:
    (vector,) = (v for v in VECTORS["write"] if v["action"] == action and v.get("options", {}) == options)
    return [write["wire"] for write in vector["writes"]]


def as_written(at: Bench, wires: Iterable[dict[str, str]]) -> None:
    assert at.writes == [bytes.fromhex(wire["request"]) for wire in wires]
    assert all(at.slave._honest(bytes.fromhex(w["request"])) == bytes.fromhex(w["response"]) for w in wires)


@pytest.mark.parametrize(
    ("action", "limit"), [("limit_16", 16000), ("limit_6.5", 6500), ("pause", 0), ("resume", 16000), ("pause", 5999)]
)
async def test_limits_are_written_as_the_vectors_say(tmp_path: Path, action: str, limit: int) -> None:
    async with bench(tmp_path) as at:
        await at.evse.set_limit(MilliAmp(limit))
        as_written(at, written(action))


async def test_a_limit_can_be_written_with_function_6(tmp_path: Path) -> None:
    async with bench(tmp_path, options=replace(PLAIN, variant="fc6")) as at:
        await at.evse.set_limit(MilliAmp(16000))
        as_written(at, written("limit_16", fc=6))
        assert at.slave.words[3, 261] == 160


async def test_the_settings_are_written_where_they_differ_and_looked_at_again(tmp_path: Path) -> None:
    async with bench(tmp_path, image(holding={257: 30000, 258: 0, 262: 100})) as at:
        await at.evse.read()
        as_written(at, written("init"))
        at.slave.requests.clear()
        await at.evse.read()
        await at.evse.read()
        assert at.writes == []
        reads = [(r[1], int.from_bytes(r[2:4]), int.from_bytes(r[4:6])) for r in at.slave.requests]
        poll = [(3, 261, 2), (4, 4, 15)]
        assert sorted(reads) == sorted([(3, 257, 2), (3, 259, 1), (3, 261, 2), (4, 4, 1), (4, 100, 2), *poll, *poll])
        assert at.evse.doubt is None


async def test_settings_that_are_right_are_not_written(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        for _ in range(3):
            await at.evse.read()
        assert at.writes == []


async def test_waking_a_car_is_two_writes_of_the_remote_lock(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.evse._writer.write((Write("remote_lock", 0), Write("remote_lock", 1)))
        as_written(at, written("wake_car"))


async def test_a_box_that_somebody_locked_is_opened(tmp_path: Path) -> None:
    async with bench(tmp_path, image(holding={259: 0})) as at:
        await at.evse.read()
        assert at.slave.words[3, 259] == 1


async def test_the_frames_of_the_vectors_are_told_apart(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        device, answers = at.wire.device("controller", 2, heidelberg().bus), []
        for frame in VECTORS["frames"]:
            request = bytes.fromhex(frame["request"])
            at.slave.script.append(sends(bytes.fromhex(frame["response"])) if frame["response"] else silence)
            at.slave.script += [silence] * (frame["response"] is None)
            read = device.read(request[1], int.from_bytes(request[2:4]), int.from_bytes(request[4:6]))
            if frame["response"] is None:
                with pytest.raises(NoAnswer, match="or the box is in standby: plug a car in"):
                    await read
            else:
                answers.append(await read)
            assert at.slave.requests[-1] == request
        assert answers == [(2,), (237, 238, 238), (49, 56809)]


@pytest.mark.parametrize(
    ("options", "register"),
    [
        (EvseOptions(), 15000),
        (EvseOptions(watchdog_s=30), 30000),
        (EvseOptions(watchdog_s=4.5), 4500),
    ],
)
async def test_the_watchdog_waits_as_long_as_the_installer_chose(
    tmp_path: Path, options: EvseOptions, register: int
) -> None:
    async with bench(tmp_path, image(holding={257: 0, 262: 60}), options) as at:
        await at.evse.read()
        assert at.slave.words[3, 257] == register
        assert at.slave.words[3, 262] == 60


@pytest.mark.parametrize(("failsafe", "register"), [(6000, 60), (6990, 69), (32000, 160), (5999, 0), (0, 0)])
async def test_the_failsafe_current_is_rounded_down_and_clamped(tmp_path: Path, failsafe: int, register: int) -> None:
    async with bench(tmp_path, image(holding={262: 80}), EvseOptions(failsafe=MilliAmp(failsafe))) as at:
        await at.evse.read()
        assert at.slave.words[3, 262] == register


@pytest.mark.parametrize(
    ("limits", "asked", "register"),
    [
        ({100: 16, 101: 6}, 32000, 160),
        ({100: 10, 101: 6}, 16000, 100),
        ({100: 16, 101: 8}, 7900, 0),
        ({100: 16, 101: 8}, 8090, 80),
        ({100: 0, 101: 0}, 16000, 160),
        ({100: 0xFFFF, 101: 0xFFFF}, 16000, 160),
    ],
)
async def test_what_the_hardware_can_is_asked_of_the_box(
    tmp_path: Path, limits: dict[int, int], asked: int, register: int
) -> None:
    async with bench(tmp_path, image(limits, {261: 77})) as at:
        await at.evse.set_limit(MilliAmp(asked))
        assert at.slave.words[3, 261] == register
        assert (await at.evse.read()).limit == register * 100


async def test_older_layouts_need_not_tell_limits_or_settings(tmp_path: Path) -> None:
    words = {key: word for key, word in image().items() if key[1] not in {100, 101, 257, 258, 259}}
    async with bench(tmp_path, words) as at:
        assert (await at.evse.read()).pilot is Pilot.B
        await at.evse.set_limit(MilliAmp(16000))
        assert at.slave.words[3, 261] == 160
        assert at.writes == [bytes.fromhex(written("limit_16")[0]["request"])]


async def test_a_state_f_after_a_gap_of_our_own_is_the_watchdogs_and_no_fault(tmp_path: Path) -> None:
    async with bench(tmp_path, image({5: 10})) as at:
        reading = await at.evse.read()
        assert (reading.pilot, reading.faults) == (Pilot.F, (EXPIRED,))
        assert (await at.evse.read()).faults == (EXPIRED,)
        at.settled()
        assert (await at.evse.read()).faults == ("not_ready",)
        assert at.evse._device.answered_at is not None
        at.evse._device.answered_at -= 15
        assert (await at.evse.read()).faults == (EXPIRED,)


async def test_a_command_that_ends_a_gap_does_not_hide_it(tmp_path: Path) -> None:
    async with bench(tmp_path, image({5: 10})) as at:
        await at.evse.set_limit(MilliAmp(0))
        assert (await at.evse.read()).faults == (EXPIRED,)


async def test_a_closed_lock_has_a_name_of_its_own(tmp_path: Path) -> None:
    async with bench(tmp_path, image({5: 10, 13: 0})) as at:
        assert (await at.evse.read()).faults == ("locked",)


async def test_after_a_silence_the_settings_are_written_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.evse.read()
        at.slave.script += [silence, silence]
        with pytest.raises(EvseFault, match=r"no answer within 0.1 s; check power.*or the box is in standby"):
            await at.evse.read()
        at.slave.words |= {(3, 258): 0, (3, 262): 60, (3, 261): 0}
        await at.evse.read()
        assert (at.slave.words[3, 258], at.slave.words[3, 262]) == (4, 0)


async def test_what_another_program_changes_is_put_right_in_time(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.evse.read()
        at.slave.words[3, 257] = 0
        await at.evse.read()
        assert at.slave.words[3, 257] == 0
        at.evse._upkeep._again_at = 0.0
        await at.evse.set_limit(MilliAmp(16000))
        assert at.slave.words[3, 257] == 0
        await at.evse.read()
        assert at.slave.words[3, 257] == 15000


async def test_a_setting_that_is_refused_is_told_and_the_box_is_used_all_the_same(tmp_path: Path) -> None:
    async with bench(tmp_path, image(holding={262: 60})) as at:
        honest = at.slave._honest
        refusal = rtu(b"\x01\x90\x03")
        at.slave._honest = lambda request: refusal if request[1:4] == b"\x10\x01\x06" else honest(request)  # type: ignore[method-assign]  # refuses one register
        for _ in range(4):
            assert (await at.evse.read()).pilot is Pilot.B
        assert len(at.writes) == 1
        assert at.evse.doubt is not None
        assert "ttyUSB0: failsafe (register 262) is 60, and 0 is refused (exception 3); check" in at.evse.doubt


async def test_a_setting_that_does_not_stay_is_not_written_for_ever(tmp_path: Path) -> None:
    async with bench(tmp_path, image(holding={258: 0})) as at:
        honest = at.slave._honest
        at.slave._honest = lambda request: rtu(request[:6]) if request[1] == 16 else honest(request)  # type: ignore[method-assign]  # obeys no write
        for _ in range(5):
            await at.evse.read()
        assert len(at.writes) == 3
        assert at.evse.doubt is not None
        assert at.evse.doubt.endswith(
            "standby (register 258) is 0 and does not take 4; check the controller's own settings"
        )
        at.slave._honest = honest  # type: ignore[method-assign]  # obeys again
        at.slave.script += [silence, silence]
        with pytest.raises(EvseFault):
            await at.evse.read()
        await at.evse.read()
        await at.evse.read()
        assert at.slave.words[3, 258] == 4
        assert at.evse.doubt is None


async def test_another_device_at_its_address_is_not_written_to(tmp_path: Path) -> None:
    async with bench(tmp_path, image({4: 0x4366}, {258: 0})) as at:
        for act in (at.evse.read(), at.evse.set_limit(MilliAmp(16000)), at.evse.set_limit(MilliAmp(0))):
            with pytest.raises(EvseFault, match="layout_generation is 17152, not 256: this is no Heidelberg"):
                await act
        assert at.writes == []
        at.slave.words[4, 4] = 0x0108
        assert (await at.evse.read()).pilot is Pilot.B
        await at.evse.set_limit(MilliAmp(0))


CRC_WRONG = rtu(b"\x01\x04\x1e" + bytes(30))[:-1] + b"\xee"


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (sends(CRC_WRONG), "got 35 bytes with a wrong checksum"),
        (sends(rtu(b"\x02\x04\x1e" + bytes(30))), "got an answer of address 2"),
        (sends(rtu(b"\x01\x04\x1c" + bytes(28))), "got an answer to another request"),
        (sends(rtu(b"\x01\x03\x1e" + bytes(30))), "got an answer to another request"),
        (sends(b"\x01\x04\x1e\x01\x07"), "got an answer that was cut off after 5 of 35 bytes"),
        (late(0.13), "no answer within 0.1 s"),
        (silence, "no answer within 0.1 s"),
        (refuses(4), "exception 4, device failure"),
        (refuses(5), "exception 5, not done yet"),
        (refuses(6), "exception 6, busy"),
    ],
)
async def test_a_poll_that_goes_wrong_is_dropped_and_the_next_one_is_right(
    tmp_path: Path, behaviour: Behaviour, words: str
) -> None:
    async with bench(tmp_path) as at:
        await at.evse.read()
        at.slave.script += [lambda _request, honest: [(0.0, honest)], behaviour, behaviour]
        with pytest.raises(EvseFault, match=words):
            await at.evse.read()
        at.slave.script.clear()
        reading = await at.evse.read()
        assert (reading.pilot, reading.connected, reading.faults) == (Pilot.B, True, ())


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_registers_that_are_refused_tell_nothing_rather_than_something(tmp_path: Path, code: int) -> None:
    async with bench(tmp_path) as at:
        await at.evse.read()
        at.slave.script += [lambda _request, honest: [(0.0, honest)], *[refuses(code)] * 40]
        reading = await at.evse.read()
        assert (reading.pilot, reading.connected, reading.charging, reading.limit) == (None, None, None, 0)
        at.slave.script.clear()
        assert (await at.evse.read()).pilot is Pilot.B


@pytest.mark.parametrize("word", [0, 1, 12, 0x7FFF, 0xFFFF])
async def test_a_state_that_nobody_knows_is_none(tmp_path: Path, word: int) -> None:
    async with bench(tmp_path, image({5: word})) as at:
        reading = await at.evse.read()
        assert (reading.pilot, reading.connected, reading.charging, reading.faults) == (None, None, None, ())


async def test_an_adapter_may_go_and_come_back_and_the_box_be_another(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.pty.unplug()
        with pytest.raises(EvseFault, match="the port is not there"):
            await at.evse.read()
        at.slave.words |= {(4, 100): 10, (3, 258): 0}
        at.pty.plug(at.slave.received)
        await at.evse.set_limit(MilliAmp(16000))
        assert (at.slave.words[3, 261], at.slave.words[3, 258]) == (100, 4)
        assert (await at.evse.read()).limit == 10000


async def test_a_box_on_a_pseudo_terminal_is_read_with_its_own_line_settings(tmp_path: Path) -> None:
    slave, clock = Slave(image()), SystemClock(1)
    async with on_pty(slave, tmp_path) as (pty, _):
        wires = Wires(clock)
        async with wires.open():
            evse = open_evse(EvseSettings("heidelberg", LineSettings(device=str(pty.path))), wires, clock)
            assert (await evse.read()).pilot is Pilot.B


async def test_the_box_is_opened_with_its_own_line_settings() -> None:
    slave, clock = Slave(image(), tcp=True), SystemClock(1)
    async with on_socket(slave) as (_, line):
        wires = Wires(clock)
        async with wires.open():
            evse = open_evse(EvseSettings("heidelberg", line, options=PLAIN), wires, clock)
            assert (await evse.read()).limit == 0
    wires = Wires(clock)
    open_evse(EvseSettings("heidelberg", LineSettings(device="/dev/ttyUSB9")), wires, clock)
    assert wires._wires[0].line.form == "19200 8E1"
    unheeded = EvseOptions(precise=True, connector=2)
    open_evse(EvseSettings("heidelberg", LineSettings(device="/dev/ttyUSB9"), options=unheeded), wires, clock)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (EvseOptions(variant="fc5"), "variant: 'fc5' is not known: heidelberg has fc6"),
        (EvseOptions(connector=2), "connector: 2 is not allowed: heidelberg has 1 to 1"),
        (EvseOptions(precise=True), "precise: heidelberg has no such option"),
    ],
)
async def test_what_the_box_does_not_offer_cannot_be_chosen(tmp_path: Path, options: EvseOptions, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        async with bench(tmp_path, options=options):
            pass
