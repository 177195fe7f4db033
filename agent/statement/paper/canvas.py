"""Draws on one page. Points (1/72 inch) from the top left corner, y downwards; text stands on its base line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NewType

from agent.statement.paper.objects import number
from agent.statement.paper.typeface import Typeface

Grey = NewType("Grey", float)
"""From 0, black, to 1, white."""
BLACK: Final = Grey(0.0)
WIDTH: Final = 595.276
HEIGHT: Final = 841.89
MM: Final = 72 / 25.4


@dataclass(frozen=True, slots=True)
class Style:
    """How text looks: face, size in points, and shade."""

    face: Typeface
    size: float
    grey: Grey = BLACK

    @property
    def leading(self) -> float:
        """Distance of two base lines."""
        return self.size * 1.3

    @property
    def drop(self) -> float:
        """From the top of a line to its base line."""
        return self.size * 1.02


class Canvas:
    """One page of A4. ``faces``: names of typefaces in the page's resources."""

    def __init__(self, faces: dict[Typeface, str]) -> None:
        """Begin an empty page."""
        self._faces = faces
        self._out: list[bytes] = []

    @property
    def content(self) -> bytes:
        """The page's operators."""
        return b"\n".join(self._out) + b"\n"

    def text(self, x: float, y: float, text: str, style: Style) -> None:
        """Write a readable text that begins at x."""
        if not text:
            return
        place = b"%b %b Td" % (number(x), number(HEIGHT - y))
        font = b"/%b %b Tf" % (self._faces[style.face].encode(), number(style.size))
        shown = style.face.encoded(text).hex().encode()
        self._out.append(b"BT %b g %b %b <%b> Tj ET" % (number(style.grey), font, place, shown))

    def rule(self, x: float, y: float, width: float, *, thick: float = 0.5, grey: Grey = BLACK) -> None:
        """Draw a horizontal line."""
        self._out.append(b"%b G %b w" % (number(grey), number(thick)))
        self._out.append(b"%b %b m %b %b l S" % (number(x), number(HEIGHT - y), number(x + width), number(HEIGHT - y)))

    def field(self, x: float, y: float, *, width: float, height: float, grey: Grey) -> None:
        """Fill a rectangle whose top left corner is at x, y."""
        corner = b"%b %b %b %b re f" % (number(x), number(HEIGHT - y - height), number(width), number(height))
        self._out.append(b"%b g %b" % (number(grey), corner))

    def picture(self, name: str, x: float, y: float, *, width: float, height: float) -> None:
        """Place a picture of the page's resources by its top left corner."""
        matrix = (width, 0, 0, height, x, HEIGHT - y - height)
        self._out.append(b"q %b cm /%b Do Q" % (b" ".join(map(number, matrix)), name.encode()))
