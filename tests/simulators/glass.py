"""A terminal for tests: what a program writes, as a person would see it, and whether it cleans up behind itself."""

from __future__ import annotations

import codecs
import re
import time
import unicodedata

TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([^\x1b]+)|(\x1b[^\[])", re.DOTALL)
UNFINISHED = re.compile(r"\x1b(?:\[[?0-9;]*)?\Z")


SETTLES_S = 1.0


class Glass:
    """Knows cursor position, erasing, modes, wrapping at the edge, and which screen is shown; raises for the rest."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.modes = {"1049": False, "25": True, "7": True, "2004": False, "2026": False}
        self.main = ""
        self.scrolled = 0
        self._cells = self._blank()
        self._column = self._row = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self._left = ""
        self._settles = 0.0

    @property
    def lines(self) -> list[str]:
        """What the alternate screen shows."""
        return ["".join(cell for cell in row if cell is not None).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def cursor(self) -> tuple[int, int]:
        return self._column, self._row

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._settles = time.monotonic() + SETTLES_S
        self._cells = self._blank()

    def feed(self, data: bytes) -> None:
        text = self._left + self._decoder.decode(data)
        unfinished = UNFINISHED.search(text)
        self._left = "" if unfinished is None else unfinished[0]
        text = text if unfinished is None else text[: unfinished.start()]
        place = 0
        while place < len(text):
            token = TOKEN.match(text, place)
            assert token is not None, f"cannot read {text[place : place + 20]!r}"
            place = token.end()
            if token[2]:
                self._control(token[1], token[2])
            else:
                assert token[3], f"unknown sequence {token[0]!r}"
                self._show(token[3])

    @property
    def _is_settling(self) -> bool:
        """The size was changed a moment ago: what was drawn for the old one may still arrive."""
        return time.monotonic() < self._settles

    def _blank(self) -> list[list[str | None]]:
        return [[" "] * self.columns for _ in range(self.rows)]

    def _control(self, numbers: str, final: str) -> None:
        match final:
            case "H":
                row, column = (int(number) for number in numbers.split(";"))
                assert row >= 1
                assert row <= self.rows or self._is_settling
                self._row, self._column = min(row, self.rows) - 1, min(column, self.columns) - 1
            case "J":
                assert numbers == "2"
                self._cells = self._blank()
            case "h" | "l":
                assert numbers[1:] in self.modes, f"unknown mode {numbers}"
                self.modes[numbers[1:]] = final == "h"
            case "m":
                assert re.fullmatch(r"[0-9;]*", numbers)
            case _:
                raise AssertionError(f"unknown sequence CSI {numbers} {final}")

    def _show(self, text: str) -> None:
        if not self.modes["1049"]:
            self.main += text
            return
        for character in text:
            assert character.isprintable(), f"{character!r} on the screen"
            if unicodedata.combining(character):
                continue
            cells = 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
            if self._column + cells > self.columns:
                self.scrolled += not self._is_settling  # with wrapping this would run into the next row
                continue
            self._cells[self._row][self._column] = character
            if cells == 2:
                self._cells[self._row][self._column + 1] = None
            self._column += cells
