"""Device definition files: what a meter or a controller tells in which registers, and how it wants to be asked.

One TOML file is one model. ``[points.poll]`` is read at each poll, ``[points.identity]`` when the device (re)appears
and now and then, ``[points.inspection]`` only on request; ``[combined]`` computes points from others; ``[[blocks]]``
names registers that are read as a whole; ``[control]`` makes the device a controller. Addresses count from zero, as on
the wire.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from agent.core.errors import ConfigError
from agent.core.model import Pilot
from agent.fieldbus.registers import EXACT, WIDTH, WireType, WordOrder, decode, pattern, scaled, step

Image = Mapping[tuple[int, int], int]
"""Words as they were read: (function code, address) -> word."""
Span = tuple[int, int, int]
"""Registers that must come in one answer: function code, first address, count."""

BILLED: Final = "energy_import"
"""The point that every meter has: the non-resettable total active import."""
LAST_REGISTER: Final = 65535
READ_LIMIT: Final = 125
"""Registers of one request (Modbus application protocol 1.1b3, section 6.3)."""

Address = Annotated[int, Field(ge=0, le=LAST_REGISTER)]
Registers = Annotated[int, Field(ge=1, le=READ_LIMIT)]
Milliseconds = Annotated[int, Field(ge=0, le=60_000)]
Raw = Annotated[int, Field(ge=0, le=LAST_REGISTER)]
Bit = Annotated[int, Field(ge=0, le=15)]
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Pattern = Annotated[int, BeforeValidator(lambda text: int(text, 16) if isinstance(text, str) else text), Field(ge=0)]
Unit = Literal["", "A", "V", "W", "Wh", "Hz", "VA", "VAh", "var", "varh", "s", "°C"]
"""SI, after scaling; energy in Wh."""
Word = int | str
"""A raw value: a number, or the text of a text point."""


class Section:
    """A table of the file; a key that it does not know is an error."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Bus(Section):
    """How the device is reached as it leaves the factory, and what it bears.

    address: Modbus device id. timeout_ms: its worst time to answer. min_gap_ms: pause between two requests to it.
    """

    baudrate: Annotated[int, Field(ge=300, le=4_000_000)]
    parity: Literal["N", "E", "O"]
    stop_bits: Literal[1, 2]
    address: Annotated[int, Field(ge=1, le=255)] = 1
    tcp_port: Annotated[int, Field(ge=1, le=65535)] = 502
    max_registers: Registers = READ_LIMIT
    min_gap_ms: Milliseconds = 0
    timeout_ms: Annotated[int, Field(ge=50, le=60_000)] = 1000


@dataclass(frozen=True, slots=True)
class Point(Section):
    """One value in the registers: SI value = number * scale * 10 ** (scale register).

    count: registers of a text. invalid: bit patterns, high word first, that mean "no value"; invalid_high_word: the
    same for the most significant word alone. magnitude: the sign is not to be trusted. accept: values that this model
    has here, to tell it from others.
    """

    function: Literal[3, 4]
    address: Address
    type: WireType
    unit: Unit = ""
    word_order: WordOrder = WordOrder.BIG
    scale: Decimal = Decimal(1)
    count: Registers | None = None
    scale_register: Address | None = None
    invalid: tuple[Pattern, ...] = ()
    invalid_high_word: Pattern | None = None
    magnitude: bool = False
    accept: tuple[Word, ...] = ()

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

    def step(self, image: Image) -> Decimal:
        """Return the resolution of the SI value at its present height; 0 where it was not read."""
        words, exponent = self._words(image), self._exponent(image)
        if words is None or exponent is None:
            return Decimal(0)
        return scaled(step(words, self.type, self.word_order), self.scale, exponent).copy_abs()

    def _words(self, image: Image) -> tuple[int, ...] | None:
        words = [image.get((self.function, self.address + place)) for place in range(self.width)]
        present = tuple(word for word in words if word is not None)
        return present if len(present) == self.width else None

    def _exponent(self, image: Image) -> int | None:
        """Return the power of ten, 0 without a scale register, None where it says "not implemented"."""
        if self.scale_register is None:
            return 0
        word = image.get((self.function, self.scale_register))
        return None if word is None or word == 0x8000 else (word ^ 0x8000) - 0x8000  # noqa: PLR2004  SunSpec's sunssf


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

    function: Literal[3, 4]
    address: Address
    count: Registers
    otherwise: Registers | None = None


@dataclass(frozen=True, slots=True)
class Points(Section):
    """The points by when they are read."""

    poll: Mapping[Name, Point]
    identity: Mapping[Name, Point] = field(default_factory=dict)
    inspection: Mapping[Name, Point] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rule(Section):
    """What is known of the vehicle when every named point has one of its raw values, and every named bit is set.

    paused: nothing is offered although the limit register says otherwise. A later rule wins over an earlier one;
    faults add up, and ``unknown`` is left out beside another.
    """

    when: Mapping[Name, tuple[Word, ...]]
    bits: Mapping[Name, Bit] = field(default_factory=dict)
    pilot: Pilot | None = None
    connected: bool | None = None
    charging: bool | None = None
    offering: bool | None = None
    paused: bool | None = None
    fault: Name | None = None


@dataclass(frozen=True, slots=True)
class Write(Section):
    """A raw value for a point."""

    point: Name
    value: Raw


@dataclass(frozen=True, slots=True)
class Control(Section):
    """How a controller is told and understood.

    limit: the point that takes the current. function: the code that writes. pause: writes that withdraw the offer;
    resume: writes that follow a new limit. failsafe: the point with the current that the controller offers by itself
    after power-up, kept in memory that wears. minimum_a, maximum_a: what the hardware can offer.
    """

    limit: Name
    function: Literal[6, 16]
    pause: tuple[Write, ...]
    rules: tuple[Rule, ...]
    resume: tuple[Write, ...] = ()
    failsafe: Name | None = None
    minimum_a: Annotated[int, Field(ge=1, le=80)] = 6
    maximum_a: Annotated[int, Field(ge=6, le=500)] = 80


@dataclass(frozen=True, slots=True)
class SetBit(Section):
    """A bit that has to be set in a point."""

    point: Name
    bit: Bit


@dataclass(frozen=True, slots=True)
class Option(Section):
    """A way the device may be set up; scale: other scales of points; check: how the device tells that it is so."""

    scale: Mapping[Name, Decimal] = field(default_factory=dict)
    check: SetBit | None = None


@dataclass(frozen=True, slots=True)
class Definition(Section):
    """A model; id: the file's name without its extension. source: the document that the file was written from."""

    id: str
    model: str
    source: str
    bus: Bus
    points: Points
    covers: tuple[str, ...] = ()
    combined: Mapping[Name, Combined] = field(default_factory=dict)
    blocks: tuple[Whole, ...] = ()
    control: Control | None = None
    options: Mapping[Name, Option] = field(default_factory=dict)

    @property
    def every(self) -> Mapping[str, Point]:
        """All points that are read, by name."""
        return {**self.points.poll, **self.points.identity, **self.points.inspection}

    def value(self, name: str, image: Image) -> Decimal | str | None:
        """Return the SI value of a point, combined ones too; None where there is none."""
        combined = self.combined.get(name)
        if combined is None:
            return self.every[name].value(image)
        parts = [self.value(part, image) for part in combined.parts]
        numbers = [part for part in parts if isinstance(part, Decimal)]
        return combined.of(numbers) if len(numbers) == len(parts) else None

    def values(self, image: Image) -> dict[str, Decimal | str]:
        """Return all points that have a value in the image."""
        found = {name: self.value(name, image) for name in (*self.every, *self.combined)}
        return {name: value for name, value in found.items() if value is not None}

    def step(self, name: str, image: Image) -> Decimal:
        """Return the resolution of a point at its present height; of a combined one that of its coarsest part."""
        combined = self.combined.get(name)
        if combined is None:
            return self.every[name].step(image)
        return max(self.step(part, image) for part in combined.parts)

    def spans(self, name: str) -> tuple[Span, ...]:
        """Return what has to be read for a point."""
        combined = self.combined.get(name)
        if combined is None:
            return self.every[name].spans
        return tuple(span for part in combined.parts for span in self.spans(part))

    def with_option(self, name: str) -> Definition:
        """Return the definition for a device that is set up so. Raises KeyError for an option it does not have."""
        scale = self.options[name].scale
        poll = {point: replace(at, scale=scale.get(point, at.scale)) for point, at in self.points.poll.items()}
        return replace(self, points=replace(self.points, poll=poll))


_DEFINITION: Final = TypeAdapter(Definition)


def available(folder: Path) -> tuple[str, ...]:
    """Return the ids of the definition files of a folder, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def find(folder: Path, model: str) -> Definition:
    """Return the definition of an id, or of a file that is named by its path.

    Raises: ConfigError, with what is allowed or what is wrong with the file.
    """
    if model in available(folder):
        return load_definition(folder / f"{model}.toml")
    if model.endswith(".toml"):
        return load_definition(Path(model))
    known = ", ".join(available(folder))
    raise ConfigError(f"{model!r} is not known: use one of {known}, or the path of a definition file (.toml)")


def load_definition(path: Path) -> Definition:
    """Return the definition in a file.

    Raises: ConfigError, one problem per fault, each with the file, the dotted key, the value and what is allowed.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        definition = _DEFINITION.validate_python({**raw, "id": path.stem})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the definition file cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    except ValidationError as error:
        raise ConfigError(*(f"{path}: {text}" for text in _structural(error))) from error
    faults = tuple(f"{path}: {text}" for text in _faults(definition))
    if faults:
        raise ConfigError(*faults)
    return definition


def _structural(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "missing":
            yield f"{key}: is missing"
        elif fault["type"] == "unexpected_keyword_argument":
            yield f"{key}: there is no such key here"
        else:
            yield f"{key}: {fault['input']!r} is not allowed: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def _faults(definition: Definition) -> Iterator[str]:
    """Find what only shows when the parts of the file are held against each other."""
    for group in ("poll", "identity", "inspection"):
        for name, point in getattr(definition.points, group).items():
            yield from (f"points.{group}.{name}.{fault}" for fault in _point_faults(point, definition.bus))
    for name, combined in definition.combined.items():
        yield from (f"combined.{name}.{fault}" for fault in _combined_faults(combined, definition))
    for place, block in enumerate(definition.blocks):
        yield from (f"blocks.{place}.{fault}" for fault in _block_faults(block, definition.bus))
    if definition.control is not None:
        yield from _control_faults(definition.control, definition)
    elif BILLED not in definition.points.poll and BILLED not in definition.combined:
        yield f"points.poll.{BILLED}: is missing: a meter has at least its total active import"
    elif BILLED in definition.points.poll and definition.points.poll[BILLED].unit != "Wh":
        yield f"points.poll.{BILLED}.unit: {definition.points.poll[BILLED].unit!r} is not allowed: 'Wh', after scaling"
    names = (*definition.points.poll, *definition.points.identity, *definition.points.inspection, *definition.combined)
    yield from (f"points: {name!r} is there twice" for name in sorted(set(names)) if names.count(name) > 1)


def _point_faults(point: Point, bus: Bus) -> Iterator[str]:
    if (point.type is WireType.ASCII) != (point.count is not None):
        yield f"count: {point.count} is not allowed: the registers of an ascii point, and of no other"
    if point.address + point.width - 1 > LAST_REGISTER:
        yield f"address: {point.address} is not allowed: the value ends behind register {LAST_REGISTER}"
    if point.width > bus.max_registers:
        yield f"type: {point.width} registers are more than bus.max_registers ({bus.max_registers})"
    if not point.scale:
        yield "scale: 0 is not allowed: every value would be 0"
    for bits in point.invalid:
        if bits >> 16 * point.width:
            yield f"invalid: {bits:#x} is not allowed: at most {point.width} registers"


def _combined_faults(combined: Combined, definition: Definition) -> Iterator[str]:
    if bool(combined.add) == bool(combined.subtract) or len(combined.parts) < 2:  # noqa: PLR2004  two operands
        yield "add, subtract: one of them, with at least two points"
    for part in combined.parts:
        if part not in definition.points.poll:
            yield f"add, subtract: {part!r} is not allowed: not in points.poll"


def _block_faults(block: Whole, bus: Bus) -> Iterator[str]:
    if block.count > bus.max_registers:
        yield f"count: {block.count} is not allowed: at most bus.max_registers ({bus.max_registers})"
    if block.otherwise is not None and block.otherwise >= block.count:
        yield f"otherwise: {block.otherwise} is not allowed: less than count ({block.count})"


def _control_faults(control: Control, definition: Definition) -> Iterator[str]:
    poll, options = definition.points.poll, definition.options
    used: dict[str, Iterable[str]] = {f"options.{name}.scale": option.scale for name, option in options.items()}
    for place, rule in enumerate(control.rules):
        used |= {f"control.rules.{place}.when": rule.when, f"control.rules.{place}.bits": rule.bits}
    for key in ("pause", "resume"):
        used[f"control.{key}"] = [write.point for write in getattr(control, key)]
    used["control.limit"] = [control.limit]
    for key, names in used.items():
        yield from (f"{key}: {name!r} is not allowed: not in points.poll" for name in names if name not in poll)
    seldom = {f"options.{name}.check": option.check.point for name, option in options.items() if option.check}
    if control.failsafe is not None:
        seldom["control.failsafe"] = control.failsafe
    for key, name in seldom.items():
        if name not in definition.points.inspection:
            yield f"{key}: {name!r} is not allowed: not in points.inspection"
    if control.limit in poll and poll[control.limit].width != 1:
        yield f"control.limit: {control.limit!r} is not allowed: more than one register"
