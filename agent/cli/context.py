"""What every command gets: where the configuration is and how to print; and how a command fails."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import argparse

    from agent.runtime.config import AgentConfig

    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
NOT_RUNNING: Final = 3

CONFIG: Final = Path("/etc/wallbox-agent/agent.toml")


class CommandFailed(Exception):
    """A command comes to nothing: what to print on standard error, one line each, and the exit status.

    The lines say what to do next, and stand alone.
    """

    def __init__(self, *lines: str, status: int = REFUSED) -> None:
        """Keep the lines and the status."""
        super().__init__("; ".join(lines))
        self.lines = lines
        self.status = status


class OutputClosed(Exception):
    """Nobody reads standard output any more; no failure of the command."""


@dataclass(frozen=True, slots=True)
class Context:
    """One call of the program; as_json: print one JSON document instead of text."""

    path: Path = CONFIG
    as_json: bool = False

    def config(self, *, secrets: bool = False) -> AgentConfig:
        """Load the configuration with the environment and systemd's credentials.

        secrets: a password that is missing counts as an error; only the daemon is given the service's credentials.
        Raises: ConfigError.
        """
        from agent.runtime.config import load

        credentials = os.environ.get("CREDENTIALS_DIRECTORY")
        return load(self.path, os.environ, Path(credentials) if credentials else None, secrets=secrets)

    def ask(self, request: Mapping[str, object]) -> object:
        """Ask the running daemon, and return its result. Raises: CommandFailed, ConfigError."""
        from agent.cli.client import ask

        return ask(self.config().station.state_dir, request)

    def emit(self, document: object, text: Callable[[], str]) -> int:
        """Print the document, or the text for people, whole or not at all; return the exit status.

        Raises: OutputClosed, CommandFailed.
        """
        printed = json.dumps(document, indent=2) if self.as_json else text()
        write(printed if printed.endswith("\n") else printed + "\n")
        return DONE


def write(text: str) -> None:
    """Print text, whole, at once; a character that the terminal's encoding lacks becomes a question mark.

    Raises: OutputClosed, CommandFailed.
    """
    encoding = sys.stdout.encoding or "utf-8"
    with _output():
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Print bytes as they are, whatever the terminal's encoding. Raises: OutputClosed, CommandFailed."""
    with _output():
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def no_terminal(form: str) -> None:
    """Refuse to print a file of bytes to a terminal. Raises: CommandFailed with status 2."""
    if sys.stdout.isatty():
        words = f"{form} is no text for a terminal: name a file for it, or send the output to one (> FILE)"
        raise CommandFailed(words, status=USAGE)


@contextlib.contextmanager
def _output() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        drop_output()
        words = f"the result cannot be written ({error.strerror or error}): check where the output goes"
        raise CommandFailed(words) from error


def counted(name: str) -> Callable[[str], int]:
    """Return what takes a number from 1 on that was typed; name: of what it counts, for argparse's error."""

    def number(text: str) -> int:
        if (typed := int(text)) < 1:
            raise ValueError(text)
        return typed

    number.__name__ = name
    return number


connector_number: Final = counted("connector number")
"""Takes the number of a connector; the daemon knows which there are."""


def say(line: str) -> None:
    """Print a line on standard error: an error, or a note beside the result."""
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(f"{line}\n")


def drop_output() -> None:
    """Let the interpreter's last flush of standard output go nowhere, which would fail once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
