"""The NXP PN532 on a serial line (HSU): how it is set up, asked for cards, and let go of them; sans-I/O.

Source: PN532 user manual UM0701-02, sections 7.2.2, 7.2.10, 7.3.1, 7.3.5, 7.3.11; waking it: section 7.2.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agent.rfid.frames import Seen
from agent.rfid.pn532_frames import ACK, LIST_PASSIVE_TARGET, WAKE_UP, Pn532Frames, answer_to, cards, frame
from agent.rfid.polling import Answer, Command, Heard, Symptom

GET_FIRMWARE_VERSION: Final = 0x02
SAM_CONFIGURATION: Final = 0x14
RF_CONFIGURATION: Final = 0x32
IN_RELEASE: Final = 0x52

WAKING_S: Final = 1.5
"""An acknowledgement is there within 15 ms; just after a port was opened up to 1.5 s have been seen (nfcpy)."""
ACK_S: Final = 0.3
ANSWER_S: Final = 1.0
"""A search of two tries takes some tens of milliseconds, the activation of a card with a chip as much again."""
FIRMWARE: Final = 4
"""IC, version, revision, support."""

CHECK_LINE: Final = (
    "check its power, that TX and RX are crossed, that its mode switches are set to HSU (UART), and 115200 baud"
)
CHECK_SUPPLY: Final = "switch it off and on, and check that its supply is strong enough"
CHECK_CABLE: Final = "check that its cable is short, has a ground of its own and is away from the contactor"
ADVICE: Final[Mapping[Symptom, str]] = {
    Symptom.SILENCE: CHECK_LINE,
    Symptom.NOISE: CHECK_LINE,
    Symptom.NO_ANSWER: CHECK_SUPPLY,
    Symptom.DAMAGED: CHECK_CABLE,
    Symptom.REFUSED: CHECK_SUPPLY,
}


def _command(name: str, code: int, data: str = "") -> Command:
    return Command(name, frame(code, bytes.fromhex(data)), answer_to(code), ACK_S, ANSWER_S)


NORMAL_MODE: Final = Command(
    "SAMConfiguration",
    WAKE_UP + frame(SAM_CONFIGURATION, bytes.fromhex("011401")),
    answer_to(SAM_CONFIGURATION),
    WAKING_S,
    ANSWER_S,
)
"""Without it the chip stays in the mode of a low battery and ignores cards."""
VERSION: Final = _command("GetFirmwareVersion", GET_FIRMWARE_VERSION)
FEW_RETRIES: Final = _command("RFConfiguration", RF_CONFIGURATION, "05FF0101")
"""Two tries per search; without it a search ends only with a card."""
LIST: Final = _command("InListPassiveTarget", LIST_PASSIVE_TARGET, "0100")
"""One card of type A: two cards in one wallet are one touch, and no number of a bank card is passed on beside."""
RELEASE: Final = _command("InRelease", IN_RELEASE, "00")
"""A card that stays selected is not listed again."""
FIELD_OFF: Final = Command(
    "RFConfiguration",
    frame(RF_CONFIGURATION, bytes.fromhex("0100")),
    answer_to(RF_CONFIGURATION),
    ACK_S,
    ACK_S,
    optional=True,
)
"""Between the searches, for the board's warmth and weak supplies; a search switches it on."""


class Pn532:
    """What there is to know about the PN532 (see Chip)."""

    name: str = "PN532"
    advice: Mapping[Symptom, str] = ADVICE
    setup: tuple[Command, ...] = (NORMAL_MODE, VERSION, FEW_RETRIES)
    poll: Command = LIST
    abort: bytes = ACK

    def __init__(self) -> None:
        """Begin with a new splitter."""
        self._frames = Pn532Frames()
        self._model: str | None = None

    @property
    def model(self) -> str | None:
        """See Chip; as ``PN532 1.6``."""
        return self._model

    @property
    def deadline(self) -> float | None:
        """See Chip."""
        return self._frames.deadline

    def feed(self, data: bytes, now: float) -> list[Heard]:
        """See Chip."""
        return self._frames.feed(data, now)

    def idle(self, now: float) -> list[Heard]:
        """See Chip."""
        return self._frames.idle(now)

    def read(self, answer: Answer) -> list[Seen]:
        """See Chip."""
        if answer.code == VERSION.code and len(answer.data) == FIRMWARE:
            chip, version, revision, _ = answer.data
            self._model = f"PN5{chip:02X} {version}.{revision}"
        return cards(answer)

    def after(self, answer: Answer) -> tuple[Command, ...]:
        """See Chip."""
        if answer.code != LIST.code:
            return ()
        return (RELEASE, FIELD_OFF) if answer.data[:1] > b"\x00" else (FIELD_OFF,)
