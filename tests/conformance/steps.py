"""Steps that several conformance cases have in common, and how their messages are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tests.conformance.csms import Csms, Payload, Received
from tests.conformance.rig import Rig

REGISTER = "Energy.Active.Import.Register"


async def learn(rig: Rig, card: str) -> None:
    """Let the station hear what the central system says of a card, and let it not charge; the mark is set anew."""
    rig.tap(card)
    authorize = await rig.csms.expect("Authorize", idTag=card)
    await rig.csms.until(lambda: authorize.answered_at, "an answer")
    await rig.settle()
    if rig.csms.of("StatusNotification", status="Preparing"):
        rig.tap(card)
        await rig.csms.status(1, "Available")
    rig.csms.mark()


async def finish(rig: Rig, card: str = "CARD1", connector: int = 1) -> Received:
    """End a transaction by its card, and drive away; returns StopTransaction."""
    rig.tap(card)
    stopped = await rig.csms.expect("StopTransaction")
    await rig.csms.status(connector, "Finishing")
    rig.unplug(connector)
    await rig.csms.status(connector, "Available")
    return stopped


async def offline(rig: Rig) -> None:
    """Cut the link, until the station knows it."""
    await rig.csms.down()
    await rig.until(lambda: not rig.now.loop.state.cloud.online, "the loss of the link")


async def online(rig: Rig) -> None:
    """Let the station connect again."""
    number = len(rig.csms.connections) + 1
    await rig.csms.up()
    await rig.csms.connection(number)


async def charge_unseen(rig: Rig, card: str) -> None:
    """Plug and hold a card, while nothing of it can be told."""
    rig.plug()
    await rig.settle()
    rig.tap(card)
    await rig.until(lambda: rig.evse().session is not None and rig.box().charging, "a car that charges")
    await rig.settle()


async def end_unseen(rig: Rig, card: str) -> None:
    """End it by its card and drive away, while nothing of it can be told."""
    rig.tap(card)
    await rig.until(lambda: rig.evse().session is None, "the end of the transaction")
    rig.unplug()
    await rig.settle()


async def is_refused(rig: Rig, card: str) -> None:
    """Plug and hold a card that must not charge."""
    rig.plug()
    await rig.settle()
    rig.tap(card)
    await rig.settle()
    assert rig.evse().session is None
    assert set(rig.box().limits) <= {0}


def entry(tag: str, status: str | None = "Accepted", **more: str) -> Payload:
    """Return an entry of a local list; status None: one without idTagInfo."""
    return {"idTag": tag} if status is None else {"idTag": tag, "idTagInfo": {"status": status, **more}}


async def send_list(csms: Csms, version: int, *entries: Payload, update: str = "Full") -> str:
    """Send a local list; returns the status of the answer."""
    answer = await csms.call(
        "SendLocalList", listVersion=version, updateType=update, localAuthorizationList=list(entries)
    )
    return str(answer["status"])


async def list_version(csms: Csms) -> int:
    """Ask for the version of the local list."""
    return int((await csms.call("GetLocalListVersion"))["listVersion"])


@dataclass(frozen=True, slots=True)
class Sample:
    """One sampledValue, with the time of its meterValue."""

    at: datetime
    value: str
    context: str
    measurand: str
    phase: str | None
    location: str | None
    unit: str | None


def samples(*meter_values: list[Payload]) -> list[Sample]:
    """Return all sampledValues of some ``meterValue`` or ``transactionData``, what is left out as its default."""
    return [sample for values in meter_values for value in values for sample in _sampled(value)]


def _sampled(value: Payload) -> Iterator[Sample]:
    for sampled in value["sampledValue"]:
        yield Sample(
            datetime.fromisoformat(value["timestamp"]),
            sampled["value"],
            sampled.get("context", "Sample.Periodic"),
            sampled.get("measurand", REGISTER),
            sampled.get("phase"),
            sampled.get("location"),
            sampled.get("unit"),
        )


def near(found: list[float], wanted: list[float]) -> bool:
    """Tell whether seconds are as wanted, or a little later: a station reads its meter when it comes to it."""
    return len(found) == len(wanted) and all(0 <= f - w < 2 for f, w in zip(found, wanted, strict=True))


def moment(call: Received) -> datetime:
    """Return the timestamp of a message."""
    return datetime.fromisoformat(call["timestamp"])
