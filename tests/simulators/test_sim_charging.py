"""Charging profiles from the central system's console: what is typed is sent, and what comes back is readable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.console import Commands
from simulators.csms.charging import moment
from simulators.csms.commands import Commander
from simulators.csms.server import Csms, Setup
from simulators.errors import Misuse, SimulatorError
from tests.simulators.station import RawStation, booted

Json = dict[str, Any]


class Console:
    """The console of a central system, and the only station that is connected to it."""

    def __init__(self, csms: Csms, raw: RawStation) -> None:
        self.commands = Commands()
        Commander(csms).add_to(self.commands)
        self.csms = csms
        self.raw = raw

    async def types(self, line: str, answer: Json | None = None) -> tuple[list[Any], str]:
        """Type a line; returns action and payload that the station got, and what was shown."""
        shown, call = await asyncio.gather(self.commands.obey(line), self.raw.answer(answer or {"status": "Accepted"}))
        return call[2:], shown


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    async with Csms(Setup(port=0)) as csms, booted(csms.url) as raw:
        yield Console(csms, raw)
        assert not csms.violations


async def test_a_limit_is_a_profile(console: Console) -> None:
    (action, payload), shown = await console.types("profile default 16.1A")
    assert action == "SetChargingProfile"
    assert payload == {
        "connectorId": 0,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1}],
            },
        },
    }
    assert "Accepted" in shown


async def test_every_option_has_its_place(console: Console) -> None:
    line = "profile CP1 default 11000W,600:4140w connector=1 id=7 level=2 weekly start=2026-11-18T13:00:00+01:00"
    line += " from=2026-11-18T00:00:00 to=2027-01-01T00:00:00Z duration=3600 phases=3 min=1380"
    (_, payload), _ = await console.types(line)
    assert payload["connectorId"] == 1
    assert payload["csChargingProfiles"] == {
        "chargingProfileId": 7,
        "stackLevel": 2,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Recurring",
        "recurrencyKind": "Weekly",
        "validFrom": "2026-11-18T00:00:00Z",
        "validTo": "2027-01-01T00:00:00Z",
        "chargingSchedule": {
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": 11000.0, "numberPhases": 3},
                {"startPeriod": 600, "limit": 4140.0, "numberPhases": 3},
            ],
            "duration": 3600,
            "startSchedule": "2026-11-18T12:00:00Z",
            "minChargingRate": 1380.0,
        },
    }


async def test_a_transactions_profile_is_relative_and_on_its_connector(console: Console) -> None:
    (_, payload), _ = await console.types("profile tx 8A transaction=42")
    profile = payload["csChargingProfiles"]
    assert (payload["connectorId"], profile["transactionId"]) == (1, 42)
    assert (profile["chargingProfilePurpose"], profile["chargingProfileKind"]) == ("TxProfile", "Relative")
    (_, payload), _ = await console.types("profile max 20A daily")
    profile = payload["csChargingProfiles"]
    assert (payload["connectorId"], profile["recurrencyKind"]) == (0, "Daily")
    assert profile["chargingSchedule"]["startSchedule"].endswith("T00:00:00Z")


async def test_a_remote_start_brings_a_profile(console: Console) -> None:
    (action, payload), _ = await console.types("limited-start 04A1B2C3 1 10A,60:6A id=3")
    assert action == "RemoteStartTransaction"
    assert (payload["idTag"], payload["connectorId"]) == ("04A1B2C3", 1)
    assert payload["chargingProfile"]["chargingProfilePurpose"] == "TxProfile"
    assert payload["chargingProfile"]["chargingProfileId"] == 3


@pytest.mark.parametrize(
    ("line", "payload"),
    [
        ("clear-profile", {}),
        ("clear-profile CP1 id=7", {"id": 7}),
        (
            "clear-profile connector=0 purpose=default level=2",
            {"connectorId": 0, "chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 2},
        ),
    ],
)
async def test_profiles_are_cleared_by_any_filter(console: Console, line: str, payload: Json) -> None:
    (action, sent), shown = await console.types(line, {"status": "Unknown"})
    assert (action, sent) == ("ClearChargingProfile", payload)
    assert "Unknown" in shown


async def test_a_composite_schedule_is_shown_by_the_clock(console: Console) -> None:
    parts = [{"startPeriod": 0, "limit": 16.1}, {"startPeriod": 60, "limit": 6.0, "numberPhases": 1}]
    schedule = {"duration": 120, "chargingRateUnit": "A", "chargingSchedulePeriod": parts}
    answer = {"status": "Accepted", "connectorId": 1, "scheduleStart": "2026-11-18T12:00:00Z"}
    call, shown = await console.types("composite 1 120 A", answer | {"chargingSchedule": schedule})
    assert call == ["GetCompositeSchedule", {"connectorId": 1, "duration": 120, "chargingRateUnit": "A"}]
    assert "2026-11-18 12:00:00  +0 s   16.1 A" in shown
    assert "2026-11-18 12:01:00  +60 s  6 A on 1 phases" in shown
    assert "until 2026-11-18 12:02:00" in shown


async def test_a_composite_schedule_is_asked_for_a_day_of_the_first_connector(console: Console) -> None:
    call, shown = await console.types("composite", {"status": "Rejected"})
    assert call == ["GetCompositeSchedule", {"connectorId": 1, "duration": 86_400}]
    assert "Rejected" in shown


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("profile", "too little"),
        ("profile default", "too little"),
        ("profile sometimes 8A", "max, default, tx"),
        ("profile default 8", "16A"),
        ("profile default 8X", "in A, or all in W"),
        ("profile default 8A,60:4000W", "in A, or all in W"),
        ("profile default A", "16A"),
        ("profile default x:8A", "16A"),
        ("profile default 8A colour=red", "no option"),
        ("profile default 8A id=", "KEY=VALUE"),
        ("profile default 8A yearly", "KEY=VALUE"),
        ("profile default 8A start=25:00", "no time"),
        ("profile default 8A id=x", "profile"),
        ("clear-profile colour=red", "cleared by"),
        ("composite one", "composite"),
        ("limited-start 04A1B2C3", "too little"),
    ],
)
async def test_what_is_typed_wrongly_is_told_and_not_sent(console: Console, line: str, words: str) -> None:
    with pytest.raises(SimulatorError) as told:
        await console.commands.obey(line)
    assert words in str(told.value)
    assert await console.types("list-version", {"listVersion": 0})


def test_times_are_written_short() -> None:
    now = datetime.now(UTC)
    assert abs(datetime.fromisoformat(moment("now")) - now) < timedelta(seconds=5)
    assert moment("22:05").endswith("T22:05:00Z")
    with pytest.raises(Misuse):
        moment("late")
