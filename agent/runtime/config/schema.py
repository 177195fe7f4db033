"""The keys of the configuration as data: which there are, and what may stand at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from agent.runtime.config.sections import Document
from agent.runtime.config.values import Allowed

Keys: TypeAlias = tuple[str | int, ...]
"""Where something stands: names of tables and keys, and numbers (from 0) of elements of arrays."""
Model: TypeAlias = type[BaseModel]

PLAIN: Final = {
    bool: Allowed("true or false"),
    int: Allowed("a whole number"),
    Path: Allowed("a path"),
    str: Allowed("a text in quotes"),
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table.

    section: what is in it, where it is a table or an array of tables; several: it is an array; path: its value is the
    path of a file or directory; definition: it is where it looks like one; secret: its value is shown to nobody.
    """

    name: str
    allowed: Allowed
    required: bool
    section: Model | None = None
    several: bool = False
    path: bool = False
    definition: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that the installer must change: at which key, and what in words that stand after it.

    place: where to look, empty where that is where the key's value comes from.
    """

    keys: Keys
    text: str
    place: str = ""


@cache
def keys_of(model: Model) -> Mapping[str, Key]:
    """Return the keys of a table by name, those that it shares with other tables last."""
    shared = sorted(model.model_fields, key=lambda name: name not in model.__annotations__)
    return {name: _key(name, model.model_fields[name]) for name in shared}


def find(keys: Keys) -> Key | None:
    """Return the key at a place, None where there is none."""
    *_, last = _walk(keys)
    return last


def leaf(keys: Keys) -> Keys:
    """Return the place of the whole value for a place inside of it, as of the third element of a list."""
    for count, key in enumerate(_walk(keys), 1):
        if key is not None and key.section is None:
            return keys[:count]
    return keys


def section_at(keys: Keys) -> Model:
    """Return what the table at a place holds."""
    key = find(keys) if keys else None
    return Document if key is None or key.section is None else key.section


def missing(keys: Keys, key: Key) -> Iterator[tuple[Keys, Key]]:
    """Yield the required values that are missing where a required key is: itself, or those of the table that it is."""
    if key.section is None or key.several:
        yield keys, key
        return
    for name, inner in keys_of(key.section).items():
        if inner.required:
            yield from missing((*keys, name), inner)


def values_of(table: BaseModel, keys: Keys = ()) -> Iterator[tuple[Keys, Key, object, bool]]:
    """Yield place, key and value of all keys that are no tables, and whether it was given."""
    for name, key in keys_of(type(table)).items():
        value = getattr(table, name)
        if key.section is None:
            yield (*keys, name), key, value, name in table.model_fields_set
        elif isinstance(value, BaseModel):
            yield from values_of(value, (*keys, name))
        elif value is not None:
            for number, one in enumerate(value):
                yield from values_of(one, (*keys, name, number))


def home_of(name: str) -> str | None:
    """Return the table that has a key of this name, None where several have it, or none."""
    homes = [table for table, model in _tables(Document, "") if name in keys_of(model) and table]
    return homes[0] if len(homes) == 1 else None


def similar(word: str, known: Iterable[str]) -> str:
    """Return a question after a word that was perhaps meant, empty where none is like it."""
    by_lower = {one.lower(): one for one in known}
    lower = word.lower()[:100]
    longer = [one for one in by_lower if lower and one.startswith(lower)]
    close = sorted(longer) or get_close_matches(lower, by_lower, n=1)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


def _key(name: str, field: FieldInfo) -> Key:
    parts = [*_unfolded(field.annotation), *field.metadata]
    allowed = _allowed(parts)
    return Key(
        name,
        allowed,
        required=field.is_required(),
        section=next((part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)), None),
        several=any(get_origin(part) is tuple for part in parts),
        path=Path in parts,
        definition=allowed.definition,
        secret=SecretStr in parts,
    )


def _unfolded(annotation: object) -> Iterator[object]:
    """Yield an annotation and all that it is made of."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _unfolded(part)


def _allowed(parts: list[object]) -> Allowed:
    """Return what is said of a key's values; the list's words come before those of its elements."""
    said = [part for part in parts if isinstance(part, Allowed)]
    if said:
        return said[-1] if any(get_origin(part) is tuple for part in parts) else said[0]
    choices = next((get_args(part) for part in parts if get_origin(part) is Literal), ())
    if choices:
        return Allowed(f"one of {', '.join(choices)}", choices=choices)
    return next((words for kind, words in PLAIN.items() if kind in parts), Allowed("another value"))


def _walk(keys: Keys) -> Iterator[Key | None]:
    """Yield the key of each part of a place; None from where on nothing is known."""
    model: Model | None = Document
    key: Key | None = None
    for part in keys:
        if isinstance(part, str) or key is None or not key.several:
            key = keys_of(model).get(str(part)) if model is not None else None
            model = key.section if key is not None else None
        yield key


def _tables(model: Model, name: str) -> Iterator[tuple[str, Model]]:
    yield name, model
    for key in keys_of(model).values():
        if key.section is not None:
            yield from _tables(key.section, f"{name}.{key.name}" if name else key.name)
