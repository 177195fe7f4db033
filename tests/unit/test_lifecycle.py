"""The safety net of conftest.py: a test in which something died unseen fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

CONFTEST: Final = Path(__file__).resolve().parents[1] / "conftest.py"
CONFIGURATION: Final = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
TESTS: Final = """
import asyncio
import pytest

async def die():
    raise RuntimeError("nobody looks")

async def test_a_task_of_the_test():
    task = asyncio.create_task(die())
    await asyncio.sleep(0.01)

async def test_a_task_held_in_a_cycle():
    task = asyncio.create_task(die())
    task.add_done_callback(lambda _: task)
    await asyncio.sleep(0.01)

@pytest.fixture
async def service():
    return asyncio.create_task(die())

async def test_a_task_that_a_fixture_holds(service):
    await asyncio.sleep(0.01)

def test_a_task_of_a_loop_that_says_nothing():
    async def run():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        task = asyncio.create_task(die())
        await asyncio.sleep(0.01)
    asyncio.run(run())

async def test_a_callback():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)

async def test_a_failure_that_is_awaited():
    with pytest.raises(RuntimeError):
        await asyncio.create_task(die())

async def test_a_task_that_ends_with_the_test():
    task = asyncio.create_task(asyncio.sleep(100))
    await asyncio.sleep(0.01)
"""


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Run TESTS in a pytest of their own; return the names of those that passed, and were refused afterwards."""
    folder = tmp_path_factory.mktemp("lifecycle")
    shutil.copy(CONFTEST, folder)
    (folder / "pytest.ini").write_text(CONFIGURATION)
    (folder / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-rE", "-p", "no:cacheprovider", str(folder)]
    wide = {**os.environ, "COLUMNS": "200"}
    run = subprocess.run(command, cwd=folder, env=wide, check=False, capture_output=True, text=True, timeout=20)
    assert "7 passed, 5 errors" in run.stdout, run.stdout + run.stderr
    return frozenset(re.findall(r"^ERROR test_it\.py::test_(\w+) - Failed: died unseen", run.stdout, re.MULTILINE))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "what",
    [
        "a_task_of_the_test",
        "a_task_held_in_a_cycle",
        "a_task_that_a_fixture_holds",
        "a_task_of_a_loop_that_says_nothing",
        "a_callback",
    ],
)
def test_what_dies_unseen_fails_its_own_test(what: str, refused: frozenset[str]) -> None:
    assert what in refused


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", ["a_failure_that_is_awaited", "a_task_that_ends_with_the_test"])
def test_what_somebody_looks_at_fails_nothing(what: str, refused: frozenset[str]) -> None:
    assert what not in refused
