"""The wire: matching answers to requests, silence after trouble, order, reopening, texts (bus, link)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import termios
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from agent.core.errors import ConfigError
from agent.fieldbus.bus import Device, Wire, Wires
from agent.fieldbus.line import LineSettings, NoAnswer, PortLost, Refused, Transport, WrongAnswer
from agent.fieldbus.points import Bus
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import BUS, Behaviour, Pty, Slave, late, on_pty, on_socket, refuses, rtu, sends, silence

QUIET_S = 0.05
WORDS = {(4, address): 100 + address for address in range(10)} | {(3, address): 200 + address for address in range(10)}


@dataclass
class Bench:
    slave: Slave
    wire: Wire
    pty: Pty

    def device(self, address: int = 1, *, label: str = "meter", bus: Bus = BUS) -> Device:
        return self.wire.device(label, address, bus)


@asynccontextmanager
async def bench(folder: Path, *script: Behaviour, units: tuple[int, ...] = (1,)) -> AsyncIterator[Bench]:
    slave = Slave(dict(WORDS), units=units)
    slave.script.extend(script)
    async with on_pty(slave, folder) as (pty, line):
        wire = Wire(line, SystemClock(1), quiet_s=QUIET_S)
        async with wire.open():
            yield Bench(slave, wire, pty)


async def answered(device: Device) -> Device:
    """Return the device after it has answered once, so that a failing poll is tried again."""
    await device.read(4, 0, 2)
    return device


async def test_the_words_of_both_register_kinds_are_read(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        assert await at.device().read(4, 0, 3) == (100, 101, 102)
        assert await at.device().read(3, 7, 2) == (207, 208)


async def test_bits_are_read_and_a_coil_is_written(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.slave.words |= {(1, place): int(place in {0, 3, 9}) for place in range(11)} | {(2, 7): 1}
        assert await at.device().read(1, 0, 11) == (1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0)
        assert await at.device().read(2, 7, 1) == (1,)
        await at.device().write(5, 3, (0,))
        await at.device().write(5, 4, (1,))
        assert at.slave.requests[-2:] == [rtu(b"\x01\x05\x00\x03\x00\x00"), rtu(b"\x01\x05\x00\x04\xff\x00")]
        assert await at.device().read(1, 3, 2) == (0, 1)


async def test_a_coil_that_another_value_comes_back_for_is_not_acknowledged(tmp_path: Path) -> None:
    async with bench(tmp_path, *[sends(rtu(b"\x01\x05\x00\x03\xff\x00"))] * 2) as at:
        with pytest.raises(WrongAnswer, match="an answer to another request"):
            await at.device().write(5, 3, (0,))


async def test_it_is_known_when_a_device_was_last_heard(tmp_path: Path) -> None:
    async with bench(tmp_path, silence, refuses(2)) as at:
        device = at.device()
        with pytest.raises(NoAnswer):
            await device.read(4, 0, 2)
        assert device.answered_at is None
        with pytest.raises(Refused):
            await device.read(4, 0, 2)
        heard = device.answered_at
        assert heard is not None
        await device.write(6, 0, (1,))
        assert device.answered_at > heard


async def test_what_silence_may_mean_is_said_and_only_of_silence(tmp_path: Path) -> None:
    async with bench(tmp_path, silence, sends(b"\xff" * 9)) as at:
        device = at.device(bus=replace(BUS, silent="or it sleeps: plug a car in"))
        with pytest.raises(NoAnswer, match=r"baud rate \(115200 8N1\); or it sleeps: plug a car in$"):
            await device.read(4, 0, 2)
        with pytest.raises(WrongAnswer) as raised:
            await device.read(4, 0, 2)
        assert "sleeps" not in str(raised.value)


async def test_an_answer_in_pieces_is_put_together(tmp_path: Path) -> None:
    def pieces(_request: bytes, honest: bytes) -> list[tuple[float, bytes]]:
        return [(0.005, honest[i : i + 1]) for i in range(len(honest))]

    async with bench(tmp_path, pieces) as at:
        assert await at.device().read(4, 0, 2) == (100, 101)


async def test_noise_before_an_answer_is_skipped(tmp_path: Path) -> None:
    def noisy(_request: bytes, honest: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, b"\x00\x01\xff" + honest)]

    async with bench(tmp_path, noisy) as at:
        assert await at.device().read(4, 0, 2) == (100, 101)


async def test_an_echoing_adapter_does_no_harm(tmp_path: Path) -> None:
    def echo(request: bytes, honest: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, request + honest)]

    async with bench(tmp_path, echo, echo) as at:
        assert await at.device().read(4, 0, 2) == (100, 101)
        await at.device().write(16, 5, (7,))
    assert at.slave.words[3, 5] == 7


async def test_the_echo_of_a_write_is_not_its_acknowledgement(tmp_path: Path) -> None:
    def echo_only(request: bytes, _honest: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, request)]

    async with bench(tmp_path, echo_only, echo_only) as at:
        with pytest.raises(WrongAnswer):
            await at.device().write(16, 5, (7,))


async def test_silence_says_what_to_check(tmp_path: Path) -> None:
    async with bench(tmp_path, silence) as at:
        with pytest.raises(NoAnswer) as raised:
            await at.device().read(4, 0, 2)
        assert str(raised.value) == (
            f"meter address 1 on {tmp_path}/ttyUSB0: no answer within 0.1 s; "
            "check power, A/B wires, address and baud rate (115200 8N1)"
        )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (rtu(b"\x02\x04\x04\x00\x64\x00\x65"), "an answer of address 2"),
        (rtu(b"\x01\x04\x04\x00\x64\x00\x65")[:-1] + b"\x00", "9 bytes with a wrong checksum"),
        (rtu(b"\x01\x04\x04\x00\x64\x00\x65")[:6], "cut off after 6 of 9 bytes"),
        (rtu(b"\x01\x04\x06\x00\x64\x00\x65\x00\x66"), "another request (function 4, 11 bytes instead of 9)"),
        (rtu(b"\x01\x03\x04\x00\x64\x00\x65"), "another request (function 3, 9 bytes instead of 9)"),
        (b"\xde\xad\xbe\xef" * 80, "bytes with a wrong checksum"),
        (b"\x00", "1 bytes with a wrong checksum"),
    ],
)
async def test_what_is_no_answer_is_dropped_and_told(tmp_path: Path, answer: bytes, words: str) -> None:
    async with bench(tmp_path, sends(answer)) as at:
        with pytest.raises(WrongAnswer) as raised:
            await at.device().read(4, 0, 2)
        assert words in str(raised.value)
        assert "check baud rate and parity (115200 8N1)" in str(raised.value)
        assert await at.device().read(4, 0, 2) == (100, 101)


async def test_a_frame_that_pymodbus_cannot_decode_is_dropped_too(tmp_path: Path) -> None:
    async with bench(tmp_path, sends(rtu(b"\x01\x2b\x0e\x01")), sends(rtu(b"\x01\x04\x03\x00\x64\x00"))) as at:
        for _ in range(2):
            with pytest.raises(WrongAnswer):
                await at.device().read(4, 0, 2)


async def test_a_late_answer_is_never_taken_for_the_next_one(tmp_path: Path) -> None:
    async with bench(tmp_path, late(0.13)) as at:
        with pytest.raises(NoAnswer):
            await at.device().read(4, 0, 2)
        assert await at.device().read(4, 4, 2) == (104, 105)
        assert at.slave.times[1] - at.slave.times[0] > 0.13 + QUIET_S


async def test_a_cancelled_request_leaves_the_wire_quiet(tmp_path: Path) -> None:
    async with bench(tmp_path, late(0.08)) as at:
        task = asyncio.create_task(at.device().read(4, 0, 2))
        while not at.slave.requests:
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await at.device().read(4, 4, 2) == (104, 105)
        assert at.slave.times[1] - at.slave.times[0] > 0.08 + QUIET_S


async def test_a_wire_that_babbles_is_used_nevertheless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.fieldbus.bus.BABBLE_S", 0.3)

    async def babble(at: Bench) -> None:
        while True:
            at.pty.send(b"\x55")
            await asyncio.sleep(0.03)

    async with bench(tmp_path, silence) as at:
        with pytest.raises(NoAnswer):
            await at.device().read(4, 0, 2)
        babbling = asyncio.create_task(babble(at))
        assert await at.device().read(4, 0, 2) == (100, 101)
        babbling.cancel()
        assert at.slave.times[1] - at.slave.times[0] < 1.5


async def test_a_poll_is_repeated_once_where_the_device_answered_before(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        device = await answered(at.device())
        at.slave.script.append(silence)
        assert await device.read(4, 1, 1) == (101,)
        assert (device.misses, len(at.slave.requests)) == (1, 3)


async def test_a_device_that_is_away_is_asked_once_per_poll(tmp_path: Path) -> None:
    async with bench(tmp_path, units=(9,)) as at:
        device = at.device()
        for _ in range(3):
            with pytest.raises(NoAnswer):
                await device.read(4, 0, 2)
        assert len(at.slave.requests) == 3


async def test_a_command_is_always_repeated_once(tmp_path: Path) -> None:
    async with bench(tmp_path, silence) as at:
        await at.device().write(16, 5, (7,))
        assert len(at.slave.requests) == 2


async def test_a_write_is_only_done_when_its_address_comes_back(tmp_path: Path) -> None:
    def another(request: bytes, _honest: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, rtu(request[:2] + b"\x00\x63\x00\x01"))]

    async with bench(tmp_path, another, another) as at:
        with pytest.raises(WrongAnswer, match="another request"):
            await at.device().write(16, 5, (7,))


async def test_single_writes_use_function_six(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        await at.device().write(6, 5, (7,))
        assert at.slave.requests == [rtu(b"\x01\x06\x00\x05\x00\x07")]


async def test_an_exception_is_told_with_its_meaning(tmp_path: Path) -> None:
    async with bench(tmp_path, refuses(2), refuses(6), refuses(99)) as at:
        with pytest.raises(Refused) as raised:
            await at.device().read(4, 72, 2)
        assert str(raised.value) == (
            f"meter address 1 on {tmp_path}/ttyUSB0: refuses registers 72 to 73 (function 4): "
            "exception 2, illegal register; check the model"
        )
        assert raised.value.by_address
        with pytest.raises(Refused, match="busy") as raised:
            await at.device().read(4, 0, 2)
        assert not raised.value.by_address
        with pytest.raises(Refused, match="unknown exception"):
            await at.device().read(4, 0, 2)


async def test_a_gateway_that_gets_no_answer_is_a_device_that_is_silent(tmp_path: Path) -> None:
    async with bench(tmp_path, refuses(11)) as at:
        device = at.device()
        with pytest.raises(NoAnswer, match="behind the gateway does not answer"):
            await device.read(4, 0, 2)
        assert device.misses == 1


async def test_the_gap_of_a_device_is_kept_and_does_not_hold_up_others(tmp_path: Path) -> None:
    async with bench(tmp_path, units=(1, 2)) as at:
        slow, quick = at.device(1, bus=replace(BUS, min_gap_ms=100)), at.device(2)
        await slow.read(4, 0, 1)
        await quick.read(4, 0, 1)
        await slow.read(4, 0, 1)
        first, other, second = at.slave.times
        assert other - first < 0.08
        assert second - first >= 0.1


async def test_a_command_overtakes_the_polls_that_wait(tmp_path: Path) -> None:
    async with bench(tmp_path, late(0.06), units=(1, 2)) as at:
        meter, controller = at.device(1), at.device(2, label="controller")
        order: list[str] = []

        async def note(name: str, work: Awaitable[object]) -> None:
            await work
            order.append(name)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(note("under way", meter.read(4, 0, 1)))
            await asyncio.sleep(0.02)
            tasks.create_task(note("poll 1", meter.read(4, 1, 1)))
            tasks.create_task(note("poll 2", controller.read(3, 0, 1)))
            await asyncio.sleep(0)
            tasks.create_task(note("command", controller.write(16, 5, (0,))))
        assert order == ["under way", "command", "poll 1", "poll 2"]


async def test_a_poll_that_is_cancelled_while_it_waits_gives_its_turn_away(tmp_path: Path) -> None:
    async with bench(tmp_path, late(0.06)) as at:
        device = at.device()
        running = asyncio.create_task(device.read(4, 0, 1))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(device.read(4, place, 1)) for place in (1, 2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert await running == (100,)
        assert await waiting[1] == (102,)
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]


async def test_a_turn_that_was_given_to_a_cancelled_poll_goes_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        device = at.device()
        async with at.wire._turn.taken(urgent=False):
            waiting = [asyncio.create_task(device.read(4, place, 1)) for place in (1, 2)]
            await asyncio.sleep(0)
        waiting[0].cancel()
        assert await waiting[1] == (102,)


async def test_a_port_that_is_not_there_is_told_and_found_when_it_appears(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        at.pty.unplug()
        device = at.device()
        with pytest.raises(PortLost) as raised:
            await device.read(4, 0, 2)
        assert str(raised.value).startswith(f"meter address 1 on {tmp_path}/ttyUSB0: the port is not there; check")
        at.pty.plug(at.slave.received)
        assert await _until_answered(device) == (100, 101)


async def test_a_port_that_vanishes_in_use_is_opened_again(tmp_path: Path) -> None:
    def hang_up(_request: bytes, _honest: bytes) -> list[tuple[float, bytes]]:
        at.pty.unplug()
        return []

    async with bench(tmp_path) as at:
        device = await answered(at.device())
        at.slave.script.append(hang_up)
        loop = asyncio.get_running_loop()
        before = loop.time()
        with pytest.raises(PortLost, match="the port is not there"):
            await device.read(4, 0, 2)
        assert loop.time() - before < 0.1
        with pytest.raises(PortLost, match="the port is not there"):
            await device.read(4, 0, 2)
        at.pty.plug(at.slave.received)
        assert await _until_answered(device) == (100, 101)


async def test_a_lost_port_is_not_opened_with_every_poll_but_with_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as at:
        at.pty.unplug()
        device = at.device()
        monkeypatch.setattr("agent.fieldbus.bus.REOPEN_S", (60.0,))
        with pytest.raises(PortLost):
            await device.read(4, 0, 2)
        at.pty.plug(at.slave.received)
        with pytest.raises(PortLost, match="the port is not there"):
            await device.read(4, 0, 2)
        await device.write(16, 5, (0,))
        assert await device.read(4, 0, 2) == (100, 101)


async def test_a_port_without_permission_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    async with bench(tmp_path) as at:
        monkeypatch.setattr(os, "open", refused)
        with pytest.raises(PortLost, match="no permission to open the port; add the user of this program to the group"):
            await at.device().read(4, 0, 2)


async def test_a_port_in_use_by_another_program_says_so(tmp_path: Path) -> None:
    async with bench(tmp_path) as at, bench_on(at.wire.line) as other:
        await at.device().read(4, 0, 2)
        with pytest.raises(PortLost, match="the port is in use by another program"):
            await other.device("meter", 1, BUS).read(4, 0, 2)


@pytest.mark.parametrize(("parity", "stopbits"), [("E", 1), ("O", 1), ("N", 2), ("E", 2)])
async def test_a_pseudo_terminal_is_opened_whatever_parity_its_device_has(
    tmp_path: Path, parity: str, stopbits: int
) -> None:
    slave = Slave(dict(WORDS))
    async with on_pty(slave, tmp_path) as (pty, line):
        wire = Wire(replace(line, parity=parity, stopbits=stopbits, baudrate=19200), SystemClock(1), quiet_s=QUIET_S)
        async with wire.open():
            for _ in range(2):
                assert await wire.device("meter", 1, BUS).read(4, 0, 2) == (100, 101)
                wire.close()
        assert pty.path.exists()


def refuse(_descriptor: int, _when: int, _attributes: list[object]) -> None:
    raise termios.error(errno.EINVAL, "Invalid argument")


async def test_a_port_that_refuses_the_line_settings_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path) as at:
        monkeypatch.setattr("termios.tcsetattr", refuse)
        with pytest.raises(PortLost, match="the port refuses the line settings"):
            await at.device().read(4, 0, 2)


async def test_a_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    async with bench_on(LineSettings(Transport.RTU, str(path)).completed(BUS)) as wire:
        with pytest.raises(PortLost, match="this is no serial port"):
            await wire.device("meter", 1, BUS).read(4, 0, 2)


@pytest.mark.parametrize("tcp", [True, False])
async def test_the_same_works_over_tcp(*, tcp: bool) -> None:
    slave = Slave(dict(WORDS), tcp=tcp)
    async with on_socket(slave) as (_, line), bench_on(line) as wire:
        device = wire.device("meter", 1, BUS)
        assert await device.read(4, 0, 3) == (100, 101, 102)
        await device.write(16, 5, (7,))
        assert slave.words[3, 5] == 7
        with pytest.raises(Refused):
            await device.read(4, 70, 2)


async def test_a_late_answer_over_tcp_is_known_by_its_number() -> None:
    slave = Slave(dict(WORDS), tcp=True)
    slave.script.append(late(0.13))
    async with on_socket(slave) as (_, line), bench_on(line) as wire:
        device = wire.device("meter", 1, BUS)
        with pytest.raises(NoAnswer) as raised:
            await device.read(4, 0, 2)
        assert str(raised.value).endswith(
            "no answer within 0.1 s; check the address (Modbus device id), and that Modbus is switched on"
        )
        assert await device.read(4, 4, 2) == (104, 105)
        assert slave.times[1] - slave.times[0] < 0.16


@pytest.mark.parametrize("tcp", [True, False])
async def test_a_late_answer_is_not_taken_over_tcp_either(*, tcp: bool) -> None:
    slave = Slave(dict(WORDS), tcp=tcp)
    slave.script.append(late(0.13))
    async with on_socket(slave) as (_, line), bench_on(line) as wire:
        device = wire.device("meter", 1, BUS)
        with pytest.raises(NoAnswer):
            await device.read(4, 0, 2)
        assert await device.read(4, 4, 2) == (104, 105)


@pytest.mark.parametrize("tcp", [True, False])
async def test_garbage_over_tcp_ends_the_connection_and_not_the_polling(*, tcp: bool) -> None:
    slave = Slave(dict(WORDS), tcp=tcp)
    slave.script += [sends(b"\x00\x01\x00\x00\x00\x02\x01\x2b"), sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")]
    async with on_socket(slave) as (writers, line), bench_on(line) as wire:
        device = wire.device("meter", 1, BUS)
        for _ in range(2):
            with pytest.raises(WrongAnswer):
                await device.read(4, 0, 2)
        assert await device.read(4, 0, 2) == (100, 101)
        assert len(writers) == 3


async def test_a_closed_connection_is_opened_again_at_once() -> None:
    slave = Slave(dict(WORDS), tcp=True)
    async with on_socket(slave) as (writers, line), bench_on(line) as wire:
        device = await answered(wire.device("meter", 1, BUS))
        writers[0].close()
        await writers[0].wait_closed()
        assert await device.read(4, 4, 2) == (104, 105)
        assert len(writers) == 2


async def test_a_device_that_closes_each_connection_is_told() -> None:
    def hang_up(_request: bytes, _honest: bytes) -> list[tuple[float, bytes]]:
        writers[-1].close()
        return []

    slave = Slave(dict(WORDS), tcp=True)
    slave.script.append(hang_up)
    async with on_socket(slave) as (writers, line), bench_on(line) as wire:
        with pytest.raises(PortLost, match="the other side closed the connection"):
            await wire.device("meter", 1, BUS).read(4, 0, 2)


async def test_a_connection_on_which_nothing_comes_is_opened_anew() -> None:
    slave = Slave(dict(WORDS), tcp=True, units=(9,))
    async with on_socket(slave) as (writers, line), bench_on(line) as wire:
        device = wire.device("meter", 1, BUS)
        for _ in range(4):
            with pytest.raises(NoAnswer):
                await device.read(4, 0, 2)
        assert len(writers) == 2


async def test_a_refused_connection_says_so() -> None:
    async with on_socket(Slave({}, tcp=True)) as (_, line):
        pass
    async with bench_on(line) as wire:
        with pytest.raises(PortLost, match="the connection is refused; check the port number"):
            await wire.device("meter", 1, BUS).read(4, 0, 2)


async def test_an_unknown_host_says_so() -> None:
    line = LineSettings(Transport.TCP, host="no-such-host.invalid", port=502).completed(BUS)
    async with bench_on(line) as wire:
        with pytest.raises(PortLost, match="cannot be reached"):
            await wire.device("meter", 1, BUS).read(4, 0, 2)


async def test_a_host_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_arguments: object, **_options: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("agent.fieldbus.link.CONNECT_S", 0.1)
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
    line = LineSettings(Transport.TCP, host="127.0.0.1", port=9).completed(BUS)
    async with bench_on(line) as wire:
        with pytest.raises(PortLost, match=r"cannot be reached within 0\.1 s"):
            await wire.device("meter", 1, BUS).read(4, 0, 2)


async def test_a_cancellation_that_is_lost_while_connecting_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    began = asyncio.Event()

    async def swallows(_client: AsyncModbusTcpClient) -> bool:
        began.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return True

    monkeypatch.setattr(AsyncModbusTcpClient, "connect", swallows)
    async with bench_on(LineSettings(Transport.TCP, host="127.0.0.1", port=9).completed(BUS)) as wire:
        task = asyncio.create_task(wire.device("meter", 1, BUS).read(4, 0, 2))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_pymodbus_logs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with bench(tmp_path, silence, sends(b"\x00\x01\x02")) as at:
        for _ in range(2):
            with pytest.raises((NoAnswer, WrongAnswer)):
                await at.device().read(4, 0, 2)
    assert [record for record in caplog.records if record.name.startswith("pymodbus")] == []


def test_devices_on_one_port_share_its_wire(tmp_path: Path) -> None:
    port, name = tmp_path / "ttyUSB0", tmp_path / "by-id"
    port.touch()
    name.symlink_to(port)
    wires = Wires(SystemClock(1))
    first = wires.get(LineSettings(Transport.RTU, str(port)).completed(BUS))
    assert wires.get(LineSettings(Transport.RTU, str(name)).completed(BUS)) is first
    assert wires.get(LineSettings(Transport.RTU, str(tmp_path / "ttyUSB1")).completed(BUS)) is not first
    with pytest.raises(ConfigError, match="used with 115200 8N1 and with 19200 8N1"):
        wires.get(LineSettings(Transport.RTU, str(name), baudrate=19200).completed(BUS))


async def test_all_ports_are_released_at_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as at:
        wires = Wires(SystemClock(1))
        async with wires.open():
            await wires.get(at.wire.line).device("meter", 1, BUS).read(4, 0, 1)
        assert await at.device().read(4, 0, 1) == (100,)


@asynccontextmanager
async def bench_on(line: LineSettings) -> AsyncIterator[Wire]:
    wire = Wire(line, SystemClock(1), quiet_s=QUIET_S)
    async with wire.open():
        yield wire


async def _until_answered(device: Device) -> tuple[int, ...]:
    async with asyncio.timeout(5):
        while True:
            try:
                return await device.read(4, 0, 2)
            except PortLost:
                await asyncio.sleep(0.05)
