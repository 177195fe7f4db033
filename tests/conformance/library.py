"""A central system that is not ours: that of the library ``ocpp``, which checks each frame by the schemas.

Only its answers are written here; routing, checks, ids and CALLERRORs are the library's.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ocpp.messages import unpack
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import (
    Action,
    AuthorizationStatus,
    DataTransferStatus,
    RegistrationStatus,
)
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

WITHIN_S = 5.0
ACCEPTED = IdTagInfo(AuthorizationStatus.accepted)


class Peer(ChargePoint):
    """One connection; got: requests of the station as (action, payload); errors: CALLERRORs of either side."""

    def __init__(self, connection: ServerConnection, numbers: itertools.count[int]) -> None:
        super().__init__("NL-TEST-1", connection, response_timeout=WITHIN_S)
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.errors: list[str] = []
        self._numbers = numbers

    async def route_message(self, raw_msg: str) -> None:
        message = unpack(raw_msg)
        if message.message_type_id == 2:
            self.got.append((message.action, message.payload))
        elif message.message_type_id == 4:
            self.errors.append(raw_msg)
        await super().route_message(raw_msg)

    async def _send(self, message: str) -> None:
        if json.loads(message)[0] == 4:
            self.errors.append(message)
        await super()._send(message)

    @on(Action.boot_notification)
    def boot(self, **_: object) -> call_result.BootNotification:
        return call_result.BootNotification(now(), 300, RegistrationStatus.accepted)

    @on(Action.heartbeat)
    def heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(now())

    @on(Action.authorize)
    def authorize(self, **_: object) -> call_result.Authorize:
        return call_result.Authorize(ACCEPTED)

    @on(Action.start_transaction)
    def start_transaction(self, **_: object) -> call_result.StartTransaction:
        return call_result.StartTransaction(next(self._numbers), ACCEPTED)

    @on(Action.stop_transaction)
    def stop_transaction(self, **_: object) -> call_result.StopTransaction:
        return call_result.StopTransaction()

    @on(Action.meter_values)
    def meter_values(self, **_: object) -> call_result.MeterValues:
        return call_result.MeterValues()

    @on(Action.status_notification)
    def status_notification(self, **_: object) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on(Action.firmware_status_notification)
    def firmware_status_notification(self, **_: object) -> call_result.FirmwareStatusNotification:
        return call_result.FirmwareStatusNotification()

    @on(Action.diagnostics_status_notification)
    def diagnostics_status_notification(self, **_: object) -> call_result.DiagnosticsStatusNotification:
        return call_result.DiagnosticsStatusNotification()

    @on(Action.log_status_notification)
    def log_status_notification(self, **_: object) -> call_result.LogStatusNotification:
        return call_result.LogStatusNotification()

    @on(Action.signed_firmware_status_notification)
    def signed_firmware_status_notification(self, **_: object) -> call_result.SignedFirmwareStatusNotification:
        return call_result.SignedFirmwareStatusNotification()

    @on(Action.security_event_notification)
    def security_event_notification(self, **_: object) -> call_result.SecurityEventNotification:
        return call_result.SecurityEventNotification()

    @on(Action.data_transfer)
    def data_transfer(self, **_: object) -> call_result.DataTransfer:
        return call_result.DataTransfer(DataTransferStatus.unknown_vendor_id)


class Library:
    """The server around it."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self._server: Server | None = None
        self._numbers = itertools.count(1)

    async def up(self) -> str:
        """Listen; return the address."""
        self._server = await serve(self._serve, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")])
        return f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}/ocpp"

    async def down(self) -> None:
        """Cut every connection, and listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        peer = Peer(connection, self._numbers)
        self.peers.append(peer)
        with suppress(ConnectionClosed):
            await peer.start()

    @property
    def got(self) -> list[tuple[str, dict[str, Any]]]:
        """What came, over all connections."""
        return [one for peer in self.peers for one in peer.got]

    @property
    def errors(self) -> list[str]:
        """CALLERRORs of either side."""
        return [error for peer in self.peers for error in peer.errors]

    async def until(self, condition: Callable[[], object], what: str = "", within: float = WITHIN_S) -> None:
        """Wait until a condition holds."""
        deadline = asyncio.get_running_loop().time() + within
        while not condition():
            assert asyncio.get_running_loop().time() < deadline, f"never came: {what}; {self.got[-10:]}, {self.errors}"
            await asyncio.sleep(0.01)

    async def expect(self, action: str, **fields: object) -> dict[str, Any]:
        """Wait for a request with these fields, the newest of them."""

        def found() -> list[dict[str, Any]]:
            return [p for a, p in self.got if a == action and all(p.get(k) == v for k, v in fields.items())]

        await self.until(found, f"{action} {fields}")
        return found()[-1]

    async def ask(self, request: object) -> Any:  # noqa: ANN401  # a dataclass of the library
        """Send a request over the newest connection; its answer is checked by the schema."""
        return await self.peers[-1].call(request, suppress=False)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


__all__ = ["Library", "call"]
