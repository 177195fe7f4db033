"""The facts in a database file, read from its bytes alone: for a ledger whose tables no longer lead to them.

Facts are never changed, so a page is as good as another wherever it lies in the file. Of other tables a page that lies
about may be an old one: they are not read like this.
Source: the file format of SQLite 3 (sqlite.org/fileformat2.html), sections 1.3, 1.6 and 2.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from agent.buffer.codec import FACTS
from agent.buffer.second import Row

Field: TypeAlias = int | float | bytes | str | None

LEAF: Final = 0x0D
"""First byte of a page with the rows of a table that have numbers."""
HEADER: Final = 100
SIZES: Final = frozenset({512, 1024, 2048, 4096, 8192, 16384, 32768, 65536})
USUAL: Final = 4096
COLUMNS: Final = ("seq", "session", "session_seq", "kind", "schema", "boot", "mono", "wall", "json")
LARGEST: Final = 4 * 1024 * 1024
"""No fact is larger, in bytes."""
#: serial type -> bytes of an integer.
WIDTHS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


@dataclass(frozen=True, slots=True)
class Pages:
    """A database file by pages; size: of one in bytes; usable: without what is reserved at its end."""

    file: BinaryIO
    size: int
    usable: int

    def page(self, number: int) -> bytes:
        """Return a page, from 1; empty behind the end of the file."""
        self.file.seek((number - 1) * self.size)
        return self.file.read(self.size)


def facts(path: Path) -> Iterator[Row]:
    """Yield every fact in a file that can be read, in no order. Raises: OSError."""
    with path.open("rb") as file:
        pages = _pages(file)
        number = 1
        while page := pages.page(number):
            yield from _facts_of(pages, page, HEADER if number == 1 else 0)
            number += 1


def _pages(file: BinaryIO) -> Pages:
    head = file.read(HEADER)
    told = int.from_bytes(head[16:18]) if len(head) == HEADER else 0
    size = 65536 if told == 1 else told
    if size not in SIZES:
        return Pages(file, USUAL, USUAL)
    return Pages(file, size, size - head[20])


def _facts_of(pages: Pages, page: bytes, begin: int) -> Iterator[Row]:
    if len(page) < pages.size or page[begin] != LEAF:
        return
    count = int.from_bytes(page[begin + 3 : begin + 5])
    for place in range(begin + 8, min(begin + 8 + 2 * count, pages.size - 1), 2):
        try:
            row = _fact(pages, page, int.from_bytes(page[place : place + 2]))
        except (IndexError, ValueError, struct.error):
            continue
        if row is not None:
            yield row


def _fact(pages: Pages, page: bytes, cell: int) -> Row | None:
    """Return the row of a cell; None where it is no fact. Raises: IndexError, ValueError, struct.error."""
    length, cell = _varint(page, cell)
    number, cell = _varint(page, cell)
    if length > LARGEST:
        return None
    fields = _fields(_payload(pages, page, cell, length))
    if len(fields) != len(COLUMNS) or fields[0] is not None or fields[3] not in FACTS:
        return None
    row = dict(zip(COLUMNS, (number, *fields[1:]), strict=True))
    if not isinstance(row["mono"], int | float):
        return None
    return {**row, "mono": float(row["mono"])}


def _payload(pages: Pages, page: bytes, place: int, length: int) -> bytes:
    """Return a row's bytes, with those on other pages. Raises: ValueError where the chain of pages is broken."""
    most = pages.usable - 35
    if length <= most:
        return page[place : place + length]
    least = (pages.usable - 12) * 32 // 255 - 23
    here = least + (length - least) % (pages.usable - 4)
    here = here if here <= most else least
    content = page[place : place + here]
    following = int.from_bytes(page[place + here : place + here + 4])
    while len(content) < length:
        other = pages.page(following) if following else b""
        if len(other) < pages.size:
            raise ValueError(following)
        content += other[4 : min(pages.usable, 4 + length - len(content))]
        following = int.from_bytes(other[:4])
    return content


def _fields(record: bytes) -> list[Field]:
    """Return the columns of a record (section 2.1). Raises: IndexError, ValueError, struct.error."""
    head, place = _varint(record, 0)
    kinds: list[int] = []
    while place < head:
        kind, place = _varint(record, place)
        kinds.append(kind)
    fields: list[Field] = []
    for kind in kinds:
        field, place = _field(record, place, kind)
        fields.append(field)
    return fields


def _field(record: bytes, place: int, kind: int) -> tuple[Field, int]:
    if kind in WIDTHS:
        end = place + WIDTHS[kind]
        return int.from_bytes(_cut(record, place, end), signed=True), end
    if kind == 7:  # noqa: PLR2004  # section 2.1, as all numbers here
        return float(struct.unpack(">d", _cut(record, place, place + 8))[0]), place + 8
    if kind in {0, 8, 9}:
        return (None if kind == 0 else kind - 8), place
    end = place + (kind - 12) // 2
    content = _cut(record, place, end)
    return (content.decode() if kind % 2 else content), end


def _cut(record: bytes, begin: int, end: int) -> bytes:
    if not begin <= end <= len(record):
        raise ValueError(end)
    return record[begin:end]


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return an integer of 1 to 9 bytes, and where the next thing begins (section 1.6). Raises: IndexError."""
    value = 0
    for _ in range(8):
        byte = content[place]
        place += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:  # noqa: PLR2004  # the last byte
            return value, place
    return value << 8 | content[place], place + 1
