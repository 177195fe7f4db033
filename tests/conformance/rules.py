"""What holds in every conformance case, judged on the recorded frames; a case may set a rule aside by its name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Final

from jsonschema import Draft4Validator  # type: ignore[import-untyped]  # ships no types

from tests.conformance.csms import Csms, Payload, Received

ANSWER_S: Final = 5.0
NEAR: Final = timedelta(seconds=4)
SLACK_S: Final = 0.05
"""Time-outs of the station count from a moment before the central system has the message, or after it answered."""
NO_TRANSACTION: Final = -1
#: Status of a connector -> those that may follow it (OCPP 1.6 ed. 2, section 4.9; errata 3.20).
FOLLOWING: Final = {
    "Available": "Preparing Charging SuspendedEV SuspendedEVSE Reserved Unavailable Faulted",
    "Preparing": "Available Charging SuspendedEV SuspendedEVSE Finishing Unavailable Faulted",
    "Charging": "Available SuspendedEV SuspendedEVSE Finishing Unavailable Faulted",
    "SuspendedEV": "Available Charging SuspendedEVSE Finishing Unavailable Faulted",
    "SuspendedEVSE": "Available Charging SuspendedEV Finishing Unavailable Faulted",
    "Finishing": "Available Preparing Unavailable Faulted",
    "Reserved": "Available Preparing Unavailable Faulted",
    "Unavailable": "Available Preparing Charging SuspendedEV SuspendedEVSE Faulted",
    "Faulted": "Available Preparing Charging SuspendedEV SuspendedEVSE Finishing Reserved Unavailable",
}
UTC_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")


def broken_rules(csms: Csms, message_timeout_s: float, lax: set[str]) -> Iterator[str]:
    """Return what is wrong, in words; lax: rules that are set aside."""
    rules: dict[str, Callable[[], Iterator[str]]] = {
        "one-call": lambda: _one_call(csms, message_timeout_s),
        "answers": lambda: _answers(csms),
        "ids": lambda: _ids(csms),
        "schemas": lambda: _schemas(csms),
        "stamps": lambda: _stamps(csms),
        "meter-values": lambda: _meter_values(csms),
        "transitions": lambda: _transitions(csms),
        "garbage": lambda: iter(f"not a frame, or an answer to nothing: {g}" for g in csms.garbage),
    }
    assert lax <= rules.keys(), f"no such rule: {lax - rules.keys()}"
    for name, rule in rules.items():
        if name not in lax:
            yield from (f"[{name}] {fault}" for fault in rule())


def _one_call(csms: Csms, message_timeout_s: float) -> Iterator[str]:
    """At most one CALL of the station is unanswered and not timed out (OCPP-J 1.6, section 4.1.1)."""
    for connection in csms.connections:
        calls = [c for c in csms.calls if c.connection == connection.number]
        for before, call in pairwise(calls):
            answered = before.answered_at is not None and before.answered_at <= call.at
            timeout = _timeout_at(csms, before.at, message_timeout_s)
            if not answered and call.at - before.at < timeout - SLACK_S:
                yield f"{call.action} came while {before.action} had no answer"


def _timeout_at(csms: Csms, at: float, default_s: float) -> float:
    """Return the time-out in force at a moment."""
    return next((seconds for since, seconds in reversed(csms.timeouts) if since <= at), default_s)


def _answers(csms: Csms) -> Iterator[str]:
    """Each CALL of the central system is answered within 5 s, unless its connection ended."""
    for asked in csms.asked:
        connection = csms.connections[asked.connection - 1]
        if asked.excused or (asked.answered_at is None and not connection.open):
            continue
        if asked.answered_at is None or asked.answered_at - asked.at > ANSWER_S:
            yield f"{asked.action} ({asked.message_id}) was not answered in time"


def _ids(csms: Csms) -> Iterator[str]:
    """No two different messages share an id; a resend is the same message (OCPP-J 1.6 errata, section 3.1)."""
    known: dict[str, Received] = {}
    for call in csms.calls:
        first = known.setdefault(call.message_id, call)
        if (first.action, first.payload) != (call.action, call.payload):
            yield f"{call.message_id} is {first.action} {first.payload}, then {call.action} {call.payload}"
        if len(call.message_id) > 36:
            yield f"the id of {call.action} is longer than 36 characters"


def _schemas(csms: Csms) -> Iterator[str]:
    for call in csms.calls:
        yield from (f"{call.action}: {error}" for error in _errors(call.action, call.payload))
    for asked in csms.asked:
        if asked.answer.done() and asked.frame[0] == 3:
            errors = _errors(f"{asked.action}Response", asked.frame[2])
            yield from (f"the answer to {asked.action}: {error}" for error in errors)


def _stamps(csms: Csms) -> Iterator[str]:
    """Times are UTC, and near the moment at which the message came; queued ones are older, never than the test."""
    began = csms.began + csms.offset - NEAR
    for call in csms.calls:
        for text in _texts(call.payload):
            if not UTC_STAMP.fullmatch(text):
                yield f"{call.action}: {text} is not in UTC"
            elif not began <= _time(text) <= call.wall + NEAR:
                yield f"{call.action}: {text} is not near {call.wall.isoformat()}"


def _meter_values(csms: Csms) -> Iterator[str]:
    """MeterValues of a transaction come after its StartTransaction was answered, and before its StopTransaction."""
    started: set[int] = {NO_TRANSACTION}
    stopped: set[int] = set()
    for call in csms.calls:
        transaction = call.get("transactionId")
        if call.action == "StartTransaction" and call.answer is not None:
            started.add(call.answer.get("transactionId", NO_TRANSACTION))
            stopped.discard(call.answer.get("transactionId", NO_TRANSACTION))
        elif call.action == "StopTransaction" and transaction != NO_TRANSACTION:
            stopped.add(call["transactionId"])
        elif call.action == "MeterValues" and transaction is not None:
            if transaction not in started:
                yield f"MeterValues of transaction {transaction}, which was not started"
            if transaction in stopped:
                yield f"MeterValues of transaction {transaction} after its StopTransaction"


def _transitions(csms: Csms) -> Iterator[str]:
    """A connector moves between its statuses as the table allows; what happens between two connections is not seen."""
    shown: dict[tuple[int, int], str] = {}
    for call in csms.calls:
        if call.action == "BootNotification":
            shown.clear()
        if call.action != "StatusNotification" or call["connectorId"] == 0:
            continue
        place, status = (call.connection, call["connectorId"]), call["status"]
        before = shown.get(place, status)
        shown[place] = status
        if status != before and status not in FOLLOWING[before].split():
            yield f"connector {call['connectorId']} went from {before} to {status}"


def _texts(payload: object) -> Iterator[str]:
    """Return all members called timestamp."""
    if isinstance(payload, dict):
        for name, value in payload.items():
            if name == "timestamp":
                yield str(value)
            else:
                yield from _texts(value)
    elif isinstance(payload, list):
        for item in payload:
            yield from _texts(item)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _errors(name: str, payload: Payload) -> list[str]:
    validator = _validator(name)
    if validator is None:
        return [f"there is no message {name}"]
    exact = json.loads(json.dumps(payload), parse_float=Decimal)  # limits of one decimal need decimal numbers
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(exact)]


@cache
def _validator(name: str) -> Any:  # noqa: ANN401  # of a library without types
    """Return what checks a message against its published schema; errata: only what the schemas lack."""
    path = files("ocpp") / "v16" / "schemas" / f"{name}.json"
    if not path.is_file():
        return None
    return Draft4Validator(json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal))
