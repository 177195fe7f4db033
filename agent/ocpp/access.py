"""How a central system is reached with a security profile: what changes while the process runs, and who is told."""

from __future__ import annotations

from typing import Protocol

from agent.core.security_model import SecurityEventKind
from agent.ocpp.link import Endpoint


class Access(Protocol):
    """Knows address, password and certificates."""

    def endpoint(self, profile: int) -> Endpoint:
        """Return where and with what to connect now. Raises: ConfigError."""
        ...

    def connected(self, chain: tuple[bytes, ...]) -> None:
        """Take that a connection stands; chain: the server's certificates as verified (DER), empty without TLS."""
        ...

    def failed(self, kind: SecurityEventKind | None) -> None:
        """Take that none could be opened; kind: the security event that it is."""
        ...


class FixedAccess:
    """One address and one set of credentials, whatever the profile."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Always return this one."""
        self._endpoint = endpoint

    def endpoint(self, profile: int) -> Endpoint:  # noqa: ARG002  # the protocol's
        """Return the only one."""
        return self._endpoint

    def connected(self, chain: tuple[bytes, ...]) -> None:
        """Nothing follows from it."""

    def failed(self, kind: SecurityEventKind | None) -> None:
        """Nothing follows from it."""
