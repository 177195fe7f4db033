"""What went over the wires of a central system, in order, and which of it broke a rule."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

#: What a message is; "ping" are WebSocket pings, "event" is "connected" or "closed" (in ``action``).
Kind: TypeAlias = Literal["call", "result", "error", "garbage", "ping", "event"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. number: its place in the log. at: monotonic seconds. inbound: from the station.

    action: of the call, of the call that is answered, of a call that failed; payload: what is inside, of an error
    ``{"code", "description", "details"}``; text: as it stood on the wire.
    """

    number: int
    at: float
    time: datetime
    station: str
    inbound: bool
    kind: Kind
    id: str
    action: str
    payload: Any
    text: str


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a station broke."""

    time: datetime
    station: str
    text: str

    def __str__(self) -> str:
        """Return one line for a person."""
        return f"{self.station}: {self.text}"


class MessageLog:
    """All messages and violations since the start. ``listeners`` are called with each as it comes."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.violations: list[Violation] = []
        self.listeners: list[Callable[[Message | Violation], None]] = []
        self._more = asyncio.Event()

    def add(
        self,
        station: str,
        kind: Kind,
        *,
        inbound: bool,
        action: str = "",
        id_: str = "",
        payload: object = None,
        text: str = "",
    ) -> None:
        """Add a message as of now."""
        number = len(self.messages)
        message = Message(
            number, time.monotonic(), datetime.now(UTC), station, inbound, kind, id_, action, payload, text
        )
        self.messages.append(message)
        self._tell(message)

    def accuse(self, station: str, text: str) -> None:
        """Add a violation as of now."""
        violation = Violation(datetime.now(UTC), station, text)
        self.violations.append(violation)
        self._tell(violation)

    def _tell(self, entry: Message | Violation) -> None:
        for listener in self.listeners:
            listener(entry)
        self._more.set()
        self._more = asyncio.Event()

    def find(
        self,
        action: str,
        *,
        station: str | None = None,
        kind: Kind = "call",
        inbound: bool = True,
        since: int = 0,
        where: Callable[[Message], bool] | None = None,
    ) -> Iterator[Message]:
        """Yield the messages of an action (any: ""), oldest first. since: from this number on."""
        for message in itertools.islice(self.messages, since, None):
            fits = message.kind == kind and message.inbound == inbound and action in {"", message.action}
            if fits and station in {None, message.station} and (where is None or where(message)):
                yield message

    async def changed(self) -> None:
        """Return when there is something new."""
        await self._more.wait()
