"""Reading the ledger for the command line, whether a daemon runs or not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from agent.buffer.reader import LedgerMissing, open_reader
from agent.cli.client import no_permission
from agent.cli.context import CommandFailed

T = TypeVar("T")


def read(state_dir: Path, query: Callable[[sqlite3.Connection], Sequence[T]]) -> Sequence[T]:
    """Return what a query finds in the ledger, nothing where no daemon has ever made one.

    Raises: CommandFailed, JournalError.
    """
    entered(state_dir)
    try:
        with open_reader(state_dir) as connection:
            return query(connection)
    except LedgerMissing:
        return ()


def entered(state_dir: Path) -> None:
    """Raise CommandFailed where this user may not enter a state directory."""
    if state_dir.is_dir() and not os.access(state_dir, os.X_OK):
        raise CommandFailed(no_permission(state_dir))
