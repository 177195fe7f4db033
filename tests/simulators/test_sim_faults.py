"""What the central system can be told to do wrong, deed by deed, and the commands for it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from simulators.console import Commands
from simulators.csms import Csms, Deed
from simulators.csms.breaking import CUTS, described
from simulators.csms.commands import Commander
from simulators.csms.faults import ALWAYS, ANY, PURPOSES
from simulators.errors import Misuse
from tests.simulators.station import RawStation, booted, now, station

START = {"connectorId": 1, "idTag": "A", "meterStart": 1}


def texts(csms: Csms) -> list[str]:
    return [str(violation) for violation in csms.violations]


async def nothing(cp: RawStation) -> bool:
    """Return whether nothing comes for a moment."""
    try:
        await asyncio.wait_for(cp.socket.recv(), 0.1)
    except TimeoutError:
        return True
    return False


def test_every_deed_and_every_cut_is_explained() -> None:
    assert set(PURPOSES) == set(Deed)
    assert all(f"  {name}" in described() for name in (*Deed, *CUTS))


async def test_extra_fields_are_added_to_each_object_of_an_answer() -> None:
    async with Csms.start(accept_unknown=True) as csms, booted(csms.url) as cp:
        csms.faults.on("Authorize", "extra-fields")
        answer = await cp.ask("Authorize", {"idTag": "AB"})
        assert answer["idTagInfo"]["status"] == "Accepted"
        assert "simulated" in answer
        assert "simulated" in answer["idTagInfo"]


async def test_null_is_answered_instead_of_an_object() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("Heartbeat", "null")
        assert await cp.call("Heartbeat", {}, "h") == [3, "h", None]


async def test_a_binary_frame_has_the_right_answer() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("Heartbeat", "binary")
        await cp.send([2, "h", "Heartbeat", {}])
        frame = await cp.socket.recv()
        assert isinstance(frame, bytes)
        assert json.loads(frame)[:2] == [3, "h"]


async def test_an_answer_under_another_id_leaves_the_call_unanswered() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("Heartbeat", "wrong-id")
        kind, id_, answer = await cp.call("Heartbeat", {}, "h")
        assert (kind, list(answer)) == (3, ["currentTime"])
        assert id_ != "h"
        await cp.ask("Heartbeat")
        assert texts(csms)[0].startswith("CP1: Heartbeat while another CALL is unanswered")


async def test_an_answer_comes_twice_byte_for_byte() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("StartTransaction", "duplicate")
        first = await cp.call("StartTransaction", START | {"timestamp": now()}, "s")
        assert await cp.receive() == first
        assert await nothing(cp)
        await cp.stop(1)
        assert texts(csms) == []


async def test_a_huge_answer_has_its_size() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on("Heartbeat", "huge", value=200_000)
        assert len((await cp.ask("Heartbeat"))["padding"]) == 200_000


async def test_a_late_answer_lets_others_go_first() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.conduct.message_timeout_s = 0  # the station need not wait
        csms.faults.on("StartTransaction", "late", value=0.2)
        await cp.send([2, "s", "StartTransaction", START | {"timestamp": now()}])
        assert (await cp.call("Heartbeat", {}, "h"))[1] == "h"
        kind, id_, answer = await cp.receive()
        assert (kind, id_, answer["transactionId"]) == (3, "s", 1)
        assert texts(csms) == []


async def test_a_late_answer_that_finds_no_station_is_dropped() -> None:
    async with Csms.start() as csms:
        async with booted(csms.url) as cp:
            csms.faults.on("Heartbeat", "late", value=0.05)
            await cp.send([2, "h", "Heartbeat", {}])
            await csms.wait_for("Heartbeat")
        async with booted(csms.url) as cp:
            await asyncio.sleep(0.1)
            assert (await cp.call("Heartbeat", {}, "i"))[1] == "i"


async def test_a_rule_can_mean_any_message_and_hold_for_good() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.on(ANY, "error", nth=2, times=ALWAYS, code="GenericError")
        assert "currentTime" in await cp.ask("Heartbeat")
        for action, payload in (("Heartbeat", {}), ("Authorize", {"idTag": "AB"}), ("Heartbeat", {})):
            assert (await cp.call(action, payload))[2] == "GenericError"
        assert csms.faults.active() == ["any: error, the next, for good"]
        await csms.restore()
        assert "currentTime" in await cp.ask("Heartbeat")


@pytest.mark.parametrize("number", [0, -7, 2**31 - 1, 2**53])
async def test_transaction_ids_can_be_anything(number: int) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.state.next_transaction = number
        assert (await cp.start())["transactionId"] == number
        await cp.stop(number)
        assert (await cp.start(meterStart=3000))["transactionId"] == number + 1
        await cp.stop(number + 1)
        csms.state.next_transaction = number
        assert (await cp.start(meterStart=3001))["transactionId"] == number + 2
        assert texts(csms) == []


async def test_a_call_that_comes_twice_has_to_be_answered_twice_alike() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        csms.faults.calls_twice = True
        call = asyncio.create_task(csms.call("CP1", "ClearCache"))
        first, second = await cp.receive(), await cp.receive()
        assert first == second
        await cp.send([3, first[1], {"status": "Accepted"}])
        await cp.send([3, first[1], {"status": "Accepted"}])
        assert await call == {"status": "Accepted"}
        await cp.ask("Heartbeat")
        assert texts(csms) == []


async def test_another_answer_to_the_call_that_came_again_is_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        call = asyncio.create_task(csms.call("CP1", "ClearCache"))
        asked = await cp.answer({"status": "Accepted"})
        await call
        await csms.resend("CP1")
        assert await cp.receive() == asked
        await cp.send([3, asked[1], {"status": "Rejected"}])
        await cp.send([3, asked[1], {"status": "Accepted"}])
        await cp.ask("Heartbeat")
        assert texts(csms) == [
            "CP1: answers ClearCache that was sent again with something else",
            f'CP1: sends an answer that nobody waits for: [3, "{asked[1]}", {{"status": "Accepted"}}]',
        ]


@pytest.mark.parametrize(
    ("error", "violation"),
    [
        (["Whatever", "", {}], "has the unknown code Whatever"),
        (["GenericError", "x" * 256, {}], "has a description of 256 characters"),
        (["GenericError", "", []], "has details that are no object"),
    ],
)
async def test_errors_of_stations_are_checked(error: list[Any], violation: str) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        call = asyncio.create_task(csms.call("CP1", "ClearCache"))
        asked = await cp.receive()
        await cp.send([4, asked[1], *error])
        with pytest.raises(Exception, match="CALLERROR"):
            await call
        assert texts(csms) == [f"CP1: its CALLERROR to ClearCache {violation}"]


# -- by command


def commands(csms: Csms) -> Commands:
    typed = Commands()
    Commander(csms).add_to(typed)
    return typed


async def test_faults_are_typed_and_listed() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        typed = commands(csms)
        for line in (
            "fault any error 3 always SecurityError",
            "fault StartTransaction late 1 2 12.5",
            "fault Heartbeat huge 1 1 5000",
            "delay 0.01",
            "twice",
            "clock -3600",
            "boot Pending 30",
        ):
            await typed.obey(line)
        assert [(r.action, r.deed, r.nth, r.times, r.value) for r in csms.faults.rules] == [
            ("any", "error", 3, ALWAYS, None),
            ("StartTransaction", "late", 1, 2, 12.5),
            ("Heartbeat", "huge", 1, 1, 5000),
        ]
        shown = (await typed.obey("faults")).splitlines()
        assert shown[: shown.index("cut HOW")] == [
            "wrong now:",
            "  answers come 0.01 s late",
            "  each CALL is sent twice",
            "  any: error, message 3 from now, for good",
            "  StartTransaction: late, the next, 2 times",
            "  Heartbeat: huge, the next, 1 times",
            "  the time is wrong by -3600 s",
            "  boots are Pending",
        ]
        assert len((await cp.ask("Heartbeat"))["padding"]) == 5000
        await typed.obey("restore")
        await typed.obey("boot Accepted")
        told = (await cp.boot())["currentTime"]
        assert told < now()[:14]  # an hour ago
        await typed.obey("clock 0")
        assert (await typed.obey("faults")).startswith("wrong now:\n  nothing\n")


async def test_a_wrong_subprotocol_is_typed() -> None:
    async with Csms.start() as csms:
        typed = commands(csms)
        await typed.obey("subprotocol ocpp2.0.1")
        offered = [Subprotocol("ocpp1.6"), Subprotocol("ocpp2.0.1")]
        async with station(csms.url, subprotocols=offered) as cp:
            assert cp.socket.subprotocol == "ocpp2.0.1"
        await typed.obey("subprotocol none")
        async with station(csms.url) as cp:
            assert cp.socket.subprotocol is None
        await typed.obey("subprotocol right")
        async with booted(csms.url):
            assert csms.faults.active() == []


async def test_connections_are_refused_by_tcp_and_by_any_http_status() -> None:
    async with Csms.start() as csms:
        typed = commands(csms)
        for status in (401, 403, 404, 503):
            await typed.obey(f"cut {status}")
            with pytest.raises(InvalidStatus, match=str(status)):
                await station(csms.url).__aenter__()
        await typed.obey("cut down")
        assert "nothing listens" in csms.faults.active()
        with pytest.raises(OSError, match="Connect"):
            await station(csms.url).__aenter__()
        await typed.obey("restore")
        async with booted(csms.url):
            assert csms.faults.active() == []
        with pytest.raises(Misuse, match="usage: cut"):
            await typed.obey("cut 999")


async def test_another_password_is_expected_from_now_on() -> None:
    async with Csms.start() as csms:
        typed = commands(csms)
        await typed.obey("password CP1 a new one")
        with pytest.raises(InvalidStatus, match="401"):
            await station(csms.url).__aenter__()
        assert csms.setup.passwords == {"CP1": "a new one"}
        await typed.obey("password CP1")
        async with booted(csms.url):
            assert csms.connected == ("CP1",)


async def test_a_call_is_sent_again_by_command() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        typed = commands(csms)
        with pytest.raises(Exception, match="no CALL was sent on this connection of CP1"):
            await typed.obey("resend")
        reset = asyncio.create_task(typed.obey("reset"))
        asked = await cp.answer({"status": "Accepted"})
        await reset
        await typed.obey("resend CP1")
        assert await cp.answer({"status": "Accepted"}) == asked
        await typed.obey("transaction-id -3")
        assert (await cp.start())["transactionId"] == -3
        assert texts(csms) == []


async def test_an_unknown_action_is_no_fault() -> None:
    async with Csms.start() as csms:
        for line, error in {
            "fault Boot error": "unknown action 'Boot'",
            "fault Heartbeat dance": "usage: fault",
            "fault Heartbeat late 1 1 soon": "value: 'soon' is no number",
            "delay long": "delay: 'long' is no number",
            "transaction-id one": "usage: transaction-id NUMBER",
        }.items():
            with pytest.raises(Misuse, match=error):
                await commands(csms).obey(line)
        assert csms.faults.rules == []


async def test_a_closed_connection_was_done_all_the_same() -> None:
    async with Csms.start() as csms:
        async with booted(csms.url) as cp:
            csms.faults.on("StartTransaction", "close")
            await cp.send([2, "s", "StartTransaction", START | {"timestamp": now()}])
            with pytest.raises(ConnectionClosed):
                await cp.socket.recv()
        assert len(csms.sessions()) == 1
