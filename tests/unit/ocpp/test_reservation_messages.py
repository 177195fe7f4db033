"""ReserveNow, CancelReservation, TriggerMessage and ExtendedTriggerMessage: as they are read, and answered."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from ocpp.messages import get_validator

from agent.core.booking import Booked
from agent.core.commands import Outcome, Result
from agent.core.company import Company
from agent.core.errors import RpcError
from agent.core.model import EvseId, IdToken
from agent.core.reservation_commands import CancelReservation, ReserveNow
from agent.core.security_commands import RequestCertificate
from agent.core.settings import Settings
from agent.core.trigger_commands import Trigger, TriggerMessage
from agent.ocpp.dialect import Immediate, StationView
from agent.ocpp.rpc import Incoming
from agent.ocpp.v16 import decode, encode, triggers
from agent.ports import OutboxRow
from tests.unit.ocpp.test_encode16 import STARTED, row

VIEW = StationView(connectors=1, settings=Settings(), company=Company())
UNTIL = datetime(2026, 11, 18, 13, 0, tzinfo=UTC)
RESERVE = {"connectorId": 1, "expiryDate": "2026-11-18T14:00:00.25+01:00", "idTag": "04AAAA01", "reservationId": 7}


def read(action: str, payload: dict[str, Any]) -> object:
    return decode.decode(Incoming("1", action, payload), VIEW)


def answered(action: str, command: Any, result: Result) -> str:  # noqa: ANN401  # of any slice
    payload = decode.answer(command, Outcome(command, result), VIEW)
    get_validator(3, action, "1.6").validate(payload)
    return str(payload["status"])


def test_a_reservation_is_read_with_its_end_in_utc() -> None:
    until = UNTIL.replace(microsecond=250_000)
    assert read("ReserveNow", RESERVE) == ReserveNow(7, EvseId(1), IdToken("04AAAA01"), None, until)
    group = read("ReserveNow", {**RESERVE, "parentIdTag": "G", "connectorId": 0})
    assert isinstance(group, ReserveNow)
    assert (group.group, group.evse) == (IdToken("G"), EvseId(0))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expiryDate": "tomorrow"}, "PropertyConstraintViolation"),
        ({"idTag": "0" * 21}, "PropertyConstraintViolation"),
        ({"connectorId": "1"}, "TypeConstraintViolation"),
        ({"reservationId": None}, "TypeConstraintViolation"),
    ],
)
def test_a_reservation_that_cannot_be_read_is_refused(change: dict[str, object], code: str) -> None:
    with pytest.raises(RpcError) as caught:
        read("ReserveNow", {**RESERVE, **change})
    assert caught.value.code == code


def test_a_missing_field_is_a_protocol_error() -> None:
    with pytest.raises(RpcError) as caught:
        read("CancelReservation", {})
    assert caught.value.code == "ProtocolError"


def test_a_reservation_for_nobody_is_rejected() -> None:
    assert read("ReserveNow", {**RESERVE, "idTag": " "}) == Immediate({"status": "Rejected"})


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (Result.ACCEPTED, "Accepted"),
        (Result.OCCUPIED, "Occupied"),
        (Result.FAULTED, "Faulted"),
        (Result.UNAVAILABLE, "Unavailable"),
        (Result.REJECTED, "Rejected"),
    ],
)
def test_each_outcome_of_a_reservation_has_its_word(result: Result, status: str) -> None:
    assert answered("ReserveNow", ReserveNow(7, EvseId(1), IdToken("A"), None, UNTIL), result) == status


def test_a_cancellation_is_read_and_answered() -> None:
    assert read("CancelReservation", {"reservationId": -3}) == CancelReservation(-3)
    assert answered("CancelReservation", CancelReservation(7), Result.ACCEPTED) == "Accepted"
    assert answered("CancelReservation", CancelReservation(7), Result.REJECTED) == "Rejected"


def test_a_start_names_the_reservation_it_used() -> None:
    used: OutboxRow = row(replace(STARTED, booked=Booked(7, STARTED.at)))
    call = encode.encode(used, Settings())
    assert getattr(call, "payload", {})["reservationId"] == 7
    assert "reservationId" not in getattr(encode.encode(row(STARTED), Settings()), "payload", {})


@pytest.mark.parametrize("trigger", list(triggers.PLAIN.values()))
def test_each_message_of_the_specification_can_be_asked_for(trigger: Trigger) -> None:
    assert read("TriggerMessage", {"requestedMessage": trigger.value}) == TriggerMessage(trigger)
    told = read("TriggerMessage", {"requestedMessage": trigger.value, "connectorId": 0})
    assert told == TriggerMessage(trigger, EvseId(0))


@pytest.mark.parametrize("name", sorted(triggers.EXTENDED))
def test_the_whitepaper_asks_for_the_same_messages(name: str) -> None:
    told = read("ExtendedTriggerMessage", {"requestedMessage": name, "connectorId": 1})
    assert told == TriggerMessage(triggers.EXTENDED[name], EvseId(1))


def test_what_the_whitepaper_asks_for_and_nobody_makes_is_not_implemented() -> None:
    schema = get_validator(2, "ExtendedTriggerMessage", "1.6").schema
    names = set(schema["definitions"]["MessageTriggerEnumType"]["enum"])
    assert read("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}) == RequestCertificate()
    for name in names - triggers.EXTENDED.keys() - {"SignChargePointCertificate"}:
        assert read("ExtendedTriggerMessage", {"requestedMessage": name}) == Immediate({"status": "NotImplemented"})


@pytest.mark.parametrize("action", ["TriggerMessage", "ExtendedTriggerMessage"])
def test_a_message_that_does_not_exist_is_refused(action: str) -> None:
    with pytest.raises(RpcError) as caught:
        read(action, {"requestedMessage": "Authorize"})
    assert caught.value.code == "PropertyConstraintViolation"


@pytest.mark.parametrize(
    ("result", "status"),
    [(Result.ACCEPTED, "Accepted"), (Result.REJECTED, "Rejected"), (Result.NOT_SUPPORTED, "NotImplemented")],
)
def test_each_outcome_of_a_trigger_has_its_word(result: Result, status: str) -> None:
    assert answered("TriggerMessage", TriggerMessage(Trigger.BOOT), result) == status
