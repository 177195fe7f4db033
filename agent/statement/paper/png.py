"""Reads a PNG picture (RFC 2083): header, palette and pixels; those with transparency are laid on white paper."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
DAMAGED: Final = "is a damaged PNG file; save it again"
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS: Final = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
DEPTHS: Final = {
    GREY: (1, 2, 4, 8, 16),
    COLOUR: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    COLOUR_ALPHA: (8, 16),
}
PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, and steps of the seven passes of an interlaced picture."""
WHOLE: Final = ((0, 0, 1, 1),)
OPAQUE: Final = 255
BYTE: Final = 8


@dataclass(frozen=True, slots=True)
class Header:
    """What the picture says of itself; kind: one of ``CHANNELS``."""

    width: int
    height: int
    depth: int
    kind: int
    interlaced: bool

    def row_bytes(self, width: int) -> int:
        """Return the length of a row of so many pixels, without its filter."""
        return (width * CHANNELS[self.kind] * self.depth + 7) // 8


@dataclass(frozen=True, slots=True)
class Png:
    """A picture. packed: its pixels as the file has them; palette: RGB; transparency: as in the file, mostly empty."""

    header: Header
    packed: bytes
    palette: bytes
    transparency: bytes

    @property
    def plain(self) -> bool:
        """Whether a PDF can take the pixels as they are."""
        return not (self.header.interlaced or self.transparency or self.header.kind in {GREY_ALPHA, COLOUR_ALPHA})

    def checked(self) -> bytes:
        """Return the pixels unpacked, still filtered. Raises: ValueError for too few or too many."""
        header = self.header
        sizes = ((_steps(header.width, x, dx), _steps(header.height, y, dy)) for x, y, dx, dy in self._passes)
        length = sum(rows * (1 + header.row_bytes(columns)) for columns, rows in sizes if columns)
        unpacker = zlib.decompressobj()
        try:
            raw = unpacker.decompress(self.packed, length + 1)
        except zlib.error as error:
            raise ValueError(DAMAGED) from error
        if len(raw) != length:
            raise ValueError(DAMAGED)
        return raw

    def on_white(self) -> bytes:
        """Return RGB, a byte each, row by row. Raises: ValueError."""
        header, raw, place = self.header, self.checked(), 0
        pixels = bytearray(header.width * header.height * 3)
        shades = [self._shade(number) for number in range(len(self.palette) // 3)] if header.kind == PALETTE else []
        for x, y, dx, dy in self._passes:
            columns, rows = _steps(header.width, x, dx), _steps(header.height, y, dy)
            size = header.row_bytes(columns)
            if not columns:
                continue
            step = max(CHANNELS[header.kind] * header.depth // BYTE, 1)
            lines = _unfiltered(raw[place : place + rows * (size + 1)], size, step)
            place += rows * (size + 1)
            for number, line in enumerate(lines):
                first = ((y + number * dy) * header.width + x) * 3
                for column, colour in zip(range(columns), self._colours(line, shades), strict=False):
                    at = first + column * dx * 3
                    pixels[at : at + 3] = colour
        return bytes(pixels)

    @property
    def _passes(self) -> tuple[tuple[int, int, int, int], ...]:
        return PASSES if self.header.interlaced else WHOLE

    def _colours(self, line: bytes, shades: list[bytes]) -> Iterator[bytes]:
        """Yield the pixels of a row as RGB; shades: of the palette."""
        kind, depth = self.header.kind, self.header.depth
        samples = _samples(line, depth)
        if kind == PALETTE:
            yield from (shades[min(sample, len(shades) - 1)] for sample in samples)
            return
        count, most = CHANNELS[kind], (1 << depth) - 1
        key = struct.unpack(f">{len(self.transparency) // 2}H", self.transparency) if self.transparency else None
        for at in range(0, len(samples) - count + 1, count):
            pixel = samples[at : at + count]
            alpha = most if kind in {GREY, COLOUR} else pixel[-1]
            colour = pixel[:1] * 3 if kind in {GREY, GREY_ALPHA} else pixel[:3]
            clear = key is not None and tuple(pixel) == key
            yield b"\xff\xff\xff" if clear else _blended(colour, alpha, most)

    def _shade(self, number: int) -> bytes:
        alpha = self.transparency[number] if number < len(self.transparency) else OPAQUE
        return _blended(self.palette[number * 3 : number * 3 + 3], alpha, OPAQUE)


def png_of(content: bytes) -> Png:
    """Return a picture. Raises: ValueError; its words follow the file's name."""
    chunks: dict[bytes, bytes] = {}
    packed = bytearray()
    for tag, body in _chunks(content):
        if tag == b"IDAT":
            packed += body
        else:
            chunks.setdefault(tag, body)
    header = _header(chunks.get(b"IHDR", b""))
    palette = chunks.get(b"PLTE", b"")
    if not packed or (header.kind == PALETTE and (not palette or len(palette) % 3)):
        raise ValueError(DAMAGED)
    transparency = chunks.get(b"tRNS", b"") if header.kind in {GREY, COLOUR, PALETTE} else b""
    if transparency and header.kind != PALETTE and len(transparency) != 2 * CHANNELS[header.kind]:
        raise ValueError(DAMAGED)
    return Png(header, bytes(packed), palette, transparency)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(SIGNATURE)
    while place < len(content):
        if len(content) < place + 12:
            raise ValueError(DAMAGED)
        (length,) = struct.unpack_from(">I", content, place)
        tag, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        check = content[place + 8 + length : place + 12 + length]
        if check != zlib.crc32(tag + body).to_bytes(4):
            raise ValueError(DAMAGED)
        if tag == b"IEND":
            return
        yield tag, body
        place += 12 + length
    raise ValueError(DAMAGED)


def _header(body: bytes) -> Header:
    try:
        width, height, depth, kind, packing, filtering, interlace = struct.unpack(">IIBBBBB", body)
    except struct.error as error:
        raise ValueError(DAMAGED) from error
    known = kind in DEPTHS and depth in DEPTHS[kind] and (packing, filtering) == (0, 0) and interlace in {0, 1}
    if not known or not (width and height):
        raise ValueError(DAMAGED)
    return Header(width, height, depth, kind, bool(interlace))


def _steps(length: int, first: int, step: int) -> int:
    return max(length - first + step - 1, 0) // step


def _unfiltered(raw: bytes, size: int, step: int) -> Iterator[bytes]:
    """Yield rows with their filters undone (section 6); step: bytes of a pixel, at least one."""
    above = bytes(size)
    for at in range(0, len(raw), size + 1):
        row = bytearray(raw[at + 1 : at + 1 + size])
        if raw[at] >= len(UNDO):
            raise ValueError(DAMAGED)
        UNDO[raw[at]](row, above, step)
        above = bytes(row)
        yield above


def _none(row: bytearray, above: bytes, step: int) -> None:
    """Leave a row as it is."""


def _sub(row: bytearray, above: bytes, step: int) -> None:  # noqa: ARG001  # the form of all five
    for i in range(step, len(row)):
        row[i] = row[i] + row[i - step] & 0xFF


def _up(row: bytearray, above: bytes, step: int) -> None:  # noqa: ARG001  # the form of all five
    for i in range(len(row)):
        row[i] = row[i] + above[i] & 0xFF


def _average(row: bytearray, above: bytes, step: int) -> None:
    for i in range(len(row)):
        row[i] = row[i] + ((row[i - step] if i >= step else 0) + above[i]) // 2 & 0xFF


def _paeth(row: bytearray, above: bytes, step: int) -> None:
    for i in range(len(row)):
        left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
        up = above[i]
        guess = left + up - corner
        to_left, to_up, to_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
        nearest = left if to_left <= to_up and to_left <= to_corner else up if to_up <= to_corner else corner
        row[i] = row[i] + nearest & 0xFF


#: By the number of the filter.
UNDO: Final = (_none, _sub, _up, _average, _paeth)


def _samples(line: bytes, depth: int) -> list[int]:
    if depth == BYTE:
        return list(line)
    if depth > BYTE:
        return list(struct.unpack(f">{len(line) // 2}H", line))
    mask = (1 << depth) - 1
    return [byte >> shift & mask for byte in line for shift in range(BYTE - depth, -1, -depth)]


def _blended(colour: bytes | list[int], alpha: int, most: int) -> bytes:
    """Return a colour of so much opacity on white, in bytes."""
    return bytes((value * alpha + most * (most - alpha)) * OPAQUE // (most * most) for value in colour)
