"""Arguments, exit statuses and what errors look like; in the process, and as the program that a shell starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent import __version__
from agent.cli import main as program
from agent.cli.context import OutputClosed
from agent.cli.main import main, parser
from agent.core.errors import ConfigError, JournalFull


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WALLBOX_CONFIG", raising=False)


@pytest.mark.parametrize(
    ("arguments", "begins", "hint"),
    [
        ([], "the following arguments are required: COMMAND", "wallbox-agent --help"),
        (["frobnicate"], "argument COMMAND: invalid choice: 'frobnicate'", "wallbox-agent --help"),
        (["cards"], "the following arguments are required: COMMAND", "wallbox-agent cards --help"),
        (["cards", "add"], "the following arguments are required: UID", "wallbox-agent cards add --help"),
        (["cards", "add", "04A1", "--profile", "x"], "argument --profile: invalid choice: 'x'", "cards add --help"),
        (["sessions", "show"], "the following arguments are required: ID", "wallbox-agent sessions show --help"),
        (["link"], "the following arguments are required: CODE", "wallbox-agent link --help"),
        (["start", "--connector", "1"], "the following arguments are required: --card", "wallbox-agent start --help"),
        (
            ["start", "--card", "04A1", "--connector", "x"],
            "argument --connector: invalid connector number value: 'x'",
            "",
        ),
        (["stop", "--connector", "0"], "argument --connector: invalid connector number value: '0'", ""),
        (["status", "extra"], "unrecognized arguments: extra", "wallbox-agent --help"),
        (["status", "--js"], "unrecognized arguments: --js", "wallbox-agent --help"),
        (["--config"], "argument --config: expected one argument", "wallbox-agent --help"),
    ],
)
def test_wrong_usage_is_one_line_with_a_hint_and_status_2(
    arguments: list[str], begins: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"wallbox-agent: {begins}")
    assert err.endswith(f"{hint}`\n" if hint else "--help`\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["link", "x"], "'x' is not a company code: 4 to 36 letters A-Z, digits and hyphens"),
        (["link", "ACME_7F3K"], "'ACME_7F3K' is not a company code"),
        (["cards", "add", "123456789012345678901"], "has 21 characters, at most 20 are allowed"),
        (["cards", "block", ""], "'' is not a card number"),
        (["start", "--card", "\n"], "'' is not a card number"),
    ],
)
def test_a_wrong_code_or_card_is_refused_before_anything_is_asked(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "a.toml", "--json", "cards", "list"],
        ["cards", "--config", "a.toml", "--json", "list"],
        ["cards", "list", "--config", "a.toml", "--json"],
        ["--json", "cards", "--config", "a.toml", "list"],
        ["--config", "b.toml", "cards", "list", "--config", "a.toml", "--json"],
    ],
)
def test_config_and_json_are_taken_before_and_after_the_command(arguments: list[str]) -> None:
    options = parser().parse_args(arguments)
    assert (options.config, options.json) == (Path("a.toml"), True)


@pytest.mark.parametrize(
    ("arguments", "environment", "path"),
    [
        (["status"], None, "/etc/wallbox-agent/agent.toml"),
        (["status"], "/b.toml", "/b.toml"),
        (["status"], "", "/etc/wallbox-agent/agent.toml"),
        (["status", "--config", "/c.toml"], "/b.toml", "/c.toml"),
    ],
)
def test_the_option_wins_over_the_environment_and_that_over_the_default(
    arguments: list[str], environment: str | None, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment is not None:
        monkeypatch.setenv("WALLBOX_CONFIG", environment)
    assert program._path(parser().parse_args(arguments)) == Path(path)


def test_every_command_has_a_help_page(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["run"], ["cards", "add"], ["sessions", "show"], ["config"], ["stop"]):
        with pytest.raises(SystemExit) as end:
            main([*arguments, "--help"])
        assert end.value.code == 0
        assert capsys.readouterr().out.startswith(" ".join(["usage: wallbox-agent", *arguments]))


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"wallbox-agent {__version__}\n"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConfigError("cloud.url is 1", "log.level is 2"), (2, "cloud.url is 1\nlog.level is 2\n")),
        (JournalFull("no space left"), (1, "wallbox-agent: no space left\n")),
        (KeyboardInterrupt(), (130, "")),
        (OutputClosed(), (0, "")),
    ],
)
def test_each_failure_has_its_status_and_words(
    error: BaseException,
    expected: tuple[int, str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> int:
        raise error

    monkeypatch.setattr("agent.cli.station.status", fails)
    monkeypatch.setattr(sys, "stdout", os.fdopen(os.dup(1), "w"))
    status = main(["status"])
    sys.stdout.close()
    out, err = capfd.readouterr()
    assert (status, err) == expected
    assert out == ""


# ---- as a process ----------------------------------------------------------------------------------------------------


def test_the_module_is_the_program() -> None:
    done = subprocess.run([sys.executable, "-m", "agent", "frobnicate"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("wallbox-agent: argument COMMAND: invalid choice")


def test_a_command_starts_without_the_daemons_modules() -> None:
    heavy = "asyncio", "pydantic", "websockets", "pymodbus", "structlog", "sqlite3", "zoneinfo", "importlib.metadata"
    code = "import sys; from agent.cli.main import parser; parser(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    assert not set(heavy) & set(loaded.split())


@pytest.mark.parametrize("taken", [1, 70_000])
def test_a_reader_that_went_away_is_no_error(taken: int) -> None:
    code = (
        "import sys; from agent.cli import main, station\n"
        "def much(context, options): return context.emit({}, lambda: 'x' * 200_000)\n"
        "station.status = much\n"
        "sys.exit(main.main(['status']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.read(taken)
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait() == 0


def test_a_full_disk_behind_the_output_is_told() -> None:
    code = (
        "import sys; from agent.cli import main, station\n"
        "station.status = lambda context, options: context.emit({}, lambda: 'x')\n"
        "sys.exit(main.main(['status']))"
    )
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "wallbox-agent: the result cannot be written (No space left on device): check where the output goes\n"
    )


def test_ctrl_c_ends_quietly_with_130() -> None:
    code = (
        "import sys, signal; from agent.cli import main, station\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def waits(context, options):\n"
        "    print('waiting', flush=True)\n"
        "    signal.pause()\n"
        "station.status = waits\n"
        "sys.exit(main.main(['status']))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        assert command.stdout.readline() == b"waiting\n"
        command.send_signal(signal.SIGINT)
        assert command.stderr.read() == b""
        assert command.wait() == 130
