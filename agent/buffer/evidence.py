"""Verifies the ledger of a state directory: the chain, its end, the key, and that records and facts say the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.buffer.accounts import Accounts, compared
from agent.buffer.audit import Fault, Span, audit, true_number
from agent.buffer.head import HEAD, HeadDamaged, read_head
from agent.buffer.keyring import Progress, Stored, Verdict, keyring, verdicts
from agent.buffer.reader import open_reader
from agent.buffer.records import Kind, Link
from agent.buffer.signing import KEY, KeyDamaged, Signer, found

RECORDS: Final = (
    "SELECT number, kind, session, CAST(hash AS TEXT), CAST(signature AS TEXT), CAST(json AS BLOB)"
    " FROM record ORDER BY number"
)
NEWEST: Final = "SELECT number, hash FROM record WHERE session = ? ORDER BY number DESC LIMIT 1"
CHAIN: Final = "SELECT number, hash, filed FROM chain"
GOOD: Final = Verdict.GOOD
TRIES: Final = 3
"""A session may close between the file beside the ledger and the ledger being read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a verification found.

    records: how many there are; withheld: of these, how many are told by their hash alone; faults: by number; notes:
    what is no fault and should be known; newest: the end of the chain, to compare with what was noted elsewhere.
    """

    records: int
    faults: tuple[Fault, ...]
    notes: tuple[str, ...] = ()
    newest: Link = Link()
    withheld: int = 0


@dataclass(frozen=True, slots=True)
class _Ends:
    """Where the chain ends: as the ledger's own row says, and the file beside it; filed: number the file had once."""

    row: Link | None
    filed: int
    beside: Link | None
    damaged: bool = False

    @property
    def steady(self) -> bool:
        """Tell whether the two agree, the file being at most a commit behind."""
        number = 0 if self.beside is None else self.beside.number
        return not self.damaged and self.filed <= number <= (0 if self.row is None else self.row.number)


def verify_ledger(state_dir: Path, given: Sequence[bytes] | None = None, progress: Progress | None = None) -> Finding:
    """Verify the ledger of a state directory, while a daemon runs or not.

    given: public keys known from elsewhere, in DER; without these the key in the state directory counts. Raises:
    LedgerMissing, JournalError; OSError; ValueError for a given key that is none of P-256.
    """
    signer, key_faults = _key(state_dir)
    for attempt in range(TRIES):
        beside = _beside(state_dir)
        with open_reader(state_dir) as connection:
            connection.text_factory = _text
            ends = _ends(connection, beside)
            if not ends.steady and attempt + 1 < TRIES:
                continue
            records = list(_records(connection))
            accounts = compared(connection, records)
        break
    own = () if signer is None else (signer.public,)
    ring = keyring(records, own, _believed(given, signer, records))
    worth = verdicts(records, ring, progress)
    good = {true_number(record): record for record, verdict in zip(records, worth, strict=True) if verdict is GOOD}
    last = max((end for end in (ends.row, ends.beside) if end is not None), key=lambda e: e.number, default=None)
    faults = [
        *key_faults,
        *_key_faults(signer, records),
        *_end_faults(ends, good),
        *audit(records, worth, Span(last=last)),
        *accounts.faults,
    ]
    newest = Link(records[-1].number or 0, records[-1].digest) if records else Link()
    return Finding(len(records), in_order(faults), _notes(records, accounts), newest)


def all_records(connection: sqlite3.Connection) -> list[Stored]:
    """Return the records of an open ledger, by their numbers."""
    connection.text_factory = _text
    return list(_records(connection))


def _records(connection: sqlite3.Connection) -> Iterator[Stored]:
    for number, kind, session, kept, signature, text in connection.execute(RECORDS):
        told = (("kind", kind), ("session", session))
        yield Stored(number, text or b"", kept or "", signature or "", told=told)


def _text(raw: bytes) -> str:
    """Return a column's text; what somebody made no UTF-8 of is a fault of that row, and no end of the verification."""
    return raw.decode(errors="surrogateescape")


def _key(state_dir: Path) -> tuple[Signer | None, list[Fault]]:
    try:
        return found(state_dir), []
    except KeyDamaged:
        return None, [Fault(None, None, f"changed: the signing key {state_dir / KEY} is damaged")]


def _key_faults(signer: Signer | None, records: Sequence[Stored]) -> Iterator[Fault]:
    named = _signers(records)
    if named and signer is None:
        yield Fault(None, None, f"missing: there is no signing key ({KEY}) that could have signed the records")
    elif signer is not None and named and signer.fingerprint not in named:
        yield Fault(None, None, f"wrong signature: {KEY} is another key than the one that signed the records")


def _believed(
    given: Sequence[bytes] | None, signer: Signer | None, records: Sequence[Stored]
) -> Sequence[bytes] | None:
    """Return the keys to believe in: those given, else the station's own, where it is one of the chain's."""
    if given is not None or signer is None or signer.fingerprint not in _signers(records):
        return given
    return [signer.public]


def _signers(records: Sequence[Stored]) -> set[str]:
    """Return the keys that records say they are signed with."""
    return {str(r.body.get("key")) for r in records if r.body is not None}


def _beside(state_dir: Path) -> tuple[Link | None, bool]:
    try:
        return read_head(state_dir), False
    except HeadDamaged:
        return None, True


def _ends(connection: sqlite3.Connection, beside: tuple[Link | None, bool]) -> _Ends:
    row = connection.execute(CHAIN).fetchone()
    return _Ends(None, 0, *beside) if row is None else _Ends(Link(row[0], str(row[1])), row[2], *beside)


def newest_of(connection: sqlite3.Connection, sessions: frozenset[str]) -> list[str]:
    """Return the hash of the newest record on any of these sessions, nothing where none has one."""
    found = [row for session in sessions for row in connection.execute(NEWEST, (session,))]
    return [str(digest) for _, digest in sorted(found, key=lambda row: int(row[0]))][-1:]


def newest_link(connection: sqlite3.Connection) -> Link:
    """Return where the chain of an open ledger ends, as its own row says."""
    return _ends(connection, (None, False)).row or Link()


def _end_faults(ends: _Ends, good: Mapping[int | None, Stored]) -> Iterator[Fault]:
    """Tell what is wrong with the two notes of the chain's end; records that they miss are told by ``audit``.

    good: the signed records by their numbers.
    """
    newest = max((number for number in good if number is not None), default=0)
    if ends.damaged:
        yield Fault(None, None, f"head changed: {HEAD} is not as it was written")
    elif ends.beside is None and ends.filed:
        yield Fault(None, None, f"head missing: {HEAD} is gone")
    elif ends.beside is not None and ends.beside.number < ends.filed:
        yield Fault(None, None, f"head changed: {HEAD} is an old one, of record {ends.beside.number}")
    if ends.row is None and newest:
        yield Fault(None, None, "head missing: the ledger does not tell which record is the newest")
    elif ends.row is not None and ends.row.number < newest:
        yield Fault(None, None, f"head changed: the ledger's newest record is told to be {ends.row.number}")
    for name, end in ((HEAD, ends.beside), ("the ledger", ends.row)):
        if end is not None and end.number in good and good[end.number].digest != end.hash:
            yield Fault(None, None, f"head changed: {name} has another hash of record {end.number}")


def _notes(records: Sequence[Stored], accounts: Accounts) -> tuple[str, ...]:
    notes = [note(record) for record in records]
    if late := sum((record.body or {}).get("late") is True for record in records):
        notes.append(f"{late} records were made later than their sessions closed")
    if accounts.unsealed:
        notes.append(f"{accounts.unsealed} sessions closed before there was evidence, and get their records soon")
    if accounts.thinned:
        notes.append(f"of {accounts.thinned} sessions the readings between start and end are not kept any more")
    return tuple(filter(None, notes))


def note(record: Stored) -> str:
    """Return what should be known of a record that is no fault, mostly nothing."""
    body = record.body or {}
    if body.get("kind") == Kind.KEY and body.get("replaces"):
        return f"record {record.number}: from here on another key signs ({str(body.get('key'))[:16]}…)"
    if body.get("kind") == Kind.INCIDENT:
        return (
            f"record {record.number}: at the agent's start the evidence was not as it had left it ({body.get('what')})"
        )
    return ""


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults once each, by the numbers of their records; last those of none."""
    return tuple(sorted(dict.fromkeys(faults), key=lambda fault: (fault.number is None, fault.number or 0)))
