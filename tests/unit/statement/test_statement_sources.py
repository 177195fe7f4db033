"""What a month has in a real ledger: which sessions belong to it, and what their facts tell beside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from agent.buffer.annotation import Annotation, Annotator, Change
from agent.buffer.chain import Station as Signing
from agent.buffer.database import open_database
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import sessions
from agent.buffer.reader import open_reader
from agent.buffer.sealing import Sealer
from agent.core.facts import Fact, SessionEnded, SessionSampled, SessionStarted, StartTrigger
from agent.core.instant import Instant
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
from agent.core.prices_terms import flat_tariff
from agent.core.state import Card, EvseState, StationState, Tokens, durable
from agent.core.tariff import Basis, Dimension, Element, PriceComponent, Tariff, Terms
from agent.statement.model import Found, Pricing
from agent.statement.month import Month
from agent.statement.sources import find, lines

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
TOKEN = IdToken("04A1B2C3D4E5F6")
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
FLAT = Terms(
    Tariff("EUR", (Element((PriceComponent(Dimension.ENERGY, Decimal("0.34")),)),)),
    "Europe/Amsterdam",
    Decimal(100),
    Basis.FLAT,
)


def at(moment: datetime) -> Instant:
    return Instant((moment - FIRST).total_seconds(), moment)


def facts(
    number: int,
    begin: datetime,
    end: datetime | None,
    *,
    profile: Profile = Profile.FLEET,
    terms: Terms | None = None,
    sample: datetime | None = None,
) -> list[Fact]:
    session, evse = SessionId(f"019a1234-0000-7000-8000-{number:012}"), EvseId(1)
    reporting = Reporting.LOCAL_ONLY if profile is Profile.PRIVATE else Reporting.REPORT
    reading = Reading(at(begin), Wh(Decimal(1000 * number)), serial="23004711")
    found: list[Fact] = [
        SessionStarted(
            session, 0, evse, TOKEN, profile, StartTrigger.REMOTE, at(begin), reading, reporting, None, terms
        )
    ]
    if sample is not None:
        found.append(SessionSampled(session, 1, evse, ReadingContext.PERIODIC, replace(reading, at=at(sample))))
    if end is not None:
        register = Wh(Decimal(1000 * number + 500))
        found.append(
            SessionEnded(session, len(found), evse, at(end), register, StopReason.LOCAL, None, (Quality.MEASURED,))
        )
    return found


def found(folder: Path, month: Month, *commits: Sequence[Fact]) -> Found:
    """Write a ledger, and return what it has of a month."""
    card = Card(TOKEN, Profile.FLEET, "NL-WEX-CNQPWFBEK", "NL-WEX-C00000017-0", "Kim")
    state = StationState((EvseState(EvseId(1)),), tokens=Tokens({TOKEN.key: card}))

    async def write() -> None:
        async with open_database(folder) as database:
            journal = SqliteJournal(database, ("cloud",))
            await journal.load()
            await journal.begin_run("boot", "1.0.0", at(FIRST))
            for number, commit in enumerate(commits or ((),)):
                await journal.commit(durable(state), commit, at(FIRST + timedelta(days=365, seconds=number)))

    asyncio.run(write())
    with open_reader(folder) as connection:
        return find(connection, month, AMSTERDAM)


def numbers(what: Found) -> list[int]:
    return [int(record.id[-12:]) for record in what.records]


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=AMSTERDAM)


@pytest.mark.parametrize(
    ("begin", "end", "month"),
    [
        ("2026-11-30T22:00", "2026-11-30T23:59:59", Month(2026, 11)),
        ("2026-11-30T22:00", "2026-12-01T00:00:00", Month(2026, 12)),
        ("2026-11-30T22:00", "2026-12-01T00:01", Month(2026, 12)),
        ("2026-10-31T23:00", "2026-11-01T00:01", Month(2026, 11)),
        ("2026-03-31T23:59", "2026-04-01T00:01", Month(2026, 4)),
        ("2026-10-25T01:30", "2026-10-25T03:30", Month(2026, 10)),
        ("2026-12-31T20:00", "2026-12-31T23:59:59", Month(2026, 12)),
        ("2026-12-31T20:00", "2027-01-01T00:00:01", Month(2027, 1)),
    ],
)
def test_a_session_belongs_to_the_month_of_its_end_in_local_time(
    begin: str, end: str, month: Month, tmp_path: Path
) -> None:
    commit = facts(1, local(begin), local(end))
    assert numbers(found(tmp_path, month, commit)) == [1]
    with open_reader(tmp_path) as connection:
        others = [Month(2026, 10), Month(2026, 11), Month(2026, 12), Month(2027, 1), Month(2026, 3), Month(2026, 4)]
        assert [m for m in others if find(connection, m, AMSTERDAM).records] == [month]


def test_a_private_session_is_not_found(tmp_path: Path) -> None:
    begin, end = local("2026-11-05T10:00"), local("2026-11-05T11:00")
    what = found(tmp_path, Month(2026, 11), facts(1, begin, end, profile=Profile.PRIVATE), facts(2, begin, end))
    assert numbers(what) == [2]


def test_an_open_session_may_still_belong_to_the_month_until_it_is_seen_after_it(tmp_path: Path) -> None:
    silent = facts(1, local("2026-11-30T22:00"), None)
    (tmp_path / "a").mkdir()
    assert numbers(found(tmp_path / "a", Month(2026, 11), silent)) == [1]
    seen = facts(2, local("2026-11-30T22:00"), None, sample=local("2026-12-01T06:00"))
    (tmp_path / "b").mkdir()
    assert numbers(found(tmp_path / "b", Month(2026, 11), seen)) == []
    with open_reader(tmp_path / "b") as connection:
        assert numbers(find(connection, Month(2026, 12), AMSTERDAM)) == [2]


def test_trigger_serial_and_price_come_from_the_start(tmp_path: Path) -> None:
    begin, end = local("2026-11-05T10:00"), local("2026-11-05T11:00")
    what = found(tmp_path, Month(2026, 11), facts(1, begin, end, terms=FLAT), facts(2, begin, end))
    first, second = what.origins.values()
    assert (first.trigger, first.serial) == (StartTrigger.REMOTE, "23004711")
    assert first.pricing == Pricing(Basis.FLAT, Decimal("0.34"), "EUR")
    assert second.pricing is None


def test_the_statement_names_the_flat_price_of_its_year(tmp_path: Path) -> None:
    years = replace(FLAT, tariff=flat_tariff("EUR", {2026: Decimal("0.34"), 2027: Decimal("0.36")}))
    over = facts(1, local("2026-12-31T23:00"), local("2027-01-01T00:30"), terms=years)
    before = facts(2, local("2026-12-31T20:00"), local("2026-12-31T23:00"), terms=years)
    (january,) = found(tmp_path, Month(2027, 1), over, before).origins.values()
    assert january.pricing == Pricing(Basis.FLAT, Decimal("0.36"), "EUR")
    with open_reader(tmp_path) as connection:
        (december,) = find(connection, Month(2026, 12), AMSTERDAM).origins.values()
        (one, _) = sessions(connection)
        (later,) = lines(connection, [replace(one, stopped_at=local("2028-02-01T00:00"))])
    assert december.pricing == Pricing(Basis.FLAT, Decimal("0.34"), "EUR")
    assert later.origin.pricing == Pricing(Basis.FLAT)


def test_bases_of_the_whole_year_are_told(tmp_path: Path) -> None:
    tariff = replace(FLAT, basis=Basis.TARIFF)
    commits = [
        facts(1, local("2026-02-05T10:00"), local("2026-02-05T11:00"), terms=tariff),
        facts(2, local("2026-11-05T10:00"), local("2026-11-05T11:00"), terms=FLAT),
        facts(3, local("2025-12-31T10:00"), local("2025-12-31T11:00"), terms=replace(FLAT, basis=Basis.HOURLY)),
        facts(4, local("2026-11-06T10:00"), local("2026-11-06T11:00")),
    ]
    assert found(tmp_path, Month(2026, 11), *commits).bases == {Basis.TARIFF, Basis.FLAT}


def test_names_and_notes_are_beside_the_sessions(tmp_path: Path) -> None:
    begin, end = local("2026-11-05T10:00"), local("2026-11-05T11:00")
    bare = found(tmp_path, Month(2026, 11), facts(1, begin, end), facts(2, begin, end))
    note = Annotation(Decimal(48_123), "visit")

    async def annotate() -> None:
        async with open_database(tmp_path) as database:
            journal = SqliteJournal(database, ("cloud",), Sealer(database, tmp_path, Signing("NL-1", "1.0.0")))
            await Annotator(database, journal, lambda: at(end)).annotate(bare.records[1].id, Change(note))

    asyncio.run(annotate())
    with open_reader(tmp_path) as connection:
        what = find(connection, Month(2026, 11), AMSTERDAM)
    assert what.names == {TOKEN.key: ("NL-WEX-C00000017-0", "Kim")}
    assert (bare.annotations, what.annotations) == ({}, {bare.records[1].id: note})
    assert what.records[0].card == "NL-WEX-CNQPWFBEK"


def test_an_empty_ledger_has_nothing(tmp_path: Path) -> None:
    what = found(tmp_path, Month(2026, 11))
    assert (what.records, what.bases) == ((), frozenset())
