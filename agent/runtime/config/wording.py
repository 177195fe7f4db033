"""What pydantic finds, and what the rules find, in words for the installer: place, dotted key, value, remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agent.runtime.config.layers import Layer, owner
from agent.runtime.config.schema import Key, Keys, Problem, find, home_of, keys_of, leaf, missing, section_at, similar
from agent.runtime.config.values import HIDDEN, URLS, masked, zones

HALF: Final = 60
"""Characters that a message shows of the beginning, and of the end, of a long value or name."""
LARGEST: Final = 10**18


def problems_in(error: ValidationError) -> Iterator[Problem]:
    """Yield what keys and values are wrong; several errors in one value are one problem."""
    told: set[Keys] = set()
    for details in error.errors():
        for problem in _problems(details):
            if problem.keys not in told:
                told.add(problem.keys)
                yield problem


def line_of(problem: Problem, layers: Sequence[Layer]) -> str:
    """Return a problem as it is printed; layers: in order of precedence, the file last."""
    layer = owner(layers, problem.keys) or layers[-1]
    return f"{problem.place or layer.place(problem.keys)}: {dotted(problem.keys, layers)}: {problem.text}"


def dotted(keys: Keys, layers: Sequence[Layer]) -> str:
    """Return a key as messages name it."""
    return name_of(keys, lambda array: _count(array, layers))


def name_of(keys: Keys, count: Callable[[Keys], int]) -> str:
    """Return a dotted key; elements of an array have their number (from 1) where it has several."""
    name = ""
    for length, part in enumerate(keys, 1):
        if isinstance(part, str):
            name += f".{_clean(part)}" if name else _clean(part)
        elif count(keys[: length - 1]) > 1:
            name += f"[{part + 1}]"
    return name


def shown(value: object, key: Key | None) -> str:
    """Return a value for a message: short, on one line, without anything secret."""
    if key is not None and key.secret:
        return HIDDEN
    if isinstance(value, str):
        return json.dumps(_clean(masked(value) if key is not None and key.name in URLS else value), ensure_ascii=False)
    if isinstance(value, dict) or value is None:
        return "a table"
    if isinstance(value, list | tuple):
        texts = all(isinstance(one, str) for one in value)
        return _clean(json.dumps(value, ensure_ascii=False)) if texts else "a list"
    if isinstance(value, int) and abs(value) >= LARGEST:
        return "a number this large"
    return _clean(str(value).lower())


def _problems(details: ErrorDetails) -> Iterator[Problem]:
    keys = leaf(details["loc"])
    key = find(keys)
    if key is None:
        yield Problem(keys, _unknown(keys))
    elif details["type"] == "missing":
        for place, wanted in missing(keys, key):
            yield Problem(place, _absent(wanted))
    elif key.section is not None:
        yield Problem(keys, _no_section(key))
    else:
        yield Problem(keys, _wrong(details, key))


def _unknown(keys: Keys) -> str:
    name = str(keys[-1])
    known = keys_of(section_at(keys[:-1]))
    if (home := home_of(name)) is not None:
        return f"unknown key here; it belongs to [{home}]"
    close = similar(name, known)
    listed = ", ".join(known)
    kind = "key" if len(keys) > 1 else "section"
    return f"unknown {kind}{close or f'; known here: {listed}'}"


def _absent(key: Key) -> str:
    if key.several:
        return f"missing; add a section [[{key.name}]]"
    example = f"add {key.name} = {key.allowed.example} " if key.allowed.example else f"add {key.name} "
    return f"missing; {example}({key.allowed.text})"


def _no_section(key: Key) -> str:
    brackets = f"[[{key.name}]]" if key.several else f"[{key.name}]"
    return f"is not written as a section; write {brackets} on a line of its own and its keys below"


def _wrong(details: ErrorDetails, key: Key) -> str:
    value = details["input"]
    words = str(details.get("ctx", {}).get("error", ""))
    if words:
        return f"{shown(value, key)} {words}"
    choices = zones() if key.name == "timezone" else key.allowed.choices
    meant = similar(value, choices) if isinstance(value, str) else ""
    return f"{shown(value, key)} is not allowed; use {key.allowed.text}{meant}"


def _count(keys: Keys, layers: Sequence[Layer]) -> int:
    """Return how many elements an array has."""
    layer = owner(layers, keys)
    node: object = layer.tree if layer is not None else None
    for part in keys:
        node = node.get(part) if isinstance(node, dict) else None
    return len(node) if isinstance(node, list) else 0


def _clean(text: str) -> str:
    """Return a text without anything that a terminal acts upon; of a long one the beginning and the end."""
    short = text if len(text) <= 2 * HALF else f"{text[:HALF]}…{text[-HALF:]}"
    return "".join(character if character.isprintable() else "?" for character in short)
