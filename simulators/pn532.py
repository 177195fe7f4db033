"""A PN532 board on a serial line (HSU): sleeps until it is woken and configured, looks for cards when it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Final

from simulators.errors import Misuse
from simulators.pn532_chip import KINDS, USUAL, Card, Chip, Refusal, Search
from simulators.pn532_frames import ACK, SYNTAX_ERROR, Acked, Command, Heard, HostStream, Nacked, Woken
from simulators.rfid import TOUCH_S, SerialReader, WrongCard, card_bytes

#: What any command takes, in seconds.
ANSWERS_AFTER_S: Final = 0.002
#: A frame whose rest does not come within this is forgotten.
FORGETS_AFTER_S: Final = 0.2
CARDS: Final = "cards of 8, 14 or 20 hex characters (4, 7 or 10 bytes), 04A1B2C3D4E580 for example"


class Pn532(SerialReader):
    """A board with the chip; it loses its power with its cable.

    Faults, besides those of every reader: ``no_ack``, ``stalls`` (acknowledges and never answers), ``confused`` (the
    answer to everything is the error frame), ``bad_length`` (wrong checksum of the length), ``late_s`` (answers come so
    much later, whatever was asked since), ``late_ack_s``. ``chip.relists`` is a variant of the chip, see there.

    >>> async with Pn532() as reader:
    ...     open_serial_port(reader.path)
    ...     await reader.tap("04A1B2C3D4E580", hold_s=0.5)
    """

    TITLE = "PN532 board, 13.56 MHz; has to be woken and asked"
    LINE = "115200 8N1"
    FAULTS: ClassVar[Mapping[str, str]] = {
        **SerialReader.FAULTS,
        "bad_length": "answers with a wrong checksum of their length",
        "no_ack": "answers come without the ACK before them",
        "stalls": "commands are acknowledged and never answered",
        "confused": "the answer to everything is the error frame",
    }

    def __init__(self, *, link: Path | str | None = None) -> None:
        super().__init__(link=link)
        self.bad_length = self.no_ack = self.stalls = self.confused = False
        self.late_s = self.late_ack_s = 0.0
        self.chip = Chip()
        self._stream = HostStream()
        self._heard_at = 0.0
        self._search: Search | None = None
        self._timers: set[asyncio.TimerHandle] = set()
        self._last = b""

    def card(self, uid: str) -> bytes:
        """Return the bytes of a card number in hexadecimal. Raises WrongCard."""
        return card_bytes(uid, frozenset(USUAL), CARDS)

    async def tap(self, uid: str, hold_s: float = TOUCH_S, kind: str = "") -> None:
        """Hold a card before the reader for a time, beside others that are there; ``kind``: see ``hold``."""
        self.hold(uid, kind)
        try:
            await asyncio.sleep(hold_s)
        finally:
            self.remove(uid)

    def hold(self, uid: str, kind: str = "") -> None:
        """Put a card before the reader. kind: of KINDS, by the length where it is empty. Raises WrongCard, Misuse."""
        number = self.card(uid)
        name = kind or USUAL[len(number)]
        if name not in KINDS:
            raise Misuse(f"unknown kind of card {name!r}, known are: {', '.join(KINDS)}")
        if KINDS[name].length != len(number):
            raise WrongCard(f"{uid!r} is no {name} card: those have {KINDS[name].length} bytes")
        self.chip.remove(number)
        self.chip.hold(Card(number, KINDS[name]))
        self._look()

    def remove(self, uid: str = "") -> None:
        """Take a card away, all of them without a number. Raises WrongCard."""
        self.chip.remove(self.card(uid) if uid else None)

    def power_cycle(self) -> None:
        """Cut the supply for a moment, the cable stays: it sleeps until it is woken and configured again."""
        self._rest()
        self.chip.power_up()
        self._last = b""

    def unplug(self) -> None:
        """Pull the cable, and with it the supply: who has the terminal open gets EIO."""
        self.power_cycle()
        super().unplug()

    def _connect(self, send: Callable[[bytes], None]) -> Callable[[bytes], None]:  # noqa: ARG002 - writes to its terminal
        self._stream = HostStream()
        return self._receive

    def _receive(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._heard_at > FORGETS_AFTER_S:
            self._stream.forget()
        self._heard_at = now
        for heard in self._stream.feed(data):
            self._take(heard)

    def _take(self, heard: Heard) -> None:
        match heard:
            case Woken():
                self.chip.wake()
            case Acked():
                self._rest()
            case Nacked():
                self._reply(self._last)
            case Command(body) if self.chip.hears(body):
                self._obey(body)

    def _obey(self, body: bytes) -> None:
        """Break off the command before, acknowledge this one, execute it. A late answer still comes."""
        if not self.late_s:
            self._rest()
        if not self.no_ack and not self.silent:
            self._after(self.late_ack_s, lambda: self._pty.write(ACK))
        if self.stalls:
            return
        self._search, answer = None, self._execute(body)
        if isinstance(answer, Search):
            self._begin(answer)
        else:
            self._reply(answer)

    def _execute(self, body: bytes) -> bytes | Search:
        try:
            answer = self.chip.execute(body)
        except Refusal:
            return SYNTAX_ERROR
        return SYNTAX_ERROR if self.confused else answer

    def _begin(self, search: Search) -> None:
        self._search = search
        self._look()
        if search.lasts_s is not None:
            self._after(search.lasts_s, lambda: self._finish(search, []))

    def _look(self) -> None:
        """End a search that finds something."""
        if self._search is not None and (found := self.chip.find(self._search)):
            self._finish(self._search, found)

    def _finish(self, search: Search, found: list[Card]) -> None:
        if self._search is search:
            self._search = None
            self._reply(search.answer(found))

    def _reply(self, frame: bytes) -> None:
        if frame:
            self._last = frame
            self._after(self.late_ack_s + self.late_s + ANSWERS_AFTER_S, lambda: self._send(self._spoiled(frame)))

    def _spoiled(self, frame: bytes) -> bytes:
        places = [len(frame) - 2] * self.bad_checksum + [4] * self.bad_length
        return bytes((byte + places.count(place)) % 256 for place, byte in enumerate(frame))

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            action()

        if seconds <= 0:
            action()
            return
        timer = asyncio.get_running_loop().call_later(seconds, due)
        self._timers.add(timer)

    def _rest(self) -> None:
        """Break off what runs."""
        self._search = None
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
