"""The rig as a fixture, and the rules that every conformance case has to keep."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from pathlib import Path

import pytest

from tests.conformance.rig import Rig

RIG = pytest.StashKey[Rig]()


@pytest.fixture
async def rig(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A station on the bench; it is not started yet."""
    whole = Rig(tmp_path)
    request.node.stash[RIG] = whole
    yield whole
    await whole.silence()
    await whole.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a case whose frames break a rule, in the test itself so that an expected failure covers it."""
    yield
    whole = item.stash.get(RIG, None)
    if whole is not None:
        faults = whole.faults()
        assert not faults, "\n".join((*faults, whole.csms.transcript()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Let go of the rig, so that what it forgot belongs to its test."""
    yield
    if RIG in item.stash:
        del item.stash[RIG]
