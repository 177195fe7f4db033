"""What of OCPP's timestamps and sampled values a central system reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from simulators.csms.state import JsonObject, Reading

REGISTER: Final = "Energy.Active.Import.Register"
PERIODIC: Final = "Sample.Periodic"
FACTORS: Final = {"Wh": Decimal(1), "kWh": Decimal(1000)}
#: What a meter can show; no NaN, no powers of ten.
PLAIN_NUMBER: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")
#: Years that a clock may show before it is set, and after.
YEARS: Final = range(1970, 2200)


def registers(value: JsonObject) -> Iterator[Reading]:
    """Yield the import register in one meterValue, in Wh; that of single phases and of other locations is left out."""
    for sampled in value["sampledValue"]:
        if sampled.get("measurand", REGISTER) != REGISTER or "phase" in sampled or sampled.get("location") == "Inlet":
            continue
        wh = number(sampled["value"])
        if wh is not None and sampled.get("unit", "Wh") in FACTORS:
            context = sampled.get("context", PERIODIC)
            yield Reading(moment(value["timestamp"]), wh * FACTORS[sampled.get("unit", "Wh")], context)


def number(text: str) -> Decimal | None:
    """Return the number of a sampled value; None where it is none that a meter can show."""
    return Decimal(text) if PLAIN_NUMBER.fullmatch(text) else None


def moment(text: str) -> datetime:
    """Return a timestamp of RFC 3339. Raises ValueError where it is none, has no time zone, or no sensible year."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"timestamp without time zone: {text}")
    if at.year not in YEARS:
        raise ValueError(f"timestamp out of range: {text}")
    return at
