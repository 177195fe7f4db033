"""A backup is one file of one moment; a restore loses nothing of either side, and touches nothing where it refuses."""

from __future__ import annotations

import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agent.buffer import swap
from agent.buffer.backup import BackupRefused, back_up, read_manifest
from agent.buffer.database import open_database
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import sessions
from agent.buffer.merge import LedgersDiffer
from agent.buffer.reader import LedgerMissing, open_reader
from agent.buffer.rescue import secure
from agent.buffer.restore import Restored, restore
from agent.buffer.second import COPY
from agent.buffer.signing import KEY
from agent.core.instant import TimeStatus
from agent.core.model import IdToken
from agent.core.state import Card, Tokens
from tests.unit.buffer.histories import BLOCKED, LANES, content, goes_on, make, numbers
from tests.unit.buffer.scripted import EMPTY, NEW_YEAR, at, ended, started

Files = dict[str, bytes]


def saved(state_dir: Path, target: Path) -> Path:
    back_up(state_dir, target, station="NL-1", agent="1.0.0", now=NEW_YEAR)
    return target


def put_back(backup: Path, state_dir: Path) -> Restored:
    state_dir.mkdir(exist_ok=True)
    return restore(backup, state_dir, destinations=LANES, now=NEW_YEAR + timedelta(days=1))


def files(folder: Path) -> Files:
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return {name: text for name, text in found.items() if text and not name.endswith("-shm")}


def shown(state_dir: Path) -> dict[str, tuple[object, ...]]:
    with open_reader(state_dir) as connection:
        return {r.id: (r.started_at, r.stopped_at, r.energy, r.reporting, r.clock) for r in sessions(connection)}


async def test_a_backup_of_a_running_ledger_is_whole_and_private(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    await make(state_dir, 4)
    (state_dir / KEY).write_text("secret")
    async with open_database(state_dir, copied=True) as database:
        await database.write([("INSERT INTO boot (boot_id) VALUES (?)", ("only in the log",))])
        made = back_up(state_dir, tmp_path / "b.zip", station="NL-1", agent="1.0.0", now=NEW_YEAR)
    assert (made.sessions, made.has_key, made.files) == (4, True, (KEY,))
    assert read_manifest(tmp_path / "b.zip") == made
    assert (tmp_path / "b.zip").stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert archive.namelist() == ["manifest.json", LEDGER, f"files/{KEY}"]
        archive.extract(LEDGER, tmp_path)
    with closing(sqlite3.connect(tmp_path / LEDGER)) as connection:
        assert connection.execute("SELECT count(*) FROM boot WHERE boot_id = 'only in the log'").fetchone() == (1,)
    assert {name for name in files(tmp_path) if not name.startswith(LEDGER)} == {"b.zip"}


async def test_a_backup_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    await make(tmp_path / "state", 2)
    saved(tmp_path / "state", tmp_path / "b.zip")
    before = files(tmp_path)
    path = tmp_path / "state" / LEDGER
    data = path.read_bytes()
    path.write_bytes(data[: 5 * 4096] + bytes(4096) + data[6 * 4096 :])
    with pytest.raises(BackupRefused, match="restart the service"):
        saved(tmp_path / "state", tmp_path / "b.zip")
    assert files(tmp_path) == before


async def test_a_backup_into_the_state_directory_is_refused(tmp_path: Path) -> None:
    await make(tmp_path, 1)
    with pytest.raises(BackupRefused, match="another place"):
        saved(tmp_path, tmp_path / "b.zip")


def test_nothing_to_back_up_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with pytest.raises(LedgerMissing):
        saved(tmp_path / "state", tmp_path / "b.zip")


async def test_a_new_station_gets_all_that_the_backup_has(tmp_path: Path) -> None:
    await make(tmp_path / "old", closed=True)
    (tmp_path / "old" / KEY).write_text("secret")
    done = put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    assert (done.restored, done.kept, done.total, done.files, done.aside) == (12, 0, 12, (KEY,), ())
    assert content(tmp_path / "new") == content(tmp_path / "old")
    assert (tmp_path / "new" / KEY).read_text() == "secret"
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "new").iterdir() if path.is_file())
    await goes_on(tmp_path / "new")


async def test_newer_sessions_stay_and_nothing_is_replaced_for_nothing(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    await make(state_dir, closed=True)
    backup = saved(state_dir, tmp_path / "b.zip")
    await goes_on(state_dir)
    before = files(state_dir)
    done = put_back(backup, state_dir)
    assert (done.restored, done.kept, done.total, done.aside) == (0, 1, 13, ())
    assert files(state_dir) == before


async def test_a_message_that_was_confirmed_since_is_not_sent_again(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    await make(state_dir, closed=True)
    backup = saved(state_dir, tmp_path / "b.zip")
    await goes_on(state_dir)
    want = content(state_dir)
    put_back(backup, state_dir)
    assert content(state_dir) == want


async def test_a_ledger_begun_anew_keeps_its_sessions_behind_the_old_ones(tmp_path: Path) -> None:
    await make(tmp_path / "old", 5, closed=True)
    await make(tmp_path / "new", 4, boot="boot-9", prefix="n", closed=True)
    old, new = shown(tmp_path / "old"), shown(tmp_path / "new")
    before = files(tmp_path / "new")
    done = put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    assert (done.restored, done.kept, done.total) == (5, 4, 9)
    assert shown(tmp_path / "new") == old | new
    starts = {str(row[0]): int(str(row[5])) for row in content(tmp_path / "new")["session"]}
    assert max(starts[name] for name in old) < min(starts[name] for name in new)
    (aside,) = done.aside
    assert aside.read_bytes() == before[LEDGER]
    await goes_on(tmp_path / "new", "boot-10")


async def test_times_of_a_ledger_begun_anew_follow_their_own_starts_of_the_machine(tmp_path: Path) -> None:
    """Stamps from before the clock was known are corrected by what is known of their own boot, whatever its number."""
    for name, boot, anchored in (("old", "boot-1", 500), ("new", "boot-9", 90_000)):
        async with open_database(tmp_path / name) as database:
            journal = SqliteJournal(database, ("cloud",))
            await journal.boot_number(boot)
            moments = [at(10, TimeStatus.UNKNOWN), at(50, TimeStatus.UNKNOWN)]
            await journal.commit(
                EMPTY, [started(f"of-{name}", moments[0]), ended(f"of-{name}", 1, moments[1])], moments[1]
            )
            known = replace(at(100), wall=NEW_YEAR + timedelta(seconds=anchored))
            await journal.anchor(known)
    old, new = shown(tmp_path / "old"), shown(tmp_path / "new")
    put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    assert shown(tmp_path / "new") == old | new


async def test_a_session_that_ran_at_the_backup_is_closed_on_its_last_reading(tmp_path: Path) -> None:
    await make(tmp_path / "old", 3)
    put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    with open_reader(tmp_path / "new") as connection:
        last = sessions(connection)[-1]
    assert last.stopped_at is not None
    assert [mark.value for mark in last.quality] == ["reconstructed"]


async def test_cards_and_settings_fill_gaps_and_never_undo_what_is_newer(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    await make(state_dir, 2, closed=True)
    backup = saved(state_dir, tmp_path / "b.zip")
    other = Card(IdToken("0C000621A5"), blocked="stolen")
    async with open_database(state_dir, copied=True) as database:
        journal = SqliteJournal(database, LANES)
        state = await journal.load()
        assert state is not None
        await journal.commit(replace(state, tokens=Tokens(cards={other.id_token.key: other})), [], at(5000))
    put_back(backup, state_dir)
    async with open_database(state_dir) as database:
        state = await SqliteJournal(database, LANES).load()
    assert state is not None
    assert {c.id_token.key: c.blocked for c in state.tokens.cards.values()} == {
        BLOCKED.id_token.key: "lost",
        other.id_token.key: "stolen",
    }


async def test_the_key_of_the_chain_that_goes_on_is_put_back_and_the_other_kept(tmp_path: Path) -> None:
    for name, prefix in (("old", "s"), ("new", "n")):
        await make(tmp_path / name, 2, boot=name, prefix=prefix, closed=True)
        (tmp_path / name / KEY).write_text(name)
    done = put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    assert done.files == (KEY,)
    assert (tmp_path / "new" / KEY).read_text() == "old"
    assert (tmp_path / "new" / f"{KEY}.replaced-20260102T000000Z").read_text() == "new"


def spoilt(backup: Path, how: str) -> None:
    if how == "no zip":
        backup.write_bytes(b"hello")
    elif how == "cut off":
        backup.write_bytes(backup.read_bytes()[:-100])
    elif how == "one byte":
        data = bytearray(backup.read_bytes())
        data[len(data) // 3] ^= 0xFF
        backup.write_bytes(data)
    else:
        changed(backup, how)


def changed(backup: Path, how: str) -> None:
    """Pack a backup again, with another manifest or ledger."""
    with zipfile.ZipFile(backup) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    match how:
        case "newer schema":
            manifest["schema"] = 99
        case "newer format":
            manifest["format"] = 2
        case "no manifest":
            manifest = None
        case "damaged ledger":
            ledger = members[LEDGER]
            members[LEDGER] = ledger[: 4 * 4096] + bytes(2 * 4096) + ledger[6 * 4096 :]
        case "another zip":
            del members[LEDGER]
    members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(backup, "w") as archive:
        for name, text in members.items():
            if name != "manifest.json" or manifest is not None:
                archive.writestr(name, text)


@pytest.mark.parametrize(
    "how",
    [
        "no zip",
        "cut off",
        "one byte",
        "newer schema",
        "newer format",
        "no manifest",
        "damaged ledger",
        "another zip",
    ],
)
async def test_a_backup_that_cannot_be_used_touches_nothing(how: str, tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    await make(state_dir, 2, prefix="n")
    await make(tmp_path / "old", 2)
    backup = saved(tmp_path / "old", tmp_path / "b.zip")
    spoilt(backup, how)
    before = files(state_dir)
    with pytest.raises(BackupRefused, match=r"b\.zip") as caught:
        put_back(backup, state_dir)
    assert str(caught.value)[0] in "/tl"
    assert files(state_dir) == before
    assert not [path for path in state_dir.iterdir() if path.is_dir()]


async def test_a_ledger_that_says_otherwise_of_a_session_is_refused(tmp_path: Path) -> None:
    await make(tmp_path / "old", 2)
    await make(tmp_path / "new", 2)
    with closing(sqlite3.connect(tmp_path / "new" / LEDGER, isolation_level=None)) as connection:
        connection.execute("UPDATE fact SET json = replace(json, '1000', '2000') WHERE session = 's01'")
    before = files(tmp_path / "new")
    with pytest.raises(LedgersDiffer, match="session s01"):
        put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    assert files(tmp_path / "new") == before


async def test_a_damaged_ledger_is_made_anew_first(tmp_path: Path) -> None:
    await make(tmp_path / "old", 2)
    backup = saved(tmp_path / "old", tmp_path / "b.zip")
    (tmp_path / "old" / LEDGER).write_bytes(b"no database" * 500)
    with pytest.raises(BackupRefused, match="start the service once"):
        put_back(backup, tmp_path / "old")


async def test_the_second_copy_of_what_was_replaced_is_gone(tmp_path: Path) -> None:
    await make(tmp_path / "old", 3, closed=True)
    await make(tmp_path / "new", 2, boot="boot-9", prefix="n", closed=True)
    put_back(saved(tmp_path / "old", tmp_path / "b.zip"), tmp_path / "new")
    assert not (tmp_path / "new" / COPY).exists()
    async with open_database(tmp_path / "new", copied=True):
        pass
    shutil.rmtree(tmp_path / "old")
    (tmp_path / "new" / LEDGER).unlink()
    secure(tmp_path / "new", LANES, NEW_YEAR)
    assert len(numbers(content(tmp_path / "new"))) == 5


async def test_a_replacement_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    await make(tmp_path, 2, prefix="new")
    new = swap.begun(tmp_path)
    shutil.copy(tmp_path / LEDGER, new)
    (tmp_path / LEDGER).write_bytes(b"old")
    (tmp_path / f"{LEDGER}-wal").write_bytes(b"log of the old one")
    new.rename(tmp_path / "ledger.replaced-x.next")
    assert [path.name for path in swap.finished(tmp_path)] == ["ledger.replaced-x", "ledger.replaced-x-wal"]
    assert len(content(tmp_path)["session"]) == 2
    assert not (tmp_path / f"{LEDGER}-wal").exists()
    assert swap.finished(tmp_path) == ()


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    (tmp_path / "ledger.corrupt-now").touch()
    (tmp_path / "ledger.corrupt-now-2.json").touch()
    assert swap.stamped("corrupt", "now", tmp_path) == "ledger.corrupt-now-3"
