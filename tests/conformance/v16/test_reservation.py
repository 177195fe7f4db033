"""Cases 162 to 170: reservations."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.core.settings import Settings
from tests.conformance.csms import Csms, Payload
from tests.conformance.leaps import Leaps
from tests.conformance.rig import Rig
from tests.conformance.steps import entry, finish, offline, online, send_list

ACCEPTED = {"status": "Accepted"}
OCCUPIED = {"status": "Occupied"}
REJECTED = {"status": "Rejected"}
NUMBER = 4711


@pytest.fixture
def leaps(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Leaps:
    return Leaps(rig, monkeypatch)


async def reserve(
    csms: Csms, card: str = "CARD1", connector: int = 1, *, seconds: float = 3600, **more: object
) -> Payload:
    expiry = datetime.now(UTC) + csms.offset + timedelta(seconds=seconds)
    payload = {"connectorId": connector, "expiryDate": expiry.isoformat(), "idTag": card, "reservationId": NUMBER}
    return await csms.call("ReserveNow", **(payload | more))


async def cancel(csms: Csms, number: int = NUMBER) -> Payload:
    return await csms.call("CancelReservation", reservationId=number)


async def start(csms: Csms, card: str, connector: int | None = 1) -> Payload:
    where = {} if connector is None else {"connectorId": connector}
    return await csms.call("RemoteStartTransaction", idTag=card, **where)


async def reserved(rig: Rig, card: str = "CARD1", connector: int = 1, **more: object) -> Csms:
    """Return the central system of a station with a reservation for connector 1."""
    csms = await rig.ready()
    assert await reserve(csms, card, connector, **more) == ACCEPTED  # type: ignore[arg-type]  # of ``reserve``
    await csms.status(1, "Reserved")
    return csms


async def test_case_162_local_start(rig: Rig) -> None:
    csms = await reserved(rig)
    rig.tap("CARD1")
    await csms.expect("Authorize", idTag="CARD1")
    await csms.status(1, "Preparing")
    rig.plug()
    await csms.expect("StartTransaction", connectorId=1, idTag="CARD1", reservationId=NUMBER)
    await csms.status(1, "Charging")
    await finish(rig)
    assert csms.statuses(1) == ["Reserved", "Preparing", "Charging", "Finishing", "Available"]
    await rig.charging("CARD2")
    assert csms.of("StartTransaction", idTag="CARD2", reservationId=None)


async def test_case_162_remote_start(rig: Rig) -> None:
    csms = await reserved(rig)
    assert await start(csms, "CARD1") == ACCEPTED
    await csms.status(1, "Preparing")
    rig.plug()
    await csms.expect("StartTransaction", connectorId=1, idTag="CARD1", reservationId=NUMBER)
    await csms.status(1, "Charging")


async def test_case_162_offline(rig: Rig) -> None:
    csms = await rig.ready(LocalAuthorizeOffline=True)
    assert await send_list(csms, 1, entry("CARD1"), entry("CARD2")) == "Accepted"
    assert await reserve(csms) == ACCEPTED
    await csms.status(1, "Reserved")
    await offline(rig)
    rig.plug()
    await rig.settle()
    rig.tap("CARD2")
    await rig.settle()
    assert rig.evse().session is None
    rig.tap("CARD1")
    await rig.until(lambda: rig.box().charging, "a car that charges")
    await online(rig)
    await csms.expect("StartTransaction", idTag="CARD1", reservationId=NUMBER)
    await csms.status(1, "Charging")


async def test_case_163_expiry(rig: Rig, leaps: Leaps) -> None:
    csms = await reserved(rig, seconds=600)
    await leaps.ahead(590)
    assert csms.statuses(1) == ["Reserved"]
    await leaps.ahead(12)
    await csms.status(1, "Available")
    rig.tap("CARD2")
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD2", reservationId=None)
    await finish(rig, "CARD2")
    await rig.charging("CARD1")
    assert csms.of("StartTransaction", idTag="CARD1", reservationId=None)


async def test_case_164_wrong_tag(rig: Rig) -> None:
    csms = await reserved(rig)
    rig.tap("CARD2")
    await rig.quiet("StartTransaction", "Authorize")
    assert await start(csms, "CARD2") == REJECTED
    assert await start(csms, "CARD2", connector=None) == REJECTED
    rig.plug()
    await rig.settle()
    rig.tap("CARD2")
    await rig.quiet("StartTransaction")
    assert csms.statuses(1) == ["Reserved"]
    assert set(rig.box().limits) <= {0}


async def test_case_164_a_car_alone_then_the_right_tag(rig: Rig) -> None:
    csms = await reserved(rig)
    rig.plug()
    await rig.settle()
    rig.tap("CARD1")
    await csms.expect("StartTransaction", idTag="CARD1", reservationId=NUMBER)
    await csms.status(1, "Charging")
    assert csms.statuses(1) == ["Reserved", "Preparing", "Charging"]


async def test_case_164_the_right_tag_and_nobody_plugs_in(rig: Rig, leaps: Leaps) -> None:
    csms = await reserved(rig)
    rig.tap("CARD1")
    await csms.status(1, "Preparing")
    await leaps.ahead(62)
    await rig.until(lambda: csms.statuses(1)[-1] == "Reserved", "reserved again")
    rig.tap("CARD2")
    rig.plug()
    await rig.quiet("StartTransaction")
    rig.tap("CARD1")
    await csms.expect("StartTransaction", idTag="CARD1", reservationId=NUMBER)


async def test_case_165_same_id_again(rig: Rig, leaps: Leaps) -> None:
    csms = await reserved(rig, seconds=60)
    assert await reserve(csms, "CARD2", seconds=1200) == ACCEPTED
    await leaps.ahead(90)
    rig.tap("CARD1")
    await rig.quiet("StartTransaction")
    rig.tap("CARD2")
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD2", reservationId=NUMBER)
    await csms.status(1, "Charging")


@pytest.mark.parametrize("card", ["CARD1", "CARD2"])
async def test_case_165_other_id(rig: Rig, card: str) -> None:
    csms = await reserved(rig)
    assert await reserve(csms, card, reservationId=1) == OCCUPIED
    assert await cancel(csms, 1) == REJECTED
    assert await cancel(csms) == ACCEPTED
    await csms.status(1, "Available")


async def test_case_165_same_id_on_another_connector(rig: Rig) -> None:
    rig.connectors = 2
    csms = await reserved(rig)
    assert await reserve(csms, connector=2) == ACCEPTED
    await csms.status(1, "Available")
    await csms.status(2, "Reserved")


@pytest.mark.parametrize("connector", [0, 1])
async def test_case_166_and_167_faulted(rig: Rig, connector: int) -> None:
    csms = await rig.ready()
    rig.box().faults = ("rcd",)
    await csms.status(1, "Faulted")
    assert await reserve(csms, connector=connector) == {"status": "Faulted"}


@pytest.mark.parametrize("connector", [0, 1])
async def test_case_166_and_167_occupied(rig: Rig, connector: int) -> None:
    csms = await rig.ready()
    rig.plug()
    await csms.status(1, "Preparing")
    assert await reserve(csms, connector=connector) == OCCUPIED
    rig.tap("CARD1")
    await csms.status(1, "Charging")
    assert await reserve(csms, connector=connector) == OCCUPIED
    rig.tap("CARD1")
    await csms.status(1, "Finishing")
    assert await reserve(csms, connector=connector) == OCCUPIED


@pytest.mark.parametrize("connector", [0, 1])
@pytest.mark.parametrize("switched", [0, 1])
async def test_case_166_and_167_unavailable(rig: Rig, connector: int, switched: int) -> None:
    csms = await rig.ready()
    await csms.call("ChangeAvailability", connectorId=switched, type="Inoperative")
    await csms.status(1, "Unavailable")
    assert await reserve(csms, connector=connector) == {"status": "Unavailable"}


@pytest.mark.parametrize("connector", [0, 1])
async def test_case_166_and_167_not_accepted(rig: Rig, connector: int) -> None:
    csms = await rig.ready(ReservationEnabled=False)
    assert await reserve(csms, connector=connector) == REJECTED
    await rig.quiet()


async def test_case_167_connector_0_not_supported(rig: Rig) -> None:
    rig.settings = Settings(reserve_connector_zero=False)
    csms = await rig.ready()
    assert await csms.value("ReserveConnectorZeroSupported") == "false"
    assert await reserve(csms, connector=0) == REJECTED
    assert await reserve(csms, connector=1) == ACCEPTED
    await csms.status(1, "Reserved")


async def test_case_167_connector_0_with_one_connector(rig: Rig) -> None:
    csms = await reserved(rig, connector=0)
    assert not csms.statuses(0)
    rig.tap("CARD1")
    rig.plug()
    await csms.expect("StartTransaction", connectorId=1, idTag="CARD1", reservationId=NUMBER)
    await csms.status(1, "Charging")


async def test_case_167_connector_0_with_two_connectors(rig: Rig) -> None:
    rig.connectors = 2
    csms = await rig.ready()
    assert await reserve(csms, connector=0) == ACCEPTED
    await rig.quiet("StatusNotification")
    await rig.charging("CARD2", connector=2)
    await csms.status(1, "Reserved")
    rig.plug(1)
    await rig.settle()
    rig.tap("CARD3")
    await rig.settle()
    assert not csms.of("StartTransaction", connectorId=1)
    rig.tap("CARD1")
    await csms.expect("StartTransaction", connectorId=1, idTag="CARD1", reservationId=NUMBER)
    await csms.status(1, "Charging")


async def test_case_168_cancelled(rig: Rig) -> None:
    csms = await reserved(rig)
    assert await cancel(csms) == ACCEPTED
    await csms.status(1, "Available")
    assert await cancel(csms) == REJECTED
    await rig.charging("CARD2")


async def test_case_168_unknown_id(rig: Rig) -> None:
    csms = await rig.ready()
    assert await cancel(csms, 99) == REJECTED
    await rig.quiet()


@pytest.mark.parametrize("cached", [False, True])
async def test_case_169_parent_id_tag(rig: Rig, cached: bool) -> None:
    csms = await rig.ready(LocalPreAuthorize=cached)
    csms.cards["CARD2"] = {"status": "Accepted", "parentIdTag": "FLEET"}
    if cached:
        await rig.charging("CARD2")
        await finish(rig, "CARD2")
    assert await reserve(csms, parentIdTag="FLEET") == ACCEPTED
    await csms.status(1, "Reserved")
    csms.mark()
    rig.tap("CARD2")
    await csms.status(1, "Preparing")
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD2", reservationId=NUMBER)
    await csms.status(1, "Charging")
    assert len(csms.of("Authorize", idTag="CARD2")) == (not cached)


@pytest.mark.parametrize("asks", [False, True])
async def test_case_169_parent_id_tag_remote(rig: Rig, asks: bool) -> None:
    csms = await rig.ready(AuthorizeRemoteTxRequests=asks)
    csms.cards["CARD2"] = {"status": "Accepted", "parentIdTag": "FLEET"}
    assert await reserve(csms, parentIdTag="FLEET") == ACCEPTED
    await csms.status(1, "Reserved")
    assert await start(csms, "CARD2") == ACCEPTED
    await csms.expect("Authorize", idTag="CARD2")
    await csms.status(1, "Preparing")
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD2", reservationId=NUMBER)


@pytest.mark.parametrize("parent", ["OTHERS", None])
async def test_case_169_another_parent(rig: Rig, parent: str | None) -> None:
    csms = await reserved(rig, parentIdTag="FLEET")
    csms.cards["CARD2"] = {"status": "Accepted"} | ({} if parent is None else {"parentIdTag": parent})
    rig.tap("CARD2")
    await csms.expect("Authorize", idTag="CARD2")
    rig.plug()
    await rig.quiet("StartTransaction")
    assert csms.statuses(1) == ["Reserved"]


async def test_case_170_out_of_service(rig: Rig) -> None:
    csms = await reserved(rig)
    await csms.call("ChangeAvailability", connectorId=1, type="Inoperative")
    await csms.status(1, "Unavailable")
    await csms.call("ChangeAvailability", connectorId=1, type="Operative")
    await csms.status(1, "Available")
    assert await cancel(csms) == REJECTED


async def test_case_170_faulted(rig: Rig) -> None:
    csms = await reserved(rig)
    rig.box().faults = ("rcd",)
    await csms.status(1, "Faulted")
    rig.box().faults = ()
    await csms.status(1, "Available")
    assert await cancel(csms) == REJECTED


@pytest.mark.parametrize("power", [False, True])
async def test_case_170_survives_a_restart(rig: Rig, power: bool) -> None:
    csms = await reserved(rig)
    await (rig.power_cut() if power else rig.crash())
    csms.mark()
    await rig.start()
    await csms.expect("BootNotification")
    await csms.status(1, "Reserved")
    rig.tap("CARD2")
    rig.tap("CARD1")
    rig.plug()
    await csms.expect("StartTransaction", idTag="CARD1", reservationId=NUMBER)
    await csms.status(1, "Charging")


async def test_case_170_expired_at_the_start(rig: Rig) -> None:
    csms = await reserved(rig, seconds=0.5)
    await rig.crash()
    csms.mark()
    await csms.until(lambda: datetime.now(UTC) - csms.calls[-1].wall > timedelta(seconds=0.6), "its end")
    await rig.start()
    await csms.expect("BootNotification")
    await csms.status(1, "Available")
    assert await cancel(csms) == REJECTED


@pytest.mark.parametrize("seconds", [-1, -86_400 * 365])
async def test_case_170_past_expiry(rig: Rig, seconds: float) -> None:
    csms = await rig.ready()
    assert await reserve(csms, seconds=seconds) == REJECTED
    await rig.quiet()


async def test_case_170_unknown_connector(rig: Rig) -> None:
    csms = await rig.ready()
    assert await reserve(csms, connector=2) == REJECTED
    assert await csms.refused("ReserveNow", {"connectorId": 1, "expiryDate": "soon", "idTag": "A", "reservationId": 1})
