"""What came in about security: from who keeps keys and certificates, and from the link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from agent.core.commands import CallRef, Outcome
from agent.core.security_model import SecurityEventKind


@dataclass(frozen=True, slots=True)
class Entrusted:
    """A command about security was carried out, or refused.

    kind: the security event that it is, None for none; info: in words, without secrets. reconnect: the password has
    changed, by which connections of profiles 1 and 2 are made.
    """

    call: CallRef
    outcome: Outcome
    kind: SecurityEventKind | None = None
    info: str | None = None
    reconnect: bool = False


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """A connection could not be opened with this security profile; kind: the event that it is, None for none."""

    profile: int
    kind: SecurityEventKind | None
    words: str


@dataclass(frozen=True, slots=True)
class SecurityNoticed:
    """Something of the whitepaper's list has happened."""

    kind: SecurityEventKind
    info: str | None = None


@dataclass(frozen=True, slots=True)
class RequestMade:
    """A key was made, and with it what is to be signed (PEM)."""

    csr: str


@dataclass(frozen=True, slots=True)
class RequestAnswered:
    """The central system took the request, or refused it; None: the answer cannot be used, or none came."""

    accepted: bool | None


@dataclass(frozen=True, slots=True)
class CertificateExpires:
    """The station's certificate expires within a month, or has: it is time for another one."""


@dataclass(frozen=True, slots=True)
class CertificateBegins:
    """A certificate that was taken earlier is valid from now on."""


SecurityNews: TypeAlias = (
    Entrusted | ConnectFailed | SecurityNoticed | RequestMade | RequestAnswered | CertificateExpires | CertificateBegins
)
