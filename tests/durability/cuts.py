"""Power cuts anywhere: lives are recorded, cut at any place under any model of the disk, and what is left is judged.

    python -m tests.durability.cuts [--trials N] [--seed S]
    python -m tests.durability.cuts --seed S --life L [--trial T [--keep DIRECTORY]] [--weakness W]

WALLBOX_TRIALS and WALLBOX_SEED are the defaults. The first form also makes trials with ledgers that were weakened on
purpose, which must be found at fault. The second form repeats the trials of one life, or one of them; --keep leaves a
new directory there, as the cut left the disk. Exit status 0 only where nothing is at fault but what was weakened, 3
where this build of Python does not let its SQLite be recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.durability.disk import Data, Disk, Names
from tests.durability.life import DAYS, End, Life, LifeFault, Plan, Player, Weakness, last_world
from tests.durability.place import laid_out, scratch
from tests.durability.recorder import Recorder
from tests.durability.reference import Reference
from tests.durability.tape import Created, DirectorySynced, Removed, Renamed, Tape, Told, Truncated, Written
from tests.durability.verdict import BROKEN, Fault, Kind, Past, examine
from tests.durability.vfs import NoInstrument
from tests.durability.words import quiet
from tests.durability.world import Stood, downtime

PER_LIFE: Final = 50
LOG: Final = "-wal"
SHARED: Final = "state/ledger.sqlite3-shm"


@dataclass(frozen=True, slots=True)
class Trial:
    """One cut: of which life, its number there, the place on the tape, and what the disk does."""

    life: int
    number: int
    place: int
    data: Data
    names: Names
    chance: random.Random

    def __str__(self) -> str:
        return f"life {self.life}, trial {self.number}: cut at {self.place}, {self.data}, names {self.names}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one trial; unsynced: the cut could take something away; under_way: it fell into a commit."""

    trial: Trial
    faults: Sequence[Fault]
    unsynced: bool
    under_way: bool

    def lines(self) -> list[str]:
        """Return each fault in words."""
        return [f"{self.trial}: {fault.kind}: {fault.words}" for fault in self.faults]


@dataclass(slots=True)
class Tally:
    """What came of trials; unsynced: so many cuts could take something away, under_way: so many fell into a commit."""

    trials: int = 0
    unsynced: int = 0
    under_way: int = 0
    lives: int = 0
    places: int = 0
    bad: int = 0
    kinds: Counter[Kind] = field(default_factory=Counter)
    by_model: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def take(self, result: Result) -> None:
        """Count a trial."""
        self.trials += 1
        self.unsynced += result.unsynced
        self.under_way += result.under_way
        self.bad += bool(result.faults)
        self.kinds.update({fault.kind for fault in result.faults})
        self.by_model[f"{result.trial.data}/{result.trial.names}", bool(result.faults)] += 1


def plan_of(seed: str, weakness: Weakness = Weakness.NONE) -> Plan:
    """Return what a life of this seed is made of."""
    chance = random.Random(f"plan {seed}")
    checkpoint = chance.choice([None, 8, 30, 100])
    if weakness is not Weakness.NONE:
        return Plan((25, 15), (End.ORDER,), checkpoint or 30, weakness)
    kind, copied = chance.random(), chance.random() < 0.5
    if kind < 0.25:
        return Plan((chance.choice(list(DAYS.values())), 10), (chance.choice(list(End)),), checkpoint, copied=copied)
    if kind < 0.3:
        return Plan((160,), (), copied=copied)  # long enough for the product's own checkpoint
    runs = chance.randint(1, 4)
    ends = tuple(chance.choice(list(End)) for _ in range(runs - 1))
    return Plan(tuple(chance.randint(5, 30) for _ in range(runs)), ends, checkpoint, copied=copied)


def trials_of(life: int, seed: str, tape: Tape, numbers: Sequence[int]) -> list[Trial]:
    """Return trials of a life, by the places of their cuts: anywhere, after a word, and where names or sizes change."""
    anywhere, words, rare = _places(tape)
    trials = []
    for number in numbers:
        chance = random.Random(f"trial {seed} {life} {number}")
        place = chance.choice(chance.choice([anywhere, words, rare]))
        trials.append(Trial(life, number, place, chance.choice(list(Data)), chance.choice(list(Names)), chance))
    return sorted(trials, key=lambda trial: trial.place)


def judged(life: Life, trials: Sequence[Trial], keep: Path | None = None) -> Iterator[Result]:
    """Make the trials of a life, in the order of their places."""
    disk, at = Disk(), 0
    with closing(Reference()) as reference:
        for trial in trials:
            disk.follow(life.tape.entries[at : trial.place])
            reference.follow(life.tape.told(at, trial.place))
            at = trial.place
            image = _image(disk, trial)
            if keep is not None:
                laid_out(image, keep)
            world = last_world(life.tape, trial.place)
            if trial.data is Data.ALL:
                world.pass_time(downtime(trial.chance))
            else:
                world.lose_power(downtime(trial.chance), clock=trial.chance.random() < 0.6)
            taken = disk.unsynced, reference.under_way
            past = Past(list(life.tape.told(0, trial.place)), reference.allowed(), world, life.seed, life.ways)
            with TemporaryDirectory(dir=scratch()) as name:
                laid_out(image, Path(name) / "cut")
                faults = asyncio.run(examine(Path(name) / "cut", past, trial.chance))
            yield Result(trial, faults, *taken)


def played(recorder: Recorder, seed: str, plan: Plan) -> Life:
    """Play a life. Raises: LifeFault where the ledger fails it already."""
    try:
        return asyncio.run(Player(recorder, plan, seed).play())
    except BROKEN as error:
        recorder.unwatch()
        raise LifeFault(f"{type(error).__name__}: {error}") from error


def run(tally: Tally, seed: str, trials: int, weakness: Weakness = Weakness.NONE) -> Iterator[str]:
    """Make trials, count them, and yield each line that is worth printing. Raises: NoInstrument."""
    recorder = Recorder()
    with recorder.installed():
        while tally.trials < trials:
            number = tally.lives
            tally.lives += 1
            try:
                life = played(recorder, f"{seed} {number}", plan_of(f"{seed} {number}", weakness))
            except LifeFault as failed:
                tally.trials += 1
                tally.bad += 1
                yield f"life {number}: {failed}"
                continue
            tally.places += sum(not isinstance(entry, Told) for entry in life.tape.entries)
            numbers = range(min(PER_LIFE, trials - tally.trials))
            for result in judged(life, trials_of(number, seed, life.tape, numbers)):
                tally.take(result)
                yield from result.lines()


def repeat(options: argparse.Namespace) -> Iterator[str]:
    """Make the trials of one life again, or one of them, and yield what came of each."""
    recorder, seed, number = Recorder(), options.seed, options.life
    with recorder.installed():
        life = played(recorder, f"{seed} {number}", plan_of(f"{seed} {number}", options.weakness))
        numbers = range(PER_LIFE) if options.trial is None else [options.trial]
        for result in judged(life, trials_of(number, seed, life.tape, numbers), options.keep):
            yield from result.lines() or [f"{result.trial}: nothing is wrong"]


def _places(tape: Tape) -> tuple[list[int], list[int], list[int]]:
    """Return the places after anything, after words that count, and around what is rare; each has at least one."""
    anywhere, words, rare = [0], [0], [0]
    for place, entry in enumerate(tape.entries, 1):
        if isinstance(entry, Told):
            if not isinstance(entry.what, Stood):
                words.append(place)
            continue
        anywhere.append(place)
        in_log = isinstance(entry, Written) and entry.path.endswith(LOG)
        if isinstance(entry, Created | DirectorySynced | Removed | Renamed | Truncated | Written) and not in_log:
            rare += [place - 1, place]
    return anywhere, words, rare


def _image(disk: Disk, trial: Trial) -> dict[str, bytes | None]:
    """Return the disk after the cut; the shared memory beside a log may be there too, with anything in it."""
    image = disk.image(trial.data, trial.names, trial.chance)
    if any(name.endswith(LOG) for name in image) and trial.chance.random() < 0.3:
        image[SHARED] = trial.chance.randbytes(trial.chance.choice([0, 3, 32768]))
    return image


def _report(tally: Tally, seconds: float) -> Iterator[str]:
    yield f"{tally.trials} cuts of {tally.lives} lives ({tally.places} places), {tally.trials / seconds:.1f} a second"
    yield f"  {tally.unsynced} where something was not synced, {tally.under_way} within a commit"
    models = sorted({model for model, _ in tally.by_model})
    for model in models:
        bad, good = tally.by_model[model, True], tally.by_model[model, False]
        yield f"  {model:16} {bad + good:6} cuts, {bad} at fault"
    for kind, count in tally.kinds.most_common():
        yield f"  {kind}: in {count}"
    yield f"{tally.bad} at fault"


def main() -> int:
    """Make the trials that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=int(os.environ.get("WALLBOX_TRIALS", "1000")))
    parser.add_argument("--seed", default=os.environ.get("WALLBOX_SEED", "1"))
    parser.add_argument("--weakness", type=Weakness, choices=list(Weakness), default=Weakness.NONE)
    parser.add_argument("--life", type=int)
    parser.add_argument("--trial", type=int)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    if options.keep is not None and (options.life is None or options.trial is None):
        parser.error("--keep is for one trial of one life")
    try:
        with quiet():
            if options.life is None:
                return _many(options.seed, options.trials)
            sys.stdout.writelines(line + "\n" for line in repeat(options))
            return 0
    except NoInstrument as reason:
        sys.stdout.write(f"power cuts cannot be tried here: {reason}\n")
        return 3


def _many(seed: str, trials: int) -> int:
    """Make so many trials, and fewer with each weakness; return the exit status."""
    began, tally = time.monotonic(), Tally()
    sys.stdout.write(f"power cuts: seed {seed}\n")
    for line in run(tally, seed, trials):
        sys.stdout.write(f"{line}\n  again: python -m tests.durability.cuts --seed {seed} --life {tally.lives - 1}\n")
        sys.stdout.flush()
    sys.stdout.writelines(line + "\n" for line in _report(tally, time.monotonic() - began))
    blind = [w for w in Weakness if w is not Weakness.NONE and not _control(seed, trials, w)]
    return 1 if tally.bad or not tally.trials or blind else 0


def _control(seed: str, trials: int, weakness: Weakness) -> bool:
    """Make trials with a weakened ledger; returns whether that was noticed."""
    tally = Tally()
    deque(run(tally, seed, max(trials // 20, 2 * PER_LIFE), weakness), maxlen=0)
    kinds = ", ".join(f"{kind} {count}" for kind, count in tally.kinds.most_common())
    verdict = kinds or "NOT NOTICED: the instrument is blind"
    sys.stdout.write(f"weakened on purpose, {weakness}: {tally.bad} of {tally.trials} at fault ({verdict})\n")
    return bool(tally.bad)


if __name__ == "__main__":
    sys.exit(main())
