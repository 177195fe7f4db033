"""Pictures for a page: PNG and JPEG files, checked, in the form that a PDF takes."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.statement.paper.objects import Name, Stream, Value
from agent.statement.paper.png import CHANNELS, COLOUR, PALETTE, SIGNATURE, Png, png_of

MOST_BYTES: Final = 1_048_576
MOST_PIXELS: Final = 1_000_000
"""More than a letterhead shows on paper; a picture with transparency is computed here pixel by pixel."""
JPEG: Final = b"\xff\xd8\xff"
DAMAGED: Final = "is a damaged JPEG file; save it again"
SIZES: Final = frozenset({0xC0, 0xC1, 0xC2})
"""Start of frame: baseline, extended and progressive, which are what a PDF reader knows."""
OTHER_SIZES: Final = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a length."""
MARK: Final = 0xFF
SCAN: Final = 0xDA
ADOBE: Final = 0xEE
SPACES: Final = {1: "DeviceGray", 3: "DeviceRGB", 4: "DeviceCMYK"}
INK: Final = 4
DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture; width and height in pixels."""

    width: int
    height: int
    stream: Stream


def picture(path: Path) -> Picture:
    """Read a picture from a file. Raises: ValueError; its words follow the path."""
    return picture_of(_content(path))


def check(path: Path) -> None:
    """Look whether a file is a picture that can be used, without computing its pixels. Raises: ValueError, as above."""
    content = _bounded_file(_content(path))
    if content.startswith(SIGNATURE):
        header = png_of(content).header
        _bounded(header.width, header.height)
    else:
        picture_of(content)


def _content(path: Path) -> bytes:
    """Return a file's bytes, one more than allowed at most."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}); check the path") from error


def _bounded_file(content: bytes) -> bytes:
    if len(content) > MOST_BYTES:
        raise ValueError(f"is larger than {MOST_BYTES // 1024} KiB; save it smaller")
    return content


def picture_of(content: bytes) -> Picture:
    """Return the picture of a file's bytes. Raises: ValueError; its words follow the file's name."""
    if _bounded_file(content).startswith(SIGNATURE):
        png = png_of(content)
        _bounded(png.header.width, png.header.height)
        return _of_png(png)
    if content.startswith(JPEG):
        return _of_jpeg(content)
    raise ValueError("is no PNG and no JPEG picture; save it as one of these")


def _bounded(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise ValueError(f"has {width} x {height} pixels, and {MOST_PIXELS} are allowed; save it smaller")


def _of_png(png: Png) -> Picture:
    header = png.header
    entries: dict[str, Value] = {}
    if not png.plain:
        pixels = png.on_white()
        entries = {"ColorSpace": Name("DeviceRGB"), "BitsPerComponent": DEPTH}
        return _picture(header.width, header.height, Stream(pixels, entries))
    png.checked()
    count = CHANNELS[header.kind]
    if header.kind == PALETTE:
        entries["ColorSpace"] = [Name("Indexed"), Name("DeviceRGB"), len(png.palette) // 3 - 1, png.palette]
    else:
        entries["ColorSpace"] = Name("DeviceRGB" if header.kind == COLOUR else "DeviceGray")
    form: dict[str, Value] = {"Predictor": 15, "Colors": count}
    form |= {"BitsPerComponent": header.depth, "Columns": header.width}
    entries |= {"BitsPerComponent": header.depth, "Filter": Name("FlateDecode"), "DecodeParms": form}
    return _picture(header.width, header.height, Stream(png.packed, entries, plain=True))


def _of_jpeg(content: bytes) -> Picture:
    place, adobe = 2, False
    while True:
        try:
            fill, marker = struct.unpack_from(">BB", content, place)
            length = 0 if marker in ALONE else int.from_bytes(content[place + 2 : place + 4])
        except struct.error as error:
            raise ValueError(DAMAGED) from error
        if fill != MARK or marker == SCAN or (not length and marker not in ALONE):
            raise ValueError(DAMAGED)
        if marker in OTHER_SIZES:
            raise ValueError("is a JPEG of a rare kind; save it as an ordinary one")
        if marker in SIZES:
            return _framed(content, place, adobe=adobe)
        adobe = adobe or marker == ADOBE
        place += 2 + length


def _framed(content: bytes, place: int, *, adobe: bool) -> Picture:
    """Return the picture whose frame begins at a place."""
    try:
        depth, height, width, count = struct.unpack_from(">BHHB", content, place + 4)
    except struct.error as error:
        raise ValueError(DAMAGED) from error
    if count not in SPACES or depth != DEPTH or not (width and height) or b"\xff\xd9" not in content[-64:]:
        raise ValueError(DAMAGED)
    _bounded(width, height)
    entries: dict[str, Value] = {
        "ColorSpace": Name(SPACES[count]),
        "BitsPerComponent": DEPTH,
        "Filter": Name("DCTDecode"),
    }
    if adobe and count == INK:
        entries["Decode"] = [1, 0] * INK  # such files have their inks inverted
    return _picture(width, height, Stream(content, entries, plain=True))


def _picture(width: int, height: int, stream: Stream) -> Picture:
    form: dict[str, Value] = {"Type": Name("XObject"), "Subtype": Name("Image"), "Width": width, "Height": height}
    return Picture(width, height, Stream(stream.content, {**form, **stream.entries}, plain=stream.plain))
