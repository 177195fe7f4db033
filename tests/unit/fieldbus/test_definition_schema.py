"""The schema for editors: kept beside the documents as it is, and in accord with what the agent reads."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent.fieldbus.definition import available
from agent.fieldbus.definition_schema import meter_schema
from agent.meter.modbus_meter import DEFINITIONS

SCHEMA = meter_schema()
KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


def faults(value: object, schema: dict[str, Any]) -> list[str]:
    """Return what a part of JSON schema that is used here says of a value."""
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] | schema if "$ref" in schema else schema
    if "anyOf" in schema:
        return [] if any(not faults(value, one) for one in schema["anyOf"]) else [f"{value!r}: none of the choices"]
    kind = KINDS[schema["type"]]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        return [f"{value!r}: no {schema['type']}"]
    found = [f"{value!r}: not in the list"] if "enum" in schema and value not in schema["enum"] else []
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{value}: out of range")
    if isinstance(value, list):
        found += [fault for one in value for fault in faults(one, schema["items"])]
    if isinstance(value, dict):
        found += [f"{key}: is missing" for key in schema.get("required", ()) if key not in value]
        free = next(iter(schema.get("patternProperties", {}).values()), None)
        for key, one in value.items():
            part = schema.get("properties", {}).get(key, free)
            found += [f"{key}: no such key"] if part is None else faults(one, part)
    return found


@pytest.mark.parametrize("model", available(DEFINITIONS))
def test_every_meter_fits_the_schema(model: str) -> None:
    assert faults(tomllib.loads((DEFINITIONS / f"{model}.toml").read_text(encoding="utf-8")), SCHEMA) == []


def test_the_schema_finds_what_is_wrong() -> None:
    bus = {"baudrate": 9600.5, "parity": "X", "stop_bits": 1}
    energy = {"function": 7, "address": 70000, "type": "f32", "write": 6, "invalid": [1.5]}
    found = faults({"model": "x", "bus": bus, "points": {"poll": {"energy_import": energy}}, "control": {}}, SCHEMA)
    assert found == [
        "source: is missing",
        "9600.5: no integer",
        "'X': not in the list",
        "7: not in the list",
        "70000: out of range",
        "write: no such key",
        "1.5: none of the choices",
        "control: no such key",
    ]


def test_the_schema_beside_the_documents_is_this_one() -> None:
    text = Path("docs/meter-definition.schema.json").read_text(encoding="utf-8")
    assert json.loads(text) == SCHEMA, "write it anew: wallbox-agent meters schema > docs/meter-definition.schema.json"
