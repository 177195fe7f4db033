"""``sessions list --limit``, and ``sessions show`` where very many sessions begin so."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.buffer.ledger import MANY
from benchmarks.history import Size, plan, write_history
from tests.unit.cli.installed import Station

SIZE = Size(sessions=MANY + 20, samples=2)
IDS = [planned.id for planned in plan(SIZE)]


@pytest.fixture
def years(stopped: Station) -> Station:
    """Return a stopped station that has run for years."""
    write_history(stopped.state_dir, SIZE)
    return stopped


def shown(station: Station, *options: str) -> list[str]:
    return [document["id"] for document in station.json("sessions", "list", *options)]


def test_the_newest_sessions_are_listed_oldest_first(years: Station) -> None:
    assert shown(years, "--limit", "3") == IDS[-3:]
    assert shown(years, "--limit", "1") == IDS[-1:]
    assert shown(years, "--limit", "1000") == shown(years) == IDS
    status, out, _ = years.call("sessions", "list", "--limit", "2")
    assert (status, len(out.splitlines())) == (0, 3)
    assert out.splitlines()[-1].startswith(IDS[-1][:8])


def test_a_limit_counts_from_the_end_of_the_days_that_were_chosen(years: Station) -> None:
    of_2019 = shown(years, "--from", "2019-01", "--to", "2019-12")
    assert 10 <= len(of_2019) <= 14
    assert shown(years, "--from", "2019-01", "--to", "2019-12", "--limit", "4") == of_2019[-4:]
    assert shown(years, "--from", "2031-01", "--limit", "4") == []


@pytest.mark.parametrize("number", ["0", "-3", "two", "1.5", ""])
def test_a_limit_is_a_number_from_one_on(stopped: Station, number: str) -> None:
    words = stopped.refusal("sessions", "list", f"--limit={number}", status=2)
    assert f"invalid number of sessions value: {number!r}" in words


def test_a_beginning_that_very_many_have_says_so(years: Station) -> None:
    words = years.refusal("sessions", "show", "0")
    assert words == f"{MANY} or more sessions begin with '0': type more of the id, like {IDS[-1]}"
    assert years.json("sessions", "show", f" {IDS[7].upper()} ")["id"] == IDS[7]


def test_a_ledger_that_was_never_made_has_no_newest_session(stopped: Station, tmp_path: Path) -> None:
    assert stopped.json("sessions", "list", "--limit", "5") == []
    assert list((tmp_path / "state").iterdir()) == []
