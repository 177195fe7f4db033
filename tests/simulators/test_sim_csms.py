"""The central system on the wire: what it answers, what it notices, what it can be told to do wrong."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, NegotiationError
from websockets.typing import Subprotocol

from simulators.csms import CallRefused, Csms, NotConnected, Token, TokenStatus
from simulators.csms.rates import flat
from simulators.csms.show import line, masked
from tests.simulators.station import BOOT, RawStation, booted, now, station

TOKEN = Token("04A1B2C3", "NL-1")


def texts(csms: Csms) -> list[str]:
    return [str(violation) for violation in csms.violations]


async def test_a_session_leaves_no_violation() -> None:
    async with Csms.start(tokens=[TOKEN]) as csms, booted(csms.url) as cp:
        for connector, status in ((0, "Available"), (1, "Preparing")):
            payload = {"connectorId": connector, "status": status, "errorCode": "NoError", "timestamp": now()}
            assert await cp.ask("StatusNotification", payload) == {}
        assert await cp.ask("Authorize", {"idTag": "04a1b2c3"}) == {"idTagInfo": {"status": "Accepted"}}
        started = await cp.start()
        assert started == {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}
        sampled = {"value": "1.5", "unit": "kWh", "context": "Sample.Periodic"}
        value = {"timestamp": now(), "sampledValue": [sampled, {"value": "16", "measurand": "Current.Import"}]}
        assert await cp.ask("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": [value]}) == {}
        assert await cp.stop(1, idTag="04A1B2C3") == {"idTagInfo": {"status": "Accepted"}}
        assert "currentTime" in await cp.ask("Heartbeat")
        assert await cp.ask("SecurityEventNotification", {"type": "StartupOfTheDevice", "timestamp": now()}) == {}
        (bill,) = csms.sessions("CP1")
        assert (bill.session.energy_wh, bill.session.stop_reason, bill.card) == (Decimal(2000), "Local", "NL-1")
        assert [reading.wh for reading in bill.session.readings] == [1500]
        assert csms.state.stations["CP1"].statuses == {"0": "Available", "1": "Preparing"}
        assert texts(csms) == []


async def test_messages_can_be_waited_for_also_when_they_came_before() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        assert (await csms.wait_for("BootNotification")).payload == BOOT
        assert (await csms.wait_for("connected", kind="event")).station == "CP1"
        later = asyncio.create_task(csms.wait_for("Heartbeat", nth=2))
        await cp.ask("Heartbeat")
        await cp.ask("Heartbeat")
        assert (await later).number > (await csms.wait_for("Heartbeat")).number
        with pytest.raises(TimeoutError, match=r"no StopTransaction \(number 1\) within 0.05 s; last seen: connected"):
            await csms.wait_for("StopTransaction", timeout=0.05)


async def test_pings_are_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await (await cp.socket.ping())
        assert (await csms.wait_for("", kind="ping")).station == "CP1"


async def test_calls_reach_the_station_and_bring_its_answer() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        call = asyncio.create_task(csms.call("CP1", "Reset", {"type": "Soft"}))
        assert (await cp.answer({"status": "Accepted"}))[2:] == ["Reset", {"type": "Soft"}]
        assert await call == {"status": "Accepted"}
        call = asyncio.create_task(csms.call("CP1", "GetConfiguration"))
        asked = await cp.receive()
        await cp.send([4, asked[1], "InternalError", "broken", {}])
        with pytest.raises(CallRefused, match="CALLERROR InternalError broken"):
            await call
        with pytest.raises(TimeoutError, match=r"CP1 did not answer ClearCache within 0.05 s"):
            await csms.call("CP1", "ClearCache", timeout=0.05)
        with pytest.raises(NotConnected, match="CP2 is not connected"):
            await csms.call("CP2", "ClearCache")
        assert texts(csms) == []


async def test_one_call_at_a_time_goes_to_a_station() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        calls = [asyncio.create_task(csms.call("CP1", "ClearCache")) for _ in range(2)]
        first = await cp.receive()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cp.socket.recv(), 0.05)
        await cp.send([3, first[1], {"status": "Accepted"}])
        await cp.answer({"status": "Rejected"})
        assert [(await call)["status"] for call in calls] == ["Accepted", "Rejected"]


async def test_a_connection_that_ends_fails_the_calls_on_it() -> None:
    async with Csms.start() as csms:
        async with booted(csms.url) as cp:
            call = asyncio.create_task(csms.call("CP1", "ClearCache"))
            await cp.receive()
        with pytest.raises(NotConnected, match="CP1 closed its connection"):
            await call


# -- cards


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (Token("04A1B2C3", parent="GROUP"), {"status": "Accepted", "parentIdTag": "GROUP"}),
        (Token("04A1B2C3", status=TokenStatus.BLOCKED), {"status": "Blocked"}),
        (Token("04A1B2C3", status=TokenStatus.DEACTIVATED), {"status": "Invalid"}),
        (Token("FFFFFFFF"), {"status": "Invalid"}),
    ],
)
async def test_cards_are_answered_by_their_state(token: Token, verdict: dict[str, str]) -> None:
    async with Csms.start(tokens=[token]) as csms, booted(csms.url) as cp:
        assert (await cp.ask("Authorize", {"idTag": "04A1B2C3"}))["idTagInfo"] == verdict
        assert (await cp.start())["idTagInfo"] == verdict


# -- what stations do wrong


async def test_a_message_before_the_boot_is_refused_and_noted() -> None:
    async with Csms.start() as csms, station(csms.url) as cp:
        assert (await cp.call("Heartbeat", {}))[:3:2] == [4, "SecurityError"]
        assert texts(csms) == ["CP1: Heartbeat while its registration is missing"]


async def test_a_pending_station_may_send_what_it_was_asked_for_and_boot_after_its_interval() -> None:
    async with Csms.start() as csms, station(csms.url) as cp:
        csms.policy.registration, csms.policy.interval_s = "Pending", 60
        assert (await cp.boot())["interval"] == 60
        call = asyncio.create_task(csms.call("CP1", "TriggerMessage", {"requestedMessage": "Heartbeat"}))
        await cp.answer({"status": "Accepted"})
        await cp.ask("Heartbeat")
        await call
        assert texts(csms) == []
        await cp.boot()
        await cp.call("Authorize", {"idTag": "AB"})
        assert texts(csms) == [
            "CP1: BootNotification before its interval has passed",
            "CP1: Authorize while its registration is Pending",
        ]


async def test_two_unanswered_calls_are_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.answer_delay_s = 0.05
        await cp.send([2, "a", "Heartbeat", {}])
        await cp.send([2, "b", "Heartbeat", {}])
        assert [(await cp.receive())[1] for _ in range(2)] == ["a", "b"]
        assert len(texts(csms)) == 1
        assert texts(csms)[0].startswith("CP1: Heartbeat while another CALL is unanswered for 0.0 s")


async def test_after_its_time_out_a_station_may_go_on() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        call = asyncio.create_task(csms.call("CP1", "ChangeConfiguration", {"key": "MessageTimeout", "value": "0"}))
        await cp.answer({"status": "Accepted"})
        await call
        csms.faults.on("Heartbeat", "ignore")
        await cp.send([2, "a", "Heartbeat", {}])
        await cp.ask("Heartbeat")
        assert texts(csms) == []


async def test_schemas_are_checked_both_ways() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        for payload, code in (
            ({}, "OccurenceConstraintViolation"),
            ({"idTag": 5}, "TypeConstraintViolation"),
            ({"idTag": "x" * 21}, "PropertyConstraintViolation"),
            ({"idTag": "x", "more": 1}, "FormationViolation"),
        ):
            assert (await cp.call("Authorize", payload))[2] == code
        assert (await cp.call("Foo", {}))[2] == "NotImplemented"
        assert (await cp.call("Reset", {"type": "Soft"}))[2] == "NotSupported"
        call = asyncio.create_task(csms.call("CP1", "ClearCache"))
        await cp.answer({"status": "Perhaps"})
        assert await call == {"status": "Perhaps"}
        assert len(texts(csms)) == 7
        assert texts(csms)[0] == "CP1: Authorize violates its schema: 'idTag' is a required property"
        assert texts(csms)[4:6] == ["CP1: unknown action Foo", "CP1: Reset is no message of a station"]
        assert texts(csms)[6].startswith("CP1: its answer to ClearCache violates the schema")


async def test_limits_of_one_decimal_are_checked_as_decimals() -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 21.4}]}
    async with Csms.start() as csms, booted(csms.url) as cp:
        call = asyncio.create_task(csms.call("CP1", "GetCompositeSchedule", {"connectorId": 1, "duration": 60}))
        await cp.answer({"status": "Accepted", "connectorId": 1, "chargingSchedule": schedule})
        await call
        assert texts(csms) == []


@pytest.mark.parametrize("text", ["hello", "{}", "[]", "[2]", '[2,"1","Reset"]', '[9,"1",{}]', '[2,5,"Heartbeat",{}]'])
async def test_garbage_is_noted_and_answered_by_nothing(text: str) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.send(text)
        await cp.socket.send(b"\x00\xff")
        await cp.ask("Heartbeat")
        assert texts(csms) == [
            f"CP1: sends what is no OCPP-J message: {text}",
            "CP1: sends what is no OCPP-J message: b'\\x00\\xff'",
        ]


async def test_an_answer_to_nothing_is_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.send([3, "nobody", {}])
        await cp.ask("Heartbeat")
        assert texts(csms) == ['CP1: sends an answer that nobody waits for: [3, "nobody", {}]']


async def test_a_resend_is_no_second_session_and_another_id_is_noted() -> None:
    at = now()
    async with Csms.start() as csms, booted(csms.url) as cp:
        assert (await cp.start("s", timestamp=at))["transactionId"] == 1
        assert (await cp.start("s", timestamp=at))["transactionId"] == 1
        await cp.stop(1, "e", timestamp=at)
        await cp.stop(1, "e", timestamp=at)
        assert (len(csms.sessions()), texts(csms)) == (1, [])
        assert (await cp.start("t", timestamp=at))["transactionId"] == 2
        await cp.stop(1, "f", timestamp=at)
        await cp.stop(1, "g", meterStop=4000, timestamp=at)
        await cp.start("s", meterStart=3)
        assert texts(csms) == [
            "CP1: StartTransaction of connector 1 doubled under another message id",
            "CP1: transaction 1 stopped twice, with the same content",
            "CP1: transaction 1 stopped twice, with another content",
            "CP1: message id s used again for another StartTransaction",
        ]


async def test_transactions_that_make_no_sense_are_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.stop(7)
        await cp.start(connectorId=0)
        await cp.start()
        await cp.start(meterStart=2000)
        await cp.stop(2, meterStop=900, timestamp="2024-05-01T00:00:00Z")
        value = {"timestamp": now(), "sampledValue": [{"value": "5000"}]}
        await cp.ask("MeterValues", {"connectorId": 1, "transactionId": 3, "meterValue": [value]})
        await cp.stop(3, meterStop=4000)
        await cp.ask("MeterValues", {"connectorId": 1, "transactionId": 3, "meterValue": [value]})
        await cp.start(meterStart=3999)
        assert texts(csms) == [
            "CP1: StopTransaction of unknown transaction 7",
            "CP1: StartTransaction on connector 0",
            "CP1: StartTransaction while a transaction of connector 1 runs",
            "CP1: meterStop 900 below meterStart 1000",
            "CP1: transaction 2 stopped before it started",
            "CP1: meterStop 4000 below a meter value 5000",
            "CP1: MeterValues of transaction 3 after its StopTransaction",
            "CP1: meterStart 3999 below the last meterStop 4000 of connector 1",
        ]
        assert [orphan["transactionId"] for orphan in csms.book.orphans] == [7]


async def test_a_register_that_runs_back_is_noted_and_rounding_is_not() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.start()
        for value in ("1000.9", "1000.2", "999.9"):
            values = [{"timestamp": now(), "sampledValue": [{"value": value}]}]
            await cp.ask("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": values})
        await cp.stop(1, meterStop=1000)
        assert texts(csms) == ["CP1: meter value 999.9 Wh after 1000 Wh: it ran back"]


async def test_the_transaction_of_a_start_that_was_refused_may_be_called_minus_one() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("StartTransaction", "error")
        await cp.call("StartTransaction", {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": now()})
        await cp.stop(-1)
        assert texts(csms) == []
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.stop(-1)
        assert texts(csms) == ["CP1: StopTransaction of unknown transaction -1"]


@pytest.mark.parametrize(
    ("timestamp", "violation"),
    [
        ("1970-01-01T00:00:12Z", "implausible timestamp 1970-01-01T00:00:12Z"),
        ("2026-01-01T00:00:12", "timestamp without time zone: 2026-01-01T00:00:12"),
        ("yesterday", "Invalid isoformat string: 'yesterday'"),
    ],
)
async def test_timestamps_are_checked(timestamp: str, violation: str) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        payload = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": timestamp}
        assert (await cp.call("StartTransaction", payload))[0] == (3 if "1970" in timestamp else 4)
        assert texts(csms) == [f"CP1: StartTransaction: {violation}"]


# -- faults


@pytest.mark.parametrize("status", [401, 404, 503])
async def test_connections_are_refused_by_http(status: int) -> None:
    async with Csms.start() as csms:
        csms.faults.refuse_http = status
        with pytest.raises(InvalidStatus, match=str(status)):
            await station(csms.url).__aenter__()
        assert csms.handshakes[-1].status == status
        csms.faults.clear()
        async with booted(csms.url):
            assert csms.connected == ("CP1",)


async def test_basic_authentication() -> None:
    async with Csms.start(passwords={"CP1": "secret"}) as csms:
        for password in (None, "wrong"):
            header = {} if password is None else {"Authorization": _basic("CP1", password)}
            with pytest.raises(InvalidStatus, match="401"):
                await station(csms.url, additional_headers=header).__aenter__()
        async with station(csms.url, additional_headers={"Authorization": _basic("CP1", "secret")}) as cp:
            await cp.boot()
        async with booted(csms.url, "CP2"):
            assert csms.handshakes[-1].authorization is None


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def test_station_ids_are_decoded() -> None:
    async with Csms.start() as csms, booted(csms.url, "NL%2AACM%20%31"):
        assert csms.connected == ("NL*ACM 1",)


async def test_without_a_common_subprotocol_the_connection_is_closed() -> None:
    async with Csms.start() as csms, station(csms.url, subprotocols=[Subprotocol("ocpp2.0.1")]) as cp:
        assert cp.socket.subprotocol is None
        with pytest.raises(ConnectionClosed):
            await cp.boot()


async def test_a_wrong_subprotocol_and_none_can_be_answered() -> None:
    async with Csms.start() as csms:
        csms.faults.subprotocol = ""
        async with station(csms.url) as cp:
            assert cp.socket.subprotocol is None
        csms.faults.subprotocol = "ocpp9"
        with pytest.raises(NegotiationError):
            await station(csms.url).__aenter__()


async def test_a_handshake_can_hang() -> None:
    async with Csms.start() as csms:
        csms.faults.hang = True
        connecting = asyncio.create_task(station(csms.url).__aenter__())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(connecting), 0.1)
        await csms.restore()
        with pytest.raises((InvalidStatus, InvalidMessage, ConnectionError)):
            await connecting


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_connections_are_cut(how: str) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await csms.cut(how)
        with pytest.raises(ConnectionClosed) as closed:
            await cp.socket.recv()
        assert (closed.value.rcvd.code if closed.value.rcvd else None) == (1001 if how == "close" else None)


async def test_down_is_down_and_comes_back_on_the_same_port_with_its_memory() -> None:
    async with Csms.start() as csms:
        async with booted(csms.url) as cp:
            await cp.start("s", timestamp="2026-01-01T00:00:00Z")
            await csms.cut("down")
            with pytest.raises(ConnectionClosed):
                await cp.socket.recv()
        url = csms.url
        with pytest.raises(OSError, match="Connect"):
            await station(url).__aenter__()
        await csms.restore()
        assert csms.url == url
        async with station(csms.url) as cp:
            assert (await cp.start("s", timestamp="2026-01-01T00:00:00Z"))["transactionId"] == 1
            assert texts(csms) == []


async def test_a_half_open_connection_answers_no_ping() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await csms.cut("half-open")
        pong = await cp.socket.ping()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pong), 0.1)
        async with station(csms.url, "CP2") as other:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(other.boot(), 0.1)
        await csms.restore()
        with pytest.raises(ConnectionClosed):
            await cp.socket.recv()


async def test_a_mute_system_answers_nothing() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.mute = True
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(cp.call("Heartbeat", {}), 0.1)
        await csms.restore()
        with pytest.raises(ConnectionClosed):
            await cp.socket.recv()


async def test_answers_can_be_slow() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.answer_delay_s = 0.1
        start = asyncio.get_running_loop().time()
        await cp.ask("Heartbeat")
        assert asyncio.get_running_loop().time() - start > 0.09


async def heartbeat(cp: RawStation) -> str:
    await cp.send([2, "h", "Heartbeat", {}])
    try:
        return str(await asyncio.wait_for(cp.socket.recv(), 0.1))
    except TimeoutError:
        return "nothing"
    except ConnectionClosed:
        return "closed"


@pytest.mark.parametrize(
    ("deed", "answer"),
    [
        ("error", '[4, "h", "GenericError", "simulated", {}]'),
        ("ignore", "nothing"),
        ("lose", "nothing"),
        ("close", "closed"),
        ("garbage", '[3,"h",{"sta'),
        ("wrong-types", '[3, "h", {"currentTime": 12345}]'),
        ("missing-fields", '[3, "h", {}]'),
    ],
)
async def test_the_nth_message_of_an_action_is_answered_wrongly(deed: str, answer: str) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("Heartbeat", deed, nth=2, code="GenericError")
        assert "currentTime" in await cp.ask("Heartbeat", None, "g")
        assert await heartbeat(cp) == answer
        if answer != "closed":
            await cp.ask("Heartbeat", None, "i")


async def test_a_lost_answer_was_done_and_an_error_was_not() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("StartTransaction", "lose")
        payload = {"connectorId": 1, "idTag": "A", "meterStart": 1, "timestamp": now()}
        await cp.send([2, "s", "StartTransaction", payload])
        await csms.wait_for("StartTransaction")
        csms.conduct.message_timeout_s = 0
        assert (await cp.ask("StartTransaction", payload, "s"))["transactionId"] == 1
        csms.faults.on("StopTransaction", "error", times=2)
        stop = {"transactionId": 1, "meterStop": 5, "timestamp": now()}
        for expected in (4, 4, 3):
            assert (await cp.call("StopTransaction", stop, "e"))[0] == expected
        assert (len(csms.sessions()), texts(csms)) == (1, [])


# -- memory and people


async def test_a_restarted_central_system_keeps_its_data(tmp_path: Path) -> None:
    file = tmp_path / "csms.json"
    at = now()
    async with Csms.start(tokens=[TOKEN], state_file=file) as csms, booted(csms.url) as cp:
        await cp.start("s", timestamp=at)
        csms.desk.set_status("04A1B2C3", TokenStatus.BLOCKED)
    async with Csms.start(tokens=[TOKEN], state_file=file) as csms, station(csms.url) as cp:
        answer = await cp.start("s", timestamp=at)
        assert answer == {"transactionId": 1, "idTagInfo": {"status": "Blocked"}}
        await cp.stop(1)
        assert (await cp.start(meterStart=3000))["transactionId"] == 2
        assert texts(csms) == []
        (first, _second) = csms.sessions()
        assert (first.session.energy_wh, first.session.started_at) == (Decimal(2000), datetime.fromisoformat(at))


async def test_a_station_that_comes_back_replaces_its_dead_connection() -> None:
    async with Csms.start() as csms, booted(csms.url) as old, booted(csms.url) as cp:
        with pytest.raises(ConnectionClosed):
            await old.socket.recv()
        assert csms.connected == ("CP1",)
        await cp.ask("Heartbeat")


async def test_people_read_the_gist_of_each_message_with_masked_cards() -> None:
    async with Csms.start(tokens=[TOKEN]) as csms, booted(csms.url) as cp:
        await cp.ask("StatusNotification", {"connectorId": 1, "status": "Faulted", "errorCode": "PowerMeterFailure"})
        await cp.start(timestamp="2026-01-01T00:00:00Z")
        values = [{"timestamp": "2026-01-01T00:01:00Z", "sampledValue": [{"value": "1.2", "unit": "kWh"}]}]
        await cp.ask("MeterValues", {"connectorId": 1, "transactionId": 1, "meterValue": values})
        await cp.call("Authorize", {"idTag": 5})
        lines = [line(message) for message in csms.log.messages if message.kind != "result"]
        assert not [text for text in lines if "04A1B2C3" in text]
        assert [text.partition(" CP1 ")[2] for text in lines] == [
            "-> connected",
            "-> BootNotification  Generic Wallbox",
            "-> StatusNotification  connector 1 Faulted (PowerMeterFailure)",
            "-> StartTransaction  card ...B2C3 at connector 1, 1000 Wh, 2026-01-01T00:00:00Z",
            "-> MeterValues  connector 1, transaction 1, 1200 Wh (Sample.Periodic)",
            "-> Authorize  idTag 5",
            "<- Authorize error  TypeConstraintViolation: 5 is not of type 'string'",
        ]
        assert line(csms.violations[0]).endswith("!! CP1: Authorize violates its schema: 5 is not of type 'string'")
        assert masked("AB") == "AB"


async def test_any_text_can_be_sent_to_a_station() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await csms.send_text("CP1", '[2,"1","Nonsense"')
        assert await cp.socket.recv() == '[2,"1","Nonsense"'


# -- anything

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
TIMES = st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat) | st.text(max_size=25)
SAMPLED = st.fixed_dictionaries(
    {"value": st.decimals().map(str) | st.text(max_size=9)},
    optional={"unit": st.sampled_from(["Wh", "kWh", "A"]), "phase": st.just("L1"), "location": st.just("Inlet")},
)
VALUES = st.lists(
    st.fixed_dictionaries({"timestamp": TIMES, "sampledValue": st.lists(SAMPLED, min_size=1, max_size=2)}),
    min_size=1,
    max_size=3,
)
NUMBERS = st.integers(-2, 3)
PLAUSIBLE = st.one_of(
    st.tuples(
        st.just("StartTransaction"),
        st.fixed_dictionaries(
            {"connectorId": NUMBERS, "idTag": st.text(max_size=20), "meterStart": st.integers(), "timestamp": TIMES}
        ),
    ),
    st.tuples(
        st.just("StopTransaction"),
        st.fixed_dictionaries(
            {"transactionId": NUMBERS, "meterStop": st.integers(), "timestamp": TIMES},
            optional={"transactionData": VALUES, "idTag": st.text(max_size=20)},
        ),
    ),
    st.tuples(
        st.just("MeterValues"),
        st.fixed_dictionaries({"connectorId": NUMBERS, "meterValue": VALUES}, optional={"transactionId": NUMBERS}),
    ),
    st.tuples(
        st.just("DataTransfer"),
        st.fixed_dictionaries(
            {"vendorId": st.just("org.wallbox-agent")},
            optional={
                "messageId": st.sampled_from(["LinkCompany", "UnlinkCompany", "x"]),
                "data": JSON.map(json.dumps) | st.text(),
            },
        ),
    ),
    st.tuples(st.sampled_from(["Authorize", "StatusNotification", "Heartbeat", "Reset", "Foo"]), JSON),
)


@settings(max_examples=25)
@given(st.lists(PLAUSIBLE, max_size=25))
async def test_whatever_a_booted_station_sends_is_answered(calls: list[tuple[str, object]]) -> None:
    async with Csms.start(tariff=flat("0.29", "21")) as csms, booted(csms.url) as cp:
        for number, (action, payload) in enumerate(calls):
            await cp.send([2, f"n{number}", action, payload])
            if isinstance(payload, dict):
                assert (await cp.receive())[1] == f"n{number}"
        assert "currentTime" in await cp.ask("Heartbeat")
        assert len(csms.sessions()) <= len(calls)
        assert [printed for printed in map(line, csms.log.messages) if not printed.isprintable()] == []


@settings(max_examples=25)
@given(st.lists(st.text(max_size=40) | JSON.map(json.dumps), max_size=10))
async def test_whatever_text_a_station_sends_the_connection_lives(garbage: list[str]) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        for text in [*garbage, "[" * 100_000]:
            await cp.send(text.encode("utf-8", "replace").decode())
        await cp.send([2, "last", "Heartbeat", {}])
        while (await cp.receive())[1] != "last":
            pass
