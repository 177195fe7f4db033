"""Values in a device's registers: where they are, how they are scaled, and what means that there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_FLOOR, Decimal
from fnmatch import fnmatchcase
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema

from agent.fieldbus.registers import EXACT, FLOATS, WIDTH, WireType, WordOrder, decode, encode, pattern, scaled, step

Image = Mapping[tuple[int, int], int]
"""Words as they were read: (function code, address) -> word; a bit is 0 or 1."""
Span = tuple[int, int, int]
"""Registers that must come in one answer: function code, first address, count."""

LAST_REGISTER: Final = 65535
READ_LIMIT: Final = 125
"""Registers of one request (Modbus application protocol 1.1b3, section 6.3)."""
BITS: Final = frozenset({1, 2})
"""Function codes that read bits: coils, discrete inputs."""
WRITABLE: Final = frozenset({1, 3})
"""Function codes that read what can be written too: coils, holding registers."""


def _bits(value: object) -> object:
    """Return the number that a text like ``0xFFFF`` stands for; anything else is left for pydantic to refuse."""
    try:
        return int(value, 16) if isinstance(value, str) else value
    except ValueError:
        raise ValueError('not allowed: write it as "0xFFFF"') from None


Address = Annotated[int, Field(ge=0, le=LAST_REGISTER)]
Registers = Annotated[int, Field(ge=1, le=READ_LIMIT)]
Milliseconds = Annotated[int, Field(ge=0, le=60_000)]
Function = Literal[1, 2, 3, 4]
"""What is read: 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers."""
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
BITS_SCHEMA: Final = {"anyOf": [{"type": "string", "pattern": "^0[xX][0-9A-Fa-f]+$"}, {"type": "integer"}]}
"""What editors are told of ``Pattern``."""
Pattern = Annotated[int, BeforeValidator(_bits), Field(ge=0), WithJsonSchema(BITS_SCHEMA)]
Unit = Literal["", "A", "V", "W", "Wh", "Hz", "VA", "VAh", "var", "varh", "s", "°C"]
"""SI, after scaling; energy in Wh."""
Word = int | str
"""A raw value: a number, or the text of a text point."""
RANGE: Final = re.compile(r"(\d{1,20})\.\.(\d{1,20})")
"""How ``accept`` names numbers from the first to the last."""


class Section:
    """A table of the file; a key that it does not know is an error."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Bus(Section):
    """How the device is reached as it leaves the factory, and what it bears.

    address: Modbus device id. timeout_ms: its worst time to answer. min_gap_ms: pause between two requests to it.
    max_gap: so many registers that nobody wants may be read along. silent: what its silence may mean beside a broken
    line, in words that follow "no answer".
    """

    baudrate: Annotated[int, Field(ge=300, le=4_000_000)]
    parity: Literal["N", "E", "O"]
    stop_bits: Literal[1, 2]
    address: Annotated[int, Field(ge=1, le=255)] = 1
    tcp_port: Annotated[int, Field(ge=1, le=65535)] = 502
    max_registers: Registers = READ_LIMIT
    max_gap: Annotated[int, Field(ge=0, le=READ_LIMIT)] = READ_LIMIT
    min_gap_ms: Milliseconds = 0
    timeout_ms: Annotated[int, Field(ge=50, le=60_000)] = 1000
    silent: str = ""


@dataclass(frozen=True, slots=True)
class Point(Section):
    """One value in the registers: SI value = number * scale * 10 ** (scale register).

    count: registers of a text. mask: the bits that belong to the value. invalid: bit patterns, high word first, that
    mean "no value"; invalid_high_word: the same for the most significant word alone. magnitude: the sign is not to be
    trusted. accept: values that this model has here, to tell it from others: numbers, ``"330..345"`` for those from the
    first to the last, texts with ``*`` for any letters. within: the model of the chain whose registers the addresses
    count, 0 being that of its id. write: the function code that writes it, None for the controller's usual one. wears:
    the device keeps it in memory that wears out, so it is written only where it changes.
    """

    function: Function
    address: Address
    type: WireType
    unit: Unit = ""
    word_order: WordOrder = WordOrder.BIG
    scale: Decimal = Decimal(1)
    count: Registers | None = None
    mask: Pattern | None = None
    scale_register: Address | None = None
    invalid: tuple[Pattern, ...] = ()
    invalid_high_word: Pattern | None = None
    magnitude: bool = False
    accept: tuple[Word, ...] = ()
    within: Name | None = None
    write: Literal[5, 6, 16] | None = None
    wears: bool = False

    @property
    def width(self) -> int:
        """Registers of the value."""
        return WIDTH.get(self.type) or self.count or 1

    @property
    def spans(self) -> tuple[Span, ...]:
        """What has to be read for the value."""
        own = (self.function, self.address, self.width)
        return (own,) if self.scale_register is None else (own, (self.function, self.scale_register, 1))

    def raw(self, image: Image) -> Decimal | str | None:
        """Return the number or text before scaling; None where it was not read or the device says "no value"."""
        words = self._words(image)
        if words is None:
            return None
        bits = pattern(words, self.word_order)
        if bits in self.invalid or bits >> 16 * (self.width - 1) == self.invalid_high_word:
            return None
        return decode(words, self.type, self.word_order)

    def value(self, image: Image) -> Decimal | str | None:
        """Return the SI value, exact; None where there is none."""
        number, exponent = self.raw(image), self._exponent(image)
        if not isinstance(number, Decimal):
            return number
        if exponent is None:
            return None
        number = scaled(number, self.scale, exponent)
        return number.copy_abs() if self.magnitude else number

    def accepts(self, seen: Decimal | str) -> bool:
        """Tell whether a value is one that this model has here."""
        return not self.accept or any(_matches(word, seen) for word in self.accept)

    def moved(self, offset: int) -> Point:
        """Return the point with its registers so many addresses higher."""
        scale_register = None if self.scale_register is None else self.scale_register + offset
        return replace(self, address=self.address + offset, scale_register=scale_register)

    def step(self, image: Image) -> Decimal:
        """Return the resolution of the SI value at its present height; 0 where it was not read."""
        words, exponent = self._words(image), self._exponent(image)
        if words is None or exponent is None:
            return Decimal(0)
        return scaled(step(words, self.type, self.word_order), self.scale, exponent).copy_abs()

    def words(self, raw: Decimal) -> tuple[int, ...]:
        """Return the registers that hold a number before scaling. Raises ValueError for one that does not fit."""
        return encode(raw, self.type, self.word_order)

    def unscaled(self, value: Decimal) -> Decimal:
        """Return the number before scaling that stands for a value, rounded down to what the registers can hold."""
        number = value / self.scale
        return number if self.type in FLOATS else number.to_integral_value(ROUND_FLOOR)

    def _words(self, image: Image) -> tuple[int, ...] | None:
        words = [image.get((self.function, self.address + place)) for place in range(self.width)]
        present = tuple(word for word in words if word is not None)
        if len(present) < self.width:
            return None
        if self.mask is None:
            return present
        return self.words(Decimal(pattern(present, self.word_order) & self.mask))

    def _exponent(self, image: Image) -> int | None:
        """Return the power of ten, 0 without a scale register, None where it says "not implemented"."""
        if self.scale_register is None:
            return 0
        word = image.get((self.function, self.scale_register))
        return None if word is None or word == 0x8000 else (word ^ 0x8000) - 0x8000  # noqa: PLR2004  SunSpec's sunssf


def _matches(word: Word, seen: Decimal | str) -> bool:
    if isinstance(seen, str):
        return fnmatchcase(seen, str(word))
    limits = RANGE.fullmatch(str(word))
    return seen == word if limits is None else int(limits[1]) <= seen <= int(limits[2])


@dataclass(frozen=True, slots=True)
class Combined(Section):
    """A point that is the sum of others, or the first less the others; none where a part is missing."""

    add: tuple[Name, ...] = ()
    subtract: tuple[Name, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The points it is computed from."""
        return self.add + self.subtract

    def of(self, parts: list[Decimal]) -> Decimal:
        """Return the value for the parts' values."""
        first, *others = parts
        operation = EXACT.add if self.add else EXACT.subtract
        for other in others:
            first = operation(first, other)
        return first


@dataclass(frozen=True, slots=True)
class Whole(Section):
    """Registers that are read in one request; otherwise: so many where the device refuses them all."""

    function: Function
    address: Address
    count: Registers
    otherwise: Registers | None = None


@dataclass(frozen=True, slots=True)
class Chain(Section):
    """A device whose registers have no fixed place: models one after the other, each with its id and its length.

    starts: where the chain may begin, in the order in which it is looked for there. marker: the two registers that it
    begins with. end: the id that ends it. models: name -> ids that it may have. The walk ends with the first model by
    which each name has been found; of several of one name the last in front of it counts.
    """

    function: Literal[3, 4]
    starts: tuple[Address, ...]
    marker: Pattern
    models: Mapping[Name, tuple[Annotated[int, Field(ge=0, le=0xFFFF)], ...]]
    end: Annotated[int, Field(ge=0, le=0xFFFF)] = 0xFFFF


@dataclass(frozen=True, slots=True)
class Points(Section):
    """The points by when they are read; those of ``command`` are written only."""

    poll: Mapping[Name, Point]
    identity: Mapping[Name, Point] = field(default_factory=dict)
    inspection: Mapping[Name, Point] = field(default_factory=dict)
    command: Mapping[Name, Point] = field(default_factory=dict)

    @property
    def groups(self) -> Mapping[str, Mapping[str, Point]]:
        """The groups by name."""
        read = {"poll": self.poll, "identity": self.identity, "inspection": self.inspection}
        return {**read, "command": self.command}

    @property
    def read(self) -> Mapping[str, Point]:
        """All points that are read, by name."""
        return {**self.poll, **self.identity, **self.inspection}

    @property
    def every(self) -> Mapping[str, Point]:
        """All points, by name."""
        return {**self.read, **self.command}

    def each(self, change: Callable[[str, Point], Point]) -> Points:
        """Return the points with every one, given with its name, changed."""
        return Points(
            **{
                group: {name: change(name, point) for name, point in members.items()}
                for group, members in self.groups.items()
            }
        )
