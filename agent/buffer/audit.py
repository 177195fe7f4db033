"""Checks a chain of evidence records, and says of each record at fault what was done to it.

Records that are signed by the station tell the truth about their own number and about the hash of the one before. From
these follows what stands where it does not belong, what is missing, and what another text should be in the place of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.buffer.keyring import Stored, Verdict
from agent.buffer.records import Kind, Link

MOST_MISSING: Final = 100
"""So many records in a row are named one by one when they are missing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a record, in words that begin with what was done; number: None for what has none."""

    number: int | None
    session: str | None
    fault: str


@dataclass(frozen=True, slots=True)
class Span:
    """What a chain has to be between: the link before its first record, and its last one, None where nothing tells it.

    listed: the records came as a list whose order counts.
    """

    before: Link = Link()
    last: Link | None = None
    listed: bool = False


def audit(records: Sequence[Stored], verdicts: Sequence[Verdict], span: Span) -> list[Fault]:
    """Return what is wrong with the records, by their numbers; verdicts: of their signatures."""
    good = [r for r, verdict in zip(records, verdicts, strict=True) if verdict is Verdict.GOOD]
    strange = [r for r, verdict in zip(records, verdicts, strict=True) if verdict is Verdict.STRANGE]
    bad = [r for r, verdict in zip(records, verdicts, strict=True) if verdict is Verdict.BAD]
    chain, outside = _chain(good, span)
    faults = [
        *_misplaced(good, chain),
        *(Fault(true_number(r), r.session, "inserted: the list does not reach so far") for r in outside),
        *_unsigned(bad, chain, span),
        *_of_others(strange, chain, span),
        *_missing({r.number for r in (*bad, *strange)}, chain, span),
        *_unlinked(chain, span),
        *_columns(chain.values()),
        *_twice(chain),
        *(_disordered(good, chain) if span.listed else ()),
    ]
    return sorted(faults, key=lambda fault: fault.number or 0)


def true_number(record: Stored) -> int | None:
    """Return the number that a signed record says it has; one whose text is withheld has that told beside it."""
    number = record.number if record.body is None else record.body.get("number")
    return number if type(number) is int else None


def _chain(good: Sequence[Stored], span: Span) -> tuple[dict[int, Stored], list[Stored]]:
    """Return the signed records by their true numbers, of copies the one in its place; and those outside of a list."""
    chain: dict[int, Stored] = {}
    for record in sorted(good, key=lambda r: r.number != true_number(r)):
        chain.setdefault(true_number(record) or 0, record)
    last = span.last.number if span.listed and span.last is not None else max(chain, default=0)
    outside = [record for number, record in chain.items() if not span.before.number < number <= last]
    return {n: r for n, r in sorted(chain.items()) if r not in outside}, outside


def _misplaced(good: Sequence[Stored], chain: Mapping[int, Stored]) -> Iterator[Fault]:
    for record in good:
        number = true_number(record)
        if number is None or number not in chain:
            continue
        if chain[number] is not record:
            yield Fault(record.number, record.session, f"inserted: it is a copy of record {number}")
        elif record.number != number:
            yield Fault(number, record.session, f"reordered: it stands in the place of record {record.number}")


def _unsigned(bad: Sequence[Stored], chain: Mapping[int, Stored], span: Span) -> Iterator[Fault]:
    """Tell what records without a valid signature are: another text, another signature, or too many."""
    last = max(chain, default=0) if span.last is None else span.last.number
    for record in bad:
        number = record.number
        if number is None or number in chain or not span.before.number < number <= last:
            yield Fault(number, record.session, "inserted: the station has not signed it")
            continue
        wanted = _wanted(number, chain, span)
        if wanted == record.digest:
            yield Fault(number, record.session, "wrong signature: the text is what it was, its signature is not")
        elif wanted is None and record.hash in {None, record.digest}:
            yield Fault(number, record.session, "wrong signature: the text or its signature was changed")
        else:
            yield Fault(number, record.session, "changed")


def _of_others(strange: Sequence[Stored], chain: Mapping[int, Stored], span: Span) -> Iterator[Fault]:
    """Tell of records that a key signed which is not known to be the station's."""
    for record in strange:
        number = record.number
        beyond = number is not None and span.last is not None and number > span.last.number
        if number is None or number in chain or number <= span.before.number or beyond:
            yield Fault(number, record.session, "inserted: it is signed with another key than the station's")
        else:
            yield Fault(number, record.session, "wrong signature: it is signed with another key than the station's")


def _missing(occupied: set[int | None], chain: Mapping[int, Stored], span: Span) -> Iterator[Fault]:
    ends = [span.before.number, *chain] if span.last is None else [span.before.number, span.last.number, *chain]
    present = sorted(n for n in {*chain, *occupied} if n is not None and span.before.number < n <= max(ends))
    edge = span.before.number
    for number in (*present, max(ends) + 1):
        gap = range(edge + 1, number)
        if len(gap) > MOST_MISSING:
            yield Fault(gap[0], None, f"missing: it and all up to record {gap[-1]}")
        else:
            yield from (Fault(one, None, "missing") for one in gap)
        edge = number


def _unlinked(chain: Mapping[int, Stored], span: Span) -> Iterator[Fault]:
    for number, record in chain.items():
        told = record.previous if record.body is None else record.body.get("previous")
        if number == span.before.number + 1 and told != span.before.hash:
            yield Fault(number, record.session, "changed: it does not follow what came before it")
        before = chain.get(number - 1)
        if before is None or told == before.digest:
            continue
        if record.text is None:
            yield Fault(number, None, "changed: what is told in place of its text")
        else:
            yield Fault(number - 1, before.session, f"changed: record {number} follows another one of this number")


def _columns(records: Iterable[Stored]) -> Iterator[Fault]:
    for record in records:
        wrong = [name for name, value in record.told if (record.body or {}).get(name) != value]
        if record.text is not None and record.hash is not None and record.hash != record.digest:
            wrong.append("hash")
        if wrong:
            yield Fault(true_number(record), record.session, f"changed: its {' and '.join(wrong)} beside the text")


def _twice(chain: Mapping[int, Stored]) -> Iterator[Fault]:
    of_sessions = {n: r for n, r in chain.items() if (r.body or {}).get("kind") == Kind.SESSION}
    counts = Counter(record.session for record in of_sessions.values())
    seen: set[str | None] = set()
    for number, record in of_sessions.items():
        if counts[record.session] > 1 and record.session in seen:
            yield Fault(number, record.session, "inserted: its session has a record already")
        seen.add(record.session)


def _disordered(good: Sequence[Stored], chain: Mapping[int, Stored]) -> Iterator[Fault]:
    listed = [record for record in good if chain.get(true_number(record) or 0) is record]
    for record, due in zip(listed, chain.values(), strict=True):
        if record is not due:
            yield Fault(true_number(record), record.session, "reordered: it is not in its place of the list")


def _wanted(number: int, chain: Mapping[int, Stored], span: Span) -> str | None:
    """Return the hash of the record that belongs in a place, as its successor or the chain's end tells it."""
    successor = chain.get(number + 1)
    if successor is not None:
        told = successor.previous if successor.body is None else successor.body.get("previous")
        return told if isinstance(told, str) else None
    return span.last.hash if span.last is not None and span.last.number == number else None
