"""The error tree: every failure has a type and an addressee."""

from __future__ import annotations

from agent.core.security_model import SecurityEventKind


class AgentError(Exception):
    """Base of all errors that this program raises on purpose."""


class ConfigError(AgentError):
    """The installer must act: one line per problem, each with key, value and remedy."""

    def __init__(self, *problems: str) -> None:
        """Keep the problems as they shall be printed."""
        super().__init__("; ".join(problems))
        self.problems = problems


class DeviceError(AgentError):
    """A device on the wall failed; the text says which, where and what to check."""


class MeterTimeout(DeviceError):
    """No answer from the meter in time: line, baud rate, parity, address or power."""


class MeterCorrupt(DeviceError):
    """The meter answered, but not with what was asked for, or with nothing usable."""


class ReaderLost(DeviceError):
    """The card reader's port is not there or broke."""


class EvseFault(DeviceError):
    """The EVSE controller does not answer, refuses, or answers nonsense."""


class LinkError(AgentError):
    """The central system is unreachable or misbehaves."""


class LinkLost(LinkError):
    """The connection ended, or could not be opened; what was under way is sent again on the next one.

    kind: the security event that it is, None for none.
    """

    def __init__(self, words: str, kind: SecurityEventKind | None = None) -> None:
        """Keep the words for an installer."""
        super().__init__(words)
        self.kind = kind


class PeerViolation(LinkError):
    """The central system broke the protocol in a way that cannot be repaired."""


class RpcError(AgentError):
    """An OCPP CALLERROR, ours or theirs.

    code: as the specification of the version at hand spells it; description: at most 255 characters;
    details: never holds a secret.
    """

    def __init__(self, code: str, description: str = "", details: dict[str, object] | None = None) -> None:
        """Keep the three parts of the frame."""
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description[:255]
        self.details = details or {}


class InstallFailed(AgentError):
    """Firmware cannot be installed; faulty: it could be, and does not work. What runs is as it was."""

    def __init__(self, words: str, *, faulty: bool = False) -> None:
        """Keep what an installer needs to know."""
        super().__init__(words)
        self.faulty = faulty


class JournalError(AgentError):
    """The ledger cannot be written; charging must not start."""


class JournalFull(JournalError):
    """No space is left for the ledger, or its file system is read-only."""


class JournalCorrupt(JournalError):
    """The ledger's file is damaged or was written by a newer release."""
