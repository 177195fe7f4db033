"""Line commands of an operator who limits what stations draw: charging profiles set, cleared and asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from simulators.console import Commands
from simulators.csms import show
from simulators.csms.server import Csms
from simulators.csms.state import JsonObject
from simulators.errors import Misuse

PURPOSES: Final = {"max": "ChargePointMaxProfile", "default": "TxDefaultProfile", "tx": "TxProfile"}
KINDS: Final = {
    "absolute": ("Absolute", None),
    "relative": ("Relative", None),
    "daily": ("Recurring", "Daily"),
    "weekly": ("Recurring", "Weekly"),
}
SCHEDULE: Final = "LIMIT[,SECONDS:LIMIT...]"
PROFILE: Final = f"max|default|tx {SCHEDULE} [OPTION...]"
DETAILS: Final = (
    ("16A", "one limit, A per phase"),
    ("11000W", "or W in all"),
    ("16A,600:10A,1200:0A", "10 A after 600 s, none after 1200 s"),
    ("connector=1", "0 for max and default, 1 for tx where it is left out"),
    ("id=7 level=2", "its id (the next number) and stack level (0)"),
    ("absolute|relative|daily|weekly", "where its time begins: absolute, for tx relative"),
    ("start=22:00", "HH:MM in UTC, a time in ISO 8601, or now"),
    ("from=… to=…", "valid between these times, written as start"),
    ("duration=3600 phases=1 min=6", "of the schedule"),
    ("transaction=42", "of a tx profile"),
)
#: Option -> member of the profile, or of its schedule, and what makes its value.
NUMBERS: Final = {"id": "chargingProfileId", "level": "stackLevel", "transaction": "transactionId"}
TIMES: Final = {"from": "validFrom", "to": "validTo"}
FILTERS: Final = {"id": "id", "connector": "connectorId", "level": "stackLevel", "purpose": "chargingProfilePurpose"}


class Profiles:
    """The commands. station: takes the station from the front of the words, or the only one that is connected."""

    def __init__(self, csms: Csms, station: Callable[[list[str]], str]) -> None:
        self._csms = csms
        self._station = station
        self._ids = itertools.count(1)

    def add_to(self, commands: Commands) -> None:
        """Add all commands."""
        add = commands.add
        add("profile", f"[STATION] {PROFILE}", "limit what it draws", self._set)
        commands.explain("profile", DETAILS)
        filters = "[id=ID] [connector=N] [purpose=max|default|tx] [level=N]"
        add("clear-profile", f"[STATION] {filters}", "drop the profiles that are so, or all", self._clear)
        add("composite", "[STATION] [CONNECTOR] [SECONDS] [A|W]", "what limits it from now on", self._composite)
        add(
            "limited-start",
            f"[STATION] UID CONNECTOR {SCHEDULE} [OPTION...]",
            "remote start with a profile; see profile",
            self._start,
        )

    async def _set(self, words: list[str]) -> str:
        station = self._station(words)
        purpose, schedule, *options = _at_least(words, 2, PROFILE)
        if purpose not in PURPOSES:
            raise Misuse(f"{purpose!r}: a profile is one of {', '.join(PURPOSES)}")
        pairs = _options(options)
        connector = int(pairs.pop("connector", "1" if purpose == "tx" else "0"))
        payload = {"connectorId": connector, "csChargingProfiles": self._profile(purpose, schedule, pairs)}
        return show.as_json(await self._csms.call(station, "SetChargingProfile", payload))

    async def _start(self, words: list[str]) -> str:
        station = self._station(words)
        uid, connector, schedule, *options = _at_least(words, 3, f"UID CONNECTOR {SCHEDULE}")
        payload: JsonObject = {"idTag": uid, "connectorId": int(connector)}
        payload["chargingProfile"] = self._profile("tx", schedule, _options(options))
        return show.as_json(await self._csms.call(station, "RemoteStartTransaction", payload))

    async def _clear(self, words: list[str]) -> str:
        station = self._station(words)
        payload: JsonObject = {}
        for name, value in _options(words).items():
            if name not in FILTERS:
                raise Misuse(f"{name!r}: profiles are cleared by {', '.join(FILTERS)}")
            payload[FILTERS[name]] = PURPOSES.get(value, value) if name == "purpose" else int(value)
        return show.as_json(await self._csms.call(station, "ClearChargingProfile", payload))

    async def _composite(self, words: list[str]) -> str:
        station = self._station(words)
        unit = words.pop() if words and words[-1] in {"A", "W"} else None
        connector, seconds = (*words, *("1", "86400")[len(words) :])[:2]
        payload: JsonObject = {"connectorId": int(connector), "duration": int(seconds)}
        payload |= {} if unit is None else {"chargingRateUnit": unit}
        return told(await self._csms.call(station, "GetCompositeSchedule", payload))

    def _profile(self, purpose: str, text: str, options: Mapping[str, str]) -> JsonObject:
        """Return the profile that words describe. Raises Misuse."""
        left = dict(options)
        kind, recurrence = KINDS[left.pop("kind", "relative" if purpose == "tx" else "absolute")]
        number = left.pop("id", None)
        profile: JsonObject = {
            "chargingProfileId": next(self._ids) if number is None else int(number),
            "stackLevel": int(left.pop("level", "0")),
            "chargingProfilePurpose": PURPOSES[purpose],
            "chargingProfileKind": kind,
        }
        if recurrence is not None:
            profile["recurrencyKind"] = recurrence
            left.setdefault("start", "00:00")
        profile |= {member: int(left.pop(name)) for name, member in NUMBERS.items() if name in left}
        profile |= {member: moment(left.pop(name)) for name, member in TIMES.items() if name in left}
        profile["chargingSchedule"] = schedule_of(text, left)
        if left:
            raise Misuse(f"{', '.join(left)}: no option of a profile; see help profile")
        return profile


def schedule_of(text: str, options: dict[str, str]) -> JsonObject:
    """Return the schedule that a text describes; takes what belongs to it out of the options. Raises Misuse."""
    units, periods = set(), list[JsonObject]()
    phases = options.pop("phases", None)
    for part in text.split(","):
        start, colon, limit = part.rpartition(":")
        number, unit = limit[:-1], limit[-1:].upper()
        try:
            period: JsonObject = {"startPeriod": int(start) if colon else 0, "limit": float(number)}
        except ValueError:
            raise Misuse(f"{part!r}: write limits as 16A, 11000W, or 600:10A for one after 600 s") from None
        units.add(unit)
        periods.append(period if phases is None else period | {"numberPhases": int(phases)})
    if units not in ({"A"}, {"W"}):
        raise Misuse(f"{text!r}: all limits are in A, or all in W")
    schedule: JsonObject = {"chargingRateUnit": units.pop(), "chargingSchedulePeriod": periods}
    if "duration" in options:
        schedule["duration"] = int(options.pop("duration"))
    if "start" in options:
        schedule["startSchedule"] = moment(options.pop("start"))
    if "min" in options:
        schedule["minChargingRate"] = float(options.pop("min"))
    return schedule


def moment(text: str) -> str:
    """Return a time as OCPP writes it: now, HH:MM of today in UTC, or ISO 8601. Raises Misuse."""
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        if text == "now":
            at = now
        elif len(text) == len("22:00"):
            hours, minutes = text.split(":")
            at = now.replace(hour=int(hours), minute=int(minutes), second=0)
        else:
            at = datetime.fromisoformat(text)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except ValueError as error:
        raise Misuse(f"{text!r} is no time: {error}") from None
    return at.isoformat().replace("+00:00", "Z")


def told(answer: JsonObject) -> str:
    """Return a composite schedule for people, a line per period."""
    schedule = answer.get("chargingSchedule")
    if schedule is None:
        return show.as_json(answer)
    begin = datetime.fromisoformat(answer["scheduleStart"])
    rows = [("from", "", "limit")]
    for period in schedule["chargingSchedulePeriod"]:
        at = begin + timedelta(seconds=period["startPeriod"])
        phases = f" on {period['numberPhases']} phases" if "numberPhases" in period else ""
        limit = f"{period['limit']:g} {schedule['chargingRateUnit']}{phases}"
        rows.append((f"{at:%Y-%m-%d %H:%M:%S}", f"+{period['startPeriod']} s", limit))
    end = begin + timedelta(seconds=schedule["duration"])
    return f"{show.table(rows)}\n  until {end:%Y-%m-%d %H:%M:%S} UTC"


def _options(words: Sequence[str]) -> dict[str, str]:
    """Return KEY=VALUE words; the name of a kind stands for itself. Raises Misuse."""
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if word in KINDS:
            name, value = "kind", word
        elif not equals or not value:
            raise Misuse(f"{word!r}: write options as KEY=VALUE, or one of {', '.join(KINDS)}")
        pairs[name] = value
    return pairs


def _at_least(words: Sequence[str], count: int, usage: str) -> Sequence[str]:
    if len(words) < count:
        raise Misuse(f"too little is said: {usage}")
    return words
