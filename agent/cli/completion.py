"""``completion``: a script by which a shell completes commands, options and their values."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from agent.cli.context import Commands, Context

SHELLS: Final = ("bash", "zsh", "fish")
DESCRIPTION: Final = """\
Print a script that makes a shell complete commands, options, configuration keys and file names. To install it:

  bash   wallbox-agent completion bash | sudo tee /etc/bash_completion.d/wallbox-agent
  zsh    wallbox-agent completion zsh | sudo tee /usr/local/share/zsh/site-functions/_wallbox-agent
  fish   wallbox-agent completion fish > ~/.config/fish/completions/wallbox-agent.fish

Or for one bash alone: source <(wallbox-agent completion bash). Print it again after an upgrade."""


@dataclass(frozen=True, slots=True)
class Values:
    """What may stand at a place: these words, or a file; neither where nothing can be known."""

    words: tuple[str, ...] = ()
    files: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """An option; values: what follows it, None for a switch."""

    names: tuple[str, ...]
    purpose: str
    values: Values | None


@dataclass(frozen=True, slots=True)
class Command:
    """A command, ``()`` being the program itself, and what may follow.

    commands: those below it, with their purposes. arguments: one per place; endless: the last one may be repeated.
    """

    path: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]
    options: tuple[Option, ...]
    arguments: tuple[Values, ...]
    endless: bool

    @property
    def name(self) -> str:
        """The words of the command, with blanks between them."""
        return " ".join(self.path)


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "completion",
        parents=[shared],
        allow_abbrev=False,
        help="a script for the shell's completion",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to complete")
    parser.set_defaults(run=completion)


def completion(context: Context, options: argparse.Namespace) -> int:
    """Print the script for a shell; neither configuration nor daemon is needed."""
    from agent.cli import shells
    from agent.cli.main import parser

    script = getattr(shells, options.shell)(tuple(tree(parser())))
    return context.emit({"shell": options.shell, "script": script}, lambda: str(script))


def tree(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """Yield the command of a parser, and all below it."""
    actions = parser._actions  # noqa: SLF001  # argparse tells a parser's arguments in no other way
    below = next((action for action in actions if isinstance(action, argparse._SubParsersAction)), None)
    places = [action for action in actions if not action.option_strings and action is not below]
    yield Command(
        path,
        () if below is None else tuple(_purposes(below)),
        tuple(_option(action) for action in actions if action.option_strings),
        tuple(_values(action) for action in places),
        endless=any(action.nargs in {"*", "+"} for action in places),
    )
    if below is not None:
        for name, inner in below.choices.items():
            yield from tree(inner, (*path, name))


def _purposes(below: argparse._SubParsersAction[argparse.ArgumentParser]) -> Iterator[tuple[str, str]]:
    for choice in below._choices_actions:  # noqa: SLF001  # as above
        yield choice.dest, choice.help or ""


def _option(action: argparse.Action) -> Option:
    takes = action.nargs != 0
    return Option(tuple(action.option_strings), action.help or "", _values(action) if takes else None)


def _values(action: argparse.Action) -> Values:
    """Return what may stand where an argument is: its choices, else what its placeholder means."""
    if action.choices is not None:
        return Values(tuple(str(choice) for choice in action.choices))
    match action.metavar:
        case "FILE" | "PATH":
            return Values(files=True)
        case "KEY":
            from agent.ocpp.v16.configuration import KEYS

            return Values(tuple(key.name for key in KEYS.values()))
        case "N":
            return Values(("1", "2"))
        case "FORMAT":
            from agent.cli.export import FORMATS

            return Values(FORMATS)
        case _:
            return Values()
