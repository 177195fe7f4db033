"""The station's status for people, made from its JSON document: what is wrong is marked with ``!``, with the cause."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Final

from agent.cli.layout import WIDTH, Document, Row, entries, kwh, line, local_time, mapping, number, plain, texts

#: IEC 61851-1 pilot states in words.
PILOT: Final = {
    "A": "no car",
    "B": "car plugged in",
    "C": "car may draw",
    "D": "car may draw, asks for ventilation",
    "E": "fault on the control pilot",
    "F": "charger not available",
}
#: ISO 15118 and IEC 61851 know no good case of these.
PILOT_FAULTS: Final = frozenset({"E", "F"})
LINK_FAULTS: Final = frozenset({"rejected", "unsupported"})
#: What a card without a session may wait for, in words.
WAITING: Final = {
    "car": "the car to be plugged in",
    "charger": "the charger to be ready",
    "central-system": "the central system's answer",
}


def local_zone(name: str) -> tzinfo:
    """Return the time zone in which times are shown."""
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def status_text(document: Document, zone: tzinfo, width: int = WIDTH) -> str:
    """Return the status of the station, wrapped to a width; the last line counts what is wrong."""
    expiring = [Row("", warning, bad=True) for warning in texts(mapping(document, "security"), "warnings")]
    rows = [_station(document), *_clouds(document), *expiring, _company(document), _clock(document), *_parts(document)]
    connectors = [list(_connector(c, zone)) for c in entries(document, "connectors")]
    blocks = [rows, *connectors]
    bad = sum(row.bad for block in blocks for row in block)
    verdict = "all is well" if bad == 0 else f"{bad} thing{'s' if bad > 1 else ''} to look at, marked with !"
    return "\n\n".join([*("\n".join(line(row, width) for row in block) for block in blocks), f"  {verdict}"]) + "\n"


def link_text(link: Document) -> str:
    """Return how the company link stands right after it was asked for or left."""
    code, state, reason = plain(link, "code"), plain(link, "state"), plain(link, "reason")
    if state == "none":
        return "the station is linked to no company; sessions from now on stay here"
    why = f" ({reason})" if reason else ""
    follow = "; `wallbox-agent status` shows what the company answers" if state == "pending" else ""
    return f"{code}: {state}{why}{follow}"


def _station(document: Document) -> Row:
    station = mapping(document, "station")
    up = _span(number(station.get("uptime_s")) or 0.0)
    return Row("station", f"{plain(station, 'id')}, version {plain(station, 'version')}, up {up}")


def _clouds(document: Document) -> Iterator[Row]:
    yield _cloud("cloud", mapping(document, "cloud"))
    for other in entries(document, "report_to"):
        yield _cloud(plain(other, "name"), other)


def _cloud(name: str, cloud: Document) -> Row:
    state, queued = plain(cloud, "state"), cloud.get("queued_messages")
    registration = plain(cloud, "registration") or "not registered yet"
    with_what = f" with {plain(cloud, 'protocol')}, {registration}" if state == "connected" else ""
    waiting = f"; {queued} message{'' if queued == 1 else 's'} waiting" if queued else ""
    error = f": {plain(cloud, 'last_error')}" if cloud.get("last_error") else ""
    good = state == "connected" and registration == "Accepted"
    return Row(name, f"{state}{with_what}{waiting}{'' if good else error}", not good)


def _company(document: Document) -> Row:
    company = mapping(document, "company")
    state = plain(company, "state")
    if company.get("code") is None:
        return Row("company", "none linked")
    version = company.get("settings_version")
    details = [plain(company, "name"), "" if version is None else f"settings {version}", plain(company, "reason")]
    text = ", ".join(part for part in (f"{plain(company, 'code')} {state}", *details) if part)
    return Row("company", text, state in LINK_FAULTS)


def _clock(document: Document) -> Row:
    clock = mapping(document, "clock")
    if clock.get("synchronised"):
        return Row("clock", f"synchronised by {plain(clock, 'source') or 'an unknown source'}")
    return Row("clock", "not synchronised: no source has told the time yet; check the network and NTP", bad=True)


def _parts(document: Document) -> Iterator[Row]:
    reader, ledger = mapping(document, "rfid"), mapping(document, "ledger")
    is_ok = bool(reader.get("ok"))
    yield Row("card reader", plain(reader, "last_error") or ("ok" if is_ok else "not heard yet"), not is_ok)
    if ledger.get("ok") is False:
        yield Row("ledger", plain(ledger, "last_error") or "cannot be written: check the disk", bad=True)
    for words in (plain(ledger, "rescued"), *texts(ledger, "warnings")):
        if words:
            yield Row("ledger", words, bad=True)
    yield from map(_delivery, (one for one in entries(document, "deliveries") if one.get("state") != "completed"))
    for card in entries(document, "waiting"):
        yield Row("waiting", f"card {_waits(card)}, at any connector")


def _delivery(row: Document) -> Row:
    """Describe a statement that has not arrived; one that nobody has tried to deliver yet is no fault."""
    what, error, attempts = f"{plain(row, 'month')} to {plain(row, 'name')}", plain(row, "last_error"), row["attempts"]
    if not error:
        return Row("delivery", f"{what} is under way")
    times = "once" if attempts == 1 else f"{attempts} times"
    return Row("delivery", f"{what} failed {times}: {error}", bad=True)


def _connector(connector: Document, zone: tzinfo) -> Iterator[Row]:
    error = plain(connector, "error_code")
    wrong = bool(error) and error != "NoError"
    status = plain(connector, "status") or "not known yet"
    yield Row(f"connector {plain(connector, 'id')}", f"{status}, {error}" if wrong else status, wrong)
    yield from _meter(mapping(connector, "meter"))
    evse = mapping(connector, "evse")
    yield _evse(evse)
    yield from (Row("", warning, bad=True) for warning in texts(evse, "warnings"))
    session, waiting, reserved = (mapping(connector, name) for name in ("session", "waiting", "reservation"))
    if reserved:
        yield Row("", f"reserved for card {plain(reserved, 'id_tag')} until {local_time(reserved, 'until', zone)}")
    yield Row("  session", f"none; card {_waits(waiting)}") if waiting and not session else _running(session, zone)


def _meter(meter: Document) -> Iterator[Row]:
    what = " no. ".join(part for part in (plain(meter, "model"), plain(meter, "serial_number")) if part)
    if meter.get("ok"):
        power = number(meter.get("power_w"))
        shown = "" if power is None else f", {power:.0f} W"
        yield Row("  meter", f"{kwh(meter, 'energy_wh')} kWh{shown}{', ' if what else ''}{what}")
    else:
        cause = plain(meter, "last_error") or "has not answered yet"
        yield Row("  meter", f"{cause}{f' ({what})' if what else ''}", bad=True)
    for warning in texts(meter, "warnings"):
        yield Row("", warning, bad=True)
    lost = number(meter.get("unattributed_wh"))
    if lost is not None and lost >= 1:
        yield Row("", f"{lost / 1000:.3f} kWh since the start of the agent belong to no session")


def _evse(evse: Document) -> Row:
    state, faults = plain(evse, "state"), texts(evse, "faults")
    limit = number(evse.get("current_limit_a"))
    if not evse.get("ok"):
        return Row("  EVSE", plain(evse, "last_error") or "the controller has not answered yet", bad=True)
    if not state and limit is None:
        return Row("  EVSE", "no controller, or its state is not known")
    offer = "" if limit is None else f", offers {limit:g} A" if limit else ", offers nothing"
    profile = number(evse.get("charging_profile"))
    offer += "" if profile is None else f" (charging profile {int(profile)})"
    wrong = f", faults: {', '.join(faults)}" if faults else ""
    known = f"{state} {PILOT.get(state, '')}".strip() or "state not known"
    return Row("  EVSE", f"{known}{offer}{wrong}", bool(faults) or state in PILOT_FAULTS)


def _running(session: Document, zone: tzinfo) -> Row:
    if not session:
        return Row("  session", "none")
    transaction = plain(session, "transaction_id")
    text = f"{plain(session, 'state')}, {kwh(session, 'energy_wh')} kWh since {local_time(session, 'started_at', zone)}"
    named = f", transaction {transaction}" if transaction else ""
    return Row("  session", f"{text}, card {plain(session, 'id_tag')}{named}")


def _waits(waiting: Document) -> str:
    what = plain(waiting, "for")
    return f"{plain(waiting, 'id_tag')} waits for {WAITING.get(what, what)}"


def _span(seconds: float) -> str:
    """Return a length of time in its two largest units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2])
