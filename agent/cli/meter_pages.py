"""Text about meters for people: the list of those that are known, and what a definition file says."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from agent.cli.layout import NOTHING, WIDTH, Row, clean, line, table
from agent.fieldbus.blocks import plan
from agent.fieldbus.definition import Definition
from agent.fieldbus.points import Combined, Image, Point
from agent.fieldbus.registers import TEXTS, WordOrder

KINDS: Final = {3: "holding", 4: "input", 1: "coil", 2: "discrete"}


def list_of(definitions: Sequence[Definition]) -> str:
    """Return the meters, each with the names on its housings."""
    width = max(len(one.id) for one in definitions) + 2
    return "\n".join("\n".join(_entry(one, width)) for one in definitions) + "\n"


def _entry(one: Definition, width: int) -> Iterator[str]:
    yield clean(f"{one.id:<{width}}{one.model}")
    indent = " " * width
    yield textwrap.fill(clean(", ".join(one.covers)), WIDTH, initial_indent=indent, subsequent_indent=indent)


def page_of(name: str, definition: Definition, image: Image | None = None) -> str:
    """Return what a definition says, with what a meter told where one was read; name: what the person calls it."""
    bus = definition.bus
    form = f"{bus.baudrate} 8{bus.parity}{bus.stop_bits}, address {bus.address}; TCP port {bus.tcp_port}"
    bears = f"{bus.max_registers} registers per request, {bus.min_gap_ms} ms between two, {bus.timeout_ms} ms to answer"
    rows = [
        Row("model", clean(definition.model)),
        Row("covers", clean(", ".join(definition.covers)) or NOTHING),
        Row("line", form),
        Row("bears", bears),
        *_chain(definition),
        *([] if definition.chain is not None and image is None else [Row("a poll", "; ".join(_requests(definition)))]),
    ]
    head = ("POINT", "READ", "FROM", "TYPE", "MEANS", *(("TOLD", "WORDS") if image is not None else ()))
    lines = (f"{clean(name)}: no errors", *(line(row) for row in rows))
    return "\n".join(lines) + "\n\n" + table(head, list(_points(definition, image)))


def _chain(definition: Definition) -> Iterator[Row]:
    chain = definition.chain
    if chain is not None:
        models = ", ".join(f"{name} ({', '.join(map(str, ids))})" for name, ids in chain.models.items())
        yield Row("chain", f"from {', '.join(map(str, chain.starts))} on: {models}")


def _requests(definition: Definition) -> Iterator[str]:
    """Yield what one poll asks for, in the order of asking."""
    names = (*definition.points.poll, *definition.combined)
    for block in plan(definition, names):
        last = block.address + block.count - 1
        yield f"{KINDS[block.function]} {block.address} to {last}"


def _points(definition: Definition, image: Image | None) -> Iterator[Sequence[str]]:
    for group, members in definition.points.groups.items():
        for name, point in members.items():
            told = () if image is None else (_told(definition.value(name, image)), _words(point, image))
            yield (name, group, _place(point), _type(point), _meaning(point), *told)
    for name, combined in definition.combined.items():
        told = () if image is None else (_told(definition.value(name, image)), "")
        yield (name, "computed", "", "", _sum(combined), *told)


def _place(point: Point) -> str:
    within = "" if point.within is None else f"{point.within}, "
    return f"{KINDS[point.function]} {within}{point.address} (0x{point.address:04X})"


def _type(point: Point) -> str:
    text = f"{point.type} of {point.count}" if point.count else str(point.type)
    return text if point.word_order is WordOrder.BIG or point.width == 1 else f"{text}, low first"


def _meaning(point: Point) -> str:
    scale = "" if point.scale == 1 else f"x {point.scale:f} "
    power = "" if point.scale_register is None else f"x 10^({point.scale_register}) "
    means = f"{scale}{power}{point.unit}".strip()
    absent = [f"none: {bits:#x}" for bits in point.invalid]
    absent += [] if point.invalid_high_word is None else [f"none: {point.invalid_high_word:#x} in front"]
    accepted = [f"is {' or '.join(map(str, point.accept))}"] if point.accept else []
    return "; ".join(part for part in (means, *absent, *accepted) if part)


def _sum(combined: Combined) -> str:
    return (" + " if combined.add else " - ").join(combined.parts)


def _told(value: Decimal | str | None) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}" if value == value.to_integral_value() else f"{value:.3f}"
    return NOTHING if value is None else clean(value)


def _words(point: Point, image: Image) -> str:
    """Return the registers of a number as they came, so that a value in doubt can be worked out by hand."""
    words = [image.get((point.function, point.address + place)) for place in range(point.width)]
    if point.type in TEXTS and point.count is not None:
        return ""
    return " ".join(NOTHING if word is None else f"{word:04X}" for word in words)
