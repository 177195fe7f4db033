"""Type, columns and the look of the printed statement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from agent.statement.paper.canvas import MM, WIDTH, Grey, Style
from agent.statement.paper.flow import LEFT, Cell
from agent.statement.paper.truetype import Face, face
from agent.statement.paper.typeface import Typeface

FONTS: Final = Path(__file__).parent.parent / "fonts"
MARGIN: Final = 18 * MM
BODY: Final = WIDTH - 2 * MARGIN
DIM: Final = Grey(0.38)
GROUND: Final = Grey(0.93)
GUTTER: Final = 1.5 * MM
"""Between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: width in mm, and to which side its texts stand."""

    width: float
    align: str = LEFT


@dataclass(frozen=True, slots=True)
class Styles:
    """Styles of one document, whose typefaces note what is used of them."""

    regular: Typeface
    bold: Typeface

    @property
    def title(self) -> Style:
        """The document's title."""
        return Style(self.bold, 17.0)

    @property
    def heading(self) -> Style:
        """A section's title."""
        return Style(self.bold, 10.5)

    @property
    def body(self) -> Style:
        """Texts and figures."""
        return Style(self.regular, 8.5)

    @property
    def strong(self) -> Style:
        """Sums and names."""
        return Style(self.bold, 8.5)

    @property
    def small(self) -> Style:
        """Details of a session, and notes."""
        return Style(self.regular, 7.2, DIM)

    @property
    def label(self) -> Style:
        """What stands above a value or a column."""
        return Style(self.regular, 7.0, DIM)

    @property
    def faces(self) -> dict[Typeface, str]:
        """Their names in the resources of a page."""
        return {self.regular: "F1", self.bold: "F2"}


def styles() -> Styles:
    """Return styles of which nothing is used yet."""
    return Styles(Typeface("Roboto-Regular", _face("Regular")), Typeface("Roboto-Bold", _face("Bold"), bold=True))


@cache
def _face(weight: str) -> Face:
    return face(FONTS / f"Roboto-{weight}.ttf")


def cells(texts: Sequence[str], columns: Sequence[Column], style: Style) -> list[Cell]:
    """Return the cells of a table's row."""
    placed, x = [], MARGIN
    for text, column in zip(texts, columns, strict=True):
        width = column.width * MM
        placed.append(Cell(text, x, width - GUTTER if column.align == LEFT else width, style, column.align))
        x += width
    return placed


def across(text: str, style: Style, indent: float = 0.0) -> Cell:
    """Return a cell of the page's whole width; indent in mm."""
    return Cell(text, MARGIN + indent * MM, BODY - indent * MM, style)
