"""Line commands of somebody who plays the operator, the employer and the broken network of a central system."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from simulators.console import Commands
from simulators.csms import notation, show
from simulators.csms.billing import ended_in, month_of, pay, summary
from simulators.csms.breaking import Breaker
from simulators.csms.certificates import Authority
from simulators.csms.charging import Profiles
from simulators.csms.company import local_list, settings_of, verdict
from simulators.csms.local_lists import next_version
from simulators.csms.reserving import Reserver
from simulators.csms.security import SecurityDesk
from simulators.csms.server import Csms
from simulators.csms.state import JsonObject, Session, State, TokenStatus
from simulators.csms.upkeep import Upkeep
from simulators.errors import Misuse

LIST_VERSION: Final = "GetLocalListVersion"
SHORTEST_UID: Final = 8
STATUSES: Final = {"block": TokenStatus.BLOCKED, "unblock": TokenStatus.ACTIVE, "deactivate": TokenStatus.DEACTIVATED}


class Commander:
    """The commands over a central system. A station may be left out where only one is connected.

    files: folder for what stations send, a new one where it is None.
    """

    def __init__(self, csms: Csms, files: Path | None = None, authority: Authority | None = None) -> None:
        self._csms = csms
        self.upkeep = Upkeep(csms, self._station, files)
        self._security = SecurityDesk(csms, authority, self._station)

    def add_to(self, commands: Commands) -> None:
        """Add all commands."""
        self._add_stations(commands)
        self._add_employer(commands)
        Profiles(self._csms, self._station).add_to(commands)
        self._security.add_to(commands)
        Breaker(self._csms, self._station).add_to(commands)
        Reserver(self._csms, self._station).add_to(commands)
        self.upkeep.add_to(commands)

    def _add_stations(self, commands: Commands) -> None:
        add = commands.add
        add("remote-start", "[STATION] UID [CONNECTOR]", "start with a card, also a virtual one", self._remote_start)
        add("remote-stop", "[STATION] [TRANSACTION]", "stop a transaction, the running one", self._remote_stop)
        add("get", "[STATION] [KEY...]", "configuration keys", self._get)
        add("set", "[STATION] KEY VALUE", "change a configuration key", self._set)
        add("reset", "[STATION] [Soft|Hard]", "restart the station", self._reset)
        add("unlock", "[STATION] [CONNECTOR]", "unlock the cable", self._unlock)
        add("availability", "[STATION] CONNECTOR Operative|Inoperative", "put in or out of service", self._availability)
        add("trigger", "[STATION] MESSAGE [CONNECTOR]", "ask for a message", self._trigger)
        add(
            "clear-cache",
            "[STATION]",
            "forget the cards it remembers",
            lambda words: self._call(words, "ClearCache", {}),
        )
        add(
            "send-list",
            "[STATION] [full|differential] [VERSION] [UID|-UID...]",
            "its local list: all cards, or those named; -UID takes one away",
            self._send_list,
        )
        add("list-version", "[STATION]", "the version of its local list", lambda w: self._call(w, LIST_VERSION, {}))
        add("call", "[STATION] ACTION [JSON]", "any call", self._any_call)
        add("stations", "", "who is there", lambda _: self._stations())
        add("sessions", "[STATION]", "sessions with their cost", self._sessions)
        add("violations", "", "rules that stations broke", lambda _: "\n".join(map(str, self._csms.violations)))

    def _add_employer(self, commands: Commands) -> None:
        add = commands.add
        add("companies", "", "companies with their chargers", lambda _: self._companies())
        for name in ("activate", "link"):
            add(name, "[STATION]", "link a pending charger", self._activate)
        add("reject", "[STATION] REASON", "end its link", self._reject)
        add("settings", "[STATION|CODE] [KEY=VALUE...]", "refundPercentage, sessionLogging, tariff ...", self._settings)
        add("statement", "[2026-11]", "a month's bill", self._statement)
        add("paid", "2026-11 STATION", "mark a month as paid, and tell a linked charger", self._paid)
        add("prices", "[STATION] EUR 2026-11-25T00:00+01:00 PRICE...", "prices per kWh by the hour", self._prices)
        add("cards", "", "all cards", lambda _: self._cards())
        add("card", notation.TOKEN, "a new card, or another state of one", self._card)
        add("company", notation.COMPANY, "a new company", self._company)
        for name, status in STATUSES.items():
            add(name, "UID", f"the card is {status} from now on", self._card_status(status))

    # -- stations

    def _station(self, words: list[str]) -> str:
        """Take the station from the front of the words, or the only one that is connected."""
        if words and words[0] in {*self._csms.state.stations, *self._csms.connected}:
            return words.pop(0)
        if len(self._csms.connected) != 1:
            raise Misuse(f"which station? connected are: {', '.join(self._csms.connected) or 'none'}")
        return self._csms.connected[0]

    async def _call(self, words: list[str], action: str, payload: JsonObject) -> str:
        return show.as_json(await self._csms.call(self._station(words), action, payload))

    async def _remote_start(self, words: list[str]) -> str:
        station = self._station(words)
        payload: JsonObject = {"idTag": words[0]} | ({"connectorId": int(words[1])} if words[1:] else {})
        return await self._call([station], "RemoteStartTransaction", payload)

    async def _remote_stop(self, words: list[str]) -> str:
        station = self._station(words)
        number = int(words[0]) if words else self._running(station).transaction_id
        return await self._call([station], "RemoteStopTransaction", {"transactionId": number})

    def _running(self, station: str) -> Session:
        for session in self._csms.state.sessions:
            if session.station == station and session.stopped_at is None:
                return session
        raise Misuse(f"no transaction runs at {station}")

    async def _get(self, words: list[str]) -> str:
        station = self._station(words)
        answer = await self._csms.call(station, "GetConfiguration", {"key": words} if words else {})
        rows = [(entry["key"], str(entry.get("value", "")), "read-only" if entry["readonly"] else "")
                for entry in answer.get("configurationKey", [])]  # fmt: skip
        unknown = [(key, "", "unknown") for key in answer.get("unknownKey", [])]
        return show.table([*rows, *unknown]) if rows or unknown else ""

    async def _set(self, words: list[str]) -> str:
        station = self._station(words)
        return await self._call([station], "ChangeConfiguration", {"key": words[0], "value": " ".join(words[1:])})

    async def _reset(self, words: list[str]) -> str:
        station = self._station(words)
        return await self._call([station], "Reset", {"type": words[0].capitalize() if words else "Soft"})

    async def _unlock(self, words: list[str]) -> str:
        station = self._station(words)
        return await self._call([station], "UnlockConnector", {"connectorId": int(words[0]) if words else 1})

    async def _availability(self, words: list[str]) -> str:
        station = self._station(words)
        payload = {"connectorId": int(words[0]), "type": words[1].capitalize()}
        return await self._call([station], "ChangeAvailability", payload)

    async def _trigger(self, words: list[str]) -> str:
        station = self._station(words)
        payload: JsonObject = {"requestedMessage": words[0]} | ({"connectorId": int(words[1])} if words[1:] else {})
        return await self._call([station], "TriggerMessage", payload)

    async def _send_list(self, words: list[str]) -> str:
        station = self._station(words)
        kind = words.pop(0).capitalize() if words and words[0].lower() in {"full", "differential"} else "Full"
        named = bool(words) and _is_number(words[0])
        version = int(words.pop(0)) if named else next_version(self._csms.state.station(station))
        entries = [_entry(self._csms.state, word) for word in words] if words else local_list(self._csms.state)
        payload = {"listVersion": version, "updateType": kind, "localAuthorizationList": entries}
        return await self._call([station], "SendLocalList", payload)

    async def _any_call(self, words: list[str]) -> str:
        station = self._station(words)
        return await self._call([station], words[0], json.loads(" ".join(words[1:]) or "{}"))

    def _stations(self) -> str:
        rows = [("station", "", "registration", "connectors", "company")]
        for name, station in self._csms.state.stations.items():
            device = self._csms.state.devices.get(name)
            link = "" if device is None else f"{device.company} {device.state}"
            connectors = ", ".join(f"{connector} {status}" for connector, status in sorted(station.statuses.items()))
            online = "online" if name in self._csms.connected else "offline"
            rows.append((name, online, station.registration or "-", connectors, link))
        return show.table(rows)

    def _sessions(self, words: list[str]) -> str:
        return show.sessions(self._csms.sessions(words[0] if words else None))

    # -- the employer

    def _companies(self) -> str:
        rows = [("code", "name", "activation", "chargers")]
        for company in self._csms.state.companies.values():
            devices = [each for each in self._csms.state.devices.values() if each.company == company.code]
            chargers = ", ".join(f"{device.station} {device.state}" for device in devices)
            rows.append((company.code, company.name, company.activation, chargers))
        return show.table(rows)

    async def _activate(self, words: list[str]) -> None:
        await self._csms.desk.activate(self._station(words))

    async def _reject(self, words: list[str]) -> None:
        station = self._station(words)
        await self._csms.desk.reject(station, " ".join(words) or "rejected by the company")

    async def _settings(self, words: list[str]) -> str:
        whose = (
            words.pop(0).upper() if words and words[0].upper() in self._csms.state.companies else self._station(words)
        )
        company = self._csms.state.companies.get(whose)
        if words:
            await self._csms.desk.change(whose, **dict(_setting(word) for word in words))
        device = None if company is not None else self._csms.desk.device(whose)
        return show.as_json(
            settings_of(self._csms.state, device) if device is not None else company and company.settings
        )

    def _statement(self, words: list[str]) -> str:
        zone, now = self._csms.policy.zone, datetime.now(UTC)
        month = words[0] if words else f"{now.astimezone(zone):%Y-%m}"
        return show.statement(summary(self._csms.state, month, zone, now))

    async def _prices(self, words: list[str]) -> str:
        station = self._station(words)
        currency, start, *prices = words
        data: JsonObject = {"currency": currency, "start": start, "prices": prices}
        await self._csms.desk.transfer(station, "DayAheadPrices", data)
        return f"{station} took {len(prices)} prices"

    async def _paid(self, words: list[str]) -> str:
        month, station = words[0], words[1]
        bills = ended_in(self._csms.state, month, self._csms.policy.zone)
        now = datetime.now(UTC)
        if month >= month_of(now, self._csms.policy.zone):
            raise Misuse(f"{month} is not over")
        payments = pay(self._csms.state, [each for each in bills if each.session.station == station], month, now=now)
        await self._csms.desk.tell_paid(month, {station} & set(self._csms.connected))
        return "\n".join(f"paid {each.amount} {each.currency}" for each in payments) or "nothing to pay"

    def _cards(self) -> str:
        rows = [("card", "number", "status", "group")]
        rows += [(each.uid, each.number, each.status, each.parent or "") for each in self._csms.state.tokens.values()]
        return show.table(rows)

    def _card(self, words: list[str]) -> None:
        card = notation.token(words[0])
        self._csms.state.tokens[card.uid] = card

    def _company(self, words: list[str]) -> None:
        company = notation.company(" ".join(words))
        self._csms.state.companies[company.code] = company

    def _card_status(self, status: TokenStatus) -> Any:  # noqa: ANN401 - a command's action
        return lambda words: self._csms.desk.set_status(words[0], status)


def _is_number(word: str) -> bool:
    """Tell a version from a card: a card has at least eight characters, with a minus before it one that goes."""
    return word.removeprefix("-").isdecimal() and len(word) < SHORTEST_UID


def _entry(state: State, word: str) -> JsonObject:
    """Return an entry of a local list: ``UID`` with what is known of it, ``-UID`` without, so that it goes."""
    if word.startswith("-"):
        return {"idTag": word[1:]}
    return {"idTag": word, "idTagInfo": verdict(state, word, datetime.now(UTC))}


def _setting(word: str) -> tuple[str, Any]:
    """Return name and value of ``KEY=VALUE``: JSON or text; refundPercentage is a text, a tariff may be short."""
    name, equals, text = word.partition("=")
    if not equals:
        raise Misuse(f"{word!r}: write settings as KEY=VALUE")
    try:
        value = json.loads(text)
    except ValueError:
        value = notation.tariff(text) if name == "tariff" else text
    return name, text if name == "refundPercentage" else value
