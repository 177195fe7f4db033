"""A charger of the company for the tests of the panel: answers what it is asked, and charges when it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.simulators.station import BOOT, Json, now

VENDOR = "org.wallbox-agent"


class Charger:
    """One connection. cards: those that it took, by UID; refused: UID -> why it takes it not; asked: CALLs it got."""

    def __init__(self, socket: ClientConnection, name: str) -> None:
        self.name = name
        self.cards: dict[str, Json] = {}
        self.refused: dict[str, str] = {}
        self.answers: dict[str, Json] = {}
        self.asked: list[tuple[str, Json]] = []
        self.link: Json = {}
        self.settings: Json = {}
        self._socket = socket
        self._waiting: dict[str, asyncio.Future[Json]] = {}
        self._number = 0

    async def ask(self, action: str, payload: Json) -> Json:
        """Send a CALL; return the payload of its result."""
        self._number += 1
        id_ = f"{self.name}-{id(self)}-{self._number}"
        self._waiting[id_] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps([2, id_, action, payload]))
        async with asyncio.timeout(5):
            return await self._waiting[id_]

    async def boot(self) -> None:
        assert (await self.ask("BootNotification", BOOT))["status"] == "Accepted"
        for connector in (0, 1):
            await self.status(connector, "Available")

    async def status(self, connector: int, status: str) -> None:
        await self.ask("StatusNotification", {"connectorId": connector, "status": status, "errorCode": "NoError"})

    async def give_code(self, code: str) -> Json:
        """Send LinkCompany; return what came of it."""
        data = {
            "companyCode": code,
            "stationId": self.name,
            "evseIds": ["NL*ACM*E1*1"],
            "meterSerialNumbers": ["23004711"],
            "agentVersion": "0.1.0",
            "settingsVersion": self.settings.get("version"),
        }
        payload = {"vendorId": VENDOR, "messageId": "LinkCompany", "data": json.dumps(data)}
        self._learn(json.loads((await self.ask("DataTransfer", payload))["data"]))
        return self.link

    async def charge(self, card: str, wh: int, *, start: str | None = None, stop: str | None = None) -> int:
        """Report a session; return the number of its transaction."""
        number = await self.begin(card, at=start)
        await self.end(number, wh, at=stop)
        return number

    async def begin(self, card: str, *, at: str | None = None) -> int:
        payload = {"connectorId": 1, "idTag": card, "meterStart": 0, "timestamp": at or now()}
        return int((await self.ask("StartTransaction", payload))["transactionId"])

    async def end(self, number: int, wh: int, *, at: str | None = None) -> None:
        await self.ask(
            "StopTransaction", {"transactionId": number, "meterStop": wh, "timestamp": at or now(), "reason": "Local"}
        )

    async def serve(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in self._socket:
                frame = json.loads(text)
                if frame[0] == 3:
                    self._waiting.pop(frame[1]).set_result(frame[2])
                else:
                    self.asked.append((frame[2], frame[3]))
                    await self._socket.send(json.dumps([3, frame[1], self._answer(frame[2], frame[3])]))

    def _answer(self, action: str, payload: Json) -> Json:
        if action != "DataTransfer":
            return self.answers.get(action, {"status": "Accepted"})
        message, data = payload["messageId"], json.loads(payload.get("data", "{}"))
        if message in self.answers:
            return self.answers[message]
        match message:
            case "CompanyLink":
                self._learn(data)
            case "CompanySettings":
                self.settings = data
            case "Cards":
                return {"status": "Accepted", "data": json.dumps({"results": [*map(self._take, data["cards"])]})}
            case "GetCards":
                held = [{"uid": uid, "status": card["status"], "activated": True} for uid, card in self.cards.items()]
                return {"status": "Accepted", "data": json.dumps({"cards": held})}
        return {"status": "Accepted"}

    def _take(self, card: Json) -> Json:
        why = self.refused.get(card["uid"])
        if why is not None:
            return {"status": "Failed", "reason": why}
        self.cards[card["uid"]] = card
        return {"status": "Taken"}

    def _learn(self, link: Json) -> None:
        self.link = link
        self.settings = link.get("settings", self.settings)


@contextlib.asynccontextmanager
async def charger(url: str, name: str = "NL-HOME-1", *, boots: bool = True, **before: Any) -> AsyncIterator[Charger]:  # noqa: ANN401 - JSON
    """Connect a charger, booted. before: what it has from an earlier connection, ``cards`` and ``settings``."""
    async with connect(
        f"{url}/{name}", subprotocols=[Subprotocol("ocpp1.6")], open_timeout=5, close_timeout=1, proxy=None
    ) as socket:
        one = Charger(socket, name)
        for what, value in before.items():
            setattr(one, what, value)
        serving = asyncio.create_task(one.serve())
        try:
            if boots:
                await one.boot()
            yield one
        finally:
            await socket.close()
            await serving


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
