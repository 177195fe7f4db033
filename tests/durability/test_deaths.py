"""SIGKILL at each step of a commit: a short sample of what ``make durability`` does, and that it can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEED = os.environ.get("WALLBOX_SEED", "1")
ROOT = Path(__file__).resolve().parents[2]
NO_INSTRUMENT = 3


def deaths(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.durability.deaths", "--seed", SEED, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    if done.returncode == NO_INSTRUMENT:
        pytest.skip(done.stdout)
    return done


@pytest.mark.timeout(120)
def test_a_process_that_is_killed_at_any_step_loses_doubles_and_invents_nothing() -> None:
    done = deaths("--trials", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 at fault" in done.stdout


@pytest.mark.timeout(120)
def test_a_commit_in_two_transactions_is_found_by_kills() -> None:
    done = deaths("--trials", "200", "--split", "--until-found")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not as it ever was" in done.stdout
