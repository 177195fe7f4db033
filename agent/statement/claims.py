"""Reads what a central system bills for sessions: OCPI CDRs as JSON, or a CSV with one session a line.

JSON: a list of CDRs, an OCPI response with ``data``, or one CDR; of OCPI 2.1.1 to 2.3. CSV: with comma, semicolon or
tab, the decimal sign may be either; columns are found by the names in ``COLUMNS``, others are not looked at. What is
not told is None, and is not compared.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final

KILO: Final = Decimal(1000)
AMOUNTS: Final = (
    "energy", "time", "fixed", "parking", "reservation", "surcharge", "excl_vat", "vat", "incl_vat", "refund"
)  # fmt: skip
#: What a column is -> the names that it is known by, in small letters without spaces, points and dashes.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "id": ("id", "cdr_id", "cdrid"),
    "session": ("session_id", "sessionid", "session", "transaction_id", "transactionid", "transaction"),
    "uid": ("uid", "id_tag", "idtag", "token_uid", "card", "visual_number", "token"),
    "start": ("start", "start_date_time", "started_at", "start_time", "startdatetime"),
    "end": ("end", "end_date_time", "stopped_at", "end_time", "enddatetime", "stop"),
    "energy_kwh": ("energy_kwh", "kwh", "total_energy", "energy_(kwh)"),
    "energy_wh": ("energy_wh", "wh"),
    "meter_start_wh": ("meter_start_wh", "meter_start"),
    "meter_stop_wh": ("meter_stop_wh", "meter_stop"),
    "energy": ("energy", "energy_cost", "total_energy_cost"),
    "time": ("time", "time_cost", "total_time_cost"),
    "fixed": ("fixed", "fixed_cost", "total_fixed_cost"),
    "parking": ("parking", "parking_cost", "total_parking_cost"),
    "reservation": ("reservation", "reservation_cost", "total_reservation_cost"),
    "surcharge": ("surcharge", "surcharges", "additional_cost"),
    "excl_vat": ("excl_vat", "cost_excl_vat", "total_excl_vat", "total_cost_excl_vat", "total_cost"),
    "vat": ("vat", "vat_amount", "tax"),
    "incl_vat": ("incl_vat", "cost_incl_vat", "total_incl_vat", "total_cost_incl_vat"),
    "refund": ("refund", "refund_amount", "reimbursement"),
    "currency": ("currency",),
}
#: Member of a CDR -> the amount that it is.
MEMBERS: Final = {
    "total_energy_cost": "energy", "total_time_cost": "time", "total_fixed_cost": "fixed",
    "total_parking_cost": "parking", "total_reservation_cost": "reservation",
}  # fmt: skip
THOUSANDS: Final = re.compile(r"-?[0-9]{1,3}([.,' \u00a0\u202f][0-9]{3})+[.,][0-9]{1,2}")
SHOWN: Final = 40
"""Characters of a wrong value that are worth showing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a central system bills for one session.

    id: its own name of the record; session: its name of the session or transaction; place: where it stands in the file.
    energy: Wh, exact to ``step``. amounts: by the names in ``AMOUNTS``, only those that are told.
    """

    place: str
    id: str | None = None
    session: str | None = None
    uid: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    energy: Decimal | None = None
    step: Decimal = Decimal(1)
    meter_start: Decimal | None = None
    meter_stop: Decimal | None = None
    currency: str | None = None
    amounts: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the record is called."""
        return self.id or self.session or self.place


def claims_of(content: bytes, zone: tzinfo) -> list[Claim]:
    """Return the records of a file; times without an offset are local. Raises: ValueError that says what is wrong."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("is neither JSON nor CSV in UTF-8") from error
    if text.lstrip()[:1] in {"[", "{"}:
        return list(_of_json(text))
    return list(_of_csv(text, zone))


def _of_json(text: str) -> Iterator[Claim]:
    try:
        document = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no valid JSON ({error})") from error
    if isinstance(document, Mapping):
        document = document.get("data", document)
    records = document if isinstance(document, list) else [document]
    for number, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise ValueError(f"record {number} is no object: a list of OCPI CDRs is wanted")  # noqa: TRY004  # a value
        yield _cdr(record, f"record {number}")


def _cdr(record: Mapping[str, object], place: str) -> Claim:
    token = record.get("cdr_token")
    uid = token.get("uid") if isinstance(token, Mapping) else record.get("auth_id")
    kwh = _number(record.get("total_energy"), place, "total_energy")
    if kwh is None and record.get("start_date_time") is None:
        raise ValueError(f"{place} has neither total_energy nor start_date_time: OCPI CDRs are wanted")
    return Claim(
        place=place,
        id=_text(record.get("id")),
        session=_text(record.get("session_id")),
        uid=_text(uid),
        start=_moment(record.get("start_date_time"), place, UTC),
        end=_moment(record.get("end_date_time", record.get("stop_date_time")), place, UTC),
        energy=None if kwh is None else kwh * KILO,
        step=_step(kwh),
        currency=_text(record.get("currency")),
        amounts=dict(_amounts(record, place)),
    )


def _amounts(record: Mapping[str, object], place: str) -> Iterator[tuple[str, Decimal]]:
    for member, name in MEMBERS.items():
        excl, _ = _price(record.get(member), place, member)
        if excl is not None:
            yield name, excl
    excl, incl = _price(record.get("total_cost"), place, "total_cost")
    told = {"excl_vat": excl, "incl_vat": incl, "vat": None if excl is None or incl is None else incl - excl}
    yield from ((name, amount) for name, amount in told.items() if amount is not None)


def _price(value: object, place: str, member: str) -> tuple[Decimal | None, Decimal | None]:
    """Return an amount excl. and incl. VAT: an object, or the bare number excl. VAT of older releases."""
    if not isinstance(value, Mapping):
        return _number(value, place, member), None
    excl = _number(value.get("excl_vat", value.get("before_taxes")), place, member)
    taxes = value.get("taxes")
    if isinstance(taxes, list) and excl is not None:
        parts = (_number(tax.get("amount"), place, member) for tax in taxes if isinstance(tax, Mapping))
        return excl, excl + sum((part for part in parts if part is not None), Decimal(0))
    return excl, _number(value.get("incl_vat"), place, member)


def _of_csv(text: str, zone: tzinfo) -> Iterator[Claim]:
    first = text.lstrip().partition("\n")[0]
    separator = max((",", ";", "\t"), key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        head = next(rows)
        columns = _columns(head)
        for row in rows:
            if any(cell.strip() for cell in row):
                place = f"line {rows.line_num}"
                yield _line({name: _bare(row[at]) for name, at in columns.items() if at < len(row)}, place, zone)
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num} is no CSV ({error})") from error
    except StopIteration as error:
        raise ValueError("is empty") from error


def _columns(head: Sequence[str]) -> Mapping[str, int]:
    names = [re.sub(r"[\s.-]+", "_", name.strip().lower()) for name in head]
    found = {what: names.index(name) for what, known in COLUMNS.items() for name in reversed(known) if name in names}
    if "start" not in found and "id" not in found and "session" not in found:
        raise ValueError("has no column that tells the sessions apart: one called id, session_id or start is wanted")
    return found


def _bare(cell: str) -> str:
    """Return a cell without what keeps a spreadsheet from changing it."""
    text = cell.strip()
    if text.startswith('="') and text.endswith('"'):
        return text[2:-1]
    return text[1:] if text[:1] == "'" else text


def _line(cells: Mapping[str, str], place: str, zone: tzinfo) -> Claim:
    def number(name: str) -> Decimal | None:
        return _number(cells.get(name) or None, place, name)

    kwh, wh = number("energy_kwh"), number("energy_wh")
    return Claim(
        place=place,
        id=cells.get("id") or None,
        session=cells.get("session") or None,
        uid=cells.get("uid") or None,
        start=_moment(cells.get("start") or None, place, zone),
        end=_moment(cells.get("end") or None, place, zone),
        energy=wh if kwh is None else kwh * KILO,
        step=Decimal(1) if kwh is None else _step(kwh),
        meter_start=number("meter_start_wh"),
        meter_stop=number("meter_stop_wh"),
        currency=cells.get("currency") or None,
        amounts={name: amount for name in AMOUNTS if (amount := number(name)) is not None},
    )


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _number(value: object, place: str, name: str) -> Decimal | None:
    """Return a number, whichever decimal sign it has. Raises: ValueError."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        return value
    text = str(value).strip()
    if THOUSANDS.fullmatch(text):
        text = re.sub(r"[.,' \u00a0\u202f]", "", text[:-3]) + text[-3:]
    try:
        number = Decimal(text.replace(",", "."))
    except InvalidOperation as error:
        raise ValueError(f"{place}: {name} is {text[:SHOWN]!r}, which is no number") from error
    if not number.is_finite():
        raise ValueError(f"{place}: {name} is {text[:SHOWN]!r}, which is no number")
    return number


def _step(kwh: Decimal | None) -> Decimal:
    """Return how fine (Wh) an energy in kWh is told."""
    exponent = -3 if kwh is None else kwh.as_tuple().exponent
    return max(Decimal(1), Decimal(1).scaleb(min(exponent, 0) + 3)) if isinstance(exponent, int) else Decimal(1)


def _moment(value: object, place: str, zone: tzinfo) -> datetime | None:
    if value is None:
        return None
    text = str(value).strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        words = "no time like 2026-11-21T20:15:03Z"
        raise ValueError(f"{place}: {text[:SHOWN]!r} is {words}") from error
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=zone).astimezone(UTC)
