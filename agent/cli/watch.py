"""``watch``: the station's status, live; on a terminal, as text for a pipe, or as JSON Lines.

The daemon is asked twice a second over one connection. A daemon that ends is waited for, and found again.
"""

from __future__ import annotations

import argparse
import json
import select
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from agent.cli.context import DONE, NOT_RUNNING, CommandFailed, write

if TYPE_CHECKING:
    from agent.cli.client import Connection
    from agent.cli.context import Commands, Context
    from agent.cli.layout import Document
    from agent.cli.screen import Screen

INTERVAL_S: Final = 0.5
ANSWER_WITHIN_S: Final = 3.0
GONE: Final = "the agent is not running, waiting…"
DESCRIPTION: Final = """\
What `status` shows, live. On a terminal it is drawn over at each change; q or Ctrl-C ends it.
Into a pipe or a file it prints the status again at each change, without control characters.

With --json it prints JSON Lines: the document of `status --json` on one line, at the start and at each change of
anything but station.uptime_s. While the agent does not run, or does not answer, the line is {"error": "…"} instead.

When the agent is started again, it goes on by itself. The exit status is 3 if the agent does not run at the start."""


class View(Protocol):
    """Where the status is shown."""

    def show(self, document: Document | None, lost: str) -> None:
        """Show a status document; None where the daemon is lost, and lost says how."""
        ...

    def pause(self, seconds: float) -> bool:
        """Wait; tell whether the person wants no more."""
        ...


def register(commands: Commands, shared: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "watch",
        parents=[shared],
        allow_abbrev=False,
        help="how the station is, live in the terminal",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=watch)


def watch(context: Context, _options: argparse.Namespace) -> int:
    """Show the status until somebody ends it."""
    station = context.config().station
    source = Source(station.state_dir)
    try:
        first = source.take()
        if context.as_json:
            return _follow(Lines(), source, first)
        return _for_people(source, first, station.timezone)
    except KeyboardInterrupt:
        return DONE
    finally:
        source.close()


class Source:
    """Status documents, one after the other; connects when it has to."""

    def __init__(self, state_dir: Path) -> None:
        """Connect to nothing yet."""
        self._state_dir = state_dir
        self._connection: Connection | None = None

    def take(self) -> Document:
        """Return the status of this moment; a connection that broke is tried once more. Raises: CommandFailed."""
        if self._connection is None:
            return self._fresh()
        try:
            return self._connection.status()
        except CommandFailed:
            self.close()
            return self._fresh()

    def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _fresh(self) -> Document:
        from agent.cli.client import Connection

        connection = Connection(self._state_dir, ANSWER_WITHIN_S)
        try:
            document = connection.status()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return document


class Lines:
    """JSON Lines."""

    def __init__(self) -> None:
        """Have printed nothing yet."""
        self._last: object = None

    def show(self, document: Document | None, lost: str) -> None:
        """Print the document, if it tells anything new."""
        told = {"error": lost} if document is None else _timeless(document)
        if told != self._last:
            self._last = told
            write(json.dumps(told if document is None else document) + "\n")

    def pause(self, seconds: float) -> bool:
        """Wait; only a signal ends it."""
        return _wait(seconds)


class Blocks:
    """The text of ``status``, again at each change, a blank line behind."""

    def __init__(self, zone: tzinfo) -> None:
        """Have printed nothing yet."""
        self._zone = zone
        self._last: object = None

    def show(self, document: Document | None, lost: str) -> None:
        """Print the status, if its text tells anything new."""
        from agent.cli.render import status_text

        told = lost if document is None else status_text(_timeless(document), self._zone)
        if told != self._last:
            self._last = told
            write(f"{lost if document is None else status_text(document, self._zone)}\n")

    def pause(self, seconds: float) -> bool:
        """Wait; only a signal ends it."""
        return _wait(seconds)


class Live:
    """The whole screen of a terminal."""

    def __init__(self, zone: tzinfo, screen: Screen) -> None:
        """Draw on a screen that was taken."""
        self._zone = zone
        self._screen = screen

    def show(self, document: Document | None, lost: str) -> None:
        """Draw the status, or that there is none: an old one would be taken for the present."""
        from agent.cli.layout import WIDTH, Row, line
        from agent.cli.render import status_text
        from agent.cli.screen import size

        width = min(size()[0], WIDTH)
        lost_text = line(Row("agent", lost, bad=True), width)
        self._screen.draw(lost_text if document is None else status_text(document, self._zone, width))

    def pause(self, seconds: float) -> bool:
        """Wait; a key ends it."""
        return self._screen.pause(seconds)


def _for_people(source: Source, first: Document, timezone: str) -> int:
    from agent.cli.render import local_zone
    from agent.cli.screen import Screen, is_terminal

    zone = local_zone(timezone)
    if not is_terminal():
        return _follow(Blocks(zone), source, first)
    screen = Screen()
    with screen.taken():
        return _follow(Live(zone, screen), source, first)


def _follow(view: View, source: Source, first: Document) -> int:
    document: Document | None = first
    lost = ""
    while True:
        view.show(document, lost)
        if view.pause(INTERVAL_S):
            return DONE
        try:
            document = source.take()
        except CommandFailed as error:
            document = None
            lost = GONE if error.status == NOT_RUNNING else f"{error}; trying again…"


def _timeless(document: Document) -> Document:
    """Return a status document without what changes by itself."""
    station = document.get("station")
    if not isinstance(station, Mapping):
        return document
    return {**document, "station": {name: value for name, value in station.items() if name != "uptime_s"}}


def _wait(seconds: float) -> bool:
    select.select([], [], [], seconds)
    return False
