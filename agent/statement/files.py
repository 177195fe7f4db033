"""The files that a statement can be: one function for each format. Loaded when a statement is made, not before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.statement.cdr import ocpi_of
from agent.statement.document import json_of
from agent.statement.language import language
from agent.statement.model import Statement
from agent.statement.paper.picture import Picture, picture
from agent.statement.printing.document import pdf_of
from agent.statement.printing.front import Look
from agent.statement.sheet import FLAVOURS, csv_of

FORMATS: Final = ("pdf", "xlsx", "csv", "json", "ocpi")
#: Format -> Content-Type, and how a file's name ends.
CONTENT: Final[Mapping[str, tuple[str, str]]] = {
    "pdf": ("application/pdf", ".pdf"),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    "csv": ("text/csv; charset=utf-8", ".csv"),
    "json": ("application/json", ".json"),
    "ocpi": ("application/json", ".ocpi.json"),
}


@dataclass(frozen=True, slots=True)
class Form:
    """How files are made. logo: a PNG or JPEG file; csv_flavour: one of ``sheet.FLAVOURS``."""

    language: str = "en"
    letterhead: str | None = None
    logo: Path | None = None
    csv_flavour: str = "standard"


def made(statement: Statement, format_: str, form: Form) -> bytes:
    """Return a statement as a file of a format. Raises: KeyError for an unknown one; ValueError for a logo at fault.

    The same statement gives the same bytes.
    """
    return MAKERS[format_](statement, form)


def name_of(statement: Statement, format_: str, mark: str = "") -> str:
    """Return what such a file may be called: station, month, mark and format."""
    station = "".join(c if c.isalnum() or c in "-_." else "_" for c in statement.site.station)
    return f"{station}-{statement.month}{mark}{CONTENT[format_][1]}"


def _pdf(statement: Statement, form: Form) -> bytes:
    return pdf_of(statement, language(form.language), Look(form.letterhead or None, _logo(form.logo)))


def _logo(path: Path | None) -> Picture | None:
    if path is None:
        return None
    try:
        return picture(path)
    except ValueError as error:
        raise ValueError(f"the logo {path} {error}") from error


def _xlsx(statement: Statement, form: Form) -> bytes:
    from agent.statement.workbook import xlsx_of  # noqa: PLC0415  # the library costs memory that few formats need

    return xlsx_of(statement, language(form.language))


def _csv(statement: Statement, form: Form) -> bytes:
    site = statement.site
    return csv_of(statement.records, site.evse_ids, site.zone, FLAVOURS[form.csv_flavour])


MAKERS: Final[Mapping[str, Callable[[Statement, Form], bytes]]] = {
    "pdf": _pdf,
    "xlsx": _xlsx,
    "csv": _csv,
    "json": lambda statement, _: json_of(statement),
    "ocpi": lambda statement, _: ocpi_of(statement),
}
