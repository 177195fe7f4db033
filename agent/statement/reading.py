"""Makes a month's statement from a state directory, sealed where it has evidence; nothing is changed there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agent.buffer.evidence import newest_of
from agent.buffer.reader import LedgerMissing, open_reader
from agent.buffer.signing import found as signer_of
from agent.statement import making, sources
from agent.statement.document import signed_text
from agent.statement.model import Found, Seal, Site, Statement
from agent.statement.month import Month


def statement_of(state_dir: Path, month: Month, site: Site, now: datetime) -> Statement:
    """Return a month's statement; of a station that has never run it is empty.

    now: as for ``making.statement_of``. Some hundred milliseconds: not for the event loop.
    Raises: JournalError; KeyDamaged, OSError where the station's key cannot be used.
    """
    try:
        with open_reader(state_dir) as ledger:
            found = sources.find(ledger, month, site.zone)
            newest = newest_of(ledger, frozenset(r.id for r in found.records if r.stopped_at is not None))
    except LedgerMissing:
        found, newest = Found(), []
    statement = making.statement_of(month, found, site, now)
    return _sealed(state_dir, statement, newest[0]) if newest else statement


def _sealed(state_dir: Path, statement: Statement, newest: str) -> Statement:
    """Return a statement with the newest evidence record that it rests on, signed; without a key as it is."""
    signer = signer_of(state_dir)
    if signer is None:
        return statement
    seal = Seal(head=newest, fingerprint=signer.fingerprint)
    return replace(statement, seal=replace(seal, signature=signer.sign(signed_text(statement, seal))))
