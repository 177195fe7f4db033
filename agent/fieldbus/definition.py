"""Device definition files: what a meter or a controller tells in which registers, and how it wants to be asked.

One TOML file is one model. ``[points.poll]`` is read at each poll, ``[points.identity]`` when the device (re)appears
and now and then, ``[points.inspection]`` only on request, ``[points.command]`` never; ``[combined]`` computes points
from others; ``[[blocks]]`` names registers that are read as a whole; ``[chain]`` says how registers are found that have
no fixed place; ``[control]`` makes the device a controller, which may have ``[options]``, ``[variants]`` and several
``[connectors]``. Addresses count from zero, as on the wire.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from agent.core.errors import ConfigError
from agent.fieldbus import coherence
from agent.fieldbus.control import Change, Connectors, Control
from agent.fieldbus.points import Bus, Chain, Combined, Image, Name, Point, Points, Section, Span, Whole

BILLED: Final = "energy_import"
"""The point that every meter has: the non-resettable total active import."""
KEY: Final = "[key]"
"""What pydantic adds to the place of a name that is at fault itself."""
ALTERNATIVES: Final = frozenset({"int", "str"})
"""What pydantic adds to the place of a value that may be a number or a text, once for each."""
#: How pydantic's names of what is wrong begin -> what is allowed.
WANTED: Final[Mapping[str, str]] = {
    "int_": "a whole number",
    "decimal_": "a number",
    "finite_": "a number",
    "bool_": "true or false",
    "string_type": "a text in quotes",
    "string_pattern": "small letters, digits and _ make a name",
    "tuple_": "a list in brackets",
    "dict_": "a table",
    "dataclass_": "a table",
}
SHOWN: Final = 60
"""Characters of a wrong value that are worth showing."""


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
    chain: Chain | None = None
    control: Control | None = None
    options: Mapping[Name, Change] = field(default_factory=dict)
    variants: Mapping[Name, Change] = field(default_factory=dict)
    connectors: Connectors | None = None

    @property
    def every(self) -> Mapping[str, Point]:
        """All points that are read, by name."""
        return self.points.read

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

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many registers of each model of its chain a device has to have."""
        sizes: dict[str, int] = {}
        for point in self.every.values():
            if point.within is not None:
                last = max(point.address + point.width, (point.scale_register or 0) + 1)
                sizes[point.within] = max(sizes.get(point.within, 0), last)
        return sizes

    def placed(self, places: Mapping[str, int]) -> Definition:
        """Return the definition with the points of a chain where its models were found: name -> first address."""

        def point(_name: str, at: Point) -> Point:
            return at if at.within is None else at.moved(places[at.within])

        return replace(self, points=self.points.each(point))

    def changed(self, change: Change) -> Definition:
        """Return the definition for a device that is set up, or built, as an option or a variant says."""

        def point(name: str, at: Point) -> Point:
            return replace(at, scale=change.scale.get(name, at.scale), function=change.read.get(name, at.function))

        control = self.control
        if control is not None:
            function, pause, resume = change.function, change.pause, change.resume
            control = replace(
                control,
                function=control.function if function is None else function,
                pause=control.pause if pause is None else pause,
                resume=control.resume if resume is None else resume,
            )
        return replace(self, points=self.points.each(point), control=control)

    def for_connector(self, number: int) -> Definition:
        """Return the definition of the device's connector ``number``, counted from 1.

        Raises: ConfigError for one that it has not.
        """
        most = self.connectors.most if self.connectors else 1
        if not 1 <= number <= most:
            raise ConfigError(f"connector: {number} is not allowed: {self.id} has 1 to {most}")
        if self.connectors is None or number == 1:
            return self
        first, offset = self.connectors.first, self.connectors.step * (number - 1)

        def shifted(address: int) -> int:
            return address + offset if address >= first else address

        def point(_name: str, at: Point) -> Point:
            scale_register = None if at.scale_register is None else shifted(at.scale_register)
            return replace(at, address=shifted(at.address), scale_register=scale_register)

        blocks = tuple(replace(block, address=shifted(block.address)) for block in self.blocks)
        return replace(self, points=self.points.each(point), blocks=blocks)


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

    Raises: ConfigError, one line per fault, each with the file, the dotted key, the value and what is allowed.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        definition = _DEFINITION.validate_python({**raw, "id": path.stem})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the definition file cannot be read: {error}") from error
    except ValidationError as error:
        raise ConfigError(*dict.fromkeys(f"{path}: {text}" for text in _structural(error))) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}") from error
    faults = tuple(f"{path}: {text}" for text in _faults(definition))
    if faults:
        raise ConfigError(*faults)
    return definition


def _structural(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False):
        parts, kind = [_printable(str(part)) for part in fault["loc"]], fault["type"]
        either = parts[-1] in ALTERNATIVES and kind.startswith(tuple(ALTERNATIVES))
        key = ".".join(parts[:-1] if either or parts[-1] == KEY else parts)
        if parts[-1] == KEY:
            yield f"{key}: this name is not allowed: small letters, digits and _ make a name"
        elif kind == "missing":
            yield f"{key}: is missing"
        elif kind == "unexpected_keyword_argument":
            yield f"{key}: there is no such key here"
        else:
            wanted = "a whole number, or a text" if either else _wanted(kind, fault["msg"])
            yield f"{key}: {_shown(fault['input'])} is not allowed: {wanted}"


def _wanted(kind: str, message: str) -> str:
    """Return what is allowed, in words of this project where pydantic speaks of its own types."""
    for beginning, words in WANTED.items():
        if kind.startswith(beginning):
            return words
    text = message.removeprefix("Value error, not allowed: ")
    return f"{text[:1].lower()}{text[1:]}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _printable(text: str) -> str:
    return text if text.isprintable() else repr(text)


def _faults(definition: Definition) -> Iterator[str]:
    """Find what only shows when the parts of the file are held against each other."""
    points, bus, control = definition.points, definition.bus, definition.control
    yield from coherence.point_faults(points, bus)
    yield from coherence.combined_faults(definition.combined, points)
    yield from coherence.block_faults(definition.blocks, bus)
    yield from coherence.chain_faults(definition.chain, points)
    if control is not None:
        yield from coherence.control_faults(control, points)
        changes = {"options": definition.options, "variants": definition.variants}
        yield from coherence.change_faults(changes, control, points)
        if definition.connectors is not None:
            yield from coherence.connector_faults(definition.connectors, points)
    else:
        yield from _meter_faults(definition)
    names = [name for group in points.groups.values() for name in group] + [*definition.combined]
    yield from (f"points: {name!r} is there twice" for name in sorted(set(names)) if names.count(name) > 1)


def _meter_faults(definition: Definition) -> Iterator[str]:
    poll = definition.points.poll
    if BILLED not in poll and BILLED not in definition.combined:
        yield f"points.poll.{BILLED}: is missing: a meter has at least its total active import"
    elif BILLED in poll and poll[BILLED].unit != "Wh":
        yield f"points.poll.{BILLED}.unit: {poll[BILLED].unit!r} is not allowed: 'Wh', after scaling"
    for key in ("options", "variants", "connectors"):
        if getattr(definition, key):
            yield f"{key}: there is no such key here: only a controller, with [control], has them"
    for name in definition.points.command:
        yield f"points.command.{name}: is not allowed: nothing writes to a meter"
