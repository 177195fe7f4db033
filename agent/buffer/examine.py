"""Whether a ledger that was found can be gone on with: what every start looks at, and what only a thorough look does.

Every start: the file is a database, as long as it says, has its tables, and all that the daemon is about to read can be
read; and no commit is missing that the second copy has. A thorough look reads every page and every fact: minutes for
gigabytes on an SD card, so it is for small ledgers, and for those under suspicion.
"""

from __future__ import annotations

import os
import pwd
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from agent.buffer.codec import load_fact
from agent.buffer.file import LEDGER, REMEDIES, UNREADABLE, explained
from agent.buffer.migrate import JournalNewer, packaged, refuse_newer
from agent.buffer.second import COPY, read_header, read_upto
from agent.buffer.slices import SLICES, assembled
from agent.core.errors import JournalCorrupt, JournalError, JournalFull
from agent.core.facts import SCHEMA

MAGIC: Final = b"SQLite format 3\0"
HEADER: Final = 100
SMALL: Final = 48 * 1024 * 1024
"""A ledger up to this size is read as a whole after an end without order: about two seconds from an SD card."""
SUSPECT: Final = "ledger.suspect"
"""Name of a file in the state directory: its ledger gets a thorough look at the next start."""
BUSY_S: Final = 5.0
DISK: Final = "look at `dmesg`; a card that the system found errors on has to be replaced, then `restore` a backup"

TABLES: Final = frozenset({"boot", "run", "slice", "fact", "session", "delivery", "outbox"})
#: What the daemon reads before it serves anybody, beside its slices.
WORKING_SET: Final = (
    "SELECT * FROM boot",
    "SELECT * FROM run ORDER BY id DESC LIMIT 1",
    "SELECT * FROM fact ORDER BY seq DESC LIMIT 8",
    "SELECT s.*, f.* FROM session AS s JOIN fact AS f ON f.seq = s.start_fact WHERE s.end_fact IS NULL",
    "SELECT * FROM delivery WHERE session IN (SELECT id FROM session WHERE end_fact IS NULL)",
    "SELECT o.*, f.* FROM outbox AS o JOIN fact AS f ON f.seq = o.fact WHERE o.state = 'queued' LIMIT 200",
)
NEWER: Final = "SELECT max(schema) FROM (SELECT schema FROM slice UNION ALL SELECT max(schema) FROM fact WHERE seq > ?)"
FACTS: Final = "SELECT kind, schema, json FROM fact"
SPOILT: Final = "SELECT seq FROM fact WHERE NOT json_valid(json) LIMIT 1"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a look at a ledger found.

    damage: what is wrong in words, None where nothing is; is_new: there is none yet; unchecked: it ended without order
    and was too large to be read as a whole.
    """

    damage: str | None = None
    is_new: bool = False
    unchecked: bool = False


def examine(state_dir: Path) -> Finding:
    """Look at the ledger of a state directory that nobody writes to.

    Nothing is changed, but that SQLite takes back a commit that power or a kill broke off while the ledger was made.
    Raises: JournalCorrupt (of a newer release), JournalFull (it may not be used), JournalError (locked).
    """
    path, copy = state_dir / LEDGER, state_dir / COPY
    log = path.with_name(f"{LEDGER}-wal")
    is_suspect = (state_dir / SUSPECT).exists()
    with explained(path):
        _permitted(path, log, copy)
        _taken_back(path)
        size, logged = _size(path), _size(log)
        if size == 0:
            return _begun(copy, logged)
        thorough = is_suspect or (logged > 0 and size <= SMALL)
        damage = _framed(path, is_whole=logged == 0) or _damage(path, copy, thorough=thorough)
    return Finding(None if damage is None else " ".join(damage.split()), unchecked=logged > 0 and not thorough)


def _damage(path: Path, copy: Path, *, thorough: bool) -> str | None:
    """Read a ledger as a database, and return what is wrong. Raises: JournalNewer, sqlite3.DatabaseError."""
    try:
        with reading(path) as connection:
            damage = _readable(connection) or _behind(connection, copy)
            return read_through(connection) if damage is None and thorough else damage
    except sqlite3.DatabaseError as error:
        if not means_damage(error):
            raise
        return str(error)
    except (KeyError, TypeError, ValueError, OverflowError):
        return "it holds what no release has written"
    except JournalNewer:
        raise
    except JournalCorrupt as error:
        return str(error)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger for reading that need not be whole; nothing of it is changed, its log is not taken in."""
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S)) as connection:
        yield connection


def read_through(connection: sqlite3.Connection, *, beside: bool = False) -> str | None:
    """Read every page and every fact; return what is wrong. Raises: sqlite3.DatabaseError, JournalCorrupt.

    beside: a daemon serves meanwhile: facts are only looked at as SQLite can, which takes no time of the interpreter's.
    """
    ((words,),) = connection.execute("PRAGMA quick_check(1)").fetchall()[:1]
    if words != "ok":
        return str(words)
    if beside:
        spoilt = connection.execute(SPOILT).fetchone()
        return None if spoilt is None else f"fact {spoilt[0]} cannot be read"
    if not _tables(connection):
        return None  # the first start ended before they were made
    for kind, schema, text in connection.execute(FACTS):
        load_fact(kind, schema, text)
    return None


def means_damage(error: sqlite3.DatabaseError) -> bool:
    """Tell whether an error comes from what is in the file, and not from who may use it."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "decode" in str(error)  # text that is no UTF-8
    kind, _ = REMEDIES.get(code & 0xFF, (None, ""))
    return kind is JournalCorrupt or code in UNREADABLE or code == sqlite3.SQLITE_ERROR  # the last: tables are missing


def suspect(state_dir: Path, why: str) -> None:
    """Have the next start look thoroughly. Raises: OSError."""
    (state_dir / SUSPECT).write_text(f"{why}\n", encoding="utf-8")


def cleared(state_dir: Path) -> None:
    """Take a suspicion back. Raises: OSError."""
    (state_dir / SUSPECT).unlink(missing_ok=True)


def _permitted(path: Path, *more: Path) -> None:
    """Raise JournalFull or JournalError where the files are not the daemon's to use."""
    for one in (path, *more):
        try:
            seen = one.stat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(seen.st_mode):
            raise JournalError(f"{one} is no file: move it out of the state directory")
        if not os.access(one, os.R_OK | os.W_OK, effective_ids=os.access in os.supports_effective_ids):
            _refuse(one, seen.st_uid)


def _refuse(path: Path, owner: int) -> None:
    own, its = _name(os.geteuid()), _name(owner)
    if owner != os.geteuid():
        raise JournalFull(f"{path} belongs to {its} and the agent runs as {own}: `sudo chown {own}: {path}`")
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise JournalFull(f"{path} cannot be written, its disk is read-only: {DISK}")
    raise JournalFull(f"{path} cannot be written: `sudo chmod u+rw {path}`")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _begun(copy: Path, logged: int) -> Finding:
    """Judge a ledger that is not there, or empty: begun newly, unless something tells of an old one."""
    header = read_header(copy)
    if header is not None and read_upto(copy) > 0:
        return Finding("it is missing or empty, although its second copy has sessions")
    return Finding("it is missing, although its log is there" if logged else None, is_new=not logged)


def _taken_back(path: Path) -> None:
    """Let SQLite take back the commit of which it left a journal: before a ledger has its log, it is made with one."""
    if _size(path.with_name(f"{path.name}-journal")) == 0:
        return
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)) as it:
        it.execute("SELECT count(*) FROM sqlite_master").fetchall()


def _framed(path: Path, *, is_whole: bool) -> str | None:
    """Judge the first bytes and the length of a file; is_whole: no log may have the rest of it."""
    with path.open("rb") as file:
        head = file.read(HEADER)
    if head[: len(MAGIC)] != MAGIC or len(head) < HEADER:
        return "file is not a database"
    page = int.from_bytes(head[16:18])
    page = 65536 if page == 1 else page
    told = int.from_bytes(head[28:32]) * page
    counts = head[24:28] == head[92:96]  # otherwise a program wrote it that does not keep the number of pages
    if is_whole and counts and path.stat().st_size < told:
        return f"file is cut off: it has {path.stat().st_size} bytes of {told}"
    return None


def _readable(connection: sqlite3.Connection) -> str | None:
    """Read what the daemon is about to read. Raises: sqlite3.DatabaseError, JournalCorrupt."""
    ((version,),) = connection.execute("PRAGMA user_version")
    refuse_newer(version, len(packaged()))
    names = _tables(connection)
    if version == 0 and not names:
        return None  # the first start ended before the tables were made
    if missing := TABLES - names:
        return f"table {min(missing)} is missing"
    ((newest,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM fact")
    ((schema,),) = connection.execute(NEWER, (newest - 100,))
    if schema is not None and schema > SCHEMA:
        refuse_newer(schema, SCHEMA)
    for sql in WORKING_SET:
        connection.execute(sql).fetchall()
    connection.row_factory = sqlite3.Row
    assembled(connection.execute(SLICES))
    connection.row_factory = None
    return None


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _behind(connection: sqlite3.Connection, copy: Path) -> str | None:
    """Judge whether the ledger has lost commits that the second copy knows."""
    names = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    ((newest,),) = connection.execute("SELECT coalesce(max(seq), 0) FROM fact") if names[0] else ((0,),)
    upto = read_upto(copy)
    return f"it ends with fact {newest}, its second copy knows fact {upto}" if upto > newest else None
