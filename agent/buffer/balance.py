"""Where the energy of a span of time went: sessions, and nobody; together the difference of the register, to the digit.

Every register on record is a point: start, readings and end of sessions, and what was noted in between. What lies
between two points of one session is the session's, all else is nobody's. A register that begins anew (another meter, a
reset) begins another account.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Final

from agent.buffer.codec import load_fact
from agent.buffer.timeline import BOOTS, Timeline, timeline
from agent.core.facts import Fact, MeterSampled, SessionEnded, SessionSampled, SessionStarted
from agent.core.instant import Instant
from agent.core.model import EvseId, SessionId, Wh

#: All but the readings of sessions, which are only needed of those that lie across an end of the span.
POINTS: Final = "SELECT seq, kind, schema, json FROM fact WHERE kind <> 'session-sampled' ORDER BY seq"
SAMPLES: Final = "SELECT seq, kind, schema, json FROM fact WHERE kind = 'session-sampled' AND session = ? ORDER BY seq"


@dataclass(frozen=True, slots=True)
class Point:
    """A register on record; session: whose it is, None while nobody charged; anew: it does not go on from the last."""

    at: Instant
    register: Wh
    serial: str | None
    session: SessionId | None
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Balance:
    """One account: a connector's meter over a span; begin and end are the first and last points that lie in it.

    sessions, unattributed: together ``end.register - begin.register``, exactly.
    """

    evse: EvseId
    begin: Point
    end: Point
    sessions: Wh
    unattributed: Wh

    def to_json(self) -> dict[str, object]:
        """Return the object of ``sessions balance --json``."""
        return {
            "connector": int(self.evse),
            "meter": self.end.serial or self.begin.serial,
            "from": _stamp(self.begin.at),
            "to": _stamp(self.end.at),
            "register_start_wh": _number(self.begin.register),
            "register_stop_wh": _number(self.end.register),
            "sessions_wh": _number(self.sessions),
            "unattributed_wh": _number(self.unattributed),
        }


def balances(
    connection: sqlite3.Connection, begin: datetime | None = None, end: datetime | None = None
) -> tuple[Balance, ...]:
    """Return the accounts of a span (UTC, both ends within it) by connector, in order; without ends all there is."""
    times = timeline(connection.execute(BOOTS))
    facts = {row["seq"]: _fact(row, times) for row in connection.execute(POINTS)}
    for name in _across(facts.values(), (begin, end)):
        facts.update((row["seq"], _fact(row, times)) for row in connection.execute(SAMPLES, (name,)))
    found: list[Balance] = []
    for evse, points in sorted(_by_evse(facts[seq] for seq in sorted(facts)).items()):
        found += [balance for account in _accounts(points) if (balance := _balance(evse, account, begin, end))]
    return tuple(found)


def _fact(row: sqlite3.Row, times: Timeline) -> Fact:
    return times.corrected_fact(load_fact(row["kind"], row["schema"], row["json"]))


def _across(facts: Iterable[Fact], ends: tuple[datetime | None, ...]) -> tuple[SessionId, ...]:
    """Return the sessions that lie across an end of the span."""
    started: dict[SessionId, datetime] = {}
    across: dict[SessionId, None] = {}
    for fact in facts:
        if isinstance(fact, SessionStarted):
            started[fact.session] = fact.at.wall
        elif isinstance(fact, SessionEnded) and fact.session in started:
            first = started.pop(fact.session)
            if any(end is not None and first < end < fact.at.wall for end in ends):
                across[fact.session] = None
    return (*across, *started)


def _by_evse(facts: Iterable[Fact]) -> Mapping[EvseId, list[Point]]:
    """Return the points of each connector in their order."""
    found: defaultdict[EvseId, list[Point]] = defaultdict(list)
    for fact in facts:
        match fact:
            case SessionStarted():
                point = Point(fact.at, fact.reading.register, fact.reading.serial, fact.session)
            case SessionSampled():
                point = Point(fact.reading.at, fact.reading.register, fact.reading.serial, fact.session)
            case SessionEnded():
                point = Point(fact.at, fact.register, None, fact.session)
            case MeterSampled():
                point = Point(fact.reading.at, fact.reading.register, fact.reading.serial, None, fact.anew)
            case _:
                continue
        found[fact.evse].append(point)
    return found


def _accounts(points: Iterable[Point]) -> Iterator[list[Point]]:
    account: list[Point] = []
    for point in points:
        if account and (point.anew or point.register < account[-1].register):
            yield account
            account = []
        account.append(point)
    if account:
        yield account


def _balance(evse: EvseId, account: list[Point], begin: datetime | None, end: datetime | None) -> Balance | None:
    inside = [p for p in account if (begin is None or p.at.wall >= begin) and (end is None or p.at.wall <= end)]
    if not inside:
        return None
    sessions = unattributed = Decimal(0)
    for one, other in pairwise(inside):
        energy = other.register - one.register
        if one.session is not None and one.session == other.session:
            sessions += energy
        else:
            unattributed += energy
    return Balance(evse, inside[0], inside[-1], Wh(sessions), Wh(unattributed))


def _stamp(at: Instant) -> str:
    return at.wall.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(register: Wh) -> float | int:
    """Return a register as a JSON number in its own digits."""
    return int(register) if register == register.to_integral_value() else float(register)
