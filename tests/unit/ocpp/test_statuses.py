"""What of the connectors' statuses is told, in which order, and what is spared."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agent.core.effects import ReportStatus
from agent.core.instant import Instant
from agent.core.model import ConnectorStatus, ErrorCode, EvseId
from agent.ocpp.statuses import TRIES, Statuses

AT = Instant(1.0, datetime(2026, 1, 1, tzinfo=UTC))
Status = ConnectorStatus


def report(evse: int, status: Status, error: ErrorCode = ErrorCode.NO_ERROR) -> ReportStatus:
    return ReportStatus(EvseId(evse), status, error, AT)


def drain(statuses: Statuses, now: float = 100.0) -> list[tuple[int, str]]:
    told = []
    while (due := statuses.take(now)) is not None:
        statuses.told(due)
        told.append((int(due.report.evse), due.report.status.value))
    return told


def online() -> Statuses:
    statuses = Statuses()
    for evse in (1, 0):
        statuses.report(report(evse, Status.AVAILABLE), 0.0, 0)
    statuses.listen(0.0, everything=True)
    return statuses


def test_after_an_accepted_boot_the_station_and_every_connector_are_told() -> None:
    assert drain(online()) == [(0, "Available"), (1, "Available")]


def test_nothing_is_told_before_somebody_listens() -> None:
    statuses = Statuses()
    statuses.report(report(1, Status.AVAILABLE), 0.0, 0)
    assert statuses.take(1.0) is None
    assert statuses.ready_at is None


@pytest.mark.requirement(53)
def test_changes_are_told_in_their_order_while_somebody_listens() -> None:
    statuses = online()
    drain(statuses)
    for status in (Status.PREPARING, Status.CHARGING, Status.PREPARING):
        statuses.report(report(1, status), 1.0, 0)
    assert drain(statuses) == [(1, "Preparing"), (1, "Charging"), (1, "Preparing")]


def test_what_is_told_already_is_not_told_again() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(1, Status.AVAILABLE), 1.0, 0)
    assert drain(statuses) == []


@pytest.mark.requirement(53)
def test_a_status_that_returns_while_the_other_is_under_way_is_told() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(1, Status.PREPARING), 1.0, 0)
    under_way = statuses.take(1.0)
    assert under_way is not None
    statuses.report(report(1, Status.AVAILABLE), 2.0, 0)
    statuses.told(under_way)
    assert drain(statuses) == [(1, "Available")]


def test_another_error_alone_is_told() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(0, Status.AVAILABLE, ErrorCode.READER_FAILURE), 1.0, 0)
    assert drain(statuses) == [(0, "Available")]


@pytest.mark.requirement(53)
def test_after_a_reconnect_only_the_last_differing_status_of_each_connector_is_told() -> None:
    statuses = online()
    drain(statuses)
    statuses.silence()
    for status in (Status.PREPARING, Status.CHARGING, Status.FINISHING):
        statuses.report(report(1, status), 1.0, 0)
    statuses.listen(5.0, everything=False)
    assert drain(statuses) == [(1, "Finishing")]


def test_what_was_not_confirmed_before_the_link_went_is_told_again() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(1, Status.PREPARING), 1.0, 0)
    assert statuses.take(1.0) is not None
    statuses.silence()
    statuses.listen(5.0, everything=False)
    assert drain(statuses) == [(1, "Preparing")]


def test_churn_that_ends_where_it_began_is_not_told() -> None:
    statuses = online()
    drain(statuses)
    statuses.silence()
    statuses.report(report(1, Status.PREPARING), 1.0, 0)
    statuses.report(report(1, Status.AVAILABLE), 2.0, 0)
    statuses.listen(5.0, everything=False)
    assert drain(statuses) == []


@pytest.mark.requirement(69)
def test_a_status_shorter_than_the_minimum_is_not_told() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(1, Status.PREPARING), 10.0, 10)
    statuses.report(report(1, Status.CHARGING), 15.0, 10)
    assert statuses.take(24.9) is None
    assert statuses.ready_at == 25.0
    assert drain(statuses, 25.0) == [(1, "Charging")]


def test_a_short_detour_back_is_not_told_at_all() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(1, Status.PREPARING), 10.0, 10)
    statuses.report(report(1, Status.AVAILABLE), 12.0, 10)
    assert drain(statuses) == []


def test_an_unanswered_status_is_told_again_a_few_times() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(1, Status.PREPARING), 1.0, 0)
    for _ in range(TRIES):
        due = statuses.take(1.0)
        assert due is not None
        statuses.unanswered(due)
    assert statuses.take(1.0) is None


@pytest.mark.requirement(53)
def test_a_newer_status_replaces_the_repetition_of_an_unanswered_one() -> None:
    statuses = online()
    drain(statuses)
    statuses.report(report(1, Status.PREPARING), 1.0, 0)
    due = statuses.take(1.0)
    assert due is not None
    statuses.report(report(1, Status.CHARGING), 2.0, 0)
    statuses.unanswered(due)
    assert drain(statuses) == [(1, "Charging")]


def test_what_is_shown_can_be_asked_for_by_connector() -> None:
    statuses = online()
    assert [r.evse for r in statuses.current(None)] == [0, 1]
    assert [r.evse for r in statuses.current(EvseId(1))] == [1]
