"""A typeface in use: measures and encodes text, and becomes the objects of a PDF that embed what was used of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

from agent.statement.paper.objects import Name, PdfFile, Ref, Stream, Value
from agent.statement.paper.truetype import Face

THOUSAND: Final = 1000
BREAKS: Final = "\t\n\v\f\r"
"""Spaces that a font may have an empty glyph for."""
SYMBOLIC: Final = 4
STEM: Final = {False: 80, True: 140}
CAPITALS: Final = 711
BLOCK: Final = 100
"""So many entries a table of a CMap may have."""
CMAP: Final = """\
/CIDInit /ProcSet findresource begin
12 dict begin
begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Adobe-Identity-UCS def
/CMapType 2 def
1 begincodespacerange
<0000> <FFFF>
endcodespacerange
{tables}endcmap
CMapName currentdict /CMap defineresource pop
end
end
"""


class Typeface:
    """A face at any size; ``name`` is its PostScript name."""

    def __init__(self, name: str, face: Face, *, bold: bool = False) -> None:
        """Keep the face; nothing of it is used yet."""
        self._name = name
        self._face = face
        self._bold = bold
        self._used: dict[int, str] = {}
        self._widths: dict[str, int] = {}

    def readable(self, text: str) -> str:
        """Return a text in characters that the face has; any other is told by its number, and none is left out."""
        return "".join(self._shown(character) for character in unicodedata.normalize("NFC", text))

    def width(self, text: str, size: float) -> float:
        """Return the width of a readable text in points."""
        return sum(self._width(character) for character in text) * size / THOUSAND

    def encoded(self, text: str) -> bytes:
        """Return a readable text as the numbers of its glyphs, which count as used from now on."""
        out = bytearray()
        for character in text:
            glyph = self._face.glyph(character) or 0
            self._used.setdefault(glyph, character)
            out += glyph.to_bytes(2)
        return bytes(out)

    def embedded(self, file: PdfFile) -> Ref:
        """Add the font to a file, once all text is encoded."""
        name = f"{_tag(self._used)}+{self._name}"
        program = self._face.subset(self._used)
        descendant = file.add({
            "Type": Name("Font"),
            "Subtype": Name("CIDFontType2"),
            "BaseFont": Name(name),
            "CIDSystemInfo": {"Registry": b"Adobe", "Ordering": b"Identity", "Supplement": 0},
            "FontDescriptor": file.add(self._descriptor(file, name, program)),
            "DW": 0,
            "W": list(self._advances()),
            "CIDToGIDMap": Name("Identity"),
        })  # fmt: skip
        return file.add({
            "Type": Name("Font"),
            "Subtype": Name("Type0"),
            "BaseFont": Name(name),
            "Encoding": Name("Identity-H"),
            "DescendantFonts": [descendant],
            "ToUnicode": file.add(Stream(_to_unicode(self._used).encode("ascii"))),
        })  # fmt: skip

    def _shown(self, character: str) -> str:
        if character in BREAKS:
            return " "
        if self._face.glyph(character) is not None:
            return character
        return " " if character.isspace() else f"[U+{ord(character):04X}]"

    def _width(self, character: str) -> int:
        known = self._widths.get(character)
        if known is None:
            known = self._widths[character] = self._face.width(self._face.glyph(character) or 0)
        return known

    def _descriptor(self, file: PdfFile, name: str, program: bytes) -> Mapping[str, Value]:
        measures = self._face.measures
        return {
            "Type": Name("FontDescriptor"),
            "FontName": Name(name),
            "Flags": SYMBOLIC,
            "FontBBox": list(measures.box),
            "ItalicAngle": 0,
            "Ascent": measures.ascent,
            "Descent": measures.descent,
            "CapHeight": CAPITALS,
            "StemV": STEM[self._bold],
            "FontFile2": file.add(Stream(program, {"Length1": len(program)})),
        }

    def _advances(self) -> Iterator[Value]:
        for glyph in sorted(self._used):
            yield glyph
            yield [self._face.width(glyph)]


def _tag(used: Mapping[int, str]) -> str:
    """Return the six letters that tell a subset from others of the font."""
    digest = sha256(",".join(map(str, sorted(used))).encode()).digest()
    return "".join(chr(ord("A") + byte % 26) for byte in digest[:6])


def _to_unicode(used: Mapping[int, str]) -> str:
    """Return the table by which readers copy and search the text."""
    entries = [
        f"<{glyph:04X}> <{character.encode('utf-16-be').hex().upper()}>" for glyph, character in sorted(used.items())
    ]
    blocks = (entries[at : at + BLOCK] for at in range(0, len(entries), BLOCK))
    tables = "".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks)
    return CMAP.format(tables=tables)
