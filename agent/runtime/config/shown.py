"""The configuration in force as text and as JSON, each value with its source, secrets left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from pydantic import BaseModel

from agent.runtime.config.effective import AgentConfig
from agent.runtime.config.schema import Key, Keys, keys_of, values_of
from agent.runtime.config.values import HIDDEN, URLS, masked
from agent.runtime.config.wording import name_of

Json: TypeAlias = dict[str, object]


def show(config: AgentConfig) -> str:
    """Return the configuration as TOML; a comment behind each value says where it comes from."""
    lines = [f"# {config.path}, and what environment, credentials and defaults add"]
    for key in keys_of(type(config.document)).values():
        lines += _section(config, (key.name,), key, getattr(config.document, key.name))
    return "\n".join(lines) + "\n"


def to_json(config: AgentConfig) -> Json:
    """Return the configuration as a JSON document: the tables of the file, and ``sources`` by dotted key."""
    counts = {keys: len(value) for keys, value in _arrays(config.document, ())}
    sources = {
        name_of(keys, lambda array: counts.get(array, 0)): config.origins.get(keys, "default")
        for keys, _, value, _ in values_of(config.document)
        if value is not None
    }
    return {**_table(config.document), "sources": sources}


def _section(config: AgentConfig, keys: Keys, key: Key, value: object) -> Iterator[str]:
    """Yield the lines of a table, or of each table of an array."""
    if isinstance(value, tuple):
        for number, one in enumerate(value):
            yield from _lines(config, (*keys, number), key, one)
    elif isinstance(value, BaseModel):
        yield from _lines(config, keys, key, value)


def _lines(config: AgentConfig, keys: Keys, key: Key, table: BaseModel) -> Iterator[str]:
    name = ".".join(part for part in keys if isinstance(part, str))
    yield ""
    yield f"[[{name}]]" if key.several else f"[{name}]"
    inner = keys_of(type(table)).values()
    for one in inner:
        value = getattr(table, one.name)
        if one.section is None and value is not None:
            origin = config.origins.get((*keys, one.name), "default")
            yield f"{one.name} = {_toml(_plain(one, value))}  # {origin}"
    for one in inner:
        if one.section is not None:
            yield from _section(config, (*keys, one.name), one, getattr(table, one.name))


def _toml(value: object) -> str:
    """Return a value as TOML has it."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name} = {_toml(one)}' for name, one in value.items())}}}"
    return json.dumps(value, ensure_ascii=False)


def _table(table: BaseModel) -> Json:
    return {name: _value(key, getattr(table, name)) for name, key in keys_of(type(table)).items()}


def _value(key: Key, value: object) -> object:
    if isinstance(value, BaseModel):
        return _table(value)
    if key.section is not None and isinstance(value, tuple):
        return [_table(one) for one in value]
    return _plain(key, value)


def _plain(key: Key, value: object) -> object:
    """Return a value in a type of JSON that is also one of TOML."""
    if key.secret and value is not None:
        return HIDDEN
    if isinstance(value, dict):
        return {str(name): _plain(key, one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else _scalar(key, value)


def _scalar(key: Key, value: object) -> object:
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case Path():
            return str(value)
        case str() if key.name in URLS:
            return masked(value)
        case _:
            return value


def _arrays(table: BaseModel, keys: Keys) -> Iterator[tuple[Keys, tuple[BaseModel, ...]]]:
    """Yield the place and the tables of each array."""
    for name, key in keys_of(type(table)).items():
        value = getattr(table, name)
        if key.section is not None and isinstance(value, tuple):
            yield (*keys, name), value
            for number, one in enumerate(value):
                yield from _arrays(one, (*keys, name, number))
        elif isinstance(value, BaseModel):
            yield from _arrays(value, (*keys, name))
