"""The ``status --json`` document against the contract's text, line by line, and its rules about what is not known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from agent.core.asking import Asking
from agent.core.booking import Reservation
from agent.core.commands import BlockCard, CallRef, LinkCompany
from agent.core.company import Company, CompanySettings, LinkState
from agent.core.events import CommandReceived, Event, MeterFailed, MeterRead
from agent.core.facts import StartTrigger
from agent.core.instant import Instant
from agent.core.model import (
    STATION,
    ConnectorStatus,
    ErrorCode,
    EvseId,
    EvseReading,
    IdToken,
    MilliAmp,
    Pilot,
    Profile,
    Reading,
    Registration,
    Reporting,
    SessionId,
    Value,
    Wh,
)
from agent.core.ocpi import tariff_from_json
from agent.core.policy import EvsePolicy, Policy
from agent.core.state import (
    EvseState,
    EvseView,
    Grant,
    MeterView,
    Phase,
    Session,
    StationState,
    Stretch,
)
from agent.core.station import step
from agent.runtime.status import (
    ClockView,
    CloudState,
    CloudView,
    Document,
    Installed,
    ReaderView,
    ServiceViews,
    status_document,
)

ONE = EvseId(1)
WALL = datetime(2026, 11, 21, 20, 15, 3, 120_000, tzinfo=UTC)


def instant(mono: float) -> Instant:
    return Instant(mono, WALL + timedelta(seconds=mono))


def reading(mono: float, register: str, serial: str | None = "23004711", **values: str) -> Reading:
    return Reading(instant(mono), Wh(Decimal(register)), tuple(Value(n, Decimal(v)) for n, v in values.items()), serial)


def pilot(mono: float, limit: int | None, state: Pilot | None = Pilot.A) -> EvseReading:
    return EvseReading(
        instant(mono), state, state is not Pilot.A, state is Pilot.C, limit=None if limit is None else MilliAmp(limit)
    )


def session(register: str = "1234567", last: str = "1234567") -> Session:
    start = reading(0, register)
    return Session(
        id=SessionId("019a0000-0000-7000-8000-000000000001"),
        evse=ONE,
        id_token=IdToken("04A1B2C3D4E5F6"),
        profile=Profile.FLEET,
        trigger=StartTrigger.CARD,
        reporting=Reporting.REPORT,
        company_code=None,
        terms=None,
        started=instant(0),
        register=start.register,
        serial=start.serial,
        seq=1,
        phase=Phase.CHARGING,
        phase_since=instant(0),
        last=reading(0, last),
        stretch=Stretch(instant(0), start.register),
    )


GOOD = EvseState(
    ONE,
    meter=MeterView(reading(10, "1234567", power_total="0", voltage_l1="230.1")),
    evse=EvseView(pilot(10, 16_000), limit_sent=MilliAmp(16_000), sent_at=5.0),
    shown=(ConnectorStatus.AVAILABLE, ErrorCode.NO_ERROR),
)
SERVICES = ServiceViews(
    "NL-ACME-000123",
    "1.0.0",
    12.3,
    CloudView(CloudState.CONNECTED, "ocpp1.6", Registration.ACCEPTED),
    ClockView(synchronised=True, source="ntp"),
    installed={ONE: Installed("eastron_sdm630_v2")},
)
COMPANY = Company("ACME-7F3K", LinkState.LINKED, "Acme BV", settings=CompanySettings(7))

#: The contract's example (section 3), with settings in the company's form and no deliveries in this release.
CONTRACT = """
{"station": {"id": "NL-ACME-000123", "version": "1.0.0", "uptime_s": 12.3},
 "cloud": {"state": "connected", "protocol": "ocpp1.6", "registration": "Accepted",
           "queued_messages": 0, "last_error": null},
 "company": {"code": "ACME-7F3K", "state": "linked", "name": "Acme BV", "reason": null,
             "settings_version": 7, "settings": {"version": 7, "sessionLogging": true, "automaticPayment": false,
                                                  "refundPercentage": "100"}},
 "clock": {"synchronised": true, "source": "ntp"},
 "rfid": {"ok": true, "last_error": null},
 "ledger": {"ok": true, "last_error": null, "size_bytes": null, "rescued": null, "warnings": []},
 "security": {"profile": 0, "warnings": []},
 "connectors": [{"id": 1, "status": "Available", "error_code": "NoError",
                 "meter": {"ok": true, "model": "eastron_sdm630_v2", "serial_number": "23004711",
                           "energy_wh": 1234567.0, "power_w": 0.0,
                           "values": {"power_total": 0.0, "voltage_l1": 230.1},
                           "unattributed_wh": 0.0, "warnings": [], "last_error": null},
                 "evse": {"ok": true, "state": "A", "connected": false, "charging": false,
                          "current_limit_a": 16.0, "charging_profile": null, "faults": [],
                          "warnings": [], "last_error": null},
                 "session": null, "waiting": null, "reservation": null}],
 "waiting": [],
 "deliveries": [],
 "report_to": []}
"""


def document(evse: EvseState = GOOD, services: ServiceViews = SERVICES) -> Document:
    """Return the document as a reader of the JSON sees it."""
    made: Document = json.loads(json.dumps(status_document(StationState((evse,)), services), allow_nan=False))
    return made


def connector(evse: EvseState, services: ServiceViews = SERVICES) -> Document:
    connectors = document(evse, services)["connectors"]
    assert isinstance(connectors, list)
    found: Document = connectors[0]
    return found


def part(evse: EvseState, name: str, services: ServiceViews = SERVICES) -> Document:
    found = connector(evse, services)[name]
    assert isinstance(found, dict)
    return found


def test_the_contracts_example_comes_out_member_by_member_in_its_order() -> None:
    made = json.loads(json.dumps(status_document(StationState((GOOD,), company=COMPANY), SERVICES)))
    assert json.dumps(made, indent=1) == json.dumps(json.loads(CONTRACT), indent=1)


def test_a_station_that_has_heard_of_nothing_claims_nothing() -> None:
    nothing = document(EvseState(ONE), ServiceViews("NL-1", "1.0.0", 0.04))
    assert nothing == {
        "station": {"id": "NL-1", "version": "1.0.0", "uptime_s": 0.0},
        "cloud": {"state": "offline", "protocol": None, "registration": None, "queued_messages": 0, "last_error": None},
        "company": {
            "code": None,
            "state": "none",
            "name": None,
            "reason": None,
            "settings_version": None,
            "settings": {},
        },
        "clock": {"synchronised": False, "source": None},
        "rfid": {"ok": True, "last_error": None},
        "ledger": {"ok": True, "last_error": None, "size_bytes": None, "rescued": None, "warnings": []},
        "security": {"profile": 0, "warnings": []},
        "connectors": [
            {
                "id": 1,
                "status": None,
                "error_code": None,
                "meter": {
                    "ok": False,
                    "model": None,
                    "serial_number": None,
                    "energy_wh": None,
                    "power_w": None,
                    "values": {},
                    "unattributed_wh": 0.0,
                    "warnings": [],
                    "last_error": None,
                },
                "evse": {
                    "ok": False,
                    "state": None,
                    "connected": None,
                    "charging": None,
                    "current_limit_a": None,
                    "charging_profile": None,
                    "faults": [],
                    "warnings": [],
                    "last_error": None,
                },
                "session": None,
                "waiting": None,
                "reservation": None,
            }
        ],
        "waiting": [],
        "deliveries": [],
        "report_to": [],
    }


# ---- meter -----------------------------------------------------------------------------------------------------------


def test_a_failed_poll_is_told_at_once_and_takes_the_old_values_away() -> None:
    policy = Policy(evses=(EvsePolicy(ONE),))
    silent = "no answer from the meter on /dev/ttyUSB0: check wiring, baud rate and address"
    events: list[Event] = [MeterRead(ONE, reading(1, "1000", power_total="7360")), MeterFailed(ONE, silent)]
    state = StationState((EvseState(ONE),))
    for event in events:
        state = step(state, event, instant(2), policy).state
    meter = part(state.evses[0], "meter")
    assert (meter["ok"], meter["last_error"]) == (False, silent)
    assert (meter["energy_wh"], meter["power_w"], meter["values"]) == (None, None, {})
    assert meter["serial_number"] == "23004711"


def test_an_implausible_sample_is_shown_as_an_error() -> None:
    policy = Policy(evses=(EvsePolicy(ONE),))
    state = StationState((EvseState(ONE),))
    for event in (MeterRead(ONE, reading(1, "1000")), MeterRead(ONE, reading(2, "900"))):
        state = step(state, event, event.reading.at, policy).state
    meter = part(state.evses[0], "meter")
    assert meter["ok"] is False
    assert "register went back" in str(meter["last_error"])


def test_what_the_meter_does_not_tell_is_absent_and_a_zero_it_tells_is_zero() -> None:
    silent_about_power = replace(GOOD, meter=MeterView(reading(10, "0", serial=None, current_l1="0")))
    meter = part(silent_about_power, "meter")
    assert meter["energy_wh"] == 0.0
    assert meter["values"] == {"current_l1": 0.0}
    assert meter["power_w"] is None
    assert meter["serial_number"] is None
    assert meter["ok"] is True


def test_power_is_the_total_and_else_what_is_imported() -> None:
    both = replace(GOOD, meter=MeterView(reading(10, "0", power_import="50", power_total="-20")))
    imported = replace(GOOD, meter=MeterView(reading(10, "0", power_import="50")))
    assert part(both, "meter")["power_w"] == -20.0
    assert part(imported, "meter")["power_w"] == 50.0


def test_a_number_that_is_none_does_not_break_the_document() -> None:
    meter = part(replace(GOOD, meter=MeterView(reading(10, "5", power_total="NaN", voltage_l1="230"))), "meter")
    assert meter["values"] == {"voltage_l1": 230.0}
    assert meter["power_w"] is None


def test_model_serial_and_warnings_come_from_what_is_installed() -> None:
    installed = Installed("abb_b21", serial="77", warnings=("power does not match voltage and current",))
    told = replace(GOOD, meter=MeterView(reading(10, "5"), unattributed=Wh(Decimal("12.5"))))
    untold = replace(GOOD, meter=MeterView(reading(10, "5", serial=None)))
    services = replace(SERVICES, installed={ONE: installed})
    assert part(told, "meter", services)["serial_number"] == "23004711"
    meter = part(untold, "meter", services)
    assert (meter["serial_number"], meter["model"]) == ("77", "abb_b21")
    assert meter["warnings"] == ["power does not match voltage and current"]
    assert part(told, "meter", services)["unattributed_wh"] == 12.5


# ---- controller ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [*Pilot, None])
def test_the_pilot_is_its_letter_or_null(state: Pilot | None) -> None:
    evse = part(replace(GOOD, evse=EvseView(pilot(10, None, state))), "evse")
    assert evse["state"] == (None if state is None else state.value)
    assert evse["ok"] is True


def test_a_controller_that_does_not_answer_has_no_state() -> None:
    evse = part(replace(GOOD, evse=replace(GOOD.evse, error="no answer", failed_since=11.0)), "evse")
    assert evse == {
        "ok": False,
        "state": None,
        "connected": None,
        "charging": None,
        "current_limit_a": 16.0,
        "charging_profile": None,
        "faults": [],
        "warnings": [],
        "last_error": "no answer",
    }


@pytest.mark.parametrize(
    ("read_back", "sent", "sent_at", "shown"),
    [
        (pilot(10, 16_000), 16_000, 5.0, 16.0),
        (pilot(10, 0), 0, 5.0, 0.0),  # paused
        (pilot(10, 13_000), 13_500, 5.0, 13.0),  # rounded down by the controller
        (pilot(10, 16_000), 0, 11.0, 0.0),  # commanded after the poll
        (pilot(10, None), 6_000, 5.0, 6.0),  # not read back
        (pilot(10, 10_000), None, 0.0, 10.0),  # nothing commanded yet
        (None, 6_000, 5.0, 6.0),
        (pilot(10, None), None, 0.0, None),
    ],
)
def test_the_current_limit_is_what_is_commanded_now(
    read_back: EvseReading | None, sent: int | None, sent_at: float, shown: float | None
) -> None:
    view = EvseView(read_back, limit_sent=None if sent is None else MilliAmp(sent), sent_at=sent_at)
    assert part(replace(GOOD, evse=view), "evse")["current_limit_a"] == shown


def test_faults_are_listed_by_name() -> None:
    faulty = replace(pilot(10, 0), faults=("rcd", "contactor_weld"))
    assert part(replace(GOOD, evse=EvseView(faulty)), "evse")["faults"] == ["rcd", "contactor_weld"]


def test_a_meter_without_controller_has_an_evse_that_is_fine_and_knows_nothing() -> None:
    services = replace(SERVICES, installed={ONE: Installed("abb_b21", controlled=False)})
    evse = part(EvseState(ONE), "evse", services)
    assert evse["ok"] is True
    assert {evse[key] for key in ("state", "connected", "charging", "current_limit_a", "last_error")} == {None}


def test_status_and_error_code_are_what_the_connector_shows() -> None:
    faulted = replace(GOOD, shown=(ConnectorStatus.FAULTED, ErrorCode.POWER_METER_FAILURE))
    shown = connector(faulted)
    assert (shown["status"], shown["error_code"]) == ("Faulted", "PowerMeterFailure")


# ---- session ---------------------------------------------------------------------------------------------------------


def test_a_session_is_shown_with_its_card_masked_and_its_energy_up_to_now() -> None:
    charging = replace(
        GOOD, session=replace(session(), transaction=42), meter=MeterView(reading(60, "1234690.5", power_total="7360"))
    )
    assert part(charging, "session") == {
        "id": "019a0000-0000-7000-8000-000000000001",
        "transaction_id": 42,
        "id_tag": "**********E5F6",
        "started_at": "2026-11-21T20:15:03.120Z",
        "energy_wh": 123.5,
        "state": "charging",
    }


def test_a_silent_meter_takes_no_energy_from_the_session_that_is_shown() -> None:
    silent = MeterView(reading(60, "1234800"), error="no answer", failed_since=60.0)
    assert part(replace(GOOD, session=session(last="1234600"), meter=silent), "session")["energy_wh"] == 233.0


@pytest.mark.parametrize(
    "meter",
    [
        MeterView(reading(60, "99", serial="another")),
        MeterView(reading(60, "9999999", serial="another")),
        MeterView(),
    ],
)
def test_energy_without_a_good_reading_of_the_same_meter_is_that_of_the_last_one(meter: MeterView) -> None:
    running = replace(GOOD, session=session(last="1234600"), meter=meter)
    assert part(running, "session")["energy_wh"] == 33.0
    assert part(running, "session")["transaction_id"] is None


# ---- the rest --------------------------------------------------------------------------------------------------------


def test_company_settings_have_the_form_in_which_the_company_sends_them() -> None:
    tariff = {
        "id": "acme",
        "currency": "EUR",
        "elements": [{"price_components": [{"type": "ENERGY", "price": 0.29, "vat": 21, "step_size": 1}]}],
    }
    settings = CompanySettings(
        7,
        session_logging=False,
        automatic_payment=True,
        refund_percentage=Decimal("82.50"),
        tariff=tariff_from_json(tariff),
    )
    state = StationState((GOOD,), company=replace(COMPANY, settings=settings))
    company = status_document(state, SERVICES)["company"]
    assert isinstance(company, dict)
    assert company["settings"] == {
        "version": 7,
        "sessionLogging": False,
        "automaticPayment": True,
        "refundPercentage": "82.50",
        "tariff": tariff,
    }


def test_after_unlink_the_company_is_none() -> None:
    policy, state = Policy(evses=(EvsePolicy(ONE),)), StationState((GOOD,))
    linked = step(state, CommandReceived(CallRef("control", "1"), LinkCompany("ACME-7F3K")), instant(1), policy).state
    company = status_document(linked, SERVICES)["company"]
    assert isinstance(company, dict)
    assert (company["code"], company["state"]) == ("ACME-7F3K", "pending")


def test_troubles_of_the_services_are_told() -> None:
    services = replace(
        SERVICES,
        cloud=CloudView(CloudState.OFFLINE, queued_messages=3, last_error="connection refused"),
        rfid=ReaderView(ok=False, last_error="/dev/ttyUSB1 is not there"),
        ledger_error="no space left",
    )
    told = document(services=services)
    assert told["cloud"] == {
        "state": "offline",
        "protocol": None,
        "registration": None,
        "queued_messages": 3,
        "last_error": "connection refused",
    }
    assert told["rfid"] == {"ok": False, "last_error": "/dev/ttyUSB1 is not there"}
    ledger = told["ledger"]
    assert isinstance(ledger, dict)
    assert (ledger["ok"], ledger["last_error"]) == (False, "no space left")


def test_no_card_is_shown_in_full() -> None:
    policy = Policy(evses=(EvsePolicy(ONE),))
    state = StationState((replace(GOOD, session=session()),))
    block = CommandReceived(CallRef("control", "1"), BlockCard(IdToken("04A1B2C3D4E5F6"), "lost"))
    text = json.dumps(status_document(step(state, block, instant(11), policy).state, SERVICES))
    assert "04A1" not in text
    assert "E5F6" in text


def test_two_connectors_are_shown_in_order() -> None:
    state = StationState((GOOD, EvseState(EvseId(2))))
    connectors = status_document(state, SERVICES)["connectors"]
    assert isinstance(connectors, list)
    assert [c["id"] for c in connectors] == [1, 2]


# ---- cards that wait -------------------------------------------------------------------------------------------------

CARD = IdToken("04A1B2C3D4E5F6")


def asking(evse: int) -> Asking:
    return Asking(1, EvseId(evse), CARD, StartTrigger.CARD, until=12.0, drop=40.0)


def waiting_at_one(evse: EvseState, *asked: Asking) -> object:
    state = StationState((evse,), asking=asked)
    (found,) = json.loads(json.dumps(status_document(state, SERVICES)))["connectors"]
    return found["waiting"]


def test_a_card_that_was_accepted_waits_for_the_car_or_for_a_charger_that_is_not_ready() -> None:
    granted = replace(GOOD, grant=Grant(CARD, Profile.FLEET, StartTrigger.CARD, None, 70.0))
    assert waiting_at_one(granted) == {"id_tag": "**********E5F6", "for": "car"}
    plugged = replace(granted, plugged_since=10.0)
    assert waiting_at_one(plugged) == {"id_tag": "**********E5F6", "for": "charger"}


def test_a_card_that_is_asked_about_waits_for_the_central_system_until_somebody_decides() -> None:
    assert waiting_at_one(GOOD, asking(1)) == {"id_tag": "**********E5F6", "for": "central-system"}
    decided = (replace(asking(1), refused=True), replace(asking(1), taken=True))
    for other in (*decided, replace(asking(1), stops=True), asking(2), asking(0)):
        assert waiting_at_one(GOOD, other) is None


def test_cards_that_came_before_any_car_wait_at_the_station() -> None:
    grants = (Grant(CARD, Profile.FLEET, StartTrigger.CARD, None, 70.0),)
    state = StationState((GOOD, replace(GOOD, id=EvseId(2))), waiting=grants, asking=(asking(0), asking(1)))
    assert status_document(state, SERVICES)["waiting"] == [
        {"id_tag": "**********E5F6", "for": "car"},
        {"id_tag": "**********E5F6", "for": "central-system"},
    ]


def test_doubts_about_a_controllers_settings_are_shown_beside_it() -> None:
    installed = Installed("abb_b21", evse_warnings=("watchdog (register 257) is 0 and does not take 15000",))
    evse = part(GOOD, "evse", replace(SERVICES, installed={EvseId(1): installed}))
    assert evse["warnings"] == ["watchdog (register 257) is 0 and does not take 15000"]


def test_a_reservation_is_shown_on_its_connector_and_one_of_any_where_it_shows() -> None:
    until = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
    made = Instant(1.0, until)
    own = Reservation(7, ONE, IdToken("04A1B2C3D4"), None, made, until)
    reserved = (ConnectorStatus.RESERVED, ErrorCode.NO_ERROR)
    evse, shows = EvseState(ONE), EvseState(ONE, shown=reserved)
    told = {"id": 7, "id_tag": "******C3D4", "until": "2026-11-21T12:30:00.000Z"}
    for state, expected in (
        (StationState((evse,), reservations={7: own}), told),
        (StationState((evse,), reservations={7: replace(own, evse=STATION)}), None),
        (StationState((shows,), reservations={7: replace(own, evse=STATION)}), told),
    ):
        document: Any = status_document(state, SERVICES)
        assert document["connectors"][0]["reservation"] == expected
