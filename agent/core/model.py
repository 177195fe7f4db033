"""Identifiers, quantities and readings that all parts share."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import NewType

from agent.core.instant import Instant

EvseId = NewType("EvseId", int)
"""1 or 2; OCPP 1.6 calls it connector. 0 stands for the whole station where a message allows it."""
SessionId = NewType("SessionId", str)
"""A UUIDv7 in its usual text form."""
Wh = NewType("Wh", Decimal)
MilliAmp = NewType("MilliAmp", int)

STATION: EvseId = EvseId(0)


def billed(register: Wh) -> Wh:
    """Return a register as it is reported and billed: whole Wh, rounded down.

    Both ends of a session are rounded alike, so that sessions which follow each other chain without a gap, and station
    and central system have the same figures (this project, ADR 11).
    """
    return Wh(register.to_integral_value(ROUND_FLOOR))


@dataclass(frozen=True, slots=True)
class IdToken:
    """An identifier as it was presented: a card's UID in upper-case hex, or any text of a central system.

    Two tokens are the same when their ``key`` is (CiString, OCPP 1.6 ed. 2, section 7.15).
    """

    value: str

    @property
    def key(self) -> str:
        """The form to compare and to index by."""
        return self.value.upper()

    @property
    def masked(self) -> str:
        """The form for logs and screens: the last four characters."""
        return "*" * max(len(self.value) - 4, 0) + self.value[-4:]


class Profile(StrEnum):
    """Who pays for a card's sessions: the employer, or the driver alone (never reported)."""

    FLEET = "fleet"
    PRIVATE = "private"


class Pilot(StrEnum):
    """The control pilot's state (IEC 61851-1, annex A)."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"
    E = "E"
    F = "F"


class TokenStatus(StrEnum):
    """A central system's verdict about a token (OCPP 1.6 AuthorizationStatus)."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"


class StopReason(StrEnum):
    """Why a session ended (OCPP 1.6 ed. 2, section 7.36)."""

    DE_AUTHORIZED = "DeAuthorized"
    EMERGENCY_STOP = "EmergencyStop"
    EV_DISCONNECTED = "EVDisconnected"
    HARD_RESET = "HardReset"
    LOCAL = "Local"
    OTHER = "Other"
    POWER_LOSS = "PowerLoss"
    REBOOT = "Reboot"
    REMOTE = "Remote"
    SOFT_RESET = "SoftReset"
    UNLOCK_COMMAND = "UnlockCommand"


class ConnectorStatus(StrEnum):
    """What a connector shows (OCPP 1.6 ed. 2, section 7.7)."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


class ErrorCode(StrEnum):
    """What is wrong with a connector (OCPP 1.6 ed. 2, section 7.6)."""

    CONNECTOR_LOCK_FAILURE = "ConnectorLockFailure"
    EV_COMMUNICATION_ERROR = "EVCommunicationError"
    GROUND_FAILURE = "GroundFailure"
    HIGH_TEMPERATURE = "HighTemperature"
    INTERNAL_ERROR = "InternalError"
    LOCAL_LIST_CONFLICT = "LocalListConflict"
    NO_ERROR = "NoError"
    OTHER_ERROR = "OtherError"
    OVER_CURRENT_FAILURE = "OverCurrentFailure"
    OVER_VOLTAGE = "OverVoltage"
    POWER_METER_FAILURE = "PowerMeterFailure"
    POWER_SWITCH_FAILURE = "PowerSwitchFailure"
    READER_FAILURE = "ReaderFailure"
    RESET_FAILURE = "ResetFailure"
    UNDER_VOLTAGE = "UnderVoltage"
    WEAK_SIGNAL = "WeakSignal"


class ReadingContext(StrEnum):
    """Why a reading was taken (OCPP 1.6 ed. 2, section 7.32)."""

    BEGIN = "Transaction.Begin"
    END = "Transaction.End"
    PERIODIC = "Sample.Periodic"
    CLOCK = "Sample.Clock"
    TRIGGER = "Trigger"
    INTERRUPTION_BEGIN = "Interruption.Begin"
    INTERRUPTION_END = "Interruption.End"
    OTHER = "Other"


class Quality(StrEnum):
    """How the energy of a session came about; a session has one or more."""

    MEASURED = "measured"
    RECONSTRUCTED = "reconstructed"
    METER_GAP = "meter-gap"
    METER_CHANGED = "meter-changed"
    IMPLAUSIBLE = "implausible"


class Reporting(StrEnum):
    """Whether a session may leave the station, fixed when it begins (contract section 5)."""

    REPORT = "report"
    HOLD = "hold"
    LOCAL_ONLY = "local-only"


class Registration(StrEnum):
    """What the central system answered to BootNotification."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What a central system said of a token.

    expiry: from then on an accepted token counts as expired; None: no limit.
    group: parent id (OCPP 1.6 parentIdTag); None: not known.
    """

    status: TokenStatus
    expiry: Instant | None = None
    group: IdToken | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """One measurand of a reading.

    name: as in the meter definitions (``voltage_l1``, ``power_total``); SI units: V, A, W, Wh, Hz.
    """

    name: str
    number: Decimal


@dataclass(frozen=True, slots=True)
class Reading:
    """What a meter told in one poll.

    register: the non-resettable active import register; a reading without one does not exist.
    values: the other measurands; what the meter does not tell is absent, never 0.
    serial: the meter's serial number where it tells one.
    at: when the answer arrived.
    step: resolution of the register at its present height.
    """

    at: Instant
    register: Wh
    values: tuple[Value, ...] = ()
    serial: str | None = None
    step: Wh = Wh(Decimal(1))


@dataclass(frozen=True, slots=True)
class EvseReading:
    """What an EVSE controller told in one poll; None means not known, never zero or no.

    pilot: IEC 61851 state; offering: a current is offered by PWM; limit: commanded now, read back,
    0 while paused; faults: names of this project (``diode``, ``rcd``, ``contactor_weld``, …); plug: whether one is in
    the socket, None where the cable is fixed, or nobody can tell.
    """

    at: Instant
    pilot: Pilot | None
    connected: bool | None
    charging: bool | None
    offering: bool | None = None
    limit: MilliAmp | None = None
    faults: tuple[str, ...] = ()
    plug: bool | None = None
