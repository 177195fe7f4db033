"""``watch``: on a real pseudo-terminal, into pipes and as JSON Lines, with a daemon that goes away and comes back."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import IO, Any

import pytest

from agent.cli.render import status_text
from agent.cli.screen import FOOTER, frame
from tests.unit.cli.installed import Station

GONE = "the agent is not running, waiting…"


def program(station: Station, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "agent", "watch", *arguments, "--config", str(station.path)]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@dataclass
class Terminal:
    """A pseudo-terminal with ``watch`` on it; shows what a person would see."""

    descriptor: int
    process: subprocess.Popen[bytes]
    written: bytes = b""

    def until(self, condition: Callable[[str], object]) -> str:
        """Read until the last frame fulfils a condition, and return it. Raises: AssertionError."""
        for _ in range(100):
            if condition(self.frame()):
                return self.frame()
            self.read()
        raise AssertionError(self.frame())

    def read(self) -> bool:
        """Read what comes within a moment; tell whether anything did."""
        ready, _, _ = select.select([self.descriptor], [], [], 0.08)
        if ready:
            self.written += os.read(self.descriptor, 65536)
        return bool(ready)

    def frame(self) -> str:
        """Return the last frame, if it is whole, without control characters."""
        last = self.written.decode(errors="replace").rpartition("\x1b[H")[2]
        return plain(last).replace("\r\r\n", "\r\n") if "\x1b[J" in last else ""

    def press(self, keys: bytes) -> None:
        os.write(self.descriptor, keys)

    def size(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self) -> int:
        """Return the exit status, once all that was written is read."""
        while self.process.poll() is None or self.read():
            self.read()
        return self.process.returncode

    def is_restored(self) -> bool:
        """Tell whether the keyboard is as it was, and the screen is given back."""
        local = termios.tcgetattr(self.descriptor)[3]
        return bool(local & termios.ICANON and local & termios.ECHO) and self.written.endswith(b"\x1b[?1049l")


@contextlib.contextmanager
def terminal(station: Station, command: list[str] | None = None) -> Iterator[Terminal]:
    """Run the program, or a command around it, on a terminal of 80 by 24."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in {"COLUMNS", "LINES"}}

    def take() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # may be ignored in a test run in the background

    with subprocess.Popen(
        command or program(station),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "TERM": "xterm"},
        preexec_fn=take,  # noqa: PLW1509  # the child needs the terminal as its own before it runs
    ) as process:
        try:
            yield Terminal(master, process)
        finally:
            process.kill()
            os.close(slave)
            os.close(master)


# ---- on a terminal ---------------------------------------------------------------------------------------------------


def test_the_status_is_drawn_at_once_and_again_at_a_change(station: Station) -> None:
    with terminal(station) as screen:
        first = screen.until(lambda text: "NL-ACME-000123" in text)
        assert first.splitlines()[-1] == FOOTER
        assert len(first.split("\r\n")) == 24
        assert "connector 1" in first
        station.json("link", "ACME-7F3K")
        screen.until(lambda text: "ACME-7F3K pending" in text)
        assert screen.written.startswith(b"\x1b[?1049h")
        assert screen.written.count(b"\x1b[2J") == 1  # cleared once, drawn over from then on
        screen.press(b"q")
        assert screen.end() == 0
        assert screen.is_restored()


@pytest.mark.parametrize("keys", [b"q", b"Q", b"\x03", b"xq"])
def test_q_and_ctrl_c_end_it_with_status_0_and_other_keys_do_not(station: Station, keys: bytes) -> None:
    with terminal(station) as screen:
        screen.until(lambda text: FOOTER in text)
        screen.press(b"zw \x1b[A\r")
        screen.until(lambda text: FOOTER in text)
        assert screen.process.poll() is None
        screen.press(keys)
        assert screen.end() == 0
        assert screen.is_restored()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_it_leaves_the_terminal_as_it_was(station: Station, number: signal.Signals) -> None:
    with terminal(station) as screen:
        screen.until(lambda text: FOOTER in text)
        screen.process.send_signal(number)
        assert screen.end() == 128 + number
        assert screen.is_restored()


def test_ctrl_z_gives_the_terminal_back_until_the_program_goes_on(station: Station) -> None:
    shell = ["/bin/bash", "--norc", "-c", 'set -m; "$@"; stty -a; read; fg >/dev/null', "bash", *program(station)]
    with terminal(station, shell) as screen:
        screen.until(lambda text: FOOTER in text)
        screen.press(b"\x1a")
        while b"icanon" not in screen.written:
            screen.read()
        after = screen.written.rpartition(b"\x1b[?1049l")[2]
        assert b"-icanon" not in after
        assert b"\x1b" not in after
        screen.press(b"\n")
        while b"\x1b[?1049h" not in screen.written.rpartition(b"\x1b[?1049l")[2]:
            screen.read()
        screen.until(lambda text: FOOTER in text)
        screen.press(b"q")
        assert screen.end() == 0
        assert screen.is_restored()


def test_a_window_that_becomes_smaller_shows_what_fits_and_says_what_does_not(station: Station) -> None:
    with terminal(station) as screen:
        screen.until(lambda text: FOOTER in text)
        screen.size(6, 40)
        small = screen.until(lambda text: "more lines than fit here" in text)
        assert len(small.split("\r\n")) == 6
        assert all(len(line) <= 40 for line in small.split("\r\n"))


def test_an_agent_that_ends_is_waited_for_and_found_again(stopped: Station) -> None:
    with stopped.running(), terminal(stopped) as screen:
        screen.until(lambda text: "NL-ACME-000123" in text)
        stopped.stop_serving()
        lost = screen.until(lambda text: GONE in text)
        assert "NL-ACME-000123" not in lost
        with stopped.running():
            screen.until(lambda text: "NL-ACME-000123" in text)
            screen.press(b"q")
            assert screen.end() == 0


def test_a_terminal_that_cannot_be_drawn_on_gets_text(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    master, slave = pty.openpty()
    with subprocess.Popen(program(station), stdin=slave, stdout=slave, stderr=slave) as process:
        written = b""
        while b"marked with !" not in written:
            written += os.read(master, 65536)
        process.send_signal(signal.SIGKILL)
    os.close(slave)
    os.close(master)
    assert b"\x1b" not in written


# ---- without a terminal ----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def piped(station: Station, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from agent.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *program(station, *arguments)[3:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.kill()


def block(output: IO[str]) -> str:
    """Return what is printed of one status: all up to the blank line after the verdict."""
    lines: list[str] = []
    while not lines or "marked with !" not in lines[-1]:
        lines.append(output.readline())
        assert lines[-1], lines
    assert output.readline() == "\n"
    return "".join(lines)


def test_a_pipe_gets_a_block_of_plain_text_per_change(stopped: Station) -> None:
    with stopped.running(), piped(stopped) as (process, output):
        assert "company      none linked" in block(output)
        stopped.json("link", "ACME-7F3K")
        assert "ACME-7F3K pending" in block(output)
        stopped.stop_serving()
        assert output.readline() == f"{GONE}\n"
        with stopped.running():
            assert "ACME-7F3K pending" in block(output)
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 0
            assert output.read() == ""
            assert process.stderr is not None
            assert process.stderr.read() == ""


def test_json_lines_have_one_document_per_change_and_time_is_none(stopped: Station) -> None:
    def document(output: IO[str]) -> Any:  # noqa: ANN401  # taken apart where it is asserted
        return json.loads(output.readline())

    with stopped.running(), piped(stopped, "--json") as (process, output):
        assert document(output) == json.loads(json.dumps(stopped.status()))
        stopped.uptime_s += 3600
        stopped.json("link", "ACME-7F3K")
        linked = document(output)
        assert (linked["company"]["state"], linked["station"]["uptime_s"]) == ("pending", stopped.uptime_s)
        stopped.stop_serving()
        assert document(output) == {"error": GONE}
        with stopped.running():
            assert document(output) == linked
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 0


def test_a_reader_that_went_away_ends_it_quietly(station: Station) -> None:
    with piped(station, "--json") as (process, output):
        assert output.readline()
        output.close()
        station.json("link", "ACME-7F3K")
        assert process.wait(5) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


# ---- frames ----------------------------------------------------------------------------------------------------------


def shown(text: str, columns: int, lines: int) -> list[str]:
    return plain(frame(text, columns, lines)).split("\r\n")


def test_a_frame_has_as_many_lines_as_the_terminal_and_none_is_too_long() -> None:
    made = shown("one\n" + "x" * 100 + "\n", 80, 24)
    assert made == ["one", "x" * 80, *[""] * 21, FOOTER]


def test_a_line_as_long_as_the_terminal_is_not_erased_at_its_end() -> None:
    assert "x" * 80 + "\r\n" in frame("x" * 80 + "\n", 80, 24)
    assert "x" * 79 + "\x1b[K\r\n" in frame("x" * 79 + "\n", 80, 24)


def test_what_is_too_high_loses_its_blank_lines_first() -> None:
    assert shown("a\n\nb\n\nc\n", 80, 4) == ["a", "b", "c", FOOTER]
    assert shown("a\n\nb\n\nc\nd\ne\n", 80, 4) == ["a", "b", "  … 3 more lines than fit here", FOOTER]


def test_the_text_of_two_busy_connectors_fits_a_terminal_of_24_lines() -> None:
    words = "no answer within 1 s; check power, A and B of the bus, address 1, 9600 baud, parity N at /dev/ttyUSB0"
    connector = {
        "id": 1,
        "status": "Faulted",
        "error_code": "PowerMeterFailure",
        "meter": {"ok": False, "model": "eastron_sdm630_v2", "serial_number": "23004711", "last_error": words},
        "evse": {"ok": False, "last_error": words},
        "session": {
            "id_tag": "**********E5F6",
            "transaction_id": 2147483647,
            "started_at": "2026-11-21T20:15:03.120Z",
            "energy_wh": 12345.0,
            "state": "suspended-evse",
        },
    }
    document = {
        "station": {"id": "NL-ACME-000123", "version": "1.0.0", "uptime_s": 12.0},
        "cloud": {"state": "offline", "last_error": words, "queued_messages": 7},
        "company": {"code": "ACME-7F3K", "state": "linked", "name": "Acme BV"},
        "clock": {"synchronised": True, "source": "ntp"},
        "rfid": {"ok": True},
        "connectors": [connector, {**connector, "id": 2}],
    }
    made = shown(status_text(document, UTC), 80, 24)
    assert made[-2].endswith("things to look at, marked with !")


def test_a_station_without_a_daemon_cannot_be_watched(stopped: Station) -> None:
    assert stopped.refusal("watch", status=3).startswith("the agent is not running: start it with")
