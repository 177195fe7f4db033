"""The dialogue with a reader that speaks when it is asked: sets it up, asks for cards, and notices when it is gone.

One command at a time. A command that fails is dropped, and the reader is asked for cards again; when that has failed
some times in a row the reader is set up anew, as after a loss of power; when no question for cards has been answered
for some seconds it is given up, with what is known of the cause. Only such answers count: a reader that takes its
set-up and then finds no card for ever does not work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol, TypeAlias

from agent.rfid.dialogue import GaveUp, Ready, Told
from agent.rfid.frames import FrameError, FrameFault, Seen

POLL_S: Final = 0.3
"""From one question for cards to the next, and the pause after a failure."""
TRIES: Final = 3
"""So many failures in a row, and the reader is set up anew."""
PATIENCE_S: Final = 5.0
"""So long without an answer, and the reader is given up: with the attempt under way it is within eight seconds."""
REFRESH_S: Final = 120.0
"""A reader whose supply dipped may have lost its settings and answer all the same."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is sent.

    name: as in the maker's manual; code: what its answer has. ack_s: wait for the acknowledgement, or where the reader
    sends none, for the answer; answer_s: wait from the acknowledgement on. optional: whether a reader that cannot do it
    is good all the same.
    """

    name: str
    frame: bytes
    code: int
    ack_s: float
    answer_s: float
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Ack:
    """The reader took the command; at: monotonic seconds."""

    at: float


@dataclass(frozen=True, slots=True)
class Nack:
    """The reader did not understand the command; at: monotonic seconds."""

    at: float


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; code: of the answer, as on the wire; data: what follows it; at: monotonic seconds."""

    code: int
    data: bytes
    at: float


Heard: TypeAlias = Ack | Nack | Answer | FrameError


class Symptom(Enum):
    """What is known of a command that failed."""

    SILENCE = auto()
    NOISE = auto()
    NO_ANSWER = auto()
    DAMAGED = auto()
    REFUSED = auto()


#: What comes before the reader's advice.
WORDS: Final[Mapping[Symptom, str]] = {
    Symptom.SILENCE: "does not answer",
    Symptom.NOISE: "is not understood, what it sends is no frame",
    Symptom.NO_ANSWER: "takes commands, but does not answer {command}",
    Symptom.DAMAGED: "answers {command} with damaged frames",
    Symptom.REFUSED: "refuses {command}",
}


class Chip(Protocol):
    """What there is to know about a kind of reader, sans-I/O.

    name: as printed on the board; advice: what to check. setup: the commands after which it can be polled; poll: asks
    for cards; abort: ends a command under way, empty where there is no such thing.
    """

    name: str
    advice: Mapping[Symptom, str]
    setup: tuple[Command, ...]
    poll: Command
    abort: bytes

    @property
    def model(self) -> str | None:
        """What the reader calls itself, None before it was asked."""
        ...

    @property
    def deadline(self) -> float | None:
        """Monotonic second at which an open frame is given up, None while none is open."""
        ...

    def feed(self, data: bytes, now: float) -> list[Heard]:
        """Return what became complete by ``data``, in order."""
        ...

    def idle(self, now: float) -> list[Heard]:
        """Return the time-out of a frame that has been open for too long, nothing otherwise."""
        ...

    def read(self, answer: Answer) -> list[Seen]:
        """Return the cards in an answer to any of the commands, in order."""
        ...

    def after(self, answer: Answer) -> tuple[Command, ...]:
        """Return the commands that an answer asks for, before the next question for cards."""
        ...


@dataclass(slots=True)
class _Open:
    """The command that is under way, until when it may be, and what has come since."""

    command: Command
    due: float
    heard: bool = False
    acknowledged: bool = False
    damaged: bool = False
    refused: bool = False

    @property
    def symptom(self) -> Symptom:
        if self.refused:
            return Symptom.REFUSED
        if self.acknowledged:
            return Symptom.DAMAGED if self.damaged else Symptom.NO_ANSWER
        return Symptom.NOISE if self.heard else Symptom.SILENCE


class Polling:
    """The dialogue (see Dialogue) with a reader of a kind."""

    def __init__(self, chip: Chip) -> None:
        """Talk with a new chip."""
        self._chip = chip
        self._outgoing = bytearray()
        self._coming: deque[Command] = deque()
        self._open: _Open | None = None
        self._lacking: set[Command] = set()
        self._ready = False
        self._failures = 0
        self._resume = self._worked = self._refreshed = self._asked = 0.0

    @property
    def deadline(self) -> float | None:
        """See Dialogue."""
        own = self._resume if self._open is None else self._open.due
        return own if self._chip.deadline is None else min(own, self._chip.deadline)

    def begin(self, now: float) -> list[Told]:
        """See Dialogue."""
        self._worked = now
        self._set_up(now)
        return self._due(now)

    def feed(self, data: bytes, now: float) -> list[Told]:
        """See Dialogue."""
        if self._open is not None:
            self._open.heard = True
        return [*self._taken(self._chip.feed(data, now), now), *self._due(now)]

    def idle(self, now: float) -> list[Told]:
        """See Dialogue."""
        return [*self._taken(self._chip.idle(now), now), *self._due(now)]

    def outgoing(self) -> bytes:
        """See Dialogue."""
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def _taken(self, heard: list[Heard], now: float) -> list[Told]:
        return [told for event in heard for told in self._take(event, now)]

    def _take(self, event: Heard, now: float) -> list[Told]:
        """Take what the reader sent; what belongs to no command under way came too late, and is dropped."""
        under_way = self._open
        match event:
            case Ack() if under_way is not None and not under_way.acknowledged:
                under_way.acknowledged = True
                under_way.due = now + under_way.command.answer_s
            case Answer() if under_way is not None and event.code == under_way.command.code:
                return self._answered(under_way.command, event, now)
            case Nack() | FrameError(fault=FrameFault.DEVICE_ERROR) if under_way is not None:
                under_way.refused = True
                return self._failed(under_way, now)
            case FrameError():
                if under_way is not None:
                    under_way.damaged = True
                return [event]
            case _:
                pass
        return []

    def _answered(self, command: Command, answer: Answer, now: float) -> list[Told]:
        told: list[Told] = [*self._chip.read(answer)]
        self._open = None
        self._coming.extendleft(reversed([c for c in self._chip.after(answer) if c not in self._lacking]))
        if command == self._chip.poll:
            self._worked, self._failures = now, 0
            if not self._ready:
                self._ready = True
                told.insert(0, Ready(self._chip.model))
        self._resume = now if self._coming else max(now, self._asked + POLL_S)
        return told

    def _failed(self, under_way: _Open, now: float) -> list[Told]:
        command, self._open = under_way.command, None
        self._resume = now + POLL_S
        if command.optional:
            self._lacking.add(command)
            return []
        self._failures += 1
        self._coming.clear()
        if self._failures >= TRIES and now - self._worked >= PATIENCE_S:
            return [GaveUp(self._reason(under_way))]
        if command in self._chip.setup or self._failures >= TRIES:
            self._set_up(self._resume)
        return []

    def _reason(self, under_way: _Open) -> str:
        words = WORDS[under_way.symptom].format(command=under_way.command.name)
        return f"the {self._chip.name} {words}; {self._chip.advice[under_way.symptom]}"

    def _set_up(self, at: float) -> None:
        self._resume = self._refreshed = at
        self._lacking.clear()
        self._coming.extend(self._chip.setup)

    def _due(self, now: float) -> list[Told]:
        if self._open is not None:
            if now < self._open.due:
                return []
            self._outgoing += self._chip.abort
            return self._failed(self._open, now)
        if now >= self._resume:
            self._send(now)
        return []

    def _send(self, now: float) -> None:
        if not self._coming and now - self._refreshed >= REFRESH_S:
            self._set_up(now)
        command = self._coming.popleft() if self._coming else self._chip.poll
        if command == self._chip.poll:
            self._asked = now
        self._outgoing += command.frame
        self._open = _Open(command, now + command.ack_s)
