"""Line commands for reservations, and for messages of the security whitepaper that are asked for out of turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from simulators.console import Commands
from simulators.csms import show
from simulators.csms.server import Csms
from simulators.csms.state import JsonObject, Session
from simulators.errors import Misuse

MINUTES: Final = 30.0
OPTIONS: Final = ("minutes", "parent", "id", "until")


@dataclass(slots=True)
class Booked:
    """A reservation as it was asked for; status: what became of it."""

    id: int
    station: str
    connector: int
    card: str
    until: str
    parent: str = ""
    status: str = "reserved"


@dataclass(slots=True)
class Reserver:
    """The commands over a central system; station: takes the station from the front of the words."""

    csms: Csms
    station: Callable[[list[str]], str]
    booked: dict[tuple[str, int], Booked] = field(default_factory=dict)

    def add_to(self, commands: Commands) -> None:
        """Add all commands."""
        usage = "[STATION] UID [CONNECTOR] [minutes=30] [parent=UID] [id=N] [until=TIME]"
        commands.add("reserve", usage, "keep a connector for a card; 0 is any of them", self._reserve)
        commands.add("cancel", "[STATION] [ID]", "cancel a reservation, the last one", self._cancel)
        commands.add("reservations", "", "reservations and what became of them", lambda _: self._list())
        commands.add("trigger-extended", "[STATION] MESSAGE [CONNECTOR]", "ask by ExtendedTriggerMessage", self._ask)

    async def _reserve(self, words: list[str]) -> str:
        station = self.station(words)
        options, plain = _options(words)
        if not plain:
            raise Misuse("which card? reserve UID [CONNECTOR]")
        now = datetime.now(UTC)
        until = options.get("until") or _stamp(now + timedelta(minutes=float(options.get("minutes", MINUTES))))
        number = int(options["id"]) if "id" in options else max((b.id for b in self.booked.values()), default=0) + 1
        connector = int(plain[1]) if plain[1:] else 1
        new = Booked(number, station, connector, plain[0], until, options.get("parent", ""))
        payload: JsonObject = {
            "connectorId": new.connector,
            "expiryDate": new.until,
            "idTag": new.card,
            "reservationId": new.id,
        }
        answer = await self.csms.call(
            station, "ReserveNow", payload | ({"parentIdTag": new.parent} if new.parent else {})
        )
        if answer.get("status") == "Accepted":
            self.booked[station, number] = new
        return f"reservation {number}: {show.as_json(answer)}"

    async def _cancel(self, words: list[str]) -> str:
        station = self.station(words)
        mine = [booked.id for booked in self.booked.values() if booked.station == station]
        if not words and not mine:
            raise Misuse(f"nothing is reserved at {station}")
        number = int(words[0]) if words else mine[-1]
        answer = await self.csms.call(station, "CancelReservation", {"reservationId": number})
        if answer.get("status") == "Accepted" and (station, number) in self.booked:
            self.booked[station, number].status = "cancelled"
        return f"reservation {number}: {show.as_json(answer)}"

    def _list(self) -> str:
        rows = [("id", "station", "connector", "card", "until", "status")]
        for booked in self.booked.values():
            status = _used(booked, self.csms.state.sessions) or _expired(booked) or booked.status
            card = f"{booked.card} ({booked.parent})" if booked.parent else booked.card
            rows.append((str(booked.id), booked.station, str(booked.connector), card, booked.until, status))
        return show.table(rows)

    def _ask(self, words: list[str]) -> Awaitable[str]:
        station = self.station(words)
        payload: JsonObject = {"requestedMessage": words[0]} | ({"connectorId": int(words[1])} if words[1:] else {})
        return self._call(station, "ExtendedTriggerMessage", payload)

    async def _call(self, station: str, action: str, payload: JsonObject) -> str:
        return show.as_json(await self.csms.call(station, action, payload))


def _options(words: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Part ``name=value`` from the other words. Raises Misuse for a name that is none."""
    named = [word.partition("=") for word in words]
    options = {name: value for name, equals, value in named if equals}
    unknown = options.keys() - set(OPTIONS)
    if unknown:
        raise Misuse(f"{', '.join(sorted(unknown))}: write {', '.join(f'{name}=' for name in OPTIONS)}")
    return options, [name for name, equals, _ in named if not equals]


def _used(booked: Booked, sessions: Iterable[Session]) -> str:
    numbers = [s.transaction_id for s in sessions if s.station == booked.station and s.reservation_id == booked.id]
    return f"used by transaction {numbers[-1]}" if numbers else ""


def _expired(booked: Booked) -> str:
    try:
        over = datetime.fromisoformat(booked.until) <= datetime.now(UTC)
    except (ValueError, TypeError):
        return ""
    return "expired" if over and booked.status == "reserved" else ""


def _stamp(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
