"""The command ``wallbox-agent``: arguments, dispatch, and what every failure looks like."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from agent import __version__
from agent.cli import (
    backup,
    cards,
    completion,
    configuration,
    daemon,
    diagnostics,
    evidence,
    meters,
    report,
    sessions,
    start,
    station,
    watch,
)
from agent.cli.context import CONFIG, DONE, REFUSED, USAGE, CommandFailed, Context, OutputClosed, drop_output, say
from agent.core.errors import AgentError, ConfigError

PROGRAM: Final = "wallbox-agent"
INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells have it."""
GROUPS: Final = (
    daemon,
    station,
    watch,
    start,
    cards,
    sessions,
    report,
    evidence,
    backup,
    diagnostics,
    configuration,
    meters,
    completion,
)


class UsageError(Exception):
    """The arguments make no sense."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line that ends with what to do next."""

    def error(self, message: str) -> NoReturn:
        """Raise: UsageError."""
        words = " ".join(message.split())
        raise UsageError(f"{words}: see `{self.prog} --help`")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; ``--help`` and ``--version`` end by SystemExit, as in argparse."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OutputClosed:
        drop_output()
        return DONE


def parser() -> Parser:
    """Return the parser of all commands; ``--config`` and ``--json`` are taken before and after the command."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--config", metavar="PATH", type=Path, default=argparse.SUPPRESS, help=f"default: {CONFIG}")
    shared.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON document")
    root = Parser(prog=PROGRAM, description="Agent of a home wallbox.", parents=[shared], allow_abbrev=False)
    root.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}", help="print the version")
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    for group in GROUPS:
        group.register(commands, shared)
    return root


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = parser().parse_args(arguments)
        context = Context(_path(options), getattr(options, "json", False))
        status: int = options.run(context, options)
    except UsageError as error:
        return _failed(USAGE, f"{PROGRAM}: {error}")
    except CommandFailed as error:
        return _failed(error.status, *(f"{PROGRAM}: {line}" for line in error.lines))
    except ConfigError as error:
        return _failed(USAGE, *error.problems)
    except AgentError as error:
        return _failed(REFUSED, f"{PROGRAM}: {error}")
    return status


def _path(options: argparse.Namespace) -> Path:
    """Return the configuration's path: the option, then the environment, then the default."""
    path: Path = getattr(options, "config", None) or Path(os.environ.get("WALLBOX_CONFIG") or CONFIG)
    return path


def _failed(status: int, *lines: str) -> int:
    for line in lines:
        say(line)
    return status
