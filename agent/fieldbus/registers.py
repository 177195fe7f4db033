"""Register words to values and back, sans-I/O.

A word is 16 bits, its bytes high first; the order of the words of a value is the device's. Numbers are exact: a float
is the binary number that the device sent, not its shortest decimal form, and no scaling rounds.

Source: Modbus application protocol 1.1b3, section 4.2; IEEE 754; makers' documents for their own formats.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal, Inexact
from enum import StrEnum
from typing import Final

EXACT: Final = Context(prec=1200, Emax=999_999, Emin=-999_999, traps=[Inexact])
"""Room for the digits of any f64 times any scale; a lost digit would be a defect."""
F32_DIGITS: Final = 24
F64_DIGITS: Final = 53


class WireType(StrEnum):
    """How a value lies in its registers."""

    BIT = "bit"
    U16 = "u16"
    I16 = "i16"
    U32 = "u32"
    I32 = "i32"
    U64 = "u64"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    HEX32 = "hex32"
    ISKRA_T5 = "iskra_t5"
    ISKRA_T6 = "iskra_t6"
    ISKRA_T7 = "iskra_t7"
    VERSION = "version"
    ASCII = "ascii"


class WordOrder(StrEnum):
    """Which word of a value comes first."""

    BIG = "big"
    LITTLE = "little"


#: Registers of a value; a text has as many as its device gives it.
WIDTH: Final[Mapping[WireType, int]] = {
    **dict.fromkeys((WireType.BIT, WireType.U16, WireType.I16, WireType.VERSION), 1),
    **dict.fromkeys((WireType.U32, WireType.I32, WireType.F32, WireType.HEX32), 2),
    **dict.fromkeys((WireType.ISKRA_T5, WireType.ISKRA_T6, WireType.ISKRA_T7), 2),
    **dict.fromkeys((WireType.U64, WireType.I64, WireType.F64), 4),
}
SIGNED: Final = frozenset({WireType.I16, WireType.I32, WireType.I64})
FLOATS: Final[Mapping[WireType, str]] = {WireType.F32: ">f", WireType.F64: ">d"}
TEXTS: Final = frozenset({WireType.ASCII, WireType.HEX32, WireType.VERSION})


def decode(words: Sequence[int], kind: WireType, order: WordOrder = WordOrder.BIG) -> Decimal | str | None:
    """Return the value of the words, unscaled; None for a float that is no finite number.

    words: as many as ``WIDTH`` says, or any number for a text. Texts are ``ascii`` (bytes outside 0x20..0x7E left out,
    trimmed), ``hex32`` (eight lower-case digits) and ``version`` (0x0107 is 1.0.7). Raises ValueError for another
    number of words.
    """
    if kind is not WireType.ASCII and len(words) != WIDTH[kind]:
        raise ValueError(f"{kind} takes {WIDTH[kind]} registers, not {len(words)}")
    return DECODERS[kind](to_bytes(words, order))


def encode(
    value: Decimal | str, kind: WireType, order: WordOrder = WordOrder.BIG, *, count: int = 0
) -> tuple[int, ...]:
    """Return the words of a value, the inverse of ``decode``; count: registers of a text, filled up with NUL.

    Raises ValueError for what does not fit, or for a type that is only ever read.
    """
    try:
        data = _text_bytes(value, kind, count) if isinstance(value, str) else _number_bytes(value, kind)
    except (OverflowError, struct.error) as error:
        raise ValueError(f"{value} does not fit into {kind}") from error
    words = struct.unpack(f">{len(data) // 2}H", data)
    return words if order is WordOrder.BIG else words[::-1]


def step(words: Sequence[int], kind: WireType, order: WordOrder = WordOrder.BIG) -> Decimal:
    """Return the distance to the next number that the words could hold, unscaled: the resolution at this height."""
    data = to_bytes(words, order)
    if kind in FLOATS:
        number: float = struct.unpack(FLOATS[kind], data)[0]
        digits, least = (F32_DIGITS, -149) if kind is WireType.F32 else (F64_DIGITS, -1074)
        exponent = math.frexp(number)[1] if number else least + digits
        return Decimal(math.ldexp(1.0, max(exponent - digits, least)))
    if kind in {WireType.ISKRA_T5, WireType.ISKRA_T6}:
        return Decimal(1).scaleb(_signed(data[:1]))
    return Decimal(1)


def scaled(value: Decimal, scale: Decimal, exponent: int = 0) -> Decimal:
    """Return value * scale * 10 ** exponent, exact."""
    return EXACT.multiply(value, scale).scaleb(exponent, EXACT)


def pattern(words: Sequence[int], order: WordOrder = WordOrder.BIG) -> int:
    """Return the bits of the words as one number, high word first, as makers write their "no value" patterns."""
    return int.from_bytes(to_bytes(words, order), "big")


def to_bytes(words: Iterable[int], order: WordOrder = WordOrder.BIG) -> bytes:
    """Return the bytes of the words, most significant first. Raises ValueError for what is no 16-bit word."""
    ordered = tuple(words) if order is WordOrder.BIG else tuple(words)[::-1]
    try:
        return struct.pack(f">{len(ordered)}H", *ordered)
    except struct.error as error:
        raise ValueError(f"{ordered} are no 16-bit words") from error


def _unsigned(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _signed(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _float(layout: str) -> Callable[[bytes], Decimal | None]:
    def read(data: bytes) -> Decimal | None:
        number: float = struct.unpack(layout, data)[0]
        return Decimal(number) if math.isfinite(number) else None

    return read


def _text(data: bytes) -> str:
    return bytes(byte for byte in data if 0x20 <= byte < 0x7F).decode("ascii").strip()  # noqa: PLR2004  printable ASCII


def _version(data: bytes) -> str:
    """Major number in the first byte, minor and revision in the halves of the second."""
    return f"{data[0]}.{data[1] >> 4}.{data[1] & 15}"


def _iskra_t5(data: bytes) -> Decimal:
    """Signed power of ten, 24-bit unsigned mantissa."""
    return scaled(Decimal(_unsigned(data[1:])), Decimal(1), _signed(data[:1]))


def _iskra_t6(data: bytes) -> Decimal:
    """Signed power of ten, 24-bit signed mantissa."""
    return scaled(Decimal(_signed(data[1:])), Decimal(1), _signed(data[:1]))


def _iskra_t7(data: bytes) -> Decimal:
    """Power factor in ten-thousandths; the first byte tells export, the second the kind of load."""
    factor = Decimal(_unsigned(data[2:])).scaleb(-4)
    return -factor if data[0] else factor


DECODERS: Final[Mapping[WireType, Callable[[bytes], Decimal | str | None]]] = {
    **dict.fromkeys((WireType.BIT, WireType.U16, WireType.U32, WireType.U64), lambda data: Decimal(_unsigned(data))),
    **dict.fromkeys(SIGNED, lambda data: Decimal(_signed(data))),
    WireType.F32: _float(">f"),
    WireType.F64: _float(">d"),
    WireType.HEX32: bytes.hex,
    WireType.ISKRA_T5: _iskra_t5,
    WireType.ISKRA_T6: _iskra_t6,
    WireType.ISKRA_T7: _iskra_t7,
    WireType.VERSION: _version,
    WireType.ASCII: _text,
}


def _number_bytes(value: Decimal, kind: WireType) -> bytes:
    if kind in FLOATS:
        return struct.pack(FLOATS[kind], value)
    number = kind not in TEXTS and kind in WIDTH and not kind.startswith("iskra")
    if not number or value != value.to_integral_value() or (kind is WireType.BIT and value not in {0, 1}):
        raise ValueError(f"{value} cannot be written as {kind}")
    return int(value).to_bytes(2 * WIDTH[kind], "big", signed=kind in SIGNED)


def _text_bytes(value: str, kind: WireType, count: int) -> bytes:
    if kind is WireType.HEX32:
        return int(value, 16).to_bytes(4, "big")
    data = value.encode("ascii")
    if kind is not WireType.ASCII or len(data) > 2 * count:
        raise ValueError(f"{value!r} cannot be written as {kind} of {count} registers")
    return data.ljust(2 * count, b"\0")
