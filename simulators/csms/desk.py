"""What somebody at the employer's does, and what chargers are told of it at once."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from simulators.csms.company import VENDOR, know, link_status, settings_of, take
from simulators.csms.state import Company, Device, JsonObject, State, TokenStatus
from simulators.csms.v16 import CallRefused
from simulators.errors import Misuse, SimulatorError

#: (station, action, payload) -> payload of the answer; ``Csms.call``.
Caller = Callable[[str, str, JsonObject], Awaitable[JsonObject]]


class NotTaken(SimulatorError):
    """A station answered a message of the extension by something else than Accepted."""


class CompanyDesk:
    """What somebody at the employer's does: activate or reject chargers, change settings, block cards.

    All raise Misuse for what is not known, and what ``Csms.call`` raises when a station has to be told; what was
    changed stays so, and a charger that is not there is told when it comes back (``Courier``, or at its next boot).
    """

    def __init__(self, state: State, call: Caller) -> None:
        self.state = state
        self._call = call

    async def activate(self, station: str) -> None:
        """Link a pending charger and tell it."""
        device = self.device(station)
        device.state, device.reason, device.told = "linked", "", ""
        await self.tell(station)

    async def reject(self, station: str, reason: str) -> None:
        """End a link, pending or not, and tell the charger."""
        device = self.device(station)
        device.state, device.reason, device.told = "rejected", reason, ""
        await self.tell(station)

    async def tell(self, station: str) -> None:
        """Tell a charger the state of its link, and with it the settings where it is linked."""
        device = self.device(station)
        status = link_status(self.state, device)
        try:
            await self.transfer(station, "CompanyLink", status)
        except (NotTaken, CallRefused):
            know(device)
            raise
        know(device)
        if "settings" in status:
            take(device, status["settings"])

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
        await self._push_all(device.station for device in for_whom if device.state == "linked")

    async def _push_all(self, stations: Iterable[str]) -> None:
        """Send each its settings. Raises the one error there was, or one that names all."""
        errors: list[SimulatorError | TimeoutError] = []
        for station in stations:
            try:
                await self.push(station)
            except (SimulatorError, TimeoutError) as error:
                errors.append(error)
        if len(errors) > 1:
            raise SimulatorError("; ".join(map(str, errors)))
        if errors:
            raise errors[0]

    async def push(self, station: str) -> None:
        """Send a charger its settings. Raises SimulatorError with its reason where it refuses them."""
        device = self.device(station)
        settings = settings_of(self.state, device)
        try:
            await self.transfer(station, "CompanySettings", settings)
        except (NotTaken, CallRefused) as refused:
            device.answered, device.refusal = settings["version"], str(refused)
            raise
        take(device, settings)

    async def tell_paid(self, month: str, stations: Iterable[str]) -> None:
        """Tell those of these chargers that are linked that a month was paid; all of them must be connected."""
        for station in stations:
            device = self.state.devices.get(station)
            if device is not None and device.state == "linked":
                paid = {"month": month, "paidAt": datetime.now(UTC).isoformat()}
                await self.transfer(station, "StatementPaid", paid | {"reference": f"{device.company} {month}"})

    def set_status(self, uid: str, status: TokenStatus, reason: str = "") -> None:
        """Block, unblock or deactivate a card; stations learn of it when they ask. Deactivation is for good."""
        token = self.state.tokens.get(uid.upper())
        if token is None:
            raise Misuse(f"no card {uid}")
        if token.status is TokenStatus.DEACTIVATED:
            if status is TokenStatus.DEACTIVATED:
                return
            raise Misuse(f"card {uid} was deactivated for good")
        token.status, token.reason = status, reason
        token.note(datetime.now(UTC), f"{status}: {reason}" if reason else str(status))

    def device(self, station: str) -> Device:
        """Return the charger of a station. Raises Misuse."""
        device = self.state.devices.get(station)
        if device is None:
            raise Misuse(f"{station} has not given a company code")
        return device

    def _linked(self, company: Company) -> list[Device]:
        return [device for device in self.state.devices.values() if device.company == company.code]

    async def transfer(self, station: str, message: str, data: JsonObject | None = None) -> JsonObject:
        """Send a message of the extension; return the data of its answer. Raises NotTaken, and as ``Csms.call``."""
        payload = {"vendorId": VENDOR, "messageId": message} | ({} if data is None else {"data": json.dumps(data)})
        answer = await self._call(station, "DataTransfer", payload)
        if answer.get("status") != "Accepted":
            told = f"{answer.get('status')} {answer.get('data', '')}".rstrip()
            raise NotTaken(f"{station} answers {message} with {told}")
        try:
            content: Any = json.loads(answer.get("data") or "{}")
        except (TypeError, ValueError):
            content = None
        if not isinstance(content, dict):
            raise NotTaken(f"{station} answers {message} with data that is no JSON object")
        return content
