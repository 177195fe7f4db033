"""The sessions and cards of the ledger, as people and programs ask for them (contract, section 3)."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Final, TypeAlias, TypeVar

from agent.buffer.annotation import Annotation
from agent.buffer.codec import load
from agent.buffer.deliveries import CLOUD, Delivery, Lane, Reported, lanes, reported
from agent.buffer.repricing import priced
from agent.buffer.selection import all_starts, starts_within
from agent.buffer.timeline import BOOTS, TRUSTED, Timeline, Trust, timeline
from agent.core.company import Company
from agent.core.facts import Period, SessionEnded, SessionStarted
from agent.core.instant import Instant
from agent.core.model import EvseId, IdToken, Profile, Quality, Reporting, SessionId, StopReason, Wh, billed
from agent.core.settings import Overrides
from agent.core.state import Cached, Card
from agent.core.tariff import CENT, Cost

JsonObject: TypeAlias = dict[str, object]
T = TypeVar("T")

SESSION: Final = """
SELECT s.reporting, a.schema, a.json, z.schema, z.json
FROM session AS s JOIN fact AS a ON a.seq = s.start_fact LEFT JOIN fact AS z ON z.seq = s.end_fact
WHERE s.start_fact = ?
"""
START: Final = "SELECT start_fact FROM session WHERE id = ?"
#: The plus keeps the order of the starts from being used to find them: few ids begin so.
NAMED: Final = "SELECT start_fact FROM session WHERE id >= ? AND id < ? ORDER BY +start_fact DESC LIMIT ?"
MANY: Final = 100
"""So many sessions of one beginning are enough to see that more of the id is needed."""
AFTER: Final = "\U0010ffff"
"""Comes after any character of an id."""
CARDS: Final = "SELECT schema, json FROM slice WHERE kind = 'card' ORDER BY key"
SLICE: Final = "SELECT schema, json FROM slice WHERE kind = ? AND key = ?"


@dataclass(frozen=True, slots=True)
class Refund:
    """What the employer pays back: percent of the cost incl. VAT, and the amount with two places."""

    percentage: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session as the ledger has it; None for what an open one does not have yet.

    transaction_id: the commanding central system's name; card: number printed on the local card, where it is known.
    started_at, stopped_at: UTC, corrected as far as is known now, see ``clock``. duration_s: by the monotonic clock, by
    the wall clock where the machine was started anew in between. quality: one or more. periods: at one price each.
    """

    id: SessionId
    connector: EvseId
    transaction_id: int | str | None
    id_token: IdToken
    card: str | None
    profile: Profile
    company_code: str | None
    started_at: datetime
    stopped_at: datetime | None
    duration_s: Decimal | None
    clock: Trust
    meter_start: Wh
    meter_stop: Wh | None
    stop_reason: StopReason | None
    reporting: Reported
    quality: tuple[Quality, ...]
    delivery: tuple[Delivery, ...]
    cost: Cost | None
    refund: Refund | None
    periods: tuple[Period, ...]

    @property
    def energy(self) -> Wh | None:
        """What went into the car: the difference of the register."""
        return None if self.meter_stop is None else Wh(self.meter_stop - self.meter_start)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the state directory keeps beside sessions and cards: changed settings, and the company link."""

    overrides: Overrides = Overrides()
    company: Company = Company()


def sessions(
    connection: sqlite3.Connection,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> list[SessionRecord]:
    """Return the sessions, oldest first; what is not returned is hardly read. Raises: JournalCorrupt.

    since, until: only those that ended at or after the one and before the other (contract, section 6); an open session
    ends later than any moment, so it counts unless it began after all of that. limit: only so many, the newest ones.
    """
    known = _Known(connection)
    is_whole = since is None and until is None
    starts = all_starts(connection) if is_whole else starts_within(connection, known.times, since, until)
    found = (_record(connection, known, seq) for seq in starts)
    newest = list(islice((r for r in found if _within(r, since, until)), limit))
    return newest[::-1]


def session(connection: sqlite3.Connection, session_id: str) -> SessionRecord | None:
    """Return one session, None where there is none of this id. Raises: JournalCorrupt."""
    row = connection.execute(START, (session_id,)).fetchone()
    return None if row is None else _record(connection, _Known(connection), row[0])


def named(connection: sqlite3.Connection, beginning: str) -> list[SessionRecord]:
    """Return the sessions whose ids begin so, oldest first: the newest ``MANY`` of them, none for an empty beginning.

    Raises: JournalCorrupt.
    """
    known = _Known(connection)
    found = connection.execute(NAMED, (beginning, beginning + AFTER, MANY)) if beginning else ()
    return [_record(connection, known, seq) for (seq,) in found][::-1]


def cards(connection: sqlite3.Connection) -> tuple[Card, ...]:
    """Return the cards known locally, by their UID. Raises: JournalCorrupt."""
    return tuple(load(Card, schema, text) for schema, text in connection.execute(CARDS))


def kept(connection: sqlite3.Connection) -> Kept:
    """Return the settings that were changed, and the company link. Raises: JournalCorrupt."""
    return Kept(
        _slice(connection, Overrides, "overrides") or Overrides(), _slice(connection, Company, "company") or Company()
    )


def last_verdict(connection: sqlite3.Connection, id_token: IdToken) -> Cached | None:
    """Return what a central system last said of a token, None where it is not remembered. Raises: JournalCorrupt."""
    return _slice(connection, Cached, "cache", id_token.key)


def to_json(record: SessionRecord) -> JsonObject:
    """Return a session as ``sessions list --json`` has it."""
    return {
        "id": record.id,
        "connector": record.connector,
        "transaction_id": record.transaction_id,
        "id_tag": record.id_token.value,
        "card": record.card,
        "profile": record.profile.value,
        "started_at": _stamp(record.started_at),
        "stopped_at": None if record.stopped_at is None else _stamp(record.stopped_at),
        "clock": record.clock.value,
        "meter_start_wh": float(record.meter_start),
        "meter_stop_wh": None if record.meter_stop is None else float(record.meter_stop),
        "energy_wh": None if record.energy is None else float(record.energy),
        "stop_reason": None if record.stop_reason is None else record.stop_reason.value,
        "state": "open" if record.stopped_at is None else "closed",
        "reporting": record.reporting.value,
        "quality": [mark.value for mark in record.quality],
        "delivery": [{"to": d.to, "state": d.state.value, "error": d.error} for d in record.delivery],
        "cost": None if record.cost is None else _cost(record.cost),
        "refund": None if record.refund is None else _refund(record.refund),
    }


def to_full_json(record: SessionRecord, annotation: Annotation | None = None) -> JsonObject:
    """Return a session as ``sessions show --json`` has it; annotation: what was added to it."""
    periods = [
        {"start": _stamp(p.start.wall), "energy_wh": float(p.energy), "price": _price(p.price)} for p in record.periods
    ]
    return {**to_json(record), "periods": periods, **(annotation or Annotation()).to_json()}


def _slice(connection: sqlite3.Connection, kind: type[T], name: str, key: str = "") -> T | None:
    row = connection.execute(SLICE, (name, key)).fetchone()
    return None if row is None else load(kind, *row)


class _Known:
    """What is looked up for every session; numbers: of cards, by token key."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.numbers = {card.id_token.key: card.number for card in cards(connection)}

    @cached_property
    def times(self) -> Timeline:
        """When each boot began; read only where a stamp asks for it."""
        return timeline(self._connection.execute(BOOTS))

    def corrected(self, at: Instant) -> Instant:
        return at if at.status in TRUSTED else self.times.corrected(at)

    def trust(self, *moments: Instant) -> Trust:
        if TRUSTED.issuperset(at.status for at in moments):
            return Trust.SYNCHRONISED
        return self.times.trust(*moments)


def _record(connection: sqlite3.Connection, known: _Known, start_fact: int) -> SessionRecord:
    """Return the session that a fact began."""
    reporting, start_schema, start_json, end_schema, end_json = connection.execute(SESSION, (start_fact,)).fetchone()
    start = load(SessionStarted, start_schema, start_json)
    end = None if end_json is None else load(SessionEnded, end_schema, end_json)
    end = None if end is None else priced(connection, start, end)
    return _made(start, end, known, (Reporting(reporting), lanes(connection, start.session)))


def _made(
    start: SessionStarted, end: SessionEnded | None, known: _Known, report: tuple[Reporting, tuple[Lane, ...]]
) -> SessionRecord:
    """Return a record; report: what the session may do now, and its lanes."""
    reporting, of_session = report
    transactions = [lane.transaction_id for lane in of_session if lane.delivery.to == CLOUD]
    began, ended = known.corrected(start.at), None if end is None else known.corrected(end.at)
    return SessionRecord(
        id=start.session,
        connector=start.evse,
        transaction_id=transactions[0] if transactions else None,
        id_token=start.id_token,
        card=known.numbers.get(start.id_token.key),
        profile=start.profile,
        company_code=start.company_code,
        started_at=began.wall.astimezone(UTC),
        stopped_at=None if ended is None else ended.wall.astimezone(UTC),
        duration_s=None if ended is None else _duration(began, ended),
        clock=known.trust(start.at, *(() if end is None else (end.at,))),
        meter_start=billed(start.reading.register),
        meter_stop=None if end is None else billed(end.register),
        stop_reason=None if end is None else end.reason,
        reporting=reported(reporting, of_session),
        quality=(Quality.MEASURED,) if end is None else end.quality,
        delivery=tuple(lane.delivery for lane in of_session),
        cost=None if end is None else end.cost,
        refund=None if end is None else _refunded(start, end),
        periods=() if end is None else tuple(replace(p, start=known.corrected(p.start)) for p in end.periods),
    )


def _refunded(start: SessionStarted, end: SessionEnded) -> Refund | None:
    percentage = None if start.terms is None else start.terms.refund
    return None if end.refund is None or percentage is None else Refund(percentage, end.refund)


def _duration(began: Instant, ended: Instant) -> Decimal:
    """Return seconds with three places, never less than none."""
    same = began.boot == ended.boot
    seconds = ended.mono - began.mono if same else (ended.wall - began.wall).total_seconds()
    return Decimal(f"{max(seconds, 0.0):.3f}")


def _within(record: SessionRecord, since: datetime | None, until: datetime | None) -> bool:
    ended = record.stopped_at
    if since is not None and ended is not None and ended < since:
        return False
    return until is None or (ended or record.started_at) < until


def _cost(cost: Cost) -> JsonObject:
    names = ("excl_vat", "vat", "incl_vat", "energy", "time", "fixed", "parking", "reservation", "surcharge")
    return {"currency": cost.currency, **{name: f"{getattr(cost, name).quantize(CENT):f}" for name in names}}


def _refund(refund: Refund) -> JsonObject:
    return {"percentage": f"{refund.percentage.normalize():f}", "amount": f"{refund.amount.quantize(CENT):f}"}


def _price(price: Decimal) -> str:
    """Return a price with all the places it has, at least two."""
    cents = price.quantize(CENT)
    return f"{cents if cents == price else price.normalize():f}"


def _stamp(wall: datetime) -> str:
    """Return RFC 3339 in UTC, with milliseconds."""
    return wall.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
