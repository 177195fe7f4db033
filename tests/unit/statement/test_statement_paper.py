"""Paper: PDF syntax, the embedded font, text that wraps and is never cut, and pictures."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.statement.paper.canvas import Canvas, Style
from agent.statement.paper.flow import Block, Cell, Pages, Strip, row, wrapped
from agent.statement.paper.objects import Name, PdfFile, Ref, Stream, encoded, number
from agent.statement.paper.picture import check, picture, picture_of
from agent.statement.paper.png import png_of
from agent.statement.paper.truetype import Face, face
from agent.statement.printing.styles import FONTS, styles
from tests.unit.statement.book import png

STYLES = styles()
BODY = STYLES.body


# ---- syntax ----------------------------------------------------------------------------------------------------------


def test_values_are_written_in_the_syntax_of_pdf() -> None:
    assert encoded({"A": Name("B"), "C": [1, 2.5, True, None, Ref(3)]}) == b"<</A /B /C [1 2.5 true null 3 0 R]>>"
    assert encoded("é") == b"<feff00e9>"
    assert encoded(b"\x01\xff") == b"<01ff>"


def test_numbers_have_no_exponent_and_no_superfluous_digit() -> None:
    assert [number(n) for n in (0.0, -0.0, 1e-9, 10.50, 1 / 3, 841.89)] == [
        b"0",
        b"0",
        b"0",
        b"10.5",
        b"0.333",
        b"841.89",
    ]


def test_a_file_tells_where_its_objects_are() -> None:
    file = PdfFile()
    root = file.add({"Type": Name("Catalog")})
    text = file.written(root, file.add({}))
    table = text[int(text.rsplit(b"startxref\n", 1)[1].split(b"\n")[0]) :]
    assert table.startswith(b"xref\n0 3\n0000000000 65535 f \n")
    assert text[int(table.split(b"\n")[3][:10]) :].startswith(b"1 0 obj\n<</Type /Catalog>>")


def test_a_stream_is_compressed_unless_it_says_otherwise() -> None:
    packed = encoded(Stream(b"x" * 100))
    assert zlib.decompress(packed.split(b"stream\n", 1)[1].removesuffix(b"\nendstream")) == b"x" * 100
    assert b"xxxx" in encoded(Stream(b"xxxx", plain=True))


# ---- font ------------------------------------------------------------------------------------------------------------


def test_figures_are_of_one_width_so_that_columns_stand() -> None:
    assert len({STYLES.regular.width(digit, 10) for digit in "0123456789"}) == 1


def test_a_subset_is_a_font_with_the_same_glyphs_and_far_smaller() -> None:
    whole = face(FONTS / "Roboto-Regular.ttf")
    glyphs = [glyph for c in "AÄé€" if (glyph := whole.glyph(c)) is not None]
    content = whole.subset(glyphs)
    assert len(content) < (FONTS / "Roboto-Regular.ttf").stat().st_size // 6
    (words,) = [struct.unpack(f">{len(content) // 4}I", content)]
    assert sum(words) & 0xFFFFFFFF == 0xB1B0AFBA
    (count,) = struct.unpack_from(">H", content, 4)
    tables = {content[12 + n * 16 : 16 + n * 16] for n in range(count)}
    assert tables >= {b"glyf", b"loca", b"head", b"hhea", b"hmtx", b"maxp"}


def test_a_composed_glyph_brings_its_parts() -> None:
    whole = face(FONTS / "Roboto-Regular.ttf")
    glyph, base = whole.glyph("Ä"), whole.glyph("A")
    assert glyph is not None
    assert base in whole._closure({glyph})


@pytest.mark.parametrize("content", [b"", b"\0\1\0\0\0\0", b"%PDF-1.7", bytes(100)])
def test_what_is_no_font_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_bytes(content)
    with pytest.raises(ValueError, match="font"):
        face(tmp_path / "font.ttf")
    with pytest.raises((ValueError, struct.error)):
        Face(content)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Łukasz Żółć Ωμέγα Жуков ệ €", "Łukasz Żółć Ωμέγα Жуков ệ €"),
        ("e\u0301", "é"),
        ("東京", "[U+6771][U+4EAC]"),
        ("a\x00b\u202e", "a[U+0000]b[U+202E]"),
        ("\N{BATTERY}", "[U+1F50B]"),
        ("a\tb", "a b"),
    ],
)
def test_a_character_that_the_font_lacks_is_told_and_not_left_out(text: str, shown: str) -> None:
    assert STYLES.regular.readable(text) == shown


# ---- flow ------------------------------------------------------------------------------------------------------------


def test_words_wrap_and_long_ones_break() -> None:
    assert wrapped("one two three", BODY, BODY.face.width("one two", BODY.size)) == ["one two", "three"]
    pieces = wrapped("x" * 500, BODY, 100)
    assert "".join(pieces) == "x" * 500
    assert len(pieces) > 5


@given(st.text(max_size=200), st.floats(4, 300))
def test_no_character_is_lost_and_no_line_too_wide(text: str, width: float) -> None:
    lines = wrapped(text, BODY, width)
    readable = "".join(BODY.face.readable(part) for part in text.splitlines())
    assert "".join("".join(lines).split()) == "".join(readable.split())
    assert all(len(line) <= 1 or BODY.face.width(line.strip(), BODY.size) <= width for line in lines)


def pages(height: float = 100) -> Pages:
    return Pages(lambda: Canvas(STYLES.faces), 0, height)


def strips(count: int, height: float = 10) -> tuple[Strip, ...]:
    return tuple(Strip(height, lambda canvas, top: canvas.rule(0, top, 1)) for _ in range(count))


def drawn(canvas: Canvas) -> int:
    return canvas.content.count(b" l S")


def test_a_block_stays_together_where_it_fits_on_a_page() -> None:
    filled = pages()
    filled.put(Block(strips(7)))
    filled.put(Block(strips(5)))
    assert [drawn(canvas) for canvas in filled.done()] == [7, 5]


def test_a_block_longer_than_a_page_goes_on_with_the_next() -> None:
    filled = pages()
    filled.put(Block(strips(25)))
    assert [drawn(canvas) for canvas in filled.done()] == [10, 10, 5]


def test_a_heading_is_not_left_alone_at_the_foot() -> None:
    filled = pages()
    filled.put(Block(strips(8)))
    filled.put(Block(strips(1), heading=True))
    filled.put(Block(strips(2)))
    assert [drawn(canvas) for canvas in filled.done()] == [8, 3]


def test_a_table_that_goes_on_begins_with_its_head_again() -> None:
    filled = pages()
    filled.head(strips(2))
    for _ in range(12):
        filled.put(Block(strips(1)))
    filled.head()
    filled.put(Block(strips(9)))
    assert [drawn(canvas) for canvas in filled.done()] == [10, 6, 9]


def test_nothing_is_one_empty_page() -> None:
    assert len(pages().done()) == 1


def test_a_row_is_as_high_as_its_longest_cell() -> None:
    cells = [Cell("a b c d", 0, 5, BODY), Cell("x", 50, 50, BODY, "right")]
    assert len(row(cells, above=1, below=1)) == 4 + 2


def test_text_at_the_right_ends_at_its_edge() -> None:
    canvas = Canvas(STYLES.faces)
    (strip,) = row([Cell("12,50", 100, 60, Style(STYLES.regular, 10), "right")])
    strip.draw(canvas, 0)
    width = STYLES.regular.width("12,50", 10)
    assert number(160 - width) + b" " in canvas.content


# ---- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [0, 2, 3])
def test_an_ordinary_png_is_taken_as_it_is(kind: int) -> None:
    found = picture_of(png(33, 7, kind=kind))
    assert (found.width, found.height) == (33, 7)
    assert found.stream.entries["Filter"] == Name("FlateDecode")


@pytest.mark.parametrize(("kind", "depth"), [(4, 8), (6, 8), (4, 16), (6, 16)])
def test_a_transparent_png_is_laid_on_white(kind: int, depth: int) -> None:
    found = picture_of(png(5, 9, kind=kind, depth=depth))
    assert len(found.stream.content) == 5 * 9 * 3
    assert found.stream.entries["ColorSpace"] == Name("DeviceRGB")


def rgba(rows: list[list[tuple[int, int, int, int]]], kind: int = 6) -> bytes:
    raw = b"".join(b"\0" + b"".join(bytes(pixel) for pixel in line) for line in rows)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(raw)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b)) for t, b in chunks
    )


def test_what_is_clear_is_white_and_what_is_half_clear_is_half_white() -> None:
    found = picture_of(rgba([[(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]]))
    assert found.stream.content == bytes([255, 0, 0, 255, 255, 255, 127, 127, 127])


def test_an_interlaced_picture_is_put_in_order() -> None:
    """Seven passes of a picture of 3 x 3 grey pixels, put together by hand (RFC 2083, section 2.6)."""
    order = [[0, 5, 3], [7, 8, 9], [4, 6, 5]]
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    raw = bytearray()
    for x, y, dx, dy in passes:
        for line in order[y::dy]:
            if part := line[x::dx]:
                raw += bytes([0, *part])
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 3, 3, 8, 0, 0, 0, 1)),
        (b"IDAT", zlib.compress(bytes(raw))),
        (b"IEND", b""),
    ]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(b)) + t + b + struct.pack(">I", zlib.crc32(t + b)) for t, b in chunks
    )
    assert picture_of(content).stream.content == bytes(v for line in order for pixel in line for v in (pixel,) * 3)


def jpeg(width: int = 30, height: int = 10, parts: int = 3, marker: int = 0xC0, *, adobe: bool = False) -> bytes:
    head = b"\xff\xd8\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    more = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\2" if adobe else b""
    frame = struct.pack(">BBHBHHB", 0xFF, marker, 8 + 3 * parts, 8, height, width, parts) + bytes(3 * parts)
    return head + more + frame + b"\xff\xda\0\2\xff\xd9"


@pytest.mark.parametrize(("parts", "space"), [(1, "DeviceGray"), (3, "DeviceRGB"), (4, "DeviceCMYK")])
def test_a_jpeg_is_taken_as_it_is(parts: int, space: str) -> None:
    found = picture_of(jpeg(parts=parts, adobe=parts == 4))
    assert (found.width, found.height, found.stream.entries["ColorSpace"]) == (30, 10, Name(space))
    assert ("Decode" in found.stream.entries) == (parts == 4)


BROKEN: dict[str, Callable[[], bytes]] = {
    "no PNG and no JPEG": lambda: b"<svg></svg>",
    "damaged PNG": lambda: png()[:-30],
    "a damaged PNG": lambda: png().replace(b"IDAT", b"IDAX"),
    "damaged PNG file": lambda: bytes([*png()[:60], png()[60] ^ 1, *png()[61:]]),
    "larger than 1024 KiB": lambda: b"\x89PNG\r\n\x1a\n" + bytes(1_100_000),
    "pixels, and 1000000 are allowed": lambda: png(2000, 2000, kind=0),
    "damaged JPEG": lambda: jpeg()[:40],
    "a damaged JPEG": lambda: jpeg(parts=2),
    "a JPEG of a rare kind": lambda: jpeg(marker=0xC3),
    "has 5000 x 5000 pixels": lambda: jpeg(5000, 5000),
}


@pytest.mark.parametrize("words", BROKEN)
def test_a_logo_at_fault_is_refused_with_what_to_do(words: str, tmp_path: Path) -> None:
    path = tmp_path / "logo"
    path.write_bytes(BROKEN[words]())
    for look in (picture, check):
        with pytest.raises(ValueError, match=words):
            look(path)


def test_a_logo_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        picture(tmp_path / "none.png")


def test_a_picture_whose_pixels_do_not_end_is_refused() -> None:
    bomb = png(10, 10, kind=0)
    head = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="damaged"):
        picture_of(
            b"\x89PNG\r\n\x1a\n"
            + struct.pack(">I", 13)
            + b"IHDR"
            + head
            + struct.pack(">I", zlib.crc32(b"IHDR" + head))
            + bomb[33:]
        )


@given(st.binary(max_size=300), st.integers(0, 500))
def test_damage_never_ends_in_anything_but_a_refusal(noise: bytes, at: int) -> None:
    for good in (png(9, 5, kind=6), png(9, 5, kind=3), jpeg()):
        spoilt = good[: at % len(good)] + noise + good[at % len(good) + len(noise) :]
        try:
            picture_of(spoilt)
        except ValueError:
            continue


def test_a_header_that_lies_about_its_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="damaged"):
        png_of(png(4, 4, kind=3, depth=16))
