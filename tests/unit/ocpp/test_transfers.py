"""What the central system is still to be told of the company: when, how often, and what undoes it."""

from __future__ import annotations

from agent.ocpp.transfers import LOOK_S, RETRY_FIRST_S, SERIALS_S, Transfers


def test_there_is_nothing_to_tell_at_first() -> None:
    transfers = Transfers()
    assert transfers.due(5.0) is None
    assert transfers.take_link(5.0, complete=True) is None
    assert transfers.take_unlink(5.0) is None
    assert transfers.drop_link() is None


def test_after_a_boot_a_link_waits_for_the_meters_but_not_for_ever() -> None:
    transfers = Transfers()
    transfers.booted(100.0)
    transfers.link("ACME")
    assert transfers.take_link(100.0, complete=False) is None
    assert transfers.due(100.0) == 100.0 + LOOK_S
    assert transfers.due(100.0 + SERIALS_S - 0.01) == 100.0 + SERIALS_S
    assert transfers.take_link(100.0 + SERIALS_S, complete=False) == "ACME"


def test_a_link_goes_at_once_where_the_meters_are_known_or_had_their_time() -> None:
    transfers = Transfers()
    transfers.booted(100.0)
    transfers.link("ACME")
    assert transfers.take_link(100.0, complete=True) == "ACME"
    transfers.link("ACME")
    assert transfers.take_link(200.0, complete=False) == "ACME"


def test_a_link_is_asked_for_once_and_only_the_newest_code() -> None:
    transfers = Transfers()
    transfers.link("ACME")
    transfers.link("OTHER")
    assert transfers.take_link(1.0, complete=True) == "OTHER"
    assert transfers.take_link(1.0, complete=True) is None


def test_each_company_that_was_left_is_told_in_turn_until_it_has_heard() -> None:
    transfers = Transfers()
    transfers.unlink("ACME")
    transfers.unlink("OTHER")
    assert [transfers.take_unlink(1.0), transfers.take_unlink(1.0)] == ["ACME", "ACME"]
    transfers.unlink_told("ACME")
    assert transfers.take_unlink(1.0) == "OTHER"
    transfers.unlink_told("OTHER")
    assert transfers.take_unlink(1.0) is None
    assert transfers.due(1.0) is None


def test_an_unlink_that_nobody_heard_is_told_again_at_growing_intervals() -> None:
    transfers, now, waits = Transfers(), 0.0, list[float]()
    transfers.unlink("ACME")
    for _ in range(9):
        transfers.unlink_failed(now)
        due = transfers.due(now)
        assert due is not None
        assert transfers.take_unlink(due - 0.01) is None
        assert transfers.take_unlink(due) == "ACME"
        waits.append(due - now)
        now = due
    assert waits[:3] == [RETRY_FIRST_S, 2 * RETRY_FIRST_S, 4 * RETRY_FIRST_S]
    assert waits[-1] == waits[-2] == 64 * RETRY_FIRST_S


def test_another_connection_is_told_at_once() -> None:
    transfers = Transfers()
    transfers.unlink("ACME")
    transfers.unlink_failed(0.0)
    assert transfers.take_unlink(1.0) is None
    transfers.connected()
    assert transfers.take_unlink(1.0) == "ACME"


def test_a_company_that_is_joined_again_is_not_told_that_it_was_left() -> None:
    transfers = Transfers()
    transfers.unlink("ACME")
    transfers.unlink("OTHER")
    transfers.link("ACME")
    assert transfers.take_unlink(1.0) == "OTHER"
    transfers.unlink_told("OTHER")
    assert transfers.take_unlink(1.0) is None


def test_leaving_takes_back_what_was_to_be_asked() -> None:
    transfers = Transfers()
    transfers.link("ACME")
    transfers.unlink("ACME")
    assert transfers.take_link(1.0, complete=True) is None
    assert transfers.take_unlink(1.0) == "ACME"


def test_leaving_twice_is_told_once() -> None:
    transfers = Transfers()
    transfers.unlink("ACME")
    transfers.unlink("ACME")
    transfers.unlink_told("ACME")
    assert transfers.take_unlink(1.0) is None
