"""Evidence records: what a closed session was, in one canonical text that is hashed and signed (ADR 17).

A record is JSON with sorted keys, without blanks, in UTF-8. Quantities and money are texts with the digits they came
with, so that no program can round them; integers are integers; there are no other numbers. Times are UTC with
milliseconds, each with the letter that says how far it can be trusted (OCMF 1.x, table 19).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, TypeAlias

from agent.buffer.timeline import TRUSTED, Timeline
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.instant import Instant
from agent.core.model import billed
from agent.core.tariff import CENT, Cost

JsonObject: TypeAlias = dict[str, Any]
FactRow: TypeAlias = Sequence[object]
"""seq, session, session_seq, kind, schema, boot, mono, wall, json: a fact as the ledger keeps it."""

FORMAT: Final = 1
ORIGIN: Final = "0" * 64
"""What the first record has in place of the hash before it."""
COSTS: Final = ("energy", "time", "fixed", "parking", "reservation", "surcharge", "excl_vat", "vat", "incl_vat")


class Kind(StrEnum):
    """What a record is about.

    SESSION: a closed session, once. CORRECTION: its times, once the clock became known, or its cost, once the prices
    were. ANNOTATION: something added to
    it. KEY: from here on this key signs. INCIDENT: something was wrong with the evidence when the agent started.
    """

    SESSION = "session"
    CORRECTION = "correction"
    ANNOTATION = "annotation"
    KEY = "key"
    INCIDENT = "incident"


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it has its place in the chain; session: None for what concerns the station alone."""

    kind: Kind
    members: JsonObject
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A place in the chain: the number of a record, from 1, and the hash of its text; number 0 is before the first."""

    number: int = 0
    hash: str = ORIGIN


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a session's record has beside the session's facts, as it was when it closed.

    card: number printed on the card; reporting: what the session may do then; signed: what the meter signed, as
    (format, SHA-256) in order; late: the record was made after the commit that closed the session.
    """

    card: str | None
    evse_id: str | None
    meter_model: str | None
    reporting: str
    signed: tuple[tuple[str, str], ...] = ()
    late: bool = False


def canonical(document: Mapping[str, object]) -> bytes:
    """Return the one text of a document. Raises: TypeError, ValueError for what has none."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(text: bytes) -> str:
    """Return the hash of a text: SHA-256 in lower-case hex."""
    return sha256(text).hexdigest()


def parsed(text: bytes) -> JsonObject | None:
    """Return the document of a text, None where it is not the canonical text of one."""
    try:
        document = json.loads(text)
        whole = isinstance(document, dict) and canonical(document) == text
    except (ValueError, TypeError, RecursionError):
        return None
    return document if whole else None


def completed(draft: Draft, after: Link, common: Mapping[str, object]) -> bytes:
    """Return the text of a record that follows another; common: what every record of the station says."""
    place = {"format": FORMAT, "number": after.number + 1, "previous": after.hash}
    return canonical({**draft.members, **common, **place, "kind": draft.kind.value, "session": draft.session})


def closed_session(
    facts: tuple[SessionStarted, SessionEnded], rows: Sequence[FactRow], known: Timeline, beside: Surroundings
) -> Draft:
    """Return the record of a session; rows: all its facts, in order."""
    start, end = facts
    members: JsonObject = {
        **told(start, end),
        **times(start, end, known),
        "card": beside.card,
        "evse_id": beside.evse_id,
        "meter_model": beside.meter_model,
        "reporting": beside.reporting,
        "signed": [list(one) for one in beside.signed],
        "late": beside.late,
        "facts": fingerprints(rows),
    }
    return Draft(Kind.SESSION, members, start.session)


def correction(start: SessionStarted, end: SessionEnded, known: Timeline, corrects: int) -> Draft:
    """Return the record of a session's times as they are known now; corrects: number of the session's own record."""
    members = {**times(start, end, known), "corrects": corrects, "reason": "clock"}
    return Draft(Kind.CORRECTION, members, start.session)


def priced_late(
    start: SessionStarted, ends: tuple[SessionEnded, SessionEnded], known: Timeline, *, corrects: int, of: Sequence[int]
) -> Draft:
    """Return the record of what a session costs by prices that became known after it; ends: as it was, and priced.

    of: for each of the prices, the place of its beginning in ``prices_from``. corrects: number of the session's record.
    """
    as_it_was, priced = ends
    costs = told(start, priced)
    members: JsonObject = {name: costs[name] for name in ("prices", "cost", "refund")}
    members |= {**times(start, as_it_was, known), "of": list(of), "corrects": corrects, "reason": "prices"}
    return Draft(Kind.CORRECTION, members, start.session)


def told(start: SessionStarted, end: SessionEnded) -> JsonObject:
    """Return what follows from the facts of a session alone, whatever is known of clocks and cards.

    Registers have the meter's own digits, steps its resolution; the energy is what is billed (ADR 11). All in Wh.
    """
    last = end.reading or start.reading
    return {
        "connector": start.evse,
        "id_tag": start.id_token.value,
        "ended_by": None if end.id_token is None else end.id_token.value,
        "profile": start.profile.value,
        "trigger": start.trigger.value,
        "company_code": start.company_code,
        "meter_serial": start.reading.serial,
        "register_start_wh": exact(start.reading.register),
        "register_stop_wh": exact(end.register),
        "step_start_wh": exact(start.reading.step),
        "step_stop_wh": exact(last.step),
        "energy_wh": exact(billed(end.register) - billed(start.reading.register)),
        "stop_reason": end.reason.value,
        "quality": [mark.value for mark in end.quality],
        "prices": [{"energy_wh": exact(p.energy), "price": exact(p.price)} for p in end.periods],
        "cost": None if end.cost is None else _cost(end.cost),
        "refund": _refund(start, end),
    }


def times(start: SessionStarted, end: SessionEnded, known: Timeline) -> JsonObject:
    """Return the moments of a session as well as they are known, and its seconds by the clock that nobody sets."""
    began, ended = known.corrected(start.at), known.corrected(end.at)
    same = start.at.boot == end.at.boot
    seconds = end.at.mono - start.at.mono if same else (ended.wall - began.wall).total_seconds()
    return {
        "started": moment(began),
        "stopped": moment(ended),
        "prices_from": [moment(known.corrected(p.start)) for p in end.periods],
        "duration_s": f"{max(seconds, 0.0):.3f}",
    }


def settled(members: JsonObject) -> bool:
    """Tell whether no time of a record can become known better."""
    moments = [members["started"], members["stopped"], *members["prices_from"]]
    return all(one["clock"] in {status.value for status in TRUSTED} for one in moments)


def moment(at: Instant) -> JsonObject:
    """Return a moment as records have it."""
    return {"at": stamp(at.wall), "clock": at.status.value}


def stamp(wall: datetime) -> str:
    """Return RFC 3339 in UTC, with milliseconds."""
    return wall.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def exact(number: Decimal) -> str:
    """Return a number with all its digits and without an exponent."""
    return f"{number:f}"


def fingerprints(rows: Sequence[FactRow]) -> JsonObject:
    """Return what no fact of a session can be changed, added or removed behind; rows: all of them, in order."""
    first, *between, last = rows
    whole = digest("".join(fingerprint(row) for row in between).encode())
    return {
        "start": [first[0], fingerprint(first)],
        "end": [last[0], fingerprint(last)],
        "between": [len(between), whole],
    }


def fingerprint(row: FactRow) -> str:
    """Return the hash of a fact with all its columns; bytes that are no UTF-8 count as they are."""
    text = json.dumps(list(row), separators=(",", ":"), ensure_ascii=False, default=repr)
    return digest(text.encode(errors="surrogateescape"))


def _cost(cost: Cost) -> JsonObject:
    return {"currency": cost.currency, **{name: exact(getattr(cost, name).quantize(CENT)) for name in COSTS}}


def _refund(start: SessionStarted, end: SessionEnded) -> JsonObject | None:
    percentage = None if start.terms is None else start.terms.refund
    if end.refund is None or percentage is None:
        return None
    return {"percentage": exact(percentage), "amount": exact(end.refund.quantize(CENT))}
