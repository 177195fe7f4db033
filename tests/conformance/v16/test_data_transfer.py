"""Cases 114 and 115: DataTransfer in both directions."""

from __future__ import annotations

import json

import pytest

from agent.core.commands import CallRef, LinkCompany
from agent.core.company import LinkState
from agent.core.events import CommandReceived
from tests.conformance.csms import Payload, Refuse
from tests.conformance.rig import Rig

VENDOR = "org.wallbox-agent"


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"vendorId": "com.example"}, "UnknownVendorId"),
        ({"vendorId": "com.example", "messageId": "LinkCompany", "data": "{}"}, "UnknownVendorId"),
        ({"vendorId": VENDOR, "messageId": "Dance", "data": "x"}, "UnknownMessageId"),
        ({"vendorId": VENDOR.upper(), "messageId": "Dance"}, "UnknownMessageId"),
        ({"vendorId": VENDOR}, "UnknownMessageId"),
    ],
)
async def test_case_114_what_is_not_known(rig: Rig, payload: Payload, status: str) -> None:
    csms = await rig.ready()
    answer = await csms.call("DataTransfer", **payload)
    assert answer["status"] == status
    assert "data" not in answer


def ask_for_a_link(rig: Rig) -> None:
    rig.now.loop.post(CommandReceived(CallRef("control", "1"), LinkCompany("ACME-7F3K")))


async def test_case_115_to_the_server_and_back(rig: Rig) -> None:
    csms = await rig.ready()
    told = {"status": "Linked", "companyName": "Acme BV"}
    csms.once("DataTransfer", {"status": "Accepted", "data": json.dumps(told)})
    ask_for_a_link(rig)
    sent = await csms.expect("DataTransfer", vendorId=VENDOR, messageId="LinkCompany")
    data = json.loads(sent["data"])
    assert (data["companyCode"], data["stationId"], data["agentVersion"]) == ("ACME-7F3K", "NL-TEST-1", "1.2.3")
    await rig.until(lambda: rig.now.loop.state.company.state is LinkState.LINKED, "the link")
    assert rig.now.loop.state.company.name == "Acme BV"


@pytest.mark.parametrize(
    "answer", [{"status": "UnknownVendorId"}, {"status": "UnknownMessageId"}, Refuse("NotSupported")]
)
async def test_case_115_a_server_that_does_not_know_it(rig: Rig, answer: Payload | Refuse) -> None:
    csms = await rig.ready()
    csms.once("DataTransfer", answer)
    ask_for_a_link(rig)
    await csms.expect("DataTransfer")
    await rig.until(lambda: rig.now.loop.state.company.state is LinkState.UNSUPPORTED, "the answer")
    await rig.charging()
