"""``wallbox-sim`` as people and scripts use it: options, lines on standard input and on the control socket, signals."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.__main__ import main
from simulators.devices import CONTROLLERS, READERS
from simulators.framing import rtu_frame
from simulators.orders.line import FAULTS
from simulators.registers import models
from tests.simulators.wires import SerialLine

IMPORT = rtu_frame(1, bytes.fromhex("0400480002")).hex()


class Program:
    """A running ``wallbox-sim``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def error(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.readline()).decode().rstrip("\n")

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")

    async def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.process.wait()


@contextlib.asynccontextmanager
async def running(*arguments: str | Path) -> AsyncIterator[tuple[Program, str]]:
    """Start a simulator; yields it with the first line that it prints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", *map(str, arguments), stdin=pipe, stdout=pipe, stderr=pipe
    )
    program = Program(process)
    try:
        yield program, await program.line()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def tell(socket: Path, line: str) -> tuple[list[str], str]:
    """Send a line to a control socket; return the text and the last line."""
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(line.encode() + b"\n")
    lines: list[str] = []
    async with asyncio.timeout(5):
        while not lines or (lines[-1] != "ok" and not lines[-1].startswith("error: ")):
            lines.append((await reader.readline()).decode().rstrip("\n"))
    writer.close()
    await writer.wait_closed()
    return lines[:-1], lines[-1]


async def test_a_wallbox_on_one_bus_from_plugging_in_to_the_register(tmp_path: Path) -> None:
    link, control = tmp_path / "bus.tty", tmp_path / "control"
    options = ("--link", link, "--with-meter", "eastron_sdm630_v2", "--control", control, "--speed", "100")
    async with running("evse", *options) as (program, banner):
        assert banner == f"evse at address 2, meter at address 1 on {link}"
        async with SerialLine(str(link)) as line:
            assert await line.ask(rtu_frame(2, bytes.fromhex("0603E80010")).hex(), 8)
            assert await tell(control, "plug") == ([], "ok")
            async with asyncio.timeout(5):
                while (await line.ask(rtu_frame(2, bytes.fromhex("0303EA0001")).hex(), 7))[6:10] != "0003":
                    await asyncio.sleep(0.02)
            text, _ = await tell(control, "state")
            assert text[0].startswith("  car C, offered 16 A")
            assert await tell(control, "register 123456") == ([], "ok")
            assert (await line.ask(IMPORT, 9))[6:10] == "42F6"
            assert await tell(control, "fault meter silence x1") == (["meter: silence, 1 times"], "ok")
            assert await line.silent(IMPORT)
            assert await line.ask(IMPORT, 9)
        assert await program.end() == 0
    assert not link.is_symlink()
    assert not control.exists()


async def test_typed_lines_are_obeyed_and_the_end_of_a_pipe_ends_nothing(tmp_path: Path) -> None:
    async with running("meter", "--link", tmp_path / "m.tty") as (program, _):
        program.type("register 42000")
        program.type("show")
        shown = [await program.line() for _ in range(20)]
        assert any(re.fullmatch(r"  energy_import +42000", row) for row in shown)
        program.type("nonsense")
        assert await program.error() == "error: unknown command 'nonsense', try help"
        program.type("register many")
        assert await program.error() == "error: value: 'many' is no number"
        program.type("replace")
        assert await program.error() == "error: usage: replace SERIAL [WH]"
        assert program.process.stdin is not None
        program.process.stdin.close()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(program.process.wait(), 0.3)
        assert await program.end(signal.SIGINT) == 0


async def test_quit_ends_it() -> None:
    async with running("rfid") as (program, banner):
        assert banner.startswith("rdm6300 reader on /dev/pts/")
        program.type("tap 62E3086C")
        assert (await program.error()).startswith("error: '62E3086C' is no card for this reader")
        program.type("quit")
        assert await program.process.wait() == 0


async def test_a_free_tcp_port_is_told() -> None:
    async with running("meter", "--tcp", "0") as (_, banner):
        port = int(re.findall(r"127\.0\.0\.1:(\d+) \(Modbus TCP\)", banner)[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(bytes.fromhex("000100000006010400480002"))
        assert (await reader.readexactly(13))[:9].hex() == "000100000007010404"
        writer.close()
        await writer.wait_closed()


async def test_standard_input_may_be_nothing(tmp_path: Path) -> None:
    link = tmp_path / "m.tty"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", "meter", "--link", str(link), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    async with SerialLine(str(link)) as line:
        assert len(await line.ask(IMPORT, 9)) == 18
    process.terminate()
    await process.communicate()
    assert process.returncode == 0


async def test_tell_speaks_to_a_running_simulator(tmp_path: Path) -> None:
    control = tmp_path / "control"
    async with running("evse", "--control", control) as (program, _):

        async def told(*words: str) -> tuple[int, str, str]:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "simulators", "tell", str(control), *words,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            return process.returncode or 0, out.decode(), err.decode()

        status, text, _ = await told("state")
        assert (status, text.splitlines()[0]) == (0, "  car A, offered 0 A, draws 0.0, 0.0, 0.0 A, battery 33 %")
        assert await told("fault", "odd") == (
            1,
            "",
            f"error: unknown fault 'odd', known are: {', '.join(FAULTS)}, clear\n",
        )
        await program.end()
        assert (await told("state"))[0] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND; see wallbox-sim --help"),
        (["meter", "--model", "x"], "argument --model: invalid choice: 'x'"),
        (["meter", "x"], "argument MODEL: invalid choice: 'x'"),
        (["evse", "--with-meter", "x"], "unknown meter model 'x', known are: "),
        (["meter", "--tcp", "x"], "argument --tcp: 'x' is no port: 1 to 65535, or 0 for any free one; see"),
        (["meter", "--unit", "300"], "the units need different Modbus addresses from 1 to 247"),
        (["evse", "--with-meter", "eastron_sdm120", "--meter-unit", "2"], "the units need different Modbus addresses"),
        (["meter", "--speed", "0"], "argument --speed: 0 is not above 0; see"),
        (["meter", "abb_b23", "--model", "eastron_sdm120"], "abb_b23 and --model eastron_sdm120: which of them?"),
        (["evse", "heidelberg", "--precise"], "--precise is for evse_din alone"),
        (["evse", "--standby-after", "5"], "--standby-after is for heidelberg alone"),
        (["evse", "heidelberg", "--unit", "16"], "--unit 16: this controller has an address from 1 to 15"),
        (["evse", "heidelberg", "--power-up", "5"], "a heidelberg has 6 to 16 A; --power-up may be 0, too"),
        (["meter", "--rtu-over-tcp", "70000"], "argument --rtu-over-tcp: '70000' is no port"),
        (["meter", "--register", "nan"], "argument --register: value: 'nan' is out of range"),
        (["evse", "--battery", "0"], "argument --battery: 0 is not above 0"),
        (["meter", "--baudrate", "-1"], "argument --baudrate: '-1' is no whole number from 0 on"),
        (["evse", "--power-up", "81"], "--power-up 81: an evse_din has 0 to 80 A"),
        (["rfid", "x"], "argument READER: invalid choice: 'x'"),
        (["evse", "--controller", "x"], "argument --controller: invalid choice: 'x'"),
        (["rfid", "--link", "/nowhere/at/all"], "[Errno 2] No such file or directory"),
        (["csms", "--tariff", "flat:0.29"], "'flat:0.29' is no tariff: "),
        (["csms", "--token", "AB:1:lost"], "'lost' is not a valid TokenStatus"),
        (["csms", "--company", "AB:Acme:maybe"], "'maybe' is not a valid Activation"),
        (["csms", "--timezone", "Mars/Olympus"], "unknown time zone 'Mars/Olympus'"),
        (["csms", "--password", "CP1"], "'CP1': a colon is missing"),
        (["csms", "--panel", "x"], "argument --panel: invalid int value: 'x'"),
        (["csms", "--data", "/nowhere/panel.db"], "/nowhere/panel.db cannot be opened: "),
        (["csms", "--data", "a", "--state", "b"], "--data and --state both keep everything: only one of them"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as end:
        status = int(str(end.code))
    errors = capsys.readouterr().err
    assert status == 2
    assert errors.startswith(f"error: {message}")
    assert errors.count("\n") == 1


@pytest.mark.parametrize("command", ["meter", "evse", "rfid", "csms", "tell"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: wallbox-sim {command}")


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("meter", [f"{model} " for model in models()]),
        ("evse", [f"{name} " for name in CONTROLLERS]),
        ("rfid", [f"{name} " for name in READERS]),
    ],
)
def test_help_lists_what_can_be_simulated_and_tells_how_to_go_on(
    command: str, known: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    page = capsys.readouterr().out
    assert all(f"\n  {name}" in page for name in known)
    assert f"  wallbox-sim {command} " in page
    assert "While it runs, type help" in page


async def test_a_polled_reader_is_told_by_its_name_alone(tmp_path: Path) -> None:
    link = tmp_path / "reader.tty"
    async with running("rfid", "pn532_hsu", "--link", link, "--control", tmp_path / "control") as (_, banner):
        assert banner == f"pn532_hsu reader on {link}"
        async with SerialLine(str(link)) as line:
            assert (
                await line.ask("5555" + "00" * 14 + "0000FF05FBD4140100001700", 15) == "0000FF00FF000000FF02FED5151600"
            )
            assert await tell(tmp_path / "control", "hold DEADBEEF") == ([], "ok")
            assert (await line.ask("0000FF04FCD44A0100E100", 25))[-14:] == "04DEADBEEF9600"


async def test_a_heidelberg_with_its_meter_is_told_by_its_name_alone(tmp_path: Path) -> None:
    link, control = tmp_path / "bus.tty", tmp_path / "control"
    options = ("heidelberg", "--link", link, "--with-meter", "abb_b23", "--control", control)
    async with running("evse", *options) as (program, banner):
        assert banner == f"evse at address 2, meter at address 1 on {link}"
        async with SerialLine(str(link)) as line:
            assert await line.ask("02040005000121F8", 7) == "0204020003BD31"
            assert (await line.ask(rtu_frame(1, bytes.fromhex("0350000004")).hex(), 13))[:6] == "010308"
        assert (await tell(control, "unplug-bus 0.01"))[1] == "ok"
        assert await program.end() == 0


async def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for command in ("--tcp", "--rtu-over-tcp"):
        assert await asyncio.to_thread(main, ["meter", command, str(port)]) == 2
    assert await asyncio.to_thread(main, ["csms", "--port", str(port)]) == 2
    server.close()
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert all("address already in use" in error for error in errors)


def test_nothing_of_the_agent_is_imported() -> None:
    sources = Path(__file__).parents[2].joinpath("simulators").rglob("*.py")
    assert not [path for path in sources if re.search(r"^\s*(from|import) agent\b", path.read_text(), re.MULTILINE)]
