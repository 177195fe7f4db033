"""What a PN532 does with a command: its modes, the cards in its field, those that it has selected. No wire, no time.

Source: NXP PN532 user manual UM0701-02, section 7 (commands).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from simulators.pn532_frames import FROM_CHIP, FROM_HOST, information

GET_FIRMWARE_VERSION, SAM_CONFIGURATION, POWER_DOWN, RF_CONFIGURATION = 0x02, 0x14, 0x16, 0x32
IN_LIST_PASSIVE_TARGET, IN_RELEASE, IN_AUTO_POLL = 0x4A, 0x52, 0x60
#: Commands that need the field; a chip that was not configured after waking up takes no notice of them.
NEED_FIELD: Final = frozenset({IN_LIST_PASSIVE_TARGET, IN_RELEASE, IN_AUTO_POLL})
#: IC 32 (PN532), version 1.6, ISO 14443 A and B and ISO 18092.
FIRMWARE: Final = bytes.fromhex("32010607")
#: Item of RFConfiguration -> bytes that follow it.
RF_ITEMS: Final[Mapping[int, int]] = {0x01: 1, 0x02: 3, 0x04: 1, 0x05: 3, 0x0A: 11, 0x0B: 8, 0x0C: 3, 0x0D: 9}
RF_FIELD, RF_RETRIES = 0x01, 0x05
SAM_MODES: Final = range(1, 5)
SAM_SIZES: Final = range(1, 4)
TARGETS: Final = range(1, 3)
BIT_RATES: Final = range(5)
TYPE_A: Final = 0
#: Periods of InAutoPoll, and the sizes of its parameters: polls, period, up to fifteen types.
PERIODS: Final = range(1, 16)
POLL_SIZES: Final = range(3, 18)
#: Target types of InAutoPoll: any type A at 106 kbit/s, Mifare and the like, ISO 14443-4.
GENERIC, PLAIN, PART_4 = 0x00, 0x10, 0x20
SAK_PART_4: Final = 0x20
WRONG_CONTEXT: Final = 0x27
FOREVER: Final = 0xFF
#: One attempt to find a card, and one period of InAutoPoll, in seconds.
ATTEMPT_S: Final = 0.015
PERIOD_S: Final = 0.15
ANSWER_TO_SELECT: Final = bytes.fromhex("067577810280")


@dataclass(frozen=True, slots=True)
class Kind:
    """How cards of a kind present themselves: SENS_RES, SEL_RES, ATS."""

    length: int
    sens_res: int
    sel_res: int
    ats: bytes = b""


KINDS: Final[Mapping[str, Kind]] = {
    "classic": Kind(4, 0x0004, 0x08),
    "ultralight": Kind(7, 0x0044, 0x00),
    "triple": Kind(10, 0x0084, 0x00),
    "desfire": Kind(7, 0x0344, SAK_PART_4, ANSWER_TO_SELECT),
    "phone": Kind(4, 0x0004, SAK_PART_4, ANSWER_TO_SELECT),
}
USUAL: Final[Mapping[int, str]] = {4: "classic", 7: "ultralight", 10: "triple"}


@dataclass(frozen=True, slots=True)
class Card:
    """A card in the field."""

    uid: bytes
    kind: Kind

    @property
    def target(self) -> bytes:
        """SENS_RES, SEL_RES, length and bytes of the number, ATS; without the number of the target."""
        head = struct.pack(">HBB", self.kind.sens_res, self.kind.sel_res, len(self.uid))
        return head + self.uid + self.kind.ats

    @property
    def type(self) -> int:
        """The target type of InAutoPoll."""
        return PART_4 if self.kind.sel_res & SAK_PART_4 else PLAIN


@dataclass(frozen=True, slots=True)
class Search:
    """A command that waits for cards.

    most: how many it may find. types: of InAutoPoll; empty where it finds none of those that are there. lasts_s: until
    it gives up, never where it is None. answer: the frame for what was found.
    """

    most: int
    types: frozenset[int]
    lasts_s: float | None
    answer: Callable[[list[Card]], bytes]


class Mode(Enum):
    """ASLEEP: takes notice of wake-up bytes only. UNCONFIGURED: woken, not configured. READY: finds cards."""

    ASLEEP = "asleep"
    UNCONFIGURED = "unconfigured"
    READY = "ready"


class Refusal(Exception):
    """The chip makes no sense of a command."""


class Chip:
    """The chip, asleep.

    relists: a held card is found again without InRelease, as some chips do. obeyed: the commands that it has executed,
    from TFI on.
    """

    def __init__(self) -> None:
        self.mode = Mode.ASLEEP
        self.relists = False
        self.obeyed: list[bytes] = []
        self._field: list[Card] = []
        self._selected: list[Card] = []
        self._retries = FOREVER
        self._commands: Mapping[int, Callable[[bytes], bytes | Search]] = {
            GET_FIRMWARE_VERSION: self._firmware_version,
            SAM_CONFIGURATION: self._sam_configuration,
            POWER_DOWN: self._power_down,
            RF_CONFIGURATION: self._rf_configuration,
            IN_LIST_PASSIVE_TARGET: self._list_targets,
            IN_RELEASE: self._release,
            IN_AUTO_POLL: self._auto_poll,
        }

    def power_up(self) -> None:
        """Be as after the supply has come back: asleep, nothing selected, looking for cards for ever."""
        self.mode = Mode.ASLEEP
        self._retries = FOREVER
        self._selected.clear()

    def wake(self) -> None:
        """Wake up."""
        self.mode = Mode.UNCONFIGURED if self.mode is Mode.ASLEEP else self.mode

    def hears(self, body: bytes) -> bool:
        """Return whether it takes notice of a command in its mode."""
        return self.mode is Mode.READY or (self.mode is Mode.UNCONFIGURED and not NEED_FIELD & set(body[1:2]))

    def hold(self, card: Card) -> None:
        """Have a card in the field."""
        self._field.append(card)

    def remove(self, uid: bytes | None) -> None:
        """Take a card out of the field, all of them where no number is given."""
        for cards in (self._field, self._selected):
            cards[:] = [card for card in cards if uid is not None and card.uid != uid]

    def execute(self, body: bytes) -> bytes | Search:
        """Execute a command, from TFI on; return the answer's frame, or what has to be found first. Raises Refusal."""
        command = self._commands.get(body[1]) if len(body) > 1 and body[0] == FROM_HOST else None
        if command is None:
            raise Refusal
        self.obeyed.append(body)
        answer = command(body[2:])
        return answer if isinstance(answer, Search) else _answer(body[1], answer)

    def find(self, search: Search) -> list[Card]:
        """Return the cards that a search finds now, and select them."""
        free = [card for card in self._field if self.relists or card not in self._selected]
        found = [card for card in free if search.types & {GENERIC, card.type}][: search.most]
        self._selected += [card for card in found if card not in self._selected]
        return found

    def _firmware_version(self, parameters: bytes) -> bytes:
        _need(not parameters)
        return FIRMWARE

    def _sam_configuration(self, parameters: bytes) -> bytes:
        """Mode, and optionally time-out and interrupt line; makes it ready."""
        _need(len(parameters) in SAM_SIZES and parameters[0] in SAM_MODES)
        self.mode = Mode.READY
        return b""

    def _power_down(self, parameters: bytes) -> bytes:
        _need(len(parameters) in {1, 2})
        self.mode = Mode.ASLEEP
        return b"\x00"

    def _rf_configuration(self, parameters: bytes) -> bytes:
        """Take the number of attempts; a field that is switched off ends every selection."""
        _need(len(parameters) > 1 and RF_ITEMS.get(parameters[0]) == len(parameters) - 1)
        if parameters[0] == RF_RETRIES:
            self._retries = parameters[3]
        if parameters[0] == RF_FIELD and not parameters[1] & 1:
            self._selected.clear()
        return b""

    def _list_targets(self, parameters: bytes) -> Search:
        _need(len(parameters) > 1 and parameters[0] in TARGETS and parameters[1] in BIT_RATES)
        types = frozenset({GENERIC}) if parameters[1] == TYPE_A else frozenset[int]()

        def answer(cards: list[Card]) -> bytes:
            listed = b"".join(bytes([number]) + card.target for number, card in enumerate(cards, 1))
            return _answer(IN_LIST_PASSIVE_TARGET, bytes([len(cards)]) + listed)

        lasts_s = None if self._retries == FOREVER else (self._retries + 1) * ATTEMPT_S
        return Search(parameters[0], types, lasts_s, answer)

    def _auto_poll(self, parameters: bytes) -> Search:
        """Number of polls, period of 150 ms, types."""
        _need(len(parameters) in POLL_SIZES and parameters[0] and parameters[1] in PERIODS)

        def answer(cards: list[Card]) -> bytes:
            listed = b"".join(
                bytes([card.type, 1 + len(card.target), number]) + card.target for number, card in enumerate(cards, 1)
            )
            return _answer(IN_AUTO_POLL, bytes([len(cards)]) + listed)

        polls, period, types = parameters[0], parameters[1], frozenset(parameters[2:])
        lasts_s = None if polls == FOREVER else polls * period * len(types) * PERIOD_S
        return Search(TARGETS[-1], types, lasts_s, answer)

    def _release(self, parameters: bytes) -> bytes:
        """Let go of a target, of all with number 0."""
        _need(len(parameters) == 1)
        number = parameters[0]
        if number > len(self._selected):
            return bytes([WRONG_CONTEXT])
        self._selected[:] = [card for place, card in enumerate(self._selected, 1) if number not in {0, place}]
        return b"\x00"


def _answer(command: int, parameters: bytes) -> bytes:
    return information(bytes([FROM_CHIP, command + 1]) + parameters)


def _need(good: object) -> None:
    if not good:
        raise Refusal
