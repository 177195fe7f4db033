"""A central system that misbehaves: what the station does, what its status says, and that it heals by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from employer import Employer, Payload
from outside import change, charge, quick
from station import Station, a_station
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

pytestmark = pytest.mark.timeout(60)


async def test_a_refused_handshake_is_explained_and_tried_again(tmp_path: Path) -> None:
    statuses = [401]

    def refuse(connection: ServerConnection, _request: Request) -> Response | None:
        return connection.respond(statuses.pop(0), "no\n") if statuses else None

    async with a_station(tmp_path) as station:
        await station.ready()
        station.employer.doorman = refuse
        await station.employer.close()
        await station.employer.open()
        seen = await station.until(lambda s: "HTTP 401" in (s["cloud"]["last_error"] or ""), within=10)
        assert "station.id" in seen["cloud"]["last_error"]
        assert seen["cloud"]["state"] in {"offline", "connecting"}
        well = await station.until(lambda s: s["cloud"]["state"] == "connected", within=30)
        assert well["cloud"]["last_error"] is None


#: what answers there -> words of ``cloud.last_error``
STRANGERS = {
    "http": "HTTP 200",
    "garbage": "no WebSocket server",
    "closes": "no WebSocket server",
    "no subprotocol": "none of the offered protocols",
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_what_listens_but_is_no_central_system_is_named(tmp_path: Path, kind: str) -> None:
    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if kind == "http":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        if kind == "garbage":
            writer.write(bytes(range(256)) * 8)
        writer.close()

    async def ignore(connection: ServerConnection) -> None:
        await connection.wait_closed()

    server: Server | asyncio.Server
    if kind == "no subprotocol":
        server = await serve(ignore, "127.0.0.1", 0)
    else:
        server = await asyncio.start_server(peer, "127.0.0.1", 0)
    station = Station(tmp_path, Employer(port=next(iter(server.sockets)).getsockname()[1]))
    station.configure()
    station.start()
    try:
        seen = await station.until(lambda s: s["cloud"]["last_error"])
        assert STRANGERS[kind] in seen["cloud"]["last_error"]
        assert seen["cloud"]["state"] in {"offline", "connecting"}
    finally:
        station.kill()
        server.close()
        await server.wait_closed()


async def test_a_central_system_that_falls_silent_is_noticed_and_comes_back(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await quick(station)
        station.employer.mute = True
        station.wall.car.plugged = True
        await station.until(lambda s: s["cloud"]["last_error"])
        station.employer.mute = False
        await station.until(lambda s: s["cloud"]["state"] == "connected" and not s["cloud"]["last_error"], within=30)
        await charge(station)


async def test_a_half_open_link_is_found_by_ping(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        await change(station, "WebSocketPingInterval", 1)
        station.employer.connections[-1].transport.pause_reading()
        seen = await station.until(lambda s: s["cloud"]["state"] != "connected")
        assert "ping" in seen["cloud"]["last_error"]
        await station.until(lambda s: s["cloud"]["state"] == "connected")


FRAMES = [
    "",
    "not json",
    "{}",
    "[]",
    "[2]",
    '[2,"1"]',
    '[2,"x","Reset"]',
    '[9,"1","a",{}]',
    "null",
    '[2,null,"Reset",{}]',
    '[2,1,"Reset",{}]',
    '[2,"a1",7,{}]',
    '[2,"a2","Reset",[]]',
    '[2,"a3","Reset",null]',
    "[3]",
    '[3,"nobody",{}]',
    '[3,"nobody"]',
    '[4,"nobody","X"]',
    '[4,"nobody","X","y",{}]',
    '[3,"nobody",null]',
    "\U0001f600",
    '[2,"' + "i" * 100 + '","Heartbeat",{}]',
    "[" * 5000,
    '[2,"big","DataTransfer",{"vendorId":"x","data":"' + "z" * 3_000_000 + '"}]',
    '[2,"nan","ChangeConfiguration",{"key":"HeartbeatInterval","value":NaN}]',
    '[2,"inf","RemoteStopTransaction",{"transactionId":1e999}]',
    '[2,"fl","RemoteStopTransaction",{"transactionId":1.5}]',
    '[2,"bigint","RemoteStopTransaction",{"transactionId":' + "9" * 5000 + "}]",
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


WRONG: list[tuple[str, Payload, str]] = [
    ("Foo", {}, "NotImplemented"),
    ("Authorize", {"idTag": "A"}, "NotSupported"),
    ("ChangeConfiguration", {"key": "HeartbeatInterval"}, "ProtocolError"),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": 5}, "TypeConstraintViolation"),
    ("ChangeConfiguration", {"key": "H" * 51, "value": "5"}, "PropertyConstraintViolation"),
    ("RemoteStartTransaction", {"connectorId": 1}, "ProtocolError"),
    ("RemoteStartTransaction", {"idTag": "A" * 21}, "PropertyConstraintViolation"),
    ("RemoteStartTransaction", {"idTag": 5}, "TypeConstraintViolation"),
    ("Reset", {"type": "Warm"}, "PropertyConstraintViolation"),
    ("ChangeAvailability", {"connectorId": 1, "type": "On"}, "PropertyConstraintViolation"),
    ("UnlockConnector", {}, "ProtocolError"),
    ("DataTransfer", {}, "ProtocolError"),
    ("GetConfiguration", {"key": "x"}, "TypeConstraintViolation"),
    ("SetChargingProfile", {}, "ProtocolError"),
    ("ReserveNow", {}, "ProtocolError"),
    ("TriggerMessage", {"requestedMessage": "Authorize"}, "PropertyConstraintViolation"),
]

RIGHT: list[tuple[str, Payload, str]] = [
    ("UnlockConnector", {"connectorId": 1}, "NotSupported"),
    ("UnlockConnector", {"connectorId": 9}, "NotSupported"),
    ("DataTransfer", {"vendorId": "x"}, "UnknownVendorId"),
    ("DataTransfer", {"vendorId": "org.wallbox-agent", "messageId": "Foo"}, "UnknownMessageId"),
    ("ClearCache", {}, "Accepted"),
    ("RemoteStartTransaction", {"idTag": "A", "connectorId": 0}, "Rejected"),
    ("RemoteStartTransaction", {"idTag": "A", "connectorId": 9}, "Rejected"),
    ("RemoteStopTransaction", {"transactionId": 77}, "Rejected"),
    ("ChangeAvailability", {"connectorId": 9, "type": "Inoperative"}, "Rejected"),
    ("CancelReservation", {"reservationId": 9}, "Rejected"),
    ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 9}, "Rejected"),
]


@pytest.mark.requirement(66)
async def test_each_call_is_answered_as_the_specification_says_and_wrong_ones_change_nothing(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        for action, payload, code in WRONG:
            assert await station.employer.call(action, payload) == {"error": code}, (action, payload)
        for action, payload, status in RIGHT:
            assert (await station.employer.call(action, payload))["status"] == status, (action, payload)
        actions = {r.action for r in station.employer.got}
        assert actions == {"BootNotification", "StatusNotification"}
        answers = await asyncio.gather(
            *(station.employer.call("GetConfiguration", {"key": ["HEARTBEATINTERVAL", f"no-{n}"]}) for n in range(50))
        )
        assert [a["unknownKey"] for a in answers] == [[f"no-{n}"] for n in range(50)]


#: key -> values that are taken, values that are not
KEYS: dict[str, tuple[list[str], list[str]]] = {
    **dict.fromkeys(
        ["AllowOfflineTxForUnknownId", "LocalPreAuthorize", "StopTransactionOnInvalidId", "AuthorizationCacheEnabled"],
        (["TRUE", "false"], ["", "0", "yes"]),
    ),
    **dict.fromkeys(
        ["ConnectionTimeOut", "MeterValueSampleInterval", "WebSocketPingInterval", "TransactionMessageRetryInterval"],
        (["0", "60"], ["", "-1", "1.5", "abc", "99999999999"]),
    ),
    "HeartbeatInterval": (["1", "300"], ["0", "-1", "x"]),
    "MeterValuesSampledData": (["Voltage", "Energy.Active.Import.Register,Voltage"], ["Voltage,Foo", "x" * 500]),
    "NumberOfConnectors": ([], ["1", "2"]),
    "SupportedFeatureProfiles": ([], ["Core"]),
}


async def test_each_core_key_takes_what_is_right_and_nothing_else(tmp_path: Path) -> None:
    async with a_station(tmp_path) as station:
        await station.ready()
        for key, (good, bad) in KEYS.items():
            for value in bad:
                assert (await change(station, key, value))["status"] == "Rejected", (key, value)
            for value in good:
                assert (await change(station, key, value))["status"] == "Accepted", (key, value)
        assert (await change(station, "NoSuchKey", "1"))["status"] == "NotSupported"
        station.kill()
        station.start()
        await station.until(lambda s: s["cloud"]["registration"] == "Accepted")
        answer = await station.employer.call("GetConfiguration", {"key": ["WebSocketPingInterval"]})
        assert answer["configurationKey"][0]["value"] == "60"
