"""The ledger's schema: forward only, each migration whole or not at all; a newer ledger is refused."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final

from agent.core.errors import JournalCorrupt

NAME: Final = re.compile(r"(\d{4})_\w+\.sql")


class JournalNewer(JournalCorrupt):
    """The ledger is whole, and was written by a newer release."""


@cache
def packaged() -> tuple[str, ...]:
    """Return this release's migrations: the first one makes version 1 (``PRAGMA user_version``), and so on."""
    folder = resources.files("agent.buffer").joinpath("migrations")
    found = sorted((f for f in folder.iterdir() if NAME.fullmatch(f.name)), key=lambda f: f.name)
    if [int(f.name[:4]) for f in found] != list(range(1, len(found) + 1)) or not found:
        raise AssertionError(f"migrations are not numbered from 1 without gaps: {[f.name for f in found]}")
    return tuple(f.read_text(encoding="utf-8") for f in found)


def refuse_newer(version: int, latest: int) -> None:
    """Raise JournalNewer where a ledger was written by a newer release."""
    if version > latest:
        raise JournalNewer(
            f"the ledger was written by a newer release (version {version}, this one knows {latest}): "
            "install that release again, or restore a backup made before the upgrade"
        )


def migrate(connection: sqlite3.Connection, scripts: Sequence[str] | None = None) -> None:
    """Bring a ledger to the latest version; scripts: other migrations than the packaged ones.

    Raises: JournalNewer, sqlite3.Error; then the ledger is as the last whole migration left it.
    """
    migrations = packaged() if scripts is None else scripts
    refuse_newer(_version(connection), len(migrations))
    for number, script in enumerate(migrations, start=1):
        if _version(connection) < number:
            _apply(connection, number, script)


def statements(script: str) -> list[str]:
    """Split a script into its statements, comments included. Raises: ValueError for one without its semicolon."""
    result: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if pending.strip() and sqlite3.complete_statement(pending):
            result.append(pending.strip())
            pending = ""
    if any(line and not line.startswith("--") for line in map(str.strip, pending.splitlines())):
        raise ValueError(f"no semicolon after {pending.strip()!r}")
    return result


def _apply(connection: sqlite3.Connection, number: int, script: str) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        if _version(connection) < number:  # another process may have been faster
            for statement in statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _version(connection: sqlite3.Connection) -> int:
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version)
