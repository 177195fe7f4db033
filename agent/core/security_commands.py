"""Commands about passwords and certificates; what they need is on disk, so that another part carries them out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from agent.core.security_model import CertificateHash, CertificateUse


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Use another password at the central system (the key AuthorizationKey); password: the bytes that are sent."""

    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForgetPassword:
    """Use the configuration file's password again."""


@dataclass(frozen=True, slots=True)
class InstallCertificate:
    """Trust a root certificate (PEM)."""

    use: CertificateUse
    pem: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeleteCertificate:
    """Trust an installed root no longer; the result is NOT_FOUND for an unknown one, FAILED for one in use."""

    named: CertificateHash


@dataclass(frozen=True, slots=True)
class GetCertificates:
    """Tell the installed roots of one use; ``Outcome.certificates`` carries them, NOT_FOUND without any."""

    use: CertificateUse


@dataclass(frozen=True, slots=True)
class TakeCertificate:
    """Use the station's certificate that was signed on its request; chain: PEM, its own certificate first."""

    chain: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RequestCertificate:
    """Make a new key and ask for a certificate; REJECTED while no name of the operator (CpoName) is known."""


SecurityCommand: TypeAlias = (
    ChangePassword
    | ForgetPassword
    | InstallCertificate
    | DeleteCertificate
    | GetCertificates
    | TakeCertificate
    | RequestCertificate
)
