"""Ledgers with evidence for the tests of it: how they are made, and how they are tampered with."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from agent.buffer.chain import Station
from agent.buffer.database import open_database
from agent.buffer.evidence import Finding, verify_ledger
from agent.buffer.file import LEDGER
from agent.buffer.journal import SqliteJournal
from agent.buffer.sealing import Sealer
from agent.core.facts import Period, SessionEnded, SessionStarted
from agent.core.instant import TimeStatus
from agent.core.model import EvseId, IdToken, Profile, Reading, Reporting, Wh
from agent.core.state import Card, Durable, Tokens
from agent.core.tariff import Cost, Dimension, Element, PriceComponent, Tariff, Terms
from tests.unit.buffer.scripted import EMPTY, at, ended, sampled, started

STATION = Station("NL-ACME-000123", "1.0.0", {EvseId(1): "NL*ACM*E000123*1"}, {EvseId(1): "SDM630-Modbus V2"})
ZERO = Decimal("0.00")
COST = Cost("EUR", Decimal("2.18"), ZERO, ZERO, ZERO, ZERO, ZERO, Decimal("2.18"), Decimal("0.46"))
TERMS = Terms(
    Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal("0.29"), Decimal(21)),)),)),
    "Europe/Amsterdam",
    Decimal("100.0"),
)
CARD = IdToken("04A1B2C3D4E5F6")
SLICES = replace(EMPTY, tokens=Tokens(cards={CARD.key: Card(CARD, number="NL-WEX-CNQPWFBEK")}))


@dataclass(frozen=True)
class Sealed:
    """An open ledger that makes evidence."""

    journal: SqliteJournal
    sealer: Sealer

    async def session(self, name: str, second: int = 100, **start: object) -> None:
        """Begin, sample and end a session, each in a commit of its own."""
        begin, end = charge(name, second, **start)
        await self.commit(begin)
        await self.commit(sampled(name, 1, at(second + 20)))
        await self.commit(replace(end, seq=2))

    async def commit(self, *facts: SessionStarted | SessionEnded | object, slices: Durable = SLICES) -> None:
        await self.journal.commit(slices, facts, at(5000))  # type: ignore[arg-type]  # facts of any kind


def charge(name: str, second: int = 100, **changes: object) -> tuple[SessionStarted, SessionEnded]:
    """Return the facts of a session of 7522 Wh, an hour long."""
    begin, over = at(second), at(second + 3600)
    first = Reading(begin, Wh(Decimal("1234567.0")), serial="23004711", step=Wh(Decimal("0.1")))
    last = Reading(over, Wh(Decimal("1242089.4")), serial="23004711", step=Wh(Decimal("0.1")))
    start = started(name, begin, id_token=CARD, reading=first, terms=TERMS)
    end = ended(
        name,
        1,
        over,
        register=last.register,
        periods=(Period(begin, Wh(Decimal(7522)), Decimal("0.29")),),
        cost=COST,
        refund=Decimal("2.64"),
        reading=last,
    )
    return replace(start, **changes), end  # type: ignore[arg-type]  # the caller names members of the fact


def private(name: str, second: int = 100) -> tuple[SessionStarted, SessionEnded]:
    """Return the facts of a private session."""
    start, end = charge(name, second, profile=Profile.PRIVATE, reporting=Reporting.LOCAL_ONLY)
    return start, replace(end, refund=None)


@asynccontextmanager
async def sealing(state_dir: Path, station: Station = STATION, *, boot: str = "boot-1") -> AsyncIterator[Sealed]:
    """Run a ledger's writer as the daemon does, from its start to its end."""
    async with open_database(state_dir) as database:
        sealer = Sealer(database, state_dir, station)
        journal = SqliteJournal(database, ("cloud",), sealer)
        number = await journal.boot_number(boot)
        await journal.begin_run(boot, "1.0.0", at(1, TimeStatus.UNKNOWN, number))
        await journal.load()
        yield Sealed(journal, sealer)


async def five_sessions(state_dir: Path) -> None:
    """Make a ledger of six records: the key's, and those of s1 to s5; s3 is private."""
    async with sealing(state_dir) as ledger:
        for number in (1, 2, 3, 4, 5):
            if number == 3:
                await ledger.commit(*private("s3", 30_000))
            else:
                await ledger.session(f"s{number}", number * 10_000)


@contextmanager
def knife(state_dir: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger as somebody does who wants it to say something else."""
    with closing(sqlite3.connect(state_dir / LEDGER, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.row_factory = sqlite3.Row
        yield connection


def verified(state_dir: Path) -> list[tuple[int | None, str | None, str]]:
    """Return number, session and first words of each fault."""
    return faults(verify_ledger(state_dir))


def faults(finding: Finding) -> list[tuple[int | None, str | None, str]]:
    """Return number, session and first words of each fault."""
    return [(f.number, f.session, f.fault.split(":", maxsplit=1)[0]) for f in finding.faults]
