"""A ledger that a power cut or a kill left is sound: the look that every start takes must not call it damaged.

What looks strange then is right: a file shorter than its first page says (a checkpoint under way: the log has the
rest), a hot rollback journal and half a first page (the ledger is being made), no tables yet. SQLite puts all of it
right when the ledger is opened for writing, which the other trials show for the same cuts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.core.errors import AgentError
from tests.durability.cuts import plan_of, played, trials_of
from tests.durability.disk import Disk
from tests.durability.place import laid_out, scratch
from tests.durability.recorder import Recorder
from tests.durability.vfs import NoInstrument
from tests.durability.words import quiet

looks = pytest.importorskip("agent.buffer.examine")
LIVES = 3
CUTS = 60


@contextmanager
def recording() -> Iterator[Recorder]:
    try:
        recorder = Recorder()
    except NoInstrument as reason:
        pytest.skip(f"power cuts cannot be tried here: {reason}")
    with quiet(), recorder.installed():
        yield recorder


def alarm(image: dict[str, bytes | None]) -> str | None:
    """Return what the look at the start says of a disk; None where it finds nothing wrong, or no directory yet."""
    if "state" not in image:
        return None
    with TemporaryDirectory(dir=scratch()) as name:
        laid_out(image, Path(name) / "cut")
        try:
            damage: str | None = looks.examine(Path(name) / "cut" / "state").damage
        except AgentError as error:
            return str(error)
    return damage


@pytest.mark.timeout(60)
def test_no_power_cut_is_taken_for_damage() -> None:
    alarms = []
    with recording() as recorder:
        for number in range(LIVES):
            life = played(recorder, f"1 {number}", replace(plan_of(f"1 {number}"), copied=True, checkpoint=8))
            disk, at = Disk(), 0
            for trial in trials_of(number, "1", life.tape, range(CUTS)):
                disk.follow(life.tape.entries[at : trial.place])
                at = trial.place
                words = alarm(disk.image(trial.data, trial.names, trial.chance))
                alarms += [f"{trial}: {words}"] if words is not None else []
    assert alarms == [], "\n".join(alarms)
