"""Employers and their chargers: the company link over DataTransfer, seen from the cloud, and the cards.

The extension: vendor ``org.wallbox-agent``; LinkCompany and UnlinkCompany come from the station, CompanySettings and
CompanyLink go to it (``desk``); ``data`` is a JSON text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

from simulators.csms.log import MessageLog
from simulators.csms.state import Activation, Company, Device, JsonObject, State, Terms, TokenStatus

VENDOR: Final = "org.wallbox-agent"
DEFAULTS: Final[JsonObject] = {"sessionLogging": True, "automaticPayment": False, "refundPercentage": "100"}
#: Fields of LinkCompany's data, and their types.
LINK_FIELDS: Final[dict[str, type | tuple[type, ...]]] = {
    "companyCode": str,
    "stationId": str,
    "evseIds": list,
    "meterSerialNumbers": list,
    "agentVersion": str,
    "settingsVersion": (int, type(None)),
}


def verdict(state: State, id_tag: str, now: datetime, *, accept_unknown: bool = False) -> JsonObject:
    """Return the idTagInfo of a card."""
    token = state.tokens.get(id_tag.upper())
    if token is None:
        return {"status": "Accepted" if accept_unknown else "Invalid"}
    extras: JsonObject = {} if token.parent is None else {"parentIdTag": token.parent}
    if token.valid_to is not None:
        extras["expiryDate"] = token.valid_to.isoformat().replace("+00:00", "Z")
        if token.valid_to <= now:
            return {"status": "Expired"} | extras
    early = token.valid_from is not None and now < token.valid_from
    if token.status is TokenStatus.DEACTIVATED or early:
        return {"status": "Invalid"}
    return {"status": "Blocked" if token.status is TokenStatus.BLOCKED else "Accepted"} | extras


def used(state: State, id_tag: str, now: datetime) -> None:
    """Take note that a station asks about a card: one that came by post is activated by its driver thereby."""
    token = state.tokens.get(id_tag.upper())
    if token is not None and token.status is TokenStatus.INACTIVE:
        token.status = TokenStatus.ACTIVE
        token.note(now, "activated by the driver")


def local_list(state: State) -> list[JsonObject]:
    """Return all cards that are known as the entries of SendLocalList."""
    now = datetime.now(UTC)
    return [{"idTag": uid, "idTagInfo": verdict(state, uid, now)} for uid in state.tokens]


def settings_of(state: State, device: Device) -> JsonObject:
    """Return the settings object of a charger: defaults with the default rate, then the company's, then its own."""
    company = state.companies[device.company]
    rate = {} if state.tariff is None else {"tariff": state.tariff}
    return {"version": device.version} | DEFAULTS | rate | company.settings | device.overrides


def terms_at(device: Device | None, at: datetime) -> JsonObject:
    """Return the settings that a charger had accepted at a moment; the first ones for a moment before; empty: none."""
    if device is None or not device.terms:
        return {}
    before = [terms for terms in device.terms if terms.since <= at]
    return (before[-1] if before else device.terms[0]).settings


class CompanyLink:
    """Answers what stations ask. ``enabled = False``: a central system that knows nothing of the extension."""

    def __init__(self, state: State, log: MessageLog) -> None:
        self.state = state
        self.enabled = True
        self._log = log

    def transfer(self, station: str, payload: JsonObject) -> JsonObject:
        """Return the answer to a DataTransfer."""
        if payload["vendorId"] != VENDOR or not self.enabled:
            return {"status": "UnknownVendorId"}
        match payload.get("messageId"):
            case "LinkCompany":
                return self._link(station, self._data(station, payload))
            case "UnlinkCompany":
                return self._unlink(station, self._data(station, payload))
            case _:
                return {"status": "UnknownMessageId"}

    def _data(self, station: str, payload: JsonObject) -> JsonObject:
        try:
            data: Any = json.loads(payload.get("data", ""))
        except ValueError:
            data = None
        if isinstance(data, dict):
            return data
        self._log.accuse(station, f"data of {payload['messageId']} is no JSON object")
        return {}

    def _link(self, station: str, data: JsonObject) -> JsonObject:
        wrong = [name for name, kind in LINK_FIELDS.items() if name not in data or not isinstance(data[name], kind)]
        if wrong:
            self._log.accuse(station, f"LinkCompany: missing or of a wrong type: {', '.join(wrong)}")
            return {"status": "Rejected"}
        if data["stationId"] != station:
            self._log.accuse(station, f"LinkCompany names another station: {data['stationId']}")
        company = self.state.companies.get(data["companyCode"].upper())
        if company is None:
            self.state.devices.pop(station, None)
            return _accepted({"status": "Rejected", "reason": "unknown company code"})
        device = self._device(station, company)
        device.evse_ids, device.meter_serials = data["evseIds"], data["meterSerialNumbers"]
        device.agent_version = data["agentVersion"]
        if (data["settingsVersion"] or 0) > device.version:  # this central system lost its memory
            device.version = data["settingsVersion"] + 1
        know(device)
        if device.state == "linked" and device.answered < device.version:
            take(device, settings_of(self.state, device))
        return _accepted(link_status(self.state, device))

    def _device(self, station: str, company: Company) -> Device:
        known = self.state.devices.get(station)
        if known is not None and known.company == company.code and known.state != "ended":
            return known
        device = Device(station, company.code, datetime.now(UTC))
        device.version = known.version + 1 if known else 1
        if known is not None and known.company == company.code:
            device.employee, device.cards_version = known.employee, known.cards_version
        if company.activation is Activation.REJECTED:
            device.state, device.reason = "rejected", company.reason
        elif company.activation is Activation.AUTOMATIC:
            device.state = "linked"
            take(device, settings_of(self.state, device), device.since)
        for key in [key for key, sent in self.state.deliveries.items() if sent.station == station]:
            del self.state.deliveries[key]  # what it was sent by another company, or before it left, it has no more
        self.state.devices[station] = device
        return device

    def _unlink(self, station: str, data: JsonObject) -> JsonObject:
        device = self.state.devices.get(station)
        if device is None or device.company != str(data.get("companyCode")).upper():
            self._log.accuse(station, "UnlinkCompany from a company it is not linked to")
        else:
            device.state, device.ended_at = "ended", datetime.now(UTC)
            know(device)
        return {"status": "Accepted"}


def know(device: Device) -> None:
    """Take note that a charger knows the state of its link."""
    device.told = device.state


def take(device: Device, settings: JsonObject, since: datetime | None = None) -> None:
    """Take note that a charger has settings: they are the terms of its sessions from now on."""
    device.answered, device.refusal = settings["version"], ""
    device.terms.append(Terms(since or datetime.now(UTC), settings))


def _accepted(data: JsonObject) -> JsonObject:
    return {"status": "Accepted", "data": json.dumps(data)}


def link_status(state: State, device: Device) -> JsonObject:
    """Return what a charger is told about its link."""
    told: JsonObject = {"status": device.state.capitalize(), "companyName": state.companies[device.company].name}
    if device.reason:
        told["reason"] = device.reason
    return told | ({"settings": settings_of(state, device)} if device.state == "linked" else {})
