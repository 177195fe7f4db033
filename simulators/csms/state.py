"""What a central system remembers: stations, companies, cards, linked chargers, sessions. All of it can be saved."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

JsonObject: TypeAlias = dict[str, Any]
T = TypeVar("T")


class TokenStatus(StrEnum):
    """State of a card: active, blocked until it is lifted, or deactivated for good; inactive: not used for once yet."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    BLOCKED = "blocked"
    DEACTIVATED = "deactivated"


class TokenKind(StrEnum):
    """What a token is."""

    CARD = "card"
    VIRTUAL = "virtual"
    OTHER = "other"


@dataclass(slots=True)
class Entry:
    """A line of a history."""

    at: datetime
    text: str


@dataclass(slots=True)
class Token:
    """A card. uid: upper case. number: the visual one. parent: its group. Valid from and to: UTC, None: always.

    company: code, empty: of all companies. employee: id, empty: nobody's. reason: why it is blocked or deactivated.
    replaces: UID of the card whose place it took.
    """

    uid: str
    number: str = ""
    status: TokenStatus = TokenStatus.ACTIVE
    parent: str | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    kind: TokenKind = TokenKind.CARD
    ema_id: str = ""
    company: str = ""
    employee: str = ""
    reason: str = ""
    replaces: str = ""
    history: list[Entry] = field(default_factory=list)

    def note(self, at: datetime, text: str) -> None:
        """Add a line to its history."""
        self.history.append(Entry(at, text))


@dataclass(slots=True)
class Employee:
    """Somebody who is paid back. number: the personnel number. iban: without blanks, empty where it is not known."""

    id: str
    company: str
    name: str
    number: str = ""
    iban: str = ""
    active: bool = True


@dataclass(slots=True)
class Rate:
    """A rate of a company. tariff: OCPI. typed: what it was made of, as it was typed."""

    company: str
    name: str
    tariff: JsonObject
    typed: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Delivery:
    """A card as a charger was last sent it. status: Taken or Failed, with a reason. tries: since the card changed."""

    station: str
    uid: str
    sent: JsonObject
    status: str
    at: datetime
    reason: str = ""
    tries: int = 1


@dataclass(slots=True)
class Payment:
    """A refund that was paid. month: 2026-11. automatic: by the company's card at the month's end.

    sessions: the transactions that are paid by it.
    """

    company: str
    employee: str
    month: str
    at: datetime
    amount: Decimal
    currency: str
    automatic: bool
    sessions: list[int] = field(default_factory=list)


class Activation(StrEnum):
    """What becomes of a charger that gives a company's code."""

    AUTOMATIC = "automatic"
    PENDING = "pending"
    REJECTED = "rejected"


@dataclass(slots=True)
class Company:
    """An employer. settings: those that differ from the defaults, without ``version``. kwh_per_100km: of its cars."""

    code: str
    name: str
    activation: Activation = Activation.AUTOMATIC
    reason: str = ""
    settings: JsonObject = field(default_factory=dict)
    kwh_per_100km: str = "18"


@dataclass(slots=True)
class Terms:
    """Settings that a station has accepted, and since when."""

    since: datetime
    settings: JsonObject


@dataclass(slots=True)
class Device:
    """A charger that gave a company's code. state: linked, pending, rejected, ended. overrides: over the company's.

    employee: id of the one at whose home it is. told: the state that it knows of. answered: the last version of the
    settings that it answered; refusal: what it had against them. cards_version: of the last cards that it was sent.
    """

    station: str
    company: str
    since: datetime
    state: str = "pending"
    reason: str = ""
    ended_at: datetime | None = None
    evse_ids: list[str] = field(default_factory=list)
    meter_serials: list[str] = field(default_factory=list)
    agent_version: str = ""
    overrides: JsonObject = field(default_factory=dict)
    version: int = 1
    terms: list[Terms] = field(default_factory=list)
    employee: str = ""
    told: str = ""
    answered: int = 0
    refusal: str = ""
    cards_version: int = 0


@dataclass(slots=True)
class Station:
    """A charge point.

    registration: the last answer to a boot, None before one. statuses: connector -> status. keys: what is known of its
    configuration, as it spells them, and since when. aligned_s: each ClockAlignedDataInterval that it was seen with.
    list_version, local_list: what its local list must be, the version is None where nothing was sent; idTag in upper
    case -> idTagInfo.
    """

    id: str
    registration: str | None = None
    boot: JsonObject = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    failed_starts: int = 0
    keys: dict[str, str] = field(default_factory=dict)
    keys_since: dict[str, datetime] = field(default_factory=dict)
    aligned_s: list[int] = field(default_factory=list)
    list_version: int | None = None
    local_list: dict[str, JsonObject] = field(default_factory=dict)

    def learn(self, key: str, value: str) -> None:
        """Take note of a configuration key."""
        if self.keys.get(key) != value:
            self.keys[key], self.keys_since[key] = value, datetime.now(UTC)
        if key == "ClockAlignedDataInterval" and value.isdecimal() and int(value) not in self.aligned_s:
            self.aligned_s.append(int(value))

    def known_since(self, key: str, at: datetime) -> str | None:
        """Return a key whose value was known at a moment already and has not changed since; None otherwise."""
        return self.keys[key] if key in self.keys and self.keys_since[key] <= at else None


@dataclass(slots=True)
class Reading:
    """A value of the import register, in Wh."""

    at: datetime
    wh: Decimal
    context: str = "Sample.Periodic"


@dataclass(slots=True)
class Session:
    """A transaction as it was reported. start_message, stop_message: ids. readings: in order of time.

    unlock: the answer to an UnlockConnector that came while it ran. company, employee: those of its start, empty where
    they were not known. paid: what of its refund is paid, None: nothing.
    """

    station: str
    connector: int
    transaction_id: int
    id_tag: str
    started_at: datetime
    meter_start_wh: Decimal
    start_message: str
    tariff: JsonObject | None = None
    refund_percentage: str = "100"
    automatic_payment: bool = False
    stopped_at: datetime | None = None
    meter_stop_wh: Decimal | None = None
    stop_reason: str | None = None
    stop_id_tag: str | None = None
    stop_message: str | None = None
    readings: list[Reading] = field(default_factory=list)
    unlock: str | None = None
    company: str = ""
    employee: str = ""
    paid: Decimal | None = None
    reservation_id: int | None = None

    @property
    def energy_wh(self) -> Decimal | None:
        """Difference of the registers; None while it runs."""
        return None if self.meter_stop_wh is None else self.meter_stop_wh - self.meter_start_wh


@dataclass(slots=True)
class State:
    """Everything. tariff: where a company has none, None: no prices.

    tokens: by UID. employees: by id. rates: by ``CODE/NAME``. deliveries: by ``STATION UID``.
    """

    stations: dict[str, Station] = field(default_factory=dict)
    companies: dict[str, Company] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    next_transaction: int = 1
    tariff: JsonObject | None = None
    employees: dict[str, Employee] = field(default_factory=dict)
    rates: dict[str, Rate] = field(default_factory=dict)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    payments: list[Payment] = field(default_factory=list)

    def station(self, name: str) -> Station:
        """Return a station, a new one where it was not known."""
        return self.stations.setdefault(name, Station(name))

    def save(self, path: Path) -> None:
        """Write all of it to a file, whole or not at all."""
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(json.dumps(encode(self), indent=1))
        fresh.replace(path)


def load(path: Path) -> State:
    """Return the state that was saved to a file; an empty one where there is no file."""
    return decode(State, json.loads(path.read_text())) if path.exists() else State()


def encode(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a value as JSON: dataclasses as objects, numbers and moments as texts."""
    if is_dataclass(value):
        return {entry.name: encode(getattr(value, entry.name)) for entry in fields(value)}
    if isinstance(value, dict):
        return {key: encode(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [encode(entry) for entry in value]
    return str(value) if isinstance(value, (Decimal, datetime)) else value


def decode(wanted: type[T], value: Any) -> T:  # noqa: ANN401 - JSON
    """Build a value of a type from what ``encode`` made of it; what is missing is its default, what is unknown goes."""
    return typing.cast("T", _decode_any(wanted, value))  # the function below does what the type says


def _decode_any(wanted: Any, value: Any) -> object:  # noqa: ANN401 - types and JSON
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is types.UnionType:
        return (
            None
            if value is None
            else _decode_any(next(each for each in arguments if each is not types.NoneType), value)
        )
    if is_dataclass(wanted) and isinstance(wanted, type):
        hints = typing.get_type_hints(wanted)
        return wanted(**{name: _decode_any(hints[name], entry) for name, entry in value.items() if name in hints})
    if origin is list:
        return [_decode_any(arguments[0], entry) for entry in value]
    if origin is dict:
        return {key: _decode_any(arguments[1], entry) for key, entry in value.items()}
    if wanted is datetime:
        return datetime.fromisoformat(value)
    plain = isinstance(wanted, type) and (wanted in {Decimal, bool} or issubclass(wanted, Enum))
    return wanted(value) if plain else value
