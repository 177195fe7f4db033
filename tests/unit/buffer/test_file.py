"""Errors of SQLite and of the file system in words for the installer; defects stay what they are."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.buffer import file
from agent.buffer.file import REMEDIES, explained
from agent.core.errors import JournalCorrupt, JournalError, JournalFull

LEDGER = Path("/var/lib/wallbox-agent/ledger.sqlite3")


def failure(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_FULL, JournalFull),
        (sqlite3.SQLITE_IOERR_WRITE, JournalFull),
        (sqlite3.SQLITE_IOERR_FSYNC, JournalFull),
        (sqlite3.SQLITE_READONLY_DBMOVED, JournalFull),
        (sqlite3.SQLITE_CANTOPEN, JournalFull),
        (sqlite3.SQLITE_IOERR_READ, JournalCorrupt),
        (sqlite3.SQLITE_CORRUPT_INDEX, JournalCorrupt),
        (sqlite3.SQLITE_NOTADB, JournalCorrupt),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, JournalError),
    ],
)
def test_what_the_disk_does_is_told_with_the_file_and_a_remedy(code: int, kind: type[JournalError]) -> None:
    with pytest.raises(kind, match=rf"{LEDGER} cannot be used \(disk I/O error\): \w+") as caught, explained(LEDGER):
        raise failure(code)
    assert type(caught.value) is kind


def test_an_error_of_the_file_system_is_told() -> None:
    with pytest.raises(JournalFull, match="No space left"), explained(LEDGER):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "defect",
    [
        failure(sqlite3.SQLITE_ERROR),
        sqlite3.IntegrityError("UNIQUE"),
        sqlite3.ProgrammingError("closed"),
        KeyError("x"),
    ],
)
def test_a_defect_of_this_program_is_not_blamed_on_the_disk(defect: Exception) -> None:
    with pytest.raises(type(defect)) as caught, explained(LEDGER):
        raise defect
    assert caught.value is defect


def test_a_disk_that_is_full_is_told_as_such_whatever_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "free", lambda _: 1000)
    with pytest.raises(JournalFull, match="free some space"), explained(LEDGER):
        raise failure(sqlite3.SQLITE_IOERR_SHMSIZE)
    with pytest.raises(JournalFull, match="free some space"), explained(LEDGER):
        raise OSError(28, "No space left on device")


def test_every_remedy_speaks_to_the_installer() -> None:
    assert all(remedy[0].islower() and not remedy.endswith(".") for _, remedy in REMEDIES.values())
