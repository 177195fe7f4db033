"""Fills pages from top to bottom: text that wraps, rows of cells, and what stands at the head of a page.

A block is a pile of strips. It stays together where it fits on a page; one that is longer than a page is continued on
the next, strip by strip. So nothing is ever cut off, however long a text is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from agent.statement.paper.canvas import Canvas, Grey, Style

Draw: TypeAlias = Callable[[Canvas, float], None]
"""Draws a strip whose top is at a height."""
LEFT, RIGHT = "left", "right"
RULE: Final = Grey(0.6)


@dataclass(frozen=True, slots=True)
class Strip:
    """A line of a block, drawn as a whole."""

    height: float
    draw: Draw


@dataclass(frozen=True, slots=True)
class Block:
    """Strips that belong together; heading: is not left alone at the foot of a page."""

    strips: tuple[Strip, ...]
    heading: bool = False

    @property
    def height(self) -> float:
        """Of all strips."""
        return sum(strip.height for strip in self.strips)


@dataclass(frozen=True, slots=True)
class Cell:
    """A text in a column: its left edge and width in points."""

    text: str
    x: float
    width: float
    style: Style
    align: str = LEFT


def wrapped(text: str, style: Style, width: float) -> list[str]:
    """Return a text in lines of at most a width, at least one; a word that is longer is broken."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in _words(style.face.readable(paragraph), style, width):
            joined = f"{line} {word}" if line else word
            if style.face.width(joined, style.size) <= width or not line:
                line = joined
            else:
                lines.append(line)
                line = word
        lines.append(line)
    return lines


def _words(text: str, style: Style, width: float) -> Iterator[str]:
    """Yield the words of a text, long ones in pieces."""
    for word in text.split(" "):
        piece = ""
        for character in word:
            if piece and style.face.width(piece + character, style.size) > width:
                yield piece
                piece = ""
            piece += character
        yield piece


def row(cells: Sequence[Cell], *, above: float = 0.0, below: float = 0.0) -> list[Strip]:
    """Return the strips of a row, each a line of its cells; above, below: space."""
    columns = [(cell, wrapped(cell.text, cell.style, cell.width)) for cell in cells]
    leading = max((cell.style.leading for cell in cells), default=0.0)
    count = max((len(lines) for _, lines in columns), default=0)
    drop = max((cell.style.drop for cell in cells), default=0.0)
    strips = [space(above)] if above else []
    for number in range(count):
        shown = [(cell, lines[number]) for cell, lines in columns if number < len(lines)]
        strips.append(Strip(leading, _line(shown, drop)))
    return [*strips, *([space(below)] if below else [])]


def _line(shown: Sequence[tuple[Cell, str]], drop: float) -> Draw:
    def draw(canvas: Canvas, top: float) -> None:
        for cell, text in shown:
            used = cell.style.face.width(text, cell.style.size) if cell.align == RIGHT else cell.width
            canvas.text(cell.x + cell.width - used, top + drop, text, cell.style)

    return draw


def space(height: float) -> Strip:
    """Return an empty strip."""
    return Strip(height, lambda _canvas, _top: None)


def rule(x: float, width: float, *, thick: float = 0.5, grey: Grey = RULE) -> Strip:
    """Return a strip with a horizontal line."""
    return Strip(thick, lambda canvas, top: canvas.rule(x, top + thick / 2, width, thick=thick, grey=grey))


def shaded(strips: Iterable[Strip], x: float, width: float, grey: Grey) -> list[Strip]:
    """Return strips on a grey ground."""
    return [Strip(strip.height, _on_ground(strip, x, width, grey=grey)) for strip in strips]


def _on_ground(strip: Strip, x: float, width: float, *, grey: Grey) -> Draw:
    def draw(canvas: Canvas, top: float) -> None:
        canvas.field(x, top, width=width, height=strip.height + 0.05, grey=grey)  # no seam between two strips
        strip.draw(canvas, top)

    return draw


class Pages:
    """Pages that are filled one after the other; top, bottom: where the body begins and ends on each."""

    def __init__(self, begin: Callable[[], Canvas], top: float, bottom: float) -> None:
        """Keep how a page begins; the first one does when something is put on it."""
        self._begin = begin
        self._top = top
        self._bottom = bottom
        self._y = bottom
        self._head: tuple[Strip, ...] = ()
        self._waiting: list[Block] = []
        self.canvases: list[Canvas] = []

    def head(self, strips: Sequence[Strip] = ()) -> None:
        """Set what the next pages begin with, like the head of a table that goes on; nothing ends it."""
        self._settle()
        self._head = tuple(strips)

    def put(self, block: Block) -> None:
        """Put a block below the last one; a heading waits for what follows it."""
        self._waiting.append(block)
        if not block.heading:
            self._settle()

    def done(self) -> list[Canvas]:
        """Return the pages, at least one."""
        self._settle()
        if not self.canvases:
            self._turn()
        return self.canvases

    def _settle(self) -> None:
        """Draw the blocks that wait, which belong together."""
        strips = [strip for block in self._waiting for strip in block.strips]
        height, whole = sum(strip.height for strip in strips), self._bottom - self._top
        fits = height <= self._bottom - self._y
        if strips and not fits and height <= whole - sum(strip.height for strip in self._head):
            self._turn()
        for strip in strips:
            if strip.height > self._bottom - self._y:
                self._turn()
            self._draw(strip)
        self._waiting.clear()

    def _turn(self) -> None:
        self.canvases.append(self._begin())
        self._y = self._top
        for strip in self._head:
            self._draw(strip)

    def _draw(self, strip: Strip) -> None:
        strip.draw(self.canvases[-1], self._y)
        self._y += strip.height
