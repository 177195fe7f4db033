"""A ledger with years of history, made in seconds: rows as the journal writes them, filled in by SQLite itself.

Equal arguments give equal sessions. Each fact is what the real codec dumps of a model, with the parts that differ from
session to session put in their place. Some starts of the machine learn the time late, and some never, as happens to a
wallbox without a clock of its own; some messages were refused for good. Filling skips the disk's syncs: for benchmarks
and tests alone.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from agent.buffer.codec import NAMES, dump
from agent.buffer.file import LEDGER, create
from agent.buffer.migrate import migrate
from agent.buffer.slices import changes
from agent.core.facts import (
    SCHEMA,
    Fact,
    MeterSampled,
    Period,
    SessionEnded,
    SessionSampled,
    SessionStarted,
    StartTrigger,
)
from agent.core.instant import Instant, TimeStatus
from agent.core.model import (
    EvseId,
    IdToken,
    Profile,
    Quality,
    Reading,
    ReadingContext,
    Reporting,
    SessionId,
    StopReason,
    Value,
    Wh,
)
from agent.core.state import Card, Durable, EvseState, StationState, Tokens, durable
from agent.core.tariff import Cost, Dimension, Element, PriceComponent, Tariff, Terms

YEARS: Final = timedelta(days=3652)
BEGAN: Final = datetime(2017, 1, 1, tzinfo=UTC)
INTERVAL_S: Final = 60
SAMPLE_WH: Final = 55
"""About 3.3 kW."""
BETWEEN_WH: Final = 3
CARDS: Final = 8
TENTH: Final = 10
LATE: Final = 5
NEVER: Final = 7
"""Of ten starts of the machine one learns the time late, and one never."""
UNSET: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Size:
    """How much history; samples: readings in a session. One start of the machine for every ``per_boot`` sessions."""

    sessions: int = 15_000
    samples: int = 133
    per_boot: int = 30
    over: timedelta = YEARS


@dataclass(frozen=True, slots=True)
class Boot:
    """A start of the machine.

    late: its first session was stamped before the time was known; never: none of its stamps was.
    """

    number: int
    began: datetime
    late: bool
    never: bool


@dataclass(frozen=True, slots=True)
class Planned:
    """A session of the history, and where it lies in the ledger; is_set: the clock was known; register: in Wh."""

    place: int
    id: SessionId
    seq: int
    boot: Boot
    start: datetime
    is_set: bool
    register: int

    def mono(self, moment: datetime) -> float:
        """Return the second of its boot at a moment."""
        return (moment - self.boot.began).total_seconds()


def plan(size: Size) -> Iterator[Planned]:
    """Yield the sessions in their order; every fourth has a reading of the idle connector behind it."""
    between, seq = size.over / max(size.sessions, 1), 1
    boot = Boot(0, BEGAN, late=False, never=False)
    for place in range(size.sessions):
        start = BEGAN + timedelta(seconds=round((between * place).total_seconds()))
        if place % size.per_boot == 0:
            number = boot.number + 1
            of_ten = number % TENTH
            boot = Boot(number, start - timedelta(minutes=10), late=of_ten == LATE, never=of_ten == NEVER)
        stamp = int(start.timestamp() * 1000)
        name = SessionId(f"{stamp >> 16:08x}-{stamp & 0xFFFF:04x}-7000-8000-{place:012x}")
        is_set = not boot.never and not (boot.late and place % size.per_boot == 0)
        register = 1000 + place * ((size.samples + 1) * SAMPLE_WH + BETWEEN_WH)
        yield Planned(place, name, seq, boot, start, is_set, register)
        seq += size.samples + 2 + (place % 4 == 0)


def write_history(state_dir: Path, size: Size) -> None:
    """Make the ledger of a station that has run for years and was stopped in order; the directory has none yet."""
    create(state_dir / LEDGER)
    with closing(sqlite3.connect(state_dir / LEDGER, isolation_level=None)) as connection:
        for setting in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000", "locking_mode=EXCLUSIVE"):
            connection.execute(f"PRAGMA {setting}")
        migrate(connection)
        connection.execute("BEGIN")
        for sql, parameters in changes(None, _state()):
            connection.execute(sql, parameters)
        _fill(connection, size)
        connection.execute("COMMIT")


def _state() -> Durable:
    """Return the durable state of a station that has a few cards and is idle."""
    tokens = [IdToken(f"04A1B2C3D4E5{n:02X}") for n in range(CARDS)]
    cards = {token.key: Card(token, number=f"NL-ACM-C{n:08d}") for n, token in enumerate(tokens)}
    return durable(StationState((EvseState(EvseId(1)),), tokens=Tokens(cards)))


def _fill(connection: sqlite3.Connection, size: Size) -> None:
    planned = list(plan(size))
    _boots(connection, planned, size)
    connection.execute(
        "CREATE TEMP TABLE plan (place INTEGER PRIMARY KEY, id TEXT, seq INTEGER, boot INTEGER, began REAL,"
        " start INTEGER, is_set INTEGER, register INTEGER)"
    )
    connection.executemany(
        "INSERT INTO plan VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                p.place, p.id, p.seq, p.boot.number, p.boot.began.timestamp(), int(p.start.timestamp()),
                p.is_set, p.register,
            )
            for p in planned
        ],
    )  # fmt: skip
    connection.execute("CREATE TEMP TABLE step (k INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO step VALUES (?)", [(k,) for k in range(size.samples + 3)])
    for statement in _facts(size.samples):
        connection.execute(*statement)
    for sql in LINKS:
        connection.execute(sql, {"last": size.samples + 1})


def _boots(connection: sqlite3.Connection, planned: list[Planned], size: Size) -> None:
    """Write the starts of the machine, and a run in each."""
    length = timedelta(seconds=(size.samples + 1) * INTERVAL_S)
    last = {p.boot.number: p.start + length for p in planned}
    for boot in {p.boot.number: p.boot for p in planned}.values():
        learnt = (last[boot.number] - boot.began).total_seconds()
        known = None if boot.never else learnt
        stamp = None if boot.never else last[boot.number].isoformat()
        seen = learnt if boot.never or boot.late else None
        row = (boot.number, f"boot {boot.number}", known, stamp, seen)
        connection.execute(BOOT, row)
        run = [dump(Instant(mono, boot.began + timedelta(seconds=mono), boot=boot.number)) for mono in (20.0, learnt)]
        connection.execute(RUN, (boot.number, *run))


BOOT: Final = "INSERT INTO boot (number, boot_id, anchor_mono, anchor_wall, seen_mono) VALUES (?, ?, ?, ?, ?)"
RUN: Final = "INSERT INTO run (boot, version, began, ended) VALUES (?, '1.0.0', ?, ?)"
#: What stands in a model for what differs: a part of its JSON -> SQL for what takes its place.
SET_PARTS: Final[Mapping[str, str]] = {
    "@session": "id",
    "424242": "k",
    "123456.5": "printf('%.1f', mono)",
    "2001-02-03T04:05:06Z": "strftime('%Y-%m-%dT%H:%M:%SZ', wall, 'unixepoch')",
    '"status":"S"': """CASE WHEN is_set THEN '"status":"S"' ELSE '"status":"U"' END""",
    "2001-02-03T04:05:07Z": "strftime('%Y-%m-%dT%H:%M:%SZ', wall - k * 60, 'unixepoch')",
    "123457.5": "printf('%.1f', mono - k * 60)",
    "987654": "boot",
    "111111.1": "printf('%d.%d', energy, energy % 10)",
    "222222": "printf('%d', energy)",
    "@token": "printf('04A1B2C3D4E5%02X', place % 8)",
}
FACT: Final = "INSERT INTO fact (seq, session, session_seq, kind, schema, boot, mono, wall, json)"
WALL: Final = "strftime('%Y-%m-%dT%H:%M:%S+00:00', wall, 'unixepoch')"
#: The rows that a statement makes facts of; wall and mono are those of the fact, energy the register then.
ROWS: Final = """
SELECT *, began + mono - began * (NOT is_set) AS wall FROM (
    SELECT p.*, s.k, p.start - p.began + s.k * 60 AS mono, p.register + min(s.k, {last}) * 55 AS energy
    FROM plan AS p CROSS JOIN step AS s WHERE {which}
)
"""


def _facts(samples: int) -> Iterator[tuple[str, tuple[str | int, ...]]]:
    """Yield the statements that write the facts, in the order of the kinds."""
    which = {
        SessionStarted: "s.k = 0",
        SessionSampled: f"s.k BETWEEN 1 AND {samples}",
        SessionEnded: f"s.k = {samples + 1}",
        MeterSampled: f"s.k = {samples + 2} AND p.place % 4 = 0",
    }
    for fact in models():
        text, parts = _template(dump(fact))
        place = "NULL, NULL" if isinstance(fact, MeterSampled) else "id, k"
        values = f"seq + k, {place}, ?, ?, boot, mono, {WALL}, printf(?, {', '.join(parts)})"
        rows = ROWS.format(which=which[type(fact)], last=samples + 1)
        sql = f"{FACT} SELECT {values} FROM ({rows}) ORDER BY seq + k"  # noqa: S608  # of constants
        yield sql, (NAMES[type(fact)], SCHEMA, text)


def _template(text: str) -> tuple[str, list[str]]:
    """Return the format of a fact's JSON, and the SQL for each place in it."""
    pattern = re.compile("|".join(map(re.escape, SET_PARTS)))
    return pattern.sub("%s", text.replace("%", "%%")), [SET_PARTS[found] for found in pattern.findall(text)]


#: The rest, of all sessions at once: rows that point at facts, and messages that were delivered long ago.
LINKS: Final = (
    """
    INSERT INTO session (id, connector, profile, reporting, company_code, start_fact, end_fact)
    SELECT id, 1, 'fleet', 'report', NULL, seq, seq + :last FROM plan ORDER BY id
    """,
    """
    INSERT INTO delivery (session, destination, transaction_id)
    SELECT id, 'cloud', 1000 + place FROM plan ORDER BY id
    """,
    """
    INSERT INTO outbox (destination, fact, session, message_id, state, attempts, error, text, settled_at)
    SELECT 'cloud', fact, id, message, CASE WHEN refused THEN 'quarantined' ELSE 'confirmed' END, 3 * refused,
        CASE WHEN refused THEN 'PropertyConstraintViolation' END,
        printf(CASE WHEN k THEN
            '[2,"%s","StopTransaction",{"idTag":"04A1B2C3D4E5%02X","timestamp":"%s","meterStop":%d,"transactionId":%d}]'
            ELSE
            '[2,"%s","StartTransaction",{"idTag":"04A1B2C3D4E5%02X","timestamp":"%s","meterStart":%d,"connectorId":1}]'
        END, message, place % 8, moment, register + k * 55, place + 1000),
        moment
    FROM (
        SELECT p.*, s.k, p.seq + s.k AS fact, s.k > 0 AND p.place % 500 = 499 AS refused,
            printf('%08x-0000-4000-8000-%012x', p.place, s.k) AS message,
            strftime('%Y-%m-%dT%H:%M:%S+00:00', p.start + s.k * 60, 'unixepoch') AS moment
        FROM plan AS p CROSS JOIN step AS s WHERE s.k IN (0, :last)
    ) ORDER BY fact
    """,
)


def models() -> tuple[Fact, ...]:
    """Return one fact of each kind, as a station with an SDM630 makes them; what differs is as in ``SET_PARTS``."""
    at = Instant(123456.5, datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC), TimeStatus.SYNCHRONISED, 987654)
    start = Instant(123457.5, datetime(2001, 2, 3, 4, 5, 7, tzinfo=UTC), TimeStatus.SYNCHRONISED, 987654)
    session, one = SessionId("@session"), EvseId(1)
    phases = (("voltage", "230.1"), ("current", "4.8"), ("power", "1104.5"))
    names = [(f"{kind}_l{phase}", number) for kind, number in phases for phase in (1, 2, 3)]
    offered = [("power_total", "3313.5"), ("current_offered", "16"), ("power_offered", "11040")]
    values = tuple(Value(name, Decimal(number)) for name, number in (*names, *offered))
    reading, cents = Reading(at, Wh(Decimal("111111.1")), values, "23004711"), Decimal("2.18")
    zero = Decimal("0.00")
    tariff = Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal("0.29"), Decimal(21)),)),))
    return (
        SessionStarted(
            session=session, seq=0, evse=one, id_token=IdToken("@token"), profile=Profile.FLEET,
            trigger=StartTrigger.CARD, at=at, reading=reading, reporting=Reporting.REPORT, company_code=None,
            terms=Terms(tariff, "Europe/Amsterdam", Decimal(100)),
        ),
        SessionSampled(session, 424242, one, ReadingContext.PERIODIC, reading),
        SessionEnded(
            session=session, seq=424242, evse=one, at=at, register=Wh(Decimal(222222)),
            reason=StopReason.EV_DISCONNECTED, id_token=None, quality=(Quality.MEASURED,),
            periods=(Period(start, Wh(Decimal(7370)), Decimal("0.29")),),
            cost=Cost("EUR", cents, zero, zero, zero, zero, zero, cents, Decimal("0.46")), refund=Decimal("2.64"),
            reading=reading,
        ),
        MeterSampled(one, ReadingContext.OTHER, Reading(at, Wh(Decimal("111111.1")), (), "23004711")),
    )  # fmt: skip
