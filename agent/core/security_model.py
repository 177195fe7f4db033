"""Security of the link to the central system, as the core knows it: events, the profile in force, certificates by hash.

Source: Improved security for OCPP 1.6-J, ed. 3, sections 5, 6 and 8.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SecurityEventKind(StrEnum):
    """The whitepaper's security events (section 8)."""

    FIRMWARE_UPDATED = "FirmwareUpdated"
    FAILED_TO_AUTHENTICATE = "FailedToAuthenticateAtCentralSystem"
    CENTRAL_SYSTEM_FAILED = "CentralSystemFailedToAuthenticate"
    SETTING_SYSTEM_TIME = "SettingSystemTime"
    STARTUP = "StartupOfTheDevice"
    RESET_OR_REBOOT = "ResetOrReboot"
    LOG_CLEARED = "SecurityLogWasCleared"
    RECONFIGURATION = "ReconfigurationOfSecurityParameters"
    MEMORY_EXHAUSTION = "MemoryExhaustion"
    INVALID_MESSAGES = "InvalidMessages"
    REPLAY = "AttemptedReplayAttacks"
    TAMPER = "TamperDetectionActivated"
    INVALID_FIRMWARE_SIGNATURE = "InvalidFirmwareSignature"
    INVALID_SIGNING_CERTIFICATE = "InvalidFirmwareSigningCertificate"
    INVALID_CENTRAL_SYSTEM_CERTIFICATE = "InvalidCentralSystemCertificate"
    INVALID_CHARGE_POINT_CERTIFICATE = "InvalidChargePointCertificate"
    INVALID_TLS_VERSION = "InvalidTLSVersion"
    INVALID_TLS_CIPHER_SUITE = "InvalidTLSCipherSuite"


DAILY: Final = frozenset(
    {
        SecurityEventKind.FAILED_TO_AUTHENTICATE,
        SecurityEventKind.SETTING_SYSTEM_TIME,
        SecurityEventKind.STARTUP,
        SecurityEventKind.RESET_OR_REBOOT,
        SecurityEventKind.MEMORY_EXHAUSTION,
        SecurityEventKind.INVALID_MESSAGES,
        SecurityEventKind.REPLAY,
        SecurityEventKind.TAMPER,
    }
)
"""What happens at any station: with security profile 0 it stays in the log, as nobody there need know the extension.

The others follow something that only a central system with the extension can begin (ADR 24).
"""


class CertificateUse(StrEnum):
    """What an installed root is for, in the whitepaper's words."""

    CENTRAL_SYSTEM = "CentralSystemRootCertificate"
    MANUFACTURER = "ManufacturerRootCertificate"


@dataclass(frozen=True, slots=True)
class CertificateHash:
    """What names an installed certificate, as in OCSP.

    algorithm: SHA256, SHA384 or SHA512; issuer_name, issuer_key, serial: lower-case hex, the serial number without
    leading zeros.
    """

    algorithm: str
    issuer_name: str
    issuer_key: str
    serial: str


@dataclass(frozen=True, slots=True)
class Security:
    """Durable; fallback: the profile that held before, until the new one has connected once, None otherwise."""

    fallback: int | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    """What the link has shown since it was good last: failures of a new profile, and the kinds of events told of."""

    failures: int = 0
    told: frozenset[SecurityEventKind] = frozenset()


@dataclass(frozen=True, slots=True)
class SecurityView:
    """What there is to connect with; root: one for central systems; certificate: the station's own, with its key.

    additional_check: another root must be signed by the present one.
    """

    password: bool = False
    root: bool = False
    certificate: bool = False
    additional_check: bool = False
