"""Rows of styled text of an exact width, and the fewest bytes that turn one picture into the next.

Sources: ECMA-48 (cursor position, rendition), Unicode UAX 11 (width of characters).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

#: Style -> its rendition; those of COLOURS are left out where somebody wants none.
STYLES: Final[Mapping[str, str]] = {"": "", "bold": "1", "dim": "2", "bar": "7", "title": "1"}
COLOURS: Final[Mapping[str, str]] = {
    "good": "32",
    "bad": "1;31",
    "you": "33",
    "cloud": "36",
    "agent": "35",
    "key": "1;36",
}
PLAIN: Final[Mapping[str, str]] = {name: "1" if name in {"bad", "key"} else "" for name in COLOURS}
ASCII: Final = str.maketrans("│─…", "|-~")
WIDE: Final = frozenset({"W", "F"})


@dataclass(frozen=True, slots=True)
class Span:
    """A text in a style."""

    text: str
    style: str = ""


Row: TypeAlias = tuple[Span, ...]


def row(*parts: str | Span) -> Row:
    """Return a row of spans and plain texts."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def width_of(text: str) -> int:
    """Return how many cells a text takes."""
    return sum(map(_cells, text))


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in WIDE else 1


def clipped(text: str, width: int) -> str:
    """Return a text of at most so many cells; the end of a longer one is a dot that shows it."""
    if width_of(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _cells(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept) + "…" if width > 0 else ""


def fitted(cells: Iterable[Span], width: int) -> Row:
    """Return a row of exactly so many cells: cut, or filled with blanks."""
    spans, left = [], width
    for span in cells:
        text = clipped(span.text, left)
        if text:
            spans.append(Span(text, span.style))
        left -= width_of(text)
        if text != span.text:
            break
    return (*spans, Span(" " * left)) if left > 0 else tuple(spans)


def columns(left: Sequence[Row], right: Sequence[Row], *, width: int, height: int) -> list[Row]:
    """Return two blocks side by side with a line between them."""
    half = width // 2
    rows = []
    for place in range(height):
        one = left[place] if place < len(left) else ()
        other = right[place] if place < len(right) else ()
        rows.append((*fitted(one, half - 1), Span(" │ ", "dim"), *fitted(other, width - half - 2)))
    return rows


@dataclass(frozen=True, slots=True)
class Picture:
    """What a screen shows: rows of exactly ``width`` cells; cursor: column and row of a visible one, from 0 on."""

    width: int
    rows: tuple[Row, ...]
    cursor: tuple[int, int] | None = None


class Painter:
    """Turns pictures into bytes: only rows that differ from the last picture, none of them cleared first.

    colour: False leaves the colours away. unicode: False writes ASCII.
    """

    def __init__(self, *, colour: bool, unicode: bool = True) -> None:
        self._unicode = unicode
        self._renditions = dict(STYLES) | dict(COLOURS if colour else PLAIN)
        self._shown: dict[int, str] = {}
        self._size = (0, 0)

    def forget(self) -> None:
        """Something else was on the screen: paint all of it next time."""
        self._size = (0, 0)

    def paint(self, picture: Picture) -> bytes:
        """Return what makes the terminal show a picture; empty where it shows it already."""
        size = (picture.width, len(picture.rows))
        parts = []
        if size != self._size:
            self._size, self._shown = size, {}
            parts.append("\x1b[0m\x1b[2J")
        for place, spans in enumerate(picture.rows):
            text = "".join(map(self._painted, spans))
            if self._shown.get(place) != text:
                self._shown[place] = text
                parts.append(f"\x1b[{place + 1};1H{text}")
        cursor = "\x1b[?25l" if picture.cursor is None else _placed(*picture.cursor)
        if not parts and self._shown.get(-1) == cursor:
            return b""
        self._shown[-1] = cursor
        # begin and end of a synchronised update, which terminals that do not know it pass over
        return self._encoded(f"\x1b[?2026h\x1b[?25l{''.join(parts)}{cursor}\x1b[?2026l")

    def _encoded(self, text: str) -> bytes:
        return text.encode(errors="replace") if self._unicode else text.translate(ASCII).encode("ascii", "replace")

    def _painted(self, span: Span) -> str:
        rendition = self._renditions[span.style]
        return f"\x1b[{rendition}m{span.text}\x1b[0m" if rendition else span.text


def _placed(column: int, line: int) -> str:
    return f"\x1b[{line + 1};{column + 1}H\x1b[?25h"
