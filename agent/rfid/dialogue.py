"""How the shell talks with any reader, sans-I/O: bytes in, bytes out, and the moment at which to ask again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from agent.rfid.frames import Frames, Seen


@dataclass(frozen=True, slots=True)
class Ready:
    """The reader works; model: what it calls itself, None where it tells nothing."""

    model: str | None = None


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The reader does not work, the port has to be opened anew; reason: what failed, and what to check."""

    reason: str


Told: TypeAlias = Seen | Ready | GaveUp


class Dialogue(Protocol):
    """What is said on a port from its opening to its closing.

    ``begin`` comes first; then ``feed`` with each piece that arrives, and ``idle`` at the deadline. After each of them
    ``outgoing`` has what is to be sent. Times are monotonic seconds. Nothing raises; nothing is called after GaveUp.
    """

    @property
    def deadline(self) -> float | None:
        """When ``idle`` has something to do although nothing arrives, None for never."""
        ...

    def begin(self, now: float) -> list[Told]:
        """Take that the port is open, and that nothing is known of the reader."""
        ...

    def feed(self, data: bytes, now: float) -> list[Told]:
        """Return what is known by ``data``, in order; due work is done as in ``idle``."""
        ...

    def idle(self, now: float) -> list[Told]:
        """Return what is known by the lapse of time."""
        ...

    def outgoing(self) -> bytes:
        """Return the bytes to be sent now, each once; nothing where there are none."""
        ...


class Listening:
    """The dialogue with a reader that sends by itself: it is ready when its port is open, and is told nothing."""

    def __init__(self, frames: Frames) -> None:
        """Read with a new splitter."""
        self._frames = frames

    @property
    def deadline(self) -> float | None:
        """See Dialogue."""
        return self._frames.deadline

    def begin(self, now: float) -> list[Told]:  # noqa: ARG002  others have times to keep
        """See Dialogue."""
        return [Ready()]

    def feed(self, data: bytes, now: float) -> list[Told]:
        """See Dialogue."""
        return [*self._frames.feed(data, now)]

    def idle(self, now: float) -> list[Told]:
        """See Dialogue."""
        return [*self._frames.idle(now)]

    def outgoing(self) -> bytes:
        """See Dialogue."""
        return b""
