"""What is added to a session: a later one wins, each is a record, and no damage, backup or merge loses it."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agent.buffer.annotation import Annotation, Annotator, CannotAnnotate, Change, annotation_of, told
from agent.buffer.backup import back_up
from agent.buffer.database import open_database
from agent.buffer.evidence import verify_ledger
from agent.buffer.examine import suspect
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import session, sessions, to_full_json, to_json
from agent.buffer.proof import as_sessions, exported, verify_export
from agent.buffer.reader import open_reader
from agent.buffer.records import canonical
from agent.buffer.rescue import secure
from agent.buffer.restore import Restored, restore
from agent.buffer.sealing import Sealer
from agent.buffer.second import COPY, read_copy
from agent.buffer.signing import found as key_of
from agent.core.instant import TimeStatus
from tests.unit.buffer.evidence_rig import SLICES, STATION, charge, knife, private, verified
from tests.unit.buffer.scripted import NEW_YEAR, at, started

NOTHING = Annotation()
LANES = ("cloud",)


class Writer:
    """A ledger's writer as the daemon has it."""

    def __init__(self, journal: SqliteJournal, annotator: Annotator) -> None:
        self.journal, self.annotator = journal, annotator

    async def charge(self, *names: str, second: int = 1000) -> None:
        """Record sessions that have ended."""
        for place, name in enumerate(names):
            facts = (
                private(name, second + place * 5000) if name.startswith("p") else charge(name, second + place * 5000)
            )
            for fact in facts:
                await self.journal.commit(SLICES, [fact], fact.at)

    async def add(self, name: str, odometer: int | None = None, note: str | None = None, *clear: str) -> Annotation:
        """Add to a session."""
        given = Annotation(None if odometer is None else Decimal(odometer), note)
        return await self.annotator.annotate(name, Change(given, frozenset(clear)))


@asynccontextmanager
async def writing(state_dir: Path, boot: str = "boot-1", *, copied: bool = True) -> AsyncIterator[Writer]:
    """Run a ledger's writer, and have it put on record what waits for that."""
    async with open_database(state_dir, copied=copied) as database:
        journal = SqliteJournal(database, LANES, Sealer(database, state_dir, STATION))
        number = await journal.boot_number(boot)
        await journal.begin_run(boot, "1.0.0", at(1, TimeStatus.UNKNOWN, number))
        await journal.load()
        yield Writer(journal, Annotator(database, journal, lambda: at(90_000)))
        sealing = asyncio.create_task(journal.seal_due(lambda: at(95_000)))
        async with asyncio.timeout(5):
            while await database.read("SELECT 1 FROM record_due UNION SELECT 1 FROM slice WHERE kind = 'annotation'"):
                await asyncio.sleep(0.005)  # seen from outside only
        sealing.cancel()
        with suppress(asyncio.CancelledError):
            await sealing


def holding(state_dir: Path) -> dict[str, Annotation]:
    """Return what holds of the sessions that something was added to."""
    with open_reader(state_dir) as connection:
        every = {record.id: annotation_of(connection, record.id) for record in sessions(connection)}
    return {str(name): found for name, found in every.items() if found != NOTHING}


def records(state_dir: Path) -> Sequence[tuple[object, ...]]:
    """Return number, kind and session of all records."""
    with open_reader(state_dir) as connection:
        return [tuple(row) for row in connection.execute("SELECT number, kind, session FROM record ORDER BY number")]


def saved(state_dir: Path, target: Path) -> Path:
    back_up(state_dir, target, station="NL-1", agent="1.0.0", now=NEW_YEAR)
    return target


def put_back(backup: Path, state_dir: Path) -> Restored:
    state_dir.mkdir(exist_ok=True)
    return restore(backup, state_dir, destinations=LANES, now=NEW_YEAR + timedelta(days=1))


def export(state_dir: Path, *, with_private: bool = False) -> bytes:
    key = key_of(state_dir)
    assert key is not None
    with open_reader(state_dir) as connection:
        told = [to_json(r) for r in sessions(connection) if with_private or r.profile != "private"]
        return as_sessions(exported(connection, key, told, private=with_private))


# ---- one after the other ---------------------------------------------------------------------------------------------


async def test_a_later_annotation_wins_and_the_chain_stays_valid(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1", "s2")
        assert await writer.add("s1", 48_123, "Visit to Müritz") == Annotation(Decimal(48_123), "Visit to Müritz")
        assert await writer.add("s1", note="Visit to Utrecht") == Annotation(Decimal(48_123), "Visit to Utrecht")
    assert holding(tmp_path) == {"s1": Annotation(Decimal(48_123), "Visit to Utrecht")}
    assert records(tmp_path)[-2:] == [(4, "annotation", "s1"), (5, "annotation", "s1")]
    finding = verify_ledger(tmp_path)
    assert (finding.records, finding.faults, finding.notes) == (5, (), ())


async def test_what_is_cleared_is_gone_and_what_is_not_named_stays(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        await writer.add("s1", 48_123, "wrong")
        assert await writer.add("s1", None, None, "note") == Annotation(Decimal(48_123))
        assert await writer.add("s1", 0, None) == Annotation(Decimal(0))
        assert await writer.add("s1", None, None, "odometer_km", "note") == NOTHING
    assert holding(tmp_path) == {}
    assert verified(tmp_path) == []


async def test_nothing_new_leaves_no_record(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        assert await writer.add("s1", None, None, "note") == NOTHING
        await writer.add("s1", 7)
        await writer.add("s1", 7)
    assert [kind for _, kind, _ in records(tmp_path)] == ["key", "session", "annotation"]


async def test_two_at_once_both_hold(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        await asyncio.gather(writer.add("s1", 48_123), writer.add("s1", note="both"))
    assert holding(tmp_path) == {"s1": Annotation(Decimal(48_123), "both")}


async def test_a_session_that_runs_or_is_not_there_is_refused_with_words(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        await writer.journal.commit(SLICES, [started("s2", at(50_000))], at(50_000))
        with pytest.raises(CannotAnnotate, match="session s2 is still running: annotate it once it has ended"):
            await writer.add("s2", 1)
        with pytest.raises(CannotAnnotate, match="there is no session s3: look at"):
            await writer.add("s3", 1)
    assert "annotation" not in [kind for _, kind, _ in records(tmp_path)]


async def test_a_session_shows_what_was_added_and_the_list_stays_as_it_is(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        await writer.add("s1", 48_123, "Visit")
    with open_reader(tmp_path) as connection:
        record = session(connection, "s1")
        assert record is not None
        shown = to_full_json(record, annotation_of(connection, "s1"))
    assert (shown["odometer_km"], shown["note"]) == (48_123, "Visit")
    assert isinstance(shown["odometer_km"], int)
    assert (to_full_json(record)["odometer_km"], to_full_json(record)["note"]) == (None, None)
    assert not {"odometer_km", "note"} & to_json(record).keys()


# ---- evidence --------------------------------------------------------------------------------------------------------


def changed(state_dir: Path, number: int, before: str, after: str) -> None:
    """Change the text of a record, as somebody with a knife would, and its hash with it."""
    with knife(state_dir) as connection:
        connection.execute("UPDATE record SET json = replace(json, ?, ?) WHERE number = ?", (before, after, number))
        assert connection.execute("SELECT json LIKE ? FROM record WHERE number = ?", (f"%{after}%", number)).fetchone()[
            0
        ]


async def test_a_changed_note_and_one_that_is_gone_are_found(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        await writer.add("s1", 48_123, "Visit")
        await writer.add("s1", 50_000)
    changed(tmp_path, 4, "50000", "60000")
    assert verified(tmp_path) == [(4, "s1", "changed")]
    with knife(tmp_path) as connection:
        connection.execute("DELETE FROM record WHERE number = 4")
    assert verified(tmp_path) == [(4, None, "missing")]


async def test_a_record_that_was_made_unreadable_is_passed_over(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        await writer.add("s1", 48_123)
        await writer.add("s1", 50_000)
    changed(tmp_path, 4, "50000", '"')
    assert holding(tmp_path) == {"s1": Annotation(Decimal(48_123))}
    assert verified(tmp_path) == [(4, "s1", "changed")]


@pytest.mark.parametrize(
    "members",
    [
        {"kind": "session", "note": "x", "odometer_km": None},
        {"kind": "annotation", "note": 7, "odometer_km": None},
        {"kind": "annotation", "note": None, "odometer_km": "far"},
        {"kind": "annotation", "note": None, "odometer_km": 7},
    ],
)
def test_a_text_of_another_shape_says_nothing(members: dict[str, object]) -> None:
    assert told(canonical(members).decode()) is None


async def test_an_export_proves_what_was_added_on_another_machine(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
        await writer.add("s1", 48_123, "Visit to Müritz")
    key = key_of(tmp_path)
    assert key is not None
    text = export(tmp_path)
    finding = verify_export(text, [key.public])
    assert (finding.records, finding.faults) == (3, ())
    assert "Visit to M\\\\u00fcritz" in text.decode() or "Visit to M\\u00fcritz" in text.decode()
    other = verify_export(text.replace(b"Visit to", b"Rides to"), [key.public])
    assert [(f.number, f.session, f.fault) for f in other.faults] == [(3, "s1", "changed")]


async def test_what_is_added_to_a_private_session_leaves_only_where_it_was_asked_for(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1", "p2")
        await writer.add("p2", 48_123, "Holiday")
    assert "Holiday" not in export(tmp_path).decode()
    assert verify_export(export(tmp_path)).withheld == 2
    assert "Holiday" in export(tmp_path, with_private=True).decode()
    assert holding(tmp_path) == {"p2": Annotation(Decimal(48_123), "Holiday")}


async def test_a_private_sessions_annotation_is_withheld_where_its_own_record_is_gone(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("p1")
        await writer.add("p1", note="Holiday")
    with knife(tmp_path) as connection:
        connection.execute("DELETE FROM record WHERE kind = 'session'")
    assert "Holiday" not in export(tmp_path).decode()


# ---- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["gone", "cut off", "copy gone"])
async def test_a_ledger_made_anew_has_what_was_added(tmp_path: Path, how: str) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1", "s2")
        await writer.add("s1", 48_123, "first")
        await writer.add("s1", note="second")
    path = tmp_path / LEDGER
    if how == "gone":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    else:
        (tmp_path / COPY).unlink()
        with closing(sqlite3.connect(path)) as connection:
            ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'delivery'")
        content = path.read_bytes()
        path.write_bytes(content[: (page - 1) * 4096] + bytes(4096) + content[page * 4096 :])
    suspect(tmp_path, "a test")
    assert secure(tmp_path, LANES, NEW_YEAR).rescue is not None
    assert holding(tmp_path) == {"s1": Annotation(Decimal(48_123), "second")}
    assert verified(tmp_path) == []


async def test_a_copy_that_missed_the_last_record_gets_it_at_the_next_start(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
    behind = (tmp_path / COPY).read_bytes()
    async with writing(tmp_path) as writer:
        await writer.add("s1", note="said just before the power went")
    (tmp_path / COPY).write_bytes(behind)
    async with writing(tmp_path):
        pass
    said = [row for line in read_copy(tmp_path / COPY) if line for name, row in line.rows if name == "record"]
    assert any("just before" in str(row["json"]) for row in said)
    size = (tmp_path / COPY).stat().st_size
    async with writing(tmp_path):
        pass
    assert (tmp_path / COPY).stat().st_size == size


# ---- backup and merge ------------------------------------------------------------------------------------------------


async def test_a_backup_brings_it_to_a_new_station(tmp_path: Path) -> None:
    async with writing(tmp_path / "old") as writer:
        await writer.charge("s1")
        await writer.add("s1", 48_123, "Visit")
    put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    assert holding(tmp_path / "new") == {"s1": Annotation(Decimal(48_123), "Visit")}
    async with writing(tmp_path / "new", "boot-2") as writer:
        await writer.add("s1", note="later")
    assert holding(tmp_path / "new") == {"s1": Annotation(Decimal(48_123), "later")}
    assert verified(tmp_path / "new") == []


async def test_an_older_backup_undoes_nothing_that_was_added_since(tmp_path: Path) -> None:
    async with writing(tmp_path / "state") as writer:
        await writer.charge("s1")
        await writer.add("s1", 1, "old")
    backup = saved(tmp_path / "state", tmp_path / "b.zip")
    async with writing(tmp_path / "state") as writer:
        await writer.add("s1", 2, None, "note")
    done = put_back(backup, tmp_path / "state")
    assert (done.restored, done.aside) == (0, ())
    assert holding(tmp_path / "state") == {"s1": Annotation(Decimal(2))}
    assert verified(tmp_path / "state") == []


async def test_a_newer_backup_of_the_same_sessions_brings_what_was_added(tmp_path: Path) -> None:
    async with writing(tmp_path / "state") as writer:
        await writer.charge("s1")
    shutil.copytree(tmp_path / "state", tmp_path / "earlier")
    async with writing(tmp_path / "state") as writer:
        await writer.add("s1", note="only in the backup")
    done = put_back(saved(tmp_path / "state", tmp_path / "b.zip"), tmp_path / "earlier")
    assert done.restored == 0
    assert holding(tmp_path / "earlier") == {"s1": Annotation(note="only in the backup")}
    assert verified(tmp_path / "earlier") == []
    async with writing(tmp_path / "earlier", "boot-2") as writer:
        await writer.add("s1", 3)
    assert verified(tmp_path / "earlier") == []
    assert [kind for _, kind, _ in records(tmp_path / "earlier")] == ["key", "session", "annotation", "annotation"]


async def test_two_chains_that_become_one_keep_what_was_added_in_both(tmp_path: Path) -> None:
    """The ledger was lost and begun anew; then the backup turns up, whose chain goes on."""
    async with writing(tmp_path / "old") as writer:
        await writer.charge("s1", "s2")
        await writer.add("s1", 1, "in the old one")
    backup = saved(tmp_path / "old", tmp_path / "b.zip")
    async with writing(tmp_path / "new", "boot-9") as writer:
        await writer.charge("n1", "p2", second=60_000)
        await writer.add("n1", 2, "in the new one")
        await writer.add("n1", 3)
        await writer.add("p2", note="a private one")
    want = {
        "s1": Annotation(Decimal(1), "in the old one"),
        "n1": Annotation(Decimal(3), "in the new one"),
        "p2": Annotation(note="a private one"),
    }
    put_back(backup, tmp_path / "new")
    assert holding(tmp_path / "new") == want
    again = put_back(backup, tmp_path / "new")
    assert again.aside == ()
    async with writing(tmp_path / "new", "boot-10"):
        pass
    assert holding(tmp_path / "new") == want
    assert verified(tmp_path / "new") == []
    of_new = [(kind, name) for _, kind, name in records(tmp_path / "new") if name in {"n1", "p2"}]
    assert of_new == [("session", "n1"), ("session", "p2"), ("annotation", "n1"), ("annotation", "p2")]
    assert "a private one" not in export(tmp_path / "new").decode()


async def test_of_a_session_in_both_chains_the_newer_ledgers_word_counts(tmp_path: Path) -> None:
    """The station goes on from a copy of its disk; one session is annotated in both, one only in the old one."""
    async with writing(tmp_path / "state") as writer:
        await writer.charge("s1", "s2")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")
    async with writing(tmp_path / "state") as writer:
        await writer.add("s1", note="old word")
        await writer.add("s2", note="only here")
        await writer.charge("s3", second=20_000)
    backup = saved(tmp_path / "state", tmp_path / "b.zip")
    async with writing(tmp_path / "copy", "boot-2") as writer:
        await writer.add("s1", note="newer word")
        await writer.charge("n4", second=40_000)
    put_back(backup, tmp_path / "copy")
    want = {"s1": Annotation(note="newer word"), "s2": Annotation(note="only here")}
    assert holding(tmp_path / "copy") == want
    async with writing(tmp_path / "copy", "boot-3"):
        pass
    assert holding(tmp_path / "copy") == want
    assert verified(tmp_path / "copy") == []


async def test_what_waits_for_its_record_is_part_of_what_is_added_next(tmp_path: Path) -> None:
    async with writing(tmp_path) as writer:
        await writer.charge("s1")
    with knife(tmp_path) as connection:
        waiting = json.dumps({"odometer_km": "7", "note": "taken over"})
        connection.execute("INSERT INTO slice VALUES ('annotation', 's1', 1, ?)", (waiting,))
    async with writing(tmp_path) as writer:
        assert await writer.add("s1", 8) == Annotation(Decimal(8), "taken over")
    assert holding(tmp_path) == {"s1": Annotation(Decimal(8), "taken over")}
    assert [kind for _, kind, _ in records(tmp_path)] == ["key", "session", "annotation"]
