"""Line commands for card readers and the cards before them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Final

from simulators.console import Commands, padded, seconds, switch
from simulators.pn532 import Pn532
from simulators.pn532_chip import KINDS
from simulators.rfid import TOUCH_S, CardReader, SerialReader

#: Field of a reader with a time in seconds -> what it is.
TIMES: Final = {
    "split_s": "so long between the bytes of each frame",
    "late_s": "answers come so much later",
    "late_ack_s": "the ACK comes so much later",
}
COPIES: Final = {
    "glued": ("glue", "so many copies of each frame at once (1: as it should)"),
    "repeats": ("repeats", "at least so many frames of each card (1: as it should)"),
}
MOST_COPIES: Final = 100


def add_reader_commands(commands: Commands, reader: SerialReader) -> None:
    """Add what can be done with cards and to a reader."""
    commands.topic = "cards"
    if isinstance(reader, Pn532):
        _add_poller(commands, reader)
    else:
        commands.add("tap", "UID [SECONDS]", "hold a card before the reader (0.3 s)", functools.partial(_tap, reader))
    commands.topic = "faults of the reader"
    for fault, purpose in type(reader).FAULTS.items():
        commands.add(fault.replace("_", "-"), "[off]", purpose, functools.partial(_switch, reader, fault))
    for field, purpose in TIMES.items():
        if hasattr(reader, field):
            name = field.removesuffix("_s").replace("_", "-")
            commands.add(name, "SECONDS|off", purpose, functools.partial(_time, reader, field))
    if isinstance(reader, CardReader):
        for field, (name, purpose) in COPIES.items():
            commands.add(name, "N", purpose, functools.partial(_copies, reader, field))
    commands.add("lose", "N|off", "so many bytes are missing in each frame", functools.partial(_lose, reader))
    commands.add("noise", "[HEX]", "bytes that are no frame, now (random ones)", functools.partial(_noise, reader))
    commands.add("noise-before", "HEX|off", "bytes before each frame", functools.partial(_noise_before, reader))
    commands.add("unplug", "[SECONDS]", "pull the reader's cable; put it back after so long", _unplugging(reader))
    commands.add("replug", "", "put it back", lambda _: reader.replug())


def _add_poller(commands: Commands, reader: Pn532) -> None:
    def tap(words: list[str]) -> Awaitable[None]:
        uid, time, kind = padded(words, 1, 3)
        return reader.tap(uid, seconds(time) if time else TOUCH_S, kind)

    def hold(words: list[str]) -> None:
        uid, kind = padded(words, 1, 2)
        reader.hold(uid, kind)

    def remove(words: list[str]) -> None:
        (uid,) = padded(words, 0, 1)
        reader.remove(uid)

    kinds = ", ".join(KINDS)
    commands.add("tap", "UID [SECONDS [KIND]]", f"hold a card before the reader (0.3 s); kinds: {kinds}", tap)
    commands.add("hold", "UID [KIND]", "put a card there to stay; a second one beside it", hold)
    commands.add("remove", "[UID]", "take it away, or all", remove)
    commands.add("state", "", "the chip's mode, and the last commands that it obeyed", lambda _: _state(reader))
    commands.add(
        "power-cycle", "", "cut the reader's supply for a moment; it has to be woken", lambda _: reader.power_cycle()
    )
    commands.add("relists", "[off]", "a held card is found again without InRelease", functools.partial(_relist, reader))


def _tap(reader: SerialReader, words: list[str]) -> Awaitable[None]:
    uid, time = padded(words, 1, 2)
    return reader.tap(uid, seconds(time) if time else TOUCH_S)


def _state(reader: Pn532) -> str:
    last = "\n".join(f"  {body.hex(' ')}" for body in reader.chip.obeyed[-10:])
    return f"  {reader.chip.mode.value}\n{last}".rstrip()


def _relist(reader: Pn532, words: list[str]) -> None:
    reader.chip.relists = switch(words)


def _switch(reader: SerialReader, fault: str, words: list[str]) -> None:
    setattr(reader, fault, switch(words))


def _time(reader: SerialReader, field: str, words: list[str]) -> None:
    (word,) = words
    setattr(reader, field, 0.0 if word == "off" else seconds(word))


def _copies(reader: SerialReader, field: str, words: list[str]) -> None:
    (word,) = words
    copies = int(word)
    if not 1 <= copies <= MOST_COPIES:
        raise ValueError(word)
    setattr(reader, field, copies)


def _lose(reader: SerialReader, words: list[str]) -> None:
    (word,) = words
    lost = 0 if word == "off" else int(word)
    if lost < 0:
        raise ValueError(word)
    reader.lose = lost


def _noise(reader: SerialReader, words: list[str]) -> None:
    reader.noise(bytes.fromhex("".join(words)))


def _noise_before(reader: SerialReader, words: list[str]) -> None:
    if not words:
        raise ValueError(words)
    reader.noise_before = b"" if words == ["off"] else bytes.fromhex("".join(words))


def _unplugging(reader: SerialReader) -> Callable[[list[str]], Awaitable[None]]:
    async def unplug(words: list[str]) -> None:
        (time,) = padded(words, 0, 1)
        away_s = seconds(time) if time else None
        reader.unplug()
        if away_s is not None:
            await asyncio.sleep(away_s)
            reader.replug()

    return unplug
