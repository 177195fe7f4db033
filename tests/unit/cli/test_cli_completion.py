"""``completion``: the tree of commands, and the scripts in the shells themselves; zsh and fish where installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.completion import tree
from agent.cli.main import main, parser
from agent.ocpp.v16.configuration import KEYS

COMMANDS = {
    "run", "status", "watch", "link", "unlink", "start", "stop", "cards", "sessions", "report", "key", "config",
    "completion", "backup", "diagnostics", "restore", "meters",
}  # fmt: skip
BASH = shutil.which("bash") or "bash"
ALL_KEYS = {key.name for key in KEYS.values()}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the script of each shell."""
    folder = tmp_path_factory.mktemp("completion")
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [sys.executable, "-m", "agent", "completion", shell], capture_output=True, text=True, check=True
        )
        (folder / shell).write_text(done.stdout)
    (folder / "agent.toml").touch()
    (folder / "two words.csv").touch()
    (folder / "sub").mkdir()
    return folder


def bash(scripts: Path, *words: str) -> set[str]:
    """Return what a bash without any other completion offers for the last word."""
    code = (
        'source ./bash; complete -p wallbox-agent >/dev/null || exit 9; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        "_wallbox_agent; ((${#COMPREPLY[@]} == 0)) || printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    command = [BASH, "--norc", "--noprofile", "-c", code, "bash", "wallbox-agent", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=scripts)
    assert done.stderr == ""
    return set(done.stdout.splitlines())


def test_the_tree_has_every_command_with_what_follows() -> None:
    commands = {command.name: command for command in tree(parser())}
    assert {name for name, _ in commands[""].commands} == COMMANDS
    assert {"cards add", "sessions export", "config set", "config reset"} < set(commands)
    assert [set(values.words) for values in commands["config set"].arguments] == [ALL_KEYS, set()]
    assert commands["config get"].endless
    assert not commands["config set"].endless
    assert all(purpose for command in commands.values() for _, purpose in command.commands)
    assert all(option.purpose for command in commands.values() for option in command.options)


def test_a_script_is_one_json_document_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["shell"] == "bash"
    assert "complete -F _wallbox_agent wallbox-agent" in document["script"]


def test_a_shell_that_is_not_known_is_told_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert "invalid choice: 'tcsh' (choose from" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], COMMANDS),
        (["st"], {"status", "start", "stop"}),
        (["cards", "a"], {"add", "activate"}),
        (["cards", "re"], {"remove", "replace"}),
        (["config", "s"], {"show", "set"}),
        (["config", "get", ""], ALL_KEYS),
        (["config", "get", "HeartbeatInterval", "heartb"], {"HeartbeatInterval"}),
        (["config", "set", "websocket"], {"WebSocketPingInterval"}),
        (["config", "set", "HeartbeatInterval", ""], set()),
        (["config", "reset", "--a"], {"--all"}),
        (["start", "--connector", ""], {"1", "2"}),
        (["start", "--card", ""], set()),
        (["start", "--card", "04A1", "--co"], {"--config", "--connector"}),
        (["cards", "add", "04A1", "--profile", ""], {"private", "fleet"}),
        (["sessions", "export", "--format", ""], {"csv", "xlsx", "json", "ocpi", "ocmf"}),
        (["sessions", "annotate", "--clear", ""], {"odometer", "note"}),
        (["sessions", "annotate", "019a", "--no"], {"--note"}),
        (["sessions", "export", "--csv-flavour", "e"], {"excel"}),
        (["sessions", "export", "--output", ""], {"agent.toml", "two words.csv", "sub", "bash", "zsh", "fish"}),
        (["sessions", "export", "--output", "two"], {"two words.csv"}),
        (["sessions", "export", "--output", "=", "ag"], {"agent.toml"}),
        (["sessions", "export", "--format", "="], {"csv", "xlsx", "json", "ocpi", "ocmf"}),
        (["--config", "ag"], {"agent.toml"}),
        (["--config", "agent.toml", "cards", "li"], {"list"}),
        (["cards", "--json", "list", "--j"], {"--json"}),
        (["status", ""], set()),
        (["nonsense", ""], set()),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["link", "$(touch pwned)", "`touch pwned`"], set()),
        (["config", "get", "*"], set()),
    ],
)
def test_bash_offers_what_may_follow(scripts: Path, words: list[str], offered: set[str]) -> None:
    assert bash(scripts, *words) == offered
    assert not (scripts / "pwned").exists()


def test_bash_offers_the_options_of_each_command(scripts: Path) -> None:
    assert bash(scripts, "sessions", "list", "--") == {"--help", "--config", "--json", "--from", "--to", "--limit"}
    assert bash(scripts, "--") == {"--help", "--config", "--json", "--version"}


def test_bash_does_not_mind_strict_settings(scripts: Path) -> None:
    code = "set -eu; source ./bash; COMP_WORDS=(wallbox-agent st); COMP_CWORD=1; _wallbox_agent; echo ${#COMPREPLY[@]}"
    done = subprocess.run([BASH, "--norc", "-c", code], capture_output=True, text=True, check=True, cwd=scripts)
    assert (done.stdout, done.stderr) == ("3\n", "")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_offers_what_may_follow(scripts: Path) -> None:
    code = (
        "compdef() { : }; compadd() { print -rl -- ${@[4,-1]} }; _describe() { print -rl -- ${found%%:*} }\n"
        "_files() { print FILES }; compset() { : }; source ./zsh\n"
        'words=(wallbox-agent "$@"); CURRENT=${#words}; _wallbox_agent; true'
    )

    def zsh(*words: str) -> set[str]:
        command = ["zsh", "-f", "-c", code, "zsh", *words]
        return set(subprocess.run(command, capture_output=True, text=True, check=True, cwd=scripts).stdout.split())

    assert zsh("") == COMMANDS
    assert zsh("config", "set", "") == ALL_KEYS
    assert zsh("config", "set", "HeartbeatInterval", "") == set()
    assert zsh("sessions", "export", "--format", "") == {"csv", "xlsx", "json", "ocpi", "ocmf"}
    assert zsh("status", "--config=ag") == {"FILES"}
    assert zsh("sessions", "list", "--") == {"--help", "--config", "--json", "--from", "--to", "--limit"}


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_offers_what_may_follow(scripts: Path) -> None:
    def fish(line: str) -> set[str]:
        command = ["fish", "--no-config", "-c", "source ./fish; complete -C $argv[1]", line]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=scripts)
        return {one.split("\t")[0] for one in done.stdout.splitlines()}

    assert fish("wallbox-agent ") == COMMANDS
    assert fish("wallbox-agent config set heartb") == {"HeartbeatInterval"}
    assert fish("wallbox-agent sessions export --format ") == {"csv", "xlsx", "json", "ocpi", "ocmf"}
    assert fish("wallbox-agent sessions export --output ag") == {"agent.toml"}
    assert fish("wallbox-agent start --card ") == set()
