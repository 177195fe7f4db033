"""What a statement says, before it takes the form of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from agent.buffer.annotation import Annotation
from agent.buffer.ledger import SessionRecord
from agent.core.facts import StartTrigger
from agent.core.model import SessionId, Wh
from agent.core.payment import Payment
from agent.core.tariff import Basis, Cost
from agent.statement.month import Month


class State(StrEnum):
    """How final a month is.

    IN_PROGRESS: a session may still come to belong to it; PENDING: one still has to reach a central system.
    """

    IN_PROGRESS = "in progress"
    PENDING = "pending"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Pricing:
    """What prices came from; price and currency: of a flat price per kWh excl. VAT; vat: in percent, where it has."""

    basis: Basis = Basis.TARIFF
    price: Decimal | None = None
    currency: str | None = None
    vat: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """Where the station stands; latitude and longitude in degrees, as they are written."""

    name: str | None = None
    address: str | None = None
    postal_code: str | None = None
    city: str | None = None
    country: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    country_code: str | None = None
    party_id: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A connector and its meter as installed.

    model: the meter's id in the configuration; maker: its name in full; mid: the marking on its plate, as configured.
    """

    evse_id: str | None
    model: str
    maker: str
    mid: str | None = None
    phases: int = 3


@dataclass(frozen=True, slots=True)
class Site:
    """The station as configured.

    devices: by connector, the first is connector 1. currency, basis: of its own tariff, for a month without sessions.
    """

    station: str
    timezone: str
    devices: tuple[Device, ...]
    location: Location = Location()
    vendor: str | None = None
    model: str | None = None
    serial_number: str | None = None
    currency: str | None = None
    basis: Basis = Basis.TARIFF

    @property
    def zone(self) -> ZoneInfo:
        """The zone of all local times."""
        return ZoneInfo(self.timezone)

    @property
    def evse_ids(self) -> tuple[str | None, ...]:
        """Their EVSE ids, by connector."""
        return tuple(device.evse_id for device in self.devices)

    def device(self, connector: int) -> Device | None:
        """Return a connector that is still installed."""
        return self.devices[connector - 1] if 1 <= connector <= len(self.devices) else None


@dataclass(frozen=True, slots=True)
class Seal:
    """The evidence beside a statement.

    head: SHA-256 of the newest evidence record that it rests on; signature: of ``signed.text_of``; fingerprint: of the
    public key.
    """

    head: str
    signature: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """What a record does not tell: what began the session, the serial number of its meter, where its prices are from.

    pricing: None for a session without any price.
    """

    trigger: StartTrigger | None = None
    serial: str | None = None
    pricing: Pricing | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A session of a statement."""

    record: SessionRecord
    origin: Origin = Origin()
    annotation: Annotation = Annotation()


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of closed sessions.

    cost and refund: None where no session has one, or they are in several currencies; percentage: of the refund, None
    where it differs. unpriced: sessions that are in no amount, since no price was known.
    """

    sessions: int
    energy: Wh
    cost: Cost | None
    refund: Decimal | None
    percentage: Decimal | None
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class CardPart:
    """The part of a statement that is of one card and profile; number: printed on it, ema_id, name: where known."""

    number: str | None
    ema_id: str | None
    name: str | None
    id_tag: str
    profile: str
    lines: tuple[Line, ...]
    sums: Sums

    @property
    def label(self) -> str:
        """What the card is called: its number, EMA-ID or UID."""
        return self.number or self.ema_id or self.id_tag


@dataclass(frozen=True, slots=True)
class Statement:
    """A month of a station.

    pricings: what its sessions were priced by, at least one, the newest last; others: what else other sessions of the
    year were. lines: fleet sessions that ended in it and, while it runs, open ones; oldest first. currency: None where
    there are several, or nothing has a price. serials: numbers of the meters seen, by connector. payment: None until
    the central system confirms one.
    """

    month: Month
    state: State
    site: Site
    pricings: tuple[Pricing, ...]
    others: frozenset[Basis]
    currency: str | None
    lines: tuple[Line, ...]
    cards: tuple[CardPart, ...]
    totals: Sums
    serials: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    seal: Seal | None = None
    payment: Payment | None = None

    @property
    def records(self) -> tuple[SessionRecord, ...]:
        """Its sessions."""
        return tuple(line.record for line in self.lines)

    @property
    def closed(self) -> tuple[SessionRecord, ...]:
        """Its sessions that have ended."""
        return tuple(record for record in self.records if record.stopped_at is not None)

    @property
    def dated(self) -> datetime:
        """What it is dated by (UTC), of itself and not of the clock: the month's end, or what happened last in it."""
        end = self.month.end(self.site.zone)
        if self.state is not State.IN_PROGRESS:
            return end
        known = [record.stopped_at or record.started_at for record in self.records]
        return min(end, max([self.month.begin(self.site.zone), *known]))


@dataclass(frozen=True, slots=True)
class Found:
    """What the ledger has of a month, private sessions left out.

    records: oldest first; names: EMA-ID and name by the token's key; bases: of all sessions of the year;
    payment: where the central system has confirmed one.
    """

    records: tuple[SessionRecord, ...] = ()
    origins: Mapping[SessionId, Origin] = field(default_factory=dict)
    names: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    annotations: Mapping[SessionId, Annotation] = field(default_factory=dict)
    bases: frozenset[Basis] = frozenset()
    payment: Payment | None = None
