"""``start``: what is told of a session that begins, waits, or is refused; with the real core behind the socket."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.cli import start as starting
from agent.core.events import AuthorizationAnswered, EvseRead
from agent.core.facts import StartTrigger
from agent.core.model import (
    ConnectorStatus,
    ErrorCode,
    EvseId,
    EvseReading,
    IdToken,
    MilliAmp,
    Pilot,
    Profile,
    Registration,
    TokenInfo,
    TokenStatus,
)
from agent.core.settings import Overrides
from agent.core.state import Cached, Card, Cloud, EvseState, EvseView, MeterView, StationState, Tokens
from tests.unit.cli.installed import Station, instant, reading, write_ledger

UID = IdToken("04A1B2C3")
ONE = EvseId(1)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "INTERVAL_S", 0.005)
    monkeypatch.setattr(starting, "LOOKS", 4)


def seen(pilot: Pilot, *, charging: bool = False) -> EvseReading:
    return EvseReading(instant(), pilot, connected=pilot is not Pilot.A, charging=charging, limit=MilliAmp(16_000))


def evse(pilot: Pilot) -> EvseState:
    plugged = None if pilot is Pilot.A else 90.0
    status = ConnectorStatus.AVAILABLE if pilot is Pilot.A else ConnectorStatus.PREPARING
    return EvseState(
        ONE,
        meter=MeterView(reading(0, "1234567")),
        evse=EvseView(seen(pilot)),
        plugged_since=plugged,
        shown=(status, ErrorCode.NO_ERROR),
    )


def known(pilot: Pilot, profile: Profile = Profile.PRIVATE) -> StationState:
    """Return a station with one connector that knows the card."""
    return StationState((evse(pilot),), tokens=Tokens({UID.key: Card(UID, profile)}))


def asked(pilot: Pilot) -> StationState:
    """Return a station that asks its central system about the card."""
    return replace(StationState((evse(pilot),)), cloud=Cloud(connected=True, registration=Registration.ACCEPTED))


def test_a_session_whose_car_draws_is_told_as_charging(station: Station) -> None:
    station.state = known(Pilot.B)
    station.afterwards = [EvseRead(ONE, seen(Pilot.C, charging=True))]
    document = station.json("start", "--card", "04:a1:b2:c3")
    running = station.state.evses[0].session
    assert running is not None
    assert (running.id_token, running.trigger) == (UID, StartTrigger.INSTALLER)
    assert document == {
        "result": "accepted",
        "state": "charging",
        "connector": 1,
        "session": running.id,
        "plug_in_within_s": None,
    }


def test_charging_is_told_to_people_with_the_connector(station: Station) -> None:
    station.state = known(Pilot.B)
    station.afterwards = [EvseRead(ONE, seen(Pilot.C, charging=True))]
    assert station.call("start", "--card", "04A1B2C3", "--connector", "1") == (0, "charging on connector 1\n", "")


def test_a_session_whose_car_does_not_draw_has_begun_all_the_same(station: Station) -> None:
    station.state = known(Pilot.B)
    status, out, err = station.call("start", "--card", "04A1B2C3")
    assert (status, err) == (0, "")
    assert out == "the session on connector 1 has begun; the car draws nothing yet (starting)\n"


def test_without_a_car_the_time_that_is_left_to_plug_it_in_is_told(station: Station) -> None:
    station.state = known(Pilot.A)
    document = station.json("start", "--card", "04A1B2C3")
    assert document == {
        "result": "accepted",
        "state": "waiting-for-car",
        "connector": 1,
        "session": None,
        "plug_in_within_s": 60,
    }


@pytest.mark.parametrize(("limit", "words"), [(90, " within 90 s"), (0, "")])
def test_the_time_to_plug_in_is_the_one_in_force(stopped: Station, limit: int, words: str) -> None:
    stopped.state = replace(known(Pilot.A), overrides=Overrides((("connection_timeout_s", limit),)))
    write_ledger(stopped.state_dir, stopped.state)
    with stopped.running():
        told = stopped.call("start", "--card", "04A1B2C3")
    assert told == (0, f"waiting for the car: plug it in at connector 1{words}\n", "")


def test_a_card_that_the_core_refuses_is_refused_with_its_reason(station: Station) -> None:
    words = "connector 1 is not free, out of service or faulty"
    assert station.refusal("start", "--connector", "1", "--card", "04A1B2C3") == words
    station.state = known(Pilot.B)
    station.json("cards", "block", "04A1B2C3", "--reason", "lost")
    assert station.refusal("start", "--card", "04A1B2C3") == "blocked here: lost"


def two(first: Pilot, second: Pilot) -> StationState:
    """Return a station with two connectors that knows the card."""
    return replace(known(first), evses=(evse(first), replace(evse(second), id=EvseId(2))))


def test_of_two_free_connectors_one_has_to_be_named(station: Station) -> None:
    station.state = two(Pilot.A, Pilot.A)
    words = "connectors 1 and 2 are free: say which one with `--connector N`"
    assert station.refusal("start", "--card", "04A1B2C3", status=2) == words
    assert station.json("start", "--card", "04A1B2C3", "--connector", "2")["connector"] == 2
    assert station.json("start", "--card", "04A1B2C3")["connector"] == 1


def test_of_two_free_connectors_the_one_with_the_car_is_meant(station: Station) -> None:
    station.state = two(Pilot.A, Pilot.B)
    assert station.json("start", "--card", "04A1B2C3")["connector"] == 2


def test_a_connector_that_is_not_there_is_told_with_those_that_are(station: Station) -> None:
    station.state = two(Pilot.A, Pilot.A)
    words = "there is no connector 3: the station has 1 and 2"
    assert station.refusal("start", "--card", "04A1B2C3", "--connector", "3", status=2) == words


def test_without_a_free_connector_it_is_told_what_they_show(station: Station) -> None:
    words = "no connector is free: 1 is not known yet; look at `wallbox-agent status`"
    assert station.refusal("start", "--card", "04A1B2C3") == words
    station.state = known(Pilot.A)
    station.json("start", "--card", "04A1B2C3")
    words = "no connector is free: 1 is kept for card ****B2C3; look at `wallbox-agent status`"
    assert station.refusal("start", "--card", "04A1B2C4") == words


def test_a_card_that_the_central_system_refuses_is_refused_with_what_it_said(stopped: Station) -> None:
    invalid = TokenInfo(TokenStatus.INVALID)
    stopped.state = asked(Pilot.B)
    write_ledger(
        stopped.state_dir, replace(stopped.state, tokens=Tokens(cache={UID.key: Cached(UID, invalid, instant())}))
    )
    stopped.afterwards = [AuthorizationAnswered(1, invalid)]
    with stopped.running():
        status, out, err = stopped.call("start", "--card", "04A1B2C3")
    assert (status, out) == (1, "")
    assert err == "wallbox-agent: card 04A1B2C3 is refused: the central system does not know this card\n"


def test_a_refusal_that_nobody_remembers_points_to_the_log(station: Station) -> None:
    station.state = asked(Pilot.B)
    station.afterwards = [AuthorizationAnswered(1, TokenInfo(TokenStatus.BLOCKED))]
    status, out, err = station.call("start", "--card", "04A1B2C3")
    assert (status, out) == (1, "")
    assert err.endswith("is refused: nobody accepts it; the log has the reason: `journalctl -u wallbox-agent`\n")


def test_a_central_system_that_is_still_to_answer_is_told(station: Station) -> None:
    station.state = asked(Pilot.B)
    status, out, err = station.call("start", "--card", "04A1B2C3")
    assert (status, err) == (0, "")
    assert out == "accepted; connector 1 waits for the central system's answer: look at `wallbox-agent status`\n"


def test_a_session_that_is_gone_again_at_once_is_a_failure(station: Station) -> None:
    station.state = known(Pilot.B)
    station.afterwards = [EvseRead(ONE, seen(Pilot.A))]
    words = "the session on connector 1 began and was ended at once: the log has the reason: `journalctl"
    status, out, err = station.call("start", "--card", "04A1B2C3")
    assert (status, out) == (1, "")
    assert words in err


def test_a_wrong_card_or_connector_is_refused_before_anything_is_asked(stopped: Station) -> None:
    assert "is not a card number" in stopped.refusal("start", "--card", "\x1b[31m", status=2)
    assert "invalid connector number" in stopped.refusal("start", "--card", "04A1", "--connector", "0", status=2)
