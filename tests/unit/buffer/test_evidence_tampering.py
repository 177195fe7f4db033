"""Tampering with a ledger's evidence, its facts and its sessions: each is found, and said of the right record."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.buffer.evidence import verify_ledger
from agent.buffer.head import HEAD, read_head, write_head
from agent.buffer.records import Link, canonical, digest, parsed
from agent.buffer.signing import KEY, found, public_pem
from tests.unit.buffer.evidence_rig import STATION, charge, five_sessions, knife, sealing, verified
from tests.unit.buffer.scripted import at, sampled

OF: Final = {"s1": 2, "s2": 3, "s3": 4, "s4": 5, "s5": 6}
"""Number of each session's record."""
RECORDS: Final = ("kind", "session", "hash", "signature", "json")
FACTS: Final = ("session_seq", "kind", "schema", "boot", "mono", "wall", "json")
SESSIONS: Final = ("connector", "profile", "reporting", "company_code", "start_fact", "end_fact")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory that nobody has tampered with; only to be copied."""
    state_dir = tmp_path_factory.mktemp("original")
    asyncio.run(five_sessions(state_dir))
    return state_dir


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "state"))


@contextmanager
def copy_of(original: Path) -> Iterator[Path]:
    """Copy a state directory for one example."""
    place = original.with_name("example")
    shutil.rmtree(place, ignore_errors=True)
    try:
        yield Path(shutil.copytree(original, place))
    finally:
        shutil.rmtree(place, ignore_errors=True)


def changed(value: object, at: int = 7) -> object:
    """Return another value of the same type."""
    if isinstance(value, str):
        at %= len(value)
        return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    if isinstance(value, float):
        return value + 0.25
    return value + 1 if isinstance(value, int) else "x"


def change(connection: sqlite3.Connection, table: str, column: str, *, of: tuple[str, object], at: int = 7) -> None:
    key, name = of
    ((value,),) = connection.execute(f"SELECT {column} FROM {table} WHERE {key} = ?", (name,))  # noqa: S608  # own names
    connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (changed(value, at), name))  # noqa: S608  # own


def test_an_untouched_ledger_has_no_fault(copied: Path) -> None:
    finding = verify_ledger(copied)
    assert (finding.records, finding.faults, finding.notes) == (6, (), ())
    assert finding.newest == read_head(copied)


@pytest.mark.parametrize("column", RECORDS)
@pytest.mark.parametrize("session", ["s1", "s3", "s5"])
def test_each_column_of_a_record_is_covered(copied: Path, session: str, column: str) -> None:
    with knife(copied) as connection:
        connection.execute("DROP INDEX record_of_session")
        change(connection, "record", column, of=("number", OF[session]))
    found_faults = verified(copied)
    assert [fault[0] for fault in found_faults] == [OF[session]]
    assert found_faults[0][2] == ("wrong signature" if column == "signature" else "changed")


@pytest.mark.parametrize("column", RECORDS)
def test_each_column_of_the_keys_record_is_covered(copied: Path, column: str) -> None:
    with knife(copied) as connection:
        change(connection, "record", column, of=("number", 1))
    assert verified(copied)[0] == (1, None, "wrong signature" if column == "signature" else "changed")


@pytest.mark.parametrize("column", FACTS)
@pytest.mark.parametrize("seq", [1, 2, 3])
def test_each_column_of_a_sessions_facts_is_covered(copied: Path, seq: int, column: str) -> None:
    with knife(copied) as connection:
        if column == "session_seq":
            connection.execute("UPDATE fact SET session_seq = session_seq + 10 WHERE seq = ?", (seq,))
        else:
            change(connection, "fact", column, of=("seq", seq))
    assert verified(copied) == [(2, "s1", "changed")]


@pytest.mark.parametrize("column", SESSIONS)
def test_each_column_of_a_session_is_covered(copied: Path, column: str) -> None:
    with knife(copied) as connection:
        change(connection, "session", column, of=("id", "s2"))
    assert verified(copied) == [(3, "s2", "changed")]


def test_a_register_that_was_changed_is_named(copied: Path) -> None:
    with knife(copied) as connection:
        connection.execute("UPDATE fact SET json = replace(json, '1242089.4', '1252089.4') WHERE seq = 6")
    (fault,) = verify_ledger(copied).faults
    assert fault.fault == "changed: not as recorded: fact of the end, register_stop_wh, energy_wh"


@pytest.mark.parametrize("session", ["s1", "s3", "s5"])
def test_a_record_that_is_gone_is_missed(copied: Path, session: str) -> None:
    with knife(copied) as connection:
        connection.execute("DELETE FROM record WHERE session = ?", (session,))
    assert verified(copied) == [(OF[session], None, "missing"), (None, session, "missing")]


@pytest.mark.parametrize("session", ["s1", "s3", "s5"])
def test_a_session_that_is_gone_altogether_is_missed(copied: Path, session: str) -> None:
    with knife(copied) as connection:
        erase(connection, session)
    assert verified(copied) == [(OF[session], None, "missing")]


def erase(connection: sqlite3.Connection, session: str) -> None:
    for table in ("record", "outbox", "delivery", "fact"):
        connection.execute(f"DELETE FROM {table} WHERE session = ?", (session,))  # noqa: S608  # own names
    connection.execute("DELETE FROM session WHERE id = ?", (session,))


def test_the_newest_session_is_missed_even_where_the_ledgers_own_note_was_put_back(copied: Path) -> None:
    with knife(copied) as connection:
        erase(connection, "s5")
        connection.execute("UPDATE chain SET number = 5, filed = 4, hash = (SELECT hash FROM record WHERE number = 5)")
    assert verified(copied) == [(6, None, "missing")]


def test_all_evidence_that_is_gone_is_missed(copied: Path) -> None:
    with knife(copied) as connection:
        connection.execute("DELETE FROM record")
        connection.execute("DELETE FROM chain")
    assert verified(copied) == [*((n, None, "missing") for n in range(1, 7)), *((None, s, "missing") for s in OF)]


def test_a_session_whose_facts_are_gone_is_named(copied: Path) -> None:
    with knife(copied) as connection:
        connection.execute("DELETE FROM fact WHERE session = 's2'")
    assert verified(copied) == [(3, "s2", "missing"), (None, "s2", "missing")]


def test_a_reading_that_is_new_is_named(copied: Path) -> None:
    with knife(copied) as connection:
        for session, seq in (("s2", 5), ("s3", 8)):
            connection.execute(
                "UPDATE fact SET session_seq = 9 WHERE kind = 'session-ended' AND session = ?", (session,)
            )
            connection.execute(
                "INSERT INTO fact SELECT ?, ?, 7, kind, schema, boot, mono, wall, json FROM fact WHERE seq = 5",
                (90 + seq, session),
            )
    assert verified(copied) == [(3, "s2", "changed"), (4, "s3", "changed")]


async def test_readings_may_go_when_they_are_old_but_all_of_a_session(tmp_path: Path) -> None:
    async with sealing(tmp_path) as ledger:
        begin, end = charge("s1")
        await ledger.commit(begin, sampled("s1", 1, at(200)), sampled("s1", 2, at(300)), replace(end, seq=3))
    with knife(tmp_path) as connection:
        connection.execute("DELETE FROM fact WHERE seq = 2")
    assert verified(tmp_path) == [(2, "s1", "changed")]
    with knife(tmp_path) as connection:
        connection.execute("DELETE FROM fact WHERE seq = 3")
    finding = verify_ledger(tmp_path)
    assert finding.faults == ()
    assert finding.notes == ("of 1 sessions the readings between start and end are not kept any more",)


def test_a_session_that_is_said_to_run_again_is_named(copied: Path) -> None:
    with knife(copied) as connection:
        connection.execute("UPDATE session SET end_fact = NULL WHERE id = 's4'")
    assert verified(copied) == [(5, "s4", "changed")]


def test_two_records_that_changed_places_are_both_named(copied: Path) -> None:
    with knife(copied) as connection:
        for old, new in ((3, 100), (5, 3), (100, 5)):
            connection.execute("UPDATE record SET number = ? WHERE number = ?", (new, old))
    assert verified(copied) == [(3, "s2", "reordered"), (5, "s4", "reordered")]


def forged(state_dir: Path, number: int, previous: str) -> tuple[object, ...]:
    """Return a row that says of itself what a record does, without the station's signature."""
    with knife(state_dir) as connection:
        ((text, signature),) = connection.execute("SELECT json, signature FROM record WHERE number = 6")
    body = {**(parsed(text.encode()) or {}), "number": number, "previous": previous, "session": "forged"}
    new = canonical(body)
    return number, "session", "forged", digest(new), signature, new.decode()


INSERT: Final = "INSERT INTO record (number, kind, session, hash, signature, json) VALUES (?, ?, ?, ?, ?, ?)"


def test_a_record_that_was_added_at_the_end_is_named(copied: Path) -> None:
    head = read_head(copied)
    assert head is not None
    row = forged(copied, 7, head.hash)
    with knife(copied) as connection:
        connection.execute(INSERT, row)
    assert verified(copied)[0] == (7, "forged", "inserted")
    with knife(copied) as connection:
        connection.execute("UPDATE chain SET number = 7, hash = ?", (row[3],))
    write_head(copied, Link(7, str(row[3])))
    assert verified(copied)[0] == (7, "forged", "wrong signature")


def test_a_record_that_was_squeezed_in_is_named_and_so_are_those_behind_it(copied: Path) -> None:
    with knife(copied) as connection:
        ((previous,),) = connection.execute("SELECT hash FROM record WHERE number = 3")
    row = forged(copied, 4, previous)
    with knife(copied) as connection:
        for number in (6, 5, 4):
            connection.execute("UPDATE record SET number = number + 1 WHERE number = ?", (number,))
        connection.execute(INSERT, row)
    assert [fault for fault in verified(copied) if fault[1] != "forged"] == [
        (4, "s3", "reordered"),
        (5, "s4", "reordered"),
        (6, "s5", "reordered"),
    ]
    assert (4, "forged", "inserted") in verified(copied)


def test_a_record_that_replaced_another_is_named(copied: Path) -> None:
    with knife(copied) as connection:
        ((previous,),) = connection.execute("SELECT hash FROM record WHERE number = 3")
    row = forged(copied, 4, previous)
    with knife(copied) as connection:
        connection.execute("DELETE FROM record WHERE number = 4")
        connection.execute(INSERT, row)
    assert (4, "forged", "changed") in verified(copied)


def test_a_copy_of_a_record_is_named(copied: Path) -> None:
    with knife(copied) as connection:
        connection.execute("DROP INDEX record_of_session")
        connection.execute(
            "INSERT INTO record SELECT 7, kind, session, hash, signature, json FROM record WHERE number = 3"
        )
    assert (7, "s2", "inserted") in verified(copied)


def test_a_record_of_another_station_is_named(copied: Path, tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path / "other"))
    with knife(tmp_path / "other") as connection:
        (row,) = connection.execute("SELECT * FROM record WHERE number = 4")
    with knife(copied) as connection:
        connection.execute("DELETE FROM record WHERE number = 4")
        connection.execute(INSERT, tuple(row))
    assert verified(copied)[0] == (4, "s3", "changed")


def test_a_whole_ledger_of_another_station_is_named(copied: Path, tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path / "other"))
    shutil.copy(tmp_path / "other" / KEY, copied / KEY)
    (fault,) = verify_ledger(copied).faults
    assert fault.fault == f"wrong signature: {KEY} is another key than the one that signed the records"
    mine = found(copied)
    assert mine is not None
    faults = verify_ledger(tmp_path / "other", [found_public(copied)]).faults
    assert faults == ()
    (copied / KEY).unlink()
    assert verified(copied) == [(None, None, "missing")]
    (copied / KEY).write_text(public_pem(mine.public))
    assert [fault.fault for fault in verify_ledger(copied).faults] == [
        f"changed: the signing key {copied / KEY} is damaged",
        f"missing: there is no signing key ({KEY}) that could have signed the records",
    ]


def found_public(state_dir: Path) -> bytes:
    signer = found(state_dir)
    assert signer is not None
    return signer.public


def test_with_a_key_from_elsewhere_all_that_another_signed_is_named(copied: Path, tmp_path: Path) -> None:
    asyncio.run(five_sessions(tmp_path / "other"))
    finding = verify_ledger(copied, [found_public(tmp_path / "other")])
    assert [(f.number, f.fault) for f in finding.faults] == [
        (n, "wrong signature: it is signed with another key than the station's") for n in range(1, 7)
    ]
    assert verify_ledger(copied, [found_public(copied)]).faults == ()


def test_a_forger_with_a_key_of_his_own_is_named(copied: Path) -> None:
    """The forger lets the station begin another key, signs with it, and puts the old key back."""
    old = (copied / KEY).read_text()

    async def forge() -> None:
        async with sealing(copied, STATION) as ledger:
            await ledger.session("s6", 60_000)

    (copied / KEY).unlink()
    asyncio.run(forge())
    assert verify_ledger(copied).faults == ()  # a station that lost its key looks like that
    (copied / KEY).write_text(old)
    assert verified(copied) == [(7, None, "wrong signature"), (8, "s6", "wrong signature")]


@pytest.mark.parametrize("what", ["row", "file", "both", "row gone", "file gone"])
def test_an_old_or_missing_note_of_the_end_is_named(copied: Path, what: str) -> None:
    with knife(copied) as connection:
        ((old,),) = connection.execute("SELECT hash FROM record WHERE number = 4")
        if what in {"row", "both"}:
            connection.execute("UPDATE chain SET number = 4, filed = 3, hash = ?", (old,))
        if what == "row gone":
            connection.execute("DELETE FROM chain")
    if what in {"file", "both"}:
        write_head(copied, Link(4, old))
    if what == "file gone":
        (copied / HEAD).unlink()
    expected = {"row gone": "head missing", "file gone": "head missing"}.get(what, "head changed")
    assert verified(copied) == [(None, None, expected)]


def test_a_note_with_another_hash_is_named(copied: Path) -> None:
    write_head(copied, Link(6, "0" * 64))
    assert verified(copied) == [(None, None, "head changed")]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b"hash", b"Hash"),
        lambda text: text[:-1],
        lambda text: text.replace(b"6", b'"6"'),
        lambda text: b"[" * 2000 + text,
        lambda _: b"",
        lambda _: b"\xff",
        lambda _: b'{"hash":"0","number":1}\n',
    ],
)
def test_a_note_that_is_no_note_is_named(copied: Path, damage: Callable[[bytes], bytes]) -> None:
    (copied / HEAD).write_bytes(damage((copied / HEAD).read_bytes()))
    assert (None, None, "head changed") in verified(copied)


@pytest.mark.parametrize(
    "cell",
    [
        *(("record", column, "number = 3") for column in RECORDS),
        *(("fact", column, "seq = 4") for column in FACTS),
        *(("session", column, "id = 's2'") for column in SESSIONS),
        ("boot", "anchor_wall", "number = 1"),
    ],
)
@pytest.mark.parametrize("value", [b"\xff\x00", None, "", -1.5, 2**60])
def test_a_value_of_a_wrong_kind_is_a_fault_and_no_failure(
    copied: Path, cell: tuple[str, str, str], value: object
) -> None:
    table, column, key = cell
    with knife(copied) as connection:
        loosen(connection, table)
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key}", (value,))  # noqa: S608  # own names
    as_before = cell[:2] == ("session", "company_code") and value is None
    assert verified(copied) != [] or as_before or table == "boot"


def loosen(connection: sqlite3.Connection, table: str) -> None:
    """Make a table that takes anything."""
    ((sql,),) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,))
    columns = ", ".join(row["name"] for row in connection.execute(f"PRAGMA table_info({table})"))
    assert "STRICT" in sql
    connection.execute("PRAGMA legacy_alter_table=ON")
    connection.execute(f"ALTER TABLE {table} RENAME TO strict_{table}")
    connection.execute(f"CREATE TABLE {table} ({columns})")
    connection.execute(f"INSERT INTO {table} SELECT {columns} FROM strict_{table}")  # noqa: S608  # own names


def cells(original: Path) -> list[tuple[str, str, str, object]]:
    """Return table, column, key column and key of every value that evidence covers."""
    tables = (("record", "number", RECORDS), ("fact", "seq", FACTS), ("session", "id", SESSIONS))
    with knife(original) as connection:
        return [
            (table, column, key, row[key])
            for table, key, columns in tables
            for row in connection.execute(f"SELECT * FROM {table}")  # noqa: S608  # own names
            for column in columns
        ]


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_changed_at_random_is_found(original: Path, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(cells(original)), min_size=1, max_size=3, unique=True))
    with copy_of(original) as state_dir:
        sessions = set()
        with knife(state_dir) as connection:
            connection.execute("DROP INDEX record_of_session")
            for table, column, key, name in chosen:
                if column == "session_seq":
                    connection.execute("UPDATE fact SET session_seq = session_seq + 10 WHERE seq = ?", (name,))
                else:
                    change(connection, table, column, of=(key, name), at=data.draw(st.integers(0, 5000)))
                sessions.add(session_of(connection, table, name))
        named = {fault.session or fault.number for fault in verify_ledger(state_dir).faults}
        assert sessions <= {*named, *(session for session, number in OF.items() if number in named)}


def session_of(connection: sqlite3.Connection, table: str, name: object) -> object:
    """Return the session that a row is about, 1 for the key's record."""
    if table == "session":
        return name
    if table == "record":
        return next((session for session, number in OF.items() if number == name), 1)
    ((session,),) = connection.execute("SELECT session FROM fact WHERE seq = ?", (name,))
    return session


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_records_are_removed_doubled_or_moved_is_found(original: Path, data: st.DataObject) -> None:
    order = data.draw(st.lists(st.integers(1, 6), max_size=8).filter(lambda numbers: numbers != [1, 2, 3, 4, 5, 6]))
    with copy_of(original) as state_dir:
        with knife(state_dir) as connection:
            connection.execute("DROP INDEX record_of_session")
            rows = {row["number"]: tuple(row)[1:] for row in connection.execute("SELECT * FROM record")}
            connection.execute("DELETE FROM record")
            for place, number in enumerate(order, start=1):
                connection.execute(INSERT, (place, *rows[number]))
        faults = verify_ledger(state_dir).faults
        missing = {fault.number for fault in faults if fault.fault.startswith("missing")}
        assert {n for n in range(1, 7) if n not in order} <= missing
        named = {fault.number for fault in faults}
        assert all(place in named or n in named for place, n in enumerate(order, start=1) if n != place)
