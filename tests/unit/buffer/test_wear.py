"""What the ledger costs a card: nothing while the station is idle, so much for a session and no more (promise 20)."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.history import Size, write_history
from benchmarks.simulated import Simulated
from benchmarks.wear import PAGE, Wear, life_years, wear_of
from tests.durability.vfs import NoInstrument

MINUTES = 20


async def charged(station: Simulated) -> None:
    """Let what a start and a first session leave to do be done."""
    await station.session(120)
    await station.run(60)


async def idle(station: Simulated) -> None:
    await station.run(3600)


async def charge(station: Simulated) -> None:
    await station.session(MINUTES * 60)
    await station.run(60)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Wear, Wear]:
    """Return what a session and an idle hour cost on an empty ledger."""
    state_dir = tmp_path_factory.mktemp("wear") / "state"
    write_history(state_dir, Size(sessions=0))
    try:
        return asyncio.run(wear_of(state_dir, charge, charged)), asyncio.run(wear_of(state_dir, idle, charged))
    except NoInstrument as reason:
        pytest.skip(str(reason))


@pytest.mark.timeout(60)
def test_an_idle_hour_writes_nothing(measured: tuple[Wear, Wear]) -> None:
    assert measured[1] == Wear(written=0, syncs=0, commits=0)


@pytest.mark.timeout(60)
def test_a_minute_of_a_session_is_three_commits_and_a_session_a_few_more(measured: tuple[Wear, Wear]) -> None:
    session, _ = measured
    assert 3 * MINUTES <= session.commits <= 3 * MINUTES + 20
    assert session.syncs <= session.commits + 2 + session.commits // 100
    assert session.written <= 8 * PAGE * session.commits


def test_a_card_lives_ten_years() -> None:
    hourly = Wear(written=8 * PAGE, syncs=2, commits=2)
    assert life_years(Wear(written=9_000_000, syncs=420, commits=417), hourly) > 10
    assert life_years(Wear(written=90_000_000, syncs=4200, commits=4200), hourly) < 10
