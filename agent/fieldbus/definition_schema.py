"""The JSON schema of a meter's definition file, for editors that complete and check TOML."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from pydantic import TypeAdapter

from agent.fieldbus.definition import Definition

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
NO_METERS: Final = frozenset({"id", "control", "options", "variants", "connectors"})
"""What no meter's file has: the id is the file's name, the rest makes a device a controller."""
#: Table -> keys that only a controller's points have.
COMMANDED: Final = {"Points": ("command",), "Point": ("write", "wears")}
REFERENCE: Final = re.compile(r'"#/\$defs/(\w+)"')


def meter_schema() -> dict[str, Any]:
    """Return the schema. It knows each key by itself; what keys mean to each other, ``meters check`` tells."""
    schema = _without_null(TypeAdapter(Definition).json_schema())
    definitions = schema["$defs"]
    for key in NO_METERS:
        del schema["properties"][key]
    for table, keys in COMMANDED.items():
        for key in keys:
            del definitions[table]["properties"][key]
    schema["required"] = [key for key in schema["required"] if key not in NO_METERS]
    used = _referenced(schema["properties"], definitions)
    parts = {name: definitions[name] for name in sorted(used)}
    return {"$schema": DIALECT, **schema, "title": "Definition file of a meter", "$defs": parts}


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the alternative null, and without defaults that are null: TOML has no such value."""
    kept: dict[str, Any] = {key: _part(one) for key, one in node.items() if key != "default" or one is not None}
    only = kept.get("anyOf", ())
    return {**kept, **only[0]} if len(only) == 1 and kept.pop("anyOf") else kept


def _part(node: object) -> object:
    if isinstance(node, list):
        return [_part(one) for one in node if one != {"type": "null"}]
    return _without_null(node) if isinstance(node, dict) else node


def _referenced(node: object, definitions: dict[str, Any]) -> set[str]:
    """Return the definitions that a part of the schema needs, directly or not."""
    found: set[str] = set()
    waiting = set(REFERENCE.findall(json.dumps(node)))
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= set(REFERENCE.findall(json.dumps(definitions[name]))) - found
    return found
