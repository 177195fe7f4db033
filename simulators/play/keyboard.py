"""What somebody types: bytes of a terminal in, keys and finished lines out. Reads nothing itself.

Sources: ECMA-48 (control sequences), the key tables of xterm.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Final

#: What follows ESC [ or ESC O -> key.
SEQUENCES: Final = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "H": "home",
    "F": "end",
    "1~": "home",
    "3~": "delete",
    "4~": "end",
    "Z": "tab",
}
#: Single characters that are no text -> key.
CONTROLS: Final = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x01": "home",
    "\x02": "left",
    "\x03": "interrupt",
    "\x04": "end-of-input",
    "\x05": "end",
    "\x06": "right",
    "\x0c": "redraw",
    "\x15": "erase-line",
    "\x17": "erase-word",
}
ESCAPE: Final = "\x1b"
CONTROL_SEQUENCE: Final = re.compile(r"\x1b(?:\[([0-?]*[ -/]*[@-~])|O([ -~]))")
#: A sequence that is not finished yet.
UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|O)?")
PASTE_BEGINS, PASTE_ENDS = "200~", f"{ESCAPE}[201~"
LONGEST_PASTE: Final = 4096


@dataclass(frozen=True, slots=True)
class Key:
    """A key. name: of one that is no text, "paste" for pasted text; text: what it types."""

    name: str
    text: str = ""


class Keyboard:
    """Sans-I/O: feed bytes, take the keys that became complete; unknown sequences give none.

    A lone Escape cannot be told from the begin of a sequence: call ``silence`` when nothing has followed for a moment.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._left = ""

    def feed(self, data: bytes) -> list[Key]:
        """Return the keys that are complete now, in order."""
        self._left += self._decoder.decode(data)
        keys: list[Key] = []
        while self._left:
            taken = self._take(keys)
            if not taken:
                break
            self._left = self._left[taken:]
        return keys

    @property
    def waits(self) -> bool:
        """Whether a sequence has begun that may be a lone Escape."""
        return self._left == ESCAPE

    def silence(self) -> list[Key]:
        """Nothing has followed: return what the rest means; half a sequence means nothing, a paste goes on."""
        if self._pasting():
            return []
        rest, self._left = self._left, ""
        return [Key("escape")] if rest == ESCAPE else []

    def _take(self, keys: list[Key]) -> int:
        """Add the key at the front of what is left; return how many characters it took, 0: not all of it is there."""
        first = self._left[0]
        if first != ESCAPE:
            if first in CONTROLS:
                keys.append(Key(CONTROLS[first]))
            elif first.isprintable():
                keys.append(Key("", first))
            return 1
        if self._pasting():
            return self._take_paste(keys)
        found = CONTROL_SEQUENCE.match(self._left)
        if found is None:
            return 0 if UNFINISHED.fullmatch(self._left) else self._take_escape(keys)
        name = SEQUENCES.get(found[1] or found[2] or "")
        if name is not None:
            keys.append(Key(name))
        return found.end()

    @staticmethod
    def _take_escape(keys: list[Key]) -> int:
        keys.append(Key("escape"))
        return 1

    def _pasting(self) -> bool:
        return self._left.startswith(f"{ESCAPE}[{PASTE_BEGINS}")

    def _take_paste(self, keys: list[Key]) -> int:
        end = self._left.find(PASTE_ENDS)
        if end < 0:
            if len(self._left) > LONGEST_PASTE:  # an end that never comes must not take the keyboard away
                return len(self._left)
            return 0
        pasted = self._left[len(ESCAPE) + 1 + len(PASTE_BEGINS) : end]
        text = "".join(character for character in pasted if character.isprintable())
        keys.append(Key("paste", text))
        return end + len(PASTE_ENDS)


@dataclass(slots=True)
class Prompt:
    """A line that is being typed. ``open``: whether one is; ``cursor``: where, in characters."""

    open: bool = False
    text: str = ""
    cursor: int = 0
    _earlier: list[str] = field(default_factory=list)
    _shown: int = 0

    def begin(self, text: str = "") -> None:
        """Begin a line, with a text already there."""
        self.open, self.text, self.cursor = True, text, len(text)
        self._shown = len(self._earlier)

    def press(self, key: Key) -> str | None:
        """Take a key; return the line where it was finished by Enter."""
        match key.name:
            case "" | "paste":
                self._put(self.text[: self.cursor] + key.text, self.text[self.cursor :])
            case "enter":
                return self._finish()
            case "escape" | "interrupt" | "end-of-input":
                self.open = False
            case "up" | "down":
                self._recall(-1 if key.name == "up" else 1)
            case _:
                self._edit(key.name)
        return None

    def _edit(self, name: str) -> None:
        before, after = self.text[: self.cursor], self.text[self.cursor :]
        match name:
            case "backspace":
                self._put(before[:-1], after)
            case "delete":
                self._put(before, after[1:])
            case "erase-line":
                self._put("", after)
            case "erase-word":
                kept = before.rstrip()
                self._put(kept[: kept.rfind(" ") + 1], after)
            case _:
                places = {"left": self.cursor - 1, "right": self.cursor + 1, "home": 0, "end": len(self.text)}
                self.cursor = min(max(places.get(name, self.cursor), 0), len(self.text))

    def _put(self, before: str, after: str) -> None:
        self.text, self.cursor = before + after, len(before)

    def _finish(self) -> str:
        self.open = False
        if self.text.strip() and self._earlier[-1:] != [self.text]:
            self._earlier.append(self.text)
        return self.text

    def _recall(self, step: int) -> None:
        self._shown = min(max(self._shown + step, 0), len(self._earlier))
        self._put(self._earlier[self._shown] if self._shown < len(self._earlier) else "", "")
