"""What must be true of a ledger after a death, told from what the outside world knew before it, and from what follows.

The ledger is opened by the product's own code; it must hold every unit of work that was acknowledged, whole, and at
most what was under way besides. Then the station lives on: what was found open is recovered and ends, another
session is charged, and all messages are delivered to central systems that remember what they had before. In the end
each session is there once, its registers join those of its neighbours without a gap, and each central system has one
start and one stop of what it may know.
"""

from __future__ import annotations

import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from agent.buffer.codec import load_fact
from agent.buffer.database import Database, open_database
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import SessionRecord, sessions
from agent.buffer.reader import open_reader
from agent.core.commands import ChangeAvailability, PutCard, StopSession, UnblockCard
from agent.core.company import LinkAnswer, LinkState
from agent.core.errors import AgentError
from agent.core.events import CardPresented, LinkAnswered
from agent.core.facts import Fact, SessionEnded, SessionSampled, SessionStarted
from agent.core.model import STATION, EvseId, IdToken, Profile, Reporting, SessionId, billed
from agent.core.state import Durable
from tests.durability.process import Observed, Process, Ways
from tests.durability.reference import Content, age, content
from tests.durability.tape import Tape, Told
from tests.durability.world import (
    DESTINATIONS,
    EVSES,
    Book,
    Decided,
    Done,
    Energised,
    Fate,
    Handed,
    Kept,
    Sent,
    Survived,
    World,
)

VISITOR: Final = IdToken("04DDDD04")
PATIENCE: Final = 40
"""Rounds of polls, or of deliveries, after which what has not happened will not."""
BROKEN: Final = (AssertionError, AgentError, sqlite3.Error, ValueError, LookupError, TypeError, StopIteration)
"""What a ledger that is not right makes of the code that goes on with it."""


class Kind(StrEnum):
    """What is wrong with a ledger."""

    SHUT = "does not open"
    CORRUPT = "corrupt"
    LOST = "acknowledged but lost"
    HALF = "not as it ever was"
    STATE = "another state than was kept"
    POWER = "power without its start"
    MESSAGE = "message lost or changed"
    SESSION = "session lost, doubled or broken"
    REGISTER = "registers do not join"
    LANE = "lane at odds with its facts"
    STUCK = "does not go on"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, in words."""

    kind: Kind
    words: str


@dataclass(frozen=True, slots=True)
class Past:
    """What there was before: all that was told, what the ledger may hold, and the world as it is now."""

    told: Sequence[object]
    allowed: list[Content]
    world: World
    seed: str
    ways: Ways


async def examine(root: Path, past: Past, chance: random.Random, *, lives_on: bool = True) -> list[Fault]:
    """Return what is wrong with the ledger below a directory; lives_on: the station goes on with it, which writes."""
    faults: list[Fault] = []
    state_dir = root / "state"
    try:
        if chance.random() < 0.1 and any(isinstance(what, Done) for what in past.told):
            _read_first(state_dir)
        async with open_database(state_dir, copied=past.ways.copied) as database:
            faults += await _content(database, past)
            if lives_on:
                faults += await _go_on(database, past)
                faults += [Fault(Kind.CORRUPT, words) for words in await database._run(_damage)]
    except BROKEN as error:
        faults.append(Fault(Kind.SHUT if not faults else Kind.STUCK, f"{type(error).__name__}: {error}"))
    return faults


def _read_first(state_dir: Path) -> None:
    """Let a command read the ledger before the daemon is there; once anything was acknowledged it can."""
    with open_reader(state_dir) as connection:
        sessions(connection)


async def _content(database: Database, past: Past) -> list[Fault]:
    """Hold what is there against what was acknowledged, and against each promise of its own."""
    damage = await database._run(_damage)
    if damage:
        return [Fault(Kind.CORRUPT, words) for words in damage]
    faults = []
    found = await database._run(content)
    if found not in past.allowed:
        units = age(past.told, found)
        kind, words = (Kind.HALF, "no unit's state") if units is None else (Kind.LOST, f"as after unit {units}")
        faults.append(Fault(kind, words))
    if await SqliteJournal(database, DESTINATIONS).load() not in _states(past.told):
        faults.append(Fault(Kind.STATE, "what was loaded is not what was handed over"))
    return faults + list(await database._run(lambda connection: [*_promises(connection, past.told)]))


def _states(told: Iterable[object]) -> list[Durable | None]:
    """Return the states that may be there: the one acknowledged last, and the one under way."""
    states: list[Durable | None] = [None]
    for what in told:
        match what:
            case Handed(slices):
                states = [states[0], slices]
            case Done() | Kept():
                states = states[-1:]
            case Survived(0):
                states = states[:1]
    return states


def _damage(connection: sqlite3.Connection) -> list[str]:
    found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
    return found + [f"a row of {row[0]} refers to nothing" for row in connection.execute("PRAGMA foreign_key_check")]


def _promises(connection: sqlite3.Connection, told: Iterable[object]) -> Iterator[Fault]:
    """Each contactor that was closed has its start, each message that left is there as it left."""
    known = {row[0] for row in connection.execute("SELECT id FROM session")}
    rows = {(r[0], r[1]): r[2:] for r in connection.execute("SELECT destination, fact, message_id, text FROM outbox")}
    taken: set[str] = set()
    sent: list[Sent] = []
    for what in told:
        match what:
            case Energised(evse, session) if session not in known:
                yield Fault(Kind.POWER, f"connector {evse} was closed for {session}")
            case Decided(message_id=message_id, fate=Fate.TAKEN):
                taken.add(message_id)
            case Sent():
                sent.append(what)
    for message in sent:
        kept = rows.get((message.destination, message.row))
        if kept is None and message.message_id not in taken:
            yield Fault(Kind.MESSAGE, f"row {message.row} of {message.destination} has left, and is gone")
        elif kept is not None and kept != (message.message_id, message.text):
            yield Fault(Kind.MESSAGE, f"row {message.row} of {message.destination} is another message now")
    yield from _sessions(connection, open_allowed=True)
    yield from _lanes(connection)


def _facts(connection: sqlite3.Connection) -> dict[SessionId, list[Fact]]:
    """Return the facts of each session, in their order."""
    found: defaultdict[SessionId, list[Fact]] = defaultdict(list)
    for kind, schema, text in connection.execute("SELECT kind, schema, json FROM fact ORDER BY seq"):
        fact = load_fact(kind, schema, text)
        if isinstance(fact, SessionStarted | SessionSampled | SessionEnded):
            found[fact.session].append(fact)
    return found


def _sessions(connection: sqlite3.Connection, *, open_allowed: bool) -> Iterator[Fault]:
    """Each session is there once: a start, at most one end, numbers without a gap, registers that do not run back."""
    stories, records = _facts(connection), sessions(connection)
    if sorted(r.id for r in records) != sorted(stories):
        yield Fault(Kind.SESSION, f"{len(records)} sessions are listed, {len(stories)} have facts")
    by_id = {record.id: record for record in records}
    slices = {row[0] for row in connection.execute("SELECT json_extract(json, '$.id') FROM slice WHERE kind='session'")}
    for name, story in stories.items():
        yield from _story(name, story, by_id.get(name))
        ended = isinstance(story[-1], SessionEnded)
        if ended == (name in slices):
            yield Fault(Kind.SESSION, f"{name}: {'ended' if ended else 'open'}, but the state has it otherwise")
        if not ended and not open_allowed:
            yield Fault(Kind.SESSION, f"{name} was never ended")


def _story(name: SessionId, story: list[Fact], record: SessionRecord | None) -> Iterator[Fault]:
    first, last = story[0], story[-1]
    numbers = [fact.seq for fact in story if isinstance(fact, SessionStarted | SessionSampled | SessionEnded)]
    if numbers != list(range(len(story))):
        yield Fault(Kind.SESSION, f"{name}: numbers {numbers}")
    kinds = [type(fact) for fact in story]
    if kinds[0] is not SessionStarted or kinds.count(SessionStarted) != 1 or SessionEnded in kinds[:-1]:
        yield Fault(Kind.SESSION, f"{name}: {[kind.__name__ for kind in kinds]}")
    registers = [f.register if isinstance(f, SessionEnded) else f.reading.register for f in story]  # type: ignore[union-attr]  # as above
    if registers != sorted(registers):
        yield Fault(Kind.REGISTER, f"{name}: {registers}")
    if record is None or not isinstance(first, SessionStarted) or not isinstance(last, SessionEnded):
        return
    energy = billed(last.register) - billed(first.reading.register)
    if record.energy != energy or sum(p.energy for p in record.periods) != energy:
        yield Fault(Kind.REGISTER, f"{name}: {record.energy} Wh, not {energy}")


LANES: Final = """
SELECT fact.seq, fact.kind, session.reporting, delivery.destination, outbox.state, outbox.text
FROM fact JOIN session ON session.id = fact.session JOIN delivery ON delivery.session = session.id
LEFT JOIN outbox ON outbox.fact = fact.seq AND outbox.destination = delivery.destination
"""
#: What a session may do -> states of the rows of its facts; None: no row, because it was taken, or must not go.
STATES: Final[dict[str, set[str | None]]] = {
    Reporting.REPORT: {"queued", "confirmed", "quarantined"},
    Reporting.HOLD: {"held"},
    Reporting.LOCAL_ONLY: {None},
}


def _lanes(connection: sqlite3.Connection) -> Iterator[Fault]:
    for seq, kind, reporting, destination, state, text in connection.execute(LANES):
        allowed = STATES[reporting] | ({None} if kind == "session-sampled" else set())
        if state not in allowed:
            yield Fault(Kind.LANE, f"fact {seq} ({kind}, {reporting}) is {state} for {destination}")
        if text is not None and state == "held":
            yield Fault(Kind.LANE, f"fact {seq} has left for {destination}, and is held")
    ids = [row[0] for row in connection.execute("SELECT message_id FROM outbox")]
    if len(ids) != len(set(ids)):
        yield Fault(Kind.LANE, "one message id stands for two")


# --- what follows -------------------------------------------------------------------------------------------------


async def _go_on(database: Database, past: Past) -> list[Fault]:
    """Let the station live on until all that was open is closed and delivered, then look again."""
    tape = Tape()
    tape.entries += [Told(what) for what in past.told if isinstance(what, Sent | Decided)]
    observed = Observed(database, tape, split=False)
    station = Process(observed, past.world, tape, seed=past.seed)
    await station.begin()
    await _close_all(station)
    visited = await _visit(station)
    await _settle_company(station)
    await _deliver_all(station)
    faults = [] if visited else [Fault(Kind.STUCK, "no other session could be charged")]
    faults += [Fault(Kind.STUCK, words) for words in await _left_over(station)]
    await station.end()
    return faults + await database._run(lambda connection: [*_in_the_end(connection, station)])


async def _close_all(station: Process) -> None:
    """Let every car go, and time pass until no session is open."""
    await station.poll()
    await station.connect()
    await station.run(2.0)
    for evse in EVSES:
        await station.command(StopSession(evse))
    for site in station.world.sites.values():
        site.plugged = site.charging = False
    for _ in range(PATIENCE):
        await station.run(2.0, pace=2.0)
        if all(e.session is None and e.grant is None for e in station.loop.state.evses):
            return


async def _visit(station: Process) -> bool:
    """Charge one more session, for a card of its own; returns whether it is on record."""
    await station.command(PutCard(VISITOR, Profile.PRIVATE))
    await station.command(UnblockCard(VISITOR))
    await station.command(ChangeAvailability(STATION, operative=True))
    site = station.world.sites[EVSES[0]]
    site.plugged = site.hungry = True
    await station.run(2.0)
    before = station.loop.state.ids.counter
    await station.do(CardPresented(VISITOR))
    await station.run(3.0)
    flowed = site.charging
    site.plugged = site.charging = False
    await station.run(4.0)
    return flowed and station.loop.state.ids.counter == before + 1


async def _settle_company(station: Process) -> None:
    company = station.loop.state.company
    if company.state is LinkState.PENDING:
        refused = company.code == "OTHER"
        answer = LinkAnswer(LinkState.REJECTED if refused else LinkState.LINKED)
        await station.do(LinkAnswered(company.code or "", answer))


async def _deliver_all(station: Process) -> None:
    for destination in DESTINATIONS:
        lane = station.lanes[destination]
        lane.wake()
        idle = 0
        while idle < 2:
            row = await station.send(destination)
            if row is not None:
                idle = 0
                await station.taken(destination, row)
                continue
            idle += 1
            if lane.wait_until is not None:
                station.world.pass_time(max(lane.wait_until - station.world.mono, 0.0))
            lane.wake()


async def _left_over(station: Process) -> list[str]:
    running = [e.id for e in station.loop.state.evses if e.session is not None]
    waiting = {name: await outbox.count() for name, outbox in station.outboxes.items()}
    return [f"sessions of {running} never end"] * bool(running) + [
        f"{count} messages to {name} never leave" for name, count in waiting.items() if count
    ]


def _in_the_end(connection: sqlite3.Connection, station: Process) -> Iterator[Fault]:
    yield from _sessions(connection, open_allowed=False)
    yield from _lanes(connection)
    records = sessions(connection)
    for evse in EVSES:
        yield from _joins(evse, _facts(connection), station.world)
    may_know = dict(connection.execute("SELECT id, reporting FROM session"))
    for name in DESTINATIONS:
        yield from _book(station.books[name], records, may_know)
        yield from _settled(connection, name)


def _joins(evse: EvseId, stories: dict[SessionId, list[Fact]], world: World) -> Iterator[Fault]:
    """The register of a connector runs through its sessions without a gap, from its beginning to what it shows now."""
    register = World().shown(evse)
    for name, story in stories.items():
        first, last = story[0], story[-1]
        if not isinstance(first, SessionStarted) or first.evse != evse:
            continue
        if first.reading.register != register:
            yield Fault(Kind.REGISTER, f"{name} began at {first.reading.register}, the one before ended at {register}")
        if isinstance(last, SessionEnded):
            register = last.register
    if register != world.shown(evse):
        yield Fault(Kind.REGISTER, f"connector {evse}: sessions end at {register}, it shows {world.shown(evse)}")


def _settled(connection: sqlite3.Connection, destination: str) -> Iterator[Fault]:
    query = "SELECT count(*) FROM outbox WHERE destination = ? AND state = 'queued'"
    ((count,),) = connection.execute(query, (destination,))
    if count:
        yield Fault(Kind.LANE, f"{count} messages still wait for {destination}")


def _book(book: Book, records: list[SessionRecord], may_know: dict[str, str]) -> Iterator[Fault]:
    """A central system has one start and one stop of each session that it may know, and nothing of the others."""
    yield from (Fault(Kind.MESSAGE, words) for words in book.faults)
    for record in records:
        starts, stops = book.of(record.id, "StartTransaction"), book.of(record.id, "StopTransaction")
        expected = 1 if may_know[record.id] == Reporting.REPORT else 0
        if (len(starts), len(stops)) != (expected, expected):
            yield Fault(Kind.MESSAGE, f"{record.id}: {len(starts)} starts, {len(stops)} stops, not {expected} each")
        elif expected:
            yield from _transaction(book, starts[0], stops[0], record)


def _transaction(book: Book, start: str, stop: str, record: SessionRecord) -> Iterator[Fault]:
    numbers = {book.transactions.get(start, -1)}
    if Fate.REFUSED in book.fates.get(start, set()):
        numbers.add(-1)  # given up before it was taken after all
    opening, closing_ = book.payload(start), book.payload(stop)
    if closing_["transactionId"] not in numbers:
        yield Fault(Kind.MESSAGE, f"{record.id}: the stop is of {closing_['transactionId']}, not of {numbers}")
    if (opening["meterStart"], closing_["meterStop"]) != (record.meter_start, record.meter_stop):
        yield Fault(Kind.REGISTER, f"{record.id}: {book!r} has other registers than the ledger")
    if min(opening["timestamp"], closing_["timestamp"]) < "2026":
        yield Fault(Kind.MESSAGE, f"{record.id}: told with a time before the clock was known")
