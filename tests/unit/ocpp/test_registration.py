"""When BootNotification is due, connection by connection."""

from __future__ import annotations

import pytest

from agent.core.model import Registration
from agent.ocpp.backoff import BootDelays
from agent.ocpp.dialect import Booted
from agent.ocpp.registration import Registering

ACCEPTED, PENDING, REJECTED = Registration.ACCEPTED, Registration.PENDING, Registration.REJECTED


def registering() -> Registering:
    return Registering(BootDelays(), lambda: 0.5)


def booted(registering: Registering, registration: Registration, interval: int, now: float = 0.0) -> None:
    registering.sent()
    registering.answered(Booted(registration, None, interval), now)


def test_a_station_boots_on_its_first_connection() -> None:
    station = registering()
    station.connected(5.0)
    assert station.boot_at == 5.0
    assert not station.accepted


@pytest.mark.requirement(25)
def test_an_accepted_station_does_not_boot_again_on_a_reconnect() -> None:
    station = registering()
    booted(station, ACCEPTED, 300)
    station.connected(50.0)
    assert station.boot_at is None
    assert station.error is None


@pytest.mark.parametrize("registration", [PENDING, REJECTED])
def test_the_interval_of_a_pending_or_rejected_station_is_kept(registration: Registration) -> None:
    station = registering()
    booted(station, registration, 15, 100.0)
    assert station.boot_at == 115.0
    assert station.error is not None


@pytest.mark.requirement(22)
@pytest.mark.parametrize("registration", [PENDING, REJECTED])
def test_an_interval_of_zero_leads_to_an_own_sane_one(registration: Registration) -> None:
    station = registering()
    booted(station, registration, 0, 100.0)
    assert station.boot_at is not None
    assert station.boot_at >= 110.0


@pytest.mark.requirement(22)
def test_a_rejected_station_stays_silent_over_a_reconnect() -> None:
    station = registering()
    booted(station, REJECTED, 60, 100.0)
    station.connected(110.0)
    assert station.boot_at == 160.0


def test_a_pending_station_boots_at_once_on_another_connection() -> None:
    station = registering()
    booted(station, PENDING, 60, 100.0)
    station.connected(110.0)
    assert station.boot_at == 110.0


@pytest.mark.requirement(3, 23)
def test_failures_are_retried_at_growing_intervals() -> None:
    station = registering()
    waits: list[float | None] = []
    for _ in range(3):
        station.sent()
        assert station.boot_at is None
        station.failed("no answer", 0.0)
        waits.append(station.boot_at)
    assert waits == pytest.approx([30, 60, 120])
    assert station.error == "BootNotification: no answer"


def test_a_lost_registration_is_made_anew_after_a_pause() -> None:
    station = registering()
    booted(station, ACCEPTED, 300)
    station.lost(100.0)
    assert station.status is None
    assert station.boot_at is not None
    assert station.boot_at > 110.0
    assert "SecurityError" in (station.error or "")


def test_a_trigger_boots_at_once_but_never_after_an_accepted_boot() -> None:
    station = registering()
    booted(station, PENDING, 60, 100.0)
    station.trigger(101.0)
    assert station.boot_at == 101.0
    booted(station, ACCEPTED, 60, 102.0)
    station.trigger(103.0)
    assert station.boot_at is None


def test_at_another_address_the_station_boots_anew() -> None:
    station = registering()
    booted(station, REJECTED, 60, 100.0)
    station.moved()
    station.connected(110.0)
    assert station.status is None
    assert station.boot_at == 110.0
