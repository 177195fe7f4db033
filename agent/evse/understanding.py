"""What a controller's registers mean: the rules of its definition, applied in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Final

from agent.core.model import Pilot
from agent.fieldbus.control import Rule
from agent.fieldbus.points import Image, Point

UNKNOWN: Final = "unknown"
"""The name of a fault that the controller does not explain."""


@dataclass(frozen=True, slots=True)
class Understood:
    """What the rules make of the registers; None: no rule says."""

    pilot: Pilot | None = None
    connected: bool | None = None
    charging: bool | None = None
    offering: bool | None = None
    paused: bool | None = None
    faults: tuple[str, ...] = ()


def understand(rules: Iterable[Rule], points: Mapping[str, Point], image: Image) -> Understood:
    """Apply the rules in their order to the words that were read."""
    known = Understood()
    for rule in rules:
        if not _applies(rule, points, image):
            continue
        said = {field.name: getattr(rule, field.name) for field in fields(Understood) if field.name != "faults"}
        known = replace(known, **{name: value for name, value in said.items() if value is not None})
        if rule.fault is not None:
            known = replace(known, faults=(*known.faults, rule.fault))
    explained = tuple(fault for fault in known.faults if fault != UNKNOWN)
    return replace(known, faults=explained or known.faults)


def _applies(rule: Rule, points: Mapping[str, Point], image: Image) -> bool:
    for name, values in rule.when.items():
        if points[name].raw(image) not in values:
            return False
    for name, bit in rule.bits.items():
        word = points[name].raw(image)
        if not isinstance(word, Decimal) or not int(word) >> bit & 1:
            return False
    return True
