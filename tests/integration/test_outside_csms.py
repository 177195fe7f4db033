"""A central system that misbehaves: what the station does, what its status says, and that it heals by itself."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from employer import Employer, Payload, stamp
from station import FLEET, OTHER, Station, a_station, connector
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

pytestmark = pytest.mark.timeout(60)


async def plug_and_tap(station: Station, card: str = FLEET) -> None:
    station.wall.car.plugged = True
    await station.until(lambda s: connector(s)["evse"]["connected"])
    await station.tap(card)


async def charge(station: Station, seconds: float = 0.5, card: str = FLEET) -> None:
    await plug_and_tap(station, card)
    await station.until(lambda s: connector(s)["status"] == "Charging")
    await asyncio.sleep(seconds)


async def unplug(station: Station) -> None:
    station.wall.car.plugged = False
    await station.until(lambda s: connector(s)["status"] == "Available" and connector(s)["session"] is None)


async def change(station: Station, key: str, value: str) -> Payload:
    return await station.employer.call("ChangeConfiguration", {"key": key, "value": value})


async def test_refused_handshakes_are_explained_and_tried_again(tmp_path: Path) -> None:
    statuses = [401, 404, 503]

    def refuse(connection: ServerConnection, _request: Request) -> Response | None:
        return connection.respond(statuses.pop(0), "no\n") if statuses else None

    async with a_station(tmp_path) as station:
        employer = station.employer
        await station.ready()
        await employer.close()
        async with serve(
            employer._serve,  # noqa: SLF001  # the same system, with a doorman
            "127.0.0.1",
            employer.port,
            subprotocols=["ocpp1.6"],  # type: ignore[list-item]  # a plain string is a Subprotocol
            process_request=refuse,
        ):
            seen = await station.until(lambda s: "HTTP 401" in (s["cloud"]["last_error"] or ""), within=10)
            assert "station.id" in seen["cloud"]["last_error"]
            assert seen["cloud"]["state"] in {"offline", "connecting"}


@pytest.mark.parametrize("kind", ["silent", "http", "garbage", "closes", "no subprotocol"])
async def test_what_listens_but_is_no_central_system_is_named(tmp_path: Path, kind: str) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if kind == "silent":
            await reader.read()
        if kind == "http":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        if kind == "garbage":
            writer.write(bytes(range(256)) * 8)
        writer.close()

    async with Employer() as employer:
        if kind == "no subprotocol":
            server: Any = await serve(employer._serve, "127.0.0.1", 0)  # noqa: SLF001
        else:
            server = await asyncio.start_server(peer, "127.0.0.1", 0)
        station = Station(tmp_path, employer)
        await employer.close()
        employer.port = next(iter(server.sockets)).getsockname()[1]
        station.configure()
        station.start()
        try:
            seen = await station.until(lambda s: s["cloud"]["last_error"], within=28)
            print(kind, seen["cloud"])
            assert seen["cloud"]["state"] in {"offline", "connecting"}
        finally:
            station.kill()
            server.close()


FRAMES = [
    "", "not json", "{}", "[]", "[2]", '[2,"1"]', '[2,"x","Reset"]', '[9,"1","a",{}]', "null", "[2,null,\"Reset\",{}]", '[2,1,"Reset",{}]',
    '[2,"a1",7,{}]', '[2,"a2","Reset",[]]', '[2,"a3","Reset",null]', '[3]', '[3,"nobody",{}]', '[3,"nobody"]', '[4,"nobody","X"]', '[4,"nobody","X","y",{}]', '[3,"nobody",null]',
    "\U0001f600", '[2,"' + "i" * 100 + '","Heartbeat",{}]', "[" * 5000, '[2,"big","DataTransfer",{"vendorId":"x","data":"' + "z" * 3_000_000 + '"}]',
    '[2,"nan","ChangeConfiguration",{"key":"HeartbeatInterval","value":NaN}]', '[2,"inf","RemoteStopTransaction",{"transactionId":1e999}]',
    '[2,"fl","RemoteStopTransaction",{"transactionId":1.5}]', '[2,"bigint","RemoteStopTransaction",{"transactionId":' + "9" * 5000 + "}]",
]


async def test_garbage_is_survived_on_the_same_connection(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        employer = station.employer
        link = employer.connections[-1]
        for text in FRAMES:
            await link.send(text)
        await link.send(b"\x00\xff\xfe")
        await link.send(b"")
        assert (await employer.call("GetConfiguration", {"key": ["HeartbeatInterval"]}))["configurationKey"]
        assert employer.handshakes == 1
        s = await station.status()
        print(s["cloud"])


async def test_wrong_calls_get_a_callerror_and_change_nothing(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        call = station.employer.call
        for action, payload in [
            ("Foo", {}), ("Authorize", {"idTag": "A"}), ("BootNotification", {}), ("ChangeConfiguration", {"key": "HeartbeatInterval"}),
            ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": 5}), ("ChangeConfiguration", {"key": "H" * 51, "value": "5"}),
            ("RemoteStartTransaction", {"connectorId": 1}),
            ("RemoteStartTransaction", {"idTag": "A" * 21}), ("RemoteStartTransaction", {"idTag": 5}), ("Reset", {"type": "Warm"}), ("ChangeAvailability", {"connectorId": 1, "type": "On"}),
            ("UnlockConnector", {}), ("TriggerMessage", {"requestedMessage": "Foo"}), ("SendLocalList", {}), ("GetDiagnostics", {"location": "ftp://x"}), ("UpdateFirmware", {}),
            ("SetChargingProfile", {}), ("ReserveNow", {}), ("DataTransfer", {}), ("GetConfiguration", {"key": "x"}), ("GetConfiguration", {"key": [1]}),
        ]:
            answer = await call(action, payload)
            print(action, payload, answer)
            assert "error" in answer, (action, payload)
        for action, payload in [("UnlockConnector", {"connectorId": 1}), ("UnlockConnector", {"connectorId": 0}), ("UnlockConnector", {"connectorId": 9}), ("TriggerMessage", {"requestedMessage": "Heartbeat"}),
            ("TriggerMessage", {"requestedMessage": "BootNotification"}), ("TriggerMessage", {"requestedMessage": "StatusNotification"}), ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 2}),
            ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}),
            ("GetLocalListVersion", {}), ("DataTransfer", {"vendorId": "x"}), ("DataTransfer", {"vendorId": "org.wallbox-agent", "messageId": "Foo"}), ("ClearCache", {}),
            ("RemoteStartTransaction", {"idTag": "A", "connectorId": 0}), ("RemoteStartTransaction", {"idTag": "A", "connectorId": 9}), ("RemoteStopTransaction", {"transactionId": 77}),
            ("ChangeAvailability", {"connectorId": 9, "type": "Inoperative"}), ("CancelReservation", {"reservationId": 1}), ("GetCompositeSchedule", {"connectorId": 1, "duration": 60}), ("ClearChargingProfile", {}),
            ("SendLocalList", {"listVersion": 1, "updateType": "Full"}), ("ReserveNow", {"connectorId": 1, "expiryDate": stamp(), "idTag": "A", "reservationId": 1}), ("UpdateFirmware", {"location": "http://x", "retrieveDate": stamp()}),
            ("GetDiagnostics", {"location": "ftp://x/y"}), ("GetConfiguration", {"key": ["foo", "HEARTBEATINTERVAL"]}),
        ]:
            print(action, payload, await call(action, payload))
        await asyncio.sleep(1)
        print([(r.action, r.payload) for r in station.employer.got])


async def test_every_core_key(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        call = station.employer.call
        keys = (await call("GetConfiguration", {}))["configurationKey"]
        for k in keys:
            out = {}
            for v in [k.get("value", ""), "", "-1", "abc", "99999999999", "TRUE", "true", "0", "1.5", " 7 ", "Voltage", "Voltage,Foo", "x" * 500]:
                a = await change(station, k["key"], v)
                out[v[:12]] = a.get("status", a)[:8] if isinstance(a.get("status", a), str) else a
            print(k["key"], k["readonly"], k.get("value"), out)
        answers = await asyncio.gather(*(call("GetConfiguration", {"key": ["HeartbeatInterval"]}) for _ in range(50)))
        assert len(answers) == 50
        print(await call("GetConfiguration", {}))
