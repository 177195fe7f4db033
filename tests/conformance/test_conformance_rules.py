"""The rules that every conformance case has to keep find what breaks them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conformance.csms import Asked, Connection, Csms, Ear, Payload, Received
from tests.conformance.rules import broken_rules

SHOWN = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def stamp(seconds: float = 0.0) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Record:
    """Frames as if they had been exchanged on one connection."""

    def __init__(self) -> None:
        self.csms = Csms()
        self.csms.connections.append(Connection(1, Ear.__new__(Ear), 0.0))

    def got(self, action: str, payload: Payload, answer: Payload | None = None, **more: Any) -> Received:  # noqa: ANN401
        number = len(self.csms.calls)
        received = Received(number, 1, f"id-{number}", action, payload, float(number), datetime.now(UTC))
        received.answered_at, received.answer = number + 0.5, answer
        for name, value in more.items():
            setattr(received, name, value)
        self.csms.calls.append(received)
        return received

    def asked(self, action: str, frame: list[Any] | None, after: float = 0.1) -> Asked:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        asked = Asked(1, "csms-1", action, 0.0, future)
        if frame is not None:
            future.set_result(frame)
            asked.answered_at = after
        self.csms.asked.append(asked)
        return asked

    def faults(self, *lax: str) -> list[str]:
        return [fault.split("]", maxsplit=1)[0].strip("[") for fault in broken_rules(self.csms, 30.0, set(lax))]


@pytest.fixture
def record() -> Record:
    return Record()


async def test_what_is_right_is_left_alone(record: Record) -> None:
    record.got("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    record.got("StatusNotification", SHOWN | {"timestamp": stamp()})
    start = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": stamp()}
    values = {
        "connectorId": 1,
        "transactionId": 4,
        "meterValue": [{"timestamp": stamp(), "sampledValue": [{"value": "1"}]}],
    }
    record.got("StartTransaction", start, {"transactionId": 4, "idTagInfo": {"status": "Accepted"}})
    record.got("MeterValues", values)
    record.got("StopTransaction", {"transactionId": 4, "meterStop": 2, "timestamp": stamp()})
    record.asked("Reset", [3, "csms-1", {"status": "Accepted"}])
    assert record.faults() == []


async def test_a_second_call_before_the_answer_is_found(record: Record) -> None:
    record.got("Heartbeat", {}, answered_at=None)
    record.got("Heartbeat", {})
    assert record.faults() == ["one-call"]
    assert record.faults("one-call") == []
    record.csms.timeouts.append((0.0, 1.0))
    assert record.faults() == []


async def test_a_call_without_an_answer_is_found(record: Record) -> None:
    asked = record.asked("Reset", None)
    assert record.faults() == ["answers"]
    asked.excused = True
    assert record.faults() == []


async def test_a_late_answer_is_found(record: Record) -> None:
    record.asked("Reset", [3, "csms-1", {"status": "Accepted"}], after=5.5)
    assert record.faults() == ["answers"]


async def test_an_id_for_two_messages_is_found(record: Record) -> None:
    record.got("Authorize", {"idTag": "A"}, message_id="same")
    record.got("Authorize", {"idTag": "A"}, message_id="same")
    assert record.faults() == []
    record.got("Authorize", {"idTag": "B"}, message_id="same")
    assert record.faults() == ["ids"]


async def test_an_id_that_is_too_long_is_found(record: Record) -> None:
    record.got("Heartbeat", {}, message_id="x" * 37)
    assert record.faults() == ["ids"]


async def test_payloads_against_the_schema_are_found(record: Record) -> None:
    record.got("Authorize", {"idTag": "A" * 21})
    record.got("Dance", {})
    record.asked("Reset", [3, "csms-1", {"status": "Perhaps"}])
    assert record.faults() == ["schemas", "schemas", "schemas"]


@pytest.mark.parametrize("text", ["2026-11-24T13:00:00", "2026-11-24T13:00:00+01:00", stamp(9.0), stamp(-9.0)])
async def test_times_that_cannot_be_are_found(record: Record, text: str) -> None:
    record.got("StatusNotification", SHOWN | {"timestamp": text})
    assert record.faults() == ["stamps"]


async def test_meter_values_outside_their_transaction_are_found(record: Record) -> None:
    values = {"connectorId": 1, "transactionId": 4, "meterValue": []}
    start = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": stamp()}
    record.got("MeterValues", values)
    record.got("StartTransaction", start, {"transactionId": 4, "idTagInfo": {"status": "Accepted"}})
    record.got("StopTransaction", {"transactionId": 4, "meterStop": 2, "timestamp": stamp()})
    record.got("MeterValues", values)
    assert record.faults("schemas") == ["meter-values", "meter-values"]


async def test_a_transition_that_cannot_be_is_found(record: Record) -> None:
    record.got("StatusNotification", SHOWN | {"status": "Charging"})
    record.got("StatusNotification", SHOWN | {"status": "Preparing"})
    assert record.faults() == ["transitions"]


async def test_garbage_is_found(record: Record) -> None:
    record.csms.garbage.append(json.dumps([3, "nobody", {}]))
    assert record.faults() == ["garbage"]
