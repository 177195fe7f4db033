"""A backup is one file: a zip with the ledger, the station's signing key, and what else its state directory keeps.

The ledger in it is of one moment, copied while the daemon writes. ``manifest.json`` comes first and says whose it is.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from agent.buffer.file import LEDGER, synced
from agent.buffer.head import HEAD
from agent.buffer.migrate import JournalNewer, packaged, refuse_newer
from agent.buffer.owner import STATION
from agent.buffer.reader import open_reader
from agent.buffer.signing import KEY
from agent.core.errors import AgentError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
FILES: Final = "files/"
LARGEST_FILE: Final = 1024 * 1024
"""No other file of the state directory is larger, in bytes."""
LEFT_OUT: Final = frozenset({"lock", "control.sock", HEAD, STATION})
"""Files that a backup leaves out, beside the ledger's own and hidden ones: a running daemon's, and what follows."""

COUNT: Final = "SELECT count(*) FROM session"


class BackupRefused(AgentError):
    """A backup cannot be made, or is none for this station; nothing was touched. The text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    station: the charge point's identity; agent: the release that made it; schema: version of the ledger; files: names
    of what is in it beside the ledger.
    """

    station: str
    agent: str
    schema: int
    created: str
    sessions: int
    files: tuple[str, ...] = ()

    @property
    def has_key(self) -> bool:
        """Tell whether the station's signing key is in it."""
        return KEY in self.files

    def to_json(self) -> dict[str, object]:
        """Return it as a JSON document."""
        return {
            "format": FORMAT,
            "station": self.station,
            "agent": self.agent,
            "schema": self.schema,
            "created": self.created,
            "sessions": self.sessions,
            "files": list(self.files),
        }


def back_up(state_dir: Path, target: Path, *, station: str, agent: str, now: datetime) -> Manifest:
    """Write a backup, whole or not at all, readable by its owner alone; a daemon may run meanwhile.

    Raises: LedgerMissing, JournalError; OSError of the target; BackupRefused.
    """
    if state_dir.resolve() in target.resolve().parents:
        raise BackupRefused(f"{target} is in the state directory, whose disk takes it along: name another place")
    with TemporaryDirectory(dir=target.resolve().parent, prefix=f".{target.name[:40]}.") as folder:
        ledger = Path(folder) / LEDGER
        sessions = _copied(state_dir, ledger)
        files = _other_files(state_dir)
        manifest = Manifest(station, agent, len(packaged()), stamp(now), sessions, tuple(sorted(files)))
        packed = Path(folder) / "packed"
        _pack(packed, manifest, ledger, files)
        packed.replace(target.resolve())
        synced(target.resolve().parent)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Return what a backup says of itself. Raises: BackupRefused, JournalNewer, OSError."""
    with opened(path) as archive:
        try:
            document = json.loads(archive.read(MANIFEST))
            if document["format"] != FORMAT:
                raise BackupRefused(f"{path} was made by a newer release: install that one")
            texts = {name: str(document[name]) for name in ("station", "agent", "created")}
            counts = {name: int(document[name]) for name in ("schema", "sessions")}
            manifest = Manifest(**texts, **counts, files=tuple(map(str, document["files"])))  # type: ignore[arg-type]  # two kinds of members
        except (KeyError, ValueError, TypeError) as error:
            raise BackupRefused(f"{path} is no backup of wallbox-agent: name the file that `backup` wrote") from error
    try:
        refuse_newer(manifest.schema, len(packaged()))
    except JournalNewer as error:
        raise BackupRefused(f"{path} was made by a newer release ({manifest.agent}): install that one first") from error
    return manifest


def _other_files(state_dir: Path) -> Mapping[str, bytes]:
    """Return the small files that a backup takes as they are."""
    return {
        one.name: one.read_bytes()
        for one in state_dir.iterdir()
        if one.is_file()
        and one.name not in LEFT_OUT
        and not one.name.startswith(("ledger.", "."))
        and one.stat().st_size <= LARGEST_FILE
    }


def _copied(state_dir: Path, target: Path) -> int:
    """Copy the ledger as it is at one moment, prove the copy, and return the number of its sessions."""
    with open_reader(state_dir) as source, closing(sqlite3.connect(target, isolation_level=None)) as copy:
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file
            ((words,),) = copy.execute("PRAGMA quick_check(1)").fetchall()[:1]
            ((sessions,),) = copy.execute(COUNT)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
                raise OSError(None, str(error)) from error
            words = str(error)
    if words != "ok":
        words = " ".join(words.split())
        raise BackupRefused(f"the ledger is damaged ({words}): restart the service, which makes it anew")
    return int(sessions)


def _pack(path: Path, manifest: Manifest, ledger: Path, files: Mapping[str, bytes]) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
            archive.writestr(MANIFEST, json.dumps(manifest.to_json(), indent=2) + "\n")
            archive.write(ledger, LEDGER)
            for name, content in files.items():
                archive.writestr(FILES + name, content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a backup. Raises: BackupRefused, OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if not {MANIFEST, LEDGER} <= set(archive.namelist()):
                raise BackupRefused(f"{path} is no backup of wallbox-agent: name the file that `backup` wrote")
            yield archive
    except zipfile.BadZipFile as error:
        raise BackupRefused(f"{path} is damaged, or no backup ({error}): use another one") from error


def stamp(now: datetime) -> str:
    """Return a moment as the names of files have it."""
    return now.strftime("%Y%m%dT%H%M%SZ")
