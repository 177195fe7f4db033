"""Finds the session of the ledger that a central system's record is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from agent.buffer.ledger import SessionRecord
from agent.statement.claims import Claim

NEAR: Final = timedelta(seconds=90)
"""Two clocks that tell the same start may differ by so much."""
FAR: Final = timedelta(hours=26)
"""And by so much where one of them is in another time zone, or was wrong; then the energy has to be the same."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A record and its session; either may be None. again: the session has another record already."""

    claim: Claim | None
    record: SessionRecord | None
    again: bool = False


def paired(claims: Sequence[Claim], records: Sequence[SessionRecord]) -> list[Pair]:
    """Return each record with its session, in their order; sessions without a record are not in it.

    By name first, then by card and start, then by card and energy; what is found by a better way is found first.
    """
    found: dict[int, SessionRecord] = {}
    names = _names(records)
    for way in (_by_name(names), _near(records), _far(records)):
        taken: set[str] = {record.id for record in found.values()}
        for number, claim in enumerate(claims):
            if number not in found and (record := way(claim, taken)) is not None:
                found[number] = record
                taken.add(record.id)
    for number, claim in enumerate(claims):  # what is left may be a second record of a session
        if number not in found and (again := _near(records)(claim, set())) is not None:
            found[number] = again
    return list(_told(claims, found))


def _told(claims: Sequence[Claim], found: Mapping[int, SessionRecord]) -> Iterable[Pair]:
    seen: set[str] = set()
    for number, claim in enumerate(claims):
        record = found.get(number)
        yield Pair(claim, record, again=record is not None and record.id in seen)
        if record is not None:
            seen.add(record.id)


def _names(records: Iterable[SessionRecord]) -> Mapping[str, SessionRecord]:
    names: dict[str, SessionRecord] = {}
    for record in records:
        if record.transaction_id is not None:
            names[f"transaction {record.transaction_id}"] = record
        names[record.id] = record
    return names


Way = Callable[[Claim, set[str]], SessionRecord | None]


def _by_name(names: Mapping[str, SessionRecord]) -> Way:
    """A central system's transaction may have a number that another one's has too: the start has to fit as well."""

    def find(claim: Claim, _taken: set[str]) -> SessionRecord | None:
        for name in (claim.id, claim.session):
            if name is not None and (own := names.get(name.lower())) is not None:
                return own
        record = names.get(f"transaction {claim.session}")
        fits = record is not None and (claim.start is None or abs(record.started_at - claim.start) <= FAR)
        return record if fits else None

    return find


def _near(records: Iterable[SessionRecord]) -> Way:
    def find(claim: Claim, taken: set[str]) -> SessionRecord | None:
        start = claim.start
        if start is None:
            return None
        close = [r for r in records if r.id not in taken and _same_card(claim, r) and abs(r.started_at - start) <= NEAR]
        return min(close, key=lambda record: (abs(record.started_at - start), record.id), default=None)

    return find


def _far(records: Iterable[SessionRecord]) -> Way:
    def find(claim: Claim, taken: set[str]) -> SessionRecord | None:
        start = claim.start
        if start is None or not claim.energy:
            return None
        close = [
            r
            for r in records
            if r.id not in taken and _same_card(claim, r) and same_energy(claim, r) and abs(r.started_at - start) <= FAR
        ]
        return min(close, key=lambda record: (abs(record.started_at - start), record.id), default=None)

    return find


def _same_card(claim: Claim, record: SessionRecord) -> bool:
    known = {record.id_token.key, (record.card or "").upper()}
    return claim.uid is None or claim.uid.upper() in known


def same_energy(claim: Claim, record: SessionRecord) -> bool:
    """Tell whether the energies are the same, as far as the record tells it."""
    if claim.energy is None or record.energy is None:
        return claim.energy is None
    return abs(claim.energy - record.energy) < claim.step / 2 or claim.energy == record.energy
