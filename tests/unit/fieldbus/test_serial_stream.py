"""The async stream over a real tty."""

from __future__ import annotations

import asyncio
import errno
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from agent.fieldbus.line import LineSettings, PortLost, Transport
from agent.fieldbus.serial import BUFFER, SerialStream
from tests.unit.fieldbus.slave import BUS, Pty


def line(pty: Pty) -> LineSettings:
    return LineSettings(Transport.SERIAL, str(pty.path)).completed(BUS)


async def test_bytes_are_returned_as_they_arrive(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    stream = SerialStream(line(pty))
    with stream.opened():
        pty.send(b"\x02\x00\xff\x03\x11\x13\r\n")
        assert await stream.read(None) == b"\x02\x00\xff\x03\x11\x13\r\n"
        assert await stream.read(0.01) == b""
        asyncio.get_running_loop().call_later(0.02, pty.send, b"1")
        assert await stream.read(1.0) == b"1"
    pty.unplug()


async def test_what_arrived_before_it_was_opened_is_dropped(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    pty.send(b"old")
    stream = SerialStream(line(pty))
    with stream.opened():
        assert await stream.read(0.05) == b""
    pty.unplug()


@pytest.mark.parametrize("parity", ["E", "O"])
async def test_a_pseudo_terminal_is_opened_whatever_the_parity(tmp_path: Path, parity: str) -> None:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    stream = SerialStream(replace(line(pty), parity=parity))
    with stream.opened():
        pty.send(b"1")
        assert await stream.read(1.0) == b"1"
    pty.unplug()


def refuse(_descriptor: int, _when: int, _attributes: list[object]) -> None:
    raise termios.error(errno.EINVAL, "Invalid argument")


async def test_a_port_that_refuses_the_line_settings_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    monkeypatch.setattr("termios.tcsetattr", refuse)
    with pytest.raises(PortLost, match="the port refuses the line settings"), SerialStream(line(pty)).opened():
        pass
    pty.unplug()


async def test_the_buffer_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    stream = SerialStream(line(pty))
    with stream.opened():
        for _ in range(8):
            pty.send(b"x" * 1000)
            await asyncio.sleep(0.01)
        pty.send(b"end")
        await asyncio.sleep(0.01)
        data = await stream.read(1.0)
        assert (len(data), data[-3:]) == (BUFFER, b"end")
    pty.unplug()


async def test_a_port_that_breaks_hands_out_what_it_has_and_then_says_so(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    stream = SerialStream(line(pty))
    with stream.opened():
        pty.send(b"last")
        await stream._arrived.wait()  # a port that breaks forgets what nobody took
        pty.unplug()
        await asyncio.sleep(0.01)
        assert await stream.read(None) == b"last"
        with pytest.raises(PortLost, match="the port went away; check that the adapter is plugged in"):
            await stream.read(None)


async def test_a_port_is_held_alone_and_released(tmp_path: Path) -> None:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    first, second = SerialStream(line(pty)), SerialStream(line(pty))
    with first.opened(), pytest.raises(PortLost, match="in use by another program"), second.opened():
        pass
    with second.opened():
        pass
    pty.unplug()
    with pytest.raises(PortLost, match="the port is not there"), second.opened():
        pass
