"""A statement as a PDF: fonts embedded, metadata beside, no clock and no chance in it, so the same bytes each time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape

from agent import __version__
from agent.statement.language import Language
from agent.statement.model import Statement
from agent.statement.paper.canvas import HEIGHT, MM, WIDTH, Canvas
from agent.statement.paper.flow import Block, Pages
from agent.statement.paper.objects import Name, PdfFile, Ref, Stream, Value
from agent.statement.printing import front, notes, specification
from agent.statement.printing.front import Look
from agent.statement.printing.styles import BODY, MARGIN, Styles, styles

TOP: Final = 17 * MM
BOTTOM: Final = HEIGHT - 19 * MM
FOOT: Final = HEIGHT - 11 * MM
PRODUCER: Final = "wallbox-agent"
METADATA: Final = """\
<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/">
<dc:format>application/pdf</dc:format>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>
<dc:language><rdf:Bag><rdf:li>{language}</rdf:li></rdf:Bag></dc:language>
<pdf:Producer>{producer}</pdf:Producer>
<xmp:CreateDate>{date}</xmp:CreateDate>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>
"""


def pdf_of(statement: Statement, words: Language, look: Look) -> bytes:
    """Return the file."""
    type_ = styles()
    canvases = _filled(statement, words, look, type_=type_)
    for number, canvas in enumerate(canvases, 1):
        _foot(canvas, statement, words, type_=type_, page=(number, len(canvases)))
    return _file(statement, words, look, canvases=canvases, type_=type_)


def _filled(statement: Statement, words: Language, look: Look, *, type_: Styles) -> list[Canvas]:
    """Return the pages without their feet."""
    pages = Pages(lambda: Canvas(type_.faces), TOP, BOTTOM)
    pages.put(front.letterhead(look, type_))
    for block in front.title(statement, words, type_):
        pages.put(block)
    pages.put(front.facts(statement, words, type_))
    pages.put(front.meters(statement, words, type_))
    for block in front.summary(statement, words, type_):
        pages.put(block)
    pages.put(front.components(statement, words, type_))
    _specified(pages, statement, words, type_=type_)
    for block in notes.notes(statement, words, type_):
        pages.put(block)
    pages.put(notes.evidence(statement, words, type_))
    return pages.done()


def _specified(pages: Pages, statement: Statement, words: Language, *, type_: Styles) -> None:
    if not statement.cards:
        return
    pages.put(specification.title(words, type_))
    for card in statement.cards:
        head = specification.head(card, statement, words, type_)
        pages.put(Block(tuple(head), heading=True))
        blocks = specification.sessions(card, statement, words, type_)
        pages.put(next(blocks))
        pages.head(head)
        for block in blocks:
            pages.put(block)
        pages.head()
    if len(statement.cards) > 1:
        pages.put(specification.total(statement, words, type_))


def _foot(canvas: Canvas, statement: Statement, words: Language, *, type_: Styles, page: tuple[int, int]) -> None:
    style = type_.small
    canvas.rule(MARGIN, FOOT - 3.6 * MM, BODY, thick=0.3)
    left = f"{words['title']} {words.month(statement.month)}  \N{MIDDLE DOT}  {statement.site.station}"
    right = words["page"].format(page=page[0], pages=page[1])
    width = style.face.width(right, style.size)
    canvas.text(MARGIN, FOOT, style.face.readable(left), style)
    canvas.text(MARGIN + BODY - width, FOOT, right, style)


def _file(statement: Statement, words: Language, look: Look, *, canvases: list[Canvas], type_: Styles) -> bytes:
    file = PdfFile()
    root = file.add(None)
    tree = file.add(None)
    resources: dict[str, Value] = {"Font": {name: face.embedded(file) for face, name in type_.faces.items()}}
    if look.logo is not None:
        resources["XObject"] = {"Logo": file.add(look.logo.stream)}
    shared = file.add(resources)
    pages = [_page(file, canvas, tree, resources=shared) for canvas in canvases]
    file.put(tree, {"Type": Name("Pages"), "Kids": pages, "Count": len(pages)})
    file.put(root, _catalog(file, statement, words, tree=tree))
    return file.written(root, file.add(_information(statement, words)))


def _page(file: PdfFile, canvas: Canvas, tree: Ref, *, resources: Ref) -> Ref:
    return file.add({
        "Type": Name("Page"),
        "Parent": tree,
        "MediaBox": [0, 0, WIDTH, HEIGHT],
        "Resources": resources,
        "Contents": file.add(Stream(canvas.content)),
    })  # fmt: skip


def _catalog(file: PdfFile, statement: Statement, words: Language, *, tree: Ref) -> Mapping[str, Value]:
    packet = METADATA.format(
        title=escape(_title(statement, words)),
        language=words.code,
        producer=f"{PRODUCER} {__version__}",
        date=_local(statement).isoformat(timespec="seconds"),
    )
    kind: Mapping[str, Value] = {"Type": Name("Metadata"), "Subtype": Name("XML")}
    return {
        "Type": Name("Catalog"),
        "Pages": tree,
        "Lang": words.code.encode(),
        "ViewerPreferences": {"DisplayDocTitle": True},
        "Metadata": file.add(Stream(packet.encode(), kind, plain=True)),
    }


def _information(statement: Statement, words: Language) -> Mapping[str, Value]:
    local = _local(statement)
    offset = f"{local:%z}"
    date = f"D:{local:%Y%m%d%H%M%S}{offset[:3]}'{offset[3:5]}'"
    producer = f"{PRODUCER} {__version__}"
    return {"Title": _title(statement, words), "Producer": producer, "CreationDate": date.encode()}


def _title(statement: Statement, words: Language) -> str:
    return f"{words['title']} {words.month(statement.month)}, {statement.site.station}"


def _local(statement: Statement) -> datetime:
    return statement.dated.astimezone(statement.site.zone)
