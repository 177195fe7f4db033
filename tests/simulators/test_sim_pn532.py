"""The simulated PN532: its frames as documented, waking up, searching, cards that are held, and every fault it has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.errors import Misuse
from simulators.pn532 import Pn532
from simulators.pn532_chip import Mode
from simulators.pn532_frames import ACK, Acked, Command, HostStream, Nacked, Woken, information
from simulators.rfid import WrongCard
from tests.simulators.wires import VECTORS, SerialLine

FILE = json.loads((VECTORS / "pn532.json").read_text())
HOST: dict[str, str] = FILE["host"]
CHIP: dict[str, str] = FILE["chip"]
UID = "DEADBEEF"
FIELD_ON = information(bytes.fromhex("D4320101")).hex()
POWER_DOWN = information(bytes.fromhex("D41620")).hex()
NOTHING = CHIP["pn-08"]


@contextlib.asynccontextmanager
async def board(*commands: str) -> AsyncIterator[tuple[Pn532, SerialLine]]:
    """Yield a board that has obeyed some commands, woken and configured by default, and a line to it."""
    async with Pn532() as reader, SerialLine(reader.path) as line:
        for command in commands or (HOST["wake"] + HOST["sam"], HOST["retries"]):
            assert await ask(line, command)
        yield reader, line


async def ask(line: SerialLine, command: str, answer: str = "") -> str:
    """Send a command; return as many bytes as are expected, or all that comes until the line is quiet."""
    line.write(bytes.fromhex(command))
    if answer:
        return (await line.read(len(answer) // 2, 5)).hex().upper()
    got = await line.read(1, 5)
    while more := await line.read(1000, 0.08):
        got += more
    return got.hex().upper()


async def silent(line: SerialLine, command: str) -> bool:
    """Tell whether a command stays unanswered."""
    line.write(bytes.fromhex(command))
    return not await line.read(1, 0.15)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (HOST["version"], CHIP["pn-02"]),
        (HOST["sam"], CHIP["pn-03"]),
        (HOST["sam with time-out"], CHIP["pn-03"]),
        (HOST["retries"], ACK.hex() + information(bytes.fromhex("D533")).hex()),
        (HOST["release"], ACK.hex() + information(bytes.fromhex("D55300")).hex()),
        (HOST["field off"], ACK.hex() + information(bytes.fromhex("D533")).hex()),
        (HOST["list"], NOTHING),
        (HOST["list two"], NOTHING),
        (HOST["poll"], ACK.hex() + information(bytes.fromhex("D56100")).hex()),
    ],
)
async def test_commands_are_answered_as_documented(command: str, answer: str) -> None:
    async with board() as (_, line):
        assert await ask(line, command, answer) == answer.upper()
        assert not await line.read(1, 0.05)


@pytest.mark.parametrize(
    ("uid", "kind", "answer"),
    [
        (UID, "", CHIP["pn-04"]),
        ("04A1B2C3D4E580", "", CHIP["pn-05"]),
        ("04112233445566778899", "", CHIP["pn-06"]),
        ("04A1B2C3D4E580", "desfire", CHIP["pn-07"]),
        ("040000FF06FA80", "", CHIP["pn-16"]),
        ("08A1B2C3", "phone", CHIP["pn-17"]),
    ],
)
async def test_cards_of_4_7_and_10_bytes_are_listed_as_documented(uid: str, kind: str, answer: str) -> None:
    async with board() as (reader, line):
        reader.hold(uid, kind)
        assert await ask(line, HOST["list"], answer) == answer


async def test_two_cards_are_listed_at_once_or_one_after_the_other() -> None:
    async with board() as (reader, line):
        reader.hold(UID)
        reader.hold("11223344")
        assert await ask(line, HOST["list two"], CHIP["pn-15"]) == CHIP["pn-15"]
        assert await ask(line, HOST["release"])
        assert await ask(line, HOST["list"], CHIP["pn-04"]) == CHIP["pn-04"]
        assert "11223344" in await ask(line, HOST["list"])


async def test_polling_for_types_finds_what_was_asked_for() -> None:
    async with board() as (reader, line):
        reader.hold("04A1B2C3D4E580")
        assert await ask(line, HOST["poll"], CHIP["pn-19"]) == CHIP["pn-19"]


async def test_a_sleeping_chip_hears_nothing_until_it_is_woken() -> None:
    async with Pn532() as reader, SerialLine(reader.path) as line:
        assert await silent(line, HOST["version"])
        assert await ask(line, HOST["wake"] + HOST["version"]) == CHIP["pn-02"]
        assert reader.chip.mode is Mode.UNCONFIGURED


async def test_a_chip_that_is_not_configured_ignores_commands_for_the_field() -> None:
    async with board(HOST["wake"] + HOST["version"]) as (_, line):
        assert await silent(line, HOST["list"])
        assert await ask(line, HOST["sam"]) == CHIP["pn-03"]
        assert await ask(line, HOST["retries"])
        assert await ask(line, HOST["list"], NOTHING) == NOTHING


async def test_without_a_number_of_attempts_it_waits_for_a_card_for_ever() -> None:
    async with board(HOST["wake"] + HOST["sam"]) as (reader, line):
        assert await ask(line, HOST["list"]) == ACK.hex().upper()
        reader.hold(UID)
        assert await line.read(100, 0.1) == bytes.fromhex(CHIP["pn-04"])[len(ACK) :]


async def test_an_ack_of_the_host_and_a_new_command_break_off_what_runs() -> None:
    async with board(HOST["wake"] + HOST["sam"]) as (reader, line):
        assert await ask(line, HOST["list"]) == ACK.hex().upper()
        assert await silent(line, HOST["ack"])
        reader.hold(UID)
        assert not await line.read(1, 0.05)
        reader.remove()
        await ask(line, HOST["list"])
        assert await ask(line, HOST["version"]) == CHIP["pn-02"]
        reader.hold(UID)
        assert not await line.read(1, 0.05)


async def test_a_held_card_is_found_again_after_a_release_or_with_a_field_switched_off_and_on() -> None:
    async with board() as (reader, line):
        reader.hold(UID)
        assert await ask(line, HOST["list"], CHIP["pn-04"]) == CHIP["pn-04"]
        assert await ask(line, HOST["list"], NOTHING) == NOTHING
        for commands in ((HOST["release"],), (HOST["field off"], FIELD_ON)):
            for command in commands:
                assert await ask(line, command)
            assert await ask(line, HOST["list"], CHIP["pn-04"]) == CHIP["pn-04"]
        reader.remove(UID)
        reader.hold(UID)
        assert await ask(line, HOST["list"], CHIP["pn-04"]) == CHIP["pn-04"]
        reader.chip.relists = True
        assert await ask(line, HOST["list"], CHIP["pn-04"]) == CHIP["pn-04"]


async def test_a_card_is_there_for_the_time_of_a_touch() -> None:
    async with board() as (reader, line):
        touch = asyncio.create_task(reader.tap(UID, 0.1))
        await asyncio.sleep(0)
        assert await ask(line, HOST["list"], CHIP["pn-04"]) == CHIP["pn-04"]
        await touch
        assert await ask(line, HOST["release"])
        assert await ask(line, HOST["list"], NOTHING) == NOTHING


async def test_the_last_answer_comes_again_on_a_nack() -> None:
    async with board() as (_, line):
        assert await ask(line, HOST["version"]) == CHIP["pn-02"]
        assert await ask(line, "0000FFFF0000") == CHIP["pn-02"][2 * len(ACK) :]


async def test_power_down_and_a_power_cut_mean_waking_and_configuring_again() -> None:
    async with board() as (reader, line):
        assert await ask(line, POWER_DOWN)
        assert await silent(line, HOST["version"])
        assert await ask(line, HOST["wake"] + HOST["sam"]) == CHIP["pn-03"]
        reader.power_cycle()
        assert await silent(line, HOST["list"])
        assert await ask(line, HOST["wake"] + HOST["sam"]) == CHIP["pn-03"]


async def test_a_pulled_cable_takes_the_supply_with_it() -> None:
    async with board() as (reader, line):
        reader.unplug()
        async with asyncio.timeout(2):
            await line.lost.wait()
        reader.replug()
        async with SerialLine(reader.path) as again:
            assert await silent(again, HOST["version"])
            assert await ask(again, HOST["wake"] + HOST["sam"]) == CHIP["pn-03"]


@pytest.mark.parametrize(
    "body",
    [
        "D4",
        "D499",
        "D50200",
        "D41400",
        "D43205FF01",
        "D43299",
        "D44A0300",
        "D44A01",
        "D44A0109",
        "D4600001",
        "D452",
        "D416",
    ],
)
async def test_what_makes_no_sense_is_acknowledged_and_answered_by_an_error_frame(body: str) -> None:
    async with board() as (_, line):
        assert await ask(line, information(bytes.fromhex(body)).hex()) == CHIP["pn-13"]


@pytest.mark.parametrize("frame", ["0000FF02FDD4022A00", "0000FF02FED4022B00", "00FF0000", "41420D0A", "0000FF"])
async def test_damaged_frames_and_noise_are_not_answered(frame: str) -> None:
    async with board() as (_, line):
        assert await silent(line, frame)
        await asyncio.sleep(0.2)
        assert await ask(line, HOST["version"]) == CHIP["pn-02"]


def _spread(reader: Pn532) -> None:
    reader.split_s = 0.001


FAULTS: dict[str, tuple[Callable[[Pn532], None], str]] = {
    "silent": (lambda r: setattr(r, "silent", True), ""),
    "no_ack": (lambda r: setattr(r, "no_ack", True), CHIP["pn-04"][12:]),
    "stalls": (lambda r: setattr(r, "stalls", True), ACK.hex().upper()),
    "confused": (lambda r: setattr(r, "confused", True), CHIP["pn-13"]),
    "bad_checksum": (lambda r: setattr(r, "bad_checksum", True), CHIP["pn-11"]),
    "bad_length": (lambda r: setattr(r, "bad_length", True), ACK.hex().upper() + CHIP["pn-12"]),
    "half": (lambda r: setattr(r, "half", True), CHIP["pn-04"][:12] + CHIP["pn-04"][12:30]),
    "lose": (lambda r: setattr(r, "lose", 1), CHIP["pn-04"][:30] + CHIP["pn-04"][32:]),
    "noise_before": (lambda r: setattr(r, "noise_before", b"\x55"), CHIP["pn-04"][:12] + "55" + CHIP["pn-04"][12:]),
    "split_s": (_spread, CHIP["pn-04"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_shows_in_the_bytes(fault: str) -> None:
    disturb, expected = FAULTS[fault]
    async with board() as (reader, line):
        reader.hold(UID)
        disturb(reader)
        if expected:
            assert await ask(line, HOST["list"]) == expected
        else:
            assert await silent(line, HOST["list"])


async def test_a_late_answer_comes_whatever_was_asked_since() -> None:
    async with board() as (reader, line):
        reader.hold(UID)
        reader.late_s = 0.4
        line.write(bytes.fromhex(HOST["list"]))
        assert await line.read(len(ACK), 5) == ACK
        line.write(bytes.fromhex(HOST["version"]))
        late, version = (bytes.fromhex(CHIP[name])[len(ACK) :] for name in ("pn-04", "pn-02"))
        expected = ACK + late + version
        assert await line.read(len(expected), 5) == expected


async def test_a_late_acknowledgement_comes_before_the_answer() -> None:
    async with board() as (reader, line):
        reader.late_ack_s = 0.1
        asked_at = asyncio.get_running_loop().time()
        assert await ask(line, HOST["version"], CHIP["pn-02"]) == CHIP["pn-02"]
        assert asyncio.get_running_loop().time() - asked_at > 0.09


@pytest.mark.parametrize(
    ("uid", "kind", "message"),
    [
        ("62E3086CED", "", "reads cards of 8, 14 or 20 hex characters"),
        ("DE AD BE EF", "", "reads cards of 8, 14 or 20 hex characters"),
        (UID, "desfire", "is no desfire card: those have 7 bytes"),
        (UID, "gold", "unknown kind of card 'gold', known are: classic,"),
    ],
)
def test_cards_that_cannot_be_are_refused(uid: str, kind: str, message: str) -> None:
    with pytest.raises(Misuse, match=message):
        Pn532().hold(uid, kind)
    assert issubclass(WrongCard, Misuse)


def test_long_bodies_have_a_length_of_two_bytes_both_ways() -> None:
    body = bytes([0xD4, 0x4A]) + bytes(300)
    frame = information(body)
    assert frame[:8].hex() == "0000ffffff012ed1"
    assert HostStream().feed(frame) == [Command(body)]


@given(st.data())
def test_however_a_host_is_cut_it_means_the_same(data: st.DataObject) -> None:
    stream = (
        b"".join(bytes.fromhex(HOST[name]) for name in ("wake", "sam", "ack", "list", "retries")) + b"\0\0\xff\xff\0\0"
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=9)))
    host = HostStream()
    heard = [each for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for each in host.feed(stream[a:b])]
    meant = [each for each in heard if not isinstance(each, Woken)]
    commands = [bytes.fromhex(HOST[name])[5:-2] for name in ("sam", "list", "retries")]
    assert meant == [Command(commands[0]), Acked(), Command(commands[1]), Command(commands[2]), Nacked()]
    assert isinstance(heard[0], Woken)


@given(st.binary(max_size=700))
def test_noise_neither_raises_nor_is_kept_for_ever(noise: bytes) -> None:
    host = HostStream()
    host.feed(noise)
    host.forget()
    assert host.feed(bytes.fromhex(HOST["version"]))[-1:] == [Command(b"\xd4\x02")]
