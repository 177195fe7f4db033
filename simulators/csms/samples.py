"""What may be wrong with meter values: those of a transaction, of an idle connector, and those inside a stop.

Sources: OCPP 1.6 ed. 2, sections 3.16, 4.7, 4.8, 4.10 and 7.31 to 7.36; errata 3.14 to 3.16, 3.86 and 3.91.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from simulators.csms.readings import PERIODIC, REGISTER, moment, number, registers
from simulators.csms.state import JsonObject, Session, Station

CLOCK: Final = "Sample.Clock"
BEGIN, END = "Transaction.Begin", "Transaction.End"
#: Contexts that a value without a transaction may have at a connector.
IDLE_CONTEXTS: Final = frozenset({CLOCK, "Trigger", "Other"})
STOP_CONTEXTS: Final = frozenset({BEGIN, END, PERIODIC, CLOCK, "Interruption.Begin", "Interruption.End"})
#: Beginning of a measurand -> its units; the first that fits counts.
UNITS: Final[Mapping[str, frozenset[str]]] = {
    "Energy.Active": frozenset({"Wh", "kWh"}),
    "Energy.Reactive": frozenset({"varh", "kvarh"}),
    "Power.Factor": frozenset({"Percent"}),
    "Power.Reactive": frozenset({"var", "kvar"}),
    "Power": frozenset({"W", "kW"}),
    "Current": frozenset({"A"}),
    "Voltage": frozenset({"V"}),
    "Temperature": frozenset({"Celcius", "Celsius", "Fahrenheit", "K"}),  # codespell:ignore celcius - as OCPP has it
    "SoC": frozenset({"Percent"}),
    "Frequency": frozenset(),
    "RPM": frozenset(),
}
NO_UNITS: Final[frozenset[str]] = frozenset()
#: Start and stop are stamped apart from the values taken with them.
AT_ONCE: Final = timedelta(seconds=1)
DAY_S: Final = 86_400
#: Time zones differ by multiples of it; where a station is, it does not say.
ZONE_STEP_S: Final = 900


def wrong_with_values(payload: JsonObject, station: Station) -> Iterator[str]:
    """Yield what is wrong with a MeterValues, whatever it belongs to."""
    yield from _wrong_inside(payload["meterValue"], station)
    if payload["connectorId"] == 0:
        if "transactionId" in payload:
            yield "MeterValues of connector 0 with a transaction"
        if any(sampled.get("location") != "Inlet" for sampled in _all_sampled(payload["meterValue"])):
            yield "MeterValues of connector 0 that are not of the inlet"


def wrong_with_idle(payload: JsonObject, sessions: Iterable[Session]) -> Iterator[str]:
    """Yield what is wrong with a MeterValues without transaction; sessions: all of its connector."""
    if payload["connectorId"] == 0:
        return
    known = tuple(sessions)
    for value in payload["meterValue"]:
        at = moment(value["timestamp"])
        wrong = {sampled.get("context", PERIODIC) for sampled in value["sampledValue"]} - IDLE_CONTEXTS
        if wrong:
            yield f"MeterValues of connector {payload['connectorId']} without a transaction have {', '.join(wrong)}"
        running = next((session for session in known if _runs(session, at)), None)
        if running is not None:
            yield f"MeterValues without the transaction {running.transaction_id} that runs at {value['timestamp']}"


def wrong_with_stop(session: Session, payload: JsonObject, station: Station) -> Iterator[str]:
    """Yield what is wrong with reason and transactionData of a StopTransaction."""
    yield from _wrong_reason(session, payload.get("reason", "Local"))
    values = payload.get("transactionData", [])
    yield from _wrong_amount(session, values, station)
    yield from _wrong_inside(values, station)
    for value in values:
        at = moment(value["timestamp"])
        if not session.started_at - AT_ONCE <= at <= moment(payload["timestamp"]) + AT_ONCE:
            yield f"transactionData of {value['timestamp']} is outside of transaction {session.transaction_id}"
    yield from _wrong_edges(session, payload["meterStop"], values)


def _wrong_reason(session: Session, reason: str) -> Iterator[str]:
    unlocked = session.unlock == "Unlocked"
    if unlocked and reason != "UnlockCommand":
        yield f"transaction {session.transaction_id} was unlocked and stops for the reason {reason}"
    elif reason == "UnlockCommand" and session.unlock != "UnlockFailed" and not unlocked:
        yield f"transaction {session.transaction_id} stops by UnlockCommand, which was answered {session.unlock}"


def _wrong_amount(session: Session, values: Sequence[JsonObject], station: Station) -> Iterator[str]:
    """Yield where there is data that nobody configured, or none although it is; keys count if known from the start."""
    sampled = station.known_since("StopTxnSampledData", session.started_at)
    aligned = station.known_since("StopTxnAlignedData", session.started_at)
    if values and sampled == "" and aligned == "":
        yield f"transactionData of transaction {session.transaction_id}, none is configured"
    if sampled and not values:
        yield f"no transactionData of transaction {session.transaction_id}, {sampled} is configured"
    most = station.keys.get("StopTransactionMaxMeterValues", "")
    if most.isdecimal() and len(values) > int(most):
        yield f"transactionData of {len(values)} values, StopTransactionMaxMeterValues is {most}"


def _wrong_edges(session: Session, meter_stop: int, values: Sequence[JsonObject]) -> Iterator[str]:
    """Yield where the values at begin and end are missing, or are not those of the transaction."""
    of_context: dict[str, set[tuple[str, str]]] = {BEGIN: set(), END: set(), PERIODIC: set()}
    for sampled in _all_sampled(values):
        context = sampled.get("context", PERIODIC)
        if context not in STOP_CONTEXTS:
            yield f"transactionData with the context {context}"
        what = sampled.get("measurand", REGISTER), sampled.get("phase", "")
        of_context.get(context, set()).add(what)
    seen = set().union(*of_context.values())
    for edge in (BEGIN, END):
        lacking = sorted(f"{measurand} {phase}".strip() for measurand, phase in seen - of_context[edge])
        if lacking:
            yield f"transactionData of transaction {session.transaction_id} lacks {edge} of {', '.join(lacking)}"
    edges = {BEGIN: ("meterStart", int(session.meter_start_wh)), END: ("meterStop", meter_stop)}
    for reading in (reading for value in values for reading in registers(value)):
        name, expected = edges.get(reading.context, ("", int(reading.wh)))
        if int(reading.wh) != expected:
            yield f"{reading.context} {reading.wh} Wh in transactionData, {name} is {expected}"


def _wrong_inside(values: Sequence[JsonObject], station: Station) -> Iterator[str]:
    """Yield what is wrong with sampled values by themselves, and with the times of aligned ones."""
    for value in values:
        sampled = value["sampledValue"]
        yield from _wrong_sampled(sampled)
        if any(each.get("context") == CLOCK for each in sampled):
            yield from _wrong_grid(value["timestamp"], station)


def _wrong_sampled(sampled: Sequence[JsonObject]) -> Iterator[str]:
    places = Counter(tuple(each.get(name, default) for name, default in PLACE.items()) for each in sampled)
    for place in (place for place, times in places.items() if times > 1):
        yield f"two values of {' '.join(filter(None, place))} in one meterValue"
    for each in sampled:
        measurand = each.get("measurand", REGISTER)
        if each.get("format", "Raw") == "Raw" and number(each["value"]) is None:
            yield f"{measurand} has the value {each['value'][:20]!r}"
        units = next((units for start, units in UNITS.items() if measurand.startswith(start)), NO_UNITS)
        if "unit" in each and each["unit"] not in units:
            yield f"{measurand} has the unit {each['unit']}"


#: What tells sampled values of one moment apart, with the defaults (OCPP 1.6 ed. 2, 7.43).
PLACE: Final[Mapping[str, str]] = {"measurand": REGISTER, "phase": "", "location": "Outlet", "context": PERIODIC}


def _wrong_grid(timestamp: str, station: Station) -> Iterator[str]:
    """Yield where an aligned value is not on the grid, which begins at midnight, of whatever time zone."""
    intervals = [seconds for seconds in station.aligned_s if seconds > 0]
    if not station.aligned_s:
        return  # nobody asked the station yet
    at = moment(timestamp)
    if not intervals:
        yield f"{CLOCK} of {timestamp}, ClockAlignedDataInterval is 0"
    elif not any(_on_grid(at, seconds) for seconds in intervals):
        yield f"{CLOCK} of {timestamp} is not aligned to {' or '.join(map(str, intervals))} s"


def _on_grid(at: datetime, interval_s: int) -> bool:
    second = at.timestamp()
    return any((second + offset) % DAY_S % interval_s == 0 for offset in range(0, DAY_S, ZONE_STEP_S))


def _runs(session: Session, at: datetime) -> bool:
    return session.started_at < at and (session.stopped_at is None or at < session.stopped_at)


def _all_sampled(values: Iterable[JsonObject]) -> Iterator[JsonObject]:
    return (sampled for value in values for sampled in value["sampledValue"])
