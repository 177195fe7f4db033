"""A damaged ledger is set aside and made anew: from its second copy, from what can be read of it, from both."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.buffer import rescue
from agent.buffer.database import open_database
from agent.buffer.examine import SUSPECT, suspect
from agent.buffer.file import LEDGER
from agent.buffer.ledger import sessions
from agent.buffer.mend import DOUBT
from agent.buffer.migrate import JournalNewer, migrate, packaged
from agent.buffer.pages import facts
from agent.buffer.reader import open_reader
from agent.buffer.rescue import Rescue, noted, secure
from agent.buffer.second import COPY
from agent.core.errors import JournalFull
from tests.unit.buffer.histories import BLOCKED, LANES, content, goes_on, make, numbers
from tests.unit.buffer.scripted import NEW_YEAR

PAGE = 4096


def secured(state_dir: Path) -> Rescue | None:
    return secure(state_dir, LANES, NEW_YEAR).rescue


def damaged(state_dir: Path) -> Rescue:
    """See to a ledger that has to be found damaged at a thorough look."""
    suspect(state_dir, "a test")
    found = secured(state_dir)
    assert found is not None
    assert not (state_dir / SUSPECT).exists()
    return found


def zeroed(path: Path, *pages: int) -> None:
    with path.open("r+b") as file:
        for number in pages:
            file.seek((number - 1) * PAGE)
            file.write(bytes(PAGE))


def page_of(path: Path, table: str) -> int:
    """Return the number of the page at which a table begins."""
    with closing(sqlite3.connect(path)) as connection:
        ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        return int(page)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory to be copied, which is quicker than to write one."""
    state_dir = tmp_path_factory.mktemp("original")
    asyncio.run(make(state_dir))
    return state_dir


@pytest.fixture
def state_dir(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "state"))


@pytest.fixture
def want(original: Path) -> Iterator[dict[str, list[tuple[object, ...]]]]:
    return content(original)  # type: ignore[return-value]  # a fixture


def files(state_dir: Path) -> dict[str, bytes]:
    """Return all files with something in them; readers leave an index of the log behind."""
    found = {path.name: path.read_bytes() for path in state_dir.iterdir() if not path.name.endswith("-shm")}
    return {name: text for name, text in found.items() if text}


def test_a_sound_ledger_is_left_alone(state_dir: Path) -> None:
    before = files(state_dir)
    assert secured(state_dir) is None
    assert files(state_dir) == before


def test_a_new_state_directory_is_left_alone(tmp_path: Path) -> None:
    assert secured(tmp_path / "none") is None
    assert secured(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["no database", "cut off", "empty", "first page", "gone", "every page"])
async def test_the_second_copy_alone_brings_back_all_that_lasts(how: str, state_dir: Path, want: object) -> None:
    path = state_dir / LEDGER
    size = path.stat().st_size
    match how:
        case "no database":
            path.write_bytes(b"this is no database" * 500)
        case "cut off":
            path.write_bytes(path.read_bytes()[: size // 3])
        case "empty":
            path.write_bytes(b"")
        case "first page":
            zeroed(path, 1)
        case "every page":
            zeroed(path, *range(1, size // PAGE + 1))
        case "gone":
            path.unlink()
    found = secured(state_dir)
    assert found is not None
    assert content(state_dir) == want
    assert "none was lost" in found.words()
    await goes_on(state_dir)


@pytest.mark.parametrize("table", ["fact", "session", "outbox", "delivery", "slice", "boot"])
async def test_a_table_that_cannot_be_read_is_brought_back(table: str, state_dir: Path, want: object) -> None:
    zeroed(state_dir / LEDGER, page_of(state_dir / LEDGER, table))
    damaged(state_dir)
    assert content(state_dir) == want
    await goes_on(state_dir)


async def test_without_a_copy_facts_are_found_although_their_table_is_gone(
    state_dir: Path, want: dict[str, object]
) -> None:
    (state_dir / COPY).unlink()
    path = state_dir / LEDGER
    root = page_of(path, "fact")
    assert path.read_bytes()[(root - 1) * PAGE] == 5  # leads to others, has no fact itself
    zeroed(path, root)
    damaged(state_dir)
    assert content(state_dir) == want
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM fact").fetchone() == (12 * 6 - 1,)
    await goes_on(state_dir)


async def test_without_a_copy_sessions_follow_from_their_facts(state_dir: Path, want: dict[str, list[object]]) -> None:
    (state_dir / COPY).unlink()
    zeroed(state_dir / LEDGER, page_of(state_dir / LEDGER, "session"))
    found = damaged(state_dir)
    assert content(state_dir)["session"] == want["session"]
    assert found.mended.lost == ()
    await goes_on(state_dir)


async def test_what_nobody_knows_to_be_delivered_is_neither_lost_nor_sent_twice(state_dir: Path) -> None:
    (state_dir / COPY).unlink()
    zeroed(state_dir / LEDGER, page_of(state_dir / LEDGER, "outbox"))
    found = damaged(state_dir)
    rows = content(state_dir)["outbox"]
    assert {row[4] for row in rows} == {"quarantined", "held"}
    assert found.mended.doubtful == sum(row[6] == DOUBT for row in rows) > 0
    assert "not known whether they were delivered" in found.words()
    await goes_on(state_dir)


async def test_a_session_whose_end_is_gone_is_closed_on_its_last_reading(state_dir: Path) -> None:
    (state_dir / COPY).unlink()
    with closing(sqlite3.connect(state_dir / LEDGER, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("DELETE FROM fact WHERE session = 's04' AND kind = 'session-ended'")
        connection.execute("UPDATE fact SET json = replace(json, 'Periodic', 'Period') WHERE seq = 2")  # found damaged
    found = damaged(state_dir)
    assert found.mended.closed == ("s04",)
    with open_reader(state_dir) as connection:
        (record,) = [one for one in sessions(connection) if one.id == "s04"]
    assert [mark.value for mark in record.quality] == ["reconstructed"]
    assert record.meter_stop == record.meter_start
    await goes_on(state_dir)


async def test_a_fact_whose_text_was_spoilt_comes_from_the_copy(state_dir: Path, want: object) -> None:
    with closing(sqlite3.connect(state_dir / LEDGER, isolation_level=None)) as connection:
        connection.execute("UPDATE fact SET json = replace(json, '\"register\"', '\"regiszer\"') WHERE session = 's02'")
    damaged(state_dir)
    assert content(state_dir) == want
    await goes_on(state_dir)


async def test_commits_that_the_log_has_lost_come_back(state_dir: Path) -> None:
    earlier = state_dir / LEDGER
    old = earlier.read_bytes()
    await goes_on(state_dir)
    want = content(state_dir)
    for suffix in ("-wal", "-shm"):
        earlier.with_name(f"{LEDGER}{suffix}").unlink(missing_ok=True)
    earlier.write_bytes(old)  # as with a write-ahead log that is damaged from its beginning
    found = secured(state_dir)
    assert found is not None
    assert "its second copy knows fact" in found.cause
    assert content(state_dir) == want


async def test_a_card_that_is_blocked_stays_blocked(state_dir: Path) -> None:
    zeroed(state_dir / LEDGER, *range(1, (state_dir / LEDGER).stat().st_size // PAGE + 1))
    secured(state_dir)
    state = await goes_on(state_dir)
    assert state.tokens.cards[BLOCKED.id_token.key].blocked == "lost"
    assert state.ids.seed not in {"seed", ""}


def test_the_damaged_file_is_kept_and_told_until_it_is_removed(state_dir: Path) -> None:
    spoilt = b"this is no database" * 500
    (state_dir / LEDGER).write_bytes(spoilt)
    found = secured(state_dir)
    assert found is not None
    (kept,) = found.aside
    assert kept.name == "ledger.corrupt-20260101T000000Z"
    assert kept.read_bytes() == spoilt
    assert noted(state_dir) == (found.words(),)
    document = json.loads((state_dir / f"{kept.name}.json").read_text())
    assert (document["files"], document["sessions"], document["lost"]) == ([kept.name], 12, [])
    kept.unlink()
    assert noted(state_dir) == ()


async def test_a_second_damage_of_the_same_second_overwrites_nothing(state_dir: Path) -> None:
    for _ in range(2):
        async with open_database(state_dir, copied=True):
            pass
        (state_dir / LEDGER).write_bytes(b"no database" * 500)
        secured(state_dir)
    assert len(noted(state_dir)) == 2
    assert len([name for name in files(state_dir) if name.startswith("ledger.corrupt-")]) == 4


def test_nothing_at_all_left_is_a_new_ledger_that_says_so(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_bytes(b"no database" * 500)
    found = secured(tmp_path)
    assert found is not None
    assert found.sessions == 0
    assert "cannot be read is missing" in found.words()
    assert content(tmp_path)["session"] == []


@pytest.mark.parametrize("seed", range(12))
async def test_no_damage_keeps_the_agent_from_starting(
    seed: int, state_dir: Path, want: dict[str, list[object]]
) -> None:
    chance = random.Random(seed)
    path = state_dir / LEDGER
    data = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 3, 9])):
        begin = chance.randrange(len(data) // 512) * 512
        length = chance.choice([1, 512, PAGE])
        data[begin : begin + length] = chance.choice([bytes(length), chance.randbytes(length)])[: len(data) - begin]
    path.write_bytes(data)
    copied = seed % 2 == 0
    if not copied:
        (state_dir / COPY).unlink()
    suspect(state_dir, "a test")
    secured(state_dir)
    found = content(state_dir)
    if copied:
        assert numbers(found) == numbers(want)  # type: ignore[arg-type]  # as it came
        assert found["fact"] == want["fact"]
    await goes_on(state_dir)


@pytest.mark.parametrize("stop", [1, 2, 3])
async def test_a_rescue_that_is_cut_off_is_finished_by_the_next(
    stop: int, state_dir: Path, want: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state_dir / LEDGER).write_bytes(b"no database" * 500)
    calls, rename = 0, Path.rename

    def cut(path: Path, to: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise KeyboardInterrupt
        return rename(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", cut)
        with pytest.raises(KeyboardInterrupt):
            secured(state_dir)
    secured(state_dir)
    assert content(state_dir) == want
    assert len(noted(state_dir)) == 1
    assert not {name for name in files(state_dir) if name.endswith((".next", ".taking"))}
    await goes_on(state_dir)


def test_a_disk_without_room_for_a_new_ledger_keeps_the_old_one(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state_dir / LEDGER).write_bytes(b"no database" * 500)

    def full(*_: object) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(rescue, "mend", full)
    before = sorted(path.name for path in state_dir.iterdir())
    with pytest.raises(JournalFull, match="free some space"):
        secured(state_dir)
    assert sorted(path.name for path in state_dir.iterdir()) == before


def test_a_ledger_of_a_newer_release_is_no_damage(state_dir: Path) -> None:
    with closing(sqlite3.connect(state_dir / LEDGER, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version={len(packaged()) + 1}")
    suspect(state_dir, "a test")
    before = files(state_dir)
    with pytest.raises(JournalNewer, match="newer release"):
        secured(state_dir)
    assert files(state_dir) == before


def test_facts_are_read_from_their_bytes_with_those_that_go_over_several_pages(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection)
        rows = [
            (n, f"s{n}", 0, "session-started", 1, 1, float(n) if n % 2 else 0.5, "w", "x" * size)
            for n, size in enumerate((1, 100, 3_900, 4_050, 5_000, 40_000, 300), 1)
        ]
        connection.executemany("INSERT INTO fact VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
    assert sorted(tuple(row.values()) for row in facts(path)) == rows
