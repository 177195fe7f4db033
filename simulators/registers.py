"""Register maps: what a meter measures, in words as they stand on the wire. One TOML file per model in ``wire/``.

A file has ``name``, ``unit`` (the address it leaves the factory with), ``max_words`` (per request, exception 3 beyond
it), ``line = {...}``, optionally ``whole_values = true`` (a request that splits a value is refused) and ``whole =
[[3, 64001, 27]]`` (function, address, count: what is answered as a whole or not at all), and per value:

    [[value]]
    name = "energy_import"    # see ``Meter.values``; any name where the value is fixed
    function = 4
    address = 0x0048          # from zero, as on the wire
    type = "f32"              # u16 i16 u32 i32 u64 i64 f32 f64 hex32 text iskra_t5 iskra_t6 iskra_t7
    scale = "1000"            # raw * scale = value in Wh, W, V, A, Hz; "1" where left out
    words = "low first"       # "high first" where left out; bytes inside a word are always high first
    none = "FFFFFFFF"         # what stands for "no value"; NaN for f32 and f64 or zero where left out
    fixed = 0x0070            # the same raw value always: identity codes, scale factors
    length = 6                # registers of a text
    alone = true              # stands there for a request of nothing else; for others the values before it do
"""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

from simulators.errors import Misuse
from simulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_VALUE, Refused

FOLDER: Final = Path(__file__).parent / "wire"
#: Type -> bytes, and how struct packs it.
INTEGERS: Final[Mapping[str, str]] = {"u16": ">H", "i16": ">h", "u32": ">I", "i32": ">i", "u64": ">Q", "i64": ">q"}
FLOATS: Final[Mapping[str, str]] = {"f32": ">f", "f64": ">d"}
MANTISSA_BITS: Final = 24

#: What a meter measures: a number in SI units, a text, or None where there is no value.
Quantity = Decimal | float | str | None


class UnknownModel(Misuse):
    """No register map has this name."""


@dataclass(frozen=True, slots=True)
class Value:
    """One entry of a register map; see the module for the meaning of the fields."""

    name: str
    function: int
    address: int
    type: str
    scale: Decimal = Decimal(1)
    low_first: bool = False
    none: str | None = None
    fixed: Quantity = None
    length: int = 0
    alone: bool = False

    def shown_to(self, address: int, count: int) -> bool:
        """Tell whether a request for these registers is answered with words of this value."""
        if self.alone:
            return (address, count) == (self.address, self.size)
        return self.address < address + count and address < self.address + self.size

    @property
    def size(self) -> int:
        """How many registers it takes."""
        if self.type == "text":
            return self.length
        form = INTEGERS.get(self.type) or FLOATS.get(self.type)
        return 2 if form is None else struct.calcsize(form) // 2

    def words(self, quantity: Quantity) -> tuple[int, ...]:
        """Return the registers for a value in SI units, in the order of their addresses."""
        data = self._bytes(quantity if self.fixed is None else self.fixed)
        words = struct.unpack(f">{len(data) // 2}H", data)
        return words[::-1] if self.low_first else words

    def _bytes(self, quantity: Quantity) -> bytes:
        if self.type == "text":
            return str(quantity or "").encode("ascii", "replace").ljust(2 * self.length, b"\0")[: 2 * self.length]
        if self.type == "hex32":
            return bytes.fromhex(str(quantity or "").rjust(8, "0"))
        number = _number(quantity)
        if number is None:
            return self._no_value()
        raw = number if self.fixed is not None else number / self.scale
        if self.type in FLOATS:
            return struct.pack(FLOATS[self.type], raw)
        if self.type in INTEGERS:
            return _pack(INTEGERS[self.type], raw.quantize(Decimal(1), self._rounding))
        return ISKRA[self.type](raw)

    @property
    def _rounding(self) -> str:
        """Counters show what is complete, everything else is rounded."""
        return ROUND_FLOOR if self.name.startswith("energy") else ROUND_HALF_EVEN

    def _no_value(self) -> bytes:
        if self.none is not None:
            return bytes.fromhex(self.none)
        return struct.pack(FLOATS[self.type], math.nan) if self.type in FLOATS else bytes(2 * self.size)


def _number(quantity: Quantity) -> Decimal | None:
    """Return what a register of numbers can show: None for a text that is none, for NaN and for infinity."""
    if isinstance(quantity, str):
        return Decimal(quantity) if quantity.isdecimal() else None
    return Decimal(str(quantity)) if quantity is not None and math.isfinite(quantity) else None


def _pack(form: str, raw: Decimal) -> bytes:
    """Pack a whole number, cut off at the limits of its type as the meters do."""
    bits = 8 * struct.calcsize(form)
    low, high = (0, 2**bits - 1) if form.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return struct.pack(form, max(low, min(high, int(raw))))


def _iskra(raw: Decimal, limit: int) -> bytes:
    """A power of ten in the first byte, then a whole number of 24 bits below a limit; as many digits as fit."""
    exponent = -6
    while abs(raw.scaleb(-exponent)) >= limit:
        exponent += 1
    mantissa = int(raw.scaleb(-exponent).to_integral_value())
    return struct.pack(">b", exponent) + (mantissa % 2**MANTISSA_BITS).to_bytes(3, "big")


def _iskra_factor(raw: Decimal) -> bytes:
    """A power factor: sign, import or export (not told here), ten-thousandths."""
    return struct.pack(">BBH", 0xFF if raw < 0 else 0, 0, int(abs(raw) * 10_000))


ISKRA: Final[Mapping[str, Callable[[Decimal], bytes]]] = {
    "iskra_t5": partial(_iskra, limit=2**MANTISSA_BITS),
    "iskra_t6": partial(_iskra, limit=2 ** (MANTISSA_BITS - 1)),
    "iskra_t7": _iskra_factor,
}


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """All registers of a model. ``line`` holds the serial settings it leaves the factory with."""

    name: str
    unit: int
    max_words: int
    values: tuple[Value, ...]
    whole_values: bool = False
    whole: tuple[tuple[int, int, int], ...] = ()
    line: Mapping[str, Any] | None = None

    def read(
        self, span: tuple[int, int, int], quantities: Mapping[str, Quantity], *, lenient: bool = False
    ) -> Sequence[int]:
        """Return the words of (function, address, count).

        Raises Refused: 3 for more words than the model answers at once; 2 for an address that is not listed, unless
        ``lenient``, which fills up with zeros, and for a split value where the model refuses that.
        """
        function, address, count = span
        if count > self.max_words:
            raise Refused(ILLEGAL_VALUE)
        if any(_cuts(block, span) for block in self.whole):
            raise Refused(ILLEGAL_ADDRESS)
        words: dict[int, int] = {}
        for value in self.values:
            if value.function == function and value.shown_to(address, count):
                inside = address <= value.address and value.address + value.size <= address + count
                if self.whole_values and not inside:
                    raise Refused(ILLEGAL_ADDRESS)
                words.update(enumerate(value.words(quantities.get(value.name)), value.address))
        wanted = range(address, address + count)
        if not lenient and any(place not in words for place in wanted):
            raise Refused(ILLEGAL_ADDRESS)
        return [words.get(place, 0) for place in wanted]


def _cuts(block: tuple[int, int, int], span: tuple[int, int, int]) -> bool:
    """Tell whether a request is for a part of a block that is read as a whole."""
    same = block[0] == span[0] and block[1] < span[1] + span[2] and span[1] < block[1] + block[2]
    return same and block[1:] != span[1:]


def models() -> tuple[str, ...]:
    """Return the names of all register maps, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load(model: str) -> RegisterMap:
    """Return a register map by the name of its file. Raises UnknownModel."""
    path = FOLDER / f"{model}.toml"
    if not path.is_file():
        raise UnknownModel(f"unknown meter model {model!r}, known are: {', '.join(models())}")
    return read_map(path.read_text())


def read_map(text: str) -> RegisterMap:
    """Return the register map that a TOML text describes."""
    entries = tomllib.loads(text, parse_float=Decimal)
    values = tuple(_value(entry) for entry in entries.pop("value"))
    whole = tuple((function, address, count) for function, address, count in entries.pop("whole", ()))
    return RegisterMap(values=values, whole=whole, **entries)


def _value(entry: dict[str, Any]) -> Value:
    words = entry.pop("words", "high first")
    scale = Decimal(entry.pop("scale", "1"))
    return Value(low_first=words == "low first", scale=scale, **entry)
