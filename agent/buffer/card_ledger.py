"""What the ledger knows of the cards that a central system sent, beside the cards themselves."""

from __future__ import annotations

import sqlite3
from typing import Final

from agent.buffer.codec import load
from agent.core.card import Distribution

DISTRIBUTION: Final = "SELECT schema, json FROM slice WHERE kind = 'distribution' AND key = ''"


def distribution(connection: sqlite3.Connection) -> Distribution:
    """Return what came of the cards that were sent, version 0 where none ever were. Raises: JournalCorrupt."""
    row = connection.execute(DISTRIBUTION).fetchone()
    return Distribution() if row is None else load(Distribution, *row)
