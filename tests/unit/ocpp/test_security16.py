"""The whitepaper's messages and keys in OCPP 1.6: what is read of them and how they are answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ocpp.messages import get_validator

from agent.core.commands import ChangeSetting, Command, Outcome, Result
from agent.core.company import Company
from agent.core.errors import RpcError
from agent.core.facts import SecurityEventRaised
from agent.core.instant import Instant, TimeStatus
from agent.core.security_commands import (
    ChangePassword,
    DeleteCertificate,
    GetCertificates,
    InstallCertificate,
    RequestCertificate,
    TakeCertificate,
)
from agent.core.security_model import CertificateHash, CertificateUse, SecurityEventKind, SecurityView
from agent.core.settings import Settings
from agent.ocpp.dialect import Immediate, StationView
from agent.ocpp.rpc import Incoming
from agent.ocpp.v16 import decode, security

EVERYTHING = SecurityView(password=True, root=True, certificate=True)
HASH = CertificateHash("SHA256", "aa" * 32, "bb" * 32, "1f")
CENTRAL = CertificateUse.CENTRAL_SYSTEM


def view(profile: int = 0, has: SecurityView = EVERYTHING) -> StationView:
    return StationView(1, Settings(security_profile=profile), Company(), security=has)


def decoded(action: str, **payload: Any) -> Command | Immediate:  # noqa: ANN401  # JSON
    return decode.decode(Incoming("1", action, payload), view())


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("4F43415F4F4354545F61646D696E5F74657374", b"OCA_OCTT_admin_test"),
        ("00ff80" * 6, bytes.fromhex("00ff80" * 6)),
        ("AB" * 16, b"\xab" * 16),
        ("AB" * 20, b"\xab" * 20),
        ("0123456789abcdef", b"0123456789abcdef"),
        ("twenty characters 20", b"twenty characters 20"),
        ("sixteen-pässwört", "sixteen-pässwört".encode()),
    ],
)
def test_a_password_is_decoded_as_the_test_tool_does(text: str, sent: bytes) -> None:
    assert security.password(text, view()) == ChangePassword(sent)


@pytest.mark.parametrize("text", ["", "x" * 15, "x" * 21, "AB" * 15, "A" * 33, "A" * 39, "GG" * 16, "AB" * 21])
def test_a_password_of_another_form_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="must be 32 to 40") as refused:
        security.password(text, view())
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize(
    ("now", "text", "has", "allowed"),
    [
        (0, "1", SecurityView(password=True), True),
        (0, "1", SecurityView(root=True, certificate=True), False),
        (0, "2", SecurityView(password=True, root=True), True),
        (0, "2", SecurityView(password=True), False),
        (0, "3", SecurityView(root=True, certificate=True), True),
        (0, "3", SecurityView(certificate=True), False),
        (0, "3", SecurityView(root=True, password=True), False),
        (2, "2", EVERYTHING, False),
        (2, "1", EVERYTHING, False),
        (3, "0", EVERYTHING, False),
        (0, "4", EVERYTHING, False),
        (0, "0", EVERYTHING, False),
        (0, "-1", EVERYTHING, False),
        (0, "1.0", EVERYTHING, False),
        (0, "\u0663", EVERYTHING, False),
        (0, "", EVERYTHING, False),
    ],
)
def test_a_profile_goes_up_and_only_with_what_it_needs(now: int, text: str, has: SecurityView, allowed: bool) -> None:
    if allowed:
        assert security.profile(text, view(now, has)) == ChangeSetting("security_profile", int(text))
    else:
        with pytest.raises(ValueError, match=r"needs|higher"):
            security.profile(text, view(now, has))


def test_requests_become_commands() -> None:
    assert decoded("InstallCertificate", certificateType=CENTRAL.value, certificate="PEM") == InstallCertificate(
        CENTRAL, "PEM"
    )
    assert decoded("GetInstalledCertificateIds", certificateType="ManufacturerRootCertificate") == GetCertificates(
        CertificateUse.MANUFACTURER
    )
    assert decoded("CertificateSigned", certificateChain="PEM") == TakeCertificate("PEM")
    data = {"hashAlgorithm": "SHA256", "issuerNameHash": "AA" * 32, "issuerKeyHash": "bB" * 32, "serialNumber": "001F"}
    assert decoded("DeleteCertificate", certificateHashData=data) == DeleteCertificate(HASH)
    assert decoded("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate") == RequestCertificate()
    with pytest.raises(RpcError, match="PropertyConstraintViolation"):
        decoded("InstallCertificate", certificateType=CENTRAL.value, certificate="x" * 5501)


@pytest.mark.parametrize("result", list(Result))
def test_every_outcome_has_an_answer_within_the_schema(result: Result) -> None:
    commands: dict[str, Command] = {
        "InstallCertificate": InstallCertificate(CENTRAL, ""),
        "DeleteCertificate": DeleteCertificate(HASH),
        "GetInstalledCertificateIds": GetCertificates(CENTRAL),
        "CertificateSigned": TakeCertificate(""),
        "ExtendedTriggerMessage": RequestCertificate(),
        "ChangeConfiguration": ChangePassword(b""),
    }
    for action, command in commands.items():
        for hashes in ((), (HASH,)):
            payload = decode.answer(command, Outcome(command, result, certificates=hashes), view())
            get_validator(3, action, "1.6").validate(payload)


def test_a_security_event_is_told_within_the_schema() -> None:
    at = Instant(1.0, datetime(2026, 11, 24, 12, tzinfo=UTC), TimeStatus.SYNCHRONISED, 1)
    for kind in SecurityEventKind:
        for info in (None, "x" * 255):
            call = security.security_event(SecurityEventRaised(kind, at, info))
            assert call.action == "SecurityEventNotification"
            get_validator(2, call.action, "1.6").validate(call.payload)
    assert call.payload["timestamp"] == "2026-11-24T12:00:00.000Z"
