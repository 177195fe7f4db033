"""The simulated card reader: documented frames, how often they come, what disturbs them, the cable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from simulators.rfid import CardReader, WrongCard, rdm6300
from tests.simulators.wires import SerialLine

UID = "62E3086CED"
FRAME = bytes.fromhex("0236324533303836434544303803")


@pytest.mark.parametrize(
    ("uid", "frame"),
    [
        (UID, FRAME.hex()),
        ("0C000621A5", "0230433030303632314135384503"),
        ("0000AB12CD", "0230303030414231324344373403"),
    ],
)
def test_frames_are_those_of_the_module(uid: str, frame: str) -> None:
    assert rdm6300(bytes.fromhex(uid)).hex() == frame


async def test_a_held_card_is_sent_again_and_again_at_the_modules_pace() -> None:
    async with CardReader() as reader, SerialLine(reader.path) as line:
        start = asyncio.get_running_loop().time()
        await reader.tap(UID, hold_s=0.4)
        assert 0.39 < asyncio.get_running_loop().time() - start < 0.6
        await line.read(1, 0)
        frames, rest = divmod(len(line.received) + 1, len(FRAME))
        assert rest == 0
        assert 4 <= frames <= 7


async def test_a_short_touch_is_one_frame() -> None:
    async with CardReader() as reader, SerialLine(reader.path) as line:
        await reader.tap(UID, hold_s=0)
        assert await line.read(15, 0.15) == FRAME


async def test_two_cards_wait_for_each_other() -> None:
    async with CardReader() as reader, SerialLine(reader.path) as line:
        await asyncio.gather(reader.tap(UID, hold_s=0.05), reader.tap("0C000621A5", hold_s=0))
        assert await line.read(28) == FRAME + rdm6300(bytes.fromhex("0C000621A5"))


async def test_disturbed_frames() -> None:
    async with CardReader() as reader, SerialLine(reader.path) as line:
        for fault, value, expected in (
            ("bad_checksum", True, FRAME[:-3] + b"19" + FRAME[-1:]),
            ("half", True, FRAME[:7]),
            ("lower_case", True, FRAME.lower()),
            ("glued", 3, FRAME * 3),
            ("noise_before", b"\xff\x00", b"\xff\x00" + FRAME),
            ("lose", 2, FRAME[:7] + FRAME[9:]),
            ("split_s", 0.001, FRAME),
        ):
            healthy = getattr(reader, fault)
            setattr(reader, fault, value)
            await reader.tap(UID, hold_s=0)
            assert await line.read(len(expected)) == expected, fault
            setattr(reader, fault, healthy)
        reader.noise(b"\x41\x0d")
        assert await line.read(2) == b"\x41\x0d"
        reader.noise()
        assert await line.read(1)


async def test_a_silent_reader_sends_nothing() -> None:
    async with CardReader() as reader, SerialLine(reader.path) as line:
        reader.silent = True
        await reader.tap(UID, hold_s=0)
        assert not await line.read(1, 0.1)


async def test_a_frame_can_come_again_although_the_card_is_gone() -> None:
    async with CardReader() as reader, SerialLine(reader.path) as line:
        reader.repeats = 3
        await reader.tap(UID, hold_s=0)
        assert await line.read(43, 0.1) == FRAME * 3


@pytest.mark.parametrize("uid", ["", "62E3086C", "62E3086CEDFF", "62E3086CEX", "62 E3 08 6C ED", "04A1B2C3D4E5F6"])
async def test_cards_that_the_reader_cannot_read_are_refused(uid: str) -> None:
    with pytest.raises(WrongCard, match="reads EM4100 cards of 10 hex characters"):
        await CardReader().tap(uid)


async def test_the_cable_can_be_pulled_and_put_back(tmp_path: Path) -> None:
    link = tmp_path / "reader.tty"
    async with CardReader(link=link) as reader:
        async with SerialLine(str(link)) as line:
            reader.unplug()
            async with asyncio.timeout(2):
                await line.lost.wait()
            await reader.tap(UID, hold_s=0)
        reader.replug()
        async with SerialLine(str(link)) as line:
            await reader.tap(UID, hold_s=0)
            assert await line.read(14) == FRAME
    assert not link.is_symlink()
