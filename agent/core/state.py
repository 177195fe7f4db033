"""The state of the station, as data: what is durable stands in ``Durable``, all else is seen again after a start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from agent.core.allowance import Allowance, Promise
from agent.core.asking import Asking
from agent.core.booking import Booked, Reservation
from agent.core.calendar import Grid
from agent.core.card import Distribution, Learning, Standing
from agent.core.charging_profile import Installed
from agent.core.commands import CallRef, ResetKind
from agent.core.company import Company
from agent.core.facts import StartTrigger
from agent.core.instant import Instant
from agent.core.maintenance_state import Jobs, Maintenance
from agent.core.model import (
    ConnectorStatus,
    ErrorCode,
    EvseId,
    EvseReading,
    IdToken,
    MilliAmp,
    Profile,
    Quality,
    Reading,
    Registration,
    Reporting,
    SessionId,
    StopReason,
    TokenInfo,
    Wh,
)
from agent.core.payment import Payment
from agent.core.security_model import Guard, Security
from agent.core.settings import Overrides
from agent.core.tariff import Draw, Shift, Terms


class Phase(StrEnum):
    """Where a running session stands."""

    STARTING = "starting"
    CHARGING = "charging"
    SUSPENDED_EV = "suspended-ev"
    SUSPENDED_EVSE = "suspended-evse"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why and when a session ends; its register is read once the car has stopped drawing."""

    reason: StopReason
    at: Instant
    id_token: IdToken | None
    quality: tuple[Quality, ...] = ()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a session at one set of prices: its begin, the time counted in ms, the draw where prices ask for it."""

    start: Instant
    register: Wh
    charging_ms: int = 0
    parking_ms: int = 0
    draw: Draw | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A running session; durable.

    seq: of the next fact. last: the last good reading that was made durable, at most a minute old while power flows.
    stretches: finished ones, oldest first; stretch: the present one. phase_since: when the present phase began.
    invalid_from: register at which the central system refused the token; None while it has not. transaction: the
    commanding system's name for it, None until its start was answered; booked: the reservation it used, or None.
    """

    id: SessionId
    evse: EvseId
    id_token: IdToken
    profile: Profile
    trigger: StartTrigger
    reporting: Reporting
    company_code: str | None
    terms: Terms | None
    started: Instant
    register: Wh
    serial: str | None
    seq: int
    phase: Phase
    phase_since: Instant
    last: Reading
    stretch: Stretch
    stretches: tuple[Stretch, ...] = ()
    group: IdToken | None = None
    transaction: int | str | None = None
    refused: bool = False
    invalid_from: Wh | None = None
    ending: Ending | None = None
    quality: tuple[Quality, ...] = ()
    booked: Booked | None = None


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether an EVSE (or the station, 0) is in service; scheduled: what it becomes when its session ends."""

    operative: bool = True
    scheduled: bool | None = None


@dataclass(frozen=True, slots=True)
class MeterView:
    """What is known of a meter now.

    reading: the last plausible one, None before the first; error: why the last poll failed, None when it did not;
    failed_since: monotonic second of the first failure of the present row; doubts: implausible samples in a row, the
    last of them ``doubtful``; distrusted_until: the register broke, and no session begins before this monotonic second;
    unattributed: energy since the process began that belongs to no session.
    drawing: whether a car draws, as far as the meter tells; drawing_samples: samples in a row that showed it;
    idle_since: monotonic second of the first of those that did not.
    """

    reading: Reading | None = None
    error: str | None = None
    failed_since: float | None = None
    doubts: int = 0
    doubtful: Reading | None = None
    distrusted_until: float | None = None
    unattributed: Wh = Wh(Decimal(0))
    drawing: bool = False
    drawing_samples: int = 0
    idle_since: float | None = None


@dataclass(frozen=True, slots=True)
class EvseView:
    """What is known of a controller now.

    limit_sent: what was last asked for, None where it has to be told (again); sent_at: when (monotonic);
    ignored: so many times in a row it showed another limit than it was told.
    """

    reading: EvseReading | None = None
    error: str | None = None
    failed_since: float | None = None
    limit_sent: MilliAmp | None = None
    sent_at: float = 0.0
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """A token that may charge and waits for the plug until ``until`` (monotonic; None: for ever)."""

    id_token: IdToken
    profile: Profile
    trigger: StartTrigger
    group: IdToken | None
    until: float | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A plug that is kept locked after its session: only this token, or its group, may have it."""

    id_token: IdToken
    group: IdToken | None


@dataclass(frozen=True, slots=True)
class Left:
    """What a session left behind at its EVSE, or a car that nobody spoke for; durable.

    finishing: the car has to be unplugged before the next session; claim: who may have the plug, where it is kept back.
    """

    finishing: bool = False
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class EvseState:
    """One EVSE: its running session and service state (durable), and what is seen of it; seconds are monotonic.

    plugged_since: picks the connector for a card; left: durable too; recovering: until when a session found at start
    waits for its devices; settled_at: from when a reading is the last of an ending session; next_sample: when the next
    periodic one is due; aligned: the time of the grid that the next reading stands for; noted: the register of the idle
    connector last put on record; boundary: when the price may change next (UTC), boundary_due: when a reading is asked
    for that; shifted: another draw, not for sure yet; unlocking: who waits for the lock to open; promised: came with a
    remote start; allowed: by charging profiles; shown: as last reported; unshown: since when something else is to be
    shown.
    """

    id: EvseId
    session: Session | None = None
    availability: Availability = Availability()
    meter: MeterView = MeterView()
    evse: EvseView = EvseView()
    grant: Grant | None = None
    plugged_since: float | None = None
    left: Left = Left()
    recovering: float | None = None
    settled_at: float | None = None
    next_sample: float | None = None
    aligned: Instant | None = None
    noted: Reading | None = None
    boundary: datetime | None = None
    boundary_due: float | None = None
    shifted: Shift | None = None
    unlocking: tuple[CallRef, ...] = ()
    promised: Promise | None = None
    allowed: Allowance = Allowance()
    shown: tuple[ConnectorStatus, ErrorCode] | None = None
    unshown: Instant | None = None

    @property
    def finishing(self) -> bool:
        """The car of the last session is plugged still."""
        return self.left.finishing

    def leave(self, left: Left) -> EvseState:
        """Return the EVSE with something else left behind; the same where it is no change, which spares the disk."""
        return self if left == self.left else replace(self, left=left)


@dataclass(frozen=True, slots=True)
class Card:
    """A card known locally; kept apart from OCPP's local list.

    number: printed on it; blocked: the reason, None where it is not blocked here (an empty reason is "").
    """

    id_token: IdToken
    profile: Profile = Profile.FLEET
    number: str | None = None
    ema_id: str | None = None
    name: str | None = None
    blocked: str | None = None
    standing: Standing = Standing()


@dataclass(frozen=True, slots=True)
class Cached:
    """What a central system last said of a token, and when."""

    id_token: IdToken
    info: TokenInfo
    at: Instant


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of the local authorisation list; only the central system changes it."""

    id_token: IdToken
    info: TokenInfo


@dataclass(frozen=True, slots=True)
class ListVersion:
    """The version that the central system gave its list last; 0 before the first."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens known here, by ``IdToken.key``; durable.

    cards: known here; cache: what was said; listed: the local authorisation list; distribution: of cards sent.
    """

    cards: Mapping[str, Card] = field(default_factory=dict)
    cache: Mapping[str, Cached] = field(default_factory=dict)
    listed: Mapping[str, Listed] = field(default_factory=dict)
    list_version: ListVersion = ListVersion()
    distribution: Distribution = Distribution()


@dataclass(frozen=True, slots=True)
class Cloud:
    """The link to the commanding central system, as last seen."""

    connected: bool = False
    registration: Registration | None = None

    @property
    def online(self) -> bool:
        """Connected and accepted; everything else decides as offline (OCPP 1.6 ed. 2, section 3.5)."""
        return self.connected and self.registration is Registration.ACCEPTED


@dataclass(frozen=True, slots=True)
class IdSource:
    """Seed and counter that session ids are made from; durable so that no id is made twice."""

    seed: str = ""
    counter: int = 0


@dataclass(frozen=True, slots=True)
class StationState:
    """Everything the core decides from.

    payments: what the company paid, by month; profiles: charging profiles in force, by their id. waiting: tokens that
    may charge, for the next plug at any EVSE; asking: questions under way; grid: the next reading at an even time of
    the day, None without any; requests: how many were asked; ledger_error: why nothing can be recorded, None where it
    can; conflicts: keys of listed tokens that the central system contradicts; learning: the next card is for somebody
    who asked; link_retry: when LinkCompany is sent again (monotonic; infinite while an answer is waited for) and how
    often it failed; restarting: sessions are being ended for a reset, at the latest until ``restart_by`` (infinite once
    the process is told to end); cause: why the previous run of this process ended, for sessions found open;
    reservations: by the central system's id, durable; reserved_until: when the next of them is over (monotonic);
    security, guard: of the link.
    """

    evses: tuple[EvseState, ...]
    tokens: Tokens = field(default_factory=Tokens)
    overrides: Overrides = Overrides()
    company: Company = Company()
    ids: IdSource = IdSource()
    station: Availability = Availability()
    payments: Mapping[str, Payment] = field(default_factory=dict)
    profiles: Mapping[int, Installed] = field(default_factory=dict)
    cloud: Cloud = Cloud()
    waiting: tuple[Grant, ...] = ()
    asking: tuple[Asking, ...] = ()
    grid: Grid | None = None
    requests: int = 0
    reader_error: str | None = None
    ledger_error: str | None = None
    station_shown: tuple[ConnectorStatus, ErrorCode] | None = None
    conflicts: frozenset[str] = frozenset()
    learning: Learning | None = None
    link_retry: tuple[float, int] | None = None
    restarting: ResetKind | None = None
    restart_by: float = 0.0
    cause: StopReason = StopReason.REBOOT
    reservations: Mapping[int, Reservation] = field(default_factory=dict)
    reserved_until: float | None = None
    maintenance: Maintenance = Maintenance()
    security: Security = Security()
    guard: Guard = Guard()

    def evse(self, evse: EvseId) -> EvseState:
        """Return one EVSE. Raises: StopIteration is impossible for an id of ``evses``."""
        return next(e for e in self.evses if e.id == evse)

    def has(self, evse: EvseId) -> bool:
        """Tell whether there is such an EVSE."""
        return any(e.id == evse for e in self.evses)

    def put(self, evse: EvseState) -> StationState:
        """Return the state with one EVSE changed."""
        return replace(self, evses=tuple(evse if e.id == evse.id else e for e in self.evses))


@dataclass(frozen=True, slots=True)
class Durable:
    """The durable slices of a state; two states have the same slice exactly when it is the same object.

    sessions, availability, left: one per EVSE, by its id; payments: by month; profiles, reservations: by theirs.
    """

    sessions: Mapping[EvseId, Session]
    availability: Mapping[EvseId, Availability]
    tokens: Tokens
    overrides: Overrides
    company: Company
    ids: IdSource
    station: Availability
    left: Mapping[EvseId, Left] = field(default_factory=dict)
    payments: Mapping[str, Payment] = field(default_factory=dict)
    profiles: Mapping[int, Installed] = field(default_factory=dict)
    reservations: Mapping[int, Reservation] = field(default_factory=dict)
    jobs: Jobs = Jobs()
    security: Security = Security()


def durable(state: StationState) -> Durable:
    """Return what a restart must find again."""
    return Durable(
        sessions={e.id: e.session for e in state.evses if e.session is not None},
        availability={e.id: e.availability for e in state.evses},
        tokens=state.tokens,
        overrides=state.overrides,
        company=state.company,
        ids=state.ids,
        station=state.station,
        left={e.id: e.left for e in state.evses},
        payments=state.payments,
        profiles=state.profiles,
        reservations=state.reservations,
        jobs=state.maintenance.jobs,
        security=state.security,
    )


def restored(slices: Durable, evses: tuple[EvseId, ...]) -> StationState:
    """Return the state a process starts with: the durable slices, and nothing seen yet.

    A session of an EVSE that the configuration no longer has is kept under its old id.
    """
    ids = sorted({*evses, *slices.sessions})
    return StationState(
        evses=tuple(
            EvseState(
                id=i,
                session=slices.sessions.get(i),
                availability=slices.availability.get(i, Availability()),
                left=slices.left.get(i, Left()),
            )
            for i in ids
        ),
        tokens=slices.tokens,
        overrides=slices.overrides,
        company=slices.company,
        ids=slices.ids,
        station=slices.station,
        payments=slices.payments,
        profiles=slices.profiles,
        reservations=slices.reservations,
        maintenance=Maintenance(slices.jobs),
        security=slices.security,
    )


def same_slices(one: Durable, other: Durable) -> bool:
    """Tell whether nothing durable differs: every slice is the same object."""
    pairs = ((getattr(one, each.name), getattr(other, each.name)) for each in fields(one))
    return all(a is b or (isinstance(a, Mapping) and _same(a, b)) for a, b in pairs)


def _same(one: Mapping[int, object], other: Mapping[int, object]) -> bool:
    return one.keys() == other.keys() and all(one[key] is other[key] for key in one)
