"""SIGKILL at random instants: what was acknowledged is there whole, once, and the lanes agree with it.

WALLBOX_TRIALS sets the number of trials, WALLBOX_SEED their instants.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TRIALS = int(os.environ.get("WALLBOX_TRIALS", "10"))
SEED = os.environ.get("WALLBOX_SEED", "1")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(30 + TRIALS)
def test_a_killed_process_loses_doubles_and_invents_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.durability.trials", str(tmp_path / "state"), str(TRIALS), SEED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=25 + TRIALS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
