"""The card readers on serial lines by their id in the configuration: how to talk with each, and its line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from agent.rfid.dialogue import Dialogue, Listening
from agent.rfid.frames import Rdm6300Frames
from agent.rfid.pn532 import Pn532
from agent.rfid.polling import Polling


@dataclass(frozen=True, slots=True)
class Kind:
    """A protocol of readers, and the line settings they leave the factory with; talk: begins with an opened port."""

    talk: Callable[[], Dialogue]
    baudrate: int = 9600
    parity: str = "N"
    stopbits: int = 1


#: By the reader's id in the configuration.
KINDS: Final[Mapping[str, Kind]] = {
    "pn532_hsu": Kind(lambda: Polling(Pn532()), 115200),
    "rdm6300": Kind(lambda: Listening(Rdm6300Frames())),
}
