"""What reaches the ledger's files: bytes and syncs of an hour and of a session, counted where SQLite writes.

Counted is what is handed to the operating system, not what a card makes of it; what is assumed of cards is written down
with ``life_years``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.simulated import Simulated, simulated
from tests.durability.recorder import Recorder
from tests.durability.tape import DirectorySynced, Entry, Synced, Tape, Written

Work: TypeAlias = Callable[[Simulated], Awaitable[None]]

PAGE: Final = 4096
HOUR_S: Final = 3600
SESSION_S: Final = 133 * 60
"""A session of the ten years' history: two hours and a quarter."""


@dataclass(slots=True)
class Wear:
    """What was done to the files; commits: syncs of the write-ahead log."""

    written: int = 0
    syncs: int = 0
    commits: int = 0


class Counter(Tape):
    """Counts what is done instead of keeping it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.wear = Wear()

    def note(self, entry: Entry) -> None:
        """Count an operation."""
        match entry:
            case Written(_, _, content):
                self.wear.written += len(content)
            case Synced(path):
                self.wear.syncs += 1
                self.wear.commits += path.endswith("-wal")
            case DirectorySynced():
                self.wear.syncs += 1
            case _:
                pass


async def wear_of(state_dir: Path, what: Work, before: Work) -> Wear:
    """Return what something costs on a ledger, after something that does not count."""
    recorder, counter = Recorder(), Counter()
    with recorder.installed():
        recorder.watch(state_dir, counter)
        async with simulated(state_dir) as station:
            await before(station)
            counter.wear = Wear()
            await what(station)
            return replace(counter.wear)  # as it is now: the end of the process writes too


#: A card of 16 GB whose cells bear 500 erasures: the least that is sold as new (three bits a cell, no makers' promise).
CARD_GB: Final = 16
ERASURES: Final = 500
#: Cells are written in pages of 16 KiB. A sync wears half a page (the rest of the last), and one for the file system.
FLASH_PAGE: Final = 16_384
PAGES_A_SYNC: Final = 1.5
#: What small writes all over a card cost in its inside: it erases blocks of megabytes, and copies what else is in them.
AMPLIFICATION: Final = 10
SESSIONS_A_DAY: Final = 15_000 / 3652


def life_years(session: Wear, idle_hour: Wear) -> float:
    """Return for how many years a card bears the ledger, at as many sessions a day as the history has."""
    a_day = SESSIONS_A_DAY * worn(session) + 24 * worn(idle_hour)
    return CARD_GB * 1e9 * ERASURES / (a_day * 365.25)


def worn(counted: Wear) -> float:
    """Return the bytes of flash that something wears."""
    pages = counted.written / FLASH_PAGE + PAGES_A_SYNC * counted.syncs
    return pages * FLASH_PAGE * AMPLIFICATION
