"""Card readers on a serial line that send by themselves, with noise, half frames and wrong checksums."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from simulators.errors import Misuse
from simulators.wires import Pty

STX, ETX = b"\x02", b"\x03"
#: Seconds between the frames of a card that is held: measured on the modules as 65 to 100 ms.
REPEATS_S: Final = (0.065, 0.1)


class WrongCard(Misuse):
    """The reader cannot read such a card."""


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


class CardReader:
    """A reader on a pseudo-terminal; an asynchronous context manager that plugs it in and out.

    reader: a name of PROTOCOLS. link: a symbolic link to the pseudo-terminal.

    Faults, each until it is set back: ``bad_checksum``, ``half`` (only the first half of each frame), ``lower_case``,
    ``glued`` (so many copies of each frame at once), ``noise_before`` (bytes before each frame).

    >>> async with CardReader() as reader:
    ...     open_serial_port(reader.path)
    ...     await reader.tap("62E3086CED", hold_s=0.5)
    """

    def __init__(self, reader: str = "rdm6300", *, link: Path | str | None = None) -> None:
        self.protocol = PROTOCOLS[reader]
        self.bad_checksum = self.half = self.lower_case = False
        self.glued = 1
        self.noise_before = b""
        self._pty = Pty(lambda _send: _deaf, link)
        self._field = asyncio.Lock()

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

    def card(self, uid: str) -> bytes:
        """Return the bytes of a card number in hexadecimal. Raises WrongCard."""
        try:
            card = bytes.fromhex(uid)
        except ValueError:
            card = b""
        if len(card) not in self.protocol.lengths or len(uid) != 2 * len(card):
            raise WrongCard(f"{uid!r} is no card for this reader: it reads {self.protocol.cards}")
        return card

    async def tap(self, uid: str, hold_s: float = 0.3) -> None:
        """Hold a card before the reader for a time; returns when it is taken away. Raises WrongCard."""
        card = self.card(uid)
        loop = asyncio.get_running_loop()
        async with self._field:
            end = loop.time() + hold_s
            while True:
                self._send(card)
                pause = random.uniform(*REPEATS_S)
                if not self.protocol.repeats or loop.time() + pause > end:
                    break
                await asyncio.sleep(pause)
            await asyncio.sleep(max(0.0, end - loop.time()))

    def noise(self, data: bytes = b"") -> None:
        """Send bytes that are no card, random ones where none are given, as coils near a contactor do."""
        self._pty.write(data or random.randbytes(random.randint(1, 12)))

    def _send(self, card: bytes) -> None:
        frame = self.protocol.frame(card)
        if self.bad_checksum:
            wrong = f"{int(frame[-3:-1], 16) ^ 0x11:02X}".encode()
            frame = frame[:-3] + wrong + frame[-1:]
        frame = frame.lower() if self.lower_case else frame
        frame = frame[: len(frame) // 2] if self.half else frame
        self._pty.write((self.noise_before + frame) * self.glued)


def _deaf(_data: bytes) -> None:
    """Take no notice: these readers take no commands."""
