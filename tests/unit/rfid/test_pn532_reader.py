"""The PN532 over a real tty: tokens, its state, loss of power and port, what is logged, and what the restarts do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from agent.core.errors import ReaderLost
from agent.core.model import IdToken
from agent.fieldbus.line import LineSettings, PortLost, Transport
from agent.fieldbus.serial import SerialStream
from agent.rfid.reader import ReaderSettings, SerialReader, open_reader
from agent.runtime.clock import SystemClock
from agent.runtime.supervise import supervise
from tests.unit.fieldbus.slave import Pty
from tests.unit.rfid.pn532_board import ACK, LIST, Board, acked, answer, on, target

CARD = target("04A1B2C3D4E580", ats="067577810280")
OTHER = target("DEADBEEF")


@pytest.fixture
async def board() -> Board:
    return Board()


@pytest.fixture
async def pty(tmp_path: Path, board: Board) -> AsyncIterator[Pty]:
    pty = Pty(tmp_path / "ttyUSB1")
    pty.plug(on(pty, board))
    yield pty
    pty.unplug()


class Opened:
    """Counts how often a reader was found to work."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def reader_on(pty: Pty, opened: Opened | None = None) -> SerialReader:
    return open_reader(ReaderSettings("pn532_hsu", str(pty.path)), SystemClock(1), opened)


async def works(reader: SerialReader) -> None:
    async with asyncio.timeout(8):
        while not reader.ok:
            await asyncio.sleep(0.005)


async def test_a_card_that_stays_is_one_token_and_another_is_the_next(pty: Pty, board: Board) -> None:
    opened = Opened()
    reader = reader_on(pty, opened)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await works(reader)
        board.present = [CARD]
        assert await first == IdToken("04A1B2C3D4E580")
        second = asyncio.ensure_future(anext(cards))
        polls = len(board.received)
        while len(board.received) < polls + 9:
            await asyncio.sleep(0.01)
        assert not second.done()
        board.present = [OTHER]
        assert await second == IdToken("DEADBEEF")
    assert opened.times == 1
    assert not reader.ok


async def test_it_is_no_reader_before_it_has_answered_a_search(pty: Pty, board: Board) -> None:
    opened = Opened()
    board.usual = lambda command: [(0.001, ACK)] if command[0] == LIST else acked(answer(command[0] + 1))
    reader = reader_on(pty, opened)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        while not [command for command in board.received if command[0] == LIST]:
            await asyncio.sleep(0.005)
        assert (reader.ok, opened.times) == (False, 0)
        board.usual = None
        await works(reader)
        assert opened.times == 1
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first


async def test_a_board_that_lost_its_power_is_noticed_with_what_to_check_and_found_when_it_is_back(
    pty: Pty, board: Board
) -> None:
    opened, failures = Opened(), list[Exception]()
    reader = reader_on(pty, opened)

    async def read() -> None:
        await anext(reader.cards())

    running = asyncio.ensure_future(
        supervise(
            "card reader",
            read,
            clock=SystemClock(1),
            failures=(ReaderLost,),
            failed=failures.append,
            chance=lambda: 0.0,
        )
    )
    await works(reader)
    board.cut_power()
    async with asyncio.timeout(8):
        while not failures:
            await asyncio.sleep(0.01)
    text = str(failures[0])
    assert (reader.ok, reader.last_error) == (False, text)
    assert text.startswith(f"card reader on {pty.path}: the PN532 does not answer; check its power")
    assert "HSU" in text
    assert "115200 baud" in text
    board.powered = True
    await works(reader)
    assert (len(failures), opened.times, reader.last_error) == (1, 2, None)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_touch_is_one_token_although_the_power_failed_meanwhile(pty: Pty, board: Board) -> None:
    board.present = [CARD]
    reader = reader_on(pty)
    async with aclosing(reader.cards()) as cards:
        assert await anext(cards) == IdToken("04A1B2C3D4E580")
        second = asyncio.ensure_future(anext(cards))
        board.cut_power()
        board.powered = True
        while not board.sam:
            await asyncio.sleep(0.01)
        board.present = [CARD, OTHER]
        while len(board.selected) < 1:
            await asyncio.sleep(0.005)
        board.present = [OTHER]
        assert await second == IdToken("DEADBEEF")


async def test_an_unplugged_adapter_is_lost_with_its_own_words_and_works_again(pty: Pty, board: Board) -> None:
    reader = reader_on(pty)
    waiting = asyncio.ensure_future(anext(reader.cards()))
    await works(reader)
    pty.unplug()
    with pytest.raises(ReaderLost, match=f"card reader on {pty.path}: the port went away; check that the adapter"):
        await waiting
    board.cut_power()
    board.powered, board.present = True, [CARD]
    pty.plug(on(pty, board))
    async with aclosing(reader.cards()) as cards:
        assert await anext(cards) == IdToken("04A1B2C3D4E580")


async def test_a_phone_is_no_card_and_is_warned_of_once_a_minute_without_its_number(pty: Pty, board: Board) -> None:
    reader = reader_on(pty)
    async with aclosing(reader.cards()) as cards:
        first = asyncio.ensure_future(anext(cards))
        await works(reader)
        with capture_logs() as logs:
            for number in range(4):
                board.present = [target(f"08A1B2C{number}")]
                searches = [command[0] for command in board.received].count(LIST)
                while [command[0] for command in board.received].count(LIST) < searches + 2:
                    await asyncio.sleep(0.005)
            board.present = [OTHER]
            assert await first == IdToken("DEADBEEF")
    warnings = [log for log in logs if log["log_level"] == "warning"]
    assert [log["event"].partition(";")[0] for log in warnings] == [
        "a phone or a card whose number changes at each touch was held to the reader"
    ]
    assert "A1B2" not in str(logs)


async def test_a_port_that_went_away_takes_nothing(pty: Pty) -> None:
    port = SerialStream(LineSettings(Transport.SERIAL, str(pty.path), 115200, "N", 1))
    port.write(b"before it is open")
    with port.opened():
        port.write(b"")
        port.write(b"\x00")
        pty.unplug()
        with pytest.raises(PortLost, match=f"{pty.path}: the port went away"):
            port.write(b"\x00")


async def test_a_blocked_port_blocks_nobody(tmp_path: Path) -> None:
    deaf = Pty(tmp_path / "ttyUSB9")
    deaf.plug(lambda _data: None)
    assert deaf._master is not None
    asyncio.get_running_loop().remove_reader(deaf._master)
    port = SerialStream(LineSettings(Transport.SERIAL, str(deaf.path), 115200, "N", 1))
    try:
        with port.opened():
            for _ in range(400):
                port.write(bytes(1000))
    finally:
        deaf.unplug()
