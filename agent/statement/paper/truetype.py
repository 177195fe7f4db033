"""Reads a TrueType font (OpenType 1.9) as far as a PDF needs it: glyphs of characters, widths, and a smaller copy.

The copy keeps the numbers of the glyphs and leaves the outlines of unused ones out, so no table but three changes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KEPT: Final = ("cvt ", "fpgm", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "prep")
"""The tables that a font embedded by glyph number has (ISO 32000-1, section 9.9)."""
UNICODE_BMP: Final = (3, 1)
"""Platform and encoding of the table of characters to glyphs that every such font has."""
SEGMENTS: Final = 4
ARGS_ARE_WORDS: Final = 0x0001
HAS_SCALE: Final = 0x0008
MORE_COMPONENTS: Final = 0x0020
HAS_XY_SCALE: Final = 0x0040
HAS_2X2: Final = 0x0080
CHECKSUM: Final = 0xB1B0AFBA
MASK: Final = 0xFFFF_FFFF
THOUSAND: Final = 1000


@dataclass(frozen=True, slots=True)
class Measures:
    """Heights of a face, in thousandths of its size; box: left, bottom, right, top of all glyphs."""

    ascent: int
    descent: int
    box: tuple[int, int, int, int]


class Face:
    """A font file. Widths are in thousandths of the font's size."""

    def __init__(self, content: bytes) -> None:
        """Take the file's bytes. Raises: ValueError for a font that has not what is needed."""
        self._tables = dict(_tables(content))
        missing = {"cmap", "glyf", "head", "hhea", "hmtx", "loca", "maxp"} - self._tables.keys()
        if missing:
            raise ValueError(f"the font lacks {', '.join(sorted(missing))}")
        (self._em,) = struct.unpack_from(">H", self._tables["head"], 18)
        (long_places,) = struct.unpack_from(">h", self._tables["head"], 50)
        (self._count,) = struct.unpack_from(">H", self._tables["maxp"], 4)
        (self._widths,) = struct.unpack_from(">H", self._tables["hhea"], 34)
        form, scale = ("I", 1) if long_places else ("H", 2)
        places = struct.unpack_from(f">{self._count + 1}{form}", self._tables["loca"])
        self._places = [place * scale for place in places]
        self._glyphs = dict(_characters(self._tables["cmap"]))

    @property
    def measures(self) -> Measures:
        """Heights of the face."""
        ascent, descent = struct.unpack_from(">hh", self._tables["hhea"], 4)
        left, bottom, right, top = (self._scaled(n) for n in struct.unpack_from(">4h", self._tables["head"], 36))
        return Measures(self._scaled(ascent), self._scaled(descent), (left, bottom, right, top))

    def glyph(self, character: str) -> int | None:
        """Return the number of a character's glyph, None where the font has none."""
        return self._glyphs.get(ord(character))

    def width(self, glyph: int) -> int:
        """Return the advance of a glyph."""
        entry = min(glyph, self._widths - 1)
        return self._scaled(int.from_bytes(self._tables["hmtx"][entry * 4 : entry * 4 + 2]))

    def subset(self, glyphs: Iterable[int]) -> bytes:
        """Return the font with the outlines of these glyphs, and of what they are composed of, alone."""
        wanted = self._closure({0, *glyphs})
        outlines, places = bytearray(), []
        for number in range(self._count):
            places.append(len(outlines))
            if number in wanted:
                outline = self._outline(number)
                outlines += outline + b"\0" * (-len(outline) % 4)
        places.append(len(outlines))
        head = bytearray(self._tables["head"])
        struct.pack_into(">I", head, 8, 0)
        struct.pack_into(">h", head, 50, 1)
        changed = {"glyf": bytes(outlines), "loca": struct.pack(f">{len(places)}I", *places), "head": bytes(head)}
        return _assembled({tag: changed.get(tag, self._tables[tag]) for tag in KEPT if tag in self._tables})

    def _scaled(self, units: int) -> int:
        thousandths: int = round(units * THOUSAND / self._em)
        return thousandths

    def _outline(self, glyph: int) -> bytes:
        return self._tables["glyf"][self._places[glyph] : self._places[glyph + 1]]

    def _closure(self, glyphs: set[int]) -> set[int]:
        found: set[int] = set()
        waiting = sorted(glyphs)
        while waiting:
            glyph = waiting.pop()
            if glyph not in found:
                found.add(glyph)
                waiting += _components(self._outline(glyph))
        return found


def face(path: Path) -> Face:
    """Read a font file. Raises: OSError, ValueError."""
    try:
        return Face(path.read_bytes())
    except struct.error as error:
        raise ValueError(f"{path} is no TrueType font, or only a part of one") from error


def _tables(content: bytes) -> Iterator[tuple[str, bytes]]:
    _, count = struct.unpack_from(">IH", content)
    for number in range(count):
        tag, _, offset, length = struct.unpack_from(">4sIII", content, 12 + number * 16)
        yield tag.decode("latin-1"), content[offset : offset + length]


def _characters(table: bytes) -> Iterator[tuple[int, int]]:
    """Yield characters and their glyphs. Raises: ValueError."""
    _, count = struct.unpack_from(">HH", table)
    for number in range(count):
        platform, encoding, offset = struct.unpack_from(">HHI", table, 4 + number * 8)
        (form,) = struct.unpack_from(">H", table, offset)
        if (platform, encoding) == UNICODE_BMP and form == SEGMENTS:
            yield from _segments(table, offset)
            return
    raise ValueError("the font has no table of Unicode characters")


def _segments(table: bytes, offset: int) -> Iterator[tuple[int, int]]:
    """Yield the members of a table of format 4."""
    (double,) = struct.unpack_from(">H", table, offset + 6)
    count = double // 2
    columns = offset + 14
    ends = struct.unpack_from(f">{count}H", table, columns)
    starts = struct.unpack_from(f">{count}H", table, columns + double + 2)
    deltas = struct.unpack_from(f">{count}H", table, columns + 2 * double + 2)
    shifts = columns + 3 * double + 2
    for number, (start, end, delta) in enumerate(zip(starts, ends, deltas, strict=True)):
        place = shifts + number * 2
        (shift,) = struct.unpack_from(">H", table, place)
        for character in range(start, min(end, 0xFFFE) + 1):
            if shift:
                (glyph,) = struct.unpack_from(">H", table, place + shift + (character - start) * 2)
            else:
                glyph = character
            if glyph and (glyph + delta) & 0xFFFF:
                yield character, (glyph + delta) & 0xFFFF


def _components(outline: bytes) -> Iterator[int]:
    """Yield the glyphs that a glyph is composed of; none for one that is an outline itself, or empty."""
    if not outline or struct.unpack_from(">h", outline)[0] >= 0:
        return
    place, flags = 10, MORE_COMPONENTS
    while flags & MORE_COMPONENTS:
        flags, glyph = struct.unpack_from(">HH", outline, place)
        yield glyph
        place += 8 if flags & ARGS_ARE_WORDS else 6
        place += 2 if flags & HAS_SCALE else 4 if flags & HAS_XY_SCALE else 8 if flags & HAS_2X2 else 0


def _assembled(tables: Mapping[str, bytes]) -> bytes:
    """Return a font file of these tables, with right checksums."""
    count = len(tables)
    power = 1 << (count.bit_length() - 1)
    out = bytearray(struct.pack(">IHHHH", 0x0001_0000, count, power * 16, power.bit_length() - 1, (count - power) * 16))
    place, body = 12 + 16 * count, bytearray()
    head = 0
    for tag, table in sorted(tables.items()):
        out += struct.pack(">4sIII", tag.encode("latin-1"), _sum(table), place + len(body), len(table))
        head = place + len(body) if tag == "head" else head
        body += table + b"\0" * (-len(table) % 4)
    out += body
    struct.pack_into(">I", out, head + 8, (CHECKSUM - _sum(bytes(out))) & MASK)
    return bytes(out)


def _sum(table: bytes) -> int:
    padded = table + b"\0" * (-len(table) % 4)
    total: int = sum(struct.unpack(f">{len(padded) // 4}I", padded))
    return total & MASK
