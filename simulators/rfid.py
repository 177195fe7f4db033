"""Card readers on a serial line: what all of them have, and those that send by themselves."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from simulators.errors import Misuse
from simulators.wires import Pty

STX, ETX = b"\x02", b"\x03"
#: Seconds between the frames of a card that is held: measured on the modules as 65 to 100 ms.
REPEATS_S: Final = (0.065, 0.1)
TOUCH_S: Final = 0.3


class WrongCard(Misuse):
    """The reader cannot read such a card."""


class SerialReader(ABC):
    """A reader on a pseudo-terminal; an asynchronous context manager that plugs it in and out.

    link: a symbolic link to the pseudo-terminal. Its faults are attributes, each until it is set back, here and in
    ``FAULTS`` with what they mean: ``silent``, ``bad_checksum``, ``half`` (only the first half of each frame), ``lose``
    (so many bytes missing in the middle of each frame), ``noise_before`` (bytes before each frame), ``split_s`` (so
    long between the bytes of a frame).
    """

    TITLE: ClassVar[str]
    LINE: ClassVar[str]
    #: Name of a fault that is on or off -> what it is.
    FAULTS: ClassVar[Mapping[str, str]] = {
        "silent": "the reader sends nothing",
        "bad_checksum": "frames with a wrong checksum",
        "half": "only the first half of each frame",
    }

    def __init__(self, *, link: Path | str | None = None) -> None:
        self.silent = self.bad_checksum = self.half = False
        self.lose = 0
        self.noise_before = b""
        self.split_s = 0.0
        self._pty = Pty(self._connect, link)
        self._sends_at = 0.0

    async def __aenter__(self) -> Self:
        self.replug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    @property
    def path(self) -> str:
        """The serial device to open; changes with each plugging in unless there is a link."""
        return self._pty.path

    def unplug(self) -> None:
        """Pull the cable: who has the terminal open gets EIO."""
        self._pty.unplug()

    def replug(self) -> None:
        """Put it back, under the same link."""
        self._pty.plug()

    def noise(self, data: bytes = b"") -> None:
        """Send bytes that are no card, random ones where none are given, as coils near a contactor do."""
        self._pty.write(data or random.randbytes(random.randint(1, 12)))

    @abstractmethod
    def card(self, uid: str) -> bytes:
        """Return the bytes of a card number in hexadecimal. Raises WrongCard."""

    @abstractmethod
    async def tap(self, uid: str, hold_s: float = TOUCH_S) -> None:
        """Hold a card before the reader for a time; returns when it is taken away. Raises WrongCard."""

    def _connect(self, send: Callable[[bytes], None]) -> Callable[[bytes], None]:  # noqa: ARG002 - for those that listen
        return _deaf

    def _send(self, frame: bytes, copies: int = 1) -> None:
        """Send a frame as the faults of the line leave it, behind what is still being sent."""
        if self.silent:
            return
        middle = len(frame) // 2
        frame = frame[:middle] if self.half else frame[:middle] + frame[middle + self.lose :]
        data = (self.noise_before + frame) * copies
        if not self.split_s:
            self._pty.write(data)
            return
        loop = asyncio.get_running_loop()
        at = max(loop.time(), self._sends_at)
        for place in range(len(data)):
            loop.call_at(at + place * self.split_s, self._pty.write, data[place : place + 1])
        self._sends_at = at + len(data) * self.split_s


def card_bytes(uid: str, lengths: frozenset[int], cards: str) -> bytes:
    """Return the bytes of a card number in hexadecimal, without separators. Raises WrongCard, which tells ``cards``."""
    try:
        card = bytes.fromhex(uid)
    except ValueError:
        card = b""
    if len(card) not in lengths or len(uid) != 2 * len(card):
        raise WrongCard(f"{uid!r} is no card for this reader: it reads {cards}")
    return card


def rdm6300(uid: bytes) -> bytes:
    """Return the 14 bytes that an RDM6300 sends: STX, five bytes in hexadecimal, their XOR in hexadecimal, ETX."""
    checksum = reduce(xor, uid)
    return STX + uid.hex().upper().encode() + f"{checksum:02X}".encode() + ETX


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a reader speaks. lengths: bytes of the cards it reads. repeats: sends again while the card is held."""

    frame: Callable[[bytes], bytes]
    lengths: frozenset[int]
    cards: str
    repeats: bool = True


PROTOCOLS: Final[Mapping[str, Protocol]] = {
    "rdm6300": Protocol(rdm6300, frozenset({5}), "EM4100 cards of 10 hex characters (5 bytes), 62E3086CED for example"),
}


class CardReader(SerialReader):
    """A reader that sends by itself while a card is held.

    reader: a name of PROTOCOLS. Faults, besides those of every reader: ``lower_case``, ``glued`` (so many copies of
    each frame at once), ``repeats`` (at least so many frames of each card, however short it is held).

    >>> async with CardReader() as reader:
    ...     open_serial_port(reader.path)
    ...     await reader.tap("62E3086CED", hold_s=0.5)
    """

    TITLE = "RDM6300 / RDM630, 125 kHz; sends by itself"
    LINE = "9600 8N1"
    FAULTS: ClassVar[Mapping[str, str]] = {**SerialReader.FAULTS, "lower_case": "a clone that sends lower case"}

    def __init__(self, reader: str = "rdm6300", *, link: Path | str | None = None) -> None:
        super().__init__(link=link)
        self.protocol = PROTOCOLS[reader]
        self.lower_case = False
        self.glued = self.repeats = 1
        self._field = asyncio.Lock()

    def card(self, uid: str) -> bytes:
        """Return the bytes of a card number in hexadecimal. Raises WrongCard."""
        return card_bytes(uid, self.protocol.lengths, self.protocol.cards)

    async def tap(self, uid: str, hold_s: float = TOUCH_S) -> None:
        """Hold a card before the reader for a time; a second one waits. Raises WrongCard."""
        card = self.card(uid)
        loop = asyncio.get_running_loop()
        async with self._field:
            end = loop.time() + hold_s
            sent = 0
            while True:
                self._send(self._frame(card), self.glued)
                sent += 1
                pause = random.uniform(*REPEATS_S)
                held = self.protocol.repeats and loop.time() + pause <= end
                if not held and sent >= self.repeats:
                    break
                await asyncio.sleep(pause)
            await asyncio.sleep(max(0.0, end - loop.time()))

    def _frame(self, card: bytes) -> bytes:
        frame = self.protocol.frame(card)
        if self.bad_checksum:
            wrong = f"{int(frame[-3:-1], 16) ^ 0x11:02X}".encode()
            frame = frame[:-3] + wrong + frame[-1:]
        return frame.lower() if self.lower_case else frame


def _deaf(_data: bytes) -> None:
    """Take no notice: these readers take no commands."""
