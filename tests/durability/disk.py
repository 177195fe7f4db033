"""A disk as a power cut leaves it: what was synced is there; of what was written since, what chance has let through.

What happens to the content of files (``Data``) and to their names (``Names``) are independent choices.

NONE      nothing that was not synced.
PREFIX    everything up to some moment since the last sync, over all files.
TORN      the same, and the last write cut off at any byte.
SECTORS   of each write any of its sectors of 512 bytes, in any combination; sizes grow with what is there.
MOMENTS   each sector, and the size, as it was at some moment since the file's last sync: as page caches write back.
ALL       everything: what a killed process leaves behind.

ORDERED   creations, removals and renames reach the disk in their order, all of them before the next sync of anything
          returns (ext4 and others with one journal for all metadata); a cut shows some first part of the rest.
STRICT    only a sync of the directory makes its entries durable (POSIX promises no more); before that each entry is as
          it was at some moment, alone; a rename has happened or not, for both names together.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from tests.durability.tape import (
    Created,
    DirectorySynced,
    Entry,
    PowerCut,
    Removed,
    Renamed,
    Synced,
    Truncated,
    Written,
)

SECTOR: Final = 512
Change: TypeAlias = Written | Truncated
Entries: TypeAlias = dict[str, "Inode"]
NameChange: TypeAlias = Created | Removed | Renamed


class Data(StrEnum):
    """What becomes of content that was not synced."""

    NONE = "none"
    PREFIX = "prefix"
    TORN = "torn"
    SECTORS = "sectors"
    MOMENTS = "moments"
    ALL = "all"


class Names(StrEnum):
    """What becomes of names whose directory was not synced."""

    ORDERED = "ordered"
    STRICT = "strict"


@dataclass(eq=False, slots=True)
class Inode:
    """A file or a directory: what is durable of it, and what was done since, each with its moment."""

    directory: bool = False
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, Change]] = field(default_factory=list)

    def settle(self) -> None:
        """Make durable what was done."""
        for _, change in self.pending:
            apply(self.durable, change)
        self.pending.clear()

    def whole(self) -> bytes:
        """Return the content as programs see it."""
        content = bytearray(self.durable)
        for _, change in self.pending:
            apply(content, change)
        return bytes(content)


@dataclass(slots=True)
class Namespace:
    """The names under one of the two models: those that are durable, and what was done to names since."""

    rule: Names
    durable: Entries = field(default_factory=dict)
    pending: list[tuple[NameChange, Inode]] = field(default_factory=list)

    def sync(self, directory: str | None) -> None:
        """Take a sync, of a directory or (None) of a file."""
        if self.rule is Names.ORDERED:
            settled, self.pending = self.pending, []
        elif directory is not None:
            inside = [p for p in self.pending if parent(p[0].path) == directory]
            settled, self.pending = inside, [p for p in self.pending if p not in inside]
        else:
            return
        for change, inode in settled:
            rename(self.durable, change, inode)

    def survivors(self, chance: random.Random) -> Entries:
        """Return the names that a cut now leaves."""
        names = dict(self.durable)
        groups = [self.pending] if self.rule is Names.ORDERED else _groups(self.pending)
        for group in groups:
            for change, inode in group[: chance.randint(0, len(group))]:
                rename(names, change, inode)
        return names


class Disk:
    """Follows a tape; at any place of it an image of the disk after a cut can be had."""

    def __init__(self) -> None:
        self._live: Entries = {}
        self._spaces = {rule: Namespace(rule) for rule in Names}
        self._moment = 0

    def follow(self, entries: Iterable[Entry]) -> None:
        """Take what happened next."""
        for entry in entries:
            self._moment += 1
            self._take(entry)

    def files(self) -> dict[str, bytes]:
        """Return all files as programs see them now."""
        return {path: inode.whole() for path, inode in self._live.items() if not inode.directory}

    @property
    def unsynced(self) -> bool:
        """Tell whether a cut now could take anything away."""
        return any(i.pending for i in self._live.values()) or any(space.pending for space in self._spaces.values())

    def image(self, data: Data, names: Names, chance: random.Random) -> dict[str, bytes | None]:
        """Return what a cut now leaves: content by path, None for a directory."""
        entries = dict(self._live) if data is Data.ALL else self._spaces[names].survivors(chance)
        inodes = list(dict.fromkeys(entries.values()))
        moments = sorted({at for inode in inodes for at, _ in inode.pending})
        until = chance.choice([0, *moments])
        contents = {id(inode): _content(inode, data, until, chance) for inode in inodes}
        return {
            path: None if inode.directory else contents[id(inode)]
            for path, inode in sorted(entries.items())
            if _reachable(path, entries)
        }

    def _take(self, entry: Entry) -> None:
        match entry:
            case Written() | Truncated():
                self._live[entry.path].pending.append((self._moment, entry))
            case Created():
                self._name(entry, Inode(entry.directory))
            case Removed() | Renamed():
                self._name(entry, self._live[entry.path])
            case Synced():
                self._live[entry.path].settle()
                self._sync(None)
            case DirectorySynced():
                self._sync(entry.path)
            case PowerCut():
                self._restart(entry.image)

    def _name(self, change: NameChange, inode: Inode) -> None:
        rename(self._live, change, inode)
        for space in self._spaces.values():
            space.pending.append((change, inode))

    def _sync(self, directory: str | None) -> None:
        for space in self._spaces.values():
            space.sync(directory)

    def _restart(self, image: Mapping[str, bytes | None]) -> None:
        """Begin anew from what a cut has left."""
        self._live = {}
        for path, content in image.items():
            self._live[path] = Inode(directory=content is None, durable=bytearray(content or b""))
            while path := parent(path):
                self._live.setdefault(path, Inode(directory=True))
        for space in self._spaces.values():
            space.durable, space.pending = dict(self._live), []


def apply(content: bytearray, change: Change) -> None:
    """Do to a content what was done; a gap is zeros."""
    if isinstance(change, Truncated):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    content.extend(bytes(max(change.offset - len(content), 0)))
    content[change.offset : change.offset + len(change.content)] = change.content


def rename(names: Entries, change: NameChange, inode: Inode) -> None:
    """Do to names what was done."""
    match change:
        case Created(path):
            names[path] = inode
        case Removed(path):
            names.pop(path, None)
        case Renamed(path, to):
            names.pop(path, None)
            names[to] = inode


def parent(path: str) -> str:
    """Return the directory of a path, "" for the one that is watched."""
    return path.rpartition("/")[0]


def _reachable(path: str, names: Entries) -> bool:
    above = parent(path)
    return not above or (above in names and _reachable(above, names))


def _groups(pending: list[tuple[NameChange, Inode]]) -> list[list[tuple[NameChange, Inode]]]:
    """Return what was done to names, in groups that have no name in common."""
    groups: list[tuple[set[str], list[tuple[NameChange, Inode]]]] = []
    for change, inode in pending:
        names = {change.path, change.to} if isinstance(change, Renamed) else {change.path}
        joined = [(change, inode)]
        touching = [group for group in groups if group[0] & names]
        for group in touching:
            groups.remove(group)
        merged = [p for p in pending if any(p in group[1] for group in touching)]
        groups.append((names.union(*(group[0] for group in touching)), merged + joined))
    return [group for _, group in groups]


def _content(inode: Inode, data: Data, until: int, chance: random.Random) -> bytes:
    """Return what is left of a file; until: the moment of a cut that keeps the order of writes."""
    changes = [change for at, change in inode.pending if at <= until]
    match data:
        case Data.NONE:
            changes = []
        case Data.TORN if changes and inode.pending[len(changes) - 1][0] == until:
            changes = [*changes[:-1], *_torn(changes[-1], chance)]
        case Data.SECTORS:
            changes = [piece for _, change in inode.pending for piece in _pieces(change) if chance.random() < 0.5]
        case Data.MOMENTS:
            return _moments(inode, chance)
        case Data.ALL:
            changes = [change for _, change in inode.pending]
    content = bytearray(inode.durable)
    for change in changes:
        apply(content, change)
    return bytes(content)


def _torn(change: Change, chance: random.Random) -> list[Change]:
    if isinstance(change, Truncated):
        return [change]
    kept = chance.randrange(len(change.content))
    return [Written(change.path, change.offset, change.content[:kept])] if kept else []


def _pieces(change: Change) -> list[Change]:
    """Split a write where sectors of the file end."""
    if isinstance(change, Truncated):
        return [change]
    first, end = change.offset, change.offset + len(change.content)
    ends = [*range(first // SECTOR * SECTOR + SECTOR, end, SECTOR), end]
    starts = [first, *ends[:-1]]
    return [Written(change.path, a, change.content[a - first : b - first]) for a, b in zip(starts, ends, strict=True)]


def _moments(inode: Inode, chance: random.Random) -> bytes:
    """Return a content of which each sector, and the size, is of some moment since the last sync."""
    content = bytearray(inode.durable)
    sizes, sectors = [len(content)], dict[int, list[bytes]]()
    for _, change in inode.pending:
        for number in _touched(change, len(content)):
            sectors.setdefault(number, [bytes(content[number * SECTOR : (number + 1) * SECTOR])])
        apply(content, change)
        sizes.append(len(content))
        for number in _touched(change, len(content)):
            sectors[number].append(bytes(content[number * SECTOR : (number + 1) * SECTOR]))
    result = bytearray(inode.durable)
    for number, versions in sectors.items():
        apply(result, Written("", number * SECTOR, chance.choice(versions)))
    apply(result, Truncated("", chance.choice(sizes)))
    return bytes(result)


def _touched(change: Change, size: int) -> range:
    """Return the numbers of the sectors whose content a change may have changed; size: of the file."""
    if isinstance(change, Truncated):
        low, high = sorted((change.size, size))
        return range(low // SECTOR, -(-high // SECTOR))
    return range(change.offset // SECTOR, -(-(change.offset + len(change.content)) // SECTOR))
