"""The error tree: who is addressed, and what an error carries."""

from __future__ import annotations

import pytest

from agent.core.errors import (
    AgentError,
    ConfigError,
    DeviceError,
    EvseFault,
    JournalCorrupt,
    JournalError,
    JournalFull,
    LinkError,
    LinkLost,
    MeterCorrupt,
    MeterTimeout,
    PeerViolation,
    ReaderLost,
    RpcError,
)


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (MeterTimeout, DeviceError),
        (MeterCorrupt, DeviceError),
        (ReaderLost, DeviceError),
        (EvseFault, DeviceError),
        (LinkLost, LinkError),
        (PeerViolation, LinkError),
        (JournalFull, JournalError),
        (JournalCorrupt, JournalError),
        (DeviceError, AgentError),
        (LinkError, AgentError),
        (JournalError, AgentError),
        (ConfigError, AgentError),
        (RpcError, AgentError),
    ],
)
def test_every_failure_has_its_addressee(kind: type[Exception], parent: type[Exception]) -> None:
    assert issubclass(kind, parent)


def test_a_configuration_error_carries_all_problems() -> None:
    error = ConfigError("a: is missing", "b: is not a number")
    assert error.problems == ("a: is missing", "b: is not a number")
    assert str(error) == "a: is missing; b: is not a number"


def test_an_rpc_error_carries_the_parts_of_its_frame() -> None:
    error = RpcError("InternalError", "x" * 300, {"at": 1})
    assert (error.code, error.description, error.details) == ("InternalError", "x" * 255, {"at": 1})
    assert str(RpcError("NotImplemented")) == "NotImplemented"
    assert RpcError("NotImplemented").details == {}
