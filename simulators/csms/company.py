"""Employers and their chargers: the company link over DataTransfer, seen from the cloud, and the cards.

The extension: vendor ``org.wallbox-agent``; LinkCompany and UnlinkCompany come from the station, CompanySettings and
CompanyLink go to it; ``data`` is a JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

from simulators.csms.log import MessageLog
from simulators.csms.state import Activation, Company, Device, JsonObject, State, Terms, TokenStatus
from simulators.errors import Misuse, SimulatorError

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

#: (station, action, payload) -> payload of the answer; ``Csms.call``.
Caller = Callable[[str, str, JsonObject], Awaitable[JsonObject]]


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
        return _accepted(link_status(self.state, device))

    def _device(self, station: str, company: Company) -> Device:
        known = self.state.devices.get(station)
        if known is not None and known.company == company.code and known.state != "ended":
            return known
        device = Device(station, company.code, datetime.now(UTC))
        device.version = known.version + 1 if known else 1
        if company.activation is Activation.REJECTED:
            device.state, device.reason = "rejected", company.reason
        elif company.activation is Activation.AUTOMATIC:
            device.state = "linked"
            device.terms.append(Terms(device.since, settings_of(self.state, device)))
        self.state.devices[station] = device
        return device

    def _unlink(self, station: str, data: JsonObject) -> JsonObject:
        device = self.state.devices.get(station)
        if device is None or device.company != str(data.get("companyCode")).upper():
            self._log.accuse(station, "UnlinkCompany from a company it is not linked to")
        else:
            device.state, device.ended_at = "ended", datetime.now(UTC)
        return {"status": "Accepted"}


def _accepted(data: JsonObject) -> JsonObject:
    return {"status": "Accepted", "data": json.dumps(data)}


def link_status(state: State, device: Device) -> JsonObject:
    """Return what a charger is told about its link."""
    told: JsonObject = {"status": device.state.capitalize(), "companyName": state.companies[device.company].name}
    if device.reason:
        told["reason"] = device.reason
    return told | ({"settings": settings_of(state, device)} if device.state == "linked" else {})


class CompanyDesk:
    """What somebody at the employer's does: activate or reject chargers, change settings, block cards.

    All raise Misuse for what is not known, and what ``Csms.call`` raises when a station has to be told.
    """

    def __init__(self, state: State, call: Caller) -> None:
        self.state = state
        self._call = call

    async def activate(self, station: str) -> None:
        """Link a pending charger and tell it."""
        device = self.device(station)
        device.state, device.reason = "linked", ""
        device.terms.append(Terms(datetime.now(UTC), settings_of(self.state, device)))
        await self._transfer(station, "CompanyLink", link_status(self.state, device))

    async def reject(self, station: str, reason: str) -> None:
        """End a link, pending or not, and tell the charger."""
        device = self.device(station)
        device.state, device.reason = "rejected", reason
        await self._transfer(station, "CompanyLink", link_status(self.state, device))

    async def change(self, whose: str, **settings: Any) -> None:  # noqa: ANN401 - settings are JSON
        """Change settings of a charger, or of all of a company, and tell the linked ones. None: back to the default."""
        company = self.state.companies.get(whose.upper())
        for_whom = [self.device(whose)] if company is None else self._linked(company)
        stored = for_whom[0].overrides if company is None else company.settings
        stored.update(settings)
        for name in [name for name, value in stored.items() if value is None]:
            del stored[name]
        for device in for_whom:
            device.version += 1
            if device.state == "linked":
                await self.push(device.station)

    async def push(self, station: str) -> None:
        """Send a charger its settings. Raises SimulatorError with its reason where it refuses them."""
        device = self.device(station)
        settings = settings_of(self.state, device)
        await self._transfer(station, "CompanySettings", settings)
        device.terms.append(Terms(datetime.now(UTC), settings))

    async def tell_paid(self, station: str, month: str) -> None:
        """Tell a charger that a month was paid, if it is linked."""
        device = self.state.devices.get(station)
        if device is not None and device.state == "linked":
            data = {"month": month, "paidAt": datetime.now(UTC).isoformat(), "reference": f"{device.company} {month}"}
            await self._transfer(station, "StatementPaid", data)

    def set_status(self, uid: str, status: TokenStatus) -> None:
        """Block, unblock or deactivate a card; stations learn of it when they ask. Deactivation is for good."""
        token = self.state.tokens.get(uid.upper())
        if token is None:
            raise Misuse(f"no card {uid}")
        if token.status is TokenStatus.DEACTIVATED and status is not TokenStatus.DEACTIVATED:
            raise Misuse(f"card {uid} was deactivated for good")
        token.status = status

    def device(self, station: str) -> Device:
        """Return the charger of a station. Raises Misuse."""
        device = self.state.devices.get(station)
        if device is None:
            raise Misuse(f"{station} has not given a company code")
        return device

    def _linked(self, company: Company) -> list[Device]:
        return [device for device in self.state.devices.values() if device.company == company.code]

    async def _transfer(self, station: str, message: str, data: JsonObject) -> None:
        payload = {"vendorId": VENDOR, "messageId": message, "data": json.dumps(data)}
        answer = await self._call(station, "DataTransfer", payload)
        if answer.get("status") != "Accepted":
            raise SimulatorError(
                f"{station} answers {message} with {answer.get('status')} {answer.get('data', '')}".rstrip()
            )
