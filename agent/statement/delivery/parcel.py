"""What is handed to a way of delivery: a statement's files, under names that stay the same when they are sent again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID, uuid5

from agent.core.instant import Instant
from agent.statement.delivery.errand import Line
from agent.statement.delivery.plan import Shipment
from agent.statement.files import CONTENT, Form, made, name_of
from agent.statement.language import Language, language
from agent.statement.model import Site, Statement
from agent.statement.month import Month
from agent.statement.reading import statement_of
from agent.statement.sheet import cells

SPACE: Final = UUID("0a8f4a5e-3f4b-5d0e-9d5c-2f6f3c1c7b1d")
"""Namespace of the parcels' ids; of this project alone."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A file of a statement; id: the same whenever the same thing is sent again."""

    id: str
    name: str
    content_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Parcel:
    """The files by their formats, and what is said of them in a letter; id: as of a paper; at: when it is sent."""

    id: str
    papers: Mapping[str, Paper]
    subject: str
    text: str
    at: datetime


class Way(Protocol):
    """How a recipient gets statements. All that it does blocks; what it holds open it hands to the line."""

    @property
    def name(self) -> str:
        """Name of the delivery in the configuration."""
        ...

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats that are wanted."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """What arrives one by one, and is told apart in the record: formats, or readers of a letter."""
        ...

    def trips(self, parts: Sequence[str]) -> Sequence[tuple[str, ...]]:
        """Return what of these parts goes at once."""
        ...

    def papers(self, parts: Sequence[str]) -> tuple[str, ...]:
        """Return the formats that these parts need."""
        ...

    def send(self, parts: Sequence[str], parcel: Parcel, line: Line) -> Mapping[str, str]:
        """Deliver parts; returns those that were refused, with the reason in words.

        Raises: NotReached where the others need not be tried either.
        """
        ...


@dataclass(frozen=True, slots=True)
class Press:
    """Makes statements and their files; nothing of it is for the event loop."""

    state_dir: Path
    site: Site
    form: Form

    def statement(self, month: Month, now: Instant) -> Statement:
        """Return a month's statement. Raises: as ``reading.statement_of``."""
        return statement_of(self.state_dir, month, self.site, now.wall)

    def parcel(self, statement: Statement, row: Shipment, formats: Sequence[str], at: Instant) -> Parcel:
        """Return the files of a statement in these formats. Raises: ValueError for a logo at fault."""
        words = language(self.form.language)
        papers = {one: self._paper(statement, row, one) for one in formats}
        subject = f"{words['title']} {words.month(statement.month)}, {statement.site.station}"
        return Parcel(_id(statement, row, ""), papers, subject, _letter(statement, words), at.wall)

    def _paper(self, statement: Statement, row: Shipment, format_: str) -> Paper:
        name = name_of(statement, format_, mark(row.edition))
        return Paper(_id(statement, row, format_), name, CONTENT[format_][0], made(statement, format_, self.form))


def mark(edition: int) -> str:
    """Return what a file's name says of the edition."""
    if edition == 1:
        return ""
    return f"-corrected-{edition - 1}" if edition else "-in-progress"


def figures(statement: Statement) -> str:
    """Return the fingerprint of what is paid by: sessions, times, registers and amounts; not of how they are reported.

    A name given to a card later, another layout or a session's report to a central system are no other figures.
    """
    rows = [_figures(statement, place) for place in range(len(statement.closed))]
    return sha256(repr(rows).encode()).hexdigest()


def _figures(statement: Statement, place: int) -> list[str]:
    identity, _card, _profile, _evse, *rest, _reporting = cells(statement.closed[place], ())
    return [str(cell) for cell in (identity, *rest)]


def _id(statement: Statement, row: Shipment, part: str) -> str:
    """Return an id that tells recipients whether they have something already."""
    what = (statement.site.station, row.name, str(row.month), row.edition, row.turn, row.figures, part)
    return str(uuid5(SPACE, repr(what)))


def _letter(statement: Statement, words: Language) -> str:
    """Return the text beside the files."""
    totals = statement.totals
    cost = None if totals.cost is None else totals.cost.incl_vat
    currency = statement.currency or ""
    pairs = {
        "station": statement.site.station,
        "state": words.name("state", statement.state.value),
        "sessions": str(totals.sessions),
        "kwh": words.kwh(totals.energy),
        "incl_vat": f"{words.money(cost)} {currency}".strip(),
        "refund": f"{words.money(totals.refund)} {currency}".strip(),
    }
    lines = [f"{words[name]}: {value}" for name, value in pairs.items()]
    return "\n".join([f"{words['title']} {words.month(statement.month)}", "", *lines, ""])
