"""A PN532 board as a test sees it: frames, sleep, selection of cards, in virtual time or on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from agent.rfid.dialogue import Dialogue, GaveUp, Told
from tests.unit.fieldbus.slave import Pty

Piece = tuple[float, bytes]
"""Bytes that the board sends, so many seconds after the command."""
Behaviour = Callable[[bytes], Iterable[Piece]]
"""Command and its data -> what is sent instead of the honest answer."""

ACK = b"\x00\x00\xff\x00\xff\x00"
SYNTAX_ERROR = b"\x00\x00\xff\x01\xff\x7f\x81\x00"
SAM, VERSION, RF, LIST, RELEASE = 0x14, 0x02, 0x32, 0x4A, 0x52


def answer(code: int, data: bytes = b"") -> bytes:
    body = b"\xd5" + bytes([code]) + data
    total = sum(body)
    return b"\x00\x00\xff" + bytes([len(body), (0x100 - len(body)) & 0xFF]) + body + bytes([(0x100 - total) & 0xFF, 0])


def acked(data: bytes, after_s: float = 0.03) -> list[Piece]:
    return [(0.002, ACK), (after_s, data)]


def target(uid: str, *, ats: str = "") -> bytes:
    number = bytes.fromhex(uid)
    return b"\x00\x04" + bytes([0x20 if ats else 0x08, len(number)]) + number + bytes.fromhex(ats)


@dataclass
class Board:
    """What it is, and what happens to it.

    present: the cards in the field, by ``target``. script: what it does with the next searches; usual: with all else,
    None for the honest thing. ``received`` has the commands with their data, ``aborts`` counts host ACKs.
    """

    present: list[bytes] = field(default_factory=list)
    script: deque[Behaviour] = field(default_factory=deque)
    usual: Behaviour | None = None
    received: list[bytes] = field(default_factory=list)
    aborts: int = 0
    powered: bool = True
    asleep: bool = True
    sam: bool = False
    finite: bool = False
    field_control: bool = True
    selected: set[bytes] = field(default_factory=set)
    _buffer: bytes = b""

    def cut_power(self) -> None:
        self.powered = self.sam = self.finite = False
        self.asleep = True
        self.selected.clear()
        self._buffer = b""

    def receive(self, data: bytes) -> list[Piece]:
        """Take what the host sends; return what the board sends, and when."""
        if not self.powered:
            return []
        self._buffer += data
        if self.asleep:
            _, woken, self._buffer = self._buffer.partition(b"\x55\x55" + bytes(14))
            self.asleep = not woken
        return [piece for command in self._commands() for piece in self._serve(command)]

    def _commands(self) -> Iterator[bytes]:
        while (at := self._buffer.find(b"\x00\xff")) >= 0 and len(self._buffer) >= at + 4:
            length, complement = self._buffer[at + 2], self._buffer[at + 3]
            if (length, complement) == (0x00, 0xFF):
                self.aborts += 1
                self._buffer = self._buffer[at + 4 :]
                continue
            assert (length + complement) % 256 == 0, "the host's length checksum"
            if len(self._buffer) < at + 4 + length + 2:
                return
            body, self._buffer = self._buffer[at + 4 : at + 5 + length], self._buffer[at + 5 + length :]
            assert sum(body) % 256 == 0, "the host's checksum"
            assert body[0] == 0xD4
            yield body[1:-1]

    def _serve(self, command: bytes) -> Iterable[Piece]:
        self.received.append(command)
        behaviour = self.script.popleft() if self.script and command[0] == LIST else self.usual
        return self._honest(command) if behaviour is None else behaviour(command)

    def _honest(self, command: bytes) -> list[Piece]:
        code, data = command[0], command[1:]
        if code == LIST and self.sam:
            return self._list(data)
        if code == RF and (data[0] == 0x05 or self.field_control):
            return self._configure(data)
        if code == RELEASE:
            self.selected.clear()
        self.sam = self.sam or code == SAM
        plain = {SAM: b"", VERSION: b"\x32\x01\x06\x07", RELEASE: b"\x00"}
        return acked(answer(code + 1, plain[code])) if code in plain else [(0.002, SYNTAX_ERROR)]

    def _configure(self, data: bytes) -> list[Piece]:
        if data[0] == 0x05:
            self.finite = data[3] < 0xFF
        else:
            self.selected.clear()
        return acked(answer(RF + 1), 0.005)

    def _list(self, data: bytes) -> list[Piece]:
        """A card that stays selected does not answer; without a bound on the tries the search ends only with a card."""
        assert data[1] == 0, "106 kbit/s, type A"
        found = [card for card in self.present if card not in self.selected][: data[0]]
        self.selected.update(found)
        if not found and not self.finite:
            return [(0.002, ACK)]
        listed = b"".join(bytes([number]) + card for number, card in enumerate(found, 1))
        return acked(answer(0x4B, bytes([len(found)]) + listed), 0.06)


def on(pty: Pty, board: Board) -> Callable[[bytes], None]:
    """Return what answers on a pseudo-terminal for the board."""

    def received(data: bytes) -> None:
        for delay, piece in board.receive(data):
            asyncio.get_running_loop().call_later(delay, pty.send, piece)

    return received


class Talk:
    """A dialogue with a board in virtual time, byte by byte where asked for."""

    def __init__(self, dialogue: Dialogue, board: Board, *, byte_s: float = 0.0) -> None:
        self.dialogue = dialogue
        self.board = board
        self.now = 100.0
        self.told: list[tuple[float, Told]] = []
        self.turns = 0
        self._byte_s = byte_s
        self._coming: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._free = 0.0
        self._take(dialogue.begin(self.now))

    def arrive(self, at: float, data: bytes) -> None:
        """Let bytes arrive that the board sends by itself."""
        for piece in [data[n : n + 1] for n in range(len(data))] if self._byte_s else [data]:
            self._count += 1
            self._free = max(self._free, at) + self._byte_s
            heapq.heappush(self._coming, (max(at, self._free), self._count, piece))

    def run(self, seconds: float) -> list[Told]:
        """Go on for so long, or until the dialogue gives up, and return what was told in that time."""
        end, before = self.now + seconds, len(self.told)
        while not self._over() and (at := self._next()) <= end:
            self.now = max(self.now, at)
            self.turns += 1
            if self._coming and self._coming[0][0] <= self.now:
                self._take(self.dialogue.feed(heapq.heappop(self._coming)[2], self.now))
            else:
                self._take(self.dialogue.idle(self.now))
        self.now = end
        return [told for _, told in self.told[before:]]

    def _over(self) -> bool:
        return bool(self.told) and isinstance(self.told[-1][1], GaveUp)

    def _next(self) -> float:
        deadline = self.dialogue.deadline
        assert deadline is not None, "a reader that is asked is always asked again"
        return min(deadline, self._coming[0][0]) if self._coming else deadline

    def _take(self, told: list[Told]) -> None:
        self.told += [(self.now, event) for event in told]
        for delay, piece in self.board.receive(self.dialogue.outgoing()):
            self.arrive(self.now + delay, piece)
