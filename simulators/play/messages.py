"""Messages in so few words that half a terminal has room for them; wide ones get the words of ``wallbox-sim csms``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from simulators.csms import show
from simulators.csms.log import Message
from simulators.csms.readings import registers
from simulators.csms.state import JsonObject

#: From so many cells on there is room for all the words.
ROOMY: Final = 60


def is_shown(message: Message) -> bool:
    """Whether a message says anything: pings and empty answers do not."""
    return message.kind != "ping" and not (message.kind == "result" and not message.payload)


def words(message: Message, room: int) -> str:
    """Return a message in words, without its time."""
    if room >= ROOMY:
        return show.plain_line(message)
    text = f"{show.arrow(message)} {show.printable(message.action or message.kind)}"
    if message.kind == "result":
        return f"{text}: {show.printable(_result(message.payload))}"
    return f"{text} {show.printable(_brief(message))}".rstrip()


def _brief(message: Message) -> str:
    brief = BRIEF.get(message.action)
    if message.kind != "call" or brief is None:
        return show.gist(message)
    try:
        return brief(message.payload)
    except (LookupError, TypeError, ValueError, AttributeError):  # a message that violates its schema
        return show.gist(message)


def _result(payload: object) -> str:
    if not isinstance(payload, dict):
        return "no object"
    told = payload.get("idTagInfo")
    status = told.get("status") if isinstance(told, dict) else payload.get("status")
    number = f"no. {payload['transactionId']}" if "transactionId" in payload else ""
    return " ".join(str(part) for part in (number, status) if part) or "answered"


def _values(payload: JsonObject) -> str:
    number = f"no. {payload['transactionId']}" if "transactionId" in payload else f"connector {payload['connectorId']}"
    last = [reading for value in payload["meterValue"] for reading in registers(value)][-1:]
    return " ".join([number, *(f"{int(reading.wh)} Wh" for reading in last)])


BRIEF: Final[Mapping[str, Callable[[JsonObject], str]]] = {
    "StatusNotification": lambda p: f"{p['connectorId']} {p['status']}",
    "StartTransaction": lambda p: show.masked(p["idTag"]),
    "StopTransaction": lambda p: f"no. {p['transactionId']} {p.get('reason', 'Local')}",
    "MeterValues": _values,
    "Authorize": lambda p: show.masked(p["idTag"]),
    "DataTransfer": lambda p: str(p.get("messageId", "")),
    "ChangeConfiguration": lambda p: f"{p['key']}={p['value']}",
    "RemoteStartTransaction": lambda p: show.masked(p["idTag"]),
    "RemoteStopTransaction": lambda p: f"no. {p['transactionId']}",
}
