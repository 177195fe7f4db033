"""Readings as OCPP 1.6 has them: which measurand a meter's value is, and the sampledValue that it becomes.

Source: OCPP 1.6 ed. 2, sections 7.31, 7.43 and 9.1.17; errata 3.86 (no unit for the frequency).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import Enum
from itertools import chain
from typing import Final

from agent.core.model import Reading, ReadingContext, Wh
from agent.ocpp.rpc import JsonObject

REGISTER: Final = "Energy.Active.Import.Register"
PLACES: Final = Decimal("0.001")
"""Meters that compute in binary fractions tell digits beyond this which nobody measured."""


class Part(Enum):
    """What of a number counts: all of it, or only import (positive) or export (negative)."""

    ALL = "all"
    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a sampledValue comes from: the name in a reading's values; phase None is the sum of all."""

    value: str
    phase: str | None = None
    part: Part = Part.ALL


@dataclass(frozen=True, slots=True)
class Measurand:
    """A measurand: its unit, None for one without, and its sources.

    Of several sources for one phase the first that the meter tells is taken.
    sum_only: without a phase asked for, only the sum is sent.
    """

    unit: str | None
    sources: tuple[Source, ...]
    sum_only: bool = False


def _phases(value: str, suffix: str = "", part: Part = Part.ALL) -> tuple[Source, ...]:
    return tuple(Source(f"{value}_l{n}", f"L{n}{suffix}", part) for n in (1, 2, 3))


#: Measurands that the station can tell, where its meter does. DEVIATION: per-phase registers only where a phase is
#: asked for: a central system that takes any register for the session's would book a third of the energy.
MEASURANDS: Final[Mapping[str, Measurand]] = {
    REGISTER: Measurand("Wh", _phases("energy_import"), sum_only=True),
    "Energy.Active.Export.Register": Measurand(
        "Wh", (Source("energy_export"), *_phases("energy_export")), sum_only=True
    ),
    "Power.Active.Import": Measurand(
        "W",
        (
            Source("power_import"),
            Source("power_total", part=Part.IMPORT),
            *_phases("power_import"),
            *_phases("power", part=Part.IMPORT),
        ),
    ),
    "Power.Active.Export": Measurand(
        "W",
        (
            Source("power_export"),
            Source("power_total", part=Part.EXPORT),
            *_phases("power_export"),
            *_phases("power", part=Part.EXPORT),
        ),
    ),
    "Power.Factor": Measurand(None, (Source("power_factor"), *_phases("power_factor"))),
    "Current.Import": Measurand("A", _phases("current")),
    "Current.Offered": Measurand("A", (Source("current_offered"),)),
    "Power.Offered": Measurand("W", (Source("power_offered"),)),
    "Voltage": Measurand("V", (*_phases("voltage", "-N"), *_phases("voltage"))),
    "Frequency": Measurand(None, (Source("frequency"),)),
}


def configured(text: str) -> str | None:
    """Return the canonical spelling of a list's member (``Voltage.L1``), None where the station cannot tell it."""
    wanted = text.strip().lower()
    return next((name for name in _spellings() if name.lower() == wanted), None)


def sampled_values(reading: Reading, wanted: Sequence[str], context: ReadingContext) -> list[JsonObject]:
    """Return the sampledValues of a reading, all fields written out, in the order wanted; what is not told is left out.

    The register is cut to whole Wh, as meterStart and meterStop are, so that no sample lies beyond them.
    """
    told = {value.name: value.number for value in reading.values if value.number.is_finite()}
    return list(chain.from_iterable(_sampled(reading, told, name, context) for name in wanted))


def whole(register: Wh) -> int:
    """Return a register in whole Wh, rounded down, so that transactions chain without a gap."""
    return int(register.to_integral_value(ROUND_FLOOR))


def _spellings() -> Iterator[str]:
    for name, measurand in MEASURANDS.items():
        yield name
        for phase in dict.fromkeys(source.phase for source in measurand.sources if source.phase is not None):
            yield f"{name}.{phase}"


def _sampled(
    reading: Reading, told: Mapping[str, Decimal], wanted: str, context: ReadingContext
) -> Iterator[JsonObject]:
    name, phase = _split(wanted)
    measurand = MEASURANDS.get(name)
    if measurand is None:
        return
    if name == REGISTER and phase is None:
        yield _value(name, None, str(whole(reading.register)), context)
        return
    seen: set[str | None] = set()
    for source in measurand.sources:
        key = source.phase and source.phase.removesuffix("-N")
        if source.value in told and key not in seen and _asked(measurand, source, phase):
            seen.add(key)
            yield _value(name, source.phase, _text(name, source.part, told[source.value]), context)


def _split(wanted: str) -> tuple[str, str | None]:
    name, _, phase = wanted.rpartition(".")
    return (name, phase) if name in MEASURANDS else (wanted, None)


def _asked(measurand: Measurand, source: Source, phase: str | None) -> bool:
    if phase is not None:
        return source.phase == phase
    return source.phase is None or not measurand.sum_only


def _text(name: str, part: Part, number: Decimal) -> str:
    if name.startswith("Energy."):
        return str(whole(Wh(number)))
    if part is not Part.ALL:
        number = max(number if part is Part.IMPORT else -number, Decimal(0))
    rounded = number.quantize(PLACES)
    return f"{rounded.normalize() + 0:f}"


def _value(name: str, phase: str | None, text: str, context: ReadingContext) -> JsonObject:
    value: JsonObject = {
        "value": text,
        "context": context.value,
        "format": "Raw",
        "measurand": name,
        "location": "Outlet",
    }
    if phase is not None:
        value["phase"] = phase
    unit = MEASURANDS[name].unit
    if unit is not None:
        value["unit"] = unit
    return value
