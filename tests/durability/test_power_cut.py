"""Power cuts: a short sample of those that ``make durability`` makes, and that what must be noticed is noticed."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.runtime.possession import acquire
from tests.durability.cuts import Tally, plan_of, played, run
from tests.durability.disk import Data, Disk, Names
from tests.durability.life import Life, Plan, Weakness, last_world
from tests.durability.place import laid_out
from tests.durability.recorder import Recorder
from tests.durability.reference import Reference
from tests.durability.tape import Tape, Told
from tests.durability.verdict import Kind, Past, examine
from tests.durability.vfs import NoInstrument
from tests.durability.words import quiet

SEED = os.environ.get("WALLBOX_SEED", "1")
SAMPLE = 30
ENOUGH = 300
"""A weakness that was not noticed in so many trials is not noticed."""


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    with quiet():
        yield


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    try:
        recorder = Recorder()
    except NoInstrument as reason:
        pytest.skip(f"power cuts cannot be tried here: {reason}")
    with recorder.installed():
        yield recorder


def a_life(recorder: Recorder, seed: str = "a life") -> Life:
    return played(
        recorder, seed, Plan((("cloud", "charge", "deliver", "a_long_time", "leave", "deliver", "charge"),), ())
    )


def at_the_end(life: Life, root: Path) -> Past:
    """Lay out what a life leaves, and return what is known of it."""
    disk = Disk()
    disk.follow(life.tape.entries)
    laid_out(disk.image(Data.ALL, Names.ORDERED, random.Random(1)), root)
    with closing(Reference()) as reference:
        reference.follow(life.tape.told())
        return Past(list(life.tape.told()), reference.allowed(), last_world(life.tape), life.seed, life.ways)


def judged(root: Path, past: Past) -> list[Kind]:
    return [fault.kind for fault in asyncio.run(examine(root, past, random.Random(1)))]


@pytest.mark.usefixtures("recorder")
@pytest.mark.timeout(60)
def test_a_power_cut_anywhere_costs_nothing_that_was_acknowledged() -> None:
    tally = Tally()
    faults = list(run(tally, SEED, SAMPLE))
    assert faults == []
    assert tally.trials == SAMPLE


@pytest.mark.usefixtures("recorder")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("weakness", "noticed"),
    [
        (Weakness.OFF, {Kind.LOST, Kind.SHUT, Kind.POWER}),
        (Weakness.NORMAL, {Kind.LOST}),
        (Weakness.SPLIT, {Kind.HALF, Kind.SESSION}),
    ],
)
def test_a_weakened_ledger_is_noticed(weakness: Weakness, noticed: set[Kind]) -> None:
    tally = Tally()
    for _ in run(tally, SEED, ENOUGH, weakness):
        if noticed <= set(tally.kinds):
            return
    pytest.fail(f"{tally.trials} trials with {weakness} show {dict(tally.kinds)} only")


def test_the_same_seed_gives_the_same_tape_byte_for_byte(recorder: Recorder) -> None:
    one, other = (played(recorder, SEED, plan_of(SEED)).tape.entries for _ in range(2))
    assert [e for e in one if not isinstance(e, Told)] == [e for e in other if not isinstance(e, Told)]


def test_a_whole_ledger_is_whole(recorder: Recorder, tmp_path: Path) -> None:
    past = at_the_end(a_life(recorder), tmp_path / "end")
    assert judged(tmp_path / "end", past) == []


@pytest.mark.parametrize(
    ("sabotage", "kind"),
    [
        ("DELETE FROM slice WHERE kind = 'session'", Kind.SESSION),
        ("DELETE FROM slice WHERE kind = 'card'", Kind.HALF),
        ("UPDATE fact SET session_seq = 99 WHERE kind = 'session-ended'", Kind.HALF),
        ("UPDATE fact SET json = json_set(json, '$.seq', 7) WHERE kind = 'session-ended'", Kind.SESSION),
        ("UPDATE fact SET json = json_set(json, '$.register', '1') WHERE kind = 'session-ended'", Kind.REGISTER),
        ("UPDATE fact SET json = json_set(json, '$.register', '1000999') WHERE kind = 'session-ended'", Kind.REGISTER),
        ("UPDATE outbox SET text = replace(text, 'meter', 'Meter')", Kind.MESSAGE),
        ("UPDATE outbox SET message_id = 'another' WHERE rowid_ = 0", Kind.MESSAGE),
        ("UPDATE outbox SET state = 'held'", Kind.LANE),
        ("DELETE FROM outbox", Kind.MESSAGE),
        ("UPDATE outbox SET session = 'nobody'", Kind.CORRUPT),
        ("UPDATE fact SET schema = 99", Kind.SHUT),
        ("PRAGMA user_version = 99", Kind.SHUT),
    ],
)
def test_what_is_wrong_with_a_ledger_is_noticed(recorder: Recorder, tmp_path: Path, sabotage: str, kind: Kind) -> None:
    past = at_the_end(a_life(recorder), tmp_path / "end")
    first = "(destination, fact) IN (SELECT destination, fact FROM outbox LIMIT 1)"
    with closing(sqlite3.connect(tmp_path / "end" / "state" / LEDGER)) as connection:
        connection.execute(sabotage.replace("rowid_ = 0", first))
        connection.commit()
    assert kind in judged(tmp_path / "end", past)


def test_a_page_that_is_damaged_is_noticed(recorder: Recorder, tmp_path: Path) -> None:
    past = at_the_end(a_life(recorder), tmp_path / "end")
    ledger = tmp_path / "end" / "state" / LEDGER
    content = bytearray(ledger.read_bytes())
    content[3 * 4096 : 4 * 4096] = bytes(range(256)) * 16
    ledger.write_bytes(content)
    assert set(judged(tmp_path / "end", past)) & {Kind.CORRUPT, Kind.SHUT}


# --- the directory of the ledger ----------------------------------------------------------------------------------


def opened_directly(state_dir: Path) -> None:
    async def open_once() -> None:
        async with open_database(state_dir) as database:
            await SqliteJournal(database, ()).boot_number("boot-1")

    asyncio.run(open_once())


def opened_by_the_daemon(state_dir: Path) -> None:
    """Begin as the daemon does: the directory is made and locked before the ledger is opened in it."""
    with acquire(state_dir):
        opened_directly(state_dir)


@pytest.mark.parametrize(
    ("open_ledger", "place"),
    [
        (opened_directly, "state"),
        (opened_by_the_daemon, "state"),
        (opened_directly, "wallbox/state"),
    ],
)
def test_a_ledger_that_was_just_made_has_a_directory_after_a_power_cut(
    recorder: Recorder, tmp_path: Path, open_ledger: Callable[[Path], None], place: str
) -> None:
    tape, disk = Tape(), Disk()
    recorder.watch(tmp_path, tape)
    open_ledger(tmp_path / place)
    recorder.unwatch()
    disk.follow(tape.entries)
    for seed in range(20):
        assert f"{place}/{LEDGER}" in disk.image(Data.NONE, Names.STRICT, random.Random(seed))
