"""The company link's data, both directions; what is not valid is refused whole."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.commands import PushCompanyLink, PushCompanySettings
from agent.core.company import CompanySettings, LinkAnswer, LinkState
from agent.core.events import LinkFailure
from agent.ocpp.company_link import (
    Linking,
    link_answer,
    link_data,
    link_refused,
    normalise_code,
    pushed,
    settings_from_json,
    unlink_data,
)
from agent.ocpp.dialect import Transferred, TransferStatus

ACCEPTED, REJECTED = TransferStatus.ACCEPTED, TransferStatus.REJECTED
TARIFF = {"currency": "EUR", "elements": [{"price_components": [{"type": "ENERGY", "price": 0.29, "vat": 21}]}]}


def said(content: object, status: TransferStatus = ACCEPTED) -> LinkAnswer | LinkFailure:
    return link_answer(Transferred(status, json.dumps(content)))


@pytest.mark.parametrize(("typed", "code"), [("acme-7f3k", "ACME-7F3K"), (" ABCD ", "ABCD"), ("A" * 36, "A" * 36)])
def test_a_code_is_read_in_any_case(typed: str, code: str) -> None:
    assert normalise_code(typed) == code


@pytest.mark.parametrize(
    "typed", ["", "ABC", "A" * 37, "AB CD", "ABCD_", "ÄBCD", "\u017f" * 4, "\u0131" * 4, "ABCD\u0660"]
)
def test_what_is_no_code_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="company code"):
        normalise_code(typed)


def test_a_link_request_tells_of_the_station() -> None:
    station = Linking("NL-1", ("NL*ACM*E1",), ("23004711",), "1.0.0")
    assert json.loads(link_data("ACME", station, 7)) == {
        "companyCode": "ACME",
        "stationId": "NL-1",
        "evseIds": ["NL*ACM*E1"],
        "meterSerialNumbers": ["23004711"],
        "agentVersion": "1.0.0",
        "settingsVersion": 7,
    }
    assert json.loads(link_data("ACME", station, None))["settingsVersion"] is None
    assert json.loads(unlink_data("ACME")) == {"companyCode": "ACME"}


def test_a_readable_answer_is_the_link() -> None:
    answer = said({"status": "Linked", "companyName": "Acme BV", "settings": {"version": 7}, "more": 1})
    assert answer == LinkAnswer(LinkState.LINKED, None, "Acme BV", CompanySettings(7))
    assert said({"status": "Pending"}) == LinkAnswer(LinkState.PENDING)
    assert said({"status": "Rejected", "reason": "left"}) == LinkAnswer(LinkState.REJECTED, "left")


def test_a_rejected_transfer_is_a_rejected_link() -> None:
    assert said({"reason": "unknown code"}, REJECTED) == LinkAnswer(LinkState.REJECTED, "unknown code")
    assert link_answer(Transferred(REJECTED, None)) == LinkAnswer(LinkState.REJECTED)


@pytest.mark.parametrize("data", [None, "", "text", "[]", "7", "{}", '{"status":7}', '{"status":"Maybe"}', "[" * 99999])
def test_unreadable_data_come_from_a_system_without_company_links(data: str | None) -> None:
    assert link_answer(Transferred(ACCEPTED, data)) is LinkFailure.UNSUPPORTED


@pytest.mark.parametrize("status", [TransferStatus.UNKNOWN_VENDOR_ID, TransferStatus.UNKNOWN_MESSAGE_ID])
def test_an_unknown_vendor_or_message_is_unsupported(status: TransferStatus) -> None:
    assert link_answer(Transferred(status, None)) is LinkFailure.UNSUPPORTED


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("NotImplemented", LinkFailure.UNSUPPORTED),
        ("NotSupported", LinkFailure.UNSUPPORTED),
        ("InternalError", LinkFailure.FAILED),
        ("SecurityError", LinkFailure.FAILED),
    ],
)
def test_errors_are_unsupported_or_tried_again(code: str, failure: LinkFailure) -> None:
    assert link_refused(code) is failure


def test_settings_that_are_not_valid_leave_the_link_as_it_is_said() -> None:
    answer = said({"status": "Linked", "settings": {"version": 1, "refundPercentage": "101"}})
    assert isinstance(answer, LinkAnswer)
    assert answer.status is LinkState.LINKED
    assert answer.settings is None
    assert "refundPercentage" in (answer.reason or "")


def test_pushed_settings_have_their_defaults() -> None:
    assert pushed("CompanySettings", '{"version":0}') == PushCompanySettings(
        CompanySettings(0, session_logging=True, automatic_payment=False, refund_percentage=Decimal(100), tariff=None)
    )


def test_pushed_settings_keep_their_digits() -> None:
    content = {
        "version": 7,
        "sessionLogging": False,
        "automaticPayment": True,
        "refundPercentage": "87.50",
        "tariff": TARIFF,
    }
    command = pushed("CompanySettings", json.dumps(content))
    assert isinstance(command, PushCompanySettings)
    assert command.settings.refund_percentage == Decimal("87.50")
    assert not command.settings.session_logging
    assert command.settings.automatic_payment
    assert command.settings.tariff is not None
    assert command.settings.tariff.elements[0].components[0].price == Decimal("0.29")


def test_a_pushed_link_is_a_command() -> None:
    data = {"status": "Rejected", "reason": "contract ended", "companyName": "Acme", "settings": {"version": 2}}
    assert pushed("CompanyLink", json.dumps(data)) == PushCompanyLink(
        "rejected", "Acme", "contract ended", CompanySettings(2)
    )


def test_another_message_is_not_known() -> None:
    assert pushed("Foo", "{}") is None


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"version": "7"},
        {"version": True},
        {"version": -1},
        {"version": 1.5},
        {"version": 10**30},
        {"version": 1, "sessionLogging": "no"},
        {"version": 1, "automaticPayment": 1},
        {"version": 1, "refundPercentage": "-1"},
        {"version": 1, "refundPercentage": 100.5},
        {"version": 1, "refundPercentage": True},
        {"version": 1, "refundPercentage": "NaN"},
        {"version": 1, "refundPercentage": "1e-99999999"},
        {"version": 1, "refundPercentage": "much"},
        {"version": 1, "tariff": {}},
        {"version": 1, "tariff": "cheap"},
        {"version": 1, "tariff": {**TARIFF, "min_price": {"excl_vat": -1}}},
    ],
)
def test_settings_that_are_not_valid_are_refused_whole(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        pushed("CompanySettings", json.dumps(content))


@pytest.mark.parametrize("data", ["", "[]", "null", '{"version":1', '{"version":1,"x":"\\ud800"}', '{"version":NaN}'])
def test_data_that_are_no_object_are_refused(data: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        pushed("CompanySettings", data)


def test_a_pushed_link_with_settings_that_are_not_valid_is_refused_whole() -> None:
    with pytest.raises(ValueError, match="version"):
        pushed("CompanyLink", '{"status":"Linked","settings":{}}')
    with pytest.raises(ValueError, match="settings must be"):
        settings_from_json([])


@given(st.text() | st.dictionaries(st.sampled_from(["version", "tariff", "status"]), st.integers()).map(json.dumps))
def test_anything_pushed_is_a_command_or_refused_in_words(data: str) -> None:
    for message in ("CompanySettings", "CompanyLink"):
        with suppress(ValueError):
            assert pushed(message, data) is not None
