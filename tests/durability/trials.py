"""Kill trials on one ledger: a child commits scripted sessions and empties its lane, and is killed at a random instant.

    python -m tests.durability.trials STATE_DIR TRIALS SEED

The child tells over a pipe what it is about to do and what the ledger has acknowledged; the parent believes the pipe
and compares the ledger with it. Prints each fault; exit status 0 only where there is none. The interpreter and its
modules are loaded once: each child is a fork.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from agent.buffer.file import LEDGER
from agent.buffer.slices import SLICES, assembled
from agent.core.facts import Fact
from agent.core.model import EvseId, Profile, Reporting
from agent.core.state import IdSource
from tests.unit.buffer.scripted import EMPTY, Ledger, at, ended, opened, running, sampled, started

ONE_LEDGER = 50
"""So many trials go on with one ledger; its verification grows with it."""
MOST_WORDS = 40
"""A child is killed after so many words at most, whatever the speed of the disk,"""
DELAY_S = 0.004
"""and so long after them at most, which is a few commits: at any instant within one."""
FATES = (Reporting.REPORT, Reporting.REPORT, Reporting.HOLD, Reporting.LOCAL_ONLY)


ROWS: dict[str, str | None] = {"local-only": None, "hold": "held", "report": "queued"}
"""What a session may do -> state of the row of a fact that was not sent yet."""


@dataclass
class Told:
    """What the children have told, over all trials.

    committed: facts that the ledger acknowledged; tried: also those whose commit was under way at the kill;
    taken: rows whose confirmation was acknowledged; taking: also those under way; texts: frames acknowledged as kept.
    """

    committed: set[tuple[str, int]] = field(default_factory=set)
    tried: set[tuple[str, int]] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    taking: set[int] = field(default_factory=set)
    texts: dict[int, str] = field(default_factory=dict)

    def hear(self, lines: list[str]) -> None:
        """Take a child's words; a last line that the kill cut off says nothing."""
        for line in lines:
            what, value = json.loads(line)
            match what:
                case "commit":
                    self.tried |= {(session, seq) for session, seq in value}
                case "committed":
                    self.committed |= {(session, seq) for session, seq in value}
                case "sent":
                    self.texts[value[0]] = value[1]
                case "take":
                    self.taking.add(value)
                case "taken":
                    self.taken.add(value)


class Child:
    """The scripted station: sessions on two EVSEs, and a central system that takes what it gets."""

    def __init__(self, ledger: Ledger, pipe: int, chance: random.Random) -> None:
        self._ledger = ledger
        self._pipe = pipe
        self._chance = chance

    def tell(self, what: str, value: object) -> None:
        os.write(self._pipe, (json.dumps([what, value]) + "\n").encode())

    async def charge(self) -> None:
        """Start, sample and end sessions for ever, from what the ledger says."""
        slices = await self._ledger.journal.load() or replace(EMPTY, ids=IdSource("seed", 0))
        self.tell("open", len(slices.sessions))
        while True:
            evse = EvseId(self._chance.randint(1, 2))
            session = slices.sessions.get(evse)
            others = {k: s for k, s in slices.sessions.items() if k != evse}
            facts: tuple[Fact, ...]
            if session is None:
                reporting = self._chance.choice(FATES)
                private = Profile.PRIVATE if reporting is Reporting.LOCAL_ONLY else Profile.FLEET
                name = f"s{slices.ids.counter:06}"
                start = started(name, evse=evse, reporting=reporting, profile=private, company_code="ACME")
                ids = IdSource("seed", slices.ids.counter + 1)
                slices = replace(slices, sessions={**others, evse: running(start)}, ids=ids)
                facts = (start,)
            elif self._chance.random() < 0.4:
                slices = replace(slices, sessions=others)
                facts = (sampled(session.id, session.seq), ended(session.id, session.seq + 1))
            else:
                slices = replace(slices, sessions={**others, evse: replace(session, seq=session.seq + 1)})
                facts = (sampled(session.id, session.seq),)
            names = [(fact.session, fact.seq) for fact in facts if hasattr(fact, "seq")]
            self.tell("commit", names)
            await self._ledger.journal.commit(slices, facts, at(100))
            self.tell("committed", names)

    async def report(self) -> None:
        """Send and confirm the head of the lane for ever."""
        while True:
            rows = await self._ledger.outbox.rows(1)
            for row in rows:
                text = row.text or json.dumps([2, row.message.message_id])
                await self._ledger.outbox.sending([(row.message.row, text)])
                self.tell("sent", (row.message.row, text))
                self.tell("take", row.message.row)
                await self._ledger.acknowledge_head(row.message.row)
                self.tell("taken", row.message.row)
            await asyncio.sleep(0)


async def _live(state_dir: Path, pipe: int, chance: random.Random) -> None:
    async with opened(state_dir) as ledger:
        child = Child(ledger, pipe, chance)
        await asyncio.gather(child.charge(), child.report())


def _trial(state_dir: Path, chance: random.Random, told: Told) -> None:
    """Let a child live for a random time, kill it, and take its words."""
    reading, writing = os.pipe()
    seed, count, delay = chance.getrandbits(32), chance.randint(1, MOST_WORDS), chance.uniform(0, DELAY_S)
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_live(state_dir, writing, random.Random(seed)))
        except BaseException:  # noqa: BLE001  # a fork never returns into its parent's program
            traceback.print_exc()
        os._exit(1)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as words:
        heard = [words.readline() for _ in range(count)]
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)  # not waited for yet, so the number is its own
        heard += words
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise AssertionError("the child ended by itself: it met an error")
    told.hear([line for line in heard if line.endswith("\n")])


def _faults(state_dir: Path, told: Told) -> Iterator[str]:
    """Compare the ledger with what was told."""
    connection = sqlite3.connect(state_dir / LEDGER)
    connection.row_factory = sqlite3.Row
    with contextlib.closing(connection):
        for (result,) in connection.execute("PRAGMA integrity_check"):
            if result != "ok":
                yield f"integrity: {result}"
        if list(connection.execute("PRAGMA foreign_key_check")):
            yield "a row refers to nothing"
        facts = [(row["session"], row["session_seq"]) for row in connection.execute("SELECT * FROM fact ORDER BY seq")]
        yield from _fact_faults(facts, told)
        yield from _session_faults(connection, facts)
        yield from _lane_faults(connection, told)


def _fact_faults(facts: list[tuple[str, int]], told: Told) -> Iterator[str]:
    if missing := told.committed - set(facts):
        yield f"acknowledged but lost: {sorted(missing)}"
    if invented := set(facts) - told.tried:
        yield f"never committed but there: {sorted(invented)}"
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for session, seq in facts:
        numbers[session].append(seq)
    for session, found in numbers.items():
        if found != list(range(len(found))):
            yield f"{session}: numbers {found}"


def _session_faults(connection: sqlite3.Connection, facts: list[tuple[str, int]]) -> Iterator[str]:
    """State, sessions and facts tell the same story."""
    names = {session for session, _ in facts}
    rows = list(connection.execute("SELECT id, end_fact FROM session"))
    if sorted(row["id"] for row in rows) != sorted(names):
        yield f"{len(rows)} sessions, starts of {len(names)}"
    for kind in ("session-started", "session-ended"):
        counted = connection.execute("SELECT session, count(*) FROM fact WHERE kind = ? GROUP BY session", (kind,))
        if twice := [session for session, count in counted if count != 1]:
            yield f"{kind} twice: {twice}"
    slices = assembled(connection.execute(SLICES))
    running_now = {} if slices is None else {s.id: s.seq for s in slices.sessions.values()}
    without_end = {row["id"]: sum(f[0] == row["id"] for f in facts) for row in rows if row["end_fact"] is None}
    if running_now != without_end:
        yield f"state has {running_now} running, facts have {without_end}"


def _lane_faults(connection: sqlite3.Connection, told: Told) -> Iterator[str]:
    """Each fact of a session has the row it must have, and what was taken is gone."""
    query = (
        "SELECT fact.seq, fact.kind, session.reporting, outbox.state, outbox.text, outbox.message_id FROM fact"
        " JOIN session ON session.id = fact.session LEFT JOIN outbox ON outbox.fact = fact.seq"
    )
    ids: list[str] = []
    for seq, kind, reporting, state, text, message_id in connection.execute(query):
        ids += [message_id] if message_id is not None else []
        allowed = {ROWS[reporting]}
        settled = None if kind == "session-sampled" else "confirmed"
        if seq in told.taking:
            allowed = {settled} if seq in told.taken else {settled, "queued"}
        if state not in allowed:
            yield f"fact {seq} ({kind}, {reporting}): row is {state}, not {allowed}"
        if state is not None and seq in told.texts and text != told.texts[seq]:
            yield f"fact {seq}: its frame is another one"
    if len(ids) != len(set(ids)):
        yield "a message id twice"


def main() -> int:
    """Run the trials."""
    state_dir, trials, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    chance, told, bad = random.Random(seed), Told(), 0
    for trial in range(trials):
        if trial % ONE_LEDGER == 0:
            told = Told()
        ledger = state_dir / str(trial // ONE_LEDGER)
        _trial(ledger, chance, told)
        faults = list(_faults(ledger, told))
        bad += len(faults)
        sys.stdout.writelines(f"trial {trial} of seed {seed}: {fault}\n" for fault in faults)
    under_way = len(told.tried - told.committed) + len(told.taking - told.taken)
    last = f"{len(told.committed)} facts, {len(told.taken)} rows taken, {under_way} more under way at a kill"
    sys.stdout.write(f"{trials} trials, {bad} faults; in the last ledger {last}\n")
    return 1 if bad or not told.committed or not told.taken else 0


if __name__ == "__main__":
    sys.exit(main())
