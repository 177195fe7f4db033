"""The tape: all that a process did to its disk, and all that it told the outside world, in one order.

Paths are relative to the directory that is watched. What may reach the disk is noted before it is done, what makes it
durable after it is done: a cut anywhere on the tape is a cut at a real moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Created:
    """A file, or a directory, came into being."""

    path: str
    directory: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes of a file, from an offset on."""

    path: str
    offset: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Truncated:
    """A file got this size."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """What was written to a file is durable, its size too."""

    path: str


@dataclass(frozen=True, slots=True)
class DirectorySynced:
    """The entries of a directory are durable; "" is the directory that is watched."""

    path: str


@dataclass(frozen=True, slots=True)
class Removed:
    """A file's name went."""

    path: str


@dataclass(frozen=True, slots=True)
class Renamed:
    """A file's name changed; what had the new name before went."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class PowerCut:
    """The power went, and this is what the disk had when it came back: content by path, None for a directory."""

    image: Mapping[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Told:
    """Something that others know by now, or that a trial needs to know; nothing on the disk."""

    what: object


Operation: TypeAlias = Created | Written | Truncated | Synced | DirectorySynced | Removed | Renamed
Entry: TypeAlias = Operation | PowerCut | Told


class Tape:
    """Entries in their order."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self.entries)

    def note(self, entry: Entry) -> None:
        """Take the next entry."""
        self.entries.append(entry)

    def tell(self, what: object) -> None:
        """Note what the outside world learns now."""
        self.note(Told(what))

    def cut(self, length: int) -> None:
        """Forget what came after so many entries: it has not happened."""
        del self.entries[length:]

    def told(self, start: int = 0, end: int | None = None) -> Iterator[object]:
        """Yield what was told between two places."""
        return (entry.what for entry in self.entries[start:end] if isinstance(entry, Told))
