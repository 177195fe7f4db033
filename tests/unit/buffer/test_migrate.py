"""Migrations: forward only, whole or not at all, on real files; ledgers of every earlier version keep all they have."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.buffer.chain import Station
from agent.buffer.database import open_database
from agent.buffer.evidence import verify_ledger
from agent.buffer.file import LEDGER
from agent.buffer.head import HEAD
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import sessions
from agent.buffer.migrate import migrate, packaged, statements
from agent.buffer.reader import open_reader
from agent.buffer.sealing import Sealer
from agent.buffer.signing import found, public_keys
from agent.core.errors import JournalCorrupt
from agent.core.facts import HeldReleased, SessionStarted
from agent.core.instant import TimeStatus
from agent.core.model import EvseId, SessionId
from tests.unit.buffer import story
from tests.unit.buffer.scripted import at, ended, opened, started
from tests.unit.buffer.scripted import running as running_session
from tests.unit.buffer.story import NAMES

FIRST = "CREATE TABLE one (a INTEGER);"
SECOND = "CREATE TABLE two (b INTEGER);\nINSERT INTO two VALUES (1);"
BROKEN = "CREATE TABLE three (c INTEGER);\nINSERT INTO nowhere VALUES (1);"


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]


def version_of(connection: sqlite3.Connection) -> int:
    ((number,),) = connection.execute("PRAGMA user_version")
    return int(number)


@pytest.mark.requirement(71)
def test_each_version_is_brought_to_the_latest_one(tmp_path: Path) -> None:
    for old in range(3):
        with connect(tmp_path / str(old)) as connection:
            migrate(connection, [FIRST, SECOND][:old])
            migrate(connection, [FIRST, SECOND])
            assert (tables(connection), version_of(connection)) == (["one", "two"], 2)


@pytest.mark.requirement(71)
def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    with connect(tmp_path / "l") as connection:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(connection, [FIRST, BROKEN])
        assert (tables(connection), version_of(connection)) == (["one"], 1)
        migrate(connection, [FIRST, SECOND])
        assert version_of(connection) == 2


def test_two_processes_that_open_a_new_ledger_at_once_both_get_it(tmp_path: Path) -> None:
    def open_it(_: int) -> list[str]:
        with connect(tmp_path / "l") as connection:
            migrate(connection, [FIRST, SECOND])
            return tables(connection)

    with ThreadPoolExecutor(8) as processes:
        assert list(processes.map(open_it, range(8))) == [["one", "two"]] * 8


async def test_a_newer_ledger_is_refused_and_not_touched(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        await database.read(f"PRAGMA user_version={len(packaged()) + 1}")
    before = (tmp_path / LEDGER).read_bytes()
    with pytest.raises(JournalCorrupt, match="newer release"):
        async with open_database(tmp_path):
            pass
    assert (tmp_path / LEDGER).read_bytes() == before


def test_comments_and_triggers_are_parts_of_statements() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON one BEGIN\n  DELETE FROM one;\n  DELETE FROM two;\nEND;"
    assert statements(f"-- why; because\n{FIRST}\n\n{trigger}\n-- the end\n") == [f"-- why; because\n{FIRST}", trigger]


def test_a_statement_without_its_end_is_refused() -> None:
    with pytest.raises(ValueError, match="no semicolon"):
        statements("CREATE TABLE one (a INTEGER)")


async def test_the_tables_take_no_value_of_a_wrong_type(tmp_path: Path) -> None:
    async with open_database(tmp_path) as database:
        rows = await database.read("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        assert [row["name"] for row in rows if "STRICT" not in row["sql"]] == []
        assert {"fact", "session", "outbox", "slice", "delivery", "boot", "run"} <= {row["name"] for row in rows}


LEDGERS = Path(__file__).resolve().parents[2] / "vectors" / "ledgers"
VERSIONS = sorted(int(path.stem.removeprefix("version-")) for path in LEDGERS.glob("version-*.sqlite3"))
EVIDENCE = 3
"""The first version whose sessions are records of a chain; its key is beside it."""
TOLD = (
    "SELECT seq, kind, session FROM fact ORDER BY seq",
    "SELECT destination, fact, state FROM outbox ORDER BY destination, fact",
    "SELECT number, kind, session FROM record ORDER BY number",
)
TABLES = ("boot", "run", "slice", "fact", "session", "delivery", "outbox")


def old_ledger(version: int, folder: Path) -> Path:
    """Lay out a ledger of an earlier release as a state directory."""
    folder.mkdir()
    shutil.copy(LEDGERS / f"version-{version}.sqlite3", folder / LEDGER)
    if version >= EVIDENCE:
        shutil.copy(LEDGERS / f"version-{version}.head.json", folder / HEAD)
    return folder


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with connect(path) as connection:
        return {name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall() for name in TABLES}  # noqa: S608


def test_there_is_a_ledger_of_every_earlier_version() -> None:
    assert set(range(1, len(packaged()))) <= set(VERSIONS)


def test_the_story_can_still_be_told_for_the_next_version(tmp_path: Path) -> None:
    story.write(tmp_path, packaged())
    now, latest = tmp_path / f"version-{len(packaged())}.sqlite3", LEDGERS / f"version-{VERSIONS[-1]}.sqlite3"
    with connect(now) as told, connect(latest) as kept:
        for sql in TOLD:
            assert told.execute(sql).fetchall() == kept.execute(sql).fetchall()


@pytest.mark.parametrize("version", [n for n in VERSIONS if n >= EVIDENCE])
async def test_the_evidence_of_an_old_ledger_is_believed_after_the_upgrade(version: int, tmp_path: Path) -> None:
    state_dir = old_ledger(version, tmp_path / "state")
    async with open_database(state_dir) as database:
        journal = SqliteJournal(database, ("cloud", "ere"), Sealer(database, state_dir, Station("NL-HOME-1", "2")))
        await journal.begin_run("boot-b", "2", at(850, boot=2))
        slices = await journal.load()
        assert slices is not None
        (running,) = slices.sessions.values()
        await journal.commit(replace(slices, sessions={}), [ended(running.id, 2, at(900, boot=2))], at(900, boot=2))
    signer = found(state_dir)
    assert signer is not None
    old = public_keys((LEDGERS / f"version-{version}.pem").read_text())
    finding = verify_ledger(state_dir, [*old, signer.public])
    assert finding.faults == ()
    assert finding.records == 10


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_ledger_keeps_every_row(version: int, tmp_path: Path) -> None:
    state_dir = old_ledger(version, tmp_path / "state")
    before = rows(state_dir / LEDGER)
    async with open_database(state_dir, copied=True) as database:
        ((words,),) = await database.read("PRAGMA integrity_check")
        assert (words, await database.read("PRAGMA foreign_key_check")) == ("ok", [])
    assert rows(state_dir / LEDGER) == before
    with connect(state_dir / LEDGER) as connection:
        assert version_of(connection) == len(packaged())


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_ledger_goes_on_as_if_nothing_had_been(version: int, tmp_path: Path) -> None:
    async with opened(old_ledger(version, tmp_path / "state"), "cloud", "ere") as ledger:
        slices = await ledger.journal.load()
        assert slices is not None
        assert {card.blocked for card in slices.tokens.cards.values()} == {None, "lost"}
        (running,) = slices.sessions.values()
        closed = replace(slices, sessions={})
        await ledger.journal.commit(closed, [ended(running.id, 2, at(900, boot=2))], at(900, boot=2))
        await ledger.journal.commit(closed, [HeldReleased("ACME-7F3K")], at(901, boot=2))
        new = started("new", at(1000, boot=2))
        await ledger.journal.commit(
            replace(closed, sessions={EvseId(1): running_session(new)}), [new], at(1000, boot=2)
        )
        lane = [name for name, _ in await ledger.lane()]
        assert lane == [*[NAMES[3]] * 3, *[NAMES[5]] * 3, *[NAMES[6]] * 2, *[NAMES[7]] * 3, "new"]
        resent = next(row for row in await ledger.outbox.rows(100) if row.text is not None)
        assert resent.message.message_id in str(resent.text)
        (late,) = [r.fact for r in await ledger.outbox.rows(100) if isinstance(r.fact, SessionStarted)][1:2]
        assert (late.session, late.at.status) == (NAMES[6], TimeStatus.RELATIVE)


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_old_ledger_shows_its_sessions_as_they_were(version: int, tmp_path: Path) -> None:
    state_dir = old_ledger(version, tmp_path / "state")
    async with open_database(state_dir):
        pass
    with open_reader(state_dir) as connection:
        found = {record.id: record for record in sessions(connection)}
    assert list(found) == NAMES
    states = [found[SessionId(name)].reporting.value for name in NAMES]
    assert states == ["reported", "failed", "local-only", "pending", "local-only", "pending", "pending", "pending"]
    assert found[SessionId(NAMES[0])].transaction_id == 41
    assert [d.state.value for d in found[SessionId(NAMES[1])].delivery] == ["refused", "confirmed"]
