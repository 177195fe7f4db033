"""What the tests from outside share: the moves of a driver, and the words of a central system."""

from __future__ import annotations

import asyncio
from typing import Any

from employer import Payload, Received
from station import FLEET, Station, connector


async def plug_and_tap(station: Station, card: str = FLEET) -> None:
    """Plug the car in, and hold a card."""
    station.wall.car.plugged = True
    await station.until(lambda s: connector(s)["evse"]["connected"])
    await station.tap(card)


async def charge(station: Station, seconds: float = 0.5, card: str = FLEET) -> None:
    """Plug in, hold a card, and charge for a while."""
    await plug_and_tap(station, card)
    await station.until(lambda s: connector(s)["status"] == "Charging")
    await asyncio.sleep(seconds)


async def unplug(station: Station) -> None:
    """Pull the plug, and wait until the session is over."""
    station.wall.car.plugged = False
    await station.until(lambda s: connector(s)["status"] == "Available" and connector(s)["session"] is None)


async def change(station: Station, key: str, value: object) -> Payload:
    """Change a configuration key."""
    return await station.employer.call("ChangeConfiguration", {"key": key, "value": str(value)})


async def quick(station: Station, **more: object) -> None:
    """Make a central system that does not answer cost little time."""
    keys: dict[str, object] = {"TransactionMessageRetryInterval": 0, "MessageTimeout": 2, "MeterValueSampleInterval": 0}
    for key, value in (keys | more).items():
        assert await change(station, key, value) == {"status": "Accepted"}


def transactions(station: Station) -> list[Received]:
    """Return the starts and stops that came in, in order."""
    return [r for r in station.employer.got if r.action in {"StartTransaction", "StopTransaction"}]


async def the_session(station: Station) -> dict[str, Any]:
    """Return the only session of the ledger."""
    (session,) = await station.json("sessions", "list")
    return dict(session)


def shown(station: Station, number: int) -> list[tuple[str, str]]:
    """Return the statuses and error codes that were reported of a connector, in order."""
    told = [r.payload for r in station.employer.of("StatusNotification") if r.payload["connectorId"] == number]
    return [(p["status"], p["errorCode"]) for p in told]
