"""Sessions as CSV (contract, section 6): RFC 4180 for programs, and a flavour for spreadsheets.

Header and order of the columns are fixed, and English whatever the language. There is no sum line. Money has two
places, energy in kWh three; what is not known is empty, never 0.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from agent.core.tariff import CENT, Cost

if TYPE_CHECKING:
    from agent.buffer.ledger import SessionRecord

Cell: TypeAlias = str | Decimal | datetime | None

COSTS: Final = ("energy", "time", "fixed", "parking", "reservation", "surcharge", "excl_vat", "vat", "incl_vat")
HEADER: Final = (
    "id", "card", "profile", "evse_id", "start", "end", "duration_s", "meter_start_wh", "meter_stop_wh", "energy_kwh",
    *COSTS, "refund", "currency", "reporting",
)  # fmt: skip
WATT_HOUR: Final = Decimal("0.001")
KILO: Final = Decimal(1000)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so is run by a spreadsheet, and card numbers come from afar."""
LOOKS_LIKE_NUMBER: Final = re.compile(r"[0-9]+([.,][0-9]+)?([eE][0-9]+)?")
"""A UID such as 62E30860 is a number to a spreadsheet, which then shows another one."""
BYTE_ORDER_MARK: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class Flavour:
    """How cells are written: what separates them, and the text of numbers, moments and texts."""

    separator: str
    begins: str
    number: Callable[[Decimal], str]
    moment: Callable[[datetime], str]
    text: Callable[[str], str]


def _for_spreadsheet(text: str) -> str:
    """Return a text that a spreadsheet shows as it is: neither run, nor taken for a number."""
    if text.startswith(FORMULA):
        return f"'{text}"
    return f'="{text}"' if LOOKS_LIKE_NUMBER.fullmatch(text) else text


#: standard: point as decimal sign, local time with its offset. excel: for spreadsheets where the comma is the decimal
#: sign: byte order mark, semicolons, decimal comma, local time without offset.
FLAVOURS: Final[Mapping[str, Flavour]] = {
    "standard": Flavour(
        separator=",",
        begins="",
        number=lambda number: f"{number:f}",
        moment=lambda moment: moment.isoformat(timespec="milliseconds"),
        text=str,
    ),
    "excel": Flavour(
        separator=";",
        begins=BYTE_ORDER_MARK,
        number=lambda number: f"{number:f}".replace(".", ","),
        moment=lambda moment: f"{moment:%Y-%m-%d %H:%M:%S}",
        text=_for_spreadsheet,
    ),
}


def csv_of(records: Iterable[SessionRecord], evse_ids: Sequence[str | None], zone: tzinfo, flavour: Flavour) -> bytes:
    """Return closed sessions as CSV, in UTF-8, the header first; open ones are left out.

    evse_ids: by connector, the first is connector 1. A card without a printed number is named by its UID.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=flavour.separator, lineterminator="\r\n")
    writer.writerow(HEADER)
    for record in records:
        if record.stopped_at is not None:
            writer.writerow([_written(cell, flavour, zone) for cell in cells(record, evse_ids)])
    return (flavour.begins + out.getvalue()).encode()


def cells(record: SessionRecord, evse_ids: Sequence[str | None]) -> Iterable[Cell]:
    """Return the values of the columns, in the order of the header."""
    place = record.connector - 1
    yield from (record.id, record.card or record.id_token.value, record.profile.value)
    yield evse_ids[place] if place < len(evse_ids) else None
    yield from (record.started_at, record.stopped_at, record.duration_s, record.meter_start, record.meter_stop)
    yield None if record.energy is None else (record.energy / KILO).quantize(WATT_HOUR)
    yield from _costs(record.cost)
    yield None if record.refund is None else record.refund.amount.quantize(CENT)
    yield None if record.cost is None else record.cost.currency
    yield record.reporting.value


def _costs(cost: Cost | None) -> Iterable[Decimal | None]:
    for name in COSTS:
        yield None if cost is None else getattr(cost, name).quantize(CENT)


def _written(cell: Cell, flavour: Flavour, zone: tzinfo) -> str:
    match cell:
        case None:
            return ""
        case Decimal():
            return flavour.number(cell)
        case datetime():
            return flavour.moment(cell.astimezone(zone))
        case _:
            return flavour.text(cell)
