"""Prices by the hour that became known after a session: its cost is a record of the chain, and read from there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agent.buffer.database import open_database
from agent.buffer.evidence import verify_ledger
from agent.buffer.journal import SqliteJournal
from agent.buffer.ledger import SessionRecord, session
from agent.buffer.reader import open_reader
from agent.buffer.repricing import UNPRICED
from agent.buffer.sealing import AT_ONCE, Sealer
from agent.core.facts import Period, SessionEnded, SessionStarted
from agent.core.instant import Instant, TimeStatus
from agent.core.model import Wh
from agent.core.prices import PriceBlock
from agent.core.tariff import Basis
from tests.unit.buffer.evidence_rig import SLICES, STATION, TERMS, charge, knife
from tests.unit.buffer.scripted import NEW_YEAR, at

HOURS = (Decimal("0.10"), Decimal("0.40"))
DAY = PriceBlock(NEW_YEAR, 60, HOURS, "EUR")
HOURLY = replace(TERMS, basis=Basis.HOURLY, refund=Decimal(50))


def unpriced(name: str = "s1", begin: Instant | None = None, **changes: object) -> tuple[SessionStarted, SessionEnded]:
    """Return a session of 7522 Wh from a quarter to one on, a third of it in the first hour; 21 % VAT."""
    begin = begin or at(2700)
    middle = replace(begin, mono=begin.mono + 900, wall=NEW_YEAR.replace(hour=1))
    start, end = charge(name, 2700, at=begin, terms=HOURLY)
    periods = (Period(begin, Wh(Decimal(2500)), Decimal(0), 900_000), Period(middle, Wh(Decimal(5022)), Decimal(0)))
    return start, replace(end, cost=None, refund=None, periods=periods, **changes)  # type: ignore[arg-type]  # members


@asynccontextmanager
async def a_journal(state_dir: Path, *file: PriceBlock) -> AsyncIterator[SqliteJournal]:
    async with open_database(state_dir) as database:
        journal = SqliteJournal(database, ("cloud",), Sealer(database, state_dir, STATION, file))
        await journal.boot_number("boot-1")
        await journal.begin_run("boot-1", "1.0.0", at(1))
        await journal.load()
        yield journal


async def push(journal: SqliteJournal, *blocks: PriceBlock) -> None:
    await journal.commit(replace(SLICES, company=replace(SLICES.company, prices=blocks)), (), at(9000))


async def seal(journal: SqliteJournal) -> int:
    """Make all records that are due, as the daemon's task does; return in how many steps."""
    steps = 0
    while await journal._seal_some(at(9000)):
        steps += 1
    return steps


def known(state_dir: Path, name: str = "s1") -> SessionRecord:
    with open_reader(state_dir) as connection:
        found = session(connection, name)
    assert found is not None
    return found


def record_count(state_dir: Path) -> int:
    finding = verify_ledger(state_dir)
    assert not finding.faults
    return finding.records


async def test_a_session_without_a_price_is_priced_when_the_company_has_told_it(tmp_path: Path) -> None:
    async with a_journal(tmp_path) as journal:
        await journal.commit(SLICES, unpriced(), at(7000))
        assert await seal(journal) == 0
        assert known(tmp_path).cost is None
        await push(journal, DAY)
        assert await seal(journal) == 1
    found = known(tmp_path)
    assert found.cost is not None
    assert (found.cost.energy, found.cost.vat, found.cost.incl_vat) == (
        Decimal("2.26"),  # 2.500 kWh at 0.10 and 5.022 kWh at 0.40
        Decimal("0.47"),
        Decimal("2.73"),
    )
    assert found.refund is not None
    assert (found.refund.percentage, found.refund.amount) == (Decimal(50), Decimal("1.37"))
    assert [(p.start.wall.hour, int(p.energy)) for p in found.periods] == [(0, 2500), (1, 5022)]
    assert tuple(p.price for p in found.periods) == HOURS
    assert record_count(tmp_path) == 3  # the key, the session, and what it costs


async def test_it_is_priced_once_and_a_later_price_moves_nothing(tmp_path: Path) -> None:
    async with a_journal(tmp_path) as journal:
        await journal.commit(SLICES, unpriced(), at(7000))
        await push(journal, DAY)
        await seal(journal)
        before = known(tmp_path)
        await push(journal, DAY, replace(DAY, prices=(Decimal(9), Decimal(9))))
        assert await seal(journal) == 0
    assert known(tmp_path) == before
    assert record_count(tmp_path) == 3


@pytest.mark.parametrize(
    "block", [replace(DAY, currency="SEK"), replace(DAY, prices=HOURS[:1]), replace(DAY, start=NEW_YEAR.replace(day=2))]
)
async def test_a_price_of_another_currency_or_hour_prices_nothing(tmp_path: Path, block: PriceBlock) -> None:
    async with a_journal(tmp_path) as journal:
        await journal.commit(SLICES, unpriced(), at(7000))
        await push(journal, block)
        assert await seal(journal) == 0
    assert known(tmp_path).cost is None


async def test_the_suppliers_file_prices_at_the_next_start(tmp_path: Path) -> None:
    async with a_journal(tmp_path) as journal:
        await journal.commit(SLICES, unpriced(), at(7000))
    async with a_journal(tmp_path, replace(DAY, currency=None)) as journal:
        assert await seal(journal) == 1
    assert known(tmp_path).cost is not None


async def test_prices_by_the_hour_touch_no_session_of_another_basis(tmp_path: Path) -> None:
    start, end = unpriced()
    async with a_journal(tmp_path) as journal:
        await journal.commit(SLICES, (replace(start, terms=TERMS), end), at(7000))
        await push(journal, DAY)
        assert await seal(journal) == 0
    assert known(tmp_path).cost is None


async def test_many_sessions_are_priced_a_few_in_a_commit(tmp_path: Path) -> None:
    count = 2 * AT_ONCE + 1
    async with a_journal(tmp_path) as journal:
        for number in range(count):
            await journal.commit(SLICES, unpriced(f"s{number:02}"), at(7000))
        await push(journal, DAY)
        assert await seal(journal) == 3
    assert all(known(tmp_path, f"s{number:02}").cost is not None for number in range(count))
    assert record_count(tmp_path) == 1 + 2 * count


async def test_hours_are_those_of_the_corrected_clock(tmp_path: Path) -> None:
    wrong = Instant(2700.0, NEW_YEAR.replace(year=2025), TimeStatus.UNKNOWN, 1)
    start, end = unpriced(begin=wrong)
    middle = Instant(3600.0, NEW_YEAR.replace(year=2025), TimeStatus.UNKNOWN, 1)
    periods = (end.periods[0], replace(end.periods[1], start=middle))
    async with a_journal(tmp_path) as journal:
        await journal.commit(SLICES, (start, replace(end, periods=periods)), at(7000))
        await push(journal, DAY)
        await seal(journal)
    found = known(tmp_path)
    assert [(p.start.wall, p.price) for p in found.periods] == [(at(2700).wall, HOURS[0]), (at(3600).wall, HOURS[1])]
    assert record_count(tmp_path) == 3


async def test_a_clock_that_is_known_later_corrects_the_times_and_leaves_the_cost(tmp_path: Path) -> None:
    unsure = [replace(moment, status=TimeStatus.UNKNOWN) for moment in (at(2700), at(3600), at(6300))]
    start, end = unpriced(begin=unsure[0])
    end = replace(end, at=unsure[2], periods=(end.periods[0], replace(end.periods[1], start=unsure[1])))
    async with a_journal(tmp_path) as journal:
        slices = replace(SLICES, company=replace(SLICES.company, prices=(DAY,)))
        await journal.commit(slices, (start, end), replace(at(7000), status=TimeStatus.UNKNOWN))
        while await journal._seal_some(replace(at(7001), status=TimeStatus.UNKNOWN)):
            pass
        cost = known(tmp_path).cost
        assert cost is not None
        await journal.anchor(replace(at(7002), wall=at(7092).wall))
        await seal(journal)
    found = known(tmp_path)
    assert found.cost == cost
    assert found.started_at == at(2790).wall
    assert record_count(tmp_path) == 4


async def test_a_changed_cost_is_found_and_one_that_cannot_be_read_is_not_shown(tmp_path: Path) -> None:
    async with a_journal(tmp_path) as journal:
        await journal.commit(SLICES, unpriced(), at(7000))
        await push(journal, DAY)
        await seal(journal)
    with knife(tmp_path) as connection:
        connection.execute("UPDATE record SET json = replace(json, '2.26', '9.26') WHERE kind = 'correction'")
    assert [fault.number for fault in verify_ledger(tmp_path).faults] == [3]
    with knife(tmp_path) as connection:
        connection.execute("UPDATE record SET json = replace(json, '\"of\"', '\"or\"') WHERE kind = 'correction'")
    assert known(tmp_path).cost is None


async def test_what_waits_for_a_price_is_found_without_reading_the_years(tmp_path: Path) -> None:
    async with a_journal(tmp_path):
        pass
    with open_reader(tmp_path) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {UNPRICED}", ("2026",))]
    assert any("fact_ended" in line for line in plan)
    assert not any(line.startswith("SCAN") for line in plan)
