"""Buses on real wires: pseudo-terminals with links, unplugging and plugging in, TCP, RTU over TCP."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from simulators.bus import Bus, Endpoint
from simulators.circuit import HandClock
from simulators.evse import EvseBus
from simulators.framing import rtu_frame
from simulators.meter import Meter, MeterBus
from simulators.wires import LinkRefused, Pty
from tests.simulators.wires import SerialLine

#: Two words of the SDM630's import register.
IMPORT = rtu_frame(1, bytes.fromhex("0400480002")).hex()
#: 1234.567 kWh.
ANSWER = rtu_frame(1, bytes.fromhex("0404449A5225")).hex().upper()


async def test_a_meter_answers_on_a_pseudo_terminal() -> None:
    async with MeterBus.on_pty(Meter(clock=HandClock())) as bus, SerialLine(bus.path) as line:
        assert await line.ask(IMPORT, 9) == ANSWER
        assert bus.trace[-1].request.pdu == bytes.fromhex("0400480002")


async def test_a_reader_that_comes_and_goes_finds_the_meter_again() -> None:
    async with MeterBus.on_pty(Meter(clock=HandClock())) as bus:
        for _ in range(3):
            async with SerialLine(bus.path) as line:
                assert await line.ask(IMPORT, 9) == ANSWER


async def test_a_link_names_the_terminal_and_goes_with_the_bus(tmp_path: Path) -> None:
    link = tmp_path / "meter.tty"
    async with MeterBus.on_pty(Meter(clock=HandClock()), link=link) as bus:
        assert bus.path == str(link)
        async with SerialLine(str(link)) as line:
            assert await line.ask(IMPORT, 9) == ANSWER
    assert not link.is_symlink()


async def test_a_link_left_by_a_crash_is_replaced_but_a_file_is_not(tmp_path: Path) -> None:
    link = tmp_path / "meter.tty"
    link.symlink_to("/dev/pts/gone")
    async with MeterBus.on_pty(link=link):
        assert link.exists()
    link.write_text("a file")
    with pytest.raises(LinkRefused):
        await MeterBus.on_pty(link=link).__aenter__()
    assert link.read_text() == "a file"


async def test_unplugging_hangs_up_and_replugging_serves_under_the_same_link(tmp_path: Path) -> None:
    link = tmp_path / "bus.tty"
    async with MeterBus.on_pty(Meter(clock=HandClock()), link=link) as bus:
        async with SerialLine(str(link)) as line:
            await bus.unplug()
            async with asyncio.timeout(2):
                await line.lost.wait()
            assert not link.is_symlink()
        await bus.replug()
        async with SerialLine(str(link)) as line:
            assert await line.ask(IMPORT, 9) == ANSWER


async def test_half_a_request_before_the_plug_was_pulled_is_forgotten(tmp_path: Path) -> None:
    async with MeterBus.on_pty(Meter(clock=HandClock()), link=tmp_path / "bus.tty") as bus:
        async with SerialLine(bus.path) as line:
            line.write(bytes.fromhex(IMPORT)[:5])
            await asyncio.sleep(0.01)
            await bus.unplug()
        await bus.replug()
        async with SerialLine(bus.path) as line:
            assert await line.ask(IMPORT, 9) == ANSWER


async def test_two_units_share_a_line_and_a_third_is_silent() -> None:
    async with EvseBus.on_pty(clock=HandClock()) as bus, SerialLine(bus.path) as line:
        assert await line.ask(IMPORT, 9) == ANSWER
        assert (await line.ask(rtu_frame(2, bytes.fromhex("0303EA0001")).hex(), 7))[:10] == "0203020001"
        assert await line.silent(rtu_frame(3, bytes.fromhex("0400480002")).hex())


async def test_faults_are_switched_while_the_bus_runs() -> None:
    async with EvseBus.on_pty(clock=HandClock()) as bus, SerialLine(bus.path) as line:
        bus.meter.faults.silent = True
        assert await line.silent(IMPORT)
        assert (await line.ask(rtu_frame(2, bytes.fromhex("0303EA0001")).hex(), 7))[:10] == "0203020001"
        bus.meter.faults.clear()
        assert await line.ask(IMPORT, 9) == ANSWER


async def test_a_delayed_answer_comes_although_the_next_request_was_sent() -> None:
    async with MeterBus.on_pty(Meter(clock=HandClock())) as bus, SerialLine(bus.path) as line:
        bus.meter.faults.delay_s, bus.meter.faults.times = 0.1, 1
        assert await line.ask(IMPORT, 1, 0.03) == ""
        voltage = rtu_frame(1, bytes.fromhex("0400000002")).hex()
        assert (await line.ask(voltage, 9))[:6] == "010404"
        assert (await line.read(9)).hex().upper() == ANSWER


async def test_bytes_can_be_sent_that_nobody_asked_for() -> None:
    async with MeterBus.on_pty() as bus, SerialLine(bus.path) as line:
        bus.inject(b"\x55\xaa")
        assert await line.read(2) == b"\x55\xaa"


async def test_a_line_can_be_as_slow_as_its_baud_rate() -> None:
    meter = Meter(clock=HandClock())
    async with Bus({1: meter}, baudrate=2400) as bus, SerialLine(bus.path) as line:
        start = asyncio.get_running_loop().time()
        assert await line.ask(IMPORT, 9) == ANSWER
        assert asyncio.get_running_loop().time() - start > 0.06


async def test_what_nobody_reads_is_lost_as_on_a_real_port() -> None:
    pty = Pty(lambda _send: lambda _data: None)
    pty.plug()
    try:
        for _ in range(60):
            pty.write(b"x" * 100)
            await asyncio.sleep(0.002)  # terminals hand on what is written to them a little later
        pty.write(b"end")
        fd = os.open(pty.path, os.O_RDONLY | os.O_NOCTTY)
        waiting = b""
        while not waiting.endswith(b"end"):
            waiting += os.read(fd, 65536)
        os.close(fd)
    finally:
        pty.unplug()
    assert len(waiting) < 3000


@pytest.mark.parametrize("serial", [False, True])
async def test_tcp_and_rtu_over_tcp(*, serial: bool) -> None:
    mbap = "000100000006010400480002"
    expected = ANSWER if serial else "00010000000701" + ANSWER[2:-4]
    async with MeterBus.on_tcp(Meter(clock=HandClock()), serial=serial) as bus:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
            writer.write(bytes.fromhex(IMPORT if serial else mbap))
            async with asyncio.timeout(2):
                answer = await reader.readexactly(len(expected) // 2)
            assert answer.hex().upper() == expected
            port = bus.port
            await bus.unplug()
            async with asyncio.timeout(2):
                assert await reader.read(1) == b""
            writer.close()
            with pytest.raises(OSError, match="Connect"):
                await asyncio.open_connection("127.0.0.1", port)
            await bus.replug()
            assert bus.port == port


@pytest.mark.parametrize("serial", [False, True])
async def test_a_request_can_be_answered_by_cutting_the_connection(*, serial: bool) -> None:
    async with MeterBus.on_tcp(Meter(clock=HandClock()), serial=serial) as bus:
        bus.meter.faults.reset, bus.meter.faults.times = True, 1
        request = bytes.fromhex(IMPORT if serial else "000100000006010400480002")
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
        writer.write(request)
        async with asyncio.timeout(2):
            with pytest.raises(ConnectionResetError):
                await reader.readexactly(1)
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
        writer.write(request)
        async with asyncio.timeout(2):
            assert await reader.readexactly(9)
        writer.close()


async def test_slow_bytes_arrive_one_by_one() -> None:
    async with MeterBus.on_tcp(Meter(clock=HandClock())) as bus:
        bus.meter.faults.slow_s = 0.01
        reader, writer = await asyncio.open_connection("127.0.0.1", bus.port)
        writer.write(bytes.fromhex("000100000006010400480002"))
        pieces: list[bytes] = []
        async with asyncio.timeout(2):
            while sum(map(len, pieces)) < 13:
                pieces.append(await reader.read(100))
        assert len(pieces) > 3
        assert b"".join(pieces)[:8].hex() == "0001000000070104"
        writer.close()


async def test_a_bus_tells_what_its_wire_is() -> None:
    assert Bus({}).wire == "pty"
    assert Bus({}, Endpoint(host="127.0.0.1")).wire == "tcp"
    assert Bus({}, Endpoint(host="127.0.0.1", serial=True)).wire == "rtu-over-tcp"


async def test_a_bus_needs_no_second_plug() -> None:
    async with Bus({}, Endpoint(host="127.0.0.1")) as bus:
        await bus.replug()
        assert bus.port
        assert bus.path == ""
