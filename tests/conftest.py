"""What holds for every test: hypothesis profiles, and no asyncio task may die unseen."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# The time-out of the test bounds an example; a slow machine is no fault of a test.
settings.register_profile("ci", max_examples=100, derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("dev", settings.get_profile("ci"), derandomize=False)
settings.register_profile(
    "deep", settings.get_profile("dev"), max_examples=5_000, suppress_health_check=list(HealthCheck)
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

UNSEEN = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Note what event loops have to report because nobody awaited it.

    Wraps the method that every loop reports with, so that neither a handler nor the logging of the code under test can
    hide it.
    """
    unseen = config.stash[UNSEEN] = []
    report = asyncio.BaseEventLoop.call_exception_handler

    def remember(loop: asyncio.BaseEventLoop, context: dict[str, Any]) -> None:
        unseen.append(f"{context.get('message')}: {context.get('exception')!r}")
        report(loop, context)

    patch = pytest.MonkeyPatch()
    patch.setattr(asyncio.BaseEventLoop, "call_exception_handler", remember)
    config.add_cleanup(patch.undo)


def pytest_collection_finish() -> None:
    """Set aside all that the imports made, so that collecting the garbage of a test costs next to nothing."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _forgotten_resources_belong_to_their_test() -> Iterator[None]:
    yield
    gc.collect()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Fail the test in which a task died unseen, be it held by a fixture's value to the end."""
    yield
    if isinstance(item, pytest.Function):
        item.funcargs.clear()
    gc.collect()
    unseen = item.config.stash[UNSEEN]
    if unseen:
        reports = "; ".join(unseen)
        unseen.clear()
        pytest.fail(f"died unseen: {reports}", pytrace=False)
