"""Sessions as OCPI 2.2.1 charge detail records: a JSON list, one CDR for each session that has ended.

What OCPI requires and nobody has told the station (an address, coordinates) is written as unknown, and ``missing``
names the keys of the configuration to fill in; a session without any price is left out, since a CDR has a total cost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from agent.buffer.ledger import JsonObject, SessionRecord
from agent.core.facts import StartTrigger
from agent.core.model import Quality
from agent.core.tariff import Cost
from agent.statement.model import Line, Location, Site, Statement

KILO: Final = Decimal(1000)
HOUR: Final = Decimal(3600)
WATT_HOUR: Final = Decimal("0.001")
MICRO: Final = Decimal("0.000001")
UNKNOWN: Final = "-"
NOWHERE: Final = 0.0
UNKNOWN_COUNTRY: Final = "XXX"
"""Of ISO 3166-1's user-assigned codes."""
PARTY: Final = re.compile(r"([A-Z]{2})[*-]?([A-Z0-9]{3})(?:[*-]|$|C)", re.IGNORECASE)
"""Country and party at the beginning of an EVSE id or an EMA-ID."""
NEEDED: Final = ("address", "city", "country", "latitude", "longitude")
REMARK: Final = 255
THREE: Final = 3
#: Countries of ISO 3166-1 in both forms, as far as such stations are known to stand in them.
COUNTRIES: Final = {
    "AT": "AUT", "BE": "BEL", "BG": "BGR", "CH": "CHE", "CY": "CYP", "CZ": "CZE", "DE": "DEU", "DK": "DNK", "EE": "EST",
    "ES": "ESP", "FI": "FIN", "FR": "FRA", "GB": "GBR", "GR": "GRC", "HR": "HRV", "HU": "HUN", "IE": "IRL", "IS": "ISL",
    "IT": "ITA", "LI": "LIE", "LT": "LTU", "LU": "LUX", "LV": "LVA", "MT": "MLT", "NL": "NLD", "NO": "NOR", "PL": "POL",
    "PT": "PRT", "RO": "ROU", "SE": "SWE", "SI": "SVN", "SK": "SVK",
}  # fmt: skip


def ocpi_of(statement: Statement) -> bytes:
    """Return the file of a statement."""
    contracts = {line.record.id_token.key: card.ema_id for card in statement.cards for line in card.lines}
    return listed(cdrs(statement.lines, contracts, statement.site))


def listed(records: Sequence[JsonObject]) -> bytes:
    """Return records as a file."""
    return (json.dumps(records, indent=2) + "\n").encode()


def cdrs(lines: Sequence[Line], contracts: Mapping[str, str | None], site: Site) -> Sequence[JsonObject]:
    """Return the records in the order of the sessions, of those that have ended and have a price.

    contracts: EMA-IDs of cards, by the token's key.
    """
    chosen = [line for line in lines if line.record.stopped_at is not None and line.record.cost is not None]
    return [_cdr(line, contracts.get(line.record.id_token.key), site) for line in chosen]


def missing(site: Site) -> tuple[str, ...]:
    """Return the keys of ``[location]`` that OCPI requires and the configuration does not give."""
    country, party = parties(site)
    lacking = [name for name in NEEDED if getattr(site.location, name) is None]
    if "country" in lacking and country in COUNTRIES:
        lacking.remove("country")
    return (*lacking, *(("country_code", "party_id") if (country, party) == ("XX", "XXX") else ()))


def parties(site: Site) -> tuple[str, str]:
    """Return country and party of the station: as configured, else those of its first EVSE id."""
    location = site.location
    country, party = _party(next((device.evse_id for device in site.devices if device.evse_id), None)) or ("XX", "XXX")
    return location.country_code or country, location.party_id or party


def _party(identity: str | None) -> tuple[str, str] | None:
    found = None if identity is None else PARTY.match(identity)
    return None if found is None else (found[1].upper(), found[2].upper())


def _cdr(line: Line, ema_id: str | None, site: Site) -> JsonObject:
    record, cost = line.record, line.record.cost
    assert record.stopped_at is not None and cost is not None  # noqa: S101, PT018  # chosen so by cdrs
    country, party = parties(site)
    optional = {"meter_id": line.origin.serial, "remark": _remark(record)}
    return {
        "country_code": country,
        "party_id": party,
        "id": record.id,
        "start_date_time": _moment(record.started_at),
        "end_date_time": _moment(record.stopped_at),
        "session_id": record.id,
        "cdr_token": _token(record, ema_id, line.origin.trigger, station=(country, party)),
        "auth_method": "COMMAND" if line.origin.trigger is StartTrigger.REMOTE else "WHITELIST",
        "cdr_location": _location(record, site),
        **{name: value for name, value in optional.items() if value},
        "currency": cost.currency,
        "charging_periods": _periods(record),
        **_costs(cost),
        "total_energy": _kwh(record.energy or Decimal(0)),
        "total_time": _hours(record.duration_s or Decimal(0)),
        "last_updated": _moment(record.stopped_at),
    }


def _token(
    record: SessionRecord, ema_id: str | None, trigger: StartTrigger | None, *, station: tuple[str, str]
) -> JsonObject:
    named = ema_id or record.card
    country, party = _party(named) or station
    return {
        "country_code": country,
        "party_id": party,
        "uid": record.id_token.value,
        "type": "APP_USER" if trigger is StartTrigger.REMOTE else "RFID",
        "contract_id": named or record.id_token.value,
    }


def _location(record: SessionRecord, site: Site) -> JsonObject:
    place, device = site.location, site.device(record.connector)
    evse = (device and device.evse_id) or f"{site.station}*{record.connector}"
    optional = {"name": place.name, "postal_code": place.postal_code}
    return {
        "id": site.station[:36],
        **{name: value for name, value in optional.items() if value is not None},
        "address": place.address or UNKNOWN,
        "city": place.city or UNKNOWN,
        "country": _country(place, site),
        "coordinates": {"latitude": _degrees(place.latitude), "longitude": _degrees(place.longitude)},
        "evse_uid": f"{record.connector}",
        "evse_id": evse,
        "connector_id": "1",
        "connector_standard": "IEC_62196_T2",
        "connector_format": "CABLE",
        "connector_power_type": "AC_3_PHASE" if device is None or device.phases == THREE else "AC_1_PHASE",
    }


def _country(place: Location, site: Site) -> str:
    return place.country or COUNTRIES.get(parties(site)[0], UNKNOWN_COUNTRY)


def _costs(cost: Cost) -> JsonObject:
    """Return the totals; the VAT of a component is not kept apart, so these are without."""
    parts = {
        "total_fixed_cost": cost.fixed,
        "total_energy_cost": cost.energy,
        "total_time_cost": cost.time,
        "total_parking_cost": cost.parking,
        "total_reservation_cost": cost.reservation,
    }
    total = {"excl_vat": float(cost.excl_vat), "incl_vat": float(cost.incl_vat)}
    return {"total_cost": total, **{name: {"excl_vat": float(amount)} for name, amount in parts.items()}}


def _periods(record: SessionRecord) -> Sequence[JsonObject]:
    """Return the stretches of one price, the whole session where none are known."""
    found = [(period.start.wall, Decimal(period.energy)) for period in record.periods]
    return [
        {"start_date_time": _moment(start), "dimensions": [{"type": "ENERGY", "volume": _kwh(energy)}]}
        for start, energy in found or [(record.started_at, record.energy or Decimal(0))]
    ]


def _remark(record: SessionRecord) -> str:
    marks = [mark.value for mark in record.quality if mark is not Quality.MEASURED]
    surcharge = record.cost.surcharge if record.cost is not None else Decimal(0)
    extra = [f"surcharge {surcharge:f}"] if surcharge else []
    refund = [] if record.refund is None else [f"refund {record.refund.amount:f}"]
    return "; ".join([record.reporting.value, *marks, *extra, *refund])[:REMARK]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _kwh(energy: Decimal) -> float:
    return float((energy / KILO).quantize(WATT_HOUR, ROUND_HALF_UP))


def _hours(seconds: Decimal) -> float:
    return float((seconds / HOUR).quantize(MICRO, ROUND_HALF_UP))


def _degrees(degrees: float | None) -> str:
    return f"{NOWHERE if degrees is None else degrees:.6f}"
