"""Hostile frames: the process lives, answers what is proper, and needs no more memory; `make fuzz` sends 100 000."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.conformance.fuzz import CORPUS, FRAMES, JSON, Target

COUNT: Final = int(os.environ.get("WALLBOX_FRAMES", "1500"))
ROUND: Final = 1500
BATCH: Final = 25
GROWTH_KB: Final = 12_000
"""What caches and the allocator may still take once everything was used before."""


@pytest.mark.timeout(max(60, COUNT // 20))
def test_hostile_frames_neither_end_the_process_nor_grow_it(tmp_path: Path) -> None:
    sizes: list[int] = []
    sent = 0
    with Target(tmp_path).running() as target:
        target.suffer([*CORPUS, "[" * 100_000, "x" * 2**20, f'[2,"1","Foo",{{"x":"{"y" * 2**20}"}}]'])

        @settings(
            max_examples=ROUND // BATCH,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(FRAMES, min_size=BATCH, max_size=BATCH), JSON)
        def hostile(frames: list[str | bytes], answer: Any) -> None:  # noqa: ANN401  # JSON
            nonlocal sent
            target.junk = [*target.junk[-20:], answer]
            target.suffer(frames)
            sent += len(frames)
            sizes.append(target.rss_kb)

        for number in range(-(-COUNT // ROUND)):  # hypothesis remembers all that it has made in a round
            seed(number)(hostile)()
        assert sent >= COUNT
        warm = sizes[len(sizes) // 4]
        assert sizes[-1] - warm < GROWTH_KB, f"{warm} kB after a quarter, {sizes[-1]} kB at the end"
        print(f"{sent} frames, {target.connections} connections, {sizes[0]} to {sizes[-1]} kB")  # noqa: T201  # with -s
    log = (tmp_path / "agent.log").read_text("utf-8")
    assert "Traceback" not in log
    assert target.process.returncode == 0
