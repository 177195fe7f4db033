"""The station at a central system that is not ours, and checks every frame by OCPP's own schemas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ocpp.exceptions import NotSupportedError
from ocpp.v16.datatypes import ChargingProfile, ChargingSchedule, ChargingSchedulePeriod
from ocpp.v16.enums import (
    AvailabilityType,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    MessageTrigger,
    UpdateType,
)

from agent.ocpp.link import Endpoint
from tests.conformance.library import Library, call
from tests.conformance.rig import Rig


@pytest.fixture
async def library(rig: Rig) -> AsyncIterator[Library]:
    """The station, accepted by the library's central system."""
    central = Library()
    url = await central.up()
    rig.plan.endpoint = lambda: Endpoint(url, rig.station_id, ("ocpp1.6",), open_timeout_s=2.0)
    await rig.start()
    await central.expect("BootNotification")
    for connector in (0, 1):
        await central.expect("StatusNotification", connectorId=connector, status="Available")
    yield central
    await rig.stop()
    await central.down()


async def charge(rig: Rig, library: Library) -> int:
    """Charge by card; return the number of the transaction."""
    rig.plug()
    await library.expect("StatusNotification", connectorId=1, status="Preparing")
    rig.tap("CARD1")
    await library.expect("Authorize", idTag="CARD1")
    await library.expect("StartTransaction", connectorId=1, idTag="CARD1")
    await library.expect("StatusNotification", connectorId=1, status="Charging")
    await rig.until(lambda: (s := rig.evse().session) is not None and s.transaction is not None, "its number")
    session = rig.evse().session
    assert session is not None
    assert isinstance(session.transaction, int)
    return session.transaction


async def test_a_session_from_card_to_unplug_raises_no_complaint(rig: Rig, library: Library) -> None:
    await library.ask(call.ChangeConfiguration("MeterValueSampleInterval", "1"))
    await library.ask(call.ChangeConfiguration("StopTxnSampledData", "Energy.Active.Import.Register,Voltage"))
    number = await charge(rig, library)
    rig.meter().add(1500)
    await library.expect("MeterValues", connectorId=1, transactionId=number)
    rig.unplug()
    stop = await library.expect("StopTransaction", transactionId=number, reason="EVDisconnected")
    assert stop["transactionData"]
    await library.expect("StatusNotification", connectorId=1, status="Available")
    assert library.errors == []


async def test_a_session_by_remote_control_raises_no_complaint(rig: Rig, library: Library) -> None:
    rig.plug()
    await library.expect("StatusNotification", connectorId=1, status="Preparing")
    assert (await library.ask(call.RemoteStartTransaction("REMOTE", connector_id=1))).status == "Accepted"
    await library.expect("StartTransaction", idTag="REMOTE")
    await rig.until(lambda: (s := rig.evse().session) is not None and s.transaction is not None, "its number")
    assert (await library.ask(call.RemoteStopTransaction(1))).status == "Accepted"
    await library.expect("StopTransaction", transactionId=1, reason="Remote")
    assert library.errors == []


PERIOD = ChargingSchedulePeriod(0, 10.0)
PROFILE = ChargingProfile(
    7, 0, ChargingProfilePurposeType.tx_default_profile, ChargingProfileKindType.absolute,
    ChargingSchedule(ChargingRateUnitType.amps, [PERIOD], start_schedule="2026-11-24T00:00:00Z"),
)  # fmt: skip

#: What is asked -> the status in the answer, None where there is none.
ASKED: list[tuple[Any, str | None]] = [
    (call.GetConfiguration(), None),
    (call.GetConfiguration(["HeartbeatInterval", "Nonsense"]), None),
    (call.ChangeConfiguration("HeartbeatInterval", "600"), "Accepted"),
    (call.ChangeConfiguration("HeartbeatInterval", "often"), "Rejected"),
    (call.ChangeConfiguration("Nonsense", "1"), "NotSupported"),
    (call.ChangeAvailability(1, AvailabilityType.inoperative), "Accepted"),
    (call.ChangeAvailability(1, AvailabilityType.operative), "Accepted"),
    (call.ChangeAvailability(0, AvailabilityType.operative), "Accepted"),
    (call.ClearCache(), "Accepted"),
    (call.DataTransfer("com.example", "hello", "world"), "UnknownVendorId"),
    (call.GetLocalListVersion(), None),
    (call.SendLocalList(1, UpdateType.full, [{"idTag": "CARD9", "idTagInfo": {"status": "Accepted"}}]), "Accepted"),
    (call.SendLocalList(1, UpdateType.differential, []), "VersionMismatch"),
    (call.RemoteStopTransaction(4711), "Rejected"),
    (call.UnlockConnector(1), "NotSupported"),
    (call.TriggerMessage(MessageTrigger.status_notification), "Accepted"),
    (call.TriggerMessage(MessageTrigger.heartbeat), "Accepted"),
    (call.TriggerMessage(MessageTrigger.firmware_status_notification), "Accepted"),
    (call.TriggerMessage(MessageTrigger.diagnostics_status_notification), "Accepted"),
    (call.ExtendedTriggerMessage(MessageTrigger.log_status_notification), "Accepted"),
    (call.ExtendedTriggerMessage(MessageTrigger.firmware_status_notification), "Accepted"),
    (call.GetDiagnostics("gopher://127.0.0.1/"), None),
    (call.ReserveNow(1, "2099-01-01T00:00:00Z", "CARD9", 5), "Accepted"),
    (call.CancelReservation(5), "Accepted"),
    (call.CancelReservation(5), "Rejected"),
    (call.GetCompositeSchedule(1, 60), "Accepted"),
    (call.SetChargingProfile(1, PROFILE), "Accepted"),
    (call.GetCompositeSchedule(1, 60), "Accepted"),
    (call.ClearChargingProfile(id=7), "Accepted"),
    (call.ClearChargingProfile(id=7), "Unknown"),
]


async def test_every_answer_keeps_to_the_schemas(rig: Rig, library: Library) -> None:
    for request, status in ASKED:
        answer = await library.ask(request)
        assert getattr(answer, "status", None) == status, request
    await rig.settle()
    assert library.errors == []


UNSUPPORTED: list[Any] = [call.UpdateFirmware("http://127.0.0.1/x", "2026-11-24T00:00:00Z")]


async def test_what_is_not_built_is_said_as_the_specification_spells_it(library: Library) -> None:
    for request in UNSUPPORTED:
        with pytest.raises(NotSupportedError):
            await library.ask(request)
