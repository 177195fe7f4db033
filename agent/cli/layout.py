"""Layout of text for people: rows and tables in 80 columns, and members of JSON documents as text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeAlias

Document: TypeAlias = Mapping[str, object]

WIDTH: Final = 80
LABEL: Final = 13
NOTHING: Final = "-"
WATT_HOUR: Final = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the status; bad: something that a person should look at."""

    label: str
    text: str
    bad: bool = False


def clean(text: str) -> str:
    """Return a text without anything that a terminal acts upon; names and reasons come from afar."""
    return "".join(c if c.isprintable() else "?" for c in text)


def line(row: Row, width: int = WIDTH) -> str:
    """Return a row, wrapped to a width; ``!`` in the first column of one that is bad."""
    first = f"{'!' if row.bad else ' '} {row.label:<{LABEL}}"
    indent = " " * len(first)
    return textwrap.fill(row.text, width, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return aligned columns, two spaces apart; right: columns whose ends are aligned."""
    lines = [head, *rows]
    widths = [max(len(one[column]) for one in lines) for column in range(len(head))]

    def cell(text: str, column: int) -> str:
        return text.rjust(widths[column]) if column in right else text.ljust(widths[column])

    cells = (("  ".join(cell(text, column) for column, text in enumerate(one))).rstrip() for one in lines)
    return "\n".join(cells) + "\n"


def plain(document: Document, key: str) -> str:
    """Return a member as clean text, empty where it is absent or null."""
    value = document.get(key)
    return "" if value is None else clean(str(value))


def mapping(document: Document, key: str) -> Document:
    """Return a member that is an object, an empty one where it is anything else."""
    value = document.get(key)
    return value if isinstance(value, Mapping) else {}


def entries(document: Document, key: str) -> list[Document]:
    """Return the objects of a member that is a list."""
    value = document.get(key)
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def texts(document: Document, key: str) -> list[str]:
    """Return the members of a list as clean text."""
    value = document.get(key)
    return [clean(str(entry)) for entry in value] if isinstance(value, list) else []


def decimal(document: Document, key: str) -> Decimal | None:
    """Return a number with the digits it was written with, None where there is none."""
    value = document.get(key)
    return Decimal(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def number(value: object) -> float | None:
    """Return a number for display, None where there is none."""
    return float(value) if isinstance(value, int | float) else None


def kwh(document: Document, key: str) -> str:
    """Return an energy member (Wh) in kWh with three decimals."""
    energy = decimal(document, key)
    return NOTHING if energy is None else f"{(energy / 1000).quantize(WATT_HOUR, ROUND_HALF_UP)}"


def local_time(document: Document, key: str, zone: tzinfo) -> str:
    """Return a time stamp to the minute, in local time."""
    stamp = document.get(key)
    return f"{datetime.fromisoformat(stamp).astimezone(zone):%Y-%m-%d %H:%M}" if isinstance(stamp, str) else NOTHING
