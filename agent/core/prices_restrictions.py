"""The restrictions of a tariff's element <-> OCPI 2.2.1 TariffRestrictions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import date, time
from decimal import Decimal
from typing import Final

from agent.core.calendar import Weekday
from agent.core.prices_json import date_in, list_in, number_in, object_in, refuse, whole_in
from agent.core.tariff import ReservationKind, Restrictions

CLOCK: Final = re.compile("(?:[01][0-9]|2[0-3]):[0-5][0-9]")
LONGEST_S: Final = 10**9
#: What has a least and a most.
RANGES: Final = ("kwh", "current", "power", "duration")
#: Members that are named otherwise than the fields of ``Restrictions``.
NAMES: Final = {"start": "start_time", "end": "end_time", "days": "day_of_week"}
KNOWN: Final = frozenset(NAMES.get(field.name, field.name) for field in fields(Restrictions))


def restrictions_from_json(document: object, where: str) -> Restrictions:
    """Return restrictions; none where there are none.

    Raises: ValueError naming the member at fault and what is allowed.
    """
    if document is None:
        return Restrictions()
    given = {name: value for name, value in object_in(document, where).items() if value not in (None, [])}
    for name in given:
        if name not in KNOWN:
            refuse(f"{where}.{name}", "is no restriction of OCPI 2.2.1")
    read = Restrictions(
        start=_clock(given, "start_time", where),
        end=_clock(given, "end_time", where),
        days=_days(given, "day_of_week", where),
        start_date=date_in(given.get("start_date"), f"{where}.start_date"),
        end_date=date_in(given.get("end_date"), f"{where}.end_date"),
        min_kwh=_number(given, "min_kwh", where),
        max_kwh=_number(given, "max_kwh", where),
        min_current=_number(given, "min_current", where),
        max_current=_number(given, "max_current", where),
        min_power=_number(given, "min_power", where),
        max_power=_number(given, "max_power", where),
        min_duration=_seconds(given, "min_duration", where),
        max_duration=_seconds(given, "max_duration", where),
        reservation=_reservation(given, "reservation", where),
    )
    _ordered(read, where)
    return read


def restrictions_to_json(restrictions: Restrictions) -> dict[str, object]:
    """Return restrictions as an OCPI object, empty where there are none."""
    values = ((NAMES.get(f.name, f.name), getattr(restrictions, f.name)) for f in fields(Restrictions))
    return {name: _json(value) for name, value in values if value not in (None, ())}


def _json(value: object) -> object:
    match value:
        case time():
            return value.strftime("%H:%M")
        case date():
            return value.isoformat()
        case Decimal():
            return float(value)
        case tuple():
            return [str(day) for day in value]
        case ReservationKind():
            return value.value
        case _:
            return value


def _ordered(read: Restrictions, where: str) -> None:
    """Refuse a range that nothing is in."""
    if read.start_date is not None and read.end_date is not None and read.start_date >= read.end_date:
        refuse(f"{where}.end_date", "must be after start_date")
    for kind in RANGES:
        least, most = getattr(read, f"min_{kind}"), getattr(read, f"max_{kind}")
        if most is not None and (least or 0) >= most:
            refuse(f"{where}.max_{kind}", f"must be more than {'0' if least is None else f'min_{kind}'}")


def _clock(given: Mapping[str, object], name: str, where: str) -> time | None:
    value = given.get(name)
    if value is None:
        return None
    if value == "24:00":
        return time(0)
    if not (isinstance(value, str) and CLOCK.fullmatch(value)):
        refuse(f"{where}.{name}", "must be a time like 07:00")
    return time.fromisoformat(value)


def _days(given: Mapping[str, object], name: str, where: str) -> tuple[Weekday, ...]:
    days = list_in(given.get(name, []), f"{where}.{name}")
    try:
        return tuple(Weekday(str(day).upper()) for day in days)
    except ValueError:
        refuse(f"{where}.{name}", f"must hold days like {Weekday.MONDAY}")


def _number(given: Mapping[str, object], name: str, where: str) -> Decimal | None:
    return None if name not in given else number_in(given[name], f"{where}.{name}")


def _seconds(given: Mapping[str, object], name: str, where: str) -> int | None:
    return None if name not in given else whole_in(given[name], f"{where}.{name}", LONGEST_S)


def _reservation(given: Mapping[str, object], name: str, where: str) -> ReservationKind | None:
    if name not in given:
        return None
    try:
        return ReservationKind(str(given[name]))
    except ValueError:
        refuse(f"{where}.{name}", f"must be {' or '.join(ReservationKind)}")
