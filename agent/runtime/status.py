"""The ``status --json`` document (contract, section 3): what the station is and sees at this moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeAlias

from agent.buffer.upkeep import LedgerView
from agent.core.company import Company
from agent.core.model import STATION, ConnectorStatus, EvseId, IdToken, MilliAmp, Reading, Registration
from agent.core.ocpi import tariff_to_json
from agent.core.state import EvseState, EvseView, MeterView, Session, StationState

Document: TypeAlias = dict[str, object]

POWER: Final = ("power_total", "power_import")
"""Measurands that tell the whole power, the better one first."""


class CloudState(StrEnum):
    """How the link to the commanding central system stands."""

    CONNECTED = "connected"
    CONNECTING = "connecting"
    OFFLINE = "offline"


class WaitsFor(StrEnum):
    """What a token still needs to begin its session; CHARGER: meter or controller are not ready, or are at fault."""

    CAR = "car"
    CHARGER = "charger"
    CENTRAL_SYSTEM = "central-system"


@dataclass(frozen=True, slots=True)
class CloudView:
    """The link to the commanding central system.

    protocol: the subprotocol agreed on, None while not connected; registration: None before BootNotification was
    answered; queued_messages: messages that still have to go; warnings: of certificates that are about to expire.
    """

    state: CloudState = CloudState.OFFLINE
    protocol: str | None = None
    registration: Registration | None = None
    queued_messages: int = 0
    last_error: str | None = None
    security_profile: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClockView:
    """Whether a source has told the time, and which: ``ntp``, ``ocpp``, ``rtc``, or None."""

    synchronised: bool = False
    source: str | None = None


@dataclass(frozen=True, slots=True)
class ReaderView:
    """The card reader; a station that is set up without one has nothing that could fail: ok."""

    ok: bool = True
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """What is set up on one EVSE, or known of it by other ways than polls.

    serial: of the meter, where it was asked apart from the readings; controlled: False for a meter without controller;
    warnings, evse_warnings: doubts about the meter, and about the controller's settings, in words.
    """

    meter_model: str | None = None
    serial: str | None = None
    controlled: bool = True
    warnings: tuple[str, ...] = ()
    evse_warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceViews:
    """What the shells know and the core does not.

    uptime_s: seconds since the process began; installed: by EVSE, one that is missing was left over from an earlier
    configuration; report_to: the links to central systems that only listen, by name; ledger_error: why the ledger
    cannot be written, None where it can; deliveries: one row per delivery and month.
    """

    station_id: str
    version: str
    uptime_s: float
    cloud: CloudView = CloudView()
    clock: ClockView = ClockView()
    rfid: ReaderView = ReaderView()
    installed: Mapping[EvseId, Installed] = field(default_factory=dict)
    ledger_error: str | None = None
    ledger: LedgerView = LedgerView()
    report_to: Mapping[str, CloudView] = field(default_factory=dict)
    deliveries: Sequence[Document] = ()


def status_document(state: StationState, services: ServiceViews) -> Document:
    """Return the document; what is not known is null or absent, never 0.

    Id tokens are masked: whoever may see the station's state need not see the cards of its drivers.
    """
    return {
        "station": {"id": services.station_id, "version": services.version, "uptime_s": round(services.uptime_s, 1)},
        "cloud": _cloud(services.cloud),
        "company": company_document(state.company),
        "clock": {"synchronised": services.clock.synchronised, "source": services.clock.source},
        "rfid": {"ok": services.rfid.ok, "last_error": services.rfid.last_error},
        "ledger": _ledger(services),
        "security": {"profile": services.cloud.security_profile, "warnings": list(services.cloud.warnings)},
        "connectors": [_connector(state, evse, services.installed.get(evse.id, Installed())) for evse in state.evses],
        "waiting": _waiting_anywhere(state),
        "deliveries": list(services.deliveries),
        "report_to": [{"name": name, **_cloud(view)} for name, view in services.report_to.items()],
    }


def _ledger(services: ServiceViews) -> Document:
    view = services.ledger
    return {
        "ok": services.ledger_error is None,
        "last_error": services.ledger_error,
        "size_bytes": view.size,
        "rescued": view.rescued,
        "warnings": list(view.warnings),
    }


def company_document(company: Company) -> Document:
    """Return the company link; settings in the form in which they were sent (contract, section 5), {} without any."""
    settings: Document = {}
    if company.settings is not None:
        settings = {
            "version": company.settings.version,
            "sessionLogging": company.settings.session_logging,
            "automaticPayment": company.settings.automatic_payment,
            "refundPercentage": f"{company.settings.refund_percentage:f}",
        }
        if company.settings.tariff is not None:
            settings["tariff"] = tariff_to_json(company.settings.tariff)
    return {
        "code": company.code,
        "state": company.state.value,
        "name": company.name,
        "reason": company.reason,
        "settings_version": company.settings_version,
        "settings": settings,
    }


def _cloud(view: CloudView) -> Document:
    return {
        "state": view.state.value,
        "protocol": view.protocol,
        "registration": None if view.registration is None else view.registration.value,
        "queued_messages": view.queued_messages,
        "last_error": view.last_error,
    }


def _connector(state: StationState, evse: EvseState, installed: Installed) -> Document:
    """Describe one EVSE; status and error code are null until it has shown something."""
    status, error_code = (None, None) if evse.shown is None else (evse.shown[0].value, evse.shown[1].value)
    return {
        "id": evse.id,
        "status": status,
        "error_code": error_code,
        "meter": _meter(evse.meter, installed),
        "evse": _evse(evse, installed),
        "session": None if evse.session is None else _session(evse.session, evse.meter),
        "waiting": _waiting(state, evse),
        "reservation": _reservation(state, evse),
    }


def _waiting(state: StationState, evse: EvseState) -> Document | None:
    """Describe a token that has no session yet on this EVSE, and what it waits for; None where none does."""
    if evse.grant is not None:
        return _waits(evse.grant.id_token, WaitsFor.CAR if evse.plugged_since is None else WaitsFor.CHARGER)
    asked = next((a for a in state.asking if a.evse == evse.id and a.pending and not a.stops), None)
    return None if asked is None else _waits(asked.id_token, WaitsFor.CENTRAL_SYSTEM)


def _reservation(state: StationState, evse: EvseState) -> Document | None:
    """Describe what an EVSE is reserved for, or connector 0 where it shows on this one; None where it is not."""
    shows = evse.shown is not None and evse.shown[0] is ConnectorStatus.RESERVED
    places = {evse.id, STATION} if shows else {evse.id}
    found = [r for r in state.reservations.values() if r.evse in places]
    found.sort(key=lambda r: (r.evse == STATION, r.until))
    if not found:
        return None
    return {"id": found[0].id, "id_tag": found[0].id_token.masked, "until": _stamp(found[0].until)}


def _waiting_anywhere(state: StationState) -> list[Document]:
    """Describe tokens that came before any car, in their order: each is for the next plug, wherever it is."""
    asked = (a for a in state.asking if a.anywhere and a.pending)
    return [
        *(_waits(given.id_token, WaitsFor.CAR) for given in state.waiting),
        *(_waits(a.id_token, WaitsFor.CENTRAL_SYSTEM) for a in asked),
    ]


def _waits(id_token: IdToken, reason: WaitsFor) -> Document:
    return {"id_tag": id_token.masked, "for": reason.value}


def _meter(view: MeterView, installed: Installed) -> Document:
    """Describe a meter; after a poll that failed its values are not known, however recent the last good ones are."""
    reading = _current(view)
    values = {} if reading is None else {v.name: _number(v.number) for v in reading.values if v.number.is_finite()}
    serial = view.reading.serial if view.reading is not None and view.reading.serial is not None else installed.serial
    return {
        "ok": reading is not None,
        "model": installed.meter_model,
        "serial_number": serial,
        "energy_wh": None if reading is None else _number(reading.register),
        "power_w": next((values[name] for name in POWER if name in values), None),
        "values": values,
        "unattributed_wh": _number(view.unattributed),
        "warnings": list(installed.warnings),
        "last_error": view.error,
    }


def _current(view: MeterView) -> Reading | None:
    return view.reading if view.error is None else None


def _evse(evse: EvseState, installed: Installed) -> Document:
    """Describe a controller; one that does not answer has no state, a station without one is fine.

    charging_profile: the id of the one whose limit counts, None where none does.
    """
    view = evse.evse
    reading = view.reading if view.error is None else None
    pilot = None if reading is None else reading.pilot
    return {
        "ok": view.error is None and (reading is not None or not installed.controlled),
        "state": None if pilot is None else pilot.value,
        "connected": None if reading is None else reading.connected,
        "charging": None if reading is None else reading.charging,
        "current_limit_a": _ampere(_limit(view)),
        "charging_profile": evse.allowed.profile,
        "faults": [] if reading is None else list(reading.faults),
        "warnings": list(installed.evse_warnings),
        "last_error": view.error,
    }


def _limit(view: EvseView) -> MilliAmp | None:
    """Return the limit commanded now: as read back, or as sent where no poll has been since."""
    reading = view.reading
    if reading is None or reading.limit is None or (view.limit_sent is not None and reading.at.mono < view.sent_at):
        return view.limit_sent
    return reading.limit


def _session(session: Session, meter: MeterView) -> Document:
    """Describe a running session; its energy is that of the last good reading of the meter it began on, however old."""
    reading, register = meter.reading, session.last.register
    if reading is not None and session.serial in {None, reading.serial}:
        register = max(reading.register, register)
    return {
        "id": session.id,
        "transaction_id": session.transaction,
        "id_tag": session.id_token.masked,
        "started_at": _stamp(session.started.wall),
        "energy_wh": _number(register - session.register),
        "state": session.phase.value,
    }


def _stamp(wall: datetime) -> str:
    return wall.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _ampere(limit: MilliAmp | None) -> float | None:
    return None if limit is None else limit / 1000


def _number(value: Decimal) -> float:
    """Return a JSON number, to be looked at; what is billed is never computed from it."""
    return float(value)
