"""Migrations: forward only, whole or not at all, on real files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.migrate import migrate, packaged, statements
from agent.core.errors import JournalCorrupt

FIRST = "CREATE TABLE one (a INTEGER);"
SECOND = "CREATE TABLE two (b INTEGER);\nINSERT INTO two VALUES (1);"
BROKEN = "CREATE TABLE three (c INTEGER);\nINSERT INTO nowhere VALUES (1);"


@contextmanager
def connect(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def tables(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]


def version(connection: sqlite3.Connection) -> int:
    ((number,),) = connection.execute("PRAGMA user_version")
    return int(number)


@pytest.mark.requirement(71)
def test_each_version_is_brought_to_the_latest_one(tmp_path: Path) -> None:
    for old in range(3):
        with connect(tmp_path / str(old)) as connection:
            migrate(connection, [FIRST, SECOND][:old])
            migrate(connection, [FIRST, SECOND])
            assert (tables(connection), version(connection)) == (["one", "two"], 2)


@pytest.mark.requirement(71)
def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    with connect(tmp_path / "l") as connection:
        with pytest.raises(sqlite3.OperationalError, match="nowhere"):
            migrate(connection, [FIRST, BROKEN])
        assert (tables(connection), version(connection)) == (["one"], 1)
        migrate(connection, [FIRST, SECOND])
        assert version(connection) == 2


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
        assert {"fact", "session", "outbox", "slice", "delivery", "boot", "run"} == {row["name"] for row in rows}
