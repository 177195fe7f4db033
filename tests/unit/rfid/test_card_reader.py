"""The reader over a real tty: tokens, unplugging, its state, its settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agent.core.errors import ConfigError, ReaderLost
from agent.core.model import IdToken
from agent.fieldbus.line import Transport
from agent.rfid.reader import ReaderSettings, SerialReader, available_readers, open_reader, reader_line
from agent.runtime.clock import SystemClock
from tests.unit.fieldbus.slave import Pty

CARD = bytes.fromhex("0236324533303836434544303803")
OTHER = bytes.fromhex("0230433030303632314135384503")


@pytest.fixture
async def pty(tmp_path: Path) -> AsyncIterator[Pty]:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(lambda _data: None)
    yield pty
    pty.unplug()


def reader_on(pty: Pty, *, release_gap_s: float = 1.5, min_repeat_s: float = 3.0) -> SerialReader:
    settings = ReaderSettings("rdm6300", str(pty.path), release_gap_s=release_gap_s, min_repeat_s=min_repeat_s)
    return open_reader(settings, SystemClock(1))


async def opened(reader: SerialReader) -> None:
    async with asyncio.timeout(5):
        while not reader.ok:
            await asyncio.sleep(0.005)


async def test_a_card_that_is_held_is_one_token(pty: Pty) -> None:
    reader = reader_on(pty)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await opened(reader)
        for byte in CARD:
            pty.send(bytes((byte,)))
            await asyncio.sleep(0.001)
        pty.send(CARD * 3 + b"\x00\xff" + OTHER)
        assert await first == IdToken("62E3086CED")
        assert await anext(cards) == IdToken("0C000621A5")


@pytest.mark.requirement(62)
async def test_noise_and_cut_frames_yield_nothing(pty: Pty) -> None:
    reader = reader_on(pty)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await opened(reader)
        pty.send(b"\x02" + b"junk" * 40 + CARD[:8])
        await asyncio.sleep(0.15)
        assert not first.done()
        pty.send(CARD[8:])
        await asyncio.sleep(0.01)
        assert not first.done()
        pty.send(OTHER)
        assert await first == IdToken("0C000621A5")


async def test_a_card_that_comes_back_is_a_second_token(pty: Pty) -> None:
    reader = reader_on(pty, release_gap_s=0.05, min_repeat_s=0.05)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await opened(reader)
        pty.send(CARD)
        await first
        await asyncio.sleep(0.1)
        pty.send(CARD)
        assert await anext(cards) == IdToken("62E3086CED")


async def test_an_unplugged_reader_is_lost_with_words_and_works_again_when_it_is_back(pty: Pty) -> None:
    reader = reader_on(pty)
    waiting = asyncio.ensure_future(anext(reader.cards()))
    await opened(reader)
    assert reader.last_error is None
    pty.unplug()
    with pytest.raises(ReaderLost, match=f"card reader on {pty.path}: the port went away; check that the adapter"):
        await waiting
    assert (reader.ok, reader.last_error is not None) == (False, True)
    with pytest.raises(ReaderLost, match="the port is not there"):
        await anext(reader.cards())
    pty.plug(lambda _data: None)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await opened(reader)
        pty.send(CARD)
        assert await first == IdToken("62E3086CED")
        assert reader.last_error is None


async def test_a_touch_is_not_reported_twice_because_the_port_broke(pty: Pty) -> None:
    reader = reader_on(pty)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await opened(reader)
        pty.send(CARD)
        await first
    async with aclosing(reader.cards()) as cards:
        second = asyncio.ensure_future(anext(cards))
        await opened(reader)
        pty.send(CARD + OTHER)
        assert await second == IdToken("0C000621A5")


async def test_cancellation_releases_the_port(pty: Pty) -> None:
    reader = reader_on(pty)
    waiting = asyncio.ensure_future(anext(reader.cards()))
    await opened(reader)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not reader.ok
    async with aclosing(reader_on(pty).cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await asyncio.sleep(0.02)
        pty.send(CARD)
        assert await first == IdToken("62E3086CED")


def test_a_reader_has_the_line_it_left_the_factory_with() -> None:
    assert available_readers() == ("pn532_hsu", "rdm6300")
    line = reader_line(ReaderSettings("rdm6300", "/dev/ttyUSB1"))
    assert (line.transport, line.name, line.form) == (Transport.SERIAL, "/dev/ttyUSB1", "9600 8N1")
    assert reader_line(ReaderSettings("rdm6300", "/dev/ttyUSB1", 19200)).form == "19200 8N1"
    assert reader_line(ReaderSettings("pn532_hsu", "/dev/ttyUSB1")).form == "115200 8N1"
    with pytest.raises(ConfigError, match="reader: 'rdm' is not known: use one of pn532_hsu, rdm6300"):
        open_reader(ReaderSettings("rdm", "/dev/ttyUSB1"), SystemClock(1))
