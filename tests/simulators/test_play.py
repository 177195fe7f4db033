"""``wallbox-sim play`` as people and scripts start it: lines through a pipe, and a screen on a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from simulators.play import main
from tests.simulators.glass import Glass

pytestmark = pytest.mark.timeout(60)

PROGRAM = (sys.executable, "-m", "simulators", "play")
ENVIRONMENT = os.environ | {"TERM": "xterm-256color", "PYTHONUTF8": "1"}
UP_S = 25.0


# -- without a terminal


async def played(*lines: str, options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """Play a script; return the exit status and what was printed, without the times."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, *options, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=ENVIRONMENT
    )
    try:
        out, _ = await process.communicate("\n".join(lines).encode())
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode or 0, [line[10:] for line in out.decode().splitlines()]


def has(printed: list[str], *wanted: str) -> bool:
    """Whether lines with these texts were printed in this order."""
    lines = iter(printed)
    return all(any(text in line for line in lines) for text in wanted)


async def test_a_scripted_session_is_seen_by_both_sides(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    status, printed = await played(
        "# a comment",
        "p",
        "expect connector 1: Preparing",
        "1",
        "expect session started",
        "expect connector 1: Charging",
        "tap 0000AB12CD",
        "full",
        "expect SuspendedEV",
        "u",
        "expect StopTransaction result",
        "expect connector 1: Available",
        "sessions",
        options=("--folder", str(folder)),
    )
    assert status == 0, printed
    assert has(
        printed,
        "play     the station is up and linked",
        "you      plug",
        "cloud    -> StartTransaction  card ...6CED",
        "cloud    <- StartTransaction result  transactionId 1",
        "you      tap ******12CD",
        "agent    session ends: EVDisconnected",
        "1            agent ",
        "central system",
    )
    assert not [line for line in printed if "62E3086CED" in line or "!!" in line or "they differ" in line]
    assert (folder / "agent.toml").exists()
    assert (folder / "state").is_dir()


async def test_network_cut_and_kill_lose_no_session() -> None:
    status, printed = await played(
        "n",
        "expect cloud: offline",
        "plug",
        "tap 2",
        "expect session started",
        "expect connector 1: Charging",
        "kill 0",
        "expect the agent answers",
        "expect session: charging",
        "u",
        "expect session: none",
        "n",
        "expect 30 cloud: connected with ocpp1.6, Accepted",
        "get MeterValueSampleInterval",
        "set MeterValueSampleInterval 20",
    )
    assert status == 0, printed
    assert has(
        printed,
        "the network is cut",
        "the agent is killed; what charges, charges on",
        "the agent is started",
        "the network is back",
        "MeterValueSampleInterval  10",
        '{ "status": "Accepted" }',
    )
    assert not [line for line in printed if "StartTransaction" in line]  # a private card


async def test_devices_fall_silent_and_cards_are_blocked_and_links_ended() -> None:
    status, printed = await played(
        "meter",
        "expect connector 1: Faulted (PowerMeterFailure)",
        "meter on",
        "expect connector 1: Available",
        "controller off",
        "expect controller: ",
        "controller",
        "expect pilot A",
        "block 1",
        "plug",
        "tap 1",
        "expect refused",
        "block 1",
        "block 5 here",
        "tap 5",
        "expect refused",
        "link",
        "expect company: none",
        "start 5",
        "cards",
        options=("--two",),
    )
    assert status == 0, printed
    assert has(
        printed,
        "the meter is silent",
        "the meter answers",
        "the controller is silent",
        "the controller answers",
        "card ******6CED is blocked at the central system",
        "card ******6CED is active at the central system",
        "card ******6D10 is blocked at the charger",
        "unlinked",
        '"status": "Rejected"',
        "2  3A00C4F1B7  private",
    )


async def test_a_line_that_fails_makes_the_script_fail_and_goes_on() -> None:
    status, printed = await played(
        "dance",
        "plug 7",
        "expect 0.2 a miracle",
        "tap xyz",
        "csms quit",
        "csms cut softly",
        "block 4",
        "network 503",
        "csms faults",
        "q",
        "plug",
        options=("--secure", "--speed", "120"),
    )
    assert status == 1
    assert has(
        printed,
        "error: unknown command 'dance', try help",
        "error: there is no connector 7",
        "error: nothing told of 'a miracle': not within 0.2 s",
        "error: 'XYZ' is no card for this reader",
        "error: the central system stays",
        "error: cannot cut by 'softly'",
        "error: no card 0000AB12CD",
        "the network is broken: 503",
        "new connections are answered by HTTP 503",
        "you      quit",
    )
    assert "you      plug" not in printed


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--speed", "fast"], "argument --speed: 'fast' is no number; see wallbox-sim play --help"),
        (["--speed", "1000"], "argument --speed: 1000 is not from 0.1 to 300"),
        (["--folder", "{}"], "{} is of an earlier play: take another folder, or remove it"),
        (["--folder", "/dev/null/x"], "[Errno 20] Not a directory: '/dev/null/x'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], error: str, tmp_path: Path, *, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "agent.toml").touch()
    try:
        status = main([word.replace("{}", str(tmp_path)) for word in arguments])
    except SystemExit as end:
        status = int(str(end.code))
    errors = capsys.readouterr().err
    assert status == 2
    assert errors.startswith(f"error: {error.replace('{}', str(tmp_path))}")
    assert errors.count("\n") == 1


# -- on a terminal


class Person:
    """Somebody in front of a terminal: sees what is on it, types."""

    def __init__(self, master: int, process: asyncio.subprocess.Process, glass: Glass) -> None:
        self.process = process
        self.glass = glass
        self._master = master
        self.gone = False
        asyncio.get_running_loop().add_reader(master, self._look)

    def _look(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:
            data = b""
        if data:
            self.glass.feed(data)
        else:
            asyncio.get_running_loop().remove_reader(self._master)
            self.gone = True

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def resize(self, columns: int, rows: int) -> None:
        self.glass.resize(columns, rows)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    async def sees(self, *texts: str, within_s: float = 20.0) -> None:
        await self.until(lambda: all(re.search(text, self.glass.text) for text in texts), within_s)

    async def until(self, true: Callable[[], bool], within_s: float = 20.0) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not true():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            pytest.fail(f"after {within_s} s the terminal shows\n{self.glass.text}\n{self.glass.main}")

    async def ends(self) -> int:
        async with asyncio.timeout(20):
            status = await self.process.wait()
        await self.until(lambda: self.glass.modes["1049"] is False)
        await asyncio.sleep(0.1)  # the last words
        return status


@contextlib.asynccontextmanager
async def seated(*command: str, columns: int = 80, rows: int = 24) -> AsyncIterator[tuple[Person, Callable[[], Any]]]:
    """Start a command on a terminal of its own; yields the person, and what tells the modes of the line."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=slave, stdout=slave, stderr=slave, env=ENVIRONMENT, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    person = Person(master, process, Glass(columns, rows))
    try:
        yield person, lambda: termios.tcgetattr(slave)
    finally:
        asyncio.get_running_loop().remove_reader(master)
        if process.returncode is None:
            process.terminate()
            await process.wait()
        os.close(slave)
        with contextlib.suppress(OSError):
            os.close(master)


def is_restored(person: Person) -> bool:
    """Whether screen, cursor, wrapping and pasting are as they were, and nothing ever ran over the edge."""
    modes = {"1049": False, "25": True, "7": True, "2004": False, "2026": False}
    return person.glass.modes == modes and not person.glass.scrolled


async def test_a_person_plays_and_leaves_the_terminal_as_it_was() -> None:
    async with seated(*PROGRAM) as (person, modes):
        before = modes()
        await person.sees(r"STATION .*CENTRAL SYSTEM")
        assert person.glass.modes["1049"]
        await person.sees("the station is up and linked", "online, Accepted, Acme BV linked", within_s=UP_S)
        person.type("p1")
        await person.sees(" 1 Charging", r"use +0\.\d+ kWh, \*\*6CED, no\. 1", r"no\. 1 \.\.\.6CED", within_s=15)
        await person.sees(r"<- StartTransaction: no\. 1")
        assert person.glass.modes["25"] is False
        person.type("\rtap 0000AB12CD")
        await person.sees("> tap 0000AB12CD$")
        await person.until(lambda: person.glass.modes["25"] and person.glass.cursor == (16, 23))
        person.type("\x1b")
        await person.until(lambda: "> tap" not in person.glass.text)
        person.type("?")
        await person.sees("kill -9 the agent", "any other key goes back")
        person.type("  ")
        await person.sees("tap CARD")
        person.type("x")
        await person.sees("STATION .*CENTRAL SYSTEM")
        person.type("m")
        await person.sees("meter is silent.*", "the meter is silent")
        person.type("mk")
        await person.sees("the agent does not run", "the agent is killed")
        await person.sees(" 1 Charging", "all is well", within_s=15)
        person.type("\rsessions\r")
        await person.sees("transaction +side +start", "agent .* runs")
        person.type("q")  # goes back only
        await person.sees("STATION .*CENTRAL SYSTEM")
        person.type("q")
        assert await person.ends() == 0
        assert is_restored(person)
        assert modes() == before
        assert re.search(r"1 +agent .*runs", person.glass.main)


async def test_the_screen_follows_its_size_and_says_what_it_needs() -> None:
    async with seated(*PROGRAM, "--two", columns=100, rows=30) as (person, _):
        await person.sees("the station is up and linked", within_s=UP_S)
        person.type("\tp")
        await person.sees(">2 Preparing")
        person.resize(60, 10)
        await person.sees("the screen needs 80 x 24 characters, this one has 60 x 10")
        person.resize(200, 50)
        await person.sees(r"2 Preparing", r"-> StatusNotification  connector 2 Preparing")
        person.resize(80, 24)
        await person.sees("reader +ok", "card +none yet", "-> StatusNotification 2 Prepar")
        person.resize(1, 1)
        await asyncio.sleep(0.3)
        person.resize(80, 24)
        await person.sees("card +none yet")
        person.type("\x03")
        assert await person.ends() == 0
        assert is_restored(person)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_it_and_the_terminal_is_as_before(number: signal.Signals) -> None:
    async with seated(*PROGRAM) as (person, modes):
        before = modes()
        await person.sees(r"STATION .*CENTRAL SYSTEM")
        person.process.send_signal(number)
        assert await person.ends() == 0
        assert is_restored(person)
        assert modes() == before


async def test_after_a_stop_the_screen_comes_back() -> None:
    async with seated(*PROGRAM) as (person, _):
        await person.sees("the station is up and linked", within_s=UP_S)
        person.process.send_signal(signal.SIGSTOP)
        person.glass.resize(80, 24)  # somebody else wrote over it
        person.process.send_signal(signal.SIGCONT)
        await person.sees(r"STATION .*CENTRAL SYSTEM", "p plug u unplug")


async def test_a_terminal_that_hangs_up_ends_it_with_its_agent(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    async with seated(*PROGRAM, "--folder", str(folder)) as (person, _):
        await person.sees("the station is up and linked", within_s=UP_S)
        asyncio.get_running_loop().remove_reader(person._master)
        os.close(person._master)
        async with asyncio.timeout(20):
            await person.process.wait()
    assert (folder / "state").is_dir()
    assert not (folder / "state" / "control.sock").exists()  # the agent ended in order
    assert not (folder / "reader").is_symlink()


async def test_a_terminal_that_takes_nothing_does_not_stop_the_play(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    async with seated(*PROGRAM, "--folder", str(folder), columns=200, rows=60) as (person, _):
        loop = asyncio.get_running_loop()
        await person.sees(r"STATION .*CENTRAL SYSTEM")
        loop.remove_reader(person._master)  # nobody reads any more
        for _ in range(40):
            person.type("?x")  # each changes the whole screen
            await asyncio.sleep(0.05)
        person.type("\rplug\r")
        log = folder / "agent.log"
        person.type("1")
        async with asyncio.timeout(15):
            while "session started" not in log.read_text():
                await asyncio.sleep(0.1)
        loop.add_reader(person._master, person._look)
        await person.sees(" 1 (Charging|Preparing)")
        person.type("q")
        assert await person.ends() == 0


BROKEN = """
import asyncio
from simulators.play.terminal import Terminal

async def main():
    with Terminal(lambda data: None) as terminal:
        terminal.write(b"\\x1b[1;1Hdrawn")
        await asyncio.sleep(0.2)
        raise ValueError("a defect")

asyncio.run(main())
"""


async def test_a_defect_leaves_the_terminal_as_it_was_and_is_seen() -> None:
    async with seated(sys.executable, "-c", BROKEN) as (person, modes):
        before = modes()
        await person.sees("drawn")
        assert await person.ends() == 1
        assert is_restored(person)
        assert modes() == before
        assert "ValueError: a defect" in person.glass.main


async def test_plain_prints_lines_on_a_terminal_too() -> None:
    async with seated(*PROGRAM, "--plain") as (person, _):
        await person.until(lambda: "the station is up and linked" in person.glass.main, UP_S)
        person.type("cards\r")
        await person.until(lambda: "3A00C4F1B7  private" in person.glass.main)
        person.type("\x03")
        assert await person.ends() == 0
        assert not person.glass.modes["1049"]
