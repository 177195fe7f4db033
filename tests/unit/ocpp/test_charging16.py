"""Charging profiles on the wire of OCPP 1.6: what becomes a command, what is refused, and how answers are told."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.messages import get_validator

from agent.core.charging_commands import (
    ChargingCommand,
    ClearChargingProfiles,
    CompositeSchedule,
    GetCompositeSchedule,
    SetChargingProfile,
)
from agent.core.charging_profile import (
    ChargingProfile,
    Kind,
    Purpose,
    RateUnit,
    Recurrence,
    Schedule,
    SchedulePeriod,
)
from agent.core.commands import Command, Outcome, RemoteStart, Result
from agent.core.company import Company
from agent.core.errors import RpcError
from agent.core.model import EvseId, IdToken
from agent.core.settings import Settings
from agent.ocpp.dialect import Immediate, StationView
from agent.ocpp.rpc import Incoming, JsonObject
from agent.ocpp.v16.decode import answer, decode

VIEW = StationView(connectors=2, settings=Settings(), company=Company())
ONE = EvseId(1)
START = datetime(2026, 11, 18, 12, 0, tzinfo=UTC)
VIOLATED = "PropertyConstraintViolation"


def sent(**more: object) -> JsonObject:
    """Return a profile as it is sent; more: other members, of the schedule where they belong there."""
    schedule: JsonObject = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}]}
    inside = {"duration", "startSchedule", "chargingRateUnit", "chargingSchedulePeriod", "minChargingRate"}
    schedule |= {name: value for name, value in more.items() if name in inside}
    profile: JsonObject = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    }
    return profile | {name: value for name, value in more.items() if name not in inside}


def limits(*numbers: object) -> list[JsonObject]:
    return [{"startPeriod": place * 60, "limit": number} for place, number in enumerate(numbers)]


def ask(action: str, payload: JsonObject) -> Command | Immediate:
    return decode(Incoming("id", action, payload), VIEW)


def setting(connector: int = 1, **more: object) -> SetChargingProfile:
    command = ask("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": sent(**more)})
    assert isinstance(command, SetChargingProfile)
    return command


def refusal(action: str, payload: JsonObject) -> str:
    with pytest.raises(RpcError) as caught:
        ask(action, payload)
    return caught.value.code


def test_a_profile_is_understood_as_a_whole() -> None:
    command = setting(
        0,
        chargingProfilePurpose="ChargePointMaxProfile",
        chargingProfileKind="Recurring",
        recurrencyKind="Weekly",
        validFrom="2026-11-18T13:00:00+01:00",
        validTo="2027-11-18T12:00:00Z",
        stackLevel=3,
        duration=600,
        startSchedule="2026-11-18T12:00:00.000Z",
        chargingRateUnit="W",
        minChargingRate=4140.0,
        chargingSchedulePeriod=[
            {"startPeriod": 0, "limit": 11000},
            {"startPeriod": 60, "limit": 16.1, "numberPhases": 1},
        ],
    )
    periods = (SchedulePeriod(0, Decimal(11000)), SchedulePeriod(60, Decimal("16.1"), 1))
    assert command == SetChargingProfile(
        EvseId(0),
        ChargingProfile(
            1,
            3,
            Purpose.STATION_MAX,
            Kind.RECURRING,
            Schedule(RateUnit.WATT, periods, 600, START, Decimal(4140)),
            Recurrence.WEEKLY,
            START,
            START.replace(year=2027),
        ),
    )


@pytest.mark.parametrize("transaction", [0, -1, 42])
def test_a_transaction_is_named_by_whatever_number_it_has(transaction: int) -> None:
    assert setting(chargingProfilePurpose="TxProfile", transactionId=transaction).profile.transaction == transaction
    assert setting(chargingProfilePurpose="TxProfile").profile.transaction is None


@pytest.mark.parametrize("limit", [16, 16.1, 0.1, 0.3, 2.3, 6.0, 11040.7, 1e3])
def test_limits_of_one_decimal_are_taken_exactly(limit: float) -> None:
    (period,) = setting(chargingSchedulePeriod=limits(limit)).profile.schedule.periods
    assert period.limit == Decimal(repr(limit))


@pytest.mark.parametrize("limit", [16.25, 0.01, 1e-9, float("inf"), 1e300, 10**30])
def test_limits_that_are_none_are_refused(limit: float) -> None:
    payload = {"connectorId": 1, "csChargingProfiles": sent(chargingSchedulePeriod=limits(limit))}
    assert refusal("SetChargingProfile", payload) == VIOLATED
    assert (
        refusal("RemoteStartTransaction", {"idTag": "A", "chargingProfile": payload["csChargingProfiles"]}) == VIOLATED
    )


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"connectorId": 3, "csChargingProfiles": sent()}, VIOLATED),
        ({"connectorId": -1, "csChargingProfiles": sent()}, VIOLATED),
        ({"connectorId": 1, "csChargingProfiles": sent(chargingRateUnit="X")}, VIOLATED),
        ({"connectorId": 1, "csChargingProfiles": sent(chargingProfilePurpose="Fun")}, VIOLATED),
        ({"connectorId": 1, "csChargingProfiles": sent(chargingProfileKind="Never")}, VIOLATED),
        ({"connectorId": 1, "csChargingProfiles": sent(recurrencyKind="Yearly")}, VIOLATED),
        ({"connectorId": 1, "csChargingProfiles": sent(validFrom="soon")}, VIOLATED),
        ({"connectorId": 1, "csChargingProfiles": sent(startSchedule="now")}, VIOLATED),
        ({"connectorId": 1, "csChargingProfiles": sent(stackLevel="1")}, "TypeConstraintViolation"),
        ({"connectorId": 1, "csChargingProfiles": sent(stackLevel=1.5)}, "TypeConstraintViolation"),
        ({"connectorId": 1, "csChargingProfiles": sent(chargingSchedulePeriod=limits("6"))}, "TypeConstraintViolation"),
        (
            {"connectorId": 1, "csChargingProfiles": sent(chargingSchedulePeriod=limits(True))},
            "TypeConstraintViolation",
        ),
        ({"connectorId": 1, "csChargingProfiles": sent(chargingSchedulePeriod=[{"limit": 6}])}, "ProtocolError"),
        ({"connectorId": 1, "csChargingProfiles": {}}, "ProtocolError"),
        ({"connectorId": 1}, "ProtocolError"),
        ({}, "ProtocolError"),
    ],
)
def test_what_is_wrong_with_a_profile_has_its_own_code(payload: JsonObject, code: str) -> None:
    assert refusal("SetChargingProfile", payload) == code


def test_a_remote_start_brings_its_profile() -> None:
    brought = sent(chargingProfilePurpose="TxProfile")
    command = ask("RemoteStartTransaction", {"idTag": "A", "connectorId": 1, "chargingProfile": brought})
    assert command == RemoteStart(IdToken("A"), ONE, setting(chargingProfilePurpose="TxProfile").profile)


@pytest.mark.parametrize(
    ("action", "payload", "command"),
    [
        ("ClearChargingProfile", {}, ClearChargingProfiles()),
        ("ClearChargingProfile", {"id": 0}, ClearChargingProfiles(id=0)),
        (
            "ClearChargingProfile",
            {"connectorId": 0, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0},
            ClearChargingProfiles(evse=EvseId(0), purpose=Purpose.TX_DEFAULT, stack_level=0),
        ),
        ("GetCompositeSchedule", {"connectorId": 0, "duration": 60}, GetCompositeSchedule(EvseId(0), 60)),
        (
            "GetCompositeSchedule",
            {"connectorId": 1, "duration": 60, "chargingRateUnit": "W"},
            GetCompositeSchedule(ONE, 60, RateUnit.WATT),
        ),
    ],
)
def test_requests_become_commands_of_the_core(action: str, payload: JsonObject, command: ChargingCommand) -> None:
    assert ask(action, payload) == command


def test_an_unknown_unit_of_a_composite_schedule_is_refused() -> None:
    payload: JsonObject = {"connectorId": 1, "duration": 60, "chargingRateUnit": "kW"}
    assert refusal("GetCompositeSchedule", payload) == VIOLATED


def test_a_composite_schedule_is_told_with_one_decimal_and_without_an_inner_start() -> None:
    periods = (SchedulePeriod(0, Decimal("7.2")), SchedulePeriod(60, Decimal("16.0"), 1))
    schedule = CompositeSchedule(ONE, START, 600, RateUnit.AMPERE, periods)
    command = GetCompositeSchedule(ONE, 600)
    told = answer(command, Outcome(command, Result.ACCEPTED, schedule=schedule), VIEW)
    assert told == {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": "2026-11-18T12:00:00.000Z",
        "chargingSchedule": {
            "duration": 600,
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 7.2},
                {"startPeriod": 60, "limit": 16.0, "numberPhases": 1},
            ],
        },
    }
    exact = json.loads(json.dumps(told), parse_float=Decimal)
    get_validator(3, "GetCompositeSchedule", "1.6", parse_float=Decimal).validate(exact)


@pytest.mark.parametrize(
    ("command", "action", "done", "not_done"),
    [
        (setting(), "SetChargingProfile", "Accepted", "Rejected"),
        (ClearChargingProfiles(), "ClearChargingProfile", "Accepted", "Unknown"),
        (GetCompositeSchedule(ONE, 60), "GetCompositeSchedule", "Accepted", "Rejected"),
    ],
)
def test_every_outcome_has_a_valid_answer(command: ChargingCommand, action: str, done: str, not_done: str) -> None:
    for result in Result:
        told = answer(command, Outcome(command, result), VIEW)
        get_validator(3, action, "1.6", parse_float=Decimal).validate(told)  # it keeps the numbers of its first use
        assert told["status"] == (done if result is Result.ACCEPTED else not_done)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("2026-11-18T12:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.sampled_from([*sent(), "validFrom", "transactionId", "startSchedule", "duration", "chargingSchedulePeriod"]), ANY
)
def test_any_member_makes_a_command_or_an_rpc_error(name: str, value: object) -> None:
    try:
        more: JsonObject = {name: value}
        command = setting(1, **more)
    except RpcError:
        return
    assert isinstance(command.profile, ChargingProfile)


def test_what_is_nested_without_end_is_refused_and_harms_nobody() -> None:
    nested: object = 1.5
    for _ in range(900):
        nested = [nested]
    assert refusal("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": nested}) == "TypeConstraintViolation"
