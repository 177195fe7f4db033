"""The console of the simulated central system: reservations, and messages asked for by the whitepaper's request."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.console import Commands
from simulators.csms import Csms, Token
from simulators.csms.commands import Commander
from simulators.errors import Misuse
from tests.simulators.station import RawStation, booted, now


def commands_of(csms: Csms) -> Commands:
    commands = Commands()
    Commander(csms).add_to(commands)
    return commands


async def typed(commands: Commands, cp: RawStation, line: str, status: str = "Accepted") -> tuple[str, dict[str, Any]]:
    """Type a line that makes a call; return the action and the payload."""
    typing = asyncio.create_task(commands.obey(line))
    _, _, action, payload = await cp.answer({"status": status})
    assert status in await typing
    return action, payload


async def test_a_reservation_is_made_listed_and_cancelled() -> None:
    async with Csms.start(tokens=[Token("AB12", "NL-1")]) as csms, booted(csms.url) as cp:
        commands = commands_of(csms)
        action, payload = await typed(commands, cp, "reserve AB12")
        ends_in = datetime.fromisoformat(payload.pop("expiryDate")) - datetime.now(UTC)
        assert timedelta(minutes=29) < ends_in <= timedelta(minutes=30)
        assert (action, payload) == ("ReserveNow", {"connectorId": 1, "idTag": "AB12", "reservationId": 1})
        until = "2031-01-01T00:00:00Z"
        _, payload = await typed(commands, cp, f"reserve CP1 AB12 0 id=7 parent=FLEET until={until}")
        wanted = {"connectorId": 0, "expiryDate": until, "idTag": "AB12", "parentIdTag": "FLEET", "reservationId": 7}
        assert payload == wanted
        await typed(commands, cp, "reserve AB12 1 minutes=1", "Occupied")
        assert "8" not in [line.split()[0] for line in (await commands.obey("reservations")).splitlines()]
        assert await typed(commands, cp, "cancel") == ("CancelReservation", {"reservationId": 7})
        assert await typed(commands, cp, "cancel 1", "Rejected") == ("CancelReservation", {"reservationId": 1})
        listed = await commands.obey("reservations")
        assert [line.split()[-1] for line in listed.splitlines()[1:]] == ["reserved", "cancelled"]
        assert csms.violations == []


async def test_a_reservation_that_a_transaction_uses_says_so() -> None:
    async with Csms.start(tokens=[Token("AB12", "NL-1")]) as csms, booted(csms.url) as cp:
        commands = commands_of(csms)
        await typed(commands, cp, "reserve AB12 id=7")
        start = {"connectorId": 1, "idTag": "AB12", "meterStart": 0, "timestamp": now(), "reservationId": 7}
        await cp.call("StartTransaction", start)
        assert "used by transaction 1" in await commands.obey("reservations")
        assert csms.violations == []


async def test_messages_are_asked_for_by_the_whitepapers_request() -> None:
    async with Csms.start() as csms, booted(csms.url) as cp:
        asked = await typed(commands_of(csms), cp, "trigger-extended MeterValues 1", "Rejected")
        assert asked == ("ExtendedTriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1})


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("reserve", "which card"),
        ("reserve AB12 1 hours=1", "hours: write minutes="),
        ("cancel", "nothing is reserved at CP1"),
        ("trigger-extended", "usage: trigger-extended"),
    ],
)
async def test_what_cannot_be_meant_is_refused(line: str, error: str) -> None:
    async with Csms.start() as csms, booted(csms.url):
        with pytest.raises(Misuse, match=error):
            await commands_of(csms).obey(line)
