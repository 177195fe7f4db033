"""Finds the line of every key of a TOML text, which the standard library's reader does not tell."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

Keys = tuple[str | int, ...]

SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
NAME: Final = re.compile(r'[ \t]*("(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|[A-Za-z0-9_-]+)[ \t]*')
#: A string that is closed by three quotes may have two more in front of them.
STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)
SCALAR: Final = re.compile(r"[^,\]}\n#]*")


def lines_of(text: str) -> Mapping[Keys, int]:
    """Return the line (from 1) of each table, key and element of an array.

    text: TOML that the reader has taken; of anything else the result is undefined.
    """
    return _Scanner(text).scan()


class _Scanner:
    """Walks over valid TOML and notes where keys begin."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._lines: dict[Keys, int] = {}
        self._last: dict[Keys, int] = {}

    def scan(self) -> dict[Keys, int]:
        """Return the lines."""
        table: Keys = ()
        self._take(SPACE)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._take(SPACE)
        return self._lines

    def _header(self) -> Keys:
        line = self._line()
        array = self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        *outer, name = self._name()
        self._at += 2 if array else 1
        table = self._inside((), outer)
        if array:
            self._last[(*table, name)] = self._last.get((*table, name), -1) + 1
        table = self._inside(table, [name])
        self._lines.setdefault((*table[:-1],) if array else table, line)
        self._lines[table] = line
        return table

    def _inside(self, table: Keys, names: list[str]) -> Keys:
        """Go down into tables, of an array into its last element."""
        for name in names:
            table = (*table, name)
            if table in self._last:
                table = (*table, self._last[table])
        return table

    def _pair(self, table: Keys) -> None:
        line = self._line()
        for name in self._name():
            table = (*table, name)
            self._lines.setdefault(table, line)
        self._at += 1
        self._take(SPACE)
        self._value(table)

    def _value(self, keys: Keys) -> None:
        match self._text[self._at]:
            case "[":
                self._array(keys)
            case "{":
                self._inline_table(keys)
            case '"' | "'":
                self._take(STRING)
            case _:
                self._take(SCALAR)

    def _array(self, keys: Keys) -> None:
        self._at += 1
        count = 0
        while not self._closed("]"):
            self._lines[(*keys, count)] = self._line()
            self._value((*keys, count))
            count += 1

    def _inline_table(self, keys: Keys) -> None:
        self._at += 1
        while not self._closed("}"):
            self._pair(keys)

    def _closed(self, bracket: str) -> bool:
        """Go on to the next element, or past the end."""
        self._take(SPACE)
        if self._text[self._at] == ",":
            self._at += 1
            self._take(SPACE)
        if self._text[self._at] == bracket:
            self._at += 1
            return True
        return False

    def _name(self) -> list[str]:
        names = [self._plain(self._take(NAME, 1))]
        while self._text[self._at] == ".":
            self._at += 1
            names.append(self._plain(self._take(NAME, 1)))
        return names

    @staticmethod
    def _plain(name: str) -> str:
        if name[0] not in "\"'":
            return name
        (plain,) = tomllib.loads(f"{name} = 0")
        return plain

    def _take(self, pattern: re.Pattern[str], group: int = 0) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            message = f"not TOML at {self._at}"
            raise ValueError(message)
        self._at = found.end()
        return found[group]

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)
