"""One step of the whole station: purity, order, shutdown, a full journal; and that the core knows no outside."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import agent.core
from agent.core.effects import Deenergise, Energise, Restart, Stop
from agent.core.events import (
    CardPresented,
    ClockStepped,
    CloudChanged,
    Event,
    EvseFailed,
    EvseRead,
    MeterFailed,
    MeterRead,
    ReaderChanged,
    ShutdownRequested,
    Ticked,
    TokenTold,
)
from agent.core.facts import SessionEnded, SessionStarted
from agent.core.model import Quality, Reading, Wh
from agent.core.station import step
from tests.unit.core.charger import ACCEPTED, ALICE, ONE, PRIVATE, Charger, a_charger, charging

OUTSIDE = {"asyncio", "logging", "os", "random", "secrets", "socket", "sqlite3", "subprocess", "threading", "time"}


def events(c: Charger) -> list[Event]:
    return [
        CardPresented(PRIVATE),
        ClockStepped(),
        CloudChanged(connected=False, registration=None),
        EvseFailed(ONE, "no answer"),
        EvseRead(ONE, c.site.seen(c.at)),
        MeterFailed(ONE, "no answer"),
        MeterRead(ONE, Reading(c.at, Wh(c.site.register))),
        ReaderChanged("gone"),
        ShutdownRequested(),
        Ticked(),
        TokenTold(ALICE, ACCEPTED),
    ]


@pytest.mark.parametrize("n", range(11))
def test_equal_arguments_give_equal_results_and_change_nothing_given(n: int) -> None:
    c = charging()
    before, event = c.state, events(c)[n]
    first = step(c.state, event, c.at, c.policy)
    assert step(c.state, event, c.at, c.policy) == first
    assert c.state is before


def test_the_core_imports_nothing_from_outside() -> None:
    (folder,) = agent.core.__path__
    for path in Path(folder).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & OUTSIDE, path.name


def test_a_shutdown_ends_the_process_and_leaves_the_session_open_as_it_was() -> None:
    c = charging()
    c.run(7)
    commands = len(c.safety)
    result = c.do(ShutdownRequested())
    assert Stop() in result.effects
    assert not c.all(SessionEnded)
    assert len(c.safety) == commands
    assert c.session.last.register == c.site.register


def test_a_shutdown_of_an_idle_station_just_ends() -> None:
    c = a_charger()
    assert c.do(ShutdownRequested()).effects == (Stop(),)
    assert not c.all(Restart)


def test_a_full_journal_starts_nothing() -> None:
    c = a_charger()
    c.plug()
    c.journal_full = True
    c.card(PRIVATE)
    c.run(10)
    assert not c.facts
    assert not c.all(Energise)
    assert c.site.limit == 0
    c.journal_full = False
    c.card(PRIVATE)
    assert c.all(SessionStarted)


def test_a_full_journal_loses_no_energy_of_a_running_session() -> None:
    c = charging()
    c.journal_full = True
    c.run(300)
    c.journal_full = False
    c.run(5)
    c.card(PRIVATE)
    c.run(5)
    ended = c.only(SessionEnded)
    assert ended.register == c.site.register
    assert ended.quality == (Quality.MEASURED,)
    assert c.evse.meter.unattributed == 0


def test_a_full_journal_does_not_keep_the_power_on() -> None:
    c = charging()
    c.journal_full = True
    result = c.card(PRIVATE)
    assert result.safety == (Deenergise(ONE),)
    assert c.site.limit == 0


def test_a_session_whose_end_could_not_be_written_ends_when_it_can() -> None:
    c = charging()
    c.journal_full = True
    c.unplug()
    c.run(60)
    assert not c.all(SessionEnded)
    assert c.site.limit == 0
    c.journal_full = False
    c.run(4)
    assert c.only(SessionEnded).register == c.site.register
