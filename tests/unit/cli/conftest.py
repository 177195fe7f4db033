"""Stations for the tests of the command line: stopped, running, and with a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.model import EvseId, IdToken, Profile
from agent.core.state import Card, EvseState, StationState, Tokens
from tests.unit.cli.installed import Station, one_session, write_ledger


@pytest.fixture
def stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Station:
    """Return a station whose daemon does not run."""
    for name in ("WALLBOX_CONFIG", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return Station(tmp_path, capsys)


@pytest.fixture
def station(stopped: Station) -> Iterator[Station]:
    """Return a station whose daemon runs."""
    with stopped.running():
        yield stopped


@pytest.fixture
def with_ledger(stopped: Station) -> Station:
    """Return a stopped station with a closed session, an open one and two cards in its ledger."""
    lost = Card(IdToken("04A1B2C3D4E5F6"), Profile.FLEET, "NL-WEX-CNQPWFBEK", None, "Kim", "lost")
    cards = {card.id_token.key: card for card in (lost, Card(IdToken("virtual-1"), Profile.PRIVATE))}
    state = StationState((EvseState(EvseId(1)),), tokens=Tokens(cards))
    write_ledger(stopped.state_dir, state, one_session(1, closed=True), one_session(2, closed=False))
    return stopped
