"""SIGKILL at every step: children charge on one ledger, each dies in the middle of it, and the next one goes on.

    python -m tests.durability.deaths [--trials N] [--seed S] [--split] [--until-found]

A fork server: interpreter, modules and instrument are there once, each child is a fork. Half of the children die at an
operation on the disk that chance picked (the instrument kills them before they do it, so every write and sync of a
commit is met in time), the others at any instant. What a child tells goes over a pipe; the parent believes the pipe and
judges a copy of the ledger. --split weakens the ledger on purpose (facts and state in two transactions), which must be
found. WALLBOX_TRIALS and WALLBOX_SEED are the defaults. Exit status 0 only without a fault, 3 where this build of
Python does not let its SQLite be recorded.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pickle
import random
import select
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from agent.core.commands import ChangeSetting, PutCard
from agent.core.model import Profile
from tests.durability.life import Driver, LifeFault, last_world, numbered, random_day, survived
from tests.durability.place import scratch
from tests.durability.process import Ways, process
from tests.durability.recorder import Recorder, contents
from tests.durability.reference import Reference
from tests.durability.tape import Entry, Tape, Told
from tests.durability.verdict import BROKEN, Fault, Past, examine
from tests.durability.vfs import NoInstrument
from tests.durability.words import quiet
from tests.durability.world import Done, Survived, downtime
from tests.unit.core.charger import PRIVATE

ONE_LEDGER: Final = 25
"""So many children go on with one ledger; looking at it takes longer the more it has."""
MOST_OPERATIONS: Final = 160
LONGEST_S: Final = 0.1
"""A child lives so long after its first word at most."""
LIVES_ON: Final = 4
"""Every so many trials the station also lives on with the copy, to the last message."""
STARTING_S: Final = 5.0
"""A child that says nothing for so long is killed."""
WORD: Final = 4
"""Bytes of a word's length on the pipe."""


class Wire(Tape):
    """A child's tape: words go to the parent at once; ``operations`` on the disk later, the child is dead."""

    def __init__(self, pipe: int, operations: int | None) -> None:
        super().__init__()
        self._pipe = pipe
        self._left = operations

    def note(self, entry: Entry) -> None:
        if isinstance(entry, Told):
            super().note(entry)
            word = pickle.dumps(entry.what)
            os.write(self._pipe, len(word).to_bytes(WORD, "big") + word)
            return
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Ledger:
    """One ledger, and what is known of it."""

    root: Path
    seed: str
    ways: Ways = Ways()
    tape: Tape = field(default_factory=Tape)
    reference: Reference = field(default_factory=Reference)

    def heard(self, words: list[object]) -> None:
        """Take what a child told."""
        self.tape.entries += [Told(word) for word in words]
        self.reference.follow(words)


@dataclass(slots=True)
class Tally:
    """What came of trials; units: of work that were acknowledged; under_way: so many died within one."""

    trials: int = 0
    bad: int = 0
    units: int = 0
    under_way: int = 0
    whole: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


async def _live(recorder: Recorder, ledger: Ledger, wire: Wire, chance: random.Random) -> None:
    """Charge for ever."""
    world = last_world(ledger.tape)
    world.pass_time(downtime(chance))
    wire.entries += ledger.tape.entries
    recorder.watch(ledger.root, wire)
    async with process(ledger.root, world, wire, ledger.seed, ledger.ways) as begun:
        driver = Driver(begun, chance, version=1 + len(ledger.tape))
        await begun.command(PutCard(PRIVATE, Profile.PRIVATE, name="my own"))
        await begun.command(ChangeSetting("allow_offline_unknown", value=True))
        while True:
            for name in random_day(chance, 100):
                await driver.act(name)


def _child(recorder: Recorder, ledger: Ledger, pipe: int, chance: random.Random) -> None:
    """Live, and die; never returns."""
    try:
        operations = chance.randint(1, MOST_OPERATIONS) if chance.random() < 0.5 else None
        recorder.vfs.seed(chance.getrandbits(32))
        with numbered(chance):
            asyncio.run(_live(recorder, ledger, Wire(pipe, operations), chance))
    except BaseException:  # noqa: BLE001  # a fork never returns into its parent's program
        traceback.print_exc()
    finally:
        os._exit(1)


def _heard(pipe: int, child: int, chance: random.Random) -> list[object]:
    """Return the words of a child up to its death, which comes soon after its first word if not by itself."""
    content, longest = bytearray(), chance.uniform(0, LONGEST_S)
    end: float | None = time.monotonic() + STARTING_S
    while True:
        wait = None if end is None else max(end - time.monotonic(), 0.0)
        ready, _, _ = select.select([pipe], [], [], wait)
        if end is not None and (not ready or time.monotonic() >= end):
            os.kill(child, signal.SIGKILL)  # not waited for yet, so the number is its own
            end = None
            continue
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return _words(bytes(content))
        if not content and end is not None:
            end = time.monotonic() + longest
        content += piece


def _words(content: bytes) -> list[object]:
    """Return whole words; a last one that the kill cut off says nothing."""
    words, at = list[object](), 0
    while at + WORD <= len(content):
        length = int.from_bytes(content[at : at + WORD], "big")
        if at + WORD + length > len(content):
            break
        words.append(pickle.loads(content[at + WORD : at + WORD + length]))  # noqa: S301  # of a fork of this process
        at += WORD + length
    return words


def _trial(recorder: Recorder, ledger: Ledger, chance: random.Random) -> list[object]:
    """Let a child live until it is killed; returns its words. Raises: LifeFault where it died of something else."""
    reading, writing = os.pipe()
    seed = chance.getrandbits(64)
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(recorder, ledger, writing, random.Random(seed))
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        words = _heard(pipe.fileno(), child, chance)
    _, status = os.waitpid(child, 0)
    ledger.heard(words)
    if not os.WIFSIGNALED(status):
        raise LifeFault("the child ended by itself: it met an error")
    return words


async def _judge(ledger: Ledger, chance: random.Random, *, lives_on: bool) -> list[Fault]:
    """Judge a copy, and take note of whether what was under way is in the ledger."""
    world = last_world(ledger.tape)
    world.pass_time(downtime(chance))
    past = Past(list(ledger.tape.told()), ledger.reference.allowed(), world, ledger.seed, ledger.ways)
    with TemporaryDirectory(dir=scratch()) as name:
        shutil.copytree(ledger.root, Path(name) / "copy")
        faults = await examine(Path(name) / "copy", past, chance, lives_on=lives_on)
    if not faults:
        ledger.heard([await _survived(ledger) if ledger.reference.under_way else Survived(0)])
    return faults


async def _survived(ledger: Ledger) -> Survived:
    """Tell how much of what was under way is in the ledger."""
    image: dict[str, bytes | None] = {"state": None} if (ledger.root / "state").exists() else {}
    return await survived({**image, **contents(ledger.root)}, ledger.reference)


def run(tally: Tally, seed: str, trials: int, *, split: bool = False) -> Iterator[str]:
    """Make trials, count them, and yield each line that is worth printing. Raises: NoInstrument."""
    recorder = Recorder()
    with recorder.installed(), TemporaryDirectory(dir=scratch()) as name:
        number = 0
        while tally.trials < trials:
            root = Path(name) / str(number)
            root.mkdir()
            with closing(Reference()) as reference:
                ledger = Ledger(root, f"{seed} {number}", Ways(split, number % 2 == 1), reference=reference)
                yield from _one_ledger(recorder, ledger, tally, trials)
            shutil.rmtree(root)
            number += 1


def _one_ledger(recorder: Recorder, ledger: Ledger, tally: Tally, trials: int) -> Iterator[str]:
    """Make trials with one ledger until it has had enough, or is at fault."""
    chance = random.Random(f"deaths {ledger.seed}")
    for place in range(min(ONE_LEDGER, trials - tally.trials)):
        tally.trials += 1
        try:
            words = _trial(recorder, ledger, chance)
            tally.units += sum(isinstance(word, Done) for word in words)
            under_way = ledger.reference.under_way
            faults = asyncio.run(_judge(ledger, chance, lives_on=tally.trials % LIVES_ON == 0))
        except BROKEN as error:
            tally.bad += 1
            yield f"ledger {ledger.seed}, child {place}: {type(error).__name__}: {error}"
            return
        tally.under_way += under_way
        tally.whole += under_way and ledger.tape.entries[-1] != Told(Survived(0))
        tally.bad += bool(faults)
        tally.kinds.update({fault.kind for fault in faults})
        yield from (f"ledger {ledger.seed}, child {place}: {fault.kind}: {fault.words}" for fault in faults)
        if faults:
            return


def main() -> int:
    """Make the trials that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=int(os.environ.get("WALLBOX_TRIALS", "1000")))
    parser.add_argument("--seed", default=os.environ.get("WALLBOX_SEED", "1"))
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--until-found", action="store_true", help="make no more trials after the first fault")
    options = parser.parse_args()
    began, tally = time.monotonic(), Tally()
    try:
        with quiet():
            for line in run(tally, options.seed, options.trials, split=options.split):
                sys.stdout.write(line + "\n")
                if options.until_found:
                    break
    except NoInstrument as reason:
        sys.stdout.write(f"kills at each step cannot be tried here: {reason}\n")
        return 3
    rate = tally.trials / (time.monotonic() - began)
    sys.stdout.write(
        f"kills: seed {options.seed}, {tally.trials} children, {rate:.1f} a second; {tally.units} units of work"
        f" acknowledged, {tally.under_way} deaths within one ({tally.whole} of those units were whole)\n"
        f"{tally.bad} at fault\n"
    )
    return 1 if tally.bad or not tally.units else 0


if __name__ == "__main__":
    sys.exit(main())
