"""What happens while somebody plays: one line each, from whoever it comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from simulators.csms import show

#: Members of a log line that are told in another way, or not at all.
SILENT: Final = frozenset({"timestamp", "level", "logger", "event", "accepted", "destination", "version", "config"})
BAD_LEVELS: Final = frozenset({"warning", "error", "critical"})
LONGEST: Final = 400


class Who(StrEnum):
    """Who a line is from: the person, the station as its status shows it, the agent's log, the central system, us."""

    YOU = "you"
    STATION = "station"
    AGENT = "agent"
    CLOUD = "cloud"
    PLAY = "play"


@dataclass(frozen=True, slots=True)
class News:
    """One line. bad: something that somebody should look at."""

    time: datetime
    who: Who
    text: str
    bad: bool = False

    def __str__(self) -> str:
        """Return the line as it is printed."""
        return f"{self.time.astimezone():%H:%M:%S}  {self.who:<7}  {self.text}"


class Newsroom:
    """All news so far, oldest first. ``listeners`` are called with each; ``changed`` waits for the next."""

    def __init__(self) -> None:
        self.all: list[News] = []
        self.listeners: list[Callable[[News], None]] = []
        self._more = asyncio.Event()

    def tell(self, who: Who, text: str, *, bad: bool = False) -> None:
        """Add a line as of now, made printable."""
        news = News(datetime.now(UTC), who, show.printable(text[:LONGEST]), bad)
        self.all.append(news)
        for listener in self.listeners:
            listener(news)
        self._more.set()
        self._more = asyncio.Event()

    async def changed(self) -> None:
        """Return when there is another line."""
        await self._more.wait()


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the agent's log in words. card: it tells what became of a card."""

    text: str
    bad: bool = False
    card: bool = False


class LogTail:
    """What was added to the agent's log since it was looked at last. Half a line waits for its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._left = b""

    def read(self) -> Iterator[LogLine]:
        """Yield the new lines, oldest first; none where there is no file yet."""
        try:
            with self._path.open("rb") as log:
                log.seek(self._offset)
                data = log.read()
        except FileNotFoundError:
            return
        self._offset += len(data)
        *complete, self._left = (self._left + data).split(b"\n")
        yield from (log_line(line.decode(errors="replace")) for line in complete if line.strip())


def log_line(text: str) -> LogLine:
    """Return a line of the log in words; one that is no JSON object, as of a crash, as it stands."""
    try:
        entry: Any = json.loads(text)
    except ValueError:
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        return LogLine(text, bad=True)
    event = str(entry["event"])
    return LogLine(
        "; ".join([event, *_details(entry)]),
        entry.get("level") in BAD_LEVELS,
        event.startswith("card ") or "accepted" in entry,
    )


def _details(entry: Mapping[str, object]) -> Iterator[str]:
    for key, value in entry.items():
        if key not in SILENT and value is not None:
            yield f"{key.removesuffix('_s').replace('_', ' ')} {value}"
