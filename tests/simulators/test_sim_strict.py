"""What a strict central system checks: meter values, transactionData, the local list, statuses, unlocking."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.console import Commands
from simulators.csms import Csms, Token
from simulators.csms.commands import Commander
from tests.simulators.station import RawStation, booted, now

Json = dict[str, Any]
MIDNIGHT = "2026-03-01T00:00:00Z"


def texts(csms: Csms) -> list[str]:
    return [violation.text for violation in csms.violations]


def sampled(value: str = "1500", context: str = "Sample.Periodic", **more: str) -> Json:
    return {"value": value, "context": context} | more


def value(at: str, *values: Json) -> Json:
    return {"timestamp": at, "sampledValue": list(values)}


async def tell(cp: RawStation, *values: Json, connector: int = 1, transaction: int | None = None) -> None:
    number = {} if transaction is None else {"transactionId": transaction}
    await cp.ask("MeterValues", {"connectorId": connector, "meterValue": list(values)} | number)


async def change(csms: Csms, cp: RawStation, key: str, to: str) -> None:
    call = asyncio.create_task(csms.call("CP1", "ChangeConfiguration", {"key": key, "value": to}))
    await cp.answer({"status": "Accepted"})
    await call


# -- meter values


async def test_aligned_values_of_an_idle_connector_are_fine() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await change(csms, cp, "ClockAlignedDataInterval", "900")
        values = sampled(context="Sample.Clock"), sampled("230.1", "Sample.Clock", measurand="Voltage", phase="L1")
        await tell(cp, value("2026-03-01T12:15:00.000Z", *values))
        await tell(cp, value("2026-03-01T12:30:00Z", sampled(context="Sample.Clock", location="Inlet")), connector=0)
        await tell(cp, value("2026-03-01T12:31:07Z", sampled(context="Trigger")))
        assert texts(csms) == []


async def test_aligned_values_off_the_grid_are_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await tell(cp, value("2026-03-01T12:15:00.400Z", sampled(context="Sample.Clock")))  # the interval is not known
        assert texts(csms) == []
        await change(csms, cp, "ClockAlignedDataInterval", "900")
        await tell(cp, value("2026-03-01T12:15:00.400Z", sampled(context="Sample.Clock")))
        await tell(cp, value("2026-03-01T12:20:00Z", sampled(context="Sample.Clock")))
        assert texts(csms) == [
            "Sample.Clock of 2026-03-01T12:15:00.400Z is not aligned to 900 s",
            "Sample.Clock of 2026-03-01T12:20:00Z is not aligned to 900 s",
        ]


async def test_values_sampled_on_the_grid_before_its_change_are_fine() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await change(csms, cp, "ClockAlignedDataInterval", "60")
        await change(csms, cp, "ClockAlignedDataInterval", "3600")
        await tell(cp, value("2026-03-01T12:07:00Z", sampled(context="Sample.Clock")))
        await change(csms, cp, "ClockAlignedDataInterval", "0")
        await tell(cp, value("2026-03-01T12:08:00Z", sampled(context="Sample.Clock")))
        assert texts(csms) == []


async def test_a_grid_of_local_midnight_is_a_grid() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await change(csms, cp, "ClockAlignedDataInterval", "86400")
        await tell(cp, value("2026-02-28T23:00:00Z", sampled(context="Sample.Clock")))
        await tell(cp, value("2026-02-28T23:07:00Z", sampled(context="Sample.Clock")))
        assert texts(csms) == ["Sample.Clock of 2026-02-28T23:07:00Z is not aligned to 86400 s"]


async def test_aligned_values_that_nobody_wants_are_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await change(csms, cp, "ClockAlignedDataInterval", "0")
        await tell(cp, value(MIDNIGHT, sampled(context="Sample.Clock")))
        assert texts(csms) == [f"Sample.Clock of {MIDNIGHT}, ClockAlignedDataInterval is 0"]


async def test_periodic_values_need_a_transaction_and_a_running_one_is_named() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await tell(cp, value(now(), sampled()))
        await cp.start(timestamp="2026-03-01T12:00:00Z")
        await tell(cp, value("2026-03-01T11:59:59Z", sampled(context="Sample.Clock")))  # before it: was queued
        await tell(cp, value("2026-03-01T12:15:00Z", sampled(context="Sample.Clock")))
        await tell(cp, value("2026-03-01T12:15:00Z", sampled(context="Sample.Clock")), connector=2)
        await cp.stop(1, timestamp="2026-03-01T12:20:00Z")
        await tell(cp, value("2026-03-01T12:30:00Z", sampled(context="Sample.Clock")))
        assert texts(csms) == [
            "MeterValues of connector 1 without a transaction have Sample.Periodic",
            "MeterValues without the transaction 1 that runs at 2026-03-01T12:15:00Z",
        ]


async def test_values_of_another_connector_and_of_the_whole_station_are_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.start()
        await tell(cp, value(now(), sampled()), connector=2, transaction=1)
        await tell(cp, value(now(), sampled()), connector=0, transaction=1)
        await cp.stop(1)
        assert texts(csms) == [
            "MeterValues of transaction 1 name connector 2, it is 1",
            "MeterValues of connector 0 with a transaction",
            "MeterValues of connector 0 that are not of the inlet",
            "MeterValues of transaction 1 name connector 0, it is 1",
        ]


async def test_sampled_values_are_checked_one_by_one() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.start()
        wrong = (
            sampled("NaN", measurand="Voltage", phase="L1"),
            sampled("1", measurand="Voltage", phase="L2", unit="A"),
            sampled("50", measurand="Frequency", unit="V"),
            sampled("16", measurand="Current.Import", phase="L1"),
            sampled("16", measurand="Current.Import", phase="L1"),
            sampled("1.2", measurand="Power.Active.Import", unit="kW"),
            sampled("0.9", measurand="Power.Factor"),
        )
        await tell(cp, value(now(), *wrong), transaction=1)
        await cp.stop(1)
        assert texts(csms) == [
            "two values of Current.Import L1 Outlet Sample.Periodic in one meterValue",
            "Voltage has the value 'NaN'",
            "Voltage has the unit A",
            "Frequency has the unit V",
        ]


# -- transactionData


def data(begin: str = "1000.9", end: str = "3000.2") -> list[Json]:
    return [
        value("2026-03-01T12:00:00Z", sampled(begin, "Transaction.Begin")),
        value("2026-03-01T12:10:00Z", sampled("2000")),
        value("2026-03-01T12:15:00Z", sampled("2500", "Sample.Clock")),
        value("2026-03-01T12:20:00Z", sampled(end, "Transaction.End")),
    ]


async def stopped(csms: Csms, cp: RawStation, values: list[Json] | None) -> list[str]:
    await cp.start(timestamp="2026-03-01T12:00:00Z")
    extra: dict[str, Any] = {} if values is None else {"transactionData": values}
    await cp.stop(1, timestamp="2026-03-01T12:20:00Z", **extra)
    return texts(csms)


async def test_transaction_data_of_a_whole_session_is_fine() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await change(csms, cp, "StopTxnSampledData", "Energy.Active.Import.Register")
        assert await stopped(csms, cp, data()) == []
        assert [int(reading.wh) for reading in csms.state.sessions[0].readings] == [1000, 2000, 2500, 3000]


@pytest.mark.parametrize(
    ("values", "violations"),
    [
        (data(begin="1001"), ["Transaction.Begin 1001 Wh in transactionData, meterStart is 1000"]),
        (data(end="2999.9"), ["Transaction.End 2999.9 Wh in transactionData, meterStop is 3000"]),
        (
            data()[1:],
            ["transactionData of transaction 1 lacks Transaction.Begin of Energy.Active.Import.Register"],
        ),
        (
            [
                *data(),
                value("2026-03-01T12:20:00Z", sampled("230", "Transaction.End", measurand="Voltage", phase="L1")),
            ],
            ["transactionData of transaction 1 lacks Transaction.Begin of Voltage L1"],
        ),
        (
            [*data(), value("2026-03-01T12:30:00Z", sampled("2999", "Trigger"))],
            [
                "transactionData of 2026-03-01T12:30:00Z is outside of transaction 1",
                "transactionData with the context Trigger",
                "meter value 2999 Wh after 3000 Wh: it ran back",
            ],
        ),
    ],
)
async def test_transaction_data_that_makes_no_sense_is_noted(values: list[Json], violations: list[str]) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        assert await stopped(csms, cp, values) == violations


async def test_transaction_data_comes_if_and_only_if_it_is_configured() -> None:
    early = datetime(2026, 1, 1, tzinfo=UTC)
    for keys, values, violation in (
        ({"StopTxnSampledData": "", "StopTxnAlignedData": ""}, data(), "of transaction 1, none is configured"),
        ({"StopTxnSampledData": "Voltage"}, None, "no transactionData of transaction 1, Voltage is configured"),
        ({"StopTransactionMaxMeterValues": "3"}, data(), "of 4 values, StopTransactionMaxMeterValues is 3"),
    ):
        async with Csms.start() as csms, booted(csms.url) as cp:
            known = csms.state.station("CP1")
            for key, text in keys.items():
                known.learn(key, text)
                known.keys_since[key] = early
            (text,) = await stopped(csms, cp, values)
            assert violation in text


async def test_a_key_that_changed_while_it_ran_binds_nobody() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.start()
        await asyncio.sleep(0.002)
        await change(csms, cp, "StopTxnSampledData", "Voltage")
        await cp.stop(1)
        assert texts(csms) == []


# -- statuses


async def status(cp: RawStation, connector: int, *names: str, error: str = "NoError") -> None:
    for name in names:
        payload = {"connectorId": connector, "status": name, "errorCode": error, "timestamp": now()}
        assert await cp.ask("StatusNotification", payload) == {}


async def test_the_statuses_of_a_day_are_fine() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await status(cp, 0, "Available", "Unavailable", "Available")
        day = ("Preparing", "Charging", "SuspendedEV", "Charging", "SuspendedEVSE", "Finishing", "Available")
        await status(cp, 1, "Available", *day, *day, "Unavailable", "Available")
        await status(cp, 1, "Faulted", error="GroundFailure")
        await status(cp, 1, "Finishing", "Preparing", "Charging")
        assert texts(csms) == []


async def test_the_whole_station_cannot_charge() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await status(cp, 0, "Charging")
        await status(cp, 0, "Faulted")
        assert texts(csms) == [
            "connector 0 is Charging, it can only be Available, Faulted, Unavailable",
            "connector 0 is Faulted without an error code",
        ]


@pytest.mark.parametrize(
    ("before", "after"),
    [("Available", "Finishing"), ("Charging", "Preparing"), ("Finishing", "Charging"), ("Reserved", "Charging")],
)
async def test_a_status_that_cannot_follow_is_noted_unless_states_are_left_out(before: str, after: str) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await status(cp, 1, before)
        async with booted(csms.url) as again:  # a new connection: what was in between was never told
            await status(again, 1, after)
            assert texts(csms) == []
            await status(again, 1, before, after)
            assert texts(csms)[-1] == f"connector 1 is {after} right after {before}"
            count = len(texts(csms))
            await change(csms, again, "MinimumStatusDuration", "5")
            await status(again, 1, before, after)
            assert len(texts(csms)) == count


# -- unlocking


async def unlock(csms: Csms, cp: RawStation, answer: str, connector: int = 1) -> None:
    call = asyncio.create_task(csms.call("CP1", "UnlockConnector", {"connectorId": connector}))
    await cp.answer({"status": answer})
    await call


@pytest.mark.parametrize(
    ("answer", "reason", "violation"),
    [
        ("NotSupported", "Local", None),
        ("NotSupported", "UnlockCommand", "transaction 1 stops by UnlockCommand, which was answered NotSupported"),
        ("Unlocked", "UnlockCommand", None),
        ("Unlocked", "Local", "transaction 1 was unlocked and stops for the reason Local"),
        ("UnlockFailed", "UnlockCommand", None),
    ],
)
async def test_an_unlock_binds_the_reason_of_the_stop(answer: str, reason: str, violation: str | None) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.start()
        await unlock(csms, cp, answer)
        await cp.stop(1, reason=reason)
        assert texts(csms) == ([] if violation is None else [violation])


async def test_an_unlock_without_a_command_is_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        await cp.start()
        await unlock(csms, cp, "Unlocked", connector=2)
        await cp.stop(1, reason="UnlockCommand")
        assert texts(csms) == ["transaction 1 stops by UnlockCommand, which was answered None"]


# -- the local list

ENTRY = {"idTag": "AA", "idTagInfo": {"status": "Accepted"}}


class Lists:
    """Sends lists and versions to a station that answers as it is told."""

    def __init__(self, csms: Csms, cp: RawStation) -> None:
        self._csms = csms
        self._cp = cp

    async def send(self, kind: str, version: int, *entries: Json, answer: str = "Accepted") -> None:
        payload = {"listVersion": version, "updateType": kind, "localAuthorizationList": list(entries)}
        await self._ask("SendLocalList", payload, {"status": answer})

    async def version(self, told: int) -> None:
        await self._ask("GetLocalListVersion", {}, {"listVersion": told})

    async def _ask(self, action: str, payload: Json, answer: Json) -> None:
        call = asyncio.create_task(self._csms.call("CP1", action, payload))
        await self._cp.answer(answer)
        await call


async def test_a_list_is_followed_through_its_versions() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        lists = Lists(csms, cp)
        await lists.version(17)  # whatever was there before
        await lists.send("Full", 3, ENTRY, ENTRY | {"idTag": "BB"})
        await lists.version(3)
        await lists.send("Differential", 4, {"idTag": "bb"})
        assert list(csms.state.stations["CP1"].local_list) == ["AA"]
        await lists.send("Differential", 4, ENTRY, answer="VersionMismatch")
        await lists.version(4)
        await lists.send("Full", 2)
        await lists.version(0)  # an empty list has no version to tell
        await lists.send("Differential", 9, ENTRY, answer="NotSupported")
        await lists.send("Full", 9, ENTRY, answer="Failed")
        await lists.version(0)
        await lists.version(-1)
        assert texts(csms) == []


@pytest.mark.parametrize(
    ("kind", "version", "entries", "answer", "violation"),
    [
        ("Differential", 3, [ENTRY], "Accepted", "it has version 3, so VersionMismatch is right"),
        ("Differential", 2, [], "Accepted", "it has version 3, so VersionMismatch is right"),
        ("Full", 1, [ENTRY], "VersionMismatch", "by VersionMismatch, which only a differential one can have"),
        ("Full", 0, [ENTRY], "Accepted", "0 is no version of a list, so Failed is right"),
        ("Full", -1, [], "Accepted", "-1 is no version of a list, so Failed is right"),
        ("Full", 5, [ENTRY, ENTRY | {"idTag": "aa"}], "Accepted", "a card is in it twice, so Failed is right"),
        ("Full", 5, [{"idTag": "AA"}], "Accepted", "an entry has no idTagInfo, so Failed is right"),
    ],
)
async def test_a_wrong_answer_to_a_list_is_noted(
    kind: str, version: int, entries: list[Json], answer: str, *, violation: str
) -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        lists = Lists(csms, cp)
        await lists.send("Full", 3, ENTRY)
        await lists.send(kind, version, *entries, answer=answer)
        (text,) = texts(csms)
        assert text.startswith(f"answers SendLocalList {kind} with version {version} by {answer}")
        assert violation in text


async def test_a_wrong_version_and_too_long_a_list_are_noted() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        lists = Lists(csms, cp)
        call = asyncio.create_task(csms.call("CP1", "GetConfiguration"))
        keys = [
            {"key": "SendLocalListMaxLength", "readonly": True, "value": "2"},
            {"key": "LocalAuthListMaxLength", "readonly": True, "value": "3"},
            {"key": "AuthorizationKey", "readonly": False},
        ]
        await cp.answer({"configurationKey": keys})
        await call
        many = [ENTRY | {"idTag": f"C{number}"} for number in range(4)]
        await lists.send("Full", 1, *many[:3])
        await lists.send("Full", 2, *many[:2])
        await lists.send("Differential", 3, *many[2:])
        await lists.version(2)
        per_request, in_all, version = texts(csms)
        assert per_request.endswith("3 entries are more than SendLocalListMaxLength, so Failed is right")
        assert in_all.endswith("4 entries are more than LocalAuthListMaxLength, so Failed is right")
        assert version == "says that its local list has version 2, it was sent 3"


async def test_lists_are_typed() -> None:
    async with Csms.start(tokens=[Token("04A1B2C3"), Token("62E3086CED", parent="G")]) as csms, booted(csms.url) as cp:
        commands = Commands()
        Commander(csms).add_to(commands)

        async def sent(line: str, answer: Json) -> Any:  # noqa: ANN401 - JSON
            typed = asyncio.create_task(commands.obey(line))
            call = await cp.answer(answer)
            await typed
            return call[2:]

        accepted = {"status": "Accepted"}
        _, full = await sent("send-list full 7", accepted)
        assert (full["listVersion"], full["updateType"]) == (7, "Full")
        assert [entry["idTag"] for entry in full["localAuthorizationList"]] == ["04A1B2C3", "62E3086CED"]
        _, more = await sent("send-list CP1 differential 62E3086CED -04A1B2C3", accepted)
        assert more == {
            "listVersion": 8,
            "updateType": "Differential",
            "localAuthorizationList": [
                {"idTag": "62E3086CED", "idTagInfo": {"status": "Accepted", "parentIdTag": "G"}},
                {"idTag": "04A1B2C3"},
            ],
        }
        assert (await sent("list-version", {"listVersion": 8}))[0] == "GetLocalListVersion"
        assert list(csms.state.stations["CP1"].local_list) == ["62E3086CED"]
        assert texts(csms) == []


async def test_what_a_station_was_sent_is_remembered_over_a_restart(tmp_path: Any) -> None:  # noqa: ANN401 - of pytest
    file = tmp_path / "csms.json"
    async with Csms.start(state_file=file) as csms, booted(csms.url) as cp:
        await Lists(csms, cp).send("Full", 3, ENTRY)
        await change(csms, cp, "ClockAlignedDataInterval", "60")
    async with Csms.start(state_file=file) as csms, booted(csms.url) as cp:
        await Lists(csms, cp).version(2)
        known = csms.state.stations["CP1"]
        assert known.known_since("ClockAlignedDataInterval", datetime.now(UTC) + timedelta(seconds=1)) == "60"
        assert texts(csms) == ["says that its local list has version 2, it was sent 3"]
