"""Cases 70 to 89: who may charge, by what was heard before and by the local list."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.conformance.csms import Csms, Payload
from tests.conformance.rig import Rig
from tests.conformance.steps import (
    end_unseen,
    entry,
    finish,
    is_refused,
    learn,
    list_version,
    offline,
    online,
    send_list,
)

BLOCKED = {"status": "Blocked"}


async def remote_start(csms: Csms, card: str) -> None:
    answer = await csms.call("RemoteStartTransaction", idTag=card, connectorId=1)
    assert answer == {"status": "Accepted"}


async def starts_unasked(rig: Rig, card: str) -> None:
    await rig.charging(card)
    assert not rig.csms.of("Authorize")


async def test_case_070_cached(rig: Rig) -> None:
    await rig.ready(LocalPreAuthorize=True)
    await learn(rig, "CARD1")
    await starts_unasked(rig, "CARD1")


async def test_case_070_cached_but_to_be_asked(rig: Rig) -> None:
    await rig.ready(LocalPreAuthorize=False)
    await learn(rig, "CARD1")
    rig.plug()
    rig.tap("CARD1")
    authorize = await rig.csms.expect("Authorize", idTag="CARD1")
    started = await rig.csms.expect("StartTransaction", idTag="CARD1")
    assert authorize.index < started.index


async def test_case_071_cached_and_started_remotely(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True, AuthorizeRemoteTxRequests=True)
    await learn(rig, "CARD1")
    rig.plug()
    await csms.status(1, "Preparing")
    await remote_start(csms, "CARD1")
    await csms.expect("StartTransaction", connectorId=1, idTag="CARD1")
    await csms.status(1, "Charging")
    assert not csms.of("Authorize")


@pytest.mark.parametrize("remotely", [False, True])
async def test_case_072_cache_cleared(rig: Rig, remotely: bool) -> None:
    csms = await rig.ready(LocalPreAuthorize=True, AuthorizeRemoteTxRequests=True)
    await learn(rig, "CARD1")
    assert await csms.call("ClearCache") == {"status": "Accepted"}
    rig.plug()
    await csms.status(1, "Preparing")
    if remotely:
        await remote_start(csms, "CARD1")
    else:
        rig.tap("CARD1")
    authorize = await csms.expect("Authorize", idTag="CARD1")
    started = await csms.expect("StartTransaction", idTag="CARD1")
    assert authorize.index < started.index


async def test_case_073_cached_as_blocked_is_asked_again(rig: Rig) -> None:
    rig.csms.cards["CARD1"] = BLOCKED
    csms = await rig.ready(LocalPreAuthorize=True)
    await learn(rig, "CARD1")
    csms.cards.clear()
    rig.plug()
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    await csms.expect("StartTransaction", idTag="CARD1")
    await csms.status(1, "Charging")
    await finish(rig, "CARD1")
    csms.mark()
    await starts_unasked(rig, "CARD1")


def expiring(seconds: float) -> Payload:
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return {"status": "Accepted", "expiryDate": moment.isoformat().replace("+00:00", "Z")}


async def test_case_074_cached_until_its_expiry_date(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    csms.cards["CARD1"] = expiring(0.9)
    await learn(rig, "CARD1")
    expiry = datetime.fromisoformat(csms.cards.pop("CARD1")["expiryDate"])
    await csms.until(lambda: datetime.now(UTC) > expiry, "the expiry")
    rig.plug()
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    await csms.expect("StartTransaction", idTag="CARD1")


async def test_case_074_accepted_but_expired_long_since(rig: Rig) -> None:
    csms = await rig.ready()
    csms.cards["CARD1"] = expiring(-86400)
    await is_refused(rig, "CARD1")
    assert csms.of("Authorize", idTag="CARD1")
    assert not csms.of("StartTransaction")


async def test_case_075_cache_survives_a_reboot_and_can_be_switched_off(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    await learn(rig, "CARD1")
    await rig.power_cut()
    await rig.start()
    await rig.booted()
    csms.mark()
    await starts_unasked(rig, "CARD1")
    await finish(rig, "CARD1")
    await csms.change("AuthorizationCacheEnabled", value=False)
    rig.plug()
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    cleared = [await csms.call("ClearCache") for _ in range(2)]
    assert cleared[0] == cleared[1]
    assert cleared[0]["status"] in {"Rejected", "Accepted"}


async def test_case_076_full_cache(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.core.authorization.CACHE_LIMIT", 10)
    csms = await rig.ready(LocalPreAuthorize=True)
    tags = [f"TAG{n:02}" for n in range(15)]
    csms.cards |= {tag: {"status": "Invalid"} for tag in tags}
    await learn(rig, "OLD")
    for tag in tags:
        rig.tap(tag)
        await csms.expect("Authorize", idTag=tag)
    await rig.settle()
    await learn(rig, "NEW")
    for card in ("NEW", "OLD"):  # what is not valid makes room first
        await starts_unasked(rig, card)
        await finish(rig, card)


async def test_case_077_id_in_local_list(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    assert await send_list(csms, 1, entry("CARD1")) == "Accepted"
    await starts_unasked(rig, "card1")


async def test_case_077_in_the_list_but_to_be_asked(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=False)
    assert await send_list(csms, 1, entry("CARD1")) == "Accepted"
    rig.plug()
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    await csms.expect("StartTransaction", idTag="CARD1")


async def test_case_078_id_in_local_list_and_started_remotely(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True, AuthorizeRemoteTxRequests=True)
    assert await send_list(csms, 1, entry("CARD1")) == "Accepted"
    rig.plug()
    await csms.status(1, "Preparing")
    await remote_start(csms, "CARD1")
    await csms.expect("StartTransaction", connectorId=1, idTag="CARD1")
    await csms.status(1, "Charging")
    assert not csms.of("Authorize")


async def test_case_079_version_of_a_list_that_is_switched_off(rig: Rig) -> None:
    csms = await rig.ready()
    assert await send_list(csms, 4, entry("CARD1")) == "Accepted"
    await csms.change("LocalAuthListEnabled", value=False)
    frame = await csms.ask("GetLocalListVersion", {})
    assert frame[2] == {"listVersion": -1} if frame[0] == 3 else frame[2] == "NotSupported"


async def test_case_080_version_of_an_empty_list(rig: Rig) -> None:
    csms = await rig.ready()
    assert await list_version(csms) == 0
    assert await send_list(csms, 7) == "Accepted"
    assert await list_version(csms) == 0
    assert await send_list(csms, 6, entry("CARD1"), update="Differential") == "VersionMismatch"
    assert await send_list(csms, 8, entry("CARD1"), update="Differential") == "Accepted"
    assert await list_version(csms) == 8


async def test_case_081_full_then_differential(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    assert await send_list(csms, 5, entry("CARD1")) == "Accepted"
    assert await list_version(csms) == 5
    assert await send_list(csms, 6, entry("CARD2"), update="Differential") == "Accepted"
    assert await list_version(csms) == 6
    assert await send_list(csms, 2, entry("CARD1"), entry("CARD2")) == "Accepted"  # a full one may have any version
    assert await list_version(csms) == 2
    await starts_unasked(rig, "CARD2")


async def test_case_082_list_switched_off(rig: Rig) -> None:
    csms = await rig.ready(LocalAuthListEnabled=False)
    payload = {"listVersion": 1, "updateType": "Full", "localAuthorizationList": [entry("CARD1")]}
    frame = await csms.ask("SendLocalList", payload)
    assert frame[2] == {"status": "NotSupported"} if frame[0] == 3 else frame[2] == "NotSupported"


@pytest.mark.parametrize("version", [4, 5])
async def test_case_083_version_mismatch(rig: Rig, version: int) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    assert await send_list(csms, 5, entry("CARD1")) == "Accepted"
    assert await send_list(csms, version, entry("CARD1", "Blocked"), update="Differential") == "VersionMismatch"
    assert await list_version(csms) == 5
    await starts_unasked(rig, "CARD1")


@pytest.mark.parametrize(
    ("version", "update", "entries"),
    [
        (6, "Full", [entry("CARD2"), entry("CARD2", "Blocked")]),
        (6, "Full", [entry("CARD2"), entry("card2")]),
        (6, "Differential", [entry("CARD2"), entry("CARD2", None)]),
        (6, "Full", [entry("CARD2"), entry("CARD1", None)]),
        (0, "Full", [entry("CARD2")]),
        (-1, "Full", [entry("CARD2")]),
    ],
)
async def test_case_084_failed(rig: Rig, version: int, update: str, entries: list[Payload]) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    assert await send_list(csms, 5, entry("CARD1")) == "Accepted"
    assert await send_list(csms, version, *entries, update=update) == "Failed"
    assert await list_version(csms) == 5
    rig.plug()
    await csms.status(1, "Preparing")
    rig.tap("CARD1")
    await csms.expect("StartTransaction", idTag="CARD1")
    assert not csms.of("Authorize")


async def test_case_085_entries_deleted_changed_and_all_gone(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    assert await send_list(csms, 1, entry("CARD1"), entry("CARD2"), entry("CARD3", "Blocked")) == "Accepted"
    changes = [entry("card1", None), entry("NOBODY", None), entry("CARD3")]
    assert await send_list(csms, 2, *changes, update="Differential") == "Accepted"
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    await csms.status(1, "Preparing")
    rig.tap("CARD1")
    await csms.status(1, "Available")
    csms.mark()
    for card in ("CARD2", "CARD3"):
        await starts_unasked(rig, card)
        await finish(rig, card)
    assert await csms.call("SendLocalList", listVersion=3, updateType="Full") == {"status": "Accepted"}
    assert await list_version(csms) == 0
    rig.tap("CARD2")
    await csms.expect("Authorize", idTag="CARD2")


async def test_case_086_blocked_in_the_list_but_accepted_online(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    assert await send_list(csms, 1, entry("CARD1", "Blocked")) == "Accepted"
    rig.plug()
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    await csms.expect("StartTransaction", idTag="CARD1")
    await csms.expect("StatusNotification", connectorId=0, errorCode="LocalListConflict")
    await csms.status(1, "Charging")
    assert await list_version(csms) == 1


async def test_case_086_accepted_in_the_list_but_refused_at_the_start(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True, StopTransactionOnInvalidId=True)
    assert await send_list(csms, 1, entry("CARD1")) == "Accepted"
    csms.cards["CARD1"] = BLOCKED
    rig.plug()
    rig.tap("CARD1")
    await csms.expect("StartTransaction", idTag="CARD1")
    await csms.expect("StatusNotification", connectorId=0, errorCode="LocalListConflict")
    await csms.expect("StopTransaction", reason="DeAuthorized")
    assert not csms.of("Authorize")


async def test_case_087_longest_list(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    at_once, in_all = [int(await csms.value(f"{key}MaxLength") or 0) for key in ("SendLocalList", "LocalAuthList")]
    tags = [f"Tag no.{n:013}" for n in range(max(at_once, in_all) + 1)]
    assert await send_list(csms, 1, *(entry(tag) for tag in tags[:at_once])) == "Accepted"
    assert await send_list(csms, 2, *(entry(tag) for tag in tags[: at_once + 1])) == "Failed"
    assert await list_version(csms) == 1
    version = 1
    for first in range(at_once, in_all, at_once):
        version += 1
        part = [entry(tag) for tag in tags[first : min(first + at_once, in_all)]]
        assert await send_list(csms, version, *part, update="Differential") == "Accepted"
    assert await send_list(csms, version + 1, entry(tags[in_all]), update="Differential") == "Failed"
    assert await list_version(csms) == version
    await starts_unasked(rig, tags[in_all - 1])


async def test_case_088_list_survives_a_reboot(rig: Rig) -> None:
    csms = await rig.ready(LocalPreAuthorize=True)
    assert await send_list(csms, 12, entry("CARD1")) == "Accepted"
    csms.mark()
    await rig.power_cut()
    await rig.start()
    await rig.booted()
    assert await list_version(csms) == 12
    csms.mark()
    await starts_unasked(rig, "CARD1")


@pytest.mark.parametrize("listed_first", [False, True])
async def test_case_089_the_list_wins_over_the_cache(rig: Rig, listed_first: bool) -> None:
    csms = await rig.ready(LocalAuthorizeOffline=True, AllowOfflineTxForUnknownId=True)
    if not listed_first:
        await learn(rig, "CARD1")
    assert await send_list(csms, 1, entry("CARD1", "Blocked"), entry("CARD2")) == "Accepted"
    if listed_first:
        await learn(rig, "CARD1")
    await offline(rig)
    await is_refused(rig, "CARD1")
    rig.tap("CARD2")  # the list is used at all
    await rig.until(lambda: rig.evse().session is not None, "a transaction")
    await end_unseen(rig, "CARD2")
    await online(rig)
    await csms.expect("StartTransaction", idTag="CARD2")
    await csms.expect("StopTransaction", idTag="CARD2")
    assert not csms.of("StartTransaction", idTag="CARD1")
