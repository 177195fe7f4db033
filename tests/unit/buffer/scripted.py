"""Facts, slices and open ledgers for the tests of the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent.buffer.database import Database, open_database
from agent.buffer.journal import SqliteJournal
from agent.buffer.outbox_store import OutboxStore
from agent.core.company import Company
from agent.core.facts import SessionEnded, SessionSampled, SessionStarted, StartTrigger
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
    Wh,
)
from agent.core.settings import Overrides
from agent.core.state import Availability, Durable, IdSource, Phase, Session, Stretch, Tokens
from agent.ports import Acknowledged

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float, status: TimeStatus = TimeStatus.SYNCHRONISED, boot: int = 1) -> Instant:
    """Return the moment so many seconds after the machine's start at midnight."""
    return Instant(float(seconds), NEW_YEAR + timedelta(seconds=seconds), status, boot)


def reading(moment: Instant, energy: str = "1000") -> Reading:
    return Reading(moment, Wh(Decimal(energy)))


def started(session: str = "s1", moment: Instant | None = None, **changes: Any) -> SessionStarted:  # noqa: ANN401
    moment = moment or at(10)
    fact = SessionStarted(
        session=SessionId(session),
        seq=0,
        evse=EvseId(1),
        id_token=IdToken("04a1b2c3d4e5f6"),
        profile=Profile.FLEET,
        trigger=StartTrigger.CARD,
        at=moment,
        reading=reading(moment),
        reporting=Reporting.REPORT,
        company_code=None,
        terms=None,
    )
    return replace(fact, **changes)


def sampled(session: str = "s1", seq: int = 1, moment: Instant | None = None) -> SessionSampled:
    return SessionSampled(SessionId(session), seq, EvseId(1), ReadingContext.PERIODIC, reading(moment or at(20 + seq)))


def ended(session: str = "s1", seq: int = 1, moment: Instant | None = None, **changes: Any) -> SessionEnded:  # noqa: ANN401
    fact = SessionEnded(
        session=SessionId(session),
        seq=seq,
        evse=EvseId(1),
        at=moment or at(3600),
        register=Wh(Decimal(8522)),
        reason=StopReason.EV_DISCONNECTED,
        id_token=None,
        quality=(Quality.MEASURED,),
    )
    return replace(fact, **changes)


def running(fact: SessionStarted, seq: int = 1) -> Session:
    return Session(
        id=fact.session,
        evse=fact.evse,
        id_token=fact.id_token,
        profile=fact.profile,
        trigger=fact.trigger,
        reporting=fact.reporting,
        company_code=fact.company_code,
        terms=fact.terms,
        started=fact.at,
        register=fact.reading.register,
        serial=None,
        seq=seq,
        phase=Phase.CHARGING,
        phase_since=fact.at,
        last=fact.reading,
        stretch=Stretch(fact.at, fact.reading.register),
    )


EMPTY = Durable(
    sessions={},
    availability={EvseId(1): Availability()},
    tokens=Tokens(),
    overrides=Overrides(),
    company=Company(),
    ids=IdSource("seed", 0),
    station=Availability(),
)


@dataclass(frozen=True)
class Ledger:
    """An open ledger of one destination, ``cloud``."""

    database: Database
    journal: SqliteJournal
    outbox: OutboxStore

    async def lane(self) -> list[tuple[str, int]]:
        """Return session and number of the facts that wait."""
        facts = [row.fact for row in await self.outbox.rows(1000)]
        return [(f.session, f.seq) for f in facts if isinstance(f, SessionStarted | SessionSampled | SessionEnded)]

    async def acknowledge_head(self, transaction: int | str | None = None) -> int:
        (head,) = await self.outbox.rows(1)
        await self.outbox.acknowledge([Acknowledged(head.message.row, at(5000), transaction)])
        return head.message.row

    async def give_up_head(self, error: str = "FormationViolation") -> int:
        (head,) = await self.outbox.rows(1)
        await self.outbox.give_up(replace(head.message, attempts=3), error, at(5000))
        return head.message.row


@asynccontextmanager
async def opened(state_dir: Path, *destinations: str) -> AsyncIterator[Ledger]:
    async with open_database(state_dir) as database:
        journal = SqliteJournal(database, destinations or ("cloud",))
        await journal.boot_number("boot-1")
        await journal.load()
        yield Ledger(database, journal, OutboxStore(database, "cloud"))
