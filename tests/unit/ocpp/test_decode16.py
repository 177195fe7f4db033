"""Requests of an OCPP 1.6 central system: commands, error codes, and answers that are valid for every outcome."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocpp.messages import get_validator
from ocpp.v16.enums import Action

from agent.core.commands import (
    ChangeAvailability,
    ChangeSetting,
    ClearCache,
    Command,
    GetLocalListVersion,
    GetSettings,
    LinkCompany,
    ListEntry,
    Outcome,
    PushCompanyLink,
    PushCompanySettings,
    RemoteStart,
    RemoteStop,
    Reset,
    ResetKind,
    Result,
    SendLocalList,
    UnlinkCompany,
    UnlockConnector,
)
from agent.core.company import Company, CompanySettings
from agent.core.errors import RpcError
from agent.core.model import EvseId, IdToken, TokenInfo, TokenStatus
from agent.core.settings import Settings
from agent.ocpp.company_link import VENDOR
from agent.ocpp.dialect import Immediate, StationView, moment
from agent.ocpp.rpc import Incoming, JsonObject
from agent.ocpp.v16.decode import DECODERS, answer, decode

VIEW = StationView(connectors=1, settings=Settings(), company=Company())
ONE = EvseId(1)
SECRET = "0123456789secret"


def ask(action: str, payload: JsonObject) -> Command | Immediate:
    return decode(Incoming("id", action, payload), VIEW)


def refusal(action: str, payload: JsonObject) -> RpcError:
    with pytest.raises(RpcError) as caught:
        ask(action, payload)
    return caught.value


def listing(*entries: JsonObject) -> JsonObject:
    return {"listVersion": 1, "updateType": "Full", "localAuthorizationList": list(entries)}


#: Action, payload, command, and the action whose response the answer must be.
COMMANDS: list[tuple[str, JsonObject, Command]] = [
    ("RemoteStartTransaction", {"idTag": "AB", "connectorId": 1}, RemoteStart(IdToken("AB"), ONE)),
    ("RemoteStartTransaction", {"idTag": "AB"}, RemoteStart(IdToken("AB"), None)),
    ("RemoteStartTransaction", {"idTag": "AB", "connectorId": 0}, RemoteStart(IdToken("AB"), EvseId(0))),
    ("RemoteStopTransaction", {"transactionId": -5}, RemoteStop(-5)),
    ("RemoteStopTransaction", {"transactionId": 0}, RemoteStop(0)),
    (
        "ChangeConfiguration",
        {"key": "heartbeatinterval", "value": "60"},
        ChangeSetting("heartbeat_interval_s", 60),
    ),
    ("ChangeConfiguration", {"key": "CompanyCode", "value": "acme"}, LinkCompany("ACME")),
    ("ChangeConfiguration", {"key": "CompanyCode", "value": ""}, UnlinkCompany()),
    ("GetConfiguration", {}, GetSettings()),
    ("GetConfiguration", {"key": []}, GetSettings()),
    ("GetConfiguration", {"key": ["A", "b"]}, GetSettings(("A", "b"))),
    ("Reset", {"type": "Soft"}, Reset(ResetKind.SOFT)),
    ("Reset", {"type": "Hard"}, Reset(ResetKind.HARD)),
    ("ClearCache", {}, ClearCache()),
    ("UnlockConnector", {"connectorId": 1}, UnlockConnector(ONE)),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, ChangeAvailability(EvseId(0), operative=False)),
    ("ChangeAvailability", {"connectorId": 1, "type": "Operative"}, ChangeAvailability(ONE, operative=True)),
    ("GetLocalListVersion", {}, GetLocalListVersion()),
    ("SendLocalList", {"listVersion": 3, "updateType": "Full"}, SendLocalList(3, (), full=True)),
    (
        "SendLocalList",
        {
            "listVersion": 4,
            "updateType": "Differential",
            "localAuthorizationList": [
                {"idTag": "a1", "idTagInfo": {"status": "Accepted", "expiryDate": "2026-12-01T00:00:00+01:00"}},
                {"idTag": "b2", "idTagInfo": {"status": "ConcurrentTx", "parentIdTag": "P"}},
                {"idTag": "c3"},
            ],
        },
        SendLocalList(
            4,
            (
                ListEntry(IdToken("a1"), TokenInfo(TokenStatus.ACCEPTED, moment("2026-11-30T23:00:00Z"))),
                ListEntry(IdToken("b2"), TokenInfo(TokenStatus.CONCURRENT_TX, None, IdToken("P"))),
                ListEntry(IdToken("c3"), None),
            ),
            full=False,
        ),
    ),
    (
        "DataTransfer",
        {"vendorId": VENDOR.upper(), "messageId": "CompanySettings", "data": '{"version":7}'},
        PushCompanySettings(CompanySettings(7)),
    ),
    (
        "DataTransfer",
        {"vendorId": VENDOR, "messageId": "CompanyLink", "data": '{"status":"Linked","companyName":"Acme BV"}'},
        PushCompanyLink("linked", "Acme BV"),
    ),
]


@pytest.mark.parametrize(("action", "payload", "command"), COMMANDS)
def test_requests_become_commands(action: str, payload: JsonObject, command: Command) -> None:
    assert ask(action, payload) == command


@pytest.mark.parametrize(("action", "command"), [(action, command) for action, _, command in COMMANDS])
@pytest.mark.parametrize("result", Result)
def test_every_outcome_of_every_command_has_a_valid_answer(action: str, command: Command, result: Result) -> None:
    settings = Settings() if isinstance(command, GetSettings) else None
    for reason in (None, "a reason"):
        content = answer(command, Outcome(command, result, reason, settings), VIEW)
        get_validator(3, action, "1.6").validate(content)
        json.dumps(content)


@pytest.mark.parametrize(
    ("command", "result", "status"),
    [
        (UnlockConnector(ONE), Result.NOT_SUPPORTED, "NotSupported"),
        (UnlockConnector(ONE), Result.UNLOCKED, "Unlocked"),
        (UnlockConnector(ONE), Result.UNLOCK_FAILED, "UnlockFailed"),
        (UnlockConnector(ONE), Result.REJECTED, "UnlockFailed"),
        (ChangeAvailability(ONE, operative=False), Result.SCHEDULED, "Scheduled"),
        (ChangeAvailability(ONE, operative=False), Result.REJECTED, "Rejected"),
        (ChangeSetting("x", 1), Result.RESTART_REQUIRED, "RebootRequired"),
        (ChangeSetting("x", 1), Result.REJECTED, "Rejected"),
        (RemoteStart(IdToken("A"), None), Result.ACCEPTED, "Accepted"),
        (RemoteStart(IdToken("A"), None), Result.NOT_SUPPORTED, "Rejected"),
        (Reset(ResetKind.SOFT), Result.SCHEDULED, "Accepted"),
        (SendLocalList(1, (), full=True), Result.ACCEPTED, "Accepted"),
        (SendLocalList(1, (), full=True), Result.FAILED, "Failed"),
        (SendLocalList(1, (), full=True), Result.REJECTED, "Failed"),
        (SendLocalList(1, (), full=True), Result.VERSION_MISMATCH, "VersionMismatch"),
        (SendLocalList(1, (), full=True), Result.NOT_SUPPORTED, "NotSupported"),
    ],
)
def test_outcomes_have_the_words_of_1_6(command: Command, result: Result, status: str) -> None:
    assert answer(command, Outcome(command, result), VIEW)["status"] == status


@pytest.mark.parametrize(("number", "told"), [(7, 7), (0, 0), (-1, -1), (None, -1)])
def test_the_version_of_the_local_list_is_told(number: int | None, told: int) -> None:
    command = GetLocalListVersion()
    assert answer(command, Outcome(command, Result.ACCEPTED, list_version=number), VIEW) == {"listVersion": told}


def test_a_refused_push_tells_why() -> None:
    command = PushCompanySettings(CompanySettings(1))
    content = answer(command, Outcome(command, Result.REJECTED, "older"), VIEW)
    assert content == {"status": "Rejected", "data": '{"reason":"older"}'}


@pytest.mark.requirement(34, 66)
@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("ChangeConfiguration", {"key": "HeartbeatInterval"}, "ProtocolError"),
        ("ChangeConfiguration", {}, "ProtocolError"),
        ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": 5}, "TypeConstraintViolation"),
        ("ChangeConfiguration", {"key": "x" * 51, "value": "5"}, "PropertyConstraintViolation"),
        ("ChangeConfiguration", {"key": "x", "value": "5" * 501}, "PropertyConstraintViolation"),
        ("ChangeConfiguration", {"value": 5, "more": 1}, "ProtocolError"),
        ("Reset", {"type": "Medium"}, "PropertyConstraintViolation"),
        ("Reset", {"type": None}, "TypeConstraintViolation"),
        ("UnlockConnector", {"connectorId": "1"}, "TypeConstraintViolation"),
        ("UnlockConnector", {"connectorId": 1.5}, "TypeConstraintViolation"),
        ("UnlockConnector", {"connectorId": True}, "TypeConstraintViolation"),
        ("GetConfiguration", {"key": "HeartbeatInterval"}, "TypeConstraintViolation"),
        ("GetConfiguration", {"key": [7]}, "TypeConstraintViolation"),
        ("RemoteStartTransaction", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("SendLocalList", {"updateType": "Full"}, "ProtocolError"),
        ("SendLocalList", {"listVersion": 1, "updateType": "Half"}, "PropertyConstraintViolation"),
        ("SendLocalList", listing({"idTag": "x" * 21}), "PropertyConstraintViolation"),
        ("SendLocalList", listing({"idTag": "x", "idTagInfo": {"status": "Fine"}}), "PropertyConstraintViolation"),
        (
            "SendLocalList",
            listing({"idTag": "x", "idTagInfo": {"status": "Accepted", "expiryDate": "soon"}}),
            "PropertyConstraintViolation",
        ),
        ("SendLocalList", listing({"idTag": "x", "idTagInfo": {}}), "ProtocolError"),
    ],
)
def test_what_is_wrong_with_a_request_has_its_own_code(action: str, payload: JsonObject, code: str) -> None:
    assert refusal(action, payload).code == code


def test_an_error_names_the_field_but_never_repeats_the_value() -> None:
    error = refusal("ChangeConfiguration", {"key": "AuthorizationKey", "value": [SECRET]})
    assert error.description == "value: wrong type"
    assert SECRET not in f"{error} {error.details}"
    assert "secret" not in str(refusal("ChangeConfiguration", {"key": SECRET * 5, "value": "x"}))


def test_an_unknown_field_alone_is_tolerated() -> None:
    assert ask("Reset", {"type": "Soft", "customData": {}}) == Reset(ResetKind.SOFT)


def test_an_empty_id_tag_starts_nothing() -> None:
    assert ask("RemoteStartTransaction", {"idTag": " "}) == Immediate({"status": "Rejected"})


@pytest.mark.parametrize("action", sorted({a.value for a in Action} - set(DECODERS)))
def test_known_actions_that_are_not_announced_are_not_supported(action: str) -> None:
    assert refusal(action, {}).code == "NotSupported"


@pytest.mark.requirement(66)
@pytest.mark.parametrize("action", ["Foo", "", "reset", "../v201/schemas/Reset", "x" * 10_000])
def test_unknown_actions_are_not_implemented(action: str) -> None:
    assert refusal(action, {}).code == "NotImplemented"


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("Foo", "1", "NotSupported"),
        ("NumberOfConnectors", "2", "Rejected"),
        ("MeterValueSampleInterval", "-1", "Rejected"),
    ],
)
def test_changes_that_cannot_be_are_answered_at_once(key: str, value: str, status: str) -> None:
    assert ask("ChangeConfiguration", {"key": key, "value": value}) == Immediate({"status": status})


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"vendorId": "com.other", "messageId": "CompanyLink", "data": "{}"}, "UnknownVendorId"),
        ({"vendorId": VENDOR, "messageId": "Foo", "data": "{}"}, "UnknownMessageId"),
        ({"vendorId": VENDOR}, "UnknownMessageId"),
        ({"vendorId": VENDOR, "messageId": "CompanySettings"}, "Rejected"),
        ({"vendorId": VENDOR, "messageId": "CompanySettings", "data": '{"version":"x"}'}, "Rejected"),
        ({"vendorId": VENDOR, "messageId": "CompanyLink", "data": '{"status":"Gone"}'}, "Rejected"),
    ],
)
def test_data_transfers_that_mean_nothing_here(payload: JsonObject, status: str) -> None:
    decoded = ask("DataTransfer", payload)
    assert isinstance(decoded, Immediate)
    assert decoded.payload["status"] == status
    assert ("data" in decoded.payload) == (status == "Rejected")
    get_validator(3, "DataTransfer", "1.6").validate(decoded.payload)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(["connectorId", "idTag", "key", "value", "type", "vendorId", "messageId", "data", "x"])


@pytest.mark.requirement(66)
@given(st.sampled_from(sorted(DECODERS)), st.dictionaries(FIELDS, VALUES, max_size=4))
def test_any_payload_is_a_command_an_answer_or_an_rpc_error(action: str, payload: JsonObject) -> None:
    with suppress(RpcError):
        decoded = ask(action, payload)
        if isinstance(decoded, Immediate):
            get_validator(3, action, "1.6").validate(decoded.payload)
