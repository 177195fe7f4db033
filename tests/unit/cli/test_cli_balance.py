"""``sessions balance``: a table for people, a document for programs, and wrong dates."""

from __future__ import annotations

import pytest

from tests.unit.cli.installed import Station


def test_the_account_of_a_ledger(with_ledger: Station) -> None:
    account, *_ = with_ledger.json("sessions", "balance")
    assert set(account) == {
        "connector", "meter", "from", "to", "register_start_wh", "register_stop_wh", "sessions_wh", "unattributed_wh",
    }  # fmt: skip
    difference = account["register_stop_wh"] - account["register_start_wh"]
    assert account["sessions_wh"] + account["unattributed_wh"] == pytest.approx(difference)
    assert account["sessions_wh"] > 0


def test_people_get_a_table(with_ledger: Station) -> None:
    status, out, err = with_ledger.call("sessions", "balance")
    assert (status, err) == (0, "")
    head, row, *_ = out.splitlines()
    assert head.split() == [
        "connector", "meter", "from", "to", "register", "start", "register", "stop", "sessions", "unattributed",
    ]  # fmt: skip
    assert row.startswith("1 ")
    assert row.count(" Wh") == 4


def test_a_span_without_anything_on_record_says_so(with_ledger: Station) -> None:
    assert with_ledger.call("sessions", "balance", "--from", "2031-01") == (
        0,
        "no register is on record in this time\n",
        "",
    )
    assert with_ledger.json("sessions", "balance", "--from", "2031-01") == []


def test_a_station_that_never_ran_has_no_account(stopped: Station) -> None:
    assert stopped.json("sessions", "balance") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "soon"), "--from is 'soon', allowed is a day like"),
        (("--from", "2026-12", "--to", "2026-11"), "--from 2026-12 is after --to 2026-11"),
    ],
)
def test_wrong_dates_are_refused_in_one_line(with_ledger: Station, arguments: tuple[str, ...], words: str) -> None:
    status, out, err = with_ledger.call("sessions", "balance", *arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1
