"""A charge point for the tests of the central system: raw frames over a WebSocket, nothing is done by itself."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

Json = dict[str, Any]
BOOT: Json = {"chargePointVendor": "Generic", "chargePointModel": "Wallbox"}
_numbers = itertools.count(1)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class RawStation:
    """The client side of a connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, frame: object) -> None:
        await self.socket.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def receive(self) -> list[Any]:
        frame: list[Any] = json.loads(await self.socket.recv())
        return frame

    async def call(self, action: str, payload: Json, id_: str | None = None) -> list[Any]:
        """Send a CALL, return the next frame that comes."""
        await self.send([2, id_ or f"id-{next(_numbers)}", action, payload])
        return await self.receive()

    async def ask(self, action: str, payload: Json | None = None, id_: str | None = None) -> Json:
        """Send a CALL, return the payload of its result."""
        kind, _, answer = await self.call(action, payload or {}, id_)
        assert kind == 3
        result: Json = answer
        return result

    async def boot(self) -> Json:
        return await self.ask("BootNotification", BOOT)

    async def start(self, id_: str | None = None, **changes: Any) -> Json:  # noqa: ANN401 - JSON
        payload = {"connectorId": 1, "idTag": "04A1B2C3", "meterStart": 1000, "timestamp": now()}
        return await self.ask("StartTransaction", payload | changes, id_)

    async def stop(self, number: int, id_: str | None = None, **changes: Any) -> Json:  # noqa: ANN401 - JSON
        payload = {"transactionId": number, "meterStop": 3000, "timestamp": now(), "reason": "Local"}
        return await self.ask("StopTransaction", payload | changes, id_)

    async def answer(self, payload: Json) -> list[Any]:
        """Answer the next CALL; return it."""
        call = await self.receive()
        await self.send([3, call[1], payload])
        return call


@contextlib.asynccontextmanager
async def station(url: str, name: str = "CP1", **options: Any) -> AsyncIterator[RawStation]:  # noqa: ANN401 - of connect
    """Connect as a station, not booted."""
    options.setdefault("subprotocols", [Subprotocol("ocpp1.6")])
    async with connect(f"{url}/{name}", open_timeout=5, close_timeout=1, proxy=None, **options) as socket:
        yield RawStation(socket)


@contextlib.asynccontextmanager
async def booted(url: str, name: str = "CP1") -> AsyncIterator[RawStation]:
    """Connect as a station and boot."""
    async with station(url, name) as raw:
        assert (await raw.boot())["status"] == "Accepted"
        yield raw
